//! The second copy of the state: when a transaction may begin, and when what was committed may be answered.
//!
//! Something else copies the write-ahead log ([`Replica`]). One caller at a time asks it for everything committed so
//! far; callers that have committed meanwhile are served by the next such call, so the cost is one round trip a group. When it
//! fails, what was committed stands here and its outcome is unknown: it is announced once the copy has it after all,
//! and until then no further transaction begins.

use super::connection::read_only;
use super::live::{hash_of, last_event};
use super::query::{RunStatement, first};
use super::{Change, Store};
use crate::domain::server_lease::LogHead;
use crate::error::Error;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// While nobody waits for the copy and it is not reached, the log grows: nothing may be removed from it.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// Keeps the copy, and knows whether this server may write.
pub trait Replica: Send + Sync {
    /// Whether answers wait for the copy.
    fn is_awaited(&self) -> bool;

    /// Whether this server may write, and answer what it wrote, at this moment.
    fn may_write(&self) -> bool;

    /// Returns once everything committed before the call is in the copy.
    ///
    /// # Errors
    /// `unavailable`: it may be there or not.
    fn sync(&self) -> Result<(), Error>;

    /// How large the write-ahead log may be while the copy is not reached, in bytes.
    fn log_bytes_max(&self) -> u64 {
        LOG_BYTES_MAX
    }
}

/// How far the copy is.
pub(super) struct CopyState {
    replica: Arc<dyn Replica>,
    /// What Litestream counts in its own table, as last seen.
    copier_count: AtomicI64,
    /// The write-ahead log.
    log: PathBuf,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Default)]
struct Progress {
    /// Groups committed, and how many of them the copy has for certain.
    committed: u64,
    confirmed: u64,
    /// The log's last event that the copy has for certain.
    head: Option<LogHead>,
    /// Somebody asks for the copy right now.
    asking: bool,
    /// Times that the copy failed; those who wait meanwhile fail with it.
    failures: u64,
    /// The last call failed, and none has succeeded since.
    broken: bool,
    /// What was committed and not announced.
    late: Vec<Change>,
}

impl CopyState {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether a transaction may begin: where the copy is not reached, only as long as nobody awaits it and what it lacks
    /// has room in the log.
    fn may_begin(&self) -> bool {
        let is_full = || {
            let log = std::fs::metadata(&self.log).map_or(0, |data| data.len());
            self.replica.is_awaited() || log >= self.replica.log_bytes_max()
        };
        !(self.lock().broken && is_full()) && self.replica.may_write()
    }

    /// Notes that a group was committed, or that one wrote nothing. Returns which group its answers have to wait for.
    fn committed(&self, wrote: bool) -> u64 {
        let mut progress = self.lock();
        progress.committed += u64::from(wrote);
        progress.committed
    }

    /// Waits until the copy has the group. Returns whether it has. When it fails, `changes` are kept, to be announced
    /// later.
    fn confirm(&self, store: &Store, group: u64, changes: impl FnOnce() -> Vec<Change>) -> bool {
        let mut progress = self.lock();
        let failures = progress.failures;
        while self.replica.is_awaited() && progress.confirmed < group {
            if progress.failures != failures {
                progress.late.extend(changes());
                return false;
            }
            progress = self.ask(store, progress);
        }
        drop(progress);
        if self.replica.may_write() {
            return true;
        }
        // The copy may have it, but by now another server may have begun from a copy without it.
        log::error!("answers are withheld: the lease is over");
        let mut progress = self.lock();
        progress.broken = true;
        progress.late.extend(changes());
        false
    }

    /// Asks for the copy of everything committed so far, or waits for the caller that does.
    fn ask<'a>(
        &'a self,
        store: &Store,
        mut progress: MutexGuard<'a, Progress>,
    ) -> MutexGuard<'a, Progress> {
        if progress.asking {
            return self.moved.wait(progress).unwrap_or_else(|e| e.into_inner());
        }
        progress.asking = true;
        let group = progress.committed;
        drop(progress);
        let head = store.log_head();
        let synced = catch_unwind(AssertUnwindSafe(|| self.replica.sync()))
            .unwrap_or_else(|_| Err(Error::bug("the copy panicked")));
        let mut progress = self.lock();
        progress.asking = false;
        match synced {
            Ok(()) => {
                progress.confirmed = progress.confirmed.max(group);
                progress.head = Some(head);
                if std::mem::take(&mut progress.broken) {
                    log::info!("the copy of the state is reached again");
                }
            }
            Err(error) => {
                progress.failures += 1;
                if !std::mem::replace(&mut progress.broken, true) {
                    log::error!("the copy of the state is not reached: {error}");
                }
            }
        }
        self.moved.notify_all();
        progress
    }
}

/// What all callers of a transaction that does not begin are answered.
pub(super) type BeginRefusal = fn() -> Error;

/// What everybody is answered while no transaction begins.
fn not_reached() -> Error {
    Error::unavailable("the copy of the state cannot be written now; nothing was changed")
        .hint("try again in a moment")
        .retry_after(1)
}

/// What everybody is answered whose group the copy may lack.
pub(super) fn outcome_unknown() -> Error {
    Error::unavailable("outcome unknown: the change is stored here, but its copy was not confirmed")
        .hint("read the state, or repeat the call with the same idempotency key")
        .retry_after(1)
}

