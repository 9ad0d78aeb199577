//! The wiring: a configuration becomes a running server, and a running server stops in order.
//!
//! Order of start: bind, lock the state directory, keys, store, policies, first tokens, inner listener, gate, jobs.
//! Order of stop: drain (nothing new is taken on, everything that waits is answered), then gate, workers, jobs, store.

pub mod object_stores;
pub mod outcome;
mod reload;
mod second_machine;
pub mod state;
mod watch;

use crate::actions::due_signal::DueSignal;
use crate::actions::identify::{ConsoleSignIn, Provider, SignIn};
use crate::actions::submit_result::ROW_BYTES_MAX;
use crate::actions::{App, Caches, InEffect, InFlight, Settings, quotas, start};
use crate::analyzer::Analyzer;
use crate::clock::Clock;
use crate::config::{Config, Oidc};
use crate::crypto::Keypair;
use crate::delivery::Delivery;
use crate::error::{Error, counted};
use crate::gate::backend::BackendKey;
use crate::gate::hub::Hub;
use crate::gate::limits::GateLimits;
use crate::gate::{Gate, GateOptions, TlsSource};
use crate::http::HttpContext;
use crate::http::listener::Listener;
use crate::http::slack::SlackDesk;
use crate::jobs::{JobState, Jobs};
use crate::metrics::Metrics;
use crate::objects::live::Live;
use crate::outbound::{CodeClient, Jwks};
use crate::replication::{Reign, TakenSlot};
use crate::store::{StartChecks, Store};
pub use second_machine::{KeptConfig, TakeOver, stand_by};
use state::StateDir;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use watch::Activity;

/// The version of this program, sent in every answer.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Threads that read SQL: one a core of a small machine; they hold large stacks.
const ANALYZERS: usize = 2;
/// Calls that wait for a worker, for each worker; further ones are answered 503 at once.
const QUEUE_PER_WORKER: usize = 16;
/// What of a stop is kept for closing, at most: half of it for the connections that are left, the rest for writing what
/// is kept in memory, and for the copy. Every stop may take so long, however short the grace is.
const CLOSING: Duration = Duration::from_secs(5);
/// What waits for the copy when a stop begins may wait so long at least.
const COPY_ON_STOP_MIN: Duration = Duration::from_secs(1);
/// The same after a second signal.
const CLOSING_HURRIED: Duration = Duration::from_secs(1);

/// What a start may be given besides the configuration.
pub struct StartOptions {
    /// The clock; tests turn theirs.
    pub clock: Clock,
    /// Overrides the address of the configuration.
    pub listen: Option<SocketAddr>,
    /// Make the first tokens again.
    pub force_bootstrap: bool,
    /// Bounds of the gate; tests make them small.
    pub limits: GateLimits,
    /// Largest result that is stored as a row; tests make it 0 to have objects.
    pub result_row_bytes_max: usize,
    /// Why a state that is older than its checkpoint file may start all the same.
    pub accept_rollback: Option<String>,
    /// Whether live rows that were changed while no server ran are taken out of effect, instead of stopping the start.
    pub quarantine: bool,
    /// What a standby hands to the server that it becomes.
    pub take_over: Option<TakeOver>,
    /// Where the lease is noted as soon as it is taken.
    pub taken: TakenSlot,
    /// Whether notifications are delivered; tests that look at the outbox keep it still.
    pub delivers: bool,
    /// Whether links with a token sign in to the console; those of the demo do.
    pub takes_token_links: bool,
}

impl Default for StartOptions {
    fn default() -> Self {
        StartOptions {
            clock: Clock::system(),
            listen: None,
            force_bootstrap: false,
            limits: GateLimits::default(),
            result_row_bytes_max: ROW_BYTES_MAX,
            accept_rollback: None,
            quarantine: false,
            take_over: None,
            taken: TakenSlot::default(),
            delivers: true,
            takes_token_links: false,
        }
    }
}

