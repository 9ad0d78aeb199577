//! Reads a TOML table key by key, and remembers everything that is wrong: a missing key, a wrong type, a key that
//! nobody asked for.

use super::{Problem, Problems};
use toml::{Table, Value};

/// Most problems that are reported; a file with more is not an agent.toml.
const PROBLEMS_MAX: usize = 100;

/// A table that is being read; keys are taken out of it.
pub struct Reader {
    path: String,
    table: Table,
    problems: Vec<Problem>,
}

impl Reader {
    /// Reads the file's own table.
    pub fn root(table: Table) -> Reader {
        Reader {
            path: String::new(),
            table,
            problems: Vec::new(),
        }
    }

    /// Remembers a problem with `key`; an empty key is this table itself.
    pub fn problem(&mut self, key: &str, message: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            let key = self.path_of(key);
            self.problems.push(Problem {
                key,
                message: message.to_owned(),
            });
        }
    }

    /// Everything wrong so far, keys left over included.
    pub fn finish(mut self) -> Vec<Problem> {
        let left: Vec<String> = self.table.keys().cloned().collect();
        for key in left {
            self.problem(&key, "unknown key");
        }
        self.problems
    }

    /// Leaves out complaints about keys not asked for, where it is unknown which belong.
    pub fn ignore_rest(&mut self) {
        self.table.clear();
    }

    /// The text at `key`, if there.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong_type(key, "a string", &other);
                None
            }
        }
    }

    /// The text at `key`, if there; empty is as good as not there, so that a variable can leave it out.
    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    /// The text at `key`, which must be there and not empty.
    pub fn required_text(&mut self, key: &str) -> Option<String> {
        if !self.table.contains_key(key) {
            self.problem(key, "missing");
            return None;
        }
        let text = self.text(key)?;
        if text.is_empty() {
            self.problem(key, "empty");
            return None;
        }
        Some(text)
    }

    /// The truth value at `key`; false where there is none.
    pub fn flag(&mut self, key: &str) -> bool {
        match self.table.remove(key) {
            None => false,
            Some(Value::Boolean(flag)) => flag,
            Some(other) => {
                self.wrong_type(key, "true or false", &other);
                false
            }
        }
    }

    /// The whole number at `key` from `min` to `max`; `default` where there is none.
    pub fn number(&mut self, key: &str, default: u64, min: u64, max: u64) -> u64 {
        match self.table.remove(key) {
            None => default,
            Some(Value::Integer(n)) => match u64::try_from(n) {
                Ok(n) if (min..=max).contains(&n) => n,
                _ => {
                    self.problem(key, &format!("`{n}` is not from {min} to {max}"));
                    default
                }
            },
            Some(other) => {
                self.wrong_type(key, "a whole number", &other);
                default
            }
        }
    }

    /// Reads the table at `key`, which must be there.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader) -> T) -> Option<T> {
        match self.table.remove(key) {
            None => {
                self.problem(key, "missing");
                None
            }
            Some(Value::Table(table)) => Some(self.inside(key, table, read)),
            Some(other) => {
                self.wrong_type(key, "a table", &other);
                None
            }
        }
    }

    /// Reads every table of the list at `key`; none where there is no such key.
    pub fn sections<T>(&mut self, key: &str, mut read: impl FnMut(&mut Reader) -> T) -> Vec<T> {
        let items = match self.table.remove(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong_type(key, "a list of tables", &other);
                return Vec::new();
            }
        };
        let mut all = Vec::with_capacity(items.len());
        for (n, item) in items.into_iter().enumerate() {
            let key = format!("{key}[{n}]");
            match item {
                Value::Table(table) => all.push(self.inside(&key, table, &mut read)),
                other => self.wrong_type(&key, "a table", &other),
            }
        }
        all
    }

    fn inside<T>(&mut self, key: &str, table: Table, read: impl FnOnce(&mut Reader) -> T) -> T {
        let mut inner = Reader {
            path: self.path_of(key),
            table,
            problems: std::mem::take(&mut self.problems),
        };
        let value = read(&mut inner);
        self.problems = inner.finish();
        value
    }

    fn wrong_type(&mut self, key: &str, wanted: &str, found: &Value) {
        let message = format!("should be {wanted}, not of type {}", found.type_str());
        self.problem(key, &message);
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }
}

/// Puts in what `${NAME}` and `${NAME:-default}` stand for, on every line that is not a comment. The default is for a
/// variable that is not set; an empty one stays empty. A value may not hold what could end a string, so that a
/// variable is never more than a value.
pub fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Problems> {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
            continue;
        }
        if let Err(message) = expand_line(&mut out, line, env) {
            problems.push(Problem {
                key: String::new(),
                message: format!("line {}: {message}", n + 1),
            });
        }
    }
    match problems.is_empty() {
        true => Ok(out),
        false => Err(Problems(problems)),
    }
}

fn expand_line(
    out: &mut String,
    line: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let mut rest = line;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or("`${` without a `}`")?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && default.is_none_or(|d| !d.contains("${"));
        if !is_name {
            return Err("`${..}` holds no name of a variable".to_owned());
        }
        let value = match (env(name), default) {
            (Some(value), _) => value,
            (None, Some(default)) => default.to_owned(),
            (None, None) => return Err(format!("the variable `{name}` is not set")),
        };
        let harmful = |c: char| c.is_control() || matches!(c, '"' | '\'' | '\\');
        if value.contains(harmful) || value.contains("${") {
            // Never the value itself: it may be a secret.
            return Err(format!(
                "the value of `{name}` holds a quote or a control character"
            ));
        }
        out.push_str(&value);
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(())
}
