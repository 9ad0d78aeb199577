//! One execution: from the server's answer to a claim to the outcome handed in.

use super::caps;
use super::config::ROWS_BYTES_MAX;
use super::delivery::{deliver, refuse};
use super::drivers::rows::push_string;
use super::drivers::{Cancel, DriverJob, JobEffect, RunOutcome, StopReason};
use super::schema_sync::alters;
use super::wall::Record;
use super::{AgentShared, RunningExecution};
use crate::client::Claim;
use crate::clock::Timestamp;
use crate::domain::execution_token::{ExecutionClaims, Expected, detail_hash, verify};
use crate::domain::id::{Operation, Target};
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use crate::error::Error;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What is handed in where supervising an execution panicked.
const PANICKED: &str =
    "the agent failed while the statement ran; it may or may not have taken effect";
/// Lease where the server does not say, in seconds: the shortest there is.
const LEASE_SECS_DEFAULT: u64 = 60;
/// Heartbeats in one lease: five may go missing.
const BEATS_PER_LEASE: u64 = 6;
/// Seconds between two heartbeats at most, so that a cancellation is noticed soon.
const BEAT_SECS_MAX: u64 = 5;

/// An execution that may run: everything about it was checked.
pub struct CheckedExecution {
    execution_id: String,
    request_id: String,
    target: Target,
    plan_hash: String,
    job: DriverJob,
    beat: Duration,
    cancel: Cancel,
}

/// Checks what the server says is to be run against what it has signed.
///
/// # Errors
/// The sentence to submit as the outcome.
pub fn check(shared: &AgentShared, claim: &Claim, asked: &str) -> Result<CheckedExecution, String> {
    let Some(operation) = Operation::parse(&claim.operation) else {
        return Err("this agent does not know the operation".to_owned());
    };
    let (driver, target) = Target::new(&claim.database, &claim.environment)
        .ok()
        .and_then(|target| Some((shared.drivers.get(&target)?, target)))
        .ok_or("this agent does not serve the database")?;
    let key = shared.state().key.ok_or("the agent has no key yet")?;
    let own_id = shared.state().id.clone().ok_or("the agent has no id yet")?;
    let plan_json = claim.execution_plan_json.as_deref();
    let plan_hash = detail_hash(plan_json, operation, &claim.detail);
    let expected = Expected {
        // What we asked to claim, not what the answer says we did.
        request_id: asked,
        execution_id: &claim.execution_id,
        operation,
        database: &claim.database,
        environment: &claim.environment,
        detail_hash: &plan_hash,
        agent_id: &own_id,
        dialect: driver.dialect(),
    };
    let claims = verify(&claim.execution_token, &key, shared.clock.now(), &expected)
        .map_err(|e| format!("token verification failed: {e}"))?;
    refuse_replaced(shared, claims.epoch)?;
    let plan = statements(plan_json, &claim.detail)?;
    let mut job = DriverJob {
        operation,
        plan,
        timeout_secs: claims.statement_timeout_secs,
        max_rows: claims.max_rows,
        max_result_bytes: ROWS_BYTES_MAX,
        max_affected_rows: claims.max_affected_rows,
        lock_timeout_secs: match claims.lock_timeout_secs {
            0 => LOCK_SECS_DEFAULT,
            secs => secs,
        },
    };
    // Last, and above all that was signed.
    if let (Some(caps), Some(driver)) = (shared.caps.get(&target), shared.drivers.get(&target)) {
        caps::allowed(&job, caps, driver.dialect())?;
        caps::limit(&mut job, caps);
    }
    Ok(CheckedExecution {
        execution_id: claim.execution_id.clone(),
        request_id: asked.to_owned(),
        target,
        plan_hash,
        beat: beat(claim.lease_expires_at.as_deref(), &claims),
        job,
        cancel: Cancel::new(),
    })
}

/// Refuses a server that another one has replaced, and that may not know it yet.
///
/// # Errors
/// The sentence to submit as the outcome.
pub fn refuse_replaced(shared: &AgentShared, epoch: u64) -> Result<(), String> {
    let highest = shared.journal.enter_epoch(epoch).map_err(|e| {
        log::error!("{e}");
        "the agent's journal cannot be written".to_owned()
    })?;
    match highest > epoch {
        true => Err(format!(
            "token verification failed: it is of epoch {epoch}, and a server of epoch {highest} has replaced that one"
        )),
        false => Ok(()),
    }
}

