//! What is a request and what is not, and what is answered to it.

use super::rig::{Rig, limits};
use std::io::Write;

#[test]
fn no_framing_fault_becomes_a_second_request() {
    let rig = Rig::start(2, limits());
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = |fields: &str| format!("POST /ping HTTP/1.1\r\nHost: a\r\n{fields}\r\n{smuggled}");
    for (text, status) in [
        (post("X: 1\r\n Transfer-Encoding: chunked\r\n"), 400),
        (
            post("Transfer-Encoding: junk\r\nContent-Length: 40\r\n"),
            400,
        ),
        (
            post("Transfer-Encoding: chunked\r\nContent-Length: 40\r\n"),
            400,
        ),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 400),
        (post("Content-Length: +5\r\n"), 400),
        (post("Content-Length: 30x\r\n"), 400),
        (post("Content-Length: 5, 5\r\n"), 400),
        (post("Content-Length: 5\r\nContent-Length: 40\r\n"), 400),
        (post("X: a\n"), 400),
        (post("X: a\rb\r\n"), 400),
        (post("X: \0\r\n"), 400),
        (post("X: \u{e9}\r\n"), 400),
        (post("Host : a\r\n"), 400),
        (post("Expect: everything\r\n"), 417),
        (
            format!("GET /a\x1b HTTP/1.1\r\nHost: a\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n{smuggled}"),
            400,
        ),
        (format!("GET /ping HTTP/1.1\n Host: a\n\n{smuggled}"), 400),
        (format!("GET /ping HTTP/1.1\r\n\r\n{smuggled}"), 400),
        (
            format!("GET http://a/ping HTTP/1.1\r\nHost: a\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("\r\nGET /ping HTTP/1.1\r\nHost: a\r\n\r\n{smuggled}"),
            400,
        ),
        (
            format!("GET /ping HTTP/1.1 \r\nHost: a\r\n\r\n{smuggled}"),
            400,
        ),
        (format!("GET /ping\r\n\r\n{smuggled}"), 400),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)),
            414,
        ),
        (post(&"X: 1\r\n".repeat(101)), 431),
        (post(&format!("X: {}\r\n", "x".repeat(33 * 1024))), 431),
        (
            post("Transfer-Encoding: chunked\r\n").replace("GET /smug", "zz\r\n"),
            400,
        ),
    ] {
        let mut peer = rig.client();
        let _ = peer.stream.write_all(text.as_bytes());
        peer.answer().is_error(status);
        peer.is_closed();
    }
    assert_eq!(rig.seen(), 0);
    rig.is_alive();
    rig.forgets_everybody();
}

