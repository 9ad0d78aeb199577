//! A rehearsal on PostgreSQL: the plan in one transaction, counted as the row bound counts, and rolled back.

use super::statement::command;
use super::watch::{PgDeadline, PgStop};
use super::wire::PgConnection;
use super::{ENDED, Postgres, numbered};
use crate::agent::drivers::rehearsal::{OneTableWrite, Report};
use crate::agent::drivers::{Control, DriverJob};

/// Runs the plan and takes it back; the report as JSON.
pub(super) fn rehearse(
    driver: &Postgres,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &PgDeadline,
    control: &dyn Control,
) -> Result<String, PgStop> {
    let mut conn = driver.connect(watch)?;
    let session = driver.begin(&mut conn, "", watch)?;
    control
        .started(Some(&session), true)
        .map_err(PgStop::Failed)?;
    let mut report = Report::default();
    let ran = run_all(&mut conn, job, plan, watch, &mut report);
    // Locks of a session outlive its transaction, and a pooler gives the session to somebody else. Where this fails,
    // the transaction is at its end already, and the connection is closed, which rolls back as well.
    let _unlocked = conn.own("SELECT pg_catalog.pg_advisory_unlock_all()");
    let rolled_back = conn.own("ROLLBACK");
    ran?;
    rolled_back?;
    Ok(report.json())
}

fn run_all(
    conn: &mut PgConnection,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &PgDeadline,
    report: &mut Report,
) -> Result<(), PgStop> {
    for write in plan {
        look(conn, write, report)?;
    }
    let mut own_rows = 0_u64;
    for (n, write) in plan.iter().enumerate() {
        watch.look()?;
        let rows = command(conn, &write.sql).map_err(|stop| numbered(stop, n, job))?;
        if conn.status != b'T' {
            return Err(PgStop::Failed(ENDED.to_owned()));
        }
        own_rows = own_rows.saturating_add(rows);
        let total = counted(conn, report)?.unwrap_or(0).max(own_rows);
        report.ran(write, rows, total);
    }
    // What waits for a commit that never comes happens now, where it is counted, or refused.
    conn.own("SET CONSTRAINTS ALL IMMEDIATE")?;
    if let Some(total) = counted(conn, report)? {
        report.settled(total);
    }
    Ok(())
}

/// Only a table whose rows are in this database is written to, and what fires with it is named.
fn look(conn: &mut PgConnection, write: &OneTableWrite, report: &mut Report) -> Result<(), PgStop> {
    let (fired, table) = (bit(write.kind), quoted(&write.table));
    let found = conn.own(&format!(
        "WITH RECURSIVE named AS (SELECT pg_catalog.to_regclass({table})::oid AS oid), \
         parts AS (SELECT oid FROM named UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i \
         JOIN parts p ON p.oid = i.inhparent) \
         SELECT (SELECT bool_and(c.relkind IN ('r', 'p') AND NOT c.relhasrules)::text FROM parts p \
         JOIN pg_catalog.pg_class c ON c.oid = p.oid), \
         (SELECT bool_or(a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%')::text \
         FROM named n JOIN pg_catalog.pg_attribute a ON a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum)"
    ))?;
    let row = found.into_iter().next().unwrap_or_default();
    let is = |n: usize| row.get(n).cloned().flatten().as_deref() == Some("true");
    if !is(0) {
        return Err(PgStop::Failed(format!(
            "not rehearsed: `{}` is not a plain table of this database",
            write.table
        )));
    }
    if write.inserts() && is(1) {
        report.advances_sequence(&write.table);
    }
    let triggers = conn.own(&format!(
        "SELECT tgname::text FROM pg_catalog.pg_trigger WHERE tgrelid = pg_catalog.to_regclass({table}) \
         AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype & {fired}) <> 0 ORDER BY 1"
    ))?;
    let names: Vec<String> = super::rows_text(triggers);
    if !names.is_empty() {
        report.warn("what a trigger does outside of the transaction is not rolled back".to_owned());
    }
    report.fires(&write.table, names);
    Ok(())
}

/// The bits of `pg_trigger.tgtype` for what a statement does.
fn bit(kind: &str) -> u8 {
    match kind {
        "insert" => 4,
        "delete" => 8,
        "update" => 16,
        // A MERGE may do all three.
        _ => 4 | 8 | 16,
    }
}

/// A name as `to_regclass` reads it, as a literal. A name with a dot in one of its parts finds nothing.
fn quoted(table: &str) -> String {
    let parts: Vec<String> = table
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    format!("'{}'", parts.join(".").replace('\'', "''"))
}

/// The rows that this transaction has changed, as the database counts them; none where it does not count.
fn counted(conn: &mut PgConnection, report: &mut Report) -> Result<Option<u64>, PgStop> {
    let count = super::changed_rows(conn)?;
    if count.is_none() {
        report
            .warn("rows of triggers and cascades are not counted: track_counts is off".to_owned());
    }
    Ok(count)
}
