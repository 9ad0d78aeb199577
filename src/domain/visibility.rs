//! Who sees a request, learns its status and reads its result; and the same as scopes, for lists.

use crate::domain::actor::Caller;
use crate::domain::approval::{Vote, VoteRefusal};
use crate::domain::id::Selector;
use crate::domain::permission::{Permission, Scopes};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Request, Status};
use crate::domain::scope::RoleScope;
use crate::error::Error;

/// What a token with a ceiling must let through for its holder to see what they have decided.
const DECIDED: [Permission; 2] = [Permission::RequestView, Permission::RequestApprove];

/// Whether the caller may see a request: their own, those they may decide or have decided, everybody's where they hold
/// `*`, and what is pending where they hold `request.approve`.
///
/// # Errors
/// `forbidden`.
pub fn may_view(
    caller: &Caller,
    request: &Request,
    workflow: Option<&Workflow>,
    votes: &[Vote],
) -> Result<(), Error> {
    let target = &request.target;
    let own = request.requester == caller.subject;
    let pending = request.status() == Status::Pending;
    let designated =
        || workflow.is_some_and(|workflow| request.ballot(workflow, votes).is_designated(caller));
    let lets = |permission| caller.rights.lets_through(permission, target);
    let decides = DECIDED.into_iter().any(lets);
    let sees = caller.rights.is_admin_on(target)
        || (own && caller.may_on(Permission::RequestView, target))
        || (decides && votes.iter().any(|v| v.actor == caller.subject))
        || (pending && caller.may_on(Permission::RequestApprove, target))
        || (pending && designated());
    if sees {
        return Ok(());
    }
    if own {
        let message = format!("permission denied: request.view on {target}");
        return Err(Error::forbidden(message).hint(
            "your own requests, too, are shown by a role with request.view; ask for one that has it",
        ));
    }
    Err(Error::forbidden(format!(
        "permission denied: request.view on {target} for a request of somebody else"
    )))
}

/// The same for a vote: anybody whom a step names learns the status, so that a vote that comes too late gets
/// that answer, whether the request was decided, or has expired and was swept.
///
/// # Errors
/// `forbidden`; `not_an_approver` for somebody whom a step names but whose token does not vote.
pub fn may_learn_status(
    caller: &Caller,
    request: &Request,
    workflow: Option<&Workflow>,
    votes: &[Vote],
) -> Result<(), Error> {
    let (target, requester) = (&request.target, request.requester.as_str());
    let steps = workflow.into_iter().flat_map(|w| &w.steps);
    let mut entries = steps.flat_map(|s| &s.approvers);
    let mut named = entries.clone();
    if entries.any(|a| caller.votes_as(&a.selector, target, requester)) {
        return Ok(());
    }
    let named = named.any(|a| caller.matches(&a.selector, target, requester));
    may_view(caller, request, workflow, votes).map_err(|error| match named {
        true => VoteRefusal::BeyondCeiling.error(),
        false => error,
    })
}

/// Whether the caller may read the result of a request though nobody shared it with them: as its requester, as an
/// administrator, or by `access` of the policy of results.
///
/// # Errors
/// `forbidden` without `result.view` where the request runs, with which alone a shared result is read.
pub fn may_read_unshared(
    caller: &Caller,
    request: &Request,
    access: &[Selector],
) -> Result<bool, Error> {
    let target = &request.target;
    caller.require_on(Permission::ResultView, target)?;
    Ok(request.requester == caller.subject
        || caller.rights.is_admin_on(target)
        || is_named(caller, request, access))
}

/// Whether the caller is among those with whom the requester shares the result.
///
/// # Errors
/// `forbidden`.
pub fn may_read_shared(
    caller: &Caller,
    request: &Request,
    share_with: &[Selector],
) -> Result<(), Error> {
    match is_named(caller, request, share_with) {
        true => Ok(()),
        false => Err(Error::forbidden(
            "this result is not shared with you, and you are not its requester",
        )),
    }
}

fn is_named(caller: &Caller, request: &Request, selectors: &[Selector]) -> bool {
    let mut selectors = selectors.iter();
    selectors.any(|s| caller.matches(s, &request.target, &request.requester))
}

/// Who looks at a list, as far as it decides what they see: the rules of this module as scopes, which the store turns
/// into conditions.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    pub subject: String,
    /// Where the caller may view (their own).
    pub view: Scopes,
    /// Where the caller holds `*`: everybody's.
    pub admin: Scopes,
    /// Where the caller may view whatever is pending.
    pub approve: Scopes,
    /// Where the caller may vote as somebody `selectors` name.
    pub votes: Scopes,
    /// Where the caller may view what they have decided.
    pub decided: Scopes,
    /// Selectors that name the caller wherever they stand: `user:x`, `group:y`.
    pub selectors: Vec<String>,
    /// Roles that name the caller, each where it covers the request.
    pub roles: Vec<(String, RoleScope)>,
}

impl Viewer {
    /// Of requests: [`may_view`].
    pub fn of_requests(caller: &Caller) -> Viewer {
        let rights = &caller.rights;
        let groups = caller.groups.iter().cloned().map(Selector::Group);
        let selectors = std::iter::once(Selector::User(caller.subject.clone())).chain(groups);
        Viewer {
            subject: caller.subject.clone(),
            view: rights.scopes(Permission::RequestView),
            admin: rights.scopes(Permission::All),
            approve: rights.scopes(Permission::RequestApprove),
            votes: rights.let_through_scopes(&[Permission::RequestApprove]),
            decided: rights.let_through_scopes(&DECIDED),
            selectors: selectors.map(|s| s.to_string()).collect(),
            roles: rights.acting_scopes(),
        }
    }

    /// Of results, which are listed only where they may be read: [`may_read_unshared`] and [`may_read_shared`].
    pub fn of_results(caller: &Caller) -> Viewer {
        Viewer {
            view: caller.rights.scopes(Permission::ResultView),
            ..Viewer::of_requests(caller)
        }
    }
}

#[cfg(test)]
mod tests;
