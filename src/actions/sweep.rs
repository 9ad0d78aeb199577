//! What happens by the clock: requests expire, unclaimed dispatches go back, leases run out.
//!
//! Each look takes a few rows; each move is decided again inside its own transaction, since anything may have
//! happened in between.

use super::App;
use crate::domain::actor::Actor;
use crate::domain::change::{Change, RequestRef};
use crate::domain::request::{Request, State, Status};
use crate::error::Error;
use crate::store::{ExecutionStatus, Verdict};
use std::sync::Arc;

/// Rows taken in one look; a backlog takes several.
pub const SWEEP_ROWS: u32 = 200;

/// Expires what is due and takes back dispatches that nobody claimed. Answers how many requests moved.
///
/// # Errors
/// When the store cannot read or write.
pub fn expire_due(app: &Arc<App>) -> Result<usize, Error> {
    let due = app
        .store
        .read(|view| view.due_requests(app.clock.now(), SWEEP_ROWS))?;
    let mut moved = 0;
    for request in due {
        // One that cannot be moved must not hold up the others.
        match expire_one(app, request.id) {
            Ok(one) => moved += usize::from(one),
            Err(error) => log::error!("a request could not be expired: {error}"),
        }
    }
    Ok(moved)
}

fn expire_one(app: &Arc<App>, id: String) -> Result<bool, Error> {
    app.store.change(Actor::system(), move |view, now| {
        let request = view.request(&id)?;
        let Some(step) = request.due(now)? else {
            return Ok(Verdict::Same(false));
        };
        let reference = RequestRef::from(&request);
        let change = if step.to() == Status::Expired {
            Change::RequestExpired {
                request: reference,
                step,
            }
        } else {
            Change::DispatchTimedOut {
                request: reference,
                step,
            }
        };
        Ok(Verdict::Write(vec![change], true))
    })
}

/// Gives up executions whose lease has run out. Answers how many.
///
/// # Errors
/// When the store cannot read or write.
pub fn lapse_leases(app: &Arc<App>) -> Result<usize, Error> {
    let lapsed = app
        .store
        .read(|view| view.lapsed_executions(app.clock.now(), SWEEP_ROWS))?;
    let mut lost = 0;
    for execution in lapsed {
        match lapse_one(app, execution.id) {
            Ok(one) => lost += usize::from(one),
            Err(error) => log::error!("an execution could not be given up: {error}"),
        }
    }
    Ok(lost)
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
            // Cancelled while it ran, and its agent never said how it ended.
            _ => None,
        };
        let change = Change::ExecutionLost {
            request: RequestRef::from(&request),
            step,
            execution_id: id,
            agent_id: execution.agent_id,
        };
        Ok(Verdict::Write(vec![change], true))
    })
}
