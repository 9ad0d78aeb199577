//! Workflows and execution policies, and whether their steps can be satisfied.

use super::ConfiguredUser;
use super::check::{one_of, scope};
use super::identities::{group_exists, role_exists};
use super::raw::{RawApprover, RawConfig, RawExecutionPolicy, RawStep, RawWorkflow};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::Role;
use crate::domain::policy::Policies;
use crate::domain::policy::execution::{ExecutionPolicy, LEASE_SECS_MIN, ROWS_MAX};
use crate::domain::policy::workflow::{ApproverEntry, Mode, Workflow, WorkflowStep};
use crate::domain::reach::{self, Unreachable, Who};
use crate::error::Shown;
use crate::settings::{Location, Notes, Spanned, Texts};
use std::collections::{BTreeMap, BTreeSet};

/// Names that a warning lists.
const NAMES_SHOWN_MAX: usize = 5;
/// People tried in the role of the requester, for a warning.
const REQUESTERS_MAX: usize = 100;

/// Fills in workflows and execution policies.
pub(super) fn check(
    raw: &RawConfig,
    users: &[ConfiguredUser],
    policies: &mut Policies,
    notes: &mut Notes,
) {
    for entry in &raw.workflows {
        let workflow = workflow(entry, policies, notes);
        ambiguous(entry, &workflow, raw, policies, notes);
        policies.workflows.push(workflow);
    }
    let mut execution: Vec<ExecutionPolicy> = Vec::new();
    for entry in &raw.execution_policies {
        let policy = execution_policy(entry, policies, notes);
        if let Some(n) = execution.iter().position(|p| p.scope == policy.scope) {
            let message = format!(
                "the scope {} has a policy already, on line {}",
                policy.scope, raw.execution_policies[n].at.line
            );
            notes.problem(&entry.at, message);
        }
        execution.push(policy);
    }
    policies.execution = execution;
    if notes.names_unclear("auth.roles")
        || notes.names_unclear("auth.groups")
        || notes.names_unclear("on_call")
        || notes.has_problem("databases")
    {
        return;
    }
    ungoverned(raw, policies, notes);
    let suspended = users.iter().filter(|u| !u.active).map(|u| u.id.as_str());
    let suspended: BTreeSet<&str> = suspended.collect();
    let governed = governed(policies);
    for ((entry, workflow), targets) in raw.workflows.iter().zip(&policies.workflows).zip(&governed)
    {
        let parts = ["database", "environment", "operations", "steps"];
        if !parts
            .iter()
            .any(|key| notes.has_problem(&entry.at.key(key).key))
        {
            reachable(entry, workflow, targets, &suspended, policies, notes);
        }
    }
}

fn workflow(raw: &RawWorkflow, policies: &Policies, notes: &mut Notes) -> Workflow {
    Workflow {
        scope: scope(&raw.scope, policies, notes),
        operations: operations(&raw.operations, notes),
        steps: raw.steps.iter().map(|s| step(s, policies, notes)).collect(),
        ..raw.workflow.clone()
    }
}

fn operations(list: &Texts, notes: &mut Notes) -> BTreeSet<Operation> {
    let mut set = BTreeSet::new();
    for spanned in &list.value {
        let name = spanned.value.as_str();
        let Some(operation) = Operation::parse_input(name).filter(|_| !name.is_empty()) else {
            let names: Vec<_> = Operation::ALL.iter().map(|o| o.as_str()).collect();
            let message = format!(
                "no operation `{}`; there are {}",
                Shown(name),
                names.join(", ")
            );
            notes.problem(&spanned.at, message);
            continue;
        };
        if operation.as_str() != name {
            notes.warn(
                &spanned.at,
                format!("`{name}` is read as `{operation}` only"),
            );
        }
        if !set.insert(operation) {
            notes.warn(
                &spanned.at,
                format!("`{operation}` is named twice in this list"),
            );
        }
    }
    set
}

/// Notes where an earlier workflow of the same scope takes an operation that this one takes too.
fn ambiguous(
    raw: &RawWorkflow,
    workflow: &Workflow,
    all: &RawConfig,
    policies: &Policies,
    notes: &mut Notes,
) {
    for (earlier, spanned) in policies.workflows.iter().zip(&all.workflows) {
        if earlier.scope != workflow.scope {
            continue;
        }
        let line = spanned.at.line;
        let scope = &workflow.scope;
        if earlier.operations.is_empty() || workflow.operations.is_empty() {
            let message = format!(
                "the scope {scope} has a workflow already, on line {line}; \
                 one that takes all operations must be the only one of its scope"
            );
            notes.problem(&raw.at, message);
        } else if let Some(operation) = earlier.operations.intersection(&workflow.operations).next()
        {
            let message = format!(
                "`{operation}` in the scope {scope} has a workflow already, on line {line}"
            );
            notes.problem(&raw.at, message);
        }
    }
}

