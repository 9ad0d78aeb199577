//! What `[sql_review]`, `[[auto_approve]]` and `[[result_policies]]` mean. One scope has one of each.

use super::check::{DAYS_MAX, once, one_of, scope};
use super::problem::Notes;
use super::raw::{RawAutoApprove, RawConfig, RawResultPolicy, RawReview};
use crate::domain::id::Selector;
use crate::domain::policy::Policies;
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::result::{DeliveryMode, ResultPolicy};
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::risk::{Allowance, RiskLevel};
use crate::domain::sql::Action;
use crate::error::Shown;
use std::collections::BTreeMap;

/// Rows that an allowance may call few, at most.
const ROWS_MAX: u64 = 1_000_000_000_000;

/// Checks every entry.
pub(super) fn check(raw: &RawConfig, policies: &mut Policies, notes: &mut Notes) {
    let mut seen = Vec::new();
    let mut review = Vec::new();
    for entry in &raw.sql_review {
        let policy = review_policy(entry, policies, notes);
        once("a review", &policy.scope, &entry.at, &mut seen, notes);
        review.push(policy);
    }
    seen.clear();
    let mut auto = Vec::new();
    for entry in &raw.auto_approve {
        let policy = auto_approve(entry, policies, notes);
        once("an entry", &policy.scope, &entry.at, &mut seen, notes);
        auto.push(policy);
    }
    seen.clear();
    let mut result = Vec::new();
    for entry in &raw.result_policies {
        let policy = result_policy(entry, policies, notes);
        once("a policy", &policy.scope, &entry.at, &mut seen, notes);
        result.push(policy);
    }
    policies.review = review;
    policies.auto_approve = auto;
    policies.result = result;
}

fn auto_approve(raw: &RawAutoApprove, policies: &Policies, notes: &mut Notes) -> AutoApprove {
    let plain = Allowance::default();
    let threshold = one_of(&raw.risk, None, notes, |text| match text {
        "none" => Ok(None),
        "low" => Ok(Some(RiskLevel::Low)),
        "medium" => Ok(Some(RiskLevel::Medium)),
        "high" => Ok(Some(RiskLevel::High)),
        _ => Err("not one of `none`, `low`, `medium`, `high`"),
    });
    let rows = notes.number(&raw.max_estimated_rows, 0..=ROWS_MAX);
    AutoApprove {
        scope: scope(&raw.database, &raw.environment, policies, notes),
        threshold,
        allowance: Allowance {
            read_only: raw.allow_read_only.unwrap_or(plain.read_only),
            safe_ddl: raw.allow_safe_ddl.unwrap_or(plain.safe_ddl),
            estimated_rows_max: rows
                .and_then(|n| i64::try_from(n).ok())
                .unwrap_or(plain.estimated_rows_max),
        },
    }
}

fn result_policy(raw: &RawResultPolicy, policies: &Policies, notes: &mut Notes) -> ResultPolicy {
    let plain = policies.plain_result();
    let days = notes.number(&raw.retention_days, 1..=DAYS_MAX);
    let mut access = Vec::new();
    for said in &raw.access.value {
        match selector(&said.value, policies, notes.open_groups) {
            Ok(selector) => access.push(selector),
            Err(message) => notes.problem(&said.at, message),
        }
    }
    ResultPolicy {
        scope: scope(&raw.database, &raw.environment, policies, notes),
        retention_days: days
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(plain.retention_days),
        delivery_mode: one_of(&raw.delivery_mode, plain.delivery_mode, notes, |text| {
            DeliveryMode::parse(text).ok_or("not one of `both`, `store_only`, `stream`")
        }),
        access,
    }
}

/// A selector that names something there is.
fn selector(text: &str, policies: &Policies, open_groups: bool) -> Result<Selector, String> {
    let selector = Selector::parse(text).ok_or_else(|| {
        format!(
            "`{}` is no selector: write requester, role:<name>, group:<name> or user:<id>",
            Shown(text)
        )
    })?;
    match &selector {
        Selector::Role(name) if !policies.roles.contains_key(name) => {
            Err(format!("role `{}` is not defined", Shown(name)))
        }
        Selector::Group(name) if !open_groups && !policies.groups.contains_key(name) => {
            Err(format!("group `{}` is not defined", Shown(name)))
        }
        _ => Ok(selector),
    }
}

fn review_policy(raw: &RawReview, policies: &Policies, notes: &mut Notes) -> ReviewPolicy {
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
