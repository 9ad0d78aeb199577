//! The second copy of the state, in a bucket, and the lease of the one server that writes it.
//!
//! [`Reign`] is the part of the server that writes: it holds the lease and renews it, has Litestream copy the
//! write-ahead log into the folder of its epoch, and says when a transaction may begin and be answered
//! ([`Replica`]). [`standby`] is the other part: it follows the copy until the lease is over, and takes it.
//! docs/high-availability.md follows a change from its commit to its answer.
//!
//! Why no acknowledged change is lost: an answer is given after its change was in the bucket, and at a moment at which
//! the lease lasted. The next server takes the lease after that moment, reads the copy after that, and so has it. What
//! the old server copies from then on goes into a folder that nobody reads any more.

mod clean;
mod copier;
mod followers;
mod keeper;
mod lease_document;
mod litestream;
mod local_state;
pub mod look;
mod refusals;
pub mod standby;
mod taking;

pub use litestream::{CHILD, become_litestream};
pub use taking::TakenSlot;

use crate::config::{Config, Replication};
use crate::crypto::Keypair;
use crate::domain::actor::Actor;
use crate::domain::change::LogChange;
use crate::domain::server_lease::{LeaseWatch, Moment, ServerKeys, ServerLease};
use crate::error::{Error, counted};
use crate::metrics::Metrics;
use crate::store::{Fatal, Replica, Store, Verdict, log_holds};
use copier::Copier;
use keeper::Keeper;
use lease_document::{LeaseDocument, StandingLease};
use litestream::Litestream;
use local_state::LocalState;
use refusals::{lacks, refuse_foreign, refuse_older, strays};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use taking::{first, lease_of, stray_copy, take};

/// How soon the bucket is tried again that was not reached.
const SYNC_AGAIN: Duration = Duration::from_millis(200);
/// How long the first copy of the whole state may take; where the bucket refuses it, the time of the lease.
const FIRST_COPY: Duration = Duration::from_secs(600);
/// How often Litestream may end before the first copy is complete.
const CHILD_ENDS_MAX: usize = 10;
/// Connections to the bucket: one for the lease, one for what is removed, one for the signs of standbys.
const CONNECTIONS: usize = 3;
/// How far the epoch of a restored state is above that of its backup: each start and each take-over in between counted
/// one, and agents refuse an epoch below the last they saw.
const RESTORED_AHEAD: u64 = 1000;
/// How often it is looked whether a thread has ended.
const STOP_LOOK: Duration = Duration::from_millis(10);
/// How long a start tries to reach the bucket.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A server's time with the lease. [`Reign::end`] ends it; dropping it before gives the lease up, so that a server that
/// cannot serve does not keep it from another.
pub struct Reign {
    keeper: Arc<Keeper>,
    litestream: Litestream,
    /// The lease as it was before we took it; none for the first.
    inherited: Option<ServerLease>,
    /// Whether the state was fetched from the bucket just now.
    fetched: bool,
    /// Whether the bucket has what another server, or this one since, wrote.
    is_older: bool,
    /// The epoch of a copy that no lease names.
    stray_copy: Option<u64>,
    accept_rollback: Option<String>,
    copier: Arc<Copier>,
    threads: Vec<JoinHandle<()>>,
    /// Whether the lease is given up already, or left to run out on purpose.
    is_settled: bool,
}

/// What a server has when its reign begins, at its start or as a standby.
pub struct ReignSetup<'a> {
    pub config: &'a Config,
    pub replication: &'a Replication,
    pub metrics: &'a Arc<Metrics>,
    pub keys: &'a ServerKeys,
    pub on_lost: &'a Fatal,
    /// Why a state may begin that is older than the one in the bucket.
    pub accept_rollback: Option<&'a str>,
    /// Where the lease is noted as soon as it is taken.
    pub taken: &'a TakenSlot,
}

/// A lease that was just taken.
struct TakenLease {
    document: LeaseDocument,
    standing: StandingLease,
    /// When it was asked for: it counts from then.
    sent: Moment,
    /// As it was before; none for the first.
    inherited: Option<ServerLease>,
    /// The epoch of a copy that no lease names.
    stray_copy: Option<u64>,
}

