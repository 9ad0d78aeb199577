//! Rows that change beyond those that a statement tells of.

use super::super::places::postgres;
use super::super::rehearsals::rehearse;
use super::super::{Place, failure, job, silence};
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::{JobEffect, RunOutcome};
use dbward::domain::id::Operation;

fn bounded(place: &Place, sql: &str, rows: u64) -> RunOutcome {
    let mut write = job(Operation::ExecuteDml, &[sql]);
    write.max_affected_rows = Some(rows);
    place.run(&write)
}

/// The rows that a rehearsal of `sql` tells of.
pub fn rehearsed(place: &Place, sql: &str) -> u64 {
    let report = rehearse(place, &[sql]).unwrap();
    report["rows_affected"].as_u64().unwrap()
}

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

/// A table `t` of a hundred rows, and the foreign table `far` that has them as well.
fn foreign() -> Place {
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
    ]);
    place
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_postgres_does_not_count_are_within_no_bound() {
    let place = foreign();
    place.done(&[
        "CREATE FUNCTION wipe() RETURNS integer LANGUAGE plpgsql AS 'BEGIN TRUNCATE t; RETURN 1; END'",
        "CREATE FUNCTION wipe_far() RETURNS integer LANGUAGE plpgsql AS 'BEGIN TRUNCATE far; RETURN 1; END'",
        "CREATE PROCEDURE wipes() LANGUAGE plpgsql AS 'BEGIN TRUNCATE t; END'",
        "CREATE PROCEDURE drops() LANGUAGE plpgsql AS 'BEGIN DROP TABLE t CASCADE; END'",
        "CREATE PROCEDURE deletes() LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; END'",
        "CREATE FUNCTION stores() RETURNS bigint LANGUAGE sql AS 'SELECT count(lo_from_bytea(0, ''x'')) FROM generate_series(1, 10)'",
        "CREATE FUNCTION notes() RETURNS integer LANGUAGE plpgsql AS 'BEGIN CREATE TEMP TABLE n (a int); INSERT INTO t VALUES (0); RETURN 1; END'",
    ]);
    let bounded = |plan: &[&str]| {
        let mut write = job(Operation::ExecuteDml, plan);
        write.max_affected_rows = Some(5);
        place.run(&write)
    };
    for (plan, why) in [
        (&["SELECT wipe()"][..], "rows of `t` change uncounted"),
        (&["SELECT wipe_far()"], "rows of `far` change uncounted"),
        (&["CALL wipes()"], "rows of `t` change uncounted"),
        (
            &["CALL drops()"],
            "rows of a table that is dropped change uncounted",
        ),
        (
            &["CALL deletes()"],
            "100 rows would change, 5 approved: nothing was changed",
        ),
        // Large objects are rows of tables of the server.
        (&["SELECT stores()"], "20 rows would change, 5 approved"),
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
    place.done(&["CREATE FUNCTION hides() RETURNS integer LANGUAGE sql SET track_counts = off AS 'DELETE FROM t; SELECT 1'"]);
    let (message, _) = failure(bounded(&["SELECT hides()"]));
    assert!(
        message.contains("`hides` turns track_counts off"),
        "{message}"
    );
    place.done(&["DROP FUNCTION hides"]);
    // What it does count, next to a temporary table and to reading a foreign one.
    let counts = "INSERT INTO t SELECT notes() FROM far WHERE id = 1";
    assert_eq!(bounded(&[counts]), RunOutcome::Changed { rows: 1 });
    assert_eq!(place.count("t"), 102);
}

/// Another server commits before this one, which then may not.
#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_commit_of_foreign_rows_that_nobody_answers_is_unknown() {
    let place = foreign();
    let update = "UPDATE far SET id = id + 1000";
    let (message, effect) = failure(silence::the_connection_breaks_at_the_commit_of(
        &place, update,
    ));
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    assert_eq!(place.count("t WHERE id > 1000"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_trigger_makes_of_the_search_path_bends_no_count() {
    let place = postgres();
    for sql in [
        "CREATE TABLE t (id INTEGER)",
        "CREATE TABLE log (id INTEGER)",
        "CREATE TABLE kept (id INTEGER)",
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.none(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
        "CREATE OPERATOR evil.+ (leftarg = bigint, rightarg = bigint, function = evil.none)",
        "CREATE AGGREGATE evil.sum(bigint) (sfunc = evil.none, stype = bigint, initcond = '0')",
        "CREATE FUNCTION evil.no(bigint, integer) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.> (leftarg = bigint, rightarg = integer, function = evil.no)",
        "CREATE OPERATOR evil.<> (leftarg = bigint, rightarg = integer, function = evil.no)",
        "CREATE FUNCTION evil.no(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.= (leftarg = oid, rightarg = oid, function = evil.no)",
        "CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.= (leftarg = text, rightarg = text, function = evil.no)",
        "CREATE TYPE evil.text AS ENUM ('0')",
        "CREATE FUNCTION bends() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.log SELECT generate_series(1, 100); \
         PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog, public', true); RETURN NEW; END $$",
        "CREATE TRIGGER bends AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION bends()",
        "CREATE FUNCTION wipes() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN TRUNCATE public.log; PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog, public', true); \
         RETURN NEW; END $$",
        "CREATE TRIGGER wipes AFTER INSERT ON kept FOR EACH ROW EXECUTE FUNCTION wipes()",
    ] {
        place.done(&[sql]);
    }
    let insert = "INSERT INTO t VALUES (1)";
    let (message, _) = failure(bounded(&place, insert, 5));
    assert!(
        message.contains("101 rows would change, 5 approved"),
        "{message}"
    );
    assert_eq!(rehearsed(&place, insert), 101);
    assert_eq!(place.count("log"), 0);
    place.done(&[insert]);
    assert_eq!(place.count("log"), 100);
    let (message, _) = failure(bounded(&place, "INSERT INTO kept VALUES (1)", 5));
    assert!(
        message.contains("rows of `log` change uncounted"),
        "{message}"
    );
    assert_eq!(place.count("log"), 100);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_is_put_off_again_is_counted_all_the_same() {
    let place = postgres();
    for sql in [
        "CREATE TABLE q (id INTEGER)",
        "CREATE TABLE big (id INTEGER)",
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN SET CONSTRAINTS ALL DEFERRED; IF NEW.id <> 3 THEN INSERT INTO q VALUES (NEW.id + 1); \
         ELSE INSERT INTO big SELECT generate_series(1, 500); END IF; RETURN NEW; END $$",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON q DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION late()",
    ] {
        place.done(&[sql]);
    }
    let (message, effect) = failure(bounded(&place, "INSERT INTO q VALUES (1)", 5));
    assert!(
        message.contains("503 rows would change, 5 approved"),
        "{message}"
    );
    assert_eq!(effect, JobEffect::RolledBack);
    assert_eq!(place.count("q") + place.count("big"), 0);
    assert_eq!(rehearsed(&place, "INSERT INTO q VALUES (1)"), 503);
    assert_eq!(
        bounded(&place, "INSERT INTO q VALUES (1)", 503),
        RunOutcome::Changed { rows: 1 }
    );
    assert_eq!(place.count("big"), 500);
    // What never comes to an end.
    let (message, _) = failure(bounded(&place, "INSERT INTO q VALUES (4)", 10_000));
    assert!(message.contains("again and again"), "{message}");
    assert_eq!(place.count("big"), 500);
}

/// Under the bound that it set, nobody could ever run what was rehearsed.
#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_rehearsal_says_where_no_bound_can_be_held() {
    let place = foreign();
    place.done(&["CREATE TABLE cache (id INTEGER)"]);
    place.done(&["CREATE TABLE w (id INTEGER)"]);
    let insert = "INSERT INTO w VALUES (1)";
    let no_bound = || {
        let report = rehearse(&place, &[insert]).unwrap();
        let mut bounded = job(Operation::ExecuteDml, &[insert]);
        bounded.max_affected_rows = report["rows_affected"].as_u64();
        let runs = matches!(place.run(&bounded), RunOutcome::Changed { .. });
        let warned = report["warnings"]
            .to_string()
            .contains("no number of rows can be held");
        assert_eq!(warned, report["no_bound"] == true, "{report}");
        // What is rehearsed with n rows runs under the bound n, unless it says so.
        assert_eq!(runs, report["no_bound"] == false, "{report}");
        report["no_bound"] == true
    };
    assert!(!no_bound());
    for body in [
        "CREATE TEMP TABLE scratch (a INTEGER); DROP TABLE scratch;",
        "INSERT INTO far VALUES (9);",
        "TRUNCATE cache;",
    ] {
        place.done(&[
            &format!(
                "CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"
            ),
            "CREATE TRIGGER later AFTER INSERT ON w FOR EACH ROW EXECUTE FUNCTION after()",
        ]);
        assert!(no_bound(), "{body}");
        place.done(&["DROP FUNCTION after CASCADE"]);
    }
    let name = place.value("SELECT current_database() AS v");
    let name = name.trim_matches('"');
    place.done(&[&format!("ALTER DATABASE {name} SET track_counts = off")]);
    assert!(no_bound());
}
