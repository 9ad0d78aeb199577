//! Policies: what configuration says about who must approve what, and how it may run.
//!
//! Everything here is a checked value; [`Policies::canonical`] is its text, kept by SHA-256 so that any past decision
//! can be computed again from what decided it.

pub mod auto_approve;
pub mod execution;
pub mod notification;
pub mod on_call;
pub mod result;
pub mod review;
mod text;
pub mod workflow;

use crate::crypto::sha256_hex;
use crate::domain::dialect::Dialect;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::Role;
use crate::domain::scope::{Scope, most_specific};
use auto_approve::AutoApprove;
use execution::ExecutionPolicy;
use notification::NotificationPolicy;
use on_call::{OnCallGroup, OnCallSource};
use result::{RESULT_TTL_DAYS, ResultPolicy};
use review::ReviewPolicy;
use std::collections::{BTreeMap, BTreeSet};
use workflow::Workflow;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub name: String,
    /// Its environments, in the order of the file.
    pub environments: Vec<String>,
    /// Its dialect, where the file says; otherwise what agents report.
    pub dialect: Option<Dialect>,
}

impl Database {
    fn has_environment(&self, name: &str) -> bool {
        self.environments.iter().any(|e| e == name)
    }
}

/// Gives a role to people and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub role: String,
    /// People who get it.
    pub subjects: BTreeSet<String>,
    /// Groups whose members get it.
    pub groups: BTreeSet<String>,
}

/// Gives a role by a claim of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleMapping {
    /// The claim; dots lead into objects.
    pub claim: String,
    /// What it must be, or have in its list.
    pub value: String,
    pub role: String,
}

/// Everything that decides, as one immutable value; a reload replaces it whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    pub databases: Vec<Database>,
    pub workflows: Vec<Workflow>,
    pub execution: Vec<ExecutionPolicy>,
    pub review: Vec<ReviewPolicy>,
    pub auto_approve: Vec<AutoApprove>,
    pub result: Vec<ResultPolicy>,
    pub notification: Vec<NotificationPolicy>,
    /// All roles by name, the built-in ones included.
    pub roles: BTreeMap<String, Role>,
    /// Members of each group.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that claims of the identity provider add people to.
    pub claim_groups: BTreeSet<String>,
    /// Groups whose members take turns; none of them is in `groups`.
    pub on_call: Vec<OnCallGroup>,
    /// Who gets which role.
    pub bindings: Vec<Binding>,
    /// The role of somebody whom no binding names.
    pub default_role: Option<String>,
    /// Who gets which role by claims of the identity provider.
    pub role_mappings: Vec<RoleMapping>,
    /// The role of somebody who comes from there and has no other; before `default_role`.
    pub oidc_default_role: Option<String>,
    /// Seconds a request may wait for approval, and an approval for its use, where the workflow does not say.
    pub approval_ttl_secs: u64,
    /// Seconds until a dispatched job that nobody claims goes back.
    pub dispatch_timeout_secs: u64,
    /// Days that a result is kept where no policy says.
    pub result_ttl_days: u32,
}

impl Policies {
    /// Policies that refuse everything: no database, no workflow; the built-in roles.
    pub fn empty() -> Policies {
        Policies {
            databases: Vec::new(),
            workflows: Vec::new(),
            execution: Vec::new(),
            review: Vec::new(),
            auto_approve: Vec::new(),
            result: Vec::new(),
            notification: Vec::new(),
            roles: Role::built_in()
                .into_iter()
                .map(|r| (r.name.clone(), r))
                .collect(),
            groups: BTreeMap::new(),
            claim_groups: BTreeSet::new(),
            on_call: Vec::new(),
            bindings: Vec::new(),
            default_role: None,
            role_mappings: Vec::new(),
            oidc_default_role: None,
            approval_ttl_secs: 86_400,
            dispatch_timeout_secs: 300,
            result_ttl_days: RESULT_TTL_DAYS,
        }
    }

    /// The registered database that has this target.
    pub fn database(&self, target: &Target) -> Option<&Database> {
        self.databases
            .iter()
            .find(|d| d.name == target.database() && d.has_environment(target.environment()))
    }

    /// The dialect that the configuration names for a target.
    pub fn dialect(&self, target: &Target) -> Option<Dialect> {
        self.database(target)?.dialect
    }

