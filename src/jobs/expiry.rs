//! What happens by the clock: requests expire, unclaimed dispatches go back, leases run out.
//!
//! Each look takes a few rows; each move is decided again inside its own transaction, since anything may have
//! happened in between. What cannot be moved is passed over, counted, and tried again at the next turn.

use super::JobState;
use super::purge_requests::corrupt;
use crate::actions::{App, rehearse, webhooks};
use crate::domain::actor::Actor;
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::request::Status;
use crate::error::Error;
use crate::store::{RowCursor, Unproven, Verdict};
use std::sync::Arc;

/// Rows taken in one look; a backlog takes several.
const SWEEP_ROWS: u32 = 200;
/// Expires what is due and takes back dispatches that nobody claimed. Returns how many requests moved.
///
/// # Errors
/// When the store cannot read.
pub(super) fn expire_due(jobs: &JobState) -> Result<usize, Error> {
    let app = &jobs.app;
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
                    jobs.stuck.moved(&id);
                    moved += usize::from(one);
                }
                Err(error) => jobs.stuck.note(&jobs.app, "expire", &id, &error),
            }
        }
    }
}

fn expire_one(app: &Arc<App>, id: String) -> Result<bool, Error> {
    app.store.change(Actor::system(), move |view, now| {
        let request = view.request(&id)?;
        let Some(step) = request.due(now) else {
            return Ok(Verdict::Same(false));
        };
        if step.to() == Status::Expired {
            match view.prove_expiry(&request) {
                Ok(()) => {}
                Err(Unproven::Differs(what)) => {
                    return Ok(match corrupt(view, &id, what)? {
                        Some(frozen) => Verdict::Write(vec![frozen], false),
                        None => Verdict::Same(false),
                    });
                }
                Err(Unproven::Unreadable(error)) => return Err(error),
            }
        }
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
pub(super) fn lapse_leases(jobs: &JobState) -> Result<usize, Error> {
    let app = &jobs.app;
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
                    jobs.stuck.moved(&id);
                    lost += usize::from(one);
                }
                Err(error) => jobs.stuck.note(&jobs.app, "lease", &id, &error),
            }
        }
    }
}

fn lapse_one(app: &Arc<App>, id: String) -> Result<bool, Error> {
    app.store.change(Actor::system(), move |view, now| {
        let execution = view.execution_of(&id)?;
        // A heartbeat or a report may have come since the look.
        if !execution.is_lapsed(now) {
            return Ok(Verdict::Same(false));
        }
        let request = view.request(&execution.request_id)?;
        let step = execution.lapse(&request, now);
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

/// Gives up rehearsals that nobody reported in time.
///
/// # Errors
/// When the store cannot read.
pub(super) fn give_up_rehearsals(jobs: &JobState) -> Result<(), Error> {
    for id in rehearse::overdue(&jobs.app)? {
        match rehearse::give_up(&jobs.app, id.clone()) {
            Ok(()) => jobs.stuck.moved(&id),
            Err(error) => jobs.stuck.note(&jobs.app, "rehearsals", &id, &error),
        }
    }
    Ok(())
}

/// Gives up notifications that have waited too long, those that were never tried only with `untried`. Returns how many.
///
/// # Errors
/// When the store cannot write.
pub(super) fn give_up_deliveries(app: &App, untried: bool) -> Result<usize, Error> {
    let end = || app.store.give_up_deliveries(untried);
    webhooks::ended(app, "dead", end)
}
