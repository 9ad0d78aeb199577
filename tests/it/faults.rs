//! Faults of machine and network: a disk without space, a clock that is set back, crowds, nonsense; and the table of limits,
//! held against the program.

mod clocks;
mod descriptors;
mod nonsense;

use crate::support::{
    Person, Program, SHOP, Server, admin_of, binary, eventually, recovered, settled, skipped,
};
use dbward::gate::GateLimits;
use rustix::process::Signal;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const SELECT: &str = "SELECT id FROM items WHERE id = 1";
/// Size of the file system that fills up: a new state takes a part of it.
const DISK: &str = "size=8m";
/// More requests than fit.
const REQUESTS_MAX: usize = 5_000;

/// Whether this machine lets us mount a file system of our own.
fn can_mount() -> bool {
    let tried = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn full_disk_refuses_writes_and_serves_reads() {
    if !can_mount() {
        return skipped("no file system can be mounted here");
    }
    let dir = settled(&format!("min_free_bytes = 0\n{SHOP}"));
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o {DISK},mode=700 tmpfs \"$1\" && exec \"$2\" serve --config \"$3\""
        ))
        .arg("sh")
        .arg(&state)
        .arg(binary().get_program())
        .arg(dir.path().join("server.toml"));
    let program = Program::start(&mut command);
    let line = program.line();
    let at = line
        .strip_prefix("listening on http://")
        .unwrap()
        .parse()
        .unwrap();
    // The file system is its own; we look through its eyes.
    let inside = format!("/proc/{}/root{}", program.id(), dir.path().display());
    let admin = admin_of(at, inside.as_ref());
    let first = admin.submit("production", SELECT);
    let path = format!("{inside}/state/filler");
    let mut filler = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let full = (0..REQUESTS_MAX).find(|_| {
        let answer = admin.create("production", SELECT);
        if answer.status == 201 {
            return false;
        }
        answer.refused(503, "unavailable");
        true
    });
    assert!(full.is_some(), "the disk is never full");
    let stored = admin.get("/api/requests").is(200).json["total"].clone();
    for _ in 0..20 {
        admin
            .create("production", SELECT)
            .refused(503, "unavailable");
        admin.cancel(&first).refused(503, "unavailable");
        admin.show(&first).is(200);
        assert_eq!(admin.get("/api/requests").is(200).json["total"], stored);
        admin.get("/health").is(200);
    }
    drop(filler);
    fs::remove_file(&path).unwrap();
    recovered("a full disk", || admin.create("production", SELECT).is(201));
    admin.cancel(&first).is(200);
    let proof = admin.get("/api/audit/verify").is(200);
    assert_eq!(proof.json["valid"], true, "{}", proof.json);
    program.signal(Signal::TERM);
    let (status, errors) = program.end();
    assert!(status.success(), "{status}: {errors}");
}

#[test]
fn reads_go_on_while_another_process_holds_the_state_file() {
    let s = Server::shop();
    let admin = s.admin();
    let stored = || admin.get("/api/requests").is(200).json["total"].clone();
    let other = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
    let hold = || other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"database": "shop", "environment": "production", "detail": SELECT});
    let begin = || admin.begin("POST", "/api/requests", &[], body.to_string().as_bytes());
    // As a checkpoint of what copies the state does, for a moment: the write waits, and reads do not.
    hold();
    let waits = begin();
    for _ in 0..3 {
        assert_eq!(stored(), 0);
    }
    other.execute_batch("ROLLBACK").unwrap();
    waits.answer().is(201);
    // And for longer than a write waits.
    hold();
    begin()
        .answer()
        .refused(503, "unavailable")
        .saying("another process holds the state file; nothing was changed");
    assert_eq!(stored(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    recovered("a file that is held", || {
        admin.create("production", SELECT).is(201)
    });
}

#[test]
fn a_clock_set_back_by_a_day_changes_no_outcome() {
    let s = Server::shop();
    let before = s.requester().submit("production", SELECT).is_pending();
    let running = s
        .requester()
        .submit("production", SELECT)
        .approved_by(&s.approver())
        .resumed();
    let claim = s.agent("agent-1").claim(&running.id);
    s.clock.set_back(Duration::from_secs(86_400));
    s.minute();
    // The lease of what runs is not over, and its report counts.
    s.agent("agent-1").heartbeat(&claim.execution).is(200);
    s.agent("agent-1").succeed(&claim.execution, "[]").is(200);
    let after = s.requester().submit("production", SELECT).is_pending();
    assert_eq!(
        s.requester().ids("")[..3],
        [after.id.clone(), running.id.clone(), before.id.clone()]
    );
    for request in [before, after] {
        let request = request.approved_by(&s.approver()).resumed();
        s.agent("agent-1").run(&request.id);
    }
    s.minute();
    assert_eq!(s.requester().ids("status=executed").len(), 3);
    let proof = s.admin().get("/api/audit/verify").is(200);
    assert_eq!(proof.json["valid"], true, "{}", proof.json);
    // Nor does it keep a server from starting.
    let s = s.restart();
    s.requester().submit("production", SELECT).is_pending();
}

#[test]
fn table_of_limits_has_the_bounds_of_the_gate() {
    let table = include_str!("../../docs/limits.md");
    let written: Vec<(String, u64)> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
            let (number, unit) = cells.get(2)?.split_once(' ').unwrap_or((cells[2], ""));
            let times = match unit {
                "" | "s" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                _ => return None,
            };
            Some((name.to_owned(), number.parse::<u64>().ok()? * times))
        })
        .collect();
    let text = format!("{:#?}", GateLimits::default());
    let real: Vec<(String, u64)> = text
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(": "))
        .map(|(name, value)| {
            (
                name.to_owned(),
                value.trim_end_matches('s').parse().unwrap(),
            )
        })
        .collect();
    assert!(real.len() > 20);
    assert_eq!(written, real);
}

