//! Reads a parsed TOML document table by table, as its keys are declared, notes everything that is wrong with it, and
//! keeps the place of each value. Our own instead of derived reading, which would stop at the first wrong type or
//! unknown key.

use super::problem::{GivenSecret, Location, Notes, Problem, Spanned};
use crate::declare::{Given, KeyKind, KeySpec, Plain, TableSpec};
use crate::error::Shown;
use std::cell::RefCell;
use toml::de::{DeTable, DeValue};

/// Longest string, in bytes; no name, path, address or key of ours is longer.
const STRING_BYTES_MAX: usize = 8 * 1024;
/// Syntax errors shown at most; one mistake often makes many.
const SYNTAX_ERRORS_MAX: usize = 20;

/// A string that may be absent.
pub type Text = Option<Spanned<String>>;
/// A number that may be absent.
pub type Number = Option<Spanned<u64>>;
/// A list of strings, with the place of the list; absent and empty are the same.
pub type Texts = Spanned<Vec<Spanned<String>>>;

/// One file being read.
struct Document {
    /// Offset of the start of each line.
    starts: Vec<usize>,
    /// What an absent table has.
    empty: DeTable<'static>,
    notes: RefCell<Notes>,
}

/// Parses `text` and reads its outermost table. `None` where the syntax is wrong.
pub(super) fn read<T>(
    text: &str,
    table: &'static TableSpec,
    make: impl FnOnce(&Section<'_>) -> T,
) -> (Option<T>, Notes) {
    let newlines = text.match_indices('\n').map(|(n, _)| n + 1);
    let document = Document {
        starts: std::iter::once(0).chain(newlines).collect(),
        empty: DeTable::new(),
        notes: RefCell::new(Notes::default()),
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut notes = Notes::default();
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            let line = error.span().map(|span| document.line(span.start));
            if notes.problems.iter().all(|p| p.line != line) {
                notes.problems.push(Problem {
                    key: String::new(),
                    line,
                    message: format!("syntax: {}", error.message()),
                });
            }
        }
        return (None, notes);
    }
    let at = Location {
        key: String::new(),
        line: 1,
    };
    let value = make(&Section::open(&document, table, at, root.get_ref()));
    (Some(value), document.notes.into_inner())
}

impl Document {
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn problem(&self, at: &Location, message: impl Into<String>) {
        self.notes.borrow_mut().problem(at, message);
    }
}

/// One table of the document.
pub struct Section<'d> {
    document: &'d Document,
    table: &'static TableSpec,
    pub at: Location,
    entries: &'d DeTable<'d>,
}

