//! Writes rows as JSON: by hand, so that columns keep their order and numbers every digit.

use super::ROWS_BYTES_MAX;
use crate::crypto::hex;
use std::collections::HashSet;

/// One value of a row, whatever the database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// `null`
    Null,
    /// A JSON number, exactly.
    Integer(i64),
    /// The shortest JSON number that reads back as the same float; a string where JSON has no number for it.
    Real(f64),
    /// A JSON string; bytes that are not UTF-8 as [`Cell::Bytes`].
    Text(&'a [u8]),
    /// A JSON string `\xHEX`.
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    fn kind(&self) -> Option<&'static str> {
        match self {
            Cell::Null => None,
            Cell::Integer(_) => Some("integer"),
            Cell::Real(_) => Some("real"),
            Cell::Text(_) => Some("text"),
            Cell::Bytes(_) => Some("blob"),
        }
    }

    /// A lower bound of what it takes as JSON, to refuse a large value before it is copied.
    fn bytes_min(&self) -> usize {
        match self {
            Cell::Text(bytes) => bytes.len(),
            Cell::Bytes(bytes) => bytes.len() * 2,
            _ => 1,
        }
    }
}

struct ResultColumn {
    name: String,
    key: String,
    kind: Option<String>,
}

/// A result in the making, within its limits.
pub struct ResultRows {
    columns: Vec<ResultColumn>,
    json: String,
    count: u64,
    rows_max: u64,
    truncation: Option<String>,
}

impl ResultRows {
    /// A result with these columns: name, and declared type if the database knows one.
    pub fn new(columns: Vec<(String, Option<String>)>, rows_max: u64) -> ResultRows {
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let columns = columns
            .into_iter()
            .zip(unique_keys(&names))
            .map(|((name, kind), key)| ResultColumn { name, key, kind })
            .collect();
        ResultRows {
            columns,
            json: String::new(),
            count: 0,
            rows_max,
            truncation: None,
        }
    }

    /// Adds a row; `false` when it did not fit, and no more are wanted. As a row is there to be refused, a result is
    /// called truncated only where the database really had more.
    pub fn push<'a>(&mut self, cells: impl Fn(usize) -> Cell<'a>) -> bool {
        if self.truncation.is_some() {
            return false;
        }
        if self.count == self.rows_max {
            self.truncation = Some(format!("row limit reached ({})", self.rows_max));
            return false;
        }
        let start = self.json.len();
        self.json.push_str(if start == 0 { "{" } else { ",{" });
        for n in 0..self.columns.len() {
            let cell = cells(n);
            let column = &mut self.columns[n];
            let needed = self.json.len() + column.key.len() + cell.bytes_min();
            if needed <= ROWS_BYTES_MAX {
                if n > 0 {
                    self.json.push(',');
                }
                push_string(&mut self.json, &column.key);
                self.json.push(':');
                push_cell(&mut self.json, cell);
            }
            if needed > ROWS_BYTES_MAX || self.json.len() > ROWS_BYTES_MAX {
                self.json.truncate(start);
                self.truncation = Some(format!("size limit reached ({} MB)", ROWS_BYTES_MAX >> 20));
                return false;
            }
            if column.kind.is_none() {
                column.kind = cell.kind().map(str::to_owned);
            }
        }
        self.json.push('}');
        self.count += 1;
        true
    }

    /// Whether something was left out.
    pub fn truncated(&self) -> bool {
        self.truncation.is_some()
    }

    /// `{"columns":[{"name","key","type"}],"rows":[{..}],"truncated":bool,"truncation_reason":text or null}`
    pub fn finish(self) -> String {
        let mut out = String::with_capacity(self.json.len() + 256);
        out.push_str("{\"columns\":[");
        for (n, column) in self.columns.iter().enumerate() {
            out.push_str(if n == 0 { "{\"name\":" } else { ",{\"name\":" });
            push_string(&mut out, &column.name);
            out.push_str(",\"key\":");
            push_string(&mut out, &column.key);
            out.push_str(",\"type\":");
            match &column.kind {
                Some(kind) => push_string(&mut out, &kind.to_lowercase()),
                None => out.push_str("null"),
            }
            out.push('}');
        }
        out.push_str("],\"rows\":[");
        out.push_str(&self.json);
        out.push_str("],\"truncated\":");
        out.push_str(if self.truncation.is_some() {
            "true"
        } else {
            "false"
        });
        out.push_str(",\"truncation_reason\":");
        match &self.truncation {
            Some(reason) => push_string(&mut out, reason),
            None => out.push_str("null"),
        }
        out.push('}');
        out
    }
}

