//! Recorded decisions, decided again: by the policies that decided, and by others that somebody wants to try.

use crate::support::{Request, SHOP, Server, Temp, binary};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Lets risk decide in staging, and names somebody who may do everything in an emergency.
const MORE: &str = r#"
[[auto_approve]]
environment = "staging"
risk = "low"

[[auth.roles]]
name = "surgeon"
permissions = ["request.create", "request.break_glass", "request.break_glass_ddl", "request.view"]
"#;

fn policy(arguments: &[&str]) -> (Option<i32>, String, String) {
    let run = binary().arg("policy").args(arguments).output().unwrap();
    (
        run.status.code(),
        String::from_utf8(run.stdout).unwrap(),
        String::from_utf8(run.stderr).unwrap(),
    )
}

fn replay(db: &Path) -> (Option<i32>, String, String) {
    policy(&["replay", "--db", db.to_str().unwrap()])
}

/// The changes that are reported for a candidate.
fn tried(toml: &str, s: &Server, more: &[&str]) -> (Option<i32>, String, String) {
    let dir = Temp::new();
    let file = dir.path().join("candidate.toml");
    fs::write(&file, toml).unwrap();
    let db = s.state_dir().join("dbward.db");
    let mut arguments = vec!["test", "--config", file.to_str().unwrap()];
    arguments.extend(["--db", db.to_str().unwrap()]);
    arguments.extend(more);
    let notified = policy(&arguments);
    assert!(
        !dir.path().join("nowhere").exists(),
        "a trial left something"
    );
    notified
}

/// One request of every opening.
fn history(s: &Server) -> Vec<Request> {
    let (requester, surgeon) = (s.requester(), s.person("surgeon", &["surgeon"]));
    vec![
        requester.submit("development", "UPDATE items SET a = 1 WHERE id = 1"),
        requester.submit("staging", "SELECT 1"),
        requester.submit("staging", "UPDATE items SET a = 1 WHERE id = 1"),
        requester.submit("production", "ALTER TABLE items DROP COLUMN a"),
        requester.submit("production", "this cannot be read"),
        requester.submit_with(
            "production",
            r#"{"format":"v2","direction":"up","migrations":[{"version":"1","sql":"CREATE TABLE fresh (a int)"}]}"#,
            json!({"operation": "migrate_up"}),
        ),
        surgeon.submit_with(
            "production",
            "DROP TABLE items",
            json!({"emergency": true, "allow_ddl": true, "reason": "it burns"}),
        ),
    ]
}

#[test]
fn decisions_replay_as_recorded_next_to_a_running_server() {
    let s = Server::with(&format!("{SHOP}{MORE}"));
    let requests = history(&s);
    requests[3].by.cancel(&requests[3]).is(200);
    let s = s.restart_with(SHOP);
    s.requester().submit("staging", "SELECT 1").is_pending();
    let (code, out, errors) = replay(&s.state_dir().join("dbward.db"));
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "8 decisions come out as recorded\n"),
        "{errors}"
    );
}

#[test]
fn a_record_that_was_changed_comes_out_differently_and_fails() {
    let s = Server::with(&format!("{SHOP}{MORE}"));
    let requests = history(&s);
    let copy = Temp::new();
    let db = copy.path().join("dbward.db");
    {
        let source = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
        source
            .execute("VACUUM INTO ?1", [db.to_str().unwrap()])
            .unwrap();
        let copy = rusqlite::Connection::open(&db).unwrap();
        copy.execute_batch(
            "DROP TRIGGER request_texts_fixed; DROP TRIGGER policy_versions_no_update; PRAGMA foreign_keys = OFF;",
        )
        .unwrap();
        let change = |sql: &str, id: &str| {
            let seq = "(SELECT seq FROM requests WHERE id = ?1)";
            let sql = format!("UPDATE request_texts SET {sql} WHERE request_seq = {seq}");
            assert_eq!(copy.execute(&sql, [id]).unwrap(), 1);
        };
        let facts =
            |from: &str, to: &str| format!("facts_json = replace(facts_json, '{from}', '{to}')");
        change(&facts("\"no_where", "\"no_where"), &requests[0].id);
        change(
            &facts("\"name\":\"select\"", "\"name\":\"choose\""),
            &requests[1].id,
        );
        change(&facts("\"drop_column\"", "\"drop_table\""), &requests[3].id);
        change("workflow_json = NULL", &requests[4].id);
    }
    let (code, out, errors) = replay(&db);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        errors.contains("3 decisions come out differently"),
        "{errors}"
    );
    assert!(out.contains("4 decisions come out as recorded"), "{out}");
    for (n, words) in [
        (1, "its facts cannot be read"),
        (3, "it is refused: sql_blocked_by_review"),
        (4, "workflow: recorded none, comes out"),
    ] {
        let line = format!("{}: {words}", requests[n].id);
        assert!(out.contains(&line), "no {line} in {out}");
    }
}

