//! What has come since the first attacks: the routes of Slack, and receivers of notifications that never answer.

use super::{SELECT, during};
use crate::support::{DELIVERS, FakeSlack, SHOP, Server};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
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

#[test]
fn attack_receivers_that_never_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let hooks: String = (0..16)
        .map(|n| format!("[[webhooks]]\nid = \"hook-{n}\"\nurl = \"http://127.0.0.1:{port}/\"\n"))
        .collect();
    let mail = format!(
        "[[users]]\nid = \"approver\"\nemail = \"approver@example.com\"\n[email]\nserver = \"127.0.0.1\"\nport = {port}\n\
         security = \"none\"\nfrom = \"dbward <dbward@example.com>\"\n"
    );
    let s = Server::with(&format!(
        "shutdown_grace_secs = 0\n{SHOP}{DELIVERS}{hooks}{mail}"
    ));
    let requester = s.requester();
    during(&s, "receivers that never answer", |goes_on| {
        while goes_on() {
            let made: Vec<_> = (0..REQUESTS)
                .map(|_| requester.submit("production", SELECT))
                .collect();
            for request in made {
                requester.cancel(&request).is(200);
            }
        }
    });
    let page = String::from_utf8(s.admin().get("/metrics").is(200).body).unwrap();
    assert!(
        page.contains("dbward_outbox_current{status=\"pending\"}"),
        "{page}"
    );
}
