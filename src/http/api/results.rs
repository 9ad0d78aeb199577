//! Results and executions: waited for, downloaded whole or in part, and listed.

use super::csv;
use super::ranges::{self, Part};
use crate::actions::read_results::{self, Content, Streamed};
use crate::actions::topics;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::request::Status;
use crate::error::{Error, ErrorKind};
use crate::http::Door;
use crate::http::call::{Call, Reply};
use crate::http::replies;
use crate::http::router::{Answer, Ask};
use crate::http::wait::Watch;
use crate::store::{ExecutionRow, ResultItem};
use serde_json::{Value, json};

/// How long a stream waits at most, and where the client does not say, in seconds.
pub const STREAM_SECS_MAX: u64 = 300;
/// Executions of a page where the client does not say.
pub const EXECUTIONS_DEFAULT: u32 = 20;
/// Results of a page where the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Results, or executions, of a page at most.
pub const PAGE_MAX: u32 = 100;

/// What a download is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

/// `GET /api/requests/{id}/result/stream`: held until there is an outcome.
pub fn stream(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let wait = ask.query().number("wait")?.unwrap_or(STREAM_SECS_MAX);
    let wait = wait.min(STREAM_SECS_MAX);
    let watch = match ask.may_wait(wait) {
        true => Some(Watch::begin(
            door,
            caller,
            ask,
            [topics::request(ask.id())],
        )?),
        false => None,
    };
    match read_results::stream(&door.app, caller, ask.id())? {
        Streamed::Envelope(bytes) => Ok(Reply::with_body(200, replies::JSON, &*bytes)),
        Streamed::Ended(status) => ended(status),
        Streamed::NotYet => Ok(match watch {
            Some(watch) => watch.park(ask, wait, ""),
            None => Reply::empty(204),
        }),
    }
}

/// What somebody who waits is told of a request that will have no result.
fn ended(status: Status) -> Answer {
    let envelope = json!({
        "success": false,
        "error_message": format!("request {status}"),
        "execution_id": "",
        "result_data": null,
        "rows_affected": null,
        "truncated": false,
    });
    replies::json(200, &envelope)
}

/// `GET /api/requests/{id}/result/content`: the stored object, byte for byte, or its rows as CSV.
pub fn content(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let query = ask.query();
    let execution_id = query.text("execution_id")?;
    let format = query.one_of("format", "`json` or `csv`", |text| match text {
        "json" => Some(Format::Json),
        "csv" => Some(Format::Csv),
        _ => None,
    })?;
    let content = read_results::content(&door.app, caller, ask.id(), execution_id.as_deref())?;
    download(ask.call, content, format.unwrap_or(Format::Json))
}

fn download(call: &Call, content: Content, format: Format) -> Answer {
    let (etag, name, media_type) = match format {
        Format::Json => (
            format!("\"{}\"", content.sha256),
            format!("result-{}.json", content.execution_id),
            replies::JSON,
        ),
        Format::Csv => (
            format!("\"{}-csv\"", content.sha256),
            format!("result-{}.csv", content.execution_id),
            "text/csv; charset=utf-8; header=present",
        ),
    };
    let mut headers = vec![
        ("etag", etag.clone()),
        ("accept-ranges", "bytes".to_owned()),
    ];
    let has_it = call
        .header("if-none-match")
        .is_some_and(|known| ranges::names(known, &etag));
    if has_it {
        return Ok(Reply {
            headers,
            ..Reply::empty(304)
        });
    }
    let bytes = match format {
        Format::Json => content.bytes,
        Format::Csv => csv::render(&content.bytes)?,
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
        Part::Whole => (200, bytes),
        Part::Bytes(range) => {
            let (first, last) = (range.start, range.end - 1);
            headers.push(("content-range", format!("bytes {first}-{last}/{total}")));
            (206, bytes.get(range).unwrap_or_default().to_vec())
        }
        Part::Outside => return Ok(outside(call, total)),
    };
    Ok(Reply {
        status,
        headers,
        body,
        park: None,
    })
}

fn outside(call: &Call, total: usize) -> Reply {
    let error = Error::new(
        ErrorKind::RangeNotSatisfiable,
        "range_not_satisfiable",
        format!("the result has {total} bytes, and none in that range"),
    );
    let mut reply = replies::error(&error, &call.request_id);
    reply
        .headers
        .push(("content-range", format!("bytes */{total}")));
    reply
}

/// `GET /api/requests/{id}/executions`
pub fn executions(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let limit = ask.query().capped("limit", EXECUTIONS_DEFAULT, PAGE_MAX)?;
    let rows = read_results::executions(&door.app, caller, ask.id(), limit)?;
    let executions: Vec<Value> = rows
        .iter()
        .map(|(e, stored)| execution(e, *stored))
        .collect();
    replies::json(200, &json!({"executions": executions}))
}

fn execution(e: &ExecutionRow, stored: bool) -> Value {
    let started = e.started_at.rfc3339_offset();
    json!({
        "id": e.id,
        "attempt": e.attempt,
        "agent_id": e.agent_id,
        "status": e.status.as_str(),
        "created_at": started,
        "started_at": started,
        "finished_at": e.finished_at.map(Timestamp::rfc3339_offset),
        "error_message": e.error_message,
        "rows_affected": e.rows_affected,
        "duration_ms": e.duration_ms,
        "truncated": e.truncated,
        "late": e.late,
        "has_stored_result": stored,
    })
}

/// `GET /api/results`
pub fn list(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let (limit, offset) = ask.query().window(PAGE_DEFAULT, PAGE_MAX)?;
    let items = read_results::list(&door.app, caller, limit, offset)?;
    let results: Vec<Value> = items.iter().map(result).collect();
    let answer = json!({"results": results, "limit": limit, "offset": offset});
    replies::json(200, &answer)
}

fn result(item: &ResultItem) -> Value {
    json!({
        "request_id": item.request_id,
        "execution_id": item.execution_id,
        "database": item.target.database,
        "environment": item.target.environment,
        "operation": item.operation.as_str(),
        "stored_at": item.stored_at.rfc3339_offset(),
        "content_length": item.content_length,
    })
}
