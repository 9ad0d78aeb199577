//! JSON of lists kept with a row: selectors and names. A corrupt one is an error, never an empty list.

use crate::domain::id::Selector;
use crate::domain::scope::Scope;
use crate::domain::user::ClaimedAccess;
use serde_json::Value;

pub(super) fn selectors_json(selectors: &[Selector]) -> String {
    let texts: Vec<String> = selectors.iter().map(ToString::to_string).collect();
    Value::from(texts).to_string()
}

pub(super) fn read_selectors(text: &str) -> Option<Vec<Selector>> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    texts.iter().map(|t| Selector::parse(t)).collect()
}

/// Pairs of a database and an environment.
pub(super) fn scopes_json(scopes: &[Scope]) -> String {
    let pairs: Vec<[&str; 2]> = scopes
        .iter()
        .map(|s| [s.database.as_str(), s.environment.as_str()])
        .collect();
    serde_json::json!(pairs).to_string()
}

pub(super) fn read_scopes(text: &str) -> Option<Vec<Scope>> {
    let pairs: Vec<[String; 2]> = serde_json::from_str(text).ok()?;
    pairs
        .iter()
        .map(|[database, environment]| Scope::of(database, environment))
        .map(|scope| scope.invalid_part().is_none().then_some(scope))
        .collect()
}

pub(super) fn read_names(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// Claims of the identity provider, as the event that keeps them says them.
pub(super) fn claims_json(access: &ClaimedAccess) -> String {
    serde_json::json!({"groups": access.groups, "values": access.values}).to_string()
}

pub(super) fn read_claims(text: &str) -> Option<ClaimedAccess> {
    let claims: Value = serde_json::from_str(text).ok()?;
    let part = |name: &str| claims.get(name).cloned();
    Some(ClaimedAccess {
        groups: serde_json::from_value(part("groups")?).ok()?,
        values: serde_json::from_value(part("values")?).ok()?,
    })
}
