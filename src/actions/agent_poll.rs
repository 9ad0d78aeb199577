//! An agent says what it can do and asks for work.

use super::{Active, App, dialects, dry_run};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::change::IdentityChange;
use crate::domain::feature::Feature;
use crate::domain::id::{Operation, Target};
use crate::domain::permission::Permission;
use crate::domain::scope::{self, Scope};
use crate::error::{Error, Shown};
use crate::store::{AgentRow, DispatchedJob, DryRun, Verdict, View};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Targets an agent may name, at most: every database of a host in every environment, and room.
pub const SCOPES_MAX: usize = 256;
/// Jobs of one target that are looked through for one that the agent runs, where the first ones are not.
pub const BACKLOG_MAX: u32 = 1000;
/// Jobs in one answer, at most.
pub const JOBS_MAX: u32 = 20;
/// Jobs in one answer where the agent does not say.
pub const JOBS_DEFAULT: u32 = 10;
/// The oldest agent that works against us.
pub const MIN_AGENT_VERSION: &str = "0.1.6";
/// Executions an agent runs at once where it does not say.
pub const CONCURRENT_DEFAULT: u32 = 4;
/// Features an agent may name.
pub const FEATURES_MAX: usize = 64;
/// Longest list of active jobs an agent may report, in bytes of JSON.
pub const ACTIVE_JOBS_BYTES_MAX: usize = 64 * 1024;

/// What an agent reports.
#[derive(Debug, Clone, Default)]
pub struct AgentReport {
    pub databases: Vec<String>,
    /// Environments it serves; none for all.
    pub environments: Vec<String>,
    /// Or, pair by pair.
    pub scopes: Vec<(String, String)>,
    /// Operations it runs; none for all.
    pub operations: Vec<String>,
    pub in_flight: u32,
    /// Executions it runs at once, at most.
    pub max_concurrent: Option<u32>,
    /// Whether it takes no more.
    pub draining: bool,
    /// Since when it runs.
    pub uptime_secs: u64,
    pub active_jobs: Option<Value>,
    pub agent_version: Option<String>,
    /// Jobs it wants, at most.
    pub limit: Option<u32>,
    /// What it can do that not every agent can.
    pub features: Vec<String>,
}

/// What an agent's poll returns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentWork {
    /// Jobs it may claim, first dispatched first.
    pub jobs: Vec<DispatchedJob>,
    /// Statements it may explain, oldest first.
    pub dry_runs: Vec<DryRun>,
    /// Whether it is too old to be given any.
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
    if app.is_draining() || upgrade_required || agent.draining {
        return Ok(AgentWork {
            upgrade_required,
            ..AgentWork::default()
        });
    }
    let targets = served(app, caller, &agent.scopes);
    let dry_runs = dry_run::waiting(app, &agent.id, &targets)?;
    if limit == 0 {
        return Ok(AgentWork {
            dry_runs,
            ..AgentWork::default()
        });
    }
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut jobs, mut left) = (Vec::new(), BTreeMap::new());
    let active = app.active();
    app.store.read(|view| {
        let found = dispatched(view, &active, &agent, &operations, &targets)?;
        for (takes, mut job) in found {
            if jobs.len() < wanted && takes {
                // Statements are long, and a backlog has many that nobody asked for.
                view.fill_in(&mut job)?;
                jobs.push(job);
            } else {
                // In the order of dispatch, so that the last one is the newest.
                left.insert(job.target, job.dispatch_seq);
            }
        }
        Ok(())
    })?;
    Ok(AgentWork {
        jobs,
        dry_runs,
        upgrade_required,
        waits: !targets.is_empty(),
        left: left.into_iter().collect(),
    })
}

/// Where work would appear for an agent that reports this.
///
/// # Errors
/// 400 `validation_error`.
pub fn watched(app: &App, caller: &Caller, report: &AgentReport) -> Result<Vec<Target>, Error> {
    Ok(served(app, caller, &scopes(report)?))
}

/// Registered targets within these scopes that the agent's token reaches; a wildcard covers what configuration has.
fn served(app: &App, caller: &Caller, scopes: &[Scope]) -> Vec<Target> {
    app.active()
        .policies
        .targets()
        .filter(|t| caller.reaches(t) && scopes.iter().any(|s| s.covers(t)))
        .collect()
}

