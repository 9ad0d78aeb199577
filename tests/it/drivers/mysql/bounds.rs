//! The row bound on MySQL and MariaDB: what cannot be counted, or not be seen, is refused before it runs.

use super::super::places::{mysql, placed};
use super::super::rehearsals::rehearse;
use super::super::{Place, failure, job, running};
use crate::support::eventually;
use dbward::agent::config::{DriverConfig, Password};
use dbward::agent::drivers::{JobEffect, RunOutcome, StopReason};
use dbward::crypto::{hex, random};
use dbward::domain::id::Operation;
use std::sync::Arc;

fn bounded(place: &Place, sql: &str) -> RunOutcome {
    let mut job = job(Operation::ExecuteDml, &[sql]);
    job.max_affected_rows = Some(1);
    place.run(&job)
}

fn refused(place: &Place, sql: &str, says: &str) {
    let (message, effect) = failure(bounded(place, sql));
    assert_eq!(effect, JobEffect::RolledBack, "{sql}: {message}");
    assert!(
        message.starts_with("not run: a number of rows was approved, and ")
            && message.contains(says),
        "{sql}: {message}"
    );
}

/// The same database as a user of the test's own, who holds `grants` on it.
struct Limited<'p> {
    place: Place,
    root: &'p Place,
    user: String,
}

