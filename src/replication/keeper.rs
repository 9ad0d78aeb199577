//! Holds the lease: renews it, and knows whether it lasts.

use super::SYNC_AGAIN;
use super::lease_document::{LeaseDocument, StandingLease};
use crate::clock::Clock;
use crate::domain::server_lease::{LeaseTerm, LogHead, Moment, ServerLease};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::objects::S3;
use crate::store::{Fatal, Store};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Holds a lease that was taken.
pub(super) struct Keeper {
    document: LeaseDocument,
    held: Mutex<StandingLease>,
    /// Apart from `held`, which is locked during calls.
    term: Mutex<LeaseTerm>,
    lost: AtomicBool,
    /// The last renewal did not work.
    failing: AtomicBool,
    store: OnceLock<Weak<Store>>,
    epoch: u64,
    lease: Duration,
    confirmed: bool,
    metrics: Arc<Metrics>,
    on_lost: Fatal,
}

impl Keeper {
    pub(super) fn new(
        document: LeaseDocument,
        taken: StandingLease,
        sent: Moment,
        metrics: Arc<Metrics>,
        on_lost: Fatal,
    ) -> Keeper {
        let lease = taken.lease.duration();
        Keeper {
            document,
            term: Mutex::new(LeaseTerm { sent, lease }),
            lost: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            store: OnceLock::new(),
            epoch: taken.lease.epoch,
            lease,
            confirmed: taken.lease.confirmed,
            held: Mutex::new(taken),
            metrics,
            on_lost,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The bucket that the lease and the copies are in.
    pub(super) fn bucket(&self) -> &S3 {
        &self.document.s3
    }

    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    pub(super) fn clock(&self) -> Clock {
        self.document.clock.clone()
    }

    /// Whether another server has the lease.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Whether the lease lasts.
    pub(super) fn may_write(&self) -> bool {
        let term = *self.term.lock().unwrap_or_else(|e| e.into_inner());
        !self.is_lost() && term.lasts(self.document.now())
    }

    /// Renewals say from now on how far this store's log is.
    pub(super) fn watch(&self, store: &Arc<Store>) {
        let _ = self.store.set(Arc::downgrade(store));
    }

    /// What a renewal says of the log: what the copy has where answers wait for it, otherwise what was written.
    fn head(&self) -> Option<LogHead> {
        let store = self.store.get()?.upgrade()?;
        match self.confirmed {
            true => store.copied_head(),
            false => Some(store.log_head()),
        }
    }

    /// Renews it; whether that worked. Where another server has it, everything ends.
    pub(super) fn renew(&self) -> bool {
        let head = self.head();
        let mut held = self.held();
        let renewed = self.replace(&mut held, |held| held.lease.renewed(head.clone()));
        let failing = renewed.is_err();
        if let Err(error) = &renewed {
            self.metrics.replication_failures.inc(&["lease"]);
            if !self.failing.load(Ordering::SeqCst) {
                log::warn!("the lease is not renewed: {error}");
            }
        }
        if self.failing.swap(failing, Ordering::SeqCst) && !failing {
            log::info!("the lease is renewed again");
        }
        !failing
    }

    /// Writes that the copy of this epoch is complete.
    ///
    /// # Errors
    /// `unavailable` where that does not succeed in time.
    pub(super) fn announce_copy(&self, until: Instant) -> Result<(), Error> {
        loop {
            let mut held = self.held();
            let written = self.replace(&mut held, |held| held.lease.with_copy());
            let is_there = held.lease.copy_epoch == self.epoch;
            drop(held);
            match written {
                Ok(()) if is_there => return Ok(()),
                Err(error) if Instant::now() >= until => return Err(error),
                _ if self.is_lost() => {
                    return Err(Error::bug("another server has taken the lease"));
                }
                _ => thread::sleep(SYNC_AGAIN),
            }
        }
    }

    /// Gives it up, so that another server need not wait for its end; `last` is the last event of the log, where the copy
    /// has all of it.
    pub(super) fn give_up(&self, last: Option<LogHead>) {
        let mut held = self.held();
        match self.replace(&mut held, |held| held.lease.given_up(last.clone())) {
            Ok(()) => log::info!("the lease is given up"),
            Err(error) => log::warn!("the lease is left to run out: {error}"),
        }
    }

    /// Writes into the log what an answer is worth.
    pub(super) fn log_mode(&self) {
        match self.confirmed {
            true => log::info!("nothing is answered before the copy in the bucket has it"),
            false => log::warn!(
                "answers do not wait for the copy in the bucket (mode = \"async\"): \
                 the last changes may be lost with this machine"
            ),
        }
    }

    fn held(&self) -> MutexGuard<'_, StandingLease> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Writes the lease that comes of the one that stands. Where another version stands, it may be one of ours whose
    /// answer was lost; that one is then replaced. Where somebody has removed it, it is written again as long as it
    /// lasts: only after that another server may have taken it.
    fn replace(
        &self,
        held: &mut StandingLease,
        next: impl Fn(&StandingLease) -> ServerLease,
    ) -> Result<(), Error> {
        let mut removed = false;
        loop {
            let sent = self.document.now();
            let replaces = (!removed).then_some(held.version.as_str());
            if let Some(written) = self.document.write(next(held), replaces)? {
                *held = written;
                let lease = self.lease;
                *self.term.lock().unwrap_or_else(|e| e.into_inner()) = LeaseTerm { sent, lease };
                return Ok(());
            }
            match self.document.read()? {
                Some(standing)
                    if standing.lease.is_same_reign(&held.lease)
                        && standing.version != held.version =>
                {
                    *held = standing;
                    removed = false;
                }
                None if !removed && self.may_write() => {
                    log::warn!(
                        "somebody has removed the lease from the bucket; it is written again"
                    );
                    removed = true;
                }
                other => {
                    self.lost.store(true, Ordering::SeqCst);
                    let who =
                        other.map_or("nobody".to_owned(), |l| format!("epoch {}", l.lease.epoch));
                    (self.on_lost)(&format!("the lease is lost to {who}"));
                    return Err(Error::unavailable("another server has the lease"));
                }
            }
        }
    }
}
