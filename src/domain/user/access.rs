//! What a person can do now, and what gives it to them: the configuration, a token, or the identity provider.

use super::{SeenClaims, User};
use crate::domain::actor::SubjectType;
use crate::domain::permission::Role;
use crate::domain::policy::Policies;
use crate::domain::token::Token;
use std::collections::BTreeSet;

/// What gives somebody a role or puts them into a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessSource {
    /// A binding that names them, or the list of a group.
    Config,
    /// A binding that names a group they are in.
    Group(String),
    /// Nothing else does.
    Default,
    /// The token of that id, where they use it.
    Token(String),
    /// What the identity provider reported of them last.
    Claims,
    /// It is their turn now.
    OnCall,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRole {
    pub role: Role,
    pub source: AccessSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldGroup {
    pub group: String,
    pub source: AccessSource,
}

/// Roles and groups, each once for everything that gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    pub roles: Vec<HeldRole>,
    pub groups: Vec<HeldGroup>,
}

impl Access {
    /// The access of a person or an agent, of whom those are the tokens that count and the claims that were seen last.
    pub fn of(
        policies: &Policies,
        user: &User,
        tokens: &[Token],
        seen: Option<&SeenClaims>,
    ) -> Access {
        let mut access = Access::default();
        let configured = policies.groups_of(&user.id);
        for group in &configured {
            access.group(group, AccessSource::Config);
        }
        if user.subject_type == SubjectType::User {
            by_config(policies, user, &configured, &mut access);
        }
        let known: BTreeSet<String> = access.roles.iter().map(|h| h.role.name.clone()).collect();
        for token in tokens {
            let (rights, groups) = token.grant().rights(policies);
            let source = || AccessSource::Token(token.id.clone());
            for role in rights.acting().filter(|role| !known.contains(&role.name)) {
                access.role(role, source());
            }
            for group in groups.difference(&configured) {
                access.group(group, source());
            }
        }
        if let Some(seen) = seen {
            let new = seen.roles.iter().filter(|role| !known.contains(&role.name));
            for role in new {
                access.role(role, AccessSource::Claims);
            }
            for group in seen.groups.difference(&configured) {
                access.group(group, AccessSource::Claims);
            }
        }
        access
    }

    /// Adds a group in which they are on call.
    pub fn on_call(&mut self, group: &str) {
        self.group(group, AccessSource::OnCall);
    }

    fn role(&mut self, role: &Role, source: AccessSource) {
        let held = HeldRole {
            role: role.clone(),
            source,
        };
        if !self.roles.contains(&held) {
            self.roles.push(held);
        }
    }

    fn group(&mut self, group: &str, source: AccessSource) {
        self.groups.push(HeldGroup {
            group: group.to_owned(),
            source,
        });
    }
}

fn by_config(policies: &Policies, user: &User, groups: &BTreeSet<String>, access: &mut Access) {
    for (role, group) in policies.bound(&user.id, groups) {
        let by_group = group.map(|g| AccessSource::Group(g.to_owned()));
        access.role(role, by_group.unwrap_or(AccessSource::Config));
    }
    if access.roles.is_empty() {
        for role in user.roles_without_claims(policies) {
            access.role(&role, AccessSource::Default);
        }
    }
}