fn step(raw: &RawStep, policies: &Policies, notes: &mut Notes) -> WorkflowStep {
    one_of(&raw.kind, (), notes, |text| match text {
        "approval" => Ok(()),
        _ => Err("not a type of step; only `approval` is"),
    });
    let mode = one_of(&raw.mode, Mode::All, notes, |text| {
        Mode::parse(text).ok_or("not one of `all`, `any`")
    });
    let place = &raw.approvers.at;
    if raw.approvers.value.is_empty() && !notes.has_problem(&place.key) {
        notes.problem(place, "a step needs at least one approver");
    }
    let mut approvers: Vec<ApproverEntry> = Vec::new();
    for entry in &raw.approvers.value {
        let Some(approver) = approver(entry, policies, notes) else {
            continue;
        };
        if approvers.iter().any(|a| a.selector == approver.selector) {
            let message = format!(
                "`{}` stands in this step already; use `min` to ask for more people",
                Shown(&approver.selector.to_string())
            );
            notes.problem(&entry.at, message);
        }
        approvers.push(approver);
    }
    WorkflowStep { mode, approvers }
}

fn approver(raw: &RawApprover, policies: &Policies, notes: &mut Notes) -> Option<ApproverEntry> {
    let min = raw.min.as_ref().map_or(1, |min| min.value as u32);
    let spanned = [&raw.role, &raw.group, &raw.user];
    let spanned: Vec<&Spanned<String>> = spanned.into_iter().flatten().collect();
    let [spanned] = spanned[..] else {
        if spanned.len() > 1 {
            notes.problem(&raw.at, "only one of `role`, `group`, `user` may be given");
        } else if !notes.has_problem(&raw.at.key) {
            notes.problem(&raw.at, "one of `role`, `group`, `user` is required");
        }
        return None;
    };
    let min_at = raw.min.as_ref().map_or(&raw.at, |m| &m.at);
    let name = spanned.value.clone();
    let selector = if raw.role.is_some() {
        if role_exists(spanned, policies, notes) && name == Role::AGENT {
            notes.problem(
                &spanned.at,
                "agents cannot approve; nobody else holds this role",
            );
        }
        Selector::Role(name)
    } else if raw.group.is_some() {
        let open = notes.open_groups && policies.is_from_claim(&name);
        if group_exists(spanned, policies, notes) && !open {
            few_members(&name, min, min_at, policies, notes);
        }
        Selector::Group(name)
    } else {
        if name == "requester" {
            notes.problem(
                &spanned.at,
                "the requester cannot be an approver; see `allow_self_approve`",
            );
        }
        if super::check::is_id(spanned, notes) && min > 1 {
            notes.problem(min_at, format!("one person cannot approve {min} times"));
        }
        Selector::User(name)
    };
    Some(ApproverEntry { selector, min })
}

fn few_members(group: &str, min: u32, at: &Location, policies: &Policies, notes: &mut Notes) {
    let members = match policies.is_on_call(group) {
        true => policies.everybody_on_call(group).map(|all| all.len()),
        false => Some(policies.groups.get(group).map_or(0, BTreeSet::len)),
    };
    let members = members.unwrap_or(usize::MAX);
    if members < min as usize {
        let message = format!(
            "group `{}` has {members} members, fewer than the {min} who must approve",
            Shown(group)
        );
        notes.problem(at, message);
    }
}

fn execution_policy(
    raw: &RawExecutionPolicy,
    policies: &Policies,
    notes: &mut Notes,
) -> ExecutionPolicy {
    let policy = ExecutionPolicy {
        scope: scope(&raw.scope, policies, notes),
        ..raw.policy.clone()
    };
    execution_limits(raw, &policy, notes);
    policy
}

