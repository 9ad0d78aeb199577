//! Rehearsals: asked for by people, run by agents.

use super::time;
use crate::actions::rehearse;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::rehearsal::Rehearsal;
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A statement of a rehearsal, as an agent reports it.
#[derive(Serialize, Deserialize)]
struct ReportedStatement {
    kind: String,
    table: String,
    rows: u64,
    #[serde(default)]
    more_rows: u64,
    /// The tables of `more_rows`, where the database tells.
    #[serde(default)]
    more: Vec<ReportedTable>,
}

#[derive(Serialize, Deserialize)]
struct ReportedTable {
    table: String,
    rows: u64,
}

/// A field of an agent's report; null where it is not what it should be.
fn reported<T: Serialize + DeserializeOwned>(report: &Map<String, Value>, name: &str) -> Value {
    let read = report
        .get(name)
        .and_then(|value| T::deserialize(value).ok());
    read.map_or(Value::Null, |read| json!(read))
}

/// `POST /api/requests/{id}/rehearse`
pub fn ask(context: &HttpContext, caller: &Caller, request: &RoutedRequest) -> HandlerResult {
    let rehearsal = rehearse::ask(&context.app, caller, request.id())?;
    replies::json(202, &shown(&rehearsal, rehearsal.asked_at, false))
}

/// `POST /api/agent/rehearsals/{id}/claim`
pub fn claim(context: &HttpContext, caller: &Caller, request: &RoutedRequest) -> HandlerResult {
    let claimed = rehearse::claim(&context.app, caller, request.id())?;
    let plan = claimed.plan_json.as_deref();
    let plan: Option<Box<RawValue>> = plan
        .map(serde_json::from_str)
        .transpose()
        .map_err(|e| Error::internal("a stored plan is not JSON", e))?;
    let target = &claimed.request.target;
    let answer = json!({
        "rehearsal_id": claimed.id,
        "request_id": claimed.request.id,
        "operation": claimed.request.operation.as_str(),
        "database": target.database(),
        "environment": target.environment(),
        "detail": claimed.detail,
        "execution_plan": plan,
        "execution_plan_json": claimed.plan_json,
        "rehearsal_token": claimed.token_json,
    });
    replies::json(200, &answer)
}

/// `POST /api/agent/rehearsals/{id}/result`
pub fn result(context: &HttpContext, caller: &Caller, request: &RoutedRequest) -> HandlerResult {
    let body = request.body()?;
    // Read whole, so that what a strict reader refuses is a 400 here and nothing that fails later; kept as it came.
    body.value("result")?;
    let result = body.raw("result").map(str::to_owned);
    let error = body.text("error")?;
    let status = rehearse::finish(&context.app, caller, request.id(), result, error)?;
    replies::json(200, &json!({"status": status.as_str()}))
}

/// A rehearsal as people see it at `now`. `has_run` says that the request has run since.
pub(super) fn shown(rehearsal: &Rehearsal, now: Timestamp, has_run: bool) -> Value {
    let report = rehearsal.result_json.as_deref();
    let report: Map<String, Value> = report
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    json!({
        "id": rehearsal.id,
        "status": rehearsal.status_at(now).as_str(),
        "stale": rehearsal.is_stale(now, has_run),
        "asked_by": rehearsal.asked_by,
        "asked_at": time(Some(rehearsal.asked_at)),
        "rehearsed_at": time(rehearsal.finished_at.filter(|_| rehearsal.rows_affected.is_some())),
        "agent_id": rehearsal.agent_id,
        "rows_affected": rehearsal.rows_affected,
        "error_message": rehearsal.error_message,
        "statements": reported::<Vec<ReportedStatement>>(&report, "statements"),
        "triggers": reported::<Vec<String>>(&report, "triggers"),
        "warnings": reported::<Vec<String>>(&report, "warnings"),
        "lock_wait_ms": reported::<u64>(&report, "lock_wait_ms"),
    })
}
