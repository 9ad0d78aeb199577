//! The example of a configuration file, written from the declarations of its keys.

use crate::declare::{KeyKind, KeySpec, TableSpec};
use std::fmt::Write;

/// Longest line of prose, in bytes.
const LINE_BYTES_MAX: usize = 118;

/// Every key of `root`, commented out at its default, after the prose of `head`.
pub fn example(head: &str, root: &TableSpec) -> String {
    let mut out = String::new();
    for line in head.lines() {
        prose(&mut out, line);
    }
    table(&mut out, root, "");
    out
}

fn table(out: &mut String, table: &TableSpec, path: &str) {
    let inner = |key: &KeySpec| key.kind.table().is_some();
    for key in table.keys().filter(|key| !inner(key)) {
        if path.is_empty() {
            out.push('\n');
        }
        documented(out, key.doc);
        let (name, shown) = (key.name, (key.shown)());
        let _ = writeln!(out, "#{name} = {shown}");
        if matches!(key.kind, KeyKind::Secret) {
            let _ = writeln!(out, "#{name}_file = \"./{}\"", name.replace('_', "-"));
        }
    }
    for key in table.keys() {
        let Some(of) = key.kind.table() else { continue };
        let path = match path {
            "" => key.name.to_owned(),
            path => format!("{path}.{}", key.name),
        };
        out.push('\n');
        documented(out, if key.doc.is_empty() { of.doc } else { key.doc });
        let _ = match key.kind {
            KeyKind::Table(_) => writeln!(out, "#[{path}]"),
            _ => writeln!(out, "#[[{path}]]"),
        };
        self::table(out, of, &path);
    }
}

/// A doc comment as prose: lines that follow each other are one paragraph.
fn documented(out: &mut String, doc: &[&str]) {
    let text: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    if !text.is_empty() {
        prose(out, &text.join(" "));
    }
}

fn prose(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > LINE_BYTES_MAX {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// Path of every key of `table` and below, without indices; tables too.
pub fn paths(table: &TableSpec) -> Vec<String> {
    let mut all = Vec::new();
    for key in table.keys() {
        all.push(key.name.to_owned());
        if let Some(of) = key.kind.table() {
            let below = paths(of).into_iter();
            all.extend(below.map(|path| format!("{}.{path}", key.name)));
        }
        if matches!(key.kind, KeyKind::Secret) {
            all.push(format!("{}_file", key.name));
        }
    }
    all
}
