//! `/api/groups`: the groups of the configuration.

use crate::actions::groups::{self, GroupDetail};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// `GET /api/groups`
pub fn list(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let groups = groups::list(&context.app, caller)?;
    let groups: Vec<Value> = groups.iter().map(group).collect();
    replies::json(200, &json!({"groups": groups}))
}

/// `GET /api/groups/{name}`
pub fn show(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    replies::json(200, &group(&groups::show(&context.app, caller, ask.id())?))
}

fn group(g: &GroupDetail) -> Value {
    json!({
        "name": g.name,
        "source": if g.is_defined { "config" } else { "claims" },
        "on_call": g.on_call.as_ref().map(|o| json!({
            "by": o.by,
            "answered_at": o.answered_at.map(Timestamp::rfc3339),
            "failure": o.failure,
        })),
        "from_claim": g.from_claim,
        "members": g.members,
        "roles": g.roles,
    })
}
