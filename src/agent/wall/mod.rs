//! The wall around everything that touches a database: a child process for each task, used once.
//!
//! A statement that never looks whether it should stop, a driver that crashes, a result that grows: all of it happens
//! in a process that limits itself (`limits`) and that the agent kills when time is up. The agent itself opens no
//! connection to a database.
//!
//! Parent and child speak in frames over the child's standard input and output: four bytes of length, then JSON.
//! Nothing stands on its command line, in its environment or in a file. A run:
//!
//! ```text
//! parent ─ Task ──────────────► child   what to do, and where; the password is in it
//!        ◄──────── Started ─────        the session in the database; the journal says `started`
//!        ─ Go ────────────────►         only now the first statement runs
//!        ◄──────── Committing ──        the transaction's id; the journal says `committing`
//!        ─ Go ────────────────►         only now COMMIT is sent
//!        ◄──────── Done ────────        the outcome; the journal says `finished`
//!        ─ Cancel ────────────►         at any time; the session is cancelled by another child meanwhile
//! ```
//!
//! When its input ends, the parent is gone, and the child ends at once. So a child that was never let to COMMIT has
//! changed nothing, however it ended; one that was is asked about in the database.

pub mod child;
mod frame;
mod limits;
mod parent;
mod process;

pub use parent::{Record, Wall};

use super::config::DriverConfig;
use super::drivers::rows::unavailable;
use super::drivers::{DriverJob, JobEffect, RunOutcome};
use crate::domain::id::Operation;
use serde::{Deserialize, Serialize};

/// What a child is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    pub driver: DriverConfig,
    pub work: TaskKind,
}

/// The kinds of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TaskKind {
    Run(WireJob),
    /// Runs it and takes it back.
    Rehearse(WireJob),
    Describe,
    Explain(String),
    /// Opens a connection and closes it.
    Check,
    /// Ends the statement of another child's session, or the session.
    Interrupt {
        session: String,
        hard: bool,
    },
    /// Asks what became of a commit.
    Settle(Option<String>),
}

impl TaskKind {
    /// Whether it only reads.
    fn reads(&self) -> bool {
        match self {
            TaskKind::Run(job) => Operation::parse(&job.operation).is_some_and(Operation::is_read),
            TaskKind::Rehearse(_) => false,
            _ => true,
        }
    }
}

/// A [`DriverJob`] as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireJob {
    operation: String,
    plan: Vec<String>,
    timeout_secs: u64,
    max_rows: Option<u64>,
    max_result_bytes: usize,
    max_affected_rows: Option<u64>,
    lock_timeout_secs: u64,
}

impl WireJob {
    /// The job as it travels.
    pub fn of(job: &DriverJob) -> WireJob {
        WireJob {
            operation: job.operation.as_str().to_owned(),
            plan: job.plan.clone(),
            timeout_secs: job.timeout_secs,
            max_rows: job.max_rows,
            max_result_bytes: job.max_result_bytes,
            max_affected_rows: job.max_affected_rows,
            lock_timeout_secs: job.lock_timeout_secs,
        }
    }

    fn job(self) -> Option<DriverJob> {
        Some(DriverJob {
            operation: Operation::parse(&self.operation)?,
            plan: self.plan,
            timeout_secs: self.timeout_secs,
            max_rows: self.max_rows,
            max_result_bytes: self.max_result_bytes,
            max_affected_rows: self.max_affected_rows,
            lock_timeout_secs: self.lock_timeout_secs,
        })
    }
}

/// What the parent says after the task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum ToChild {
    /// What was reported is on disk; go on.
    Go,
    /// End what runs; the request was cancelled.
    Cancel,
    /// End what runs; the agent has to stop.
    Stop,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
enum FromChild {
    Started {
        session: Option<String>,
        atomic: bool,
    },
    Committing {
        mark: Option<String>,
        rows: u64,
    },
    /// The end of a run.
    Done(WireOutcome),
    /// The end of everything else: its text, or why there is none.
    Answer(Result<String, String>),
}

/// An [`RunOutcome`] as it travels.
#[derive(Debug, Serialize, Deserialize)]
enum WireOutcome {
    Rows {
        json: Box<serde_json::value::RawValue>,
        truncated: bool,
    },
    Changed {
        rows: u64,
    },
    Returned {
        rows: u64,
        json: Box<serde_json::value::RawValue>,
        truncated: bool,
    },
    Migrated {
        json: String,
        truncated: bool,
    },
    Rehearsed {
        json: String,
    },
    Failed {
        message: String,
        effect: String,
        detail: Option<String>,
        json: Option<String>,
    },
}

impl WireOutcome {
    fn of(outcome: RunOutcome) -> Result<WireOutcome, serde_json::Error> {
        let raw = |json| serde_json::value::RawValue::from_string(json);
        Ok(match outcome {
            RunOutcome::Rows { json, truncated } => WireOutcome::Rows {
                json: raw(json)?,
                truncated,
            },
            RunOutcome::Changed { rows } => WireOutcome::Changed { rows },
            RunOutcome::Returned {
                rows,
                json,
                truncated,
            } => WireOutcome::Returned {
                rows,
                // What it changed is known all the same.
                json: raw(json).or_else(|_| raw(unavailable("it cannot be read")))?,
                truncated,
            },
            RunOutcome::Migrated { json, truncated } => WireOutcome::Migrated { json, truncated },
            RunOutcome::Rehearsed { json } => WireOutcome::Rehearsed { json },
            RunOutcome::Failed {
                message,
                effect,
                detail,
                json,
            } => WireOutcome::Failed {
                message,
                effect: effect.as_str().to_owned(),
                detail,
                json,
            },
        })
    }

    fn outcome(self) -> RunOutcome {
        match self {
            WireOutcome::Rows { json, truncated } => RunOutcome::Rows {
                json: String::from(Box::<str>::from(json)),
                truncated,
            },
            WireOutcome::Changed { rows } => RunOutcome::Changed { rows },
            WireOutcome::Returned {
                rows,
                json,
                truncated,
            } => RunOutcome::Returned {
                rows,
                json: String::from(Box::<str>::from(json)),
                truncated,
            },
            WireOutcome::Migrated { json, truncated } => RunOutcome::Migrated { json, truncated },
            WireOutcome::Rehearsed { json } => RunOutcome::Rehearsed { json },
            WireOutcome::Failed {
                message,
                effect,
                detail,
                json,
            } => RunOutcome::Failed {
                message,
                effect: JobEffect::parse(&effect).unwrap_or(JobEffect::Unknown),
                detail,
                json,
            },
        }
    }
}
