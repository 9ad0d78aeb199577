//! Writes rows as JSON: by hand, so that columns keep their order and numbers every digit.

use super::ROWS_BYTES_MAX;
use super::cell_types::{CellClass, CellTypes};
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
    /// `true` or `false`
    Truth(bool),
    /// A JSON number, digit by digit as the database writes it: what [`is_number`] accepts.
    Number(&'a str),
    /// JSON as the database holds it: what [`is_json`] accepts.
    Json(&'a str),
    /// A JSON string; bytes that are not UTF-8 as [`Cell::Bytes`], and marked.
    Text(&'a [u8]),
    /// A JSON string `\xHEX`.
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    /// What its column is called where the database does not say.
    fn kind(&self) -> Option<&'static str> {
        match self.class()? {
            CellClass::InvalidText => Some(CellClass::Text.as_str()),
            class => Some(class.as_str()),
        }
    }

    fn class(&self) -> Option<CellClass> {
        Some(match self {
            Cell::Null => return None,
            Cell::Integer(_) => CellClass::Integer,
            Cell::Real(_) | Cell::Number(_) => CellClass::Real,
            Cell::Truth(_) => CellClass::Truth,
            Cell::Json(_) => CellClass::Json,
            Cell::Text(bytes) if std::str::from_utf8(bytes).is_err() => CellClass::InvalidText,
            Cell::Text(_) => CellClass::Text,
            Cell::Bytes(_) => CellClass::Binary,
        })
    }

    /// A lower bound of what it takes as JSON, to refuse a large value before it is copied.
    fn bytes_min(&self) -> usize {
        match self {
            Cell::Text(bytes) => bytes.len(),
            Cell::Bytes(bytes) => bytes.len() * 2,
            Cell::Number(text) | Cell::Json(text) => text.len(),
            _ => 1,
        }
    }
}

struct ResultColumn {
    name: String,
    key: String,
    kind: Option<String>,
    /// What it holds: by its type, otherwise by its first value.
    class: Option<CellClass>,
}

impl ResultColumn {
    /// The class of a cell, where the column says another one. In most databases the type of a column is that of its
    /// cells; then only text that is not UTF-8 is something else.
    fn other_class(&mut self, cell: &Cell<'_>, any_type: bool) -> Option<CellClass> {
        let own = cell.class()?;
        if own == CellClass::InvalidText {
            return Some(own);
        }
        let column = *self.class.get_or_insert(own);
        (any_type && !column.covers(own)).then_some(own)
    }
}

/// A result in the making, within its limits.
pub struct ResultRows {
    columns: Vec<ResultColumn>,
    json: String,
    types: CellTypes,
    /// Whether a cell may have another type than its column.
    any_type: bool,
    count: u64,
    rows_max: u64,
    /// What the limit in the message is, where other results have used some of it up.
    rows_limit: u64,
    bytes_max: usize,
    /// The same as `rows_limit`, of bytes.
    bytes_limit: usize,
    truncation: Option<String>,
}

impl ResultRows {
    /// A result with these columns: name, and declared type if the database knows one.
    pub fn new(columns: Vec<(String, Option<String>)>, rows_max: u64) -> ResultRows {
        ResultRows::within(
            columns,
            (rows_max, rows_max),
            (ROWS_BYTES_MAX, ROWS_BYTES_MAX),
        )
    }

    /// What is left of a limit, and the limit itself.
    fn within(
        columns: Vec<(String, Option<String>)>,
        (rows_max, rows_limit): (u64, u64),
        (bytes_max, bytes_limit): (usize, usize),
    ) -> ResultRows {
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let columns = columns
            .into_iter()
            .zip(unique_keys(&names))
            .map(|((name, kind), key)| ResultColumn {
                name,
                key,
                class: kind.as_deref().and_then(CellClass::of_declared),
                kind,
            })
            .collect();
        ResultRows {
            columns,
            json: String::new(),
            types: CellTypes::default(),
            any_type: false,
            count: 0,
            rows_max,
            rows_limit,
            bytes_max,
            bytes_limit,
            truncation: None,
        }
    }

    /// Says that the database had a row that is too long to look at.
    pub fn too_long(&mut self) {
        let limit = match self.bytes_limit {
            ROWS_BYTES_MAX => format!("{} MB", ROWS_BYTES_MAX >> 20),
            bytes => format!("{bytes} bytes"),
        };
        self.truncation = Some(format!("size limit reached ({limit})"));
    }

    /// Adds a row; `false` when it did not fit, and no more are wanted. As a row is there to be refused, a result is
    /// called truncated only where the database really had more.
    pub fn push<'a>(&mut self, cells: impl Fn(usize) -> Cell<'a>) -> bool {
        if self.truncation.is_some() {
            return false;
        }
        if self.count == self.rows_max {
            self.truncation = Some(format!("row limit reached ({})", self.rows_limit));
            return false;
        }
        let (start, types) = (self.json.len(), self.types.len());
        self.json.push_str(if start == 0 { "{" } else { ",{" });
        for n in 0..self.columns.len() {
            let cell = cells(n);
            let column = &mut self.columns[n];
            let other = column.other_class(&cell, self.any_type);
            if let Some(own) = other {
                self.types.mark(self.count, n, own);
            }
            let needed = self.json.len() + self.types.len() + column.key.len() + cell.bytes_min();
            if needed <= self.bytes_max {
                if n > 0 {
                    self.json.push(',');
                }
                push_string(&mut self.json, &column.key);
                self.json.push(':');
                push_cell(&mut self.json, cell);
            }
            if needed > self.bytes_max || self.json.len() + self.types.len() > self.bytes_max {
                self.json.truncate(start);
                self.types.cut(types);
                self.too_long();
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

    /// Bytes of its rows and of the types of their cells.
    fn bytes(&self) -> usize {
        self.json.len() + self.types.len()
    }

    /// Whether something was left out.
    pub fn truncated(&self) -> bool {
        self.truncation.is_some()
    }

    /// `{"columns":[{"name","key","type"}],"rows":[{..}],"truncated":bool,"truncation_reason":text or null}`, and
    /// `"cell_types":[[row,column,"type"]]` after the rows where cells have another type than their column.
    pub fn finish(self) -> String {
        let truncation = self.truncation.clone();
        let mut out = String::with_capacity(self.bytes() + 256);
        out.push('{');
        self.members(&mut out);
        push_truncation(&mut out, truncation.as_deref());
        out.push('}');
        out
    }

    fn members(&self, out: &mut String) {
        out.push_str("\"columns\":[");
        for (n, column) in self.columns.iter().enumerate() {
            out.push_str(if n == 0 { "{\"name\":" } else { ",{\"name\":" });
            push_string(out, &column.name);
            out.push_str(",\"key\":");
            push_string(out, &column.key);
            out.push_str(",\"type\":");
            match &column.kind {
                Some(kind) => push_string(out, &kind.to_lowercase()),
                None => out.push_str("null"),
            }
            out.push('}');
        }
        out.push_str("],\"rows\":[");
        out.push_str(&self.json);
        out.push(']');
        out.push_str(&self.types.member());
    }
}

fn push_truncation(out: &mut String, reason: Option<&str>) {
    out.push_str(",\"truncated\":");
    out.push_str(if reason.is_some() { "true" } else { "false" });
    out.push_str(",\"truncation_reason\":");
    match reason {
        Some(reason) => push_string(out, reason),
        None => out.push_str("null"),
    }
}

/// Several results that share the limits of one: those of a plan, or of a procedure.
pub struct Results {
    sets: Vec<ResultRows>,
    rows_max: u64,
    bytes_max: usize,
    any_type: bool,
}

/// Most results of one job; a plan has no more statements.
const RESULTS_MAX: usize = 100;

impl Results {
    pub fn new(rows_max: u64, bytes_max: usize) -> Results {
        Results {
            sets: Vec::new(),
            rows_max,
            bytes_max,
            any_type: false,
        }
    }

    /// Of a database in which a cell may have another type than its column.
    pub fn of_any_type(rows_max: u64, bytes_max: usize) -> Results {
        Results {
            any_type: true,
            ..Results::new(rows_max, bytes_max)
        }
    }

    /// Begins the next result; `false` when there are too many, and no more are wanted.
    pub fn begin(&mut self, columns: Vec<(String, Option<String>)>) -> bool {
        if self.sets.len() == RESULTS_MAX {
            if let Some(last) = self.sets.last_mut() {
                last.truncation = Some(format!("result limit reached ({RESULTS_MAX})"));
            }
            return false;
        }
        let rows: u64 = self.sets.iter().map(|set| set.count).sum();
        let bytes: usize = self.sets.iter().map(ResultRows::bytes).sum();
        let mut set = ResultRows::within(
            columns,
            (self.rows_max.saturating_sub(rows), self.rows_max),
            (self.bytes_max.saturating_sub(bytes), self.bytes_max),
        );
        set.any_type = self.any_type;
        self.sets.push(set);
        true
    }

    /// The result that was begun last.
    pub fn last(&mut self) -> Option<&mut ResultRows> {
        self.sets.last_mut()
    }

    /// Whether no result was begun.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Whether something was left out.
    pub fn truncated(&self) -> bool {
        self.sets.iter().any(ResultRows::truncated)
    }

    /// As [`ResultRows::finish`], of the first result; further ones follow as `"more_results":[{"columns","rows"}]`.
    pub fn finish(mut self) -> String {
        if self.sets.is_empty() {
            return ResultRows::new(Vec::new(), 0).finish();
        }
        let bytes: usize = self.sets.iter().map(|set| set.bytes() + 256).sum();
        let mut out = String::with_capacity(bytes);
        let reason = self.sets.iter_mut().find_map(|set| set.truncation.take());
        for (n, set) in self.sets.iter().enumerate() {
            out.push_str(match n {
                0 => "{",
                1 => ",\"more_results\":[{",
                _ => ",{",
            });
            set.members(&mut out);
            if n == 0 {
                push_truncation(&mut out, reason.as_deref());
            } else {
                out.push('}');
            }
        }
        out.push_str(if self.sets.len() > 1 { "]}" } else { "}" });
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
        Cell::Truth(truth) => out.push_str(if truth { "true" } else { "false" }),
        Cell::Number(text) | Cell::Json(text) => out.push_str(text),
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

/// Deepest nesting of a JSON value that is passed on as such; readers give up at 128, and the frame takes some.
const JSON_DEPTH_MAX: usize = 100;

/// Whether `text` is a number as JSON writes it.
pub fn is_number(text: &str) -> bool {
    let digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    digits && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// Whether `text` is JSON that readers can take: not nested too deep.
pub fn is_json(text: &str) -> bool {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest <= JSON_DEPTH_MAX && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
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
    fn row_that_would_be_too_large_is_left_out_whole() {
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
