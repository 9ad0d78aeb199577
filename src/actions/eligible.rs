//! Whether anybody could approve a request: an approval that nobody can give must be refused when it is asked for, not
//! waited for.
//!
//! Who is in a role or a group is known from bindings, groups and live tokens, and is put together once after any of
//! them changed. Where an identity provider may say so too, membership is unknown and counts as reachable.

use super::App;
use crate::clock::Timestamp;
use crate::domain::change::LostStep;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::{Permission, Role};
use crate::domain::policy::Policies;
use crate::domain::policy::workflow::{Mode, Workflow};
use crate::domain::reach::{self, StepEntry, StepNeeds, Unreachable, Who};
use crate::domain::token::Token;
use crate::error::Error;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

/// People of one entry looked at: more than any workflow asks for are always enough.
const PEOPLE_LOOKED_AT: usize = 200;
/// Administrators tried as the one who steps in.
const ADMINS_TRIED: usize = 5;

/// Steps that lose their approvers named in one warning, at most; one names the problem, hundreds only fill the log.
const LOST_SHOWN_MAX: usize = 20;

/// The directory as it was last put together.
#[derive(Default)]
pub struct DirectoryCache {
    directory: RwLock<Option<Arc<Directory>>>,
}

/// Who is in which role and group.
struct Directory {
    epoch: u64,
    generation: u64,
    /// When the first of the tokens it was made from ends.
    valid_until: Option<Timestamp>,
    roles: BTreeMap<String, BTreeSet<String>>,
    groups: BTreeMap<String, BTreeSet<String>>,
    suspended: BTreeSet<String>,
    /// Roles that somebody unknown may hold.
    open_roles: BTreeSet<String>,
    /// Whether somebody unknown may be in a group that claims decide.
    open_groups: bool,
}

/// Refuses a request whose steps cannot be satisfied by enough different, active people other than its requester.
///
/// # Errors
/// 422 `no_eligible_approver` naming the step.
pub fn ensure(
    app: &App,
    workflow: &Workflow,
    target: &Target,
    requester: &str,
) -> Result<(), Error> {
    let active = app.active();
    let directory = directory(app)?;
    let mut without: BTreeSet<&str> = directory.suspended.iter().map(String::as_str).collect();
    if !workflow.allow_self_approve {
        without.insert(requester);
    }
    let steps = steps(workflow, target, &active.policies, &directory);
    let distinct = !workflow.allow_same_approver_across_steps;
    let Some(what) = reach::unreachable(&steps, distinct, &without) else {
        return Ok(());
    };
    if workflow.admin_override
        && steps_in(
            workflow,
            &steps,
            target,
            &active.policies,
            &directory,
            &without,
            requester,
        )
    {
        return Ok(());
    }
    Err(refusal(&what, workflow))
}

/// Steps of workflows that nobody can approve under the policies `after`, which lack the role of that name, while
/// somebody can under those `before`, or could be given the role they wait for: each once, with a target where that is
/// so.
pub(super) fn lost_steps(
    app: &App,
    role: &str,
    before: &Policies,
    after: &Policies,
) -> Result<Vec<LostStep>, Error> {
    let now = app.clock.now();
    let then = make(app, before, 0, 0, now)?;
    let soon = make(app, after, 0, 0, now)?;
    let mut lost: Vec<LostStep> = Vec::new();
    for workflow in &after.workflows {
        let decides = |target: &Target| {
            let by = |op| after.workflow(target, op);
            let mut all = Operation::ALL.into_iter().filter_map(by);
            all.any(|w| std::ptr::eq(w, workflow))
        };
        for target in after.targets().filter(decides) {
            let had = dead(&steps(workflow, &target, before, &then), workflow, &then);
            for step in dead(&steps(workflow, &target, after, &soon), workflow, &soon) {
                let id = workflow.id();
                let is_said = lost.iter().any(|l| l.workflow == id && l.step == step);
                let was_dead = had.contains(&step) && !waits_for(workflow, step, role);
                if was_dead || is_said {
                    continue;
                }
                if lost.len() >= LOST_SHOWN_MAX {
                    return Ok(lost);
                }
                lost.push(LostStep {
                    workflow: id,
                    step,
                    target: target.clone(),
                });
            }
        }
    }
    Ok(lost)
}

/// Whether a step, from 1, or any of them, names a role.
fn waits_for(workflow: &Workflow, step: Option<usize>, role: &str) -> bool {
    let is_it = |selector: &Selector| matches!(selector, Selector::Role(name) if name == role);
    let numbered = workflow.steps.iter().zip(1..);
    let mut asked = numbered.filter(|(_, n)| step.is_none_or(|step| step == *n));
    asked.any(|(s, _)| s.approvers.iter().any(|a| is_it(&a.selector)))
}

