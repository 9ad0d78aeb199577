//! What the threads of a reign do: renew the lease, keep Litestream running, and ask for the copy.

use super::SYNC_AGAIN;
use super::keeper::Keeper;
use super::litestream::{END_WITHIN, Litestream, RunningChild, Uncopied};
use crate::clock::Clock;
use crate::domain::server_lease::renew_every;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::store::{Replica, Store};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// How often the copy is asked whether it has everything.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether Litestream runs; after its end it is started again.
const CHILD_LOOK: Duration = Duration::from_millis(500);

/// What the threads of a reign share.
pub(super) struct Copier {
    pub(super) keeper: Arc<Keeper>,
    pub(super) litestream: Litestream,
    pub(super) database: PathBuf,
    pub(super) confirmed: bool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) stopping: Mutex<bool>,
    pub(super) changed: Condvar,
    /// When all of it shall have ended, once it ends.
    pub(super) end_by: Mutex<Option<Instant>>,
    /// How often Litestream has ended by itself.
    pub(super) child_ends: AtomicUsize,
    /// Since when the bucket has refused the copy, as Litestream says, and why.
    pub(super) refusal: Mutex<Option<(Instant, String)>>,
}

impl Copier {
    pub(super) fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopping.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits; false when everything stops.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let stopping = self.lock();
        let (stopping, _) = self
            .changed
            .wait_timeout_while(stopping, time, |stopping| !*stopping)
            .unwrap_or_else(|e| e.into_inner());
        !*stopping
    }

    fn end(&self) -> Option<Instant> {
        *self.end_by.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Bounds everything from now on, also what waits already.
    pub(super) fn set_end(&self, end: Instant) {
        *self.end_by.lock().unwrap_or_else(|e| e.into_inner()) = Some(end);
    }

    /// That time, or while everything ends half of what is left, so that what comes after has some too.
    fn bounded(&self, time: Duration) -> Duration {
        let left = self
            .end()
            .map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(time, |left| time.min(left / 2))
    }

    /// Why the bucket refuses the copy, where it has done nothing else for so long.
    pub(super) fn refused_for(&self, time: Duration) -> Option<String> {
        let refusal = self.refusal.lock().unwrap_or_else(|e| e.into_inner());
        let (since, why) = refusal.as_ref()?;
        (since.elapsed() >= time).then(|| why.clone())
    }

    fn note_refusal(&self, why: Option<&str>) {
        let mut refusal = self.refusal.lock().unwrap_or_else(|e| e.into_inner());
        let since = refusal
            .as_ref()
            .map_or_else(Instant::now, |(since, _)| *since);
        *refusal = why.map(|why| (since, why.to_owned()));
    }

    /// Renews the lease until everything stops.
    pub(super) fn renew(&self) {
        let mut wait = renew_every(self.keeper.lease());
        while self.pause(wait) {
            wait = match self.keeper.renew() {
                true => renew_every(self.keeper.lease()),
                false => SYNC_AGAIN,
            };
        }
    }

    /// Keeps Litestream running. This thread is its parent: when it ends, so does Litestream.
    pub(super) fn keep_running(&self) {
        let mut child: Option<RunningChild> = None;
        loop {
            if let Some(how) = child.as_mut().and_then(RunningChild::ended) {
                log::error!("Litestream ended ({how}); it is started again");
                self.child_ends.fetch_add(1, Ordering::SeqCst);
                child = None;
            }
            if child.is_none() {
                match self
                    .litestream
                    .replicate(&self.database, self.keeper.epoch())
                {
                    Ok(started) => child = Some(started),
                    Err(error) => log::error!("{error}"),
                }
            }
            if !self.pause(CHILD_LOOK) {
                break;
            }
        }
        if let Some(child) = child {
            child.stop(self.bounded(END_WITHIN));
        }
    }

    /// Asks for the copy even where nobody waits for it, so that it is known how far it is.
    pub(super) fn keep_synced(&self, store: &Weak<Store>) {
        let mut wait = SYNC_EVERY;
        while self.pause(wait) {
            let Some(store) = store.upgrade() else { return };
            wait = match store.sync_copy() {
                Ok(()) => SYNC_EVERY,
                Err(_) => SYNC_AGAIN,
            };
        }
    }
}

impl Replica for Copier {
    fn is_awaited(&self) -> bool {
        self.confirmed
    }

    fn may_write(&self) -> bool {
        self.keeper.may_write()
    }

    fn sync(&self) -> Result<(), Error> {
        let began = Instant::now();
        let until = began + self.litestream.sync_patience();
        let synced = self.litestream.sync(&self.database, || {
            self.end().map_or(until, |end| until.min(end))
        });
        self.note_refusal(match &synced {
            Err(Uncopied::Refused(why)) => Some(why),
            _ => None,
        });
        match &synced {
            Ok(()) => {
                self.metrics
                    .replication_sync
                    .observe(&[], began.elapsed().as_secs_f64());
                self.metrics
                    .replication_confirmed
                    .set(&[], self.clock.now().0 / 1000);
            }
            Err(_) => self.metrics.replication_failures.inc(&["copy"]),
        }
        synced.map_err(Uncopied::error)
    }
}
