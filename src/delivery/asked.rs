//! Who is asked by a message in a channel, so that it can address them: by mention where their account there is known,
//! else by name.

use super::Shared;
use super::messages::NotificationFacts;
use crate::config::Outlets;
use crate::domain::approval::{Vote, current_step};
use crate::domain::id::{Selector, Target};
use crate::domain::policy::Policies;
use crate::domain::policy::notification::{ESCALATED, REMINDED};
use crate::domain::policy::on_call::OnCall;
use crate::domain::policy::workflow::Workflow;
use crate::error::Error;
use std::collections::{BTreeMap, BTreeSet};

/// People addressed by one message, at most.
const ASKED_MAX: usize = 20;
/// People with Slack accounts who are looked at.
pub(super) const ACCOUNTS_MAX: u32 = 2_000;
/// Events of a request that waits for approval.
const ASKING: [&str; 4] = ["request.created", "step.approved", REMINDED, ESCALATED];

/// Somebody who is asked, and where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskedPerson {
    pub(super) id: String,
    pub(super) slack_user_id: Option<String>,
    pub(super) email: Option<String>,
}

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

/// The people whom a notification asks, in the order of their ids; none where it asks nobody.
///
/// # Errors
/// When the store cannot read.
pub(super) fn people(
    shared: &Shared,
    outlets: &Outlets,
    event: &str,
    facts: &NotificationFacts,
) -> Result<Vec<AskedPerson>, Error> {
    let Some(id) = facts.request_id().filter(|_| ASKING.contains(&event)) else {
        return Ok(Vec::new());
    };
    let found = shared.app.store.read(|view| {
        let Some(request) = view.find_request(id)? else {
            return Ok(None);
        };
        let workflow = view.request_workflow(&request)?;
        let votes = view.votes(&request)?;
        let accounts = view.slack_people(ACCOUNTS_MAX)?;
        let claimed = view.claimed_emails(ACCOUNTS_MAX)?;
        Ok(Some((request, workflow, votes, accounts, claimed)))
    })?;
    let Some((request, workflow, votes, accounts, claimed)) = found else {
        return Ok(Vec::new());
    };
    let now = shared.app.clock.now();
    if request.corrupt || request.pending(now).is_err() {
        return Ok(Vec::new());
    }
    let active = shared.app.active();
    let policies = &active.policies;
    let selectors = selectors(event, &request.target, workflow.as_ref(), &votes, policies);
    let accounts: BTreeMap<String, String> = accounts.into_iter().collect();
    let mut addresses: BTreeMap<String, String> = claimed.into_iter().collect();
    addresses.extend(outlets.addresses.clone());
    let known = accounts.keys().chain(addresses.keys());
    let known: BTreeSet<&str> = known.map(String::as_str).collect();
    let on_call = shared.app.on_call_by(&active, now);
    let mut people = named(&selectors, policies, &on_call, &known);
    people.remove(request.requester.as_str());
    people.retain(|id| !votes.iter().any(|v| v.actor == *id));
    let asked = people.into_iter().take(ASKED_MAX).map(|id| AskedPerson {
        slack_user_id: accounts.get(id).cloned(),
        email: addresses.get(id).cloned(),
        id: id.to_owned(),
    });
    Ok(asked.collect())
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
    fn selectors_name_people_of_the_configuration_and_holders_of_roles_who_are_known() {
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
