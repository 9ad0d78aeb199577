//! An agent says what it can do and asks for work.

use super::{App, dry_run, rehearse, unreadable};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::agent::{Agent, AgentReport};
use crate::domain::change::IdentityChange;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::permission::Permission;
use crate::domain::scope::Scope;
use crate::error::Error;
use crate::store::{DispatchedJob, DryRun, Verdict, View, WaitingRehearsal, is_unreadable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Jobs of one target that are looked through for one that the agent runs, where the first ones are not.
pub const BACKLOG_MAX: u32 = 1000;
/// Jobs in one answer, at most.
pub const JOBS_MAX: u32 = 20;
/// Jobs in one answer where the agent does not say.
pub const JOBS_DEFAULT: u32 = 10;

/// What an agent's poll returns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentWork {
    /// Jobs it may claim, first dispatched first.
    pub jobs: Vec<DispatchedJob>,
    /// Statements it may explain, oldest first.
    pub dry_runs: Vec<DryRun>,
    /// Writes it may rehearse, oldest first; none where it does not know what that is.
    pub rehearsals: Option<Vec<WaitingRehearsal>>,
    /// Whether its version is too old for any job.
    pub upgrade_required: bool,
    /// Whether it makes sense to wait for more.
    pub waits: bool,
    /// Targets on which jobs stay that are not in `jobs`, each with the number of its newest dispatch.
    pub left: Vec<(Target, i64)>,
}

/// Notes the report and looks for work. With `first` false the call is a parked poll that woke up: it only looks.
///
/// # Errors
/// 403 `forbidden`; 400 `validation_error`.
pub fn poll(
    app: &Arc<App>,
    caller: &Caller,
    report: &AgentReport,
    first: bool,
) -> Result<AgentWork, Error> {
    caller.require(Permission::AgentPoll)?;
    let now = app.clock.now();
    let agent = report.agent(&caller.subject, now)?;
    if first {
        register(app, caller, &agent)?;
    } else {
        app.store.agent_seen(&agent.id, now);
    }
    let upgrade_required = report.is_too_old();
    let limit = report.limit.unwrap_or(JOBS_DEFAULT).min(JOBS_MAX);
    if app.is_draining() || upgrade_required || agent.draining {
        return Ok(AgentWork {
            upgrade_required,
            ..AgentWork::default()
        });
    }
    let targets = with_dialects(app, &agent.id, served(app, caller, &agent.scopes))?;
    let mut unproven = Vec::new();
    if limit == 0 {
        let (dry_runs, rehearsals) = app
            .store
            .read(|view| aside(app, view, &agent, &targets, &mut unproven, now))?;
        unreadable::freeze_all(app, &unproven, dry_run::to_explain);
        return Ok(AgentWork {
            dry_runs,
            rehearsals,
            ..AgentWork::default()
        });
    }
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut jobs, mut left) = (Vec::new(), BTreeMap::new());
    let mut unread = Vec::new();
    let (dry_runs, rehearsals) = app.store.read(|view| {
        let found = dispatched(view, &agent, &targets, &mut unread)?;
        for (takes, mut job) in found {
            if jobs.len() < wanted && takes {
                // Statements are long, and a backlog has many that nobody asked for.
                match view.fill_in(&mut job) {
                    Ok(()) => jobs.push(job),
                    Err(error) if is_unreadable(&error) => unread.push(job.id),
                    Err(error) => return Err(error),
                }
            } else {
                // In the order of dispatch, so that the last one is the newest.
                left.insert(job.target, job.dispatch_seq);
            }
        }
        aside(app, view, &agent, &targets, &mut unproven, now)
    })?;
    unreadable::freeze_all(app, &unproven, dry_run::to_explain);
    unreadable::freeze_all(app, &unread, unreadable::dispatched);
    Ok(AgentWork {
        jobs,
        dry_runs,
        rehearsals,
        upgrade_required,
        waits: !targets.is_empty(),
        left: left.into_iter().collect(),
    })
}

type Aside = (Vec<DryRun>, Option<Vec<WaitingRehearsal>>);

