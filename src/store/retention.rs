//! What retention looks for, and the two removals that have no audit event of their own: events of a prefix whose
//! purge is signed already, and messages that have arrived or never will.
//!
//! Every look takes a bounded number of rows by an index, and goes on after the last one.

use super::audit::EventRow;
use super::live::head_now;
use super::query::{RunStatement, first};
use super::row_columns::{Columns, ReadColumn, columns};
use super::{RowCursor, Store, View};
use crate::clock::Timestamp;
use crate::domain::accounts::EventMetadata;
use crate::domain::execution::result_key;
use crate::domain::head::{HeadPurpose, SignedHead};
use crate::domain::request::Status;
use crate::error::Error;
use rusqlite::{Row, params};

/// A request that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledRequest {
    /// When it last changed, and its row.
    pub place: RowCursor,
    pub id: String,
    /// Whether nothing of it runs, nothing is stored and no notification of it waits, so that it may go.
    pub is_free: bool,
}

/// A stored result whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredResult {
    /// When it expired, and the row of its execution.
    pub place: RowCursor,
    pub execution_id: String,
    /// Where it is stored.
    pub backend: String,
    pub key: String,
}

/// How far the audit log may be purged: up to just before a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeLimit {
    /// The last event that may go.
    pub last: EventRow,
    /// The event after it, which says that it is a checkpoint; whether it proves what it says is for the caller to
    /// check.
    pub checkpoint: EventRow,
    /// Events after the last one that may go.
    pub retained: i64,
}

columns! {
    enum SettledColumn of "requests" {
        Id = "r.id",
        Seq = "r.seq",
        UpdatedAt = "r.updated_at_ms",
        IsFree = "NOT EXISTS (SELECT 1 FROM results x WHERE x.request_seq = r.seq) \
            AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.request_seq = r.seq AND e.status = 'claimed') \
            AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.request_seq = r.seq AND o.next_attempt_ms IS NOT NULL)",
    }
}

/// As a SELECT lists them.
const COLUMNS: &str = SettledColumn::LIST;

/// Requests that have ended. The condition is that of their index, word for word.
const SETTLED: &str = "FROM requests r WHERE (r.status = 'executed' OR r.status = 'failed' OR r.status = 'rejected' OR r.status = 'cancelled' \
     OR r.status = 'expired' OR r.status = 'execution_lost') \
     AND r.updated_at_ms <= ?1";

columns! {
    enum ExpiredColumn of "results" from "results x JOIN executions e ON e.seq = x.execution_seq" {
        ExecutionId = "e.id",
        ExecutionSeq = "x.execution_seq",
        ExpiresAt = "x.expires_at_ms",
        Backend = "x.backend",
        Key = "x.object_key",
    }
    EXPIRED = "WHERE x.expires_at_ms <= ?1 AND (x.expires_at_ms, x.execution_seq) > (?2, ?3) \
        ORDER BY x.expires_at_ms, x.execution_seq LIMIT ?4";
    EXPIRED_OF = "WHERE x.expires_at_ms <= ?1 AND x.execution_seq = ?2";
}

const BOUND: &str = "SELECT coalesce(max(bound_seq), 0) FROM audit_purges";