    /// All registered targets, in the order of the file. Configuration checks the names; nothing else is a target.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.databases.iter().flat_map(|d| {
            let named = |environment| Target::new(&d.name, environment).ok();
            d.environments.iter().filter_map(move |e| named(e))
        })
    }

    /// The workflow that applies: the most specific scope that covers the target and takes the operation; within one
    /// scope, one that lists the operation before one that takes all.
    pub fn workflow(&self, target: &Target, operation: Operation) -> Option<&Workflow> {
        let taking = |listed: bool| {
            let takes =
                move |w: &&Workflow| w.takes(operation) && w.operations.is_empty() != listed;
            self.workflows.iter().filter(takes)
        };
        most_specific(taking(false).chain(taking(true)), |w| &w.scope, target)
    }

    /// The execution policy that applies, or the default.
    pub fn execution(&self, target: &Target) -> ExecutionPolicy {
        most_specific(&self.execution, |p| &p.scope, target)
            .cloned()
            .unwrap_or_default()
    }

    /// The auto-approval that applies, if any.
    pub fn auto_approve(&self, target: &Target) -> Option<&AutoApprove> {
        most_specific(&self.auto_approve, |p| &p.scope, target)
    }

    /// The review policy that applies, or the default.
    pub fn review(&self, target: &Target) -> ReviewPolicy {
        most_specific(&self.review, |p| &p.scope, target)
            .cloned()
            .unwrap_or_else(ReviewPolicy::default_policy)
    }

    /// Whether an entry of the configuration decides that, and not the default.
    pub fn has_execution(&self, target: &Target) -> bool {
        self.execution
            .iter()
            .any(|p| p.scope.score(target).is_some())
    }

    /// The result policy where none is configured.
    pub fn plain_result(&self) -> ResultPolicy {
        ResultPolicy {
            retention_days: self.result_ttl_days,
            ..ResultPolicy::default()
        }
    }

    /// The result policy that applies, or the default.
    pub fn result(&self, target: &Target) -> ResultPolicy {
        most_specific(&self.result, |p| &p.scope, target)
            .cloned()
            .unwrap_or_else(|| self.plain_result())
    }

    /// Each result policy with the scopes of those that apply before it: within its own scope and none of these, it is the
    /// one that [`Policies::result`] finds.
    pub fn result_precedence(&self) -> impl Iterator<Item = (&ResultPolicy, Vec<&Scope>)> {
        let ranked = |n: usize| (self.result[n].scope.weight(), n);
        (0..self.result.len()).map(move |n| {
            let before = (0..self.result.len()).filter(move |other| ranked(*other) > ranked(n));
            let scopes = before.map(|other| &self.result[other].scope).collect();
            (&self.result[n], scopes)
        })
    }

    /// The notification policy that applies, if any does.
    pub fn notification(&self, target: &Target) -> Option<&NotificationPolicy> {
        notification::resolve(&self.notification, target)
    }

    /// Groups that configuration puts `subject` in.
    pub fn groups_of(&self, subject: &str) -> BTreeSet<String> {
        self.groups
            .iter()
            .filter(|(_, members)| members.contains(subject))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether a claim of the identity provider puts people into that group: not into one whose members the
    /// configuration lists, unless it says so.
    pub fn is_from_claim(&self, group: &str) -> bool {
        let is_listed = self.groups.contains_key(group) || self.is_on_call(group);
        !is_listed || self.claim_groups.contains(group)
    }

    /// Whether the members of that group take turns.
    pub fn is_on_call(&self, group: &str) -> bool {
        self.on_call.iter().any(|g| g.name == group)
    }

    /// Everybody who can be in that on-call group; none where a service decides, which may name anybody.
    pub fn everybody_on_call(&self, group: &str) -> Option<BTreeSet<&str>> {
        let found = self.on_call.iter().find(|g| g.name == group)?;
        match &found.source {
            OnCallSource::Rotation { rotation } => Some(rotation.everybody()),
            OnCallSource::Service { .. } => None,
        }
    }

    /// Every group that is defined, or that a step, a result policy or a binding names.
    pub fn group_names(&self) -> BTreeSet<&str> {
        let steps = self.workflows.iter().flat_map(|w| &w.steps);
        let approvers = steps.flat_map(|s| s.approvers.iter().map(|a| &a.selector));
        let readers = self.result.iter().flat_map(|p| &p.access);
        let named = approvers
            .chain(readers)
            .filter_map(|selector| match selector {
                Selector::Group(name) => Some(name),
                _ => None,
            });
        let bound = self.bindings.iter().flat_map(|b| &b.groups);
        let on_call = self.on_call.iter().map(|g| &g.name);
        let names = self.groups.keys().chain(named).chain(bound).chain(on_call);
        names.map(String::as_str).collect()
    }

    /// Every person whom a group, a binding, a step or a notification policy names.
    pub fn people(&self) -> BTreeSet<&str> {
        let steps = self.workflows.iter().flat_map(|w| &w.steps);
        let approvers = steps.flat_map(|s| s.approvers.iter().map(|a| &a.selector));
        let escalated = self.notification.iter().flat_map(|n| &n.escalate_to);
        let named = approvers
            .chain(escalated)
            .filter_map(|selector| match selector {
                Selector::User(id) => Some(id),
                _ => None,
            });
        let listed = self.groups.values().flatten();
        let bound = self.bindings.iter().flat_map(|b| &b.subjects);
        let ids = listed.chain(bound).chain(named);
        ids.map(String::as_str).collect()
    }

    /// Each role that a binding gives to `subject`, with the group of `groups` by which it does; none by name. Once for
    /// each way, in the order of the bindings. A binding never gives the rights of an agent.
    pub fn bound<'a>(
        &'a self,
        subject: &'a str,
        groups: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = (&'a Role, Option<&'a str>)> {
        let bindings = self.bindings.iter().filter(|b| b.role != Role::AGENT);
        bindings.flat_map(move |binding| {
            let by_name = binding.subjects.contains(subject).then_some(None);
            let by_group = binding.groups.intersection(groups).map(|g| Some(&**g));
            let role = self.roles.get(&binding.role);
            let ways = by_name.into_iter().chain(by_group);
            ways.filter_map(move |way| Some((role?, way)))
        })
    }

    /// Roles that bindings give to `subject`, directly or through `groups`, by name.
    pub fn bound_roles(&self, subject: &str, groups: &BTreeSet<String>) -> Vec<Role> {
        let bound = self.bound(subject, groups);
        let roles: BTreeMap<&str, &Role> = bound.map(|(role, _)| (&*role.name, role)).collect();
        roles.into_values().cloned().collect()
    }

    /// Roles of a person: by binding, or the default role where no binding names them.
    pub fn roles_of(&self, subject: &str, groups: &BTreeSet<String>) -> Vec<Role> {
        let mut bound = self.bound_roles(subject, groups);
        if bound.is_empty() {
            bound.extend(
                self.default_role
                    .as_ref()
                    .and_then(|n| self.roles.get(n))
                    .cloned(),
            );
        }
        bound
    }

    /// Roles of a person who comes from the identity provider: by its claims and by binding, or the default
    /// role where neither gives one. `values` are those of the claims, by name. Neither a mapping nor a default
    /// gives the rights of an agent.
    pub fn roles_by_claims(
        &self,
        subject: &str,
        groups: &BTreeSet<String>,
        values: &BTreeMap<String, BTreeSet<String>>,
    ) -> Vec<Role> {
        let says = |m: &&RoleMapping| values.get(&m.claim).is_some_and(|v| v.contains(&m.value));
        let mapped = self.role_mappings.iter().filter(says).map(|m| &m.role);
        let bound = self.bound_roles(subject, groups);
        let mut names: BTreeSet<&String> = mapped.chain(bound.iter().map(|r| &r.name)).collect();
        names.retain(|name| *name != Role::AGENT);
        if names.is_empty() {
            let default = self
                .oidc_default_role
                .as_ref()
                .or(self.default_role.as_ref());
            names.extend(default.filter(|name| *name != Role::AGENT));
        }
        names
            .into_iter()
            .filter_map(|n| self.roles.get(n))
            .cloned()
            .collect()
    }

    /// Forgets a role, and everything that would give it to somebody.
    pub fn forget_role(&mut self, name: &str) {
        self.roles.remove(name);
        self.bindings.retain(|b| b.role != name);
        self.role_mappings.retain(|m| m.role != name);
        for default in [&mut self.default_role, &mut self.oidc_default_role] {
            if default.as_deref() == Some(name) {
                *default = None;
            }
        }
    }

    /// Whether approvers of a workflow or readers of results are named by this role: then it is worth more than its
    /// permissions.
    pub fn names_role(&self, name: &str) -> bool {
        let is_it = |selector: &Selector| matches!(selector, Selector::Role(role) if role == name);
        let steps = self.workflows.iter().flat_map(|w| &w.steps);
        let mut approvers = steps.flat_map(|s| &s.approvers);
        let mut readers = self.result.iter().flat_map(|p| &p.access);
        approvers.any(|a| is_it(&a.selector)) || readers.any(is_it)
    }

    /// The roles of these names that exist now.
    pub fn named_roles(&self, names: &[String]) -> Vec<Role> {
        names
            .iter()
            .filter_map(|n| self.roles.get(n))
            .cloned()
            .collect()
    }

    /// The name of these policies: SHA-256 of [`Policies::canonical`].
    pub fn version(&self) -> String {
        sha256_hex(self.canonical().as_bytes())
    }
}

#[cfg(test)]
mod tests;
