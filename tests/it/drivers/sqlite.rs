//! SQLite in a child process: the claims of every database, and statements that would hurt the agent.

use super::migrations::{self, migrated, recorded, up};
use super::places::sqlite;
use super::served::{self, Served};
use super::{Place, claims, failure, job, running};
use dbward::agent::drivers::{JobEffect, RunOutcome, StopReason};
use dbward::domain::id::Operation;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
/// Looks at nothing that could interrupt it, for minutes.
pub const DEAF: &str = "SELECT instr(hex(zeroblob(16000000)), hex(zeroblob(8000000))||'1')";

/// Sorts 1.8 GB.
const SORTED: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
    SELECT length(b) FROM (SELECT randomblob(30000000) AS b FROM n ORDER BY b)";

#[test]
fn sqlite_writes_all_or_nothing() {
    claims::a_write_is_all_or_nothing(&sqlite());
}

#[test]
fn sqlite_commits_only_what_the_journal_knows() {
    claims::a_commit_waits_for_the_journal(&sqlite());
}

#[test]
fn sqlite_refuses_lies_about_reads() {
    claims::lies_about_reads_are_refused(&sqlite());
}

#[test]
fn sqlite_gets_the_bytes_of_a_plan() {
    claims::a_plan_keeps_its_bytes(&sqlite());
}

#[test]
fn sqlite_is_stopped_by_time() {
    claims::time_ends_what_does_not_end(&sqlite(), ENDLESS);
}

#[test]
fn sqlite_is_stopped_by_cancelling() {
    let endless = format!("INSERT INTO t {ENDLESS}");
    claims::cancelling_ends_a_write_in_the_database(
        sqlite(),
        &["UPDATE t SET id = 3 WHERE id = 1", &endless],
    );
}

#[test]
fn sqlite_results_stop_at_their_limits() {
    claims::a_result_stops_at_its_limits(
        &sqlite(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    );
}

#[test]
fn sqlite_keeps_to_the_rows_approved() {
    claims::more_rows_than_approved_change_nothing(&sqlite());
}

#[test]
fn sqlite_counts_rows_of_triggers_against_the_bound() {
    let place = sqlite();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["CREATE TABLE log (id INTEGER)"]);
    place.done(&["CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END"]);
    let mut write = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1), (2)"]);
    write.max_affected_rows = Some(3);
    let (message, _) = failure(place.run(&write));
    assert!(message.contains("4 rows would change"), "{message}");
    assert_eq!(place.count("log"), 0);
}

#[test]
fn rows_that_a_view_of_sqlite_passes_on_are_reported() {
    let place = sqlite();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["CREATE VIEW w AS SELECT id FROM t"]);
    place.done(&["CREATE TRIGGER g INSTEAD OF INSERT ON w BEGIN INSERT INTO t VALUES (new.id), (-new.id); END"]);
    assert_eq!(
        place.done(&[
            "INSERT INTO w VALUES (1), (2)",
            "DELETE FROM t WHERE id < 0"
        ]),
        6
    );
    assert_eq!(place.count("t"), 2);
}

#[test]
fn sqlite_takes_no_name_for_a_string() {
    let place = sqlite();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["INSERT INTO t VALUES (1), (2)"]);
    // There is no such column; as a string it would be true of every row.
    let delete = job(
        Operation::ExecuteDml,
        &["DELETE FROM t WHERE \"tenant\" = 'tenant'"],
    );
    let (message, effect) = failure(place.run(&delete));
    assert!(message.contains("tenant"), "{message}");
    assert_eq!(effect, JobEffect::RolledBack);
    assert_eq!(place.count("t"), 2);
}

#[test]
fn sqlite_is_described_and_explains() {
    claims::tables_are_described_and_statements_explained(&sqlite());
}

fn ends_soon(place: &Place, sql: &str, says: &[&str]) {
    ended_soon(|| place.read(&[sql]), says);
}

