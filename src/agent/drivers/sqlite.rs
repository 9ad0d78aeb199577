//! The SQLite driver: one connection a job, opened for what the job may do and closed after it.
//!
//! A read gets a connection that cannot write: the file is opened read-only, `query_only` is on, and each statement
//! is asked whether it only reads. A write gets one transaction around the whole plan. Neither can attach another
//! file, end the transaction, or change how the connection works: a compile-time authorizer refuses. Time limit and
//! cancellation are looked at by SQLite itself every few thousand steps of its virtual machine, so that no watcher
//! can come too early or too late.

mod describe;
mod explain;
mod fill;
mod limits;
mod migrate;
mod rehearse;
mod stop;
mod uncounted;

use super::rows::Results;
use super::{
    Cancel, Control, Driver, DriverJob, JobEffect, READ_ONLY, RunOutcome, StopReason, WhenFull,
    guard, migrations, over_bound, rehearsal,
};
use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use fill::{columns_of, fill};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use stop::EarlyStop;
use uncounted::refuse_replacing;

/// Steps of SQLite's virtual machine between two looks at the clock: well below a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 2000;
/// How long SQLite waits for a lock before we look at clock and cancellation, in milliseconds.
const LOCK_SLICE_MS: u64 = 50;

/// Pragmas that tell and do not change.
const PRAGMAS_TELLING: [&str; 16] = [
    "application_id",
    "collation_list",
    "compile_options",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// Reads a page.
const LOOK: &str = "SELECT 1 FROM sqlite_schema LIMIT 1";

pub struct Sqlite {
    path: PathBuf,
    read_only: bool,
}

impl Sqlite {
    /// The driver of the file at `path`.
    pub fn new(path: PathBuf, read_only: bool) -> Sqlite {
        Sqlite { path, read_only }
    }

    fn open(&self, write: bool) -> Result<Connection, EarlyStop> {
        let access = if write {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        } else {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        };
        // Without CREATE: a file that is not there is an error and not a new, empty database. Without URI: a path is
        // a path.
        let conn =
            Connection::open_with_flags(&self.path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(|e| match e.sqlite_error_code() {
                    Some(ErrorCode::CannotOpen) => EarlyStop::Failed(
                        "the database file is not there, or cannot be opened".into(),
                    ),
                    _ => EarlyStop::from(e),
                })?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
        // The analysis read double quotes as names: one that names nothing is an error and not a string.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        limits::apply(&conn, write)?;
        conn.busy_timeout(Duration::from_millis(LOCK_SLICE_MS))?;
        if !write {
            self.take_back(&conn)?;
            conn.pragma_update(None, "query_only", true)?;
        }
        Ok(conn)
    }

    /// Takes back what a writer left when it was killed: a connection that only reads may not, and reads nothing before.
    fn take_back(&self, reader: &Connection) -> Result<(), EarlyStop> {
        let is_left = |e: rusqlite::Error| e.sqlite_error_code() == Some(ErrorCode::ReadOnly);
        if !self.read_only && reader.execute_batch(LOOK).is_err_and(is_left) {
            self.open(true)?.execute_batch(LOOK)?;
        }
        Ok(())
    }
}

impl Driver for Sqlite {
    fn dialect(&self) -> &'static str {
        "sqlite"
    }

    fn describe(&self, cancel: &Cancel) -> Result<String, String> {
        describe::describe(self, cancel)
    }

    fn explain(&self, sql: &str, cancel: &Cancel) -> Result<String, String> {
        explain::explain(self, sql, cancel)
    }

    fn check(&self, _: &Cancel) -> Result<(), String> {
        let opened = self.open(false).and_then(|conn| {
            match conn.execute_batch(LOOK) {
                // Somebody writes: the database is there.
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
                done => Ok(done?),
            }
        });
        let watch = JobDeadline::new(0, &Cancel::new());
        opened.map_err(|stop| stop.described(&watch).0)
    }

    fn interrupt(&self, _: &str, _: bool, _: &Cancel) -> Result<(), String> {
        // A file has no sessions: what ends is the process.
        Ok(())
    }

    fn settle(&self, _: Option<&str>, _: &Cancel) -> JobEffect {
        // A file does not remember transactions.
        JobEffect::Unknown
    }

    fn rehearse(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome {
        if self.read_only {
            return RunOutcome::failed(READ_ONLY);
        }
        let plan = match rehearsal::read(job, Dialect::Sqlite) {
            Ok(plan) => plan,
            Err(message) => return RunOutcome::failed(message),
        };
        let watch = JobDeadline::of_job(job, control.cancel());
        match rehearse::rehearse(self, job, &plan, &watch, control) {
            Ok(json) => RunOutcome::Rehearsed { json },
            Err(stop) => stop.outcome(&watch),
        }
    }

    fn run(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome {
        let write = match job.operation {
            Operation::ExecuteSelect => false,
            operation if self.read_only && !operation.is_read() => {
                return RunOutcome::failed(READ_ONLY);
            }
            Operation::ExecuteDml => true,
            _ => {
                let watch = JobDeadline::of_job(job, control.cancel());
                let mut runner = migrate::SqliteMigrations {
                    driver: self,
                    watch: &watch,
                };
                return migrations::run(job, Dialect::Sqlite, &mut runner, control);
            }
        };
        if let Err(message) = guard::check(job, Dialect::Sqlite) {
            return RunOutcome::failed(message);
        }
        let watch = JobDeadline::of_job(job, control.cancel());
        let done = self.open(write).and_then(|mut conn| {
            if write {
                run_write(&mut conn, job, &watch, control)
            } else {
                run_read(&mut conn, job, &watch, control)
            }
        });
        done.unwrap_or_else(|stop| stop.outcome(&watch))
    }
}

/// When a job has to end.
#[derive(Clone)]
struct JobDeadline {
    deadline: Option<Instant>,
    timeout_secs: u64,
    /// Seconds to wait for somebody else's lock.
    lock_secs: u64,
    cancel: Cancel,
}

impl JobDeadline {
    fn new(timeout_secs: u64, cancel: &Cancel) -> JobDeadline {
        let deadline = match timeout_secs {
            0 => None,
            secs => Instant::now().checked_add(Duration::from_secs(secs)),
        };
        JobDeadline {
            deadline,
            timeout_secs,
            lock_secs: LOCK_SECS_DEFAULT,
            cancel: cancel.clone(),
        }
    }

    fn of_job(job: &DriverJob, cancel: &Cancel) -> JobDeadline {
        JobDeadline {
            lock_secs: job.lock_timeout_secs,
            ..JobDeadline::new(job.timeout_secs, cancel)
        }
    }

    fn over(&self) -> bool {
        self.cancel.asked().is_some() || self.late()
    }

    fn late(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// Why it was interrupted. What is late is asked to stop as well.
    fn why(&self) -> String {
        match self.cancel.asked() {
            Some(StopReason::Stopping) if self.late() => self.timed_out(),
            Some(reason) => reason.message().to_owned(),
            None => self.timed_out(),
        }
    }

    fn timed_out(&self) -> String {
        format!("statement timeout reached ({} s)", self.timeout_secs)
    }

    /// Makes SQLite look at this watch while it works on `conn`.
    fn attach(&self, conn: &mut Connection) -> Result<(), EarlyStop> {
        let watch = self.clone();
        conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || watch.over()))?;
        Ok(())
    }

    /// Runs `sql` of our own as soon as nobody else's lock is in the way.
    fn when_unlocked(&self, conn: &Connection, sql: &str) -> Result<(), EarlyStop> {
        self.unlocked(|| conn.execute_batch(sql))
    }

    /// Repeats `what` for as long as somebody else's lock is in its way.
    fn unlocked<T>(&self, mut what: impl FnMut() -> rusqlite::Result<T>) -> Result<T, EarlyStop> {
        let give_up = Instant::now() + Duration::from_secs(self.lock_secs);
        loop {
            match what() {
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    if self.over() {
                        return Err(EarlyStop::Interrupted);
                    }
                    if Instant::now() >= give_up {
                        return Err(EarlyStop::Failed(format!(
                            "the database was locked by somebody else for {} s",
                            self.lock_secs
                        )));
                    }
                }
                done => return Ok(done?),
            }
        }
    }
}

/// Every statement sees the database at one moment: all run in one read transaction, which is never committed.
fn run_read(
    conn: &mut Connection,
    job: &DriverJob,
    watch: &JobDeadline,
    control: &dyn Control,
) -> Result<RunOutcome, EarlyStop> {
    control.started(None, true).map_err(EarlyStop::Failed)?;
    watch.attach(conn)?;
    conn.execute_batch("BEGIN")?;
    watch.when_unlocked(conn, "SELECT 1 FROM sqlite_schema LIMIT 1")?;
    conn.authorizer(Some(authorize))?;
    let mut results = Results::of_any_type(job.rows_max(), job.bytes_max());
    for sql in &job.plan {
        if watch.over() {
            return Err(EarlyStop::Interrupted);
        }
        let mut statement = prepare(conn, sql)?;
        if !statement.readonly() && statement.is_explain() == 0 {
            return Err(EarlyStop::Failed(
                "the statement would write, and was approved as a read".into(),
            ));
        }
        if statement.column_count() == 0 {
            fill(&mut statement, None, WhenFull::ReadOn)?;
            continue;
        }
        if !results.begin(columns_of(&statement)) {
            break;
        }
        fill(&mut statement, results.last(), WhenFull::Stop)?;
    }
    Ok(RunOutcome::Rows {
        truncated: results.truncated(),
        json: results.finish(),
    })
}

/// All or nothing: the whole plan in one transaction.
fn run_write(
    conn: &mut Connection,
    job: &DriverJob,
    watch: &JobDeadline,
    control: &dyn Control,
) -> Result<RunOutcome, EarlyStop> {
    control
        .started(None, true)
        .map_err(|why| EarlyStop::Failed(format!("{why}; rolled back")))?;
    watch.attach(conn)?;
    watch.when_unlocked(conn, "BEGIN IMMEDIATE")?;
    conn.authorizer(Some(authorize))?;
    let mut results = Results::of_any_type(job.rows_max(), job.bytes_max());
    let changed = write_all(conn, job, &mut results, watch);
    // From here on nothing may interrupt, and COMMIT is ours to say.
    conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    conn.progress_handler(0, None::<fn() -> bool>)?;
    let rows = match changed {
        Ok(rows) => rows,
        Err(stop) => return Err(rolled_back(conn, stop, watch)),
    };
    if let Err(why) = control.committing(None, rows) {
        return Err(rolled_back(conn, EarlyStop::Failed(why), watch));
    }
    match watch.when_unlocked(conn, "COMMIT") {
        Ok(()) => Ok(RunOutcome::changed(rows, results)),
        Err(EarlyStop::Failed(text)) if conn.is_autocommit() => Ok(RunOutcome::failure(
            format!("commit failed: {text}; the statement may or may not have taken effect"),
            JobEffect::Unknown,
        )),
        Err(stop) => Err(rolled_back(conn, stop, watch)),
    }
}

fn write_all(
    conn: &Connection,
    job: &DriverJob,
    results: &mut Results,
    watch: &JobDeadline,
) -> Result<u64, EarlyStop> {
    if job.max_affected_rows.is_some() {
        refuse_replacing(conn, job.plan.iter().map(String::as_str))?;
    }
    let (mut changed, before) = (0_u64, conn.total_changes());
    for (n, sql) in job.plan.iter().enumerate() {
        if watch.over() {
            return Err(EarlyStop::Interrupted);
        }
        let rows = write_one(conn, sql, results).map_err(|stop| numbered(stop, n, job))?;
        changed = changed.saturating_add(rows);
        // What triggers and cascades change counts here, though it is not reported.
        let all = conn.total_changes().saturating_sub(before);
        if let Some(max) = job.max_affected_rows.filter(|max| all > *max) {
            return Err(EarlyStop::Failed(over_bound(all, max)));
        }
        if conn.is_autocommit() {
            return Err(EarlyStop::Failed(
                "the statement ended the transaction".into(),
            ));
        }
    }
    if watch.over() {
        return Err(EarlyStop::Interrupted);
    }
    Ok(changed)
}

/// Runs one statement and counts the rows that it changed itself; what triggers and foreign keys did besides is not
/// counted, unless they did all of it, as those of a view do. Only a statement that counts moves `total_changes`: after any
/// other, `changes` still tells of an earlier one. Rows that it returns go to `results`, as far as they fit.
fn write_one(conn: &Connection, sql: &str, results: &mut Results) -> Result<u64, EarlyStop> {
    let mut statement = prepare(conn, sql)?;
    let before = conn.total_changes();
    let rows = match statement.column_count() > 0 && results.begin(columns_of(&statement)) {
        true => results.last(),
        false => None,
    };
    // The change is complete only when the last row was fetched.
    fill(&mut statement, rows, WhenFull::ReadOn)?;
    drop(statement);
    let all = conn.total_changes().saturating_sub(before);
    Ok(match (all, conn.changes()) {
        (0, _) => 0,
        (all, 0) => all,
        (_, own) => own,
    })
}

/// A failure of statement `n` of the plan, named where there are several.
fn numbered(stop: EarlyStop, n: usize, job: &DriverJob) -> EarlyStop {
    match job.plan.len() {
        0 | 1 => stop,
        _ => stop.reworded(|text| format!("statement {}: {text}", n + 1)),
    }
}

fn rolled_back(conn: &Connection, stop: EarlyStop, watch: &JobDeadline) -> EarlyStop {
    let stop = match stop {
        EarlyStop::Interrupted => EarlyStop::Failed(watch.why()),
        stop => stop,
    };
    // Closing the connection rolls back as well, so a failure here changes nothing.
    if !conn.is_autocommit() && conn.execute_batch("ROLLBACK").is_err() {
        log::warn!("rolling back failed; closing the connection does it");
    }
    stop.reworded(|why| format!("{why}; rolled back"))
}

/// Exactly one statement, and one that is complete: SQLite would bind NULL to a parameter without a value.
fn prepare<'c>(conn: &'c Connection, sql: &str) -> Result<Statement<'c>, EarlyStop> {
    let statement = conn.prepare(sql)?;
    match statement.parameter_count() {
        0 => Ok(statement),
        _ => Err(EarlyStop::Failed(
            "the statement has a parameter, and there is no value for it".into(),
        )),
    }
}

/// What a statement of the plan may not do, whatever it was approved as. Asked while a statement is compiled.
fn authorize(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Unknown { .. } => Authorization::Deny,
        AuthAction::Function { function_name }
            if function_name.eq_ignore_ascii_case("load_extension") =>
        {
            Authorization::Deny
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let name = pragma_name.to_ascii_lowercase();
            let tells = PRAGMAS_TELLING.contains(&name.as_str());
            // These two tell without a value and change with one.
            let sets =
                pragma_value.is_some() && matches!(&*name, "application_id" | "user_version");
            match tells && !sets {
                true => Authorization::Allow,
                false => Authorization::Deny,
            }
        }
        _ => Authorization::Allow,
    }
}

#[cfg(test)]
mod tests;
