//! Agents as they last reported. The newest report is kept in memory, which is what counts; the rows follow every few
//! seconds, so that polling costs no transaction.

use super::query::{RunStatement, first};
use super::row_columns::{ReadColumn, columns, invalid};
use super::unreadable::readable;
use super::values::NotNegative;
use super::{Store, View};
use crate::clock::Timestamp;
use crate::domain::agent::Agent;
use crate::domain::feature::Feature;
use crate::domain::id::{Operation, Target};
use crate::domain::scope::Scope;
use crate::error::Error;
use rusqlite::Row;
use serde_json::Value;

/// Agents remembered at most; no deployment of one server has more subjects with agent tokens.
pub const AGENTS_MAX: usize = 10_000;
/// Different reports remembered for one token, at most: more programs than this should have tokens of their own.
pub const REPORTS_MAX: usize = 16;

columns! {
    enum Column of "agents" from "agents a" {
        Id = "a.id",
        Capabilities = "a.capabilities_json",
        Version = "a.version",
        MaxConcurrent = "a.max_concurrent",
        InFlight = "a.in_flight",
        IsDraining = "a.draining",
        Uptime = "a.uptime_secs",
        ActiveJobs = "a.active_jobs_json",
        LastSeen = "a.last_seen_at_ms",
    }
    LAST_SEEN_FIRST = "ORDER BY a.last_seen_at_ms DESC LIMIT 10000";
}

impl Store {
    /// Remembers an agent's report; the row must exist (see [`IdentityChange::AgentRegistered`]).
    ///
    /// [`IdentityChange::AgentRegistered`]: crate::domain::change::IdentityChange::AgentRegistered
    pub fn agent_reported(&self, agent: Agent) {
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        if memory.agents.len() >= AGENTS_MAX && !memory.agents.contains_key(&agent.id) {
            return;
        }
        let id = agent.id.clone();
        let mut others = memory.other_reports.remove(&id).unwrap_or_default();
        others.retain(|other| !other.offers_the_same(&agent) && !other.is_stale(agent.last_seen));
        memory.agents_changed.insert(id.clone());
        if let Some(before) = memory.agents.insert(id.clone(), agent)
            && !before.offers_the_same(&memory.agents[&id])
            && !before.is_stale(memory.agents[&id].last_seen)
        {
            others.insert(0, before);
            others.truncate(REPORTS_MAX - 1);
        }
        if !others.is_empty() {
            memory.other_reports.insert(id, others);
        }
    }

    /// An agent that shows a sign of life without a report: a parked poll, a heartbeat.
    pub fn agent_seen(&self, id: &str, now: Timestamp) {
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(agent) = memory.agents.get_mut(id) {
            agent.last_seen = now;
            memory.agents_changed.insert(id.to_owned());
        }
    }

    /// The agent of that id, if it ever polled.
    pub fn agent(&self, id: &str) -> Option<Agent> {
        let memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        memory.agents.get(id).cloned()
    }

    /// What came under that id: the newest report, and those of the last minute that offer something else.
    pub fn agent_reports(&self, id: &str) -> Vec<Agent> {
        let now = self.now();
        let memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        let newest = memory.agents.get(id).into_iter();
        newest
            .chain(memory.recent_reports(id, now))
            .cloned()
            .collect()
    }

    /// What every agent reported that serves `target` and was seen lately, as [`Store::agent_reports`] has it.
    pub fn agent_reports_for(&self, target: &Target, now: Timestamp) -> Vec<Agent> {
        let memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        let newest = memory.agents.values();
        newest
            .flat_map(|agent| std::iter::once(agent).chain(memory.recent_reports(&agent.id, now)))
            .filter(|report| report.serves(target) && !report.is_stale(now))
            .cloned()
            .collect()
    }

    /// All agents, last seen first.
    pub fn list_agents(&self) -> Vec<Agent> {
        let now = self.now();
        let memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        let offered = |newest: &Agent| {
            let mut agent = newest.clone();
            for other in memory.recent_reports(&newest.id, now) {
                agent.also_offers(other);
            }
            agent
        };
        let mut agents: Vec<Agent> = memory.agents.values().map(offered).collect();
        agents.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then(a.id.cmp(&b.id)));
        agents
    }

    pub(super) fn load_agents(&self) -> Result<(), Error> {
        let agents = self.read(|view| view.stored_agents())?;
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        memory.agents = agents.into_iter().map(|a| (a.id.clone(), a)).collect();
        Ok(())
    }
}

impl View<'_> {
    /// Whether an agent has its row.
    pub fn is_registered(&self, id: &str) -> Result<bool, Error> {
        self.connection.one(
            "SELECT EXISTS (SELECT 1 FROM agents WHERE id = ?1)",
            [id],
            first,
        )
    }

    fn stored_agents(&self) -> Result<Vec<Agent>, Error> {
        let read = |r: &Row<'_>| Ok(read_agent(r));
        let agents = self.connection.list(LAST_SEEN_FIRST, [], read)?;
        readable(agents, "an agent that is unknown until it polls again")
    }
}

fn read_agent(row: &Row) -> Result<Agent, Error> {
    use Column as C;
    let bad = |column| invalid(row, column);
    let capabilities: String = row.column(C::Capabilities)?;
    let active: String = row.column(C::ActiveJobs)?;
    let capabilities: Value =
        serde_json::from_str(&capabilities).map_err(|_| bad(C::Capabilities))?;
    let uptime: NotNegative = row.column(C::Uptime)?;
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut scopes = Vec::new();
    for scope in capabilities["scopes"].as_array().into_iter().flatten() {
        scopes.push(Scope {
            database: text(scope, "database").ok_or_else(|| bad(C::Capabilities))?,
            environment: text(scope, "environment").ok_or_else(|| bad(C::Capabilities))?,
        });
    }
    let operations = capabilities["operations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|o| {
            // None at all means every operation: one that is not readable must not become none.
            let operation = o.as_str().and_then(Operation::parse);
            operation.ok_or_else(|| bad(C::Capabilities))
        })
        .collect::<Result<_, _>>()?;
    let features = capabilities["features"].as_array().into_iter().flatten();
    Ok(Agent {
        scopes,
        operations,
        features: features
            .filter_map(|f| f.as_str().and_then(Feature::parse))
            .collect(),
        version: row.column(C::Version)?,
        max_concurrent: row.column(C::MaxConcurrent)?,
        in_flight: row.column(C::InFlight)?,
        draining: row.column(C::IsDraining)?,
        uptime_secs: uptime.0,
        active_jobs: serde_json::from_str(&active).map_err(|_| bad(C::ActiveJobs))?,
        last_seen: row.column(C::LastSeen)?,
        id: row.column(C::Id)?,
    })
}
