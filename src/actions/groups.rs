//! Groups: those that the configuration defines, and those that it only names, which the identity provider fills.

use super::App;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::domain::policy::Policies;
use crate::domain::policy::on_call::{OnCall, OnCallGroup, OnCallSource};
use crate::error::Error;
use std::collections::BTreeSet;

/// A group as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDetail {
    pub name: String,
    /// Whether `[[auth.groups]]` or `[[on_call]]` defines it.
    pub is_defined: bool,
    /// Whether claims of the identity provider put people into it.
    pub from_claim: bool,
    /// Whether its members take turns, and by what.
    pub on_call: Option<OnCallDetail>,
    /// Members by the configuration; of those who take turns, who is on call now.
    pub members: BTreeSet<String>,
    /// Roles that bindings give to it.
    pub roles: BTreeSet<String>,
}

/// What decides who is on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCallDetail {
    /// `rotation`, or the name of the service.
    pub by: &'static str,
    /// When the service gave the answer that counts now; none for a rotation, and where nothing does.
    pub answered_at: Option<Timestamp>,
    /// Why the service has not answered since.
    pub failure: Option<String>,
}

/// Every group that the configuration defines or names, by name.
///
/// # Errors
/// `forbidden` without `user.manage`.
pub fn list(app: &App, caller: &Caller) -> Result<Vec<GroupDetail>, Error> {
    caller.require(Permission::UserManage)?;
    let active = app.active();
    let names = active.policies.group_names();
    let on_call = app.on_call_by(&active, app.clock.now());
    let groups = names
        .into_iter()
        .map(|name| detail(app, &active.policies, &on_call, name));
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
        true => {
            let on_call = app.on_call_by(&active, app.clock.now());
            Ok(detail(app, &active.policies, &on_call, name))
        }
        false => Err(Error::not_found("group", name)),
    }
}

fn detail(app: &App, policies: &Policies, on_call: &OnCall, name: &str) -> GroupDetail {
    let group = policies.on_call.iter().find(|g| g.name == name);
    let members = match group {
        Some(_) => on_call.0.get(name).cloned(),
        None => policies.groups.get(name).cloned(),
    };
    let bindings = policies.bindings.iter();
    let bound = bindings.filter(|binding| binding.groups.contains(name));
    GroupDetail {
        name: name.to_owned(),
        is_defined: group.is_some() || policies.groups.contains_key(name),
        from_claim: policies.is_from_claim(name),
        on_call: group.map(|group| on_call_detail(app, group)),
        members: members.unwrap_or_default(),
        roles: bound.map(|binding| binding.role.clone()).collect(),
    }
}

fn on_call_detail(app: &App, group: &OnCallGroup) -> OnCallDetail {
    let OnCallSource::Service { service } = &group.source else {
        return OnCallDetail {
            by: "rotation",
            answered_at: None,
            failure: None,
        };
    };
    let now = app.clock.now();
    let kept = app.caches.on_call.of(group);
    let answer = kept.as_ref().and_then(|k| k.answer.as_ref());
    OnCallDetail {
        by: service.kind.as_str(),
        answered_at: answer.filter(|a| a.counts(now)).map(|a| a.at),
        failure: kept.and_then(|k| k.failure),
    }
}
