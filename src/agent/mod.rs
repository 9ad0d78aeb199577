//! The agent: runs approved statements on the databases next to it, and calls the server for work.
//!
//! It trusts a signature, not a connection: nothing runs without an execution token of the key it has pinned. And it
//! trusts its disk, not its memory: what it is about to run and what came of it are in the journal before anything is
//! reported. One thread polls and claims; each execution has a thread and another for its heartbeats; one thread hands
//! in what an earlier run could not; one describes the databases and one explains statements to reviewers. All are
//! named, and joined when the agent stops. No thread of the agent touches a database: child processes do (`wall`).

mod caps;
pub mod config;
mod delivery;
pub mod drivers;
mod execution;
mod explaining;
pub mod journal;
mod openable;
mod pacing;
mod poll;
mod rehearsing;
pub mod sample;
mod schema_sync;
mod settling;
pub mod wall;

use crate::client::{ActiveJob, Client, DryRunJob, RehearsalJob};
use crate::clock::Clock;
use crate::crypto::PublicKey;
use crate::domain::id::{Operation, Target};
use crate::error::Error;
use config::{AgentConfig, Caps, DriverConfig};
use drivers::{Cancel, StopReason};
use journal::Journal;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wall::Wall;

/// An agent at work. Dropping it stops it at once; [`RunningAgent::stop`] is kinder.
pub struct RunningAgent {
    shared: Arc<AgentShared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl RunningAgent {
    /// Opens the journal, settles what an earlier process left, and starts to work; children are this program.
    /// The server need not be there yet.
    ///
    /// # Errors
    /// `unavailable` for a database that cannot be opened, `state_dir_in_use`, `internal` when the journal cannot be
    /// opened, `validation_error` for a configuration that was not made by [`AgentConfig::load`] and is wrong.
    pub fn start(config: AgentConfig, clock: Clock) -> Result<RunningAgent, Error> {
        let warm = config.work.max_concurrent as usize;
        let wall = Wall::new(program()?, warm);
        openable::ensure(&wall, &config.databases)?;
        wall.warm_up();
        RunningAgent::start_with(wall, config, clock)
    }

    /// Opens each database of a configuration once, without starting an agent: why one cannot be, in its order.
    ///
    /// # Errors
    /// Where this program cannot be found to be started as a child.
    pub fn try_databases(config: &AgentConfig) -> Result<Vec<Result<(), String>>, Error> {
        let wall = Wall::new(program()?, 1);
        Ok(openable::tried(&wall, &config.databases))
    }

    fn start_with(wall: Wall, config: AgentConfig, clock: Clock) -> Result<RunningAgent, Error> {
        let journal = Journal::open(&config.state_dir)?;
        let asked_about = settling::settle_known(&journal, clock.now())?;
        let caps = config
            .databases
            .iter()
            .map(|database| (database.target.clone(), database.caps.clone()))
            .collect();
        let drivers = config
            .databases
            .iter()
            .map(|database| (database.target.clone(), database.driver.clone()))
            .collect();
        let shared = Arc::new(AgentShared {
            client: Client::new(&config.server)?,
            breakable_client: Client::new(&config.server)?,
            breaking_off: Cancel::new(),
            config,
            clock,
            journal,
            wall,
            drivers,
            caps,
            started: Instant::now(),
            state: Mutex::new(AgentState {
                asked_about,
                ..AgentState::default()
            }),
            changed: Condvar::new(),
        });
        let agent = RunningAgent {
            shared,
            threads: Mutex::new(Vec::new()),
        };
        agent.spawn("agent-poll", poll::run)?;
        agent.spawn("agent-outbox", delivery::run)?;
        agent.spawn("agent-schema", schema_sync::run)?;
        agent.spawn("agent-explain", explaining::run)?;
        agent.spawn("agent-rehearse", rehearsing::run)?;
        agent.spawn("agent-settle", settling::run)?;
        Ok(agent)
    }

    fn spawn(&self, name: &str, body: fn(&Arc<AgentShared>)) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || body(&shared))
            .map_err(|e| Error::internal("a thread of the agent", e))?;
        self.threads
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(thread);
        Ok(())
    }

    /// Waits until the server has answered a poll, at most `wait`; whether it has.
    pub fn wait_ready(&self, wait: Duration) -> bool {
        let over = |state: &AgentState| state.ready || state.failure.is_some();
        self.shared.wait(wait, over).ready
    }

    /// Waits until the agent has given up for good (the server refuses it, or its key has changed), at most `wait`;
    /// why, if it has.
    pub fn wait_failure(&self, wait: Duration) -> Option<String> {
        self.shared
            .wait(wait, |state| state.failure.is_some())
            .failure
            .clone()
    }

    /// Executions that run now.
    pub fn in_flight(&self) -> usize {
        self.shared.state().running.len()
    }

    /// Stops: no new work at once, running statements get `drain`, what runs then is interrupted and rolled back, and
    /// every thread is joined. Takes at most `drain` and the length of one call to the server.
    pub fn stop(&self, drain: Duration) {
        self.shared.change(|state| state.stopping = true);
        self.shared.breaking_off.ask(StopReason::Stopping);
        self.shared.breakable_client.shutdown();
        let idle = |state: &AgentState| state.running.is_empty() || state.giving_up;
        if !self.shared.wait(drain, idle).running.is_empty() {
            log::warn!("statements still run; interrupting them");
        }
        self.interrupt();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|e| e.into_inner()));
        for thread in threads {
            if thread.join().is_err() {
                log::error!("a thread of the agent panicked");
            }
        }
    }

    /// Interrupts whatever runs, and ends a [`Agent::stop`] that still waits for it.
    pub fn interrupt(&self) {
        self.shared.change(|state| {
            state.stopping = true;
            state.giving_up = true;
            for running in state.running.values() {
                running.cancel.ask(StopReason::Stopping);
            }
        });
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// This program. By the link that Linux keeps, which stays right when the file is replaced by a newer one.
fn program() -> Result<PathBuf, Error> {
    let link = PathBuf::from("/proc/self/exe");
    match link.exists() {
        true => Ok(link),
        false => {
            std::env::current_exe().map_err(|e| Error::internal("the path of this program", e))
        }
    }
}

/// What the threads of an agent share.
struct AgentShared {
    config: AgentConfig,
    clock: Clock,
    client: Client,
    /// For polls, descriptions and plans, so that stopping can break these off and touch no other call.
    breakable_client: Client,
    /// The same for what describes and explains.
    breaking_off: Cancel,
    journal: Journal,
    wall: Wall,
    drivers: HashMap<Target, DriverConfig>,
    caps: HashMap<Target, Caps>,
    started: Instant,
    state: Mutex<AgentState>,
    /// Rung at every change of `state`.
    changed: Condvar,
}

#[derive(Default)]
struct AgentState {
    stopping: bool,
    /// No more waiting for anything.
    giving_up: bool,
    /// The server has answered a poll.
    ready: bool,
    /// Why the agent has given up for good.
    failure: Option<String>,
    /// The key that tokens are checked against, once it is known.
    key: Option<PublicKey>,
    /// The id that tokens must name, once it is known.
    id: Option<String>,
    /// What runs now, by execution id; at most `max_concurrent`.
    running: BTreeMap<String, RunningExecution>,
    /// Databases whose schema an execution has changed since they were last described.
    altered: BTreeSet<Target>,
    /// What an earlier process was about to commit, and whose session it may have left.
    asked_about: Vec<journal::Unfinished>,
    explaining: explaining::AsideQueue<DryRunJob>,
    rehearsing: explaining::AsideQueue<RehearsalJob>,
}

impl AgentState {
    /// Whether nothing waits or is done for reviewers.
    fn aside_idle(&self) -> bool {
        self.explaining.is_idle() && self.rehearsing.is_idle()
    }

    /// Whether nothing more is to be done: the agent stops, or has given up.
    fn over(&self) -> bool {
        self.stopping || self.failure.is_some()
    }
}

struct RunningExecution {
    request_id: String,
    operation: Operation,
    since: Instant,
    cancel: Cancel,
}

impl AgentShared {
    fn state(&self) -> MutexGuard<'_, AgentState> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn change<T>(&self, how: impl FnOnce(&mut AgentState) -> T) -> T {
        let mut state = self.state();
        let value = how(&mut state);
        self.changed.notify_all();
        value
    }

    /// Waits until `over` holds, at most `wait`.
    fn wait(
        &self,
        wait: Duration,
        over: impl Fn(&AgentState) -> bool,
    ) -> MutexGuard<'_, AgentState> {
        self.changed
            .wait_timeout_while(self.state(), wait, |state| !over(state))
            .unwrap_or_else(|e| e.into_inner())
            .0
    }

    /// Waits `wait`, or until the agent stops; whether it does.
    fn pause(&self, wait: Duration) -> bool {
        self.wait(wait, |state| state.stopping).stopping
    }

    fn stopping(&self) -> bool {
        self.state().stopping
    }

    /// Gives up for good.
    fn fail(&self, why: String) {
        log::error!("the agent stops working: {why}");
        self.change(|state| state.failure = Some(why));
    }

    fn active_jobs(&self) -> Vec<ActiveJob> {
        self.state()
            .running
            .values()
            .map(|running| ActiveJob {
                request_id: running.request_id.clone(),
                operation: running.operation.as_str(),
                elapsed_secs: running.since.elapsed().as_secs(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
