//! Reading executions: one by id, those of a request, and those whose lease has run out.

use super::query::{RunStatement, first, tuple};
use super::row_columns::{ReadColumn, columns};
use super::values::NotNegative;
use super::{RowCursor, View, corrupt};
use crate::clock::Timestamp;
use crate::domain::execution::{Execution, ExecutionStatus, Lease};
use crate::error::Error;
use rusqlite::{Row, params};

columns! {
    enum Column of "executions" from "executions e JOIN requests r ON r.seq = e.request_seq" {
        Id = "e.id",
        Seq = "e.seq",
        RequestId = "r.id",
        RequestStatus = "r.status",
        Attempt = "e.attempt",
        Agent = "e.agent_id",
        Status = "e.status",
        ClaimKey = "e.claim_key",
        Token = "e.token_json",
        StatementTimeout = "e.statement_timeout_secs",
        MaxRows = "e.max_rows",
        LeaseSecs = "e.lease_secs",
        LeaseUntil = "e.lease_until_ms",
        Heartbeats = "e.heartbeats",
        StartedAt = "e.started_at_ms",
        FinishedAt = "e.finished_at_ms",
        ErrorMessage = "e.error_message",
        ErrorDetail = "e.error_detail",
        RowsAffected = "e.rows_affected",
        Duration = "e.duration_ms",
        IsTruncated = "e.truncated",
        IsLate = "e.late",
        Report = "e.report_sha256",
        Outcome = "e.outcome",
        IsUnproven = "e.outcome_unproven",
        HasResult = "EXISTS (SELECT 1 FROM results x WHERE x.execution_seq = e.seq)",
    }
    FIND = "WHERE e.id = ?1";
    OF_REQUEST = "WHERE e.request_seq = ?1 ORDER BY e.attempt DESC LIMIT ?2";
    LAST_FINISHED = "WHERE e.request_seq = ?1 AND e.status IN ('completed', 'failed') ORDER BY e.attempt DESC LIMIT 1";
}

impl View<'_> {
    pub fn find_execution(&self, id: &str) -> Result<Option<Execution>, Error> {
        self.connection.find(FIND, [id], |r| self.execution(r))
    }

    /// The execution of that id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn execution_of(&self, id: &str) -> Result<Execution, Error> {
        self.find_execution(id)?
            .ok_or_else(|| Error::not_found("execution", id))
    }

    /// The id of the request that an execution is of, whatever else of it can be read.
    pub fn request_of_execution(&self, id: &str) -> Result<Option<String>, Error> {
        self.connection.find(
            "SELECT r.id FROM executions e JOIN requests r ON r.seq = e.request_seq WHERE e.id = ?1",
            [id],
            first,
        )
    }

    /// Executions of a request, newest first.
    pub fn list_executions(
        &self,
        request_seq: i64,
        limit: u32,
    ) -> Result<Vec<(Execution, bool)>, Error> {
        self.connection
            .list(OF_REQUEST, params![request_seq, limit], |r| {
                Ok((self.execution(r)?, r.column(Column::HasResult)?))
            })
    }

    /// The newest execution of a request that an agent has reported the end of.
    pub fn last_finished_execution(&self, request_seq: i64) -> Result<Option<Execution>, Error> {
        self.connection
            .find(LAST_FINISHED, [request_seq], |r| self.execution(r))
    }

    /// The newest execution of a request.
    pub fn last_execution(&self, request_seq: i64) -> Result<Option<Execution>, Error> {
        self.connection
            .find(OF_REQUEST, params![request_seq, 1], |r| self.execution(r))
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
                    let (at, seq, id) = tuple(r)?;
                    Ok((RowCursor(at, seq), id))
                })
    }

    fn execution(&self, row: &Row) -> Result<Execution, Error> {
        use Column as C;
        let number = |column| -> Result<Option<u64>, Error> {
            let number: Option<NotNegative> = row.column(column)?;
            Ok(number.map(|n| n.0))
        };
        let id: String = row.column(C::Id)?;
        let status: ExecutionStatus = row.column(C::Status)?;
        let outcome = status
            .left(row.column(C::Outcome)?, row.column(C::RequestStatus)?)
            .ok_or_else(|| corrupt("executions", &id, "outcome"))?;
        let written = Lease {
            until: row.column(C::LeaseUntil)?,
            heartbeat_received: row.column::<i64>(C::Heartbeats)? > 0,
        };
        Ok(Execution {
            lease: self.remembered_lease(&id).unwrap_or(written),
            seq: row.column(C::Seq)?,
            id,
            request_id: row.column(C::RequestId)?,
            attempt: row.column(C::Attempt)?,
            agent_id: row.column(C::Agent)?,
            status,
            claim_key: row.column(C::ClaimKey)?,
            token_json: row.column(C::Token)?,
            statement_timeout_secs: number(C::StatementTimeout)?.unwrap_or(0),
            max_rows: number(C::MaxRows)?,
            lease_secs: number(C::LeaseSecs)?.unwrap_or(0),
            started_at: row.column(C::StartedAt)?,
            finished_at: row.column(C::FinishedAt)?,
            error_message: row.column(C::ErrorMessage)?,
            error_detail: row.column(C::ErrorDetail)?,
            rows_affected: number(C::RowsAffected)?,
            duration_ms: number(C::Duration)?,
            truncated: row.column(C::IsTruncated)?,
            late: row.column(C::IsLate)?,
            report_sha256: row.column(C::Report)?,
            outcome,
            outcome_unproven: row.column(C::IsUnproven)?,
        })
    }
}
