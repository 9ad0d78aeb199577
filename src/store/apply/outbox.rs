//! Rows of the outbox: a change tells others of itself, in its own transaction. What is sent, and when, is for
//! delivery; nothing here waits for anybody.

use super::Context;
use crate::crypto::uuid;
use crate::domain::change::RequestChange;
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use rusqlite::params;

/// Writes a row for every webhook that receives `event`, the type of the change's audit event. It is due at once.
pub(super) fn announced(
    cx: &Context,
    event: &'static str,
    change: &RequestChange,
    routes: &Routes,
) -> Result<(), Error> {
    if routes.is_empty() {
        return Ok(());
    }
    let Some(notice) = change.notice() else {
        return Ok(());
    };
    for webhook in routes.select(event, notice.target) {
        let delivery_id = format!("wd-{}", uuid());
        let payload = notice.payload(event, &cx.actor.id, &delivery_id, cx.now);
        cx.one(
            "INSERT INTO outbox (delivery_id, channel, event_type, request_seq, audit_seq, payload_json, status, \
             next_attempt_ms, created_at_ms, updated_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7, ?7)",
            params![
                delivery_id,
                webhook,
                event,
                notice.request_seq,
                cx.audit_seq,
                payload.to_string(),
                cx.now.0
            ],
        )?;
    }
    Ok(())
}
