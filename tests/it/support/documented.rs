//! Every answer that a client here gets is one that openapi.json describes: its status, and the shape of its body.
//!
//! Where DBWARD_TEST_ANSWERS names a folder, what was answered is noted there, a file for each operation and status.

use super::client::Answer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../src/http/openapi.json")).unwrap());

/// Statuses of HTTP itself, which say nothing of the operation: what the gate refuses whatever the call is.
const OF_HTTP: [u16; 9] = [408, 411, 414, 417, 431, 501, 502, 504, 505];

fn folder() -> Option<PathBuf> {
    std::env::var_os("DBWARD_TEST_ANSWERS").map(PathBuf::from)
}

/// The template in the document that a path is one of; one that names more of its parts is the better one.
fn template(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        let mut pairs = wanted.iter().zip(&parts);
        wanted.len() == parts.len() && pairs.all(|(w, p)| w.starts_with('{') || w == p)
    };
    let all = DOCUMENT["paths"].as_object().unwrap().keys();
    all.filter(|template| fits(template))
        .min_by_key(|template| template.matches('{').count())
        .map(String::as_str)
}

/// Fails where the document does not have this answer. What is not an operation of the document has none.
pub fn is_documented(answer: &Answer) {
    let mut words = answer.asked.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    let Some(template) = template(path) else {
        return;
    };
    let operation = &DOCUMENT["paths"][template][method.to_ascii_lowercase()];
    let is_operation = method == method.to_ascii_uppercase() && !operation.is_null();
    if !is_operation || OF_HTTP.contains(&answer.status) {
        return;
    }
    let status = answer.status.to_string();
    let described = resolved(&operation["responses"][&status]);
    assert!(
        described.is_object(),
        "{}: {status} is not in the document: {}",
        answer.asked,
        answer.raw()
    );
    let content = &described["content"]["application/json"];
    // A part of a result is not JSON, and one may be deeper than what reads it here.
    let is_deep = answer.json.is_null() && template.contains("/result/");
    let is_read = answer.status != 206 && !is_deep;
    if is_read && answer.header("content-type") == Some("application/json") && content.is_object() {
        let missing = missing(&DOCUMENT, &content["schema"], &answer.json, template);
        assert!(missing.is_empty(), "{}: {missing:?}", answer.asked);
    }
    note(&format!("{method} {template} {status}"));
}

fn resolved(part: &'static Value) -> &'static Value {
    let target = part["$ref"].as_str();
    target.map_or(part, |target| DOCUMENT.pointer(&target[1..]).unwrap())
}

fn note(answer: &str) {
    static NOTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(folder) = folder() else { return };
    if NOTED.lock().unwrap().insert(answer.to_owned()) {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(answer.replace('/', "~")), "").unwrap();
    }
}

/// What was answered since the folder was made, as `METHOD template status`.
pub fn given_answers() -> BTreeSet<String> {
    let folder = folder().expect("DBWARD_TEST_ANSWERS");
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.replace('~', "/"))
        .collect()
}

/// Required properties that are not there, and values of another type.
pub fn missing(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).unwrap();
        return missing(document, target, value, at);
    }
    let mut found = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(missing(document, part, value, at));
    }
    let named: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    };
    if !named.is_empty() && !named.iter().any(is) {
        found.push(format!("{at} is not a {named:?}: {value}"));
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(inner) = value.get(name) {
            found.extend(missing(document, property, inner, &format!("{at}.{name}")));
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        if schema["items"].is_object() {
            found.extend(missing(
                document,
                &schema["items"],
                inner,
                &format!("{at}[]"),
            ));
        }
    }
    found
}