/// How the limits of one policy stand to each other.
fn execution_limits(raw: &RawExecutionPolicy, policy: &ExecutionPolicy, notes: &mut Notes) {
    let place = |keys: &[&str]| {
        let paths: Vec<String> = keys.iter().map(|key| raw.at.key(key).key).collect();
        let found = paths
            .iter()
            .find_map(|path| raw.present.0.iter().find(|at| at.key == *path));
        found.unwrap_or(&raw.at)
    };
    let max = policy.max_statement_timeout_secs;
    let both = ["statement_timeout_secs", "max_statement_timeout_secs"];
    let wrong = both
        .iter()
        .any(|key| notes.has_problem(&raw.at.key(key).key));
    if policy.statement_timeout_secs > max && !wrong {
        let message = format!(
            "statement_timeout_secs is {}, above max_statement_timeout_secs, which is {max}",
            policy.statement_timeout_secs
        );
        notes.problem(place(&both), message);
    }
    let migration = policy.migration_statement_timeout_secs.unwrap_or(0);
    if migration > max {
        let message = format!(
            "above max_statement_timeout_secs ({max}), which does not bind migrations: {migration} counts"
        );
        notes.warn(place(&["migration_statement_timeout_secs"]), message);
    }
    if let Some(lease) = policy.migration_lease_duration_secs
        && lease < LEASE_SECS_MIN
    {
        let message = format!(
            "below {LEASE_SECS_MIN}: an agent that is away for {lease} seconds loses its migration"
        );
        notes.warn(place(&["migration_lease_duration_secs"]), message);
    }
    if let Some(lease) = policy.migration_lease_duration_secs
        && migration > lease
    {
        notes.warn(
            place(&["migration_lease_duration_secs"]),
            "shorter than migration_statement_timeout_secs: an agent that falls silent during a \
             long statement loses it",
        );
    }
    if policy.max_rows.is_some_and(|rows| rows > ROWS_MAX) {
        let message = format!("agents return at most {ROWS_MAX} rows, whatever stands here");
        notes.warn(place(&["max_rows"]), message);
    }
}

/// The targets that each workflow decides for, for at least one operation.
fn governed(policies: &Policies) -> Vec<Vec<Target>> {
    let mut lists = vec![Vec::new(); policies.workflows.len()];
    for target in policies.targets() {
        for operation in Operation::ALL {
            let Some(found) = policies.workflow(&target, operation) else {
                continue;
            };
            let place = policies
                .workflows
                .iter()
                .position(|w| std::ptr::eq(w, found));
            if let Some(list) = place.and_then(|n| lists.get_mut(n))
                && list.last() != Some(&target)
            {
                list.push(target.clone());
            }
        }
    }
    lists
}

/// Warns of environments in which every request is refused, because no workflow applies.
fn ungoverned(raw: &RawConfig, policies: &Policies, notes: &mut Notes) {
    for entry in &raw.databases {
        let name = entry.name.as_ref().map_or("", |name| &name.value);
        for environment in &entry.environments.value {
            let Ok(target) = Target::new(name, &environment.value) else {
                continue;
            };
            let governs = |operation: &Operation| policies.workflow(&target, *operation).is_some();
            let without: Vec<&str> = Operation::ALL
                .iter()
                .filter(|operation| !governs(operation))
                .map(|operation| operation.as_str())
                .collect();
            if without.len() == Operation::ALL.len() {
                let message =
                    format!("no workflow applies to {target}, so every request there is refused");
                notes.warn(&environment.at, message);
            } else if !without.is_empty() {
                let message = format!(
                    "no workflow applies to {} on {target}, so such requests are refused",
                    without.join(", ")
                );
                notes.warn(&environment.at, message);
            }
        }
    }
}

