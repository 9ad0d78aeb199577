//! A rehearsal on SQLite: the plan in one transaction, counted and rolled back.

use super::uncounted::refuse_replacing;
use super::{EarlyStop, JobDeadline, Sqlite, authorize, numbered, write_one};
use crate::agent::drivers::rehearsal::{OneTableWrite, Report, TableRows, beyond};
use crate::agent::drivers::rows::Results;
use crate::agent::drivers::{Control, DriverJob};
use crate::domain::sql::table_parts;
use rusqlite::Connection;
use rusqlite::hooks::{AuthContext, Authorization};
use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Runs the plan and takes it back; the report as JSON.
pub(super) fn rehearse(
    driver: &Sqlite,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &JobDeadline,
    control: &dyn Control,
) -> Result<String, EarlyStop> {
    let mut conn = driver.open(true)?;
    control.started(None, true).map_err(EarlyStop::Failed)?;
    watch.attach(&mut conn)?;
    let mut report = Report::default();
    let counted = Arc::new(Mutex::new(TableRows::new()));
    let counts = Arc::clone(&counted);
    conn.update_hook(Some(move |_, _: &str, table: &str, _| {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(table.to_owned()).or_insert(0) += 1;
    }))?;
    let began = Instant::now();
    watch.when_unlocked(&conn, "BEGIN IMMEDIATE")?;
    let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.lock_wait_ms = Some(waited);
    // While SQLite compiles a statement it names the triggers that go with it.
    let (fired, names) = channel();
    let broken = look(&conn, plan).and_then(|()| broken_keys(&conn));
    let ran = broken.and_then(|broken| {
        conn.authorizer(Some(move |asked: AuthContext<'_>| {
            if let Some(name) = asked.accessor {
                let _listens = fired.send(name.to_owned());
            }
            authorize(asked)
        }))?;
        run_all(&conn, job, plan, watch, &counted, &mut report).map(|()| broken)
    });
    conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    // Keys that would be looked at by a commit that never comes.
    let ran = ran.and_then(|before| match broken_keys(&conn)? > before {
        true => Err(EarlyStop::Failed(
            "FOREIGN KEY constraint failed, when it would be committed".to_owned(),
        )),
        false => Ok(()),
    });
    conn.progress_handler(0, None::<fn() -> bool>)?;
    let ran = ran.and_then(|()| name_triggers(&conn, &names.try_iter().collect(), &mut report));
    // Closing the connection rolls back as well; what is reported is only what is known to be taken back.
    if !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    ran.map(|()| report.json())
}

/// Rows that break a foreign key, looked for only where one is put off until the commit.
fn broken_keys(conn: &Connection) -> Result<i64, EarlyStop> {
    let deferred = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE sql LIKE '%deferred%')";
    if !conn.query_row(deferred, [], |row| row.get::<_, bool>(0))? {
        return Ok(0);
    }
    let all = "SELECT count(*) FROM pragma_foreign_key_check";
    Ok(conn.query_row(all, [], |row| row.get(0))?)
}

/// Only real tables are written to: a virtual one may keep nothing to roll back.
fn look(conn: &Connection, plan: &[OneTableWrite]) -> Result<(), EarlyStop> {
    refuse_replacing(conn, plan.iter().map(|write| write.sql.as_str()))
        .map_err(|stop| stop.reworded(|why| format!("not rehearsed: {why}")))?;
    for write in plan {
        let name = bare(&write.table);
        let kind: Option<String> = conn
            .prepare("SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE")?
            .query_map([name], |row| row.get(0))?
            .next()
            .transpose()?;
        if kind.as_deref() != Some("table") {
            return Err(EarlyStop::Failed(format!(
                "not rehearsed: `{}` is not a table of this database",
                write.table
            )));
        }
    }
    Ok(())
}

/// The name of a table without its schema.
fn bare(table: &str) -> String {
    table_parts(table).1
}

/// Notes which of `names` are triggers; others are views that a trigger reads.
fn name_triggers(
    conn: &Connection,
    names: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), EarlyStop> {
    let mut triggers = conn
        .prepare("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")?;
    let mut rows = triggers.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if names.contains(&name) {
            report.fires(&row.get::<_, String>(1)?, [name]);
        }
    }
    Ok(())
}

