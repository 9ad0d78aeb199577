//! Overload: strangers who hold bodies, crowds that say nothing, pages of large texts, results of strange shape. The
//! work of others goes on meanwhile, which is measured where it could stand still.

mod attacks;

use crate::support::{Request, SHOP, Server, connect, eventually, recovered};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// Sends a head that announces a body, and so much of the body as the server takes at once.
fn hold(s: &Server, path: &str, token: &str, length: usize, sent: usize) -> TcpStream {
    let mut stream = connect(s.inner().addr());
    let who = match token {
        "" => String::new(),
        token => format!("authorization: Bearer {token}\r\n"),
    };
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: test\r\n{who}content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(&vec![b' '; sent]);
    stream
}

/// The status of an answer that comes without a further byte from us.
fn status(stream: &mut TcpStream) -> String {
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8(start.to_vec()).unwrap()
}

#[test]
fn strangers_holding_bodies_do_not_hold_up_results_of_agents() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let path = "/api/agent/jobs/x/result";
    let unknown = "dbw_00000000000000000000000000000000";
    let mut strangers: Vec<TcpStream> = (0..9)
        .map(|n| hold(&s, path, if n % 2 == 0 { "" } else { unknown }, 16 * MIB, 0))
        .collect();
    // Answered from their heads: not a byte of a body was asked for.
    for stranger in &mut strangers {
        assert_eq!(status(stranger), "HTTP/1.1 401");
    }
    let person = s.requester().token.unwrap();
    assert_eq!(
        status(&mut hold(&s, path, &person, 16 * MIB, 0)),
        "HTTP/1.1 403"
    );
    let rows = "x".repeat(MIB);
    let data = json!({"rows": [{"a": rows}]}).to_string();
    for n in 0..12 {
        let _held = hold(&s, "/api/requests", "", MIB, MIB / 2);
        let request = s.requester().submit("development", SELECT);
        let claim = agent.claim(&request.id);
        let start = Instant::now();
        agent.succeed(&claim.execution, &data).is(200);
        assert!(start.elapsed() < Duration::from_secs(5), "result {n}");
    }
}

#[test]
fn body_is_read_only_for_those_who_may_send_one() {
    let s = Server::shop();
    let (user, agent) = (
        s.requester().token.unwrap(),
        s.agent("agent-1").person.token.unwrap(),
    );
    for (path, token, want) in [
        ("/api/requests", "", "HTTP/1.1 401"),
        ("/api/requests", agent.as_str(), "HTTP/1.1 403"),
        ("/api/agent/schema-sync", user.as_str(), "HTTP/1.1 403"),
        ("/api/agent/poll", "", "HTTP/1.1 401"),
        ("/api/nothing", user.as_str(), "HTTP/1.1 404"),
        ("/api/me", user.as_str(), "HTTP/1.1 405"),
        ("/api/workflows", user.as_str(), "HTTP/1.1 405"),
        ("/api/workflows", "", "HTTP/1.1 401"),
        ("/api/requests", user.as_str(), "HTTP/1.1 413"),
    ] {
        let length = if want.ends_with("413") { 2 * MIB } else { 1000 };
        assert_eq!(
            status(&mut hold(&s, path, token, length, 0)),
            want,
            "{path}"
        );
    }
    // A token that is revoked is as good as none, at once.
    let guest = s.person("guest", &["readonly"]);
    let id = guest.get("/api/me").is(200);
    assert_eq!(id.text("subject_id"), "guest");
    s.admin().poke("/api/users/guest/suspend").is(200);
    let mut late = hold(
        &s,
        "/api/requests",
        guest.token.as_deref().unwrap(),
        1000,
        0,
    );
    assert_eq!(status(&mut late), "HTTP/1.1 401");
}

#[test]
fn a_token_has_so_many_calls_under_way() {
    let s = Server::with(&format!("workers = 1\n{SHOP}"));
    let token = s.requester().token.unwrap();
    // Bodies that never come: calls under way that need no worker. The server waits for each for a while only, which may
    // be over before a busy machine has made enough of them, so there are more at every look.
    let mut held: Vec<TcpStream> = Vec::new();
    let mut answer = None;
    eventually("all under way", || {
        held.extend((0..8).map(|_| hold(&s, "/api/requests", &token, 1000, 10)));
        let now = s.requester().get("/api/me");
        let refused = now.status == 429;
        answer = Some(now);
        refused
    });
    let refused = answer.unwrap().refused(429, "too_many_calls");
    assert_eq!(refused.header("retry-after"), Some("1"));
    s.approver().get("/api/me").is(200);
    drop(held);
    eventually("room again", || s.requester().get("/api/me").status == 200);
}

