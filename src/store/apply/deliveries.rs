//! Deliveries that people ask for.

use super::Context;
use crate::domain::change::{DeliveryChange, test_payload};
use crate::error::Error;
use rusqlite::params;

/// Writes the rows of a change of this group.
pub(super) fn apply(cx: &Context, change: &DeliveryChange) -> Result<(), Error> {
    match change {
        DeliveryChange::WebhookTested {
            webhook_id,
            recipient,
            delivery_id,
        } => cx.one(
            "INSERT INTO outbox (delivery_id, channel, event_type, audit_seq, payload_json, status, \
             next_attempt_ms, created_at_ms, updated_at_ms, recipient) \
             VALUES (?1, ?2, 'webhook.tested', ?3, ?4, 'pending', ?5, ?5, ?5, ?6)",
            params![
                delivery_id,
                webhook_id,
                cx.audit_seq,
                test_payload(&cx.actor.id, delivery_id, cx.now).to_string(),
                cx.now.0,
                recipient
            ],
        ),
        DeliveryChange::Redelivered { seq, .. } => cx.one(
            "UPDATE outbox SET status = 'pending', attempts = 0, next_attempt_ms = ?2, pending_since_ms = ?2, \
             updated_at_ms = ?2 WHERE seq = ?1 AND status IN ('delivered', 'dead', 'cancelled')",
            params![seq, cx.now.0],
        ),
    }
}
