//! When a job on PostgreSQL has to end, and the words for why it did.

use super::refusal::PgRefusal;
use super::wire::Fault;
use crate::agent::drivers::{Cancel, DriverJob, StopReason};
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use std::time::{Duration, Instant};

/// SQLSTATE of a cancelled query.
const CANCELLED: &str = "57014";

/// Why a job ends early.
#[derive(Debug)]
pub(super) enum PgStop {
    /// The database, or we, refuse.
    Failed(String),
    /// The database refuses, in its own words.
    Refused(Box<PgRefusal>),
    Interrupted,
}

impl PgStop {
    /// A refusal of `statement` of the plan; everything else as it is.
    pub(super) fn of_statement(fault: Fault, statement: &str) -> PgStop {
        match PgStop::from(fault) {
            PgStop::Refused(mut refusal) => {
                refusal.statement = Some(statement.to_owned());
                PgStop::Refused(refusal)
            }
            stop => stop,
        }
    }

    /// The same, with which of several statements it is.
    pub(super) fn labelled(self, label: String) -> PgStop {
        match self {
            PgStop::Refused(mut refusal) => {
                refusal.label = label;
                PgStop::Refused(refusal)
            }
            PgStop::Failed(message) => PgStop::Failed(format!("{label}{message}")),
            PgStop::Interrupted => PgStop::Interrupted,
        }
    }
}

impl From<Fault> for PgStop {
    fn from(fault: Fault) -> PgStop {
        match fault {
            Fault::Refused(refusal) => PgStop::Refused(refusal),
            Fault::Lost(message) => PgStop::Failed(message),
            Fault::Interrupted => PgStop::Interrupted,
        }
    }
}

/// When a job has to end.
pub(super) struct PgDeadline {
    pub(super) deadline: Option<Instant>,
    pub(super) timeout_secs: u64,
    /// Seconds that a statement waits for a lock.
    pub(super) lock_secs: u64,
    pub(super) cancel: Cancel,
}

impl PgDeadline {
    pub(super) fn new(timeout_secs: u64, cancel: &Cancel) -> PgDeadline {
        let limit = Some(timeout_secs).filter(|secs| *secs > 0);
        PgDeadline {
            deadline: limit.and_then(|secs| Instant::now().checked_add(Duration::from_secs(secs))),
            timeout_secs,
            lock_secs: LOCK_SECS_DEFAULT,
            cancel: cancel.clone(),
        }
    }

    /// That of a job, which waits for locks no longer than `lock_secs_max`.
    pub(super) fn of_job(job: &DriverJob, lock_secs_max: u64, cancel: &Cancel) -> PgDeadline {
        PgDeadline {
            lock_secs: job.lock_timeout_secs.min(lock_secs_max),
            ..PgDeadline::new(job.timeout_secs, cancel)
        }
    }

    pub(super) fn late(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    pub(super) fn look(&self) -> Result<(), PgStop> {
        match self.cancel.asked().is_some() || self.late() {
            true => Err(PgStop::Interrupted),
            false => Ok(()),
        }
    }

    /// Milliseconds that are left; 0 for no limit.
    pub(super) fn left_ms(&self) -> u64 {
        self.deadline.map_or(0, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_millis();
            u64::try_from(left).unwrap_or(u64::MAX).max(1)
        })
    }

    /// The sentence for the requester, and what the database says of values.
    pub(super) fn why(&self, stop: PgStop) -> (String, Option<String>) {
        match stop {
            // A cancelled query: by us, by time, or by somebody else.
            PgStop::Refused(refusal) if refusal.code == CANCELLED => match self.cancel.asked() {
                Some(_) => (self.interrupted(), None),
                None if self.late() => (self.timed_out(), None),
                None => refusal.described(),
            },
            PgStop::Refused(refusal) => refusal.described(),
            PgStop::Failed(message) => (message, None),
            PgStop::Interrupted => (self.interrupted(), None),
        }
    }

    /// Why it was interrupted. What is late is asked to stop as well.
    fn interrupted(&self) -> String {
        match self.cancel.asked() {
            Some(StopReason::Stopping) if self.late() => self.timed_out(),
            Some(reason) => reason.message().to_owned(),
            None => self.timed_out(),
        }
    }

    pub(super) fn timed_out(&self) -> String {
        format!("statement timeout reached ({} s)", self.timeout_secs)
    }
}
