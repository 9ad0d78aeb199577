//! EXPLAIN jobs, for the agents: which wait, who takes one, and what came of it.

use super::{App, dialects, topics};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::error::{Error, cut};
use crate::store::{DryRun, Explained, View};

/// Statements of one request that are explained, at most.
pub const STATEMENTS_MAX: usize = 20;
/// Largest plan that is kept, in bytes of JSON.
pub const PLAN_BYTES_MAX: usize = 64 * 1024;
/// Jobs in one answer to a poll, at most.
pub const JOBS_MAX: u32 = 10;
/// Longest error message kept, in bytes.
const ERROR_BYTES_MAX: usize = 4096;

/// Jobs that an agent may claim, oldest first of each target; `targets` with the dialect that the agent runs there.
/// First those for which somebody waits.
///
/// # Errors
/// When the store cannot read.
pub fn waiting(
    app: &App,
    view: &View,
    targets: &[(Target, Option<Dialect>)],
    now: Timestamp,
) -> Result<Vec<DryRun>, Error> {
    let limit = usize::try_from(JOBS_MAX).unwrap_or(usize::MAX);
    let mut jobs = app.caches.open_preflights.waiting(targets, now);
    for (target, dialect) in targets {
        jobs.extend(view.pending_dry_runs(target, *dialect, JOBS_MAX)?);
        if jobs.len() >= limit {
            jobs.truncate(limit);
            break;
        }
    }
    Ok(jobs)
}

/// Takes a job; returns the token that its answer must show.
///
/// # Errors
/// 404; 403 for a target that the agent does not serve; 409 for one that somebody else took, `dialect_mismatch` for one
/// that the agent's database would read differently.
pub fn claim(app: &App, caller: &Caller, id: &str) -> Result<String, Error> {
    let claimed = match find(app, caller, id)? {
        Owner::Preflight => app.caches.open_preflights.claim(id, &caller.subject),
        Owner::Request(_) => app.store.claim_dry_run(id, &caller.subject)?,
    };
    claimed.ok_or_else(|| Error::conflict("conflict", "this dry run is taken or done"))
}

/// Takes the answer of a job; the topic of those who wait for it.
///
/// # Errors
/// 404; 403; 409 when the claim does not count any more.
pub fn finish(
    app: &App,
    caller: &Caller,
    id: &str,
    claim_token: &str,
    result: Option<String>,
    error: Option<String>,
) -> Result<String, Error> {
    let owner = find(app, caller, id)?;
    let explained = match (error, result) {
        (Some(error), _) => Explained::Failed(cut(error, ERROR_BYTES_MAX)),
        (None, Some(plan)) if plan.len() > PLAN_BYTES_MAX => Explained::Failed(format!(
            "the plan of {} bytes is over the limit of {PLAN_BYTES_MAX}",
            plan.len()
        )),
        (None, Some(plan)) => Explained::Plan(plan),
        (None, None) => return Err(Error::invalid("either result or error is needed")),
    };
    let stale = || Error::conflict("conflict", "this dry run is not claimed with that token");
    let agent = &caller.subject;
    let Owner::Request(request) = owner else {
        let open = &app.caches.open_preflights;
        let preflight = open.finish(id, agent, claim_token, explained);
        return preflight.map(|id| topics::preflight(&id)).ok_or_else(stale);
    };
    match app
        .store
        .finish_dry_run(id, agent, claim_token, explained)?
    {
        true => Ok(topics::request(&request)),
        false => Err(stale()),
    }
}

/// What a job was made for.
enum Owner {
    /// The request of this id.
    Request(String),
    Preflight,
}

/// Finds a job that the agent may do.
fn find(app: &App, caller: &Caller, id: &str) -> Result<Owner, Error> {
    caller.require(Permission::AgentPoll)?;
    let (owner, target, fact) = match app.caches.open_preflights.find(id) {
        Some((target, fact)) => (Owner::Preflight, target, fact),
        None => app.store.read(|view| {
            let (target, fact, request) = view
                .find_dry_run(id)?
                .ok_or_else(|| Error::not_found("dry run", id))?;
            view.request(&request)?.ensure_intact()?;
            Ok((Owner::Request(request), target, fact))
        })?,
    };
    let serves = app
        .store
        .agent_reports(&caller.subject)
        .iter()
        .any(|a| a.serves(&target));
    if !serves || !caller.reaches(&target) {
        let message = format!("this agent does not serve {target}");
        return Err(Error::forbidden(message));
    }
    let active = app.active();
    app.store.read(|view| {
        dialects::ensure_runs(&active.policies, view, &target, &caller.subject, fact)
    })?;
    Ok(owner)
}
