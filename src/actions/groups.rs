//! Groups: those that the configuration defines, and those that it only names, which the identity provider fills.

use super::App;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::domain::policy::Policies;
use crate::error::Error;
use std::collections::BTreeSet;

/// A group as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDetail {
    pub name: String,
    /// Whether `[[auth.groups]]` defines it.
    pub is_defined: bool,
    /// Whether claims of the identity provider put people into it.
    pub from_claim: bool,
    /// Members by the configuration.
    pub members: BTreeSet<String>,
    /// Roles that bindings give to it.
    pub roles: BTreeSet<String>,
}

/// Every group that the configuration defines or names, by name.
///
/// # Errors
/// `forbidden` without `user.manage`.
pub fn list(app: &App, caller: &Caller) -> Result<Vec<GroupDetail>, Error> {
    caller.require(Permission::UserManage)?;
    let active = app.active();
    let names = active.policies.group_names();
    let groups = names.into_iter().map(|name| detail(&active.policies, name));
    Ok(groups.collect())
}

/// One of them.
///
/// # Errors
/// `forbidden` without `user.manage`; 404.
pub fn show(app: &App, caller: &Caller, name: &str) -> Result<GroupDetail, Error> {
    caller.require(Permission::UserManage)?;
    let active = app.active();
    match active.policies.group_names().contains(name) {
        true => Ok(detail(&active.policies, name)),
        false => Err(Error::not_found("group", name)),
    }
}

fn detail(policies: &Policies, name: &str) -> GroupDetail {
    let bindings = policies.bindings.iter();
    let bound = bindings.filter(|binding| binding.groups.contains(name));
    GroupDetail {
        name: name.to_owned(),
        is_defined: policies.groups.contains_key(name),
        from_claim: policies.is_from_claim(name),
        members: policies.groups.get(name).cloned().unwrap_or_default(),
        roles: bound.map(|binding| binding.role.clone()).collect(),
    }
}
