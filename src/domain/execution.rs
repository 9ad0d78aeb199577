//! Executions: what holds of one, and what a report, a silence or a repeated claim does to it.

use crate::clock::Timestamp;
use crate::domain::request::{ExecutionEnd, ExecutionOutcome, Request, State, Status, Transition};
use crate::error::Error;

/// What an execution says that succeeded although its request was cancelled.
const COMMITTED_AFTER_CANCEL: &str = "committed after cancel";

/// One time that an agent claimed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    pub seq: i64,
    /// UUID.
    pub id: String,
    pub request_id: String,
    /// 1 for the first.
    pub attempt: u32,
    pub agent_id: String,
    pub status: ExecutionStatus,
    /// Makes the claim repeatable.
    pub claim_key: Option<String>,
    pub token_json: String,
    /// Seconds a statement may run, 0 for no limit.
    pub statement_timeout_secs: u64,
    /// Rows returned at most.
    pub max_rows: Option<u64>,
    pub lease: Lease,
    /// Length of a lease.
    pub lease_secs: u64,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When its report came.
    pub finished_at: Option<Timestamp>,
    /// The error that the agent reported.
    pub error_message: Option<String>,
    /// What the database added to it, with values of rows; for the requester alone.
    pub error_detail: Option<String>,
    pub rows_affected: Option<u64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Whether rows were left out.
    pub truncated: bool,
    /// Whether the report came after the lease.
    pub late: bool,
    /// Hash of the report.
    pub report_sha256: Option<String>,
    /// What it left in the database; none while it runs.
    pub outcome: Option<ExecutionOutcome>,
    /// Whether that is only the word of an agent that reports no outcomes.
    pub outcome_unproven: bool,
}

/// How an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionStatus {
    /// An agent holds it.
    Claimed,
    /// The database reported success.
    Completed,
    /// It did not take effect, as far as the agent can tell.
    Failed,
    /// The lease ran out without a report.
    Lost,
}

impl ExecutionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ExecutionStatus::Claimed => "claimed",
            ExecutionStatus::Completed => "completed",
            ExecutionStatus::Failed => "failed",
            ExecutionStatus::Lost => "lost",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<ExecutionStatus> {
        [
            ExecutionStatus::Claimed,
            ExecutionStatus::Completed,
            ExecutionStatus::Failed,
            ExecutionStatus::Lost,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }

    /// Whether the agent has reported.
    pub fn is_finished(self) -> bool {
        matches!(self, ExecutionStatus::Completed | ExecutionStatus::Failed)
    }
}

/// Where the stored result of an execution is, within its folder or bucket.
pub fn result_key(request_id: &str, execution_id: &str) -> String {
    format!("{request_id}/{execution_id}")
}

/// How long an agent may hold an execution without a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub until: Timestamp,
    /// Whether a heartbeat came; before the first, a claim may be repeated.
    pub heartbeat_received: bool,
}

impl ExecutionStatus {
    /// What an execution of that status left in the database: `outcome` as it was reported, by the status of its
    /// request. None for a pair that cannot be.
    pub fn left(
        self,
        outcome: Option<ExecutionOutcome>,
        request: Status,
    ) -> Option<Option<ExecutionOutcome>> {
        match (self, outcome) {
            (ExecutionStatus::Claimed, None) => {
                let cancelled = request == Status::Cancelled;
                Some(cancelled.then_some(ExecutionOutcome::Stopping))
            }
            (ExecutionStatus::Claimed, Some(_)) => None,
            (_, outcome) => outcome.map(Some),
        }
    }
}

impl Execution {
    /// Refuses an agent that did not claim it: nobody else reports it or keeps it alive.
    ///
    /// # Errors
    /// 403 `forbidden`.
    pub fn ensure_claimed_by(&self, agent_id: &str) -> Result<(), Error> {
        match self.agent_id == agent_id {
            true => Ok(()),
            false => Err(Error::forbidden("this execution belongs to another agent")),
        }
    }

    /// Whether a report was accepted before: the same one is accepted again.
    ///
    /// # Errors
    /// 409 `conflict` for another report of an execution that is finished.
    pub fn is_repeated(&self, report_sha256: &str) -> Result<bool, Error> {
        if self.report_sha256.as_deref() == Some(report_sha256) {
            return Ok(true);
        }
        if !self.status.is_finished() {
            return Ok(false);
        }
        Err(Error::conflict(
            "conflict",
            "this execution has already been reported, with another outcome",
        ))
    }

    /// The move that a report makes; none for a request that was cancelled meanwhile.
    ///
    /// # Errors
    /// 409 `lease_lost` for an execution that is not the agent's any more.
    pub fn report(
        &self,
        request: &Request,
        end: ExecutionEnd,
    ) -> Result<Option<Transition>, Error> {
        let lost = || {
            Error::conflict("lease_lost", "this execution was lost and given up").hint(
                "the request may have been dispatched again; the report stays in the agent's log",
            )
        };
        match (request.state(), self.status) {
            (State::Running(running), ExecutionStatus::Claimed)
                if running.execution_id == self.id =>
            {
                Ok(Some(running.finish(end)))
            }
            (State::Lost(state), ExecutionStatus::Lost) if state.execution_id == self.id => {
                Ok(state.finish_late(end))
            }
            // Of an execution that was lost before the one that was cancelled, nobody asks any more.
            (
                State::Closed(Status::Cancelled),
                ExecutionStatus::Claimed | ExecutionStatus::Lost,
            ) if request.execution_id.as_ref() == Some(&self.id) => Ok(None),
            _ => Err(lost()),
        }
    }

    /// The message that is kept of a report that made `step`. What was cancelled too late is shown with the execution.
    pub fn message(
        step: Option<Transition>,
        end: ExecutionEnd,
        reported: Option<String>,
    ) -> Option<String> {
        match step {
            None if end.outcome.is_success() => Some(COMMITTED_AFTER_CANCEL.to_owned()),
            _ => reported,
        }
    }

    /// Whether a report that comes now comes after the lease.
    pub fn is_late(&self, now: Timestamp) -> bool {
        self.status == ExecutionStatus::Lost || self.lease.until <= now
    }

    /// Whether an agent holds it whose lease has run out.
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        self.status == ExecutionStatus::Claimed && self.lease.until <= now
    }

    /// The move that its silence makes once it is lapsed; none for a request that was cancelled while it ran.
    pub fn lapse(&self, request: &Request, now: Timestamp) -> Option<Transition> {
        match request.state() {
            State::Running(running) if running.execution_id == self.id => {
                running.lapse(self.lease.until, now)
            }
            _ => None,
        }
    }

    /// Whether that agent claimed it with that key, and no heartbeat has come since: the claim may be answered again.
    pub fn may_repeat_claim(&self, agent_id: &str, key: &str) -> bool {
        self.agent_id == agent_id
            && self.claim_key.as_deref() == Some(key)
            && !self.lease.heartbeat_received
    }
}

#[cfg(test)]
mod tests;
