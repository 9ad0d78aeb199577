//! What a caller may do with a request now. Each verb is decided by the function that its action decides by, so that
//! what is offered is what is accepted.

use super::App;
use super::approve::may_approve;
use super::attempt::Attempt;
use super::cancel::may_cancel;
use super::rehearse::{may_rehearse, refusal_of};
use super::reject::may_reject;
use super::resume::may_resume;
use super::view_requests::Detail;
use crate::domain::actor::Caller;
use crate::error::{Error, ErrorKind};

/// What a caller may do with a request now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Of the verbs of the API `approve`, `reject`, `resume`, `cancel` and `rehearse` those that would be accepted.
    pub verbs: Vec<&'static str>,
    /// Whether `resume` wants it acknowledged that the outcome of the last execution is unknown.
    pub needs_acknowledgement: bool,
}

/// What the caller may do with the request that they look at; none where that cannot be found out.
pub fn of(app: &App, caller: &Caller, shown: &Detail) -> Option<Allowed> {
    let found = find(app, caller, shown);
    let id = &shown.request.id;
    found
        .inspect_err(|error| log::warn!("what may be done with request {id} is unknown: {error}"))
        .ok()
}

fn find(app: &App, caller: &Caller, shown: &Detail) -> Result<Allowed, Error> {
    let active = app.active();
    let (workflow, votes) = (shown.text.workflow.as_ref(), &shown.votes);
    let mut allowed = app.store.read(|view| {
        let attempt = Attempt {
            view,
            active: &active,
            caller,
            request: &shown.request,
            seen: None,
            now: shown.now,
        };
        let resumes = accepted(may_resume(&attempt, true).map(|step| step.is_some()))?;
        let by_verb = [
            (
                "approve",
                accepted(may_approve(&attempt, workflow, votes, None).map(|_| true))?,
            ),
            (
                "reject",
                accepted(may_reject(&attempt, workflow, votes).map(|_| true))?,
            ),
            ("resume", resumes),
            ("cancel", accepted(may_cancel(&attempt).map(|_| true))?),
            (
                "rehearse",
                accepted(may_rehearse(&attempt, None).map(|()| true))?,
            ),
        ];
        let may = by_verb.into_iter().filter(|(_, may)| *may);
        Ok(Allowed {
            verbs: may.map(|(verb, _)| verb).collect(),
            needs_acknowledgement: resumes && !accepted(may_resume(&attempt, false).map(|_| true))?,
        })
    })?;
    // The text is read only where nothing else is against it.
    if allowed.verbs.contains(&"rehearse")
        && refusal_of(app, &shown.request, &shown.text)?.is_some()
    {
        allowed.verbs.retain(|verb| *verb != "rehearse");
    }
    Ok(allowed)
}

/// Whether something would be done; an error only where that cannot be found out.
fn accepted(decided: Result<bool, Error>) -> Result<bool, Error> {
    match decided {
        Err(error) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable) => {
            Err(error)
        }
        Err(_) => Ok(false),
        decided => decided,
    }
}
