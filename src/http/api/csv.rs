//! The rows of a result as CSV (RFC 4180): columns in their order, numbers digit for digit.
//!
//! Null is an empty field and an empty string is `""`. Cells are not altered to disarm spreadsheet formulas: who opens
//! the file in a spreadsheet imports it as text.

use super::table::{Envelope, EnvelopeCell, EnvelopeColumn, EnvelopeTable};
use crate::error::{Error, counted};
use std::collections::HashMap;

const LINE_END: &str = "\r\n";

/// Columns at most: more than any database gives, and few enough that sparse rows stay a small file.
const COLUMNS_MAX: usize = 4096;

/// Bytes of CSV at most: together with the largest result less than 64 MiB.
const CSV_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Renders the rows of the envelope's table number `which`, from 1; without a number the result must have only one.
///
/// # Errors
/// 422 `no_rows` for a result that has none, `several_results`, `too_many_columns`, `csv_too_large`.
pub(super) fn render(envelope: &Envelope, which: Option<u64>) -> Result<Vec<u8>, Error> {
    let table = chosen(envelope.table().ok_or_else(no_rows)?, which)?;
    let columns = match table.columns.clone() {
        Some(columns) => columns,
        None => all_keys(&table)?,
    };
    if columns.len() > COLUMNS_MAX {
        return Err(too_many_columns());
    }
    let mut places = HashMap::with_capacity(columns.len());
    for (place, column) in columns.iter().enumerate() {
        places.entry(column.key.as_str()).or_insert(place);
    }
    let mut out = String::with_capacity(table.rows.get().len());
    line(&mut out, columns.iter().map(|c| &*c.name), quoted);
    let mut cells: Vec<Option<&str>> = vec![None; columns.len()];
    let read = table.each_row(|row| {
        cells.fill(None);
        for (n, (key, cell)) in row.iter().enumerate() {
            // Rows mostly have the same keys in the same places.
            let here = columns.get(n).filter(|c| c.key == **key).map(|_| n);
            if let Some(place) = here.or_else(|| places.get(&**key).copied()) {
                cells[place].get_or_insert(cell.get());
            }
        }
        line(&mut out, cells.iter().copied(), field);
        (out.len() <= CSV_BYTES_MAX)
            .then_some(())
            .ok_or_else(too_large)
    });
    match read {
        Ok(()) => Ok(out.into_bytes()),
        Err(error) => Err(error.unwrap_or_else(no_rows)),
    }
}

fn chosen<'a>(table: EnvelopeTable<'a>, which: Option<u64>) -> Result<EnvelopeTable<'a>, Error> {
    let several = 1 + table.more_results.len();
    match which {
        None if several > 1 => Err(Error::refused(
            "several_results",
            format!("this result has {several} tables, and CSV holds one"),
        )
        .hint(format!(
            "choose one with `result=1` to `result={several}`, or download it as JSON"
        ))),
        None | Some(1) => Ok(table),
        Some(n) => {
            let index = usize::try_from(n).ok().and_then(|n| n.checked_sub(2));
            let mut more = table.more_results;
            match index.filter(|index| *index < more.len()) {
                Some(index) => Ok(more.swap_remove(index)),
                None => Err(Error::invalid(format!(
                    "query parameter `result` is `{n}`, this result has {}",
                    counted(several, "table")
                ))),
            }
        }
    }
}

