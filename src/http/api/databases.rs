//! `GET /api/databases`: what the caller may see of what is registered.

use crate::actions::view_requests;
use crate::domain::actor::Caller;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// `GET /api/databases`
pub fn list(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let targets = view_requests::databases(&context.app, caller)?;
    let databases: Vec<Value> = targets
        .iter()
        .map(|t| json!({"database": t.database(), "environment": t.environment()}))
        .collect();
    replies::json(200, &json!({"databases": databases}))
}
