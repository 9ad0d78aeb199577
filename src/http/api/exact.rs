//! `?values=exact`: a result whose cells survive every reader of JSON.
//!
//! A cell that JSON or its readers could change is a string: integers beyond 2^53, decimals, numbers that are not the
//! shortest form of a double, documents. One whose type is not that of its column is an object with `type` and `value`,
//! so that a text and a binary value of equal form differ. Everything else is passed on as it came.

use super::table::{Envelope, EnvelopeColumn, EnvelopeTable, object};
use crate::error::Error;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The largest integer up to which every integer is a double: 2^53.
const SAFE_INTEGER: u64 = 1 << 53;

/// Types whose numbers are decimals, not doubles; with or without a precision in parentheses.
const DECIMALS: [&str; 3] = ["numeric", "decimal", "money"];

/// Renders an envelope.
///
/// # Errors
/// `internal` for bytes that are not an envelope.
pub(super) fn render(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    Envelope::read(bytes)?;
    let members = std::str::from_utf8(bytes).ok().and_then(object);
    let members = members.ok_or_else(|| Error::bug("a stored result is not an object"))?;
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 4);
    out.push('{');
    for (n, (key, value)) in members.iter().enumerate() {
        push_key(&mut out, n, key);
        match &**key {
            "result_data" => push_data(&mut out, value),
            _ => out.push_str(value.get()),
        }
    }
    out.push('}');
    Ok(out.into_bytes())
}

/// A result, with its cells made exact if it is a table.
fn push_data(out: &mut String, data: &RawValue) {
    let table = serde_json::from_str::<EnvelopeTable>(data.get()).ok();
    let (Some(table), Some(members)) = (table, object(data.get())) else {
        out.push_str(data.get());
        return;
    };
    out.push('{');
    for (n, (key, value)) in members.iter().enumerate() {
        push_key(out, n, key);
        match &**key {
            "rows" => push_rows(out, &table, value),
            "more_results" => push_more(out, value),
            _ => out.push_str(value.get()),
        }
    }
    out.push_str(",\"values\":\"exact\",\"types_known\":");
    out.push_str(if table.columns.is_some() {
        "true}"
    } else {
        "false}"
    });
}

fn push_more(out: &mut String, tables: &RawValue) {
    let Ok(tables) = serde_json::from_str::<Vec<&RawValue>>(tables.get()) else {
        out.push_str(tables.get());
        return;
    };
    out.push('[');
    for (n, table) in tables.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        push_data(out, table);
    }
    out.push(']');
}

fn push_rows(out: &mut String, table: &EnvelopeTable, whole: &RawValue) {
    let columns = table.columns.as_deref().unwrap_or_default();
    let places: HashMap<&str, usize> = (0..).zip(columns).map(|(n, c)| (&*c.key, n)).collect();
    let types = table.cell_types.iter();
    let types: HashMap<(usize, usize), &str> = types.map(|(r, c, t)| ((*r, *c), &**t)).collect();
    let start = out.len();
    let mut number = 0;
    out.push('[');
    let read = table.each_row(|row| {
        out.push_str(if number > 0 { ",{" } else { "{" });
        for (n, (key, cell)) in row.iter().enumerate() {
            push_key(out, n, key);
            let here = columns.get(n).filter(|c| c.key == **key).map(|_| n);
            let place = here.or_else(|| places.get(&**key).copied());
            let column = place.and_then(|p| columns.get(p));
            let own = place.and_then(|p| types.get(&(number, p)).copied());
            push_cell(out, cell.get(), column, own);
        }
        out.push('}');
        number += 1;
        Ok::<(), ()>(())
    });
    out.push(']');
    if read.is_err() {
        out.truncate(start);
        out.push_str(whole.get());
    }
}

fn push_cell(out: &mut String, json: &str, column: Option<&EnvelopeColumn>, own: Option<&str>) {
    let of_column = column.and_then(|c| c.kind.as_deref());
    match own.filter(|own| Some(*own) != of_column) {
        None => push_value(out, json, of_column),
        Some(own) => {
            out.push_str("{\"type\":");
            push_text(out, own);
            out.push_str(",\"value\":");
            push_value(out, json, Some(own));
            out.push('}');
        }
    }
}

fn push_value(out: &mut String, json: &str, kind: Option<&str>) {
    match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') if !is_exact(json, kind) => push_text(out, json),
        Some(b'{' | b'[') => push_text(out, json),
        _ => out.push_str(json),
    }
}

/// Whether a number is the same after a reader has made a double of it and written it down.
fn is_exact(json: &str, kind: Option<&str>) -> bool {
    let decimal = |kind: &str| DECIMALS.iter().any(|d| kind.starts_with(d));
    if kind.is_some_and(decimal) {
        return false;
    }
    match json.parse::<i64>() {
        Ok(integer) => integer.unsigned_abs() <= SAFE_INTEGER,
        Err(_) => json
            .parse::<f64>()
            .is_ok_and(|double| format!("{double:?}") == json),
    }
}

fn push_key(out: &mut String, n: usize, key: &str) {
    if n > 0 {
        out.push(',');
    }
    push_text(out, key);
    out.push(':');
}

fn push_text(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(data: &str) -> String {
        let envelope = format!("{{\"result_data\":{data},\"success\":true}}");
        let text = String::from_utf8(render(envelope.as_bytes()).unwrap()).unwrap();
        let end = text.find(",\"success\":true}").unwrap();
        text["{\"result_data\":".len()..end].to_owned()
    }

    #[test]
    fn numbers_that_a_reader_would_change_are_strings() {
        let data = r#"{"columns":[{"name":"n","key":"n","type":"bigint"},{"name":"d","key":"d","type":"numeric(8,2)"}],
            "rows":[{"n":9007199254740993,"d":1.5},{"n":9007199254740992,"d":2},{"n":0.1,"d":null},{"n":1.10},{"n":1e400}]}"#;
        let rows = exact(data);
        let rows = &rows[rows.find("\"rows\":").unwrap()..];
        assert_eq!(
            rows,
            r#""rows":[{"n":"9007199254740993","d":"1.5"},{"n":9007199254740992,"d":"2"},{"n":0.1,"d":null},{"n":"1.10"},{"n":"1e400"}],"values":"exact","types_known":true}"#
        );
    }

    #[test]
    fn text_and_binary_of_equal_form_differ() {
        let data = r#"{"columns":[{"name":"v","key":"v","type":"text"}],"rows":[{"v":"\\x00"},{"v":"\\x00"}],"cell_types":[[1,0,"blob"]]}"#;
        assert!(
            exact(data).contains(r#""rows":[{"v":"\\x00"},{"v":{"type":"blob","value":"\\x00"}}]"#)
        );
    }

    #[test]
    fn further_tables_are_exact_too_and_rest_is_left_alone() {
        let data = r#"{"rows":[{"a":{"n":12345678901234567890}}],"more_results":[{"rows":[{"b":12345678901234567890}]}],"truncated":true}"#;
        assert_eq!(
            exact(data),
            r#"{"rows":[{"a":"{\"n\":12345678901234567890}"}],"more_results":[{"rows":[{"b":"12345678901234567890"}],"values":"exact","types_known":false}],"truncated":true,"values":"exact","types_known":false}"#
        );
        for other in [
            "null",
            "\"3 rows\"",
            "{\"rows_affected\":3}",
            "{\"rows\":[1]}",
        ] {
            assert!(
                exact(other).starts_with(other.trim_end_matches('}')),
                "{other}"
            );
        }
    }
}
