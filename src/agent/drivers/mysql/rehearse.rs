//! A rehearsal on MySQL or MariaDB: plain writes of tables that can roll back, without triggers and without keys that
//! pass a change on, counted and rolled back.

use super::bound::{named, provable};
use super::session::{MySqlDeadline, MySqlStop, Session};
use super::{MySql, NOT_ROLLED_BACK, Progress, numbered};
use crate::agent::drivers::rehearsal::{OneTableWrite, Report};
use crate::agent::drivers::{Control, DriverJob};

/// Runs the plan and takes it back; the report as JSON.
pub(super) fn rehearse(
    driver: &MySql,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &MySqlDeadline,
    control: &dyn Control,
) -> Result<String, MySqlStop> {
    let mut session = driver.open(watch, false)?;
    provable(&mut session, job, watch, "not rehearsed: ")?;
    control
        .started(Some(&session.id), true)
        .map_err(MySqlStop::Failed)?;
    let mut report = Report::default();
    let ran = run_all(driver, &mut session, job, plan, watch, &mut report);
    // Over a session that is gone the server rolls back by itself.
    session.own("ROLLBACK", watch)?;
    let warnings = session.ask("SHOW WARNINGS", watch)?;
    ran?;
    let stays =
        |row: &Vec<Option<String>>| row.get(1).and_then(Option::as_deref) == Some(NOT_ROLLED_BACK);
    if warnings.iter().any(stays) {
        return Err(MySqlStop::Failed(
            "a table could not roll back all of it".to_owned(),
        ));
    }
    Ok(report.json())
}

fn run_all(
    driver: &MySql,
    session: &mut Session,
    job: &DriverJob,
    plan: &[OneTableWrite],
    watch: &MySqlDeadline,
    report: &mut Report,
) -> Result<(), MySqlStop> {
    let mut progress = Progress::default();
    for (n, write) in plan.iter().enumerate() {
        if write.inserts() && counts_up(session, &write.table, watch)? {
            report.advances_sequence(&write.table);
        }
        let before = progress.rows;
        driver
            .step(session, &write.sql, job, watch, &mut progress)
            .map_err(|stop| numbered(stop, n, job))?;
        if session.in_transaction(watch) == Some(false) {
            return Err(MySqlStop::Failed(
                "the statement ended the transaction".to_owned(),
            ));
        }
        report.ran(write, progress.rows - before, progress.rows);
    }
    Ok(())
}

/// Whether a table numbers its rows by itself.
fn counts_up(session: &mut Session, table: &str, watch: &MySqlDeadline) -> Result<bool, MySqlStop> {
    let (schema, name) = named(table);
    let found = session.ask(
        &format!(
            "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name} \
             AND EXTRA LIKE '%auto_increment%' LIMIT 1"
        ),
        watch,
    )?;
    Ok(!found.is_empty())
}
