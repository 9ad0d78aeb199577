//! Reading rehearsals: those that agents may take, those of a request, and whether the bound that one has set is proved.

use super::View;
use super::query::{RunStatement, first, tuple};
use super::row_columns::{ReadColumn, columns};
use super::unreadable::readable;
use super::values::NotNegative;
use crate::clock::Timestamp;
use crate::domain::accounts::EventMetadata;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::rehearsal::{ANSWER_SECS, Rehearsal};
use crate::domain::request::Request;
use crate::domain::sql::DialectFact;
use crate::error::Error;
use rusqlite::{Row, params};

/// A rehearsal that waits for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRehearsal {
    /// UUID.
    pub id: String,
    /// The request it belongs to.
    pub request_id: String,
    pub target: Target,
    /// The dialect that the request was read in.
    pub dialect: DialectFact,
}

columns! {
    enum Column of "rehearsals" from "rehearsals h" {
        Id = "h.id",
        Status = "h.status",
        AskedBy = "h.asked_by",
        AskedAt = "h.asked_at_ms",
        Agent = "h.agent_id",
        FinishedAt = "h.finished_at_ms",
        RowsAffected = "h.rows_affected",
        Result = "h.result_json",
        ErrorMessage = "h.error_message",
        Count = "(SELECT count(*) FROM rehearsals c WHERE c.request_seq = h.request_seq)",
    }
    FIND = "WHERE h.id = ?1";
    LAST_OF = "WHERE h.request_seq = ?1 ORDER BY h.seq DESC LIMIT 1";
}

impl View<'_> {
    /// Rehearsals of one target that wait at `now`, oldest first: of texts that were read in `dialect`, and of those
    /// that are the same in all.
    pub fn waiting_rehearsals(
        &self,
        target: &Target,
        dialect: Option<Dialect>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<WaitingRehearsal>, Error> {
        const SQL: &str = "SELECT h.id, r.id, r.dialect FROM rehearsals h JOIN requests r ON r.seq = h.request_seq \
            WHERE h.finished_at_ms IS NULL AND h.status = 'waiting' AND h.asked_at_ms > ?1 AND r.status = 'pending' \
            AND r.corrupt_seq IS NULL AND r.database_name = ?2 AND r.environment = ?3 AND r.dialect IN ('any', ?4) \
            ORDER BY h.asked_at_ms LIMIT ?5";
        let since = now.0 - i64::try_from(ANSWER_SECS * 1000).unwrap_or(i64::MAX);
        let dialect = dialect.map(Dialect::as_str);
        let values = params![
            since,
            target.database(),
            target.environment(),
            dialect,
            limit
        ];
        let read = |r: &Row<'_>| -> Result<WaitingRehearsal, Error> {
            let (id, request_id, dialect) = tuple(r)?;
            Ok(WaitingRehearsal {
                id,
                request_id,
                target: target.clone(),
                dialect,
            })
        };
        readable(
            self.connection.list(SQL, values, |r| Ok(read(r)))?,
            "not offered to agents",
        )
    }

    /// A rehearsal with its request.
    pub fn find_rehearsal(&self, id: &str) -> Result<Option<(Rehearsal, Request)>, Error> {
        let found: Option<String> = self.connection.find(
            "SELECT r.id FROM rehearsals h JOIN requests r ON r.seq = h.request_seq WHERE h.id = ?1",
            [id],
            first,
        )?;
        let Some(request) = found else {
            return Ok(None);
        };
        let rehearsal = self.connection.one(FIND, [id], rehearsal)?;
        Ok(Some((rehearsal, self.request(&request)?)))
    }

    /// The token that was signed for a rehearsal, if an agent has claimed it.
    pub fn rehearsal_token(&self, id: &str) -> Result<Option<String>, Error> {
        self.connection.one(
            "SELECT token_json FROM rehearsals WHERE id = ?1",
            [id],
            first,
        )
    }

    /// The last rehearsal of a request, and how many there are.
    pub fn last_rehearsal(&self, request_seq: i64) -> Result<Option<(Rehearsal, u32)>, Error> {
        self.connection.find(LAST_OF, [request_seq], |r| {
            Ok((rehearsal(r)?, r.column(Column::Count)?))
        })
    }

    /// Ids of rehearsals that are open and were asked for before `before`, oldest first.
    pub fn overdue_rehearsals(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        self.connection.list(
            "SELECT id FROM rehearsals WHERE finished_at_ms IS NULL AND asked_at_ms <= ?1 \
             ORDER BY asked_at_ms LIMIT ?2",
            params![before.0, limit],
            first,
        )
    }

    /// Whether the bound that a rehearsal has set is the one that the audit log tells of, or none where it tells of
    /// none.
    pub(super) fn rehearsed_as_logged(&self, request: &Request) -> Result<bool, Error> {
        const STORED: &str = "SELECT rehearsed_rows FROM requests WHERE seq = ?1";
        const LAST: &str = "SELECT max(seq) FROM audit_events WHERE request_id = ?1 AND to_status IS NULL \
            AND event_type = 'rehearsal.completed' AND json_extract(metadata_json, '$.sets_bound') = 1";
        let stored: Option<i64> = self.connection.one(STORED, [request.seq], first)?;
        let last: Option<i64> = self.connection.one(LAST, [&request.id], first)?;
        let Some(last) = last else {
            return Ok(stored.is_none());
        };
        Ok(self.proved_event(last)?.is_some_and(|row| {
            let metadata = EventMetadata::by(&row.event);
            let rows = metadata.value("rows_affected");
            row.event.request_id.as_deref() == Some(request.id.as_str())
                && metadata.value("sets_bound") == Some(&true.into())
                && stored.is_some()
                && rows.and_then(serde_json::Value::as_i64) == stored
        }))
    }
}

fn rehearsal(row: &Row) -> Result<Rehearsal, Error> {
    use Column as C;
    let rows_affected: Option<NotNegative> = row.column(C::RowsAffected)?;
    Ok(Rehearsal {
        id: row.column(C::Id)?,
        status: row.column(C::Status)?,
        asked_by: row.column(C::AskedBy)?,
        asked_at: row.column(C::AskedAt)?,
        agent_id: row.column(C::Agent)?,
        finished_at: row.column(C::FinishedAt)?,
        rows_affected: rows_affected.map(|rows| rows.0),
        result_json: row.column(C::Result)?,
        error_message: row.column(C::ErrorMessage)?,
    })
}