fn ended_soon(run: impl FnOnce() -> RunOutcome, says: &[&str]) {
    let began = Instant::now();
    let (message, effect) = failure(run());
    assert!(says.iter().any(|says| message.contains(says)), "{message}");
    assert_eq!(effect, JobEffect::RolledBack);
    assert!(
        began.elapsed() < Duration::from_secs(29),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn statement_that_ignores_interrupts_is_killed_after_its_time() {
    claims::time_ends_what_does_not_end(&sqlite(), DEAF);
}

#[test]
fn statement_that_ignores_interrupts_is_killed_when_it_is_cancelled() {
    let place = Arc::new(sqlite());
    let (cancel, started, thread) = running(&place, job(Operation::ExecuteSelect, &[DEAF]));
    started.recv_timeout(Duration::from_secs(20)).unwrap();
    cancel.ask(StopReason::Cancelled);
    let began = Instant::now();
    let (message, _) = failure(thread.join().unwrap());
    assert_eq!(message, "query cancelled");
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
}

/// Large values of `columns` columns, each as long as a value may be.
fn wide_row(columns: usize) -> String {
    let columns: Vec<String> = (0..columns)
        .map(|n| format!("randomblob(67000000) AS c{n}"))
        .collect();
    format!("SELECT {}", columns.join(", "))
}

#[test]
fn a_row_of_two_gigabytes_hurts_nobody() {
    ends_soon(&sqlite(), &wide_row(30), &["out of memory", "too big"]);
}

#[test]
fn sqlite_has_less_memory_than_its_process() {
    // 600 MB, which would fit into the process.
    ends_soon(&sqlite(), &wide_row(9), &["out of memory"]);
}

#[test]
fn a_write_is_held_to_the_limits_of_sqlite() {
    let place = sqlite();
    let ended = |sql: &str, says: &str| ended_soon(|| place.write(&[sql]), &[says]);
    ended(
        &format!("CREATE TABLE w AS {}", wide_row(9)),
        "out of memory",
    );
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let long = "INSERT INTO t SELECT length(zeroblob(300000000) || 'x')";
    ended(long, "too big");
    let columns = |n: usize| {
        (0..n)
            .map(|n| format!("c{n}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let wide = format!("CREATE TABLE v ({})", columns(2001));
    ended(&wide, "too many columns");
    place.done(&[&format!("CREATE TABLE v ({})", columns(2000))]);
    assert_eq!(place.count("t"), 0);
}

#[test]
fn write_that_sorts_large_values_stays_within_its_temporary_disk() {
    let place = sqlite();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let sql = format!("INSERT INTO t {SORTED}");
    ended_soon(|| place.write(&[&sql]), &["temporary disk"]);
    assert_eq!(place.count("t"), 0);
}

#[test]
fn write_that_ignores_interrupts_is_killed_after_its_time() {
    let place = sqlite();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let mut job = job(Operation::ExecuteDml, &[&format!("INSERT INTO t {DEAF}")]);
    job.timeout_secs = 1;
    ended_soon(
        || place.run(&job),
        &["statement timeout reached (1 s); rolled back"],
    );
    assert_eq!(place.done(&["INSERT INTO t VALUES (1)"]), 1);
}

#[test]
fn a_sort_of_large_values_stays_within_its_temporary_disk() {
    ends_soon(&sqlite(), SORTED, &["temporary disk", "memory", "disk"]);
}

#[test]
fn sqlite_applies_migrations_once() {
    migrations::migrations_are_applied_once_and_taken_back_in_reverse(&sqlite());
}

#[test]
fn sqlite_reads_files_by_their_markers() {
    migrations::whole_files_are_read_by_their_markers(&sqlite());
}

#[test]
fn a_failing_migration_of_sqlite_is_named() {
    migrations::a_failure_names_the_statement_and_what_is_kept(&sqlite(), false);
}

#[test]
fn transactions_of_migrations_belong_to_the_agent_in_sqlite() {
    migrations::what_would_control_the_transaction_is_refused(&sqlite());
}

#[test]
fn sqlite_repairs_the_record() {
    migrations::the_record_is_repaired_and_nothing_else(&sqlite());
}

#[test]
fn rows_that_a_migration_of_sqlite_returns_are_reported() {
    migrations::rows_of_a_migration_are_reported_as_left_out(&sqlite());
}

#[test]
fn sqlite_makes_tables_anew_and_keeps_bodies_of_triggers() {
    let place = sqlite();
    let first = "CREATE TABLE t (id INTEGER);\n\
                 CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET id = 7; DELETE FROM t WHERE id = 8; END;\n\
                 INSERT INTO t VALUES (1)";
    let second = "-- migrate:up transaction:false\nPRAGMA foreign_keys = OFF;\nALTER TABLE t RENAME TO u;\n\
                  PRAGMA foreign_keys = ON";
    migrated(up(&place, &[("1", first), ("2", second)]));
    assert_eq!(place.value("SELECT id FROM u"), "7");
    let third = "-- migrate:up transaction:false\nCREATE TABLE v (id INTEGER);\nINSERT INTO missing VALUES (1)";
    let (message, effect) = failure(up(&place, &[("3", third)]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(
        message.contains("statement 1 stays; the version is not recorded"),
        "{message}"
    );
    assert_eq!(recorded(&place), serde_json::json!(["1", "2"]));
}

#[test]
fn sqlite_describes_two_thousand_tables_in_time() {
    claims::many_tables_are_described_in_time(&sqlite(), "");
}

#[test]
fn a_result_stops_at_the_bytes_of_the_agent() {
    let mut job = job(
        Operation::ExecuteSelect,
        &["SELECT hex(zeroblob(100)) AS v UNION ALL SELECT 1"],
    );
    job.max_result_bytes = 50;
    let RunOutcome::Rows { json, truncated } = sqlite().run(&job) else {
        panic!("no rows");
    };
    assert!(
        truncated && json.contains("size limit reached (50 bytes)"),
        "{json}"
    );
}

/// The file as others find it once the system has ended the process that wrote.
#[test]
fn agent_killed_in_a_migration_leaves_no_lock_in_sqlite() {
    let sql = format!("UPDATE t SET id = 3; INSERT INTO t {ENDLESS}");
    let works = |served: &Served| {
        let children = served.agent().children();
        children.iter().any(|(_, ticks)| *ticks > 50)
    };
    served::an_agent_killed_in_a_migration_leaves_no_lock(
        Served::start(sqlite(), 60),
        &sql,
        works,
        "agent stopped while the statement ran; rolled back",
    );
    let each_alone = format!("-- migrate:up transaction:false\nINSERT INTO t {ENDLESS}");
    served::an_agent_killed_in_a_migration_leaves_no_lock(
        Served::start(sqlite(), 60),
        &each_alone,
        works,
        "it may or may not have taken effect",
    );
}
