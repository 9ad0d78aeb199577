//! The store: one SQLite file over one connection, and the only code that speaks SQL to it.
//!
//! [`Store::read`] looks; [`Store::change`] is the only audited write: a closure that can read and describe, never
//! write, decides what changes, and the change, its audit event and its rows are one transaction. Writers that wait
//! for one another share a commit (see [`commit`]). Nothing is answered or announced before the COMMIT.

mod agents;
mod alone;
mod apply;
mod approvers;
mod audit;
mod backup;
mod bookkeeping;
mod chain;
mod checkpoint_file;
mod commit;
mod connection;
mod counts;
mod decisions;
mod deliveries;
mod dry_runs;
mod earlier_runs;
mod executions;
mod export;
mod identities;
mod live;
mod measures;
mod migrate;
mod outbox;
mod probe;
mod proof;
mod quarantine;
mod query;
mod readers;
mod rehearsals;
mod replica;
mod reply_slot;
mod request_lists;
mod requests;
mod results;
mod retention;
mod row_columns;
mod schema;
mod schemas;
mod scopes;
mod sessions;
mod signed_events;
mod slack;
mod snapshot;
mod state_file;
mod unreadable;
mod values;
mod verify;
mod write_job;

#[cfg(test)]
mod tests;

use crate::clock::{Clock, Timestamp};
use crate::crypto::{Keypair, PublicKey};
use crate::domain::actor::Actor;
use crate::domain::change::{Change, LogChange};
use crate::domain::head::HeadPurpose;
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use crate::metrics::Metrics;
use connection::{BUSY_TIMEOUT, open_connection, read_only};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use audit::{AuditFilter, EventRow, UnreadEvent};
pub use backup::{StoredObject, broken_pages, copy_database, each_object};
pub use checkpoint_file::try_checkpoint_file;
pub use decisions::each_decision;
pub use deliveries::{DeliveryEnd, DueChannel, DueDelivery};
pub use dry_runs::{DryRun, Explained};
pub use export::{ExportPage, ExportSince, export_events};
pub use live::columns;
pub use migrate::schema_text;
pub use outbox::{DELIVERY_STATUSES, DeliveryCounts, DeliveryFilter, DeliveryRow};
pub use proof::Unproven;
pub use rehearsals::WaitingRehearsal;
pub use replica::{Replica, log_head_of, log_holds};
pub use request_lists::{Listed, RequestFilter, RequestItem};
pub use requests::{DispatchedJob, read_workflow};
pub use results::{PolicyReach, ROW, ResultItem, ResultRow};
pub use retention::{ExpiredResult, PurgeLimit, SettledRequest};
pub use schemas::{ReportedDialect, SchemaRow};
pub use slack::SlackMessage;
pub use state_file::STATE_DIFFERS;
pub use unreadable::{LoggedRequest, UnreadRequest, is_unreadable};
pub use verify::{Verified, VerifyKeys, verify_chain};

/// Where a look at rows in order of some time stands: that time, in milliseconds, and the row. The next look goes on
/// after it, so that a row that stays is seen once a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCursor(pub i64, pub i64);

impl RowCursor {
    pub const START: RowCursor = RowCursor(i64::MIN, i64::MIN);
}

/// What a decision results in.
// There is one for each change, and it is moved once: a box would save nothing.
#[allow(clippy::large_enum_variant)]
pub enum Verdict<T> {
    /// Nothing to write: it is so already.
    Same(T),
    /// Write these, in order, then answer.
    Write(Vec<Change>, T),
    /// Write that it was refused, then answer the error.
    Refuse(Change, Error),
}

/// Called with every committed change, after its COMMIT and before its caller is answered. Changes of one transaction
/// arrive in order; those of two may overlap, so it must not depend on which is first.
pub type Observer = Arc<dyn Fn(&Change) + Send + Sync>;

/// Called when the database can no longer be trusted (an I/O error or corruption at COMMIT): the outcome is unknown,
/// and only a new start, with recovery, can tell.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Keys that sign and prove checkpoints.
pub struct AuditKeys {
    pub current: Keypair,
    /// Every public key that ever signed, by id.
    pub known: BTreeMap<String, PublicKey>,
}

