//! Drivers: what runs an approved statement on a real database.
//!
//! The trait is small: one job in, one outcome out, and the moments in between that must be on disk first. A driver
//! trusts no classification by others: a read runs where it cannot write, whatever the server thought of it. Drivers
//! run in a child process (`super::wall`), never in the agent itself.

mod cell_types;
#[cfg(feature = "mysql")]
mod geometry;
pub mod guard;
mod lock_waits;
mod migrations;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod rehearsal;
pub mod rows;
pub mod snapshot;
pub mod sqlite;

use super::config::{DriverConfig, ROWS_BYTES_MAX};
use crate::domain::id::Operation;
use crate::domain::policy::execution::ROWS_MAX;
use crate::error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Longest error text of a database that is passed on, in bytes; the server keeps as much.
pub const ERROR_BYTES_MAX: usize = 4096;
/// Longest plan of a statement, in bytes of JSON; the server keeps no longer one.
pub const PLAN_BYTES_MAX: usize = 64 << 10;
/// Most statements in one job; the server accepts no more in one request.
pub const STATEMENTS_MAX: usize = 100;

/// Ends the mark of a transaction that has a result.
#[cfg_attr(not(feature = "postgres"), expect(dead_code))]
const RETURNED: &str = "+returned";

/// What stands for the words of a database that may quote values of rows.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const WITHHELD: &str = "the database refused it in words of its own, which may quote rows";
/// The answer to a write where the configuration allows reads only.
const READ_ONLY: &str = "this agent serves the database read-only";

/// What to run. Everything here was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverJob {
    /// Whether it may write.
    pub operation: Operation,
    /// The statements, each one alone, in order; for an operation on migrations its detail as the only element.
    pub plan: Vec<String>,
    /// Seconds that all of it may take; 0 for no limit.
    pub timeout_secs: u64,
    /// Rows to return at most; [`ROWS_MAX`] caps it.
    pub max_rows: Option<u64>,
    /// Bytes of row JSON to return at most; [`ROWS_BYTES_MAX`] caps it.
    pub max_result_bytes: usize,
    /// Rows that may be changed at most, else all is rolled back.
    pub max_affected_rows: Option<u64>,
    /// Seconds that a statement waits for a lock; what agent.toml says for the database can shorten it.
    pub lock_timeout_secs: u64,
}

impl DriverJob {
    /// The rows that are returned at most.
    fn rows_max(&self) -> u64 {
        self.max_rows.unwrap_or(ROWS_MAX).min(ROWS_MAX)
    }

    /// The bytes of rows that are returned at most.
    fn bytes_max(&self) -> usize {
        self.max_result_bytes.min(ROWS_BYTES_MAX)
    }
}

/// What is left of a job in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEffect {
    /// All of it took effect; also a read that returned its result.
    Committed,
    /// Nothing of it did.
    RolledBack,
    /// Some of it did; the message says what.
    Partial,
    /// Nobody can tell.
    Unknown,
}

impl JobEffect {
    /// The word of the protocol: `committed`, `rolled_back`, `partial` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            JobEffect::Committed => "committed",
            JobEffect::RolledBack => "rolled_back",
            JobEffect::Partial => "partial",
            JobEffect::Unknown => "unknown",
        }
    }

    /// The effect with that word.
    pub fn parse(word: &str) -> Option<JobEffect> {
        [
            JobEffect::Committed,
            JobEffect::RolledBack,
            JobEffect::Partial,
            JobEffect::Unknown,
        ]
        .into_iter()
        .find(|effect| effect.as_str() == word)
    }
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// A read: the result as JSON text, and whether something was left out.
    Rows {
        /// `{"columns":[..],"rows":[..],"truncated":..,"truncation_reason":..}`
        json: String,
        /// Whether the database had more to give.
        truncated: bool,
    },
    /// A write that is committed.
    Changed {
        /// Rows inserted, updated or deleted, over all statements.
        rows: u64,
    },
    /// A write that is committed and that returned results: by RETURNING, or as a procedure does.
    Returned {
        /// As of [`RunOutcome::Changed`].
        rows: u64,
        /// As of [`RunOutcome::Rows`].
        json: String,
        /// Whether something of the results was left out.
        truncated: bool,
    },
    /// An operation on migrations that is done: its result as JSON text.
    Migrated {
        /// `{"applied":[..]}` and the like.
        json: String,
        /// Whether rows that its statements returned were left out.
        truncated: bool,
    },
    /// A rehearsal: nothing is left of it, and it is not an execution.
    Rehearsed {
        /// The report as JSON text.
        json: String,
    },
    /// It did not work.
    Failed {
        /// For the requester; may hold values of the database, so it is not logged.
        message: String,
        /// What is left of it.
        effect: JobEffect,
        /// What the database adds that quotes values of rows; for the requester alone.
        detail: Option<String>,
        /// The result as JSON text, where there is one all the same.
        json: Option<String>,
    },
}

