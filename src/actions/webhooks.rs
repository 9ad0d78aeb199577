//! Webhooks and what was recorded for them: who is notified of what, how the deliveries go, and what becomes of those
//! that nobody delivers.

use super::App;
use crate::config::Webhook;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::store::{DeliveryCounts, DeliveryFilter, DeliveryRow};

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
    Ok(app.active().webhooks.to_vec())
}

/// One webhook, and how its deliveries went.
///
/// # Errors
/// `forbidden` without `webhook.manage`; 404.
pub fn show(app: &App, caller: &Caller, id: &str) -> Result<(Webhook, DeliveryCounts), Error> {
    caller.require(Permission::WebhookManage)?;
    let active = app.active();
    let found = active.webhooks.iter().find(|w| w.id == id);
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
        let total = match filter.before {
            None => Some(view.count_deliveries(filter)?),
            Some(_) => None,
        };
        Ok(DeliveryPage {
            next: deliveries.last().filter(|_| more).map(|d| d.seq),
            total: total.map(|n| n.min(COUNT_MAX)),
            total_is_lower_bound: total.is_some_and(|n| n > COUNT_MAX),
            deliveries,
        })
    })
}

/// Cancels what waits for webhooks that are not configured any more. Returns how many.
///
/// # Errors
/// When the store cannot write.
pub fn cancel_unrouted(app: &App) -> Result<usize, Error> {
    ended(app, "cancelled", || app.store.cancel_deliveries())
}

/// Gives up what has waited too long. Returns how many.
///
/// # Errors
/// When the store cannot write.
pub fn give_up_old(app: &App) -> Result<usize, Error> {
    ended(app, "dead", || app.store.give_up_deliveries())
}

/// Repeats `end` until there is nothing left to end, and counts.
fn ended(
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