#[test]
fn policies_that_are_not_kept_decide_nothing() {
    let s = Server::shop();
    s.requester().submit("staging", "SELECT 1");
    let copy = Temp::new();
    let db = copy.path().join("dbward.db");
    let source = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
    source
        .execute("VACUUM INTO ?1", [db.to_str().unwrap()])
        .unwrap();
    rusqlite::Connection::open(&db)
        .unwrap()
        .execute_batch(
            "DROP TRIGGER policy_versions_no_update; \
             UPDATE policy_versions SET text = replace(text, '\"min\":1', '\"min\":2');",
        )
        .unwrap();
    let (code, out, errors) = replay(&db);
    assert_eq!(code, Some(1), "{out}{errors}");
    assert!(out.contains("are not kept whole"), "{out}");
}

#[test]
fn a_candidate_shows_what_it_would_change_and_changes_nothing() {
    let s = Server::with(&format!("{SHOP}{MORE}"));
    let requests = history(&s);
    let candidate = SHOP
        .replacen(
            "environment = \"development\"\n\n",
            "environment = \"development\"\n[[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = \"admin\"\n\n",
            1,
        )
        .replace(
            "environment = \"production\"\n[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup",
            "environment = \"production\"\n[[workflows.steps]]\nmode = \"any\"\n[[workflows.steps.approvers]]\ngroup",
        );
    let candidate = format!(
        "state_dir = \"nowhere\"\n{candidate}\n[sql_review]\ndrop_column = \"block\"\n\
         [[auto_approve]]\nenvironment = \"staging\"\nrisk = \"none\"\n"
    );
    let (code, out, errors) = tried(&candidate, &s, &[]);
    assert_eq!(code, Some(0), "{errors}");
    for words in [
        &format!(
            "newly blocked:\n       1  shop/production execute_dml: sql_blocked_by_review, \
             SQL blocked by review: DROP COLUMN detected (such as {})",
            requests[3].id
        ),
        "newly waiting:\n",
        "shop/development execute_dml: for role:admin (1)",
        "shop/staging execute_select: for group:approvers (1)",
        "waiting for others:\n",
        "shop/production migrate_up: any of group:approvers (1) instead of all of group:approvers (1)",
        "2 would be decided as before",
    ] {
        assert!(out.contains(words), "no {words} in {out}");
    }
    let (code, _, errors) = tried(&candidate, &s, &["--strict"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("5 requests would be decided differently"),
        "{errors}"
    );
}

#[test]
fn what_lets_more_through_is_listed_first() {
    let s = Server::with(&format!("{SHOP}{MORE}"));
    history(&s);
    let looser = format!(
        "state_dir = \"nowhere\"\n{}\n",
        SHOP.replace(
            "environment = \"production\"\n[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"approvers\"\n",
            "environment = \"production\"\n",
        )
    );
    let (code, out, _) = tried(&looser, &s, &[]);
    assert_eq!(code, Some(0));
    let first = out.lines().nth(1);
    assert_eq!(first, Some("newly auto-approved:"), "{out}");
    assert!(
        out.contains("shop/production execute_dml: risk unknown, empty_steps"),
        "{out}"
    );
    // What cannot be read has nobody to look at it any more.
    assert!(out.contains("sql_unparsable"), "{out}");
}

#[test]
fn list_since_a_time_reads_recent_requests_only() {
    let s = Server::shop();
    s.requester().submit("staging", "SELECT 1");
    let db = s.state_dir().join("dbward.db");
    let recent = |days: &str| policy(&["replay", "--db", db.to_str().unwrap(), "--days", days]).1;
    assert!(recent("36500").starts_with("1 "), "{}", recent("36500"));
    // The clock of the test stands before that of the machine.
    assert!(recent("0").starts_with("0 "), "{}", recent("0"));
}

#[test]
fn a_broken_candidate_and_a_missing_database_are_reported() {
    let dir = Temp::new();
    let file = dir.path().join("server.toml");
    fs::write(&file, "state_dir = \"state\"\ncolour = 1\n").unwrap();
    let (code, out, errors) = policy(&["test", "--config", file.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.contains("server.toml:2: colour"), "{errors}");
    fs::write(&file, "state_dir = \"state\"\n").unwrap();
    let (code, _, errors) = policy(&["replay", "--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("database"), "{errors}");
    for wrong in [
        &["again"][..],
        &[],
        &["replay", "--strict"],
        &["test", "--days", "few"],
    ] {
        assert_eq!(policy(wrong).0, Some(2), "{wrong:?}");
    }
}
