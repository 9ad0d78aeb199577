//! A rehearsal on PostgreSQL: the plan in one transaction, counted as the row bound counts, and rolled back.

use super::counted::{CountedTable, RowCounter, total, uncounted};
use super::statement::change;
use super::watch::{PgDeadline, PgStop};
use super::wire::PgConnection;
use super::{ENDED, Postgres, called, numbered, quoted};
use crate::agent::drivers::lock_waits::{ASK_WITHIN_SECS, watched};
use crate::agent::drivers::rehearsal::{OneTableWrite, Report, TableRows, beyond};
use crate::agent::drivers::rows::Results;
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
    let (ran, waits) = watched(
        || holders(driver, &session, watch),
        || {
            let ran = run_all(&mut conn, job, plan, watch, &mut report);
            super::session::abandon(conn);
            ran
        },
    );
    match ran {
        Err(PgStop::Refused(refusal)) if refusal.is_of_a_lock() => {
            Err(PgStop::Failed(waits.cut_off(watch.lock_secs)))
        }
        Err(stop) => Err(stop),
        Ok(()) => {
            waits.note(&mut report);
            Ok(report.json())
        }
    }
}

/// A connection that asks who holds what the session waits for.
fn holders(
    driver: &Postgres,
    session: &str,
    watch: &PgDeadline,
) -> Option<impl FnMut() -> Option<Vec<String>> + use<>> {
    let pid: i32 = session.split_once('@')?.0.parse().ok()?;
    let mut conn = driver
        .connect(&PgDeadline::new(ASK_WITHIN_SECS, &watch.cancel))
        .ok()?;
    let question = format!(
        "SELECT 'process ' || h || coalesce(' of ' || a.usename, '') || coalesce(' (' || nullif(a.application_name, '') \
         || ')', '') || coalesce(', ' || a.state, '') \
         || coalesce(', in its transaction for ' || extract(epoch FROM clock_timestamp() - a.xact_start)::int || ' s', '') \
         FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids({pid})) h LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h"
    );
    Some(move || Some(super::rows_text(conn.own(&question).ok()?)))
}

fn run_all(
    conn: &mut PgConnection,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &PgDeadline,
    report: &mut Report,
) -> Result<(), PgStop> {
    // To compile the questions about the catalogue takes a second of the ten that there are, and to run them none.
    conn.own(
        "SELECT pg_catalog.set_config(name, 'off', true) FROM pg_catalog.pg_settings WHERE name = 'jit'",
    )?;
    let counts = conn.own("SELECT pg_catalog.current_setting('track_counts')")?;
    let counts = super::rows_text(counts) == ["on"];
    if !counts {
        report.cannot_be_bound(
            "rows of triggers and cascades are not counted, since track_counts is off",
        );
    }
    let mut parts = Vec::new();
    for write in plan {
        parts.push(look(conn, write, report)?);
        called::refuse_more_than_computing(conn, write)?;
    }
    let counter = RowCounter::begin(conn)?;
    let (mut own_rows, mut before) = (0_u64, Vec::new());
    for (n, (write, parts)) in plan.iter().zip(&parts).enumerate() {
        watch.look()?;
        let rows = change(conn, &write.sql, &mut Results::new(0, 0))
            .map_err(|stop| numbered(stop, n, job))?;
        if conn.status != b'T' {
            return Err(PgStop::Failed(ENDED.to_owned()));
        }
        own_rows = own_rows.saturating_add(rows);
        let now = counter.by_table(conn)?.unwrap_or_default();
        let named = |found: &[CountedTable]| by_table(found, parts, &write.table);
        let more = beyond(&named(&now), &named(&before), &write.table, rows);
        report.ran(write, rows, total(&now).max(own_rows), &more);
        before = now;
    }
    // What waits for a commit that never comes happens now, where it is counted, or refused.
    counter.run_deferred(conn)?;
    if counts {
        let now = counter.by_table(conn)?.unwrap_or_default();
        let named = |found: &[CountedTable]| by_table(found, &[], "");
        let put_off = beyond(&named(&now), &named(&before), "", 0);
        report.settled(total(&now), &put_off);
    }
    if let Some(why) = uncounted(conn)? {
        report.cannot_be_bound(&why);
    }
    Ok(())
}

/// The rows by the name of their table; those of the `parts` of a table under its name.
fn by_table(found: &[CountedTable], parts: &[String], table: &str) -> TableRows {
    let mut rows = TableRows::new();
    for one in found {
        let is_part = parts.contains(&one.oid);
        let name = if is_part { table } else { &one.name };
        let sum = rows.entry(name.to_owned()).or_insert(0);
        *sum = sum.saturating_add(one.rows);
    }
    rows
}

