//! The gate: the only code on the network.
//!
//! One thread for each client connection reads strictly and within bounds, hands the call over a fixed pool of
//! private connections to the backend listener, reads the answer whole and writes it down for the client. It knows no
//! route and no rule: for each call it asks one function what its bounds are. A call that has to wait does so here, in
//! the [`hub`], and costs no worker meanwhile.
//!
//! Before it reads a body it asks a second function whose it is, so that strangers use up nothing that others need.
//!
//! Reading order: `connection` (the phases of a call), `head`, `body` and `chunks` (what a client sends), `exchange`
//! (the backend), `answer` (what a client gets), `hub` and `park` (waiting), `pool`, `registry`, `thread_pool`,
//! `budget` and `calls` (what is bounded).

mod answer;
pub mod backend;
mod budget;
mod calls;
mod chunks;
mod connection;
pub mod cookie;
mod head;
pub mod hub;
pub mod limits;
mod pace;
pub mod park;
mod pool;
mod read_buffer;
mod registry;
mod stream;
mod thread_pool;
mod tls;

pub use backend::{BackendKey, ResumeReason};
pub use hub::{Hub, Wake};
pub use limits::GateLimits;
pub use park::Park;

use crate::clock::Clock;
use crate::error::{Error, counted};
use crate::metrics::Metrics;
use budget::{ByteBudget, Share};
use calls::Calls;
use connection::Connection;
use limits::{ANSWER_DEADLINE, BACKLOG, SMALL_BODY_BYTES, STACK_BYTES};
use pool::Pool;
use registry::Registry;
use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thread_pool::ThreadPool;
pub use tls::TlsSource;

/// Pause after a failed accept (no file descriptors, say): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Kernel probing of connections that say nothing: a peer that vanished is noticed after a minute and a half.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// Sent bytes that stay unacknowledged for this long break the connection.
const USER_TIMEOUT_MS: u32 = 30_000;
/// What threads get to notice that their connections were cut.
const CUT_GRACE: Duration = Duration::from_secs(3);

/// The bounds of a call, by method and path.
#[derive(Debug, Clone)]
pub struct CallLimits {
    /// Largest body, in bytes; more is 413.
    pub body_max: usize,
    /// For the answer, counted from each time the call is sent inside; after it: 504.
    pub deadline: Duration,
    /// The gate answers by itself, whatever the backend does.
    pub answer_here: Option<DirectResponse>,
    /// A body that is too large is not 413: the call goes inside without it, marked with [`backend::OVERSIZE`], so that
    /// the application can record the attempt.
    pub deliver_head_if_oversize: bool,
    /// Answered even where no place is left for another connection.
    pub always_served: bool,
    /// Does not count into the calls that one token may have under way.
    pub uncounted: bool,
}

impl CallLimits {
    /// A body of at most `body_max` bytes, the default deadline, nothing special.
    pub fn new(body_max: usize) -> CallLimits {
        CallLimits {
            body_max,
            deadline: ANSWER_DEADLINE,
            answer_here: None,
            deliver_head_if_oversize: false,
            always_served: false,
            uncounted: false,
        }
    }
}

/// What is known of a call that has a body, before the body is read.
#[derive(Debug, Clone, Copy)]
pub struct RequestPreview<'a> {
    /// As sent.
    pub method: &'a str,
    /// Raw, without query.
    pub path: &'a str,
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// The value of `Cookie`.
    pub cookie: Option<&'a str>,
}

/// Whose a body is, and so which budget it is held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nobody's who may send one here: the call goes to the backend without it, marked with [`backend::UNREAD`], and
    /// the answer comes from the head.
    HeadOnly,
    /// Possibly somebody's; only a worker can decide.
    Stranger,
    /// A caller's whose credentials are valid.
    Known,
    /// An agent's that reports a result.
    Result,
}

