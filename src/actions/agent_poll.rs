//! An agent says what it can do and asks for work.

use super::App;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::change::Change;
use crate::domain::id::{Operation, Target, is_name};
use crate::domain::permission::Permission;
use crate::error::{Error, Shown};
use crate::store::{AgentRow, Job, Verdict};
use serde_json::Value;
use std::sync::Arc;

/// Targets an agent may name, at most: as many as a long-poll may wait for.
pub const SCOPES_MAX: usize = 64;
/// Jobs in one answer, at most.
pub const JOBS_MAX: u32 = 20;
/// Jobs in one answer where the agent does not say.
pub const JOBS_DEFAULT: u32 = 10;
/// The oldest agent that works against us.
pub const MIN_AGENT_VERSION: &str = "0.1.6";
/// Executions an agent runs at once where it does not say.
pub const CONCURRENT_DEFAULT: u32 = 4;
/// Longest list of active jobs an agent may report, in bytes of JSON.
pub const ACTIVE_JOBS_BYTES_MAX: usize = 64 * 1024;

/// What an agent reports.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Databases it serves.
    pub databases: Vec<String>,
    /// Environments it serves; none for all.
    pub environments: Vec<String>,
    /// Or, pair by pair.
    pub scopes: Vec<(String, String)>,
    /// Operations it runs; none for all.
    pub operations: Vec<String>,
    /// Executions it runs.
    pub in_flight: u32,
    /// Executions it runs at once, at most.
    pub max_concurrent: Option<u32>,
    /// Whether it takes no more.
    pub draining: bool,
    /// Since when it runs.
    pub uptime_secs: u64,
    /// What it runs.
    pub active_jobs: Option<Value>,
    /// Its version.
    pub agent_version: Option<String>,
    /// Jobs it wants, at most.
    pub limit: Option<u32>,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// Jobs it may claim, first dispatched first.
    pub jobs: Vec<Job>,
    /// Whether it is too old to be given any.
    pub upgrade_required: bool,
    /// Where work for it would appear; empty where waiting makes no sense.
    pub waits_for: Vec<Target>,
}

/// Notes the report and looks for work. With `first` false the call is a parked poll that woke up: it only looks.
///
/// # Errors
/// 403 `forbidden`; 400 `validation_error`.
pub fn poll(app: &Arc<App>, caller: &Caller, report: &Report, first: bool) -> Result<Work, Error> {
    if !caller.rights.may(Permission::AgentPoll) {
        return Err(Error::forbidden("permission denied: agent.poll"));
    }
    let now = app.clock.now();
    let agent = describe(caller, report, now)?;
    let operations: Vec<Operation> = agent
        .operations
        .iter()
        .filter_map(|o| Operation::parse(o))
        .collect();
    if first {
        register(app, caller, &agent)?;
    } else {
        app.store.agent_seen(&agent.id, now);
    }
    let upgrade_required = report
        .agent_version
        .as_deref()
        .is_some_and(|v| is_older(v, MIN_AGENT_VERSION));
    let limit = report.limit.unwrap_or(JOBS_DEFAULT).min(JOBS_MAX);
    if app.is_draining() || upgrade_required || limit == 0 || agent.draining {
        return Ok(Work {
            upgrade_required,
            ..Work::default()
        });
    }
    let targets = reach(app, &agent);
    let mut jobs = app.store.read(|view| {
        let mut jobs = Vec::new();
        for target in &targets {
            jobs.extend(view.dispatched_jobs(target, JOBS_MAX)?);
        }
        Ok(jobs)
    })?;
    jobs.retain(|j| operations.is_empty() || operations.contains(&j.operation));
    jobs.sort_by_key(|j| j.dispatch_seq);
    jobs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Work {
        jobs,
        upgrade_required,
        waits_for: targets,
    })
}

/// Registered targets that the agent serves; a wildcard covers what configuration has. At most [`SCOPES_MAX`] can be
/// waited for at once.
fn reach(app: &App, agent: &AgentRow) -> Vec<Target> {
    app.active()
        .policies
        .targets()
        .filter(|t| agent.serves(t))
        .take(SCOPES_MAX)
        .collect()
}

