//! Whether a result can be what it says: readers of it must neither fail nor run out of stack.

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Deepest nesting of a result: what common readers of JSON accept.
pub const DEPTH_MAX: usize = 128;

/// Why a result cannot be what it says; `None` where it can. What is not JSON at all is a text, and a text is fine.
pub(super) fn defect(data: &str) -> Option<String> {
    let depth = depth(data);
    if depth > DEPTH_MAX {
        return Some(format!(
            "the result is nested {depth} deep, and {DEPTH_MAX} is the most"
        ));
    }
    let is_object = data.trim_start().starts_with('{');
    if !is_object || serde_json::from_str::<IgnoredAny>(data).is_err() {
        return None;
    }
    let shape = serde_json::from_str::<Shape>(data);
    let error = shape.err()?;
    Some(format!("the result is not what its members say: {error}"))
}

/// How deep arrays and objects are nested, be it JSON or not.
fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The members that have a meaning; each may be missing or null.
#[derive(serde::Deserialize)]
struct Shape {
    #[serde(default, rename = "rows")]
    _rows: Option<Rows>,
    #[serde(default, rename = "columns")]
    _columns: Option<Vec<IgnoredAny>>,
    #[serde(default, rename = "rows_affected")]
    _rows_affected: Option<u64>,
    #[serde(default, rename = "truncated")]
    _truncated: Option<bool>,
}

/// A list of objects.
struct Rows;

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rows, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Rows, A::Error> {
        while let Some(row) = rows.next_element::<&RawValue>()? {
            if !row.get().starts_with('{') {
                return Err(A::Error::custom("a row is not an object"));
            }
        }
        Ok(Rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_has_no_defect() {
        let deepest = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        for data in [
            "null",
            "3 rows\n",
            "{not json",
            "[1, 2]",
            r#"{"rows": [], "truncated": false}"#,
            r#"{"rows": [{"a": 1}], "columns": [{"name": "a"}], "rows_affected": null}"#,
            r#"{"rows_affected": 18446744073709551615}"#,
            r#"{"anything": {"rows": 3}}"#,
            r#"{"text": "[[[[\"[[["}"#,
            &deepest,
        ] {
            assert_eq!(defect(data), None, "{data}");
        }
    }

    #[test]
    fn what_cannot_be_has_a_defect() {
        let deep = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
        for data in [
            r#"{"rows": 3}"#,
            r#"{"rows": {"a": 1}}"#,
            r#"{"rows": [[1]]}"#,
            r#"{"rows": [{"a": 1}, null]}"#,
            r#"{"rows": [], "rows": []}"#,
            r#"{"columns": "a"}"#,
            r#"{"rows_affected": -1}"#,
            r#"{"rows_affected": "many"}"#,
            r#"{"truncated": "no"}"#,
            &deep,
            &"[".repeat(1_000_000),
        ] {
            assert!(defect(data).is_some(), "{}", &data[..data.len().min(60)]);
        }
    }
}
