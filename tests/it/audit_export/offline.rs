//! The state file verified without its server, live rows over HTTP, and kept checkpoints.

use super::{busy, busy_with, fetched, ran};
use crate::support::Temp;
use rusqlite::config::DbConfig;
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_state_file_is_verified_without_its_server() {
    let mut s = busy();
    let db = s.state_dir().join("dbward.db");
    let verify = [
        "audit",
        "verify",
        "--db",
        db.to_str().unwrap(),
        "--format",
        "json",
    ];
    let json = |(code, text): (i32, String)| -> (i32, Value) {
        (
            code,
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")),
        )
    };
    // The server runs, and then does not.
    let (code, running) = json(ran(&verify));
    assert_eq!(
        (code, &running["valid"], &running["live_state"]),
        (0, &json!(true), &json!("compared"))
    );
    s.stop_in_background().join().unwrap();
    let (code, found) = json(ran(&verify));
    assert_eq!((code, &found["valid"]), (0, &json!(true)));
    let edit = |sql: &str| {
        let file = rusqlite::Connection::open(&db).unwrap();
        file.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
            .unwrap();
        file.execute_batch("PRAGMA ignore_check_constraints = ON")
            .unwrap();
        file.execute_batch(sql).unwrap();
    };
    edit("UPDATE request_contexts SET updated_at_ms = updated_at_ms + 1");
    let (code, found) = json(ran(&verify));
    assert_eq!(code, 1);
    assert_eq!(
        found["problem"],
        "rows of request_contexts are not those of the signed head"
    );
    // Without the audit key, that cannot be seen, and is reported.
    let copy = Temp::new();
    for name in ["dbward.db", "audit-keys.json"] {
        fs::copy(s.state_dir().join(name), copy.path().join(name)).unwrap();
    }
    let copied = copy.path().join("dbward.db");
    let (code, text) = ran(&["audit", "verify", "--db", copied.to_str().unwrap()]);
    assert!(
        code == 0 && text.contains("Live rows were not compared"),
        "{text}"
    );
    edit("UPDATE request_contexts SET updated_at_ms = updated_at_ms - 1");
    assert_eq!(json(ran(&verify)).0, 0);
}

#[test]
fn live_rows_that_were_edited_are_found_over_http() {
    let s = busy();
    let verify = || s.admin().get("/api/audit/verify").is(200).json;
    assert_eq!(verify()["problem"], Value::Null);
    s.edit_state("UPDATE request_contexts SET updated_at_ms = updated_at_ms + 1");
    let found = verify();
    assert_eq!(found["valid"], false);
    assert_eq!(
        found["problem"],
        "rows of request_contexts are not those of the signed head"
    );
    s.edit_state("UPDATE request_contexts SET updated_at_ms = updated_at_ms - 1");
    assert_eq!(verify()["valid"], true);
}

#[test]
fn a_kept_checkpoint_finds_a_log_that_was_rolled_back() {
    let kept = Temp::new();
    let file = kept.path().join("checkpoints.jsonl");
    let shown = file.to_str().unwrap();
    let s = busy_with(&format!("[audit]\ncheckpoint_file = \"{shown}\"\n"));
    let keys = s.state_dir().join("audit-keys.json");
    let db = s.state_dir().join("dbward.db");
    let export = kept.path().join("audit.jsonl");
    let of_export = [
        "audit",
        "verify",
        "--export",
        export.to_str().unwrap(),
        "--public-key",
        keys.to_str().unwrap(),
        "--checkpoint",
        shown,
    ];
    let of_file = [
        "audit",
        "verify",
        "--db",
        db.to_str().unwrap(),
        "--checkpoint",
        shown,
    ];
    fs::write(&export, fetched(&s, "")).unwrap();
    let lines = fs::read_to_string(&file).unwrap();
    assert!(lines.lines().count() > 1, "{lines}");
    for arguments in [&of_export[..], &of_file[..]] {
        let (code, text) = ran(arguments);
        assert_eq!(code, 0, "{text}");
    }
    // A state, and an export, from before the last checkpoint.
    s.turn_only(3_601);
    s.minute();
    assert!(fs::read_to_string(&file).unwrap().len() > lines.len());
    let (code, text) = ran(&of_export);
    assert!(code == 1 && text.contains("rolled back"), "{text}");
    assert_eq!(ran(&of_file).0, 0);
    // A checkpoint of another log.
    let forged =
        fs::read_to_string(&file)
            .unwrap()
            .replacen("\"created_at\":\"2", "\"created_at\":\"3", 1);
    fs::write(&file, &forged).unwrap();
    let (code, text) = ran(&of_file);
    assert!(
        code == 1 && text.contains("not what the checkpoint file says"),
        "{text}"
    );
    fs::write(
        &file,
        forged.replacen("\"created_at\":\"3", "\"created_at\":\"2", 1),
    )
    .unwrap();
}
