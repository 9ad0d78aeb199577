//! MySQL and MariaDB.
//!
//! A fresh connection for each job, which ends with it. Statements are sent as text, since only then the server writes
//! every value itself; each was prepared before, since only then the server refuses a second statement. A read runs in
//! a session whose every transaction is read-only. A write is one transaction as far as these databases let it: what
//! commits by itself (DDL) and tables that cannot roll back (MyISAM) are named in the outcome.

mod bound;
mod describe;
mod explain;
mod migrate;
mod rehearse;
mod session;
mod values;

use super::rows::{Cell, Results};
use super::{
    Cancel, Control, Driver, DriverJob, JobEffect, READ_ONLY, RunOutcome, guard, migrations,
    rehearsal,
};
use crate::agent::config::{DatabaseEndpoint, Tls};
use crate::domain::dialect::Dialect;
use ::mysql::consts::CapabilityFlags;
use ::mysql::prelude::Queryable;
use ::mysql::{Conn, Error, OptsBuilder, SslOpts, Value};
use session::{MySqlDeadline, MySqlStop, Session};
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a question of our own waits for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Quiet milliseconds after which the system asks whether the other end is still there.
const KEEPALIVE_MS: u32 = 30_000;
/// Seconds that a connection may stand idle: between two statements of ours pass microseconds.
const IDLE_SECS_MAX: u64 = 120;
/// Number of the error about what cannot be prepared; the text was read whole before it comes.
const NOT_PREPARABLE: u16 = 1295;
/// Number of the warning that something could not be rolled back.
const NOT_ROLLED_BACK: &str = "1196";
/// First words of statements that never commit by themselves.
const NEVER_COMMIT: [&str; 14] = [
    "INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH", "VALUES", "TABLE", "SHOW",
    "EXPLAIN", "DESCRIBE", "DESC", "SET", "LOAD",
];

/// A database on a MySQL or MariaDB server.
pub struct MySql {
    endpoint: DatabaseEndpoint,
}

impl MySql {
    /// The driver of the database at `endpoint`.
    pub fn new(endpoint: DatabaseEndpoint) -> MySql {
        MySql { endpoint }
    }