/// A key for every name: the name itself, and `name_2` and so on for what occurs again. A key that is also some
/// column's name is left to that column.
fn unique_keys(names: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut keys = Vec::with_capacity(names.len());
    for name in names {
        if seen.insert(name) {
            keys.push(name.clone());
            continue;
        }
        let mut n = 2_usize;
        let key = loop {
            let key = format!("{name}_{n}");
            if taken.insert(key.clone()) {
                break key;
            }
            n += 1;
        };
        keys.push(key);
    }
    keys
}

fn push_cell(out: &mut String, cell: Cell<'_>) {
    match cell {
        Cell::Null => out.push_str("null"),
        Cell::Integer(n) => out.push_str(&n.to_string()),
        // `{:?}` is the shortest text that reads back the same, and always has a point or an exponent.
        Cell::Real(x) if x.is_finite() => out.push_str(&format!("{x:?}")),
        Cell::Real(x) if x.is_nan() => out.push_str("\"NaN\""),
        Cell::Real(x) => out.push_str(if x > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        }),
        Cell::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => push_string(out, text),
            Err(_) => push_cell(out, Cell::Bytes(bytes)),
        },
        Cell::Bytes(bytes) => {
            out.push_str("\"\\\\x");
            out.push_str(&hex(bytes));
            out.push('"');
        }
    }
}

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        unique_keys(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn equal_names_get_keys_of_their_own() {
        assert_eq!(keys(&["id", "name", "id"]), ["id", "name", "id_2"]);
        assert_eq!(keys(&["id", "id", "id_2"]), ["id", "id_3", "id_2"]);
        assert_eq!(
            keys(&["id_2", "id", "id", "id"]),
            ["id_2", "id", "id_3", "id_4"]
        );
        assert_eq!(keys(&["", ""]), ["", "_2"]);
        // As many columns as SQLite allows, all of one name, are quick.
        assert_eq!(keys(&["x"; 2000])[1999], "x_2000");
    }

    #[test]
    fn values_keep_every_digit() {
        let rows = [
            (Cell::Null, "null"),
            (Cell::Integer(i64::MIN), "-9223372036854775808"),
            (Cell::Integer(9_007_199_254_740_993), "9007199254740993"),
            (Cell::Real(0.1), "0.1"),
            (Cell::Real(1.0), "1.0"),
            (Cell::Real(-0.0), "-0.0"),
            (Cell::Real(1e300), "1e300"),
            (Cell::Real(f64::NAN), "\"NaN\""),
            (Cell::Real(f64::NEG_INFINITY), "\"-Infinity\""),
            (Cell::Text(b"a\"\n\x01"), "\"a\\\"\\n\\u0001\""),
            (Cell::Text(&[0x61, 0xff]), "\"\\\\x61ff\""),
            (Cell::Bytes(&[0, 0xab]), "\"\\\\x00ab\""),
        ];
        for (cell, json) in rows {
            let mut out = String::new();
            push_cell(&mut out, cell);
            assert_eq!(out, json);
            serde_json::from_str::<serde_json::Value>(&out).unwrap();
        }
    }

    #[test]
    fn only_a_row_that_is_there_makes_a_result_truncated() {
        let mut rows = ResultRows::new(vec![("n".into(), None)], 2);
        assert!(rows.push(|_| Cell::Integer(1)) && rows.push(|_| Cell::Integer(2)));
        assert!(!rows.truncated());
        assert!(!rows.push(|_| Cell::Integer(3)) && rows.truncated());
        assert_eq!(
            rows.finish(),
            "{\"columns\":[{\"name\":\"n\",\"key\":\"n\",\"type\":\"integer\"}],\
             \"rows\":[{\"n\":1},{\"n\":2}],\"truncated\":true,\
             \"truncation_reason\":\"row limit reached (2)\"}"
        );
    }

    #[test]
    fn a_row_that_would_be_too_large_is_left_out_whole() {
        let mut rows = ResultRows::new(vec![("a".into(), None), ("b".into(), None)], 10);
        let large = vec![b'x'; ROWS_BYTES_MAX];
        assert!(rows.push(|_| Cell::Integer(1)));
        assert!(!rows.push(|n| match n {
            0 => Cell::Integer(2),
            _ => Cell::Text(&large),
        }));
        let json: serde_json::Value = serde_json::from_str(&rows.finish()).unwrap();
        assert_eq!(json["rows"], serde_json::json!([{"a": 1, "b": 1}]));
        assert_eq!(json["truncation_reason"], "size limit reached (10 MB)");
    }
}
