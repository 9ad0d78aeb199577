//! Claims about migrations that hold on every database.

use super::{Place, failure, job};
use dbward::agent::drivers::{DriverJob, JobEffect, RunOutcome};
use dbward::domain::id::Operation;
use serde_json::{Value, json};

/// The detail of a request: versions, their SQL, and at most how many.
pub fn detail(direction: &str, migrations: &[(&str, &str)], max: Option<u64>) -> String {
    let list: Vec<Value> = migrations
        .iter()
        .map(|(version, sql)| json!({"version": version, "sql": sql}))
        .collect();
    let mut detail = json!({"format": "v2", "direction": direction, "migrations": list});
    if let Some(max) = max {
        detail["max_count"] = max.into();
    }
    detail.to_string()
}

pub fn migrate(place: &Place, operation: Operation, detail: &str) -> RunOutcome {
    place.run(&job(operation, &[detail]))
}

pub fn job_of(migrations: &[(&str, &str)]) -> DriverJob {
    job(Operation::MigrateUp, &[&detail("up", migrations, None)])
}

pub fn up(place: &Place, migrations: &[(&str, &str)]) -> RunOutcome {
    place.run(&job_of(migrations))
}

#[track_caller]
pub fn migrated(outcome: RunOutcome) -> Value {
    match outcome {
        RunOutcome::Migrated { json, .. } => serde_json::from_str(&json).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn recorded(place: &Place) -> Value {
    migrated(migrate(place, Operation::MigrateStatus, ""))["applied_versions"].clone()
}

/// Rows that nobody keeps are not left out without a word.
pub fn rows_of_a_migration_are_reported_as_left_out(place: &Place) {
    let none = ("1", "CREATE TABLE a (id INTEGER); SELECT id FROM a");
    assert_eq!(migrated(up(place, &[none])), json!({"applied": ["1"]}));
    let some = (
        "2",
        "INSERT INTO a VALUES (1); SELECT id FROM a; DROP TABLE a",
    );
    let outcome = up(place, &[some]);
    assert!(
        matches!(
            outcome,
            RunOutcome::Migrated {
                truncated: true,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert_eq!(
        migrated(outcome),
        json!({
            "applied": ["2"], "truncated": true,
            "truncation_reason": "rows that statements of a migration return are not kept",
        })
    );
}

pub fn migrations_are_applied_once_and_taken_back_in_reverse(place: &Place) {
    assert_eq!(recorded(place), json!([]));
    // Asking has made nothing.
    failure(place.read(&["SELECT * FROM schema_migrations"]));
    let first = (
        "1",
        "CREATE TABLE a (id INTEGER PRIMARY KEY);\nINSERT INTO a VALUES (1); -- done",
    );
    let all = [
        ("0", "INSERT INTO a VALUES (0)"),
        first,
        ("2", "CREATE TABLE b (id INTEGER)"),
        ("3", ""),
    ];
    assert_eq!(
        migrated(up(place, &all[1..3])),
        json!({"applied": ["1", "2"]})
    );
    assert_eq!(migrated(up(place, &all[1..3])), json!({"applied": []}));
    assert_eq!(place.count("a"), 1);
    let one = detail("up", &all[1..], Some(1));
    let one = migrate(place, Operation::MigrateUp, &one);
    assert_eq!(migrated(one), json!({"applied": ["3"]}));
    assert_eq!(
        migrated(up(place, &all)),
        json!({"applied": ["0"], "out_of_order": ["0"]})
    );
    assert_eq!(recorded(place), json!(["0", "1", "2", "3"]));
    let back = [
        ("0", "SELECT 1"),
        ("1", "DROP TABLE a"),
        ("2", "DROP TABLE b"),
        ("3", ""),
        ("4", "DROP TABLE never"),
    ];
    let down = |max: u64| {
        migrated(migrate(
            place,
            Operation::MigrateDown,
            &detail("down", &back, Some(max)),
        ))
    };
    assert_eq!(down(1), json!({"reverted": ["3"]}));
    assert_eq!(down(2), json!({"reverted": ["2", "1"]}));
    assert_eq!(recorded(place), json!(["0"]));
    failure(place.read(&["SELECT * FROM a"]));
}

pub fn whole_files_are_read_by_their_markers(place: &Place) {
    let file = "\u{feff}-- migrate:up\r\nCREATE TABLE f (v VARCHAR(40));\r\n\
                INSERT INTO f VALUES ('\r\n-- migrate:down\r\n');\r\n  --  migrate:down \r\nDROP TABLE f;\r\n";
    assert_eq!(
        migrated(up(place, &[("1", file)])),
        json!({"applied": ["1"]})
    );
    assert_eq!(
        place.value("SELECT v FROM f"),
        "\"\\r\\n-- migrate:down\\r\\n\""
    );
    let down = detail("down", &[("1", file)], None);
    let down = migrate(place, Operation::MigrateDown, &down);
    assert_eq!(migrated(down), json!({"reverted": ["1"]}));
    failure(place.read(&["SELECT v FROM f"]));
}

/// `stays` says whether DDL of the failing migration stays, as it does where the database commits it by itself.
pub fn a_failure_names_the_statement_and_what_is_kept(place: &Place, stays: bool) {
    let outcome = up(
        place,
        &[
            ("1", "CREATE TABLE c (id INTEGER)"),
            (
                "2",
                "CREATE TABLE d (id INTEGER);\nINSERT INTO missing VALUES (1)",
            ),
            ("3", "CREATE TABLE e (id INTEGER)"),
        ],
    );
    let RunOutcome::Failed {
        message,
        effect,
        json: Some(json),
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(
        message.starts_with("migration `2`: statement 2 at line 2: ")
            && message.ends_with("; applied before it and kept: 1"),
        "{message}"
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["applied_before_failure"], json!(["1"]));
    assert_eq!(json["error"], message.as_str());
    assert_eq!(recorded(place), json!(["1"]));
    assert_eq!(place.count("c"), 0);
    match stays {
        true => {
            assert!(
                message.contains("statement 1 of the plan stays"),
                "{message}"
            );
            assert_eq!(place.count("d"), 0);
        }
        false => {
            failure(place.read(&["SELECT * FROM d"]));
        }
    }
    // Alone it is rolled back whole, where nothing of it commits by itself.
    let (message, effect) = failure(up(
        place,
        &[(
            "4",
            "INSERT INTO c VALUES (1); INSERT INTO missing VALUES (1)",
        )],
    ));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert_eq!(place.count("c"), 0);
}

pub fn what_would_control_the_transaction_is_refused(place: &Place) {
    for sql in [
        "CREATE TABLE g (id INTEGER); COMMIT; BEGIN; INSERT INTO missing VALUES (1)",
        "ROLLBACK",
        "SELECT 1; -- migrate:up\nSAVEPOINT a",
    ] {
        let (message, effect) = failure(up(place, &[("1", sql)]));
        assert_eq!(effect, JobEffect::RolledBack);
        assert!(
            message.contains("would control the transaction"),
            "{message}"
        );
    }
    assert_eq!(recorded(place), json!([]));
    failure(place.read(&["SELECT * FROM g"]));
}

pub fn the_record_is_repaired_and_nothing_else(place: &Place) {
    let repair = |action: &str| {
        let detail = json!({"action": action, "version": "20240101_a"}).to_string();
        migrate(place, Operation::MigrateRepair, &detail)
    };
    assert_eq!(
        migrated(repair("mark_applied")),
        json!({"repaired": "mark_applied", "version": "20240101_a"})
    );
    assert_eq!(recorded(place), json!(["20240101_a"]));
    let (message, _) = failure(repair("mark_applied"));
    assert!(message.contains("is recorded already"), "{message}");
    assert_eq!(
        migrated(repair("remove")),
        json!({"repaired": "remove", "version": "20240101_a"})
    );
    let (message, _) = failure(repair("remove"));
    assert!(message.contains("is not recorded"), "{message}");
    assert_eq!(recorded(place), json!([]));
}
