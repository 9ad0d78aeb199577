//! MySQL and MariaDB.
//!
//! A fresh connection for each job, which ends with it. Statements are sent as text, since only then the server writes
//! every value itself; each was prepared before, since only then the server refuses a second statement. A read runs in
//! a session whose every transaction is read-only. A write is one transaction as far as these databases let it: what
//! was committed on the way (`transaction`) and tables that cannot roll back (MyISAM) are named in the outcome.

mod bound;
mod calls;
mod describe;
mod explain;
mod flavor;
mod grants;
mod migrate;
mod names;
mod plan;
mod rehearse;
mod scrub;
mod session;
mod statement;
mod tables;
mod tls;
mod transaction;
mod values;
mod views;

use super::rows::Results;
use super::{
    Cancel, Control, Driver, DriverJob, JobEffect, READ_ONLY, RunOutcome, WhenFull, guard,
    migrations, rehearsal,
};
use crate::agent::config::DatabaseEndpoint;
use crate::domain::dialect::Dialect;
use ::mysql::consts::CapabilityFlags;
use ::mysql::prelude::Queryable;
use ::mysql::{Conn, Error, OptsBuilder};
use flavor::MySqlFlavor;
use session::{MySqlDeadline, MySqlStop, Session};
use statement::{Ran, numbered, one_statement, query};
use std::collections::BTreeSet;
use std::time::Duration;
use transaction::WriteProgress;