/// Control characters, which take the most room in JSON, are blocked unless the review lets them through.
const CONTROLS: &str = "[sql_review]\nhidden_characters = \"off\"\n";

#[test]
fn a_page_of_large_requests_is_small() {
    let s = Server::with(&format!("{SHOP}{CONTROLS}"));
    // Every character is six of JSON.
    let noise = "\u{1}".repeat(98_000);
    let sql = format!("SELECT 1 -- {noise}");
    let reason = format!("why{}", "\u{2}".repeat(997));
    for _ in 0..100 {
        s.requester()
            .submit_with("production", &sql, json!({"reason": reason}));
    }
    let start = Instant::now();
    for path in [
        "/api/requests?limit=100",
        "/api/requests?limit=100&status=pending",
    ] {
        let page = s.requester().get(path).is(200);
        assert_eq!(page.list("requests").len(), 100);
        assert!(page.body.len() <= MIB, "{} bytes", page.body.len());
    }
    let inbox = s
        .approver()
        .get("/api/requests?pending_for_me=true&limit=100");
    assert_eq!(inbox.list("requests").len(), 100);
    assert!(inbox.body.len() <= MIB, "{} bytes", inbox.body.len());
    assert!(start.elapsed() < Duration::from_secs(5));
    let item = s
        .requester()
        .get("/api/requests?limit=1")
        .list("requests")
        .remove(0);
    assert_eq!(item["detail_bytes"], sql.len());
    assert_eq!(item["detail_truncated"], true);
    assert_eq!(item["reason_truncated"], true);
    assert_eq!(item["detail"].as_str().unwrap(), &sql[..1024]);
    let whole = s
        .requester()
        .get(&format!("/api/requests/{}", item["id"].as_str().unwrap()));
    assert_eq!(whole.is(200).text("detail"), sql);
}

#[test]
fn texts_in_lists_are_cut_between_characters() {
    let s = Server::shop();
    let sql = format!("SELECT 1 -- {}", "ü".repeat(1_000));
    s.requester().submit("production", &sql);
    let item = s
        .requester()
        .get("/api/requests")
        .list("requests")
        .remove(0);
    let detail = item["detail"].as_str().unwrap();
    assert!(sql.starts_with(detail) && (1023..=1024).contains(&detail.len()));
    let short = s.requester().submit("production", "SELECT 1");
    let item = s
        .requester()
        .get("/api/requests")
        .list("requests")
        .remove(0);
    assert_eq!(item["id"], short.id.as_str());
    assert_eq!(
        (&item["detail_truncated"], &item["detail_bytes"]),
        (&json!(false), &json!(8))
    );
}

/// A request whose result has 150,000 rows, each with a key of its own.
fn run_with_differing_keys(s: &Server) -> Request {
    let rows: Vec<Value> = (0..150_000).map(|n| json!({format!("k{n}"): n})).collect();
    let request = s.requester().submit("development", SELECT);
    let agent = s.agent("agent-1");
    let claim = agent.claim(&request.id);
    agent
        .succeed(&claim.execution, &json!({"rows": rows}).to_string())
        .is(200);
    request
}

