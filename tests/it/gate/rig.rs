//! A gate and a listener in this process, a small application, and a client that sends any bytes.

use dbward::clock::Clock;
use dbward::gate::{
    Admission, BackendKey, CallLimits, DirectResponse, Gate, GateLimits, GateOptions, Hub, Park,
    RequestPreview, ResumeReason,
};
use dbward::http::call::{HttpRequest, HttpResponse};
use dbward::http::listener::Listener;
use dbward::metrics::Metrics;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const VERSION: &str = "9.8.7";
/// Longest wait for anything in here; reached only when a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Short deadlines, so that the tests of them are short.
pub(super) fn limits() -> GateLimits {
    GateLimits {
        head: Duration::from_millis(400),
        body: Duration::from_millis(400),
        reply: Duration::from_millis(400),
        acquire: Duration::from_millis(300),
        linger: Duration::from_millis(200),
        tick: Duration::from_millis(20),
        bytes_per_sec_min: 1 << 30,
        ..GateLimits::default()
    }
}

/// What the application of these tests knows.
#[derive(Default)]
pub(super) struct App {
    pub(super) seen: Mutex<Vec<HttpRequest>>,
    pub(super) jobs: Mutex<VecDeque<String>>,
    pub(super) ready: AtomicBool,
    /// Calls to `/stuck` wait here while it is closed.
    is_open: Mutex<bool>,
    open_changed: Condvar,
    pub(super) stuck: AtomicUsize,
}

impl App {
    pub(super) fn set_open(&self, open: bool) {
        *self.is_open.lock().unwrap() = open;
        self.open_changed.notify_all();
    }

    pub(super) fn serve(&self, hub: &Hub, call: HttpRequest) -> HttpResponse {
        let path = call.path.clone();
        self.seen.lock().unwrap().push(call.clone());
        match path.as_str() {
            "/ping" | "/always" => HttpResponse::with_body(200, "text/plain", "pong"),
            "/echo" => HttpResponse::with_body(200, "text/plain", format!("{call:?}")),
            "/length" => HttpResponse::with_body(200, "text/plain", call.body.len().to_string()),
            "/big" => {
                let bytes = call.query.as_deref().unwrap_or("0").parse().unwrap();
                HttpResponse::with_body(200, "text/plain", vec![b'x'; bytes])
            }
            "/204" => HttpResponse::empty(204),
            "/304" => HttpResponse::with_body(304, "text/plain", "unchanged"),
            "/panic" => panic!("expected by a test"),
            "/inject" => HttpResponse {
                headers: vec![("location", "/\r\nset-cookie: a=b".to_owned())],
                ..HttpResponse::empty(302)
            },
            "/unread" | "/results" if call.unread => HttpResponse::empty(401),
            "/oversize" | "/results" => {
                let text = format!("{} {:?}", call.body.len(), call.oversize);
                HttpResponse::with_body(200, "text/plain", text)
            }
            "/stuck" => {
                self.stuck.fetch_add(1, Ordering::SeqCst);
                let open = self.is_open.lock().unwrap();
                drop(self.open_changed.wait_while(open, |open| !*open).unwrap());
                self.stuck.fetch_sub(1, Ordering::SeqCst);
                HttpResponse::with_body(200, "text/plain", "done")
            }
            "/wait" => self.wait(hub, &call),
            "/jobs" => self.take_job(hub, &call),
            _ => HttpResponse::empty(404),
        }
    }

    /// Answers when `ready` is set; else waits for the topic `ready`.
    pub(super) fn wait(&self, hub: &Hub, call: &HttpRequest) -> HttpResponse {
        let seen = hub.generation("ready");
        let resume = call.resume.as_ref();
        let reason = resume.map(|r| r.reason);
        if self.ready.load(Ordering::SeqCst) || reason.is_some_and(|r| r != ResumeReason::Event) {
            let memo = resume.map_or("", |r| r.memo.as_str());
            let text = format!("{reason:?} memo={memo}");
            return HttpResponse::with_body(200, "text/plain", text);
        }
        HttpResponse::park(Park {
            topics: vec![
                ("other".to_owned(), hub.generation("other")),
                ("ready".to_owned(), seen),
            ],
            wait: wait_of(call),
            memo: "as it was".to_owned(),
            exclusive: false,
        })
    }