fn run_all(
    conn: &Connection,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &JobDeadline,
    counted: &Mutex<TableRows>,
    report: &mut Report,
) -> Result<(), EarlyStop> {
    let before = conn.total_changes();
    let mut known = TableRows::new();
    for (n, write) in plan.iter().enumerate() {
        if watch.over() {
            return Err(EarlyStop::Interrupted);
        }
        let rows = write_one(conn, &write.sql, &mut Results::new(0, 0))
            .map_err(|stop| numbered(stop, n, job))?;
        if conn.is_autocommit() {
            return Err(EarlyStop::Failed(
                "the statement ended the transaction".into(),
            ));
        }
        let total = conn.total_changes().saturating_sub(before);
        let now = counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let own = now
            .keys()
            .find(|name| name.eq_ignore_ascii_case(&bare(&write.table)));
        let own = own.map_or("", String::as_str);
        let more = beyond(&now, &known, own, rows);
        // Not every change is known by table, of tables without row ids none.
        let all = now.values().sum::<u64>() == total;
        let more = if all { more } else { TableRows::new() };
        report.ran(write, rows, total, &more);
        known = now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{File, job};
    use crate::agent::drivers::{Cancel, Driver, RunOutcome, Unrecorded};
    use crate::domain::id::Operation;
    use serde_json::{Value, json};

    const SHOP: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT); \
         CREATE TABLE events (order_id INTEGER); CREATE VIEW seen AS SELECT * FROM orders; \
         CREATE TRIGGER noted AFTER UPDATE ON orders BEGIN INSERT INTO events VALUES (NEW.id); END; \
         CREATE TRIGGER unrelated AFTER DELETE ON orders BEGIN INSERT INTO events VALUES (OLD.id); END; \
         INSERT INTO orders VALUES (1, 'new'), (2, 'new'), (3, 'new'), (4, 'old'), (5, 'old');";

    fn shop() -> File {
        File::new(SHOP)
    }

    fn rehearse(file: &File, plan: &[&str]) -> RunOutcome {
        file.driver().rehearse(
            &job(Operation::ExecuteDml, plan),
            &Unrecorded(Cancel::new()),
        )
    }

    fn unchanged(file: &File) {
        assert_eq!(
            file.one("SELECT count(*) FROM orders WHERE state = 'new'"),
            3
        );
        assert_eq!(file.one("SELECT count(*) FROM events"), 0);
        assert_eq!(file.one("SELECT count(*) FROM orders"), 5);
    }

    #[test]
    fn a_rehearsal_counts_what_triggers_add_and_leaves_nothing() {
        let file = shop();
        let plan = [
            "UPDATE orders SET state = 'paid' WHERE state = 'new'",
            "INSERT INTO orders (id, state) VALUES (6, 'x'), (7, 'x')",
        ];
        let RunOutcome::Rehearsed { json } = rehearse(&file, &plan) else {
            panic!("not rehearsed");
        };
        let report: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["rows_affected"], 8);
        assert_eq!(report["statements"][0]["rows"], 3);
        assert_eq!(report["statements"][0]["more_rows"], 3);
        assert_eq!(
            report["statements"][0]["more"],
            json!([{"table": "events", "rows": 3}])
        );
        assert_eq!(report["statements"][1]["rows"], 2);
        assert_eq!(report["statements"][1]["more"], json!([]));
        assert_eq!(report["triggers"], json!(["noted on orders"]));
        assert!(report["lock_wait_ms"].is_u64());
        unchanged(&file);
    }

    #[test]
    fn what_may_not_be_rehearsed_is_refused_by_driver_too() {
        let file = shop();
        for plan in [
            &["DROP TABLE orders"][..],
            &["UPDATE orders SET state = 'x'", "COMMIT"],
            &["UPDATE orders SET state = (SELECT 1 FROM events)"],
            &["UPDATE seen SET state = 'x'"],
            &["UPDATE nowhere SET state = 'x'"],
            &[
                "DELETE FROM orders",
                "INSERT INTO orders (id) VALUES (1), (1)",
            ],
            &["PRAGMA user_version = 7"],
        ] {
            let outcome = rehearse(&file, plan);
            assert!(matches!(outcome, RunOutcome::Failed { .. }), "{plan:?}");
            unchanged(&file);
        }
    }

    #[test]
    fn what_a_commit_would_refuse_is_refused_in_the_rehearsal() {
        let file = File::new(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1); \
             CREATE TABLE c (p INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1);",
        );
        let outcome = rehearse(&file, &["DELETE FROM p WHERE id = 1"]);
        let RunOutcome::Failed { message, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(message.contains("FOREIGN KEY"), "{message}");
        let fixed = ["DELETE FROM p WHERE id = 1", "DELETE FROM c WHERE p = 1"];
        let outcome = rehearse(&file, &fixed);
        assert!(
            matches!(outcome, RunOutcome::Rehearsed { .. }),
            "{outcome:?}"
        );
        assert_eq!(file.one("SELECT count(*) FROM p"), 1);
    }

    #[test]
    fn a_lock_of_somebody_else_ends_a_rehearsal_soon() {
        let file = shop();
        let other = file.conn();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut job = job(Operation::ExecuteDml, &["DELETE FROM orders"]);
        job.lock_timeout_secs = 1;
        let outcome = file.driver().rehearse(&job, &Unrecorded(Cancel::new()));
        let RunOutcome::Failed { message, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(message.contains("locked by somebody else"), "{message}");
        drop(other);
        unchanged(&file);
    }
}
