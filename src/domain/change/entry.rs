//! What the audit log says of each change.

use super::{
    Change, DdlPassed, Finished, LostStep, NewRequest, NewResult, Refused, RequestRef, UserStatus,
};
use crate::clock::Timestamp;
use crate::domain::approval::Vote;
use crate::domain::audit::{AuditEntry, CHECKPOINT_FILE, EventOutcome, PURGE, hashed_time};
use crate::domain::head::SignedHead;
use crate::domain::request::{Status, Transition};
use crate::domain::scope::Scope;
use serde_json::{Map, Value, json};

impl Change {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        let mut entry = self.described();
        entry.moved = self.moved();
        entry
    }

    fn described(&self) -> AuditEntry {
        match self {
            Change::RequestCreated(new) => created(new),
            Change::RequestDispatched {
                request,
                acknowledged,
                ..
            } => {
                let mut e = of_request("request.dispatched", "approval", request);
                e.reason.clone_from(acknowledged);
                if acknowledged.is_some() {
                    e.metadata
                        .insert("acknowledged_unknown_outcome".into(), true.into());
                }
                e
            }
            Change::DdlPassed(passed) => ddl_passed(passed),
            Change::StepApproved {
                request,
                vote,
                total_steps,
                ..
            } => voted("step.approved", request, vote, Some(*total_steps)),
            Change::RequestApproved {
                request,
                vote,
                total_steps,
                ..
            } => voted("request.approved", request, vote, Some(*total_steps)),
            Change::RequestRejected { request, vote, .. } => {
                let mut e = voted("request.rejected", request, vote, None);
                e.reason.clone_from(&vote.comment);
                e
            }
            Change::RequestCancelled {
                request, reason, ..
            } => {
                let mut e = of_request("request.cancelled", "approval", request);
                e.reason.clone_from(reason);
                e
            }
            Change::RequestExpired { request, .. } => {
                of_request("request.expired", "approval", request)
            }
            Change::DispatchTimedOut { request, .. } => {
                of_request("request.dispatch_timeout", "approval", request)
            }
            Change::ExecutionStarted {
                request, execution, ..
            } => {
                let mut e = of_request("execution.started", "execution", request);
                e.metadata
                    .insert("execution_id".into(), execution.id.clone().into());
                e.metadata
                    .insert("attempt".into(), execution.attempt.into());
                e.metadata.insert(
                    "statement_timeout_secs".into(),
                    execution.statement_timeout_secs.into(),
                );
                e
            }
            Change::ExecutionFinished {
                request,
                step,
                finished,
                result,
            } => finished_entry(request, *step, finished, result.as_ref()),
            Change::ExecutionLost {
                request,
                execution_id,
                agent_id,
                ..
            } => {
                let mut e = of_request("execution.lost", "agent", request);
                e.outcome = EventOutcome::Failure;
                e.metadata
                    .insert("execution_id".into(), execution_id.clone().into());
                e.metadata
                    .insert("agent_id".into(), agent_id.clone().into());
                e
            }
            Change::AgentRegistered {
                agent_id, version, ..
            } => {
                let mut e = about("agent.registered", "agent", "agent", agent_id);
                if let Some(version) = version {
                    e.metadata
                        .insert("agent_version".into(), version.clone().into());
                }
                e
            }
            Change::TokenCreated(new) => {
                let mut e = about("token.created", "token", "token", &new.id);
                e.metadata = object(json!({
                    "subject_id": new.subject_id,
                    "subject_type": new.subject_type.as_str(),
                    "roles": new.roles,
                    "role_mode": new.role_mode.as_str(),
                    "groups": new.groups,
                    "issuer": new.issuer,
                    "issuers": new.issuers,
                    "scopes": new.bound_to.as_deref().map(scopes),
                    "expires_at": new.expires_at.map(Timestamp::rfc3339),
                }));
                e
            }
            Change::TokenRevoked {
                token_id,
                subject_id,
            } => {
                let mut e = about("token.revoked", "token", "token", token_id);
                e.metadata
                    .insert("subject_id".into(), subject_id.clone().into());
                e
            }
            Change::UserActivated(user) => status_entry("user.activated", user),
            Change::UserSuspended(user) => status_entry("user.disabled", user),
            Change::UserCreated { id } => {
                let mut e = about("user.created", "identity", "user", id);
                e.metadata.insert("source".into(), "oidc".into());
                e
            }
            Change::LoginSucceeded { id, roles } => {
                let mut e = about("auth.login_success", "auth", "user", id);
                e.metadata = object(json!({"method": "oidc", "roles": roles}));
                e
            }
            Change::UserUpdated { id, slack_user_id } => {
                let mut e = about("user.updated", "identity", "user", id);
                e.metadata
                    .insert("slack_user_id".into(), slack_user_id.clone().into());
                e
            }
            Change::RoleDeleted {
                name,
                lost,
                policy_version,
                ..
            } => {
                let mut e = about("role.deleted", "policy", "role", name);
                e.metadata
                    .insert("policy_version".into(), policy_version.clone().into());
                if !lost.is_empty() {
                    let steps: Vec<Value> = lost.iter().map(lost_step).collect();
                    e.metadata.insert("unreachable_steps".into(), steps.into());
                }
                e
            }
            Change::SchemaSynced(schema) => {
                let (event_type, outcome) = match schema.snapshot_json {
                    Some(_) => ("schema.snapshot_updated", EventOutcome::Success),
                    None => ("schema.snapshot_failed", EventOutcome::Failure),
                };
                let mut e = AuditEntry::new(event_type, "agent", outcome);
                e.database = Some(schema.target.database.clone());
                e.environment = Some(schema.target.environment.clone());
                e.reason.clone_from(&schema.error_message);
                e.metadata = object(json!({
                    "dialect": schema.dialect.as_str(),
                    "status": schema.status,
                    "tables": schema.tables,
                }));
                e
            }
            Change::ConfigSynced {
                policy_version,
                summary,
                ..
            } => {
                let mut e = about("config.synced", "policy", "config", policy_version);
                e.metadata.clone_from(summary);
                e
            }
            Change::ConfigRejected { problems } => {
                let mut e =
                    AuditEntry::new("config.reload_failed", "policy", EventOutcome::Failure);
                e.reason = problems.first().cloned();
                e.metadata
                    .insert("problems".into(), problems.clone().into());
                e
            }
            Change::AttemptRefused(refused) => refused_entry(refused),
            Change::AuthFailures(failures) => {
                let mut e = AuditEntry::new("auth.failures", "auth", EventOutcome::Denied);
                e.reason = Some(failures.reason.to_owned());
                e.resource_type = Some("address");
                e.resource_id = Some(failures.address.clone());
                e.metadata.insert("count".into(), failures.count.into());
                e
            }
            Change::ResultCorrupt {
                request,
                execution_id,
            } => {
                let mut e = of_request("result.corrupt", "execution", request);
                e.outcome = EventOutcome::Failure;
                e.metadata
                    .insert("execution_id".into(), execution_id.clone().into());
                e
            }
            Change::StateBaselined(signed) => baseline(signed),
            Change::CheckpointFileAttached => {
                AuditEntry::new(CHECKPOINT_FILE, "policy", EventOutcome::Info)
            }
            Change::RollbackAccepted { reason, found } => {
                let mut e =
                    AuditEntry::new("audit.rollback_accepted", "policy", EventOutcome::Failure);
                e.reason = Some(reason.clone());
                e.metadata.insert("found".into(), found.clone().into());
                e
            }
            Change::ResultsPurged(results) => {
                let ids: Vec<&str> = results.iter().map(|r| r.execution_id.as_str()).collect();
                purged("result.purged", "execution", "executions", &ids)
            }
            Change::RequestsPurged { requests, before } => {
                let ids: Vec<&str> = requests.iter().map(|r| r.id.as_str()).collect();
                let mut e = purged("request.purged", "request", "requests", &ids);
                e.metadata
                    .insert("unchanged_since".into(), before.rfc3339().into());
                e
            }
            Change::AuditPurged {
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

fn scopes(scopes: &[Scope]) -> Vec<Value> {
    let scope = |t: &Scope| json!({"database": t.database, "environment": t.environment});
    scopes.iter().map(scope).collect()
}

fn lost_step(lost: &LostStep) -> Value {
    json!({
        "workflow": lost.workflow,
        "step": lost.step,
        "database": lost.target.database,
        "environment": lost.target.environment,
    })
}

fn about(
    event_type: &'static str,
    category: &'static str,
    resource_type: &'static str,
    id: &str,
) -> AuditEntry {
    let mut e = AuditEntry::new(event_type, category, EventOutcome::Success);
    e.resource_type = Some(resource_type);
    e.resource_id = Some(id.to_owned());
    e
}

fn status_entry(event_type: &'static str, user: &UserStatus) -> AuditEntry {
    let mut e = about(event_type, "identity", "user", &user.id);
    e.metadata.insert("by_config".into(), user.by_config.into());
    e
}

fn of_request(
    event_type: &'static str,
    category: &'static str,
    request: &RequestRef,
) -> AuditEntry {
    let mut e = about(event_type, category, "request", &request.id);
    e.request_id = Some(request.id.clone());
    e.operation = Some(request.operation.as_str());
    e.database = Some(request.target.database.clone());
    e.environment = Some(request.target.environment.clone());
    e
}

fn created(new: &NewRequest) -> AuditEntry {
    let event_type = match new.step.to() {
        Status::AutoApproved => "request.auto_approved",
        Status::BreakGlass => "request.break_glass",
        _ => "request.created",
    };
    let mut e = about(event_type, "approval", "request", &new.id);
    e.request_id = Some(new.id.clone());
    e.operation = Some(new.operation.as_str());
    e.database = Some(new.target.database.clone());
    e.environment = Some(new.target.environment.clone());
    e.fingerprint = Some(new.text.fingerprint.clone());
    e.detail.clone_from(&new.text.redacted);
    e.reason.clone_from(&new.reason);
    e.metadata = object(json!({
        "policy_version": new.policy_version,
        "risk_level": new.risk_level,
        "emergency": new.emergency,
        "allow_ddl": new.allow_ddl,
    }));
    e
}

fn ddl_passed(passed: &DdlPassed) -> AuditEntry {
    let mut e = of_request("ddl.break_glass_bypass", "approval", &passed.request);
    e.fingerprint = Some(passed.fingerprint.clone());
    e.detail.clone_from(&passed.redacted);
    e.reason.clone_from(&passed.reason);
    e.metadata = object(json!({
        "statement_count": passed.passed.statements,
        "classifier_bypassed": passed.passed.classifier,
        "reviewer_bypassed": passed.passed.reviewer,
    }));
    e
}

fn voted(
    event_type: &'static str,
    request: &RequestRef,
    vote: &Vote,
    total_steps: Option<u32>,
) -> AuditEntry {
    let mut e = of_request(event_type, "approval", request);
    let m = &mut e.metadata;
    m.insert("step_number".into(), (vote.step + 1).into());
    if let Some(total) = total_steps {
        m.insert("total_steps".into(), total.into());
    }
    m.insert("selector".into(), vote.selector.clone().into());
    if let Some(comment) = &vote.comment {
        m.insert("approval_comment".into(), comment.clone().into());
    }
    if vote.issued_by_requester {
        m.insert("issued_by_requester".into(), true.into());
    }
    e
}

fn finished_entry(
    request: &RequestRef,
    step: Option<Transition>,
    finished: &Finished,
    result: Option<&NewResult>,
) -> AuditEntry {
    let (event_type, outcome) = if finished.success {
        ("execution.completed", EventOutcome::Success)
    } else {
        ("execution.failed", EventOutcome::Failure)
    };
    let mut e = of_request(event_type, "execution", request);
    e.outcome = outcome;
    e.resource_type = Some("execution");
    e.resource_id = Some(finished.execution_id.clone());
    let m = &mut e.metadata;
    m.insert("duration_ms".into(), finished.duration_ms.into());
    m.insert("rows_affected".into(), finished.rows_affected.into());
    m.insert("truncated".into(), finished.truncated.into());
    m.insert("late".into(), finished.late.into());
    if let Some(result) = result {
        m.insert(
            "result_sha256".into(),
            result.checksum_sha256.clone().into(),
        );
        m.insert("result_bytes".into(), result.content_length.into());
    }
    if step.is_none() && finished.success {
        m.insert("committed_after_cancel".into(), true.into());
    }
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
        None => AuditEntry::new("attempt.refused", "request", EventOutcome::Denied),
    };
    e.outcome = EventOutcome::Denied;
    if let Some(target) = &refused.target {
        e.database = Some(target.database.clone());
        e.environment = Some(target.environment.clone());
    }
    e.fingerprint.clone_from(&refused.fingerprint);
    e.reason = Some(refused.message.clone());
    e.metadata = object(json!({
        "attempt": refused.attempt,
        "code": refused.code,
        "count": refused.count,
    }));
    e
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
