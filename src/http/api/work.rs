//! `/api/agent`: what agents report and receive, and the key that they hold us to.

use crate::actions::agent_poll::{self, AgentWork};
use crate::actions::claim::{Claimed, claim as claim_job};
use crate::actions::heartbeat::heartbeat as extend;
use crate::actions::submit_result::{self, submit_result};
use crate::actions::topics;
use crate::crypto::hex;
use crate::domain::actor::Caller;
use crate::domain::agent::{AgentReport, MIN_AGENT_VERSION};
use crate::domain::request::ExecutionOutcome;
use crate::error::{Error, Shown};
use crate::gate::{ResumeReason, Wake};
use crate::http::HttpContext;
use crate::http::body::JsonFields;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::http::wait::{OWN_TOPICS_MAX, TURNED_AWAY_RETRY_SECS, TopicWatch};
use crate::store::{DispatchedJob, DryRun, WaitingRehearsal};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Longest wait of a poll, in seconds: existing agents give a call up after 30.
pub const POLL_SECS_MAX: u64 = 30;
/// The same for an agent that serves more targets than can be watched: it looks again after this.
const POLL_SECS_WIDE: u64 = 2;

/// `GET /api/public-key`
pub fn public_key(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let key = hex(&context.app.signer.public().bytes());
    let answer = json!({"public_key": key, "agent_id": caller.subject});
    replies::json(200, &answer)
}

/// `POST /api/agent/poll`: with `wait`, held until a job is there.
pub fn poll(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body()?;
    let wait = body.number("wait")?.unwrap_or(0).min(POLL_SECS_MAX);
    let report = report(&body)?;
    let targets = agent_poll::watched(&context.app, caller, &report)?;
    let wide = targets.len() > OWN_TOPICS_MAX;
    let watch = match ask.may_wait(wait) {
        true => Some(TopicWatch::begin(
            context,
            caller,
            ask,
            targets.iter().map(topics::jobs),
        )?),
        false => None,
    };
    let first = ask.call.resume.is_none();
    let work = agent_poll::poll(&context.app, caller, &report, first)?;
    let passed_on = pass_on(context, ask, &work);
    let rehearsals = work.rehearsals.as_deref();
    let idle =
        work.jobs.is_empty() && work.dry_runs.is_empty() && rehearsals.is_none_or(<[_]>::is_empty);
    if let Some(watch) = watch.filter(|_| idle && work.waits) {
        let wait = if wide { wait.min(POLL_SECS_WIDE) } else { wait };
        return Ok(watch.park_in_line(ask, wait, &passed_on.to_string()));
    }
    let jobs: Vec<Value> = work.jobs.iter().map(job).collect();
    let dry_runs: Vec<Value> = work.dry_runs.iter().map(dry_run).collect();
    let mut answer = json!({
        "jobs": jobs,
        "dry_run_jobs": dry_runs,
        "server_version": context.version,
        "min_agent_version": MIN_AGENT_VERSION,
        "upgrade_required": work.upgrade_required,
    });
    // Agents that rehearse nothing get nothing new.
    if let Some(rehearsals) = rehearsals {
        answer["rehearsal_jobs"] = rehearsals.iter().map(rehearsal_job).collect();
    }
    let mut reply = replies::json(200, &answer)?;
    if wait > 0 && context.app.is_draining() {
        replies::retry_after(&mut reply, TURNED_AWAY_RETRY_SECS);
    }
    Ok(reply)
}

/// An agent that was woken for a job that it leaves wakes the next in line, once for each job: the number of the newest
/// dispatch that it passed on goes with it. Without that number two agents that cannot run a job would wake each other
/// for ever.
fn pass_on(context: &HttpContext, ask: &RoutedRequest, work: &AgentWork) -> i64 {
    let before: i64 = ask.memo().and_then(|m| m.parse().ok()).unwrap_or(0);
    let woken = ask
        .call
        .resume
        .as_ref()
        .is_some_and(|r| r.reason == ResumeReason::Event);
    let mut newest = before;
    for (target, dispatch_seq) in &work.left {
        if *dispatch_seq > before {
            newest = newest.max(*dispatch_seq);
            if woken {
                context.hub.publish(&topics::jobs(target), Wake::One);
            }
        }
    }
    newest
}

fn report(body: &JsonFields) -> Result<AgentReport, Error> {
    let capabilities = body.object("capabilities")?;
    let status = body.object("status")?;
    let scopes = capabilities.objects("scopes")?;
    let mut pairs = Vec::new();
    for scope in scopes.iter().flatten() {
        pairs.push((
            scope.needed_text("database")?,
            scope.needed_text("environment")?,
        ));
    }
    // Pairs say exactly what there is; the two lists next to them are for servers that do not read pairs.
    let mut databases = capabilities.texts("databases")?;
    let mut environments = capabilities.texts("environments")?;
    if scopes.is_some() {
        (databases, environments) = (Vec::new(), Vec::new());
    } else if !capabilities.has("databases") {
        return Err(capabilities.missing("databases"));
    }
    Ok(AgentReport {
        databases,
        environments,
        scopes: pairs,
        operations: capabilities.texts("operations")?,
        in_flight: status.small_number("in_flight")?.unwrap_or(0),
        max_concurrent: status.small_number("max_concurrent")?,
        draining: status.flag("draining")?.unwrap_or(false),
        uptime_secs: status.number("uptime_secs")?.unwrap_or(0),
        active_jobs: status.value("active_jobs")?,
        agent_version: body.text("agent_version")?,
        limit: body.small_number("limit")?,
        features: body.texts("features")?,
    })
}

