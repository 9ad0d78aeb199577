//! Tokens: whether one counts, and what it lets its subject do.

pub mod issue;

use crate::clock::Timestamp;
use crate::domain::actor::SubjectType;
use crate::domain::id::Target;
use crate::domain::permission::{Rights, Role};
use crate::domain::policy::Policies;
use crate::domain::scope::{self, Scope};
use std::collections::BTreeSet;

/// What every secret of a token starts with, so that scanners for leaked secrets find it.
pub const SECRET_PREFIX: &str = "dbw_";

/// How the roles of a token count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleMode {
    /// Resolved at every request; the token names none.
    Resolved,
    /// The named roles are what it grants.
    Grant,
    /// The named roles are the most it can do of what its subject holds.
    Ceiling,
}

impl RoleMode {
    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            RoleMode::Resolved => "resolved",
            RoleMode::Grant => "grant",
            RoleMode::Ceiling => "ceiling",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<RoleMode> {
        [RoleMode::Resolved, RoleMode::Grant, RoleMode::Ceiling]
            .into_iter()
            .find(|m| m.as_str() == text)
    }
}

/// A token as it was issued; nothing of it changes. The secret itself is never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// UUID.
    pub id: String,
    pub subject_type: SubjectType,
    pub subject_id: String,
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// The eight characters by which people recognise it.
    pub prefix: String,
    /// What it is for.
    pub name: Option<String>,
    pub roles: Vec<String>,
    pub role_mode: RoleMode,
    pub groups: Vec<String>,
    /// Who counts as its issuer; `system` at the first start.
    pub issuer: String,
    /// Its issuer chain: its issuer, and the issuer chain of the token it was issued with.
    pub issuers: BTreeSet<String>,
    /// The targets that an agent's token is bound to, `*` for every name; none where it is bound to none.
    pub bound_to: Option<Vec<Scope>>,
    pub expires_at: Option<Timestamp>,
    /// The token that it was issued with, if there was one.
    pub parent_id: Option<String>,
    /// The session that its subject issued it in, if they did: it ends with it.
    pub session_id: Option<String>,
}

impl Token {
    /// What of it decides about rights.
    pub fn grant(&self) -> Grant<'_> {
        Grant {
            subject_type: self.subject_type,
            subject_id: &self.subject_id,
            roles: &self.roles,
            role_mode: self.role_mode,
            groups: &self.groups,
        }
    }

    /// Whether an agent may work on `target` with it.
    pub fn reaches(&self, target: &Target) -> bool {
        scope::reaches(self.bound_to.as_deref(), target)
    }
}

/// A token and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    pub token: Token,
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to within a minute.
    pub last_used_at: Option<Timestamp>,
    /// Whether its subject may act.
    pub subject_active: bool,
}

impl StoredToken {
    /// Why the token does not count now, for a metric; `None` if it does.
    pub fn rejection_reason(&self, now: Timestamp) -> Option<&'static str> {
        if self.revoked_at.is_some() {
            Some("revoked")
        } else if self.token.expires_at.is_some_and(|at| at <= now) {
            Some("expired")
        } else if !self.subject_active {
            Some("suspended")
        } else {
            None
        }
    }

    /// Whether it counts now.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.rejection_reason(now).is_none()
    }
}

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
    /// and no group, whatever its token carries; a person never has the role of agents. No token puts anybody on call,
    /// and who is now is not in the groups.
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
        let own = self.groups.iter().filter(|g| !policies.is_on_call(g));
        groups.extend(own.cloned());
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
