//! The thread that talks to the server: learns its key, polls, claims, and hands what it claimed to threads of its own.

use super::drivers::RunOutcome;
use super::execution::{CheckedExecution, ExecutionSlot, body, check, execute};
use super::pacing::Backoff;
use super::{AgentShared, delivery, explaining, rehearsing};
use crate::client::{AgentStatus, Capabilities, Claim, ClientError, OfferedJob, Poll};
use crate::crypto::{PublicKey, hex, random, unhex};
use crate::domain::id::{Operation, Target, is_uuid};
use crate::error::Shown;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait after a call that failed.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// How long a claim is repeated under its key.
const CLAIM_FOR: Duration = Duration::from_secs(20);
/// How often an agent that has no room for another job shows itself; the server takes it for gone after 60 s.
const BUSY_POLL_EVERY: Duration = Duration::from_secs(15);
/// The least time a fruitless poll takes, by pausing after one that was answered at once: a server that is stopping
/// or too old does not hold polls.
const FRUITLESS_POLL_MIN: Duration = Duration::from_secs(1);
/// Wait where the server wants a newer agent.
const UPGRADE_WAIT: Duration = Duration::from_secs(60);
/// How long a job that somebody else was given is left alone.
const TAKEN_FOR: Duration = Duration::from_secs(1);
/// How long a job that we may not have is left alone.
const DENIED_FOR: Duration = Duration::from_secs(10);
/// Most jobs remembered as left alone; over it the memory starts anew.
const LEFT_ALONE_MAX: usize = 256;

/// The operations that the drivers of this version run.
const OPERATIONS: [Operation; 6] = Operation::ALL;

/// What this agent can do that not every agent can.
const FEATURES: [&str; 5] = ["claims_v2", "dialect", "outcome", "rehearsal", "row_bound"];

/// The thread's body: works until the agent stops or fails, then joins the executions.
pub fn run(shared: &Arc<AgentShared>) {
    let mut poller = Poller {
        shared,
        backoff: Backoff::up_to(WAIT_MAX),
        left_alone: HashMap::new(),
        threads: Vec::new(),
        started: 0,
    };
    if poller.learn_key() {
        poller.work();
        poller.say_goodbye();
    }
    for thread in poller.threads {
        if thread.join().is_err() {
            log::error!("an execution thread panicked");
        }
    }
}

struct Poller<'a> {
    shared: &'a Arc<AgentShared>,
    backoff: Backoff,
    left_alone: HashMap<String, Instant>,
    threads: Vec<JoinHandle<()>>,
    started: u64,
}

