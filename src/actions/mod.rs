//! The verbs. Each loads, decides and describes one change, or looks; HTTP, jobs and the command line call the same
//! ones. Rights are checked here, against what is stored, whatever the route has checked before.

pub mod agent_poll;
pub mod allowed;
pub mod approve;
pub mod approvers;
mod attempt;
pub mod audit;
pub mod awaited;
pub mod cancel;
pub mod claim;
mod completions;
pub mod create_request;
pub mod descendants;
mod dialects;
pub mod dry_run;
pub mod due_signal;
pub mod eligible;
pub mod explain;
pub mod groups;
pub mod heartbeat;
pub mod identify;
mod last_admin;
mod migrations;
pub mod on_call;
pub mod preflight;
pub mod quotas;
pub mod rates;
pub mod read_results;
pub mod refusals;
pub mod rehearse;
pub mod reject;
pub mod resolve_policy;
mod result_shape;
pub mod resume;
mod row_bounds;
pub mod schemas;
pub mod sessions;
mod slack_links;
pub mod start;
mod statements_tried;
pub mod submission;
pub mod submit_result;
pub mod tokens;
pub mod topics;
mod unreadable;
pub mod users;
pub mod view_requests;
pub mod webhooks;

use crate::analyzer::Analyzer;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::{Outlets, Retention};
use crate::crypto::Keypair;
use crate::declare::Plain;
use crate::domain::actor::Caller;
use crate::domain::audit::Redaction;
use crate::domain::policy::Policies;
use crate::domain::policy::notification::Routes;
use crate::domain::sql::shows_nothing;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::objects::{Objects, live::Live};
use crate::store::{Store, Verdict, View};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// What the verbs work with. One for each running server.
pub struct App {
    pub store: Arc<Store>,
    /// Where results are kept.
    pub objects: Arc<dyn Objects>,
    /// Where results were kept before: read from and removed from, never written.
    pub older_objects: Option<Arc<dyn Objects>>,
    pub live: Live,
    pub clock: Clock,
    pub analyzer: Analyzer,
    pub signer: Keypair,
    pub metrics: Arc<Metrics>,
    /// Settings that need a restart.
    pub settings: Settings,
    /// How people may sign in.
    pub sign_in: identify::SignIn,
    pub caches: Caches,
    pub in_flight: InFlight,
    pub in_effect: InEffect,
    /// Wakes delivery.
    pub due: due_signal::DueSignal,
    /// Whether the server is stopping.
    pub draining: AtomicBool,
}

/// What is remembered between calls. Losing it costs look-ups, or a count of this minute.
pub struct Caches {
    /// Who was seen lately.
    pub identities: identify::CallerCache,
    /// Refusals and failures of the current minute.
    pub refusals: refusals::RefusalBudget,
    /// What agents reported of their databases.
    pub schemas: schemas::SnapshotCache,
    /// What services answered when asked who is on call.
    pub on_call: on_call::ServiceAnswers,
    pub eligible: eligible::DirectoryCache,
    /// What people have taken.
    pub quotas: quotas::Quotas,
    /// Calls of people, where they are limited.
    pub rates: rates::Rates,
    /// Statements that people try beforehand.
    pub preflights: rates::Rates,
    /// Sign-ins by browser.
    pub sign_ins: rates::Rates,
}

/// Calls under way that others have to know of. Unlike a cache, it is lost only with the process.
#[derive(Default)]
pub struct InFlight {
    /// Preflights that wait for plans.
    pub open_preflights: explain::OpenPreflights,
    /// Executions whose report is being handled: no other report of the same one is meanwhile.
    pub reports: submit_result::Reports,
}

/// The configuration in effect.
pub struct InEffect {
    active: RwLock<Arc<Active>>,
    changing: Mutex<()>,
    activated: RwLock<Option<Activated>>,
    generation: AtomicU64,
}

/// A minute, in milliseconds.
const MINUTE_MS: u32 = 60_000;

/// Settings that need a restart to change.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database file, for what reads it through a connection of its own.
    pub database_path: PathBuf,
    /// How statements appear in audit events.
    pub redaction: Redaction,
    /// Largest result that is kept, in bytes.
    pub max_persist_bytes: u64,
    /// Largest result, with its envelope, that is stored as a row instead of an object, in bytes.
    pub result_row_bytes_max: usize,
    /// Calls a minute of one person's token; 0 for no limit.
    pub calls_per_minute: u32,
    /// The reign of this server, which execution tokens carry; 0 where there never was another.
    pub epoch: u64,
    /// When the backup was made that the state comes from: another server may use its bucket since.
    pub restored_from: Option<Timestamp>,
    /// What one person may take, and what must be left.
    pub quotas: quotas::Limits,
}

/// Called when other policies are in effect.
pub type Activated = Arc<dyn Fn() + Send + Sync>;

/// Policies in effect, with their name, and the webhooks they can notify.
#[derive(Debug, PartialEq, Eq)]
pub struct Active {
    pub policies: Policies,
    /// SHA-256 of their canonical text.
    pub version: String,
    /// Where notifications go.
    pub outlets: Arc<Outlets>,
    /// How long what is over is kept.
    pub retention: Retention,
    /// Counts up with every configuration applied; 0 before the first.
    pub generation: u64,
}

