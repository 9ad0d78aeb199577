//! Migrations on MySQL and MariaDB.

use super::super::failure;
use super::super::migrations::{self, migrated, recorded, up};
use super::super::places::mysql;
use super::super::served::{self, Served};
use dbward::agent::drivers::JobEffect;
use serde_json::json;

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
fn a_failing_migration_of_mysql_is_named_and_what_it_left() {
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
fn each_statement_of_a_migration_without_transaction_is_reported_on_mysql() {
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
