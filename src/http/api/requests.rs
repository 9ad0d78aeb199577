//! `/api/requests`: making, listing, looking, and the verbs of people.

use super::ranges;
use super::request_json::{self, RequestJson};
use super::time;
use crate::actions::approve::approve as approve_request;
use crate::actions::cancel::cancel as cancel_request;
use crate::actions::create_request::{Submission, create_request};
use crate::actions::reject::reject as reject_request;
use crate::actions::resume::{ResumeInput, resume as resume_request};
use crate::actions::{allowed, awaited, topics, view_requests};
use crate::crypto;
use crate::domain::actor::Caller;
use crate::domain::id::Operation;
use crate::domain::request::Status;
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::body::JsonFields;
use crate::http::call::HttpResponse;
use crate::http::params::cursor;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::http::wait::TopicWatch;
use crate::store::RequestFilter;
use serde_json::{Value, json};

/// Longest `?wait=`, in seconds; proxies and load balancers give up soon after.
pub const WAIT_SECS_MAX: u64 = 120;
/// Items of a page where the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Items of a page at most: each carries up to 100,000 bytes of SQL.
pub const PAGE_MAX: u32 = 100;
/// What cursors of this list belong to.
const LIST: &str = "requests";

/// Query parameters of the list.
pub const LIST_QUERY: &[&str] = &[
    "limit",
    "offset",
    "cursor",
    "status",
    "user",
    "database",
    "environment",
    "operation",
    "pending_for_me",
    "decided_by_me",
    "wait",
];

/// `POST /api/requests`
pub fn create(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    // Before anything is read: what is shutting down takes nothing on.
    context.app.accepting()?;
    let body = ask.body()?;
    // Kept as it came, digit for digit; read once, so that every client can read it back.
    body.value("metadata")?;
    let created = create_request(
        &context.app,
        caller,
        Submission {
            database: body.needed_text("database")?,
            environment: body.needed_text("environment")?,
            operation: body.text("operation")?.unwrap_or_default(),
            detail: body.needed_text("detail")?,
            reason: body.text("reason")?,
            idempotency_key: idempotency_key(ask, &body)?,
            metadata: body.raw("metadata").map(str::to_owned),
            emergency: body.flag("emergency")?.unwrap_or(false),
            allow_ddl: body.flag("allow_ddl")?.unwrap_or(false),
            no_result_store: body.flag("no_result_store")?.unwrap_or(false),
            share_with: body.texts("share_with")?,
            max_affected_rows: body.number("max_affected_rows")?,
            rehearse: body.flag("rehearse")?.unwrap_or(false),
        },
    )?;
    let status = if created.repeated { 200 } else { 201 };
    let awaited = awaited::after(&context.app, created.left);
    let answer = json!({
        "id": created.id,
        "status": created.status.as_str(),
        "operation": created.operation.as_str(),
        "approvers": created.approvers,
        "expires_at": time(created.expires_at),
        "idempotent": created.repeated,
        "unparsable": request_json::unparsable(created.unparsable.as_ref()),
        "next": request_json::next(awaited.next.as_ref()),
        "queue_hint": awaited.queue_hint,
    });
    replies::json(status, &answer)
}

/// The idempotency key: in the body, or in the header of that name.
fn idempotency_key(ask: &RoutedRequest, body: &JsonFields) -> Result<Option<String>, Error> {
    let in_body = body.text("idempotency_key")?;
    let mut headers = ask.call.headers.iter();
    let mut named = headers
        .by_ref()
        .filter(|(name, _)| name == "idempotency-key");
    let Some((_, in_header)) = named.next() else {
        return Ok(in_body);
    };
    if named.next().is_some() {
        return Err(Error::invalid("repeated `Idempotency-Key` header"));
    }
    match in_body {
        Some(key) if key != *in_header => Err(Error::invalid(
            "the header `Idempotency-Key` and the field `idempotency_key` differ",
        )),
        _ => Ok(Some(in_header.clone())),
    }
}

/// `GET /api/requests`; with `pending_for_me`, `?wait=` and the ETag of an earlier answer, held until it differs.
pub fn list(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let paging = query.paging(LIST, PAGE_DEFAULT, PAGE_MAX)?;
    let decided = query.flag("decided_by_me")?.unwrap_or(false);
    let filter = RequestFilter {
        status: query.one_of("status", "the name of a status", Status::parse)?,
        requester: query.text("user")?,
        database: query.text("database")?,
        environment: query.text("environment")?,
        operations: query.one_of(
            "operation",
            "the name of an operation",
            Operation::parse_filter,
        )?,
        voter: decided.then(|| caller.subject.clone()),
        before: paging.before,
    };
    let (limit, offset) = (paging.limit, paging.offset);
    let wait = query.number("wait")?.unwrap_or(0).min(WAIT_SECS_MAX);
    let inbox = query.flag("pending_for_me")?.unwrap_or(false);
    if inbox && decided {
        return Err(Error::invalid(
            "pending_for_me and decided_by_me exclude each other",
        ));
    }
    if wait > 0 && !inbox {
        return Err(Error::invalid("wait works with pending_for_me=true only")
            .hint("to follow one request, send wait to GET /api/requests/{id}"));
    }
    let watch = match ask.may_wait(wait) {
        true => Some(TopicWatch::begin(
            context,
            caller,
            ask,
            [topics::INBOX.to_owned()],
        )?),
        false => None,
    };
    let page = if inbox {
        view_requests::list_pending_for(&context.app, caller, &filter, limit, offset)?
    } else {
        let count = paging.before.is_none();
        view_requests::list(&context.app, caller, &filter, limit, offset, count)?
    };
    let items: Vec<Value> = page.items.iter().map(request_json::item).collect();
    let mut answer = json!({
        "requests": items,
        "limit": limit,
        "offset": offset,
        "next_cursor": cursor(LIST, page.next),
    });
    if let Some(total) = page.total {
        answer["total"] = total.into();
        answer["total_is_lower_bound"] = page.total_is_lower_bound.into();
    }
    let mut reply = replies::json(200, &answer)?;
    if !inbox {
        return Ok(reply);
    }
    let etag = format!("\"{}\"", crypto::hex(&crypto::sha256(&reply.body)[..16]));
    let held = ask.call.header("if-none-match");
    if held.is_some_and(|list| ranges::names(list, &etag)) {
        if let Some(watch) = watch {
            return Ok(watch.park(ask, wait, ""));
        }
        reply = HttpResponse::empty(304);
    }
    reply.headers.push(("etag", etag));
    Ok(reply)
}

