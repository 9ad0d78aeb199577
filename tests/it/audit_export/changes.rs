//! Everything that can be done to an export at one of its lines.

use dbward::domain::audit::{FIELD_NAMES, event_hash};
use serde_json::{Value, json};
use std::ops::Range;

/// Lines after a forged event that are chained to it anew: more than there are between two signed checkpoints.
const CHAINED_ANEW: usize = 300;

/// An export, and where its lines begin.
pub(super) struct Lines<'a> {
    pub text: &'a str,
    starts: Vec<usize>,
}

/// What was done to an export: these lines are others, or gone.
pub(super) struct Change {
    pub what: String,
    pub lines: Range<usize>,
    pub instead: String,
}

impl<'a> Lines<'a> {
    pub fn of(text: &'a str) -> Lines<'a> {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Lines with their line feeds.
    pub fn at(&self, lines: Range<usize>) -> &'a str {
        &self.text[self.starts[lines.start]..self.starts[lines.end]]
    }

    fn line(&self, n: usize) -> &'a str {
        self.at(n..n + 1)
    }

    /// The export with a change, in three parts.
    pub fn with<'c>(&'c self, change: &'c Change) -> [&'c str; 3] {
        let after = self.at(change.lines.end..self.len());
        [self.at(0..change.lines.start), &change.instead, after]
    }

    /// What can be done at line `n`.
    pub fn changes(&self, n: usize) -> Vec<Change> {
        let mut changes = self.moves(n);
        changes.extend(self.rewritings(n));
        changes.extend(self.edits(n));
        changes
    }

    /// Each of its values changed, one at a time, and one more.
    pub fn edits(&self, n: usize) -> Vec<Change> {
        let edits = edits(self.line(n).trim_end());
        let edits = edits.into_iter();
        edits
            .map(|(key, edited)| change(format!("line {n}, {key}"), n..n + 1, edited + "\n"))
            .collect()
    }

    /// One of its values changed: another one in each line after the other.
    pub fn edit(&self, n: usize) -> Change {
        let value: Value = serde_json::from_str(self.line(n)).unwrap();
        let paths = paths(&value);
        let path = &paths[n % paths.len()];
        let edited = edited(&value, path) + "\n";
        change(format!("line {n}, {path}"), n..n + 1, edited)
    }

    /// A line that says that an export begins after the event of line `n`.
    pub fn begins_after(&self, n: usize) -> String {
        let mut start: Value = serde_json::from_str(self.line(0)).unwrap();
        let event: Value = serde_json::from_str(self.line(n)).unwrap();
        start["after"] = event["seq"].clone();
        start["after_hash"] = event["event_hash"].clone();
        line_of(&start)
    }

    /// The same as [`Lines::changes`], without edits of its values, and without what changes the lines after it.
    pub fn moves(&self, n: usize) -> Vec<Change> {
        let (line, last) = (self.line(n), self.len() - 1);
        let mut changes = vec![
            change(format!("line {n} removed"), n..n + 1, String::new()),
            change(format!("line {n} twice"), n..n, line.to_owned()),
            change(format!("cut before line {n}"), n..last + 1, String::new()),
        ];
        if n < last {
            let swapped = format!("{}{line}", self.line(n + 1));
            let what = format!("lines {n} and the next swapped");
            changes.push(change(what, n..n + 2, swapped));
        }
        if let Some(head) = self.baseline_as_head(n) {
            let what = format!("cut before the baseline of line {n}, with that as head");
            changes.push(change(what, n..last + 1, head));
        }
        if n > 0 && n < last {
            let what = format!("from line {n} on cut, but for the head");
            changes.push(change(what, n..last, String::new()));
            let forged = line_of(&self.forged(n));
            changes.push(change(format!("line {n} forged"), n..n + 1, forged.clone()));
            let what = format!("a forged event before line {n}");
            changes.push(change(what, n..n, forged));
        }
        changes
    }

    /// The line of a head that the event of line `n` would make, where that is a baseline.
    fn baseline_as_head(&self, n: usize) -> Option<String> {
        let event: Value = serde_json::from_str(self.line(n)).unwrap();
        if event["event_type"] != "state.baseline" {
            return None;
        }
        let facts: Value = serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
        let mut head: Value = json!({"seq": facts["head_seq"], "event_hash": facts["head_hash"]});
        for key in ["recipe_sha256", "sums", "key_id", "signature"] {
            head[key] = facts[key].clone();
        }
        Some(line_of(&json!({"head": head})))
    }

    /// The event of line `n` with another actor, and a hash that is right.
    fn forged(&self, n: usize) -> Value {
        let mut forged: Value = serde_json::from_str(self.line(n)).unwrap();
        forged["actor_id"] = json!("somebody-else");
        hashed(forged)
    }

    /// A forged event in place of the one of line `n` or before it, with the events after it chained to it anew.
    pub fn rewritings(&self, n: usize) -> Vec<Change> {
        if n == 0 || n + 1 >= self.len() {
            return Vec::new();
        }
        let forged = self.forged(n);
        let until = (n + CHAINED_ANEW).min(self.len() - 1);
        let (mut edited, mut inserted) = (forged.clone(), forged.clone());
        let (mut replacing, mut before) = (line_of(&edited), line_of(&inserted));
        for line in n..until {
            let next: Value = serde_json::from_str(self.line(line)).unwrap();
            inserted = chained(next.clone(), &inserted);
            before.push_str(&line_of(&inserted));
            if line > n {
                edited = chained(next, &edited);
                replacing.push_str(&line_of(&edited));
            }
        }
        vec![
            change(
                format!("line {n} forged, the rest chained anew"),
                n..until,
                replacing,
            ),
            change(
                format!("a forged event before line {n}, the rest chained anew"),
                n..until,
                before,
            ),
        ]
    }
}

