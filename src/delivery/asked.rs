//! Who is asked by a message in a channel, so that it can address them: by mention where their account there is known,
//! else by name.

use super::messages::{AskedPerson, NotificationFacts};
use super::{Shared, lookups};
use crate::clock::Timestamp;
use crate::config::Outlets;
use crate::domain::approval::{Vote, current_step};
use crate::domain::id::{Selector, Target};
use crate::domain::policy::Policies;
use crate::domain::policy::notification::{ESCALATED, REMINDED};
use crate::domain::policy::on_call::OnCall;
use crate::domain::policy::workflow::Workflow;
use crate::error::Error;
use crate::store::View;
use std::collections::BTreeSet;
use std::time::Instant;

/// People addressed by one message, at most.
const ASKED_MAX: usize = 20;
/// People with Slack accounts, or with addresses of the identity provider, who are looked at for a role that the
/// configuration gives; and people who are asked of whom it is looked up where they are known.
const ACCOUNTS_MAX: u32 = 2_000;
const LOOKED_AT_MAX: usize = 500;
/// Events of a request that waits for approval.
const ASKING: [&str; 4] = ["request.created", "step.approved", REMINDED, ESCALATED];

/// Selectors of the people whom an event asks, while a request waits: those of its step, or to whom it is escalated.
pub(super) fn selectors<'a>(
    event: &str,
    target: &Target,
    workflow: Option<&'a Workflow>,
    votes: &[Vote],
    policies: &'a Policies,
) -> Vec<&'a Selector> {
    if event == ESCALATED {
        let policy = policies.notification(target);
        return policy.map_or_else(Vec::new, |p| p.escalate_to.iter().collect());
    }
    let Some(workflow) = workflow else {
        return Vec::new();
    };
    let index = usize::try_from(current_step(workflow, votes)).unwrap_or(usize::MAX);
    let entries = workflow.steps.get(index).map(|step| &step.approvers);
    entries.into_iter().flatten().map(|e| &e.selector).collect()
}

/// The people whom selectors name but for those `left_out`: whose account is known first, then whose address is.
///
/// # Errors
/// When the store cannot read.
pub(super) fn asked(
    view: &View,
    selectors: &[&Selector],
    policies: &Policies,
    on_call: &OnCall,
    outlets: &Outlets,
    now: Timestamp,
    left_out: impl Fn(&str) -> bool,
) -> Result<Vec<AskedPerson>, Error> {
    let with_account = view.slack_people(ACCOUNTS_MAX)?.into_iter();
    let with_address = view.claimed_emails(ACCOUNTS_MAX)?.into_iter();
    let known: Vec<String> = with_account.chain(with_address).map(|(id, _)| id).collect();
    let by_state = view.approvers_by_state(selectors, policies, now)?;
    let known = known.iter().chain(outlets.addresses.keys());
    let known = known.map(String::as_str).collect();
    let mut people = named(selectors, policies, on_call, &known);
    people.extend(by_state.people.iter().map(String::as_str));
    let people = people.into_iter().filter(|id| !left_out(id));
    let mut asked = Vec::new();
    for id in people.take(LOOKED_AT_MAX) {
        asked.extend(person(view, id, outlets)?);
    }
    asked.sort_by_key(|p| (p.slack_user_id.is_none(), p.email.is_none()));
    asked.truncate(ASKED_MAX);
    Ok(asked)
}

/// A person, and where they are known; none who may not act: they are asked nothing, and mentioned nowhere.
///
/// # Errors
/// When the store cannot read.
pub(super) fn person(
    view: &View,
    id: &str,
    outlets: &Outlets,
) -> Result<Option<AskedPerson>, Error> {
    let user = view.find_user(id)?;
    if user.as_ref().is_some_and(|user| !user.active) {
        return Ok(None);
    }
    let (account, claimed) = user.map_or((None, None), |u| (u.slack_user_id, u.claimed_email));
    Ok(Some(AskedPerson {
        slack_user_id: account,
        email: outlets.addresses.get(id).cloned().or(claimed),
        id: id.to_owned(),
    }))
}