#[test]
fn bodies_arrive_whole_however_they_are_framed_and_cut() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.say("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello");
    peer.say(" world");
    assert_eq!(peer.answer().body, "11");
    peer.say("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    peer.say("lo\r\n0\r\n\r\nGET /ping HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.answer().body, "5");
    assert_eq!(peer.answer().body, "pong");
    // Larger than every buffer on the way, so that the backend must read while we send.
    let body = vec![b'b'; 3 << 20];
    let length = body.len();
    peer.say(format!(
        "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    peer.say(&body);
    assert_eq!(peer.answer().body, length.to_string());
    peer.say("POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(100_000) {
        peer.say(format!("{:x}\r\n", piece.len()))
            .say(piece)
            .say("\r\n");
    }
    peer.say("0\r\n\r\n");
    assert_eq!(peer.answer().body, length.to_string());
}

#[test]
fn body_is_asked_for_only_if_it_will_be_read() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.say(
        "POST /length HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(peer.answer().status, 100);
    peer.say("hello");
    assert_eq!(peer.answer().body, "5");
    peer.say(
        "POST /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n",
    );
    peer.answer().is_error(413);
    peer.is_closed();
    let mut peer = rig.client();
    peer.say("POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n");
    let _ = peer.stream.write_all(&[b'x'; 0xfff]);
    peer.answer().is_error(413);
    assert_eq!(rig.seen(), 1);
}

#[test]
fn an_oversize_call_reaches_the_application_as_a_head() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.say("POST /oversize HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    peer.say([b'x'; 100]);
    assert_eq!(peer.answer().body, "100 None");
    peer.say("POST /oversize HTTP/1.1\r\nHost: a\r\nContent-Length: 12345678\r\n\r\nabc");
    let got = peer.answer();
    assert_eq!(got.body, "0 Some(12345678)");
    assert_eq!(got.field("connection"), Some("close"));
    peer.is_closed();
    let mut peer = rig.client();
    peer.say("POST /oversize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n");
    let _ = peer.stream.write_all(&[b'x'; 0xfff]);
    assert_eq!(peer.answer().body, "0 Some(101)");
    rig.is_alive();
}

#[test]
fn the_gates_own_fields_cannot_be_forged() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.say(
        "GET /wait?50 HTTP/1.1\r\nHost: a\r\nx-internal-key: 0\r\nX-INTERNAL-RESUME: shutdown\r\n\
         x-internal-peer: 1.2.3.4\r\nx-internal-oversize: 7\r\nx-internal-id: forged\r\nX-Request-Id: mine\r\n\r\n",
    );
    let got = peer.answer();
    assert_eq!(
        got.body, "Some(Deadline) memo=as it was",
        "it really waited"
    );
    assert_eq!(got.field("x-request-id"), Some("mine"));
    let seen = rig.app.seen.lock().unwrap();
    assert!(seen[0].resume.is_none());
    assert_eq!(seen[0].peer, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(seen[0].request_id, "mine");
    assert_eq!(seen[0].oversize, None);
    assert_eq!(seen[0].headers, [("host".to_owned(), "a".to_owned())]);
}

#[test]
fn what_the_backend_may_not_say_is_not_passed_on() {
    let rig = Rig::start(2, limits());
    let got = rig.get("/inject");
    got.is_error(500);
    assert!(!got.head.contains("set-cookie"));
    let got = rig.get("/panic");
    got.is_error(500);
    assert!(got.body.contains("internal error"));
    assert_eq!(rig.metrics.call_panics.value(&[]), 1);
    let got = rig.get("/ping");
    assert_eq!(got.body, "pong");
    assert!(
        !got.head.to_ascii_lowercase().contains("tiny"),
        "{}",
        got.head
    );
    assert!(!got.head.contains("x-internal"));
}

#[test]
fn head_and_bodiless_statuses_keep_the_connection_in_step() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.say("HEAD /big?5000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let got = peer.read_answer(true);
    assert_eq!(
        (got.status, got.field("content-length")),
        (200, Some("5000"))
    );
    for status in [204, 304] {
        let got = peer.get(&format!("/{status}"));
        assert_eq!((got.status, got.field("content-length")), (status, None));
    }
    peer.say("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.read_answer(true).field("content-length"), Some("15"));
    peer.say("HEAD /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.read_answer(true).status, 200, "a HEAD never waits");
    assert_eq!(peer.get("/ping").body, "pong");
}

#[test]
fn the_connection_field_tells_the_truth() {
    let rig = Rig::start(2, limits());
    let ask = |version: &str, field: &str| {
        let mut peer = rig.client();
        peer.say(format!(
            "GET /ping HTTP/{version}\r\nHost: a\r\n{field}\r\n"
        ));
        let got = peer.answer();
        let reported = got.field("connection").unwrap().to_owned();
        if reported == "close" {
            peer.is_closed();
        } else {
            assert_eq!(peer.get("/ping").body, "pong");
        }
        reported
    };
    assert_eq!(ask("1.1", ""), "keep-alive");
    assert_eq!(ask("1.1", "Connection: close\r\n"), "close");
    assert_eq!(ask("1.0", ""), "close");
    assert_eq!(ask("1.0", "Connection: keep-alive\r\n"), "keep-alive");
}
