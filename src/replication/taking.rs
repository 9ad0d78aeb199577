//! Taking the lease at a start, and giving it up where the start comes to nothing.

use super::CONNECTIONS;
use super::keeper::Keeper;
use super::lease_document::{LeaseDocument, StandingLease};
use super::litestream::{EPOCH_FOLDERS, Litestream};
use super::local_state::LocalState;
use crate::clock::Clock;
use crate::config::{Config, Replication};
use crate::domain::server_lease::{ServerKeys, ServerLease, renew_every};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::objects::S3;
use crate::objects::s3::Patience;
use crate::outbound::Http;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Where a start leaves the lease that it has taken, so that what ends the process meanwhile can give it up.
#[derive(Clone, Default)]
pub struct TakenSlot(Arc<SlotShared>);

#[derive(Default)]
struct SlotShared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    /// Whether the lease is being asked for: the bucket may have given it already.
    is_asked: bool,
    keeper: Option<Arc<Keeper>>,
}

/// As long as the lease is being asked for.
pub(super) struct Asking<'s>(&'s TakenSlot);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.lock().is_asked = false;
        self.0.0.changed.notify_all();
    }
}

impl TakenSlot {
    /// Says that the lease is asked for from now on.
    pub(super) fn ask(&self) -> Asking<'_> {
        self.lock().is_asked = true;
        Asking(self)
    }

    /// Notes the lease that a keeper has.
    pub(super) fn note(&self, keeper: &Arc<Keeper>) {
        self.lock().keeper = Some(Arc::clone(keeper));
    }

    /// Gives the lease up, if one was taken or is being asked for; waits for that at most so long.
    pub fn give_up(&self, within: Duration) {
        let until = Instant::now() + within;
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.lock(), within, |slot| slot.is_asked);
        let taken = waited.unwrap_or_else(|e| e.into_inner()).0.keeper.take();
        let Some(keeper) = taken else { return };
        let (done, ended) = std::sync::mpsc::channel();
        let spawned = thread::Builder::new()
            .name("replica-lease".to_owned())
            .spawn(move || {
                keeper.give_up(None);
                let _ = done.send(());
            });
        if spawned.is_ok() {
            let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.slot.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The highest epoch above that of the lease, 0 for none, of which the bucket has a copy: the lease was removed, or put back
/// from before.
pub(super) fn stray_copy(document: &LeaseDocument, lease_epoch: u64) -> Result<Option<u64>, Error> {
    let (mut highest, mut found) = (lease_epoch, None);
    loop {
        // After all names of that folder.
        let from = format!("{}/~", Litestream::epoch_folder(highest));
        let page = document
            .s3
            .names_after(EPOCH_FOLDERS, &from, document.call_timeout)?;
        let last = page
            .names
            .last()
            .and_then(|name| Litestream::epoch_of(name));
        match last {
            Some(epoch) if epoch > highest => (highest, found) = (epoch, Some(epoch)),
            _ => return Ok(found),
        }
    }
}

pub(super) fn first(
    local: &LocalState,
    replication: &Replication,
    keys: &ServerKeys,
    above: u64,
) -> ServerLease {
    if local.epoch > 0 {
        log::warn!(
            "there is no lease in the bucket, although this server had epoch {}: it begins anew",
            local.epoch
        );
    }
    ServerLease::first(
        &local.holder,
        replication.lease_secs,
        replication.confirmed,
        keys,
        above,
    )
}

/// Takes the lease that stands, with an epoch above `above`; none where somebody else was faster, or nobody knows.
pub(super) fn take(
    document: &LeaseDocument,
    standing: &StandingLease,
    holder: &str,
    above: u64,
    replication: &Replication,
) -> Option<StandingLease> {
    let mut lease = standing
        .lease
        .taken_by(holder, replication.lease_secs, replication.confirmed);
    lease.epoch = lease.epoch.max(above + 1);
    match document.write(lease, Some(&standing.version)) {
        Ok(taken) => taken,
        Err(error) => {
            log::warn!("taking the lease: {error}");
            None
        }
    }
}

/// The lease of an installation, in its bucket.
pub(super) fn lease_of(
    config: &Config,
    replication: &Replication,
    metrics: &Arc<Metrics>,
) -> LeaseDocument {
    let bucket = &replication.bucket;
    let clock = Clock::system();
    LeaseDocument {
        s3: S3::new(
            bucket.clone(),
            Arc::new(Http::keeping(config.bucket_reach(bucket), CONNECTIONS)),
            clock.clone(),
            Arc::clone(metrics),
            CONNECTIONS,
            Patience::default(),
        ),
        clock,
        call_timeout: renew_every(Duration::from_secs(replication.lease_secs)),
    }
}