/// Decides about the body of a call.
pub type Admit = dyn Fn(&RequestPreview<'_>) -> Admission + Send + Sync;

/// An answer that needs no worker.
#[derive(Debug, Clone)]
pub struct DirectResponse {
    pub status: u16,
    /// Media type of the body.
    pub content_type: &'static str,
    pub body: Cow<'static, [u8]>,
}

/// Gives the rule for a method and a path (raw, without query).
pub type LimitsOf = dyn Fn(&str, &str) -> CallLimits + Send + Sync;

/// Says whether an address is free of the cap for one address.
pub type Exempt = dyn Fn(IpAddr) -> bool + Send + Sync;

/// What a gate is made of.
pub struct GateOptions {
    pub limits: GateLimits,
    /// Bounds of each call.
    pub rules: Arc<LimitsOf>,
    /// Asked before a body is read.
    pub admit: Arc<Admit>,
    /// The private Unix socket of the listener inside.
    pub backend: PathBuf,
    /// Connections to it, twice the number of workers: one answered, one on its way.
    pub backend_connections: usize,
    /// Shared with the listener inside.
    pub key: BackendKey,
    /// Where calls wait; shared with those who publish.
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// Sent in every answer as `x-dbward-version`.
    pub version: &'static str,
    /// Whom TLS is spoken as; without it, plain HTTP.
    pub tls: Option<Arc<TlsSource>>,
    /// Addresses (proxies) that many clients share.
    pub exempt: Arc<Exempt>,
}

/// What all connections share.
struct GateShared {
    options: GateOptions,
    pool: Pool,
    registry: Arc<Registry>,
    thread_pool: Arc<ThreadPool>,
    bodies: ByteBudget,
    stranger_bodies: ByteBudget,
    result_bodies: ByteBudget,
    answers: ByteBudget,
    calls: Calls,
    /// Keyed anew at every start, so that nobody can make two tokens look like one.
    hasher: RandomState,
    /// Every answer from now on closes its connection.
    draining: AtomicBool,
    /// Idle connections end.
    stopping: AtomicBool,
    /// Nobody waits for the backend any more.
    cut: AtomicBool,
    busy: AtomicUsize,
    exchanges: AtomicU64,
}

pub struct Gate {
    shared: Arc<GateShared>,
    address: SocketAddr,
    accepting: Mutex<Option<(Arc<TcpListener>, JoinHandle<()>)>>,
}

impl Gate {
    /// Opens the connections to the backend, then accepts clients from `listener`.
    ///
    /// # Errors
    /// `internal` when the backend does not answer or the system refuses.
    pub fn start(listener: TcpListener, options: GateOptions) -> Result<Gate, Error> {
        let failed = |e: std::io::Error| Error::internal("starting the gate", e);
        let address = listener.local_addr().map_err(failed)?;
        prepare(&listener, options.limits.tick).map_err(failed)?;
        let metrics = options.metrics.clone();
        let limits = &options.limits;
        metrics
            .gate_connections_max
            .set(&[], limits.connections_max as i64);
        let (bodies, stranger_bodies, result_bodies) = body_budgets(limits);
        let answers = ByteBudget::new(limits.answers_bytes_max, limits.answers_per_token_max);
        let calls = Calls::new(limits.calls_per_token_max);
        let pool = Pool::open(
            options.backend.clone(),
            options.key.clone(),
            options.backend_connections,
            &options.limits,
            metrics.clone(),
        )?;
        let shared = Arc::new(GateShared {
            pool,
            registry: Registry::new(metrics.clone()),
            thread_pool: ThreadPool::new(STACK_BYTES, metrics),
            bodies,
            stranger_bodies,
            result_bodies,
            answers,
            calls,
            hasher: RandomState::new(),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            exchanges: AtomicU64::new(1),
            options,
        });
        let listener = Arc::new(listener);
        let accept = {
            let (shared, listener) = (shared.clone(), listener.clone());
            thread::Builder::new()
                .name("gate-accept".to_owned())
                .spawn(move || shared.accept(&listener))
                .map_err(failed)?
        };
        Ok(Gate {
            shared,
            address,
            accepting: Mutex::new(Some((listener, accept))),
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Calls between a whole head and their answer, parked ones included.
    pub fn in_flight(&self) -> usize {
        self.shared.busy.load(Ordering::Acquire)
    }

    pub fn connections(&self) -> usize {
        self.shared.registry.wait_empty(Duration::ZERO)
    }

    /// Those of them that wait for a call and have nothing of it yet: a stop closes them at once.
    pub fn idle_connections(&self) -> usize {
        self.shared.registry.idle()
    }

    /// Resumes every parked call with `shutdown`, and closes each connection after its answer. Calls are still taken.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.options.hub.shutdown();
    }

    /// Stops accepting, closes idle connections at once and busy ones after their answer, or without it once `within`
    /// is over. Joins the threads. Says how many connections were cut. A second call does nothing.
    pub fn stop(&self, within: Duration) -> usize {
        let taken = self
            .accepting
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .take();
        let Some((listener, accept)) = taken else {
            return 0;
        };
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::SeqCst);
        self.drain();
        // Ends a blocked accept; a connection of our own does where this is not supported.
        if rustix::net::shutdown(&*listener, rustix::net::Shutdown::Both).is_err() {
            let _ = TcpStream::connect_timeout(&reachable(self.address), ACCEPT_PAUSE);
        }
        if accept.join().is_err() {
            shared.options.metrics.background_panics.inc(&[]);
        }
        drop(listener);
        shared.registry.shut(false);
        let cut = shared.registry.wait_empty(within);
        if cut > 0 {
            shared.cut.store(true, Ordering::Release);
            shared.registry.shut(true);
            shared.registry.wait_empty(CUT_GRACE);
        }
        let stuck = shared.thread_pool.join(CUT_GRACE);
        if stuck > 0 {
            log::warn!("not ended: {}", counted(stuck, "connection thread"));
        }
        shared.pool.close();
        cut
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl GateShared {
    /// Accepts until the gate stops. No error ends it.
    fn accept(self: &Arc<GateShared>, listener: &TcpListener) {
        let mut failing = false;
        loop {
            let accepted = listener.accept();
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((socket, peer)) => {
                    failing = false;
                    self.welcome(socket, peer.ip().to_canonical());
                }
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    if !std::mem::replace(&mut failing, true) {
                        log::error!("connections cannot be accepted: {e}");
                    }
                    self.count_refused("accept_failed");
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    fn welcome(self: &Arc<GateShared>, socket: TcpStream, peer: IpAddr) {
        let socket = Arc::new(socket);
        let counted = (!(self.options.exempt)(peer)).then_some(peer);
        let Some(seat) = self.registry.sit(&socket, counted, &self.options.limits) else {
            self.count_refused("connections");
            return;
        };
        let shared = self.clone();
        let serve = move || {
            if let Some(connection) = Connection::new(&shared, seat, peer) {
                connection.run();
            }
        };
        if !self.thread_pool.run(serve) {
            self.count_refused("no_thread");
        }
    }

    /// The number of a token: the same for the same credentials.
    fn token(&self, credentials: &[u8]) -> u64 {
        self.hasher.hash_one(credentials)
    }

    /// A share of the bodies that are held.
    fn share_of_bodies(&self, admission: Admission, token: Option<u64>) -> Share<'_> {
        let (budget, token) = match admission {
            Admission::Known => (&self.bodies, token),
            Admission::Result => (&self.result_bodies, token),
            // Credentials that nobody has checked say nothing of who sends them.
            Admission::Stranger | Admission::HeadOnly => (&self.stranger_bodies, None),
        };
        budget.share(token, SMALL_BODY_BYTES)
    }

    fn count_refused(&self, reason: &str) {
        self.options.metrics.gate_refused.inc(&[reason]);
    }
}

/// Of known callers, of strangers, and of agents that report results.
fn body_budgets(limits: &GateLimits) -> (ByteBudget, ByteBudget, ByteBudget) {
    (
        ByteBudget::new(limits.bodies_bytes_max, limits.bodies_per_token_max),
        ByteBudget::new(limits.stranger_bodies_bytes_max, usize::MAX),
        ByteBudget::new(
            limits.result_bodies_bytes_max,
            limits.result_bodies_per_token_max,
        ),
    )
}

/// Sets on the listener what every accepted socket inherits, and lengthens its backlog.
fn prepare(listener: &TcpListener, tick: Duration) -> std::io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_tcp_nodelay(listener, true)?;
    sockopt::set_socket_timeout(listener, sockopt::Timeout::Send, Some(tick))?;
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(listener, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(listener, USER_TIMEOUT_MS)?;
    rustix::net::listen(listener, BACKLOG)?;
    Ok(())
}

/// Where we reach our own listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
