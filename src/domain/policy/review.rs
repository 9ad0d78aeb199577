//! Review policies: what each rule of the review does, and where.

use super::{Policies, Scope};
use crate::domain::id::Target;
use crate::domain::sql::{Action, Rule};
use std::collections::BTreeMap;

/// What rules do in a scope; a rule that is not named does what it does by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewPolicy {
    /// Where it applies.
    pub scope: Scope,
    /// Rules that are named.
    pub actions: BTreeMap<Rule, Action>,
}

impl ReviewPolicy {
    /// The policy where configuration says nothing.
    pub fn default_policy() -> ReviewPolicy {
        ReviewPolicy {
            scope: Scope::any(),
            actions: BTreeMap::new(),
        }
    }

    /// What `rule` does here.
    pub fn action(&self, rule: Rule) -> Action {
        self.actions
            .get(&rule)
            .copied()
            .unwrap_or_else(|| rule.default_action())
    }
}

impl Policies {
    /// The review policy that applies, or the default: the most specific scope wins, whole.
    pub fn review(&self, target: &Target) -> ReviewPolicy {
        self.review
            .iter()
            .filter_map(|p| Some((p.scope.score(target)?, p)))
            .max_by_key(|(score, _)| *score)
            .map_or_else(ReviewPolicy::default_policy, |(_, p)| p.clone())
    }
}
