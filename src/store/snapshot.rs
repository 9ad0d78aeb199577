//! JSON of lists kept with a row: selectors and names. A corrupt one is an error, never an empty list.

use crate::domain::id::{Selector, Target, is_name};

pub(super) fn selectors_json(selectors: &[Selector]) -> String {
    let texts: Vec<String> = selectors.iter().map(ToString::to_string).collect();
    serde_json::Value::from(texts).to_string()
}

pub(super) fn read_selectors(text: &str) -> Option<Vec<Selector>> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    texts.iter().map(|t| Selector::parse(t)).collect()
}

/// Pairs of a database and an environment.
pub(super) fn targets_json(targets: &[Target]) -> String {
    let pairs: Vec<[&str; 2]> = targets
        .iter()
        .map(|t| [t.database.as_str(), t.environment.as_str()])
        .collect();
    serde_json::json!(pairs).to_string()
}

pub(super) fn read_targets(text: &str) -> Option<Vec<Target>> {
    let pairs: Vec<[String; 2]> = serde_json::from_str(text).ok()?;
    let good = |name: &String| name == "*" || is_name(name);
    pairs
        .into_iter()
        .map(|pair| pair.iter().all(good).then_some(pair))
        .map(|pair| {
            let [database, environment] = pair?;
            Some(Target {
                database,
                environment,
            })
        })
        .collect()
}

pub(super) fn read_names(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}