/// Only a table whose rows are in this database is written to, and what fires with it is named. Returns its oid, and
/// those of its parts.
fn look(
    conn: &mut PgConnection,
    write: &OneTableWrite,
    report: &mut Report,
) -> Result<Vec<String>, PgStop> {
    let table = quoted(&write.table);
    let found = conn.own(&format!(
        "WITH RECURSIVE named AS (SELECT pg_catalog.to_regclass({table})::oid AS oid), \
         parts AS (SELECT oid FROM named UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i \
         JOIN parts p ON p.oid = i.inhparent) \
         SELECT (SELECT bool_and(c.relkind IN ('r', 'p') AND NOT c.relhasrules)::text FROM parts p \
         JOIN pg_catalog.pg_class c ON c.oid = p.oid), \
         (SELECT bool_or(a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%')::text \
         FROM named n JOIN pg_catalog.pg_attribute a ON a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum), \
         (SELECT pg_catalog.string_agg(oid::text, ' ') FROM parts)"
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
    triggers(conn, write, report)?;
    let parts = row.get(2).cloned().flatten().unwrap_or_default();
    Ok(parts.split(' ').map(str::to_owned).collect())
}

/// Names the triggers that may fire: those of the table, of its parts, and of the tables to which keys pass its changes
/// on, over any number of keys. A row that moves from part to part is deleted and inserted.
fn triggers(
    conn: &mut PgConnection,
    write: &OneTableWrite,
    report: &mut Report,
) -> Result<(), PgStop> {
    let (fired, table) = (bits(write), quoted(&write.table));
    let found = conn.own(&format!(
        "WITH RECURSIVE hit(oid, bits, by_statement) AS (SELECT pg_catalog.to_regclass({table})::oid, {fired}, true \
         UNION SELECT n.oid, n.bits, n.by_statement FROM hit CROSS JOIN LATERAL (\
         SELECT i.inhrelid AS oid, hit.bits, false AS by_statement FROM pg_catalog.pg_inherits i WHERE i.inhparent = hit.oid \
         UNION ALL SELECT k.conrelid, CASE k.confdeltype WHEN 'c' THEN {DELETES} ELSE {UPDATES} END, true \
         FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = hit.oid AND (hit.bits & {DELETES}) <> 0 \
         AND k.confdeltype IN ('c', 'n', 'd') \
         UNION ALL SELECT k.conrelid, {UPDATES}, true FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' \
         AND k.confrelid = hit.oid AND (hit.bits & {UPDATES}) <> 0 AND k.confupdtype IN ('c', 'n', 'd')) n) \
         SELECT DISTINCT t.tgname::text, CASE WHEN hit.oid <> pg_catalog.to_regclass({table})::oid \
         THEN hit.oid::regclass::text END FROM hit JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_trigger t \
         ON t.tgrelid = hit.oid WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgtype & CASE WHEN \
         (hit.bits & {UPDATES}) <> 0 AND (t.tgtype & {EACH_ROW}) <> 0 \
         AND (c.relkind = 'p' OR c.relispartition AND NOT hit.by_statement) THEN {EVERY} ELSE hit.bits END) <> 0 \
         AND (hit.by_statement OR (t.tgtype & {EACH_ROW}) <> 0 \
         AND coalesce(pg_catalog.to_jsonb(t) ->> 'tgparentid', '0') = '0') ORDER BY 2 NULLS FIRST, 1"
    ))?;
    if !found.is_empty() {
        report.warn("what a trigger does outside the transaction stays".to_owned());
    }
    for row in found {
        let mut texts = row.into_iter();
        let (name, other) = (texts.next().flatten(), texts.next().flatten());
        report.fires(other.as_deref().unwrap_or(&write.table), name);
    }
    Ok(())
}

/// Bits of `pg_trigger.tgtype`.
const EACH_ROW: u8 = 1;
const INSERTS: u8 = 4;
const DELETES: u8 = 8;
const UPDATES: u8 = 16;
const EVERY: u8 = INSERTS | DELETES | UPDATES;

/// Those for what a statement does.
fn bits(write: &OneTableWrite) -> u8 {
    match write.kind {
        "insert" if write.sql.to_ascii_lowercase().contains("conflict") => INSERTS | UPDATES,
        "insert" => INSERTS,
        "delete" => DELETES,
        "update" => UPDATES,
        // A MERGE may do all three.
        _ => EVERY,
    }
}
