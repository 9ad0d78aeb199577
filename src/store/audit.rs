//! The audit log: appending to the chain, its checkpoints, and the list.

use super::apply::checkpoints::checkpointed;
use super::live::last_event;
use super::query::{RunStatement, first, tuple};
use super::row_columns::{Columns, ReadColumn, columns};
use super::unreadable::is_unreadable;
use super::{AuditKeys, Store, View};
use crate::clock::Timestamp;
use crate::crypto::uuid_at;
use crate::domain::actor::Actor;
use crate::domain::audit::{
    AuditEntry, CHECKPOINT, CHECKPOINT_AFTER_MS, CHECKPOINT_EVERY, Checkpoint, Event, EventOutcome,
    checkpoint_message, hashed_time,
};
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, named_params, params, params_from_iter};

columns! {
    /// Of an event: what is hashed, in the order in which it is, and then the rest.
    pub(super) enum EventColumn of "audit_events" from "audit_events a" {
        Id = "a.id",
        EventType = "a.event_type",
        Category = "a.event_category",
        Version = "a.event_version",
        Outcome = "a.outcome",
        ActorId = "a.actor_id",
        ActorType = "a.actor_type",
        ResourceType = "a.resource_type",
        ResourceId = "a.resource_id",
        PeerIp = "a.peer_ip",
        ClientIp = "a.client_ip",
        ClientIpSource = "a.client_ip_source",
        RequestId = "a.request_id",
        Operation = "a.operation",
        Database = "a.database_name",
        Environment = "a.environment",
        DetailFingerprint = "a.detail_fingerprint",
        DetailRaw = "a.detail_raw",
        Reason = "a.reason",
        Metadata = "a.metadata_json",
        PrevHash = "a.prev_hash",
        CreatedAt = "a.created_at",
        Seq = "a.seq",
        Hash = "a.event_hash",
        At = "a.created_at_ms",
    }
    /// Every event after a number, in order, for [`read_event`].
    pub(super) AFTER = "WHERE a.seq > ?1 ORDER BY a.seq";
    PAGE_AFTER = "WHERE a.seq > ?1 ORDER BY a.seq LIMIT ?2";
    OF_REQUEST = "WHERE a.request_id = ?1 ORDER BY a.seq";
    OF_TYPE = "WHERE a.event_type = ?1 AND a.seq > ?2 ORDER BY a.seq";
    BY_SEQ = "WHERE a.seq = ?1";
    NEWEST_CHECKPOINT = "WHERE a.event_type = 'audit.signed_checkpoint' AND a.seq <= ?1 ORDER BY a.seq DESC LIMIT 1";
}

/// As a SELECT lists them.
const COLUMNS: &str = EventColumn::LIST;

const INSERT: &str = "INSERT INTO audit_events (seq, id, event_type, event_category, event_version, outcome, actor_id, \
     actor_type, resource_type, resource_id, peer_ip, client_ip, client_ip_source, request_id, operation, \
     database_name, environment, detail_fingerprint, detail_raw, reason, metadata_json, prev_hash, created_at, \
     event_hash, created_at_ms, from_status, to_status) VALUES (:seq, :id, :event_type, :event_category, \
     :event_version, :outcome, :actor_id, :actor_type, :resource_type, :resource_id, :peer_ip, :client_ip, \
     :client_ip_source, :request_id, :operation, :database_name, :environment, :detail_fingerprint, :detail_raw, \
     :reason, :metadata_json, :prev_hash, :created_at, :event_hash, :created_at_ms, :from_status, :to_status)";

const HEAD: &str = "SELECT seq, event_hash FROM audit_events ORDER BY seq DESC LIMIT 1";

const LAST_CHECKPOINT: &str = "SELECT seq, created_at_ms FROM audit_events WHERE event_type = 'audit.signed_checkpoint' \
     ORDER BY seq DESC LIMIT 1";

const FIRST: &str = "SELECT created_at_ms FROM audit_events ORDER BY seq LIMIT 1";

/// A stored event with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its number, dense from 1.
    pub seq: i64,
    pub event: Event,
    /// Its hash, as stored.
    pub hash: String,
    pub at: Timestamp,
}

/// Which events to list; every field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub actor_id: Option<String>,
    /// `noun.past`.
    pub event_type: Option<String>,
    pub event_category: Option<String>,
    pub outcome: Option<String>,
    pub database: Option<String>,
    pub environment: Option<String>,
    pub request_id: Option<String>,
    /// Any of these, as a JSON list of their names.
    pub operations: Option<String>,
    /// The status that the event put the request in.
    pub to_status: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Up to this time.
    pub until: Option<Timestamp>,
    /// Only events before this number: the cursor.
    pub before: Option<i64>,
}

