//! Handing in outcomes: at once by the thread that has one, and later by the outbox what could not be handed in.

use super::AgentShared;
use super::pacing::Backoff;
use crate::client::ClientError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the thread of an execution tries to hand its outcome in; the outbox goes on after it.
const TRY_FOR: Duration = Duration::from_secs(300);
/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// How often the outbox looks for outcomes that nobody is handing in.
const OUTBOX_EVERY: Duration = Duration::from_secs(60);
/// Outcomes that the outbox takes in one round.
const ROUND_MAX: u32 = 100;

/// What became of one try.
enum Try {
    /// Settled: the server has it, or will never take it.
    Settled,
    /// The server may take it later.
    Later(ClientError),
}

/// Submits the outcome of an execution that runs in this process, trying for a while. What is not settled then stays
/// in the journal.
pub fn deliver(shared: &AgentShared, execution_id: &str, body: &str) {
    let began = Instant::now();
    let mut backoff = Backoff::up_to(WAIT_MAX);
    while let Try::Later(error) = try_once(shared, execution_id, body) {
        let wait = backoff.next(error.retry_after);
        let expired = began.elapsed() + wait > TRY_FOR;
        // One more try is not worth a stop that hangs: the next start goes on.
        let giving_up = expired || shared.wait(wait, |state| state.giving_up).giving_up;
        if giving_up {
            log::warn!("the outcome of execution {execution_id} waits in the journal: {error}");
            return;
        }
    }
}

/// Reports that a claimed execution is not run. It is not in the journal, for nothing happened: one try, and where it
/// fails the lease runs out.
pub fn refuse(shared: &AgentShared, execution_id: &str, body: &str) {
    if let Err(error) = shared.client.submit_result(execution_id, body) {
        log::warn!("reporting the refusal of execution {execution_id}: {error}");
    }
}

/// The thread of the outbox.
pub fn run(shared: &Arc<AgentShared>) {
    let mut backoff = Backoff::up_to(OUTBOX_EVERY);
    loop {
        let wait = match round(shared) {
            true => {
                backoff.reset();
                OUTBOX_EVERY
            }
            false => backoff.next(None),
        };
        if shared.pause(wait) {
            return;
        }
    }
}

/// Tries each outcome that nobody else is handing in, once; `false` if the server takes none now.
fn round(shared: &AgentShared) -> bool {
    if let Err(e) = shared.journal.prune(shared.clock.now()) {
        log::error!("pruning the journal: {e}");
    }
    let waiting = match shared.journal.unsubmitted(ROUND_MAX) {
        Ok(waiting) => waiting,
        Err(e) => {
            log::error!("reading the journal: {e}");
            return false;
        }
    };
    for execution_id in waiting {
        let state = shared.state();
        if state.stopping {
            return false;
        }
        // Not while its own thread tries: that one removes itself only after it has stopped trying.
        if state.running.contains_key(&execution_id) {
            continue;
        }
        drop(state);
        match shared.journal.outcome(&execution_id) {
            Ok(Some(body)) => {
                if let Try::Later(error) = try_once(shared, &execution_id, &body) {
                    log::info!("the outcome of execution {execution_id} still waits: {error}");
                    return false;
                }
            }
            Ok(None) => {}
            Err(e) => log::error!("reading the journal: {e}"),
        }
    }
    true
}

fn try_once(shared: &AgentShared, execution_id: &str, body: &str) -> Try {
    let accepted = match shared.client.submit_result(execution_id, body) {
        Ok(reply) => {
            log::info!(
                "execution {execution_id} handed in; the request is {}",
                reply.status
            );
            true
        }
        // A token that does not count now may be replaced, and the outcome is not for throwing away.
        Err(error) if error.retryable || error.status == Some(401) => return Try::Later(error),
        Err(error) if error.status.is_none() => return Try::Later(error),
        Err(error) => {
            log::error!(
                "the server does not take the outcome of execution {execution_id}: {error}"
            );
            false
        }
    };
    let now = shared.clock.now();
    if let Err(e) = shared.journal.submitted(execution_id, accepted, now) {
        log::error!("execution {execution_id} is handed in and the journal does not know: {e}");
    }
    Try::Settled
}
