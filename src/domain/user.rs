//! People: whether they may act, and what gives them their roles and groups.

mod access;

pub use access::{Access, AccessSource, HeldGroup, HeldRole};

use crate::clock::Timestamp;
use crate::domain::actor::SubjectType;
use crate::domain::permission::Role;
use std::collections::BTreeSet;

/// A person, or an agent as somebody who has tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: String,
    pub subject_type: SubjectType,
    /// Whether the person may act.
    pub active: bool,
    /// `config`, `oidc` or `token`.
    pub source: String,
    pub slack_user_id: Option<String>,
    /// Who else may have linked that account, and so may vote with it.
    pub slack_linkers: BTreeSet<String>,
    /// The e-mail address that the identity provider last gave of them.
    pub claimed_email: Option<String>,
    /// When the person was first known.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// When the person was last seen, to within a minute.
    pub last_seen_at: Option<Timestamp>,
}

impl User {
    /// Whether configuration names them, and says at every start whether they may act.
    pub fn is_from_config(&self) -> bool {
        self.source == "config"
    }
}

/// What the claims of somebody's newest token gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenClaims {
    /// Groups that the claims put them in.
    pub groups: BTreeSet<String>,
    /// Roles that they had with it, by claims, binding or default.
    pub roles: Vec<Role>,
    pub name: Option<String>,
    pub email: Option<String>,
    /// When it was presented last.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests;
