//! What a token lets its subject do, and whether one token may issue another.

use crate::domain::actor::SubjectType;
use crate::domain::change::RoleMode;
use crate::domain::permission::{Rights, Role};
use crate::domain::policy::Policies;
use std::collections::BTreeSet;

/// What of a token decides about rights: of a stored one, or of one that is about to be issued.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    pub subject_type: SubjectType,
    pub subject_id: &'a str,
    /// Role names that the token carries.
    pub roles: &'a [String],
    /// How those names count.
    pub role_mode: RoleMode,
    /// Groups that the token adds to those of its subject.
    pub groups: &'a [String],
}

impl Grant<'_> {
    /// Rights and groups under these policies (contract section 4, `POST /api/tokens`). An agent has the role of agents
    /// and no group, whatever its token carries; a person never has the role of agents.
    pub fn rights(&self, policies: &Policies) -> (Rights, BTreeSet<String>) {
        if self.subject_type == SubjectType::Agent {
            let held = policies.named_roles(&[Role::AGENT.to_owned()]);
            let rights = Rights {
                held,
                ceiling: None,
            };
            return (rights, BTreeSet::new());
        }
        let mut groups = policies.groups_of(self.subject_id);
        groups.extend(self.groups.iter().cloned());
        let named: Vec<Role> = policies
            .named_roles(self.roles)
            .into_iter()
            .filter(|r| r.name != Role::AGENT)
            .collect();
        let rights = match self.role_mode {
            RoleMode::Grant => Rights {
                held: named,
                ceiling: None,
            },
            RoleMode::Resolved => Rights {
                held: policies.roles_of(self.subject_id, &groups),
                ceiling: None,
            },
            RoleMode::Ceiling => Rights {
                held: policies.roles_of(self.subject_id, &groups),
                ceiling: Some(named),
            },
        };
        (rights, groups)
    }
}

/// Whether the holder of `own` holds all of `wanted`: each permission, in every scope where it would hold.
pub fn holds_all(own: &Rights, wanted: &Rights) -> bool {
    if own.is_admin() {
        return true;
    }
    let covered = |role: &Role| {
        role.permissions.iter().all(|p| {
            let by = |mine: &Role| mine.grants(*p) && mine.scope.contains(&role.scope);
            own.held.iter().any(by)
                && own
                    .ceiling
                    .as_ref()
                    .is_none_or(|ceiling| ceiling.iter().any(by))
        })
    };
    wanted.held.iter().all(covered)
        || wanted
            .ceiling
            .as_ref()
            .is_some_and(|ceiling| ceiling.iter().all(covered))
}

/// Whether a token with the `wanted` rights could do what the ceiling of `own` forbids, now or after its subject was
/// given more roles.
pub fn exceeds_ceiling(own: &Rights, wanted: &Rights) -> bool {
    let Some(own) = &own.ceiling else {
        return false;
    };
    let within = |role: &Role| {
        role.permissions.iter().all(|p| {
            own.iter()
                .any(|mine| mine.grants(*p) && mine.scope.contains(&role.scope))
        })
    };
    !own.iter().any(Role::is_admin)
        && !wanted
            .ceiling
            .as_ref()
            .is_some_and(|roles| roles.iter().all(within))
}

#[cfg(test)]
mod tests;
