//! The child's side: one task, then the end.

use super::{FromChild, Task, TaskKind, ToChild, WireJob, WireOutcome, frame, limits};
use crate::agent::config::DriverConfig;
use crate::agent::drivers::{Cancel, Control, DriverJob, RunOutcome, StopReason, driver};
use std::io::{Stdout, stdin, stdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Exit code of a child whose parent is gone.
const ORPHANED: i32 = 4;
/// Exit code of a child that needed more temporary disk than it may have.
pub(super) const TOO_MUCH_DISK: i32 = 5;

/// The body of the internal command: reads a task and does it. The process is to end when this returns.
///
/// # Errors
/// The sentence for the log of the agent; it names no value of the database.
pub fn run() -> Result<(), String> {
    let mut from = stdin();
    let task: Task = match frame::read(&mut from) {
        Ok(Some(task)) => task,
        // Never used: the agent ended.
        Ok(None) => return Ok(()),
        Err(_) => return Err("the child of the agent cannot read its task".to_owned()),
    };
    let timeout_secs = match &task.work {
        TaskKind::Run(job) | TaskKind::Rehearse(job) => job.timeout_secs,
        _ => 0,
    };
    limits::apply(task.work.reads(), timeout_secs)?;
    if let DriverConfig::Sqlite { .. } = task.driver {
        limits::watch_temporary_files(|| std::process::exit(TOO_MUCH_DISK))
            .map_err(|e| format!("the child of the agent has no thread: {e}"))?;
    }
    let (go, gone_on) = channel();
    let link = Link {
        cancel: Cancel::new(),
        out: Mutex::new(stdout()),
        gone_on: Mutex::new(gone_on),
    };
    let cancel = link.cancel.clone();
    std::thread::Builder::new()
        .name("child-listen".to_owned())
        .spawn(move || listen(&cancel, &go))
        .map_err(|e| format!("the child of the agent has no thread: {e}"))?;
    let last = perform(task, &link);
    link.send(&last)
}

/// Reads what the parent sends. Its end is the end of this process, whatever runs.
fn listen(cancel: &Cancel, go: &Sender<()>) {
    let mut from = stdin();
    loop {
        match frame::read(&mut from) {
            Ok(Some(ToChild::Go)) => {
                let _nobody_waits = go.send(());
            }
            Ok(Some(ToChild::Cancel)) => cancel.ask(StopReason::Cancelled),
            Ok(Some(ToChild::Stop)) => cancel.ask(StopReason::Stopping),
            Ok(None) | Err(_) => std::process::exit(ORPHANED),
        }
    }
}

fn perform(task: Task, link: &Link) -> FromChild {
    let driver = driver(&task.driver);
    let cancel = &link.cancel;
    let answer = match task.work {
        TaskKind::Run(job) => return done(job, |job| driver.run(job, link)),
        TaskKind::Rehearse(job) => return done(job, |job| driver.rehearse(job, link)),
        TaskKind::Describe => driver.describe(cancel),
        TaskKind::Explain(sql) => driver.explain(&sql, cancel),
        TaskKind::Check => driver.check(cancel).map(|()| String::new()),
        TaskKind::Interrupt { session, hard } => driver
            .interrupt(&session, hard, cancel)
            .map(|()| String::new()),
        TaskKind::Settle(mark) => Ok(driver.settle(mark.as_deref(), cancel).as_str().to_owned()),
    };
    FromChild::Answer(answer)
}

fn done(job: WireJob, run: impl FnOnce(&DriverJob) -> RunOutcome) -> FromChild {
    let outcome = match job.job() {
        Some(job) => run(&job),
        None => RunOutcome::failed("this agent does not know the operation"),
    };
    FromChild::Done(
        WireOutcome::of(outcome).unwrap_or_else(|_| WireOutcome::Failed {
            message: "the result cannot be passed on".to_owned(),
            effect: "unknown".to_owned(),
            detail: None,
            json: None,
        }),
    )
}

/// The way to the parent.
struct Link {
    cancel: Cancel,
    out: Mutex<Stdout>,
    gone_on: Mutex<Receiver<()>>,
}

impl Link {
    fn send(&self, frame: &FromChild) -> Result<(), String> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *out, frame).map_err(|_| "the agent is gone".to_owned())
    }

    /// Sends `frame`, and waits until the parent has written it down.
    fn wait_for_go(&self, frame: &FromChild) -> Result<(), String> {
        self.send(frame)?;
        let gone_on = self.gone_on.lock().unwrap_or_else(PoisonError::into_inner);
        gone_on.recv().map_err(|_| "the agent is gone".to_owned())?;
        match self.cancel.asked() {
            Some(reason) => Err(reason.message().to_owned()),
            None => Ok(()),
        }
    }
}

impl Control for Link {
    fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    fn started(&self, session: Option<&str>, atomic: bool) -> Result<(), String> {
        self.wait_for_go(&FromChild::Started {
            session: session.map(str::to_owned),
            atomic,
        })
    }

    fn committing(&self, mark: Option<&str>, rows: u64) -> Result<(), String> {
        self.wait_for_go(&FromChild::Committing {
            mark: mark.map(str::to_owned),
            rows,
        })
    }
}
