//! One request and all that belongs to it, as its events account for them.

mod rehearsed;

use super::{
    AccountedKey, AccountedRow, AccountedValue, ERROR_SHA256, EventMetadata, TOKEN_SHA256,
};
use crate::clock::Timestamp;
use crate::domain::audit::Event;
use crate::domain::execution::result_key;
use rehearsed::rehearsed;
use std::collections::{BTreeMap, BTreeSet};

/// What the event of its creation says.
const CREATED: &[AccountedKey] = &[
    ("emergency", "emergency", false),
    ("allow_ddl", "allow_ddl", false),
    ("no_result_store", "no_result_store", false),
    ("risk_level", "risk_level", false),
    ("policy_version", "policy_version", false),
    ("dialect", "dialect", false),
    ("total_steps", "total_steps", false),
    ("max_affected_rows", "max_affected_rows", false),
    ("row_bound_source", "row_bound_source", false),
    ("actor_token_id", "token_id", false),
    ("expires_at", "expires_at_ms", true),
    ("approval_expires_at", "approval_expires_at_ms", true),
];
const STARTED: &[AccountedKey] = &[
    ("attempt", "attempt", false),
    ("agent_id", "agent_id", false),
    ("statement_timeout_secs", "statement_timeout_secs", false),
    ("max_rows", "max_rows", false),
    ("lease_secs", "lease_secs", false),
];
const ENDED: &[AccountedKey] = &[
    ("rows_affected", "rows_affected", false),
    ("duration_ms", "duration_ms", false),
    ("truncated", "truncated", false),
    ("late", "late", false),
    ("report_sha256", "report_sha256", false),
    ("outcome", "outcome", false),
    ("error_sha256", ERROR_SHA256, false),
];
const RESULT: &[AccountedKey] = &[
    ("result_backend", "backend", false),
    ("result_bytes", "content_length", false),
    ("result_sha256", "checksum_sha256", false),
    ("result_expires_at", "expires_at_ms", true),
];

/// A request, its votes, executions and results.
#[derive(Debug, Default)]
pub struct RequestAccount {
    pub request: AccountedRow,
    /// What the event of its creation says, once that was seen.
    pub created: Option<EventMetadata>,
    /// The statement as that event shows it, and its fingerprint.
    pub redacted: (Option<String>, Option<String>),
    /// Votes with the numbers of their events.
    pub votes: BTreeMap<i64, (Event, Timestamp)>,
    /// By id; `token_json` and `error_message` by their hashes.
    pub executions: BTreeMap<String, AccountedRow>,
    /// By id of the execution.
    pub results: BTreeMap<String, AccountedRow>,
    /// By id; texts by their hashes.
    pub rehearsals: BTreeMap<String, AccountedRow>,
    /// Who may read each result, where the event says so.
    pub access: BTreeMap<String, BTreeSet<String>>,
    /// Its rows were found not to be these already, and nothing is done with it any more.
    pub frozen: bool,
    requester: String,
}

impl RequestAccount {
    /// A rehearsal moves nothing; the first votes are not cast before its bound is set.
    fn rehearse(&mut self, seq: i64, event: &Event, metadata: &EventMetadata, at: Timestamp) {
        if metadata.value("sets_bound") == Some(&true.into()) {
            metadata.account(
                &mut self.request,
                &[("rows_affected", "rehearsed_rows", false)],
            );
        }
        let id = event.resource_id.clone().unwrap_or_default();
        let row = self.rehearsals.entry(id).or_default();
        rehearsed(row, seq, event, metadata, at);
    }

    /// Takes the next event of the request.
    pub fn take(&mut self, seq: i64, event: &Event, at: Timestamp) {
        let metadata = EventMetadata::by(event);
        let moved = metadata.text("to_status").map(str::to_owned);
        match event.event_type.as_str() {
            "request.corrupt" => {
                self.frozen = true;
                self.set("corrupt_seq", AccountedValue::Integer(seq));
                return;
            }
            _ if metadata.text("from_status") == Some("new") => self.create(event, &metadata, at),
            "step.approved" | "request.approved" => self.approve(seq, event, &metadata, at),
            "request.rejected" => {
                self.votes.insert(seq, (event.clone(), at));
                self.set_ms("resolved_at_ms", at);
            }
            "request.cancelled" => self.cancel(event, at),
            "request.expired" => self.set_ms("resolved_at_ms", at),
            "request.dispatched" => {
                self.set(
                    "dispatched_from",
                    AccountedValue::text(metadata.text("from_status")),
                );
                self.request.remove("dispatch_deadline_ms");
                let key = ("dispatch_deadline", "dispatch_deadline_ms", true);
                metadata.account(&mut self.request, &[key]);
            }
            "request.dispatch_timeout" => {
                self.set("dispatched_from", AccountedValue::Null);
                self.set("dispatch_deadline_ms", AccountedValue::Null);
            }
            "execution.started" => self.start(seq, event, &metadata, at),
            "execution.completed" | "execution.failed" => self.end(seq, event, &metadata, at),
            "execution.lost" => self.lose(seq, &metadata, at),
            kind if kind.starts_with("rehearsal.") => {
                return self.rehearse(seq, event, &metadata, at);
            }
            _ => return,
        }
        if let Some(status) = moved {
            self.set("status", AccountedValue::Text(status));
            self.set("audit_seq", AccountedValue::Integer(seq));
        }
        // One that was lost after it was cancelled moves nothing, and leaves the row as it is.
        if event.event_type != "execution.lost" || metadata.text("to_status").is_some() {
            self.set_ms("updated_at_ms", at);
        }
    }

