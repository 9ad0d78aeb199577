//! The handlers: each reads what a call says, calls one verb, and writes its answer down. The JSON of both directions
//! is here and nowhere else.

pub mod agents;
pub mod audit;
mod csv;
pub mod databases;
pub mod dry_runs;
mod exact;
pub mod groups;
pub mod health;
pub mod me;
pub mod metrics;
pub mod policies;
pub mod preflight;
pub(super) mod ranges;
pub mod rehearsals;
mod request_json;
pub mod requests;
pub mod resolution;
pub mod results;
pub mod schemas;
pub mod sessions;
pub mod sign_in;
mod table;
pub mod tokens;
pub mod users;
pub mod webhooks;
pub mod work;

use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::permission::{Permission, Role};
use crate::domain::sql;
use crate::error::Error;
use serde_json::{Value, json};
use std::borrow::Cow;

/// A time, or null.
fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::rfc3339)
}

/// The start of a text, at most so many bytes of it, cut between characters.
fn excerpt(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// What people should be shown of a text that hides something from them: what nobody sees is written as `\u{202e}`, and an
/// ellipsis stands where more than `bytes_max` were cut off. None where the text shows all that it is.
fn escaped(text: &str, bytes_max: usize) -> Option<String> {
    let Cow::Owned(mut shown) = sql::escaped_exactly(text) else {
        return None;
    };
    if shown.len() > bytes_max {
        shown.truncate(shown.floor_char_boundary(bytes_max));
        shown.push('…');
    }
    (shown != text).then_some(shown)
}

/// The right to something that belongs to no target.
fn require(caller: &Caller, permission: Permission) -> Result<(), Error> {
    caller.require(permission)
}

/// A role as clients see it; a scope of everything is `*`.
fn role_json(role: &Role) -> Value {
    let scope = |names: &[String]| match names {
        [] => vec!["*".to_owned()],
        names => names.to_vec(),
    };
    let permissions: Vec<&str> = role.permissions.iter().map(|p| p.as_str()).collect();
    json!({
        "name": role.name,
        "permissions": permissions,
        "databases": scope(&role.scope.databases),
        "environments": scope(&role.scope.environments),
        "built_in": role.built_in,
    })
}
