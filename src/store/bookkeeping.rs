//! What may be late by seconds, and lost with the process without a lie: leases as heartbeats extend them, agents'
//! reports, when a token was last used. Kept in memory and written together; nothing here is audited.

use super::query::RunStatement;
use super::{Store, View};
use crate::clock::Timestamp;
use crate::domain::agent::Agent;
use crate::domain::execution::Lease;
use crate::error::Error;
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Entries of each kind kept between two flushes; beyond it, an entry is dropped, which costs precision only.
const ENTRIES_MAX: usize = 50_000;

#[derive(Default)]
pub(super) struct Bookkeeping {
    leases: HashMap<String, Lease>,
    tokens_used: HashMap<String, Timestamp>,
    users_seen: HashMap<String, Timestamp>,
    sessions_used: HashMap<String, Timestamp>,
    pub(super) agents: BTreeMap<String, Agent>,
    /// Other reports that came lately under an id, the newest first: several programs may share a token.
    pub(super) other_reports: HashMap<String, Vec<Agent>>,
    pub(super) agents_changed: BTreeSet<String>,
}

impl Bookkeeping {
    /// Reports of the last minute under an id, besides its newest.
    pub(super) fn recent_reports(&self, id: &str, now: Timestamp) -> impl Iterator<Item = &Agent> {
        let others = self.other_reports.get(id).into_iter().flatten();
        others.filter(move |other| !other.is_stale(now))
    }
}

impl Store {
    pub fn extend_lease(&self, execution_id: &str, until: Timestamp) {
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        let lease = Lease {
            until,
            heartbeat_received: true,
        };
        memory.leases.insert(execution_id.to_owned(), lease);
    }

    /// Notes that a token was used, and by whom.
    pub fn token_used(&self, token_id: &str, subject: &str, now: Timestamp) {
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        if memory.tokens_used.len() < ENTRIES_MAX {
            memory.tokens_used.insert(token_id.to_owned(), now);
            memory.users_seen.insert(subject.to_owned(), now);
        }
    }

    /// Notes a login without a token of ours.
    pub fn user_seen(&self, subject: &str, now: Timestamp) {
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        if memory.users_seen.len() < ENTRIES_MAX {
            memory.users_seen.insert(subject.to_owned(), now);
        }
    }

    /// Notes that a session was used, and by whom.
    pub fn session_used(&self, session_id: &str, subject: &str, now: Timestamp) {
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        if memory.sessions_used.len() < ENTRIES_MAX {
            memory.sessions_used.insert(session_id.to_owned(), now);
            memory.users_seen.insert(subject.to_owned(), now);
        }
    }

    /// Writes what is kept in memory.
    pub fn flush(&self) -> Result<(), Error> {
        let (leases, tokens, users, sessions, agents) = {
            let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
            let changed = std::mem::take(&mut memory.agents_changed);
            let agents: Vec<Agent> = changed
                .iter()
                .filter_map(|id| memory.agents.get(id).cloned())
                .collect();
            let tokens = std::mem::take(&mut memory.tokens_used);
            let users = std::mem::take(&mut memory.users_seen);
            // Kept until they are written: a session must not seem idle meanwhile.
            let sessions = memory.sessions_used.clone();
            (memory.leases.clone(), tokens, users, sessions, agents)
        };
        let nobody = tokens.is_empty() && users.is_empty() && sessions.is_empty();
        if leases.is_empty() && nobody && agents.is_empty() {
            return Ok(());
        }
        let used = sessions.clone();
        let written: Vec<(String, Lease)> = leases.iter().map(|(k, v)| (k.clone(), *v)).collect();
        self.bookkeep(move |connection| {
            for (id, lease) in &leases {
                connection.run(
                    "UPDATE executions SET lease_until_ms = ?2, heartbeats = 1 \
                         WHERE id = ?1 AND status = 'claimed'",
                    params![id, lease.until.0],
                )?;
            }
            for (id, at) in &tokens {
                connection.run(
                    "UPDATE tokens SET last_used_at_ms = ?2 WHERE id = ?1",
                    params![id, at.0],
                )?;
            }
            for (id, at) in &users {
                connection.run(
                    "UPDATE users SET last_seen_at_ms = ?2 WHERE id = ?1",
                    params![id, at.0],
                )?;
            }
            for (id, at) in &sessions {
                connection.run(
                    "UPDATE sessions SET last_used_at_ms = max(last_used_at_ms, ?2) WHERE id = ?1",
                    params![id, at.0],
                )?;
            }
            for agent in &agents {
                write_agent(connection, agent)?;
            }
            Ok(())
        })?;
        let mut memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        memory
            .sessions_used
            .retain(|id, at| used.get(id) != Some(at));
        for (id, lease) in written {
            // Only what was written and has not moved since may be forgotten.
            if memory.leases.get(&id) == Some(&lease) {
                memory.leases.remove(&id);
            }
        }
        Ok(())
    }

    /// After a restart nobody could send a heartbeat for a while: every claimed execution gets one whole lease.
    pub(super) fn extend_leases_after_restart(&self) -> Result<(), Error> {
        let now = self.now().0;
        self.bookkeep(move |connection| {
            connection.run(
                "UPDATE executions SET lease_until_ms = ?1 + lease_secs * 1000 \
                     WHERE status = 'claimed'",
                [now],
            )?;
            Ok(())
        })
    }
}

fn write_agent(connection: &rusqlite::Connection, agent: &Agent) -> Result<(), Error> {
    connection
        .run("UPDATE agents SET capabilities_json = ?2, version = ?3, max_concurrent = ?4, in_flight = ?5, \
             draining = ?6, uptime_secs = ?7, active_jobs_json = ?8, last_seen_at_ms = ?9 WHERE id = ?1", params![
                agent.id,
                agent.capabilities_json(),
                agent.version,
                agent.max_concurrent,
                agent.in_flight,
                agent.draining,
                i64::try_from(agent.uptime_secs).unwrap_or(i64::MAX),
                agent.active_jobs.to_string(),
                agent.last_seen.0
            ])?;
    Ok(())
}

impl View<'_> {
    /// When a session was last used, where that is not written yet.
    pub(super) fn remembered_use(&self, session_id: &str) -> Option<Timestamp> {
        let memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        memory.sessions_used.get(session_id).copied()
    }

    /// The lease as heartbeats since the last flush have it.
    pub(super) fn remembered_lease(&self, execution_id: &str) -> Option<Lease> {
        let memory = self.bookkeeping.lock().unwrap_or_else(|e| e.into_inner());
        memory.leases.get(execution_id).copied()
    }
}