/// What a start is held against besides the file itself.
#[derive(Debug, Clone, Default)]
pub struct StartChecks {
    /// A copy of every checkpoint, best on another disk.
    pub checkpoint_file: Option<PathBuf>,
    /// Why a state that is older than the checkpoint file, or than signed heads, may start all the same.
    pub accept_rollback: Option<String>,
    /// Whether live rows that are not those of the signed head are taken out of effect, instead of stopping the start.
    pub quarantine: bool,
    /// Whether the state was fetched from its second copy just now: it is not the one that the checkpoint file here goes
    /// with.
    pub fetched: bool,
    /// Whether answers will wait for a second copy: the checkpoint file then gets only what that has.
    pub confirmed: bool,
}

impl AuditKeys {
    /// The key of the sums of live rows.
    fn live_key(&self) -> [u8; 32] {
        live_key(&self.current)
    }
}

/// What the sums of live rows are keyed with, by the audit key.
fn live_key(audit: &Keypair) -> [u8; 32] {
    audit.derive(b"dbward live state v1")
}

/// The store. Shared by reference; all methods may be called from any thread.
pub struct Store {
    connection: Mutex<Connection>,
    queue: Arc<commit::WriterQueue>,
    writer: Mutex<Option<JoinHandle<()>>>,
    clock: Clock,
    audit_keys: Arc<AuditKeys>,
    /// The id of this database, which signed heads name.
    instance: String,
    live: live::LiveState,
    bookkeeping: Mutex<bookkeeping::Bookkeeping>,
    observer: Mutex<Option<Observer>>,
    /// Those of the last configuration that was committed; only the holder of the connection changes them.
    routes: Mutex<Arc<Routes>>,
    fatal: Fatal,
    /// Where what it does is counted, from [`Store::count_into`] on.
    metrics: OnceLock<Arc<Metrics>>,
    /// The second copy of the state, if there is one.
    copy: OnceLock<replica::CopyState>,
    checkpoint_file: Mutex<Option<checkpoint_file::CheckpointFile>>,
    /// The last checkpoint that is in the log, by number.
    checkpoints_logged: Mutex<i64>,
    /// Number and hash of the last event that this process committed or found at its start; only the holder of the
    /// connection changes it.
    chain_end: Mutex<(i64, String)>,
    /// Events that were found to be covered by a signature.
    signed_events: Mutex<signed_events::SignedEvents>,
    /// The version of the file, by SQLite, when it was last ours alone.
    file_version: AtomicI64,
    /// When a write was last tried for its own sake.
    probed: Mutex<Option<Timestamp>>,
}

/// A view of the database inside one transaction, or between transactions. Reads only.
pub struct View<'a> {
    connection: &'a Connection,
    bookkeeping: &'a Mutex<bookkeeping::Bookkeeping>,
    store: &'a Store,
}

impl Store {
    /// Opens or makes the database at `path`, brings its schema up to date, and gives every running execution one
    /// lease of grace.
    ///
    /// # Errors
    /// `internal` naming the file: not a database, of another program or a newer version, an edited migration, or a
    /// file system that refuses the write-ahead log.
    pub fn open(
        path: &Path,
        clock: Clock,
        audit_keys: AuditKeys,
        fatal: Fatal,
    ) -> Result<Arc<Store>, Error> {
        Store::open_with(path, clock, audit_keys, fatal, &StartChecks::default())
    }

    /// The same, and holds the state against what is kept elsewhere.
    ///
    /// # Errors
    /// As [`Store::open`]; `state_differs` for a state that is not the one the server left, or older than its
    /// checkpoint file.
    pub fn open_with(
        path: &Path,
        clock: Clock,
        audit_keys: AuditKeys,
        fatal: Fatal,
        checks: &StartChecks,
    ) -> Result<Arc<Store>, Error> {
        Store::open_on(
            open_connection(path)?,
            path,
            clock,
            audit_keys,
            fatal,
            checks,
        )
    }