    fn connect(
        &self,
        watch: &MySqlDeadline,
        answer_within: Option<Duration>,
    ) -> Result<Session, MySqlStop> {
        let at = &self.endpoint;
        let password = match &at.password {
            None => None,
            Some(password) => Some(String::from_utf8(password.0.clone()).map_err(|_| {
                MySqlStop::Failed(
                    "the password is not UTF-8, which MySQL's driver needs".to_owned(),
                )
            })?),
        };
        let tls = match at.tls {
            Tls::Off => None,
            Tls::Require => Some(SslOpts::default().with_danger_accept_invalid_certs(true)),
            Tls::VerifyFull => Some(SslOpts::default().with_root_cert_path(at.ca_file.clone())),
        };
        let mut options = OptsBuilder::new()
            .user(Some(at.user.clone()))
            .pass(password)
            .db_name(Some(at.database.clone()))
            .prefer_socket(false)
            .tcp_connect_timeout(Some(CONNECT_WITHIN))
            .tcp_keepalive_time_ms(Some(KEEPALIVE_MS))
            .read_timeout(answer_within)
            .write_timeout(Some(ANSWER_WITHIN))
            .stmt_cache_size(Some(0_usize))
            // Rows that an UPDATE finds count, whether it changes them or not: as everywhere else.
            .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS);
        options = match at.host.starts_with('/') {
            true => options.socket(Some(at.host.clone())),
            false => options
                .ip_or_hostname(Some(at.host.clone()))
                .tcp_port(at.port)
                .ssl_opts(tls),
        };
        let mut conn = Conn::new(options).map_err(|e| watch.stop(e))?;
        let first: Option<(String, String)> = conn
            .query_first("SELECT VERSION(), CAST(CONNECTION_ID() AS CHAR)")
            .map_err(|e| watch.stop(e))?;
        let (version, id) = first.unwrap_or_default();
        Ok(Session {
            conn,
            id,
            mariadb: version.to_ascii_lowercase().contains("mariadb"),
        })
    }

    /// A session with everything that holds in it.
    fn open(&self, watch: &MySqlDeadline, read: bool) -> Result<Session, MySqlStop> {
        let mut session = self.connect(watch, None)?;
        let lock_secs = watch.lock_secs;
        session.read_as_analysed(watch)?;
        session.own(
            &format!(
                "SET SESSION autocommit = 0, SESSION innodb_lock_wait_timeout = {lock_secs}, \
                 SESSION lock_wait_timeout = {lock_secs}, SESSION wait_timeout = {IDLE_SECS_MAX}"
            ),
            watch,
        )?;
        if read {
            session.own("SET SESSION TRANSACTION READ ONLY", watch)?;
            session.own("START TRANSACTION READ ONLY", watch)?;
        }
        Ok(session)
    }

    fn limit_time(&self, session: &mut Session, watch: &MySqlDeadline) -> Result<(), MySqlStop> {
        let Some(left) = watch.left() else {
            return Ok(());
        };
        let sql = match session.mariadb {
            true => format!("SET SESSION max_statement_time = {:.3}", left.as_secs_f64()),
            // Reads only; for everything else the agent's own limit holds.
            false => format!("SET SESSION max_execution_time = {}", left.as_millis()),
        };
        session.own(&sql, watch)
    }

    fn read(
        &self,
        job: &DriverJob,
        watch: &MySqlDeadline,
        control: &dyn Control,
    ) -> Result<RunOutcome, MySqlStop> {
        let mut session = self.open(watch, true)?;
        control
            .started(Some(&session.id), true)
            .map_err(MySqlStop::Failed)?;
        let mut results = Results::new(job.rows_max(), job.bytes_max());
        for (n, sql) in job.plan.iter().enumerate() {
            watch.look()?;
            self.limit_time(&mut session, watch)?;
            let done = one_statement(&mut session, sql, watch)
                .and_then(|()| query(&mut session, sql, Some(&mut results), watch));
            match done.map_err(|stop| numbered(stop, n, job))? {
                Ran::Enough => {
                    // Closing it in good order would read everything that is left; it ends with this process.
                    std::mem::forget(session.conn);
                    return Ok(rows(results));
                }
                Ran::Changed(_) => {}
            }
            if session.in_transaction(watch) == Some(false) {
                return Err(MySqlStop::Failed(
                    "the statement ended the transaction".to_owned(),
                ));
            }
        }
        Ok(rows(results))
    }

    fn write(
        &self,
        job: &DriverJob,
        watch: &MySqlDeadline,
        control: &dyn Control,
    ) -> Result<RunOutcome, MySqlStop> {
        let mut session = self.open(watch, false)?;
        if job.max_affected_rows.is_some() {
            bound::provable(&mut session, job, watch, bound::APPROVED)?;
        }
        let atomic = !job.plan.iter().any(|sql| commits(sql));
        control
            .started(Some(&session.id), atomic)
            .map_err(MySqlStop::Failed)?;
        let mut progress = Progress::default();
        for (n, sql) in job.plan.iter().enumerate() {
            let commits = commits(sql);
            if let Err(stop) = self.step(&mut session, sql, job, watch, &mut progress) {
                if commits && n > 0 {
                    // It committed what came before, unless the server says that the transaction is still open.
                    let open = session.in_transaction(watch).unwrap_or(false);
                    progress.committed = if open { progress.committed } else { n };
                }
                return Ok(undone(
                    &mut session,
                    numbered(stop, n, job),
                    watch,
                    &progress,
                ));
            }
            if commits {
                progress.committed = n + 1;
            }
        }
        if let Err(why) = watch
            .look()
            .map_err(|stop| watch.why(stop))
            .and_then(|()| control.committing(None, progress.rows))
        {
            return Ok(undone(
                &mut session,
                MySqlStop::Failed(why),
                watch,
                &progress,
            ));
        }
        match session.conn.query_drop("COMMIT") {
            Ok(()) => Ok(RunOutcome::Changed {
                rows: progress.rows,
            }),
            Err(Error::MySqlError(e)) => {
                let stop = watch.stop(Error::MySqlError(e));
                Ok(undone(&mut session, stop, watch, &progress))
            }
            Err(e) => Ok(RunOutcome::failure(
                format!(
                    "{} while committing; it may or may not have taken effect",
                    watch.why(watch.stop(e))
                ),
                JobEffect::Unknown,
            )),
        }
    }

    fn step(
        &self,
        session: &mut Session,
        sql: &str,
        job: &DriverJob,
        watch: &MySqlDeadline,
        progress: &mut Progress,
    ) -> Result<(), MySqlStop> {
        watch.look()?;
        self.limit_time(session, watch)?;
        one_statement(session, sql, watch)?;
        if let Ran::Changed(rows) = query(session, sql, None, watch)? {
            progress.rows = progress.rows.saturating_add(rows);
        }
        match job.max_affected_rows {
            Some(max) if progress.rows > max => {
                Err(MySqlStop::Failed(super::over_bound(progress.rows, max)))
            }
            _ => Ok(()),
        }
    }
}

