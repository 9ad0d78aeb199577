//! Audit events: their fields, their hash, and the signed checkpoints.
//!
//! The hash is the recipe existing verifiers know (reference semantics 5.7): 22 fields in a fixed order, each as
//! `<byte length>:<value>`, joined by a line feed, nothing for null; SHA-256 in lower-case hexadecimal.

use crate::clock::Timestamp;
use crate::crypto::{PublicKey, sha256_hex};
use crate::domain::actor::Actor;
use crate::domain::request::Status;

/// A checkpoint is signed after this many events.
pub const CHECKPOINT_EVERY: i64 = 100;
/// A checkpoint is signed after this many milliseconds, if anything happened.
pub const CHECKPOINT_AFTER_MS: i64 = 60 * 60 * 1000;
/// Event type of a checkpoint.
pub const CHECKPOINT: &str = "audit.signed_checkpoint";
/// Event type that says from where on there is a checkpoint file.
pub const CHECKPOINT_FILE: &str = "audit.checkpoint_file_attached";
/// Version of the events we write.
pub const EVENT_VERSION: i64 = 1;

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventOutcome {
    Success,
    Denied,
    Failure,
    /// It only says something.
    Info,
}

impl EventOutcome {
    /// All four names, for the filter of the list.
    pub const NAMES: [&'static str; 4] = ["success", "denied", "failure", "info"];

    pub fn as_str(self) -> &'static str {
        match self {
            EventOutcome::Success => "success",
            EventOutcome::Denied => "denied",
            EventOutcome::Failure => "failure",
            EventOutcome::Info => "info",
        }
    }
}

/// Every category there is.
pub const CATEGORIES: [&str; 8] = [
    "approval",
    "execution",
    "agent",
    "auth",
    "token",
    "identity",
    "policy",
    "request",
];

/// What an event says, before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// `noun.past`.
    pub event_type: &'static str,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    pub outcome: EventOutcome,
    /// What it is about, by id.
    pub resource_id: Option<String>,
    pub resource_type: Option<&'static str>,
    /// The approval request it belongs to.
    pub request_id: Option<String>,
    /// Operation of that request.
    pub operation: Option<&'static str>,
    pub database: Option<String>,
    pub environment: Option<String>,
    /// SHA-256 of the redacted statement.
    pub fingerprint: Option<String>,
    /// The statement as `[audit].redaction` allows it.
    pub detail: Option<String>,
    /// The reason that the actor gave.
    pub reason: Option<String>,
    /// Further facts; a JSON object. The statuses of a move and the HTTP call are added by the store.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The move, for a change of status.
    pub moved: Option<(Option<Status>, Status)>,
}

impl AuditEntry {
    /// An event of that type with no further details.
    pub fn new(
        event_type: &'static str,
        category: &'static str,
        outcome: EventOutcome,
    ) -> AuditEntry {
        AuditEntry {
            event_type,
            category,
            outcome,
            resource_id: None,
            resource_type: None,
            request_id: None,
            operation: None,
            database: None,
            environment: None,
            fingerprint: None,
            detail: None,
            reason: None,
            metadata: serde_json::Map::new(),
            moved: None,
        }
    }

    /// Names of the statuses before and after the move, `new` before the first; none where nothing moves.
    pub fn statuses(&self) -> Option<(&'static str, &'static str)> {
        let (from, to) = self.moved?;
        Some((from.map_or("new", Status::as_str), to.as_str()))
    }

    /// The event that stands in the chain: this entry, who acted, from where and when, and the hash of the event
    /// before, none for the first.
    pub fn into_event(
        mut self,
        id: String,
        actor: &Actor,
        at: Timestamp,
        prev_hash: Option<String>,
    ) -> Event {
        let origin = &actor.origin;
        if let Some((from, to)) = self.statuses() {
            self.metadata.insert("from_status".into(), from.into());
            self.metadata.insert("to_status".into(), to.into());
        }
        // The rows of a request and of its votes name the token: the log does, too.
        if self.category == "approval" {
            self.metadata
                .insert("actor_token_id".into(), actor.token_id.clone().into());
        }
        if let Some(session) = &actor.session_id {
            self.metadata
                .insert("actor_session_id".into(), session.clone().into());
        }
        if let Some(call) = &origin.http_request_id {
            self.metadata
                .insert("http_request_id".into(), call.clone().into());
        }
        Event {
            id,
            event_type: self.event_type.to_owned(),
            event_category: self.category.to_owned(),
            event_version: EVENT_VERSION,
            outcome: self.outcome.as_str().to_owned(),
            actor_id: actor.id.clone(),
            actor_type: actor.kind.to_owned(),
            resource_type: self.resource_type.map(str::to_owned),
            resource_id: self.resource_id,
            peer_ip: origin.peer_ip.clone(),
            client_ip: origin.client_ip.clone(),
            client_ip_source: origin.client_ip_source.map(str::to_owned),
            request_id: self.request_id,
            operation: self.operation.map(str::to_owned),
            database_name: self.database,
            environment: self.environment,
            detail_fingerprint: self.fingerprint,
            detail_raw: self.detail,
            reason: self.reason,
            metadata_json: serde_json::Value::Object(self.metadata).to_string(),
            prev_hash,
            created_at: hashed_time(at),
        }
    }
}

