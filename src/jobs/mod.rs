//! Jobs: what happens by the clock. Every job is a tick that a test can call; here each gets a named thread
//! that calls it again and again, until the server stops.

mod close_minute;
mod expiry;
mod on_call;
mod purge_audit;
mod purge_messages;
mod purge_requests;
mod purge_results;
mod stuck;
mod sweep_objects;

use crate::actions::{App, sessions, webhooks};
use crate::domain::policy::notification::PENDING_MS_MAX;
use crate::error::{Error, counted};
use crate::outbound::{NetworkReach, OnCallApi};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One turn of a job.
type Tick = fn(&JobState) -> Result<(), Error>;

/// What jobs work with, and how far they have come. One for each running server.
pub struct JobState {
    app: Arc<App>,
    /// When this server began to run.
    began: Instant,
    stuck: stuck::Stuck,
    /// After which expired results the next turn begins.
    purged_results: purge_results::PurgeProgress,
    /// How far the objects have been looked at.
    swept: sweep_objects::SweepProgress,
    /// When services were asked who is on call, and how.
    on_call: on_call::OnCallProgress,
    on_call_api: OnCallApi,
}

impl JobState {
    /// The state of jobs that call others as far as `reach` goes.
    pub fn new(app: Arc<App>, reach: &NetworkReach) -> Arc<JobState> {
        Arc::new(JobState {
            began: app.clock.instant(),
            app,
            stuck: stuck::Stuck::default(),
            purged_results: purge_results::PurgeProgress::default(),
            swept: sweep_objects::SweepProgress::default(),
            on_call: on_call::OnCallProgress::default(),
            on_call_api: OnCallApi::new(reach),
        })
    }
}

/// Every job: its thread's name, seconds until its first turn, seconds between two turns, and the turn. The pauses of
/// the sweeps are well below the 15 seconds within which a timer must take effect (contract section 9). Retention
/// counts in days, so an hour is soon enough; its first turns come after the start has served those who waited for it.
/// Results have a thread of their own, so that a slow object store holds up nothing else.
const JOBS: &[(&str, u64, u64, Tick)] = &[
    ("job-expire", 3, 3, expire),
    ("job-lease", 3, 3, lease),
    ("job-dry-run", 10, 10, dry_runs),
    ("job-flush", 5, 5, flush),
    ("job-minute", 60, 60, minute),
    // What waited while the server was down is tried before it is given up for its age.
    ("job-outbox", 1_800, 60, outbox),
    ("job-on-call", 0, 1, on_call),
    ("job-results", 30, 3_600, results),
    ("job-retention", 60, 3_600, retention),
];

/// Expires requests, takes back unclaimed dispatches, gives up rehearsals and ends sessions, all that are due.
///
/// # Errors
/// When the store cannot read or write.
pub fn expire(jobs: &JobState) -> Result<(), Error> {
    expiry::expire_due(jobs)?;
    expiry::give_up_rehearsals(jobs)?;
    sessions::end_those_over(&jobs.app).map(drop)
}

/// Frees EXPLAIN jobs that nobody answered, and gives up contexts that took too long.
///
/// # Errors
/// When the store cannot write.
pub fn dry_runs(jobs: &JobState) -> Result<(), Error> {
    jobs.app.store.sweep_dry_runs()
}

/// Gives up executions whose lease has run out.
///
/// # Errors
/// When the store cannot read or write.
pub fn lease(jobs: &JobState) -> Result<(), Error> {
    expiry::lapse_leases(jobs)?;
    Ok(())
}

/// Writes what is kept in memory, and forgets live results that are past their time.
///
/// # Errors
/// When the store cannot write.
pub fn flush(jobs: &JobState) -> Result<(), Error> {
    jobs.app.live.sweep(jobs.app.clock.now());
    jobs.app.store.flush()
}

/// Writes the rows that stand for many, and a checkpoint if an hour has passed.
///
/// # Errors
/// When the store cannot write.
pub fn minute(jobs: &JobState) -> Result<(), Error> {
    close_minute::close_minute(&jobs.app)?;
    jobs.app.store.checkpoint_audit()
}

