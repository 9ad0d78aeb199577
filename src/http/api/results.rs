//! Results and executions: waited for, downloaded whole or in part, and listed.

use super::ranges::{self, ByteRange};
use super::table::Envelope;
use super::{csv, exact, excerpt};
use crate::actions::awaited::{self, Awaited};
use crate::actions::read_results::{self, Content, Ending, Streamed};
use crate::actions::topics;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::execution::Execution;
use crate::domain::request::ExecutionOutcome;
use crate::error::{Error, ErrorKind, counted};
use crate::http::HttpContext;
use crate::http::call::{HttpRequest, HttpResponse};
use crate::http::params::Query;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::http::wait::TopicWatch;
use crate::store::ResultItem;
use serde_json::{Value, json};

/// How long a stream waits at most, and where the client does not say, in seconds.
pub const STREAM_SECS_MAX: u64 = 300;
/// Executions of a page where the client does not say.
pub const EXECUTIONS_DEFAULT: u32 = 20;
/// Results of a page where the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Results, or executions, of a page at most.
pub const PAGE_MAX: u32 = 100;

/// Bytes of an error message in a list: each is at most six of JSON, and a hundred executions are 1 MiB.
const MESSAGE_BYTES: usize = 1024;
/// Bytes of what the database added to one.
const DETAIL_BYTES: usize = 512;

/// Query parameters of a download.
pub const CONTENT_QUERY: &[&str] = &["execution_id", "format", "values", "result", "complete"];

/// What a download is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    /// JSON whose cells no reader changes.
    Exact,
    /// CSV of the table of that number, from 1.
    Csv(Option<u64>),
}

/// `GET /api/requests/{id}/result/stream`: held until there is an outcome.
pub fn stream(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let wait = query.number("wait")?.unwrap_or(STREAM_SECS_MAX);
    let wait = wait.min(STREAM_SECS_MAX);
    let exactly = exactly(&query)?;
    let watch = match ask.may_wait(wait) {
        true => Some(TopicWatch::begin(
            context,
            caller,
            ask,
            [topics::request(ask.id())],
        )?),
        false => None,
    };
    match read_results::stream(&context.app, caller, ask.id())? {
        Streamed::Envelope(bytes) if exactly => Ok(HttpResponse::with_body(
            200,
            replies::JSON,
            exact::render(&bytes)?,
        )),
        Streamed::Envelope(bytes) => Ok(HttpResponse::with_body(200, replies::JSON, &*bytes)),
        Streamed::Ended(ending) => ended(&ending),
        Streamed::NotYet => Ok(match watch {
            Some(watch) => watch.park(ask, wait, ""),
            None => not_yet(&awaited::of(&context.app, ask.id())),
        }),
    }
}

/// No body, as existing clients expect; who or what is awaited stands in the head.
fn not_yet(awaited: &Awaited) -> HttpResponse {
    let mut response = HttpResponse::empty(204);
    if let Some(next) = &awaited.next {
        let by = next.by.join(" ");
        // Ids may hold what a header cannot.
        let who = if by.is_ascii() { by.as_str() } else { "" };
        let value = format!("{} {who}", next.action).trim_end().to_owned();
        response.headers.push(("x-dbward-awaits", value));
    }
    if let Some(hint) = awaited.queue_hint {
        let header = ("x-dbward-queue-hint", hint.to_owned());
        response.headers.push(header);
    }
    response
}

/// What somebody who waits gets for a request that has no result.
fn ended(ending: &Ending) -> HandlerResult {
    let envelope = json!({
        "success": ending.outcome.is_some_and(ExecutionOutcome::is_success),
        "error_message": ending.message,
        "execution_id": ending.execution_id.as_deref().unwrap_or_default(),
        "outcome": ending.outcome.map(ExecutionOutcome::as_str),
        "outcome_unproven": ending.outcome_unproven,
        "result_data": null,
        "rows_affected": null,
        "truncated": false,
    });
    replies::json(200, &envelope)
}

/// `GET /api/requests/{id}/result/content`: the stored object, byte for byte, or rendered otherwise.
pub fn content(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let execution_id = query.text("execution_id")?;
    let csv = query.one_of("format", "`json` or `csv`", |text| match text {
        "json" => Some(false),
        "csv" => Some(true),
        _ => None,
    })?;
    let table = query.number("result")?;
    let format = match (csv.unwrap_or(false), exactly(&query)?) {
        (true, true) => {
            let message = "query parameters `format=csv` and `values=exact` exclude each other";
            return Err(Error::invalid(message));
        }
        (true, false) => Format::Csv(table),
        (false, true) => Format::Exact,
        (false, false) => Format::Json,
    };
    let complete = query.one_of(
        "complete",
        "`1`, `0`, `true` or `false`",
        |text| match text {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        },
    )?;
    let content = read_results::content(&context.app, caller, ask.id(), execution_id.as_deref())?;
    download(ask.call, content, format, complete.unwrap_or(false))
}

/// Whether `values=exact` is asked for.
fn exactly(query: &Query) -> Result<bool, Error> {
    let values = query.one_of("values", "`exact` or `plain`", |text| match text {
        "exact" => Some(true),
        "plain" => Some(false),
        _ => None,
    })?;
    Ok(values.unwrap_or(false))
}

