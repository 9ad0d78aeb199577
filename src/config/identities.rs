//! Databases, people, groups, roles and bindings: what the rest of the configuration may refer to.

use super::ConfiguredUser;
use super::check::{database_name, environment_name, id, is_id, not_a_name, one_of};
use super::raw::{RawBinding, RawConfig, RawDatabase, RawGroup, RawRole};
use crate::domain::dialect::Dialect;
use crate::domain::id::{is_name, is_subject};
use crate::domain::permission::{Permission, Role};
use crate::domain::policy::{Binding, Database, Policies};
use crate::domain::scope::RoleScope;
use crate::error::Shown;
use crate::settings::{Notes, Spanned, Text, Texts};
use std::collections::BTreeSet;

/// Fills in databases and groups, and returns the users.
pub(super) fn check(
    raw: &RawConfig,
    policies: &mut Policies,
    notes: &mut Notes,
) -> Vec<ConfiguredUser> {
    for entry in &raw.databases {
        database(entry, policies, notes);
    }
    let users = users(raw, notes);
    for entry in &raw.auth.groups {
        group(entry, policies, notes);
    }
    users
}

/// Fills in roles, bindings, whose groups must be known, and the default role.
pub(super) fn check_roles(raw: &RawConfig, policies: &mut Policies, notes: &mut Notes) {
    for entry in &raw.auth.roles {
        role(entry, policies, notes);
    }
    for entry in &raw.auth.role_bindings {
        binding(entry, policies, notes);
    }
    policies.default_role = role_of_people(&raw.auth.default_role, policies, notes);
}

/// The name of a role that people are to get, if it exists; that it is the role of agents is a warning.
pub(super) fn role_of_people(
    spanned: &Text,
    policies: &Policies,
    notes: &mut Notes,
) -> Option<String> {
    let spanned = spanned
        .as_ref()
        .filter(|s| role_exists(s, policies, notes))?;
    if spanned.value == Role::AGENT {
        notes.warn(
            &spanned.at,
            "a role of agents gives people nothing; agents get it with their token, not from here",
        );
    }
    Some(spanned.value.clone())
}

/// Notes a problem and returns `false` where `taken` says that the value is there already.
pub(super) fn is_new(
    spanned: &Spanned<String>,
    what: &str,
    taken: bool,
    notes: &mut Notes,
) -> bool {
    if taken {
        let message = format!("{what} `{}` is there already", Shown(&spanned.value));
        notes.problem(&spanned.at, message);
    }
    !taken
}

fn database(raw: &RawDatabase, policies: &mut Policies, notes: &mut Notes) {
    let dialect = one_of(&raw.dialect, None, notes, |text| {
        Dialect::parse(text)
            .map(Some)
            .ok_or("not one of `postgresql`, `mysql`, `sqlite`")
    });
    if let (Some(dialect), Some(raw)) = (dialect, &raw.dialect)
        && dialect.as_str() != raw.value
    {
        let message = format!(
            "`{}` is read as `{}`; write that",
            Shown(&raw.value),
            dialect.as_str()
        );
        notes.warn(&raw.at, message);
    }
    let mut environments = Vec::new();
    for spanned in &raw.environments.value {
        if !is_name(&spanned.value) {
            not_a_name(spanned, "environment", notes);
        } else if is_new(
            spanned,
            "environment",
            environments.contains(&spanned.value),
            notes,
        ) {
            environments.push(spanned.value.clone());
        }
    }
    let Some(spanned) = &raw.name else {
        id(&raw.name, &raw.at, "name", notes);
        return;
    };
    if !is_name(&spanned.value) {
        not_a_name(spanned, "database", notes);
        return;
    }
    let taken = policies.databases.iter().any(|d| d.name == spanned.value);
    if !is_new(spanned, "database", taken, notes) {
        return;
    }
    if raw.environments.value.is_empty() {
        notes.warn(
            &raw.at,
            "this database has no environments, so nothing can run on it",
        );
    }
    policies.databases.push(Database {
        name: spanned.value.clone(),
        environments,
        dialect,
    });
}

fn users(raw: &RawConfig, notes: &mut Notes) -> Vec<ConfiguredUser> {
    let mut users = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in &raw.users {
        let active = one_of(&entry.status, true, notes, |text| match text {
            "active" => Ok(true),
            "suspended" => Ok(false),
            _ => Err("not one of `active`, `suspended`"),
        });
        let id = id(&entry.id, &entry.at, "id", notes);
        if let (Some(id), Some(spanned)) = (id, &entry.id)
            && is_person(spanned, notes)
            && is_new(spanned, "user", !seen.insert(id.clone()), notes)
        {
            let email = email_address(&entry.email, notes);
            users.push(ConfiguredUser { id, active, email });
        }
    }
    users
}

fn email_address(spanned: &Text, notes: &mut Notes) -> Option<String> {
    let spanned = spanned.as_ref()?;
    if !super::email::is_address(&spanned.value) {
        let message = format!("`{}` is not an e-mail address", Shown(&spanned.value));
        notes.problem(&spanned.at, message);
        return None;
    }
    Some(spanned.value.clone())
}

/// Whether an id of the right shape can be a person's; otherwise a problem is noted.
pub(super) fn is_person(spanned: &Spanned<String>, notes: &mut Notes) -> bool {
    let good = is_subject(&spanned.value);
    if !good {
        let message = format!(
            "`{}` is reserved, or holds an invisible character",
            Shown(&spanned.value)
        );
        notes.problem(&spanned.at, message);
    }
    good
}

