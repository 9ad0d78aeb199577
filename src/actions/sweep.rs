//! What happens by the clock: requests expire, unclaimed dispatches go back, leases run out.
//!
//! Each look takes a few rows; each move is decided again inside its own transaction, since anything may have
//! happened in between. What cannot be moved is passed over, counted, and tried again at the next turn.

use super::App;
use crate::domain::actor::Actor;
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::request::{Request, State, Status};
use crate::error::Error;
use crate::store::{ExecutionStatus, RowCursor, Verdict};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Rows taken in one look; a backlog takes several.
pub const SWEEP_ROWS: u32 = 200;
/// Ids remembered as stuck, so that each is logged once and not every few seconds; beyond it, each time.
const STUCK_MAX: usize = 1_000;

/// What could not be moved, by id, as far as the log has it.
#[derive(Default)]
pub struct Stuck(Mutex<BTreeSet<String>>);

impl Stuck {
    /// Counts a failure of `id`, and logs it if it is the first.
    pub(super) fn note(&self, app: &App, job: &'static str, id: &str, error: &Error) {
        app.metrics.sweep_stuck.inc(&[job]);
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if known.contains(id) {
            return;
        }
        if known.len() < STUCK_MAX {
            known.insert(id.to_owned());
        }
        log::error!("{job}: {id} is passed over: {error}");
    }

    /// Forgets what moved after all.
    pub(super) fn moved(&self, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        known.remove(id);
    }
}

/// Expires what is due and takes back dispatches that nobody claimed. Returns how many requests moved.
///
/// # Errors
/// When the store cannot read.
pub fn expire_due(app: &Arc<App>) -> Result<usize, Error> {
    let (now, mut after, mut moved) = (app.clock.now(), RowCursor::START, 0);
    loop {
        let due = app
            .store
            .read(|view| view.due_requests(now, after, SWEEP_ROWS))?;
        let Some((last, _)) = due.last() else {
            return Ok(moved);
        };
        after = *last;
        for (_, id) in due {
            match expire_one(app, id.clone()) {
                Ok(one) => {
                    app.stuck.moved(&id);
                    moved += usize::from(one);
                }
                Err(error) => app.stuck.note(app, "expire", &id, &error),
            }
        }
    }
}

fn expire_one(app: &Arc<App>, id: String) -> Result<bool, Error> {
    app.store.change(Actor::system(), move |view, now| {
        let request = view.request(&id)?;
        let Some(step) = request.due(now)? else {
            return Ok(Verdict::Same(false));
        };
        let reference = RequestRef::from(&request);
        let change = if step.to() == Status::Expired {
            RequestChange::Expired {
                request: reference,
                step,
            }
        } else {
            RequestChange::DispatchTimedOut {
                request: reference,
                step,
            }
        };
        Ok(Verdict::Write(vec![change.into()], true))
    })
}

/// Gives up executions whose lease has run out. Returns how many.
///
/// # Errors
/// When the store cannot read.
pub fn lapse_leases(app: &Arc<App>) -> Result<usize, Error> {
    let (now, mut after, mut lost) = (app.clock.now(), RowCursor::START, 0);
    loop {
        let lapsed = app
            .store
            .read(|view| view.lapsed_executions(now, after, SWEEP_ROWS))?;
        let Some((last, _)) = lapsed.last() else {
            return Ok(lost);
        };
        after = *last;
        for (_, id) in lapsed {
            match lapse_one(app, id.clone()) {
                Ok(one) => {
                    app.stuck.moved(&id);
                    lost += usize::from(one);
                }
                Err(error) => app.stuck.note(app, "lease", &id, &error),
            }
        }
    }
}

fn lapse_one(app: &Arc<App>, id: String) -> Result<bool, Error> {
    app.store.change(Actor::system(), move |view, now| {
        let execution = view.execution_of(&id)?;
        // A heartbeat or a report may have come since the look.
        if execution.status != ExecutionStatus::Claimed || execution.lease.until > now {
            return Ok(Verdict::Same(false));
        }
        let request: Request = view.request(&execution.request_id)?;
        let step = match request.state()? {
            State::Running(running) if running.execution_id == id => {
                running.lapse(execution.lease.until, now)
            }
            // Cancelled while it ran, and its agent never reported how it ended.
            _ => None,
        };
        let change = RequestChange::ExecutionLost {
            request: RequestRef::from(&request),
            step,
            execution_id: id,
            agent_id: execution.agent_id,
            report: None,
        };
        Ok(Verdict::Write(vec![change.into()], true))
    })
}