    /// Gives one job away; else waits in line for one.
    pub(super) fn take_job(&self, hub: &Hub, call: &HttpRequest) -> HttpResponse {
        let seen = hub.generation("jobs");
        if let Some(job) = self.jobs.lock().unwrap().front() {
            return HttpResponse::with_body(200, "text/plain", job.clone());
        }
        if call.resume.as_ref().is_some_and(|r| !r.reason.may_wait()) {
            return HttpResponse::empty(204);
        }
        HttpResponse::park(Park {
            topics: vec![("jobs".to_owned(), seen)],
            wait: wait_of(call),
            memo: String::new(),
            exclusive: true,
        })
    }
}

pub(super) fn wait_of(call: &HttpRequest) -> Duration {
    let ms = call.query.as_deref().and_then(|q| q.parse().ok());
    Duration::from_millis(ms.unwrap_or(60_000))
}

pub(super) fn rule(_method: &str, path: &str) -> CallLimits {
    let mut rule = CallLimits::new(4 * 1024 * 1024);
    match path {
        "/health" => {
            rule.answer_here = Some(DirectResponse {
                status: 200,
                content_type: "application/json",
                body: b"{\"status\":\"ok\"}".as_slice().into(),
            });
        }
        "/small" => rule.body_max = 100,
        "/oversize" => {
            rule.body_max = 100;
            rule.deliver_head_if_oversize = true;
        }
        "/results" => {
            rule.deliver_head_if_oversize = true;
            rule.uncounted = true;
        }
        "/always" => rule.always_served = true,
        "/stuck" => rule.deadline = Duration::from_millis(600),
        _ => {}
    }
    rule
}

/// Whose a body is: `/unread` is for nobody, results are for those who say that they are agents.
fn admit(preview: &RequestPreview) -> Admission {
    match (preview.path, preview.authorization) {
        ("/unread", _) => Admission::HeadOnly,
        ("/results", Some(who)) if who.starts_with("Bearer agent") => Admission::Result,
        ("/results", _) => Admission::HeadOnly,
        (_, Some(_)) => Admission::Known,
        (_, None) => Admission::Stranger,
    }
}

/// A gate and a listener in this process.
pub(super) struct Rig {
    pub(super) gate: Gate,
    pub(super) listener: Option<Listener>,
    pub(super) hub: Arc<Hub>,
    pub(super) app: Arc<App>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

impl Rig {
    pub(super) fn start(workers: usize, limits: GateLimits) -> Rig {
        Rig::build(workers, 64, limits, false)
    }

    pub(super) fn build(workers: usize, queue_max: usize, limits: GateLimits, exempt: bool) -> Rig {
        let metrics = Arc::new(Metrics::new());
        let hub = Arc::new(Hub::new(&limits, metrics.clone()));
        let app = Arc::new(App::default());
        let key = BackendKey::generate();
        let serve = {
            let (app, hub) = (app.clone(), hub.clone());
            Arc::new(move |call: HttpRequest| app.serve(&hub, call))
        };
        let dir = std::env::temp_dir();
        let listener = Listener::start(
            &dir,
            workers,
            queue_max,
            serve,
            key.clone(),
            metrics.clone(),
        )
        .unwrap();
        let clock = Clock::system();
        let options = GateOptions {
            limits,
            rules: Arc::new(rule),
            admit: Arc::new(admit),
            backend: listener.socket(),
            backend_connections: workers * 2,
            key,
            hub: hub.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            version: VERSION,
            tls: None,
            exempt: Arc::new(move |_| exempt),
        };
        let gate = Gate::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).unwrap();
        Rig {
            gate,
            listener: Some(listener),
            hub,
            app,
            metrics,
            clock,
        }
    }