/// The steps that nobody can approve, from 1; none in place of a number where only all of them together cannot be.
fn dead(steps: &[StepNeeds], workflow: &Workflow, directory: &Directory) -> Vec<Option<usize>> {
    let without: BTreeSet<&str> = directory.suspended.iter().map(String::as_str).collect();
    let alone = |step: &StepNeeds| {
        reach::unreachable(std::slice::from_ref(step), false, &without).is_some()
    };
    let numbered = steps.iter().zip(1..);
    let mut dead: Vec<Option<usize>> = numbered
        .filter(|(step, _)| alone(step))
        .map(|(_, n)| Some(n))
        .collect();
    let distinct = !workflow.allow_same_approver_across_steps;
    if dead.is_empty() && reach::unreachable(steps, distinct, &without).is_some() {
        dead.push(None);
    }
    dead
}

fn refusal(what: &Unreachable, workflow: &Workflow) -> Error {
    let (message, step) = match what {
        Unreachable::Step(n) => (
            format!(
                "step {} of the workflow cannot be approved: not enough active people besides the requester",
                n + 1
            ),
            Some(*n),
        ),
        Unreachable::Together => (
            "the steps of the workflow cannot be approved by different people: there are not enough".to_owned(),
            None,
        ),
    };
    let approvers: Vec<String> = step
        .and_then(|n| workflow.steps.get(n))
        .into_iter()
        .flat_map(|s| &s.approvers)
        .map(|a| format!("{} (min {})", a.selector, a.min))
        .collect();
    Error::refused("no_eligible_approver", message)
        .details(json!({
            "workflow": workflow.id(),
            "step": step.map(|n| n + 1),
            "approvers": approvers,
        }))
        .hint("an administrator has to give the role or group to somebody, or change the workflow")
}

/// Whether one administrator could give the one approval that nobody else can give.
fn steps_in<'a>(
    workflow: &Workflow,
    steps: &[StepNeeds<'a>],
    target: &Target,
    policies: &Policies,
    directory: &'a Directory,
    without: &BTreeSet<&'a str>,
    requester: &str,
) -> bool {
    let administers =
        |role: &&Role| role.permissions.contains(&Permission::All) && role.covers(target);
    let admins: BTreeSet<&str> = policies
        .roles
        .values()
        .filter(administers)
        .filter_map(|role| directory.roles.get(&role.name))
        .flatten()
        .map(String::as_str)
        .filter(|a| *a != requester && !directory.suspended.contains(*a))
        .collect();
    // One whom only the identity provider knows counts too, though the steps do not name them.
    let unknown = policies
        .roles
        .values()
        .filter(administers)
        .any(|role| directory.open_roles.contains(&role.name));
    let known = admins.into_iter().take(ADMINS_TRIED).map(Some);
    let distinct = !workflow.allow_same_approver_across_steps;
    known.chain(unknown.then_some(None)).any(|admin| {
        let mut others = without.clone();
        others.extend(admin);
        let mut places = (0..steps.len()).flat_map(|n| {
            let entries = 0..steps.get(n).map_or(0, |step| step.entries.len());
            entries.map(move |entry| (n, entry))
        });
        places.any(|(n, entry)| {
            let rest: Vec<StepNeeds> = steps
                .iter()
                .enumerate()
                .filter_map(|(at, step)| match at == n {
                    true => one_less(step, entry),
                    false => Some(copy(step)),
                })
                .collect();
            reach::unreachable(&rest, distinct, &others).is_none()
        })
    })
}

/// What a step needs besides one approval of that entry; none if that is all.
fn one_less<'a>(step: &StepNeeds<'a>, entry: usize) -> Option<StepNeeds<'a>> {
    let mut rest = copy(step);
    let place = rest.entries.get_mut(entry)?;
    place.min = place.min.saturating_sub(1);
    if place.min == 0 {
        rest.entries.remove(entry);
        if step.any || rest.entries.is_empty() {
            return None;
        }
    }
    Some(rest)
}

fn copy<'a>(step: &StepNeeds<'a>) -> StepNeeds<'a> {
    let entries = step.entries.iter().map(|e| StepEntry {
        who: match &e.who {
            Who::Unknown => Who::Unknown,
            Who::Known(people) => Who::Known(people.clone()),
        },
        min: e.min,
    });
    StepNeeds {
        any: step.any,
        entries: entries.collect(),
    }
}

fn steps<'a>(
    workflow: &'a Workflow,
    target: &Target,
    policies: &'a Policies,
    directory: &'a Directory,
) -> Vec<StepNeeds<'a>> {
    workflow
        .steps
        .iter()
        .map(|step| StepNeeds {
            any: step.mode == Mode::Any,
            entries: step
                .approvers
                .iter()
                .map(|a| StepEntry {
                    who: directory.who(&a.selector, target, policies),
                    min: usize::try_from(a.min).unwrap_or(usize::MAX),
                })
                .collect(),
        })
        .collect()
}

