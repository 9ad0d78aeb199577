//! The row bound on MySQL and MariaDB: what cannot be counted, or not be seen, is refused before it runs.

use super::super::places::mysql;
use super::super::{Place, failure, job};
use dbward::agent::config::{DriverConfig, Password};
use dbward::agent::drivers::{JobEffect, RunOutcome};
use dbward::crypto::{hex, random};
use dbward::domain::id::Operation;

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
fn a_bound_is_refused_where_triggers_or_keys_cannot_be_seen() {
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
