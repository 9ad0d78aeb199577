//! A rehearsal on MySQL or MariaDB: plain writes of tables that can roll back, without triggers and without keys that
//! pass a change on, counted and rolled back.

use super::bound::provable;
use super::flavor::MySqlFlavor;
use super::names::named;
use super::session::{MySqlDeadline, MySqlStop, Session};
use super::statement::numbered;
use super::transaction::{WriteProgress, rolled_back};
use super::{MySql, Write};
use crate::agent::drivers::lock_waits::{ASK_WITHIN_SECS, watched};
use crate::agent::drivers::rehearsal::{
    OneTableWrite, Report, SchemaExpression, TableRows, TakenDefaults, only_computing,
};
use crate::agent::drivers::rows::Results;
use crate::agent::drivers::{Control, DriverJob};
use crate::domain::dialect::Dialect;
use crate::domain::sql::unknown_calls;
use std::time::Duration;

/// Opens a refusal.
const NOT_REHEARSED: &str = "not rehearsed: ";
/// How a message of the database ends where a lock was not free in time.
const LOCK_NOT_FREE: &str = "(error 1205, SQLSTATE HY000)";

/// Runs the plan and takes it back; the report as JSON.
pub(super) fn rehearse(
    driver: &MySql,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &MySqlDeadline,
    control: &dyn Control,
) -> Result<String, MySqlStop> {
    let mut session = driver.open(watch, false)?;
    provable(&mut session, job, watch, NOT_REHEARSED)?;
    for write in plan {
        refuse_more_than_computing(&mut session, write, watch)?;
    }
    control
        .started(Some(&session.name()), true)
        .map_err(MySqlStop::Failed)?;
    let mut report = Report::default();
    let (id, kind) = (session.id.clone(), session.kind);
    let mut write = Write {
        session,
        progress: WriteProgress::new(Vec::new()),
        results: Results::new(0, 0),
    };
    let (ran, waits) = watched(
        || holders(driver, &id, kind, watch),
        || {
            let ran = run_all(driver, &mut write, job, plan, watch, &mut report)
                .and_then(|()| provable(&mut write.session, job, watch, NOT_REHEARSED));
            // Over a session that is gone the server rolls back by itself.
            let stays = rolled_back(&mut write.session, watch);
            ran.map(|()| stays)
        },
    );
    let stays = match ran {
        Err(MySqlStop::Failed(message)) if message.ends_with(LOCK_NOT_FREE) => {
            return Err(MySqlStop::Failed(waits.cut_off(watch.lock_secs)));
        }
        ran => ran?,
    };
    if stays != Some(false) {
        return Err(MySqlStop::Failed(
            "it is not certain that all of it was rolled back".to_owned(),
        ));
    }
    waits.note(&mut report);
    Ok(report.json())
}

/// A connection that asks who holds what the session waits for. Without the right to see other sessions it finds none.
fn holders(
    driver: &MySql,
    id: &str,
    kind: MySqlFlavor,
    watch: &MySqlDeadline,
) -> Option<impl FnMut() -> Option<Vec<String>> + use<>> {
    let id: u64 = id.parse().ok()?;
    let watch = MySqlDeadline::new(ASK_WITHIN_SECS, &watch.cancel);
    let within = Duration::from_secs(ASK_WITHIN_SECS);
    let mut session = driver.connect(&watch, Some(within)).ok()?;
    let waits = kind.lock_waits();
    let rows = format!(
        "SELECT CONCAT('session ', b.trx_mysql_thread_id, COALESCE(CONCAT(' of ', p.USER), ''), ', in its transaction for ', \
         TIMESTAMPDIFF(SECOND, b.trx_started, NOW()), ' s') FROM {waits} \
         LEFT JOIN information_schema.PROCESSLIST p ON p.ID = b.trx_mysql_thread_id WHERE r.trx_mysql_thread_id = {id}"
    );
    // Nobody names who holds the lock of a whole table.
    let question = format!(
        "{rows} UNION SELECT 'somebody who is not named' FROM information_schema.PROCESSLIST \
         WHERE ID = {id} AND STATE LIKE 'Waiting for % lock'"
    );
    Some(move || {
        let found = session.ask(&question, &watch).ok()?;
        Some(found.into_iter().flatten().flatten().collect())
    })
}

