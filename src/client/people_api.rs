//! The calls of people, and the JSON of both directions. Fields that we do not know are ignored; those that an older
//! server does not send are empty.

use super::{Client, ClientError, Document};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use ureq::http::Method;

/// Everything but letters, digits and what a path or query may hold as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Body of POST /api/requests. What is not set is not sent, so that an older server sees nothing new.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewRequestBody {
    pub operation: &'static str,
    pub database: String,
    pub environment: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_ddl: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_result_store: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub share_with: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_affected_rows: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rehearse: bool,
}

/// Answer of POST /api/requests.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedReply {
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub operation: String,
    #[serde(default)]
    pub approvers: Vec<String>,
}

/// Answer of approve, reject, cancel and resume.
#[derive(Debug, Clone, Deserialize)]
pub struct MovedReply {
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub step_completed: u32,
    #[serde(default)]
    pub total_steps: u32,
    #[serde(default)]
    pub matched_selector: Option<String>,
}

/// Answer of GET /api/requests/{id}.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RequestReply {
    pub id: String,
    pub requester: String,
    pub database: String,
    pub environment: String,
    pub operation: String,
    pub detail: String,
    pub status: String,
    pub queue_hint: Option<String>,
    pub emergency: bool,
    pub reason: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    pub expires_at: Option<String>,
    pub approved_at: Option<String>,
    pub approval_expires_at: Option<String>,
    pub resolved_at: Option<String>,
    pub risk_level: String,
    pub current_step: u32,
    pub total_steps: u32,
    pub next_approvers: Vec<String>,
    pub approval_progress: Option<ProgressReply>,
    pub context: Option<ContextReply>,
    pub decision_trace: Value,
    pub metadata: Option<Value>,
    pub claimed_by: Option<String>,
    pub cancelled_by: Option<String>,
    pub cancel_reason: Option<String>,
    pub max_affected_rows: Option<u64>,
    pub row_bound_source: Option<String>,
    pub rehearsal: Option<RehearsalReply>,
    pub rehearsable: bool,
    /// What the caller may do with it now; none where the server does not say.
    pub actions: Option<Vec<String>>,
    pub resume_needs_acknowledgement: bool,
    pub notifications: Vec<NotificationReply>,
}

impl RequestReply {
    /// Whether nothing more comes of it by itself.
    pub fn is_outcome(&self) -> bool {
        matches!(
            self.status.as_str(),
            "executed" | "failed" | "rejected" | "cancelled" | "expired" | "execution_lost"
        )
    }

    /// Whether the server would accept that verb from the caller now.
    pub fn may(&self, verb: &str) -> bool {
        let actions = self.actions.as_deref();
        actions.is_some_and(|actions| actions.iter().any(|action| action == verb))
    }

    /// Whether something can still come of its rehearsal.
    pub fn is_rehearsing(&self) -> bool {
        self.rehearsal.as_ref().is_some_and(RehearsalReply::is_open)
    }

    /// Where it stands, as `?seen=` wants it; with its rehearsal while that is awaited.
    pub fn seen(&self) -> String {
        let step = format!("{}:{}", self.status, self.current_step);
        match self.rehearsal.as_ref().filter(|r| r.is_open()) {
            Some(rehearsal) => format!("{step}:{}", rehearsal.status),
            None => step,
        }
    }
}

/// A rehearsal of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RehearsalReply {
    pub id: String,
    pub status: String,
    pub stale: bool,
    pub rehearsed_at: Option<String>,
    pub agent_id: Option<String>,
    pub rows_affected: Option<u64>,
    pub error_message: Option<String>,
    pub statements: Option<Vec<RehearsedReply>>,
    pub triggers: Option<Vec<String>>,
    pub warnings: Option<Vec<String>>,
    pub lock_wait_ms: Option<u64>,
}

impl RehearsalReply {
    /// Whether something can still come of it.
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "waiting" | "claimed")
    }
}

/// One statement of a rehearsal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RehearsedReply {
    pub kind: String,
    pub table: String,
    pub rows: u64,
    pub more_rows: u64,
    /// Tables that its triggers and cascades changed, where the database tells.
    pub more: Option<Vec<TableRowsReply>>,
}

/// How many rows of a table changed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TableRowsReply {
    pub table: String,
    pub rows: u64,
}