/// Appends an event and returns its number.
pub(super) fn append(
    connection: &Connection,
    actor: &Actor,
    now: Timestamp,
    entry: AuditEntry,
) -> Result<i64, Error> {
    insert(connection, actor, now, entry, head(connection)?)
}

/// Signs a checkpoint, and notifies whom `routes` name, if one is due: after [`CHECKPOINT_EVERY`] events, or
/// [`CHECKPOINT_AFTER_MS`] after the last one (or the first event) if anything happened since.
pub(super) fn checkpoint_if_due(
    connection: &Connection,
    keys: &AuditKeys,
    now: Timestamp,
    routes: &Routes,
) -> Result<(), Error> {
    let Some((seq, hash)) = head(connection)? else {
        return Ok(());
    };
    let last: Option<(i64, i64)> = connection.find(LAST_CHECKPOINT, [], tuple)?;
    let (last_seq, last_ms) = match last {
        Some(last) => last,
        None => (0, first_ms(connection)?),
    };
    let due = seq - last_seq >= CHECKPOINT_EVERY
        || (seq > last_seq && now.0 - last_ms >= CHECKPOINT_AFTER_MS);
    match due {
        true => checkpoint(connection, keys, now, (seq, hash), routes),
        false => Ok(()),
    }
}

/// Signs a checkpoint now, whether or not one is due, if there is any event.
pub(super) fn checkpoint_now(
    connection: &Connection,
    keys: &AuditKeys,
    now: Timestamp,
    routes: &Routes,
) -> Result<(), Error> {
    match head(connection)? {
        Some(head) => checkpoint(connection, keys, now, head, routes),
        None => Ok(()),
    }
}

fn checkpoint(
    connection: &Connection,
    keys: &AuditKeys,
    now: Timestamp,
    (seq, hash): (i64, String),
    routes: &Routes,
) -> Result<(), Error> {
    // The numbers are dense from 1, so the number of the head is the number of events before the checkpoint.
    let message = checkpoint_message(&hash, seq, &hashed_time(now));
    let checkpoint = Checkpoint {
        head: hash.clone(),
        count: seq,
        key_id: keys.current.public().id(),
        signature: keys.current.sign_hex(message.as_bytes()),
    };
    let mut entry = AuditEntry::new(CHECKPOINT, "policy", EventOutcome::Info);
    entry.metadata = checkpoint.metadata();
    let audit_seq = insert(connection, &Actor::system(), now, entry, Some((seq, hash)))?;
    checkpointed(connection, audit_seq, now, &checkpoint, routes)
}

fn head(connection: &Connection) -> Result<Option<(i64, String)>, Error> {
    connection.find(HEAD, [], tuple)
}

fn first_ms(connection: &Connection) -> Result<i64, Error> {
    connection.one(FIRST, [], first)
}

fn insert(
    connection: &Connection,
    actor: &Actor,
    now: Timestamp,
    entry: AuditEntry,
    head: Option<(i64, String)>,
) -> Result<i64, Error> {
    let (seq, prev_hash) = match head {
        Some((seq, hash)) => (seq + 1, Some(hash)),
        None => (1, None),
    };
    let moved = entry.statuses();
    let event = entry.into_event(uuid_at(now.0), actor, now, prev_hash);
    connection.run(
        INSERT,
        named_params! {
            ":seq": seq,
            ":id": event.id,
            ":event_type": event.event_type,
            ":event_category": event.event_category,
            ":event_version": event.event_version,
            ":outcome": event.outcome,
            ":actor_id": event.actor_id,
            ":actor_type": event.actor_type,
            ":resource_type": event.resource_type,
            ":resource_id": event.resource_id,
            ":peer_ip": event.peer_ip,
            ":client_ip": event.client_ip,
            ":client_ip_source": event.client_ip_source,
            ":request_id": event.request_id,
            ":operation": event.operation,
            ":database_name": event.database_name,
            ":environment": event.environment,
            ":detail_fingerprint": event.detail_fingerprint,
            ":detail_raw": event.detail_raw,
            ":reason": event.reason,
            ":metadata_json": event.metadata_json,
            ":prev_hash": event.prev_hash,
            ":created_at": event.created_at,
            ":event_hash": event.hash(),
            ":created_at_ms": now.0,
            ":from_status": moved.map(|m| m.0),
            ":to_status": moved.map(|m| m.1),
        },
    )?;
    Ok(seq)
}

