//! The rows of a result as CSV (RFC 4180): columns in their order, numbers digit for digit.
//!
//! Null is an empty field and an empty string is `""`. Cells are not altered to disarm spreadsheet formulas: who opens
//! the file in a spreadsheet imports it as text.

use crate::error::Error;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

const LINE_END: &str = "\r\n";

#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    result_data: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
    #[serde(default)]
    columns: Option<Vec<Column>>,
}

#[derive(serde::Deserialize)]
struct Column {
    name: String,
    key: String,
}

/// A row: keys and cells in the order in which they stand.
struct Row<'a>(Vec<(String, &'a RawValue)>);

/// Renders the rows of an envelope.
///
/// # Errors
/// 422 `no_rows` for a result that has none.
pub(super) fn render(envelope: &[u8]) -> Result<Vec<u8>, Error> {
    let no_rows = || {
        Error::refused(
            "no_rows",
            "this result has no rows that could be written as CSV",
        )
        .hint("download it as JSON, without `format`")
    };
    let envelope: Envelope = serde_json::from_slice(envelope)
        .map_err(|e| Error::internal("a stored result is no envelope", e))?;
    let data = envelope.result_data.ok_or_else(no_rows)?;
    let table: Rows = serde_json::from_str(data.get()).map_err(|_| no_rows())?;
    let columns = table.columns.unwrap_or_else(|| keys_of_first(&table.rows));
    let mut out = String::with_capacity(data.get().len());
    line(&mut out, columns.iter().map(|c| quoted(&c.name)));
    for row in &table.rows {
        let cells = columns.iter().enumerate();
        line(&mut out, cells.map(|(n, column)| row.cell(n, &column.key)));
    }
    Ok(out.into_bytes())
}

fn keys_of_first(rows: &[Row]) -> Vec<Column> {
    let keys = rows.first().into_iter().flat_map(|row| &row.0);
    keys.map(|(key, _)| Column {
        name: key.clone(),
        key: key.clone(),
    })
    .collect()
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&cell);
    }
    out.push_str(LINE_END);
}

/// A text as a field.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.contains([',', '"', '\r', '\n'])
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if plain {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

impl Row<'_> {
    /// The cell of a column: rows mostly have the same keys in the same places.
    fn cell(&self, place: usize, key: &str) -> String {
        let here = self.0.get(place).filter(|(k, _)| k == key);
        let Some((_, cell)) = here.or_else(|| self.0.iter().find(|(k, _)| k == key)) else {
            return String::new();
        };
        let text = cell.get();
        match text.as_bytes().first() {
            Some(b'n') => String::new(),
            Some(b'"') => match serde_json::from_str::<String>(text) {
                Ok(decoded) => quoted(&decoded),
                Err(_) => quoted(text),
            },
            _ => quoted(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a row object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Row<'de>, M::Error> {
                let mut cells = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(cell) = map.next_entry()? {
                    cells.push(cell);
                }
                Ok(Row(cells))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(data: &str) -> String {
        let envelope =
            format!("{{\"_dbward_result\":true,\"result_data\":{data},\"success\":true}}");
        match render(envelope.as_bytes()) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn cells_keep_their_order_and_their_digits() {
        let data = r#"{"rows":[
            {"z":12345678901234567890.10,"a":null,"b":"","c":true,"d":{"k": [1, 2]}},
            {"a":"x","z":1e3,"c":"say \"hi\", twice","b":" lead"}
        ]}"#;
        let want = "z,a,b,c,d\r\n\
            12345678901234567890.10,,\"\",true,\"{\"\"k\"\": [1, 2]}\"\r\n\
            1e3,x,\" lead\",\"say \"\"hi\"\", twice\",\r\n";
        assert_eq!(csv(data), want);
    }

    #[test]
    fn columns_name_the_fields_where_they_are_given() {
        let data = r#"{"columns":[{"name":"id","key":"id","type":"int4"},{"name":"id","key":"id_2","type":"int4"}],
            "rows":[{"id":1,"id_2":2}]}"#;
        assert_eq!(csv(data), "id,id\r\n1,2\r\n");
        let empty = r#"{"columns":[{"name":"a,b","key":"a","type":null}],"rows":[]}"#;
        assert_eq!(csv(empty), "\"a,b\"\r\n");
    }

    #[test]
    fn line_breaks_and_formulas_stay_what_they_are() {
        let data = r#"{"rows":[{"a":"x\r\ny","b":"=1+1"}]}"#;
        assert_eq!(csv(data), "a,b\r\n\"x\r\ny\",=1+1\r\n");
    }

    #[test]
    fn what_has_no_rows_is_refused() {
        for data in [
            "null",
            r#"{"rows_affected":3}"#,
            "\"text\"",
            "[1]",
            r#"{"rows":[1]}"#,
        ] {
            assert_eq!(csv(data), "no_rows", "{data}");
        }
    }
}
