//! JSON of lists kept with a row: selectors and names. A corrupt one is an error, never an empty list.

use crate::domain::id::Selector;

pub(super) fn selectors_json(selectors: &[Selector]) -> String {
    let texts: Vec<String> = selectors.iter().map(ToString::to_string).collect();
    serde_json::Value::from(texts).to_string()
}

pub(super) fn read_selectors(text: &str) -> Option<Vec<Selector>> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    texts.iter().map(|t| Selector::parse(t)).collect()
}

pub(super) fn read_names(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}