/// Shows `each` every event of a request, in order.
pub(super) fn events_of(
    connection: &Connection,
    request_id: &str,
    mut each: impl FnMut(EventRow),
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(OF_REQUEST)?;
    let mut rows = statement.query([request_id])?;
    while let Some(row) = rows.next()? {
        each(read_event(row)?);
    }
    Ok(())
}

/// Shows `each` every event of one type after number `after`, in order.
pub(super) fn events_of_type(
    connection: &Connection,
    event_type: &str,
    after: i64,
    mut each: impl FnMut(EventRow) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(OF_TYPE)?;
    let mut rows = statement.query(params![event_type, after])?;
    while let Some(row) = rows.next()? {
        each(read_event(row)?)?;
    }
    Ok(())
}

/// The event of that number.
pub(super) fn event_at(connection: &Connection, seq: i64) -> Result<Option<EventRow>, Error> {
    connection.find(BY_SEQ, [seq], event)
}

fn event(row: &Row) -> Result<EventRow, Error> {
    Ok(read_event(row)?)
}

/// An event that cannot be read, as when its row was edited: verification finds it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadEvent {
    pub seq: i64,
    /// Where at least that is a text.
    pub id: Option<String>,
}

impl UnreadEvent {
    /// Where it stands in the log, whether it could be read or not.
    pub fn number(listed: &Result<EventRow, UnreadEvent>) -> i64 {
        match listed {
            Ok(event) => event.seq,
            Err(unread) => unread.seq,
        }
    }
}

pub(super) fn read_event(row: &Row) -> rusqlite::Result<EventRow> {
    use EventColumn as C;
    Ok(EventRow {
        seq: row.try_column(C::Seq)?,
        event: Event {
            id: row.try_column(C::Id)?,
            event_type: row.try_column(C::EventType)?,
            event_category: row.try_column(C::Category)?,
            event_version: row.try_column(C::Version)?,
            outcome: row.try_column(C::Outcome)?,
            actor_id: row.try_column(C::ActorId)?,
            actor_type: row.try_column(C::ActorType)?,
            resource_type: row.try_column(C::ResourceType)?,
            resource_id: row.try_column(C::ResourceId)?,
            peer_ip: row.try_column(C::PeerIp)?,
            client_ip: row.try_column(C::ClientIp)?,
            client_ip_source: row.try_column(C::ClientIpSource)?,
            request_id: row.try_column(C::RequestId)?,
            operation: row.try_column(C::Operation)?,
            database_name: row.try_column(C::Database)?,
            environment: row.try_column(C::Environment)?,
            detail_fingerprint: row.try_column(C::DetailFingerprint)?,
            detail_raw: row.try_column(C::DetailRaw)?,
            reason: row.try_column(C::Reason)?,
            metadata_json: row.try_column(C::Metadata)?,
            prev_hash: row.try_column(C::PrevHash)?,
            created_at: row.try_column(C::CreatedAt)?,
        },
        hash: row.try_column(C::Hash)?,
        at: row.try_column(C::At)?,
    })
}

impl AuditFilter {
    fn conditions(&self) -> (String, Vec<Sql>) {
        let mut sql = String::from("1 = 1");
        let mut values: Vec<Sql> = Vec::new();
        let texts = [
            ("actor_id = ?", &self.actor_id),
            ("event_type = ?", &self.event_type),
            ("event_category = ?", &self.event_category),
            ("outcome = ?", &self.outcome),
            ("database_name = ?", &self.database),
            ("environment = ?", &self.environment),
            ("request_id = ?", &self.request_id),
            (
                "operation IN (SELECT value FROM json_each(?))",
                &self.operations,
            ),
            ("to_status = ?", &self.to_status),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                sql.push_str(" AND ");
                sql.push_str(condition);
                values.push(value.clone().into());
            }
        }
        let numbers = [
            ("created_at_ms >= ?", self.since.map(|t| t.0)),
            ("created_at_ms <= ?", self.until.map(|t| t.0)),
            ("seq < ?", self.before),
        ];
        for (condition, value) in numbers {
            if let Some(value) = value {
                sql.push_str(" AND ");
                sql.push_str(condition);
                values.push(value.into());
            }
        }
        (sql, values)
    }
}

