//! Webhooks and what was recorded for them: who is notified of what, how the deliveries go, and what becomes of those
//! that nobody delivers.

use super::App;
use super::refusals::refusal;
use crate::config::{Outlets, Webhook};
use crate::crypto::uuid;
use crate::domain::actor::Caller;
use crate::domain::change::DeliveryChange;
use crate::domain::permission::Permission;
use crate::domain::policy::notification::{EMAIL, SLACK};
use crate::error::Error;
use crate::store::{DeliveryCounts, DeliveryFilter, DeliveryRow, Verdict};
use std::sync::Arc;

/// Deliveries whose number is shown exactly; beyond it the total is a lower bound, as in every list.
pub const COUNT_MAX: i64 = 10_000;

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPage {
    /// The deliveries, newest first.
    pub deliveries: Vec<DeliveryRow>,
    /// How many there are in all; none where a cursor leads on.
    pub total: Option<i64>,
    /// Whether there are more than that.
    pub total_is_lower_bound: bool,
    /// Where the next page starts; none at the end.
    pub next: Option<i64>,
}

/// All webhooks, in the order of the file.
///
/// # Errors
/// `forbidden` without `webhook.manage`.
pub fn list(app: &App, caller: &Caller) -> Result<Vec<Webhook>, Error> {
    caller.require(Permission::WebhookManage)?;
    Ok(app.active().outlets.webhooks.clone())
}

/// One webhook, and how its deliveries went.
///
/// # Errors
/// `forbidden` without `webhook.manage`; 404.
pub fn show(app: &App, caller: &Caller, id: &str) -> Result<(Webhook, DeliveryCounts), Error> {
    caller.require(Permission::WebhookManage)?;
    let active = app.active();
    let found = active.outlets.webhooks.iter().find(|w| w.id == id);
    let webhook = found.ok_or_else(|| Error::not_found("webhook", id))?;
    let counts = app.store.read(|view| view.delivery_counts(id))?;
    Ok((webhook.clone(), counts))
}

/// Deliveries that match, newest first.
///
/// # Errors
/// `forbidden` without `metrics.view`.
pub fn deliveries(
    app: &App,
    caller: &Caller,
    filter: &DeliveryFilter,
    limit: u32,
    offset: u32,
) -> Result<DeliveryPage, Error> {
    caller.require(Permission::MetricsView)?;
    app.store.read(|view| {
        let mut deliveries = view.list_deliveries(filter, limit + 1, offset)?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = deliveries.len() > wanted;
        deliveries.truncate(wanted);
        let last = deliveries
            .last()
            .map(|d| d.as_ref().map_or_else(|seq| *seq, |d| d.seq));
        let total = match filter.before {
            None => Some(view.count_deliveries(filter)?),
            Some(_) => None,
        };
        Ok(DeliveryPage {
            next: last.filter(|_| more),
            total: total.map(|n| n.min(COUNT_MAX)),
            total_is_lower_bound: total.is_some_and(|n| n > COUNT_MAX),
            deliveries: deliveries.into_iter().flatten().collect(),
        })
    })
}

/// Sends a test message to a webhook; where none has that id, `email` sends one to the caller, and `slack` one to the
/// channel of the Slack app. Returns the id of its delivery.
///
/// # Errors
/// `forbidden` without `webhook.manage`; 404.
pub fn send_test(app: &Arc<App>, caller: &Caller, id: &str) -> Result<String, Error> {
    manages(app, caller, "webhook.test")?;
    let (webhook_id, person) = (id.to_owned(), caller.subject.clone());
    let cx = Arc::clone(app);
    let sent = app.change_by(caller, move |_, _| {
        let active = cx.active();
        let channel = channel(&active.outlets, &webhook_id);
        if !active.routes().has(channel) {
            return Err(Error::not_found("webhook", &webhook_id));
        }
        let recipient = (channel == EMAIL).then_some(person);
        let webhook_id = channel.to_owned();
        let delivery_id = format!("wd-{}", uuid());
        let change = DeliveryChange::WebhookTested {
            webhook_id,
            recipient,
            delivery_id: delivery_id.clone(),
        };
        Ok(Verdict::Write(vec![change.into()], delivery_id))
    })?;
    app.due.urge(channel(&app.active().outlets, id), &sent);
    Ok(sent)
}

/// The channel that people call `id`: the webhook of that id, else mail for `email` and the Slack app for `slack`.
pub fn channel<'a>(outlets: &Outlets, id: &'a str) -> &'a str {
    match id {
        _ if outlets.webhooks.iter().any(|w| w.id == id) => id,
        "email" => EMAIL,
        "slack" => SLACK,
        id => id,
    }
}

/// Has a delivery that has ended made once more, from the first attempt on, under its old id.
///
/// # Errors
/// `forbidden` without `webhook.manage`; 404 where there is no such delivery, or its webhook is not configured any more;
/// 409 while it is under way.
pub fn redeliver(app: &Arc<App>, caller: &Caller, id: &str) -> Result<(), Error> {
    manages(app, caller, "webhook.redeliver")?;
    let (cx, delivery) = (Arc::clone(app), id.to_owned());
    let channel = app.change_by(caller, move |view, _| {
        let found = view.find_delivery(&delivery)?;
        let row = found.ok_or_else(|| Error::not_found("delivery", &delivery))?;
        if !cx.active().routes().has(&row.webhook_id) {
            return Err(Error::not_found("webhook", &row.webhook_id));
        }
        if matches!(row.status.as_str(), "pending" | "in_progress") {
            return Err(Error::conflict(
                "conflict",
                "this delivery is still under way",
            ));
        }
        let change = DeliveryChange::Redelivered {
            seq: row.seq,
            delivery_id: row.id,
            channel: row.webhook_id.clone(),
            event_type: row.event_type,
            was: row.status,
        };
        Ok(Verdict::Write(vec![change.into()], row.webhook_id))
    })?;
    app.due.urge(&channel, id);
    Ok(())
}

fn manages(app: &Arc<App>, caller: &Caller, attempt: &'static str) -> Result<(), Error> {
    caller.require(Permission::WebhookManage).map_err(|error| {
        let refused = refusal(attempt, &error);
        app.refused(caller.actor(), refused, error)
    })
}

/// Cancels what waits for webhooks that are not configured any more. Returns how many.
///
/// # Errors
/// When the store cannot write.
pub fn cancel_unrouted(app: &App) -> Result<usize, Error> {
    ended(app, "cancelled", || app.store.cancel_deliveries())
}

/// Repeats `end` until there is nothing left to end, and counts.
pub(crate) fn ended(
    app: &App,
    status: &'static str,
    end: impl Fn() -> Result<usize, Error>,
) -> Result<usize, Error> {
    let mut all = 0;
    loop {
        let n = end()?;
        if n == 0 {
            return Ok(all);
        }
        all += n;
        app.metrics.webhook_deliveries.add(&[status], n as u64);
    }
}
