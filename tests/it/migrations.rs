//! Requests on migrations: what is refused when they are made, and what people see of their SQL.

use crate::support::Server;
use serde_json::{Value, json};

fn detail(direction: &str, migrations: &[(&str, &str)]) -> String {
    let list: Vec<Value> = migrations
        .iter()
        .map(|(version, sql)| json!({"version": version, "sql": sql, "transactional": true}))
        .collect();
    json!({"format": "v2", "direction": direction, "migrations": list, "dir_sha256": "00"})
        .to_string()
}

#[test]
fn people_see_the_findings_and_the_risk_of_every_migration() {
    let s = Server::shop();
    let up = detail(
        "up",
        &[
            ("1", "CREATE TABLE a (b int)"),
            ("2", "-- why\nDELETE FROM a;\nDROP TABLE c"),
        ],
    );
    let request = s
        .requester()
        .submit_with("production", &up, json!({"operation": "migrate_up"}))
        .is_pending();
    let shown = s.approver().show(&request).is(200);
    assert_eq!(shown.json["execution_plan"], Value::Null);
    let context = &shown.json["context"];
    assert_eq!(context["tables"], json!(["a", "c"]));
    assert_eq!(context["risk"]["level"], "Unknown", "{context}");
    let findings = context["sql_review"]["findings"].as_array().unwrap();
    let found = |rule: &str| {
        let found = findings.iter().find(|f| f["rule"] == rule);
        found.unwrap_or_else(|| panic!("{rule}: {context}"))
    };
    let delete = found("NoWhereDelete");
    assert!(
        delete["message"]
            .as_str()
            .unwrap()
            .starts_with("migration `2`: ")
    );
    assert_eq!(
        (&delete["statement"], &delete["line"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(found("DropTable")["statement"], 3);
    assert_eq!(
        shown.json["decision_trace"]["classification"]["resolved_operation"],
        "migrate_up"
    );
}

#[test]
fn unasked_migration_refuses_no_class_of_statements() {
    let s = Server::shop();
    for (direction, sql) in [
        ("down", "DROP TABLE a; DROP TYPE b"),
        ("up", "GRANT SELECT ON a TO b"),
        ("up", "this cannot be read"),
        (
            "up",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$",
        ),
        ("up", "-- nothing yet"),
    ] {
        let more = json!({"operation": format!("migrate_{direction}")});
        s.requester()
            .submit_with("development", &detail(direction, &[("1", sql)]), more)
            .is_dispatched();
    }
}

#[test]
fn detail_that_no_agent_could_run_is_refused_at_creation() {
    let s = Server::shop();
    let requester = s.requester();
    let up = |detail: &str| {
        requester.create_with("production", detail, json!({"operation": "migrate_up"}))
    };
    for (detail, words) in [
        ("{}".to_owned(), "missing field"),
        (detail("up", &[]), "migrations is empty"),
        (detail("down", &[("1", "SELECT 1")]), "direction is `down`"),
        (
            detail("up", &[("1", "SELECT 1"), ("1", "SELECT 2")]),
            "version `1` is there twice",
        ),
        (
            detail("up", &[("2", "SELECT 1"), ("1", "SELECT 2")]),
            "version `1` comes after `2`",
        ),
        (
            detail("up", &[("1", "SELECT 'x")]),
            "migration `1`: line 1, column 8",
        ),
        (
            detail("up", &[("1", "-- migrate:up\nA;\n-- migrate:up\nB")]),
            "second section `-- migrate:up`, at line 3",
        ),
        (
            detail("up", &[("1; DROP", "SELECT 1")]),
            "version `1; DROP`",
        ),
    ] {
        up(&detail).refused(400, "validation_error").saying(words);
    }
    up(&detail(
        "up",
        &[("7", "CREATE TABLE a (b int);\nCOMMIT; BEGIN;")],
    ))
    .refused(422, "sql_rejected")
    .saying("migration `7`: statement 2 at line 2 would control the transaction");
    let refused = s.events("event_type=attempt.refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    let repair = json!({"operation": "migrate_repair", "reason": "x", "emergency": true});
    for detail in [
        "{}",
        r#"{"action":"forget","version":"1"}"#,
        r#"{"action":"remove","version":"';"}"#,
    ] {
        s.admin()
            .create_with("production", detail, repair.clone())
            .refused(400, "validation_error");
    }
    let mark = r#"{"action":"mark_applied","version":"1"}"#;
    s.admin()
        .submit_with("production", mark, repair)
        .is_dispatched();
}

#[test]
fn migration_without_dialect_must_be_the_same_in_all() {
    let s = Server::shop();
    let more = json!({"operation": "migrate_up"});
    s.requester()
        .submit_with(
            "production",
            &detail("up", &[("1", "CREATE TABLE a (b int)")]),
            more,
        )
        .is_pending();
}
