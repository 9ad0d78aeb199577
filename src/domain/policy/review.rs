//! Review policies: what each rule of the review does, and where.

use crate::domain::scope::Scope;
use crate::domain::sql::{ReviewRule, RuleAction};
use std::collections::{BTreeMap, BTreeSet};

/// What rules do in a scope; a rule that is not named does what it does by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewPolicy {
    pub scope: Scope,
    /// Rules that are named.
    pub actions: BTreeMap<ReviewRule, RuleAction>,
    /// Functions that are known here to have no side effects: `name` as it is called, or `schema.name`.
    pub pure_functions: BTreeSet<String>,
}

impl ReviewPolicy {
    /// The policy where configuration says nothing.
    pub fn default_policy() -> ReviewPolicy {
        ReviewPolicy {
            scope: Scope::any(),
            actions: BTreeMap::new(),
            pure_functions: BTreeSet::new(),
        }
    }

    /// What `rule` does here.
    pub fn action(&self, rule: ReviewRule) -> RuleAction {
        self.actions
            .get(&rule)
            .copied()
            .unwrap_or_else(|| rule.default_action())
    }
}