    /// The same, over that connection to the file.
    fn open_on(
        connection: Connection,
        path: &Path,
        clock: Clock,
        audit_keys: AuditKeys,
        fatal: Fatal,
        checks: &StartChecks,
    ) -> Result<Arc<Store>, Error> {
        let live = live::LiveState::new(&audit_keys.live_key());
        live.register(&connection)?;
        // From the proof to the migrated schema nobody else can write; what fails leaves no trace.
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|e| Error::internal(format!("database {}", path.display()), e))?;
        let kept = prove_and_migrate(&connection, path, &audit_keys, &live, checks, clock.now())?;
        let file_version = alone::version(&connection)?;
        let instance = live::instance(&connection)?;
        let chain_end = live::last_event(&connection)?;
        connection.execute_batch("COMMIT")?;
        live.committed();
        let store = Arc::new(Store {
            file_version: AtomicI64::new(file_version),
            connection: Mutex::new(connection),
            queue: Arc::default(),
            writer: Mutex::new(None),
            probed: Mutex::new(None),
            clock,
            audit_keys: Arc::new(audit_keys),
            instance,
            live,
            bookkeeping: Mutex::new(bookkeeping::Bookkeeping::default()),
            observer: Mutex::new(None),
            routes: Mutex::new(Arc::new(Routes::default())),
            fatal,
            metrics: OnceLock::new(),
            copy: OnceLock::new(),
            checkpoint_file: Mutex::new(None),
            checkpoints_logged: Mutex::new(chain_end.0),
            chain_end: Mutex::new(chain_end),
            signed_events: Mutex::default(),
        });
        let (queue, weak) = (Arc::clone(&store.queue), Arc::downgrade(&store));
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || commit::lead_when_called(&queue, &weak))
            .map_err(|e| Error::internal("starting store-writer", e))?;
        *store.writer.lock().unwrap_or_else(|e| e.into_inner()) = Some(writer);
        if let (Some(path), Some(found)) = (&checks.checkpoint_file, kept) {
            store.attach_checkpoint_file(path, found, checks)?;
        }
        store.extend_leases_after_restart()?;
        store.count_open()?;
        store.load_agents()?;
        Ok(store)
    }

    /// Sets what is called with committed changes.
    pub fn observe(&self, observer: Observer) {
        *self.observer.lock().unwrap_or_else(|e| e.into_inner()) = Some(observer);
    }

    /// Looks, without writing.
    ///
    /// # Errors
    /// Whatever `look` returns; database errors are `internal`.
    pub fn read<T>(&self, look: impl FnOnce(&View) -> Result<T, Error>) -> Result<T, Error> {
        let connection = self.lock();
        self.ensure_alone(&connection)?;
        look(&View {
            connection: &connection,
            bookkeeping: &self.bookkeeping,
            store: self,
        })
    }

    /// Decides and writes: `decide` runs inside the transaction, with the time of the transaction, after the actor's
    /// token and status were read again. It returns when the transaction is durable.
    ///
    /// # Errors
    /// What `decide` returns; `unauthenticated` when the actor's token or status no longer count; `unavailable` when
    /// nothing could be written; `internal` when `decide` panicked or the schema refused.
    pub fn change<T: Send + 'static>(
        &self,
        actor: Actor,
        decide: impl FnOnce(&View, Timestamp) -> Result<Verdict<T>, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.submit(actor, decide)
    }

    /// The public key that proves checkpoints, by its id.
    pub fn audit_key(&self, id: &str) -> Option<PublicKey> {
        self.audit_keys.known.get(id).copied()
    }

    /// The time, as this store's transactions see it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes what is kept in memory and folds the write-ahead log into the file; the last thing before the end.
    pub fn close(&self) -> Result<(), Error> {
        self.flush()?;
        if self.copy.get().is_some() {
            return Ok(());
        }
        Ok(self
            .lock()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Folds the write-ahead log into the file and empties it, so that neither has what was removed; whether that was
    /// possible. It is not while somebody reads it, such as a backup, of which nobody waits for the end; and where there
    /// is a copy, the log is left to what copies it.
    ///
    /// # Errors
    /// `internal`.
    pub fn empty_log(&self) -> Result<bool, Error> {
        if self.copy.get().is_some() {
            return Ok(false);
        }
        let connection = self.lock();
        connection.busy_timeout(Duration::ZERO)?;
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, i64>(0)
        });
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(emptied? == 0)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        let asked = Instant::now();
        let guard = self.connection.lock().unwrap_or_else(|e| e.into_inner());
        let waited = asked.elapsed().as_secs_f64();
        self.count(|metrics| metrics.store_lock_wait.observe(&[], waited));
        // A panic elsewhere may have left a transaction open; its work was never acknowledged.
        if !guard.is_autocommit() {
            log::error!("a transaction was left open; rolling it back");
            let _ = guard.execute_batch("ROLLBACK");
        }
        guard
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
        let writer = self.writer.get_mut().unwrap_or_else(|e| e.into_inner());
        if let Some(writer) = writer.take()
            // The writer itself may be the last to hold the store.
            && writer.thread().id() != std::thread::current().id()
        {
            let _ = writer.join();
        }
    }
}

