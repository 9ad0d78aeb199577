//! An agent says that it still runs an execution, and learns whether it should stop.

use super::App;
use super::unreadable::frozen_if_execution_corrupt;
use crate::domain::actor::Caller;
use crate::domain::execution::ExecutionStatus;
use crate::domain::permission::Permission;
use crate::domain::request::{Status, corrupt_error};
use crate::error::Error;

/// Extends the lease of an execution; true when the agent should stop: the request was cancelled, or the execution was
/// lost or is not known any more, or its request cannot be read, which is frozen then.
///
/// # Errors
/// 403 for another agent's.
pub fn heartbeat(app: &App, caller: &Caller, execution_id: &str) -> Result<bool, Error> {
    caller.require(Permission::AgentHeartbeat)?;
    let now = app.clock.now();
    let looked = app.store.read(|view| {
        let Some(execution) = view.find_execution(execution_id)? else {
            return Ok(true);
        };
        execution.ensure_claimed_by(&caller.subject)?;
        if execution.status != ExecutionStatus::Claimed {
            return Ok(true);
        }
        let request = view.find_request(&execution.request_id)?;
        let cancelled = request.is_none_or(|r| r.corrupt || r.status() == Status::Cancelled);
        // Under the store's lock, so that the reaper either sees this lease or has already taken the execution.
        app.store
            .extend_lease(execution_id, now.plus_secs(execution.lease_secs));
        Ok(cancelled)
    });
    let cancelled = match frozen_if_execution_corrupt(app, execution_id, looked) {
        Err(error) if error.code() == corrupt_error(execution_id).code() => true,
        looked => looked?,
    };
    app.store.agent_seen(&caller.subject, now);
    Ok(cancelled)
}