    /// When the clock next has something to do with the request, as far as its other columns say.
    pub fn due(&self) -> Option<&AccountedValue> {
        let Some(AccountedValue::Text(status)) = self.request.get("status") else {
            return None;
        };
        match status.as_str() {
            "pending" => self.request.get("expires_at_ms"),
            "approved" | "auto_approved" | "break_glass" => {
                self.request.get("approval_expires_at_ms")
            }
            "dispatched" => self.request.get("dispatch_deadline_ms"),
            _ => Some(&AccountedValue::Null),
        }
    }

    fn set(&mut self, column: &'static str, cell: AccountedValue) {
        self.request.insert(column, cell);
    }

    fn set_ms(&mut self, column: &'static str, at: Timestamp) {
        self.set(column, AccountedValue::Integer(at.0));
    }

    fn add(&mut self, column: &'static str, n: i64) {
        if let Some(AccountedValue::Integer(count)) = self.request.get_mut(column) {
            *count += n;
        }
    }

    fn create(&mut self, event: &Event, metadata: &EventMetadata, at: Timestamp) {
        self.requester.clone_from(&event.actor_id);
        self.redacted = (event.detail_raw.clone(), event.detail_fingerprint.clone());
        for (column, text) in [
            ("requester", Some(&event.actor_id)),
            ("database_name", event.database_name.as_ref()),
            ("environment", event.environment.as_ref()),
            ("operation", event.operation.as_ref()),
            ("reason", event.reason.as_ref()),
        ] {
            self.set(column, AccountedValue::text(text.map(String::as_str)));
        }
        for column in [
            "resolved_at_ms",
            "approved_at_ms",
            "dispatched_from",
            "dispatch_deadline_ms",
            "first_completed_at_ms",
            "execution_id",
            "claimed_by",
            "cancelled_by",
            "cancel_reason",
            "corrupt_seq",
            "max_affected_rows",
            "row_bound_source",
            "rehearsed_rows",
        ] {
            self.set(column, AccountedValue::Null);
        }
        for column in ["current_step", "executions_finished", "executions_lost"] {
            self.set(column, AccountedValue::Integer(0));
        }
        self.set_ms("created_at_ms", at);
        if metadata.text("to_status") != Some("pending") {
            self.set_ms("approved_at_ms", at);
        }
        metadata.account(&mut self.request, CREATED);
        self.created = Some(metadata.clone());
    }

    fn approve(&mut self, seq: i64, event: &Event, metadata: &EventMetadata, at: Timestamp) {
        // Votes that count again complete a step without a vote of their own.
        if metadata.value("counts_again").is_none() {
            self.votes.insert(seq, (event.clone(), at));
        }
        self.request.remove("current_step");
        if event.event_type == "step.approved" {
            metadata.account(
                &mut self.request,
                &[("current_step", "current_step", false)],
            );
            return;
        }
        self.set_ms("approved_at_ms", at);
        self.request.remove("approval_expires_at_ms");
        metadata.account(
            &mut self.request,
            &[
                ("total_steps", "current_step", false),
                ("approval_expires_at", "approval_expires_at_ms", true),
            ],
        );
    }

    fn cancel(&mut self, event: &Event, at: Timestamp) {
        self.set_ms("resolved_at_ms", at);
        self.set("cancelled_by", AccountedValue::text(Some(&event.actor_id)));
        self.set(
            "cancel_reason",
            AccountedValue::text(event.reason.as_deref()),
        );
        // An execution that had ended before is not part of the request any more.
        let ended = match self.request.get("execution_id") {
            Some(AccountedValue::Text(id)) => self.executions.get(id).is_none_or(|row| {
                let status = row.get("status");
                status != Some(&AccountedValue::text(Some("claimed")))
                    && status != Some(&AccountedValue::text(Some("lost")))
            }),
            _ => false,
        };
        if ended {
            self.set("execution_id", AccountedValue::Null);
        }
    }

