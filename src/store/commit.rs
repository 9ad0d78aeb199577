//! Group commit: writers queue their closures; a leader runs all that wait inside one transaction and commits once for
//! everybody.
//!
//! A caller that finds nobody writing leads, which saves a lone writer two switches of threads. What has queued
//! meanwhile is served by a thread of the store, batch after batch, until nothing waits: handing the lead from caller
//! to caller would leave the disk idle while the next one wakes. The queue is bounded by the number of threads that can
//! call. Each closure runs in its own SAVEPOINT, so that one that fails, or panics, leaves nothing and hurts nobody
//! else.

use super::connection::BUSY_TIMEOUT;
use super::live::{head_now, write_head};
use super::replica::{BeginRefusal, outcome_unknown};
use super::reply_slot::ReplySlot;
use super::write_job::{Bookkeep, Write, WriteJob};
use super::{Store, Verdict, View, db};
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::change::{Change, ConfigurationChange};
use crate::domain::head::HeadPurpose;
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use rusqlite::{Connection, ErrorCode, params};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Most closures in one transaction: bounds how long the first of a batch waits for the last.
const BATCH_MAX: usize = 128;
/// Pause of a writer that waits for another process, before it tries again.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Writers that wait for a leader.
#[derive(Default)]
pub(super) struct WriterQueue {
    waiting: Mutex<WaitingWriters>,
    called: Condvar,
}

#[derive(Default)]
struct WaitingWriters {
    jobs: VecDeque<Box<dyn WriteJob>>,
    /// Somebody leads: a caller, or the thread of the store.
    led: bool,
    /// The lead is the thread's.
    handed: bool,
    /// The store is gone, and its thread shall go too.
    closed: bool,
}

impl WriterQueue {
    fn lock(&self) -> MutexGuard<'_, WaitingWriters> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Gives up the lead, to the thread of the store if somebody waits.
    fn hand_over(&self) {
        let mut waiting = self.lock();
        waiting.led = !waiting.jobs.is_empty();
        waiting.handed = waiting.led;
        if waiting.handed {
            self.called.notify_one();
        }
    }

    /// Waits until the lead is the thread's; false when the store is gone.
    fn await_lead(&self) -> bool {
        let waiting = self.lock();
        let waiting = self
            .called
            .wait_while(waiting, |w| !w.handed && !w.closed)
            .unwrap_or_else(|e| e.into_inner());
        !waiting.closed
    }

    /// Whether somebody writes, or is about to.
    #[cfg(test)]
    pub(super) fn is_led(&self) -> bool {
        self.lock().led
    }

    /// Ends the thread of the store.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.called.notify_one();
    }
}

/// The thread of a store: leads whenever the lead is handed to it. It holds the store only while it leads.
pub(super) fn lead_when_called(queue: &WriterQueue, store: &Weak<Store>) {
    while queue.await_lead() {
        let Some(store) = store.upgrade() else { return };
        let batch = store.serve();
        queue.hand_over();
        store.settle(batch);
    }
}

/// What was served together.
struct Batch {
    jobs: Vec<Box<dyn WriteJob>>,
    /// The group whose copy the answers wait for; none where nothing was committed.
    group: Option<u64>,
}