fn register(app: &Arc<App>, caller: &Caller, agent: &AgentRow) -> Result<(), Error> {
    if app.store.agent(&agent.id).is_none() {
        let change = Change::AgentRegistered {
            agent_id: agent.id.clone(),
            capabilities_json: agent.capabilities_json(),
            version: agent.version.clone(),
        };
        let id = agent.id.clone();
        app.store.change(caller.actor(), move |view, _| {
            // Two first polls at once: whoever comes second finds the row.
            if view.is_registered(&id)? {
                return Ok(Verdict::Same(()));
            }
            Ok(Verdict::Write(vec![change], ()))
        })?;
    }
    app.store.agent_reported(agent.clone());
    Ok(())
}

fn describe(caller: &Caller, report: &Report, now: Timestamp) -> Result<AgentRow, Error> {
    let mut scopes = Vec::new();
    let star = ["*".to_owned()];
    let environments = if report.environments.is_empty() {
        &star[..]
    } else {
        &report.environments[..]
    };
    let product = report
        .databases
        .iter()
        .flat_map(|d| environments.iter().map(move |e| (d, e)));
    let pairs = report.scopes.iter().map(|(d, e)| (d, e));
    for (database, environment) in pairs.chain(product) {
        for name in [database, environment] {
            if name != "*" && !is_name(name) {
                return Err(Error::invalid(format!(
                    "capabilities name `{}`, which is no name",
                    Shown(name)
                )));
            }
        }
        let target = Target {
            database: database.clone(),
            environment: environment.clone(),
        };
        if !scopes.contains(&target) {
            scopes.push(target);
        }
        if scopes.len() > SCOPES_MAX {
            return Err(Error::invalid(format!(
                "capabilities name more than {SCOPES_MAX} targets"
            )));
        }
    }
    for operation in &report.operations {
        if Operation::parse(operation).is_none() {
            return Err(Error::invalid(format!(
                "capabilities name the unknown operation `{}`",
                Shown(operation)
            )));
        }
    }
    let active_jobs = report
        .active_jobs
        .clone()
        .filter(|v| v.is_array() && v.to_string().len() <= ACTIVE_JOBS_BYTES_MAX)
        .unwrap_or_else(|| Value::Array(Vec::new()));
    Ok(AgentRow {
        id: caller.subject.clone(),
        scopes,
        operations: report.operations.clone(),
        version: report.agent_version.clone().filter(|v| v.len() <= 64),
        max_concurrent: report.max_concurrent.unwrap_or(CONCURRENT_DEFAULT),
        in_flight: report.in_flight,
        draining: report.draining,
        uptime_secs: report.uptime_secs,
        active_jobs,
        last_seen: now,
    })
}

/// Whether version `a` is numerically lower than `b`; what is no version is not.
fn is_older(a: &str, b: &str) -> bool {
    let numbers = |v: &str| -> Option<Vec<u64>> {
        let core = v.split(['-', '+']).next()?;
        core.split('.').map(|n| n.parse().ok()).collect()
    };
    match (numbers(a), numbers(b)) {
        (Some(a), Some(b)) => a < b,
        _ => false,
    }
}

/// All agents that ever polled, last seen first.
///
/// # Errors
/// `forbidden` without `metrics.view`.
pub fn list_agents(app: &App, caller: &Caller) -> Result<(Vec<AgentRow>, Timestamp), Error> {
    if !caller.rights.may(Permission::MetricsView) {
        return Err(Error::forbidden("permission denied: metrics.view"));
    }
    Ok((app.store.list_agents(), app.clock.now()))
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_older("0.1.5", "0.1.6"));
        assert!(is_older("0.1.5-beta", "0.1.6"));
        assert!(!is_older("0.1.6", "0.1.6"));
        assert!(!is_older("0.1.10", "0.1.6"));
        assert!(!is_older("1.0.0", "0.1.6"));
        assert!(!is_older("", "0.1.6"));
        assert!(!is_older("next", "0.1.6"));
    }
}
