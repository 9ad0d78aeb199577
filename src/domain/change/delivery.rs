//! What people ask of deliveries: a test message, or to try once more what has ended.

use super::entry::about;
use crate::domain::audit::{AuditEntry, Checkpoint, hashed_time};
use crate::domain::policy::notification::CHECKPOINTED;
use serde_json::{Value, json};

/// The event of a test message.
const TESTED: &str = "webhook.tested";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryChange {
    /// Somebody sent a test message to a webhook, or by another channel.
    WebhookTested {
        webhook_id: String,
        /// The person it is for, where the channel reaches many.
        recipient: Option<String>,
        /// Id of the delivery that this makes.
        delivery_id: String,
    },
    /// Somebody had a delivery that had ended tried again, from the first attempt on.
    Redelivered {
        /// Row of the delivery.
        seq: i64,
        delivery_id: String,
        /// The webhook, or another channel.
        channel: String,
        /// The event that it reports.
        event_type: String,
        /// The status it had.
        was: String,
    },
}

impl DeliveryChange {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        match self {
            DeliveryChange::WebhookTested {
                webhook_id,
                recipient,
                delivery_id,
            } => {
                let mut e = about(TESTED, "policy", "webhook", webhook_id);
                e.metadata
                    .insert("delivery_id".into(), delivery_id.clone().into());
                if let Some(person) = recipient {
                    e.metadata.insert("recipient".into(), person.clone().into());
                }
                e
            }
            DeliveryChange::Redelivered {
                delivery_id,
                channel,
                event_type,
                was,
                ..
            } => {
                let mut e = about("webhook.redelivered", "policy", "delivery", delivery_id);
                for (key, value) in [("channel", channel), ("event", event_type), ("was", was)] {
                    e.metadata.insert(key.into(), value.clone().into());
                }
                e
            }
        }
    }
}

/// The facts of a test message; those of a request are null.
pub fn test_payload(actor: &str, delivery_id: &str, at: crate::clock::Timestamp) -> Value {
    of_no_request(TESTED, actor, delivery_id, at)
}

/// The facts of a Slack account that was linked to `person`, or is not any more; the same.
pub fn linked_payload(
    actor: &str,
    person: &str,
    is_linked: bool,
    delivery_id: &str,
    at: crate::clock::Timestamp,
) -> Value {
    let mut facts = of_no_request("user.updated", actor, delivery_id, at);
    facts["person"] = person.into();
    facts["linked"] = is_linked.into();
    facts
}

/// The facts of a checkpoint of the audit log, which `checkpoint` holds in full; those of a request are null.
pub fn checkpoint_payload(
    checkpoint: &Checkpoint,
    delivery_id: &str,
    at: crate::clock::Timestamp,
) -> Value {
    let mut facts = of_no_request(CHECKPOINTED, "system", delivery_id, at);
    facts["checkpoint"] = checkpoint.line(&hashed_time(at));
    facts
}

fn of_no_request(
    event: &str,
    actor: &str,
    delivery_id: &str,
    at: crate::clock::Timestamp,
) -> Value {
    json!({
        "event": event,
        "request_id": null,
        "database": null,
        "environment": null,
        "operation": null,
        "actor": actor,
        "requester": null,
        "detail": null,
        "delivery_id": delivery_id,
        "timestamp": at.rfc3339(),
        "status": null,
        "reason": null,
    })
}
