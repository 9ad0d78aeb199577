//! The thread that rehearses writes for approvers, one at a time, and submits what came of it. It goes no way that an
//! execution goes: no journal, no execution id, no result route. What is cut off leaves nothing in the database and is
//! reported as nothing; the server gives it up by itself.

use super::AgentShared;
use super::caps;
use super::config::DriverConfig;
use super::config::ROWS_BYTES_MAX;
use super::drivers::DriverJob;
use super::execution::{refuse_replaced, statements};
use super::explaining::AsideJob;
use super::pacing::Backoff;
use crate::client::{RehearsalClaim, RehearsalJob, RehearsalResult};
use crate::domain::execution_token::detail_hash;
use crate::domain::id::{Operation, Target, is_uuid};
use crate::domain::rehearsal::{ANSWER_SECS, LOCK_SECS, TIMEOUT_SECS};
use crate::domain::rehearsal_token::{ExpectedRehearsal, verify};
use crate::domain::sql::DialectFact;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a job is left alone once it was tried: longer than the server offers it.
const SETTLED_FOR: Duration = Duration::from_secs(ANSWER_SECS + 30);
/// How long handing a report in is tried; then the server has given it up.
const TRY_FOR: Duration = Duration::from_secs(ANSWER_SECS);
/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long nothing waits before the thread looks around; it is woken for everything it has to do.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// Tries to claim one; the answer of a claim may get lost.
const CLAIM_TRIES: u32 = 3;
/// The message where rehearsing panicked.
const PANICKED: &str = "the agent failed while it rehearsed the statement";

impl AsideJob for RehearsalJob {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Puts what a poll shows in line; whether any of it was new.
pub fn offer(shared: &AgentShared, jobs: &[RehearsalJob]) -> bool {
    if jobs.is_empty() {
        return false;
    }
    let fits = |job: &&RehearsalJob| {
        let fits = is_uuid(&job.id) && is_uuid(&job.request_id) && target(shared, job).is_some();
        if !fits {
            log::debug!("the server offers a rehearsal that is not for this agent");
        }
        fits
    };
    shared.change(|state| {
        let offered = jobs.iter().filter(fits);
        state.rehearsing.take(offered, Instant::now())
    })
}

fn target(shared: &AgentShared, job: &RehearsalJob) -> Option<Target> {
    let reads = |driver: &DriverConfig| {
        DialectFact::parse(&job.dialect).is_some_and(|fact| fact.accepts(driver.dialect()))
    };
    Target::new(&job.database, &job.environment)
        .ok()
        .filter(|target| shared.drivers.get(target).is_some_and(reads))
}

/// The thread's body: works until the agent stops or fails.
pub fn run(shared: &Arc<AgentShared>) {
    while let Some(job) = next(shared) {
        rehearse(shared, &job);
        shared.change(|state| {
            let until = Instant::now() + SETTLED_FOR;
            state.rehearsing.settle(&job.id, until);
        });
    }
}

fn next(shared: &AgentShared) -> Option<RehearsalJob> {
    loop {
        let mut state = shared.wait(LOOK_EVERY, |state| {
            state.over() || state.rehearsing.is_waiting()
        });
        if state.over() {
            return None;
        }
        if let Some(job) = state.rehearsing.next() {
            return Some(job);
        }
    }
}

/// Claims, checks, runs and submits.
fn rehearse(shared: &AgentShared, job: &RehearsalJob) {
    let Some(claim) = claim(shared, job) else {
        return;
    };
    let report = check(shared, job, &claim).and_then(|(driver, job)| {
        let run = AssertUnwindSafe(|| shared.wall.rehearse(driver, &job, &shared.breaking_off));
        catch_unwind(run).unwrap_or_else(|_| Err(PANICKED.to_owned()))
    });
    shared.wall.warm_up();
    log::info!(
        "rehearsal {} of request {}: {}",
        job.id,
        job.request_id,
        if report.is_ok() { "done" } else { "failed" }
    );
    if !shared.stopping() {
        hand_in(shared, job, &report);
    }
}

fn claim(shared: &AgentShared, job: &RehearsalJob) -> Option<RehearsalClaim> {
    let mut backoff = Backoff::up_to(WAIT_MAX);
    for _ in 0..CLAIM_TRIES {
        match shared.breakable_client.claim_rehearsal(&job.id) {
            Ok(claim) => return Some(claim),
            Err(error) if error.retryable && !shared.stopping() => {
                if shared.pause(backoff.next(error.retry_after)) {
                    return None;
                }
            }
            // Somebody else has it, or nobody wants it any more.
            Err(error) => {
                log::debug!("claiming the rehearsal {}: {error}", job.id);
                return None;
            }
        }
    }
    None
}

/// Holds what the server says is to be rehearsed against what it has signed, and against this agent's own limits.
fn check<'a>(
    shared: &'a AgentShared,
    job: &RehearsalJob,
    claim: &RehearsalClaim,
) -> Result<(&'a DriverConfig, DriverJob), String> {
    let target = Target::new(&claim.database, &claim.environment)
        .map_err(|_| "this agent does not serve the database".to_owned())?;
    let driver = shared
        .drivers
        .get(&target)
        .ok_or("this agent does not serve the database")?;
    let key = shared.state().key.ok_or("the agent has no key yet")?;
    let own_id = shared.state().id.clone().ok_or("the agent has no id yet")?;
    let plan_json = claim.execution_plan_json.as_deref();
    let hash = detail_hash(plan_json, Operation::ExecuteDml, &claim.detail);
    let expected = ExpectedRehearsal {
        // What we asked to claim, not what the answer says we did.
        request_id: &job.request_id,
        rehearsal_id: &job.id,
        database: &claim.database,
        environment: &claim.environment,
        detail_hash: &hash,
        agent_id: &own_id,
        dialect: driver.dialect(),
    };
    let claims = verify(&claim.rehearsal_token, &key, shared.clock.now(), &expected)
        .map_err(|e| format!("token verification failed: {e}"))?;
    refuse_replaced(shared, claims.epoch)?;
    let plan = statements(plan_json, &claim.detail)?;
    let mut job = DriverJob {
        operation: Operation::ExecuteDml,
        plan,
        // Never longer than is known here, whatever was signed.
        timeout_secs: claims.statement_timeout_secs.clamp(1, TIMEOUT_SECS),
        max_rows: None,
        max_result_bytes: ROWS_BYTES_MAX,
        max_affected_rows: None,
        lock_timeout_secs: claims.lock_timeout_secs.clamp(1, LOCK_SECS),
    };
    if let Some(caps) = shared.caps.get(&target) {
        caps::allowed(&job, caps, driver.dialect())?;
        caps::limit(&mut job, caps);
    }
    Ok((driver, job))
}

fn hand_in(shared: &AgentShared, job: &RehearsalJob, report: &Result<String, String>) {
    let (result, error) = match report {
        Ok(json) => match serde_json::from_str(json) {
            Ok(report) => (Some(report), None),
            Err(_) => (None, Some("the report is not JSON")),
        },
        Err(why_not) => (None, Some(why_not.as_str())),
    };
    let body = RehearsalResult { result, error };
    let began = Instant::now();
    let mut backoff = Backoff::up_to(WAIT_MAX);
    while let Err(error) = shared.breakable_client.finish_rehearsal(&job.id, &body) {
        let wait = backoff.next(error.retry_after);
        let expired = began.elapsed() + wait > TRY_FOR;
        if !error.retryable || expired || shared.pause(wait) {
            if !shared.stopping() {
                log::warn!(
                    "the report of rehearsal {} is not handed in: {error}",
                    job.id
                );
            }
            return;
        }
    }
}
