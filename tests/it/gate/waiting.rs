//! Long-polls: woken, ended, left alone, given up.

use super::rig::{PATIENCE, Peer, Rig, eventually, limits};
use dbward::gate::{GateLimits, Wake};
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_poll_is_woken_by_its_event_only() {
    let rig = Rig::start(1, limits());
    let mut peers: Vec<Peer> = (0..10).map(|_| rig.client()).collect();
    for peer in &mut peers {
        peer.ask("/wait");
    }
    eventually("ten parked", || rig.hub.parked() == 10);
    rig.is_alive();
    // Not ready yet: they look again and go back to waiting, with what they noted at first.
    rig.hub.publish("ready", Wake::All);
    eventually("a second look each", || rig.seen() == 21);
    eventually("parked again", || rig.hub.parked() == 10);
    rig.app.ready.store(true, Ordering::SeqCst);
    let start = Instant::now();
    rig.hub.publish("ready", Wake::All);
    for peer in &mut peers {
        assert_eq!(peer.answer().body, "Some(Event) memo=as it was");
    }
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn poll_ends_at_its_first_deadline_by_the_turned_clock() {
    let rig = Rig::start(1, limits());
    let mut peer = rig.client();
    peer.ask("/wait?120000");
    eventually("parked", || rig.hub.parked() == 1);
    rig.clock.turn(Duration::from_secs(70));
    rig.hub.publish("ready", Wake::All);
    eventually("a second look", || rig.seen() == 2);
    eventually("parked again", || rig.hub.parked() == 1);
    let left = rig.app.seen.lock().unwrap()[1].resume.clone().unwrap().left;
    assert!(
        left <= Duration::from_secs(50) && left > Duration::from_secs(40),
        "{left:?}"
    );
    // The second park asks for two minutes again; the deadline of the first stands.
    rig.clock.turn(Duration::from_secs(51));
    assert_eq!(peer.answer().body, "Some(Deadline) memo=as it was");
}

#[test]
fn draining_still_serves_and_closes_after_each_answer() {
    let rig = Rig::start(1, limits());
    let mut poll = rig.client();
    poll.ask("/wait");
    let mut idle = rig.client();
    assert_eq!(idle.get("/ping").body, "pong");
    eventually("parked", || rig.hub.parked() == 1);
    eventually("only the poll under way", || rig.gate.in_flight() == 1);
    rig.gate.drain();
    let got = poll.answer();
    assert_eq!(got.body, "Some(Shutdown) memo=as it was");
    assert_eq!(got.field("connection"), Some("close"));
    poll.is_closed();
    assert_eq!(idle.get("/ping").field("connection"), Some("close"));
    let late = rig.get("/wait");
    assert_eq!(late.body, "Some(Shutdown) memo=as it was");
    eventually("nothing under way", || rig.gate.in_flight() == 0);
}

#[test]
fn stopping_closes_idle_answers_busy_and_refuses_new_connections() {
    let rig = Rig::start(2, limits());
    let mut idle: Vec<Peer> = (0..20).map(|_| rig.client()).collect();
    assert_eq!(idle[0].get("/ping").body, "pong");
    let mut poll = rig.client();
    poll.ask("/wait");
    let mut busy = rig.client();
    busy.ask("/stuck");
    let mut halfway = rig.client();
    halfway.say("GET /ping HTTP/1.1\r\nHost:");
    eventually("all under way", || {
        rig.hub.parked() == 1 && rig.app.stuck.load(Ordering::SeqCst) == 1
    });
    eventually("all seated, and half a head read", || {
        rig.gate.connections() == 23 && rig.gate.idle_connections() == 20
    });
    thread::scope(|s| {
        let stopped = s.spawn(|| rig.gate.stop(PATIENCE));
        for peer in &mut idle {
            peer.is_closed();
        }
        assert_eq!(poll.answer().body, "Some(Shutdown) memo=as it was");
        assert!(TcpStream::connect(rig.gate.local_addr()).is_err());
        halfway.say(" a\r\n\r\n");
        assert_eq!(halfway.answer().body, "pong");
        rig.app.set_open(true);
        assert_eq!(busy.answer().body, "done");
        drop((poll, halfway, busy));
        assert_eq!(stopped.join().unwrap(), 0, "nobody was cut off");
    });
}

#[test]
fn stuck_server_stops_within_the_allowed_time() {
    let rig = Rig::start(2, GateLimits::default());
    assert_eq!(rig.get("/ping").status, 200);
    let mut quiet = rig.client();
    let start = Instant::now();
    assert_eq!(rig.gate.stop(PATIENCE), 0);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    quiet.is_closed();

    let rig = Rig::start(2, limits());
    let mut busy = rig.client();
    busy.ask("/stuck");
    eventually("stuck", || rig.app.stuck.load(Ordering::SeqCst) == 1);
    assert_eq!(rig.gate.stop(Duration::from_millis(50)), 1);
    rig.app.set_open(true);
}

#[test]
fn a_poll_whose_client_leaves_is_forgotten() {
    let rig = Rig::start(1, limits());
    let mut peers: Vec<Peer> = (0..20).map(|_| rig.client()).collect();
    for peer in &mut peers {
        // A pipelined byte must not hide that the client has left.
        peer.ask("/wait").say("G");
    }
    eventually("parked", || rig.hub.parked() == 20);
    for peer in &peers[..10] {
        peer.stream.shutdown(Shutdown::Write).unwrap();
    }
    drop(peers);
    eventually("all forgotten", || rig.hub.parked() == 0);
    rig.forgets_everybody();
    assert_eq!(rig.seen(), 20, "nobody was asked again");
    rig.is_alive();
}

#[test]
fn a_call_whose_client_leaves_gives_its_worker_back() {
    let patient = GateLimits {
        acquire: PATIENCE,
        ..limits()
    };
    let rig = Rig::start(1, patient);
    let mut peer = rig.client();
    peer.ask("/stuck");
    eventually("stuck", || rig.app.stuck.load(Ordering::SeqCst) == 1);
    drop(peer);
    rig.app.set_open(true);
    rig.forgets_everybody();
    assert_eq!(rig.metrics.gate_backend_lost.value(&[]), 0);
    rig.is_alive();
}

#[test]
fn job_wakes_one_poll_that_is_still_there() {
    // A long tick: the hub finds out that a client has left only when it wakes it.
    let slow = GateLimits {
        tick: PATIENCE,
        ..limits()
    };
    let rig = Rig::start(2, slow);
    let mut peers: Vec<Peer> = Vec::new();
    for n in 1..=4 {
        let mut peer = rig.client();
        peer.ask("/jobs");
        peers.push(peer);
        eventually("in line", || rig.hub.parked() == n);
    }
    let mut last = peers.pop().unwrap();
    let mut third = peers.pop().unwrap();
    drop(peers);
    rig.app.jobs.lock().unwrap().push_back("job 1".to_owned());
    rig.hub.publish("jobs", Wake::One);
    assert_eq!(third.answer().body, "job 1");
    eventually("one left in line", || rig.hub.parked() == 1);
    last.stream.set_nonblocking(true).unwrap();
    assert!(
        last.stream.read(&mut [0]).is_err(),
        "the last one still waits"
    );
    last.stream.set_nonblocking(false).unwrap();
    rig.hub.publish("jobs", Wake::One);
    assert_eq!(last.answer().body, "job 1");
}

#[test]
fn polls_over_the_cap_are_answered_at_once() {
    let rig = Rig::start(
        2,
        GateLimits {
            parked_max: 5,
            parked_per_token_max: 2,
            ..limits()
        },
    );
    let ask = |token: usize| {
        let mut peer = rig.client();
        peer.say(format!(
            "GET /wait HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        peer
    };
    let mut parked = vec![ask(1), ask(1)];
    eventually("two of one token", || rig.hub.parked() == 2);
    assert_eq!(ask(1).answer().body, "Some(Full) memo=as it was");
    parked.extend([ask(2), ask(2), ask(3)]);
    eventually("five in all", || rig.hub.parked() == 5);
    assert_eq!(ask(4).answer().body, "Some(Full) memo=as it was");
    drop(parked);
    rig.forgets_everybody();
}

#[test]
fn five_hundred_polls_are_woken_at_once() {
    let roomy = GateLimits {
        parked_per_token_max: 1000,
        reply: PATIENCE,
        acquire: PATIENCE,
        tick: Duration::from_secs(1),
        ..limits()
    };
    let rig = Rig::start(4, roomy);
    let mut peers: Vec<Peer> = (0..500).map(|_| rig.client()).collect();
    for peer in &mut peers {
        peer.ask("/wait");
    }
    eventually("all parked", || rig.hub.parked() == 500);
    rig.app.ready.store(true, Ordering::SeqCst);
    let start = Instant::now();
    rig.hub.publish("ready", Wake::All);
    for peer in &mut peers {
        assert_eq!(peer.answer().status, 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn thousand_events_of_one_client_reach_anothers_poll() {
    let rig = Rig::start(2, GateLimits::default());
    let mut peer = rig.client();
    for _ in 0..1000 {
        rig.app.ready.store(false, Ordering::SeqCst);
        peer.ask("/wait");
        // Somewhere between reading, looking and parking: wherever it falls, it must be noticed.
        rig.app.ready.store(true, Ordering::SeqCst);
        rig.hub.publish("ready", Wake::One);
        let start = Instant::now();
        assert_eq!(peer.answer().status, 200);
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "a wake-up was lost"
        );
    }
}
