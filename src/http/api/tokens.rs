//! `/api/tokens`: issuing, listing and revoking.

use super::{me, time};
use crate::actions::tokens;
use crate::clock::Timestamp;
use crate::domain::actor::{Caller, SubjectType};
use crate::domain::permission::Role;
use crate::domain::scope::Scope;
use crate::domain::token::StoredToken;
use crate::domain::token::issue::TokenRequest;
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::body::JsonFields;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// Tokens of a page, at most and where the client does not say: existing clients do not page.
pub const PAGE_MAX: u32 = 1000;

/// `POST /api/tokens`
pub fn create(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let asked = asked(&ask.body()?)?;
    let issued = tokens::create(&context.app, caller, asked)?;
    let mut answer = json!({
        "id": issued.id,
        "token": issued.secret,
        "prefix": issued.prefix,
        "subject_id": issued.subject_id,
        "expires_at": time(issued.expires_at),
        "expires_at_inherited": issued.expires_at_inherited,
        "permissions": issued.permissions,
    });
    if let Some(warning) = issued.warning {
        answer["warning"] = warning.into();
    }
    replies::json(201, &answer)
}

/// Members of a token's body; another one is refused, since it could have been meant to limit what the token does.
const FIELDS: [&str; 8] = [
    "subject_id",
    "subject_type",
    "name",
    "roles",
    "groups",
    "expires_at",
    "bound_to",
    "scope_ceiling",
];

fn asked(body: &JsonFields) -> Result<TokenRequest, Error> {
    body.only(&FIELDS)?;
    let subject_id = body.text("subject_id")?.filter(|id| !id.is_empty());
    let subject_id = subject_id.ok_or_else(|| Error::invalid("subject_id is required"))?;
    let subject_type = SubjectType::parse(&body.needed_text("subject_type")?)
        .ok_or_else(|| Error::invalid("field `subject_type` must be `user` or `agent`"))?;
    let expires_at = match body.text("expires_at")? {
        None => None,
        Some(text) => Some(Timestamp::parse(&text).ok_or_else(|| {
            Error::invalid("field `expires_at` must be a time like 2026-01-02T03:04:05Z")
        })?),
    };
    let (roles, is_ceiling) = roles(body, subject_type)?;
    Ok(TokenRequest {
        subject_id,
        subject_type,
        name: body.text("name")?,
        roles,
        is_ceiling,
        groups: body.texts("groups")?,
        bound_to: bound_to(body)?,
        expires_at,
    })
}

/// The roles of a token, and whether they are a ceiling whatever its subject holds. Exactly one of `roles` and
/// `scope_ceiling` is given: a token without a limit is asked for by `"roles": []` or `"scope_ceiling": null`, never by
/// leaving something out.
fn roles(body: &JsonFields, subject_type: SubjectType) -> Result<(Vec<String>, bool), Error> {
    let ceiling = body.mentions("scope_ceiling");
    match (body.has("roles"), ceiling) {
        (true, true) => Err(Error::invalid(
            "fields `roles` and `scope_ceiling` exclude each other",
        )),
        (false, false) => Err(
            Error::invalid("field `roles` or `scope_ceiling` is missing")
                .hint("`\"roles\": []` is a token with the roles its subject holds at each call"),
        ),
        (true, false) => Ok((body.texts("roles")?, false)),
        (false, true) if body.has("scope_ceiling") => {
            let limits = body.object("scope_ceiling")?;
            limits.only(&["roles"])?;
            let roles = limits.texts("roles")?;
            if roles.is_empty() {
                return Err(limits
                    .missing("roles")
                    .hint("name at least one role, or give `\"scope_ceiling\": null`"));
            }
            Ok((roles, true))
        }
        (false, true) => match subject_type {
            SubjectType::Agent => Ok((vec![Role::AGENT.to_owned()], false)),
            SubjectType::User => Ok((Vec::new(), false)),
        },
    }
}

/// The targets that an agent's token is to be bound to: pairs, where `*` stands for every name.
fn bound_to(body: &JsonFields) -> Result<Option<Vec<Scope>>, Error> {
    let Some(pairs) = body.objects("bound_to")? else {
        return Ok(None);
    };
    let scope = |pair: &JsonFields| {
        pair.only(&["database", "environment"])?;
        Ok(Scope::of(
            &pair.needed_text("database")?,
            &pair.needed_text("environment")?,
        ))
    };
    pairs.iter().map(scope).collect::<Result<_, _>>().map(Some)
}

/// `GET /api/tokens`
pub fn list(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let (limit, offset) = ask.query().window(PAGE_MAX, PAGE_MAX)?;
    let rows = tokens::list(&context.app, caller, limit, offset)?;
    let now = context.app.clock.now();
    let tokens: Vec<Value> = rows.iter().map(|t| token(t, now)).collect();
    let answer = json!({"tokens": tokens, "limit": limit, "offset": offset});
    replies::json(200, &answer)
}

/// `GET /api/tokens/{id}/inspect`
pub fn inspect(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let known = tokens::inspect(&context.app, caller, ask.id())?;
    let mut answer = token(&known.stored, context.app.clock.now());
    answer["is_valid"] = known.rejection_reason.is_none().into();
    answer["rejection_reason"] = known.rejection_reason.into();
    answer["effective"] = json!({
        "roles": me::roles(&known.rights.held),
        "token_ceiling": known.rights.ceiling.as_deref().map(me::roles),
        "permissions": me::permissions(&known.rights),
        "groups": known.groups,
    });
    replies::json(200, &answer)
}

fn token(t: &StoredToken, now: Timestamp) -> Value {
    let status = match (t.revoked_at, t.token.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if at <= now => "expired",
        _ => "active",
    };
    json!({
        "id": t.token.id,
        "token_prefix": t.token.prefix,
        "name": t.token.name,
        "subject_id": t.token.subject_id,
        "subject_type": t.token.subject_type.as_str(),
        "status": status,
        "roles": t.token.roles,
        "role_mode": t.token.role_mode.as_str(),
        "groups": t.token.groups,
        "issuer": t.token.issuer,
        "issuers": t.token.issuers,
        "parent_id": t.token.parent_id,
        "bound_to": t.token.bound_to.as_ref().map(|targets| {
            let scope = |t: &Scope| json!({"database": t.database, "environment": t.environment});
            targets.iter().map(scope).collect::<Vec<_>>()
        }),
        "created_at": t.created_at.rfc3339(),
        "expires_at": time(t.token.expires_at),
        "revoked_at": time(t.revoked_at),
        "last_used_at": time(t.last_used_at),
    })
}

/// `DELETE /api/tokens/{id}`
pub fn revoke(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let all = ask.query().flag("descendants")?.unwrap_or(false);
    let revoked = tokens::revoke(&context.app, caller, ask.id(), all)?;
    let answer = json!({
        "id": ask.id(),
        "revoked_at": revoked.at.rfc3339(),
        "ended_descendants": in_short(&revoked.descendants.ended),
        "kept_descendants": in_short(&revoked.descendants.kept),
    });
    replies::json(200, &answer)
}

/// Tokens in an answer about another one: which, and whose.
pub(super) fn in_short(tokens: &[StoredToken]) -> Vec<Value> {
    let short = |t: &StoredToken| {
        json!({
            "id": t.token.id,
            "token_prefix": t.token.prefix,
            "subject_id": t.token.subject_id,
            "subject_type": t.token.subject_type.as_str(),
        })
    };
    tokens.iter().map(short).collect()
}
