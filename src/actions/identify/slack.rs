//! People who act through their linked Slack account.

use crate::actions::App;
use crate::domain::actor::{Caller, Origin, SubjectType};
use crate::domain::permission::Rights;
use crate::error::Error;

/// The person to whom that Slack account is linked, with the roles that bindings and defaults give. Everybody else who
/// linked it, or issued a token with which it was linked, is in the issuer chain: they may own the account.
///
/// # Errors
/// `unauthenticated` for an account that is linked to nobody, or to somebody who is suspended.
pub fn by_slack(app: &App, slack_user_id: &str, origin: Origin) -> Result<Caller, Error> {
    let active = app.active();
    let person = app.store.read(|view| {
        let subject = view.find_slack_user(slack_user_id)?;
        subject.map(|id| view.find_user(&id)).transpose()
    })?;
    let person = person
        .flatten()
        .filter(|p| p.active && p.subject_type == SubjectType::User)
        .ok_or_else(Error::unauthenticated)?;
    let mut groups = active.policies.groups_of(&person.id);
    let held = active.policies.roles_of(&person.id, &groups);
    let on_call = app.on_call_by(&active, app.clock.now());
    groups.extend(on_call.groups_of(&person.id).map(str::to_owned));
    Ok(Caller {
        kind: SubjectType::User,
        token_id: None,
        session_id: None,
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
