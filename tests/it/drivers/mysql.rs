//! MySQL and MariaDB: the claims of every database, and what is their own.

mod bounds;
mod errors;
mod migrations;
mod plans;
mod results;
mod served;
mod server;
mod settings;
mod tls;
mod transactions;

use super::places::mysql;
use super::{claims, failure, job, running};
use crate::support::eventually;
use dbward::agent::drivers::{Cancel, JobEffect, RunOutcome, StopReason};
use dbward::domain::id::Operation;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_writes_all_or_nothing() {
    claims::a_write_is_all_or_nothing(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_commits_only_what_the_journal_knows() {
    claims::a_commit_waits_for_the_journal(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_refuses_lies_about_reads() {
    let place = mysql();
    claims::lies_about_reads_are_refused(&place);
    for sql in [
        "/*! COMMIT */",
        "/*M! CREATE TABLE pwn (a INT) */",
        "SELECT 1 INTO /* x */ OutFile '/tmp/dbward-pwn'",
        "CALL p()",
    ] {
        let outcome = place.read(&[sql]);
        assert!(
            matches!(outcome, RunOutcome::Failed { .. }),
            "{sql}: {outcome:?}"
        );
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_gets_the_bytes_of_a_plan() {
    claims::a_plan_keeps_its_bytes(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_sessions_share_nothing() {
    claims::nothing_of_a_session_reaches_the_next(
        &mysql(),
        [
            "SET SESSION sort_buffer_size = 777216",
            "SELECT @@SESSION.sort_buffer_size AS v",
        ],
        "CREATE TEMPORARY TABLE only_mine (a INTEGER)",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_is_stopped_by_time() {
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT count(*) FROM n a, n b, n c, n d";
    let place = mysql();
    claims::time_ends_what_does_not_end(&place, endless);
    // The database has the limit itself: MySQL in milliseconds, MariaDB in seconds.
    let variable = match place
        .value("SELECT VERSION() LIKE '%MariaDB%' AS v")
        .as_str()
    {
        "1" => "@@SESSION.max_statement_time",
        _ => "@@SESSION.max_execution_time / 1000",
    };
    let has_it = format!("{variable} > 0 AND {variable} <= 30");
    assert_eq!(place.value(&format!("SELECT {has_it} AS v")), "1");
    place.done(&["CREATE TABLE t (v BOOLEAN)"]);
    place.done(&[&format!("INSERT INTO t SELECT {has_it}")]);
    assert_eq!(place.count("t WHERE v"), 1);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_is_stopped_by_cancelling() {
    // Of a plan with a DO nobody could say that it is rolled back, had the child been killed.
    claims::cancelling_ends_a_write_in_the_database(
        mysql(),
        &[
            "DO sleep(0)",
            "UPDATE t SET id = 3 WHERE id = 1",
            "INSERT INTO t SELECT sleep(120)",
        ],
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_results_stop_at_their_limits() {
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT a.i FROM n a, n b, n c";
    claims::a_result_stops_at_its_limits(&mysql(), many);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn row_of_any_length_is_cut_and_not_an_error() {
    let place = mysql();
    for (short, long) in [
        ("'short'", "REPEAT('x', 12000000)"),
        (
            "'short', ''",
            "REPEAT('x', 12000000), REPEAT('y', 12000000)",
        ),
    ] {
        let sql = format!("SELECT {short} UNION ALL SELECT {long}");
        let RunOutcome::Rows { json, truncated } = place.read(&[&sql]) else {
            panic!("no rows: {long}");
        };
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(truncated, "{long}");
        assert_eq!(json["rows"].as_array().map(Vec::len), Some(1), "{long}");
        assert_eq!(json["truncation_reason"], "size limit reached (10 MB)");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_keeps_to_the_rows_approved() {
    claims::more_rows_than_approved_change_nothing(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_waits_for_a_lock_no_longer_than_allowed() {
    super::locks::are_waited_for_no_longer_than_signed_or_configured(
        mysql(),
        "UPDATE t SET id = id + 1",
        "SELECT count(*) AS n FROM information_schema.innodb_trx WHERE trx_rows_modified > 0 \
         AND trx_mysql_thread_id IN (SELECT id FROM information_schema.processlist WHERE db = DATABASE())",
        "1205",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_is_described_and_explains() {
    claims::tables_are_described_and_statements_explained(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn ddl_that_commits_is_named_in_the_outcome() {
    let place = mysql();
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY)"]);
    let plan = [
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE u (id INTEGER)",
        "INSERT INTO t VALUES (2)",
        "INSERT INTO t VALUES (1)",
    ];
    let (message, effect) = failure(place.write(&plan));
    assert_eq!(effect, JobEffect::Partial);
    assert!(
        message.starts_with("statement 4: ")
            && message.contains("statements 1 to 2 of the plan stay"),
        "{message}"
    );
    assert_eq!(place.count("t"), 1);
    // The failing DDL itself commits what came before it.
    let (message, effect) =
        failure(place.write(&["INSERT INTO t VALUES (5)", "CREATE TABLE u (id INTEGER)"]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(
        message.contains("statement 1 of the plan stays"),
        "{message}"
    );
    assert_eq!(place.count("t"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn tables_that_cannot_roll_back_are_named_in_the_outcome() {
    let place = mysql();
    place.done(&["CREATE TABLE m (id INTEGER PRIMARY KEY) ENGINE = MyISAM"]);
    let (message, effect) =
        failure(place.write(&["INSERT INTO m VALUES (1)", "INSERT INTO m VALUES (1)"]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(message.contains("cannot roll back"), "{message}");
    let mut bounded = job(Operation::ExecuteDml, &["INSERT INTO m VALUES (2)"]);
    bounded.max_affected_rows = Some(1);
    let (message, effect) = failure(place.run(&bounded));
    assert_eq!(effect, JobEffect::RolledBack);
    assert!(
        message.starts_with("not run: ") && message.contains("cannot roll back")
            || message.contains("can roll back"),
        "{message}"
    );
    assert_eq!(place.count("m"), 1);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn an_update_counts_the_rows_that_it_finds() {
    let place = mysql();
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)"]);
    place.done(&["INSERT INTO t VALUES (1, 7), (2, 7)"]);
    assert_eq!(
        place.write(&["UPDATE t SET v = 7"]),
        RunOutcome::Changed { rows: 2 }
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_describes_two_thousand_tables_in_time() {
    claims::many_tables_are_described_in_time(&mysql(), "ENGINE = MEMORY");
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_description_of_mysql_has_estimates_triggers_and_engines() {
    let place = mysql();
    for sql in [
        "CREATE TABLE kept (id INTEGER PRIMARY KEY) ENGINE = InnoDB",
        "CREATE TABLE flat (id INTEGER) ENGINE = MyISAM",
        "INSERT INTO kept VALUES (1), (2), (3)",
        "INSERT INTO flat VALUES (1), (2)",
        "CREATE TRIGGER counts AFTER DELETE ON kept FOR EACH ROW INSERT INTO flat VALUES (OLD.id)",
        "ANALYZE TABLE kept",
    ] {
        place.write(&[sql]);
    }
    let text = place.wall.describe(&place.driver, &Cancel::new()).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let tables = [&all["tables"][0], &all["tables"][1]];
    assert_eq!(
        (&tables[0]["name"], &tables[1]["name"]),
        (&"flat".into(), &"kept".into())
    );
    assert_eq!(tables[0]["estimated_rows"], 2, "{text}");
    assert_eq!(tables[1]["estimated_rows"], 3, "{text}");
    assert_eq!(
        tables[1]["triggers"],
        serde_json::json!([{"name": "counts", "event": "DELETE"}])
    );
    assert_eq!(tables[0]["transactional"], false);
    assert_eq!(tables[1]["transactional"], Value::Null);
}

/// The server would leave its columns out, with a warning alone.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn locked_mysql_table_is_not_described_without_its_columns() {
    let place = Arc::new(mysql());
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let plan = ["CREATE TABLE slow AS SELECT SLEEP(60) AS a"];
    let (cancel, started, holder) = running(&place, job(Operation::ExecuteDml, &plan));
    started.recv().unwrap();
    let held = "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'User sleep'";
    eventually("the table is locked", || place.value(held) == "1");
    let why = place.wall.describe(&place.driver, &Cancel::new());
    assert!(
        why.as_ref().is_err_and(|why| why.contains("error 1205")),
        "{why:?}"
    );
    assert_eq!(place.value(held), "1");
    cancel.ask(StopReason::Cancelled);
    failure(holder.join().unwrap());
    place.wall.describe(&place.driver, &Cancel::new()).unwrap();
}

/// Nothing interrupts a search inside one value.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn statement_that_ignores_its_kill_does_not_hold_the_agent() {
    let place = mysql();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    // Some ten seconds on a slow machine.
    let deaf = "SELECT LOCATE(CONCAT(REPEAT('a', 60000), 'b'), REPEAT('a', 250000)) AS deaf";
    let mut job = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)", deaf]);
    job.timeout_secs = 1;
    let began = Instant::now();
    let (message, effect) = failure(place.run(&job));
    let took = began.elapsed();
    assert_eq!(
        (message.as_str(), effect),
        (
            "statement timeout reached (1 s); rolled back",
            JobEffect::RolledBack
        )
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    let running = "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND INFO LIKE '%AS deaf'";
    eventually("its session ends with it", || place.value(running) == "0");
    assert_eq!(place.count("t"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn values_of_rows_stand_apart_from_the_message_of_mysql() {
    let place = mysql();
    place.done(&["CREATE TABLE t (email VARCHAR(40) PRIMARY KEY)"]);
    let insert = ["INSERT INTO t VALUES ('secret@example.com')"];
    place.done(&insert);
    let RunOutcome::Failed {
        message, detail, ..
    } = place.write(&insert)
    else {
        panic!("it worked");
    };
    assert!(
        message.contains("1062") && !message.contains("secret"),
        "{message}"
    );
    assert!(detail.unwrap().contains("secret@example.com"));
}