fn run_all(
    driver: &MySql,
    write: &mut Write,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &MySqlDeadline,
    report: &mut Report,
) -> Result<(), MySqlStop> {
    for (n, one) in plan.iter().enumerate() {
        if one.inserts() && counts_up(&mut write.session, &one.table, watch)? {
            report.advances_sequence(&one.table);
        }
        let before = write.progress.rows;
        driver
            .step(write, &one.sql, job.max_affected_rows, watch)
            .map_err(|stop| numbered(stop, n, job))?;
        if write.progress.has_committed() {
            return Err(MySqlStop::Failed(
                "the statement ended the transaction".to_owned(),
            ));
        }
        let rows = write.progress.rows;
        report.ran(one, rows - before, rows, &TableRows::new());
    }
    Ok(())
}

/// Refuses a write with which a function may run that is not known to do nothing but compute: by a default, a check or a
/// generated column. Neither server lets a stored function stand there; MariaDB lets those of a library.
fn refuse_more_than_computing(
    session: &mut Session,
    write: &OneTableWrite,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    if !session.kind.schema_may_call_libraries() || !write.writes_rows() {
        return Ok(());
    }
    let (schema, name) = named(&write.table);
    let of_table = format!("TABLE_SCHEMA = {schema} AND TABLE_NAME = {name}");
    let found = session.ask(
        &format!(
            "SELECT COLUMN_NAME, CONCAT('the default of `', COLUMN_NAME, '`'), COLUMN_DEFAULT \
             FROM information_schema.COLUMNS WHERE {of_table} AND COLUMN_DEFAULT IS NOT NULL \
             UNION ALL SELECT NULL, CONCAT('the column `', COLUMN_NAME, '`'), GENERATION_EXPRESSION \
             FROM information_schema.COLUMNS WHERE {of_table} AND GENERATION_EXPRESSION IS NOT NULL \
             UNION ALL SELECT NULL, CONCAT('the check `', CONSTRAINT_NAME, '`'), CHECK_CLAUSE \
             FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {schema} AND TABLE_NAME = {name}"
        ),
        watch,
    )?;
    let taken = |column: &Option<String>| match (&write.defaults, column) {
        (_, None) | (TakenDefaults::Any, _) => true,
        (TakenDefaults::None, _) => false,
        (TakenDefaults::AllBut(given), Some(name)) => !given.contains(&name.to_lowercase()),
    };
    let mut all = Vec::new();
    for row in found {
        let mut texts = row.into_iter();
        let mut next = || texts.next().flatten();
        let (column, what, text) = (next(), next().unwrap_or_default(), next());
        if taken(&column) {
            let text = text.unwrap_or_default();
            let calls = unknown_calls(&text, Dialect::MySql).into_iter().flatten();
            all.push(SchemaExpression {
                what,
                known: calls.filter(|name| session.kind.computes(name)).collect(),
                text,
            });
        }
    }
    only_computing(&all, Dialect::MySql).map_err(MySqlStop::Failed)
}

/// Whether a table numbers its rows by itself, or by a sequence.
fn counts_up(session: &mut Session, table: &str, watch: &MySqlDeadline) -> Result<bool, MySqlStop> {
    let (schema, name) = named(table);
    let found = session.ask(
        &format!(
            "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name} \
             AND (EXTRA LIKE '%auto_increment%' OR COLUMN_DEFAULT LIKE '%nextval(%') LIMIT 1"
        ),
        watch,
    )?;
    Ok(!found.is_empty())
}
