//! PostgreSQL.
//!
//! A fresh connection for each job, and nothing prepared by name, so that it works through a pooler that gives a
//! connection for one transaction only. A read runs in a read-only transaction whose snapshot is taken before the
//! first statement, after which PostgreSQL lets nobody make it writable; it is always rolled back. A write is one
//! transaction; before COMMIT its id is noted, so that the database can say later what became of it.

mod alone;
mod called;
mod counted;
mod describe;
mod explain;
mod migrate;
mod refusal;
mod rehearse;
mod session;
mod statement;
mod tls;
mod values;
mod watch;
mod wire;

use super::rows::Results;
use super::{
    Cancel, Control, Driver, DriverJob, JobEffect, READ_ONLY, RETURNED, RunOutcome, WhenFull,
    guard, migrations, rehearsal,
};
use crate::agent::config::DatabaseEndpoint;
use crate::domain::dialect::Dialect;
use crate::domain::sql::table_parts;
use counted::{RowCounter, change_counted, uncounted};
use session::{LEAVE_NOTHING, abandon, renew_limits};
use statement::{EMPTY, query};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use watch::{PgDeadline, PgStop};
use wire::{End, Fault, PgConnection};

/// How long the database is asked what became of a commit.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// Pause between two questions.
const SETTLE_EVERY: Duration = Duration::from_millis(500);
/// How long a cancellation may take.
const INTERRUPT_WITHIN: Duration = Duration::from_secs(5);
/// Ends the mark of a transaction that has changed rows of foreign tables.
const FOREIGN: &str = "+foreign";

