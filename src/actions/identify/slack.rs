//! People who act through their linked Slack account.

use crate::actions::App;
use crate::clock::Timestamp;
use crate::domain::actor::{Caller, Origin, SubjectType};
use crate::domain::permission::Rights;
use crate::domain::user::User;
use crate::error::Error;
use crate::store::View;

/// The person to whom that Slack account is linked, with the roles that bindings and defaults give. Everybody else who
/// linked it, or issued a token with which it was linked, is in the issuer chain: they may own the account.
///
/// # Errors
/// `unauthenticated` for an account that is linked to nobody, to somebody who is suspended, or with a token that does not
/// count any more.
pub fn by_slack(app: &App, slack_user_id: &str, origin: Origin) -> Result<Caller, Error> {
    let active = app.active();
    let now = app.clock.now();
    let person = app.store.read(|view| {
        let subject = view.find_slack_user(slack_user_id)?;
        let person = subject.map(|id| view.find_user(&id)).transpose()?.flatten();
        Ok(match person {
            Some(person) if slack_link_counts(view, &person, now)? => Some(person),
            _ => None,
        })
    })?;
    let person = person
        .filter(|p| p.active && p.subject_type == SubjectType::User)
        .ok_or_else(Error::unauthenticated)?;
    let mut groups = active.policies.groups_of(&person.id);
    let held = person.roles_without_claims(&active.policies);
    let on_call = app.on_call_by(&active, now);
    groups.extend(on_call.groups_of(&person.id).map(str::to_owned));
    Ok(Caller {
        kind: SubjectType::User,
        token_id: None,
        session_id: None,
        slack_linked_with: person.slack_linked_with,
        token_issuer: None,
        token_issuers: person.slack_linkers,
        bound_to: None,
        rights: Rights {
            held,
            ceiling: None,
        },
        groups,
        subject: person.id,
        generation: active.generation,
        expires_at: None,
        origin,
    })
}

/// Whether the account of a person acts for them: what they linked with a token of theirs does while that counts.
///
/// # Errors
/// When the store cannot read.
pub(in crate::actions) fn slack_link_counts(
    view: &View,
    person: &User,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(token_id) = &person.slack_linked_with else {
        return Ok(true);
    };
    let token = view.find_token(token_id)?;
    Ok(token.is_some_and(|token| token.counts(now)))
}