impl Poller<'_> {
    /// Gets the server's public key and holds it against the pin; `false` if there will be none.
    fn learn_key(&mut self) -> bool {
        loop {
            if self.shared.stopping() {
                return false;
            }
            match self.shared.breakable_client.public_key() {
                Ok(reply) => match pinned(self.shared, &reply.public_key)
                    .and_then(|key| Ok((key, own_id(self.shared, reply.agent_id)?)))
                {
                    Ok((key, id)) => {
                        self.backoff.reset();
                        self.shared.change(|state| {
                            (state.key, state.id) = (Some(key), Some(id));
                        });
                        return true;
                    }
                    Err(why) => {
                        self.shared.fail(why);
                        return false;
                    }
                },
                Err(error) => {
                    if self.refused_for_good(&error, "asking for the public key") {
                        return false;
                    }
                }
            }
        }
    }

    fn work(&mut self) {
        while !self.shared.stopping() {
            self.threads = std::mem::take(&mut self.threads)
                .into_iter()
                .filter(|thread| !thread.is_finished())
                .collect();
            let free = self.free();
            let began = Instant::now();
            // The first poll is answered at once, so that everybody knows soon whether it works at all.
            let wait = match free > 0 && self.shared.state().ready {
                true => self.shared.config.work.poll_wait_secs,
                false => 0,
            };
            let reply = match self
                .shared
                .breakable_client
                .poll(&self.poll(free, wait, false))
            {
                Ok(reply) => reply,
                Err(error) => {
                    if self.refused_for_good(&error, "polling") {
                        return;
                    }
                    continue;
                }
            };
            self.backoff.reset();
            if !self.shared.state().ready {
                log::info!(
                    "connected to the server, version {}",
                    Shown(&reply.server_version)
                );
                self.shared.change(|state| state.ready = true);
            }
            if reply.upgrade_required {
                log::error!("the server wants a newer agent and gives this one no work");
                self.shared.pause(UPGRADE_WAIT);
                continue;
            }
            // First, for claiming may take a while.
            let explains = explaining::offer(self.shared, &reply.dry_run_jobs)
                | rehearsing::offer(self.shared, &reply.rehearsal_jobs);
            let tried = self.take_jobs(&reply.jobs, free);
            if free == 0 {
                self.wait_for_room();
            } else if wait > 0 && !tried && !explains && began.elapsed() < FRUITLESS_POLL_MIN {
                self.pause_fruitless();
            }
        }
    }

    /// Pauses after a fruitless poll; if the server showed only what waits to be explained, until that is done.
    fn pause_fruitless(&self) {
        let aside = !self.shared.state().aside_idle();
        drop(self.shared.wait(FRUITLESS_POLL_MIN, |state| {
            state.stopping || (aside && state.aside_idle())
        }));
    }

    /// Waits after a call that failed. `true` when nothing will come of trying again: the agent stops, or the server
    /// refused its very first call.
    fn refused_for_good(&mut self, error: &ClientError, doing: &str) -> bool {
        if self.shared.stopping() {
            return true;
        }
        let final_answer = !error.retryable && !self.shared.state().ready;
        if final_answer {
            self.shared.fail(format!("{doing}: {error}"));
            return true;
        }
        let wait = self.backoff.next(error.retry_after);
        log::warn!("{doing}: {error}; trying again in {} s", wait.as_secs());
        self.shared.pause(wait)
    }

    fn free(&self) -> u32 {
        let running = u32::try_from(self.shared.state().running.len()).unwrap_or(u32::MAX);
        self.shared
            .config
            .work
            .max_concurrent
            .saturating_sub(running)
    }

    fn wait_for_room(&self) {
        let max = self.shared.config.work.max_concurrent as usize;
        drop(self.shared.wait(BUSY_POLL_EVERY, |state| {
            state.stopping || state.running.len() < max
        }));
    }

    fn poll(&self, limit: u32, wait: u64, draining: bool) -> Poll {
        let config = &self.shared.config;
        let scopes = config
            .databases
            .iter()
            .map(|d| (d.target.database(), d.target.environment()));
        let active_jobs = self.shared.active_jobs();
        Poll {
            agent_id: config.id.clone(),
            capabilities: Capabilities::new(scopes, OPERATIONS.map(Operation::as_str).to_vec()),
            status: AgentStatus {
                in_flight: u32::try_from(active_jobs.len()).unwrap_or(u32::MAX),
                max_concurrent: config.work.max_concurrent,
                draining,
                uptime_secs: self.shared.started.elapsed().as_secs(),
                active_jobs,
            },
            limit,
            wait,
            features: &FEATURES,
            agent_version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Claims and starts up to `free` of `jobs`; whether any claim was tried.
    fn take_jobs(&mut self, jobs: &[OfferedJob], free: u32) -> bool {
        let now = Instant::now();
        self.left_alone.retain(|_, until| *until > now);
        let mut tried = false;
        for job in jobs.iter().take(free as usize) {
            if self.shared.stopping() {
                return tried;
            }
            if self.left_alone.contains_key(&job.id) {
                continue;
            }
            if !self.serves(job) {
                log::warn!("the server offers a job that this agent cannot have");
                self.leave_alone(&job.id, DENIED_FOR);
                continue;
            }
            tried = true;
            match self.claim(&job.id) {
                Ok(claim) => self.begin(&claim, &job.id),
                Err(error) => {
                    let taken = error.status == Some(409);
                    if !taken {
                        log::warn!("claiming request {}: {error}", job.id);
                    }
                    self.leave_alone(&job.id, if taken { TAKEN_FOR } else { DENIED_FOR });
                }
            }
        }
        tried
    }

    fn serves(&self, job: &OfferedJob) -> bool {
        is_uuid(&job.id)
            && Target::new(&job.database, &job.environment)
                .is_ok_and(|target| self.shared.drivers.contains_key(&target))
    }

    fn leave_alone(&mut self, request_id: &str, how_long: Duration) {
        if self.left_alone.len() >= LEFT_ALONE_MAX {
            self.left_alone.clear();
        }
        self.left_alone
            .insert(request_id.to_owned(), Instant::now() + how_long);
    }

    /// Claims under one key, so that an answer that got lost can be asked for again.
    fn claim(&self, request_id: &str) -> Result<Claim, ClientError> {
        let key = random::<16>();
        let began = Instant::now();
        let mut backoff = Backoff::up_to(WAIT_MAX);
        loop {
            let error = match self.shared.client.claim(request_id, &key) {
                Ok(claim) => return Ok(claim),
                Err(error) => error,
            };
            let wait = backoff.next(error.retry_after);
            let expired = began.elapsed() + wait > CLAIM_FOR;
            if !error.retryable || expired || self.shared.pause(wait) {
                return Err(error);
            }
        }
    }

    /// Starts what was claimed on a thread of its own, or says why not.
    fn begin(&mut self, claim: &Claim, request_id: &str) {
        if !is_uuid(&claim.execution_id) {
            log::error!("the server gave an execution an invalid id");
            self.leave_alone(request_id, DENIED_FOR);
            return;
        }
        let why_not = match check(self.shared, claim, request_id) {
            Ok(work) => match ExecutionSlot::take(self.shared, &work) {
                Some(slot) => match self.spawn(slot, work) {
                    Ok(()) => return,
                    Err(_) => "not run: the agent has no thread left for it".to_owned(),
                },
                None => {
                    // Nothing is submitted: its own thread does, and a refusal from here would contradict it.
                    log::error!("execution {} runs already", claim.execution_id);
                    self.leave_alone(request_id, TAKEN_FOR);
                    return;
                }
            },
            Err(why_not) => why_not,
        };
        log::error!("execution {} is not run: {why_not}", claim.execution_id);
        let refusal = body(&RunOutcome::failed(why_not), Duration::ZERO);
        delivery::refuse(self.shared, &claim.execution_id, &refusal);
    }

    fn spawn(&mut self, slot: ExecutionSlot, work: CheckedExecution) -> std::io::Result<()> {
        self.started += 1;
        let name = self.started;
        let thread = std::thread::Builder::new()
            .name(format!("agent-exec-{name}"))
            .spawn(move || execute(slot, &work, name))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The last poll: takes nothing, and tells the server that nothing more will be taken.
    fn say_goodbye(&self) {
        let poll = self.poll(0, 0, true);
        if let Err(error) = self.shared.client.poll(&poll) {
            log::info!("telling the server that this agent stops: {error}");
        }
    }
}

/// The id that tokens for this agent name: the configured one, else the subject of its token as the server named it
/// when it first saw that token. Nobody who can change answers on the way makes one agent take another's tokens.
fn own_id(shared: &AgentShared, shown: Option<String>) -> Result<String, String> {
    if let Some(id) = &shared.config.id {
        return Ok(id.clone());
    }
    let journal = &shared.journal;
    let token = shared.config.server.token.fingerprint();
    let known = journal.own_id(&token).map_err(|e| e.to_string())?;
    match (known, shown) {
        (Some(known), Some(shown)) if known != shown => Err(format!(
            "the server names the subject of this agent's token `{}`, and named it `{known}` before; set `agent.id`",
            Shown(&shown)
        )),
        (Some(known), _) => Ok(known),
        (None, Some(shown)) => {
            journal
                .set_own_id(&token, &shown)
                .map_err(|e| e.to_string())?;
            Ok(shown)
        }
        (None, None) => Err(
            "the server does not name the subject of this agent's token; set `agent.id`".to_owned(),
        ),
    }
}

/// The key that the server shows, if it is the configured one, or the one that was shown first.
fn pinned(shared: &AgentShared, shown: &str) -> Result<PublicKey, String> {
    let key = unhex(shown)
        .and_then(|bytes| PublicKey::from_bytes(&bytes))
        .ok_or("the server's public key is not an Ed25519 key")?;
    let shown = hex(&key.bytes());
    let journal = &shared.journal;
    let (pin, whence) = match shared.config.public_key {
        Some(expected) => (Some(hex(&expected)), "`server.public_key` in agent.toml"),
        None => (
            journal.public_key().map_err(|e| e.to_string())?,
            "the key of its first start",
        ),
    };
    match pin {
        Some(pin) if pin != shown => Err(format!(
            "the server's public key is not {whence}: it is {shown} and should be {pin}; if the server was given a \
             new key on purpose, put it into `server.public_key`"
        )),
        _ => {
            journal.set_public_key(&shown).map_err(|e| e.to_string())?;
            Ok(key)
        }
    }
}