impl Store {
    pub(super) fn submit<T: Send + 'static>(
        &self,
        actor: Actor,
        decide: impl FnOnce(&View, Timestamp) -> Result<Verdict<T>, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = Arc::new(ReplySlot::new());
        let job = Write {
            actor,
            decide: Some(decide),
            changes: Vec::new(),
            answer: None,
            slot: Arc::clone(&slot),
        };
        self.enqueue(Box::new(job), &slot)
    }

    /// Writes columns that are not audited, in the next transaction.
    pub(super) fn bookkeep<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.bookkeep_routed(move |connection, _| write(connection))
    }

    /// The same, for what depends on where notifications go at that point of the log.
    pub(super) fn bookkeep_routed<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection, &Routes) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = Arc::new(ReplySlot::new());
        let job = Bookkeep {
            write: Some(write),
            answer: None,
            slot: Arc::clone(&slot),
        };
        self.enqueue(Box::new(job), &slot)
    }

    fn enqueue<T>(&self, job: Box<dyn WriteJob>, slot: &ReplySlot<T>) -> Result<T, Error> {
        let leads = {
            let mut waiting = self.queue.lock();
            waiting.jobs.push_back(job);
            !std::mem::replace(&mut waiting.led, true)
        };
        if leads {
            let batch = self.serve();
            self.queue.hand_over();
            self.settle(batch);
        }
        slot.wait()
    }

    /// Serves one batch: when it returns, all of it is durable, or all that is not was taken back.
    fn serve(&self) -> Batch {
        let begun = Instant::now();
        let (connection, beginning) = self.begin();
        let mut jobs: Vec<Box<dyn WriteJob>> = {
            let mut waiting = self.queue.lock();
            let n = waiting.jobs.len().min(BATCH_MAX);
            waiting.jobs.drain(..n).collect()
        };
        let mark = self.live.mark();
        let served = catch_unwind(AssertUnwindSafe(|| match beginning {
            Ok(()) => self.commit_batch(&connection, &mut jobs, begun),
            Err(refusal) => {
                jobs.iter_mut().for_each(|job| job.undo(refusal()));
                None
            }
        }));
        let group = served.unwrap_or_else(|_| {
            // Whatever it was, those who wait must not wait for ever, nor the next leader never come.
            self.live.restore(mark);
            give_up(&connection, &mut jobs, "a transaction panicked");
            None
        });
        Batch { jobs, group }
    }

    /// The connection, in a transaction that can write; otherwise what its callers are answered. While another process
    /// has the file, such as a checkpoint of what copies it, this waits without the connection, so that reads go on.
    fn begin(&self) -> (MutexGuard<'_, Connection>, Result<(), BeginRefusal>) {
        let until = Instant::now() + BUSY_TIMEOUT;
        loop {
            let connection = self.lock();
            if let Err(refusal) = self.may_begin() {
                return (connection, Err(refusal));
            }
            let began = connection
                .busy_timeout(Duration::ZERO)
                .and_then(|()| execute(&connection, "BEGIN IMMEDIATE"));
            let restored = connection.busy_timeout(BUSY_TIMEOUT);
            match began.and(restored) {
                Ok(()) => return (connection, Ok(())),
                Err(e) if is_busy(&e) && Instant::now() < until => {}
                Err(e) => {
                    log::error!("cannot begin a transaction: {e}");
                    return (
                        connection,
                        Err(if is_busy(&e) { held } else { cannot_write }),
                    );
                }
            }
            drop(connection);
            thread::park_timeout(BUSY_PAUSE);
        }
    }

    /// Once the copy has it too, where there is one: tells the observer what became durable, then everybody who waits.
    fn settle(&self, batch: Batch) {
        let Batch { mut jobs, group } = batch;
        let may_answer = group.is_none_or(|group| {
            self.await_copy(group, || {
                jobs.iter_mut().flat_map(|job| job.take_changes()).collect()
            })
        });
        match may_answer {
            true => self.announce(jobs.iter().flat_map(|job| job.changes())),
            false => jobs.iter_mut().for_each(|job| job.undo(outcome_unknown())),
        }
        for job in &mut jobs {
            job.settle();
        }
    }

    /// Tells the observer what became durable.
    pub(super) fn announce<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        let observer = self
            .observer
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone();
        let Some(observer) = observer else { return };
        for change in changes {
            // A watcher's panic must not keep the answer of a durable change from its caller.
            if catch_unwind(AssertUnwindSafe(|| observer(change))).is_err() {
                log::error!("the observer of changes panicked");
            }
        }
    }

    /// Commits what holds of a batch, in the transaction that began. Returns which group its answers have to wait for;
    /// none where nothing was committed.
    fn commit_batch(
        &self,
        connection: &Connection,
        batch: &mut [Box<dyn WriteJob>],
        begun: Instant,
    ) -> Option<u64> {
        if let Err(e) = self.still_our_chain(connection) {
            // Another process wrote into the file: to go on would be to sign what it wrote.
            (self.fatal)(&e.to_string());
            give_up(connection, batch, "the audit log is not the one we wrote");
            return None;
        }
        if let Err(e) = self.ensure_alone(connection) {
            give_up(connection, batch, &e.to_string());
            return None;
        }
        // Read once for the whole batch, after the lock: waiting cannot make it stale, and all agree on it.
        let now = self.clock.now();
        let mark = self.live.mark();
        let mut routes = Arc::clone(&self.routes.lock().unwrap_or_else(|e| e.into_inner()));
        for n in 0..batch.len() {
            match self.run_one(connection, &mut batch[n], now, &routes) {
                Ok(()) => routes = new_routes(&*batch[n]).unwrap_or(routes),
                Err(error) => batch[n].undo(error),
            }
            if connection.is_autocommit() {
                // SQLite gave up the whole transaction (disk full, out of memory, I/O), or we had to: nobody's write
                // holds.
                self.live.restore(mark);
                give_up(connection, batch, "the transaction was lost");
                return None;
            }
        }
        if let Err(e) = self.sign_head(connection) {
            log::error!("the head of the audit log cannot be written: {e}");
            self.live.restore(mark);
            give_up(connection, batch, "the transaction has no signed head");
            return None;
        }
        match execute(connection, "COMMIT") {
            Ok(()) => {
                let (took, writers) = (begun.elapsed(), batch.len());
                *self.routes.lock().unwrap_or_else(|e| e.into_inner()) = routes;
                self.remember_chain_end(connection);
                self.tell_checkpoints(connection);
                let changes: usize = batch.iter().map(|job| job.changes().len()).sum();
                self.count(|metrics| {
                    metrics.store_batches.inc(&[]);
                    metrics.store_changes.add(&[], changes as u64);
                    metrics.store_batch_writers.observe(&[], writers as f64);
                    metrics
                        .store_commit_duration
                        .observe(&[], took.as_secs_f64());
                });
                Some(self.copy_owes(batch.iter().any(|job| job.wrote())))
            }
            Err(e) => {
                self.live.restore(mark);
                self.commit_failed(connection, &e, batch);
                None
            }
        }
    }

    /// Signs the head that this transaction leaves, unless it is the one before.
    fn sign_head(&self, connection: &Connection) -> Result<(), Error> {
        let head = head_now(connection, &self.live)?;
        if !self.live.moved_to(head.seq) {
            return Ok(());
        }
        write_head(
            connection,
            &head.sign(HeadPurpose::End, &self.instance, &self.audit_keys.current),
        )
    }

    fn run_one(
        &self,
        connection: &Connection,
        job: &mut Box<dyn WriteJob>,
        now: Timestamp,
        routes: &Routes,
    ) -> Result<(), Error> {
        execute(connection, "SAVEPOINT one")?;
        let mark = self.live.mark();
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(self, connection, now, routes)))
            .unwrap_or_else(|_| Err(Error::bug("a write panicked")));
        if ran.is_err() {
            self.live.restore(mark);
        }
        let end = match &ran {
            Ok(()) => execute(connection, "RELEASE one"),
            Err(_) if connection.is_autocommit() => Ok(()),
            Err(_) => execute(connection, "ROLLBACK TO one")
                .and_then(|()| execute(connection, "RELEASE one")),
        };
        if let Err(e) = end {
            // What was refused may still stand in the transaction: then nobody's may be committed.
            log::error!("cannot end a savepoint: {e}");
            let _ = connection.execute_batch("ROLLBACK");
            return Err(db(e));
        }
        ran
    }

    fn commit_failed(
        &self,
        connection: &Connection,
        e: &rusqlite::Error,
        batch: &mut [Box<dyn WriteJob>],
    ) {
        log::error!("commit failed: {e}");
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        let code = e.sqlite_error_code();
        if !matches!(code, Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)) {
            // After a failed sync the kernel may have dropped what it could not write: a retry would lie.
            (self.fatal)(&format!("commit failed: {e}"));
        }
        for job in batch {
            job.undo(cannot_write());
        }
    }
}

/// What everybody is answered whose transaction was lost.
fn cannot_write() -> Error {
    Error::unavailable("the server cannot write now")
}

/// The same where another process has not let go of the file.
fn held() -> Error {
    Error::unavailable("another process holds the state file; nothing was changed")
        .hint("try again in a moment")
        .retry_after(1)
}

fn is_busy(e: &rusqlite::Error) -> bool {
    e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Where notifications go from a job on that applied another configuration.
fn new_routes(job: &dyn WriteJob) -> Option<Arc<Routes>> {
    job.changes().iter().rev().find_map(|change| match change {
        Change::Configuration(ConfigurationChange::ConfigSynced { routes, .. }) => {
            Some(Arc::clone(routes))
        }
        _ => None,
    })
}

/// Takes back what is left of a transaction, and refuses all writes in it.
fn give_up(connection: &Connection, batch: &mut [Box<dyn WriteJob>], why: &str) {
    log::error!("{why}; {} writes refused", batch.len());
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    for job in batch {
        job.undo(cannot_write());
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute(params![])?;
    Ok(())
}
