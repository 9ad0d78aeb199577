//! The listener inside: tiny_http on a private Unix socket, one thread that feeds a bounded queue, and the fixed
//! workers. Only the gate connects to it; nothing here is ever on a network.

use crate::crypto;
use crate::error::{Error, ErrorKind, counted};
use crate::gate::backend::{self, BackendKey, ResumeReason};
use crate::gate::park;
use crate::http::call::{HttpRequest, HttpResponse, Resume};
use crate::http::queue::WorkQueue;
use crate::metrics::Metrics;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tiny_http::{Header, Request, Response, Server, StatusCode};

/// Stack of a worker: rules recurse over parsed SQL a little, and serialisers over results.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Largest body a worker reads; the gate's rules are all below it.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What workers get to finish their calls when the listener stops; the gate has waited for answers before.
const JOIN_MAX: Duration = Duration::from_secs(10);
/// Prefix of the private directories.
const DIRECTORY: &str = ".inner-";
/// Name of the socket in it.
const SOCKET: &str = "s";

pub type Serve = dyn Fn(HttpRequest) -> HttpResponse + Send + Sync;

/// A running listener with its workers.
pub struct Listener {
    directory: PathBuf,
    socket: PathBuf,
    /// Keeps the path through `/proc/self/fd` alive (a socket path may have 108 bytes only, a state directory more),
    /// and the lock that says the directory is in use.
    _handle: File,
    server: Option<Arc<Server>>,
    queue: Arc<WorkQueue<Request>>,
    stopping: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Listener {
    /// Makes a private directory under `dir`, listens in it, and starts `workers` workers that answer with `serve`.
    /// At most `queue_max` calls wait for a worker; further ones are answered 503.
    ///
    /// # Errors
    /// `internal` when the directory or a thread cannot be made.
    pub fn start(
        dir: &Path,
        workers: usize,
        queue_max: usize,
        serve: Arc<Serve>,
        key: BackendKey,
        metrics: Arc<Metrics>,
    ) -> Result<Listener, Error> {
        let failed = |e: io::Error| Error::internal("starting the inner listener", e);
        remove_leftovers(dir);
        let name = format!("{DIRECTORY}{}", crypto::hex(&crypto::random::<8>()));
        let directory = dir.join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let handle = File::open(&directory).map_err(failed)?;
        handle.lock().map_err(failed)?;
        let socket = socket_in(&handle);
        let server = Server::http_unix(&socket)
            .map_err(|e| Error::internal("binding the inner listener", e))?;
        // Its directory keeps others out already; no file of the state directory relies on that alone.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let server = Arc::new(server);
        let queue = Arc::new(WorkQueue::new(queue_max));
        let stopping = Arc::new(AtomicBool::new(false));
        let mut listener = Listener {
            directory,
            socket,
            _handle: handle,
            server: Some(server.clone()),
            queue: queue.clone(),
            stopping: stopping.clone(),
            feeder: None,
            workers: Vec::new(),
        };
        let worker = Arc::new(Worker {
            serve,
            key,
            metrics: metrics.clone(),
        });
        metrics.workers.set(&[], workers.max(1) as i64);
        for n in 1..=workers.max(1) {
            let (queue, worker) = (queue.clone(), worker.clone());
            let run = move || worker.work(&queue);
            let thread = thread::Builder::new()
                .name(format!("worker-{n}"))
                .stack_size(STACK_BYTES)
                .spawn(run)
                .map_err(failed)?;
            listener.workers.push(thread);
        }
        let feed = move || feed(&server, &queue, &stopping, &metrics);
        let feeder = thread::Builder::new()
            .name("listener".to_owned())
            .spawn(feed)
            .map_err(failed)?;
        listener.feeder = Some(feeder);
        Ok(listener)
    }

    /// The path the gate connects to; valid in this process only.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Stops taking calls, lets the workers finish what they have, joins them and removes the socket. Stop the gate
    /// first: its connections are what calls come through.
    pub fn stop(mut self) {
        self.close();
    }

    fn close(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        self.stopping.store(true, Ordering::SeqCst);
        server.unblock();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
        self.queue.close();
        let until = Instant::now() + JOIN_MAX;
        let mut stuck = 0;
        for worker in self.workers.drain(..) {
            while !worker.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            if worker.is_finished() {
                let _ = worker.join();
            } else {
                stuck += 1;
            }
        }
        if stuck > 0 {
            log::warn!(
                "not finished with their calls: {}",
                counted(stuck, "worker")
            );
        }
        // The server connects to its own path when it is dropped, so the path must still be there.
        drop(server);
        if let Err(e) = fs::remove_dir_all(&self.directory) {
            log::warn!("removing {}: {e}", self.directory.display());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

/// The socket in an open directory, in few bytes.
fn socket_in(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}

/// Removes directories that a killed process left. A living owner holds a lock on its own from before it makes the
/// socket; connecting to find out would be a connection more than a listener should ever see.
fn remove_leftovers(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(DIRECTORY);
        if !ours || !entry.path().join(SOCKET).exists() {
            continue;
        }
        let Ok(handle) = File::open(entry.path()) else {
            continue;
        };
        if handle.try_lock().is_ok()
            && let Err(e) = fs::remove_dir_all(entry.path())
        {
            log::warn!("removing {}: {e}", entry.path().display());
        }
    }
}

/// The listener thread: takes requests from the library and queues them.
fn feed(server: &Server, queue: &WorkQueue<Request>, stopping: &AtomicBool, metrics: &Metrics) {
    loop {
        match server.recv() {
            Ok(request) => match queue.push(request) {
                Ok(depth) => metrics.queue_depth.set(&[], depth as i64),
                Err(request) => {
                    metrics.queue_full.inc(&[]);
                    let id = internal(&request, backend::ID)
                        .unwrap_or_default()
                        .to_owned();
                    let error = Error::unavailable("the server has too much to do");
                    respond(request, error_reply(&error, &id));
                }
            },
            Err(_) if stopping.load(Ordering::SeqCst) => return,
            // Only a failed accept comes here. The gate's connections are open already and go on working.
            Err(e) => log::error!("the inner listener accepts no more connections: {e}"),
        }
    }
}

struct Worker {
    serve: Arc<Serve>,
    key: BackendKey,
    metrics: Arc<Metrics>,
}

impl Worker {
    fn work(&self, queue: &WorkQueue<Request>) {
        while let Some((mut request, depth)) = queue.pop() {
            self.metrics.queue_depth.set(&[], depth as i64);
            self.metrics.workers_busy.add(&[], 1);
            if let Some(reply) = self.answer(&mut request) {
                respond(request, reply);
            }
            self.metrics.workers_busy.add(&[], -1);
        }
    }

    /// `None` if the gate has given the call up before it was here whole.
    fn answer(&self, request: &mut Request) -> Option<HttpResponse> {
        // Always first: a large answer written while the body is still on its way would block both sides.
        let body = read_body(request)?;
        if !internal(request, backend::KEY).is_some_and(|given| self.key.matches(given)) {
            return Some(error_reply(&Error::forbidden("not from the gate"), ""));
        }
        // The gate's own call, not one that it forwards: to a client this is a path like any other.
        if request.url() == backend::NOOP && internal(request, backend::PEER).is_none() {
            return Some(HttpResponse::empty(204));
        }
        let call = call(request, body);
        let id = call.request_id.clone();
        let reply = catch_unwind(AssertUnwindSafe(|| self.serve(call)));
        Some(match reply {
            Ok(reply) => prepare(reply, &id),
            Err(_) => {
                self.metrics.call_panics.inc(&[]);
                log::error!("a call panicked (request id {id})");
                error_reply(&Error::bug("a call panicked"), &id)
            }
        })
    }

    /// A HEAD never waits: what it would wait for, the body, is not sent, and neither would the park be.
    fn serve(&self, call: HttpRequest) -> HttpResponse {
        if call.method != "HEAD" {
            return (self.serve)(call);
        }
        let reply = (self.serve)(call.clone());
        let Some(park) = reply.park else {
            return reply;
        };
        (self.serve)(HttpRequest {
            resume: Some(Resume {
                reason: ResumeReason::Full,
                memo: park.memo,
                left: Duration::ZERO,
            }),
            ..call
        })
    }
}

fn read_body(request: &mut Request) -> Option<Vec<u8>> {
    let expected = request.body_length().unwrap_or(0);
    if expected == 0 {
        return Some(Vec::new());
    }
    if expected > BODY_BYTES_MAX {
        return None;
    }
    let mut body = Vec::with_capacity(expected);
    let read = request
        .as_reader()
        .take(expected as u64)
        .read_to_end(&mut body);
    (read.is_ok() && body.len() == expected).then_some(body)
}

/// A field of the gate's own.
fn internal<'r>(request: &'r Request, name: &'static str) -> Option<&'r str> {
    request
        .headers()
        .iter()
        .find(|header| header.field.equiv(name))
        .map(|header| header.value.as_str())
}

fn call(request: &Request, body: Vec<u8>) -> HttpRequest {
    let own = |name| internal(request, name);
    let resume = own(backend::RESUME)
        .and_then(ResumeReason::parse)
        .map(|reason| Resume {
            reason,
            memo: own(backend::MEMO)
                .and_then(park::decode_memo)
                .unwrap_or_default(),
            left: Duration::from_millis(
                own(backend::LEFT_MS)
                    .and_then(|ms| ms.parse().ok())
                    .unwrap_or(0),
            ),
        });
    let (path, query) = match request.url().split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (request.url(), None),
    };
    let headers = request
        .headers()
        .iter()
        .filter_map(|header| {
            let name = header.field.as_str().as_str().to_ascii_lowercase();
            let ours = name.starts_with(backend::PREFIX) || name == "content-length";
            (!ours).then(|| (name, header.value.as_str().to_owned()))
        })
        .collect();
    HttpRequest {
        method: request.method().as_str().to_owned(),
        path: path.to_owned(),
        query,
        headers,
        body,
        peer: own(backend::PEER).and_then(|peer| peer.parse().ok()),
        request_id: own(backend::ID).unwrap_or_default().to_owned(),
        resume,
        oversize: own(backend::OVERSIZE).and_then(|bytes| bytes.parse().ok()),
        unread: own(backend::UNREAD).is_some(),
        certificate: own(backend::CERTIFICATE).and_then(|text| BASE64.decode(text).ok()),
    }
}

/// Turns a reply into one that can be sent: a park into its answer, what must not be sent into a 500.
fn prepare(reply: HttpResponse, id: &str) -> HttpResponse {
    let mut reply = reply;
    if let Some(park) = reply.park.take() {
        return match park.encode() {
            Ok(body) => HttpResponse {
                status: 202,
                headers: vec![(backend::PARK, "1".to_owned())],
                body,
                park: None,
            },
            Err(e) => {
                log::error!("{e}");
                error_reply(&e, id)
            }
        };
    }
    let bad = reply.headers.iter().any(|(n, v)| header(n, v).is_none());
    if bad || !(200..=599).contains(&reply.status) {
        let names: Vec<&str> = reply.headers.iter().map(|(name, _)| *name).collect();
        let error = Error::bug("an answer has a header or a status that cannot be sent");
        log::error!("{error} (status {}, headers {names:?})", reply.status);
        return error_reply(&error, id);
    }
    reply
}

/// The one place that makes headers. The library lets line breaks through, and the gate cannot tell an injected
/// header from a real one.
fn header(name: &str, value: &str) -> Option<Header> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let visible = |b: u8| (0x20..=0x7e).contains(&b);
    if name.is_empty() || !name.bytes().all(token) || !value.bytes().all(visible) {
        return None;
    }
    Header::from_bytes(name.as_bytes(), value.as_bytes()).ok()
}

fn error_reply(error: &Error, id: &str) -> HttpResponse {
    let mut reply = HttpResponse::with_body(error.status(), "application/json", error.body(id));
    reply
        .headers
        .push(("x-content-type-options", "nosniff".to_owned()));
    reply.headers.push(("cache-control", "no-store".to_owned()));
    if let Some(secs) = error.retry_after_secs() {
        reply.headers.push(("retry-after", secs.to_string()));
    } else if error.kind() == ErrorKind::Unavailable {
        reply.headers.push(("retry-after", "1".to_owned()));
    }
    reply
}

/// Writes a reply, echoing the number of the exchange. A gate that has hung up meanwhile is not an error.
fn respond(request: Request, reply: HttpResponse) {
    let exchange = internal(&request, backend::EXCHANGE)
        .unwrap_or("0")
        .to_owned();
    let length = reply.body.len();
    let mut response = Response::new(
        StatusCode(reply.status),
        Vec::new(),
        io::Cursor::new(reply.body),
        Some(length),
        None,
    )
    .with_chunked_threshold(usize::MAX);
    let echo = header(backend::EXCHANGE, &exchange);
    let rest = reply.headers.iter().filter_map(|(n, v)| header(n, v));
    for header in echo.into_iter().chain(rest) {
        response.add_header(header);
    }
    let _ = request.respond(response);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_process_left_is_removed() {
        let key = BackendKey::generate();
        let dir = std::env::temp_dir().join(format!("listener-{}", crypto::uuid()));
        let long = dir.join("x".repeat(150));
        fs::create_dir_all(&long).unwrap();
        let start = || {
            let serve = Arc::new(|_: HttpRequest| HttpResponse::empty(204));
            let metrics = Arc::new(Metrics::new());
            Listener::start(&long, 1, 1, serve, key.clone(), metrics).unwrap()
        };
        let left = long.join(format!("{DIRECTORY}left"));
        fs::create_dir(&left).unwrap();
        drop(
            std::os::unix::net::UnixListener::bind(socket_in(&File::open(&left).unwrap())).unwrap(),
        );
        let (first, second) = (start(), start());
        assert!(!left.exists());
        assert!(first.directory.exists() && second.directory.exists());
        first.stop();
        second.stop();
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn headers_that_could_split_an_answer_are_refused() {
        assert!(header("x-a", "plain; value=\"1\"").is_some());
        for (name, value) in [
            ("x-a", "b\r\nx-c: d"),
            ("x-a", "b\nc"),
            ("x-a", "\0"),
            ("x-a", "ü"),
            ("x a", "b"),
            ("x-a\r\n", "b"),
            ("", "b"),
        ] {
            assert!(header(name, value).is_none(), "{name:?} {value:?}");
        }
        let mut reply = HttpResponse::empty(200);
        reply
            .headers
            .push(("location", "/\r\nset-cookie: a".to_owned()));
        assert_eq!(prepare(reply, "id").status, 500);
        assert_eq!(prepare(HttpResponse::empty(99), "id").status, 500);
    }
}
