//! Reading executions: one by id, those of a request, and those whose lease has run out.

use super::query::{RunStatement, first};
use super::{RowCursor, View, corrupt};
use crate::clock::Timestamp;
use crate::domain::execution::{Execution, ExecutionStatus, Lease};
use crate::domain::request::{ExecutionOutcome, Status};
use crate::error::Error;
use rusqlite::{Row, params};

const COLUMNS: &str = "e.seq, e.id, r.id, e.attempt, e.agent_id, e.status, e.claim_key, e.token_json, \
     e.statement_timeout_secs, e.max_rows, e.lease_secs, e.lease_until_ms, e.heartbeats, e.started_at_ms, \
     e.finished_at_ms, e.error_message, e.rows_affected, e.duration_ms, e.truncated, e.late, e.report_sha256, \
     e.outcome, e.outcome_unproven, r.status, e.error_detail";

/// What the last execution of a request left in the database, as its row and the status of the request say.
pub(super) fn left(
    status: ExecutionStatus,
    outcome: Option<&str>,
    request: Status,
) -> Option<Option<ExecutionOutcome>> {
    let outcome = match outcome {
        Some(text) => Some(ExecutionOutcome::parse(text)?),
        None => None,
    };
    status.left(outcome, request)
}

impl View<'_> {
    pub fn find_execution(&self, id: &str) -> Result<Option<Execution>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM executions e JOIN requests r ON r.seq = e.request_seq WHERE e.id = ?1"
        );
        self.connection.find(&sql, [id], |r| self.execution(r))
    }

    /// The execution of that id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn execution_of(&self, id: &str) -> Result<Execution, Error> {
        self.find_execution(id)?
            .ok_or_else(|| Error::not_found("execution", id))
    }

    /// Executions of a request, newest first.
    pub fn list_executions(
        &self,
        request_seq: i64,
        limit: u32,
    ) -> Result<Vec<(Execution, bool)>, Error> {
        let sql = format!(
            "SELECT {COLUMNS}, EXISTS (SELECT 1 FROM results x WHERE x.execution_seq = e.seq) FROM executions e \
             JOIN requests r ON r.seq = e.request_seq WHERE e.request_seq = ?1 ORDER BY e.attempt DESC LIMIT ?2"
        );
        let rows: Vec<(Result<Execution, Error>, bool)> =
            self.connection
                .list(&sql, params![request_seq, limit], |r| {
                    Ok((self.execution(r), r.get(25)?))
                })?;
        rows.into_iter()
            .map(|(e, stored)| Ok((e?, stored)))
            .collect()
    }

    /// The newest execution of a request.
    pub fn last_execution(&self, request_seq: i64) -> Result<Option<Execution>, Error> {
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

    fn execution(&self, row: &Row) -> Result<Execution, Error> {
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
        let outcome = Status::parse(&request)
            .and_then(|request| left(status, outcome.as_deref(), request))
            .ok_or_else(|| corrupt("executions", &id, "outcome"))?;
        let written = Lease {
            until: Timestamp(row.get(11)?),
            heartbeat_received: row.get::<_, i64>(12)? > 0,
        };
        Ok(Execution {
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
            error_detail: row.get(24)?,
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
