//! What somebody who is not looking is told of a change: the facts that go into the outbox, once for each webhook.
//!
//! The facts are kept as one flat object whatever format a webhook has; a chat message is made of them when it is
//! sent. They hold nothing that the audit event of the change does not: no results, and no messages of a database,
//! which may quote what redaction took out of the statement.

use super::{Change, NewRequest, RequestRef};
use crate::clock::Timestamp;
use crate::domain::approval::Vote;
use crate::domain::id::{Operation, Target};
use crate::domain::request::Status;
use serde_json::{Map, Value};

/// Bytes of a statement that a notification shows; the rest is for whoever looks at the request. Rows are written for
/// every webhook.
pub const DETAIL_BYTES_MAX: usize = 16 * 1024;

/// The facts of a change that others are told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice<'c> {
    /// Row of the request.
    pub request_seq: i64,
    /// Where it runs.
    pub target: &'c Target,
    request_id: &'c str,
    requester: &'c str,
    operation: Operation,
    /// After the change.
    status: Status,
    /// The statement as audit events show it, where the request is new.
    detail: Option<&'c str>,
    more: Map<String, Value>,
}

impl Change {
    /// What others are told of it; none for a change that is nobody else's business.
    pub fn notice(&self) -> Option<Notice<'_>> {
        match self {
            Change::RequestCreated(new) => Some(created(new)),
            Change::RequestDispatched {
                request,
                acknowledged,
                ..
            } => {
                let mut notice = self.of(request);
                notice.tell("reason", acknowledged.clone());
                Some(notice)
            }
            Change::StepApproved {
                request,
                vote,
                total_steps,
                ..
            }
            | Change::RequestApproved {
                request,
                vote,
                total_steps,
                ..
            } => {
                let mut notice = self.of(request);
                notice.voted(vote);
                notice.tell("total_steps", *total_steps);
                Some(notice)
            }
            Change::RequestRejected { request, vote, .. } => {
                let mut notice = self.of(request);
                notice.voted(vote);
                notice.tell("reason", vote.comment.clone());
                Some(notice)
            }
            Change::RequestCancelled {
                request, reason, ..
            } => {
                let mut notice = self.of(request);
                notice.tell("reason", reason.clone());
                Some(notice)
            }
            Change::RequestExpired { request, .. } | Change::DispatchTimedOut { request, .. } => {
                Some(self.of(request))
            }
            Change::ExecutionStarted {
                request, execution, ..
            } => {
                let mut notice = self.of(request);
                notice.tell("execution_id", execution.id.clone());
                notice.tell("attempt", execution.attempt);
                Some(notice)
            }
            Change::ExecutionFinished {
                request,
                step,
                finished,
                ..
            } => {
                let mut notice = self.of(request);
                notice.tell("execution_id", finished.execution_id.clone());
                notice.tell("rows_affected", finished.rows_affected);
                notice.tell("duration_ms", finished.duration_ms);
                if step.is_none() && finished.success {
                    notice.tell("committed_after_cancel", true);
                }
                Some(notice)
            }
            Change::ExecutionLost {
                request,
                execution_id,
                agent_id,
                ..
            } => {
                let mut notice = self.of(request);
                notice.tell("execution_id", execution_id.clone());
                notice.tell("agent_id", agent_id.clone());
                Some(notice)
            }
            // Whoever is told of the emergency knows.
            Change::DdlPassed(_)
            | Change::AgentRegistered { .. }
            | Change::TokenCreated(_)
            | Change::TokenRevoked { .. }
            | Change::UserActivated(_)
            | Change::UserSuspended(_)
            | Change::UserCreated { .. }
            | Change::UserUpdated { .. }
            | Change::LoginSucceeded { .. }
            | Change::RoleDeleted { .. }
            | Change::SchemaSynced(_)
            | Change::ConfigSynced { .. }
            | Change::ConfigRejected { .. }
            | Change::AttemptRefused(_)
            | Change::AuthFailures(_)
            | Change::ResultCorrupt { .. } => None,
        }
    }

    fn of<'c>(&self, request: &'c RequestRef) -> Notice<'c> {
        Notice {
            request_seq: request.seq,
            target: &request.target,
            request_id: &request.id,
            requester: &request.requester,
            operation: request.operation,
            status: self.moved().map_or(request.status, |(_, to)| to),
            detail: None,
            more: Map::new(),
        }
    }
}

fn created(new: &NewRequest) -> Notice<'_> {
    let mut notice = Notice {
        request_seq: new.seq,
        target: &new.target,
        request_id: &new.id,
        requester: &new.requester,
        operation: new.operation,
        status: new.step.to(),
        detail: new.text.redacted.as_deref(),
        more: Map::new(),
    };
    notice.tell("reason", new.reason.clone());
    notice.tell("risk_level", new.risk_level.clone());
    notice.tell("emergency", new.emergency);
    notice.tell("total_steps", new.total_steps);
    notice
}

impl Notice<'_> {
    fn tell(&mut self, name: &str, value: impl Into<Value>) {
        self.more.insert(name.to_owned(), value.into());
    }

    fn voted(&mut self, vote: &Vote) {
        self.tell("step_number", vote.step + 1);
        self.tell("comment", vote.comment.clone());
    }

    /// The facts as one flat object. The eight that 0.1.6 sends are always there, null where unknown; so are
    /// `delivery_id`, `timestamp`, `status` and `reason`.
    pub fn payload(&self, event: &str, actor: &str, delivery_id: &str, at: Timestamp) -> Value {
        let mut facts = self.more.clone();
        let (detail, cut) = match self.detail {
            Some(detail) => {
                let end = detail.floor_char_boundary(DETAIL_BYTES_MAX);
                (Some(&detail[..end]), end < detail.len())
            }
            None => (None, false),
        };
        if cut {
            facts.insert("detail_truncated".to_owned(), true.into());
        }
        facts.entry("reason").or_insert(Value::Null);
        let always: [(&str, Value); 11] = [
            ("event", event.into()),
            ("request_id", self.request_id.into()),
            ("database", self.target.database.as_str().into()),
            ("environment", self.target.environment.as_str().into()),
            ("operation", self.operation.as_str().into()),
            ("actor", actor.into()),
            ("requester", self.requester.into()),
            ("detail", detail.into()),
            ("delivery_id", delivery_id.into()),
            ("timestamp", at.rfc3339().into()),
            ("status", self.status.as_str().into()),
        ];
        for (name, value) in always {
            facts.insert(name.to_owned(), value);
        }
        Value::Object(facts)
    }
}
