//! What an earlier process left unfinished: what the journal proves is reported at once, what only the database knows
//! is asked about.

use super::AgentShared;
use super::config::DriverConfig;
use super::delivery::deliver;
use super::drivers::{Cancel, JobEffect, RunOutcome};
use super::execution::body;
use super::journal::{Journal, Stage, Unfinished};
use crate::clock::Timestamp;
use crate::domain::id::Target;
use crate::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a database that does not answer is asked.
const ASK_FOR: Duration = Duration::from_secs(300);
/// Pause between two questions.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Finishes every execution whose end the journal proves, or nobody can; returns those that the database is to be
/// asked about, and those whose session it may still have.
///
/// # Errors
/// `internal` when the journal cannot be read and written.
pub fn settle_known(journal: &Journal, now: Timestamp) -> Result<Vec<Unfinished>, Error> {
    let mut asked_about = Vec::new();
    for left in journal.unfinished()? {
        let effect = match &left.stage {
            Stage::Claimed | Stage::Started { atomic: true } => JobEffect::RolledBack,
            Stage::Started { atomic: false } => JobEffect::Unknown,
            Stage::Committing { .. } => {
                asked_about.push(left);
                continue;
            }
        };
        let id = left.execution_id.clone();
        if left.session.is_some() {
            asked_about.push(left);
        }
        log::warn!(
            "execution {id} ended with an earlier process: {}",
            effect.as_str()
        );
        journal.finish(&id, &crashed(effect, None, 0), now)?;
    }
    Ok(asked_about)
}

/// What is handed in for an execution that ended with the process that ran it.
fn crashed(effect: JobEffect, mark: Option<&str>, rows: u64) -> String {
    let message = match effect {
        JobEffect::Committed => {
            let why = "the agent stopped after it was committed";
            return body(&RunOutcome::proved(rows, mark, why), Duration::ZERO);
        }
        JobEffect::RolledBack => "agent stopped while the statement ran; rolled back",
        JobEffect::Partial | JobEffect::Unknown => {
            "agent stopped while the statement ran; it may or may not have taken effect"
        }
    };
    body(&RunOutcome::failure(message, effect), Duration::ZERO)
}

/// The thread's body: asks about each, submits what comes of it, and ends.
pub fn run(shared: &Arc<AgentShared>) {
    let all = shared.change(|state| std::mem::take(&mut state.asked_about));
    let (commits, mut sessions): (Vec<Unfinished>, Vec<Unfinished>) = all
        .into_iter()
        .partition(|left| matches!(left.stage, Stage::Committing { .. }));
    // First, for they may hold locks that whatever runs next would wait for.
    sessions.retain(|left| !end_session(shared, left));
    for left in commits {
        let Some(effect) = ask(shared, &left) else {
            return;
        };
        let id = &left.execution_id;
        log::warn!(
            "execution {id} was about to be committed by an earlier process: {}",
            effect.as_str()
        );
        let (mark, rows) = match &left.stage {
            Stage::Committing { mark, rows } => (mark.as_deref(), *rows),
            _ => (None, 0),
        };
        let body = crashed(effect, mark, rows);
        match shared.journal.finish(id, &body, shared.clock.now()) {
            Ok(()) => deliver(shared, id, &body),
            Err(e) => log::error!("the outcome of execution {id} is not in the journal: {e}"),
        }
    }
    let began = Instant::now();
    while !sessions.is_empty() && began.elapsed() <= ASK_FOR {
        if shared.pause(ASK_EVERY) {
            return;
        }
        sessions.retain(|left| !end_session(shared, left));
    }
}

/// The database in which an execution ran, if this agent still serves it.
fn driver<'s>(shared: &'s AgentShared, left: &Unfinished) -> Option<&'s DriverConfig> {
    let (database, environment) = &left.target;
    let target = Target::new(database, environment).ok()?;
    shared.drivers.get(&target)
}

/// Ends the session that an earlier process has left, before the database finds out by itself that nobody is there;
/// `false` if the database cannot be asked. Only where no other session can ever have its name, which then holds when
/// its process or its server was started.
fn end_session(shared: &AgentShared, left: &Unfinished) -> bool {
    match (driver(shared, left), &left.session) {
        (Some(driver), Some(session)) if session.contains('@') => {
            shared.wall.end_session(driver, session)
        }
        _ => true,
    }
}

/// What the database says; `None` if the agent stops first, for the next start asks again.
fn ask(shared: &AgentShared, left: &Unfinished) -> Option<JobEffect> {
    let Stage::Committing { mark, .. } = &left.stage else {
        return Some(JobEffect::Unknown);
    };
    let Some(driver) = driver(shared, left) else {
        return Some(JobEffect::Unknown);
    };
    let began = Instant::now();
    loop {
        let effect = shared.wall.settle(driver, mark.as_deref(), &Cancel::new());
        // A database that keeps no record of it will not have one later.
        let final_answer = effect != JobEffect::Unknown || shared.wall.check(driver).is_ok();
        if final_answer || began.elapsed() > ASK_FOR {
            return Some(effect);
        }
        if shared.pause(ASK_EVERY) {
            return None;
        }
    }
}
