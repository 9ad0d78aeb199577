//! Rows of the outbox that a checkpoint writes. Apart from the others, since the audit log, on which those stand, writes
//! checkpoints itself.

use crate::clock::Timestamp;
use crate::crypto::uuid;
use crate::domain::audit::Checkpoint;
use crate::domain::change::checkpoint_payload;
use crate::domain::policy::notification::{CHECKPOINTED, Routes};
use crate::error::Error;
use crate::store::query::RunStatement;
use rusqlite::{Connection, params};

/// Writes the rows that notify webhooks of a checkpoint, whose event is `audit_seq`.
pub(in crate::store) fn checkpointed(
    connection: &Connection,
    audit_seq: i64,
    now: Timestamp,
    checkpoint: &Checkpoint,
    routes: &Routes,
) -> Result<(), Error> {
    for webhook in routes.checkpointed() {
        let delivery_id = format!("wd-{}", uuid());
        let payload = checkpoint_payload(checkpoint, &delivery_id, now);
        connection.run(
            "INSERT INTO outbox (delivery_id, channel, event_type, audit_seq, payload_json, status, \
             next_attempt_ms, pending_since_ms, created_at_ms, updated_at_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6, ?6, ?6)",
            params![
                delivery_id,
                webhook,
                CHECKPOINTED,
                audit_seq,
                payload.to_string(),
                now.0
            ],
        )?;
    }
    Ok(())
}
