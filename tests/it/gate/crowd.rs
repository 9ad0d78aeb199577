//! Strangers, crowds and greedy tokens: nobody uses up what others need.

use super::rig::{PATIENCE, Peer, Rig, eventually, limits};
use dbward::gate::GateLimits;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

fn post(path: &str, token: &str, length: usize) -> String {
    let who = match token {
        "" => String::new(),
        token => format!("Authorization: {token}\r\n"),
    };
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{who}Content-Length: {length}\r\n\r\n")
}

fn get(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n")
}

/// A connection from another address of this machine.
fn from(last: u8, to: SocketAddr) -> Peer {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Peer {
        stream,
        rest: Vec::new(),
    }
}

#[test]
fn nobody_without_credentials_has_a_body_read() {
    let rig = Rig::start(2, limits());
    for length in [1, 5000, 3 * MIB] {
        let mut peer = rig.client();
        // Not one byte of the body is sent: the answer comes from the head.
        peer.say(post("/unread", "", length));
        assert_eq!(peer.answer().status, 401);
        peer.is_closed();
    }
    let mut peer = rig.client();
    peer.say("POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(peer.answer().status, 401);
    let mut waiting = rig.client();
    let head = post("/unread", "", 10).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    waiting.say(head);
    assert_eq!(waiting.answer().status, 401, "no 100 before it");
    rig.is_alive();
    rig.forgets_everybody();
}

#[test]
fn small_body_that_came_with_its_head_keeps_the_connection() {
    let rig = Rig::start(2, limits());
    let mut peer = rig.client();
    for _ in 0..3 {
        peer.say(post("/unread", "", 5) + "12345");
        assert_eq!(peer.answer().status, 401);
    }
    assert_eq!(peer.get("/ping").body, "pong");
}

#[test]
fn strangers_cannot_use_up_the_budget_of_results() {
    let small = GateLimits {
        stranger_bodies_bytes_max: MIB,
        bodies_bytes_max: MIB,
        bodies_per_token_max: MIB,
        result_bodies_bytes_max: 4 * MIB,
        body: PATIENCE,
        ..limits()
    };
    let rig = Rig::start(2, small);
    let mut held = Vec::new();
    for token in ["", "", "Bearer one", "Bearer two"] {
        let mut peer = rig.client();
        peer.say(post("/length", token, 2 * MIB));
        let _ = peer.stream.write_all(&vec![b'x'; 900_000]);
        held.push(peer);
    }
    for _ in 0..20 {
        let mut agent = rig.client();
        agent.say(post("/results", "Bearer agent-1", MIB));
        agent.say(vec![b'x'; MIB]);
        assert_eq!(agent.answer().body, format!("{MIB} None"));
    }
    rig.is_alive();
}

#[test]
fn one_token_cannot_use_up_the_budget_of_all() {
    let small = GateLimits {
        bodies_bytes_max: 8 * MIB,
        bodies_per_token_max: MIB,
        body: PATIENCE,
        ..limits()
    };
    let rig = Rig::start(2, small);
    let mut greedy = rig.client();
    greedy.say(post("/length", "Bearer greedy", 2 * MIB));
    let _ = greedy.stream.write_all(&vec![b'x'; 2 * MIB]);
    let refused = greedy.answer();
    refused.is_error(429);
    assert!(
        refused.body.contains("\"too_many_bytes\""),
        "{}",
        refused.body
    );
    let mut other = rig.client();
    other.say(post("/length", "Bearer other", 600_000));
    other.say(vec![b'x'; 600_000]);
    assert_eq!(other.answer().body, "600000");
}

#[test]
fn an_early_answer_to_a_result_waits_for_its_body() {
    let small = GateLimits {
        result_bodies_bytes_max: 0,
        drained_bytes_max: 16 * MIB as u64,
        body: PATIENCE,
        ..limits()
    };
    let rig = Rig::start(2, small);
    let mut agent = rig.client();
    // The budget is used up: refused, after the body, on a connection that goes on.
    agent.say(post("/results", "Bearer agent-1", 2 * MIB));
    agent.say(vec![b'x'; 2 * MIB]);
    agent.answer().is_error(503);
    // Too large: the head is delivered, after the body.
    agent.say(post("/results", "Bearer agent-1", 9 * MIB));
    agent.say(vec![b'x'; 9 * MIB]);
    assert_eq!(agent.answer().body, format!("0 Some({})", 9 * MIB));
    // The same in chunks, whose end nothing but the body shows.
    agent.say(
        "POST /results HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer agent-1\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    for _ in 0..9 {
        agent.say(format!("{MIB:x}\r\n"));
        agent.say(vec![b'x'; MIB]);
        agent.say("\r\n");
    }
    agent.say("0\r\n\r\n");
    let answer = agent.answer();
    assert!(
        answer.status == 503 || answer.body.starts_with("0 Some("),
        "{}",
        answer.body
    );
    assert_eq!(agent.get("/ping").body, "pong");
    // A client that sends more than the limit is cut off.
    let mut endless = rig.client();
    endless.say(post("/results", "Bearer agent-1", 64 * MIB));
    let _ = endless.stream.write_all(&vec![b'x'; 17 * MIB]);
    assert_eq!(endless.answer().status, 200);
    rig.is_alive();
}

#[test]
fn token_has_its_calls_under_way_however_it_is_written() {
    let few = GateLimits {
        calls_per_token_max: 2,
        ..limits()
    };
    let rig = Rig::start(4, few);
    let mut stuck = Vec::new();
    for written in ["Bearer one", "bEARER   one"] {
        let mut peer = rig.client();
        peer.say(get("/stuck", written));
        stuck.push(peer);
    }
    eventually("two under way", || {
        rig.app.stuck.load(Ordering::SeqCst) == 2
    });
    for written in ["Bearer one", "BEARER one ", "Bearer \t one"] {
        let mut peer = rig.client();
        peer.say(get("/ping", written));
        let refused = peer.answer();
        refused.is_error(429);
        assert!(
            refused.body.contains("\"too_many_calls\""),
            "{}",
            refused.body
        );
        // Nothing was read of it, and nothing has to be: the connection goes on.
        peer.say(get("/ping", "Bearer two"));
        assert_eq!(peer.answer().body, "pong");
    }
    let mut agent = rig.client();
    agent.say(post("/results", "Bearer agent-1", 3) + "abc");
    assert_eq!(agent.answer().body, "3 None", "results do not count");
    rig.app.set_open(true);
    for peer in &mut stuck {
        assert_eq!(peer.answer().body, "done");
    }
    rig.is_alive();
}

#[test]
fn parked_calls_are_not_calls_under_way() {
    let few = GateLimits {
        calls_per_token_max: 1,
        parked_per_token_max: 3,
        ..limits()
    };
    let rig = Rig::start(2, few);
    let mut parked = Vec::new();
    for (n, written) in ["Bearer one", "bearer one", "Bearer  one"]
        .iter()
        .enumerate()
    {
        let mut peer = rig.client();
        peer.say(get("/wait", written));
        parked.push(peer);
        eventually("parked", || rig.hub.parked() == n + 1);
    }
    let mut fourth = rig.client();
    fourth.say(get("/wait", "BEARER one"));
    assert_eq!(fourth.answer().body, "Some(Full) memo=as it was");
    fourth.say(get("/ping", "Bearer one"));
    assert_eq!(fourth.answer().body, "pong");
    drop((parked, fourth));
    rig.forgets_everybody();
}

#[test]
fn silent_connections_from_everywhere_deny_nothing() {
    let small = GateLimits {
        connections_max: 64,
        ..limits()
    };
    let rig = Rig::build(2, 64, small, false);
    let address = rig.gate.local_addr();
    let mut silent = Vec::new();
    for last in 2..=5 {
        for _ in 0..64 {
            silent.push(from(last, address));
            assert!(rig.gate.connections() <= 64 + 256);
        }
        let start = Instant::now();
        rig.is_alive();
        assert_eq!(rig.get("/always").body, "pong");
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn unfinished_heads_leave_places_for_always_served_routes() {
    let small = GateLimits {
        connections_max: 16,
        anteroom_max: 4,
        head: PATIENCE,
        anteroom: PATIENCE,
        ..limits()
    };
    let rig = Rig::build(2, 64, small, false);
    let address = rig.gate.local_addr();
    let mut half = Vec::new();
    // Those who have sent nothing yet make room for those who come: until every place has a head that never ends.
    let mut addresses = (2..=250).cycle();
    eventually("every place busy", || {
        let idle = rig.gate.idle_connections();
        let busy = rig.gate.connections().saturating_sub(idle);
        if busy < 16 {
            let mut peer = from(addresses.next().unwrap(), address);
            let _ = peer.stream.write_all(b"GET /ping HTTP/1.1\r\nHos");
            half.push(peer);
        }
        busy == 16
    });
    for last in 2..=9 {
        let mut peer = from(last, address);
        let _ = peer.stream.write_all(b"GET /ping HTTP/1.1\r\nHos");
        half.push(peer);
    }
    assert_eq!(rig.get("/health").body, "{\"status\":\"ok\"}");
    assert_eq!(rig.get("/always").body, "pong");
    // One that was counted may have been on its way out; its place is taken as well, until none is left.
    let mut refused = None;
    eventually("no place is left", || {
        let mut over = rig.client();
        let answer = over.get("/ping");
        if answer.status == 503 {
            refused = Some((over, answer));
        } else {
            let mut peer = from(addresses.next().unwrap(), address);
            let _ = peer.stream.write_all(b"GET /ping HTTP/1.1\r\nHos");
            half.push(peer);
        }
        refused.is_some()
    });
    let (mut over, refused) = refused.unwrap();
    refused.is_error(503);
    assert!(refused.body.contains("too many connections"));
    over.is_closed();
    drop(half);
    rig.forgets_everybody();
    rig.is_alive();
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let small = GateLimits {
        connections_max: 4,
        ..limits()
    };
    let rig = Rig::build(2, 64, small, true);
    let mut peers: Vec<Peer> = (0..4).map(|_| rig.client()).collect();
    for peer in peers.iter_mut().rev() {
        assert_eq!(peer.get("/ping").body, "pong");
        eventually("all idle", || rig.gate.idle_connections() == 4);
    }
    let mut newcomer = rig.client();
    assert_eq!(newcomer.get("/ping").body, "pong");
    peers.pop().unwrap().is_closed();
    for peer in &mut peers {
        assert_eq!(peer.get("/ping").body, "pong");
    }
}

#[test]
fn one_address_leaves_half_to_others() {
    let small = GateLimits {
        connections_max: 8,
        ..limits()
    };
    let rig = Rig::build(2, 64, small, false);
    let address = rig.gate.local_addr();
    let mut busy: Vec<Peer> = (0..4)
        .map(|_| {
            let mut peer = from(2, address);
            peer.ask("/stuck");
            peer
        })
        .collect();
    eventually("four under way", || rig.gate.in_flight() == 4);
    let refused = from(2, address).get("/health");
    assert_eq!(refused.status, 200, "always served");
    let refused = from(2, address).get("/ping");
    refused.is_error(503);
    assert!(
        refused.body.contains("from one address"),
        "{}",
        refused.body
    );
    rig.app.set_open(true);
    for peer in &mut busy {
        peer.answer();
    }
    assert_eq!(from(3, address).get("/ping").body, "pong");
    assert_eq!(
        from(2, address).get("/ping").body,
        "pong",
        "an idle one made room"
    );
}