fn group(raw: &RawGroup, policies: &mut Policies, notes: &mut Notes) {
    let name = id(&raw.name, &raw.at, "name", notes);
    let members = people(&raw.members, notes);
    let place = &raw.members.at;
    let from_claim = raw.from_claim == Some(true);
    if raw.members.value.is_empty() && !from_claim && !notes.has_problem(&place.key) {
        notes.problem(
            place,
            "a group needs at least one member, or `from_claim = true`",
        );
    }
    if let (Some(name), Some(spanned)) = (name, &raw.name)
        && is_new(spanned, "group", policies.groups.contains_key(&name), notes)
    {
        if from_claim {
            policies.claim_groups.insert(name.clone());
        }
        policies.groups.insert(name, members);
    }
}

/// The ids of a list of people; one that is repeated is a warning.
pub(super) fn people(list: &Texts, notes: &mut Notes) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for spanned in &list.value {
        if is_id(spanned, notes) && is_person(spanned, notes) && !set.insert(spanned.value.clone())
        {
            notes.warn(
                &spanned.at,
                format!("`{}` is named twice in this list", Shown(&spanned.value)),
            );
        }
    }
    set
}

fn role(raw: &RawRole, policies: &mut Policies, notes: &mut Notes) {
    let name = id(&raw.name, &raw.at, "name", notes);
    let mut permissions = BTreeSet::new();
    for spanned in &raw.permissions.value {
        let found = Permission::from_config(&spanned.value);
        if found.is_empty() {
            let all: Vec<_> = Permission::ALL.iter().map(|p| p.as_str()).collect();
            let message = format!(
                "no permission `{}`; there are {}; docs/permissions-and-risk.md says what each allows",
                Shown(&spanned.value),
                all.join(", ")
            );
            notes.problem(&spanned.at, message);
        }
        permissions.extend(found);
    }
    let undivided = permissions.iter().find(|p| p.is_undivided());
    let limited = [&raw.databases, &raw.environments]
        .into_iter()
        .find(|list| !list.value.is_empty() && list.value.iter().all(|s| s.value != "*"));
    if let (Some(permission), Some(list)) = (undivided, limited) {
        let message = format!(
            "`{}` belongs to no database, so a role that is limited to some does not give it",
            permission.as_str()
        );
        notes.warn(&list.at, message);
    }
    let place = &raw.permissions.at;
    if raw.permissions.value.is_empty() && !notes.has_problem(&place.key) {
        notes.problem(place, "a role needs at least one permission");
    }
    for spanned in &raw.databases.value {
        database_name(spanned, policies, notes);
    }
    for spanned in &raw.environments.value {
        environment_name(spanned, "*", policies, notes);
    }
    let (Some(name), Some(spanned)) = (name, &raw.name) else {
        return;
    };
    let taken = policies.roles.get(&name).map(|r| r.built_in);
    if taken == Some(true) {
        let message = format!("role `{name}` is built in and cannot be redefined");
        notes.problem(&spanned.at, message);
    } else if is_new(spanned, "role", taken.is_some(), notes) {
        let names = |list: &Texts| list.value.iter().map(|s| s.value.clone()).collect();
        let role = Role {
            name: name.clone(),
            permissions,
            scope: RoleScope {
                databases: names(&raw.databases),
                environments: names(&raw.environments),
            },
            built_in: false,
        };
        policies.roles.insert(name, role);
    }
}

fn binding(raw: &RawBinding, policies: &mut Policies, notes: &mut Notes) {
    let subjects = people(&raw.subjects, notes);
    let mut groups = BTreeSet::new();
    for spanned in &raw.groups.value {
        if policies.is_on_call(&spanned.value) {
            let message = "its members take turns, and a role lasts; bind the role to people who are to have it always";
            notes.problem(&spanned.at, message);
        } else if group_exists(spanned, policies, notes) {
            groups.insert(spanned.value.clone());
        }
    }
    if raw.subjects.value.is_empty()
        && raw.groups.value.is_empty()
        && !notes.has_problem(&raw.at.key)
    {
        notes.problem(&raw.at, "neither `subjects` nor `groups` says who gets it");
    }
    let Some(spanned) = &raw.role else {
        id(&raw.role, &raw.at, "role", notes);
        return;
    };
    if role_of_people(&raw.role, policies, notes).is_none() {
        return;
    }
    let binding = Binding {
        role: spanned.value.clone(),
        subjects,
        groups,
    };
    if policies.bindings.contains(&binding) {
        notes.problem(&raw.at, "the same binding is there already");
    } else {
        policies.bindings.push(binding);
    }
}

/// Whether the role that is referred to exists; otherwise a problem is noted, unless roles are in disorder anyway.
pub(super) fn role_exists(
    spanned: &Spanned<String>,
    policies: &Policies,
    notes: &mut Notes,
) -> bool {
    let exists = policies.roles.contains_key(&spanned.value);
    if !exists && !notes.names_unclear("auth.roles") {
        let message = format!(
            "role `{}` is neither built in nor under `[[auth.roles]]`",
            Shown(&spanned.value)
        );
        notes.problem(&spanned.at, message);
    }
    exists
}

/// Whether the group that is referred to exists; otherwise a problem is noted, unless groups are in disorder anyway, or
/// an identity provider may know it.
pub(super) fn group_exists(
    spanned: &Spanned<String>,
    policies: &Policies,
    notes: &mut Notes,
) -> bool {
    let exists =
        policies.groups.contains_key(&spanned.value) || policies.is_on_call(&spanned.value);
    if !exists && notes.open_groups {
        return true;
    }
    if !exists && !notes.names_unclear("auth.groups") && !notes.names_unclear("on_call") {
        let message = format!(
            "group `{}` is not under `[[auth.groups]]` or `[[on_call]]`",
            Shown(&spanned.value)
        );
        notes.problem(&spanned.at, message);
    }
    exists
}