/// A running server. Dropping it stops it without grace.
pub struct Server {
    app: Arc<App>,
    gate: Gate,
    listener: Option<Listener>,
    job_state: Arc<JobState>,
    jobs: Option<Jobs>,
    delivery: Option<Delivery>,
    slack: Arc<SlackDesk>,
    watch: Arc<Activity>,
    grace: Duration,
    hurry: Arc<AtomicBool>,
    stopped: bool,
    bootstrapped: bool,
    started_with: Config,
    tls: Option<Arc<TlsSource>>,
    reign: Option<Reign>,
    reloading: Mutex<()>,
    state: StateDir,
}

impl Server {
    /// Starts a server of that configuration.
    ///
    /// # Errors
    /// `internal` with a sentence for the operator: the address is taken, another server uses the state directory, a
    /// file cannot be read or written.
    pub fn start(config: &Config, mut options: StartOptions) -> Result<Server, Error> {
        raise_open_files();
        // Bound before anything is written, so that a taken port changes nothing.
        let listen = options.listen.unwrap_or(config.listen);
        let socket = bind(listen)?;
        let (state, metrics, mut reign) = second_machine::begin(config, &mut options)?;
        let app = Arc::new(app(config, &state, &options, &metrics, reign.as_ref())?);
        measured(&app, &metrics);
        second_machine::copy(reign.as_mut(), &app.store)?;
        let hub = Arc::new(Hub::new(&options.limits, Arc::clone(&metrics)));
        let watch = Activity::attach(&app, &hub)?;
        start::sync_config(&app, config, false)?;
        app.metrics.config_last_reload_success.set(&[], 1);
        let bootstrapped = start::bootstrap(&app, state.path(), options.force_bootstrap)?;
        let context = http(config, &app, &hub)?;
        let slack = Arc::clone(&context.slack);
        let key = BackendKey::generate();
        let serving = Arc::clone(&context);
        let listener = Listener::start(
            state.path(),
            config.process.workers,
            config.process.workers * QUEUE_PER_WORKER,
            Arc::new(move |call| serving.serve(call)),
            key.clone(),
            Arc::clone(&metrics),
        )?;
        let proxies = config.trusted_proxies.clone();
        let admitting = Arc::clone(&context);
        let tls = presented(config, listen, &metrics);
        let gate = Gate::start(
            socket,
            GateOptions {
                limits: options.limits,
                rules: Arc::new(move |method, path| context.rule(method, path)),
                admit: Arc::new(move |preview| admitting.admits(preview)),
                backend: listener.socket(),
                backend_connections: config.process.workers * 2,
                key,
                hub,
                metrics,
                clock: options.clock,
                version: VERSION,
                tls: tls.clone(),
                exempt: Arc::new(move |ip| proxies.iter().any(|p| p.contains(ip))),
            },
        )?;
        outcome::clear(state.path())?;
        let job_state = JobState::new(Arc::clone(&app), &config.reach());
        Ok(Server {
            jobs: Some(Jobs::start(&job_state)?),
            job_state,
            delivery: delivery(config, options.delivers, &app)?,
            slack,
            app,
            gate,
            listener: Some(listener),
            watch,
            grace: Duration::from_secs(config.process.shutdown_grace_secs),
            hurry: Arc::new(AtomicBool::new(false)),
            stopped: false,
            bootstrapped,
            started_with: config.clone(),
            tls,
            reign,
            reloading: Mutex::new(()),
            state,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.gate.local_addr()
    }

    /// Whether this start made the first tokens.
    pub fn bootstrapped(&self) -> bool {
        self.bootstrapped
    }

    /// What the jobs work with; for tests, which take their turns.
    pub fn job_state(&self) -> &JobState {
        &self.job_state
    }

    /// What the server works with; for tests and the demo.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Set to true, it ends the grace of a stop at once: for a second signal.
    pub fn hurry(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.hurry)
    }

    /// How long a stop may take in all; what takes longer hangs.
    pub fn stop_within(config: &Config) -> Duration {
        Duration::from_secs(config.process.shutdown_grace_secs).max(CLOSING)
    }

    /// Stops in order: at once when nothing runs, otherwise within the configured grace, the last part of which is for
    /// closing.
    ///
    /// # Errors
    /// When what is kept in memory could not be written; everything acknowledged is durable all the same.
    pub fn stop(mut self) -> Result<(), Error> {
        let end = Instant::now() + self.grace.max(CLOSING);
        self.app.drain();
        self.gate.drain();
        let (gate, hurry) = (&self.gate, &self.hurry);
        let waits = self.grace - CLOSING.min(self.grace / 4);
        if let Some(reign) = &self.reign {
            // Who waits for the bucket learns that the outcome is unknown while there is still somebody to say so.
            reign.end_by(Instant::now() + COPY_ON_STOP_MIN.max(waits / 4 * 3));
        }
        self.watch.wait_idle(waits, |running| {
            hurry.load(Ordering::SeqCst) || (running <= 0 && gate.in_flight() == 0)
        });
        let left = end.saturating_duration_since(Instant::now());
        let within = match hurry.load(Ordering::SeqCst) {
            true => CLOSING_HURRIED,
            false => CLOSING,
        };
        // A little earlier than the process would be ended.
        self.shut(within.min(left - left / 8))
    }

    fn shut(&mut self, within: Duration) -> Result<(), Error> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let until = Instant::now() + within;
        self.app.drain();
        self.gate.drain();
        let bound_copy = |reign: Option<&Reign>| {
            let left = until.saturating_duration_since(Instant::now());
            if let Some(reign) = reign {
                reign.end_by(Instant::now() + left / 4);
            }
        };
        bound_copy(self.reign.as_ref());
        let cut = self.gate.stop(within / 2);
        if cut > 0 {
            log::warn!("cut off: {}", counted(cut, "connection"));
        }
        if let Some(listener) = self.listener.take() {
            listener.stop();
        }
        self.slack.stop();
        self.delivery = None;
        self.jobs = None;
        bound_copy(self.reign.as_ref());
        let written = crate::jobs::minute(&self.job_state);
        let closed = self.app.store.close();
        let ended = self
            .reign
            .take()
            .map_or(Ok(()), |reign| reign.end(&self.app.store, until));
        ended.and(written).and(closed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.shut(Duration::ZERO) {
            log::error!("stopping: {error}");
        }
    }
}

fn app(
    config: &Config,
    state: &StateDir,
    options: &StartOptions,
    metrics: &Arc<Metrics>,
    reign: Option<&Reign>,
) -> Result<App, Error> {
    let database_path = state.path().join("dbward.db");
    let store = Store::open_with(
        &database_path,
        options.clock.clone(),
        state.audit_keys(config.audit_key_file.as_deref())?,
        Arc::new(|why| {
            log::error!(
                "the database cannot be trusted any more ({why}); stopping so that a new start can recover it"
            );
            log::logger().flush();
            std::process::exit(74);
        }),
        &StartChecks {
            checkpoint_file: config.checkpoint_file.clone(),
            accept_rollback: options.accept_rollback.clone(),
            quarantine: options.quarantine,
            fetched: reign.is_some_and(Reign::is_fetched),
            confirmed: config.replication.as_ref().is_some_and(|r| r.confirmed),
        },
    )?;
    let (objects, older_objects) = object_stores::open(config, metrics)?;
    let signer = Keypair::load_or_create(&state.path().join(state::SIGNING_KEY))?;
    state.write_public_key(&signer.public())?;
    let settings = Settings {
        database_path,
        redaction: config.redaction,
        max_persist_bytes: config.result_storage.max_persist_bytes,
        result_row_bytes_max: options.result_row_bytes_max,
        calls_per_minute: config.process.calls_per_minute,
        epoch: second_machine::epoch(reign, state)?,
        restored_from: state.restored_from(),
        quotas: quotas::Limits {
            pending_max: config.process.pending_requests_per_person,
            bytes_per_day: config.process.request_bytes_per_day,
            free_bytes_min: config.process.min_free_bytes,
            folder: state.path().to_path_buf(),
            free_bytes: state::free_bytes,
        },
    };
    Ok(App {
        store,
        objects,
        older_objects,
        live: Live::new(
            config.result_channel.max_slots,
            config.result_channel.slot_ttl_secs,
        ),
        clock: options.clock.clone(),
        analyzer: Analyzer::start(ANALYZERS),
        signer,
        metrics: Arc::clone(metrics),
        caches: Caches::new(&settings),
        in_flight: InFlight::default(),
        settings,
        in_effect: InEffect::default(),
        due: DueSignal::default(),
        draining: AtomicBool::new(false),
        sign_in: sign_in(config, options, metrics)?,
    })
}

/// The HTTP layer, with the threads that answer Slack late.
fn http(config: &Config, app: &Arc<App>, hub: &Arc<Hub>) -> Result<Arc<HttpContext>, Error> {
    let context = HttpContext::new(
        Arc::clone(app),
        Arc::clone(hub),
        VERSION,
        config.trusted_proxies.clone(),
        config.tls.is_some(),
        SlackDesk::start(app, &config.reach())?,
    );
    Ok(Arc::new(HttpContext {
        agents_certified: config.agents_certified(),
        ..context
    }))
}

fn delivery(config: &Config, delivers: bool, app: &Arc<App>) -> Result<Option<Delivery>, Error> {
    let workers = config.process.delivery_workers;
    let start = || Delivery::start(app, workers, &config.reach());
    delivers.then(start).transpose()
}

/// How people may sign in; the keys of an identity provider are fetched from now on.
fn sign_in(
    config: &Config,
    options: &StartOptions,
    metrics: &Arc<Metrics>,
) -> Result<SignIn, Error> {
    let start = |oidc: &Oidc| -> Result<Provider, Error> {
        let (clock, metrics) = (options.clock.clone(), Arc::clone(metrics));
        let keys = Jwks::start(oidc, &config.reach(), clock, metrics)?;
        Ok(Provider::new(oidc.clone(), Arc::new(keys)))
    };
    let browser = |oidc: &Oidc| {
        let clock = options.clock.clone();
        let client = CodeClient::new(oidc, &config.reach(), clock, config.process.workers)?;
        ConsoleSignIn::new(oidc, Arc::new(client))
    };
    Ok(SignIn {
        mode: config.auth_mode,
        provider: config.oidc.as_ref().map(start).transpose()?,
        browser: config.oidc.as_ref().and_then(browser),
        takes_token_links: options.takes_token_links,
    })
}

/// The variable RUST_LOG, which overrides the configured level. Empty counts as unset.
pub fn rust_log() -> Option<String> {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|filters| !filters.trim().is_empty())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|e| bind_failed(address, e))
}

