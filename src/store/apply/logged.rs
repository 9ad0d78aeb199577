//! Rows that go: results, requests with all that belongs to them, and the bound up to which the audit log may.

use super::{Context, quarantine};
use crate::clock::Timestamp;
use crate::domain::audit::{hashed_time, purge_message};
use crate::domain::change::{LogChange, PurgedRequest, PurgedResult};
use crate::error::Error;
use crate::store::AuditKeys;
use rusqlite::params;

/// What belongs to a request, in an order that the foreign keys allow; its results went before.
const PARTS: [&str; 10] = [
    "DELETE FROM request_texts WHERE request_seq = ?1",
    "DELETE FROM idempotency_keys WHERE request_seq = ?1",
    "DELETE FROM request_contexts WHERE request_seq = ?1",
    "DELETE FROM request_approvers WHERE request_seq = ?1",
    "DELETE FROM dry_run_jobs WHERE request_seq = ?1",
    "DELETE FROM rehearsals WHERE request_seq = ?1",
    "DELETE FROM approvals WHERE request_seq = ?1",
    "DELETE FROM executions WHERE request_seq = ?1",
    "DELETE FROM outbox WHERE request_seq = ?1",
    "DELETE FROM slack_messages WHERE request_seq = ?1",
];

/// Writes the rows of a change of this group.
pub(super) fn apply(cx: &Context, keys: &AuditKeys, change: &LogChange) -> Result<(), Error> {
    match change {
        LogChange::ResultsPurged(purged) => results(cx, purged),
        LogChange::RequestsPurged {
            requests: purged, ..
        } => requests(cx, purged),
        LogChange::AuditPurged {
            bound_seq,
            last_hash,
            before,
            retained,
        } => audit(cx, keys, *bound_seq, last_hash, *before, *retained),
        LogChange::Quarantined(step) => quarantine::apply(cx, step),
        // What these say stands in the audit log alone.
        LogChange::AttemptRefused(_)
        | LogChange::AuthFailures(_)
        | LogChange::StateBaselined(_)
        | LogChange::CheckpointFileAttached
        | LogChange::RollbackAccepted { .. } => Ok(()),
    }
}

fn results(cx: &Context, purged: &[PurgedResult]) -> Result<(), Error> {
    for result in purged {
        cx.any(
            "DELETE FROM result_access WHERE execution_seq = ?1",
            [result.execution_seq],
        )?;
        cx.one(
            "DELETE FROM results WHERE execution_seq = ?1",
            [result.execution_seq],
        )?;
        cx.any(
            "DELETE FROM result_bodies WHERE execution_seq = ?1",
            [result.execution_seq],
        )?;
    }
    Ok(())
}

fn requests(cx: &Context, purged: &[PurgedRequest]) -> Result<(), Error> {
    for request in purged {
        cx.one(
            "INSERT INTO purged_requests (request_seq, id, audit_seq) VALUES (?1, ?2, ?3)",
            params![request.seq, request.id, cx.audit_seq],
        )?;
        for part in PARTS {
            cx.any(part, [request.seq])?;
        }
        cx.one("DELETE FROM requests WHERE seq = ?1", [request.seq])?;
    }
    Ok(())
}

fn audit(
    cx: &Context,
    keys: &AuditKeys,
    bound_seq: i64,
    last_hash: &str,
    before: Timestamp,
    retained: i64,
) -> Result<(), Error> {
    let before = hashed_time(before);
    let message = purge_message(last_hash, &before, retained);
    cx.one(
        "INSERT INTO audit_purges (id, bound_seq, last_hash, purged_before, retained, key_id, signature, created_at_ms) \
         SELECT coalesce(max(id), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM audit_purges",
        params![
            bound_seq,
            last_hash,
            before,
            retained,
            keys.current.public().id(),
            keys.current.sign_hex(message.as_bytes()),
            cx.now.0
        ],
    )
}