/// Who was notified of a request, and how that went.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NotificationReply {
    pub event_type: String,
    pub channel: String,
    pub webhook_id: Option<String>,
    pub recipient: Option<String>,
    pub status: String,
    pub attempts: u32,
    pub last_error: Option<String>,
    pub updated_at: String,
}

/// How far the approvals are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ProgressReply {
    pub steps: Vec<StepReply>,
}

/// One step of a workflow.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StepReply {
    pub index: u32,
    pub mode: String,
    pub satisfied: bool,
    pub approvers_required: Vec<RequiredReply>,
    pub approvals: Vec<VoteReply>,
}

/// Whose approval a step wants, and how many there are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RequiredReply {
    pub selector: String,
    pub min: u32,
    pub current: u32,
    /// Who can give it, where the step waits; and whether others may be able to.
    pub people: Vec<String>,
    pub others: bool,
}

/// A vote that was cast.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct VoteReply {
    pub user: String,
    pub action: String,
    pub at: String,
    pub comment: Option<String>,
    pub selector: Option<String>,
}

/// What reviewers go by.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContextReply {
    pub status: String,
    pub tables: Option<Vec<String>>,
    pub sql_review: Option<ReviewReply>,
    pub risk: Option<RiskReply>,
    pub explain: Option<Vec<Value>>,
}

/// What the review found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReviewReply {
    pub findings: Vec<FindingReply>,
}

/// One thing that the review found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FindingReply {
    pub rule: String,
    pub message: String,
    pub line: u64,
    pub column: u64,
    pub offset: Option<usize>,
    pub fix: String,
    pub why: String,
}

/// A risk and its reasons.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RiskReply {
    pub level: String,
    pub factors: Vec<String>,
}

/// Answer of GET /api/me.
#[derive(Debug, Clone, Deserialize)]
pub struct MeReply {
    pub subject_id: String,
    #[serde(default)]
    pub roles: Vec<RoleReply>,
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A role somebody holds.
#[derive(Debug, Clone, Deserialize)]
pub struct RoleReply {
    pub name: String,
}

/// A path out of its parts, each encoded.
pub fn path_of(parts: &[&str]) -> String {
    let mut path = String::from("/api");
    for part in parts {
        path.push('/');
        path.extend(utf8_percent_encode(part, ENCODED));
    }
    path
}

/// A path with the query parameters that have a value.
pub fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut out = path.to_owned();
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(name);
            out.push('=');
            out.extend(utf8_percent_encode(value, ENCODED));
        }
    }
    out
}

/// The names and values of a query, decoded; `None` where one is not UTF-8.
pub fn pairs_of(query: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        let text = percent_decode_str(&spaced).decode_utf8();
        text.map(std::borrow::Cow::into_owned).ok()
    };
    let pairs = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    pairs.collect()
}

impl Client {
    /// GET, the answer as it came.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn fetch(&self, path: &str) -> Result<Document, ClientError> {
        self.document(Method::GET, path, "", Duration::ZERO)
    }

    /// POST of a JSON body, which may be empty.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn send(&self, path: &str, body: &str) -> Result<Document, ClientError> {
        self.document(Method::POST, path, body, Duration::ZERO)
    }

    /// PATCH of a JSON body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn amend(&self, path: &str, body: &str) -> Result<Document, ClientError> {
        self.document(Method::PATCH, path, body, Duration::ZERO)
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn delete(&self, path: &str) -> Result<Document, ClientError> {
        self.document(Method::DELETE, path, "", Duration::ZERO)
    }

    /// A request, held back by the server for up to `wait` until it stands elsewhere than `seen`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn await_request(
        &self,
        id: &str,
        wait: Duration,
        seen: &str,
    ) -> Result<Document, ClientError> {
        let parameters = [
            ("wait", Some(wait.as_secs().to_string())),
            ("seen", Some(seen.to_owned())),
        ];
        let path = with_query(&path_of(&["requests", id]), &parameters);
        self.document(Method::GET, &path, "", wait)
    }

    /// The result of a request, waited for; `None` if it is not there by then.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn await_result(&self, id: &str, wait: Duration) -> Result<Option<Document>, ClientError> {
        let parameters = [("wait", Some(wait.as_secs().to_string()))];
        let path = with_query(&path_of(&["requests", id, "result", "stream"]), &parameters);
        let document = self.document(Method::GET, &path, "", wait)?;
        Ok((!document.is_empty()).then_some(document))
    }
}
