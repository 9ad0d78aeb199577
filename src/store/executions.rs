//! Reading executions: one by id, those of a request, and those whose lease has run out.

use super::query::{RunStatement, first};
use super::{Lease, RowCursor, View, corrupt};
use crate::clock::Timestamp;
use crate::domain::request::{ExecutionOutcome, Status};
use crate::error::Error;
use rusqlite::{Row, params};

const COLUMNS: &str = "e.seq, e.id, r.id, e.attempt, e.agent_id, e.status, e.claim_key, e.token_json, \
     e.statement_timeout_secs, e.max_rows, e.lease_secs, e.lease_until_ms, e.heartbeats, e.started_at_ms, \
     e.finished_at_ms, e.error_message, e.rows_affected, e.duration_ms, e.truncated, e.late, e.report_sha256, \
     e.outcome, e.outcome_unproven, r.status";

/// One time that an agent claimed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionRow {
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

    pub(super) fn parse(text: &str) -> Option<ExecutionStatus> {
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

/// What an execution left in the database, by its row and the status of its request: every route reads it from here.
/// `None` for a row that cannot be.
pub(super) fn left(
    status: ExecutionStatus,
    outcome: Option<&str>,
    request: &str,
) -> Option<Option<ExecutionOutcome>> {
    match (status, outcome) {
        (ExecutionStatus::Claimed, None) => {
            let cancelled = request == Status::Cancelled.as_str();
            Some(cancelled.then_some(ExecutionOutcome::Stopping))
        }
        (ExecutionStatus::Claimed, Some(_)) => None,
        (_, outcome) => outcome.and_then(ExecutionOutcome::parse).map(Some),
    }
}

impl View<'_> {
    pub fn find_execution(&self, id: &str) -> Result<Option<ExecutionRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM executions e JOIN requests r ON r.seq = e.request_seq WHERE e.id = ?1"
        );
        self.connection.find(&sql, [id], |r| self.execution(r))
    }

    /// The execution of that id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn execution_of(&self, id: &str) -> Result<ExecutionRow, Error> {
        self.find_execution(id)?
            .ok_or_else(|| Error::not_found("execution", id))
    }

    /// Executions of a request, newest first.
    pub fn list_executions(
        &self,
        request_seq: i64,
        limit: u32,
    ) -> Result<Vec<(ExecutionRow, bool)>, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, EXISTS (SELECT 1 FROM results x WHERE x.execution_seq = e.seq) FROM executions e \
             JOIN requests r ON r.seq = e.request_seq WHERE e.request_seq = ?1 ORDER BY e.attempt DESC LIMIT ?2"
        );
        let rows: Vec<(Result<ExecutionRow, Error>, bool)> =
            self.connection
                .list(&sql, params![request_seq, limit], |r| {
                    Ok((self.execution(r), r.get(24)?))
                })?;
        rows.into_iter()
            .map(|(e, stored)| Ok((e?, stored)))
            .collect()
    }

    /// The newest execution of a request.
    pub fn last_execution(&self, request_seq: i64) -> Result<Option<ExecutionRow>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM executions e JOIN requests r ON r.seq = e.request_seq \
             WHERE e.request_seq = ?1 ORDER BY e.attempt DESC LIMIT 1"
        );
        self.connection
            .find(&sql, [request_seq], |r| self.execution(r))
    }

    /// How often a request was claimed.
    pub fn attempts(&self, request_seq: i64) -> Result<u32, Error> {
        self.connection.one(
            "SELECT coalesce(max(attempt), 0) FROM executions WHERE request_seq = ?1",
            [request_seq],
            first,
        )
    }

    /// Ids of claimed executions whose lease has run out as far as it is written (a heartbeat may have come since),
    /// the longest overdue first, from after `after` on. Nothing else of them is read, so that one that is
    /// unreadable hides no other.
    pub fn lapsed_executions(
        &self,
        now: Timestamp,
        after: RowCursor,
        limit: u32,
    ) -> Result<Vec<(RowCursor, String)>, Error> {
        self.connection
            .list("SELECT lease_until_ms, seq, id FROM executions WHERE status = 'claimed' AND lease_until_ms <= ?1 \
                 AND (lease_until_ms, seq) > (?2, ?3) ORDER BY lease_until_ms, seq LIMIT ?4", params![now.0, after.0, after.1, limit], |r| {
                    Ok((RowCursor(r.get(0)?, r.get(1)?), r.get(2)?))
                })
    }

    fn execution(&self, row: &Row) -> Result<ExecutionRow, Error> {
        let id: String = row.get(1)?;
        let number = |n: usize| -> Result<Option<u64>, Error> {
            // A negative number is invalid: it must not become "no limit".
            let value = row.get::<_, Option<i64>>(n)?;
            let checked = value.map(|v| {
                u64::try_from(v).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(n, v))
            });
            Ok(checked.transpose()?)
        };
        let (status, outcome): (String, Option<String>) = (row.get(5)?, row.get(21)?);
        let request: String = row.get(23)?;
        let status =
            ExecutionStatus::parse(&status).ok_or_else(|| corrupt("executions", &id, "status"))?;
        let outcome = left(status, outcome.as_deref(), &request)
            .ok_or_else(|| corrupt("executions", &id, "outcome"))?;
        let written = Lease {
            until: Timestamp(row.get(11)?),
            heartbeat_received: row.get::<_, i64>(12)? > 0,
        };
        Ok(ExecutionRow {
            lease: self.remembered_lease(&id).unwrap_or(written),
            seq: row.get(0)?,
            id,
            request_id: row.get(2)?,
            attempt: row.get(3)?,
            agent_id: row.get(4)?,
            status,
            claim_key: row.get(6)?,
            token_json: row.get(7)?,
            statement_timeout_secs: number(8)?.unwrap_or(0),
            max_rows: number(9)?,
            lease_secs: number(10)?.unwrap_or(0),
            started_at: Timestamp(row.get(13)?),
            finished_at: row.get::<_, Option<i64>>(14)?.map(Timestamp),
            error_message: row.get(15)?,
            rows_affected: number(16)?,
            duration_ms: number(17)?,
            truncated: row.get(18)?,
            late: row.get(19)?,
            report_sha256: row.get(20)?,
            outcome,
            outcome_unproven: row.get(22)?,
        })
    }
}
