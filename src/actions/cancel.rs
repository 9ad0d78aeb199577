//! Calls a request off. One that runs is cancelled at once; its agent learns of it at the next heartbeat.

use super::attempt::{Attempt, attempted};
use super::refusals::refuse_verb;
use super::view_requests::ensure_visible;
use super::{App, note};
use crate::domain::actor::Caller;
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::permission::Permission;
use crate::domain::request::{Request, Status, Transition};
use crate::error::Error;
use crate::store::Verdict;
use std::sync::Arc;

/// Cancels request `id`: its requester, or a holder of `*`.
///
/// # Errors
/// 400 for a bad reason; 404; 403 `forbidden`; 409 `conflict` for one that has an outcome.
pub fn cancel(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    seen: Option<&str>,
    reason: Option<String>,
) -> Result<Status, Error> {
    const VERB: &str = "request.cancel";
    let reason = note("reason", reason)?;
    attempted(app, caller, id, seen, move |cx, attempt| {
        let (caller, request) = (attempt.caller, attempt.request);
        let step = match may_cancel(attempt) {
            Ok(step) => step,
            Err(error) => return refuse_verb(cx, caller, request, VERB, error),
        };
        let change = RequestChange::Cancelled {
            request: RequestRef::from(request),
            step,
            reason,
        };
        Ok(Verdict::Write(vec![change.into()], Status::Cancelled))
    })
}

/// Whether the caller may cancel the request now.
///
/// # Errors
/// As [`cancel`].
pub(super) fn may_cancel(attempt: &Attempt) -> Result<Transition, Error> {
    let (caller, request) = (attempt.caller, attempt.request);
    owner_may(caller, request, Permission::RequestCancel)
        .or_else(|e| ensure_visible(attempt.view, caller, request).and(Err(e)))?;
    attempt.ensure_as_seen()?;
    request.cancel().map_err(|refusal| refusal.error())
}

/// The rule of what only the requester, or a holder of `*`, may do with a request.
///
/// # Errors
/// `forbidden`.
pub(super) fn owner_may(
    caller: &Caller,
    request: &Request,
    permission: Permission,
) -> Result<(), Error> {
    let target = &request.target;
    if caller.rights.is_admin_on(target) {
        return Ok(());
    }
    caller.require_on(permission, target)?;
    if request.requester != caller.subject {
        return Err(Error::forbidden(
            "only the requester or an administrator may do that",
        ));
    }
    Ok(())
}