/// What an agent may do for reviewers. Ids of requests that nothing is asked of go to `unproven`.
fn aside(
    app: &App,
    view: &View,
    agent: &Agent,
    targets: &[(Target, Option<Dialect>)],
    unproven: &mut Vec<String>,
    now: Timestamp,
) -> Result<Aside, Error> {
    let rehearsals = match agent.rehearses() {
        true => Some(rehearse::waiting(view, targets, now)?),
        false => None,
    };
    let dry_runs = dry_run::waiting(app, view, targets, unproven, now)?;
    Ok((dry_runs, rehearsals))
}

/// Where work would appear for an agent that reports this.
///
/// # Errors
/// 400 `validation_error`.
pub fn watched(app: &App, caller: &Caller, report: &AgentReport) -> Result<Vec<Target>, Error> {
    Ok(served(app, caller, &report.scopes()?))
}

/// Registered targets within these scopes that the agent's token reaches; a wildcard covers what configuration has.
fn served(app: &App, caller: &Caller, scopes: &[Scope]) -> Vec<Target> {
    app.active()
        .policies
        .targets()
        .filter(|t| caller.reaches(t) && scopes.iter().any(|s| s.covers(t)))
        .collect()
}

/// Each target with the dialect whose texts the agent may run there, as last remembered: what it claims is judged by
/// what is stored.
fn with_dialects(
    app: &App,
    agent_id: &str,
    targets: Vec<Target>,
) -> Result<Vec<(Target, Option<Dialect>)>, Error> {
    let active = app.active();
    let runs = |target: Target| {
        let configured = active.policies.dialect(&target);
        let dialect = app.schema(&target)?.runs(agent_id, configured);
        Ok((target, dialect))
    };
    targets.into_iter().map(runs).collect()
}

/// The first jobs of each target, first dispatched first, each with whether the agent takes it: it runs that operation,
/// and its database reads the text as it was read when it was approved. Ids of those that cannot be read go to `unread`.
fn dispatched(
    view: &View,
    agent: &Agent,
    targets: &[(Target, Option<Dialect>)],
    unread: &mut Vec<String>,
) -> Result<Vec<(bool, DispatchedJob)>, Error> {
    let mut found = Vec::new();
    for (target, dialect) in targets {
        let takes = |job: &DispatchedJob| {
            agent.runs(job.operation)
                && job.dialect.runs_on(*dialect)
                && (agent.counts_rows() || !job.needs_row_bound)
        };
        for job in jobs_on(view, target, takes)? {
            match job {
                Ok(job) => found.push((takes(&job), job)),
                Err(id) => unread.push(id),
            }
        }
    }
    found.sort_by_key(|(_, job)| job.dispatch_seq);
    Ok(found)
}

/// The first jobs of a target; where the agent runs none of them, those after them too, so that work for others does
/// not hide its own.
fn jobs_on(
    view: &View,
    target: &Target,
    takes: impl Fn(&DispatchedJob) -> bool,
) -> Result<Vec<Result<DispatchedJob, String>>, Error> {
    let first = view.dispatched_jobs(target, JOBS_MAX)?;
    let full = first.len() >= usize::try_from(JOBS_MAX).unwrap_or(usize::MAX);
    if full && !first.iter().flatten().any(takes) {
        return view.dispatched_jobs(target, BACKLOG_MAX);
    }
    Ok(first)
}

fn register(app: &Arc<App>, caller: &Caller, agent: &Agent) -> Result<(), Error> {
    if app.store.agent(&agent.id).is_none() {
        let change = IdentityChange::AgentRegistered {
            agent_id: agent.id.clone(),
            capabilities_json: agent.capabilities_json(),
            version: agent.version.clone(),
        };
        let id = agent.id.clone();
        app.store.change(caller.actor(), move |view, _| {
            // Two first polls at once: the second one finds the row.
            if view.is_registered(&id)? {
                return Ok(Verdict::Same(()));
            }
            Ok(Verdict::Write(vec![change.into()], ()))
        })?;
    }
    app.store.agent_reported(agent.clone());
    Ok(())
}

/// All agents that ever polled, last seen first.
///
/// # Errors
/// `forbidden` without `metrics.view`.
pub fn list_agents(app: &App, caller: &Caller) -> Result<(Vec<Agent>, Timestamp), Error> {
    caller.require(Permission::MetricsView)?;
    Ok((app.store.list_agents(), app.clock.now()))
}