/// A database on a PostgreSQL server.
pub struct Postgres {
    endpoint: DatabaseEndpoint,
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Postgres {
    /// The driver of the database at `endpoint`.
    pub fn new(endpoint: DatabaseEndpoint) -> Postgres {
        Postgres { endpoint }
    }

    fn connect(&self, watch: &PgDeadline) -> Result<PgConnection, PgStop> {
        Ok(PgConnection::open(
            &self.endpoint,
            watch.deadline,
            &watch.cancel,
        )?)
    }

    fn read(
        &self,
        job: &DriverJob,
        watch: &PgDeadline,
        control: &dyn Control,
    ) -> Result<RunOutcome, PgStop> {
        let mut conn = self.connect(watch)?;
        let session = self.begin(
            &mut conn,
            "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            watch,
        )?;
        called::refuse_calls_as_columns(&mut conn, &job.plan)?;
        control
            .started(Some(&session), true)
            .map_err(PgStop::Failed)?;
        let mut results = Results::new(job.rows_max(), job.bytes_max());
        for (n, sql) in job.plan.iter().enumerate() {
            watch.look()?;
            if n > 0 {
                renew_limits(&mut conn, watch)?;
            }
            let end = query(&mut conn, sql, &mut results, WhenFull::Stop);
            match end.map_err(|stop| numbered(stop, n, job))? {
                // A closed connection is a transaction rolled back.
                End::Enough => break,
                End::Empty => return Err(PgStop::Failed(EMPTY.to_owned())),
                End::Done(_) if conn.status != b'T' => {
                    return Err(PgStop::Failed(ENDED.to_owned()));
                }
                End::Done(_) => {}
            }
        }
        Ok(RunOutcome::Rows {
            truncated: results.truncated(),
            json: results.finish(),
        })
    }

    fn write(
        &self,
        job: &DriverJob,
        watch: &PgDeadline,
        control: &dyn Control,
    ) -> Result<RunOutcome, PgStop> {
        let mut conn = self.connect(watch)?;
        let session = self.begin(&mut conn, "", watch)?;
        called::refuse_calls_as_columns(&mut conn, &job.plan)?;
        control
            .started(Some(&session), true)
            .map_err(PgStop::Failed)?;
        let mut results = Results::new(job.rows_max(), job.bytes_max());
        let written = self.write_all(&mut conn, job, &mut results, watch);
        let rows = match written {
            Ok(rows) => rows,
            Err(PgStop::Refused(refusal))
                if refusal.is_of_a_transaction()
                    && job.plan.len() == 1
                    && alone::needs_no_transaction(&job.plan[0]) =>
            {
                abandon(conn);
                return alone::write(self, job, watch, control);
            }
            Err(stop) => {
                abandon(conn);
                return Err(stop);
            }
        };
        let mark = self.mark(&mut conn, !results.is_empty())?;
        // A pooler gives the session to somebody else after COMMIT.
        conn.own(LEAVE_NOTHING)?;
        watch.look()?;
        control
            .committing(mark.as_deref(), rows)
            .map_err(PgStop::Failed)?;
        match conn.commit() {
            Ok(()) => Ok(RunOutcome::changed(rows, results)),
            // The database says that it did not commit.
            Err(Fault::Refused(refusal)) => Err(PgStop::Refused(refusal)),
            Err(fault) => {
                drop(conn);
                let (why, _) = watch.why(fault.into());
                Ok(match self.settled(mark.as_deref(), &Cancel::new()) {
                    JobEffect::Committed => RunOutcome::changed(rows, results),
                    JobEffect::RolledBack => RunOutcome::failed(format!("{why}; rolled back")),
                    effect => RunOutcome::failure(
                        format!("{why} while committing; it may or may not have taken effect"),
                        effect,
                    ),
                })
            }
        }
    }

    fn write_all(
        &self,
        conn: &mut PgConnection,
        job: &DriverJob,
        results: &mut Results,
        watch: &PgDeadline,
    ) -> Result<u64, PgStop> {
        let mut changed = 0_u64;
        let counter = match job.max_affected_rows {
            Some(_) => Some(RowCounter::begin(conn)?),
            None => None,
        };
        for (n, sql) in job.plan.iter().enumerate() {
            watch.look()?;
            if n > 0 {
                renew_limits(conn, watch)?;
            }
            if counter.is_some() && guard::leading_words(sql, Dialect::Postgres).0 == "TRUNCATE" {
                return Err(PgStop::Failed(
                    "TRUNCATE does not count rows, and a number of rows was approved".to_owned(),
                ));
            }
            let rows = change_counted(conn, sql, results).map_err(|stop| numbered(stop, n, job))?;
            if conn.status != b'T' {
                return Err(PgStop::Failed(ENDED.to_owned()));
            }
            changed = changed.saturating_add(rows);
            bound(conn, counter.as_ref(), job, changed)?;
        }
        match &counter {
            Some(counter) => counter.run_deferred(conn)?,
            // What waits for the commit happens now, where its refusal has words.
            None => drop(conn.own("SET CONSTRAINTS ALL IMMEDIATE")?),
        }
        bound(conn, counter.as_ref(), job, changed)?;
        Ok(changed)
    }

    /// The id of the transaction, by which the database can be asked what became of it: it gets one here if it has none,
    /// since what it has done elsewhere needs none. Marked where it has changed rows of foreign tables, and where it
    /// `returned` something. A server in recovery gives none.
    fn mark(&self, conn: &mut PgConnection, returned: bool) -> Result<Option<String>, PgStop> {
        let found = conn.own(&format!(
            "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.concat(pg_catalog.txid_current(), \
             CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c \
             ON c.oid OPERATOR(pg_catalog.=) l.relation WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
             AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND c.relkind OPERATOR(pg_catalog.=) 'f' \
             AND l.mode OPERATOR(pg_catalog.<>) ALL (ARRAY['AccessShareLock', 'RowShareLock']::pg_catalog.text[])) \
             THEN '{FOREIGN}' END) END"
        ))?;
        let mark = rows_text(found).into_iter().next();
        Ok(match returned {
            true => mark.map(|mark| mark + RETURNED),
            false => mark,
        })
    }

    /// Asks until the database knows, for a while.
    fn settled(&self, mark: Option<&str>, cancel: &Cancel) -> JobEffect {
        let Some(mark) = mark else {
            return JobEffect::Unknown;
        };
        let mark = mark.strip_suffix(RETURNED).unwrap_or(mark);
        let (id, foreign) = match mark.strip_suffix(FOREIGN) {
            Some(id) => (id, true),
            None => (mark, false),
        };
        let Ok(id) = id.parse::<u64>() else {
            return JobEffect::Unknown;
        };
        let until = Instant::now() + SETTLE_WITHIN;
        loop {
            let watch = PgDeadline::new(SETTLE_WITHIN.as_secs(), cancel);
            let answer = self.connect(&watch).and_then(|mut conn| {
                Ok(conn.own(&format!("SELECT pg_catalog.txid_status({id})"))?)
            });
            let status = answer
                .ok()
                .and_then(|rows| rows_text(rows).into_iter().next());
            match status.as_deref() {
                Some("committed") => return JobEffect::Committed,
                // Other servers commit before this one, which then may not.
                Some("aborted") if foreign => return JobEffect::Unknown,
                Some("aborted") => return JobEffect::RolledBack,
                _ if Instant::now() >= until || cancel.asked().is_some() => {
                    return JobEffect::Unknown;
                }
                _ => std::thread::park_timeout(SETTLE_EVERY),
            }
        }
    }
}

/// What no statement may do.
const ENDED: &str = "the statement ended the transaction";

/// Holds the rows that this transaction has changed against the number approved: as the database counts them, triggers,
/// cascades and functions included.
fn bound(
    conn: &mut PgConnection,
    counter: Option<&RowCounter>,
    job: &DriverJob,
    changed: u64,
) -> Result<(), PgStop> {
    let (Some(max), Some(counter)) = (job.max_affected_rows, counter) else {
        return Ok(());
    };
    let Some(counted) = counter.rows(conn)? else {
        return Err(PgStop::Failed(
            "the database does not count rows (track_counts is off), and a number of rows was approved".to_owned(),
        ));
    };
    if let Some(why) = uncounted(conn)? {
        return Err(PgStop::Failed(format!(
            "{why}, and a number of rows was approved"
        )));
    }
    let counted = counted.max(changed);
    match counted > max {
        true => Err(PgStop::Failed(super::over_bound(counted, max))),
        false => Ok(()),
    }
}