impl View<'_> {
    /// Events that match, newest first; of one that cannot be read what of it always can.
    pub fn list_events(
        &self,
        filter: &AuditFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Result<EventRow, UnreadEvent>>, Error> {
        let (conditions, mut values) = filter.conditions();
        values.push(i64::from(limit).into());
        values.push(i64::from(offset).into());
        let sql = format!(
            "SELECT {COLUMNS} FROM audit_events a WHERE {conditions} ORDER BY seq DESC LIMIT ? OFFSET ?"
        );
        let values = params_from_iter(values);
        self.connection.list(&sql, values, |row| match event(row) {
            Err(error) if is_unreadable(&error) => {
                let seq: i64 = row.column(EventColumn::Seq)?;
                log::error!("audit event {seq} cannot be read: {error}");
                Ok(Err(UnreadEvent {
                    seq,
                    id: row.column(EventColumn::Id).ok(),
                }))
            }
            read => read.map(Ok),
        })
    }

    /// Whether the log says already that the result of that execution is not the reported one.
    pub fn is_result_corrupt(&self, request_id: &str, execution_id: &str) -> Result<bool, Error> {
        self.connection.one(
            "SELECT EXISTS (SELECT 1 FROM audit_events WHERE request_id = ?1 AND event_type = 'result.corrupt' \
             AND json_valid(metadata_json) AND metadata_json ->> '$.execution_id' = ?2)",
            [request_id, execution_id],
            first,
        )
    }

    /// How many events match, counting no further than `max` + 1.
    pub fn count_events(&self, filter: &AuditFilter, max: i64) -> Result<i64, Error> {
        let (conditions, mut values) = filter.conditions();
        values.push((max + 1).into());
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE {conditions} LIMIT ?)");
        self.connection.one(&sql, params_from_iter(values), first)
    }

    /// The number of the last event, 0 for none.
    pub fn last_event(&self) -> Result<i64, Error> {
        Ok(head(self.connection)?.map_or(0, |(seq, _)| seq))
    }

    /// Events after number `after`, oldest first: how everything that reads the whole chain goes through it.
    pub fn events_after(&self, after: i64, limit: u32) -> Result<Vec<EventRow>, Error> {
        self.connection
            .list(PAGE_AFTER, params![after, limit], event)
    }

    /// The newest event up to number `max` that says it is a checkpoint.
    pub(super) fn last_checkpoint(&self, max: i64) -> Result<Option<EventRow>, Error> {
        self.connection.find(NEWEST_CHECKPOINT, [max], event)
    }

    /// The text of a set of policies.
    pub fn policy_text(&self, version: &str) -> Result<Option<String>, Error> {
        self.connection.find(
            "SELECT text FROM policy_versions WHERE sha256 = ?1",
            [version],
            first,
        )
    }

    /// Requests by status, without counting.
    pub fn request_counts(&self) -> Result<Vec<(String, i64)>, Error> {
        self.connection.list(
            "SELECT status, n FROM request_counts ORDER BY status",
            [],
            tuple,
        )
    }
}

impl Store {
    /// Whether the audit log ends where this process left it.
    pub(super) fn still_our_chain(&self, connection: &Connection) -> Result<(), Error> {
        let found = last_event(connection)?;
        let ours = self.chain_end.lock().unwrap_or_else(|e| e.into_inner());
        match found == *ours {
            true => Ok(()),
            false => Err(Error::bug(format!(
                "the audit log was changed under the running server: it ends at event {}, and ours is {}",
                found.0, ours.0
            ))),
        }
    }

    /// Remembers where the audit log ends, and that nothing of it is undone any more, after a COMMIT of ours.
    pub(super) fn remember_chain_end(&self, connection: &Connection) {
        self.live.committed();
        let before = self.log_head().seq;
        if let Ok(end) = last_event(connection) {
            self.remember_signed(connection, before);
            *self.chain_end.lock().unwrap_or_else(|e| e.into_inner()) = end;
        }
    }

    /// Signs a checkpoint if an hour has passed since the last one and something happened.
    pub fn checkpoint_audit(self: &std::sync::Arc<Self>) -> Result<(), Error> {
        let store = std::sync::Arc::clone(self);
        let now = self.now();
        self.bookkeep_routed(move |connection, routes| {
            checkpoint_if_due(connection, &store.audit_keys, now, routes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::FIELD_NAMES;

    #[test]
    fn hashed_columns_come_first_and_in_order_of_the_hash() {
        let names = FIELD_NAMES.map(|name| format!("a.{name}"));
        assert_eq!(EventColumn::SOURCES[..FIELD_NAMES.len()], names);
    }
}
