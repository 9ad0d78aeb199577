//! The thread that explains statements for reviewers, and the line in which they wait for it. The poll puts them
//! there and goes on; what finds no room stays with the server, which shows it again.

use super::AgentShared;
use super::config::DriverConfig;
use super::pacing::Backoff;
use crate::client::{DryRunJob, DryRunResult};
use crate::domain::id::{Target, is_uuid};
use crate::domain::sql::DialectFact;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most statements that wait.
const WAITING_MAX: usize = 32;
/// Longest statement that is explained, in bytes; the server takes none that long.
const SQL_BYTES_MAX: usize = 1 << 20;
/// How long a settled job is not taken again: a poll may show what it was before. Shorter than the 60 s after which
/// the server gives an unanswered one out again.
const SETTLED_FOR: Duration = Duration::from_secs(30);
/// The same for a job that could not be claimed.
const DENIED_FOR: Duration = Duration::from_secs(10);
/// Most jobs remembered; over it those that are settled are forgotten.
const KNOWN_MAX: usize = 256;
/// How long handing a plan in is tried; a little later the claim counts no more.
const TRY_FOR: Duration = Duration::from_secs(40);
/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long nothing waits before the thread looks around; it is woken for everything it has to do.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// The message where explaining panicked.
const PANICKED: &str = "the agent failed while it explained the statement";

/// What reviewers want an agent to do, apart from executions.
pub trait AsideJob: Clone {
    /// Its id, a UUID.
    fn id(&self) -> &str;
}

impl AsideJob for DryRunJob {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Jobs that wait for the thread that does them one by one, and those not to be taken again.
pub struct AsideQueue<J> {
    waiting: VecDeque<J>,
    /// By id: none while the job waits or is done, then until when it is left alone.
    known: HashMap<String, Option<Instant>>,
}

impl<J> Default for AsideQueue<J> {
    fn default() -> AsideQueue<J> {
        AsideQueue {
            waiting: VecDeque::new(),
            known: HashMap::new(),
        }
    }
}

impl<J: AsideJob> AsideQueue<J> {
    /// Whether nothing waits and nothing is being done.
    pub fn is_idle(&self) -> bool {
        self.known.values().all(Option::is_some)
    }

