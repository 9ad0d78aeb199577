//! `GET /api/me`: who the caller is, and what they may do now.

use super::{role_json, time};
use crate::domain::actor::Caller;
use crate::domain::permission::{Permission, Rights, Role};
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::http::site;
use serde_json::{Value, json};

/// `GET /api/me`
pub fn show(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let rights = &caller.rights;
    let answer = json!({
        "subject_id": caller.subject,
        "subject_type": caller.kind.as_str(),
        "roles": roles(&rights.held),
        "token_ceiling": rights.ceiling.as_deref().map(roles),
        "permissions": permissions(rights),
        "groups": caller.groups,
        "session": session(context, caller, ask),
        "server_time": context.app.clock.now().rfc3339(),
    });
    replies::json(200, &answer)
}

/// The session of the call, with what a page must send with changes in it; null for a token.
fn session(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> Value {
    match &caller.session_id {
        None => Value::Null,
        Some(id) => json!({
            "id": id,
            "csrf_token": site::csrf_token_of(context, ask.call),
            "expires_at": time(caller.expires_at),
        }),
    }
}

/// Roles with what they permit. Where a token is limited to less than its subject holds, those of its ceiling too must
/// grant what is done with it.
pub(super) fn roles(roles: &[Role]) -> Vec<Value> {
    roles.iter().map(role_json).collect()
}

/// Everything that can be done somewhere.
pub(super) fn permissions(rights: &Rights) -> Vec<&'static str> {
    let usable = Permission::ALL.iter().filter(|p| rights.is_of_use(**p));
    usable.map(|p| p.as_str()).collect()
}
