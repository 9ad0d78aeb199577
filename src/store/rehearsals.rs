//! Reading rehearsals: those that agents may take, those of a request, and whether the bound that one has set is proved.

use super::query::{RunStatement, first};
use super::{View, corrupt, db, requests};
use crate::clock::Timestamp;
use crate::domain::accounts::EventMetadata;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::rehearsal::{ANSWER_SECS, Rehearsal, RehearsalStatus};
use crate::domain::request::Request;
use crate::domain::sql::DialectFact;
use crate::error::Error;
use rusqlite::{OptionalExtension, Row, params};

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
        let rows: Vec<(String, String, String)> = self
            .connection
            .list(SQL, values, |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        rows.into_iter()
            .map(|(id, request_id, fact)| {
                Ok(WaitingRehearsal {
                    dialect: requests::dialect(&fact, &request_id)?,
                    id,
                    request_id,
                    target: target.clone(),
                })
            })
            .collect()
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
        let rehearsal = self.connection.one(
            "SELECT id, status, asked_by, asked_at_ms, agent_id, finished_at_ms, rows_affected, result_json, \
             error_message FROM rehearsals WHERE id = ?1",
            [id],
            rehearsal,
        )?;
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
        self.connection.find(
            "SELECT id, status, asked_by, asked_at_ms, agent_id, finished_at_ms, rows_affected, result_json, \
             error_message, (SELECT count(*) FROM rehearsals WHERE request_seq = ?1) FROM rehearsals \
             WHERE request_seq = ?1 ORDER BY seq DESC LIMIT 1",
            [request_seq],
            |r| Ok((rehearsal(r)?, r.get(9)?)),
        )
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
        let stored: Option<i64> = self
            .connection
            .prepare_cached(STORED)
            .and_then(|mut s| s.query_row([request.seq], |r| r.get(0)))
            .map_err(db)?;
        let last: Option<i64> = self
            .connection
            .prepare_cached(LAST)
            .and_then(|mut s| s.query_row([&request.id], |r| r.get(0)).optional())
            .map_err(db)?
            .flatten();
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
    let raw = |row: &Row| -> rusqlite::Result<(Rehearsal, String, Option<i64>)> {
        let rehearsal = Rehearsal {
            id: row.get(0)?,
            status: RehearsalStatus::Waiting,
            asked_by: row.get(2)?,
            asked_at: Timestamp(row.get(3)?),
            agent_id: row.get(4)?,
            finished_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
            rows_affected: None,
            result_json: row.get(7)?,
            error_message: row.get(8)?,
        };
        Ok((rehearsal, row.get(1)?, row.get(6)?))
    };
    let (rehearsal, status, rows) = raw(row)?;
    let bad = |column| corrupt("rehearsals", &rehearsal.id, column);
    Ok(Rehearsal {
        status: RehearsalStatus::parse(&status).ok_or_else(|| bad("status"))?,
        rows_affected: rows
            .map(u64::try_from)
            .transpose()
            .map_err(|_| bad("rows_affected"))?,
        ..rehearsal
    })
}
