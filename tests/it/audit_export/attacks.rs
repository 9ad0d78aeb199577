//! Exports that were changed, everywhere and in every way.

use super::changes::{Lines, ordered};
use super::{busy, events, fetched, keys, proved, python, tool};
use crate::support::Temp;

#[test]
fn every_change_of_an_export_is_found() {
    let s = busy();
    let export = fetched(&s, "");
    let keys = keys(&s.state_dir());
    // The lines written anew, with nothing changed, still hold: so it is the changes that are found.
    let same: Vec<String> = export
        .lines()
        .map(|line| ordered(&serde_json::from_str(line).unwrap()))
        .collect();
    let proof = proved(format!("{}\n", same.join("\n")).as_bytes(), &keys);
    assert!(proof.valid, "{proof:?}");
    let (lines, mut tried) = (Lines::of(&export), 0);
    let unnoticed = |what: &str, changed: &str| {
        let proof = proved(changed.as_bytes(), &keys);
        assert!(!proof.valid && proof.problem.is_some(), "unnoticed: {what}");
    };
    for n in 0..lines.len() {
        for change in lines.changes(n) {
            unnoticed(&change.what, &lines.with(&change).concat());
            tried += 1;
        }
    }
    assert!(tried > 550, "only {tried}");
    for n in (0..export.len()).filter(|n| n % 211 == 0 || n + 40 > export.len()) {
        unnoticed(&format!("cut at byte {n}"), &export[..n]);
    }
}

#[test]
fn tool_of_the_docs_has_a_hundred_lines_at_most() {
    let tool = include_str!("../../../docs/verify_export.py");
    let lines: Vec<&str> = tool.lines().collect();
    assert!(lines.len() <= 100, "{}", lines.len());
    let long = lines.iter().filter(|line| line.len() > 120);
    assert_eq!(long.count(), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_PYTHON, a Python with the package `cryptography`"]
fn the_tool_of_the_docs_finds_the_same() {
    let python = python().expect("DBWARD_TEST_PYTHON");
    let s = busy();
    let folder = Temp::new();
    let export = fetched(&s, "");
    let (code, text) = tool(&python, &folder, &s.state_dir(), &export);
    assert_eq!(code, 0, "{text}");
    let next = fetched(&s, &format!("?since={}", events(&export).len()));
    let joined = format!("{export}{next}");
    assert_eq!(tool(&python, &folder, &s.state_dir(), &joined).0, 0);
    let lines = Lines::of(&export);
    let changes: Vec<_> = (0..lines.len()).flat_map(|n| lines.changes(n)).collect();
    assert!(changes.len() > 70, "{}", changes.len());
    for change in changes.iter().step_by(7) {
        let changed = lines.with(change).concat();
        let (code, text) = tool(&python, &folder, &s.state_dir(), &changed);
        assert!(
            code == 1 && text.contains("does not hold"),
            "{}: {code} {text}",
            change.what
        );
    }
}