fn download(call: &HttpRequest, content: Content, format: Format, complete: bool) -> HandlerResult {
    let truncated = Envelope::read(&content.bytes)?.truncated;
    if truncated && complete {
        return Err(Error::conflict(
            "truncated",
            "this result was cut at a limit, so there is no complete one",
        )
        .hint("download what there is without `complete`, or ask for fewer rows"));
    }
    let (mark, extension, media_type) = match format {
        Format::Json => (String::new(), "json", replies::JSON),
        Format::Exact => ("-exact".to_owned(), "json", replies::JSON),
        Format::Csv(table) => (
            table.map_or("-csv".to_owned(), |n| format!("-csv{n}")),
            "csv",
            "text/csv; charset=utf-8; header=present",
        ),
    };
    let etag = format!("\"{}{mark}\"", content.sha256);
    let cut = if truncated { "-truncated" } else { "" };
    let name = format!("result-{}{cut}.{extension}", content.execution_id);
    let mut headers = vec![
        ("etag", etag.clone()),
        ("accept-ranges", "bytes".to_owned()),
    ];
    if truncated {
        headers.push(("x-dbward-truncated", "true".to_owned()));
    }
    let has_it = call
        .header("if-none-match")
        .is_some_and(|known| ranges::names(known, &etag));
    if has_it {
        return Ok(HttpResponse {
            headers,
            ..HttpResponse::empty(304)
        });
    }
    let bytes = match format {
        Format::Json => content.bytes,
        Format::Exact => exact::render(&content.bytes)?,
        Format::Csv(table) => csv::render(&Envelope::read(&content.bytes)?, table)?,
    };
    headers.push(("content-type", media_type.to_owned()));
    headers.push((
        "content-disposition",
        format!("attachment; filename=\"{name}\""),
    ));
    let wanted = call.header("range").filter(|_| {
        let same = call.header("if-range").is_none_or(|tag| tag == etag);
        call.method == "GET" && same
    });
    let total = bytes.len();
    let (status, body) = match ranges::part(wanted, total) {
        ByteRange::Whole => (200, bytes),
        ByteRange::Bytes(range) => {
            let (first, last) = (range.start, range.end - 1);
            headers.push(("content-range", format!("bytes {first}-{last}/{total}")));
            (206, bytes.get(range).unwrap_or_default().to_vec())
        }
        ByteRange::Outside => return Ok(outside(call, total)),
    };
    Ok(HttpResponse {
        status,
        headers,
        body,
        park: None,
    })
}

fn outside(call: &HttpRequest, total: usize) -> HttpResponse {
    let error = Error::new(
        ErrorKind::RangeNotSatisfiable,
        "range_not_satisfiable",
        format!(
            "the result has {}, and none in that range",
            counted(total, "byte")
        ),
    );
    let mut reply = replies::error(&error, &call.request_id);
    reply
        .headers
        .push(("content-range", format!("bytes */{total}")));
    reply
}

/// `GET /api/requests/{id}/executions`
pub fn executions(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let limit = ask.query().capped("limit", EXECUTIONS_DEFAULT, PAGE_MAX)?;
    let found = read_results::executions(&context.app, caller, ask.id(), limit)?;
    let executions: Vec<Value> = found
        .rows
        .iter()
        .map(|(e, stored)| execution(e, *stored))
        .collect();
    let answer = json!({"executions": executions, "results_readable": found.results_readable});
    replies::json(200, &answer)
}

fn execution(e: &Execution, stored: bool) -> Value {
    let started = e.started_at.rfc3339();
    let message = e.error_message.as_deref();
    json!({
        "id": e.id,
        "attempt": e.attempt,
        "agent_id": e.agent_id,
        "status": e.status.as_str(),
        "created_at": started,
        "started_at": started,
        "finished_at": e.finished_at.map(Timestamp::rfc3339),
        "error_message": message.map(|text| excerpt(text, MESSAGE_BYTES)),
        "error_detail": e.error_detail.as_deref().map(|text| excerpt(text, DETAIL_BYTES)),
        "error_message_truncated": message.is_some_and(|text| text.len() > MESSAGE_BYTES),
        "rows_affected": e.rows_affected,
        "duration_ms": e.duration_ms,
        "truncated": e.truncated,
        "late": e.late,
        "outcome": e.outcome.map(ExecutionOutcome::as_str),
        "outcome_unproven": e.outcome_unproven,
        "has_stored_result": stored,
    })
}

/// `GET /api/results`
pub fn list(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let (limit, offset) = ask.query().window(PAGE_DEFAULT, PAGE_MAX)?;
    let items = read_results::list(&context.app, caller, limit, offset)?;
    let results: Vec<Value> = items.iter().map(result).collect();
    let answer = json!({"results": results, "limit": limit, "offset": offset});
    replies::json(200, &answer)
}

fn result(item: &ResultItem) -> Value {
    json!({
        "request_id": item.request_id,
        "execution_id": item.execution_id,
        "database": item.target.database(),
        "environment": item.target.environment(),
        "operation": item.operation.as_str(),
        "stored_at": item.stored_at.rfc3339(),
        "content_length": item.content_length,
    })
}
