//! The parent's side: children kept warm, and one supervised at a time by the thread that wants something done.

use super::process::ChildProcess;
use super::{FromChild, Task, TaskKind, ToChild, WireJob, frame};
use crate::agent::config::DriverConfig;
use crate::agent::drivers::{Cancel, DriverJob, JobEffect, RunOutcome, StopReason};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often cancellation and time are looked at while a child works.
const LOOK: Duration = Duration::from_millis(50);
/// How long a child may go on after its time is up, before its session is cancelled from here.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);
/// How long a child may go on after it was asked to end, before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(4);
/// How long anything but a run may take; the drivers stop well before.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);
/// How long cancelling a session may take.
const INTERRUPT_WITHIN: Duration = Duration::from_secs(12);
/// Children that are asked what became of a commit, one after another.
const SETTLE_TRIES: u32 = 3;

/// What of a run must be on disk.
pub trait Record {
    /// The run begins in `session`; nothing stays of it unless a commit is announced, if it is `atomic`.
    ///
    /// # Errors
    /// Where that is not on disk: the run ends before its first statement.
    fn started(&mut self, session: Option<&str>, atomic: bool) -> Result<(), String>;

    /// Everything ran and changed `rows` rows, and COMMIT is next.
    ///
    /// # Errors
    /// Where that is not on disk: everything is rolled back.
    fn committing(&mut self, mark: Option<&str>, rows: u64) -> Result<(), String>;
}

/// The record of a rehearsal: nothing of it has to be on disk, since nothing of it stays.
struct NeverCommits;

impl Record for NeverCommits {
    fn started(&mut self, _: Option<&str>, atomic: bool) -> Result<(), String> {
        match atomic {
            true => Ok(()),
            false => Err("a rehearsal must be one transaction".to_owned()),
        }
    }

    fn committing(&mut self, _: Option<&str>, _: u64) -> Result<(), String> {
        Err("a rehearsal is never committed".to_owned())
    }
}

pub struct Wall {
    /// None in unit tests only, where no program is built: everything happens in this process.
    program: Option<PathBuf>,
    /// Children that wait for a task, at most `warm_max`.
    warm: Mutex<Vec<ChildProcess>>,
    warm_max: usize,
}

/// How far a run had come.
enum Stage {
    Claimed,
    Started { atomic: bool },
    Committing { mark: Option<String>, rows: u64 },
}

impl Wall {
    /// A wall whose children are `program`, with `warm_max` of them kept ready.
    pub fn new(program: PathBuf, warm_max: usize) -> Wall {
        Wall {
            program: Some(program),
            warm: Mutex::new(Vec::new()),
            warm_max,
        }
    }

    /// No wall: drivers run in this process.
    #[cfg(test)]
    pub fn none() -> Wall {
        Wall {
            program: None,
            warm: Mutex::new(Vec::new()),
            warm_max: 0,
        }
    }