/// A chained event, field by field as stored and hashed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// UUID.
    pub id: String,
    /// `noun.past`.
    pub event_type: String,
    pub event_category: String,
    /// Version of the event's meaning.
    pub event_version: i64,
    /// `success`, `denied`, `failure` or `info`.
    pub outcome: String,
    pub actor_id: String,
    /// `user`, `agent` or `system`.
    pub actor_type: String,
    /// Kind of the thing.
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    /// Address of the connection.
    pub peer_ip: Option<String>,
    /// Address of the client.
    pub client_ip: Option<String>,
    /// `peer` or `xff`.
    pub client_ip_source: Option<String>,
    pub request_id: Option<String>,
    pub operation: Option<String>,
    pub database_name: Option<String>,
    pub environment: Option<String>,
    /// Hash of the redacted statement.
    pub detail_fingerprint: Option<String>,
    pub detail_raw: Option<String>,
    /// The reason that the actor gave.
    pub reason: Option<String>,
    /// JSON object, as text.
    pub metadata_json: String,
    /// Hash of the event before; `None` for the first.
    pub prev_hash: Option<String>,
    /// RFC 3339 with `+00:00`.
    pub created_at: String,
}

fn or_empty(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Where some of them stand.
pub const EVENT_TYPE_FIELD: usize = 1;
pub const EVENT_VERSION_FIELD: usize = 3;
pub const METADATA_FIELD: usize = 19;
pub const PREV_HASH_FIELD: usize = 20;
pub const CREATED_AT_FIELD: usize = 21;

/// Number of the fields that are hashed.
pub const HASHED_FIELDS: usize = 22;
/// Their names, in the order in which they are hashed.
pub const FIELD_NAMES: [&str; HASHED_FIELDS] = [
    "id",
    "event_type",
    "event_category",
    "event_version",
    "outcome",
    "actor_id",
    "actor_type",
    "resource_type",
    "resource_id",
    "peer_ip",
    "client_ip",
    "client_ip_source",
    "request_id",
    "operation",
    "database_name",
    "environment",
    "detail_fingerprint",
    "detail_raw",
    "reason",
    "metadata_json",
    "prev_hash",
    "created_at",
];

/// The hash of an event with those fields, of which an empty one stands for null. `buffer` is overwritten.
pub fn event_hash(fields: &[&str; HASHED_FIELDS], buffer: &mut Vec<u8>) -> String {
    use std::io::Write as _;
    buffer.clear();
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            buffer.push(b'\n');
        }
        let _ = write!(buffer, "{}:", field.len());
        buffer.extend_from_slice(field.as_bytes());
    }
    sha256_hex(buffer)
}

impl Event {
    pub fn hash(&self) -> String {
        let version = self.event_version.to_string();
        let fields = [
            self.id.as_str(),
            &self.event_type,
            &self.event_category,
            &version,
            &self.outcome,
            &self.actor_id,
            &self.actor_type,
            or_empty(&self.resource_type),
            or_empty(&self.resource_id),
            or_empty(&self.peer_ip),
            or_empty(&self.client_ip),
            or_empty(&self.client_ip_source),
            or_empty(&self.request_id),
            or_empty(&self.operation),
            or_empty(&self.database_name),
            or_empty(&self.environment),
            or_empty(&self.detail_fingerprint),
            or_empty(&self.detail_raw),
            or_empty(&self.reason),
            &self.metadata_json,
            or_empty(&self.prev_hash),
            &self.created_at,
        ];
        event_hash(&fields, &mut Vec::with_capacity(1024))
    }
}

/// The text a checkpoint signs: the head of the chain, the number of events before the checkpoint, and its time.
pub fn checkpoint_message(head: &str, count: i64, created_at: &str) -> String {
    format!("audit-checkpoint:v1|{head}|{count}|{created_at}")
}

/// A checkpoint's facts, as its metadata carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Hash of the event before the checkpoint.
    pub head: String,
    /// Number of events before the checkpoint.
    pub count: i64,
    /// Name of the signing key.
    pub key_id: String,
    /// Hexadecimal Ed25519 signature.
    pub signature: String,
}