fn bind_failed(address: SocketAddr, e: std::io::Error) -> Error {
    match e.kind() {
        std::io::ErrorKind::AddrInUse => Error::bug(format!(
            "{address} is taken by another process; stop it, or choose another address with --listen"
        )),
        _ => Error::internal(format!("cannot listen on {address}"), e),
    }
}

/// The listener's certificates, where it speaks TLS; a warning where tokens would cross a network in the clear.
fn presented(config: &Config, listen: SocketAddr, metrics: &Metrics) -> Option<Arc<TlsSource>> {
    let Some(tls) = &config.tls else {
        if !listen.ip().is_loopback() {
            log::warn!(
                "plain HTTP on {listen}: tokens and SQL can be read on the way; set [tls], or put a proxy in front"
            );
        }
        return None;
    };
    reload::note_certificate(metrics, tls);
    Some(Arc::new(TlsSource::new(tls.identity.config())))
}

/// Lets the store count, and shows what does not change.
fn measured(app: &App, metrics: &Arc<Metrics>) {
    app.store.count_into(Arc::clone(metrics));
    metrics.build_info.set(&[VERSION], 1);
    let started = app.clock.now().0 / 1000;
    metrics.process_start_time.set(&[], started);
}

/// As many open files as the system lets this process have: each client connection is one.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        log::warn!("the limit of open files could not be raised: {e}");
    }
}