    /// Starts children until as many wait as should.
    pub fn warm_up(&self) {
        loop {
            if self.warm().len() >= self.warm_max {
                return;
            }
            match self.start() {
                Ok(process) => self.warm().push(process),
                Err(e) => return log::warn!("a child process cannot be started: {e}"),
            }
        }
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, Vec<ChildProcess>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> io::Result<ChildProcess> {
        match &self.program {
            Some(program) => ChildProcess::start(program),
            None => Err(io::Error::other("there is no program to start")),
        }
    }

    fn take(&self) -> io::Result<ChildProcess> {
        loop {
            let waiting = self.warm().pop();
            match waiting {
                None => return self.start(),
                // One that has died while it waited is of no use.
                Some(mut process) => match process.child.try_wait() {
                    Ok(None) => return Ok(process),
                    _ => continue,
                },
            }
        }
    }

    /// Runs `job` in a child and waits for its end: at the latest a few seconds after its time is up or `cancel` is
    /// set.
    pub fn run(
        &self,
        driver: &DriverConfig,
        job: &DriverJob,
        cancel: &Cancel,
        record: &mut (dyn Record + Send),
    ) -> RunOutcome {
        let work = TaskKind::Run(WireJob::of(job));
        self.supervised(driver, job, work, cancel, record)
    }

    /// Runs `job` in a child and takes all of it back: the report as JSON. COMMIT is not for this child to send, and
    /// one that asks for it is killed.
    ///
    /// # Errors
    /// The sentence for approvers; nothing is left in the database then either.
    pub fn rehearse(
        &self,
        driver: &DriverConfig,
        job: &DriverJob,
        cancel: &Cancel,
    ) -> Result<String, String> {
        let work = TaskKind::Rehearse(WireJob::of(job));
        match self.supervised(driver, job, work, cancel, &mut NeverCommits) {
            RunOutcome::Rehearsed { json } => Ok(json),
            RunOutcome::Failed { message, .. } => Err(message),
            _ => Err("the agent did not rehearse the statement".to_owned()),
        }
    }

    fn supervised(
        &self,
        driver: &DriverConfig,
        job: &DriverJob,
        work: TaskKind,
        cancel: &Cancel,
        record: &mut (dyn Record + Send),
    ) -> RunOutcome {
        #[cfg(test)]
        if self.program.is_none() {
            return here::run(driver, job, &work, cancel, record);
        }
        let mut process = match self.take() {
            Ok(process) => process,
            Err(e) => {
                return RunOutcome::failed(format!(
                    "not run: no child process can be started: {e}"
                ));
            }
        };
        let task = Task {
            driver: driver.clone(),
            work,
        };
        if let Err(e) = frame::write(&mut process.to, &task) {
            return RunOutcome::failed(format!("not run: the child process takes no task: {e}"));
        }
        let mut run = Run {
            wall: self,
            driver,
            job,
            cancel,
            process,
            stage: Stage::Claimed,
            session: None,
            deadline: (job.timeout_secs > 0)
                .then(|| Instant::now() + Duration::from_secs(job.timeout_secs) + TIMEOUT_GRACE),
            kill_at: None,
            late: false,
        };
        run.supervise(record)
    }

    /// The description of the tables, see [`crate::agent::drivers::Driver::describe`].
    ///
    /// # Errors
    /// As there.
    pub fn describe(&self, driver: &DriverConfig, cancel: &Cancel) -> Result<String, String> {
        self.answer(driver, TaskKind::Describe, ANSWER_WITHIN, cancel)
    }

    /// The plan of `sql`, see [`crate::agent::drivers::Driver::explain`].
    ///
    /// # Errors
    /// As there.
    pub fn explain(
        &self,
        driver: &DriverConfig,
        sql: &str,
        cancel: &Cancel,
    ) -> Result<String, String> {
        self.answer(
            driver,
            TaskKind::Explain(sql.to_owned()),
            ANSWER_WITHIN,
            cancel,
        )
    }

    /// Whether the database can be opened.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn check(&self, driver: &DriverConfig) -> Result<(), String> {
        self.answer(driver, TaskKind::Check, ANSWER_WITHIN, &Cancel::new())
            .map(|_| ())
    }

    /// What became of a commit that was announced with `mark`. A child that dies over the question is followed by
    /// another, up to [`SETTLE_TRIES`].
    pub fn settle(&self, driver: &DriverConfig, mark: Option<&str>, cancel: &Cancel) -> JobEffect {
        let mut tries = (0..SETTLE_TRIES).filter_map(|_| {
            let work = TaskKind::Settle(mark.map(str::to_owned));
            self.answer(driver, work, ANSWER_WITHIN, cancel).ok()
        });
        let answer = tries.next();
        answer
            .and_then(|word| JobEffect::parse(&word))
            .unwrap_or(JobEffect::Unknown)
    }