/// The same as [`Store::holds`] of the state file at `path`, which nobody serves.
///
/// # Errors
/// `internal` where the file cannot be read.
pub fn log_holds(path: &Path, head: &LogHead) -> Result<bool, Error> {
    holds(&read_only(path)?, head)
}

/// What Litestream has counted in its own table; -1 before it has made that.
fn copier_count(connection: &Connection) -> i64 {
    let sql = "SELECT coalesce(max(seq), 0) FROM _litestream_seq WHERE id = 1";
    connection.one(sql, [], first).unwrap_or(-1)
}

/// The last event of the log in the state file at `path`, which nobody serves.
///
/// # Errors
/// `internal` where the file cannot be read.
pub fn log_head_of(path: &Path) -> Result<LogHead, Error> {
    let (seq, hash) = last_event(&read_only(path)?)?;
    Ok(LogHead { seq, hash })
}

fn holds(connection: &Connection, head: &LogHead) -> Result<bool, Error> {
    Ok(head.seq == 0 || hash_of(connection, head.seq)?.as_ref() == Some(&head.hash))
}

impl Store {
    /// Keeps a copy from now on. The write-ahead log is left to what copies it.
    ///
    /// # Errors
    /// `internal` where there is a copy already.
    pub fn replicate(&self, replica: Arc<dyn Replica>) -> Result<(), Error> {
        let connection = self.lock();
        connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
        let count = copier_count(&connection);
        let log = PathBuf::from(format!("{}-wal", connection.path().unwrap_or_default()));
        drop(connection);
        let copy = CopyState {
            replica,
            copier_count: AtomicI64::new(count),
            log,
            progress: Mutex::default(),
            moved: Condvar::new(),
        };
        self.copy
            .set(copy)
            .map_err(|_| Error::bug("there is a copy already"))
    }

    /// Brings everything committed into the copy, and announces what could not be announced before.
    ///
    /// # Errors
    /// `unavailable` where it is not reached, or the lease is over.
    pub fn sync_copy(&self) -> Result<(), Error> {
        let Some(copy) = self.copy.get() else {
            return Ok(());
        };
        let mut progress = copy.lock();
        let (failures, group) = (progress.failures, progress.committed);
        // A call that is under way when this one comes began before the last commit, perhaps.
        loop {
            progress = copy.ask(self, progress);
            if progress.failures != failures || progress.confirmed >= group {
                break;
            }
        }
        // Once the lease is over, another server may have begun from a copy without it.
        if progress.failures != failures || progress.broken || !copy.replica.may_write() {
            return Err(not_reached());
        }
        let late = std::mem::take(&mut progress.late);
        drop(progress);
        self.announce(late.iter());
        self.tell_checkpoints(&self.lock());
        Ok(())
    }

    /// Whether the copy was not reached when last asked for.
    pub fn is_copy_broken(&self) -> bool {
        self.copy.get().is_some_and(|copy| copy.lock().broken)
    }

    /// Whether the second copy lets a transaction begin; none where there is no such copy.
    pub fn copy_allows_writes(&self) -> Option<bool> {
        self.copy.get().map(CopyState::may_begin)
    }

    /// Whether this server holds the lease at this moment; none where there is no second copy.
    pub fn holds_lease(&self) -> Option<bool> {
        self.copy.get().map(|copy| copy.replica.may_write())
    }

    /// The log's last event that the copy has for certain, as of the last time that somebody asked.
    pub fn copied_head(&self) -> Option<LogHead> {
        self.copy.get().and_then(|copy| copy.lock().head.clone())
    }

    /// The last event of the log.
    pub fn log_head(&self) -> LogHead {
        let (seq, hash) = self
            .chain_end
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone();
        LogHead { seq, hash }
    }

    /// Whether the log has that event; so has every log the one before the first.
    ///
    /// # Errors
    /// `internal`.
    pub fn holds(&self, head: &LogHead) -> Result<bool, Error> {
        holds(&self.lock(), head)
    }

    /// Whether what copies the file has written into it since this was last asked: Litestream counts its starts and its
    /// checkpoints in a table of its own.
    pub(super) fn copier_wrote(&self, connection: &Connection) -> bool {
        self.copy.get().is_some_and(|copy| {
            let count = copier_count(connection);
            copy.copier_count.swap(count, Ordering::Relaxed) != count
        })
    }

    /// Whether a transaction may begin; otherwise what its callers are answered.
    pub(super) fn may_begin(&self) -> Result<(), BeginRefusal> {
        match self.copy.get() {
            Some(copy) if !copy.may_begin() => Err(not_reached),
            _ => Ok(()),
        }
    }

    /// Notes that a group was committed, and whether it wrote; which group its answers wait for.
    pub(super) fn copy_owes(&self, wrote: bool) -> u64 {
        self.copy.get().map_or(0, |copy| copy.committed(wrote))
    }

    /// Waits for the copy of the group; whether its answers may be given.
    pub(super) fn await_copy(&self, group: u64, changes: impl FnOnce() -> Vec<Change>) -> bool {
        let Some(copy) = self.copy.get() else {
            return true;
        };
        copy.confirm(self, group, changes)
    }
}