/// Finds accounts of people of whom only an address is known, where the Slack app may ask for them; for messages that go
/// to Slack, since its answers may be slow.
pub(super) fn look_up<'p>(
    shared: &Shared,
    outlets: &Outlets,
    people: impl Iterator<Item = &'p mut AskedPerson>,
) {
    let Some(slack) = &outlets.slack else {
        return;
    };
    let (now, deadline) = (
        shared.app.clock.now(),
        Instant::now() + lookups::MESSAGE_TIMEOUT,
    );
    for person in people.filter(|p| p.slack_user_id.is_none()) {
        if let Some(email) = &person.email {
            let (lookups, api) = (&shared.lookups, &shared.slack);
            person.slack_user_id = lookups.account(api, slack, email, now, deadline);
        }
    }
}

/// The people whom a notification asks; none where it asks nobody. Accounts are looked up where they are `for_slack`.
///
/// # Errors
/// When the store cannot read.
pub(super) fn people(
    shared: &Shared,
    outlets: &Outlets,
    event: &str,
    facts: &NotificationFacts,
    for_slack: bool,
) -> Result<Vec<AskedPerson>, Error> {
    let Some(id) = facts.request_id().filter(|_| ASKING.contains(&event)) else {
        return Ok(Vec::new());
    };
    let (active, now) = (shared.app.active(), shared.app.clock.now());
    let policies = &active.policies;
    let on_call = shared.app.on_call_by(&active, now);
    let found = shared.app.store.read(|view| {
        let Some(request) = view.find_request(id)? else {
            return Ok(None);
        };
        if request.corrupt || request.pending(now).is_err() {
            return Ok(None);
        }
        let workflow = view.request_workflow(&request)?;
        let votes = view.votes(&request)?;
        let selectors = selectors(event, &request.target, workflow.as_ref(), &votes, policies);
        let is_out =
            |id: &str| id == request.requester || votes.iter().any(|vote| vote.actor == id);
        let people = asked(view, &selectors, policies, &on_call, outlets, now, is_out)?;
        Ok(Some(people))
    })?;
    let mut people = found.unwrap_or_default();
    if for_slack {
        look_up(shared, outlets, people.iter_mut());
    }
    Ok(people)
}

/// The people whom selectors name: by the configuration, and of those who are known anywhere, by their roles.
fn named<'a>(
    selectors: &[&'a Selector],
    policies: &'a Policies,
    on_call: &'a OnCall,
    known: &BTreeSet<&'a str>,
) -> BTreeSet<&'a str> {
    let mut people = BTreeSet::new();
    for selector in selectors {
        match selector {
            Selector::Requester => {}
            Selector::User(id) => {
                people.insert(id.as_str());
            }
            Selector::Group(name) => {
                let listed = policies.groups.get(name).into_iter().flatten();
                let members = listed.chain(on_call.0.get(name).into_iter().flatten());
                people.extend(members.map(String::as_str));
            }
            Selector::Role(name) => {
                let holds = |id: &&&str| {
                    let roles = policies.roles_of(id, &policies.groups_of(id));
                    roles.iter().any(|role| role.name == *name)
                };
                people.extend(known.iter().filter(holds));
            }
        }
    }
    people
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_name_configured_people_and_known_holders_of_roles() {
        let mut policies = Policies::empty();
        policies.default_role = Some("readonly".to_owned());
        let set = |ids: &[&str]| {
            ids.iter()
                .map(|id| (*id).to_owned())
                .collect::<BTreeSet<_>>()
        };
        policies
            .groups
            .insert("team".to_owned(), set(&["ann", "bob"]));
        let on_call = OnCall([("night".to_owned(), set(&["eve"]))].into());
        let known = BTreeSet::from(["ann", "max"]);
        for (selectors, people) in [
            ("group:team", "ann bob"),
            ("group:night user:lead", "eve lead"),
            ("role:readonly", "ann max"),
            ("role:admin group:gone requester", ""),
        ] {
            let selectors: Vec<Selector> = selectors
                .split(' ')
                .map(|text| Selector::parse(text).unwrap())
                .collect();
            let selectors: Vec<&Selector> = selectors.iter().collect();
            let found = named(&selectors, &policies, &on_call, &known);
            assert_eq!(
                found.into_iter().collect::<Vec<_>>().join(" "),
                people,
                "{selectors:?}"
            );
        }
    }
}