/// `GET /api/requests/{id}`, with `?wait=` held until it moves on: from where it stands, or from where the client `seen`
/// it last: as `status:step`, as `status:step:rehearsal` for who waits for a rehearsal too, or as
/// `status:step:rehearsal:plans:votes` for who waits for the plans of its statements and for every vote as well; `votes` is
/// their number, with the number of those that do not count after a `-`, where there are some.
pub fn show(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let wait = ask.query().number("wait")?.unwrap_or(0).min(WAIT_SECS_MAX);
    let watch = match ask.may_wait(wait) {
        true => Some(TopicWatch::begin(
            context,
            caller,
            ask,
            [topics::request(ask.id())],
        )?),
        false => None,
    };
    let detail = view_requests::show(&context.app, caller, ask.id())?;
    let request = &detail.request;
    let step = format!("{}:{}", request.status(), request.current_step);
    let rehearsal = detail.rehearsal.as_ref();
    let rehearsal = rehearsal.map_or("none", |r| r.status_at(detail.now).as_str());
    let rehearsed = format!("{step}:{rehearsal}");
    let plans = detail.plans().unwrap_or("none");
    let votes = detail.votes.len();
    let whole = match detail.votes.iter().filter(|v| !v.counts).count() {
        0 => format!("{rehearsed}:{plans}:{votes}"),
        struck => format!("{rehearsed}:{plans}:{votes}-{struck}"),
    };
    let seen = ask.query().text("seen")?;
    let asks_for_all = seen.as_ref().is_some_and(|s| s.matches(':').count() > 2);
    let stands = if asks_for_all { &whole } else { &rehearsed };
    // Who saw it elsewhere does not wait: it moved between two of its calls.
    let moved = ask.memo().is_some_and(|memo| memo != stands)
        || seen.is_some_and(|seen| seen != step && seen != *stands);
    if let Some(watch) = watch.filter(|_| !moved && !request.status().is_outcome()) {
        return Ok(watch.park(ask, wait, stands));
    }
    let approvers = view_requests::approvers(&context.app, &detail)?;
    let allowed = allowed::of(&context.app, caller, &detail);
    let shown = RequestJson::new(&detail, &approvers, allowed.as_ref())?;
    let mut reply = replies::json(200, &shown)?;
    let etag = format!("\"{}\"", detail.version());
    reply.headers.push(("etag", etag));
    Ok(reply)
}

/// The `If-Match` of a call: the state of the request that its caller decided on.
fn seen<'a>(ask: &RoutedRequest<'a>) -> Option<&'a str> {
    ask.call.header("if-match")
}

/// `POST /api/requests/{id}/approve`
pub fn approve(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body_if_any()?;
    let (comment, selector) = (body.text("comment")?, body.text("selector")?);
    let approved = approve_request(&context.app, caller, ask.id(), seen(ask), comment, selector)?;
    let awaited = awaited::after(&context.app, approved.left);
    let answer = json!({
        "id": approved.id,
        "status": approved.status.as_str(),
        "approved_by": caller.subject,
        "matched_selector": approved.matched_selector,
        "current_step": approved.current_step,
        "step_completed": approved.current_step,
        "total_steps": approved.total_steps,
        "remaining": request_json::remaining(approved.remaining.as_ref()),
        "next": request_json::next(awaited.next.as_ref()),
        "queue_hint": awaited.queue_hint,
    });
    replies::json(200, &answer)
}

/// `POST /api/requests/{id}/reject`
pub fn reject(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body_if_any()?;
    let (comment, reason) = (body.text("comment")?, body.text("reason")?);
    let status = reject_request(
        &context.app,
        caller,
        ask.id(),
        seen(ask),
        comment.or(reason),
    )?;
    moved(ask, status)
}

/// `POST /api/requests/{id}/cancel`
pub fn cancel(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let reason = ask.body_if_any()?.text("reason")?;
    let status = cancel_request(&context.app, caller, ask.id(), seen(ask), reason)?;
    moved(ask, status)
}

/// `POST /api/requests/{id}/resume`
pub fn resume(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body_if_any()?;
    let input = ResumeInput {
        acknowledge_unknown_outcome: body.flag("acknowledge_unknown_outcome")?.unwrap_or(false),
        reason: body.text("reason")?,
    };
    let (status, left) = resume_request(&context.app, caller, ask.id(), seen(ask), input)?;
    let awaited = awaited::after(&context.app, left);
    let answer = json!({
        "id": ask.id(),
        "status": status.as_str(),
        "next": request_json::next(awaited.next.as_ref()),
        "queue_hint": awaited.queue_hint,
    });
    replies::json(200, &answer)
}

fn moved(ask: &RoutedRequest, status: Status) -> HandlerResult {
    replies::json(200, &json!({"id": ask.id(), "status": status.as_str()}))
}