/// Proves the file, and only then brings its schema up to date and takes out of effect what a quarantine shall: inside the
/// transaction that is open. Returns what is known of the checkpoint file.
fn prove_and_migrate(
    connection: &Connection,
    path: &Path,
    audit_keys: &AuditKeys,
    live: &live::LiveState,
    checks: &StartChecks,
    now: Timestamp,
) -> Result<Option<checkpoint_file::Found>, Error> {
    migrate::check_owner(connection, path)?;
    if let Some(what) = schema::differing_schema(connection)? {
        return Err(state_file::differs(what));
    }
    let kept = checks.examine(connection, audit_keys)?;
    let proof = live::prove(connection, audit_keys, live)?;
    let accepted = match &proof {
        live::Proof::Differs(tables) if !checks.quarantine => {
            return Err(quarantine::refusal(connection, tables));
        }
        live::Proof::BeforeHeads => Some(checks.accept_unproved()?),
        _ => None,
    };
    migrate::migrate(connection, path, now)?;
    match proof {
        live::Proof::Differs(tables) => {
            quarantine::quarantine(connection, audit_keys, live, &tables, now)?;
            live::attach(connection)?;
        }
        proof => {
            if live::settle(connection, live, proof)? {
                if let Some(accepted) = accepted {
                    log_event(connection, audit_keys, accepted, now)?;
                }
                write_baseline(connection, audit_keys, live, now)?;
            }
        }
    }
    Ok(kept)
}

/// Writes into the chain where the sums start, since no head before covers this state, and the head that does.
fn write_baseline(
    connection: &Connection,
    audit_keys: &AuditKeys,
    live: &live::LiveState,
    now: Timestamp,
) -> Result<(), Error> {
    let instance = live::instance(connection)?;
    let signed = |purpose| -> Result<_, Error> {
        Ok(live::head_now(connection, live)?.sign(purpose, &instance, &audit_keys.current))
    };
    let baseline = LogChange::StateBaselined(signed(HeadPurpose::Baseline)?);
    log_event(connection, audit_keys, baseline, now)?;
    live::write_head(connection, &signed(HeadPurpose::End)?)
}

/// Writes a change of a start into the chain, with its rows.
fn log_event(
    connection: &Connection,
    audit_keys: &AuditKeys,
    change: LogChange,
    now: Timestamp,
) -> Result<(), Error> {
    let (actor, routes) = (Actor::system(), Routes::default());
    apply::apply(connection, audit_keys, &actor, now, &change.into(), &routes)?;
    Ok(())
}

/// A database error is our bug: what can be expected was looked up in the same transaction.
fn db(e: rusqlite::Error) -> Error {
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => {
            Error::unavailable("the server cannot write now").hint("the disk is full")
        }
        _ => Error::internal("database", e),
    }
}

/// A stored value that cannot be.
fn corrupt(table: &str, id: impl std::fmt::Display, column: &str) -> Error {
    Error::bug(format!(
        "{table} {id}: column {column} holds no valid value"
    ))
}