#[test]
fn rows_of_differing_keys_cost_no_time() {
    let s = Server::shop();
    let request = run_with_differing_keys(&s);
    let agent = s.agent("agent-1");
    let start = Instant::now();
    request
        .by
        .get(&request.path("/result/content?format=csv"))
        .refused(422, "too_many_columns");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let sparse = s.requester().submit("development", SELECT);
    let claim = agent.claim(&sparse.id);
    agent
        .succeed(&claim.execution, r#"{"rows":[{"a":1},{"b":2}]}"#)
        .is(200);
    let csv = sparse
        .by
        .get(&sparse.path("/result/content?format=csv"))
        .is(200);
    assert_eq!(csv.raw(), "a,b\r\n1,\r\n,2\r\n");
}

/// Seconds that the attacks below go on; `.ci/long` makes them longer.
const ATTACK_SECS: &str = "DBWARD_ATTACK_SECS";

/// What was measured during an attack: how long each call took.
struct Measured(Vec<Duration>);

impl Measured {
    /// Prints median and worst, and holds the worst against a bound.
    fn within(mut self, what: &str, bound: Duration) {
        self.0.sort();
        let (middle, worst) = (self.0[self.0.len() / 2], self.0[self.0.len() - 1]);
        println!(
            "{what}: {} calls, median {middle:?}, worst {worst:?}",
            self.0.len()
        );
        assert!(worst < bound, "{what}: {worst:?}");
    }
}

fn timed<T>(times: &mut Measured, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = call();
    times.0.push(start.elapsed());
    answer
}

/// Calls `/health` and reports results of 1 MB until `attack` has ended, and prints how long they took.
fn during(s: &Server, what: &str, attack: impl FnOnce(&(dyn Fn() -> bool + Sync)) + Send) {
    let secs = std::env::var(ATTACK_SECS).map_or(1, |secs| secs.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(secs);
    let goes_on = move || Instant::now() < until;
    let (mut health, mut results) = (Measured(Vec::new()), Measured(Vec::new()));
    let data = json!({"rows": [{"a": "x".repeat(MIB)}]}).to_string();
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    std::thread::scope(|scope| {
        let attack = scope.spawn(move || attack(&goes_on));
        while !attack.is_finished() || results.0.is_empty() {
            timed(&mut health, || s.nobody().get("/health")).is(200);
            let request = requester.submit("development", SELECT);
            let claim = agent.claim(&request.id);
            timed(&mut results, || agent.succeed(&claim.execution, &data)).is(200);
        }
    });
    recovered(what, || {
        s.nobody().get("/health").is(200);
        requester.submit("development", SELECT)
    });
    health.within(&format!("{what}: /health"), Duration::from_secs(2));
    results.within(
        &format!("{what}: an agent's result"),
        Duration::from_secs(5),
    );
}

#[test]
fn attack_bodies_of_strangers() {
    let s = Server::shop();
    let at = s.inner().addr();
    during(&s, "bodies of strangers", |goes_on| {
        while goes_on() {
            let mut held = Vec::new();
            for n in 0..9 {
                let Ok(mut stream) = TcpStream::connect(at) else {
                    continue;
                };
                let path = ["/api/agent/jobs/x/result", "/api/requests", "/api/nothing"][n % 3];
                let head =
                    format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 16777216\r\n\r\n");
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.set_write_timeout(Some(Duration::from_millis(50)));
                let _ = stream.write_all(&vec![b'x'; 2 * MIB]);
                held.push(stream);
            }
        }
    });
}

#[test]
fn attack_silent_and_slow_connections() {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let s = Server::shop();
    let at = s.inner().addr();
    // Both ends are in this process.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let each = (files.unwrap_or(1 << 20).saturating_sub(500) / 8).min(1024);
    let open = move |last: u8| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
        bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, last], 0))).ok()?;
        connect(&socket, &at).ok()?;
        Some(TcpStream::from(socket))
    };
    during(&s, "silent and slow connections", |goes_on| {
        let mut held: Vec<TcpStream> = Vec::new();
        for last in 2..=5 {
            held.extend((0..each).filter_map(|_| open(last)));
        }
        let mut n = 0;
        while goes_on() {
            // Half of them begin a head that never ends, and those that were closed come again.
            let at = n % held.len();
            let gone = held[at].write_all(b"G").is_err();
            if (gone || n % 2 == 0)
                && let Some(fresh) = open(2 + (n % 4) as u8)
            {
                held[at] = fresh;
            }
            n += 1;
        }
    });
}

#[test]
fn attack_pages_of_large_texts() {
    let s = Server::with(&format!("{SHOP}{CONTROLS}"));
    let sql = format!("SELECT 1 -- {}", "\u{1}".repeat(98_000));
    for _ in 0..120 {
        s.requester().submit("production", &sql);
    }
    let reader = s.requester();
    during(&s, "pages of large texts", |goes_on| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while goes_on() {
                        let page = reader.get("/api/requests?limit=100");
                        assert!(page.status == 429 || page.body.len() <= MIB);
                    }
                });
            }
        });
    });
}

/// Texts of 98,000 bytes that one attacker stores, at most: so the test takes no more than 40 MB.
const LARGE_TEXTS_MAX: usize = 400;

