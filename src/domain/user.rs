//! People: whether they may act, and what gives them their roles and groups.

mod access;

pub use access::{Access, AccessSource, HeldGroup, HeldRole};

use crate::clock::Timestamp;
use crate::domain::actor::SubjectType;
use crate::domain::permission::Role;
use crate::domain::policy::Policies;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds for which kept claims count: 30 days. Who has not come from the provider for longer may be somebody else's by
/// then.
pub const KEPT_CLAIMS_SECS_MAX: u64 = 30 * 24 * 60 * 60;
/// Milliseconds after which claims that are the same are kept anew.
const KEEP_AGAIN_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

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
    /// The token of their own with which the person linked it: the link ends with it.
    pub slack_linked_with: Option<String>,
    /// The e-mail address that the identity provider last gave of them.
    pub claimed_email: Option<String>,
    /// What it claims of them, and when that was kept.
    pub kept_claims: Option<KeptClaims>,
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

    /// Whether the identity provider has vouched for them.
    pub fn is_from_provider(&self) -> bool {
        self.source == "oidc" || self.claimed_email.is_some() || self.kept_claims.is_some()
    }

    /// Roles where no claims are presented: by binding, or a default. People of the identity provider have the default
    /// of its people, and only where the claims that were kept of them leave it to them.
    pub fn roles_without_claims(&self, policies: &Policies) -> Vec<Role> {
        let groups = policies.groups_of(&self.id);
        if !self.is_from_provider() {
            return policies.roles_of(&self.id, &groups);
        }
        let kept = self.kept_claims.as_ref().map(|kept| kept.access.clone());
        let (_, held) = kept.unwrap_or_default().under(policies, &self.id);
        let mut roles = policies.roles_by_claims(&self.id, &groups, &BTreeMap::new());
        roles.retain(|role| held.contains(role));
        roles
    }
}

/// What the identity provider claims of a person, as far as it may give them groups and roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClaimedAccess {
    /// Groups that the claims list.
    pub groups: BTreeSet<String>,
    /// Values of the claims that role mappings ask for.
    pub values: BTreeMap<String, BTreeSet<String>>,
}

impl ClaimedAccess {
    /// The groups that these policies leave to claims, of those that are listed; and the roles that they, the values,
    /// bindings and defaults give.
    pub fn under(&self, policies: &Policies, subject: &str) -> (BTreeSet<String>, Vec<Role>) {
        // Who is in a group that the configuration lists is for the configuration to say.
        let claimed = self.groups.iter().filter(|g| policies.is_from_claim(g));
        let claimed: BTreeSet<String> = claimed.cloned().collect();
        let mut groups = policies.groups_of(subject);
        groups.extend(claimed.iter().cloned());
        let roles = policies.roles_by_claims(subject, &groups, &self.values);
        (claimed, roles)
    }
}

/// Claims that are kept over a restart. They decide who is notified and shown as an approver, never what anybody may do:
/// for that a token counts that is presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptClaims {
    pub access: ClaimedAccess,
    /// When they were last kept.
    pub at: Timestamp,
}

impl KeptClaims {
    /// Whether claims are to be kept now in place of `kept`: others, or the same after a day.
    pub fn is_due(kept: Option<&KeptClaims>, access: &ClaimedAccess, now: Timestamp) -> bool {
        match kept {
            None => *access != ClaimedAccess::default(),
            Some(kept) if kept.access != *access => true,
            Some(kept) => {
                *access != ClaimedAccess::default() && now.since(kept.at) >= KEEP_AGAIN_AFTER_MS
            }
        }
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
