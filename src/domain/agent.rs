//! What an agent says of itself, and what follows: which work it gets, and how it does.

use crate::clock::Timestamp;
use crate::domain::feature::Feature;
use crate::domain::id::{Operation, Target};
use crate::domain::scope::{self, Scope};
use crate::error::{Error, Shown};
use serde_json::Value;
use std::collections::BTreeSet;

/// An agent not seen for so long is offline.
pub const OFFLINE_AFTER_MS: u64 = 60_000;
/// Targets an agent may name, at most: every database of a host in every environment, and room.
pub const SCOPES_MAX: usize = 256;
/// Features an agent may name.
pub const FEATURES_MAX: usize = 64;
/// Executions an agent runs at once where it does not say.
pub const CONCURRENT_DEFAULT: u32 = 4;
/// Longest list of active jobs an agent may report, in bytes of JSON.
pub const ACTIVE_JOBS_BYTES_MAX: usize = 64 * 1024;
/// Longest version of an agent that is kept, in bytes.
const VERSION_BYTES_MAX: usize = 64;
/// The oldest agent that works against us.
pub const MIN_AGENT_VERSION: &str = "0.1.6";

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

/// An agent as it last reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    pub id: String,
    /// Targets it serves; `*` in a name covers all.
    pub scopes: Vec<Scope>,
    /// Operations it runs; empty for all.
    pub operations: Vec<Operation>,
    /// What it can do that not every agent can.
    pub features: BTreeSet<Feature>,
    pub version: Option<String>,
    /// Executions it runs at once, at most.
    pub max_concurrent: u32,
    pub in_flight: u32,
    /// Whether it takes no more.
    pub draining: bool,
    /// Since when it runs.
    pub uptime_secs: u64,
    /// What it runs, as it says.
    pub active_jobs: Value,
    /// When it last polled.
    pub last_seen: Timestamp,
}

impl Agent {
    /// Whether it serves `target`.
    pub fn serves(&self, target: &Target) -> bool {
        self.scopes.iter().any(|s| s.covers(target))
    }

    /// Whether it runs that operation; one that names none runs all.
    pub fn runs(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }

    /// Whether it counts the rows that a write changes, as a request with a bound needs.
    pub fn counts_rows(&self) -> bool {
        self.features.contains(&Feature::RowBound)
    }

    /// Whether it runs writes that are always rolled back.
    pub fn rehearses(&self) -> bool {
        self.features.contains(&Feature::Rehearsal)
    }

    /// Whether another report offers the same: it takes the place of this one.
    pub fn offers_the_same(&self, other: &Agent) -> bool {
        self.scopes == other.scopes
            && self.operations == other.operations
            && self.features == other.features
    }

    /// Adds what another program with the same token serves and runs.
    pub fn also_offers(&mut self, other: &Agent) {
        let added = other.scopes.iter().filter(|s| !self.scopes.contains(s));
        let added: Vec<Scope> = added.cloned().collect();
        self.scopes.extend(added);
        if other.operations.is_empty() {
            self.operations.clear();
        } else if !self.operations.is_empty() {
            let added = other.operations.iter().copied();
            let added: Vec<Operation> = added.filter(|o| !self.operations.contains(o)).collect();
            self.operations.extend(added);
        }
    }

    /// Whether its report is too old to count.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(self.last_seen) > OFFLINE_AFTER_MS
    }

    /// `offline`, `draining`, `saturated` or `healthy`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.is_stale(now) {
            "offline"
        } else if self.draining {
            "draining"
        } else if self.in_flight >= self.max_concurrent {
            "saturated"
        } else {
            "healthy"
        }
    }

    /// What it can do, as JSON.
    pub fn capabilities_json(&self) -> String {
        let scopes: Vec<Value> = self
            .scopes
            .iter()
            .map(|s| serde_json::json!({"database": s.database, "environment": s.environment}))
            .collect();
        let operations: Vec<&str> = self.operations.iter().map(|o| o.as_str()).collect();
        let features: Vec<&str> = self.features.iter().map(|f| f.as_str()).collect();
        serde_json::json!({"scopes": scopes, "operations": operations, "features": features})
            .to_string()
    }
}

impl AgentReport {
    /// The agent `id` that reports this.
    ///
    /// # Errors
    /// 400 `validation_error`.
    pub fn agent(&self, id: &str, now: Timestamp) -> Result<Agent, Error> {
        let scopes = self.scopes()?;
        let operations = self.operations()?;
        if self.features.len() > FEATURES_MAX {
            return Err(Error::invalid(format!(
                "`features` names more than {FEATURES_MAX}"
            )));
        }
        let active_jobs = self
            .active_jobs
            .clone()
            .filter(|v| v.is_array() && v.to_string().len() <= ACTIVE_JOBS_BYTES_MAX)
            .unwrap_or_else(|| Value::Array(Vec::new()));
        // Features that this server has no use for are for a newer one.
        let features = self.features.iter().filter_map(|f| Feature::parse(f));
        Ok(Agent {
            id: id.to_owned(),
            scopes,
            operations,
            features: features.collect(),
            version: self
                .agent_version
                .clone()
                .filter(|v| v.len() <= VERSION_BYTES_MAX),
            max_concurrent: self.max_concurrent.unwrap_or(CONCURRENT_DEFAULT),
            in_flight: self.in_flight,
            draining: self.draining,
            uptime_secs: self.uptime_secs,
            active_jobs,
            last_seen: now,
        })
    }

    /// Whether the agent is too old to be given work.
    pub fn is_too_old(&self) -> bool {
        self.agent_version
            .as_deref()
            .is_some_and(|v| is_older(v, MIN_AGENT_VERSION))
    }

    /// The targets that the report names, each once.
    ///
    /// # Errors
    /// 400 `validation_error`.
    pub fn scopes(&self) -> Result<Vec<Scope>, Error> {
        let too_many =
            || Error::invalid(format!("capabilities name more than {SCOPES_MAX} targets"));
        let lengths = [
            self.databases.len(),
            self.environments.len(),
            self.scopes.len(),
        ];
        if lengths.into_iter().any(|n| n > SCOPES_MAX) {
            return Err(too_many());
        }
        let star = [scope::ANY.to_owned()];
        let environments = match self.environments.is_empty() {
            true => &star[..],
            false => &self.environments[..],
        };
        let product = self
            .databases
            .iter()
            .flat_map(|d| environments.iter().map(move |e| (d, e)));
        let pairs = self.scopes.iter().map(|(d, e)| (d, e));
        let mut scopes = Vec::new();
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

    fn operations(&self) -> Result<Vec<Operation>, Error> {
        if self.operations.len() > SCOPES_MAX {
            return Err(Error::invalid(format!(
                "capabilities name more than {SCOPES_MAX} operations"
            )));
        }
        let parse = |name: &String| {
            Operation::parse(name).ok_or_else(|| {
                Error::invalid(format!(
                    "capabilities name the unknown operation `{}`",
                    Shown(name)
                ))
            })
        };
        self.operations.iter().map(parse).collect()
    }
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

#[cfg(test)]
mod tests;
