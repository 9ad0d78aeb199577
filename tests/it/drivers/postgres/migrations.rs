//! Migrations on PostgreSQL.

use super::super::migrations::{self, migrated, recorded, up};
use super::super::places::postgres;
use super::super::served::{self, Served};
use super::super::{Place, failure, job, running};
use super::served::ENDLESS;
use crate::support::eventually;
use dbward::agent::drivers::{JobEffect, StopReason};
use dbward::domain::id::Operation;
use serde_json::json;

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_a_migration_of_postgres_returns_are_reported() {
    migrations::rows_of_a_migration_are_reported_as_left_out(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_applies_migrations_once() {
    migrations::migrations_are_applied_once_and_taken_back_in_reverse(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_reads_files_by_their_markers() {
    migrations::whole_files_are_read_by_their_markers(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_failing_migration_of_postgres_is_named() {
    migrations::a_failure_names_the_statement_and_what_is_kept(&postgres(), false);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn transactions_of_migrations_belong_to_the_agent_in_postgres() {
    migrations::what_would_control_the_transaction_is_refused(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_repairs_the_record() {
    migrations::the_record_is_repaired_and_nothing_else(&postgres());
}

fn idle(place: &Place) -> String {
    place.value(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND state LIKE 'idle in transaction%'",
    )
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn concurrently_runs_in_no_transaction_and_leaves_nobody_idle() {
    let place = postgres();
    migrated(up(&place, &[("1", "CREATE TABLE t (id INTEGER)")]));
    let (message, effect) = failure(up(
        &place,
        &[("2", "CREATE INDEX CONCURRENTLY i ON t (id)")],
    ));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert!(
        message.contains("write `transaction:false` at its marker"),
        "{message}"
    );
    let file = "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON t (id);\nDROP INDEX CONCURRENTLY i;\n\
                CREATE INDEX CONCURRENTLY j ON t (id); -- done";
    assert_eq!(
        migrated(up(&place, &[("2", file)])),
        json!({"applied": ["2"]})
    );
    assert_eq!(recorded(&place), json!(["1", "2"]));
    assert_eq!(idle(&place), "0");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_invalid_index_is_found_and_never_recorded() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["INSERT INTO t VALUES (1), (1)"]);
    let file = "-- migrate:up transaction:false\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS u ON t (id)";
    let (message, effect) = failure(up(&place, &[("1", file)]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(message.contains("left an invalid index: u"), "{message}");
    // `IF NOT EXISTS` is content with what is there.
    let (message, effect) = failure(up(&place, &[("1", file)]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(message.contains("an index is invalid: u"), "{message}");
    assert_eq!(recorded(&place), json!([]));
    place.done(&["DROP INDEX CONCURRENTLY u"]);
    place.done(&["DELETE FROM t"]);
    migrated(up(&place, &[("1", file)]));
    assert_eq!(recorded(&place), json!(["1"]));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn invalid_indexes_of_others_are_not_those_of_a_migration() {
    let place = postgres();
    place.done(&["CREATE TABLE orders (id INTEGER, customer INTEGER)"]);
    place.done(&["INSERT INTO orders VALUES (1, 1), (1, 1)"]);
    // Of an index on a table in parts, nothing is broken off.
    place.done(&[
        "CREATE TABLE parted (id INTEGER) PARTITION BY LIST (id)",
        "CREATE TABLE part PARTITION OF parted DEFAULT",
    ]);
    let only = "-- migrate:up transaction:false\nCREATE INDEX whole ON ONLY parted (id);\n\
                CREATE INDEX CONCURRENTLY part_id ON part (id)";
    migrated(up(&place, &[("1", only)]));
    // A name that another one begins with.
    failure(
        place.write(&["CREATE UNIQUE INDEX CONCURRENTLY orders_customer ON orders (customer)"]),
    );
    let second = "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY orders_customer_v2 ON orders (customer)";
    migrated(up(&place, &[("2", second)]));
    assert_eq!(recorded(&place), json!(["1", "2"]));
}

/// An index that somebody builds is invalid as long as they build it.
#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_index_that_somebody_else_builds_is_left_alone() {
    let place = postgres();
    place.done(&["CREATE TABLE theirs (id INTEGER)"]);
    place.done(&["CREATE TABLE ours (id INTEGER)"]);
    let place = std::sync::Arc::new(place);
    let (release, held, holder) = running(
        &place,
        job(
            Operation::ExecuteDml,
            &["INSERT INTO theirs VALUES (1)", "SELECT pg_sleep(60)"],
        ),
    );
    held.recv().unwrap();
    let asleep = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
                  AND wait_event = 'PgSleep'";
    eventually("somebody writes", || place.value(asleep) == "1");
    // It begins while ours is at work, and waits for the writer.
    let ours = "-- migrate:up transaction:false\nCREATE TABLE a (id INTEGER);\nDO $$ BEGIN \
                FOR i IN 1..600 LOOP PERFORM pg_sleep(0.1); PERFORM pg_stat_clear_snapshot(); \
                EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE relation::regclass::text LIKE 'thei%' AND mode = 'ShareUpdateExclusiveLock'); \
                END LOOP; END $$;\nCREATE INDEX ours_id ON ours (id)";
    let migration = {
        let place = std::sync::Arc::clone(&place);
        std::thread::spawn(move || up(&place, &[("1", ours)]))
    };
    eventually("ours is at work", || {
        place.value("SELECT to_regclass('a') IS NOT NULL AS v") == "true"
    });
    let mut long = job(
        Operation::ExecuteDml,
        &["CREATE INDEX CONCURRENTLY their_id ON theirs (id)"],
    );
    long.lock_timeout_secs = 60;
    let (_, building, builder) = running(&place, long);
    building.recv().unwrap();
    let outcome = migration.join().unwrap();
    release.ask(StopReason::Cancelled);
    failure(holder.join().unwrap());
    builder.join().unwrap();
    migrated(outcome);
    assert_eq!(recorded(&place), json!(["1"]));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn outside_a_transaction_each_statement_is_reported() {
    let place = postgres();
    let file = "-- migrate:up transaction:false\nCREATE TABLE t (id INTEGER);\nCREATE INDEX CONCURRENTLY i ON missing (id);\n\
                CREATE TABLE u (id INTEGER)";
    let (message, effect) = failure(up(&place, &[("1", file)]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(
        message.starts_with("migration `1`: statement 2 at line 2: ")
            && message.contains("; statement 1 stays"),
        "{message}"
    );
    assert_eq!(recorded(&place), json!([]));
    assert_eq!(place.count("t"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn procedure_that_commits_and_fails_is_not_called_rolled_back() {
    let place = postgres();
    let body = "BEGIN INSERT INTO t VALUES (1); COMMIT; RAISE EXCEPTION 'no'; END";
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&[&format!(
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $${body}$$"
    )]);
    let block = format!("DO $${body}$$");
    for (n, sql) in ["CALL p()", &block].into_iter().enumerate() {
        let file = format!("-- migrate:up transaction:false\n{sql}");
        let (message, effect) = failure(up(&place, &[("1", &file)]));
        assert_eq!(effect, JobEffect::Unknown, "{sql}: {message}");
        assert!(
            message.contains("it may or may not have taken effect"),
            "{sql}: {message}"
        );
        assert_eq!(place.count("t"), 1 + n as i64, "{sql}");
    }
    let file = "-- migrate:up transaction:false\nINSERT INTO t VALUES (1 / 0)";
    let (message, effect) = failure(up(&place, &[("1", file)]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_migration_cannot_hide_the_record() {
    let place = postgres();
    let sql = "CREATE SCHEMA other; SET search_path = other; \
               CREATE TABLE schema_migrations (version text); SET ROLE pg_monitor; RESET ROLE";
    assert_eq!(
        migrated(up(&place, &[("1", sql), ("2", "CREATE TABLE t (a int)")])),
        json!({"applied": ["1", "2"]})
    );
    assert_eq!(recorded(&place), json!(["1", "2"]));
    assert_eq!(place.count("public.t"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_agent_killed_in_a_migration_leaves_no_lock() {
    served::an_agent_killed_in_a_migration_leaves_no_lock(
        Served::start(postgres(), 60),
        "CREATE TABLE m (id INTEGER); UPDATE t SET id = 1; SELECT pg_sleep(60)",
        |served| served.runs(&ENDLESS),
        "agent stopped while the statement ran; rolled back",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn migrations_run_from_request_to_result_on_postgres() {
    served::migrations_run_from_request_to_result(&Served::start(postgres(), 60));
}