    /// Ends a session that an earlier process has left in its database, if it is still there; `false` where the
    /// database cannot be asked to.
    pub fn end_session(&self, driver: &DriverConfig, session: &str) -> bool {
        self.interrupt(driver, session, true)
    }

    fn interrupt(&self, driver: &DriverConfig, session: &str, hard: bool) -> bool {
        let work = TaskKind::Interrupt {
            session: session.to_owned(),
            hard,
        };
        match self.answer(driver, work, INTERRUPT_WITHIN, &Cancel::new()) {
            Ok(_) => true,
            Err(why) => {
                log::warn!("a session cannot be ended in its database: {why}");
                false
            }
        }
    }

    fn answer(
        &self,
        driver: &DriverConfig,
        work: TaskKind,
        within: Duration,
        cancel: &Cancel,
    ) -> Result<String, String> {
        #[cfg(test)]
        if self.program.is_none() {
            return here::answer(driver, &work, cancel);
        }
        let mut process = self
            .take()
            .map_err(|e| format!("no child process can be started: {e}"))?;
        let task = Task {
            driver: driver.clone(),
            work,
        };
        let sent = frame::write(&mut process.to, &task);
        sent.map_err(|e| format!("the child process takes no task: {e}"))?;
        let until = Instant::now() + within;
        loop {
            match process.from.recv_timeout(LOOK) {
                Ok(Ok(FromChild::Answer(answer))) => return answer,
                Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(process.end().to_owned());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(reason) = cancel.asked() {
                process.kill();
                return Err(reason.message().to_owned());
            }
            if Instant::now() >= until {
                process.kill();
                return Err(format!("no answer within {} s", within.as_secs()));
            }
        }
    }
}

struct Run<'a> {
    wall: &'a Wall,
    driver: &'a DriverConfig,
    job: &'a DriverJob,
    cancel: &'a Cancel,
    process: ChildProcess,
    stage: Stage,
    session: Option<String>,
    deadline: Option<Instant>,
    /// When patience ends, once the child was asked to end.
    kill_at: Option<Instant>,
    /// Whether it was asked because its time was up.
    late: bool,
}