impl Directory {
    fn who<'a>(
        &'a self,
        selector: &'a Selector,
        target: &Target,
        policies: &'a Policies,
    ) -> Who<'a> {
        let few = |people: Option<&'a BTreeSet<String>>| {
            let people = people.into_iter().flatten().map(String::as_str);
            let people: BTreeSet<&str> = people.take(PEOPLE_LOOKED_AT + 1).collect();
            if people.len() > PEOPLE_LOOKED_AT {
                Who::Unknown
            } else {
                Who::Known(people)
            }
        };
        match selector {
            Selector::Requester => Who::Known(BTreeSet::new()),
            Selector::User(id) => Who::Known(BTreeSet::from([id.as_str()])),
            Selector::Group(name) if self.open_groups && policies.is_from_claim(name) => {
                Who::Unknown
            }
            Selector::Group(name) if policies.is_on_call(name) => {
                // Somebody else may be on call once the request has waited.
                policies
                    .everybody_on_call(name)
                    .map_or(Who::Unknown, Who::Known)
            }
            Selector::Group(name) => few(self.groups.get(name)),
            Selector::Role(name) => match policies.roles.get(name) {
                Some(role) if role.covers(target) => {
                    if self.open_roles.contains(name) {
                        Who::Unknown
                    } else {
                        few(self.roles.get(name))
                    }
                }
                _ => Who::Known(BTreeSet::new()),
            },
        }
    }
}

/// The directory, put together anew if anything it was made from has changed.
fn directory(app: &App) -> Result<Arc<Directory>, Error> {
    let now = app.clock.now();
    // Both numbers are read before the database, so that a change in between makes the result stale, never fresh.
    let epoch = app.caches.identities.epoch();
    let active = app.active();
    let fresh = |d: &&Arc<Directory>| {
        d.epoch == epoch
            && d.generation == active.generation
            && d.valid_until.is_none_or(|until| now < until)
    };
    {
        let known = app.caches.eligible.directory.read();
        let known = known.unwrap_or_else(|e| e.into_inner());
        if let Some(directory) = known.as_ref().filter(fresh) {
            return Ok(Arc::clone(directory));
        }
    }
    let mut known = app
        .caches
        .eligible
        .directory
        .write()
        .unwrap_or_else(|e| e.into_inner());
    // Of many who find it stale at once, one puts it together.
    if let Some(directory) = known.as_ref().filter(fresh) {
        return Ok(Arc::clone(directory));
    }
    let made = Arc::new(make(app, &active.policies, epoch, active.generation, now)?);
    *known = Some(Arc::clone(&made));
    Ok(made)
}

fn make(
    app: &App,
    policies: &Policies,
    epoch: u64,
    generation: u64,
    now: Timestamp,
) -> Result<Directory, Error> {
    let provider = app.sign_in.mode.takes_oidc();
    let mut d = Directory {
        epoch,
        generation,
        valid_until: None,
        roles: BTreeMap::new(),
        groups: policies.groups.clone(),
        suspended: BTreeSet::new(),
        open_roles: BTreeSet::new(),
        open_groups: provider,
    };
    // Somebody new who is bound to nothing gets the default role.
    d.open_roles.extend(policies.default_role.clone());
    if provider {
        d.open_roles.extend(policies.oidc_default_role.clone());
        d.open_roles
            .extend(policies.role_mappings.iter().map(|m| m.role.clone()));
    }
    let mut tokens = Vec::new();
    app.store.read(|view| {
        d.suspended = view.suspended_users()?.into_iter().collect();
        view.any_live_token(now, |stored| {
            tokens.push(stored.token.clone());
            false
        })
    })?;
    // Not while the store is held: with many tokens this takes a while.
    for token in &tokens {
        d.add(policies, token);
    }
    for binding in &policies.bindings {
        if provider && binding.groups.iter().any(|g| policies.is_from_claim(g)) {
            d.open_roles.insert(binding.role.clone());
        }
        let members = d.roles.entry(binding.role.clone()).or_default();
        members.extend(binding.subjects.iter().cloned());
        for group in &binding.groups {
            members.extend(d.groups.get(group).into_iter().flatten().cloned());
        }
    }
    Ok(d)
}

impl Directory {
    fn add(&mut self, policies: &Policies, token: &Token) {
        let (rights, groups) = token.grant().rights(policies);
        for role in rights.acting() {
            let members = self.roles.entry(role.name.clone()).or_default();
            members.insert(token.subject_id.clone());
        }
        // With some tokens nobody votes as a member of a group.
        let votes = !rights
            .let_through_scopes(&[Permission::RequestApprove])
            .is_empty();
        for group in groups.into_iter().filter(|_| votes) {
            let members = self.groups.entry(group).or_default();
            members.insert(token.subject_id.clone());
        }
        if let Some(at) = token.expires_at {
            self.valid_until = Some(self.valid_until.map_or(at, |until| until.min(at)));
        }
    }
}
