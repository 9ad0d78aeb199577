//! That somebody can administer the server is never given up by mistake: whatever would take the last administrator
//! away, be it a suspension, a revocation, a deleted role or a new configuration, is refused.
//!
//! Somebody is an administrator by holding `*` for all databases and environments, with a way to authenticate: a token
//! of ours that counts, or the identity provider, where a binding names them. Whom only the provider's claims make one
//! cannot be known beforehand; but the caller is there, and counts. The way out is a start with `--force-bootstrap`.

use super::App;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::permission::Role;
use crate::domain::policy::Policies;
use crate::error::Error;
use crate::store::View;

/// What is about to be given up; everything else stays.
#[derive(Default)]
pub(super) struct Loss<'a> {
    /// People who will be suspended.
    pub(super) people: &'a [String],
    /// Ids of tokens that will be revoked.
    pub(super) tokens: &'a [&'a str],
    /// The policies that will be applied, where they change.
    pub(super) policies: Option<&'a Policies>,
    /// Who does it; nobody where configuration does.
    pub(super) by: Option<&'a Caller>,
}

/// Refuses a loss with which the last administrator would go. Without one, nothing is lost.
///
/// # Errors
/// 409 `last_admin`.
pub(super) fn ensure_one_stays(
    app: &App,
    view: &View,
    policies: &Policies,
    losing: &Loss,
    now: Timestamp,
) -> Result<(), Error> {
    let nothing = Loss {
        by: losing.by,
        ..Loss::default()
    };
    if any(app, view, policies, losing, now)? || !any(app, view, policies, &nothing, now)? {
        return Ok(());
    }
    Err(Error::conflict(
        "last_admin",
        "after this nobody could administer the server any more",
    )
    .hint("give somebody else the role `admin` first"))
}

/// Whether there is an administrator when this is lost.
fn any(
    app: &App,
    view: &View,
    policies: &Policies,
    losing: &Loss,
    now: Timestamp,
) -> Result<bool, Error> {
    let policies = losing.policies.unwrap_or(policies);
    let stays = |subject: &str| losing.people.iter().all(|id| id != subject);
    let mode = app.sign_in.mode;
    let acts = |caller: &&Caller| {
        let comes_by_provider = caller.token_id.is_none();
        comes_by_provider && stays(&caller.subject) && administers(&caller.rights.held, policies)
    };
    if losing.by.filter(acts).is_some() {
        return Ok(true);
    }
    let by_token = mode.takes_tokens()
        && view.any_live_token(now, |t| {
            stays(&t.token.subject_id)
                && !losing.tokens.contains(&t.token.id.as_str())
                && t.token.grant().rights(policies).0.is_admin()
        })?;
    if by_token || !mode.takes_oidc() {
        return Ok(by_token);
    }
    let bound = policies
        .bindings
        .iter()
        .filter(|b| policies.roles.get(&b.role).is_some_and(Role::is_admin))
        .flat_map(|b| &b.subjects);
    for subject in bound.filter(|subject| stays(subject)) {
        // Somebody who has not come yet may come.
        if view.find_user(subject)?.is_none_or(|user| user.active) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether roles that somebody holds now make them an administrator under other policies.
fn administers(held: &[Role], policies: &Policies) -> bool {
    held.iter()
        .filter_map(|role| policies.roles.get(&role.name))
        .any(Role::is_admin)
}
