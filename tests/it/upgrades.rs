//! States that servers of earlier schemas left: each opens, proves itself, and work goes on in it.

use crate::support::{Faults, Person, Temp, admin_of, verified};
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

/// What a state holds, whatever its schema is: one line a row.
const CONTENTS: [(&str, &str); 8] = [
    (
        "requests",
        "SELECT concat_ws('|', id, requester, database_name, environment, operation, status, reason, audit_seq, \
         created_at_ms, resolved_at_ms, claimed_by, executions_finished) FROM requests ORDER BY seq",
    ),
    (
        "texts",
        "SELECT concat_ws('|', request_seq, detail, redacted, share_with_json, metadata_json) FROM request_texts ORDER BY 1",
    ),
    (
        "votes",
        "SELECT concat_ws('|', request_seq, step_index, action, actor_id, token_id, matched_selector, comment, \
         created_at_ms, audit_seq) FROM approvals ORDER BY id",
    ),
    (
        "executions",
        "SELECT concat_ws('|', id, request_seq, attempt, agent_id, status, started_at_ms) FROM executions ORDER BY seq",
    ),
    (
        "results",
        "SELECT concat_ws('|', execution_seq, backend, object_key, content_length, checksum_sha256, expires_at_ms) \
         FROM results ORDER BY 1",
    ),
    (
        "tokens",
        "SELECT concat_ws('|', id, subject_id, token_hash, name, roles_json, role_mode, issuer, issuers_json, \
         expires_at_ms, revoked_at_ms IS NOT NULL) FROM tokens ORDER BY id",
    ),
    (
        "users",
        "SELECT concat_ws('|', id, subject_type, status, slack_user_id) FROM users ORDER BY id",
    ),
    (
        "events",
        "SELECT concat_ws('|', seq, id, event_type, actor_id, created_at, prev_hash, event_hash) FROM audit_events ORDER BY seq",
    ),
];

/// Rows of each kind that a stored state has, by its version: so that none is emptied unnoticed.
const ROWS: [(&str, [usize; 8]); 7] = [
    ("0005", [3, 3, 1, 1, 1, 3, 3, 12]),
    ("0007", [3, 3, 1, 1, 1, 3, 3, 13]),
    ("0015", [3, 3, 1, 1, 1, 3, 3, 13]),
    ("0017", [3, 3, 1, 1, 1, 3, 3, 13]),
    ("0020", [5, 5, 2, 2, 2, 6, 6, 30]),
    ("0021", [2, 2, 0, 1, 1, 4, 4, 13]),
    ("0022", [2, 2, 0, 1, 1, 3, 3, 12]),
];

fn contents(dir: &Path) -> [Vec<String>; 8] {
    let file = Connection::open(dir.join("state/dbward.db")).unwrap();
    CONTENTS.map(|(_, sql)| {
        let mut rows = file.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    })
}

/// Whether everything is there as it was; of the log, what has been written since comes after it.
fn kept(what: &str, before: &[Vec<String>; 8], dir: &Path) {
    let after = contents(dir);
    for (n, (kind, _)) in CONTENTS.iter().enumerate() {
        let after = &after[n][..before[n].len().min(after[n].len())];
        assert_eq!(after, before[n], "{what}: {kind}");
    }
    for kind in [
        "requests",
        "texts",
        "votes",
        "executions",
        "tokens",
        "users",
    ] {
        let n = CONTENTS
            .iter()
            .position(|(known, _)| *known == kind)
            .unwrap();
        assert_eq!(after[n].len(), before[n].len(), "{what}: {kind}");
    }
}

/// What people see of it: every request as it stands there with its text and its votes, every token with whether it
/// counts, and every first token still does.
fn shown(what: &str, dir: &Path, admin: &Person) {
    let file = Connection::open(dir.join("state/dbward.db")).unwrap();
    let mut rows = file
        .prepare(
            "SELECT r.id, r.status, t.detail, (SELECT json_group_array(comment) FROM approvals a WHERE a.request_seq = r.seq) \
             FROM requests r JOIN request_texts t ON t.request_seq = r.seq",
        )
        .unwrap();
    let rows = rows.query_map([], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?]));
    for row in rows.unwrap() {
        let [id, status, detail, comments]: [String; 4] = row.unwrap();
        let shown = admin.get(&format!("/api/requests/{id}")).is(200);
        assert_eq!(
            (shown.text("status"), shown.text("detail")),
            (status, detail),
            "{what}"
        );
        let comments: Vec<String> = serde_json::from_str(&comments).unwrap();
        let progress = shown.json["approval_progress"].to_string();
        for comment in comments {
            let written = serde_json::to_string(&comment).unwrap();
            assert!(
                progress.contains(&written),
                "{what}: {written} in {progress}"
            );
        }
    }
    let mut revoked: Vec<String> = admin
        .get("/api/tokens?limit=100")
        .is(200)
        .list("tokens")
        .iter()
        .filter(|token| token["status"] == "revoked")
        .map(|token| token["id"].as_str().unwrap().to_owned())
        .collect();
    revoked.sort();
    let mut rows = file
        .prepare("SELECT id FROM tokens WHERE revoked_at_ms IS NOT NULL ORDER BY id")
        .unwrap();
    let stored: Vec<String> = rows
        .query_map([], |r| r.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(revoked, stored, "{what}");
    let developer = fs::read_to_string(dir.join("state/developer-token")).unwrap();
    let developer = Person::new(admin.at, "developer", Some(developer), Faults::default());
    assert_eq!(
        developer.get("/api/me").is(200).text("subject_id"),
        "developer"
    );
}

#[test]
fn states_of_earlier_schemas_open_prove_themselves_and_go_on() {
    let newest = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations"))
        .unwrap()
        .count() as i64;
    let stored = stored();
    let versions: Vec<&str> = stored
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(versions, ROWS.map(|(version, _)| version));
    for (stored, (version, rows)) in stored.iter().zip(ROWS) {
        let what = version;
        let dir = Temp::new();
        put(stored, dir.path());
        let before = contents(dir.path());
        assert_eq!(before.each_ref().map(Vec::len), rows, "{what}");
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
        if version_of(stored) < HEADS {
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
        kept(what, &before, dir.path());
        shown(what, dir.path(), &admin);
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
