//! `/api/tokens`: issuing, listing and revoking.

use super::time;
use crate::actions::tokens::{self, SCOPES_MAX, TokenRequest};
use crate::clock::Timestamp;
use crate::domain::actor::{Caller, SubjectType};
use crate::domain::id::Target;
use crate::error::Error;
use crate::http::Door;
use crate::http::body::Fields;
use crate::http::replies;
use crate::http::router::{Answer, Ask};
use crate::store::TokenRow;
use serde_json::{Value, json};

/// Tokens of a page, at most and where the client does not say: existing clients do not page.
pub const PAGE_MAX: u32 = 1000;

/// `POST /api/tokens`
pub fn create(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let asked = asked(&ask.body()?)?;
    let issued = tokens::create(&door.app, caller, asked)?;
    let answer = json!({
        "id": issued.id,
        "token": issued.secret,
        "prefix": issued.prefix,
        "subject_id": issued.subject_id,
        "expires_at": time(issued.expires_at),
        "permissions": issued.permissions,
    });
    replies::json(201, &answer)
}

fn asked(body: &Fields) -> Result<TokenRequest, Error> {
    let subject_type = SubjectType::parse(&body.needed_text("subject_type")?)
        .ok_or_else(|| Error::invalid("field `subject_type` must be `user` or `agent`"))?;
    let expires_at = match body.text("expires_at")? {
        None => None,
        Some(text) => Some(Timestamp::parse(&text).ok_or_else(|| {
            Error::invalid("field `expires_at` must be a time like 2026-01-02T03:04:05Z")
        })?),
    };
    Ok(TokenRequest {
        subject_id: body.needed_text("subject_id")?,
        subject_type,
        name: body.text("name")?,
        roles: body.texts("roles")?,
        groups: body.texts("groups")?,
        bound_to: bound_to(body)?,
        expires_at,
    })
}

/// The targets that an agent's token is to be bound to: pairs, or each database in each environment, where one of the
/// two lists alone means every name of the other.
fn bound_to(body: &Fields) -> Result<Option<Vec<Target>>, Error> {
    let scope = |database: &str, environment: &str| Target {
        database: database.to_owned(),
        environment: environment.to_owned(),
    };
    let lists = ["databases", "environments"];
    if let Some(pairs) = body.objects("scopes")? {
        if lists.iter().any(|name| body.has(name)) {
            let message =
                "field `scopes` stands for `databases` and `environments`, not beside them";
            return Err(Error::invalid(message));
        }
        let read = |pair: &Fields| -> Result<Target, Error> {
            Ok(scope(
                &pair.needed_text("database")?,
                &pair.needed_text("environment")?,
            ))
        };
        return pairs.iter().map(read).collect::<Result<_, _>>().map(Some);
    }
    if !lists.iter().any(|name| body.has(name)) {
        return Ok(None);
    }
    let names = |name: &str| match body.has(name) {
        true => body.texts(name),
        false => Ok(vec!["*".to_owned()]),
    };
    let (databases, environments) = (names(lists[0])?, names(lists[1])?);
    if databases.len().saturating_mul(environments.len()) > SCOPES_MAX {
        let message = format!("databases and environments make more than {SCOPES_MAX} pairs");
        return Err(Error::invalid(message));
    }
    let pairs = databases
        .iter()
        .flat_map(|d| environments.iter().map(move |e| scope(d, e)));
    Ok(Some(pairs.collect()))
}

/// `GET /api/tokens`
pub fn list(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let (limit, offset) = ask.query().window(PAGE_MAX, PAGE_MAX)?;
    let rows = tokens::list(&door.app, caller, limit, offset)?;
    let now = door.app.clock.now();
    let tokens: Vec<Value> = rows.iter().map(|t| token(t, now)).collect();
    let answer = json!({"tokens": tokens, "limit": limit, "offset": offset});
    replies::json(200, &answer)
}

fn token(t: &TokenRow, now: Timestamp) -> Value {
    let status = match (t.revoked_at, t.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if at <= now => "expired",
        _ => "active",
    };
    json!({
        "id": t.id,
        "token_prefix": t.prefix,
        "name": t.name,
        "subject_id": t.subject_id,
        "subject_type": t.subject_type.as_str(),
        "status": status,
        "roles": t.roles,
        "role_mode": t.role_mode.as_str(),
        "groups": t.groups,
        "issuer": t.issuer,
        "issuers": t.issuers,
        "scopes": t.bound_to.as_ref().map(|targets| {
            let scope = |t: &Target| json!({"database": t.database, "environment": t.environment});
            targets.iter().map(scope).collect::<Vec<_>>()
        }),
        "created_at": t.created_at.rfc3339(),
        "expires_at": time(t.expires_at),
        "revoked_at": time(t.revoked_at),
        "last_used_at": time(t.last_used_at),
    })
}

/// `DELETE /api/tokens/{id}`
pub fn revoke(door: &Door, caller: &Caller, ask: &Ask) -> Answer {
    let at = tokens::revoke(&door.app, caller, ask.id())?;
    let answer = json!({"id": ask.id(), "revoked_at": at.rfc3339()});
    replies::json(200, &answer)
}