impl<'p> Limited<'p> {
    fn new(root: &'p Place, grants: &[&str]) -> Limited<'p> {
        let user = format!("dbward_{}", hex(&random::<4>()));
        root.done(&[&format!("CREATE USER {user}@'%' IDENTIFIED BY 'x'")]);
        for grant in grants {
            root.done(&[&format!("GRANT {grant} TO {user}@'%'")]);
        }
        let DriverConfig::MySql(mut endpoint) = root.driver.clone() else {
            panic!("not MySQL");
        };
        endpoint.user.clone_from(&user);
        endpoint.password = Some(Password(b"x".to_vec()));
        let place = super::super::places::placed(DriverConfig::MySql(endpoint));
        Limited { place, root, user }
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        self.root.write(&[&format!("DROP USER {}@'%'", self.user)]);
    }
}

fn database(place: &Place) -> String {
    let name = place.value("SELECT DATABASE() AS name");
    name.trim_matches('"').to_owned()
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn functions_that_might_change_rows_are_not_counted() {
    let place = mysql();
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)",
        "CREATE TABLE log (id INTEGER)",
        "INSERT INTO t VALUES (1, 1)",
        "CREATE FUNCTION noted(a INTEGER) RETURNS INTEGER BEGIN INSERT INTO log VALUES (a), (a); RETURN a; END",
        // With a space before the parenthesis this is the one that is called.
        "CREATE FUNCTION count (a INTEGER) RETURNS INTEGER BEGIN INSERT INTO log VALUES (a), (a); RETURN a; END",
    ] {
        place.done(&[sql]);
    }
    for sql in [
        "UPDATE t SET v = noted(2) WHERE id = 1",
        "UPDATE t SET v = 2 WHERE id = noted(1)",
        "INSERT INTO t VALUES (2, noted(2))",
        "DELETE FROM t WHERE id = count (1)",
    ] {
        refused(&place, sql, "may change are not counted");
    }
    assert_eq!(place.count("log"), 0);
    let changed = bounded(&place, "UPDATE t SET v = abs(-7) WHERE id = 1");
    assert_eq!(changed, RunOutcome::Changed { rows: 1 });
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn rows_that_returning_shows_are_counted() {
    let place = mysql();
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY)"]);
    place.done(&["INSERT INTO t VALUES (1), (2)"]);
    let (message, effect) = failure(bounded(&place, "DELETE FROM t RETURNING id"));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert!(
        message.contains("2 rows would change, 1 approved"),
        "{message}"
    );
    assert_eq!(place.count("t"), 2);
    match bounded(&place, "DELETE FROM t WHERE id = 1 RETURNING id") {
        RunOutcome::Returned { rows: 1, json, .. } => {
            assert!(json.contains("[{\"id\":1}]"), "{json}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn bound_is_refused_where_triggers_or_keys_cannot_be_seen() {
    let place = mysql();
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY)"]);
    place.done(&["CREATE TABLE log (id INTEGER)"]);
    place.done(&[
        "CREATE TRIGGER logs AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (1), (2)",
    ]);
    let name = database(&place);
    let writes = format!("SELECT, INSERT, UPDATE, DELETE ON `{name}`.*");
    let blind = Limited::new(&place, &[&writes]);
    // Some versions show their names to everybody, and never what they do.
    let (message, _) = failure(bounded(&blind.place, "INSERT INTO t VALUES (1)"));
    assert!(message.starts_with("not run: "), "{message}");
    let sees = Limited::new(&place, &[&writes, &format!("TRIGGER ON `{name}`.*")]);
    refused(&sees.place, "INSERT INTO t VALUES (1)", "has triggers");
    place.done(&["DROP TRIGGER logs"]);
    refused(
        &blind.place,
        "INSERT INTO t VALUES (1)",
        "needs the privilege TRIGGER",
    );
    let inserted = bounded(&sees.place, "INSERT INTO t VALUES (1)");
    assert_eq!(inserted, RunOutcome::Changed { rows: 1 });
    for sql in [
        "DELETE FROM t WHERE id = 1",
        "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE id = 2",
    ] {
        refused(&sees.place, sql, "needs the privilege PROCESS");
    }
    let all = Limited::new(
        &place,
        &[&writes, &format!("TRIGGER ON `{name}`.*"), "PROCESS ON *.*"],
    );
    let deleted = bounded(&all.place, "DELETE FROM t WHERE id = 1");
    assert_eq!(deleted, RunOutcome::Changed { rows: 1 });
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn keys_of_tables_in_other_databases_count() {
    let (place, other) = (mysql(), mysql());
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY) ENGINE = InnoDB"]);
    let name = database(&place);
    other.done(&[&format!(
        "CREATE TABLE child (t INTEGER, FOREIGN KEY (t) REFERENCES `{name}`.t (id) ON DELETE CASCADE) ENGINE = InnoDB"
    )]);
    refused(&place, "DELETE FROM t WHERE id = 1", "pass changes on");
    let writes = format!("SELECT, INSERT, UPDATE, DELETE, TRIGGER ON `{name}`.*");
    let limited = Limited::new(&place, &[&writes, "PROCESS ON *.*"]);
    refused(
        &limited.place,
        "DELETE FROM t WHERE id = 1",
        "pass changes on",
    );
    drop(limited);
    other.done(&["DROP TABLE child"]);
}

/// Who may not ask the engine for keys has to look at every table, and waits for those that are being made.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn table_that_is_being_made_elsewhere_stops_no_write() {
    let (place, other) = (mysql(), Arc::new(mysql()));
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY) ENGINE = InnoDB"]);
    place.done(&["INSERT INTO t VALUES (1), (2), (3)"]);
    let making = ["CREATE TABLE slow AS SELECT SLEEP(60) AS a"];
    let (cancel, started, maker) = running(&other, job(Operation::ExecuteDml, &making));
    started.recv().unwrap();
    let held = "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'User sleep'";
    eventually("the table is locked", || other.value(held) == "1");
    let delete = |place: &Place, id: u64, rows_max: Option<u64>| {
        let sql = format!("DELETE FROM t WHERE id = {id}");
        let mut job = job(Operation::ExecuteDml, &[&sql]);
        (job.max_affected_rows, job.lock_timeout_secs) = (rows_max, 1);
        place.run(&job)
    };
    let name = database(&place);
    let writes = format!("DELETE, TRIGGER ON `{name}`.*");
    let limited = Limited::new(&place, &[&writes, "SELECT ON *.*"]);
    assert_eq!(
        delete(&limited.place, 1, None),
        RunOutcome::Changed { rows: 1 }
    );
    assert_eq!(delete(&place, 2, Some(1)), RunOutcome::Changed { rows: 1 });
    let (message, effect) = failure(delete(&limited.place, 3, Some(1)));
    assert_eq!(effect, JobEffect::RolledBack);
    assert!(message.contains("error 1205"), "{message}");
    assert_eq!(other.value(held), "1");
    cancel.ask(StopReason::Cancelled);
    failure(maker.join().unwrap());
    assert_eq!(
        delete(&limited.place, 3, Some(1)),
        RunOutcome::Changed { rows: 1 }
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn dot_in_the_name_of_a_table_ends_no_schema() {
    let place = mysql();
    for sql in [
        "CREATE TABLE `a.b` (id INTEGER AUTO_INCREMENT PRIMARY KEY, v INTEGER) ENGINE=InnoDB",
        "INSERT INTO `a.b` VALUES (1, 1), (2, 2)",
        "CREATE TABLE `flat.one` (id INTEGER PRIMARY KEY) ENGINE=MyISAM",
    ] {
        place.done(&[sql]);
    }
    let name = database(&place);
    for table in ["`a.b`".to_owned(), format!("`{name}`.`a.b`")] {
        let sql = format!("UPDATE {table} SET v = 7 WHERE id = 1");
        assert_eq!(
            bounded(&place, &sql),
            RunOutcome::Changed { rows: 1 },
            "{sql}"
        );
        let report = rehearse(&place, &[&sql]).unwrap();
        assert_eq!(report["rows_affected"], 1, "{report}");
    }
    let report = rehearse(&place, &["INSERT INTO `a.b` (v) VALUES (3)"]).unwrap();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("has advanced"), "{report}");
    refused(
        &place,
        "DELETE FROM `flat.one` WHERE id = 1",
        "can roll back",
    );
    place.done(&["CREATE TRIGGER g AFTER DELETE ON `a.b` FOR EACH ROW DELETE FROM `flat.one`"]);
    refused(&place, "DELETE FROM `a.b` WHERE id = 1", "has triggers");
    assert_eq!(place.count("`a.b`"), 2);
}

/// MariaDB itself lets nothing stand in a schema that does more than compute, but for sequences.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn what_a_schema_of_mysql_computes_is_rehearsed() {
    let place = mysql();
    place.done(&["CREATE FUNCTION f() RETURNS INTEGER DETERMINISTIC RETURN 1"]);
    for column in [
        "DEFAULT (f())",
        "DEFAULT (get_lock('a', 0))",
        "DEFAULT (sleep(1))",
        "CHECK (f() > 0)",
        "CHECK (get_lock('a', 0) = 1)",
        "CHECK (benchmark(1, 1) = 0)",
        "AS (f()) VIRTUAL",
    ] {
        let (message, _) =
            failure(place.write(&[&format!("CREATE TABLE n (id INTEGER {column})")]));
        let numbers = ["1901", "3770", "3772"];
        assert!(
            numbers.iter().any(|number| message.contains(number)),
            "{column}: {message}"
        );
    }
    place.done(&[
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u VARCHAR(90) DEFAULT (concat('it''s ', uuid())), \
         d DATETIME DEFAULT current_timestamp(), v INTEGER CHECK (v BETWEEN 0 AND 99), \
         g INTEGER AS (v + 1) STORED, CONSTRAINT c CHECK (u LIKE '%' AND length(u) < 99))",
    ]);
    let report = rehearse(&place, &["INSERT INTO t (id, v) VALUES (1, 7)"]).unwrap();
    assert_eq!(report["rows_affected"], 1, "{report}");
    assert_eq!(place.count("t"), 0);
    let version = place.value("SELECT VERSION() AS v");
    if version.contains("MariaDB") {
        place.done(&["CREATE SEQUENCE s"]);
        place.done(&["ALTER TABLE t ALTER id SET DEFAULT nextval(s)"]);
        let report = rehearse(&place, &["INSERT INTO t (v) VALUES (7)"]).unwrap();
        let warnings = report["warnings"].to_string();
        assert!(
            warnings.contains("a sequence of `t` has advanced"),
            "{report}"
        );
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn trigger_made_while_a_bounded_write_waits_is_noticed() {
    let mut place = mysql();
    let DriverConfig::MySql(at) = &mut place.driver else {
        panic!("no server");
    };
    at.lock_timeout_secs = 30;
    let place = Arc::new(place);
    place.done(&["CREATE TABLE a (id INTEGER PRIMARY KEY) ENGINE = InnoDB"]);
    place.done(&["CREATE TABLE t (id INTEGER) ENGINE = InnoDB"]);
    place.done(&["CREATE TABLE log (id INTEGER) ENGINE = InnoDB"]);
    place.done(&["INSERT INTO a VALUES (1)"]);
    let transactions = |which: &str| {
        let sql = format!(
            "SELECT count(*) AS n FROM information_schema.innodb_trx WHERE {which} \
             AND trx_mysql_thread_id IN (SELECT id FROM information_schema.processlist WHERE db = DATABASE())"
        );
        place.value(&sql) == "1"
    };
    let shared = Arc::new(placed(place.driver.clone()));
    let held = ["UPDATE a SET id = 2 WHERE id = 1", "SELECT SLEEP(60)"];
    let (cancel, started, holder) = running(&shared, job(Operation::ExecuteDml, &held));
    started.recv().unwrap();
    eventually("the row is held", || transactions("trx_rows_modified > 0"));
    let plan = [
        "UPDATE a SET id = 3 WHERE id = 1",
        "INSERT INTO t VALUES (1)",
    ];
    let mut write = job(Operation::ExecuteDml, &plan);
    (write.max_affected_rows, write.lock_timeout_secs) = (Some(2), 30);
    let (_, started, writer) = running(&place, write);
    started.recv().unwrap();
    eventually("the write waits", || {
        transactions("trx_state = 'LOCK WAIT'")
    });
    place.done(&[
        "CREATE TRIGGER logs AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (1), (2)",
    ]);
    cancel.ask(StopReason::Cancelled);
    failure(holder.join().unwrap());
    let (message, effect) = failure(writer.join().unwrap());
    assert!(
        message.starts_with("not committed: a number of rows was approved, and `t` has triggers"),
        "{message}"
    );
    assert_eq!(effect, JobEffect::RolledBack);
    assert_eq!(place.count("log") + place.count("t"), 0);
}