impl<'d> Section<'d> {
    fn open(
        document: &'d Document,
        table: &'static TableSpec,
        at: Location,
        entries: &'d DeTable<'d>,
    ) -> Section<'d> {
        for key in entries.keys() {
            if table.find(key.get_ref()).is_none() {
                let mut place = at.key(&Shown(key.get_ref()).to_string());
                place.line = document.line(key.span().start);
                let known: Vec<String> = table.names().collect();
                document.problem(
                    &place,
                    format!("unknown key; known here: {}", known.join(", ")),
                );
            }
        }
        Section {
            document,
            table,
            at,
            entries,
        }
    }

    /// Notes where a secret is given.
    pub(super) fn note_secret(&self, secret: GivenSecret) {
        self.document.notes.borrow_mut().secrets.push(secret);
    }

    fn find(&self, key: &str) -> Option<(&'d DeValue<'d>, Location)> {
        debug_assert!(
            self.table.find(key).is_some(),
            "`{}` . `{key}` is read but not declared",
            self.at.key
        );
        let (name, value) = self.entries.iter().find(|(k, _)| *k.get_ref() == key)?;
        let mut at = self.at.key(key);
        at.line = self.document.line(name.span().start);
        Some((value.get_ref(), at))
    }

    /// The table at `key`, or one without any key.
    pub fn section_or_empty(&self, key: &str) -> Section<'d> {
        let table = self.table.find(key).and_then(|key| key.kind.table());
        self.section(key).unwrap_or_else(|| Section {
            document: self.document,
            table: table.unwrap_or(self.table),
            at: self.at.key(key),
            entries: &self.document.empty,
        })
    }

    /// The places of all keys that stand here, whatever their values.
    pub fn present(&self) -> Vec<Location> {
        let names = self.table.names().filter(|name| self.find(name).is_some());
        names.map(|name| self.place(&name)).collect()
    }

    /// Sets every value of `plain` that stands here.
    pub fn fill<P: Plain>(&self, plain: &mut P) {
        for key in P::KEYS {
            match key.kind {
                KeyKind::Flag => {
                    if let Some(flag) = self.flag(key.name) {
                        plain.set(key.name, Given::Flag(flag));
                    }
                }
                KeyKind::Number { .. } => {
                    if let Some(number) = self.number(key.name) {
                        plain.set(key.name, Given::Number(number.value));
                    }
                }
                KeyKind::Word(words) => {
                    if let Some(word) = self.word(key, words) {
                        plain.set(key.name, Given::Word(&word));
                    }
                }
                KeyKind::Internal => {}
                _ => debug_assert!(false, "`{}` is not plain", key.name),
            }
        }
    }

    fn word(&self, key: &KeySpec, words: &[&str]) -> Option<String> {
        let word = self.text(key.name)?;
        if words.contains(&&*word.value) {
            return Some(word.value);
        }
        let known: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let message = format!(
            "`{}` is not one of {}",
            Shown(&word.value),
            known.join(", ")
        );
        self.document.problem(&word.at, message);
        None
    }

    /// Most entries of the list at `key`.
    fn max(&self, key: &str) -> usize {
        match self.table.find(key).map(|key| key.kind) {
            Some(
                KeyKind::Texts { max }
                | KeyKind::TextsByName { max }
                | KeyKind::Tables { max, .. }
                | KeyKind::TableOrTables { max, .. },
            ) => max,
            _ => 0,
        }
    }

    fn wrong(&self, at: &Location, value: &DeValue<'_>, wanted: &str) {
        self.document.problem(
            at,
            format!("{wanted} is wanted here, not {}", kind_of(value)),
        );
    }

    fn text_of(&self, value: &DeValue<'_>, at: Location) -> Option<Spanned<String>> {
        let DeValue::String(text) = value else {
            self.wrong(&at, value, "a string");
            return None;
        };
        if text.len() > STRING_BYTES_MAX {
            let message = format!("longer than {STRING_BYTES_MAX} bytes");
            self.document.problem(&at, message);
            return None;
        }
        Some(Spanned {
            value: text.to_string(),
            at,
        })
    }

    pub fn text(&self, key: &str) -> Option<Spanned<String>> {
        let (value, at) = self.find(key)?;
        self.text_of(value, at)
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        let (value, at) = self.find(key)?;
        if let DeValue::Boolean(flag) = value {
            return Some(*flag);
        }
        self.wrong(&at, value, "`true` or `false`");
        None
    }

    /// A whole number within its bounds.
    pub fn number(&self, key: &str) -> Option<Spanned<u64>> {
        let (value, at) = self.find(key)?;
        let DeValue::Integer(digits) = value else {
            self.wrong(&at, value, "a whole number");
            return None;
        };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(value) => self.within(key, Spanned { value, at }),
            Err(_) => {
                self.document
                    .problem(&at, format!("`{digits}` is negative or too large"));
                None
            }
        }
    }

    fn within(&self, key: &str, given: Spanned<u64>) -> Number {
        let Some(KeyKind::Number { min, max }) = self.table.find(key).map(|key| key.kind) else {
            return Some(given);
        };
        if (min..=max).contains(&given.value) {
            return Some(given);
        }
        let message = format!("`{}` is not within {min} to {max}", given.value);
        self.document.problem(&given.at, message);
        None
    }

    /// The elements of a list, with their places; none where it is absent, wrong or too long.
    fn elements(&self, key: &str) -> Vec<(&'d DeValue<'d>, Location)> {
        let max = self.max(key);
        let Some((value, at)) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(list) = value else {
            self.wrong(&at, value, "a list");
            return Vec::new();
        };
        if list.len() > max {
            let message = format!("{} entries are more than {max}", list.len());
            self.document.problem(&at, message);
            return Vec::new();
        }
        list.iter()
            .enumerate()
            .map(|(n, item)| {
                let line = self.document.line(item.span().start);
                (item.get_ref(), at.entry(n, line))
            })
            .collect()
    }

    /// A list of strings, with the place of the list.
    pub fn texts(&self, key: &str) -> Texts {
        let elements = self.elements(key).into_iter();
        Spanned {
            value: elements
                .filter_map(|(value, at)| self.text_of(value, at))
                .collect(),
            at: self.place(key),
        }
    }

    /// Where `key` stands, or would.
    pub fn place(&self, key: &str) -> Location {
        self.find(key)
            .map_or_else(|| self.at.key(key), |(_, at)| at)
    }

    pub fn section(&self, key: &str) -> Option<Section<'d>> {
        let (value, at) = self.find(key)?;
        self.section_of(key, value, at)
    }

    /// A table whose keys are names of the operator's own, each with a string.
    pub fn texts_by_name(&self, key: &str) -> Vec<(String, Spanned<String>)> {
        let max = self.max(key);
        let Some((value, at)) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Table(entries) = value else {
            self.wrong(&at, value, "a table");
            return Vec::new();
        };
        if entries.len() > max {
            let message = format!("{} entries are more than {max}", entries.len());
            self.document.problem(&at, message);
            return Vec::new();
        }
        let mut texts = Vec::new();
        for (name, value) in entries {
            let mut place = at.key(&Shown(name.get_ref()).to_string());
            place.line = self.document.line(name.span().start);
            if let Some(text) = self.text_of(value.get_ref(), place) {
                texts.push((name.get_ref().to_string(), text));
            }
        }
        texts
    }

    /// A list of tables.
    pub fn sections(&self, key: &str) -> Vec<Section<'d>> {
        self.elements(key)
            .into_iter()
            .filter_map(|(value, at)| self.section_of(key, value, at))
            .collect()
    }

    /// A table, or a list of them.
    pub fn section_or_sections(&self, key: &str) -> Vec<Section<'d>> {
        match self.find(key) {
            Some((DeValue::Table(_), _)) => self.section(key).into_iter().collect(),
            _ => self.sections(key),
        }
    }

    fn section_of(&self, key: &str, value: &'d DeValue<'d>, at: Location) -> Option<Section<'d>> {
        let DeValue::Table(entries) = value else {
            self.wrong(&at, value, "a table");
            return None;
        };
        let table = self.table.find(key)?.kind.table()?;
        Some(Section::open(self.document, table, at, entries))
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
