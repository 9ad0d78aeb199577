//! The fixed pool of connections to the backend: opened before clients are accepted, never grown.
//!
//! They are opened one at a time, each confirmed by a call that a worker answers. That steps around a race of the
//! backend listener, which can give two new connections one thread; and since it never accepts again in ordinary
//! life, running out of file descriptors cannot end it. A connection is lost only when an exchange failed, and the
//! next call that finds none free opens another in the same way.

use crate::error::Error;
use crate::gate::backend::{self, BackendKey};
use crate::gate::limits::GateLimits;
use crate::gate::pace::is_pause;
use crate::metrics::Metrics;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// For opening the pool at the start: the workers are idle then, so it takes milliseconds.
const FIRST_OPEN: Duration = Duration::from_secs(10);

pub(super) struct Pool {
    path: PathBuf,
    key: BackendKey,
    size: usize,
    tick: Duration,
    metrics: Arc<Metrics>,
    state: Mutex<ConnectionPoolState>,
    changed: Condvar,
}

#[derive(Default)]
struct ConnectionPoolState {
    /// Last in, first out: the warmest thread of the backend answers next.
    idle: Vec<UnixStream>,
    /// Idle or lent.
    open: usize,
    opening: bool,
    closed: bool,
}

/// A connection for one exchange. Lost when dropped before [`PooledConnection::give_back`].
pub(super) struct PooledConnection<'p> {
    pool: &'p Pool,
    stream: Option<UnixStream>,
}

impl PooledConnection<'_> {
    /// Its stream; reads and writes pause after a tick with `WouldBlock`.
    pub(super) fn stream(&self) -> io::Result<&UnixStream> {
        self.stream
            .as_ref()
            .ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// The exchange is complete on both sides: another call may have the connection.
    pub(super) fn give_back(mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        let mut state = self.pool.lock();
        if state.closed {
            state.open -= 1;
        } else {
            state.idle.push(stream);
        }
        drop(state);
        self.pool.changed.notify_one();
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        if self.stream.take().is_some() {
            self.pool.lock().open -= 1;
            self.pool.metrics.gate_backend_lost.inc(&[]);
            self.pool.changed.notify_one();
        }
    }
}

impl Pool {
    /// Opens `size` connections to the socket at `path`.
    ///
    /// # Errors
    /// `internal` when the backend does not answer there.
    pub(super) fn open(
        path: PathBuf,
        key: BackendKey,
        size: usize,
        limits: &GateLimits,
        metrics: Arc<Metrics>,
    ) -> Result<Pool, Error> {
        let pool = Pool {
            path,
            key,
            size: size.max(1),
            tick: limits.tick,
            metrics,
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        let until = Instant::now() + FIRST_OPEN;
        for _ in 0..pool.size {
            let stream = pool
                .connect(until)
                .map_err(|e| Error::internal("opening the backend connections", e))?;
            let mut state = pool.lock();
            state.idle.push(stream);
            state.open += 1;
        }
        Ok(pool)
    }

    /// A connection, waiting at most `within` for one. The wait is in real time: it is for a thread, not for a client.
    ///
    /// # Errors
    /// `unavailable`.
    pub(super) fn lease(&self, within: Duration) -> Result<PooledConnection<'_>, Error> {
        let lease = |stream| PooledConnection {
            pool: self,
            stream: Some(stream),
        };
        let mut until = None;
        let mut state = self.lock();
        loop {
            if let Some(stream) = state.idle.pop() {
                return Ok(lease(stream));
            }
            if state.closed {
                return Err(Error::unavailable("the server is stopping"));
            }
            let until = *until.get_or_insert_with(|| Instant::now() + within);
            if state.open < self.size && !state.opening {
                state.opening = true;
                drop(state);
                let opened = self.connect(until);
                state = self.lock();
                state.opening = false;
                self.changed.notify_all();
                match opened {
                    Ok(stream) => {
                        state.open += 1;
                        return Ok(lease(stream));
                    }
                    Err(e) => {
                        log::warn!("a backend connection could not be opened: {e}");
                        return Err(busy());
                    }
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(busy());
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
    }

    /// Closes what is idle, and what comes back later.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.open -= state.idle.len();
        state.idle.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// Opens a connection and has a worker confirm it.
    fn connect(&self, until: Instant) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(self.tick))?;
        stream.set_write_timeout(Some(self.tick))?;
        let (path, key) = (backend::NOOP, self.key.reveal());
        let call = format!(
            "GET {path} HTTP/1.1\r\nHost: inside\r\n{}: {key}\r\n{}: 0\r\n\r\n",
            backend::KEY,
            backend::EXCHANGE
        );
        stream.write_all(call.as_bytes())?;
        let mut answer = [0; 1024];
        let mut filled = 0;
        while !answer[..filled].ends_with(b"\r\n\r\n") {
            match stream.read(&mut answer[filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(e) if is_pause(&e) && Instant::now() < until => {}
                Err(e) => return Err(e),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 204 ") {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "a new backend connection was not confirmed",
            ));
        }
        Ok(stream)
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionPoolState> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn busy() -> Error {
    Error::unavailable("the server is busy").hint("try again in a moment")
}