/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Errors of COMMIT that say that nothing was committed: a conflict with other transactions of a cluster (1213, 3101), a
/// server that has become read-only meanwhile, as at a switch-over (1290), and a transaction that may not write (1792).
const REFUSES_COMMIT: [u16; 4] = [1213, 1290, 1792, 3101];
/// How long a question of our own waits for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Quiet milliseconds after which the system asks whether the other end is still there.
const KEEPALIVE_MS: u32 = 30_000;
/// Seconds that a connection may stand idle: between two statements of ours pass microseconds.
const IDLE_SECS_MAX: u64 = 120;
/// The savepoint that proves that a read has not ended its transaction.
const READING: &str = "dbward_read";

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
        let tls = tls::options(at).map_err(MySqlStop::Failed)?;
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
            since: None,
            used: false,
            of_libraries: BTreeSet::new(),
            kind: MySqlFlavor::of_version(&version),
        })
    }

    /// A session with everything that holds in it.
    fn open(&self, watch: &MySqlDeadline, read: bool) -> Result<Session, MySqlStop> {
        let mut session = self.connect(watch, None)?;
        if !read {
            session.since = session.server_start();
        }
        let lock_secs = watch.lock_secs;
        session.read_as_analysed(watch)?;
        if !read {
            session.of_libraries = calls::of_libraries(&mut session, watch)?;
        }
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

    /// Renews the limits of a session, in which a statement may have changed them; a shorter wait for locks stays. Refuses
    /// one that reads text otherwise by now.
    fn limit_time(&self, session: &mut Session, watch: &MySqlDeadline) -> Result<(), MySqlStop> {
        session.still_reads_as_analysed(watch)?;
        let lock_secs = watch.lock_secs;
        let locks = format!(
            "SET SESSION lock_wait_timeout = LEAST(@@SESSION.lock_wait_timeout, {lock_secs}), \
             SESSION innodb_lock_wait_timeout = LEAST(@@SESSION.innodb_lock_wait_timeout, {lock_secs})"
        );
        let sql = match watch.left() {
            Some(left) => format!("{locks}, {}", session.kind.limits_time(left)),
            None => locks,
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
            .started(Some(&session.name()), true)
            .map_err(MySqlStop::Failed)?;
        let mut results = Results::new(job.rows_max(), job.bytes_max());
        for (n, sql) in job.plan.iter().enumerate() {
            watch.look()?;
            self.limit_time(&mut session, watch)?;
            transaction::set_savepoint(&mut session, READING, watch)?;
            let done = one_statement(&mut session, sql, watch)
                .and_then(|()| query(&mut session, sql, &mut results, WhenFull::Stop, watch));
            match done.map_err(|stop| numbered(stop, n, job))? {
                Ran::Enough => {
                    // Closing it in good order would read everything that is left; it ends with this process.
                    std::mem::forget(session.conn);
                    return Ok(rows(results));
                }
                Ran::Changed(_) => {}
            }
            if transaction::is_there(&mut session, READING) != Some(true) {
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
        let revocable = tables::revocable(&mut session, &job.plan, watch)?;
        let atomic = revocable.iter().all(|one| *one);
        control
            .started(Some(&session.name()), atomic)
            .map_err(MySqlStop::Failed)?;
        let mut write = Write {
            session,
            progress: WriteProgress::new(revocable),
            results: Results::new(job.rows_max(), job.bytes_max()),
        };
        for (n, sql) in job.plan.iter().enumerate() {
            if let Err(stop) = self.step(&mut write, sql, job.max_affected_rows, watch) {
                return Ok(write.undone(numbered(stop, n, job), watch));
            }
        }
        // What was made meanwhile was not counted; from here on the locks of the transaction keep it as it is.
        if job.max_affected_rows.is_some()
            && let Err(stop) =
                bound::provable(&mut write.session, job, watch, bound::APPROVED_AND_RUN)
        {
            return Ok(write.undone(stop, watch));
        }
        if let Err(why) = watch
            .look()
            .map_err(|stop| watch.why(stop))
            .and_then(|()| control.committing(None, write.progress.rows))
        {
            return Ok(write.undone(MySqlStop::Failed(why), watch));
        }
        match write.session.conn.query_drop("COMMIT") {
            Ok(()) => Ok(write.done()),
            Err(e) if refuses_commit(&e) => {
                let stop = watch.stop(e);
                Ok(write.undone(stop, watch))
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

    /// Runs a statement of a write; more than `rows_max` rows are a failure.
    fn step(
        &self,
        write: &mut Write,
        sql: &str,
        rows_max: Option<u64>,
        watch: &MySqlDeadline,
    ) -> Result<(), MySqlStop> {
        let Write {
            session,
            progress,
            results,
        } = write;
        watch.look()?;
        progress.begin(session, sql, watch)?;
        let ran = self
            .limit_time(session, watch)
            .and_then(|()| one_statement(session, sql, watch))
            .and_then(|()| query(session, sql, results, WhenFull::ReadOn, watch));
        if let Ok(Ran::Changed(rows)) = &ran {
            progress.rows = progress.rows.saturating_add(*rows);
        }
        let ended = progress.end(session, sql, ran.is_ok(), watch);
        ran.and(ended)?;
        match rows_max {
            Some(max) if progress.rows > max => {
                Err(MySqlStop::Failed(super::over_bound(progress.rows, max)))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the answer to a COMMIT says that nothing was committed. Other errors may come after it has taken effect, such
/// as one of a replica that did not answer in time.
fn refuses_commit(error: &Error) -> bool {
    matches!(error, Error::MySqlError(e) if REFUSES_COMMIT.contains(&e.code))
}

/// A write under way.
struct Write {
    session: Session,
    progress: WriteProgress,
    results: Results,
}

impl Write {
    /// What a write has come to whose commit worked.
    fn done(self) -> RunOutcome {
        RunOutcome::changed(self.progress.rows, self.results)
    }

    /// What it has come to where it is to end: everything is rolled back that can be.
    fn undone(mut self, stop: MySqlStop, watch: &MySqlDeadline) -> RunOutcome {
        self.progress.undone(&mut self.session, stop, watch)
    }
}

fn rows(results: Results) -> RunOutcome {
    RunOutcome::Rows {
        truncated: results.truncated(),
        json: results.finish(),
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
        let (id, since) = match session.split_once('@') {
            Some((id, since)) => (id, Some(since)),
            None => (session, None),
        };
        let id: u64 = id.parse().map_err(|_| "not a session".to_owned())?;
        let watch = MySqlDeadline::new(ANSWER_WITHIN.as_secs(), cancel);
        let kill = if hard { "KILL" } else { "KILL QUERY" };
        let mut own = self
            .connect(&watch, Some(CONNECT_WITHIN))
            .map_err(|stop| watch.why(stop))?;
        // A server that was started again gives the number to somebody else.
        if let Some(since) = since {
            match own.server_start() {
                Some(start) if start == since => {}
                Some(_) => return Ok(()),
                None => return Err("the database does not answer since when it runs".to_owned()),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use ::mysql::MySqlError;
    use std::io;

    /// MariaDB alone can be made to give the second of them.
    #[test]
    fn a_commit_is_refused_only_where_the_error_says_so() {
        let error = |code| {
            Error::MySqlError(MySqlError {
                state: "HY000".to_owned(),
                message: "no".to_owned(),
                code,
            })
        };
        for (code, refused) in [
            (1213, true),
            (1290, true),
            (1792, true),
            (3101, true),
            // A failure while committing, a time limit, a session that was killed.
            (1180, false),
            (1317, false),
            (1927, false),
            (1969, false),
            (3024, false),
        ] {
            assert_eq!(refuses_commit(&error(code)), refused, "{code}");
        }
        let gone = Error::IoError(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(!refuses_commit(&gone));
    }
}