impl View<'_> {
    /// Requests that ended and have not changed since `before`, the longest unchanged first, from after `after` on.
    pub fn settled_requests(
        &self,
        before: Timestamp,
        after: RowCursor,
        limit: u32,
    ) -> Result<Vec<SettledRequest>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} {SETTLED} AND (r.updated_at_ms, r.seq) > (?2, ?3) ORDER BY r.updated_at_ms, r.seq LIMIT ?4"
        );
        self.connection
            .list(&sql, params![before.0, after.0, after.1, limit], settled)
    }

    /// The request of that row, if it ended, has not changed since `before`, and may go.
    pub fn find_free_request(
        &self,
        seq: i64,
        before: Timestamp,
    ) -> Result<Option<SettledRequest>, Error> {
        let sql = format!("SELECT {COLUMNS} {SETTLED} AND r.seq = ?2");
        let found = self
            .connection
            .find(&sql, params![before.0, seq], settled)?;
        Ok(found.filter(|r| r.is_free))
    }

    /// Whether a request ended by the log, and has not moved since `before`. Its row alone shows that to nobody: it may go
    /// with what proves what it was.
    pub fn ended_by_log(&self, id: &str, before: Timestamp) -> Result<bool, Error> {
        const LAST_MOVE: &str = "SELECT max(seq) FROM audit_events WHERE request_id = ?1 \
            AND (to_status IS NOT NULL OR metadata_json ->> '$.to_status' IS NOT NULL)";
        let last = self.first_event(LAST_MOVE, id)?;
        Ok(last.is_some_and(|row| {
            let moved = EventMetadata::by(&row.event);
            let to = moved.text("to_status").and_then(Status::parse);
            row.at <= before && to.is_some_and(Status::is_outcome)
        }))
    }

    /// Stored results whose time is over, the longest over first, from after `after` on.
    pub fn expired_results(
        &self,
        now: Timestamp,
        after: RowCursor,
        limit: u32,
    ) -> Result<Vec<ExpiredResult>, Error> {
        self.connection
            .list(EXPIRED, params![now.0, after.0, after.1, limit], expired)
    }

    /// Whether the event that ended its execution says the same of a result's time and place.
    pub fn expires_as_reported(&self, result: &ExpiredResult) -> Result<bool, Error> {
        let ended: i64 = self.connection.one(
            "SELECT audit_seq FROM executions WHERE seq = ?1",
            [result.place.1],
            first,
        )?;
        let ended = self.proved_event(ended)?;
        Ok(ended.is_some_and(|row| {
            let end = EventMetadata::by(&row.event);
            let key = (row.event.request_id.as_deref())
                .map(|request| result_key(request, &result.execution_id));
            row.event.resource_id.as_deref() == Some(result.execution_id.as_str())
                && key.as_ref() == Some(&result.key)
                && end.agrees("result_backend", result.backend.as_str())
                && end.agrees_time("result_expires_at", Some(result.place.0))
        }))
    }

    /// Whether there still is a stored result of that execution, and its time is over.
    pub fn is_result_expired(&self, execution_seq: i64, now: Timestamp) -> Result<bool, Error> {
        let found = self
            .connection
            .find(EXPIRED_OF, params![now.0, execution_seq], expired)?;
        Ok(found.is_some())
    }

    /// Whether that execution has a stored result: then what stands under its key stays, whatever the row says of its place.
    pub fn has_result(&self, execution_id: &str) -> Result<bool, Error> {
        self.connection.one(
            "SELECT EXISTS (SELECT 1 FROM executions e JOIN results x ON x.execution_seq = e.seq WHERE e.id = ?1)",
            [execution_id],
            first,
        )
    }

    /// The head of the log and of the live rows as the transaction finds them, signed as a baseline: from where a
    /// purged log goes on.
    ///
    /// # Errors
    /// `internal`.
    pub fn signed_baseline(&self) -> Result<SignedHead, Error> {
        let store = self.store;
        let head = head_now(self.connection, &store.live)?;
        Ok(head.sign(
            HeadPurpose::Baseline,
            &store.instance,
            &store.audit_keys.current,
        ))
    }

    /// How far the audit log may be purged: to the newest checkpoint that is older than `before` and not younger than
    /// the oldest request that is kept. `None` where it is already there.
    pub fn purge_limit(&self, before: Timestamp) -> Result<Option<PurgeLimit>, Error> {
        let number = |sql: &str| self.connection.one(sql, [], first::<Option<i64>>);
        // Requests are made in the order of their rows: nothing that a kept one did comes before the oldest was made.
        let oldest = number(
            "SELECT min(seq) FROM audit_events \
             WHERE request_id = (SELECT id FROM requests ORDER BY seq LIMIT 1)",
        )?;
        let old = self
            .connection
            .find("SELECT seq FROM audit_events WHERE created_at_ms < ?1 ORDER BY created_at_ms DESC LIMIT 1", [before.0], first)?;
        let Some(old) = old else { return Ok(None) };
        let limit = oldest.map_or(old, |oldest: i64| oldest.min(old));
        let Some(checkpoint) = self.last_checkpoint(limit)? else {
            return Ok(None);
        };
        let bound = checkpoint.seq - 1;
        if bound <= number(BOUND)?.unwrap_or(0) {
            return Ok(None);
        }
        let Some(last) = self.events_after(bound - 1, 1)?.pop() else {
            return Ok(None);
        };
        Ok(Some(PurgeLimit {
            retained: self.last_event()? - bound,
            last,
            checkpoint,
        }))
    }

    /// When the audit log was last purged.
    pub fn last_purge(&self) -> Result<Option<Timestamp>, Error> {
        self.connection.find(
            "SELECT created_at_ms FROM audit_purges ORDER BY id DESC LIMIT 1",
            [],
            first,
        )
    }
}

impl Store {
    /// Deletes at most `limit` events of the prefix whose purge is signed, oldest first, and forgets purged requests of
    /// which the log says nothing any more. Returns how many events went.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn delete_purged_events(&self, limit: u32) -> Result<usize, Error> {
        self.bookkeep(move |connection| {
            let execute = |sql: &str| {
                connection
                    .run(sql, [limit])
            };
            execute(
                "DELETE FROM purged_requests WHERE request_seq IN (SELECT request_seq FROM purged_requests \
                 WHERE audit_seq <= (SELECT coalesce(max(bound_seq), 0) FROM audit_purges) \
                 AND request_seq < (SELECT max(request_seq) FROM purged_requests) ORDER BY audit_seq LIMIT ?1)",
            )?;
            execute(
                "DELETE FROM audit_events WHERE seq <= (SELECT coalesce(max(bound_seq), 0) FROM audit_purges) \
                 AND seq < (SELECT min(seq) FROM audit_events) + ?1",
            )
        })
    }

    /// Deletes at most `limit` messages that were delivered, cancelled or given up before `before`. Returns how many.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn delete_messages(&self, before: Timestamp, limit: u32) -> Result<usize, Error> {
        self.bookkeep(move |connection| {
            connection
                .run("DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE next_attempt_ms IS NULL \
                     AND updated_at_ms <= ?1 ORDER BY updated_at_ms LIMIT ?2)", params![before.0, limit])
        })
    }
}

fn settled(row: &Row) -> Result<SettledRequest, Error> {
    use SettledColumn as C;
    Ok(SettledRequest {
        place: RowCursor(row.column(C::UpdatedAt)?, row.column(C::Seq)?),
        id: row.column(C::Id)?,
        is_free: row.column(C::IsFree)?,
    })
}

fn expired(row: &Row) -> Result<ExpiredResult, Error> {
    use ExpiredColumn as C;
    Ok(ExpiredResult {
        place: RowCursor(row.column(C::ExpiresAt)?, row.column(C::ExecutionSeq)?),
        execution_id: row.column(C::ExecutionId)?,
        backend: row.column(C::Backend)?,
        key: row.column(C::Key)?,
    })
}
