//! What the votes of a person complete when they count again.

use super::{dialects, unreadable};
use crate::clock::Timestamp;
use crate::domain::approval::current_step;
use crate::domain::change::{Change, CompletedSteps, RequestChange, RequestRef};
use crate::domain::policy::Policies;
use crate::domain::policy::workflow::{Dispatch, Workflow};
use crate::domain::request::{Pending, Request, Status};
use crate::error::Error;
use crate::store::{Unproven, View};
use std::collections::BTreeSet;

/// Whose votes one transaction lets count again, and whose it stops counting.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    /// People who can act again.
    pub back: BTreeSet<String>,
    /// People who cannot act any more, whose own requests are cancelled.
    pub leaving: BTreeSet<String>,
}

/// The changes of pending requests whose current step is complete when all of the votes of those who are back count
/// again, each once. A request that cannot run where it is for stays as it is; one that cannot be read, or is not what
/// the log says of it, is frozen.
pub(super) fn completed_by(
    policies: &Policies,
    view: &View,
    turnover: &Turnover,
    now: Timestamp,
) -> Result<Vec<Change>, Error> {
    let mut voted = BTreeSet::new();
    for person in &turnover.back {
        voted.extend(view.pending_voted_by(person)?);
    }
    let mut changes = Vec::new();
    for (_, id) in voted {
        match of_request(policies, view, &id, turnover, now) {
            Ok(completed) => changes.extend(completed.into_iter().map(Change::from)),
            Err(unproven) => changes.extend(unreadable::freeze(view, &id, unproven)?),
        }
    }
    Ok(changes)
}

fn of_request(
    policies: &Policies,
    view: &View,
    id: &str,
    turnover: &Turnover,
    now: Timestamp,
) -> Result<Vec<RequestChange>, Unproven> {
    let request = view.request(id)?;
    if turnover.leaving.contains(&request.requester) {
        return Ok(Vec::new());
    }
    let Ok(pending) = request.pending(now) else {
        return Ok(Vec::new());
    };
    view.prove_pending(&request)?;
    let Some(workflow) = view.request_workflow(&request)? else {
        return Ok(Vec::new());
    };
    let mut votes = view.votes(&request)?;
    let mut voter = None;
    for vote in &mut votes {
        if turnover.leaving.contains(&vote.actor) {
            vote.counts = false;
        } else if turnover.back.contains(&vote.actor) {
            vote.counts = true;
            voter = Some(vote.actor.clone());
        }
    }
    let current = current_step(&workflow, &votes);
    let Some(voter) = voter.filter(|_| current > request.current_step) else {
        return Ok(Vec::new());
    };
    if let Err(error) = dialects::ensure_current(policies, view, &request, now) {
        log::warn!("the votes of {voter} count again and do not approve request {id}: {error}");
        return Ok(Vec::new());
    }
    Ok(completed(
        policies,
        &request,
        pending,
        &workflow,
        (current, &voter),
        now,
    ))
}

fn completed(
    policies: &Policies,
    request: &Request,
    pending: &Pending,
    workflow: &Workflow,
    (current, voter): (u32, &str),
    now: Timestamp,
) -> Vec<RequestChange> {
    let reference = RequestRef::from(request);
    let done = current >= request.total_steps;
    let ttl_secs = workflow
        .approval_ttl_secs
        .unwrap_or(policies.approval_ttl_secs);
    let next = usize::try_from(current).unwrap_or(usize::MAX);
    let approvers = workflow.steps.get(next).map_or(&[][..], |s| &s.approvers);
    let mut changes = vec![RequestChange::StepsCompleted(Box::new(CompletedSteps {
        request: reference.clone(),
        voter: voter.to_owned(),
        current_step: current,
        total_steps: request.total_steps,
        approvers: approvers.iter().map(|a| a.selector.clone()).collect(),
        approval: done.then(|| (pending.approve(), now.plus_secs(ttl_secs))),
    }))];
    if done && workflow.dispatch == Dispatch::OnApproval {
        changes.push(RequestChange::Dispatched {
            request: RequestRef {
                status: Status::Approved,
                ..reference
            },
            step: pending.dispatch(),
            deadline: now.plus_secs(policies.dispatch_timeout_secs),
            acknowledged: None,
        });
    }
    changes
}
