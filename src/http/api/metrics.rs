//! `GET /metrics`: the page, with everything brought up to date that nobody counts as it happens.

use super::require;
use crate::actions::App;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::domain::request::Status;
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::call::HttpResponse;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::metrics::process;
use crate::store::{DELIVERY_STATUSES, View};
use std::ffi::OsString;
use std::path::Path;

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
    let app = &context.app;
    app.store.read(|view| counts(app, view))?;
    agents(app);
    machine(app);
    Ok(HttpResponse::with_body(
        200,
        MEDIA_TYPE,
        app.metrics.render(),
    ))
}

/// What the database knows, from counters and indexes: nothing here takes longer with its size.
fn counts(app: &App, view: &View) -> Result<(), Error> {
    let metrics = &app.metrics;
    let counts = view.request_counts()?;
    for status in CURRENT {
        let name = status.as_str();
        let now = counts.iter().find(|(s, _)| s == name);
        metrics
            .requests_current
            .set(&[name], now.map_or(0, |(_, n)| *n));
    }
    let outbox = view.outbox_counts()?;
    for status in DELIVERY_STATUSES {
        let now = outbox.iter().find(|(s, _)| s == status);
        metrics
            .outbox_current
            .set(&[status], now.map_or(0, |(_, n)| *n));
    }
    let now = app.clock.now();
    let found = view.measures(now)?;
    let age = |since: Option<Timestamp>| since.map_or(0, |since| signed(now.since(since) / 1000));
    metrics.oldest_pending.set(&[], age(found.oldest_pending));
    metrics
        .outbox_oldest
        .set(&[], age(found.oldest_undelivered));
    metrics.audit_chain_length.set(&[], found.chain_length);
    metrics
        .audit_last_checkpoint
        .set(&[], found.last_checkpoint.map_or(0, |at| at.0 / 1000));
    metrics.sessions.set(&[], view.count_sessions()?);
    Ok(())
}

fn agents(app: &App) {
    let now = app.clock.now();
    let (mut active, mut saturated) = (0, 0);
    for agent in app.store.list_agents() {
        let online = agent.state(now) != "offline";
        active += i64::from(online);
        saturated += i64::from(online && agent.in_flight >= agent.max_concurrent);
    }
    app.metrics.agents_active.set(&[], active);
    app.metrics.agents_saturated.set(&[], saturated);
}

/// Files, disk, memory, threads and descriptors.
fn machine(app: &App) {
    let metrics = &app.metrics;
    let database = &app.settings.database_path;
    let mut log: OsString = database.clone().into_os_string();
    log.push("-wal");
    metrics.store_database_bytes.set(&[], size(database));
    metrics.store_wal_bytes.set(&[], size(Path::new(&log)));
    let quotas = &app.settings.quotas;
    metrics
        .disk_free_bytes
        .set(&[], signed((quotas.free_bytes)(&quotas.folder)));
    let process = process::state();
    metrics
        .process_resident_memory
        .set(&[], signed(process.resident_bytes));
    metrics.process_threads.set(&[], signed(process.threads));
    metrics
        .process_open_fds
        .set(&[], signed(process.open_files));
    metrics
        .process_max_fds
        .set(&[], signed(process.open_files_max));
}

fn size(file: &Path) -> i64 {
    std::fs::metadata(file).map_or(0, |file| signed(file.len()))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
