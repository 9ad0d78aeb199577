//! Statements that run in no transaction and are ended on their way.

use super::super::places::postgres;
use super::super::{Place, failure, job, running};
use crate::support::eventually;
use dbward::agent::drivers::{Cancel, JobEffect, StopReason, driver};
use dbward::domain::id::Operation;
use std::sync::Arc;

/// Waits until the session of another job sleeps in `place`.
fn sleeps(place: &Place) {
    let asleep = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
                  AND wait_event = 'PgSleep'";
    eventually("it sleeps", || place.value(asleep) == "1");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_partition_that_is_detached_by_half_is_reported() {
    let place = postgres();
    place.done(&[
        "CREATE TABLE p (id INTEGER) PARTITION BY LIST (id)",
        "CREATE TABLE c PARTITION OF p FOR VALUES IN (1)",
        "CREATE TABLE d PARTITION OF p FOR VALUES IN (2)",
    ]);
    let place = Arc::new(place);
    let reads = ["SELECT count(*) FROM p", "SELECT pg_sleep(60)"];
    let (cancel, _started, reader) = running(&place, job(Operation::ExecuteDml, &reads));
    sleeps(&place);
    let (message, effect) =
        failure(place.write(&["ALTER TABLE p DETACH PARTITION c CONCURRENTLY"]));
    let pending = "SELECT inhdetachpending AS v FROM pg_inherits WHERE inhrelid = 'c'::regclass";
    assert_eq!(place.value(pending), "true", "{message}");
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(
        message.contains("it left a partition detached by half, which FINALIZE ends: c"),
        "{message}"
    );
    // The same in a migration; what another attempt has left is not its own.
    let file = "-- migrate:up transaction:false\nALTER TABLE p DETACH PARTITION d CONCURRENTLY";
    let (message, effect) = failure(super::super::migrations::up(&place, &[("1", file)]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    cancel.ask(StopReason::Cancelled);
    failure(reader.join().unwrap());
    place.done(&["ALTER TABLE p DETACH PARTITION c FINALIZE"]);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn interrupted_statement_is_ended_by_postgres_and_its_session_stays() {
    let place = postgres();
    place.done(&[
        "CREATE TABLE t (id INTEGER)",
        "INSERT INTO t VALUES (1)",
        "CREATE FUNCTION slow(a integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql \
         AS 'BEGIN PERFORM pg_sleep(60); RETURN a; END'",
    ]);
    let place = Arc::new(place);
    for (sql, expected, left) in [
        (
            "UPDATE t SET id = slow(id)",
            JobEffect::RolledBack,
            "; rolled back",
        ),
        // Only in the same session can it be asked what is left.
        (
            "CREATE INDEX CONCURRENTLY i ON t (slow(id))",
            JobEffect::Partial,
            "; it left an invalid index: i",
        ),
    ] {
        let (_cancel, _started, thread) = running(&place, job(Operation::ExecuteDml, &[sql]));
        sleeps(&place);
        let session = place.value(
            "SELECT pid::text || '@' || extract(epoch FROM backend_start)::text AS v FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event = 'PgSleep'",
        );
        let session = session.trim_matches('"');
        driver(&place.driver)
            .interrupt(session, false, &Cancel::new())
            .unwrap();
        let (message, effect) = failure(thread.join().unwrap());
        assert!(
            message.contains("SQLSTATE 57014") && message.ends_with(left),
            "{sql}: {message}"
        );
        assert_eq!(effect, expected, "{sql}: {message}");
    }
}
