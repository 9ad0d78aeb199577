//! Drivers: what runs an approved statement on a real database.
//!
//! The trait is as small as it can be: one job in, one outcome out. A driver trusts nobody's classification: a read
//! runs where it cannot write, whatever the server thought of it.

pub mod rows;
pub mod sqlite;

use super::config::{DatabaseConfig, DriverConfig};
use crate::domain::id::Operation;
use crate::domain::policy::execution::ROWS_MAX;
use crate::error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Longest error text of a database that is passed on, in bytes; the server keeps as much.
pub const ERROR_BYTES_MAX: usize = 4096;
/// Most bytes of row JSON in a result: the promise of the protocol, and what a server stores by default.
pub const ROWS_BYTES_MAX: usize = 10 << 20;
/// Longest plan of a statement, in bytes of JSON; the server keeps no longer one.
pub const PLAN_BYTES_MAX: usize = 64 << 10;
/// Most statements in one job; the server accepts no more in one request.
pub const STATEMENTS_MAX: usize = 100;

/// What to run. Everything here was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverJob {
    /// Whether it may write.
    pub operation: Operation,
    /// The statements, each one alone, in order.
    pub plan: Vec<String>,
    /// Seconds that all of it may take; 0 for no limit.
    pub timeout_secs: u64,
    /// Rows to return at most; [`ROWS_MAX`] caps it.
    pub max_rows: Option<u64>,
    /// Rows that may be changed at most, else all is rolled back.
    pub max_affected_rows: Option<u64>,
}

impl DriverJob {
    /// The rows that are returned at most.
    fn rows_max(&self) -> u64 {
        self.max_rows.unwrap_or(ROWS_MAX).min(ROWS_MAX)
    }
}

/// What came of it.
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
    /// It did not work; what the message does not say was rolled back.
    Failed {
        /// For the requester; may hold values of the database, so it is not logged.
        message: String,
    },
}

impl RunOutcome {
    /// A failure, its message cut to [`ERROR_BYTES_MAX`].
    pub fn failed(message: impl Into<String>) -> RunOutcome {
        RunOutcome::Failed {
            message: cut(message.into()),
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

/// Runs jobs on one database, and tells about it. Nothing here outlives `cancel` by more than a moment.
pub trait Driver: Send + Sync {
    /// The dialect of its SQL, as the server names it: `sqlite`.
    fn dialect(&self) -> &'static str;

    /// Runs `job` to its end, at the latest a moment after `cancel` is set or its time is up.
    fn run(&self, job: &DriverJob, cancel: &Cancel) -> RunOutcome;

    /// All tables with columns, constraints, indexes and estimated rows, as JSON: `{"tables":[..]}`. No table is
    /// scanned for it.
    ///
    /// # Errors
    /// The sentence for whoever looks for the tables; also where they do not fit into a description.
    fn describe(&self, cancel: &Cancel) -> Result<String, String>;

    /// The plan of the one statement `sql` as JSON of at most [`PLAN_BYTES_MAX`] bytes. Nothing is run.
    ///
    /// # Errors
    /// The sentence for the reviewer, at most [`ERROR_BYTES_MAX`] long.
    fn explain(&self, sql: &str, cancel: &Cancel) -> Result<String, String>;
}

/// The driver that a configuration names. Opens nothing yet.
pub fn driver(config: &DatabaseConfig) -> Box<dyn Driver> {
    match &config.driver {
        DriverConfig::Sqlite { path, read_only } => {
            Box::new(sqlite::Sqlite::new(path.clone(), *read_only))
        }
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
    /// What the requester is told.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_characters() {
        for pad in 0..4 {
            let text = format!("{}{}", "a".repeat(pad), "é".repeat(ERROR_BYTES_MAX));
            let RunOutcome::Failed { message } = RunOutcome::failed(text) else {
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
