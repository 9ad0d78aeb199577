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
        self.truncation = Some(size_limit(self.bytes_limit));
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

    /// Bytes of its columns as JSON, at most.
    fn columns_bytes(&self) -> usize {
        /// What stands around the two names and the type of a column, a type that is not known yet included.
        const AROUND: usize = 48;
        let long = |text: &str| {
            let mut json = String::new();
            push_string(&mut json, text);
            json.len()
        };
        self.columns
            .iter()
            .map(|c| AROUND + long(&c.name) + long(&c.key) + c.kind.as_deref().map_or(0, long))
            .sum()
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

/// Why a result ends that has as many bytes as `limit` allows.
fn size_limit(limit: usize) -> String {
    let limit = match limit {
        ROWS_BYTES_MAX => format!("{} MB", ROWS_BYTES_MAX >> 20),
        bytes => format!("{bytes} bytes"),
    };
    format!("size limit reached ({limit})")
}

/// The document of a result that is gone, with why: what it was a result of has taken effect all the same.
pub fn unavailable(why: &str) -> String {
    let mut none = ResultRows::new(Vec::new(), 0);
    none.truncation = Some(format!("result unavailable: {why}"));
    none.finish()
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
    /// Why further results were left out.
    left_out: Option<String>,
}

/// Largest document with the columns of all its results, in bytes: with what stands around them it is at most as large as
/// the rows alone may be, which is what servers take unless they are configured otherwise.
const DOCUMENT_BYTES_MAX: usize = ROWS_BYTES_MAX - (16 << 10);

/// Most results of one job; a plan has no more statements.
const RESULTS_MAX: usize = 100;

impl Results {
    pub fn new(rows_max: u64, bytes_max: usize) -> Results {
        Results {
            sets: Vec::new(),
            rows_max,
            bytes_max,
            any_type: false,
            left_out: None,
        }
    }

    /// Of a database in which a cell may have another type than its column.
    pub fn of_any_type(rows_max: u64, bytes_max: usize) -> Results {
        Results {
            any_type: true,
            ..Results::new(rows_max, bytes_max)
        }
    }

    /// Begins the next result; `false` when there are too many, or their columns are too long, and no more are wanted.
    pub fn begin(&mut self, columns: Vec<(String, Option<String>)>) -> bool {
        if self.left_out.is_some() {
            return false;
        }
        if self.sets.len() == RESULTS_MAX {
            self.left_out = Some(format!("result limit reached ({RESULTS_MAX})"));
            return false;
        }
        let rows: u64 = self.sets.iter().map(|set| set.count).sum();
        let bytes: usize = self.sets.iter().map(ResultRows::bytes).sum();
        let mut set = ResultRows::within(
            columns,
            (self.rows_max.saturating_sub(rows), self.rows_max),
            (self.bytes_max.saturating_sub(bytes), self.bytes_max),
        );
        let named: usize = self.sets.iter().map(ResultRows::columns_bytes).sum();
        let taken = named + set.columns_bytes() + bytes;
        let Some(left) = DOCUMENT_BYTES_MAX.checked_sub(taken) else {
            self.left_out = Some(size_limit(self.bytes_max));
            return false;
        };
        set.bytes_max = set.bytes_max.min(left);
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
        self.left_out.is_some() || self.sets.iter().any(ResultRows::truncated)
    }

    /// As [`ResultRows::finish`], of the first result; further ones follow as `"more_results":[{"columns","rows"}]`.
    pub fn finish(mut self) -> String {
        if self.sets.is_empty() {
            let mut none = ResultRows::new(Vec::new(), 0);
            none.truncation = self.left_out;
            return none.finish();
        }
        let bytes: usize = self.sets.iter().map(|set| set.bytes() + 256).sum();
        let mut out = String::with_capacity(bytes);
        let cut = self.sets.iter_mut().find_map(|set| set.truncation.take());
        let reason = cut.or(self.left_out.take());
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
mod tests;
