//! Who can approve, as far as it is known: for those who wait for it. Who may is decided with each vote.

use super::{Active, App};
use crate::clock::Timestamp;
use crate::domain::id::{Selector, Target};
use crate::domain::policy::workflow::WorkflowStep;
use crate::error::Error;
use crate::store::View;
use std::collections::BTreeSet;

/// People shown of one selector, at most.
const PEOPLE_MAX: usize = 10;

/// The people of one approver entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedApprovers {
    /// Ids, sorted.
    pub people: Vec<String>,
    /// Whether there are others, or may be: they are too many, or claims of the identity provider decide.
    pub others: bool,
}

/// The people of each approver entry of a step on `target`, but for those `left_out`.
pub(super) fn of_step(
    app: &App,
    view: &View,
    active: &Active,
    step: &WorkflowStep,
    target: &Target,
    now: Timestamp,
    left_out: &BTreeSet<&str>,
) -> Result<Vec<NamedApprovers>, Error> {
    let suspended: BTreeSet<String> = view.suspended_users()?.into_iter().collect();
    let entries = step.approvers.iter().map(|entry| {
        let selector = &entry.selector;
        let mut people = by_configuration(app, active, selector, target, now);
        let by_state = view.approvers_by_state(&[selector], &active.policies, now)?;
        people.extend(by_state.people);
        people.retain(|id| !left_out.contains(id.as_str()) && !suspended.contains(id));
        let is_cut = people.len() > PEOPLE_MAX;
        Ok(NamedApprovers {
            people: people.into_iter().take(PEOPLE_MAX).collect(),
            others: is_cut || by_state.is_cut || is_open(app, active, selector),
        })
    });
    entries.collect()
}

fn by_configuration(
    app: &App,
    active: &Active,
    selector: &Selector,
    target: &Target,
    now: Timestamp,
) -> BTreeSet<String> {
    let policies = &active.policies;
    match selector {
        Selector::Requester => BTreeSet::new(),
        Selector::User(id) => BTreeSet::from([id.clone()]),
        Selector::Group(name) => {
            let listed = policies.groups.get(name).into_iter().flatten().cloned();
            let on_call = app.on_call_by(active, now).0.remove(name);
            listed.chain(on_call.unwrap_or_default()).collect()
        }
        Selector::Role(name) => {
            let covers = policies.roles.get(name).is_some_and(|r| r.covers(target));
            let holds = |id: &&str| {
                let roles = policies.roles_of(id, &policies.groups_of(id));
                covers && roles.iter().any(|role| role.name == *name)
            };
            let people = policies.people().into_iter().filter(holds);
            people.map(str::to_owned).collect()
        }
    }
}

/// Whether somebody may be it of whom this server does not know yet.
fn is_open(app: &App, active: &Active, selector: &Selector) -> bool {
    let policies = &active.policies;
    let provider = app.sign_in.mode.takes_oidc() && app.sign_in.provider.is_some();
    match selector {
        Selector::Requester | Selector::User(_) => false,
        Selector::Group(name) => provider && policies.is_from_claim(name),
        Selector::Role(name) => {
            let is_default = policies.default_role.as_ref() == Some(name);
            let by_claim = policies.oidc_default_role.as_ref() == Some(name)
                || policies.role_mappings.iter().any(|m| m.role == *name)
                || policies
                    .bindings
                    .iter()
                    .any(|b| b.role == *name && b.groups.iter().any(|g| policies.is_from_claim(g)));
            is_default || (provider && by_claim)
        }
    }
}
