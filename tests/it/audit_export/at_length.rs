//! A long log: proved on another machine, and changed here and there.

use super::changes::{Change, Lines};
use super::{proved, python, ran, tool};
use crate::support::Temp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dbward::clock::Clock;
use dbward::crypto::{Keypair, PublicKey};
use dbward::domain::actor::Actor;
use dbward::domain::chain::KeyLookup;
use dbward::domain::change::{AuthFailures, LogChange};
use dbward::export::{VerifiedExport, verify_export};
use dbward::store::{AuditKeys, Store, Verdict};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Places in the log, besides its ends and its middle, at which a change is judged by all of the export.
const ANYWHERE: usize = 100;
/// All values are edited of each so many lines, and of the first ones.
const EDITED_EVERY: usize = 97;
const EDITED_FIRST: usize = 3_000;
/// The lines after a forged one are chained to it anew at each so many lines, and at the first ones.
const REWRITTEN_EVERY: usize = 997;
const REWRITTEN_FIRST: usize = 300;

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

/// Places at which a change is judged by all of the export, besides its ends and its middle.
fn anywhere(lines: &Lines) -> Vec<usize> {
    let last = lines.len() - 1;
    let mut places = vec![0, 1, last / 2, last - 1, last];
    // Places that differ from run to run would make a failure hard to repeat.
    let mut place: usize = 7;
    places.extend((0..ANYWHERE).map(|_| {
        place = place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        2 + (place >> 16) % (last - 3)
    }));
    places
}

/// Does `work` for each of so many, on all processors.
fn each(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= count {
            return;
        }
        work(n);
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
}

/// What the proof of an export with this change comes to.
fn whole(lines: &Lines, change: &Change, key: &KeyLookup) -> VerifiedExport {
    let [before, instead, after] = lines.with(change).map(str::as_bytes);
    verify_export(before.chain(instead).chain(after), key, None).unwrap()
}

/// The same of the part from the first changed line on. Number and hash of the last event are all that a proof knows of
/// the lines before, where nothing was purged, and a line that says where an export begins says just these. It reads no
/// further than to the line that does not hold, so every change of a long log can be tried.
fn resumed(lines: &Lines, change: &Change, key: &KeyLookup) -> VerifiedExport {
    let begins = lines.begins_after(change.lines.start - 1);
    let [_, instead, after] = lines.with(change).map(str::as_bytes);
    verify_export(begins.as_bytes().chain(instead).chain(after), key, None).unwrap()
}

#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn change_of_a_long_log_is_found_wherever_it_is() {
    let folder = Temp::new();
    let public = make(folder.path(), wanted());
    let export = exported(folder.path());
    let lines = Lines::of(&export);
    let key = |id: &str| (public.id() == id).then_some(public);
    let changes: Vec<Change> = anywhere(&lines)
        .into_iter()
        .enumerate()
        .flat_map(|(number, n)| match number < 5 {
            true => lines.changes(n),
            false if number % 2 == 0 => vec![lines.moves(n).swap_remove(number % 7)],
            false => vec![lines.edit(n)],
        })
        .collect();
    assert!(changes.len() > 150, "only {}", changes.len());
    each(changes.len(), |n| {
        let change = &changes[n];
        let proof = whole(&lines, change, &key);
        assert!(!proof.valid, "unnoticed: {}", change.what);
        if change.lines.start > 1 {
            let resumed = resumed(&lines, change, &key);
            let found = |proof: &VerifiedExport| {
                let problem = proof.problem.clone().unwrap();
                let (_, words) = problem.split_once(": ").unwrap_or(("", &problem));
                (words.to_owned(), proof.first_broken_id.clone(), proof.last)
            };
            assert_eq!(found(&proof), found(&resumed), "{}", change.what);
        }
    });
    let proof = verify_export(lines.text.as_bytes(), &key, None).unwrap();
    assert!(proof.valid, "{proof:?}");
}

/// Every kind of change at every line; but of edits one a line and all at each of some, and what changes the lines up to
/// a checkpoint at every distance to one.
#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn every_change_of_a_long_log_is_found() {
    let folder = Temp::new();
    let public = make(folder.path(), wanted());
    let export = exported(folder.path());
    let lines = Lines::of(&export);
    let key = |id: &str| (public.id() == id).then_some(public);
    let tried = AtomicUsize::new(0);
    each(lines.len() - 2, |place| {
        let n = place + 2;
        let mut changes = lines.moves(n);
        if n % EDITED_EVERY == 0 || n < EDITED_FIRST {
            changes.extend(lines.edits(n));
        } else {
            changes.push(lines.edit(n));
        }
        if n % REWRITTEN_EVERY == 0 || n < REWRITTEN_FIRST {
            changes.extend(lines.rewritings(n));
        }
        for change in &changes {
            let proof = resumed(&lines, change, &key);
            assert!(!proof.valid, "unnoticed: {}", change.what);
        }
        tried.fetch_add(changes.len(), Ordering::Relaxed);
    });
    println!("{} changes", tried.into_inner());
}
