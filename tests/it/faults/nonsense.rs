//! Nonsense of people and agents whom the server knows: every kind of answer but an internal error, and nothing left
//! of it.

use super::SELECT;
use crate::support::{Faults, Person, Program, SHOP, admin_of, connect, settled};
use dbward::http::route::{Guarded, Route};
use dbward::http::router::ROUTES;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};

/// Malformed calls; everything that is made up comes from this seed.
const MALFORMED: usize = 10_000;
/// After so many of them everything is in memory that ever is.
const WARM: usize = 4_000;
const SEED: u64 = 0x2545_f491_4f6c_dd1d;
/// KiB by which the program may grow after that.
const GROWTH_KIB: u64 = 24 * 1024;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const NAMES: &[&str] = &[
    "database",
    "environment",
    "detail",
    "operation",
    "reason",
    "subject_id",
    "subject_type",
    "roles",
    "expires_at",
    "capabilities",
    "success",
    "result_data",
    "metadata",
    "wait",
    "claim_key",
    "tables",
    "slack_user_id",
    "statements",
    "",
];
const WORDS: &[&str] = &[
    "shop",
    "production",
    "\u{0}",
    "SELECT 1",
    "'",
    "\u{202e}",
    "9999999999999999999999",
    "-1",
    "*",
    "admin",
    "null",
];
const SEGMENTS: &[&str] = &[
    "x",
    "..",
    "%2e%2e",
    "%00",
    "%ff",
    "0",
    "-1",
    "*",
    "%F0%9F%A6%80",
    "a/b",
    "1e9",
];
const QUERIES: &[&str] = &[
    "",
    "?",
    "?limit=-1",
    "?limit=99999999999999999999",
    "?offset=x",
    "?wait=x",
    "?status=\u{fffd}",
    "?a=b&a=b",
    "?cursor=%00",
    "?limit=1&limit=2",
    "?since=now",
    "?from=0&to=0",
    "?%zz",
];

/// A value that no call wants.
fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth < 3 { 9 } else { 6 }) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => json!(dice.below(1 << 30)),
        3 => json!(-1.5e300),
        4 => json!(dice.of(WORDS).repeat(1 + dice.below(40))),
        5 => json!(dice.of(WORDS)),
        6 => (0..dice.below(4)).map(|_| value(dice, depth + 1)).collect(),
        _ => object(dice, depth + 1),
    }
}

fn object(dice: &mut Dice, depth: usize) -> Value {
    let fields = 1 + dice.below(4);
    let mut object = json!({});
    for _ in 0..fields {
        object[dice.of(NAMES)] = value(dice, depth);
    }
    object
}

/// The body of a call: JSON of the wrong shape, or bytes that are not JSON.
fn body(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = value(dice, 0).to_string().into_bytes();
    match dice.below(6) {
        0 => bytes.truncate(bytes.len() / 2),
        1 => bytes.insert(0, b'['),
        2 => bytes.push(0xff),
        3 => bytes = vec![b'['; 200 + dice.below(2_000)],
        _ => bytes = object(dice, 0).to_string().into_bytes(),
    }
    bytes
}

/// A path of the route, with something else where an id belongs.
fn path(dice: &mut Dice, route: &Route, real: &str) -> String {
    let parts: Vec<String> = route
        .path
        .split('/')
        .map(|part| match part.starts_with('{') {
            true if dice.below(3) == 0 => real.to_owned(),
            true => dice.of(SEGMENTS).to_owned(),
            false => part.to_owned(),
        })
        .collect();
    format!("{}{}", parts.join("/"), dice.of(QUERIES))
}

/// Breaks the framing of a call that would be well formed.
fn broken(dice: &mut Dice, call: &[u8]) -> Vec<u8> {
    let mut bytes = call.to_vec();
    for _ in 0..=dice.below(3) {
        let place = dice.below(bytes.len());
        match dice.below(4) {
            0 => bytes[place] = dice.below(256) as u8,
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, b"\r\n \0:;"[dice.below(6)]),
            _ => bytes.truncate(place.max(1)),
        }
    }
    bytes
}

/// Who sends nonsense: nobody's token is lost by it, since an id is never one of a token.
fn cast(dir: &std::path::Path, admin: &Person) -> Vec<Person> {
    let person = |name: &str| {
        let token = fs::read_to_string(dir.join(format!("state/{name}-token"))).unwrap();
        Person::new(admin.at, name, Some(token), Faults::default())
    };
    vec![admin.clone(), person("developer"), person("agent")]
}

/// Sends a call and reads the answer until its end; its status, or none.
fn sent(at: std::net::SocketAddr, bytes: &[u8]) -> Option<u16> {
    let mut stream = connect(at);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let status = answer.get(9..12)?;
    Some(std::str::from_utf8(status).unwrap().parse().unwrap())
}

#[test]
fn ten_thousand_malformed_calls_of_known_callers_change_nothing() {
    let dir = settled(SHOP);
    let (program, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    let request = admin.submit("production", SELECT);
    let cast = cast(dir.path(), &admin);
    // Those that verify or export the whole log are slow, and take nothing from a caller.
    let routes: Vec<&Route> = ROUTES
        .iter()
        .filter(|route| matches!(route.guarded, Guarded::User(_) | Guarded::Agent(_)))
        .filter(|route| !route.path.contains("/audit/"))
        .collect();
    let mut dice = Dice(SEED);
    let (mut seen, mut warm) = (BTreeMap::new(), 0);
    for n in 0..MALFORMED {
        if n == WARM {
            warm = program.status("VmRSS");
        }
        let route = routes[dice.below(routes.len())];
        let who = &cast[dice.below(cast.len())];
        let (path, body) = (path(&mut dice, route, &request.id), body(&mut dice));
        let kind = dice.of(&[
            "application/json",
            "text/plain",
            "application/json; charset=x",
        ]);
        let token = who.token.as_ref().unwrap();
        let mut bytes = format!(
            "{} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            route.method,
            body.len()
        )
        .into_bytes();
        bytes.extend(body);
        if dice.below(4) == 0 {
            bytes = broken(&mut dice, &bytes);
        }
        let status = sent(at, &bytes).unwrap_or(0);
        *seen.entry(status).or_insert(0_usize) += 1;
        assert!(
            status < 500 || [501, 505].contains(&status),
            "{status} to {}",
            bytes.escape_ascii()
        );
    }
    let grown = program.status("VmRSS").saturating_sub(warm);
    println!("{seen:?}; {grown} KiB more after the first {WARM}");
    for status in [400, 403, 404, 415] {
        assert!(
            seen.get(&status).is_some_and(|n| *n > 20),
            "{status}: {seen:?}"
        );
    }
    assert!(grown < GROWTH_KIB, "{grown} KiB");
    let page = super::page(&admin);
    for name in ["dbward_call_panics_total", "dbward_background_panics_total"] {
        assert!(page.contains(&format!("\n{name} 0\n")), "{name}");
    }
    admin.show(&request).is(200);
    admin.submit("production", SELECT);
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    program.stop();
}
