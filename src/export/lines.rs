//! The three kinds of lines. Whatever is hashed or signed is written as it was, and nothing else is.

use super::EXPORT_FORM;
use crate::domain::audit::{
    EVENT_VERSION_FIELD, FIELD_NAMES, HASHED_FIELDS, PREV_HASH_FIELD, Purge,
};
use crate::domain::chain::{ChainStart, ChainedEvent};
use crate::domain::head::{Head, SignedHead};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The fields that may be null: a run, and the hash of the event before.
fn may_be_null(field: usize) -> bool {
    (7..=18).contains(&field) || field == PREV_HASH_FIELD
}

/// Where an export begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportStart {
    /// The id of the database.
    pub instance: String,
    pub after: ChainStart,
    /// The proof of what was removed before it, where the log begins there.
    pub purge: Option<Purge>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartLine {
    pub export: String,
    pub instance: String,
    pub after: i64,
    pub after_hash: String,
    pub purge: Option<PurgeJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurgeJson {
    purged_before: String,
    retained: i64,
    key_id: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadLine {
    pub head: HeadJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadJson {
    seq: i64,
    event_hash: String,
    recipe_sha256: String,
    sums: BTreeMap<String, String>,
    key_id: String,
    signature: String,
}

/// An event as it is read back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventLine {
    pub seq: i64,
    id: String,
    event_type: String,
    event_category: String,
    event_version: i64,
    outcome: String,
    actor_id: String,
    actor_type: String,
    resource_type: Option<String>,
    resource_id: Option<String>,
    peer_ip: Option<String>,
    client_ip: Option<String>,
    client_ip_source: Option<String>,
    request_id: Option<String>,
    operation: Option<String>,
    database_name: Option<String>,
    environment: Option<String>,
    detail_fingerprint: Option<String>,
    detail_raw: Option<String>,
    reason: Option<String>,
    metadata_json: String,
    prev_hash: Option<String>,
    created_at: String,
    pub event_hash: String,
}

/// The line of where an export begins.
///
/// # Errors
/// What `out` says.
pub fn start_line(start: &ExportStart, out: &mut dyn Write) -> io::Result<()> {
    let line = StartLine {
        export: EXPORT_FORM.to_owned(),
        instance: start.instance.clone(),
        after: start.after.seq,
        after_hash: start.after.hash.clone(),
        purge: start.purge.as_ref().map(|purge| PurgeJson {
            purged_before: purge.purged_before.clone(),
            retained: purge.retained,
            key_id: purge.key_id.clone(),
            signature: purge.signature.clone(),
        }),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// The line of an event: its number, the hashed fields by their names, and its hash.
///
/// # Errors
/// What `out` says.
pub fn event_line(event: &ChainedEvent, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{{\"seq\":{}", event.seq)?;
    for (n, (name, field)) in FIELD_NAMES.iter().zip(event.fields).enumerate() {
        write!(out, ",\"{name}\":")?;
        if n == EVENT_VERSION_FIELD {
            out.write_all(field.as_bytes())?;
        } else if field.is_empty() && may_be_null(n) {
            out.write_all(b"null")?;
        } else {
            serde_json::to_writer(&mut *out, field)?;
        }
    }
    out.write_all(b",\"event_hash\":")?;
    serde_json::to_writer(&mut *out, event.hash)?;
    out.write_all(b"}\n")
}

/// The line of the signed head, which ends an export.
///
/// # Errors
/// What `out` says.
pub fn head_line(signed: &SignedHead, out: &mut dyn Write) -> io::Result<()> {
    let head = signed.head.clone();
    let line = HeadLine {
        head: HeadJson {
            seq: head.seq,
            event_hash: head.hash,
            recipe_sha256: head.recipe,
            sums: head.sums,
            key_id: signed.key_id.clone(),
            signature: signed.signature.clone(),
        },
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

impl StartLine {
    pub(super) fn into_start(self) -> ExportStart {
        let (seq, hash) = (self.after, self.after_hash);
        ExportStart {
            instance: self.instance,
            purge: self.purge.map(|purge| Purge {
                bound_seq: seq,
                last_hash: hash.clone(),
                purged_before: purge.purged_before,
                retained: purge.retained,
                key_id: purge.key_id,
                signature: purge.signature,
            }),
            after: ChainStart { seq, hash },
        }
    }
}

impl HeadLine {
    pub(super) fn into_signed(self) -> SignedHead {
        let head = self.head;
        SignedHead {
            head: Head {
                seq: head.seq,
                hash: head.event_hash,
                recipe: head.recipe_sha256,
                sums: head.sums,
            },
            key_id: head.key_id,
            signature: head.signature,
        }
    }
}

impl EventLine {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Shows `each` the event as it is hashed. A field that may be null is never the empty text, which hashes the same.
    ///
    /// # Errors
    /// The name of a field that is.
    pub(super) fn chained<T>(
        &self,
        each: impl FnOnce(&ChainedEvent) -> T,
    ) -> Result<T, &'static str> {
        let version = self.event_version.to_string();
        let fields: [Option<&str>; HASHED_FIELDS] = [
            Some(&self.id),
            Some(&self.event_type),
            Some(&self.event_category),
            Some(&version),
            Some(&self.outcome),
            Some(&self.actor_id),
            Some(&self.actor_type),
            self.resource_type.as_deref(),
            self.resource_id.as_deref(),
            self.peer_ip.as_deref(),
            self.client_ip.as_deref(),
            self.client_ip_source.as_deref(),
            self.request_id.as_deref(),
            self.operation.as_deref(),
            self.database_name.as_deref(),
            self.environment.as_deref(),
            self.detail_fingerprint.as_deref(),
            self.detail_raw.as_deref(),
            self.reason.as_deref(),
            Some(&self.metadata_json),
            self.prev_hash.as_deref(),
            Some(&self.created_at),
        ];
        let mut plain = [""; HASHED_FIELDS];
        for (n, field) in fields.into_iter().enumerate() {
            if field == Some("") && may_be_null(n) {
                return Err(FIELD_NAMES[n]);
            }
            plain[n] = field.unwrap_or_default();
        }
        Ok(each(&ChainedEvent {
            seq: self.seq,
            fields: plain,
            hash: &self.event_hash,
        }))
    }
}