    /// Takes what is new, as far as there is room; whether anything was taken.
    pub fn take<'a>(&mut self, offered: impl Iterator<Item = &'a J>, now: Instant) -> bool
    where
        J: 'a,
    {
        self.known
            .retain(|_, until| until.is_none_or(|until| until > now));
        let mut taken = false;
        for job in offered {
            if self.waiting.len() >= WAITING_MAX {
                break;
            }
            if self.known.contains_key(job.id()) {
                continue;
            }
            if self.known.len() >= KNOWN_MAX {
                self.known.retain(|_, until| until.is_none());
            }
            self.known.insert(job.id().to_owned(), None);
            self.waiting.push_back(job.clone());
            taken = true;
        }
        taken
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next job; it stays known until it is settled.
    pub fn next(&mut self) -> Option<J> {
        self.waiting.pop_front()
    }

    /// Leaves a job alone until then.
    pub fn settle(&mut self, id: &str, until: Instant) {
        self.known.insert(id.to_owned(), Some(until));
    }
}

/// Puts what a poll shows in line; whether any of it was new.
pub fn offer(shared: &AgentShared, jobs: &[DryRunJob]) -> bool {
    if jobs.is_empty() {
        return false;
    }
    let fits = |job: &&DryRunJob| {
        let fits =
            is_uuid(&job.id) && target(shared, job).is_some() && job.sql.len() <= SQL_BYTES_MAX;
        if !fits {
            log::debug!("the server offers a statement that this agent cannot explain");
        }
        fits
    };
    shared.change(|state| {
        state
            .explaining
            .take(jobs.iter().filter(fits), Instant::now())
    })
}

/// Where a job runs, if this agent serves that and its database reads the statement as the reviewers do.
fn target(shared: &AgentShared, job: &DryRunJob) -> Option<Target> {
    let reads = |driver: &DriverConfig| match &job.dialect {
        None => true,
        Some(name) => DialectFact::parse(name).is_some_and(|fact| fact.accepts(driver.dialect())),
    };
    Target::new(&job.database, &job.environment)
        .ok()
        .filter(|target| shared.drivers.get(target).is_some_and(reads))
}

/// The thread's body: works until the agent stops or fails.
pub fn run(shared: &Arc<AgentShared>) {
    while let Some(job) = next(shared) {
        let left_alone = explain(shared, &job);
        shared.change(|state| {
            state
                .explaining
                .settle(&job.id, Instant::now() + left_alone);
        });
    }
}

fn next(shared: &AgentShared) -> Option<DryRunJob> {
    loop {
        let mut state = shared.wait(LOOK_EVERY, |state| {
            state.over() || state.explaining.is_waiting()
        });
        if state.over() {
            return None;
        }
        if let Some(job) = state.explaining.next() {
            return Some(job);
        }
    }
}

/// Claims, explains and submits; how long the job is to be left alone then.
fn explain(shared: &AgentShared, job: &DryRunJob) -> Duration {
    let Some(driver) = target(shared, job).and_then(|target| shared.drivers.get(&target)) else {
        return SETTLED_FOR;
    };
    let claim = match shared.breakable_client.claim_dry_run(&job.id) {
        Ok(claim) => claim,
        // Somebody else has it, or nobody wants it any more.
        Err(error) if matches!(error.status, Some(404 | 409)) => return SETTLED_FOR,
        Err(error) => {
            if !shared.stopping() {
                log::warn!("claiming the statement {} to explain: {error}", job.id);
            }
            return DENIED_FOR;
        }
    };
    let explained = catch_unwind(AssertUnwindSafe(|| {
        shared.wall.explain(driver, &job.sql, &shared.breaking_off)
    }))
    .unwrap_or_else(|_| Err(PANICKED.to_owned()));
    shared.wall.warm_up();
    // The server gives it to another agent, which need not know that this one stops.
    if !shared.stopping() {
        hand_in(shared, job, &claim.claim_token, &explained);
    }
    SETTLED_FOR
}

fn hand_in(
    shared: &AgentShared,
    job: &DryRunJob,
    claim_token: &str,
    explained: &Result<String, String>,
) {
    let (plan, error) = match explained {
        Ok(json) => match serde_json::from_str(json) {
            Ok(plan) => (Some(plan), None),
            Err(_) => (None, Some("the plan is not JSON")),
        },
        Err(why_not) => (None, Some(why_not.as_str())),
    };
    let result = DryRunResult {
        claim_token,
        result: plan,
        error,
    };
    let began = Instant::now();
    let mut backoff = Backoff::up_to(WAIT_MAX);
    while let Err(error) = shared.breakable_client.finish_dry_run(&job.id, &result) {
        if matches!(error.status, Some(404 | 409)) {
            log::debug!("nobody waits any more for the plan of statement {}", job.id);
            return;
        }
        let wait = backoff.next(error.retry_after);
        let expired = began.elapsed() + wait > TRY_FOR;
        if !error.retryable || expired || shared.pause(wait) {
            if !shared.stopping() {
                log::warn!("the plan of statement {} is not handed in: {error}", job.id);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> DryRunJob {
        DryRunJob {
            id: id.to_owned(),
            database: "app".to_owned(),
            environment: "development".to_owned(),
            dialect: None,
            sql: "SELECT 1".to_owned(),
        }
    }

    #[test]
    fn a_job_is_taken_once_while_it_is_remembered() {
        let (mut line, now) = (AsideQueue::default(), Instant::now());
        let jobs = [job("a"), job("b")];
        assert!(line.is_idle());
        assert!(line.take(jobs.iter(), now));
        assert!(!line.take(jobs.iter(), now));
        assert_eq!(line.waiting.len(), 2);
        line.waiting.clear();
        assert!(!line.is_idle());
        line.settle("a", now + SETTLED_FOR);
        line.settle("b", now + SETTLED_FOR);
        assert!(line.is_idle());
        assert!(!line.take(jobs.iter(), now));
        assert!(line.take(jobs.iter(), now + SETTLED_FOR));
    }

    #[test]
    fn waiting_and_remembered_jobs_are_bounded() {
        let (mut line, now) = (AsideQueue::default(), Instant::now());
        for n in 0..2 * KNOWN_MAX {
            let id = n.to_string();
            assert!(line.take([job(&id)].iter(), now));
            line.waiting.clear();
            line.settle(&id, now + SETTLED_FOR);
        }
        assert!(line.known.len() <= KNOWN_MAX);
        let many: Vec<_> = (0..100).map(|n| job(&format!("x{n}"))).collect();
        assert!(line.take(many.iter(), now));
        assert_eq!(line.waiting.len(), WAITING_MAX);
        assert!(!line.take(many.iter(), now));
        // What found no room is not remembered.
        line.waiting.clear();
        assert!(line.take(many.iter(), now));
        assert_eq!(line.waiting[0].id, "x32");
    }
}
