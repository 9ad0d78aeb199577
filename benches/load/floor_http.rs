//! The floors of a cheap call: `tiny_http` alone, and through our gate, answering a fixed body of the same size.

use crate::Outcome;
use dbward::clock::Clock;
use dbward::error::Error;
use dbward::gate::{Admission, BackendKey, CallLimits, Gate, GateLimits, GateOptions, Hub};
use dbward::http::call::{HttpRequest, HttpResponse};
use dbward::http::listener::Listener;
use dbward::metrics::Metrics;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tiny_http::{Header, Response, Server, StatusCode};

/// As many as the server has by default.
const WORKERS: usize = 16;
/// Calls that may wait for them; more than there are clients.
const QUEUE_MAX: usize = 1024;
/// For the gate to let go of its clients.
const STOP_MAX: Duration = Duration::from_secs(2);

fn listen() -> Outcome<(TcpListener, SocketAddr)> {
    let bind = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bind().map_err(|e: std::io::Error| format!("listening: {e}"))
}

/// `tiny_http` on TCP with workers that answer the same body to everything.
pub struct Bare {
    server: Arc<Server>,
    /// Where it listens.
    pub address: SocketAddr,
    workers: Vec<JoinHandle<()>>,
}

impl Bare {
    /// Starts it. TCP_NODELAY is inherited from the listener; without it long answers take 40 ms each.
    pub fn start(body: &[u8]) -> Outcome<Bare> {
        let (listener, address) = listen()?;
        rustix::net::sockopt::set_tcp_nodelay(&listener, true).map_err(|e| e.to_string())?;
        let server = Server::from_listener(listener, None).map_err(|e| e.to_string())?;
        let server = Arc::new(server);
        let header = Header::from_bytes("content-type", "application/json")
            .map_err(|()| "an invalid header".to_owned())?;
        let workers = (0..WORKERS)
            .map(|_| {
                let (server, body, header) = (server.clone(), body.to_vec(), header.clone());
                thread::spawn(move || {
                    while let Ok(request) = server.recv() {
                        let length = body.len();
                        let response = Response::new(
                            StatusCode(200),
                            vec![header.clone()],
                            Cursor::new(body.clone()),
                            Some(length),
                            None,
                        );
                        let _ = request.respond(response);
                    }
                })
            })
            .collect();
        Ok(Bare {
            server,
            address,
            workers,
        })
    }

    /// Stops its workers. Close all connections to it first.
    pub fn stop(self) {
        for _ in &self.workers {
            self.server.unblock();
        }
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

/// The same through the gate.
pub struct Gated {
    gate: Gate,
    listener: Listener,
    /// Where the gate listens.
    pub address: SocketAddr,
}

impl Gated {
    /// Starts it; the private socket goes into `folder`.
    pub fn start(folder: &Path, body: &[u8]) -> Outcome<Gated> {
        let plain = |e: Error| e.to_string();
        let (listener, address) = listen()?;
        let metrics = Arc::new(Metrics::new());
        let key = BackendKey::generate();
        let limits = GateLimits::default();
        let body = body.to_vec();
        let serve =
            move |_: HttpRequest| HttpResponse::with_body(200, "application/json", body.clone());
        let inner = Listener::start(
            folder,
            WORKERS,
            QUEUE_MAX,
            Arc::new(serve),
            key.clone(),
            metrics.clone(),
        )
        .map_err(plain)?;
        let options = GateOptions {
            hub: Arc::new(Hub::new(&limits, metrics.clone())),
            limits,
            rules: Arc::new(|_: &str, _: &str| CallLimits::new(0)),
            admit: Arc::new(|_| Admission::Known),
            backend: inner.socket(),
            backend_connections: 2 * WORKERS,
            key,
            metrics,
            clock: Clock::system(),
            version: "floor",
            tls: None,
            exempt: Arc::new(|_| true),
        };
        Ok(Gated {
            gate: Gate::start(listener, options).map_err(plain)?,
            listener: inner,
            address,
        })
    }

    /// Stops it.
    pub fn stop(self) {
        self.gate.stop(STOP_MAX);
        self.listener.stop();
    }
}
