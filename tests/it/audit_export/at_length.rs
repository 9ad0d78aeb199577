//! A long log: proved on another machine, and changed here and there.

use super::changes::{Change, Lines};
use super::{proved, python, ran, tool};
use crate::support::Temp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dbward::clock::Clock;
use dbward::crypto::{Keypair, PublicKey};
use dbward::domain::actor::Actor;
use dbward::domain::change::{AuthFailures, LogChange};
use dbward::export::verify_export;
use dbward::store::{AuditKeys, Store, Verdict};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places in the log, besides its ends and its middle, at which it is changed.
const ANYWHERE: usize = 12;

/// The events that were asked for.
pub(super) fn wanted() -> u64 {
    let events = std::env::var("DBWARD_TEST_EXPORT_EVENTS").expect("DBWARD_TEST_EXPORT_EVENTS");
    events.parse().unwrap()
}

/// Makes a state file of so many events in a folder, with its public key next to it.
pub(super) fn make(folder: &Path, wanted: u64) -> PublicKey {
    let key = Keypair::from_seed([3; 32]);
    let public = key.public();
    let keys = AuditKeys {
        current: key,
        known: BTreeMap::from([(public.id(), public)]),
    };
    let fatal = Arc::new(|why: &str| panic!("{why}"));
    let store = Store::open(&folder.join("dbward.db"), Clock::system(), keys, fatal).unwrap();
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
    fs::write(folder.join("audit-keys.json"), text.to_string()).unwrap();
    public
}

pub(super) fn exported(folder: &Path) -> String {
    let db = folder.join("dbward.db");
    let (code, export) = ran(&["audit", "export", "--db", db.to_str().unwrap()]);
    assert_eq!(code, 0);
    export
}

#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn a_long_log_is_verified_on_another_machine() {
    let (folder, wanted) = (Temp::new(), wanted());
    let public = make(folder.path(), wanted);
    let export = exported(folder.path());
    let keys = BTreeMap::from([(public.id(), public)]);
    let began = std::time::Instant::now();
    let proof = proved(export.as_bytes(), &keys);
    println!("{} events in {:?}", proof.total_events, began.elapsed());
    assert!(proof.valid && proof.from_beginning, "{proof:?}");
    assert!(proof.total_events >= i64::try_from(wanted).unwrap());
    let Some(python) = python() else { return };
    let (code, text) = tool(&python, &folder, folder.path(), &export);
    assert_eq!(code, 0, "{text}");
    let lines = Lines::of(&export);
    for n in [1, lines.len() / 2, lines.len() - 2] {
        let removed = lines.moves(n).remove(0);
        let changed = lines.with(&removed).concat();
        assert_eq!(tool(&python, &folder, folder.path(), &changed).0, 1);
    }
}

/// Every kind of change at both ends and in the middle, and each that is not an edit of one value anywhere else.
fn changes(lines: &Lines) -> Vec<Change> {
    let last = lines.len() - 1;
    let mut changes = Vec::new();
    for n in [0, 1, last / 2, last - 1, last] {
        changes.extend(lines.changes(n));
    }
    // Places that differ from run to run would make a failure hard to repeat.
    let mut place: usize = 7;
    for _ in 0..ANYWHERE {
        place = place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let n = 1 + (place >> 16) % (last - 1);
        changes.extend(lines.moves(n));
        changes.push(lines.changes(n).pop().unwrap());
    }
    changes
}

#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn a_change_of_a_long_log_is_found_wherever_it_is() {
    let folder = Temp::new();
    let public = make(folder.path(), wanted());
    let export = exported(folder.path());
    let lines = Lines::of(&export);
    let changes = changes(&lines);
    assert!(changes.len() > 150, "only {}", changes.len());
    let key = |id: &str| (public.id() == id).then_some(public);
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(change) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let [before, instead, after] = lines.with(change).map(str::as_bytes);
            let proof = verify_export(before.chain(instead).chain(after), &key, None).unwrap();
            assert!(!proof.valid, "unnoticed: {}", change.what);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    let proof = verify_export(lines.text.as_bytes(), &key, None).unwrap();
    assert!(proof.valid, "{proof:?}");
}
