//! Migrations on MySQL and MariaDB.

use super::super::migrations::{self, migrated, recorded, up};
use super::super::places::mysql;
use super::super::served::{self, Served};
use super::super::{committed, failure, job, running};
use crate::support::eventually;
use dbward::agent::drivers::JobEffect;
use dbward::domain::id::Operation;
use serde_json::json;

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn rows_that_a_migration_of_mysql_returns_are_reported() {
    migrations::rows_of_a_migration_are_reported_as_left_out(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_applies_migrations_once() {
    migrations::migrations_are_applied_once_and_taken_back_in_reverse(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_reads_files_by_their_markers() {
    migrations::whole_files_are_read_by_their_markers(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn failing_migration_of_mysql_is_named_and_what_it_left() {
    migrations::a_failure_names_the_statement_and_what_is_kept(&mysql(), true);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn transactions_of_migrations_belong_to_the_agent_in_mysql() {
    migrations::what_would_control_the_transaction_is_refused(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_repairs_the_record() {
    migrations::the_record_is_repaired_and_nothing_else(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn routines_and_triggers_keep_their_bodies_in_mysql() {
    let place = mysql();
    let sql = "CREATE TABLE t (id INTEGER);\n\
               CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW BEGIN IF NEW.id = 1 THEN SET NEW.id = 7; END IF; END;\n\
               INSERT INTO t VALUES (1); -- done";
    migrated(up(&place, &[("1", sql)]));
    assert_eq!(place.value("SELECT id FROM t"), "7");
    let other = "USE information_schema";
    let (message, effect) = failure(up(&place, &[("2", "SET SESSION autocommit = 1")]));
    assert_eq!(effect, JobEffect::RolledBack);
    assert!(message.contains("control the transaction"), "{message}");
    migrated(up(&place, &[("3", other)]));
    assert_eq!(recorded(&place), json!(["1", "3"]));
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn each_statement_of_migration_without_transaction_is_reported_on_mysql() {
    let place = mysql();
    let marker = "-- migrate:up transaction:false\n";
    let good = "CREATE TABLE t (id INTEGER PRIMARY KEY) ENGINE = InnoDB;\nINSERT INTO t VALUES (1), (2);\n";
    let bad = "INSERT INTO t VALUES (3), (1);\nINSERT INTO t VALUES (4);";
    let (message, effect) = failure(up(&place, &[("1", &format!("{marker}{good}{bad}"))]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(
        message.contains("statement 3 at line 3: ")
            && message
                .contains("statements 1 to 2 of the plan stay, committed on the way (2 rows)"),
        "{message}"
    );
    assert_eq!(place.count("t"), 2);
    assert_eq!(recorded(&place), json!([]));
    migrated(up(
        &place,
        &[(
            "2",
            &format!("{marker}INSERT INTO t VALUES (5);\nDELETE FROM t; -- done"),
        )],
    ));
    assert_eq!(place.count("t"), 0);
    assert_eq!(recorded(&place), json!(["2"]));
    // A statement of its own cannot be taken back where the engine cannot.
    let flat =
        "CREATE TABLE m (id INTEGER PRIMARY KEY) ENGINE = MyISAM;\nINSERT INTO m VALUES (1), (1);";
    let (message, effect) = failure(up(&place, &[("3", &format!("{marker}{flat}"))]));
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    assert!(
        message.contains("statement 1 of the plan stays"),
        "{message}"
    );
    assert_eq!(place.count("m"), 1);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn migrations_run_from_request_to_result_on_mysql() {
    served::migrations_run_from_request_to_result(&Served::start(mysql(), 60));
}

/// What MariaDB goes on with although nobody is there any more: it looks only where it waits.
const BUSY: &str = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
                    SELECT 7 + count(*) FROM n a, n b, n c, n d";

fn is_busy(served: &Served) -> bool {
    let sql = "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
               AND INFO LIKE '%7 + count(*)%' AND ID <> CONNECTION_ID()";
    served.place.value(sql) != "0"
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn agent_killed_in_a_migration_leaves_no_lock_in_mysql() {
    // Alone this is one transaction.
    let sql = format!("UPDATE t SET id = id + 1; {BUSY}");
    served::an_agent_killed_in_a_migration_leaves_no_lock(
        Served::start(mysql(), 120),
        &sql,
        is_busy,
        "agent stopped while the statement ran; rolled back",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn an_agent_killed_after_ddl_of_a_migration_claims_nothing() {
    let place = mysql();
    let looks = super::super::places::placed(place.driver.clone());
    let sql = format!("CREATE TABLE m (id INTEGER); {BUSY}");
    // Killed with the server in the middle of it: the table stays, and the version is not recorded.
    served::an_agent_killed_in_a_migration_leaves_no_lock(
        Served::start(place, 120),
        &sql,
        |served| {
            let busy = is_busy(served);
            assert!(!busy || looks.count("m") == 0);
            busy
        },
        "it may or may not have taken effect",
    );
}

/// A number of a session may be somebody else's after the server was started again.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn session_of_another_reign_of_the_server_is_left_alone() {
    let place = std::sync::Arc::new(mysql());
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let sleeps = ["INSERT INTO t VALUES (1)", "SELECT sleep(3)"];
    let (_cancel, started, other) = running(&place, job(Operation::ExecuteDml, &sleeps));
    started.recv().unwrap();
    let session = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND INFO LIKE '%sleep(3)%' \
                   AND ID <> CONNECTION_ID()";
    eventually("it sleeps", || place.rows(session).0["rows"] != json!([]));
    let id = place.value(session);
    assert!(place.wall.end_session(&place.driver, &format!("{id}@1")));
    assert_eq!(committed(other.join().unwrap()), 1);
    assert_eq!(place.count("t"), 1);
}