impl Run<'_> {
    fn supervise(&mut self, record: &mut (dyn Record + Send)) -> RunOutcome {
        loop {
            match self.process.from.recv_timeout(LOOK) {
                Ok(Ok(FromChild::Done(outcome))) => return outcome.outcome(),
                Ok(Ok(FromChild::Started { session, atomic })) => {
                    if let Err(why) = record.started(session.as_deref(), atomic) {
                        return self.killed(&format!("not run: {why}"));
                    }
                    self.session = session;
                    self.stage = Stage::Started { atomic };
                    self.go();
                }
                Ok(Ok(FromChild::Committing { mark, rows })) => {
                    if let Err(why) = record.committing(mark.as_deref(), rows) {
                        return self.killed(&why);
                    }
                    self.stage = Stage::Committing { mark, rows };
                    self.go();
                }
                Ok(Ok(FromChild::Answer(_)) | Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                    let why = self.process.end();
                    return self.died(why);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(outcome) = self.look() {
                return outcome;
            }
        }
    }

    fn go(&mut self) {
        // A child that cannot read it has died, which the next look finds.
        let _sent = frame::write(&mut self.process.to, &ToChild::Go);
    }

    /// Asks the child to end when it should, and kills it when it does not.
    fn look(&mut self) -> Option<RunOutcome> {
        let now = Instant::now();
        if let Some(at) = self.kill_at {
            if now < at {
                return None;
            }
            let why = match self.cancel.asked() {
                Some(reason) if !self.late => reason.message().to_owned(),
                _ => format!("statement timeout reached ({} s)", self.job.timeout_secs),
            };
            return Some(self.killed(&why));
        }
        let asked = self.cancel.asked();
        self.late = asked.is_none() && self.deadline.is_some_and(|at| now >= at);
        if asked.is_none() && !self.late {
            return None;
        }
        let word = match asked {
            Some(StopReason::Cancelled) => ToChild::Cancel,
            Some(StopReason::Stopping) | None => ToChild::Stop,
        };
        // Not at a commit: it ends soon, and what came of it is the truth.
        let _heard = frame::write(&mut self.process.to, &word);
        if let (Some(session), false) = (
            &self.session,
            matches!(self.stage, Stage::Committing { .. }),
        ) {
            self.wall.interrupt(self.driver, session, false);
        }
        self.kill_at = Some(Instant::now() + KILL_AFTER);
        None
    }

    /// Kills the child, and its session; `why` begins the message.
    fn killed(&mut self, why: &str) -> RunOutcome {
        self.process.kill();
        self.died(why)
    }

    /// What is known of a run whose child has ended without an outcome. What is left of it in the database is ended, so
    /// that nobody waits for its locks until the database has noticed.
    fn died(&mut self, why: &str) -> RunOutcome {
        if let (Some(session), false) = (
            &self.session,
            matches!(self.stage, Stage::Committing { .. }),
        ) {
            self.wall.interrupt(self.driver, session, true);
        }
        let effect = match &self.stage {
            Stage::Claimed | Stage::Started { atomic: true } => JobEffect::RolledBack,
            Stage::Started { atomic: false } => JobEffect::Unknown,
            Stage::Committing { mark, rows } => {
                match self
                    .wall
                    .settle(self.driver, mark.as_deref(), &Cancel::new())
                {
                    JobEffect::Committed => {
                        let why = format!("{why}, after it was committed");
                        return RunOutcome::proved(*rows, mark.as_deref(), &why);
                    }
                    effect => effect,
                }
            }
        };
        let read = self.job.operation.is_read();
        RunOutcome::failure(
            match effect {
                JobEffect::RolledBack if read => why.to_owned(),
                JobEffect::RolledBack => format!("{why}; rolled back"),
                _ if self.job.operation.is_migration_change() => {
                    format!("{why}; migrate_status says which versions are applied")
                }
                JobEffect::Committed | JobEffect::Partial | JobEffect::Unknown => {
                    format!("{why}; the statement may or may not have taken effect")
                }
            },
            effect,
        )
    }
}

/// The same in this process, for unit tests.
#[cfg(test)]
mod here {
    use super::*;
    use crate::agent::drivers::{Control, driver};

    struct Here<'a> {
        cancel: &'a Cancel,
        record: Mutex<&'a mut (dyn Record + Send + 'a)>,
    }

    impl Control for Here<'_> {
        fn cancel(&self) -> &Cancel {
            self.cancel
        }

        fn started(&self, session: Option<&str>, atomic: bool) -> Result<(), String> {
            self.record.lock().unwrap().started(session, atomic)
        }

        fn committing(&self, mark: Option<&str>, rows: u64) -> Result<(), String> {
            self.record.lock().unwrap().committing(mark, rows)
        }
    }

    pub fn run<'a>(
        at: &DriverConfig,
        job: &DriverJob,
        work: &TaskKind,
        cancel: &'a Cancel,
        record: &'a mut (dyn Record + Send + 'a),
    ) -> RunOutcome {
        let record = Mutex::new(record);
        let here = Here { cancel, record };
        match work {
            TaskKind::Rehearse(_) => driver(at).rehearse(job, &here),
            _ => driver(at).run(job, &here),
        }
    }

    pub fn answer(at: &DriverConfig, work: &TaskKind, cancel: &Cancel) -> Result<String, String> {
        let driver = driver(at);
        match work {
            TaskKind::Describe => driver.describe(cancel),
            TaskKind::Explain(sql) => driver.explain(sql, cancel),
            TaskKind::Settle(mark) => {
                Ok(driver.settle(mark.as_deref(), cancel).as_str().to_owned())
            }
            _ => driver.check(cancel).map(|()| String::new()),
        }
    }
}