/// Ends notifications that nobody will deliver: their webhook is gone, or they have waited too long.
///
/// # Errors
/// When the store cannot write.
pub fn outbox(jobs: &JobState) -> Result<(), Error> {
    webhooks::cancel_unrouted(&jobs.app)?;
    // What waited while the server was down has as long again to be tried.
    let runs_since = jobs.app.clock.instant().duration_since(jobs.began);
    let untried = runs_since.as_millis() >= u128::from(PENDING_MS_MAX.unsigned_abs());
    let old = expiry::give_up_deliveries(&jobs.app, untried)?;
    if old > 0 {
        log::warn!(
            "not delivered in time and given up: {}",
            counted(old, "notification")
        );
    }
    Ok(())
}

/// Asks services who is on call, where that is due.
///
/// # Errors
/// Never; a service that is away leaves its last answer.
pub fn on_call(jobs: &JobState) -> Result<(), Error> {
    on_call::turn(jobs);
    Ok(())
}

/// Removes results whose time is over, and objects that nobody refers to.
///
/// # Errors
/// When the store cannot read or write, or the object store cannot list.
pub fn results(jobs: &JobState) -> Result<(), Error> {
    purge_results::purge_results(jobs)?;
    let log = jobs.app.store.empty_log().map(drop);
    sweep_objects::sweep_objects(jobs)?;
    log
}

/// Removes requests, messages and audit events whose time is over. One kind that fails keeps no other from its turn.
/// The write-ahead log still has what was removed until it is emptied.
///
/// # Errors
/// The first of them, when the store cannot read or write.
pub fn retention(jobs: &JobState) -> Result<(), Error> {
    let requests = purge_requests::purge_requests(jobs).map(drop);
    let messages = purge_messages::purge_messages(&jobs.app).map(drop);
    let events = purge_audit::purge_audit(&jobs.app).map(drop);
    let log = jobs.app.store.empty_log().map(drop);
    requests.and(messages).and(events).and(log)
}

/// The running jobs; stopped and joined when dropped.
pub struct Jobs {
    stop: Arc<StopSignal>,
    state: Arc<JobState>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct StopSignal {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Jobs {
    /// Starts all jobs.
    ///
    /// # Errors
    /// `internal` when a thread cannot be made.
    pub fn start(state: &Arc<JobState>) -> Result<Jobs, Error> {
        let mut jobs = Jobs {
            stop: Arc::new(StopSignal::default()),
            state: Arc::clone(state),
            threads: Vec::new(),
        };
        for (name, first_secs, pause_secs, tick) in JOBS {
            let (state, stop) = (Arc::clone(state), Arc::clone(&jobs.stop));
            let thread = std::thread::Builder::new()
                .name((*name).to_owned())
                .spawn(move || {
                    let mut pause = Duration::from_secs(*first_secs);
                    while !stop.wait(pause) {
                        turn(&state, name, *tick);
                        pause = Duration::from_secs(*pause_secs);
                    }
                })
                .map_err(|e| Error::internal(format!("starting {name}"), e))?;
            jobs.threads.push(thread);
        }
        Ok(jobs)
    }
}

fn turn(jobs: &JobState, name: &str, tick: Tick) {
    match catch_unwind(AssertUnwindSafe(|| tick(jobs))) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::error!("{name}: {error}"),
        Err(_) => {
            jobs.app.metrics.background_panics.inc(&[]);
            log::error!("{name} panicked; it goes on with its next turn");
        }
    }
}

impl StopSignal {
    /// Waits for `pause`; true when the stop was asked for.
    fn wait(&self, pause: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
        let (asked, _) = self
            .changed
            .wait_timeout_while(asked, pause, |asked| !*asked)
            .unwrap_or_else(|e| e.into_inner());
        *asked
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        *self.stop.asked.lock().unwrap_or_else(|e| e.into_inner()) = true;
        self.stop.changed.notify_all();
        self.state.on_call_api.shutdown();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
