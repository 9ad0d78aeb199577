//! What `[sql_review]`, `[[auto_approve]]` and `[[result_policies]]` mean. One scope has one of each.

use super::check::{once, one_of, scope};
use super::raw::{RawAutoApprove, RawConfig, RawResultPolicy, RawReview};
use crate::domain::id::Selector;
use crate::domain::policy::Policies;
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::result::{DeliveryMode, ResultPolicy};
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::risk_level::RiskLevel;
use crate::domain::sql::RuleAction;
use crate::error::Shown;
use crate::settings::Notes;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(raw: &RawConfig, policies: &mut Policies, notes: &mut Notes) {
    let mut seen = Vec::new();
    let mut review = Vec::new();
    for entry in &raw.sql_review.0 {
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
    let threshold = one_of(&raw.risk, None, notes, |text| match text {
        "none" => Ok(None),
        "low" => Ok(Some(RiskLevel::Low)),
        "medium" => Ok(Some(RiskLevel::Medium)),
        "high" => Ok(Some(RiskLevel::High)),
        _ => Err("not one of `none`, `low`, `medium`, `high`"),
    });
    AutoApprove {
        scope: scope(&raw.scope, policies, notes),
        threshold,
        allowance: raw.allowance,
    }
}

fn result_policy(raw: &RawResultPolicy, policies: &Policies, notes: &mut Notes) -> ResultPolicy {
    let plain = policies.plain_result();
    let mut access = Vec::new();
    for spanned in &raw.access.value {
        match selector(&spanned.value, policies, notes.open_groups) {
            Ok(selector) => access.push(selector),
            Err(message) => notes.problem(&spanned.at, message),
        }
    }
    ResultPolicy {
        scope: scope(&raw.scope, policies, notes),
        retention_days: raw
            .retention_days
            .as_ref()
            .map_or(plain.retention_days, |days| days.value as u32),
        delivery_mode: one_of(&raw.delivery_mode, plain.delivery_mode, notes, |text| {
            DeliveryMode::parse(text).ok_or("not one of `both`, `store_only`, `stream`")
        }),
        access,
        hide_error_detail: raw.hide_error_detail.unwrap_or(plain.hide_error_detail),
    }
}

/// A selector that names something there is.
pub(super) fn selector(
    text: &str,
    policies: &Policies,
    open_groups: bool,
) -> Result<Selector, String> {
    let selector = Selector::parse(text).ok_or_else(|| {
        format!(
            "`{}` is not a selector: write requester, role:<name>, group:<name> or user:<id>",
            Shown(text)
        )
    })?;
    match &selector {
        Selector::Role(name) if !policies.roles.contains_key(name) => {
            Err(format!("role `{}` is not defined", Shown(name)))
        }
        Selector::Group(name)
            if !open_groups
                && !policies.groups.contains_key(name)
                && !policies.is_on_call(name) =>
        {
            Err(format!("group `{}` is not defined", Shown(name)))
        }
        _ => Ok(selector),
    }
}

fn review_policy(raw: &RawReview, policies: &Policies, notes: &mut Notes) -> ReviewPolicy {
    let mut actions = BTreeMap::new();
    for (rule, spanned) in &raw.actions.0 {
        match RuleAction::parse(&spanned.value) {
            Some(action) => {
                actions.insert(*rule, action);
            }
            None => notes.problem(&spanned.at, "not one of `block`, `warn`, `off`"),
        }
    }
    let mut pure_functions = BTreeSet::new();
    for name in &raw.pure_functions.value {
        let parts: Vec<&str> = name.value.split('.').collect();
        if parts.len() > 2 || parts.iter().any(|p| p.is_empty()) {
            notes.problem(
                &name.at,
                "not the name of a function: `name` or `schema.name`",
            );
        }
        pure_functions.insert(name.value.clone());
    }
    ReviewPolicy {
        scope: scope(&raw.scope, policies, notes),
        actions,
        pure_functions,
    }
}
