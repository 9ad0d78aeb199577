//! `/api/audit`: the events, and the proof that nobody touched them.

use super::{escaped, excerpt};
use crate::actions::audit;
use crate::domain::actor::Caller;
use crate::domain::audit::{CATEGORIES, EventOutcome};
use crate::domain::id::Operation;
use crate::domain::request::Status;
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::call::HttpResponse;
use crate::http::params::cursor;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::store::{AuditFilter, EventRow, ExportPage, ExportSince};
use serde_json::{Value, json};
use std::sync::TryLockError;

/// Events of a page where the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Events of a page at most.
pub const PAGE_MAX: u32 = 200;
/// Bytes of a statement in a page of several events.
const DETAIL_BYTES: usize = 1024;
/// What cursors of this list belong to.
const LIST: &str = "events";
/// `Retry-After` while another verification runs, in seconds.
const VERIFY_RETRY_SECS: u32 = 10;

/// Events of a page of the export at most.
pub const EXPORT_EVENTS_MAX: u32 = 1000;
/// Bytes after which such a page ends; a client reads at most 64 MiB.
const EXPORT_BYTES: usize = 4 << 20;
/// Media type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";

/// Query parameters of the export.
pub const EXPORT_QUERY: &[&str] = &["since", "limit"];

/// Query parameters of the list.
pub const LIST_QUERY: &[&str] = &[
    "limit",
    "offset",
    "cursor",
    "actor_id",
    "event_type",
    "event_category",
    "outcome",
    "database",
    "environment",
    "request_id",
    "operation",
    "status",
    "since",
    "until",
];

/// `GET /api/audit/events`
pub fn list(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let paging = query.paging(LIST, PAGE_DEFAULT, PAGE_MAX)?;
    let known = |names: &'static [&'static str]| {
        move |text: &str| names.contains(&text).then(|| text.to_owned())
    };
    let filter = AuditFilter {
        actor_id: query.text("actor_id")?,
        event_type: query.text("event_type")?,
        event_category: query.one_of("event_category", "a category", known(&CATEGORIES))?,
        outcome: query.one_of("outcome", "an outcome", known(&EventOutcome::NAMES))?,
        database: query.text("database")?,
        environment: query.text("environment")?,
        request_id: query.text("request_id")?,
        operations: query.one_of("operation", "the name of an operation", |text| {
            let names: Vec<&str> = Operation::parse_filter(text)?
                .into_iter()
                .map(Operation::as_str)
                .collect();
            Some(json!(names).to_string())
        })?,
        to_status: query.one_of("status", "the name of a status", |text| {
            Status::parse(text).map(|s| s.as_str().to_owned())
        })?,
        since: query.time("since", false)?,
        until: query.time("until", true)?,
        before: paging.before,
    };
    let (limit, offset) = (paging.limit, paging.offset);
    let count = paging.before.is_none();
    let page = audit::list(&context.app, caller, &filter, limit, offset, count)?;
    // One event is shown whole; of a page of them the statements are cut.
    let detail_max = if limit <= 1 { usize::MAX } else { DETAIL_BYTES };
    let events = page.events.iter().map(|row| event(row, detail_max));
    let events: Vec<Value> = events.collect();
    let mut answer = json!({
        "events": events,
        "limit": limit,
        "offset": offset,
        "next_cursor": cursor(LIST, page.next),
    });
    if !page.unread.is_empty() {
        let unread = page.unread.iter();
        let unread = unread.map(|event| json!({"number": event.seq, "id": event.id}));
        answer["unreadable"] = unread.collect();
    }
    if let Some(total) = page.total {
        answer["total"] = total.into();
        answer["total_is_lower_bound"] = page.total_is_lower_bound.into();
    }
    replies::json(200, &answer)
}

fn event(row: &EventRow, detail_max: usize) -> Value {
    let e = &row.event;
    let detail = e.detail_raw.as_deref();
    let shown = detail.map(|text| excerpt(text, detail_max));
    json!({
        "id": e.id,
        "event_type": e.event_type,
        "event_category": e.event_category,
        "event_version": e.event_version,
        "outcome": e.outcome,
        "actor_id": e.actor_id,
        "actor_type": e.actor_type,
        "resource_type": e.resource_type,
        "resource_id": e.resource_id,
        "peer_ip": e.peer_ip,
        "client_ip": e.client_ip,
        "client_ip_source": e.client_ip_source,
        "request_id": e.request_id,
        "operation": e.operation,
        "database_name": e.database_name,
        "environment": e.environment,
        "detail_fingerprint": e.detail_fingerprint,
        "detail_raw": shown,
        "detail_raw_escaped": shown.and_then(|text| escaped(text, detail_max)),
        "detail_raw_truncated": detail.is_some_and(|text| text.len() > detail_max),
        "reason": e.reason,
        "metadata_json": e.metadata_json,
        "prev_hash": e.prev_hash,
        "event_hash": row.hash,
        // As it was hashed.
        "created_at": e.created_at,
    })
}

/// `GET /api/audit/verify`: one at a time, for each reads the whole log.
pub fn verify(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let _one = match context.verifying.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            let error = Error::unavailable("another verification of the audit log is running");
            return Err(error.retry_after(VERIFY_RETRY_SECS));
        }
    };
    let verified = audit::verify(&context.app, caller)?;
    if let Some(problem) = &verified.problem {
        log::error!("the audit log does not hold: {problem}");
    }
    let answer = json!({
        "valid": verified.valid,
        "total_events": verified.total_events,
        "first_broken_id": verified.first_broken_id,
        "problem": verified.problem,
        "frozen_total": verified.frozen.0,
        "frozen_requests": verified.frozen.1,
    });
    replies::json(200, &answer)
}

/// `GET /api/audit/export`: the log in its order, as lines that anybody with the public keys can prove. The last line of
/// the last page is the signed head; until then, `since` is the number of the last event.
pub fn export(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let since = query.one_of(
        "since",
        "the number of an event, or a time like 2026-01-02T03:04:05Z",
        ExportSince::parse,
    )?;
    let events = query.capped("limit", EXPORT_EVENTS_MAX, EXPORT_EVENTS_MAX)?;
    if events == 0 {
        // The next page is asked for with the last event of this one.
        return Err(Error::invalid(
            "query parameter `limit` is `0`, expected a whole number, 1 or more",
        ));
    }
    let page = ExportPage {
        events,
        bytes: EXPORT_BYTES,
    };
    let since = since.unwrap_or(ExportSince::Beginning);
    let lines = audit::export(&context.app, caller, since, page)?;
    Ok(HttpResponse::with_body(200, NDJSON, lines))
}