impl ReignSetup<'_> {
    /// Takes the lease for the state in `state_dir`, if nothing newer is in the bucket. Waits while another server may
    /// hold it.
    ///
    /// # Errors
    /// `internal` with a sentence for the operator: the bucket cannot be reached, has a newer state, or is one of a
    /// server with other keys.
    pub fn begin(&self) -> Result<Reign, Error> {
        let (document, replication) = (self.document(), self.replication);
        let mut local = LocalState::read(&self.config.state_dir)?;
        let (mut watch, mut waits): (Option<LeaseWatch>, bool) = (None, false);
        let until = Instant::now() + START_PATIENCE;
        loop {
            let sent = document.now();
            let mut asking = None;
            let taken = match document.read() {
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => None,
                Ok(None) => {
                    let begun = |stray: Option<u64>| {
                        asking = Some(self.taken.ask());
                        let above = local.epoch.max(stray.unwrap_or_default());
                        let lease = first(&local, replication, self.keys, above);
                        let taken = document.write(lease, None).unwrap_or_default()?;
                        Some((taken, None, stray))
                    };
                    self.stray_copy(&document, None)?.and_then(begun)
                }
                Ok(Some(standing)) => {
                    refuse_foreign(&standing.lease, self.keys)?;
                    if self.accept_rollback.is_none() {
                        refuse_older(&standing.lease, &local)?;
                    }
                    let read = document.clock.instant();
                    let watch = watch
                        .get_or_insert_with(|| LeaseWatch::new(standing.version.clone(), read));
                    watch.note(&standing.version, read);
                    // Who has a copy of this folder has its name too: only in the very place where it was written is it
                    // certain that its server has ended.
                    let own = standing.lease.holder == local.holder && local.is_in_place();
                    let free = own || watch.is_over(&standing.lease, read);
                    if free && self.accept_rollback.is_none() {
                        self.refuse_lacking(&standing.lease, local.is_in_place())?;
                    }
                    if !free && !std::mem::replace(&mut waits, true) {
                        let epoch = standing.lease.epoch;
                        log::info!("epoch {epoch} may last: waiting until its lease is over");
                    }
                    let stray = match free {
                        true => self.stray_copy(&document, Some(&standing))?,
                        false => None,
                    };
                    stray.and_then(|stray| {
                        let above = local.epoch.max(stray.unwrap_or_default());
                        asking = Some(self.taken.ask());
                        let taken = take(&document, &standing, &local.holder, above, replication)?;
                        Some((taken, Some(standing.lease), stray))
                    })
                }
            };
            if let Some((standing, inherited, stray_copy)) = taken {
                let taken = TakenLease {
                    document,
                    standing,
                    sent,
                    inherited,
                    stray_copy,
                };
                return self.go_on(taken, &mut local);
            }
            drop(asking);
            thread::sleep(SYNC_AGAIN);
        }
    }

    /// The epoch of a copy of which the lease that stands does not tell, if there is one; none where the bucket does not
    /// say, or the lease is another by now.
    ///
    /// # Errors
    /// A sentence for the operator, where there is one and no reason is given.
    fn stray_copy(
        &self,
        document: &LeaseDocument,
        standing: Option<&StandingLease>,
    ) -> Result<Option<Option<u64>>, Error> {
        let lease_epoch = standing.map(|standing| standing.lease.epoch);
        match stray_copy(document, lease_epoch.unwrap_or_default()) {
            Ok(Some(epoch)) if self.accept_rollback.is_none() => {
                // Between the two looks another server may have taken the lease, and begun that copy.
                let again = document.read()?.map(|again| again.version);
                if again.as_ref() == standing.map(|standing| &standing.version) {
                    return Err(strays(epoch, lease_epoch));
                }
                Ok(None)
            }
            Ok(stray) => Ok(Some(stray)),
            Err(error) => {
                log::warn!("taking the lease: {error}");
                Ok(None)
            }
        }
    }

    /// Refuses a state that lacks what was in the copy, before anybody loses the lease for it. What cannot be read is
    /// refused later. Where the state may be a copy or an old disk, the lease does not say enough, unless its server
    /// ended in order: it names only what the log had at a renewal.
    fn refuse_lacking(&self, lease: &ServerLease, in_place: bool) -> Result<(), Error> {
        let mut heads = vec![lease.head.clone()];
        if !in_place && !lease.head_is_last && lease.copy_epoch > 0 {
            let pause = |time| {
                thread::sleep(time);
                false
            };
            heads.extend(self.head_of_copy(lease.copy_epoch, pause)?);
        }
        for head in heads {
            if log_holds(&self.database(), &head).is_ok_and(|holds| !holds) {
                return Err(lacks(&head));
            }
        }
        Ok(())
    }

    /// Keeps a lease from now on, for the state that lies in `state_dir`.
    fn go_on(&self, taken: TakenLease, local: &mut LocalState) -> Result<Reign, Error> {
        let (epoch, from) = (taken.standing.lease.epoch, taken.standing.lease.copy_epoch);
        let inherited = taken.inherited.as_ref();
        let is_older =
            taken.stray_copy.is_some() || inherited.is_some_and(|before| !local.is_newest(before));
        let mut reign = self.keep(taken)?;
        reign.is_older = is_older;
        local.enter(epoch, from)?;
        Ok(reign)
    }

    /// Keeps a lease from now on. Which state it is for is noted once that state lies there ([`LocalState::enter`]).
    fn keep(&self, taken: TakenLease) -> Result<Reign, Error> {
        let epoch = taken.standing.lease.epoch;
        log::info!("the lease is ours, epoch {epoch}");
        self.metrics
            .replication_epoch
            .set(&[], i64::try_from(epoch).unwrap_or(i64::MAX));
        let litestream = self.litestream();
        let keeper = Arc::new(Keeper::new(
            taken.document,
            taken.standing,
            taken.sent,
            Arc::clone(self.metrics),
            Arc::clone(self.on_lost),
        ));
        self.taken.note(&keeper);
        let copier = Arc::new(Copier {
            keeper: Arc::clone(&keeper),
            litestream: litestream.clone(),
            database: self.database(),
            confirmed: self.replication.confirmed,
            metrics: Arc::clone(self.metrics),
            clock: keeper.clock(),
            stopping: Mutex::new(false),
            changed: Condvar::new(),
            end_by: Mutex::new(None),
            child_ends: AtomicUsize::new(0),
            refusal: Mutex::new(None),
        });
        let mut reign = Reign {
            keeper,
            litestream,
            inherited: taken.inherited,
            fetched: false,
            is_older: false,
            stray_copy: taken.stray_copy,
            accept_rollback: self.accept_rollback.map(str::to_owned),
            copier,
            threads: Vec::new(),
            is_settled: false,
        };
        reign.spawn("replica-lease", |copier| copier.renew())?;
        Ok(reign)
    }

    fn litestream(&self) -> Litestream {
        Litestream::new(self.replication, &self.config.state_dir)
    }

    fn database(&self) -> PathBuf {
        self.config.state_dir.join("dbward.db")
    }

    fn document(&self) -> LeaseDocument {
        lease_of(self.config, self.replication, self.metrics)
    }
}