/// Notes steps that nobody could satisfy: an error where that holds everywhere, otherwise a warning.
fn reachable(
    raw: &RawWorkflow,
    workflow: &Workflow,
    targets: &[Target],
    suspended: &BTreeSet<&str>,
    policies: &Policies,
    notes: &mut Notes,
) {
    let distinct = !workflow.allow_same_approver_across_steps;
    // Targets differ only in which of the roles that are named cover them.
    let mut kinds: BTreeMap<Vec<bool>, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        let kind = kinds.entry(coverage(workflow, target, policies));
        kind.or_default().push(target);
    }
    if targets.is_empty() {
        let all = workflow.steps.iter().map(|s| s.approvers.len()).sum();
        kinds.insert(vec![true; all], Vec::new());
    }
    let mut dead: Vec<(Unreachable, Vec<&Target>)> = Vec::new();
    let mut asleep: Option<Unreachable> = None;
    let mut excluded: BTreeSet<&str> = BTreeSet::new();
    let of_kinds = kinds.len();
    for (kind, targets) in kinds {
        let steps = steps(workflow, &kind, policies, notes.open_groups);
        if let Some(what) = reach::unreachable(&steps, distinct, &BTreeSet::new()) {
            dead.push((what, targets));
        } else if let Some(what) = reach::unreachable(&steps, distinct, suspended) {
            asleep = Some(what);
        } else if !workflow.allow_self_approve {
            excluded.extend(requesters(&steps, distinct, suspended));
        }
    }
    let everywhere = dead.len() == of_kinds;
    for (what, targets) in dead.iter().take(if everywhere { 1 } else { usize::MAX }) {
        let (at, why) = explain(what, raw);
        if everywhere {
            notes.problem(at, why);
        } else {
            let targets: Vec<_> = targets.iter().map(|t| t.to_string()).collect();
            notes.warn(at, format!("for {}: {why}", some_of(&targets)));
        }
    }
    if let Some(what) = asleep {
        let (at, _) = explain(&what, raw);
        notes.warn(
            at,
            "nobody can satisfy this while the users it needs are suspended",
        );
    }
    if !excluded.is_empty() {
        let people: Vec<_> = excluded.into_iter().collect();
        let message = format!(
            "requests of {} cannot be approved by the people named here: nobody approves their own",
            some_of(&people)
        );
        notes.warn(&raw.at, message);
    }
}

fn explain<'r>(what: &Unreachable, raw: &'r RawWorkflow) -> (&'r Location, &'static str) {
    match what {
        Unreachable::Step(n) => (
            raw.steps.get(*n).map_or(&raw.at, |s| &s.at),
            "nobody can satisfy this step: too few different people, or a role that does not cover the target",
        ),
        Unreachable::Together => (
            &raw.at,
            "nobody can satisfy all steps: with allow_same_approver_across_steps = false they ask for more \
             different people than they name",
        ),
    }
}

/// The first few of a list, in backticks.
fn some_of<T: AsRef<str>>(names: &[T]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX);
    let shown: Vec<_> = shown.map(|n| format!("`{}`", Shown(n.as_ref()))).collect();
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// For each approver entry, in order, whether it can name anybody on `target`.
fn coverage(workflow: &Workflow, target: &Target, policies: &Policies) -> Vec<bool> {
    let entries = workflow.steps.iter().flat_map(|s| &s.approvers);
    entries
        .map(|entry| match &entry.selector {
            Selector::Role(name) => policies.roles.get(name).is_some_and(|r| r.covers(target)),
            _ => true,
        })
        .collect()
}

/// The steps as `reach` sees them, for targets of one kind of coverage.
fn steps<'a>(
    workflow: &'a Workflow,
    kind: &[bool],
    policies: &'a Policies,
    open_groups: bool,
) -> Vec<reach::StepNeeds<'a>> {
    let mut covered = kind.iter();
    let mut entry = |entry: &'a ApproverEntry| {
        let covers = covered.next().copied().unwrap_or(true);
        let who = match &entry.selector {
            Selector::Role(_) if covers => Who::Unknown,
            Selector::User(id) => Who::Known(BTreeSet::from([id.as_str()])),
            Selector::Group(name) if open_groups && policies.is_from_claim(name) => Who::Unknown,
            Selector::Group(name) if policies.is_on_call(name) => policies
                .everybody_on_call(name)
                .map_or(Who::Unknown, Who::Known),
            Selector::Group(name) => {
                let members = policies.groups.get(name).into_iter().flatten();
                Who::Known(members.map(String::as_str).collect())
            }
            Selector::Role(_) | Selector::Requester => Who::Known(BTreeSet::new()),
        };
        reach::StepEntry {
            who,
            min: entry.min as usize,
        }
    };
    let steps = workflow.steps.iter();
    steps
        .map(|step| reach::StepNeeds {
            any: step.mode == Mode::Any,
            entries: step.approvers.iter().map(&mut entry).collect(),
        })
        .collect()
}

/// People whose own requests the people named cannot approve.
fn requesters<'a>(
    steps: &[reach::StepNeeds<'a>],
    distinct: bool,
    suspended: &BTreeSet<&'a str>,
) -> Vec<&'a str> {
    let candidates = reach::scarce(steps).into_iter().take(REQUESTERS_MAX);
    candidates
        .filter(|person| !suspended.contains(person))
        .filter(|person| {
            let mut without = suspended.clone();
            without.insert(*person);
            reach::unreachable(steps, distinct, &without).is_some()
        })
        .collect()
}
