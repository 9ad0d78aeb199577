//! When a job on PostgreSQL has to end, and the words for why it did.

use super::wire::{Fault, PgRefusal};
use crate::agent::drivers::{Cancel, DriverJob};
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use std::time::{Duration, Instant};

/// Why a job ends early.
#[derive(Debug)]
pub(super) enum PgStop {
    /// The database, or we, refuse.
    Failed(String),
    /// The database refuses, in its own words.
    Refused(Box<PgRefusal>),
    Interrupted,
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
            PgStop::Refused(refusal) if refusal.code == "57014" => match self.cancel.asked() {
                Some(reason) => (reason.message().to_owned(), None),
                None if self.late() => (self.timed_out(), None),
                None => described(*refusal),
            },
            PgStop::Refused(refusal) => described(*refusal),
            PgStop::Failed(message) => (message, None),
            PgStop::Interrupted => match self.cancel.asked() {
                Some(reason) => (reason.message().to_owned(), None),
                None => (self.timed_out(), None),
            },
        }
    }

    pub(super) fn timed_out(&self) -> String {
        format!("statement timeout reached ({} s)", self.timeout_secs)
    }
}

/// The words of the database: the message with SQLSTATE, and apart from it the detail, which quotes values of rows.
pub(super) fn described(mut refusal: PgRefusal) -> (String, Option<String>) {
    // What cannot be read as its type is quoted: `invalid input syntax for type integer: "VALUE"`.
    if refusal.code.starts_with("22")
        && let Some(at) = refusal.message.find(": \"")
    {
        let quoted = refusal.message.split_off(at).split_off(2);
        let detail = refusal.detail.take();
        refusal.detail =
            Some(detail.map_or(quoted.clone(), |detail| format!("{quoted}; {detail}")));
    }
    let mut message = format!("{} (SQLSTATE {})", refusal.message, refusal.code);
    if let Some(position) = &refusal.position {
        message.push_str(&format!(" at character {position}"));
    }
    if let Some(hint) = &refusal.hint {
        message.push_str(&format!("; {hint}"));
    }
    (message, refusal.detail)
}
