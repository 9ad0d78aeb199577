//! `/api/webhooks` and `/api/webhook-deliveries`: who is notified, and how deliveries go. Never a secret, and never
//! what was sent.

use crate::actions::webhooks;
use crate::clock::Timestamp;
use crate::config::Webhook;
use crate::domain::actor::Caller;
use crate::domain::policy::notification::{ATTEMPTS_MAX, EMAIL, SLACK};
use crate::http::HttpContext;
use crate::http::params::cursor;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::store::{DELIVERY_STATUSES, DeliveryFilter, DeliveryRow};
use serde_json::{Value, json};

/// Deliveries of a page where the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Deliveries of a page at most.
pub const PAGE_MAX: u32 = 100;
/// What cursors of this list belong to.
const LIST: &str = "deliveries";

/// Query parameters of the list of deliveries.
pub const DELIVERIES_QUERY: &[&str] = &[
    "limit",
    "offset",
    "cursor",
    "webhook_id",
    "status",
    "request_id",
];

/// `GET /api/webhooks`
pub fn list(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let all = webhooks::list(&context.app, caller)?;
    let all: Vec<Value> = all.iter().map(webhook_json).collect();
    replies::json(200, &json!({"webhooks": all}))
}

/// `GET /api/webhooks/{id}`
pub fn show(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let (webhook, counts) = webhooks::show(&context.app, caller, ask.id())?;
    let mut answer = webhook_json(&webhook);
    answer["deliveries"] = json!({
        "pending": counts.pending,
        "in_progress": counts.in_progress,
        "delivered": counts.delivered,
        "dead": counts.dead,
        "cancelled": counts.cancelled,
        "last_delivered_at": counts.last_delivered_at.map(Timestamp::rfc3339),
        "last_error": counts.last_error,
    });
    replies::json(200, &answer)
}

fn webhook_json(w: &Webhook) -> Value {
    // Anyone who knows the URL of a chat can write there.
    let origin = w.url.origin();
    let shown = match origin.len() < w.url.url().len() {
        true => format!("{origin}/***"),
        false => origin.to_owned(),
    };
    json!({
        "id": w.id,
        "url": shown,
        "events": w.events.names(),
        "format": w.format.as_str(),
        "has_secret": w.secret.is_some(),
        "status": "active",
        "created_at": null,
        "updated_at": null,
    })
}

/// `POST /api/webhooks/{id}/test`
pub fn send_test(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    ask.body_if_any()?;
    let delivery_id = webhooks::send_test(&context.app, caller, ask.id())?;
    replies::json(
        202,
        &json!({"delivery_id": delivery_id, "status": "pending"}),
    )
}

/// `POST /api/webhook-deliveries/{id}/redeliver`
pub fn redeliver(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    ask.body_if_any()?;
    webhooks::redeliver(&context.app, caller, ask.id())?;
    replies::json(202, &json!({"delivery_id": ask.id(), "status": "pending"}))
}

/// `GET /api/webhook-deliveries`
pub fn deliveries(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let paging = query.paging(LIST, PAGE_DEFAULT, PAGE_MAX)?;
    let filter = DeliveryFilter {
        webhook_id: query
            .text("webhook_id")?
            .map(|id| webhooks::channel(&context.app.active().outlets, &id).to_owned()),
        status: query.one_of("status", &DELIVERY_STATUSES.join(", "), |text| {
            DELIVERY_STATUSES.into_iter().find(|s| *s == text)
        })?,
        request_id: query.text("request_id")?,
        before: paging.before,
    };
    let (limit, offset) = (paging.limit, paging.offset);
    let page = webhooks::deliveries(&context.app, caller, &filter, limit, offset)?;
    let deliveries: Vec<Value> = page.deliveries.iter().map(delivery_json).collect();
    let mut answer = json!({
        "deliveries": deliveries,
        "limit": limit,
        "offset": offset,
        "next_cursor": cursor(LIST, page.next),
    });
    if let Some(total) = page.total {
        answer["total"] = total.into();
        answer["total_is_lower_bound"] = page.total_is_lower_bound.into();
    }
    replies::json(200, &answer)
}

/// The kind of its channel: `webhook`, `email` or `slack`.
pub(super) fn channel(d: &DeliveryRow) -> &'static str {
    match d.webhook_id.as_str() {
        EMAIL => "email",
        SLACK => "slack",
        _ => "webhook",
    }
}

pub(super) fn webhook_id(d: &DeliveryRow) -> Option<&str> {
    let id = d.webhook_id.as_str();
    (![EMAIL, SLACK].contains(&id)).then_some(id)
}

fn delivery_json(d: &DeliveryRow) -> Value {
    json!({
        "id": d.id,
        "channel": channel(d),
        "webhook_id": webhook_id(d),
        "recipient": d.recipient,
        "event_type": d.event_type,
        "request_id": d.request_id,
        "status": d.status,
        "attempts": d.attempts,
        "max_attempts": ATTEMPTS_MAX,
        "next_retry_at": d.next_attempt_at.map(Timestamp::rfc3339),
        "last_error": d.last_error,
        "created_at": d.created_at.rfc3339(),
        "updated_at": d.updated_at.rfc3339(),
    })
}