impl RunOutcome {
    /// A failure that left nothing, its message cut to [`ERROR_BYTES_MAX`].
    pub fn failed(message: impl Into<String>) -> RunOutcome {
        RunOutcome::failure(message, JobEffect::RolledBack)
    }

    /// A failure, its message cut to [`ERROR_BYTES_MAX`].
    pub fn failure(message: impl Into<String>, effect: JobEffect) -> RunOutcome {
        RunOutcome::Failed {
            message: cut(message.into()),
            effect,
            detail: None,
            json: None,
        }
    }

    /// A write that is committed and changed `rows` rows, with what it returned.
    fn changed(rows: u64, results: rows::Results) -> RunOutcome {
        match results.is_empty() {
            true => RunOutcome::Changed { rows },
            false => RunOutcome::Returned {
                rows,
                truncated: results.truncated(),
                json: results.finish(),
            },
        }
    }

    /// A write that changed `rows` rows and whose commit, announced with `mark`, is proved by the database alone: what it
    /// returned, if anything, has gone with its process, and `why` says how.
    pub fn proved(rows: u64, mark: Option<&str>, why: &str) -> RunOutcome {
        match mark.is_some_and(|mark| mark.ends_with(RETURNED)) {
            true => RunOutcome::Returned {
                rows,
                json: rows::unavailable(why),
                truncated: true,
            },
            false => RunOutcome::Changed { rows },
        }
    }

    /// The same with what the database adds.
    fn with_detail(self, added: Option<String>) -> RunOutcome {
        match self {
            RunOutcome::Failed {
                message,
                effect,
                json,
                ..
            } => RunOutcome::Failed {
                message,
                effect,
                detail: added.map(cut),
                json,
            },
            done => done,
        }
    }

    /// What is left in the database.
    pub fn effect(&self) -> JobEffect {
        match self {
            RunOutcome::Failed { effect, .. } => *effect,
            RunOutcome::Rehearsed { .. } => JobEffect::RolledBack,
            _ => JobEffect::Committed,
        }
    }
}

/// An error text, cut to [`ERROR_BYTES_MAX`].
fn cut(mut message: String) -> String {
    if message.len() > ERROR_BYTES_MAX {
        message = error::cut(message, ERROR_BYTES_MAX - 3);
        message.push_str("...");
    }
    message
}

/// The sentence about more rows than were approved.
fn over_bound(rows: u64, max: u64) -> String {
    format!(
        "{} {} would change, {} approved: nothing was changed",
        grouped(rows),
        if rows == 1 { "row" } else { "rows" },
        grouped(max)
    )
}

/// A number with commas: `48,211`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What becomes of rows that no longer fit into the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing more is read.
    Stop,
    /// They are read and dropped, since the statement has to come to its end.
    ReadOn,
}

/// What a driver reports while it runs a job. It goes on only after each call has returned `Ok`: then the report is
/// on disk.
pub trait Control: Sync {
    /// Whether somebody wants the job to end.
    fn cancel(&self) -> &Cancel;

    /// The first statement is about to run in `session` (what [`Driver::interrupt`] takes). `atomic` says that nothing
    /// stays unless [`Control::committing`] was reported.
    ///
    /// # Errors
    /// The sentence for the requester; nothing may run.
    fn started(&self, session: Option<&str>, atomic: bool) -> Result<(), String>;

    /// Everything ran and changed `rows` rows, and COMMIT is next. `mark` is what [`Driver::settle`] takes.
    ///
    /// # Errors
    /// The sentence for the requester; the driver rolls back.
    fn committing(&self, mark: Option<&str>, rows: u64) -> Result<(), String>;
}

/// Runs jobs on one database, and describes it. Nothing here outlives `cancel` by more than a moment, as far as the
/// database lets it.
pub trait Driver: Send + Sync {
    /// The dialect of its SQL, as the server names it: `postgresql`, `mysql` or `sqlite`.
    fn dialect(&self) -> &'static str;

