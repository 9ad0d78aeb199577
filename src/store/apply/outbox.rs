//! Rows of the outbox: a change tells others of itself, in its own transaction. What is sent, and when, is for
//! delivery; nothing here waits for anybody.

use super::Context;
use crate::crypto::uuid;
use crate::domain::change::{Notice, RequestChange};
use crate::domain::policy::notification::{EMAIL, Routes};
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
    let actor = cx.actor.id.as_str();
    for webhook in routes.select(event, notice.target) {
        insert(cx, event, &notice, webhook, None)?;
    }
    for person in routes.mailed(event, notice.requester, actor, notice.asked) {
        insert(cx, event, &notice, EMAIL, Some(person))?;
    }
    Ok(())
}

fn insert(
    cx: &Context,
    event: &'static str,
    notice: &Notice<'_>,
    channel: &str,
    recipient: Option<&str>,
) -> Result<(), Error> {
    let delivery_id = format!("wd-{}", uuid());
    let payload = notice.payload(event, &cx.actor.id, &delivery_id, cx.now);
    cx.one(
        "INSERT INTO outbox (delivery_id, channel, recipient, event_type, request_seq, audit_seq, payload_json, status, \
         next_attempt_ms, created_at_ms, updated_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?8, ?8, ?8)",
        params![
            delivery_id,
            channel,
            recipient,
            event,
            notice.request_seq,
            cx.audit_seq,
            payload.to_string(),
            cx.now.0
        ],
    )
}
