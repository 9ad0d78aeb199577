//! Every known way to stop the backend listener.

use super::rig::{PATIENCE, Peer, Rig, eventually, limits};
use dbward::gate::{GateLimits, Wake};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn an_enormous_length_is_refused_before_a_byte_of_it() {
    let rig = Rig::start(2, limits());
    for length in [
        "2000000000",
        "9000000000000000000",
        "18446744073709551615",
        "99999999999999999999999",
    ] {
        let mut peer = rig.client();
        peer.say(format!(
            "POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc"
        ));
        peer.answer().is_error(413);
        peer.is_closed();
    }
    assert_eq!(rig.seen(), 0);
    rig.is_alive();
    rig.forgets_everybody();
}

#[test]
fn forty_clients_at_once_are_all_served_five_times() {
    const CLIENTS: usize = 40;
    for _ in 0..5 {
        let rig = Rig::start(2, GateLimits::default());
        let barrier = Barrier::new(CLIENTS);
        thread::scope(|s| {
            for _ in 0..CLIENTS {
                s.spawn(|| {
                    barrier.wait();
                    let mut peer = rig.client();
                    for _ in 0..3 {
                        assert_eq!(peer.get("/ping").body, "pong");
                    }
                    // Nobody leaves before all have been served.
                    barrier.wait();
                });
            }
        });
        assert_eq!(rig.seen(), CLIENTS * 3);
        rig.forgets_everybody();
    }
}

#[test]
fn other_versions_leave_no_thread() {
    let rig = Rig::start(2, limits());
    for n in 0..20 {
        let mut peer = rig.client();
        if n % 2 == 0 {
            peer.say("GET /ping HTTP/2.0\r\nHost: a\r\n\r\n");
        } else {
            peer.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        }
        peer.answer().is_error(505);
        peer.is_closed();
    }
    assert_eq!(rig.seen(), 0);
    rig.is_alive();
    rig.forgets_everybody();
}

/// The server side of the next test, in a process of its own: it may open few files only.
#[test]
fn few_files_child() {
    if std::env::var_os("DBWARD_TEST_FEW_FILES").is_none() {
        return;
    }
    let files = rustix::process::Rlimit {
        current: Some(80),
        maximum: Some(80),
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, files).unwrap();
    let rig = Rig::start(2, limits());
    println!("listening {}", rig.gate.local_addr());
    // Ends when the parent closes our input.
    let _ = std::io::stdin().read(&mut [0]);
    assert!(rig.metrics.gate_refused.value(&["accept_failed"]) > 0);
    println!("had no files left");
}

#[test]
fn running_out_of_files_does_not_end_accepting() {
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            &format!("{module}::few_files_child"),
            "--exact",
            "--nocapture",
        ])
        .env("DBWARD_TEST_FEW_FILES", "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address: SocketAddr = lines
        .find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("listening ")?.1.parse().unwrap())
        })
        .unwrap();
    let crowd: Vec<Peer> = (0..120).map(|_| Peer::connect(address)).collect();
    let mut before = Peer::connect(address);
    before.ask("/ping");
    // No file is free for it: no answer comes.
    before
        .stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(before.stream.read(&mut [0; 16]).is_err());
    drop(crowd);
    before.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(before.answer().body, "pong");
    assert_eq!(Peer::connect(address).get("/health").status, 200);
    drop(child.stdin.take());
    assert!(lines.any(|line| line.unwrap().contains("had no files left")));
    assert!(child.wait().unwrap().success());
}

#[test]
fn announced_bodies_that_never_come_hold_no_worker() {
    let rig = Rig::start(2, limits());
    let mut slow: Vec<Peer> = (0..8)
        .map(|_| {
            let mut peer = rig.client();
            peer.say("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nfew");
            peer
        })
        .collect();
    eventually("eight calls under way", || rig.gate.in_flight() == 8);
    rig.is_alive();
    for peer in &mut slow {
        peer.answer().is_error(408);
        peer.is_closed();
    }
    assert_eq!(rig.seen(), 1, "only the ping");
    rig.forgets_everybody();
}

#[test]
fn calls_pipelined_after_a_poll_wait_without_a_worker() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.ask("/wait");
    for _ in 0..4 {
        peer.ask("/ping");
    }
    eventually("a parked poll", || rig.hub.parked() == 1);
    for _ in 0..10 {
        rig.is_alive();
    }
    rig.app.ready.store(true, Ordering::SeqCst);
    rig.hub.publish("ready", Wake::All);
    assert_eq!(peer.answer().body, "Some(Event) memo=as it was");
    for _ in 0..4 {
        assert_eq!(peer.answer().body, "pong");
    }
    drop(peer);
    rig.forgets_everybody();
}

#[test]
fn flood_of_calls_whose_answers_nobody_reads_stops_in_network() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let flood = "GET /big?5000 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    let mut sent = 0;
    let mut refused = false;
    while sent < 64 << 20 && !refused {
        match peer.stream.write(flood.as_bytes()) {
            Ok(n) => sent += n,
            Err(_) => refused = true,
        }
    }
    assert!(refused, "{sent} bytes of requests were taken");
    rig.is_alive();
    drop(peer);
    rig.forgets_everybody();
}

#[test]
fn a_head_that_trickles_or_never_ends_is_refused() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    peer.stream
        .set_read_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    let start = Instant::now();
    // One byte whenever nothing has come back for 30 ms.
    while peer.stream.write(b"x").is_ok() && peer.stream.peek(&mut [0]).is_err() {
        assert!(start.elapsed() < PATIENCE);
    }
    peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.answer().is_error(408);
    assert!(start.elapsed() < Duration::from_secs(2));

    let mut peer = rig.client();
    peer.say("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let _ = peer.stream.write_all(&[b'x'; 40 * 1024]);
    peer.answer().is_error(431);
    assert_eq!(rig.seen(), 0);
    rig.is_alive();
    rig.forgets_everybody();
}

#[test]
fn a_body_that_trickles_is_refused() {
    let rig = Rig::start(2, limits());
    for head in [
        "Content-Length: 5000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfff\r\n",
    ] {
        let mut peer = rig.client();
        peer.say(format!("POST /length HTTP/1.1\r\nHost: a\r\n{head}"));
        peer.stream
            .set_read_timeout(Some(Duration::from_millis(30)))
            .unwrap();
        let start = Instant::now();
        while peer.stream.write(b"x").is_ok() && peer.stream.peek(&mut [0]).is_err() {
            assert!(start.elapsed() < PATIENCE);
        }
        peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.answer().is_error(408);
    }
    assert_eq!(rig.seen(), 0);
    rig.is_alive();
}

#[test]
fn two_hundred_resets_right_after_connecting_change_nothing() {
    let rig = Rig::start(2, limits());
    for n in 0..200 {
        let mut peer = rig.client();
        if n % 2 == 0 {
            peer.ask("/ping");
        }
        rustix::net::sockopt::set_socket_linger(&peer.stream, Some(Duration::ZERO)).unwrap();
    }
    rig.is_alive();
    rig.forgets_everybody();
}

#[test]
fn answers_of_some_kilobytes_are_not_delayed_on_keep_alive() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    let mut times: Vec<Duration> = (0..30)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(peer.get("/big?1500").body.len(), 1500);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    assert!(times[15] < Duration::from_millis(20), "{:?}", times[15]);
}