/// Whether `sql` may commit by itself.
fn commits(sql: &str) -> bool {
    !NEVER_COMMIT.contains(&guard::leading_words(sql, Dialect::MySql).0.as_str())
}

/// How far a write has come.
#[derive(Default)]
struct Progress {
    rows: u64,
    /// Statements at the beginning of the plan that are committed already.
    committed: usize,
}

/// How a statement ended.
enum Ran {
    /// It changed so many rows.
    Changed(u64),
    /// The result is full; the connection is of no more use.
    Enough,
}

fn rows(results: Results) -> RunOutcome {
    RunOutcome::Rows {
        truncated: results.truncated(),
        json: results.finish(),
    }
}

fn numbered(stop: MySqlStop, n: usize, job: &DriverJob) -> MySqlStop {
    match stop {
        MySqlStop::Failed(message) if job.plan.len() > 1 => {
            MySqlStop::Failed(format!("statement {}: {message}", n + 1))
        }
        stop => stop,
    }
}

/// Has the server read `sql`: it refuses a second statement here, and only here.
fn one_statement(session: &mut Session, sql: &str, watch: &MySqlDeadline) -> Result<(), MySqlStop> {
    match session.conn.prep(sql) {
        Ok(statement) => {
            let parameters = statement.num_params();
            session.conn.close(statement).map_err(|e| watch.stop(e))?;
            match parameters {
                0 => Ok(()),
                _ => Err(MySqlStop::Failed(
                    "the statement has a parameter, and there is no value for it".to_owned(),
                )),
            }
        }
        Err(Error::MySqlError(e)) if e.code == NOT_PREPARABLE => Ok(()),
        Err(e) => Err(watch.stop(e)),
    }
}

/// Runs `sql`; its rows go to `results`, or are read and dropped.
fn query(
    session: &mut Session,
    sql: &str,
    mut results: Option<&mut Results>,
    watch: &MySqlDeadline,
) -> Result<Ran, MySqlStop> {
    let mut found = session.conn.query_iter(sql).map_err(|e| watch.stop(e))?;
    let (mut changed, mut enough) = (0_u64, false);
    while let Some(mut set) = found.iter() {
        let columns = set.columns().as_ref().to_vec();
        // Known only until it is read to its end.
        let affected = set.affected_rows();
        let mut into = None;
        if let (Some(results), false) = (results.as_deref_mut(), columns.is_empty()) {
            let named = columns
                .iter()
                .map(|c| (c.name_str().into_owned(), Some(values::type_name(c))));
            if results.begin(named.collect()) {
                into = results.last();
            }
        }
        let mut full = false;
        for row in set.by_ref() {
            let row = row.map_err(|e| watch.stop(e))?;
            let Some(rows) = into.as_deref_mut() else {
                continue;
            };
            let mut room = vec![String::new(); columns.len()];
            let cells: Vec<Cell<'_>> = columns
                .iter()
                .zip(&mut room)
                .enumerate()
                .map(|(n, (column, room))| match row.as_ref(n) {
                    Some(Value::Bytes(bytes)) => values::cell(column, bytes, room),
                    _ => Cell::Null,
                })
                .collect();
            if !rows.push(|n| cells.get(n).copied().unwrap_or(Cell::Null)) {
                full = true;
                break;
            }
        }
        if full {
            // Dropping either would read all that is left.
            std::mem::forget(set);
            enough = true;
            break;
        }
        if columns.is_empty() {
            changed = changed.saturating_add(affected);
        }
    }
    if enough {
        std::mem::forget(found);
        return Ok(Ran::Enough);
    }
    Ok(Ran::Changed(changed))
}