impl Active {
    pub fn routes(&self) -> Routes {
        self.outlets.routes(&self.policies)
    }
}

impl Caches {
    pub fn new(settings: &Settings) -> Caches {
        Caches {
            identities: identify::CallerCache::default(),
            refusals: refusals::RefusalBudget::default(),
            schemas: schemas::SnapshotCache::default(),
            on_call: on_call::ServiceAnswers::default(),
            eligible: eligible::DirectoryCache::default(),
            quotas: quotas::Quotas::new(settings.quotas.clone()),
            rates: rates::Rates::new(u64::from(settings.calls_per_minute), MINUTE_MS),
            preflights: statements_tried::rates(MINUTE_MS),
            sign_ins: sessions::rates(MINUTE_MS),
        }
    }
}

/// Policies that refuse everything, until [`start::sync_config`] has applied others.
impl Default for InEffect {
    fn default() -> InEffect {
        let policies = Policies::empty();
        let active = Active {
            version: policies.version(),
            policies,
            outlets: Arc::default(),
            retention: Retention::plain(),
            generation: 0,
        };
        InEffect {
            active: RwLock::new(Arc::new(active)),
            changing: Mutex::new(()),
            activated: RwLock::new(None),
            generation: AtomicU64::new(0),
        }
    }
}

impl App {
    /// Where the results are whose rows name this backend, if that is reached by what is configured now.
    pub fn objects_of(&self, backend: &str) -> Option<&Arc<dyn Objects>> {
        std::iter::once(&self.objects)
            .chain(&self.older_objects)
            .find(|objects| objects.backend() == backend)
    }

    /// The policies in effect.
    pub fn active(&self) -> Arc<Active> {
        Arc::clone(
            &self
                .in_effect
                .active
                .read()
                .unwrap_or_else(|e| e.into_inner()),
        )
    }

    /// Sets what is called when other policies are in effect.
    pub fn on_activated(&self, callback: Activated) {
        *self
            .in_effect
            .activated
            .write()
            .unwrap_or_else(|e| e.into_inner()) = Some(callback);
    }

    /// Held while policies are changed, from reading those in effect until the new ones are: of two changes
    /// at once, one would otherwise take the other back.
    pub(crate) fn changing_policies(&self) -> MutexGuard<'_, ()> {
        self.in_effect
            .changing
            .lock()
            .unwrap_or_else(|e| e.into_inner())
    }

    /// A write of a person, decided while the policies that their rights were read from are in effect, and while they
    /// are on call where they were.
    ///
    /// # Errors
    /// As [`Store::change`]; `unavailable` where that has changed since: then they have to be authenticated again.
    pub(crate) fn change_by<T: Send + 'static>(
        self: &Arc<Self>,
        caller: &Caller,
        decide: impl FnOnce(&View, Timestamp) -> Result<Verdict<T>, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (app, by) = (Arc::clone(self), caller.clone());
        self.store.change(caller.actor(), move |view, now| {
            if app.is_overtaken(&by, now) {
                let error =
                    Error::unavailable("the configuration, or who is on call, has just changed");
                return Err(error.retry_after(1));
            }
            decide(view, now)
        })
    }

    /// Applies other policies, once their text is stored.
    pub(crate) fn activate(
        &self,
        policies: Policies,
        version: String,
        outlets: Arc<Outlets>,
        retention: Retention,
    ) {
        let generation = self.in_effect.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let active = Active {
            policies,
            version,
            outlets,
            retention,
            generation,
        };
        *self
            .in_effect
            .active
            .write()
            .unwrap_or_else(|e| e.into_inner()) = Arc::new(active);
        self.metrics
            .config_generation
            .set(&[], i64::try_from(generation).unwrap_or(i64::MAX));
        let callback = self
            .in_effect
            .activated
            .read()
            .unwrap_or_else(|e| e.into_inner())
            .clone();
        if let Some(callback) = callback {
            callback();
        }
        self.due.notify();
    }

    /// From now on nothing new is taken on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Refuses what a stopping server does not take on.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn accepting(&self) -> Result<(), Error> {
        if self.is_draining() {
            return Err(Error::unavailable("the server is shutting down").retry_after(5));
        }
        Ok(())
    }
}

/// Longest reason, comment or other short text of a person, in bytes.
pub const NOTE_BYTES_MAX: usize = 1024;

/// Checks a person's short text: at most [`NOTE_BYTES_MAX`] bytes and no NUL. White space alone is nothing.
///
/// # Errors
/// `validation_error` naming the field.
pub fn note(field: &str, text: Option<String>) -> Result<Option<String>, Error> {
    let Some(text) = text else { return Ok(None) };
    if text.len() > NOTE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{field} is {} bytes long, at most {NOTE_BYTES_MAX} are allowed",
            text.len()
        )));
    }
    if text.contains('\0') {
        return Err(Error::invalid(format!("{field} contains a NUL character")));
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    if shows_nothing(&text) {
        return Err(
            Error::invalid(format!("{field} has only characters that nobody sees"))
                .hint("write what a reader can read"),
        );
    }
    Ok(Some(text))
}