fn page(admin: &Person) -> String {
    String::from_utf8(admin.get("/metrics").is(200).body).unwrap()
}

/// More than any installation has clients.
const IDLE: usize = 4_000;

#[test]
fn four_thousand_idle_connections_leave_the_service_as_it_was() {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    if files.current.is_some_and(|most| most < IDLE as u64 + 2_000) {
        return skipped("so many files cannot be open here");
    }
    let dir = settled(SHOP);
    let (program, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    // Of many addresses: one has half of what others leave.
    let open = |n: usize| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let from = std::net::SocketAddr::from(([127, 0, 1, (n % 200) as u8], 0));
        bind(&socket, &from).unwrap();
        connect(&socket, &at).unwrap();
        TcpStream::from(socket)
    };
    let value = |name: &str| -> usize {
        let page = page(&admin);
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap().parse().unwrap()
    };
    // A first call each, so that they are idle and not silent.
    let held: Vec<TcpStream> = (0..IDLE)
        .map(|n| {
            let mut stream = open(n);
            stream
                .write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
            stream
        })
        .collect();
    assert!(value("dbward_gate_connections") >= IDLE);
    let start = Instant::now();
    for _ in 0..20 {
        admin.get("/health").is(200);
        admin.submit("production", SELECT);
    }
    let each = start.elapsed() / 20;
    println!(
        "{IDLE} idle: {each:?} each, {} KiB",
        value("process_resident_memory_bytes") / 1024
    );
    assert!(each < Duration::from_secs(1), "{each:?}");
    drop(held);
    eventually("they are gone", || value("dbward_gate_connections") < 10);
    program.stop();
}

/// Malformed calls; each byte that is changed comes from this seed.
const MALFORMED: usize = 10_000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn ten_thousand_malformed_calls_change_nothing() {
    let s = Server::shop();
    let at = s.inner().addr();
    let before = s.requester().submit("production", SELECT).is_pending();
    let valid = b"POST /api/requests?limit=1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer dbw_x\r\n\
                  content-type: application/json\r\ncontent-length: 17\r\n\r\n{\"database\":\"a\"}\n";
    let mut seed = SEED;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut answers = 0;
    for _ in 0..MALFORMED {
        let mut bytes = valid.to_vec();
        for _ in 0..=next(4) {
            if bytes.is_empty() {
                break;
            }
            let place = next(bytes.len());
            match next(4) {
                0 => bytes[place] = next(256) as u8,
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, b"\r\n \0:;"[next(6)]),
                _ => bytes.truncate(place.max(1)),
            }
        }
        let mut stream = TcpStream::connect(at).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answers += usize::from(!answer.is_empty());
        let refused = ["HTTP/1.1 4", "HTTP/1.1 501 ", "HTTP/1.1 505 "]
            .iter()
            .any(|status| answer.starts_with(status.as_bytes()));
        let refused = refused || answer.is_empty();
        assert!(
            refused,
            "{:?} to {:?}",
            answer.escape_ascii(),
            bytes.escape_ascii()
        );
    }
    assert!(answers > MALFORMED / 2, "{answers}");
    let page = page(&s.admin());
    for name in ["dbward_call_panics_total", "dbward_background_panics_total"] {
        assert!(page.contains(&format!("\n{name} 0\n")), "{name}");
    }
    assert_eq!(s.requester().ids(""), std::slice::from_ref(&before.id));
    s.requester().submit("production", SELECT).is_pending();
}
