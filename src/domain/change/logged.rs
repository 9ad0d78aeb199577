//! What concerns the audit log itself: attempts that only it records, signed heads, and what is removed.

use super::entry::{object, of_request};
use super::quarantine::Quarantined;
use super::request::RequestRef;
use crate::clock::Timestamp;
use crate::domain::audit::{AuditEntry, CHECKPOINT_FILE, EventOutcome, PURGE, hashed_time};
use crate::domain::head::SignedHead;
use crate::domain::id::Target;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The verb, `request.create` and the like.
    pub attempt: &'static str,
    pub code: &'static str,
    pub message: String,
    /// The request, if there is one.
    pub request: Option<RequestRef>,
    /// Where, if that is known.
    pub target: Option<Target>,
    /// Hash of the redacted statement, if there is one.
    pub fingerprint: Option<String>,
    /// The review rules that blocked the statement, where that is why.
    pub blocked_rules: Vec<String>,
    /// How many refusals this stands for; more than one for the aggregate of a minute.
    pub count: u64,
}

/// Failed authentications from one address in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFailures {
    pub address: String,
    pub count: u64,
    /// Why the first failed.
    pub reason: &'static str,
}

/// A stored result that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgedResult {
    /// The row of its execution.
    pub execution_seq: i64,
    pub execution_id: String,
}

/// A request that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgedRequest {
    pub seq: i64,
    pub id: String,
}

/// A change that no request, identity or configuration shows: the audit log is its only record, or it removes rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChange {
    /// An attempt was refused.
    AttemptRefused(Refused),
    AuthFailures(AuthFailures),
    /// Signed heads begin, or begin anew: the sums of the live rows as they are.
    StateBaselined(SignedHead),
    /// From here on a copy of every checkpoint is kept elsewhere.
    CheckpointFileAttached,
    /// Somebody started a state that is older than its checkpoint file.
    RollbackAccepted {
        reason: String,
        /// What the start had found.
        found: String,
    },
    /// Somebody started a state whose live rows are not those of its head.
    Quarantined(Quarantined),
    /// Stored results whose time is over are removed; their objects are gone already.
    ResultsPurged(Vec<PurgedResult>),
    /// Requests that ended are removed, with everything that belongs to them.
    RequestsPurged {
        requests: Vec<PurgedRequest>,
        /// None of them has changed since then.
        before: Timestamp,
    },
    /// A prefix of the audit log may go.
    AuditPurged {
        /// The last event that may.
        bound_seq: i64,
        last_hash: String,
        /// Only older events may.
        before: Timestamp,
        retained: i64,
    },
}

impl LogChange {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        match self {
            LogChange::AttemptRefused(refused) => refused_entry(refused),
            LogChange::AuthFailures(failures) => {
                let mut e = AuditEntry::new("auth.failures", "auth", EventOutcome::Denied);
                e.reason = Some(failures.reason.to_owned());
                e.resource_type = Some("address");
                e.resource_id = Some(failures.address.clone());
                e.metadata.insert("count".into(), failures.count.into());
                e
            }
            LogChange::StateBaselined(signed) => baseline(signed),
            LogChange::CheckpointFileAttached => {
                AuditEntry::new(CHECKPOINT_FILE, "policy", EventOutcome::Info)
            }
            LogChange::RollbackAccepted { reason, found } => {
                let mut e =
                    AuditEntry::new("audit.rollback_accepted", "policy", EventOutcome::Failure);
                e.reason = Some(reason.clone());
                e.metadata.insert("found".into(), found.clone().into());
                e
            }
            LogChange::Quarantined(step) => step.entry(),
            LogChange::ResultsPurged(results) => {
                let ids: Vec<&str> = results.iter().map(|r| r.execution_id.as_str()).collect();
                purged("result.purged", "execution", "executions", &ids)
            }
            LogChange::RequestsPurged { requests, before } => {
                let ids: Vec<&str> = requests.iter().map(|r| r.id.as_str()).collect();
                let mut e = purged("request.purged", "request", "requests", &ids);
                e.metadata
                    .insert("unchanged_since".into(), before.rfc3339().into());
                e
            }
            LogChange::AuditPurged {
                last_hash,
                before,
                retained,
                ..
            } => {
                let mut e = AuditEntry::new(PURGE, "policy", EventOutcome::Info);
                e.metadata = object(json!({
                    "purged_before": hashed_time(*before),
                    "last_purged_hash": last_hash,
                    "retained_count": retained,
                }));
                e
            }
        }
    }
}

/// Names everything that one batch removes: the log outlives it.
fn purged(
    event_type: &'static str,
    category: &'static str,
    kind: &'static str,
    ids: &[&str],
) -> AuditEntry {
    let mut e = AuditEntry::new(event_type, category, EventOutcome::Success);
    e.metadata.insert("count".into(), ids.len().into());
    e.metadata.insert(kind.into(), ids.into());
    e
}

fn baseline(signed: &SignedHead) -> AuditEntry {
    let mut e = AuditEntry::new("state.baseline", "policy", EventOutcome::Info);
    let head = &signed.head;
    let sums: Map<String, Value> = head
        .sums
        .iter()
        .map(|(table, sum)| (table.clone(), sum.clone().into()))
        .collect();
    for (key, value) in [
        ("head_seq", head.seq.into()),
        ("head_hash", head.hash.clone().into()),
        ("recipe_sha256", head.recipe.clone().into()),
        ("sums", Value::Object(sums)),
        ("key_id", signed.key_id.clone().into()),
        ("signature", signed.signature.clone().into()),
    ] {
        e.metadata.insert(key.into(), value);
    }
    e
}

fn refused_entry(refused: &Refused) -> AuditEntry {
    let mut e = match &refused.request {
        Some(request) => of_request("attempt.refused", "request", request),
        None if refused.blocked_rules.is_empty() => {
            AuditEntry::new("attempt.refused", "request", EventOutcome::Denied)
        }
        None => AuditEntry::new("request.blocked_by_review", "request", EventOutcome::Denied),
    };
    e.outcome = EventOutcome::Denied;
    if let Some(target) = &refused.target {
        e.database = Some(target.database().to_owned());
        e.environment = Some(target.environment().to_owned());
    }
    e.fingerprint.clone_from(&refused.fingerprint);
    e.reason = Some(refused.message.clone());
    e.metadata = object(json!({
        "attempt": refused.attempt,
        "code": refused.code,
        "count": refused.count,
    }));
    if !refused.blocked_rules.is_empty() {
        let rules = refused.blocked_rules.clone();
        e.metadata.insert("blocked_rules".into(), rules.into());
    }
    e
}
