//! Statements that agents explain for reviewers.

use crate::actions::dry_run;
use crate::domain::actor::Caller;
use crate::gate::Wake;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::json;

/// `POST /api/agent/dry-run/{id}/claim`
pub fn claim(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let claim_token = dry_run::claim(&context.app, caller, ask.id())?;
    replies::json(200, &json!({"claim_token": claim_token}))
}

/// `POST /api/agent/dry-run/{id}/result`
pub fn result(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body()?;
    let claim_token = body.needed_text("claim_token")?;
    // Read whole, so that what a strict reader refuses is a 400 here and nothing that fails later; kept as it came.
    body.value("result")?;
    let plan = body.raw("result").map(str::to_owned);
    let error = body.text("error")?;
    let topic = dry_run::finish(&context.app, caller, ask.id(), &claim_token, plan, error)?;
    context.hub.publish(&topic, Wake::All);
    replies::json(200, &json!({"status": "accepted"}))
}