/// The keys of all rows, in the order in which they first occur.
fn all_keys(table: &EnvelopeTable) -> Result<Vec<EnvelopeColumn>, Error> {
    let mut known: HashMap<String, ()> = HashMap::new();
    let mut columns: Vec<EnvelopeColumn> = Vec::new();
    let read = table.each_row(|row: &[EnvelopeCell]| {
        for (n, (key, _)) in row.iter().enumerate() {
            let here = columns.get(n).is_some_and(|c| c.key == **key);
            if here || known.contains_key(&**key) {
                continue;
            }
            if columns.len() == COLUMNS_MAX {
                return Err(too_many_columns());
            }
            known.insert(key.to_string(), ());
            columns.push(EnvelopeColumn {
                name: key.to_string(),
                key: key.to_string(),
                kind: None,
            });
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(columns),
        Err(error) => Err(error.unwrap_or_else(no_rows)),
    }
}

fn no_rows() -> Error {
    Error::refused(
        "no_rows",
        "this result has no rows that could be written as CSV",
    )
    .hint("download it as JSON, without `format`")
}

fn too_many_columns() -> Error {
    Error::refused(
        "too_many_columns",
        format!("the rows of this result have more than {COLUMNS_MAX} different keys"),
    )
    .hint("download it as JSON, without `format`")
}

fn too_large() -> Error {
    Error::refused(
        "csv_too_large",
        format!(
            "as CSV this result has more than {} MiB",
            CSV_BYTES_MAX >> 20
        ),
    )
    .hint("download it as JSON, without `format`")
}

fn line<T>(out: &mut String, cells: impl Iterator<Item = T>, push: impl Fn(&mut String, T)) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            out.push(',');
        }
        push(out, cell);
    }
    out.push_str(LINE_END);
}

/// Appends a text as a field.
fn quoted(out: &mut String, text: &str) {
    let plain = !text.is_empty()
        && !text.contains([',', '"', '\r', '\n'])
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for (n, part) in text.split('"').enumerate() {
        if n > 0 {
            out.push_str("\"\"");
        }
        out.push_str(part);
    }
    out.push('"');
}

/// Appends a cell, given as JSON.
fn field(out: &mut String, json: Option<&str>) {
    let Some(json) = json else { return };
    match json.as_bytes().first() {
        Some(b'n') => {}
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(decoded) => quoted(out, &decoded),
            Err(_) => quoted(out, json),
        },
        _ => quoted(out, json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(data: &str) -> String {
        let envelope =
            format!("{{\"_dbward_result\":true,\"result_data\":{data},\"success\":true}}");
        match Envelope::read(envelope.as_bytes()).and_then(|e| render(&e, None)) {
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
    fn a_column_that_only_later_rows_have_is_there() {
        let data = r#"{"rows":[{"a":1},{"b":2,"a":3},{"c":null}]}"#;
        assert_eq!(csv(data), "a,b,c\r\n1,,\r\n3,2,\r\n,,\r\n");
    }

    /// Time that this thread has had on a processor, in nanoseconds: that of a busy machine counts for nobody.
    fn processor_ns() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn rows_of_differing_keys_are_refused_at_once() {
        let row = |n: usize| format!("{{\"k{n}\":{n}}}");
        let rows = |n: usize| (0..n).map(row).collect::<Vec<_>>().join(",");
        let start = processor_ns();
        let many = format!("{{\"rows\":[{}]}}", rows(150_000));
        assert_eq!(csv(&many), "too_many_columns");
        // As many keys as there may be, and rows enough to make the file large.
        let sparse = "{},".repeat(20_000);
        let wide = format!("{{\"rows\":[{sparse}{}]}}", rows(COLUMNS_MAX));
        assert_eq!(csv(&wide), "csv_too_large");
        let used = processor_ns() - start;
        assert!((1..5_000_000_000).contains(&used), "{used} ns");
    }

    #[test]
    fn one_of_several_tables_is_named() {
        let data = r#"{"rows":[{"a":1}],"more_results":[{"rows":[{"b":2}]}]}"#;
        assert_eq!(csv(data), "several_results");
        let envelope = format!("{{\"result_data\":{data}}}");
        let envelope = Envelope::read(envelope.as_bytes()).unwrap();
        let number = |n| render(&envelope, Some(n)).map_err(|e| e.code());
        assert_eq!(number(1), Ok(b"a\r\n1\r\n".to_vec()));
        assert_eq!(number(2), Ok(b"b\r\n2\r\n".to_vec()));
        for n in [0, 3, u64::MAX] {
            assert_eq!(number(n), Err("validation_error"), "{n}");
        }
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