/// Time between heartbeats. The lease is measured between two times of the server: our clock may differ.
fn beat(lease_expires_at: Option<&str>, claims: &ExecutionClaims) -> Duration {
    let lease_secs = lease_expires_at
        .and_then(Timestamp::parse)
        .map_or(LEASE_SECS_DEFAULT, |at| at.since(claims.issued_at) / 1000);
    Duration::from_secs((lease_secs / BEATS_PER_LEASE).clamp(1, BEAT_SECS_MAX))
}

/// Takes the place of an execution among the running ones, and gives it back when it is dropped.
pub struct ExecutionSlot {
    shared: Arc<AgentShared>,
    execution_id: String,
}

impl ExecutionSlot {
    /// The place of `work`; none if the same execution has one already.
    pub fn take(shared: &Arc<AgentShared>, work: &CheckedExecution) -> Option<ExecutionSlot> {
        shared.change(|state| {
            if state.running.contains_key(&work.execution_id) {
                return None;
            }
            if state.giving_up {
                work.cancel.ask(StopReason::Stopping);
            }
            let running = RunningExecution {
                request_id: work.request_id.clone(),
                operation: work.job.operation,
                since: Instant::now(),
                cancel: work.cancel.clone(),
            };
            state.running.insert(work.execution_id.clone(), running);
            Some(ExecutionSlot {
                shared: Arc::clone(shared),
                execution_id: work.execution_id.clone(),
            })
        })
    }
}

impl Drop for ExecutionSlot {
    fn drop(&mut self) {
        self.shared
            .change(|state| state.running.remove(&self.execution_id));
    }
}

/// Runs `work` to the end: journal, statement, journal, server. `name` numbers its threads.
pub fn execute(slot: ExecutionSlot, work: &CheckedExecution, name: u64) {
    let shared = &slot.shared;
    let id = &work.execution_id;
    let now = shared.clock.now();
    match shared
        .journal
        .claimed(id, &work.request_id, &work.plan_hash, &work.target, now)
    {
        Ok(true) => {}
        Ok(false) => {
            // Nothing is handed in: what came of it the first time is the truth.
            log::error!("execution {id} ran before and does not run again");
            return;
        }
        Err(e) => {
            log::error!("execution {id} is not run: {e}");
            let outcome = RunOutcome::failed("not run: the agent cannot write its journal");
            return refuse(shared, id, &body(&outcome, Duration::ZERO));
        }
    }
    log::info!(
        "execution {id} of request {} on {}: {}",
        work.request_id,
        work.target,
        work.job.operation
    );
    let ended = EndSignal::default();
    std::thread::scope(|scope| {
        let beats = std::thread::Builder::new()
            .name(format!("agent-beat-{name}"))
            .spawn_scoped(scope, || heartbeats(shared, work, &ended));
        // Set even if something below panics, for the scope waits for the heartbeats.
        let _ends = EndsOnDrop(&ended);
        let began = Instant::now();
        let outcome = match beats {
            Ok(_) => run(shared, work),
            Err(_) => RunOutcome::failed("not run: the agent has no thread left for it"),
        };
        let took = began.elapsed();
        log::info!(
            "execution {id} {} after {} ms",
            describe_outcome(&outcome),
            took.as_millis()
        );
        let body = body(&outcome, took);
        if let Err(e) = shared.journal.finish(id, &body, shared.clock.now()) {
            log::error!("the outcome of execution {id} is not in the journal: {e}");
        }
        // The lease is kept alive meanwhile: a server that is away for a minute does not lose the outcome.
        deliver(shared, id, &body);
    });
}

fn run(shared: &AgentShared, work: &CheckedExecution) -> RunOutcome {
    let Some(driver) = shared.drivers.get(&work.target) else {
        return RunOutcome::failed("this agent does not serve the database");
    };
    let mut record = InJournal { shared, work };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        shared
            .wall
            .run(driver, &work.job, &work.cancel, &mut record)
    }))
    .unwrap_or_else(|_| RunOutcome::failure(PANICKED, JobEffect::Unknown));
    shared.wall.warm_up();
    let changed = !work.job.operation.is_read() && outcome.effect() != JobEffect::RolledBack;
    let migrates = work.job.operation.is_migration_change();
    if changed && (migrates || work.job.plan.iter().any(|sql| alters(sql))) {
        shared.change(|state| state.altered.insert(work.target.clone()));
    }
    outcome
}

/// Writes down in the journal how far a run has come. A read leaves nothing, so nothing is written for it.
struct InJournal<'a> {
    shared: &'a AgentShared,
    work: &'a CheckedExecution,
}

