//! `GET /metrics`: the page, with everything brought up to date that nobody counts as it happens.

use super::require;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::domain::request::Status;
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::call::HttpResponse;
use crate::http::router::{HandlerResult, RoutedRequest};
use crate::metrics::Counter;
use crate::store::DELIVERY_STATUSES;
use std::ffi::OsString;

/// Media type of the Prometheus text format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Statuses that are shown as what there is now; the others only grow.
const CURRENT: [Status; 4] = [
    Status::Pending,
    Status::Approved,
    Status::Dispatched,
    Status::Running,
];

/// `GET /metrics`
pub fn page(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    require(caller, Permission::MetricsView)?;
    // One at a time: what is caught up below must not be caught up twice.
    let _one = context.scraping.lock().unwrap_or_else(|e| e.into_inner());
    refresh(context)?;
    Ok(HttpResponse::with_body(
        200,
        MEDIA_TYPE,
        context.app.metrics.render(),
    ))
}

fn refresh(context: &HttpContext) -> Result<(), Error> {
    let (app, metrics) = (&context.app, &context.app.metrics);
    let counts = app.store.read(|view| view.request_counts())?;
    for status in CURRENT {
        let name = status.as_str();
        let now = counts
            .iter()
            .find(|(s, _)| s == name)
            .map_or(0, |(_, n)| *n);
        metrics.requests_current.set(&[name], now);
    }
    let outbox = app.store.read(|view| view.outbox_counts())?;
    for status in DELIVERY_STATUSES {
        let now = outbox.iter().find(|(s, _)| s == status);
        metrics
            .outbox_current
            .set(&[status], now.map_or(0, |(_, n)| *n));
    }
    let now = app.clock.now();
    let (mut active, mut saturated) = (0, 0);
    for agent in app.store.list_agents() {
        let online = agent.state(now) != "offline";
        active += i64::from(online);
        saturated += i64::from(online && agent.in_flight >= agent.max_concurrent);
    }
    metrics.agents_active.set(&[], active);
    metrics.agents_saturated.set(&[], saturated);
    let (batches, changes) = app.store.commit_counts();
    catch_up(&metrics.store_batches, batches);
    catch_up(&metrics.store_changes, changes);
    let mut log: OsString = app.settings.database_path.clone().into_os_string();
    log.push("-wal");
    let wal_bytes = std::fs::metadata(log).map_or(0, |file| file.len());
    metrics
        .store_wal_bytes
        .set(&[], i64::try_from(wal_bytes).unwrap_or(i64::MAX));
    Ok(())
}

/// Brings a counter up to what was counted elsewhere.
fn catch_up(counter: &Counter, total: u64) {
    counter.add(&[], total.saturating_sub(counter.value(&[])));
}
