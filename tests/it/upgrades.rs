//! States that servers of earlier schemas left: each opens, proves itself, and work goes on in it.

use crate::support::{Temp, admin_of, verified};
use dbward::clock::{Clock, Timestamp};
use dbward::config::Config;
use dbward::crypto::unhex;
use dbward::server::{Server, StartOptions};
use dbward::store::STATE_DIFFERS;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What marks a state file as ours.
const APPLICATION_ID: i64 = 0x6462_7764;

/// The version since which the head of the log is signed.
const HEADS: i64 = 6;

/// A folder for each schema version, with its number as name, oldest first.
fn stored() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/upgrades");
    let entries = fs::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// The version of the schema of a stored state.
fn version_of(stored: &Path) -> i64 {
    let name = stored.file_name().unwrap().to_str().unwrap();
    name.parse().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &place),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

/// The time at which the state in `dir` was left, a minute later: what waits in it has not expired, and its results have
/// not either.
fn clock_of(dir: &Path) -> Clock {
    let file = Connection::open(dir.join("state/dbward.db")).unwrap();
    let last: i64 = file
        .query_row("SELECT max(created_at_ms) FROM audit_events", [], |r| {
            r.get(0)
        })
        .unwrap();
    let clock = Clock::system();
    let since = clock.now().since(Timestamp(last).plus_secs(60));
    clock.set_back(Duration::from_millis(since));
    clock
}

/// Puts a stored state into `dir`, as its server left it.
fn put(stored: &Path, dir: &Path) {
    let state = dir.join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(stored.join("server.toml"), dir.join("server.toml")).unwrap();
    for entry in fs::read_dir(stored).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            // Results that are files: a folder for each request.
            copy_folder(&entry.path(), &state.join(name));
            continue;
        }
        if name == "server.toml" || name == "state.sql" {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        // Keys are bytes, which are stored in hexadecimal.
        let (name, bytes) = match name.strip_suffix(".hex") {
            Some(name) => (name, unhex(text.trim_end()).unwrap()),
            None => (name.as_str(), text.trim_end().as_bytes().to_vec()),
        };
        fs::write(state.join(name), bytes).unwrap();
        fs::set_permissions(state.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let version = version_of(stored);
    let file = Connection::open(state.join("dbward.db")).unwrap();
    file.pragma_update(None, "foreign_keys", false).unwrap();
    file.execute_batch(&fs::read_to_string(stored.join("state.sql")).unwrap())
        .unwrap();
    file.pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    file.pragma_update(None, "user_version", version).unwrap();
}

#[test]
fn states_of_earlier_schemas_open_prove_themselves_and_go_on() {
    let newest = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations"))
        .unwrap()
        .count() as i64;
    let stored = stored();
    assert!(!stored.is_empty());
    for stored in stored {
        let what = stored.display();
        let dir = Temp::new();
        put(&stored, dir.path());
        let text = fs::read_to_string(dir.path().join("server.toml")).unwrap();
        let config = Config::parse(&text, dir.path(), &|_| None).unwrap();
        let start = |accept_rollback: Option<&str>| {
            let options = StartOptions {
                clock: clock_of(dir.path()),
                accept_rollback: accept_rollback.map(str::to_owned),
                ..StartOptions::default()
            };
            Server::start(&config, options)
        };
        let mut accepted = None;
        if version_of(&stored) < HEADS {
            let refused = start(None).err().expect("nothing proves it");
            assert_eq!(refused.code(), STATE_DIFFERS, "{what}: {refused}");
            accepted = Some("of the last version");
        }
        let server = start(accepted).unwrap_or_else(|e| panic!("{what}: {e}"));
        let admin = admin_of(server.addr(), dir.path());
        let events = admin
            .get("/api/audit/events?event_type=audit.rollback_accepted")
            .is(200)
            .list("events");
        let reasons: Vec<_> = events.iter().map(|e| e["reason"].as_str()).collect();
        assert_eq!(reasons, Vec::from_iter(accepted.map(Some)), "{what}");
        let proof = admin.get("/api/audit/verify").is(200);
        assert_eq!(proof.json["valid"], true, "{what}: {}", proof.json);
        // What was decided, what it left, and what waits.
        let executed = admin.ids("status=executed");
        assert!(!executed.is_empty(), "{what}");
        for id in executed {
            admin
                .get(&format!("/api/requests/{id}/result/content"))
                .is(200);
        }
        let [waiting] = &admin.ids("status=pending")[..] else {
            panic!("{what}: one request waits");
        };
        admin
            .poke(&format!("/api/requests/{waiting}/approve"))
            .is(200);
        server.stop().unwrap();
        let proof = verified(&dir.path().join("state"));
        assert!(proof.valid, "{what}");
        let file = Connection::open(dir.path().join("state/dbward.db")).unwrap();
        let version: i64 = file
            .query_row("PRAGMA user_version", [], |r| r.get(0))
            .unwrap();
        assert_eq!(version, newest, "{what}");
    }
}
