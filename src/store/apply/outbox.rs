//! Rows of the outbox: a change tells others of itself, in its own transaction. What is sent, and when, is for
//! delivery; nothing here waits for anybody.

use super::Context;
use crate::clock::Timestamp;
use crate::crypto::uuid;
use crate::domain::change::{Notice, RequestChange, linked_payload};
use crate::domain::id::Selector;
use crate::domain::policy::notification::{
    ASKED_MAX, EMAIL, KnownRecipients, MailRecipients, Routes, SLACK,
};
use crate::error::Error;
use crate::store::approvers::by_state;
use crate::store::query::{RunStatement, first};
use rusqlite::params;
use std::collections::BTreeSet;

/// Whether the identity provider gave the address of an active person.
const CLAIMED: &str =
    "SELECT 1 FROM users WHERE id = ?1 AND claimed_email IS NOT NULL AND status = 'active'";

/// Events of a request that was not there before.
const BEGINNINGS: [&str; 3] = [
    "request.created",
    "request.auto_approved",
    "request.break_glass",
];
/// Cancels reminders of a step that does not wait any more; those that are under way find it out themselves.
const UNTIMELY: &str = "UPDATE outbox SET status = 'cancelled', next_attempt_ms = NULL, updated_at_ms = ?2, \
     last_error = 'the step does not wait any more' WHERE request_seq = ?1 AND status = 'pending' \
     AND event_type IN ('request.reminded', 'request.escalated') AND json_extract(payload_json, '$.step_number') \
     IS NOT (SELECT CASE WHEN status = 'pending' THEN current_step + 1 END FROM requests WHERE seq = ?1)";

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
    if !BEGINNINGS.contains(&event) {
        let ended = params![notice.request_seq, cx.now.0];
        cx.connection.run(UNTIMELY, ended)?;
    }
    let actor = cx.actor.id.as_str();
    let row = |channel, recipient| OutboxRow {
        event,
        channel,
        recipient,
        due_at: cx.now,
    };
    for webhook in routes.select(event, notice.target) {
        insert(cx, &notice, &row(webhook, None))?;
    }
    let known = known(cx, routes, notice.asked)?;
    let mailed = routes.mailed(event, notice.requester, actor, notice.asked, &known);
    warn_of_left_out(event, &notice, &mailed);
    for recipient in &mailed.named {
        insert(cx, &notice, &row(EMAIL, Some(recipient.as_str())))?;
    }
    if routes.posts(event) {
        insert(cx, &notice, &row(SLACK, None))?;
    }
    for (event, after_secs, asked) in routes.reminders(notice.target, notice.asked) {
        let row = |channel, recipient| OutboxRow {
            event,
            channel,
            recipient,
            due_at: cx.now.plus_secs(after_secs),
        };
        for webhook in routes.select(event, notice.target) {
            insert(cx, &notice, &row(webhook, None))?;
        }
        if routes.has(EMAIL) && !asked.is_empty() {
            // Who is asked then is found when it is sent.
            insert(cx, &notice, &row(EMAIL, None))?;
        }
        if routes.posts(event) {
            insert(cx, &notice, &row(SLACK, None))?;
        }
    }
    Ok(())
}

fn warn_of_left_out(event: &str, notice: &Notice, mailed: &MailRecipients) {
    if mailed.left_out > 0 {
        log::warn!(
            "{event} of request {} goes to {ASKED_MAX} people by mail; {} more are asked",
            notice.request_id,
            mailed.left_out
        );
    }
}

/// Who can be asked by mail although the configuration does not say so.
fn known(cx: &Context, routes: &Routes, asked: &[Selector]) -> Result<KnownRecipients, Error> {
    let Some(policies) = routes.policies_of_mail().filter(|_| !asked.is_empty()) else {
        return Ok(KnownRecipients::default());
    };
    let selectors: Vec<&Selector> = asked.iter().collect();
    let found = by_state(cx.connection, &selectors, policies, cx.now)?;
    if found.is_cut {
        log::warn!(
            "more people may be asked by their tokens or claims than are looked at; some get no mail"
        );
    }
    let asked_by_state = found.people;
    let mut claimed = BTreeSet::new();
    for id in routes.unaddressed(asked, &asked_by_state) {
        let is_known = cx.connection.find(CLAIMED, [id], first::<i64>)?;
        claimed.extend(is_known.map(|_| id.to_owned()));
    }
    Ok(KnownRecipients {
        claimed,
        asked_by_state,
    })
}

/// Writes the rows that notify a Slack account that it was linked to a person, and the person by mail, since who linked
/// it may not be they.
pub(super) fn account_linked(
    cx: &Context,
    person: &str,
    slack_user_id: &str,
    routes: &Routes,
) -> Result<(), Error> {
    if routes.has(SLACK) {
        linked(cx, person, SLACK, slack_user_id, true)?;
    }
    if routes.has(EMAIL) {
        linked(cx, person, EMAIL, person, true)?;
    }
    Ok(())
}

/// Writes the row that notifies a Slack account that it is not linked to a person any more.
pub(super) fn account_unlinked(
    cx: &Context,
    person: &str,
    slack_user_id: &str,
    routes: &Routes,
) -> Result<(), Error> {
    match routes.has(SLACK) {
        true => linked(cx, person, SLACK, slack_user_id, false),
        false => Ok(()),
    }
}

fn linked(
    cx: &Context,
    person: &str,
    channel: &str,
    recipient: &str,
    is_linked: bool,
) -> Result<(), Error> {
    let delivery_id = format!("wd-{}", uuid());
    let payload = linked_payload(&cx.actor.id, person, is_linked, &delivery_id, cx.now);
    cx.one(
        "INSERT INTO outbox (delivery_id, channel, recipient, event_type, audit_seq, payload_json, status, \
         next_attempt_ms, pending_since_ms, created_at_ms, updated_at_ms) \
         VALUES (?1, ?2, ?3, 'user.updated', ?4, ?5, 'pending', ?6, ?6, ?6, ?6)",
        params![
            delivery_id,
            channel,
            recipient,
            cx.audit_seq,
            payload.to_string(),
            cx.now.0
        ],
    )
}

/// What differs between the rows of one change.
struct OutboxRow<'r> {
    event: &'static str,
    channel: &'r str,
    recipient: Option<&'r str>,
    due_at: Timestamp,
}

fn insert(cx: &Context, notice: &Notice<'_>, row: &OutboxRow<'_>) -> Result<(), Error> {
    let delivery_id = format!("wd-{}", uuid());
    let write = match row.due_at > cx.now {
        true => Notice::reminder,
        false => Notice::payload,
    };
    let payload = write(notice, row.event, &cx.actor.id, &delivery_id, cx.now);
    cx.one(
        "INSERT INTO outbox (delivery_id, channel, recipient, event_type, request_seq, audit_seq, payload_json, status, \
         next_attempt_ms, pending_since_ms, created_at_ms, updated_at_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?8, ?8, ?9, ?9)",
        params![
            delivery_id,
            row.channel,
            row.recipient,
            row.event,
            notice.request_seq,
            cx.audit_seq,
            payload.to_string(),
            row.due_at.0,
            cx.now.0
        ],
    )
}
