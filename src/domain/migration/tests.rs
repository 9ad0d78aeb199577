//! Details of requests on migrations: what is read, and what is refused.

use super::*;
use serde_json::{Value, json};

fn up(migrations: Value) -> Result<MigrationPlan, MigrationError> {
    let detail = json!({"format": "v2", "direction": "up", "migrations": migrations});
    plan(Direction::Up, &detail.to_string(), Dialect::Postgres)
}

#[test]
fn a_detail_of_existing_clients_is_read() {
    let detail = json!({
        "format": "v2", "direction": "down", "versions": ["1", "2"], "dir_sha256": "00", "max_count": 1,
        "migrations": [
            {"version": "1", "sql": "DROP TABLE a; DROP TABLE b; -- done", "transactional": true},
            {"version": "2", "sql": "DROP INDEX CONCURRENTLY i", "transactional": false},
        ],
    });
    let plan = plan(Direction::Down, &detail.to_string(), Dialect::Postgres).unwrap();
    assert_eq!((plan.max_count, plan.migrations.len()), (Some(1), 2));
    let texts: Vec<&str> = plan.migrations[0]
        .statements
        .iter()
        .map(|s| s.text.as_str())
        .collect();
    assert_eq!(texts, ["DROP TABLE a", "DROP TABLE b"]);
    assert!(plan.migrations[0].transactional && !plan.migrations[1].transactional);
}

#[test]
fn a_detail_that_is_not_one_is_invalid() {
    let one = |version: &str| json!([{"version": version, "sql": "SELECT 1"}]);
    for (detail, message) in [
        ("{}".to_owned(), "missing field"),
        ("[]".to_owned(), "detail of a migration"),
        (
            json!({"direction": "up", "migrations": []}).to_string(),
            "migrations is empty",
        ),
        (
            json!({"direction": "down", "migrations": one("1")}).to_string(),
            "direction is `down`",
        ),
        (
            json!({"migrations": one("1")}).to_string(),
            "direction is ``",
        ),
        (
            json!({"format": "v3", "direction": "up", "migrations": one("1")}).to_string(),
            "format is `v3`",
        ),
        (
            json!({"direction": "up", "max_count": 0, "migrations": one("1")}).to_string(),
            "max_count is 0",
        ),
        (
            json!({"direction": "up", "versions": ["2"], "migrations": one("1")}).to_string(),
            "names others",
        ),
        (
            json!({"direction": "up", "migrations": one("1'")}).to_string(),
            "version `1'`",
        ),
        (
            json!({"direction": "up", "migrations": one("")}).to_string(),
            "version ``",
        ),
    ] {
        let error = plan(Direction::Up, &detail, Dialect::Postgres).unwrap_err();
        assert!(
            matches!(&error, MigrationError::Invalid(text) if text.contains(message)),
            "{detail}: {error:?}"
        );
    }
}

#[test]
fn versions_ascend_by_name_or_number_without_duplicates() {
    let versions = |all: &[&str]| {
        let list: Vec<Value> = all
            .iter()
            .map(|version| json!({"version": version, "sql": "SELECT 1"}))
            .collect();
        up(Value::from(list)).map(|plan| plan.migrations.len())
    };
    assert_eq!(versions(&["20240101", "20240102"]), Ok(2));
    assert_eq!(versions(&["9", "10"]), Ok(2));
    assert_eq!(versions(&["10", "9"]), Ok(2));
    let error = versions(&["2", "1"]).unwrap_err();
    assert!(
        error.message().contains("version `1` comes after `2`"),
        "{error:?}"
    );
    let error = versions(&["1", "1"]).unwrap_err();
    assert!(error.message().contains("twice"), "{error:?}");
}

#[test]
fn transaction_control_in_a_migration_is_refused() {
    let sql = "CREATE TABLE a (b int);\nCOMMIT;\nBEGIN;\nDROP TABLE a";
    let error = up(json!([{"version": "7", "sql": sql}])).unwrap_err();
    assert_eq!(
        error,
        MigrationError::Refused(
            "migration `7`: statement 2 at line 2 would control the transaction, which is the agent's".to_owned()
        )
    );
    for sql in ["SELECT '\u{0}'", "SELECT 'x", "-- migrate:down\nSELECT 1"] {
        let error = up(json!([{"version": "7", "sql": sql}])).unwrap_err();
        assert!(
            matches!(&error, MigrationError::Invalid(text) if text.starts_with("migration `7`: "))
        );
    }
}

#[test]
fn a_repair_is_read_whole_or_not_at_all() {
    assert_eq!(
        repair(r#"{"action": "mark_applied", "version": "1"}"#),
        Ok(Repair {
            action: RepairAction::MarkApplied,
            version: "1".to_owned()
        })
    );
    for detail in [
        "",
        "{}",
        r#"{"action": "drop", "version": "1"}"#,
        r#"{"action": "remove", "version": "';"}"#,
    ] {
        repair(detail).unwrap_err();
    }
}
