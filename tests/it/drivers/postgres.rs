//! PostgreSQL: the claims of every database, and what is its own.

mod alone;
mod bounds;
mod changed;
pub mod cluster;
mod columns;
mod logins;
mod migrations;
mod plans;
mod poolers;
mod reading;
mod rehearsed;
mod rows_returned;
mod served;
mod words;

use super::places::{on_server, postgres};
use super::{Journal, claims, failure, job, running};
use crate::support::eventually;
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::{Cancel, JobEffect, StopReason};
use dbward::domain::id::Operation;
use serde_json::json;
use std::sync::Arc;

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_writes_all_or_nothing() {
    claims::a_write_is_all_or_nothing(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_commits_only_what_the_journal_knows() {
    claims::a_commit_waits_for_the_journal(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_refuses_lies_about_reads() {
    claims::lies_about_reads_are_refused(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_gets_the_bytes_of_a_plan() {
    let place = postgres();
    claims::a_plan_keeps_its_bytes(&place);
    assert_eq!(place.value("SELECT '{\"a\":1}'::jsonb ? 'a' AS v"), "true");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_sessions_share_nothing() {
    claims::nothing_of_a_session_reaches_the_next(
        &postgres(),
        [
            "SET work_mem = '77MB'",
            "SELECT current_setting('work_mem') AS v",
        ],
        "CREATE TEMPORARY TABLE only_mine (a INTEGER)",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_is_stopped_by_time() {
    let place = postgres();
    claims::time_ends_what_does_not_end(
        &place,
        "SELECT count(*) FROM generate_series(1, 100000000000)",
    );
    // The database has the limit itself, in a transaction and outside.
    let limit = "(SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout')";
    let has_it = format!("{limit} BETWEEN 1 AND 30000");
    assert_eq!(place.value(&format!("SELECT {has_it} AS v")), "true");
    place.done(&["CREATE TABLE t (v BOOLEAN)"]);
    place.done(&[&format!("INSERT INTO t SELECT {has_it}")]);
    let file = format!("-- migrate:up transaction:false\nINSERT INTO t SELECT {has_it}");
    super::migrations::migrated(super::migrations::up(&place, &[("1", &file)]));
    assert_eq!(place.count("t WHERE v"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_is_stopped_by_cancelling() {
    let endless = "INSERT INTO t SELECT 1 FROM generate_series(1, 100000000000) g WHERE g < 0";
    claims::cancelling_ends_a_write_in_the_database(
        postgres(),
        &["UPDATE t SET id = 3 WHERE id = 1", endless],
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_results_stop_at_their_limits() {
    claims::a_result_stops_at_its_limits(
        &postgres(),
        "SELECT generate_series(1, 100000000000) AS g",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_keeps_to_the_rows_approved() {
    claims::more_rows_than_approved_change_nothing(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_is_described_and_explains() {
    claims::tables_are_described_and_statements_explained(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_a_commit_came_to_is_asked_of_the_database() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let write = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)"]);
    let run = |refuses: bool| {
        let mut journal = Journal {
            refuses,
            ..Journal::default()
        };
        place
            .wall
            .run(&place.driver, &write, &Cancel::new(), &mut journal);
        journal.mark
    };
    let (committed, rolled_back) = (run(false), run(true));
    let settle = |mark: &Option<String>| {
        place
            .wall
            .settle(&place.driver, mark.as_deref(), &Cancel::new())
    };
    assert_eq!(settle(&committed), JobEffect::Committed);
    assert_eq!(settle(&rolled_back), JobEffect::RolledBack);
    assert_eq!(settle(&Some("no number".to_owned())), JobEffect::Unknown);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn statement_without_transaction_runs_alone_and_reports_its_remains() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["INSERT INTO t VALUES (1), (1)"]);
    let (message, effect) = failure(place.write(&["CREATE UNIQUE INDEX CONCURRENTLY u ON t (id)"]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(message.contains("left an invalid index: u"), "{message}");
    place.done(&["DROP INDEX CONCURRENTLY u"]);
    place.done(&["CREATE INDEX CONCURRENTLY i ON t (id)"]);
    // A function that says so is not believed: outside a transaction it would have changed something for good.
    let body = "BEGIN IF nextval('s') < 3 THEN RAISE EXCEPTION USING ERRCODE = '25001'; END IF; RETURN 1; END";
    place.done(&[
        "CREATE SEQUENCE s",
        &format!("CREATE FUNCTION f() RETURNS integer LANGUAGE plpgsql AS $${body}$$"),
    ]);
    let (message, effect) = failure(place.write(&["SELECT f()"]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert_eq!(place.value("SELECT last_value FROM s"), "1");
    let (message, effect) = failure(place.write(&["INSERT INTO t VALUES (2)", "VACUUM t"]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert_eq!(place.count("t"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_lock_is_waited_for_no_longer_than_allowed() {
    super::locks::are_waited_for_no_longer_than_signed_or_configured(
        postgres(),
        "LOCK TABLE t",
        "SELECT count(*) AS n FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 't'::regclass",
        "55P03",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn server_that_is_not_there_is_a_sentence_without_secrets() {
    let place = postgres();
    let DriverConfig::Postgres(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    let mut gone = endpoint.clone();
    gone.port = 1;
    let why = place.wall.check(&DriverConfig::Postgres(gone)).unwrap_err();
    assert!(why.starts_with("the database cannot be reached"), "{why}");
    let mut nobody = endpoint;
    nobody.user = "nobody_here".to_owned();
    let why = place
        .wall
        .check(&DriverConfig::Postgres(nobody))
        .unwrap_err();
    assert!(why.contains("nobody_here"), "{why}");
    place.wall.check(&place.driver).unwrap();
    on_server(&place.driver, "SELECT 1");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_description_tells_triggers_and_the_rows_of_the_statistics() {
    let place = postgres();
    let table = || {
        let text = place.wall.describe(&place.driver, &Cancel::new()).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        all["tables"][0].clone()
    };
    place.done(&[
        "CREATE TABLE t (id INTEGER)",
        "INSERT INTO t SELECT generate_series(1, 1234)",
    ]);
    assert_eq!(table()["triggers"], json!([]));
    place.done(&[
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER notes AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TRIGGER off AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE t DISABLE TRIGGER off",
        "ANALYZE t",
    ]);
    let described = table();
    assert_eq!(
        described["triggers"],
        json!([{"name": "notes", "event": "INSERT OR DELETE"}])
    );
    assert_eq!(described["estimated_rows"], 1234);
    // Estimates are of the statistics, not counted.
    place.done(&["INSERT INTO t SELECT generate_series(1, 10)"]);
    assert_eq!(table()["estimated_rows"], 1234);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_description_of_postgres_waits_for_no_lock_for_long() {
    let place = Arc::new(postgres());
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let plan = ["LOCK TABLE pg_catalog.pg_trigger", "SELECT pg_sleep(60)"];
    let (cancel, started, holder) = running(&place, job(Operation::ExecuteDml, &plan));
    started.recv().unwrap();
    let held = "SELECT count(*) AS n FROM pg_locks WHERE granted AND relation = 'pg_catalog.pg_trigger'::regclass \
                AND mode = 'AccessExclusiveLock'";
    eventually("the catalogue is locked", || place.value(held) == "1");
    let why = place.wall.describe(&place.driver, &Cancel::new());
    assert!(
        why.as_ref().is_err_and(|why| why.contains("55P03")),
        "{why:?}"
    );
    assert_eq!(place.value(held), "1");
    cancel.ask(StopReason::Cancelled);
    failure(holder.join().unwrap());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_describes_two_thousand_tables_in_time() {
    claims::many_tables_are_described_in_time(&postgres(), "");
}
