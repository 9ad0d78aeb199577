//! What has come since the first attacks: the routes of Slack, receivers of notifications that never answer, sign-ins and
//! sessions of the console.

use super::{SELECT, during};
use crate::sessions::house;
use crate::support::{DELIVERS, FakeSlack, SHOP, Server, Sink, eventually};
use dbward::crypto::{hex, random};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Requests that a round of the attack makes, each with a notification to every receiver.
const REQUESTS: usize = 20;

#[test]
fn attack_routes_of_slack() {
    let slack = FakeSlack::start();
    let s = Server::with(&format!("{SHOP}{}", slack.section()));
    let at = s.inner().addr();
    during(&s, "routes of Slack", |goes_on| {
        let mut n = 0;
        let mut held: Vec<TcpStream> = Vec::new();
        while goes_on() {
            let Ok(mut stream) = TcpStream::connect(at) else {
                continue;
            };
            let path = ["commands", "interactions"][n % 2];
            // A third never sends the body, a third has no signature, a third a wrong one.
            let signature = match n % 3 {
                0 => "",
                _ => "x-slack-request-timestamp: 1\r\nx-slack-signature: v0=00\r\n",
            };
            let head = format!(
                "POST /api/slack/{path} HTTP/1.1\r\nhost: a\r\n{signature}\
                 content-type: application/x-www-form-urlencoded\r\ncontent-length: 200000\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.set_write_timeout(Some(Duration::from_millis(50)));
            if n % 3 != 1 {
                let _ = stream.write_all(&[b'x'; 200_000]);
            }
            held.push(stream);
            if held.len() > 64 {
                held.clear();
            }
            n += 1;
        }
    });
    // What is not signed costs a row an address and minute at most.
    s.minute();
    let failures = s.events("event_type=auth.failure");
    assert!(failures.len() <= 8, "{} rows", failures.len());
}

/// Requests that the attack makes at most: each is a notification to every receiver.
const REQUESTS_MAX: usize = 200;
/// Receivers that never answer.
const SILENT: usize = 16;
/// Calls of them that are tried while the attack goes on, at most: those under way at one time, and some once more.
const CALLS_MAX: usize = 64;

#[test]
fn attack_receivers_that_never_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in silent.incoming() {
            held.push(stream);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let hooks: String = (0..SILENT)
        .map(|n| format!("[[webhooks]]\nid = \"hook-{n}\"\nurl = \"http://127.0.0.1:{port}/\"\n"))
        .collect();
    let mail = format!(
        "[[users]]\nid = \"approver\"\nemail = \"approver@example.com\"\n[email]\nserver = \"127.0.0.1\"\nport = {port}\n\
         security = \"none\"\nfrom = \"dbward <dbward@example.com>\"\n"
    );
    let well = Sink::start();
    let created = well.webhook("well", "events = [\"request.created\"]");
    let s = Server::with(&format!(
        "shutdown_grace_secs = 0\n{SHOP}{DELIVERS}{hooks}{created}{mail}"
    ));
    // Known as one that answers.
    s.admin().poke("/api/webhooks/well/test").is(202);
    eventually("the test message", || well.count() == 1);
    let requester = s.requester();
    during(&s, "receivers that never answer", |goes_on| {
        let mut made = 0;
        while goes_on() {
            let some = REQUESTS.min(REQUESTS_MAX - made);
            let requests: Vec<_> = (0..some)
                .map(|_| requester.submit("production", SELECT))
                .collect();
            for request in requests {
                requester.cancel(&request).is(200);
            }
            made += some;
            // What is made goes out to the receiver that is well, while the others keep silent.
            eventually("all of it", || well.count() > made);
        }
    });
    assert!(well.count() > REQUESTS, "{}", well.count());
    let calls = calls.load(Ordering::SeqCst);
    assert!((1..=CALLS_MAX).contains(&calls), "{calls} calls");
    let page = String::from_utf8(s.admin().get("/metrics").is(200).body).unwrap();
    let waiting = page
        .lines()
        .find_map(|line| line.strip_prefix("dbward_outbox_current{status=\"pending\"} "));
    let waiting: usize = waiting.unwrap().parse().unwrap();
    assert!(waiting >= SILENT, "{waiting} wait");
}

/// Sign-ins of people who may; more than one may have sessions.
const SIGN_INS: usize = 14;
const SESSIONS_MAX: usize = 10;

#[test]
fn attack_sign_ins_and_sessions_of_the_console() {
    let h = house();
    let ann = h.sign_in("ann");
    let rows = || -> i64 {
        let file = rusqlite::Connection::open(h.s.state_dir().join("dbward.db")).unwrap();
        let count = file.query_row("SELECT count(*) FROM sessions", [], |r| r.get(0));
        count.unwrap()
    };
    let asked = h.idp.exchanges().len();
    let nobody = h.s.nobody();
    let cookie = ann.cookie.clone();
    let name = cookie.split_once('=').unwrap().0.to_owned();
    during(&h.s, "sign-ins and sessions", move |goes_on| {
        let mut n = 0;
        while goes_on() {
            let made_up = format!("{name}={}", hex(&random::<32>()));
            let many = vec![made_up.as_str(); 300].join("; ");
            let (answer, expected): (_, &[u16]) = match n % 6 {
                0 => (nobody.get("/auth/sign-in"), &[303, 429][..]),
                1 => {
                    let path = "/auth/callback?code=x&state=y";
                    let headers = [("cookie", "__Host-dbward-sign-in=x.y.z")];
                    (nobody.get_with(path, &headers), &[303, 429][..])
                }
                2 => (
                    nobody.get_with("/api/me", &[("cookie", &made_up)]),
                    &[401, 429][..],
                ),
                3 => (
                    nobody.get_with("/api/requests", &[("cookie", &many)]),
                    &[401, 429][..],
                ),
                4 => {
                    let headers = [("cookie", made_up.as_str()), ("x-csrf-token", "x")];
                    let answer = nobody.call("POST", "/api/requests", &headers, b"{}");
                    (answer, &[401, 403, 429][..])
                }
                // A person who is signed in works on, from the same address.
                _ => (
                    nobody.get_with("/api/me", &[("cookie", &cookie)]),
                    &[200][..],
                ),
            };
            assert!(expected.contains(&answer.status), "{n}: {}", answer.raw());
            n += 1;
        }
        assert!(n > 30, "{n}");
    });
    // Nothing of it was stored or asked of the provider, and it is a row an address and minute at most.
    assert_eq!(rows(), 1);
    assert_eq!(h.idp.exchanges().len(), asked);
    h.s.minute();
    let failures = h.s.events("event_type=auth.failures");
    assert!((1..=8).contains(&failures.len()), "{failures:?}");
    // Nor do those who may sign in fill the table.
    h.s.turn_only(120);
    for _ in 0..SIGN_INS {
        h.sign_in("ann");
    }
    assert_eq!(rows(), i64::try_from(SESSIONS_MAX).unwrap());
}
