//! What a notification reports of a change: the facts that go into the outbox, once for each receiver. The statement is
//! not among them: it is stored once, with its request, and read where a notification is sent.
//!
//! The facts are kept as one flat object whatever format a webhook has; a chat message is made of them when it is
//! sent. They hold nothing that the audit event of the change does not: no results, and no messages of a database,
//! which may quote what redaction took out of the statement.

use super::{Finished, NewExecution, NewRequest, RequestChange, RequestRef};
use crate::clock::Timestamp;
use crate::domain::approval::Vote;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::request::{ExecutionOutcome, Status, Transition};
use serde_json::{Map, Value};

/// Bytes of a statement that a notification shows; the request shows the rest.
pub const DETAIL_BYTES_MAX: usize = 16 * 1024;

/// The facts of a change that webhooks receive.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice<'c> {
    /// Row of the request.
    pub request_seq: i64,
    pub target: &'c Target,
    pub request_id: &'c str,
    pub requester: &'c str,
    /// Selectors of the step that waits for approval since this change.
    pub asked: &'c [Selector],
    /// The number of that step, from 1.
    waiting_step: u32,
    operation: Operation,
    status: Status,
    /// Whether the request is new, so that its statement is shown.
    is_new: bool,
    more: Map<String, Value>,
}

impl RequestChange {
    /// The facts that webhooks receive; none for a change that concerns nobody else, or that goes with one that is
    /// notified.
    pub fn notice(&self) -> Option<Notice<'_>> {
        Some(match self {
            RequestChange::Created(new) => created(new),
            RequestChange::Dispatched {
                request,
                acknowledged,
                ..
            } => self.of(request).with("reason", acknowledged.clone()),
            RequestChange::StepApproved {
                request,
                vote,
                total_steps,
                approvers,
                current_step,
            } => Notice {
                asked: approvers,
                waiting_step: current_step + 1,
                ..self
                    .of(request)
                    .voted(vote)
                    .with("total_steps", *total_steps)
            },
            RequestChange::Approved {
                request,
                vote,
                total_steps,
                ..
            } => self
                .of(request)
                .voted(vote)
                .with("total_steps", *total_steps),
            RequestChange::StepsCompleted(completed) => self
                .of(&completed.request)
                .with("step_number", completed.current_step)
                .with("total_steps", completed.total_steps),
            RequestChange::Rejected { request, vote, .. } => self
                .of(request)
                .voted(vote)
                .with("reason", vote.comment.clone()),
            RequestChange::Cancelled {
                request, reason, ..
            } => self.of(request).cancelled(request, reason.clone()),
            RequestChange::Expired { request, .. }
            | RequestChange::DispatchTimedOut { request, .. } => self.of(request),
            RequestChange::ExecutionStarted {
                request, execution, ..
            } => self.of(request).started(execution),
            RequestChange::ExecutionFinished {
                request,
                step,
                finished,
                ..
            } => self.of(request).ended(*step, finished),
            RequestChange::ExecutionLost {
                request,
                execution_id,
                agent_id,
                ..
            } => self.of(request).lost(execution_id, agent_id),
            RequestChange::Corrupted { request, what } => self.of(request).with("differs", *what),
            RequestChange::DdlPassed(_)
            | RequestChange::Rehearsal(_)
            | RequestChange::ResultCorrupt { .. } => return None,
        })
    }

    fn of<'c>(&self, request: &'c RequestRef) -> Notice<'c> {
        Notice {
            request_seq: request.seq,
            target: &request.target,
            request_id: &request.id,
            requester: &request.requester,
            asked: &[],
            waiting_step: 0,
            operation: request.operation,
            status: self.moved().map_or(request.status, |(_, to)| to),
            is_new: false,
            more: Map::new(),
        }
    }
}

fn created(new: &NewRequest) -> Notice<'_> {
    let notice = Notice {
        request_seq: new.seq,
        target: &new.target,
        request_id: &new.id,
        requester: &new.requester,
        asked: &new.approvers,
        waiting_step: 1,
        operation: new.operation,
        status: new.step.to(),
        is_new: true,
        more: Map::new(),
    };
    notice
        .with("reason", new.reason.clone())
        .with("risk_level", new.risk_level.as_str())
        .with("emergency", new.emergency)
        .with("total_steps", new.total_steps)
}

impl Notice<'_> {
    fn lost(self, execution_id: &str, agent_id: &str) -> Self {
        self.with("execution_id", execution_id)
            .with("agent_id", agent_id)
            .with("outcome", ExecutionOutcome::Unknown.as_str())
    }

    fn cancelled(self, request: &RequestRef, reason: Option<String>) -> Self {
        let notice = self.with("reason", reason);
        match request.status {
            Status::Running => notice.with("outcome", ExecutionOutcome::Stopping.as_str()),
            _ => notice,
        }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    fn voted(self, vote: &Vote) -> Self {
        self.with("step_number", vote.step + 1)
            .with("comment", vote.comment.clone())
    }

    fn started(self, execution: &NewExecution) -> Self {
        self.with("execution_id", execution.id.clone())
            .with("attempt", execution.attempt)
    }

    fn ended(self, step: Option<Transition>, finished: &Finished) -> Self {
        let notice = self
            .with("execution_id", finished.execution_id.clone())
            .with("rows_affected", finished.rows_affected)
            .with("duration_ms", finished.duration_ms)
            .with("outcome", finished.end.outcome.as_str());
        let notice = match finished.end.unproven {
            true => notice.with("outcome_unproven", true),
            false => notice,
        };
        match step {
            None if finished.end.outcome.is_success() => {
                notice.with("committed_after_cancel", true)
            }
            _ => notice,
        }
    }

    /// The same facts as a reminder of the step that waits.
    pub fn reminder(&self, event: &str, actor: &str, delivery_id: &str, at: Timestamp) -> Value {
        let mut facts = self.payload(event, actor, delivery_id, at);
        facts["step_number"] = self.waiting_step.into();
        facts
    }

    /// The facts as one flat object. The eight that 0.1.6 sends are always there, null where unknown, but for `detail` of a
    /// new request, which is that of the request; so are `delivery_id`, `timestamp`, `status` and `reason`.
    pub fn payload(&self, event: &str, actor: &str, delivery_id: &str, at: Timestamp) -> Value {
        let mut facts = self.more.clone();
        if !self.is_new {
            facts.insert("detail".to_owned(), Value::Null);
        }
        facts.entry("reason").or_insert(Value::Null);
        let always: [(&str, Value); 10] = [
            ("event", event.into()),
            ("request_id", self.request_id.into()),
            ("database", self.target.database().into()),
            ("environment", self.target.environment().into()),
            ("operation", self.operation.as_str().into()),
            ("actor", actor.into()),
            ("requester", self.requester.into()),
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
