//! What `[sql_review]` and `[[sql_review]]` mean: what each rule does, and where.

use super::check::scope;
use super::problem::Notes;
use super::raw::{RawConfig, RawReview};
use crate::domain::policy::Policies;
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::sql::Action;
use std::collections::BTreeMap;

/// Checks every entry; one scope has one of them.
pub(super) fn check(raw: &RawConfig, policies: &mut Policies, notes: &mut Notes) {
    let mut review: Vec<ReviewPolicy> = Vec::new();
    for entry in &raw.sql_review {
        let policy = policy(entry, policies, notes);
        if let Some(n) = review.iter().position(|p| p.scope == policy.scope) {
            let line = raw.sql_review[n].at.line;
            let message = format!(
                "the scope {} has a review already, on line {line}",
                policy.scope
            );
            notes.problem(&entry.at, message);
        }
        review.push(policy);
    }
    policies.review = review;
}

fn policy(raw: &RawReview, policies: &Policies, notes: &mut Notes) -> ReviewPolicy {
    let mut actions = BTreeMap::new();
    for (rule, said) in &raw.actions {
        match Action::parse(&said.value) {
            Some(action) => {
                actions.insert(*rule, action);
            }
            None => notes.problem(&said.at, "not one of `block`, `warn`, `off`"),
        }
    }
    ReviewPolicy {
        scope: scope(&raw.database, &raw.environment, policies, notes),
        actions,
    }
}
