//! People: the list, linking a Slack account, suspending and letting back in.

use super::tokens::in_short;
use super::{role_json, time};
use crate::actions::users::{self, UserDetail};
use crate::domain::actor::Caller;
use crate::domain::user::{Access, AccessSource};
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Map, Value, json};

/// People of one page, where the caller does not say less.
const PEOPLE_MAX: u32 = 1000;
/// The warning for a person whom server.toml names.
const MANAGED: &str = "this user is managed by server.toml: the status there comes back with the next start or reload; \
     set it in [[users]] to make this permanent";
/// What only configuration or a token says of a person.
const NOT_HERE: [&str; 5] = ["role", "roles", "groups", "subject_type", "status"];

/// `GET /api/users`
pub fn list(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let (limit, offset) = ask.query().window(PEOPLE_MAX, PEOPLE_MAX)?;
    let people = users::list(&context.app, caller, limit, offset)?;
    let people: Vec<Value> = people.iter().map(shown).collect();
    let answer = json!({"users": people, "limit": limit, "offset": offset});
    replies::json(200, &answer)
}

/// `GET /api/users/{id}`
pub fn show(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let person = users::show(&context.app, caller, ask.id())?;
    replies::json(200, &shown(&person))
}

/// `PATCH /api/users/{id}`
pub fn update(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body()?;
    if let Some(name) = NOT_HERE.iter().find(|name| body.mentions(name)) {
        return Err(Error::invalid(format!("field `{name}` cannot be changed here"))
            .hint("roles and groups come from server.toml and tokens; suspend and activate are calls of their own"));
    }
    if !body.mentions("slack_user_id") {
        return Err(body.missing("slack_user_id"));
    }
    let slack_user_id = body.text("slack_user_id")?;
    users::link_slack(&context.app, caller, ask.id(), slack_user_id.clone())?;
    replies::json(
        200,
        &json!({"id": ask.id(), "slack_user_id": slack_user_id}),
    )
}

/// `POST /api/users/{id}/suspend`
pub fn suspend(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    ask.body_if_any()?;
    let all = ask.query().flag("descendants")?.unwrap_or(false);
    let done = users::suspend(&context.app, caller, ask.id(), all)?;
    let mut answer = Map::new();
    answer.insert("id".into(), ask.id().into());
    answer.insert("revoked_tokens".into(), done.revoked_tokens.into());
    answer.insert("cancelled_requests".into(), done.cancelled.into());
    let descendants = &done.descendants;
    answer.insert(
        "ended_descendants".into(),
        in_short(&descendants.ended).into(),
    );
    answer.insert(
        "kept_descendants".into(),
        in_short(&descendants.kept).into(),
    );
    warn(&mut answer, done.managed_by_config);
    replies::json(200, &Value::Object(answer))
}

/// `POST /api/users/{id}/activate`
pub fn activate(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    ask.body_if_any()?;
    let managed = users::activate(&context.app, caller, ask.id())?;
    let mut answer = Map::new();
    answer.insert("id".into(), ask.id().into());
    warn(&mut answer, managed);
    replies::json(200, &Value::Object(answer))
}

fn warn(answer: &mut Map<String, Value>, managed_by_config: bool) {
    if managed_by_config {
        answer.insert("source".into(), "config".into());
        answer.insert("warning".into(), MANAGED.into());
    }
}

fn shown(known: &UserDetail) -> Value {
    let user = &known.user;
    json!({
        "id": user.id,
        "subject_type": user.subject_type.as_str(),
        "status": if user.active { "active" } else { "suspended" },
        "source": user.source,
        "roles": known.roles,
        "groups": known.groups,
        "access": access(&known.access),
        "claims_seen_at": time(known.seen.as_ref().map(|seen| seen.at)),
        "slack_user_id": user.slack_user_id,
        "display_name": known.seen.as_ref().and_then(|seen| seen.name.as_deref()),
        "email": known.seen.as_ref().and_then(|seen| seen.email.as_ref()).or(user.claimed_email.as_ref()),
        "created_at": time(Some(user.created_at)),
        "updated_at": time(Some(user.updated_at)),
        "last_seen_at": time(user.last_seen_at),
    })
}

/// Roles and groups, each with what gives it.
fn access(access: &Access) -> Value {
    let roles: Vec<Value> = access
        .roles
        .iter()
        .map(|held| {
            let mut json = role_json(&held.role);
            given_by(&mut json, &held.source);
            json
        })
        .collect();
    let groups: Vec<Value> = access
        .groups
        .iter()
        .map(|held| {
            let mut json = json!({"name": held.group});
            given_by(&mut json, &held.source);
            json
        })
        .collect();
    json!({"roles": roles, "groups": groups})
}

fn given_by(json: &mut Value, source: &AccessSource) {
    let (name, group, token_id) = match source {
        AccessSource::Config => ("config", None, None),
        AccessSource::OnCall => ("on_call", None, None),
        AccessSource::Group(group) => ("group", Some(group), None),
        AccessSource::Default => ("default", None, None),
        AccessSource::Token(id) => ("token", None, Some(id)),
        AccessSource::Claims => ("claims", None, None),
    };
    json["source"] = name.into();
    json["group"] = json!(group);
    json["token_id"] = json!(token_id);
}
