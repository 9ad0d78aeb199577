//! Slow or absent insides, slow readers, and the caps.

use super::rig::{Peer, Rig, eventually, limits};
use dbward::gate::GateLimits;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[test]
fn slow_reader_holds_no_worker_and_is_cut_off() {
    let rig = Rig::start(1, limits());
    let mut peer = rig.client();
    peer.ask("/big?20000000");
    eventually("the call under way", || rig.seen() == 1);
    rig.is_alive();
    rig.forgets_everybody();
    let mut read = Vec::new();
    let ended = peer.stream.read_to_end(&mut read);
    assert!(ended.is_err() || read.len() < 20_000_000);
}

#[test]
fn large_answers_arrive_whole() {
    let rig = Rig::start(2, GateLimits::default());
    let mut peer = rig.client();
    for bytes in [0, 1, 900, 4000, 16 << 10, 100_000, 5_000_000] {
        assert_eq!(peer.get(&format!("/big?{bytes}")).body.len(), bytes);
    }
}

#[test]
fn stuck_workers_are_reported_as_stuck_and_recover() {
    let rig = Rig::start(2, limits());
    let mut stuck: Vec<Peer> = (0..4)
        .map(|_| {
            let mut peer = rig.client();
            peer.ask("/stuck");
            peer
        })
        .collect();
    eventually("both workers stuck", || {
        rig.app.stuck.load(Ordering::SeqCst) == 2
    });
    eventually("all inner connections lent", || rig.gate.in_flight() == 4);
    let start = Instant::now();
    rig.get("/ping").is_error(503);
    assert!(start.elapsed() >= limits().acquire);
    assert_eq!(
        rig.get("/health").status,
        200,
        "answered by the gate itself"
    );
    for peer in &mut stuck {
        peer.answer().is_error(504);
    }
    assert_eq!(rig.metrics.gate_backend_lost.value(&[]), 4);
    rig.get("/ping").is_error(503);
    rig.app.set_open(true);
    eventually("recovery", || rig.get("/ping").status == 200);
    rig.is_alive();
    // The connections of the calls that failed are as good as any.
    for peer in &mut stuck {
        assert_eq!(peer.get("/ping").body, "pong");
    }
}

#[test]
fn bodies_and_answers_over_the_common_budget_are_refused() {
    let rig = Rig::start(
        2,
        GateLimits {
            stranger_bodies_bytes_max: 1 << 20,
            answers_bytes_max: 1 << 20,
            ..limits()
        },
    );
    let mut peer = rig.client();
    peer.say("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    let _ = peer.stream.write_all(&vec![b'x'; 3_000_000]);
    peer.answer().is_error(503);
    rig.get("/big?3000000").is_error(503);
    assert_eq!(rig.get("/big?500000").body.len(), 500_000);
    let mut peer = rig.client();
    peer.say("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    peer.say(vec![b'x'; 500_000]);
    assert_eq!(peer.answer().body, "500000", "the budget was given back");
    rig.is_alive();
}

#[test]
fn three_hundred_idle_connections_are_not_a_burden() {
    let rig = Rig::start(2, limits());
    let idle: Vec<Peer> = (0..300).map(|_| rig.client()).collect();
    eventually("all seated", || rig.gate.connections() == 300);
    rig.is_alive();
    drop(idle);
    rig.forgets_everybody();
}

#[test]
fn a_full_queue_is_reported_at_once() {
    let rig = Rig::build(2, 1, limits(), false);
    let mut stuck: Vec<Peer> = Vec::new();
    for n in 1..=2 {
        let mut peer = rig.client();
        peer.ask("/stuck");
        stuck.push(peer);
        eventually("a stuck worker", || {
            rig.app.stuck.load(Ordering::SeqCst) == n
        });
    }
    // There is room for one of these two; which of them gets it is not ours to say.
    let mut two = [rig.client(), rig.client()];
    for peer in &mut two {
        peer.ask("/ping");
    }
    let start = Instant::now();
    let mut refused = None;
    eventually("a refusal", || {
        refused = (0..2).find(|n| two[*n].answers_within(Duration::from_millis(20)));
        refused.is_some()
    });
    assert!(start.elapsed() < Duration::from_secs(1));
    let refused = refused.unwrap();
    let got = two[refused].answer();
    got.is_error(503);
    assert!(got.body.contains("too much to do"), "{}", got.body);
    assert!(rig.metrics.queue_full.value(&[]) > 0);
    rig.app.set_open(true);
    assert_eq!(two[1 - refused].answer().body, "pong");
    rig.is_alive();
}

#[test]
fn an_idle_connection_is_closed_quietly_after_its_time() {
    let hasty = GateLimits {
        first_byte: Duration::from_millis(150),
        idle: Duration::from_millis(300),
        ..limits()
    };
    let rig = Rig::start(2, hasty);
    let start = Instant::now();
    let mut silent = rig.client();
    let mut served = rig.client();
    assert_eq!(served.get("/ping").body, "pong");
    silent.is_closed();
    assert!(start.elapsed() < Duration::from_millis(300));
    served.is_closed();
    assert!(start.elapsed() >= Duration::from_millis(300));
    rig.forgets_everybody();
}

#[test]
fn the_backend_answers_nobody_but_the_gate() {
    let rig = Rig::start(2, limits());
    let socket = rig.listener.as_ref().unwrap().socket();
    for key in ["", "x-internal-key: 0123456789abcdef0123456789abcdef\r\n"] {
        for path in ["/ping", "/-/noop"] {
            let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            let call = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{key}Connection: close\r\n\r\n");
            stream.write_all(call.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        }
    }
    assert_eq!(rig.seen(), 0);
    assert_eq!(rig.get("/-/noop").status, 404, "a path like any other");
    rig.is_alive();
}
