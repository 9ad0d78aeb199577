//! Exports that were changed, everywhere and in every way, and a long one.

use super::{busy, events, fetched, keys, proved, python, ran, tool};
use crate::support::Temp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dbward::clock::Clock;
use dbward::crypto::Keypair;
use dbward::domain::actor::Actor;
use dbward::domain::change::{AuthFailures, LogChange};
use dbward::store::{AuditKeys, Store, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

/// What must be found wherever it is done: what was done, and the export after it.
fn attacks(export: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = export.lines().collect();
    let mut attacks = Vec::new();
    let mut push = |what: String, lines: Vec<&str>| {
        attacks.push((what, format!("{}\n", lines.join("\n"))));
    };
    for n in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(n);
        push(format!("line {n} removed"), without);
        let mut twice = lines.clone();
        twice.insert(n, lines[n]);
        push(format!("line {n} twice"), twice);
        if n + 1 < lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(n, n + 1);
            push(format!("lines {n} and the next swapped"), swapped);
        }
        push(format!("cut before line {n}"), lines[..n].to_vec());
        for (key, edited) in edits(lines[n]) {
            let mut all = lines.clone();
            all[n] = &edited;
            push(format!("line {n}, {key}"), all);
        }
    }
    for n in (0..export.len()).filter(|n| n % 211 == 0 || n + 40 > export.len()) {
        attacks.push((format!("cut at byte {n}"), export[..n].to_owned()));
    }
    attacks
}

/// A line with each of its values changed, one at a time, and with one more.
fn edits(line: &str) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(line).unwrap();
    let mut edits = Vec::new();
    fn each(value: &Value, path: String, all: &Value, edits: &mut Vec<(String, String)>) {
        for (key, inner) in value.as_object().unwrap() {
            let at = format!("{path}/{}", key.replace('/', "~1"));
            if inner.is_object() {
                each(inner, at, all, edits);
                continue;
            }
            let mut edited = all.clone();
            *edited.pointer_mut(&at).unwrap() = match inner {
                Value::String(text) => json!(format!("{text}x")),
                Value::Number(n) => json!(n.as_i64().unwrap() + 1),
                // The empty text hashes as null.
                _ => json!(""),
            };
            edits.push((at, ordered(&edited)));
        }
    }
    each(&value, String::new(), &value, &mut edits);
    let more = line.replacen("{\"", "{\"more\":1,\"", 1);
    edits.push(("more".to_owned(), more));
    let first = line.split(',').next().unwrap();
    edits.push((
        "twice".to_owned(),
        line.replacen(first, &format!("{first},{}", &first[1..]), 1),
    ));
    edits
}

/// The line with the key first by which the kinds of lines are distinguished.
fn ordered(value: &Value) -> String {
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
    let attacks = attacks(&export);
    assert!(attacks.len() > 500, "only {}", attacks.len());
    for (what, attacked) in &attacks {
        let proof = proved(attacked.as_bytes(), &keys);
        assert!(!proof.valid && proof.problem.is_some(), "unnoticed: {what}");
    }
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
    let attacks = attacks(&export);
    for (what, attacked) in attacks.iter().step_by(7) {
        let (code, text) = tool(&python, &folder, &s.state_dir(), attacked);
        assert!(
            code == 1 && text.contains("does not hold"),
            "{what}: {code} {text}"
        );
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn a_long_log_is_verified_on_another_machine() {
    let wanted: u64 = std::env::var("DBWARD_TEST_EXPORT_EVENTS")
        .expect("DBWARD_TEST_EXPORT_EVENTS")
        .parse()
        .unwrap();
    let folder = Temp::new();
    let path = folder.path().join("dbward.db");
    let key = Keypair::from_seed([3; 32]);
    let public = key.public();
    let keys = AuditKeys {
        current: key,
        known: BTreeMap::from([(public.id(), public)]),
    };
    let store = Store::open(
        &path,
        Clock::system(),
        keys,
        Arc::new(|why| panic!("{why}")),
    )
    .unwrap();
    let failures = |count| -> LogChange {
        LogChange::AuthFailures(AuthFailures {
            address: "192.0.2.1".into(),
            count,
            reason: "unknown token",
        })
    };
    for from in (0..wanted).step_by(1000) {
        let changes = (from..wanted.min(from + 1000)).map(|n| failures(n).into());
        let changes: Vec<_> = changes.collect();
        store
            .change(Actor::system(), move |_, _| Ok(Verdict::Write(changes, ())))
            .unwrap();
    }
    store.close().unwrap();
    let text =
        json!({"current": public.id(), "keys": {public.id(): STANDARD.encode(public.bytes())}});
    fs::write(folder.path().join("audit-keys.json"), text.to_string()).unwrap();
    let (code, export) = ran(&["audit", "export", "--db", path.to_str().unwrap()]);
    assert_eq!(code, 0);
    let keys = BTreeMap::from([(public.id(), public)]);
    let began = std::time::Instant::now();
    let proof = proved(export.as_bytes(), &keys);
    println!("{} events in {:?}", proof.total_events, began.elapsed());
    assert!(proof.valid && proof.from_beginning, "{proof:?}");
    assert!(proof.total_events >= i64::try_from(wanted).unwrap());
    if let Some(python) = python() {
        let (code, text) = tool(&python, &folder, folder.path(), &export);
        assert_eq!(code, 0, "{text}");
    }
    let lines: Vec<&str> = export.lines().collect();
    for n in [1, lines.len() / 2, lines.len() - 2] {
        let mut without = lines.clone();
        without.remove(n);
        let attacked = format!("{}\n", without.join("\n"));
        assert!(
            !proved(attacked.as_bytes(), &keys).valid,
            "line {n} removed"
        );
        if let Some(python) = python() {
            assert_eq!(tool(&python, &folder, folder.path(), &attacked).0, 1);
        }
    }
}
