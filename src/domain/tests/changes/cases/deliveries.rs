//! What people ask of deliveries.

use crate::domain::change::DeliveryChange;

pub(super) fn deliveries() -> Vec<(&'static str, DeliveryChange)> {
    let delivery_id = "wd-1".to_owned();
    vec![
        (
            "",
            DeliveryChange::WebhookTested {
                webhook_id: "ops".into(),
                recipient: None,
                delivery_id: delivery_id.clone(),
            },
        ),
        (
            "",
            DeliveryChange::Redelivered {
                seq: 7,
                delivery_id,
                channel: "ops".into(),
                event_type: "request.created".into(),
                was: "dead".into(),
            },
        ),
    ]
}
