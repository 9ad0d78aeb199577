//! Turns a pending request down. One rejection is final.

use super::approve::without_workflow;
use super::attempt::{Attempt, attempted};
use super::refusals::refuse_verb;
use super::unreadable;
use super::{App, note};
use crate::domain::actor::Caller;
use crate::domain::approval::{Vote, VoteAction};
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Status;
use crate::domain::visibility::may_learn_status;
use crate::error::Error;
use crate::store::Verdict;
use std::sync::Arc;

/// Rejects request `id`: the requester, a designated approver of the current step, or a holder of `*` where
/// they may step in. `comment` says why.
///
/// # Errors
/// 400 for a bad comment; 404; 403 `forbidden`, `not_an_approver`; 409 `conflict`, `corrupt`; 410
/// `gone`.
pub fn reject(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    seen: Option<&str>,
    comment: Option<String>,
) -> Result<Status, Error> {
    const VERB: &str = "request.reject";
    let comment = note("comment", comment)?;
    attempted(app, caller, id, seen, move |cx, attempt| {
        let (view, caller, request) = (attempt.view, attempt.caller, attempt.request);
        let now = attempt.now;
        let workflow = view.request_workflow(request)?;
        let votes = view.votes(request)?;
        let (selector, step) = match may_reject(attempt, workflow.as_ref(), &votes) {
            Ok(booked) => booked,
            Err(error) => return refuse_verb(cx, caller, request, VERB, error),
        };
        if let Err(unproven) = view.prove_pending(request) {
            return unreadable::refuse(view, &request.id, unproven);
        }
        let vote = Vote {
            actor: caller.subject.clone(),
            action: VoteAction::Reject,
            selector,
            step,
            comment,
            issued_by_requester: caller.has_token_of(&request.requester),
            at: now,
            counts: true,
        };
        let pending = request.pending(now).map_err(|refusal| refusal.error())?;
        let change = RequestChange::Rejected {
            request: RequestRef::from(request),
            vote,
            step: pending.reject(),
        };
        Ok(Verdict::Write(vec![change.into()], Status::Rejected))
    })
}

/// Whether the caller may reject the request now: what that would be booked on, and the step, 0-based.
///
/// # Errors
/// As [`reject`].
pub(super) fn may_reject(
    attempt: &Attempt,
    workflow: Option<&Workflow>,
    votes: &[Vote],
) -> Result<(String, u32), Error> {
    let (caller, request) = (attempt.caller, attempt.request);
    // A caller may reject their own request even where they may not view it.
    if request.requester != caller.subject {
        may_learn_status(caller, request, workflow, votes)?;
    }
    attempt.ensure_as_seen()?;
    request
        .pending(attempt.now)
        .map_err(|refusal| refusal.error())?;
    let workflow = workflow.ok_or_else(|| without_workflow(request))?;
    let ballot = request.ballot(workflow, votes);
    let selector = ballot.reject(caller).map_err(|refusal| refusal.error())?;
    Ok((selector, ballot.step().map_or(0, |(index, _)| index)))
}