#[test]
fn attack_large_texts_of_one_reader() {
    let s = Server::shop();
    let reader = s.person("reader", &["readonly"]);
    let sql = format!("SELECT 1 -- {}", "x".repeat(98_000));
    during(&s, "large texts of one reader", |goes_on| {
        let stored = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while goes_on() && stored.fetch_add(1, Ordering::Relaxed) < LARGE_TEXTS_MAX {
                        let answer = reader.create("production", &sql);
                        assert!([201, 429].contains(&answer.status), "{}", answer.status);
                    }
                });
            }
        });
        assert!(stored.into_inner() > 0);
    });
}

#[test]
fn attack_places_to_wait_by_the_spelling_of_a_header() {
    let s = Server::shop();
    let waits = s.requester().submit("production", SELECT);
    let token = s.approver().token.unwrap();
    let at = s.inner().addr();
    during(&s, "polls in many spellings", |goes_on| {
        let mut held: Vec<TcpStream> = Vec::new();
        for n in 0.. {
            if !goes_on() {
                break;
            }
            let scheme = ["Bearer ", "bearer ", "BEARER  ", "bEaReR "][n % 4];
            let Ok(mut stream) = TcpStream::connect(at) else {
                continue;
            };
            let path = waits.path("?wait=60");
            let head =
                format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: {scheme}{token}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            match held.len() {
                // Each is a connection at both ends, and this process has both.
                0..200 => held.push(stream),
                _ => held[n % 200] = stream,
            }
        }
        assert!(s.parked() > 0, "nobody waits");
        assert!(s.parked() <= 64, "{} of one token wait", s.parked());
    });
}

#[test]
fn attack_tables_of_differing_keys() {
    let s = Server::shop();
    let request = run_with_differing_keys(&s);
    during(&s, "tables of differing keys", |goes_on| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while goes_on() {
                        let table = request.path("/result/content?format=csv");
                        let answer = request.by.get(&table);
                        assert!([422, 429].contains(&answer.status), "{}", answer.status);
                    }
                });
            }
        });
    });
}

#[test]
fn a_person_has_so_many_pending_requests() {
    let s = Server::with(&format!("pending_requests_per_person = 2\n{SHOP}"));
    let requester = s.requester();
    let first = requester.submit("production", SELECT);
    requester.submit("production", SELECT);
    let refused = requester.create("production", SELECT);
    refused.refused(429, "too_many_open_requests");
    assert!(refused.header("retry-after").is_some());
    // What needs nobody's decision is not pending; others and administrators are not meant.
    requester.submit("development", SELECT);
    s.person("other", &["developer"])
        .submit("production", SELECT);
    for _ in 0..3 {
        s.admin().submit("production", SELECT);
    }
    requester.cancel(&first).is(200);
    requester.submit("production", SELECT);
    requester
        .create("production", SELECT)
        .refused(429, "too_many_open_requests");
}

#[test]
fn a_person_has_so_many_bytes_of_requests_a_day() {
    let s = Server::with(&format!("request_bytes_per_day = 1000\n{SHOP}"));
    let sql = format!("SELECT 1 -- {}", "x".repeat(388));
    let keyed = json!({"idempotency_key": "k"});
    s.requester().submit_with("production", &sql, keyed.clone());
    s.requester().submit("production", &sql);
    s.requester()
        .create("production", &sql)
        .refused(429, "rate_limited");
    // A repeated call takes nothing, and neither does anybody else.
    s.requester().create_with("production", &sql, keyed).is(200);
    s.person("other", &["developer"]).submit("production", &sql);
    (0..4).for_each(|_| drop(s.admin().submit("production", &sql)));
    s.turn_only(12 * 3600);
    s.requester().submit("production", &sql);
}

#[test]
fn full_disk_refuses_requests_and_ends_executions_under_way() {
    let s = Server::shop();
    let pending = s.requester().submit("production", SELECT);
    let runs = s.requester().submit("development", SELECT);
    let s = s.restart_with(&format!("min_free_bytes = 1_099_511_627_776\n{SHOP}"));
    let refused = s.requester().create("development", SELECT);
    refused.refused(503, "unavailable").saying("disk space");
    s.agent("agent-1").run(&runs.id);
    s.approver().approve(&pending).is(200);
    s.requester().get("/api/requests").is(200);
}
