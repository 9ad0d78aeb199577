//! Rows that change beyond those that a statement tells of.

use super::super::places::postgres;
use super::super::{failure, job};
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::{JobEffect, RunOutcome};
use dbward::domain::id::Operation;

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_of_cascades_and_triggers_count_against_the_bound() {
    let place = postgres();
    place.done(&["CREATE TABLE p (id INTEGER PRIMARY KEY)"]);
    place.done(&[
        "CREATE TABLE c (p INTEGER REFERENCES p ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)",
    ]);
    place.done(&[
        "INSERT INTO p SELECT generate_series(1, 3)",
        "INSERT INTO c SELECT 1 FROM generate_series(1, 100)",
    ]);
    let mut delete = job(Operation::ExecuteDml, &["DELETE FROM p WHERE id = 1"]);
    delete.max_affected_rows = Some(100);
    let (message, effect) = failure(place.run(&delete));
    assert_eq!(effect, JobEffect::RolledBack);
    assert!(
        message.contains("101 rows would change, 100 approved"),
        "{message}"
    );
    assert_eq!(place.count("c"), 100);
    let mut hidden = job(
        Operation::ExecuteDml,
        &["WITH d AS (DELETE FROM c RETURNING 1) SELECT count(*) FROM d"],
    );
    hidden.max_affected_rows = Some(99);
    let (message, _) = failure(place.run(&hidden));
    assert!(
        message.contains("100 rows would change, 99 approved"),
        "{message}"
    );
    delete.max_affected_rows = Some(101);
    assert_eq!(place.run(&delete), RunOutcome::Changed { rows: 1 });
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_postgres_does_not_count_are_within_no_bound() {
    let place = postgres();
    let DriverConfig::Postgres(at) = &place.driver else {
        panic!("no server");
    };
    let server = format!(
        "CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{}', port '{}', dbname '{}')",
        at.host, at.port, at.database
    );
    let user = format!(
        "CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user '{}')",
        at.user
    );
    place.done(&[
        "CREATE TABLE t (id INTEGER)",
        "INSERT INTO t SELECT generate_series(1, 100)",
        "CREATE EXTENSION postgres_fdw",
        &server,
        &user,
        "CREATE FOREIGN TABLE far (id INTEGER) SERVER here OPTIONS (table_name 't')",
        "CREATE FUNCTION wipe() RETURNS integer LANGUAGE plpgsql AS 'BEGIN TRUNCATE t; RETURN 1; END'",
        "CREATE PROCEDURE wipes() LANGUAGE plpgsql AS 'BEGIN TRUNCATE t; END'",
        "CREATE PROCEDURE drops() LANGUAGE plpgsql AS 'BEGIN DROP TABLE t CASCADE; END'",
        "CREATE PROCEDURE deletes() LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; END'",
        "CREATE FUNCTION notes() RETURNS integer LANGUAGE plpgsql AS 'BEGIN CREATE TEMP TABLE n (a int); INSERT INTO t VALUES (0); RETURN 1; END'",
    ]);
    let bounded = |plan: &[&str]| {
        let mut write = job(Operation::ExecuteDml, plan);
        write.max_affected_rows = Some(5);
        place.run(&write)
    };
    for (plan, why) in [
        (&["SELECT wipe()"][..], "rows of `t` change uncounted"),
        (&["CALL wipes()"], "rows of `t` change uncounted"),
        (
            &["CALL drops()"],
            "rows of a table that is dropped change uncounted",
        ),
        (
            &["CALL deletes()"],
            "100 rows would change, 5 approved: nothing was changed",
        ),
        // Statements next to it change nothing about it.
        (&["SET a.b = 1", "SELECT wipe()"], "rows of `t`"),
        (&["SELECT wipe()", "TABLE t"], "rows of `t`"),
        (&["VALUES (1)", "SELECT wipe()"], "rows of `t`"),
        (&["EXPLAIN ANALYZE SELECT wipe()"], "rows of `t`"),
        (
            &["WITH d AS (DELETE FROM far RETURNING 1) SELECT count(*) FROM d"],
            "rows of `far` change uncounted",
        ),
    ] {
        let (message, effect) = failure(bounded(plan));
        assert!(message.contains(why), "{plan:?}: {message}");
        assert_eq!(effect, JobEffect::RolledBack);
        assert_eq!(place.count("t"), 100);
    }
    // What it does count, next to a temporary table and to reading a foreign one.
    let counts = "INSERT INTO t SELECT notes() FROM far WHERE id = 1";
    assert_eq!(bounded(&[counts]), RunOutcome::Changed { rows: 1 });
    assert_eq!(place.count("t"), 102);
}