/// The first value of each row, where there is one.
fn rows_text(rows: Vec<Vec<Option<String>>>) -> Vec<String> {
    let first = |row: Vec<Option<String>>| row.into_iter().next().flatten();
    rows.into_iter().filter_map(first).collect()
}

/// A name as `to_regclass` reads it, as a literal.
fn quoted(table: &str) -> String {
    let (schema, name) = table_parts(table);
    let parts: Vec<String> = schema
        .iter()
        .chain([&name])
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    format!("'{}'", parts.join(".").replace('\'', "''"))
}

fn numbered(stop: PgStop, n: usize, job: &DriverJob) -> PgStop {
    match job.plan.len() {
        0 | 1 => stop,
        _ => stop.labelled(format!("statement {}: ", n + 1)),
    }
}

impl Driver for Postgres {
    fn dialect(&self) -> &'static str {
        Dialect::Postgres.as_str()
    }

    fn run(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome {
        if self.endpoint.read_only && !job.operation.is_read() {
            return RunOutcome::failed(READ_ONLY);
        }
        if !job.operation.is_execute() {
            let watch = PgDeadline::of_job(job, self.endpoint.lock_timeout_secs, control.cancel());
            let mut runner = migrate::PgMigrations {
                driver: self,
                watch: &watch,
            };
            return migrations::run(job, Dialect::Postgres, &mut runner, control);
        }
        if let Err(message) = guard::check(job, Dialect::Postgres) {
            return RunOutcome::failed(message);
        }
        let watch = PgDeadline::of_job(job, self.endpoint.lock_timeout_secs, control.cancel());
        let done = match job.operation.is_read() {
            true => self.read(job, &watch, control),
            false => self.write(job, &watch, control),
        };
        done.unwrap_or_else(|stop| {
            let (message, detail) = watch.why(stop);
            let message = match job.operation.is_read() {
                true => message,
                false => format!("{message}; rolled back"),
            };
            RunOutcome::failed(message).with_detail(detail)
        })
    }

    fn rehearse(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome {
        if self.endpoint.read_only {
            return RunOutcome::failed(READ_ONLY);
        }
        let watch = PgDeadline::of_job(job, self.endpoint.lock_timeout_secs, control.cancel());
        let done = rehearsal::read(job, Dialect::Postgres)
            .map_err(PgStop::Failed)
            .and_then(|plan| rehearse::rehearse(self, job, &plan, &watch, control));
        match done {
            Ok(json) => RunOutcome::Rehearsed { json },
            Err(stop) => RunOutcome::failed(watch.why(stop).0),
        }
    }

    fn describe(&self, cancel: &Cancel) -> Result<String, String> {
        describe::describe(self, cancel)
    }

    fn explain(&self, sql: &str, cancel: &Cancel) -> Result<String, String> {
        explain::explain(self, sql, cancel)
    }

    fn check(&self, cancel: &Cancel) -> Result<(), String> {
        let watch = PgDeadline::new(wire::CONNECT_WITHIN.as_secs(), cancel);
        match self.connect(&watch) {
            Ok(_) => Ok(()),
            Err(stop) => Err(watch.why(stop).0),
        }
    }

    fn interrupt(&self, session: &str, hard: bool, cancel: &Cancel) -> Result<(), String> {
        let digits =
            |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let parts: Vec<&str> = session.split('@').take_while(digits).collect();
        // Starts as well: the process may be another by now, or a pooler has it work for somebody else.
        let which = match parts[..] {
            [pid, since] => {
                format!("pid = {pid} AND extract(epoch FROM backend_start)::text = '{since}'")
            }
            [pid, since, transaction] => format!(
                "pid = {pid} AND extract(epoch FROM backend_start)::text = '{since}' \
                 AND extract(epoch FROM xact_start)::text = '{transaction}'"
            ),
            _ => return Err("not a session".to_owned()),
        };
        let function = if hard {
            "pg_terminate_backend"
        } else {
            "pg_cancel_backend"
        };
        let watch = PgDeadline::new(INTERRUPT_WITHIN.as_secs(), cancel);
        let asked = self.connect(&watch).and_then(|mut conn| {
            Ok(conn.own(&format!(
                "SELECT pg_catalog.{function}(pid) FROM pg_catalog.pg_stat_activity WHERE {which}"
            ))?)
        });
        asked.map(|_| ()).map_err(|stop| watch.why(stop).0)
    }

    fn settle(&self, mark: Option<&str>, cancel: &Cancel) -> JobEffect {
        self.settled(mark, cancel)
    }
}
