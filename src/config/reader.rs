//! Reads a parsed TOML document table by table, notes everything that is wrong with it, and keeps where each value
//! was said. Our own instead of derived reading, which would stop at the first wrong type or unknown key.

use super::problem::{Notes, Place, Problem, Said};
use crate::error::Shown;
use std::cell::RefCell;
use toml::de::{DeTable, DeValue};

/// Longest string, in bytes; no name, path, address or key of ours is longer.
const STRING_BYTES_MAX: usize = 8 * 1024;
/// Syntax errors shown at most; one mistake often makes many.
const SYNTAX_ERRORS_MAX: usize = 20;

/// A table of known keys: the path of the table without indices, and its keys.
pub type Known = &'static [(&'static str, &'static [&'static str])];

/// One file being read.
pub struct Document {
    known: Known,
    /// Offset of the start of each line.
    starts: Vec<usize>,
    notes: RefCell<Notes>,
}

impl Document {
    /// Parses `text` and lets `read` take from its outermost table. `None` where the syntax is wrong.
    pub fn read<T>(
        text: &str,
        known: Known,
        read: impl FnOnce(&Section<'_>) -> T,
    ) -> (Option<T>, Notes) {
        let newlines = text.match_indices('\n').map(|(n, _)| n + 1);
        let document = Document {
            known,
            starts: std::iter::once(0).chain(newlines).collect(),
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
        let at = Place {
            key: String::new(),
            line: 1,
        };
        let value = read(&Section::open(&document, String::new(), at, root.get_ref()));
        (Some(value), document.notes.into_inner())
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn problem(&self, at: &Place, message: impl Into<String>) {
        self.notes.borrow_mut().problem(at, message);
    }
}

/// One table of the document.
pub struct Section<'d> {
    document: &'d Document,
    /// Path of the table without indices, as in [`Known`].
    name: String,
    /// Where it is.
    pub at: Place,
    entries: &'d DeTable<'d>,
}

impl<'d> Section<'d> {
    fn open(
        document: &'d Document,
        name: String,
        at: Place,
        entries: &'d DeTable<'d>,
    ) -> Section<'d> {
        let keys = document.known.iter().find(|(table, _)| *table == name);
        let keys = keys.map_or(&[][..], |(_, keys)| keys);
        for key in entries.keys() {
            if !keys.contains(&&**key.get_ref()) {
                let mut place = at.key(&Shown(key.get_ref()).to_string());
                place.line = document.line(key.span().start);
                document.problem(
                    &place,
                    format!("unknown key; known here: {}", keys.join(", ")),
                );
            }
        }
        Section {
            document,
            name,
            at,
            entries,
        }
    }

    fn find(&self, key: &str) -> Option<(&'d DeValue<'d>, Place)> {
        debug_assert!(
            self.document
                .known
                .iter()
                .any(|(table, keys)| *table == self.name && keys.contains(&key)),
            "`{}` . `{key}` is read but not known",
            self.name
        );
        let (name, value) = self.entries.iter().find(|(k, _)| *k.get_ref() == key)?;
        let mut at = self.at.key(key);
        at.line = self.document.line(name.span().start);
        Some((value.get_ref(), at))
    }

    fn wrong(&self, at: &Place, value: &DeValue<'_>, wanted: &str) {
        self.document.problem(
            at,
            format!("{wanted} is wanted here, not {}", kind_of(value)),
        );
    }

    fn text_of(&self, value: &DeValue<'_>, at: Place) -> Option<Said<String>> {
        let DeValue::String(text) = value else {
            self.wrong(&at, value, "a string");
            return None;
        };
        if text.len() > STRING_BYTES_MAX {
            let message = format!("longer than {STRING_BYTES_MAX} bytes");
            self.document.problem(&at, message);
            return None;
        }
        Some(Said {
            value: text.to_string(),
            at,
        })
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<Said<String>> {
        let (value, at) = self.find(key)?;
        self.text_of(value, at)
    }

    /// A boolean.
    pub fn flag(&self, key: &str) -> Option<bool> {
        let (value, at) = self.find(key)?;
        if let DeValue::Boolean(flag) = value {
            return Some(*flag);
        }
        self.wrong(&at, value, "`true` or `false`");
        None
    }

    /// A whole number, not negative.
    pub fn number(&self, key: &str) -> Option<Said<u64>> {
        let (value, at) = self.find(key)?;
        let DeValue::Integer(digits) = value else {
            self.wrong(&at, value, "a whole number");
            return None;
        };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(value) => Some(Said { value, at }),
            Err(_) => {
                self.document
                    .problem(&at, format!("`{digits}` is negative or too large"));
                None
            }
        }
    }

    /// The elements of a list, with their places; none where it is absent, wrong or longer than `max`.
    fn elements(&self, key: &str, max: usize) -> Vec<(&'d DeValue<'d>, Place)> {
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

    /// A list of strings, at most `max`, with the place of the list.
    pub fn texts(&self, key: &str, max: usize) -> Said<Vec<Said<String>>> {
        let elements = self.elements(key, max).into_iter();
        Said {
            value: elements
                .filter_map(|(value, at)| self.text_of(value, at))
                .collect(),
            at: self.place(key),
        }
    }

    /// Whether `key` is there, whatever its value.
    pub fn says(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Where `key` stands, or would.
    pub fn place(&self, key: &str) -> Place {
        self.find(key)
            .map_or_else(|| self.at.key(key), |(_, at)| at)
    }

    /// A table.
    pub fn section(&self, key: &str) -> Option<Section<'d>> {
        let (value, at) = self.find(key)?;
        self.section_of(key, value, at)
    }

    /// A table whose keys are names of the operator's own, at most `max`, each with a string.
    pub fn texts_by_name(&self, key: &str, max: usize) -> Vec<(String, Said<String>)> {
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
            if let Some(said) = self.text_of(value.get_ref(), place) {
                texts.push((name.get_ref().to_string(), said));
            }
        }
        texts
    }

    /// A list of tables, at most `max`.
    pub fn sections(&self, key: &str, max: usize) -> Vec<Section<'d>> {
        self.elements(key, max)
            .into_iter()
            .filter_map(|(value, at)| self.section_of(key, value, at))
            .collect()
    }

    /// A table, or a list of at most `max` of them.
    pub fn section_or_sections(&self, key: &str, max: usize) -> Vec<Section<'d>> {
        match self.find(key) {
            Some((DeValue::Table(_), _)) => self.section(key).into_iter().collect(),
            _ => self.sections(key, max),
        }
    }

    fn section_of(&self, key: &str, value: &'d DeValue<'d>, at: Place) -> Option<Section<'d>> {
        let DeValue::Table(entries) = value else {
            self.wrong(&at, value, "a table");
            return None;
        };
        let name = match self.name.as_str() {
            "" => key.to_owned(),
            outer => format!("{outer}.{key}"),
        };
        Some(Section::open(self.document, name, at, entries))
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