    fn start(&mut self, seq: i64, event: &Event, metadata: &EventMetadata, at: Timestamp) {
        let Some(id) = metadata.text("execution_id") else {
            return;
        };
        let agent = metadata.text("agent_id").unwrap_or(&event.actor_id);
        self.set("execution_id", AccountedValue::text(Some(id)));
        self.set("claimed_by", AccountedValue::text(Some(agent)));
        self.set("dispatch_deadline_ms", AccountedValue::Null);
        let mut row = AccountedRow::from([
            ("agent_id", AccountedValue::text(Some(agent))),
            ("status", AccountedValue::text(Some("claimed"))),
            ("started_at_ms", AccountedValue::Integer(at.0)),
            ("audit_seq", AccountedValue::Integer(seq)),
            ("truncated", AccountedValue::Integer(0)),
            ("late", AccountedValue::Integer(0)),
            ("outcome_unproven", AccountedValue::Integer(0)),
        ]);
        for column in [
            "finished_at_ms",
            "error_message",
            "rows_affected",
            "duration_ms",
            "report_sha256",
            "outcome",
        ] {
            row.insert(column, AccountedValue::Null);
        }
        metadata.account(&mut row, STARTED);
        metadata.account(&mut row, &[("token_sha256", TOKEN_SHA256, false)]);
        self.executions.insert(id.to_owned(), row);
    }

    fn end(&mut self, seq: i64, event: &Event, metadata: &EventMetadata, at: Timestamp) {
        let id = event.resource_id.clone().unwrap_or_default();
        if metadata.text("from_status") == Some("execution_lost") {
            self.add("executions_lost", -1);
        }
        self.add("executions_finished", 1);
        if self.request.get("first_completed_at_ms") == Some(&AccountedValue::Null) {
            self.set_ms("first_completed_at_ms", at);
        }
        if metadata.text("to_status").is_some() {
            self.set_ms("resolved_at_ms", at);
        }
        let row = self.executions.entry(id.clone()).or_default();
        let completed = event.event_type == "execution.completed";
        let status = if completed { "completed" } else { "failed" };
        row.insert("status", AccountedValue::text(Some(status)));
        row.insert("finished_at_ms", AccountedValue::Integer(at.0));
        row.insert("audit_seq", AccountedValue::Integer(seq));
        ended(row, metadata);
        if metadata.value("result_sha256").is_none() {
            return;
        }
        let mut result = AccountedRow::from([
            ("stored_at_ms", AccountedValue::Integer(at.0)),
            ("audit_seq", AccountedValue::Integer(seq)),
        ]);
        metadata.account(&mut result, RESULT);
        let key = (event.request_id.as_deref()).map(|request| result_key(request, &id));
        result.insert("object_key", AccountedValue::text(key.as_deref()));
        if let Some(access) = metadata.value("result_access").and_then(|a| a.as_array()) {
            let names = access
                .iter()
                .filter_map(|name| name.as_str())
                .map(str::to_owned);
            let own = format!("user:{}", self.requester);
            self.access.insert(id.clone(), names.chain([own]).collect());
        }
        self.results.insert(id, result);
    }

    fn lose(&mut self, seq: i64, metadata: &EventMetadata, at: Timestamp) {
        let id = metadata.text("execution_id").unwrap_or_default().to_owned();
        if metadata.text("to_status").is_some() {
            self.add("executions_lost", 1);
            self.set_ms("resolved_at_ms", at);
        }
        let row = self.executions.entry(id).or_default();
        row.insert("status", AccountedValue::text(Some("lost")));
        row.insert("audit_seq", AccountedValue::Integer(seq));
        let reported = metadata.value("reported").is_some();
        if reported {
            row.insert("finished_at_ms", AccountedValue::Integer(at.0));
            ended(row, metadata);
        } else {
            row.remove("outcome");
            metadata.account(row, &[("outcome", "outcome", false)]);
        }
    }
}

/// What an execution left. What an older event does not say is not known any more.
fn ended(row: &mut AccountedRow, metadata: &EventMetadata) {
    for (_, column, _) in ENDED {
        row.remove(column);
    }
    row.remove("error_message");
    metadata.account(row, ENDED);
    match metadata.value("outcome") {
        None => row.remove("outcome_unproven"),
        Some(_) => {
            let unproven = metadata.value("outcome_unproven").is_some();
            row.insert(
                "outcome_unproven",
                AccountedValue::Integer(i64::from(unproven)),
            )
        }
    };
}
