//! Approves a pending request: books one vote, and approves the request with the last one needed.

use super::attempt::{Attempt, attempted};
use super::awaited::Left;
use super::refusals::refuse_verb;
use super::unreadable;
use super::{Active, App, note};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::approval::{StepRemaining, Vote, VoteAction, current_step, remaining};
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::id::Selector;
use crate::domain::policy::workflow::{Dispatch, Workflow};
use crate::domain::request::{Pending, Request, Status};
use crate::domain::visibility::may_learn_status;
use crate::error::{Error, Shown};
use crate::store::Verdict;
use std::sync::Arc;

/// What an approval came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    pub id: String,
    /// `pending`, `approved`, or `dispatched` where the workflow dispatches on approval.
    pub status: Status,
    /// The step it is in now, or the number of steps when approved.
    pub current_step: u32,
    pub total_steps: u32,
    /// What the current step still needs; none when approved.
    pub remaining: Option<StepRemaining>,
    /// What the vote was booked on: a selector of the step, or `admin_override`.
    pub matched_selector: String,
    /// What tells what it waits for.
    pub left: Left,
}

/// Adds the caller's approval to request `id`; the last one needed also approves the request. `selector` names the
/// part of the step to book it on, where several name the caller; `seen` is the `If-Match` of the call.
///
/// # Errors
/// 400 for a bad comment or selector; 404; 403 `forbidden`, `self_approval`, `not_an_approver`; 409 `conflict`,
/// `already_approved`, `dialect_changed`, `corrupt`; 410 `gone`; 422 `database_not_registered`.
pub fn approve(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    seen: Option<&str>,
    comment: Option<String>,
    selector: Option<String>,
) -> Result<Approved, Error> {
    let comment = note("comment", comment)?;
    let chosen = selector.map(|text| parse_selector(&text)).transpose()?;
    attempted(app, caller, id, seen, move |cx, attempt| {
        let (view, caller, request) = (attempt.view, attempt.caller, attempt.request);
        let now = attempt.now;
        let workflow = view.request_workflow(request)?;
        let votes = view.votes(request)?;
        let booking = match may_approve(attempt, workflow.as_ref(), &votes, chosen.as_ref()) {
            Ok(booking) => booking,
            Err(error) => return refuse(cx, caller, request, error),
        };
        if let Err(unproven) = view.prove_pending(request) {
            return unreadable::refuse(view, &request.id, unproven);
        }
        let pending = request.pending(now).map_err(|refusal| refusal.error())?;
        let workflow = workflow.ok_or_else(|| without_workflow(request))?;
        let vote = Vote {
            actor: caller.subject.clone(),
            action: VoteAction::Approve,
            selector: booking.selector,
            step: booking.step,
            comment,
            issued_by_requester: caller.has_token_of(&request.requester),
            at: now,
            counts: true,
        };
        let ttl = workflow
            .approval_ttl_secs
            .unwrap_or(attempt.active.policies.approval_ttl_secs);
        let (change, mut answer) = book(request, pending, &workflow, votes, vote, ttl, now);
        let mut changes = vec![change];
        if answer.status == Status::Approved && workflow.dispatch == Dispatch::OnApproval {
            answer.status = Status::Dispatched;
            answer.left = Left::of(request, Status::Dispatched, None, &[]);
            changes.push(dispatch(request, pending, attempt.active, now));
        }
        Ok(Verdict::Write(
            changes.into_iter().map(Into::into).collect(),
            answer,
        ))
    })
}

/// An approval that may be given.
pub(super) struct Booking {
    /// What it is booked on.
    selector: String,
    /// The step, 0-based.
    step: u32,
}

/// Whether the caller may approve the request now, and what that would be booked on.
///
/// # Errors
/// As [`approve`].
pub(super) fn may_approve(
    attempt: &Attempt,
    workflow: Option<&Workflow>,
    votes: &[Vote],
    chosen: Option<&Selector>,
) -> Result<Booking, Error> {
    let (caller, request) = (attempt.caller, attempt.request);
    may_learn_status(caller, request, workflow, votes)?;
    attempt.ensure_as_seen()?;
    request
        .pending(attempt.now)
        .map_err(|refusal| refusal.error())?;
    let workflow = workflow.ok_or_else(|| without_workflow(request))?;
    attempt.ensure_current()?;
    let ballot = request.ballot(workflow, votes);
    let selector = ballot.approve(caller, chosen);
    Ok(Booking {
        selector: selector.map_err(|refusal| refusal.error())?,
        step: ballot.step().map_or(0, |(index, _)| index),
    })
}

/// What follows the last vote where the workflow dispatches on approval.
fn dispatch(
    request: &Request,
    pending: &Pending,
    active: &Active,
    now: Timestamp,
) -> RequestChange {
    RequestChange::Dispatched {
        request: RequestRef {
            status: Status::Approved,
            ..RequestRef::from(request)
        },
        step: pending.dispatch(),
        deadline: now.plus_secs(active.policies.dispatch_timeout_secs),
        acknowledged: None,
    }
}

fn parse_selector(text: &str) -> Result<Selector, Error> {
    Selector::parse(text).ok_or_else(|| {
        Error::invalid(format!("selector `{}` is not a selector", Shown(text)))
            .hint("write role:<name>, group:<name> or user:<id>")
    })
}

/// A pending request without a workflow: it can be neither approved nor rejected.
pub(super) fn without_workflow(request: &Request) -> Error {
    Error::bug(format!(
        "request {} is pending without a workflow",
        request.id
    ))
}

/// What the vote changes: the next step, or the approval.
fn book(
    request: &Request,
    pending: &Pending,
    workflow: &Workflow,
    mut votes: Vec<Vote>,
    vote: Vote,
    ttl_secs: u64,
    now: Timestamp,
) -> (RequestChange, Approved) {
    votes.push(vote.clone());
    let matched_selector = vote.selector.clone();
    let current = current_step(workflow, &votes);
    let total_steps = request.total_steps;
    let reference = RequestRef::from(request);
    let done = current >= total_steps;
    let approvals = votes.iter().filter(|v| v.action == VoteAction::Approve);
    let change = if done {
        RequestChange::Approved {
            request: reference,
            vote,
            step: pending.approve(),
            total_steps,
            votes: approvals.count(),
            approval_expires_at: now.plus_secs(ttl_secs),
            created_at: request.created_at,
        }
    } else {
        let index = usize::try_from(current).unwrap_or(usize::MAX);
        let approvers = workflow.steps.get(index).map_or(&[][..], |s| &s.approvers);
        RequestChange::StepApproved {
            request: reference,
            vote,
            current_step: current,
            total_steps,
            approvers: approvers.iter().map(|a| a.selector.clone()).collect(),
        }
    };
    let status = if done {
        Status::Approved
    } else {
        Status::Pending
    };
    let answer = Approved {
        id: request.id.clone(),
        status,
        current_step: current,
        total_steps,
        remaining: remaining(workflow, &votes),
        matched_selector,
        left: Left::of(request, status, Some(workflow), &votes),
    };
    (change, answer)
}

fn refuse<T>(
    app: &App,
    caller: &Caller,
    request: &Request,
    error: Error,
) -> Result<Verdict<T>, Error> {
    refuse_verb(app, caller, request, "request.approve", error)
}