impl Record for InJournal<'_> {
    fn started(&mut self, session: Option<&str>, atomic: bool) -> Result<(), String> {
        if self.work.job.operation.is_read() {
            return Ok(());
        }
        let journal = &self.shared.journal;
        let written = journal.started(&self.work.execution_id, session, atomic);
        written.map_err(|e| self.failed(&e))
    }

    fn committing(&mut self, mark: Option<&str>, rows: u64) -> Result<(), String> {
        let journal = &self.shared.journal;
        let written = journal.committing(&self.work.execution_id, mark, rows);
        written.map_err(|e| self.failed(&e))
    }
}

impl InJournal<'_> {
    fn failed(&self, error: &Error) -> String {
        log::error!("execution {}: {error}", self.work.execution_id);
        "the agent cannot write its journal".to_owned()
    }
}

/// What the log says of an outcome: no message, it may hold data.
fn describe_outcome(outcome: &RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Failed { .. } | RunOutcome::Rehearsed { .. } => "failed",
        _ => "succeeded",
    }
}

/// The body that hands an outcome in: every field of the protocol, and what ours adds. The result is JSON in a string,
/// which keeps its bytes through every reader.
pub fn body(outcome: &RunOutcome, took: Duration) -> String {
    let (mut data, mut error, mut detail, mut rows, mut cut) = (None, None, None, None, false);
    match outcome {
        RunOutcome::Rows { json, truncated } => {
            data = Some(Cow::from(json.as_str()));
            cut = *truncated;
        }
        RunOutcome::Changed { rows: changed } => {
            data = Some(Cow::from(format!("{{\"rows_affected\":{changed}}}")));
            rows = Some(*changed);
        }
        RunOutcome::Returned {
            rows: changed,
            json,
            truncated,
        } => {
            data = Some(Cow::from(json.as_str()));
            (rows, cut) = (Some(*changed), *truncated);
        }
        RunOutcome::Migrated { json, truncated } => {
            data = Some(Cow::from(json.as_str()));
            cut = *truncated;
        }
        // Nobody asks for one by an execution; what came of it is not the outcome of one.
        RunOutcome::Rehearsed { .. } => error = Some("a rehearsal is not an execution"),
        RunOutcome::Failed {
            message,
            detail: added,
            json,
            ..
        } => {
            error = Some(message.as_str());
            detail = added.as_deref();
            data = json.as_deref().map(Cow::from);
        }
    }
    let data = data.as_deref();
    let mut out = String::with_capacity(data.map_or(0, str::len) + 256);
    out.push_str(&format!("{{\"success\":{}", error.is_none()));
    for (name, text) in [
        ("result_data", data),
        ("error_message", error),
        ("error_detail", detail),
    ] {
        match text {
            Some(text) => {
                out.push_str(&format!(",\"{name}\":"));
                push_string(&mut out, text);
            }
            None => out.push_str(&format!(",\"{name}\":null")),
        }
    }
    let rows = rows.map_or("null".to_owned(), |rows| rows.to_string());
    out.push_str(&format!(
        ",\"rows_affected\":{rows},\"truncated\":{cut},\"outcome\":\"{}\",\"duration_ms\":{}}}",
        outcome.effect().as_str(),
        took.as_millis()
    ));
    out
}

/// Renews the lease until the execution has ended, and passes a cancellation on.
fn heartbeats(shared: &AgentShared, work: &CheckedExecution, ended: &EndSignal) {
    while !ended.wait(work.beat) {
        match shared.client.heartbeat(&work.execution_id) {
            Ok(reply) if reply.cancelled && work.cancel.asked().is_none() => {
                log::info!("execution {} is cancelled", work.execution_id);
                work.cancel.ask(StopReason::Cancelled);
            }
            Ok(_) => {}
            Err(e) => log::warn!("heartbeat of execution {}: {e}", work.execution_id),
        }
    }
}

/// Notified once that an execution has ended.
#[derive(Default)]
struct EndSignal {
    ended: Mutex<bool>,
    bell: Condvar,
}

impl EndSignal {
    fn tell(&self) {
        *self.ended.lock().unwrap_or_else(|e| e.into_inner()) = true;
        self.bell.notify_all();
    }

    /// Waits at most `wait`; whether it has ended.
    fn wait(&self, wait: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(|e| e.into_inner());
        *self
            .bell
            .wait_timeout_while(ended, wait, |ended| !*ended)
            .unwrap_or_else(|e| e.into_inner())
            .0
    }
}

struct EndsOnDrop<'a>(&'a EndSignal);

impl Drop for EndsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// The statements of a claim: its plan, or its text where it has none.
pub(super) fn statements(plan_json: Option<&str>, detail: &str) -> Result<Vec<String>, String> {
    match plan_json {
        None => Ok(vec![detail.to_owned()]),
        Some(json) => serde_json::from_str(json)
            .map_err(|_| "the execution plan is not a list of statements".to_owned()),
    }
}
