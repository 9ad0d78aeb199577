//! Bodies kept as files in tests/golden: ids, times and hashes replaced, everything else as it is. With UPDATE_GOLDEN=1
//! the files are written instead of compared.

use dbward::clock::Timestamp;
use dbward::domain::id::is_uuid;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Compares `value` with the file of that name.
#[track_caller]
pub fn golden(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.json"));
    let text = format!("{:#}\n", replaced(value));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; run with UPDATE_GOLDEN=1", path.display()));
    assert_eq!(
        text,
        kept,
        "{} differs; if it should, run with UPDATE_GOLDEN=1",
        path.display()
    );
}

fn replaced(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), replaced(v))).collect(),
        Value::Array(list) => list.iter().map(replaced).collect(),
        Value::String(text) => replaced_text(text).into(),
        other => other.clone(),
    }
}

fn replaced_text(text: &str) -> String {
    let is_hex = |n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_uuid(text) {
        "<id>".to_owned()
    } else if text.len() >= 20 && Timestamp::parse(text).is_some() {
        "<time>".to_owned()
    } else if is_hex(64) {
        "<sha256>".to_owned()
    } else if is_hex(128) {
        "<signature>".to_owned()
    } else if text.starts_with('{') && text.ends_with('}') {
        // A JSON text inside a JSON text, as metadata and tokens are.
        serde_json::from_str::<Value>(text).map_or(text.to_owned(), |v| replaced(&v).to_string())
    } else {
        text.to_owned()
    }
}