/// Rolls back, and says what that could not undo.
fn undone(
    session: &mut Session,
    stop: MySqlStop,
    watch: &MySqlDeadline,
    progress: &Progress,
) -> RunOutcome {
    let why = watch.why(stop);
    // Over a session that is gone the server rolls back by itself.
    let rolled_back = session.conn.query_drop("ROLLBACK").is_ok();
    let warnings = match rolled_back {
        true => session.ask("SHOW WARNINGS", watch).unwrap_or_default(),
        false => Vec::new(),
    };
    let stays = warnings
        .iter()
        .any(|row| row.get(1).and_then(Option::as_deref) == Some(NOT_ROLLED_BACK));
    match (progress.committed, stays) {
        (0, false) => RunOutcome::failed(format!("{why}; rolled back")),
        (0, true) => RunOutcome::failure(
            format!(
                "{why}; rolled back, but for changes to tables that cannot roll back (MyISAM and the like)"
            ),
            JobEffect::Partial,
        ),
        (1, _) => RunOutcome::failure(
            format!(
                "{why}; statement 1 of the plan stays, since this database commits DDL at once"
            ),
            JobEffect::Partial,
        ),
        (n, _) => RunOutcome::failure(
            format!(
                "{why}; statements 1 to {n} of the plan stay, since this database commits DDL at once"
            ),
            JobEffect::Partial,
        ),
    }
}

impl Driver for MySql {
    fn dialect(&self) -> &'static str {
        Dialect::MySql.as_str()
    }

    fn run(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome {
        if self.endpoint.read_only && !job.operation.is_read() {
            return RunOutcome::failed(READ_ONLY);
        }
        if !job.operation.is_execute() {
            let watch =
                MySqlDeadline::of_job(job, self.endpoint.lock_timeout_secs, control.cancel());
            let mut runner = migrate::MySqlMigrations {
                driver: self,
                watch: &watch,
            };
            return migrations::run(job, Dialect::MySql, &mut runner, control);
        }
        if let Err(message) = guard::check(job, Dialect::MySql) {
            return RunOutcome::failed(message);
        }
        let watch = MySqlDeadline::of_job(job, self.endpoint.lock_timeout_secs, control.cancel());
        let read = job.operation.is_read();
        let done = match read {
            true => self.read(job, &watch, control),
            false => self.write(job, &watch, control),
        };
        let outcome = done.unwrap_or_else(|stop| {
            let message = watch.why(stop);
            RunOutcome::failed(match read {
                true => message,
                false => format!("{message}; rolled back"),
            })
        });
        outcome.with_detail(watch.quoted())
    }

    fn rehearse(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome {
        if self.endpoint.read_only {
            return RunOutcome::failed(READ_ONLY);
        }
        let watch = MySqlDeadline::of_job(job, self.endpoint.lock_timeout_secs, control.cancel());
        let done = rehearsal::read(job, Dialect::MySql)
            .map_err(MySqlStop::Failed)
            .and_then(|plan| rehearse::rehearse(self, job, &plan, &watch, control));
        match done {
            Ok(json) => RunOutcome::Rehearsed { json },
            Err(stop) => RunOutcome::failed(watch.why(stop)),
        }
    }

    fn describe(&self, cancel: &Cancel) -> Result<String, String> {
        describe::describe(self, cancel)
    }

    fn explain(&self, sql: &str, cancel: &Cancel) -> Result<String, String> {
        explain::explain(self, sql, cancel)
    }

    fn check(&self, cancel: &Cancel) -> Result<(), String> {
        let watch = MySqlDeadline::new(ANSWER_WITHIN.as_secs(), cancel);
        let opened = self.connect(&watch, Some(ANSWER_WITHIN));
        opened.map(|_| ()).map_err(|stop| watch.why(stop))
    }

    fn interrupt(&self, session: &str, hard: bool, cancel: &Cancel) -> Result<(), String> {
        let id: u64 = session.parse().map_err(|_| "not a session".to_owned())?;
        let watch = MySqlDeadline::new(ANSWER_WITHIN.as_secs(), cancel);
        let kill = if hard { "KILL" } else { "KILL QUERY" };
        let mut own = self
            .connect(&watch, Some(CONNECT_WITHIN))
            .map_err(|stop| watch.why(stop))?;
        match own.conn.query_drop(format!("{kill} {id}")) {
            Ok(()) => Ok(()),
            // It has ended by itself.
            Err(Error::MySqlError(e)) if e.code == 1094 => Ok(()),
            Err(e) => Err(watch.why(watch.stop(e))),
        }
    }

    fn settle(&self, _: Option<&str>, _: &Cancel) -> JobEffect {
        // These databases keep no record of a transaction that anybody could ask for.
        JobEffect::Unknown
    }
}
