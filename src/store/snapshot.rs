//! JSON of lists kept with a row: selectors and names. A corrupt one is an error, never an empty list.

use crate::domain::id::Selector;
use crate::domain::scope::Scope;

pub(super) fn selectors_json(selectors: &[Selector]) -> String {
    let texts: Vec<String> = selectors.iter().map(ToString::to_string).collect();
    serde_json::Value::from(texts).to_string()
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