    pub(super) fn client(&self) -> Peer {
        Peer::connect(self.gate.local_addr())
    }

    pub(super) fn get(&self, path: &str) -> Got {
        self.client().get(path)
    }

    /// How many calls reached the application.
    pub(super) fn seen(&self) -> usize {
        self.app.seen.lock().unwrap().len()
    }

    /// Nothing has stopped us: both kinds of call are answered, promptly, and no thread has panicked.
    pub(super) fn is_alive(&self) {
        let start = Instant::now();
        assert_eq!(self.get("/health").body, "{\"status\":\"ok\"}");
        assert_eq!(self.get("/ping").body, "pong");
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(self.metrics.background_panics.value(&[]), 0);
        assert_eq!(self.metrics.call_panics.value(&[]), 0);
    }

    /// Every connection that was opened has been given up again.
    pub(super) fn forgets_everybody(&self) {
        eventually("open connections", || self.gate.connections() == 0);
        assert_eq!(self.gate.in_flight(), 0);
        assert_eq!(self.hub.parked(), 0);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.app.set_open(true);
        self.gate.stop(Duration::from_millis(500));
        if let Some(listener) = self.listener.take() {
            listener.stop();
        }
    }
}

/// Waits for a condition, not for a time.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::yield_now();
    }
}

/// One answer.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Got {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// An error as the contract wants every one.
    pub(super) fn is_error(&self, status: u16) {
        assert_eq!(self.status, status, "{}{}", self.head, self.body);
        assert_eq!(self.field("content-type"), Some("application/json"));
        assert_eq!(self.field("x-dbward-version"), Some(VERSION));
        let id = self.field("x-request-id").unwrap();
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(json["error"]["request_id"], id);
        assert!(json["error"]["code"].is_string() && json["error"]["message"].is_string());
        let waits = matches!(status, 429 | 503);
        assert_eq!(self.field("retry-after").is_some(), waits);
    }
}

/// A client that sends exactly the given bytes.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pub(super) rest: Vec<u8>,
}

impl Peer {
    pub(super) fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer {
            stream,
            rest: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Peer {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub(super) fn ask(&mut self, path: &str) -> &mut Peer {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    pub(super) fn get(&mut self, path: &str) -> Got {
        self.ask(path).answer()
    }

    pub(super) fn answer(&mut self) -> Got {
        self.read_answer(false)
    }

    /// Whether the first byte of an answer arrives in time.
    pub(super) fn answers_within(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let came = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        came
    }

    pub(super) fn read_answer(&mut self, is_head: bool) -> Got {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more(), "closed before an answer: {:?}", self.rest);
        };
        let head = String::from_utf8(self.rest.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut got = Got {
            status,
            head,
            body: String::new(),
        };
        let length = got
            .field("content-length")
            .map_or(0, |n| n.parse().unwrap());
        if !is_head {
            while self.rest.len() < length {
                assert!(self.more(), "closed inside an answer");
            }
            got.body = String::from_utf8(self.rest.drain(..length).collect()).unwrap();
        }
        got
    }

    pub(super) fn more(&mut self) -> bool {
        let mut buf = [0; 64 * 1024];
        let n = self.stream.read(&mut buf).expect("an answer in time");
        self.rest.extend_from_slice(&buf[..n]);
        n > 0
    }

    /// Whether the server closes without another byte.
    pub(super) fn is_closed(&mut self) {
        let mut buf = [0; 4096];
        let n = self.stream.read(&mut buf).unwrap_or(0);
        let text = String::from_utf8_lossy(&buf[..n]);
        assert!(self.rest.is_empty() && n == 0, "surplus {text:?}");
    }
}
