//! Hands an approved request to the agents; or runs one again where policy allows.

use super::attempt::{Attempt, attempted};
use super::awaited::Left;
use super::cancel::owner_may;
use super::refusals::refuse_verb;
use super::{App, note};
use crate::domain::actor::Caller;
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::permission::Permission;
use crate::domain::policy::workflow::Dispatch;
use crate::domain::request::{State, Status, Transition};
use crate::error::Error;
use crate::store::Verdict;
use std::sync::Arc;

/// What a client may say when it resumes.
#[derive(Debug, Clone, Default)]
pub struct ResumeInput {
    /// It knows that the outcome of the last execution is unknown, and wants to run it all the same.
    pub acknowledge_unknown_outcome: bool,
    pub reason: Option<String>,
}

/// Dispatches request `id`: its requester, or a holder of `*`. What a workflow with `dispatch = "on_approval"` has
/// dispatched, and what runs there, stays as it is.
///
/// # Errors
/// 503 while draining; 400; 404; 403 `forbidden`; 409 `conflict`, `max_executions_reached`, `retry_disabled`,
/// `dialect_changed`; 410 `gone`; 422 `database_not_registered`, `outcome_unknown`, `reason_required` for an
/// acknowledgement without a reason.
pub fn resume(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    seen: Option<&str>,
    input: ResumeInput,
) -> Result<(Status, Left), Error> {
    const VERB: &str = "request.resume";
    let reason = note("reason", input.reason)?;
    let acknowledged = input.acknowledge_unknown_outcome;
    if acknowledged && reason.is_none() {
        return Err(Error::refused(
            "reason_required",
            "reason is required to run a request again whose outcome is unknown",
        )
        .hint("send a `reason` with `acknowledge_unknown_outcome`"));
    }
    attempted(app, caller, id, seen, move |cx, attempt| {
        let (caller, request) = (attempt.caller, attempt.request);
        let now = attempt.now;
        let step = match may_resume(attempt, acknowledged) {
            Ok(Some(step)) => step,
            Ok(None) => {
                let left = Left::of(request, request.status(), None, &[]);
                return Ok(Verdict::Same((request.status(), left)));
            }
            Err(error) => return refuse_verb(cx, caller, request, VERB, error),
        };
        let uncertain = match request.state() {
            State::Lost(_) => true,
            State::Ended(ended) => ended.is_uncertain(),
            _ => false,
        };
        let counts = acknowledged && uncertain;
        let change = RequestChange::Dispatched {
            request: RequestRef::from(request),
            step,
            deadline: now.plus_secs(attempt.active.policies.dispatch_timeout_secs),
            acknowledged: reason.filter(|_| counts),
        };
        let left = Left::of(request, Status::Dispatched, None, &[]);
        Ok(Verdict::Write(
            vec![change.into()],
            (Status::Dispatched, left),
        ))
    })
}

/// Whether the caller may dispatch the request now. None where the last vote has dispatched it already, so that nobody
/// needs to do it again.
///
/// # Errors
/// As [`resume`].
pub(super) fn may_resume(
    attempt: &Attempt,
    acknowledged: bool,
) -> Result<Option<Transition>, Error> {
    let (caller, request) = (attempt.caller, attempt.request);
    owner_may(caller, request, Permission::RequestResume)?;
    attempt.ensure_as_seen()?;
    if matches!(request.status(), Status::Dispatched | Status::Running)
        && attempt
            .view
            .request_workflow(request)?
            .is_some_and(|w| w.dispatch == Dispatch::OnApproval)
    {
        return Ok(None);
    }
    attempt.ensure_current()?;
    let policy = attempt.active.policies.execution(&request.target);
    let step = request.resume(&policy, acknowledged, attempt.now);
    step.map(Some).map_err(|refusal| refusal.error())
}
