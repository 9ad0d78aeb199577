//! Who is asked by a message in a channel, so that it can address them: by mention where their account there is known,
//! else by name.

use super::messages::{AskedPerson, NotificationFacts};
use super::{Shared, lookups};
use crate::actions::{Active, App};
use crate::clock::Timestamp;
use crate::config::Outlets;
use crate::domain::approval::{self, Vote, current_step};
use crate::domain::id::{Selector, Target};
use crate::domain::policy::Policies;
use crate::domain::policy::notification::{ESCALATED, REMINDED};
use crate::domain::policy::on_call::OnCall;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Request;
use crate::error::Error;
use crate::store::{View, is_unreadable};
use std::collections::BTreeSet;
use std::time::Instant;

/// People addressed by one message, at most.
const ADDRESSED_MAX: usize = 20;
/// People with Slack accounts, or with addresses of the identity provider, who are looked at for a role that the
/// configuration gives; and people who are asked of whom it is looked up where they are known.
const ACCOUNTS_MAX: u32 = 2_000;
pub(super) const LOOKED_AT_MAX: usize = 500;
/// Events of a request that waits for approval.
const ASKING: [&str; 4] = ["request.created", "step.approved", REMINDED, ESCALATED];

/// Whether an event asks somebody to approve.
pub(super) fn asks(event: &str) -> bool {
    ASKING.contains(&event)
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

/// A request that waits for approval, as it is now.
pub(super) struct Waiting {
    request: Request,
    workflow: Option<Workflow>,
    votes: Vec<Vote>,
}

/// A request; none where it does not wait for approval, or cannot be read, and so cannot be approved.
///
/// # Errors
/// When the store cannot read.
pub(super) fn waiting(view: &View, id: &str, now: Timestamp) -> Result<Option<Waiting>, Error> {
    match read_waiting(view, id, now) {
        Err(error) if is_unreadable(&error) => Ok(None),
        read => read,
    }
}

fn read_waiting(view: &View, id: &str, now: Timestamp) -> Result<Option<Waiting>, Error> {
    let Some(request) = view.find_request(id)? else {
        return Ok(None);
    };
    if request.corrupt || request.pending(now).is_err() {
        return Ok(None);
    }
    Ok(Some(Waiting {
        workflow: view.request_workflow(&request)?,
        votes: view.votes(&request)?,
        request,
    }))
}

impl Waiting {
    /// Selectors of the people whom an event asks.
    pub(super) fn selectors<'a>(
        &'a self,
        event: &str,
        policies: &'a Policies,
    ) -> Vec<&'a Selector> {
        let (target, workflow) = (&self.request.target, self.workflow.as_ref());
        selectors(event, target, workflow, &self.votes, policies)
    }

    /// People who have no vote in the step that waits.
    pub(super) fn without_vote(&self) -> BTreeSet<&str> {
        without_vote(self.workflow.as_ref(), &self.votes, &self.request.requester)
    }
}

/// People who have no vote in the step that waits, or did while it waited.
pub(super) fn without_vote<'a>(
    workflow: Option<&Workflow>,
    votes: &'a [Vote],
    requester: &'a str,
) -> BTreeSet<&'a str> {
    match workflow {
        Some(workflow) => approval::without_vote(workflow, votes, requester),
        None => BTreeSet::from([requester]),
    }
}

/// What says who is who at one time.
pub(super) struct People<'a> {
    app: &'a App,
    active: &'a Active,
    on_call: OnCall,
    outlets: &'a Outlets,
    now: Timestamp,
}

impl People<'_> {
    /// Those of a configuration at `now`, with the addresses of `outlets`.
    pub(super) fn new<'a>(
        app: &'a App,
        active: &'a Active,
        outlets: &'a Outlets,
        now: Timestamp,
    ) -> People<'a> {
        People {
            app,
            active,
            on_call: app.on_call_by(active, now),
            outlets,
            now,
        }
    }

    /// As [`Self::asked`] for a message in a channel, which says as well of whom it is not known who they are.
    ///
    /// # Errors
    /// When the store cannot read.
    pub(super) fn addressed(
        &self,
        view: &View,
        selectors: &[&Selector],
        left_out: &BTreeSet<&str>,
    ) -> Result<Vec<AskedPerson>, Error> {
        let mut asked = self.asked(view, selectors, left_out, ADDRESSED_MAX)?;
        let unknown = self.unknown_groups(selectors);
        asked.extend(unknown.into_iter().map(|(group, _)| AskedPerson {
            id: format!("those on call in {group} (not known now)"),
            slack_user_id: None,
            email: None,
        }));
        Ok(asked)
    }

    /// On-call groups among these of which it is not known who is on call, and why.
    pub(super) fn unknown_groups(&self, selectors: &[&Selector]) -> Vec<(String, String)> {
        let unknown = selectors.iter().filter_map(|selector| match selector {
            Selector::Group(group) => {
                let why = self.app.on_call_unknown(group, self.now)?;
                Some((group.clone(), why))
            }
            _ => None,
        });
        unknown.collect()
    }

    /// The people whom selectors name but for those `left_out`, `at_most` so many: whose account is known first, then
    /// whose address is.
    ///
    /// # Errors
    /// When the store cannot read.
    pub(super) fn asked(
        &self,
        view: &View,
        selectors: &[&Selector],
        left_out: &BTreeSet<&str>,
        at_most: usize,
    ) -> Result<Vec<AskedPerson>, Error> {
        let with_account = view.slack_people(ACCOUNTS_MAX)?.into_iter();
        let with_address = view.claimed_emails(ACCOUNTS_MAX)?.into_iter();
        let known: Vec<String> = with_account.chain(with_address).map(|(id, _)| id).collect();
        let by_state = view.approvers_by_state(selectors, &self.active.policies, self.now)?;
        let known = known.iter().chain(self.outlets.addresses.keys());
        let known = known.map(String::as_str).collect();
        let mut people = named(selectors, &self.active.policies, &self.on_call, &known);
        people.extend(by_state.people.iter().map(String::as_str));
        let people = people.into_iter().filter(|id| !left_out.contains(id));
        let mut asked = Vec::new();
        for id in people.take(LOOKED_AT_MAX) {
            asked.extend(person(view, id, self.outlets)?);
        }
        asked.sort_by_key(|p| (p.slack_user_id.is_none(), p.email.is_none()));
        asked.truncate(at_most);
        Ok(asked)
    }
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
    let Some(id) = facts.request_id().filter(|_| asks(event)) else {
        return Ok(Vec::new());
    };
    let (active, now) = (shared.app.active(), shared.app.clock.now());
    let everybody = People::new(&shared.app, &active, outlets, now);
    let mut people = shared.app.store.read(|view| {
        let Some(waiting) = waiting(view, id, now)? else {
            return Ok(Vec::new());
        };
        let selectors = waiting.selectors(event, &active.policies);
        everybody.addressed(view, &selectors, &waiting.without_vote())
    })?;
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
