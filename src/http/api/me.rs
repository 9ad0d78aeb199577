//! `GET /api/me`: who the caller is, and what they may do now.

use super::role_json;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::router::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// `GET /api/me`
pub fn show(_: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let rights = &caller.rights;
    let roles: Vec<Value> = rights.held.iter().map(role_json).collect();
    // A token may be limited to less than its subject holds: then these too must grant what is done with it.
    let ceiling: Option<Vec<Value>> = rights
        .ceiling
        .as_ref()
        .map(|roles| roles.iter().map(role_json).collect());
    let permissions: Vec<&str> = Permission::ALL
        .iter()
        .filter(|p| rights.is_of_use(**p))
        .map(|p| p.as_str())
        .collect();
    let answer = json!({
        "subject_id": caller.subject,
        "subject_type": caller.kind.as_str(),
        "roles": roles,
        "token_ceiling": ceiling,
        "permissions": permissions,
        "groups": caller.groups,
    });
    replies::json(200, &answer)
}