/// The first jobs of each target, first dispatched first, each with whether the agent takes it: it runs that operation,
/// and its database reads the text as it was read when it was approved.
fn dispatched(
    view: &View,
    active: &Active,
    agent: &AgentRow,
    operations: &[Operation],
    targets: &[Target],
) -> Result<Vec<(bool, DispatchedJob)>, Error> {
    let mut found = Vec::new();
    for target in targets {
        let dialect = dialects::of_agent(&active.policies, view, target, &agent.id)?;
        let counts = agent.features.contains(&Feature::RowBound);
        let takes = |job: &DispatchedJob| {
            (operations.is_empty() || operations.contains(&job.operation))
                && job.dialect.runs_on(dialect)
                && (counts || !job.needs_row_bound)
        };
        let jobs = jobs_on(view, target, takes)?;
        found.extend(jobs.into_iter().map(|job| (takes(&job), job)));
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
) -> Result<Vec<DispatchedJob>, Error> {
    let first = view.dispatched_jobs(target, JOBS_MAX)?;
    let full = first.len() >= usize::try_from(JOBS_MAX).unwrap_or(usize::MAX);
    if full && !first.iter().any(takes) {
        return view.dispatched_jobs(target, BACKLOG_MAX);
    }
    Ok(first)
}

fn register(app: &Arc<App>, caller: &Caller, agent: &AgentRow) -> Result<(), Error> {
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

/// The targets that a report names, each once.
fn scopes(report: &AgentReport) -> Result<Vec<Scope>, Error> {
    let too_many = || Error::invalid(format!("capabilities name more than {SCOPES_MAX} targets"));
    let lengths = [
        report.databases.len(),
        report.environments.len(),
        report.scopes.len(),
    ];
    if lengths.into_iter().any(|n| n > SCOPES_MAX) {
        return Err(too_many());
    }
    let mut scopes = Vec::new();
    let star = [scope::ANY.to_owned()];
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
        let scope = Scope::of(database, environment);
        if let Some(part) = scope.invalid_part() {
            return Err(Error::invalid(format!(
                "capabilities name `{}`, which is not a name",
                Shown(part)
            )));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
        if scopes.len() > SCOPES_MAX {
            return Err(too_many());
        }
    }
    Ok(scopes)
}

fn describe(caller: &Caller, report: &AgentReport, now: Timestamp) -> Result<AgentRow, Error> {
    let scopes = scopes(report)?;
    if report.operations.len() > SCOPES_MAX {
        return Err(Error::invalid(format!(
            "capabilities name more than {SCOPES_MAX} operations"
        )));
    }
    if report.features.len() > FEATURES_MAX {
        return Err(Error::invalid(format!(
            "`features` names more than {FEATURES_MAX}"
        )));
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
        // Those that this server has no use for are for a newer one.
        features: report
            .features
            .iter()
            .filter_map(|f| Feature::parse(f))
            .collect(),
        version: report.agent_version.clone().filter(|v| v.len() <= 64),
        max_concurrent: report.max_concurrent.unwrap_or(CONCURRENT_DEFAULT),
        in_flight: report.in_flight,
        draining: report.draining,
        uptime_secs: report.uptime_secs,
        active_jobs,
        last_seen: now,
    })
}

/// Whether version `a` is numerically lower than `b`; what is not a version is not lower.
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
    caller.require(Permission::MetricsView)?;
    Ok((app.store.list_agents(), app.clock.now()))
}

#[cfg(test)]
mod tests {
    use super::{AgentReport, SCOPES_MAX, is_older, scopes};

    fn report(databases: &[&str], environments: &[&str], pairs: &[(&str, &str)]) -> AgentReport {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let pairs = pairs.iter();
        AgentReport {
            databases: owned(databases),
            environments: owned(environments),
            scopes: pairs
                .map(|(d, e)| ((*d).to_owned(), (*e).to_owned()))
                .collect(),
            ..AgentReport::default()
        }
    }

    fn named(report: &AgentReport) -> Vec<String> {
        let scopes = scopes(report).unwrap();
        scopes
            .iter()
            .map(|s| format!("{}/{}", s.database, s.environment))
            .collect()
    }

    #[test]
    fn a_report_names_each_target_once() {
        let product = report(&["a", "b", "a"], &["x", "y"], &[("a", "x")]);
        assert_eq!(named(&product), ["a/x", "a/y", "b/x", "b/y"]);
        assert_eq!(named(&report(&["a"], &[], &[])), ["a/*"]);
        assert!(scopes(&report(&["A"], &[], &[])).is_err());
    }

    #[test]
    fn long_lists_are_refused_before_they_are_multiplied() {
        let many = vec!["a"; SCOPES_MAX + 1];
        assert!(scopes(&report(&many, &["x"], &[])).is_err());
        assert!(scopes(&report(&["a"], &many, &[])).is_err());
    }

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