impl Checkpoint {
    /// The metadata of the checkpoint event.
    pub fn metadata(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut map = serde_json::Map::new();
        map.insert("chain_head_hash".into(), self.head.clone().into());
        map.insert("event_count".into(), self.count.into());
        map.insert("key_id".into(), self.key_id.clone().into());
        map.insert("signature".into(), self.signature.clone().into());
        map
    }

    /// A line of a checkpoint file: the same metadata with the time of the checkpoint.
    pub fn line(&self, created_at: &str) -> serde_json::Value {
        let mut map = self.metadata();
        map.insert("created_at".into(), created_at.into());
        map.into()
    }

    /// Reads that metadata back; `None` if anything is missing.
    pub fn read(metadata_json: &str) -> Option<Checkpoint> {
        let map: serde_json::Value = serde_json::from_str(metadata_json).ok()?;
        let text = |key: &str| Some(map.get(key)?.as_str()?.to_owned());
        Some(Checkpoint {
            head: text("chain_head_hash")?,
            count: map.get("event_count")?.as_i64()?,
            key_id: text("key_id")?,
            signature: text("signature")?,
        })
    }

    /// Reads a line of a checkpoint file: the same metadata with the time of the checkpoint.
    pub fn read_line(line: &str) -> Option<(Checkpoint, String)> {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let at = value.get("created_at")?.as_str()?.to_owned();
        Some((Checkpoint::read(line)?, at))
    }

    /// Whether it fits the chain: `head` is the hash before it, `count` the events before it, and `key` signed it.
    pub fn is_valid(&self, head: &str, count: i64, created_at: &str, key: &PublicKey) -> bool {
        self.head == head
            && self.count == count
            && key.verifies(
                checkpoint_message(head, count, created_at).as_bytes(),
                &self.signature,
            )
    }
}

/// Event type of a purge.
pub const PURGE: &str = "audit.purge_checkpoint";

/// The proof of a removed prefix: what verification starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// The last event that was removed. Not signed itself: the event after it is a signed checkpoint with the exact
    /// count of those before it.
    pub bound_seq: i64,
    pub last_hash: String,
    /// Only older events were removed, as the signature formats it.
    pub purged_before: String,
    /// Events there were after it when it was removed; the event that records the purge came next.
    pub retained: i64,
    /// The key that signed it.
    pub key_id: String,
    /// Ed25519, hexadecimal.
    pub signature: String,
}

impl Purge {
    /// The number of the event that tells of it.
    pub fn event_seq(&self) -> i64 {
        self.bound_seq
            .saturating_add(self.retained)
            .saturating_add(1)
    }

    /// Whether `metadata` is what that event says.
    pub fn is_described_by(&self, metadata: &str) -> bool {
        serde_json::from_str(metadata).is_ok_and(|m: serde_json::Value| {
            m["purged_before"] == self.purged_before
                && m["last_purged_hash"] == self.last_hash
                && m["retained_count"] == self.retained
        })
    }

    /// Whether `key` signed it.
    pub fn is_valid(&self, key: &PublicKey) -> bool {
        let message = purge_message(&self.last_hash, &self.purged_before, self.retained);
        key.verifies(message.as_bytes(), &self.signature)
    }
}

/// What a purge signs (reference semantics 5.7).
pub fn purge_message(last_hash: &str, purged_before: &str, retained: i64) -> String {
    format!("purge-checkpoint:v1|{last_hash}|{purged_before}|{retained}")
}

/// How the statement appears in audit events and notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redaction {
    /// Literals become `?`.
    Literals,
    /// Nothing of the statement.
    Full,
    /// The statement as it is.
    None,
}

/// Milliseconds of `at` as the hash formats them.
pub fn hashed_time(at: Timestamp) -> String {
    at.rfc3339_offset()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_documented_recipe() {
        let event = Event {
            id: "a".into(),
            event_type: "request.created".into(),
            event_category: "approval".into(),
            event_version: 1,
            outcome: "success".into(),
            actor_id: "requester".into(),
            actor_type: "user".into(),
            metadata_json: "{}".into(),
            created_at: "2026-01-02T03:04:05.678+00:00".into(),
            ..Event::default()
        };
        // Written out by hand, so that a change of the recipe is seen here.
        let text = "1:a\n15:request.created\n8:approval\n1:1\n7:success\n9:requester\n4:user\n\
                    0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n0:\n2:{}\n0:\n\
                    29:2026-01-02T03:04:05.678+00:00";
        assert_eq!(event.hash(), sha256_hex(text.as_bytes()));
    }

    #[test]
    fn bytes_moved_between_fields_change_the_hash() {
        let one = Event {
            actor_id: "ab".into(),
            actor_type: "c".into(),
            ..Event::default()
        };
        let two = Event {
            actor_id: "a".into(),
            actor_type: "bc".into(),
            ..Event::default()
        };
        assert_ne!(one.hash(), two.hash());
    }
}