impl Reign {
    /// The number of this reign, which execution tokens carry.
    pub fn epoch(&self) -> u64 {
        self.keeper.epoch()
    }

    /// Whether the state was fetched from the bucket just now: it is what another server wrote.
    pub fn is_fetched(&self) -> bool {
        self.fetched
    }

    /// Copies that store from now on; returns when the bucket has the whole of it. Nothing may be answered before.
    ///
    /// # Errors
    /// `state_differs` where the bucket knew of events that this state does not have; `internal` or `unavailable` where
    /// the first copy fails.
    pub fn copy(&mut self, store: &Arc<Store>) -> Result<(), Error> {
        self.compare(store)?;
        self.litestream.forget_progress()?;
        let replica: Arc<dyn Replica> = Arc::clone(&self.copier) as Arc<dyn Replica>;
        store.replicate(replica)?;
        self.keeper.watch(store);
        self.spawn("replica-child", Copier::keep_running)?;
        let until = Instant::now() + FIRST_COPY;
        while let Err(error) = store.sync_copy() {
            if Instant::now() >= until || self.keeper.is_lost() {
                return Err(error);
            }
            if self.copier.child_ends.load(Ordering::SeqCst) >= CHILD_ENDS_MAX {
                let words = "Litestream ends again and again before it has copied anything; the log has its reason";
                return Err(Error::bug(words));
            }
            if let Some(why) = self.copier.refused_for(self.keeper.lease()) {
                return Err(Error::bug(format!(
                    "the bucket does not take the copy of the state: {why}"
                ))
                .hint("see what the credentials of [result_storage] may do below the prefix of [replication]"));
            }
            thread::sleep(SYNC_AGAIN);
        }
        self.keeper.announce_copy(until)?;
        let weak = Arc::downgrade(store);
        self.spawn("replica-sync", move |copier| copier.keep_synced(&weak))?;
        self.spawn("replica-standbys", followers::count)?;
        self.clean()?;
        log::info!("the state is copied to the bucket, epoch {}", self.epoch());
        self.keeper.log_mode();
        Ok(())
    }

    /// Removes the copies of epochs before the last one, in a thread of its own.
    fn clean(&mut self) -> Result<(), Error> {
        let Some(last) = self.inherited.as_ref().map(|before| before.copy_epoch) else {
            return Ok(());
        };
        self.spawn("replica-clean", move |copier| {
            clean::remove_below(copier, last)
        })
    }