fn change(what: String, lines: Range<usize>, instead: String) -> Change {
    Change {
        what,
        lines,
        instead,
    }
}

/// An event with the hash of its fields.
fn hashed(mut event: Value) -> Value {
    let texts = FIELD_NAMES.map(|name| match &event[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let fields = texts.each_ref().map(String::as_str);
    event["event_hash"] = json!(event_hash(&fields, &mut Vec::new()));
    event
}

/// An event as the one after another, with a right hash.
fn chained(mut event: Value, before: &Value) -> Value {
    event["seq"] = json!(before["seq"].as_i64().unwrap() + 1);
    event["prev_hash"] = before["event_hash"].clone();
    hashed(event)
}

fn line_of(event: &Value) -> String {
    ordered(event) + "\n"
}

/// A line with each of its values changed, one at a time, and with one more.
fn edits(line: &str) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(line).unwrap();
    let paths = paths(&value).into_iter();
    let mut edits: Vec<_> = paths
        .map(|path| (path.clone(), edited(&value, &path)))
        .collect();
    let more = line.replacen("{\"", "{\"more\":1,\"", 1);
    edits.push(("more".to_owned(), more));
    let first = line.split(',').next().unwrap();
    edits.push((
        "twice".to_owned(),
        line.replacen(first, &format!("{first},{}", &first[1..]), 1),
    ));
    edits
}

/// The places of the values of a line.
fn paths(line: &Value) -> Vec<String> {
    fn each(value: &Value, path: &str, paths: &mut Vec<String>) {
        for (key, inner) in value.as_object().unwrap() {
            let at = format!("{path}/{}", key.replace('/', "~1"));
            match inner.is_object() {
                true => each(inner, &at, paths),
                false => paths.push(at),
            }
        }
    }
    let mut paths = Vec::new();
    each(line, "", &mut paths);
    paths
}

/// The line with another value at that place.
fn edited(line: &Value, path: &str) -> String {
    let mut edited = line.clone();
    let value = edited.pointer_mut(path).unwrap();
    *value = match &*value {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(n) => json!(n.as_i64().unwrap() + 1),
        // The empty text hashes as null.
        _ => json!(""),
    };
    ordered(&edited)
}

/// The line with the key first by which the kinds of lines are distinguished.
pub(super) fn ordered(value: &Value) -> String {
    let text = value.to_string();
    let first = ["export", "seq", "head"]
        .into_iter()
        .find(|key| value.get(*key).is_some())
        .unwrap();
    let mut rest = value.clone();
    rest.as_object_mut().unwrap().remove(first);
    match rest.as_object().unwrap().is_empty() {
        true => text,
        false => format!("{{\"{first}\":{},{}", value[first], &rest.to_string()[1..]),
    }
}
