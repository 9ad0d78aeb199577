//! EXPLAIN jobs, for the agents: which wait, who takes one, and what came of it.

use super::unreadable::{frozen_if_corrupt, frozen_unless};
use super::{App, dialects, topics};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::domain::request::Request;
use crate::error::{Error, cut};
use crate::store::{DryRun, Explained, Unproven, View, is_unreadable};
use std::collections::BTreeMap;

/// Statements of one request that are explained, at most.
pub const STATEMENTS_MAX: usize = 20;
/// Largest plan that is kept, in bytes of JSON.
pub const PLAN_BYTES_MAX: usize = 64 * 1024;
/// Jobs in one answer to a poll, at most.
pub const JOBS_MAX: u32 = 10;
/// Longest error message kept, in bytes.
const ERROR_BYTES_MAX: usize = 4096;

/// Jobs that an agent may claim, oldest first of each target; `targets` with the dialect that the agent runs there.
/// First those for which somebody waits. Ids of requests whose statements are not those they were made with go to
/// `unproven`.
///
/// # Errors
/// When the store cannot read.
pub fn waiting(
    app: &App,
    view: &View,
    targets: &[(Target, Option<Dialect>)],
    unproven: &mut Vec<String>,
    now: Timestamp,
) -> Result<Vec<DryRun>, Error> {
    let limit = usize::try_from(JOBS_MAX).unwrap_or(usize::MAX);
    let mut jobs = app.in_flight.open_preflights.waiting(targets, now);
    let mut proved = BTreeMap::new();
    for (target, dialect) in targets {
        for job in view.pending_dry_runs(target, *dialect, JOBS_MAX)? {
            if !proved.contains_key(&job.request_id) {
                let holds = is_proved(view, &job.request_id)?;
                if !holds {
                    unproven.push(job.request_id.clone());
                }
                proved.insert(job.request_id.clone(), holds);
            }
            if proved[&job.request_id] {
                jobs.push(job);
            }
        }
        if jobs.len() >= limit {
            jobs.truncate(limit);
            break;
        }
    }
    Ok(jobs)
}

/// Whether what agents are asked to explain of a request are its statements.
fn is_proved(view: &View, request_id: &str) -> Result<bool, Error> {
    let request = match view.request(request_id) {
        Ok(request) => request,
        Err(error) if is_unreadable(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    match to_explain(view, &request) {
        Ok(()) => Ok(true),
        Err(Unproven::Differs(_)) => Ok(false),
        Err(Unproven::Unreadable(error)) if is_unreadable(&error) => Ok(false),
        Err(Unproven::Unreadable(error)) => Err(error),
    }
}

/// Proves what agents are asked to explain of a request.
pub(super) fn to_explain(view: &View, request: &Request) -> Result<(), Unproven> {
    view.prove_as_made(request)?;
    view.prove_dry_runs(request)
}

/// Takes a job; returns the token that its answer must show.
///
/// # Errors
/// 404; 403 for a target that the agent does not serve; 409 for one that somebody else took, `dialect_mismatch` for one
/// that the agent's database would read differently, `conflict` for one whose request has ended, `corrupt`
/// for statements that are not those of the request; 422 `database_not_registered`.
pub fn claim(app: &App, caller: &Caller, id: &str) -> Result<String, Error> {
    let found = find(app, caller, id)?;
    dialects::ensure_registered(&app.active().policies, &found.target)?;
    let claimed = match found.owner {
        Owner::Preflight => app.in_flight.open_preflights.claim(id, &caller.subject),
        Owner::Request(request) => {
            let waits = app.store.read(|view| {
                let request = view.request(&request)?;
                if !request.status().is_open() {
                    let over = format!("its request is {}", request.status());
                    return Err(Error::conflict("conflict", over));
                }
                to_explain(view, &request).map_err(|unproven| unproven.error(&request.id))
            });
            frozen_unless(app, &request, waits, to_explain)?;
            app.store.claim_dry_run(id, &caller.subject)?
        }
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
    let owner = find(app, caller, id)?.owner;
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
        let open = &app.in_flight.open_preflights;
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

struct FoundJob {
    owner: Owner,
    target: Target,
}

/// Finds a job that the agent may do.
fn find(app: &App, caller: &Caller, id: &str) -> Result<FoundJob, Error> {
    caller.require(Permission::AgentPoll)?;
    let (owner, target, fact) = match app.in_flight.open_preflights.find(id) {
        Some((target, fact)) => (Owner::Preflight, target, fact),
        None => {
            let (target, fact, request) = app.store.read(|view| {
                view.find_dry_run(id)?
                    .ok_or_else(|| Error::not_found("dry run", id))
            })?;
            let intact = app
                .store
                .read(|view| view.request(&request)?.ensure_intact());
            frozen_if_corrupt(app, &request, intact)?;
            (Owner::Request(request), target, fact)
        }
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
    // Nothing is read in any dialect where the configuration has no such database.
    if dialects::ensure_registered(&active.policies, &target).is_ok() {
        app.store.read(|view| {
            dialects::ensure_runs(&active.policies, view, &target, &caller.subject, fact)
        })?;
    }
    Ok(FoundJob { owner, target })
}
