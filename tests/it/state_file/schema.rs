//! The schema of the state file, changed while no server runs: no start, no quarantine and no verification goes on with
//! a trigger, a view, an index or a table that is not ours.

use super::quarantine::start;
use super::{Outcome, TABLES, copied, outcome, stopped, unguarded};
use crate::support::verified;
use dbward::store::STATE_DIFFERS;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Changes, and the words for each.
const CHANGES: &[(&str, &str)] = &[
    (
        "CREATE TRIGGER more AFTER INSERT ON audit_events BEGIN UPDATE sessions SET subject_id = 'admin'; END",
        "no migration made trigger more of table audit_events",
    ),
    (
        "CREATE VIEW seen AS SELECT * FROM tokens",
        "no migration made view seen",
    ),
    ("CREATE TABLE more (a)", "no migration made table more"),
    (
        "CREATE TABLE _litestream_more (id INTEGER)",
        "no migration made table _litestream_more",
    ),
    (
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER REFERENCES tokens (seq))",
        "no migration made table _litestream_seq",
    ),
    (
        "CREATE VIRTUAL TABLE more USING rtree (a, b, c)",
        "no migration made table more",
    ),
    (
        "CREATE INDEX more ON requests (id) WHERE status = 'pending'",
        "no migration made index more of table requests",
    ),
    (
        "DROP TRIGGER audit_no_update",
        "trigger audit_no_update of table audit_events is missing",
    ),
    (
        "DROP INDEX requests__frozen",
        "index requests__frozen of table requests is missing",
    ),
    (
        "DROP TRIGGER audit_no_update; CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_events BEGIN SELECT 1; END",
        "trigger audit_no_update of table audit_events is not the one that a migration made",
    ),
    (
        "ALTER TABLE tokens ADD COLUMN more TEXT",
        "table tokens is not the one that a migration made",
    ),
    (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'ABORT', 'FAIL') \
         WHERE name = 'audit_no_update'",
        "trigger audit_no_update of table audit_events is not the one that a migration made",
    ),
    (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (id = 1)', '') \
         WHERE name = 'audit_head'",
        "table audit_head is not the one that a migration made",
    ),
    (
        "ALTER TABLE meta RENAME TO away; CREATE VIEW meta AS SELECT * FROM away",
        "no migration made table away",
    ),
    (
        "DELETE FROM schema_migrations WHERE name >= '0023'",
        "is not the one that a migration made",
    ),
    // That one changes no table, but what the head is signed for.
    (
        "DELETE FROM schema_migrations WHERE name = '0025_heads_apart'",
        "the signature of the",
    ),
];

fn changed(folder: &Path, sql: &str) {
    let changed = unguarded(folder).execute_batch(sql);
    changed.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

#[test]
fn a_changed_schema_stops_every_start_and_is_verified() {
    let folder = stopped();
    for (sql, words) in CHANGES {
        let copy = copied(folder.path());
        changed(copy.path(), sql);
        let before = fs::read(copy.path().join("dbward.db")).unwrap();
        for quarantine in [false, true] {
            let refused = start(copy.path(), quarantine).err().unwrap();
            assert_eq!(refused.code(), STATE_DIFFERS, "{sql}: {refused}");
            assert!(refused.to_string().contains(words), "{sql}: {refused}");
        }
        let after = fs::read(copy.path().join("dbward.db")).unwrap();
        assert!(before == after, "{sql}: the file was written");
        let problem = verified(copy.path()).problem.unwrap_or_default();
        assert!(problem.contains(words), "{sql}: {problem}");
    }
}

#[test]
fn the_program_verifies_the_schema_of_a_file() {
    let folder = stopped();
    let verify = || {
        let run = Command::new(env!("CARGO_BIN_EXE_dbward"))
            .args(["audit", "verify", "--db"])
            .arg(folder.path().join("dbward.db"))
            .output()
            .unwrap();
        (run.status.code(), String::from_utf8(run.stdout).unwrap())
    };
    assert_eq!(verify().0, Some(0));
    let (sql, words) = CHANGES[0];
    changed(folder.path(), sql);
    let (code, output) = verify();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(words), "{output}");
}

#[test]
fn the_tables_of_litestream_are_known() {
    let folder = stopped();
    unguarded(folder.path())
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); \
             CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER); INSERT INTO _litestream_seq VALUES (1, 1)",
        )
        .unwrap();
    start(folder.path(), false).unwrap().close().unwrap();
    let proof = verified(folder.path());
    assert!(proof.valid, "{proof:?}");
}

#[test]
fn a_log_cut_at_its_baseline_is_refused() {
    const STAY: [&str; 5] = [
        "meta",
        "schema_migrations",
        "transitions",
        "audit_recipes",
        "audit_head",
    ];
    let folder = stopped();
    let db = unguarded(folder.path());
    let baseline = "UPDATE audit_head SET (seq, event_hash, recipe_sha256, sums_json, key_id, signature) = \
         (SELECT m ->> 'head_seq', m ->> 'head_hash', m ->> 'recipe_sha256', m -> 'sums', m ->> 'key_id', \
         m ->> 'signature' FROM (SELECT metadata_json AS m FROM audit_events WHERE event_type = 'state.baseline' \
         ORDER BY seq LIMIT 1))";
    assert_eq!(db.execute(baseline, []).unwrap(), 1);
    for table in TABLES.iter().filter(|t| !STAY.contains(&t.name)) {
        db.execute(&format!("DELETE FROM {}", table.name), [])
            .unwrap();
    }
    drop(db);
    assert_eq!(outcome(folder.path(), "head"), Outcome::Refused);
}