fn job(job: &DispatchedJob) -> Value {
    json!({
        "id": job.id,
        "created_by": job.requester,
        "database": job.target.database(),
        "environment": job.target.environment(),
        "operation": job.operation.as_str(),
        "detail": job.detail,
    })
}

fn dry_run(job: &DryRun) -> Value {
    json!({
        "id": job.id,
        "request_id": job.request_id,
        "database": job.target.database(),
        "environment": job.target.environment(),
        "dialect": job.dialect.as_str(),
        "sql": job.sql,
    })
}

fn rehearsal_job(job: &WaitingRehearsal) -> Value {
    json!({
        "id": job.id,
        "request_id": job.request_id,
        "database": job.target.database(),
        "environment": job.target.environment(),
        "dialect": job.dialect.as_str(),
    })
}

/// A claim, as the agent that made it reads it.
#[derive(Serialize)]
struct ClaimJson<'a> {
    execution_id: &'a str,
    request_id: &'a str,
    operation: &'static str,
    database: &'a str,
    environment: &'a str,
    detail: &'a str,
    execution_token: &'a str,
    statement_timeout_secs: u64,
    max_rows: Option<u64>,
    lease_expires_at: String,
    execution_plan: Option<&'a RawValue>,
    execution_plan_json: Option<&'a str>,
}

/// `POST /api/agent/jobs/{request_id}/claim`
pub fn claim(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    // Before anything is read: what is shutting down hands nothing out.
    context.app.accepting()?;
    let claim_key = ask.body_if_any()?.text("claim_key")?;
    let claimed = claim_job(&context.app, caller, ask.id(), claim_key)?;
    let Claimed { request, text, .. } = &claimed;
    let plan = text.plan_json.as_deref();
    let answer = ClaimJson {
        execution_id: &claimed.execution_id,
        request_id: &request.id,
        operation: request.operation.as_str(),
        database: request.target.database(),
        environment: request.target.environment(),
        detail: &text.detail,
        execution_token: &claimed.token_json,
        statement_timeout_secs: claimed.statement_timeout_secs,
        max_rows: claimed.max_rows,
        lease_expires_at: claimed.lease_until.rfc3339(),
        execution_plan: plan
            .map(serde_json::from_str)
            .transpose()
            .map_err(|e| Error::internal("a stored plan is not JSON", e))?,
        execution_plan_json: plan,
    };
    replies::json(200, &answer)
}

/// `POST /api/agent/jobs/{execution_id}/heartbeat`
pub fn heartbeat(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let cancelled = extend(&context.app, caller, ask.id())?;
    replies::json(200, &json!({"cancelled": cancelled}))
}

/// `POST /api/agent/jobs/{execution_id}/result`
pub fn result(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let reported = match ask.call.oversize {
        Some(bytes) => submit_result::oversize(&context.app, caller, ask.id(), bytes)?,
        None => {
            let report = outcome(&ask.body()?)?;
            submit_result(&context.app, caller, ask.id(), report)?
        }
    };
    let answer = json!({
        "request_id": reported.request_id,
        "status": reported.status.as_str(),
    });
    replies::json(200, &answer)
}

fn outcome(body: &JsonFields) -> Result<submit_result::ExecutionReport, Error> {
    let success = body.flag("success")?;
    Ok(submit_result::ExecutionReport {
        success: success.ok_or_else(|| body.missing("success"))?,
        outcome: reported_outcome(body)?,
        result_data: result_data(body)?,
        error_message: body.text("error_message")?,
        error_detail: body.text("error_detail")?,
        rows_affected: body.number("rows_affected")?,
        duration_ms: body.number("duration_ms")?,
        truncated: body.flag("truncated")?.unwrap_or(false),
    })
}

/// What the agent says is left in the database.
fn reported_outcome(body: &JsonFields) -> Result<Option<ExecutionOutcome>, Error> {
    let Some(text) = body.text("outcome")? else {
        return Ok(None);
    };
    let known = ExecutionOutcome::REPORTED.map(ExecutionOutcome::as_str);
    let outcome = ExecutionOutcome::parse(&text).ok_or_else(|| {
        Error::invalid(format!("`outcome` is `{}`, which is unknown", Shown(&text)))
            .hint(format!("known are {}", known.join(", ")))
    })?;
    Ok(Some(outcome))
}

/// The result's JSON, as the bytes that came: from inside a string, where existing agents put it, or as it stands.
fn result_data(body: &JsonFields) -> Result<Option<String>, Error> {
    match body.raw("result_data") {
        Some(text) if !text.starts_with('"') => Ok(Some(text.to_owned())),
        _ => body.text("result_data"),
    }
}