    /// Refuses a state that lacks what was in the copy, unless a reason is given, which is audited.
    fn compare(&self, store: &Arc<Store>) -> Result<(), Error> {
        let ours = store.log_head().seq;
        let head = self.inherited.as_ref().map(|before| before.head.clone());
        let head = head.unwrap_or_default();
        let has_all = store.holds(&head)?;
        if let Some(reason) = self.accept_rollback.clone()
            && (self.is_older || !has_all)
        {
            let held = match (self.stray_copy, &self.inherited) {
                (Some(epoch), _) => {
                    format!("the bucket had a copy of epoch {epoch}, that no lease names")
                }
                (None, before) => format!(
                    "the copy of epoch {} held event {} of the audit log at least",
                    before.as_ref().map_or(0, |before| before.copy_epoch),
                    head.seq
                ),
            };
            let found = format!("{held}, the state here ends at {ours}");
            let accepted = LogChange::RollbackAccepted { reason, found };
            return store.change(Actor::system(), |_, _| {
                Ok(Verdict::Write(vec![accepted.into()], ()))
            });
        }
        if has_all {
            return Ok(());
        }
        // What comes from the bucket is the newest that there is; what lies here may be an old disk.
        if let Some(before) = &self.inherited
            && !before.confirmed
            && self.fetched
        {
            log::warn!(
                "changes are lost: the server of epoch {} had written {}, the state here ends at {ours}",
                before.epoch,
                counted(head.seq, "event")
            );
            return Ok(());
        }
        Err(lacks(&head))
    }

    /// What asks for the copy is answered until then, or learns that its outcome is unknown.
    pub fn end_by(&self, until: Instant) {
        self.copier.set_end(until);
    }

    /// Ends it: what is committed is copied, and the lease is given up if that worked. It may take until `until`.
    ///
    /// # Errors
    /// `unavailable` where the copy is not complete: the lease is left to run out.
    pub fn end(mut self, store: &Store, until: Instant) -> Result<(), Error> {
        let left = until.saturating_duration_since(Instant::now());
        self.copier.set_end(Instant::now() + left / 2);
        let copied = store.sync_copy();
        self.copier.set_end(until);
        let last = copied.as_ref().ok().and_then(|()| store.copied_head());
        self.stop(Some(until));
        self.is_settled = true;
        if copied.is_ok() {
            self.keeper.give_up(last);
            return Ok(());
        }
        let lacks = match self.copier.confirmed {
            true => "what was answered \"outcome unknown\"",
            false => "the last changes",
        };
        Err(Error::unavailable(format!(
            "stopped, and the lease is left to run out: the bucket could not be given {lacks}, \
             which this disk has; the next start here copies it"
        )))
    }

    /// Ends the threads. One that hangs in a call to the bucket is left to the end of the process, once `until` is there.
    fn stop(&mut self, until: Option<Instant>) {
        *self.copier.lock() = true;
        self.copier.changed.notify_all();
        for thread in self.threads.drain(..) {
            while until.is_some_and(|until| Instant::now() < until) && !thread.is_finished() {
                thread::sleep(STOP_LOOK);
            }
            if until.is_none() || thread.is_finished() {
                let _ = thread.join();
            }
        }
    }

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce(&Copier) + Send + 'static,
    ) -> Result<(), Error> {
        let copier = Arc::clone(&self.copier);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&copier))
            .map_err(|e| Error::internal(format!("starting {name}"), e))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Reign {
    fn drop(&mut self) {
        self.stop(None);
        if !self.is_settled && !self.keeper.is_lost() {
            self.keeper.give_up(None);
        }
    }
}

/// The last epoch of the state directory at `path`; 0 where it never had one.
///
/// # Errors
/// `internal` naming the file that cannot be read.
pub fn kept_epoch(path: &Path) -> Result<u64, Error> {
    match LocalState::exists(path) {
        true => Ok(LocalState::read(path)?.epoch),
        false => Ok(0),
    }
}

/// Notes in the state directory at `path` that a backup was put there, made in that epoch. It begins anew, far above the
/// epochs that agents have seen since the backup.
///
/// # Errors
/// `internal` naming the file that cannot be written.
pub fn note_restored(path: &Path, epoch: u64) -> Result<(), Error> {
    LocalState::write_restored(path, epoch + RESTORED_AHEAD)
}

/// The keys of a server, by their ids.
pub fn server_keys(signer: &Keypair, audit: &Keypair) -> ServerKeys {
    ServerKeys {
        signing: signer.public().id(),
        audit: audit.public().id(),
    }
}