    /// Runs `job` to its end, at the latest a moment after `control.cancel()` is set or its time is up.
    fn run(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome;

    /// Runs `job`, a plan of plain writes that nobody has approved, and takes all of it back: the outcome is
    /// [`RunOutcome::Rehearsed`] or [`RunOutcome::Failed`]. Never reports [`Control::committing`].
    fn rehearse(&self, job: &DriverJob, control: &dyn Control) -> RunOutcome;

    /// All tables with columns, constraints, indexes and estimated rows, as JSON: `{"tables":[..]}`. No table is
    /// scanned for it.
    ///
    /// # Errors
    /// The sentence for people who look for the tables; also where they do not fit into a description.
    fn describe(&self, cancel: &Cancel) -> Result<String, String>;

    /// The plan of the one statement `sql` as JSON of at most [`PLAN_BYTES_MAX`] bytes. Nothing is run.
    ///
    /// # Errors
    /// The sentence for the reviewer, at most [`ERROR_BYTES_MAX`] long.
    fn explain(&self, sql: &str, cancel: &Cancel) -> Result<String, String>;

    /// Opens a connection and closes it.
    ///
    /// # Errors
    /// The sentence that says why not; without the password.
    fn check(&self, cancel: &Cancel) -> Result<(), String>;

    /// Makes the database end the statement of `session`, over a connection of its own; with `hard`, the session too.
    ///
    /// # Errors
    /// The sentence that says why not.
    fn interrupt(&self, session: &str, hard: bool, cancel: &Cancel) -> Result<(), String>;

    /// What became of a commit that was announced with `mark`, as far as the database can tell.
    fn settle(&self, mark: Option<&str>, cancel: &Cancel) -> JobEffect;
}

/// The driver that a configuration names. Opens nothing yet.
pub fn driver(config: &DriverConfig) -> Box<dyn Driver> {
    match config {
        DriverConfig::Sqlite { path, read_only } => {
            Box::new(sqlite::Sqlite::new(path.clone(), *read_only))
        }
        #[cfg(feature = "postgres")]
        DriverConfig::Postgres(endpoint) => Box::new(postgres::Postgres::new(endpoint.clone())),
        #[cfg(feature = "mysql")]
        DriverConfig::MySql(endpoint) => Box::new(mysql::MySql::new(endpoint.clone())),
    }
}

/// Asks a running job to stop. Clones share the question.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicU8>);

/// Why a job is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The request was cancelled, or the server gave the execution up.
    Cancelled,
    /// The agent has to stop and cannot wait any longer.
    Stopping,
}

impl StopReason {
    /// What the requester reads.
    pub fn message(self) -> &'static str {
        match self {
            StopReason::Cancelled => "query cancelled",
            StopReason::Stopping => "query cancelled: the agent had to stop",
        }
    }
}

impl Cancel {
    /// Nobody has asked yet.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Asks; the first reason stays.
    pub fn ask(&self, reason: StopReason) {
        let code = match reason {
            StopReason::Cancelled => 1,
            StopReason::Stopping => 2,
        };
        let _first = self
            .0
            .compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Whether somebody has asked, and why.
    pub fn asked(&self) -> Option<StopReason> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(StopReason::Cancelled),
            _ => Some(StopReason::Stopping),
        }
    }
}

/// A run that nothing is written down of, for tests.
#[cfg(test)]
pub struct Unrecorded(pub Cancel);

#[cfg(test)]
impl Control for Unrecorded {
    fn cancel(&self) -> &Cancel {
        &self.0
    }

    fn started(&self, _: Option<&str>, _: bool) -> Result<(), String> {
        Ok(())
    }

    fn committing(&self, _: Option<&str>, _: u64) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let rows = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (48_211, "48,211"),
            (1_234_567, "1,234,567"),
        ];
        for (n, text) in rows {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        for pad in 0..4 {
            let text = format!("{}{}", "a".repeat(pad), "é".repeat(ERROR_BYTES_MAX));
            let RunOutcome::Failed { message, .. } = RunOutcome::failed(text) else {
                panic!("not a failure");
            };
            assert!(message.len() <= ERROR_BYTES_MAX && message.ends_with("é..."));
        }
    }

    #[test]
    fn the_first_reason_to_cancel_stays() {
        let cancel = Cancel::new();
        assert_eq!(cancel.asked(), None);
        cancel.ask(StopReason::Cancelled);
        cancel.ask(StopReason::Stopping);
        assert_eq!(cancel.asked(), Some(StopReason::Cancelled));
    }
}
