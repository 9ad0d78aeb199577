//! The rules of the house, held against the source tree. Each test is one rule and prints every place that breaks it.
//!
//! A list of exceptions stands next to its rule and gives a reason for each. A ratchet list names what was too large
//! when the rule came; it may only shrink, and what has become small enough must leave it.

mod codes;
mod declared_columns;
mod documents;
mod layers;
mod map;
mod names;
mod prose;
mod scans;
mod sizes;
mod source;
mod statements;
mod words;

use std::path::{Path, PathBuf};

/// The folder of Cargo.toml.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository as text.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Paths of all files under a folder of the repository, relative to its root, in order; pictures apart.
fn files_under(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries =
            std::fs::read_dir(root().join(&folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            if Path::is_dir(&root().join(&path)) {
                open.push(path);
            } else if !path.ends_with(".png") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Fails with all offences, one a line, if there are any.
#[track_caller]
fn none(rule: &str, offences: &[String]) {
    assert!(
        offences.is_empty(),
        "{rule}:\n  {}\n",
        offences.join("\n  ")
    );
}
