//! Two machines, the real Litestream and a real bucket: what is acknowledged survives the first machine with its disk,
//! a bucket that says nothing loses nobody a change, and a server that was replaced cannot write.
//!
//! DBWARD_TEST_LITESTREAM names Litestream's program, DBWARD_TEST_S3_URL the bucket. DBWARD_TEST_LEASE_SECS sets the
//! lease of the take-over that is measured (10 unless set).

mod agents;
mod faults;
mod lost;
pub mod proxy;
mod standbys;
mod stops;

use crate::buckets::patient;
use crate::support::{
    Faults, Person, Program, SHOP, Temp, binary, eventually, real_bucket, settled,
};
use dbward::crypto::{hex, random};
use proxy::Proxy;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Keys that a standby needs.
const KEYS: [&str; 3] = ["signing.key", "audit-signing.key", "audit-keys.json"];
const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration of all machines of one installation, over a proxy to the bucket.
struct Installation {
    toml: String,
    proxy: Proxy,
    /// Where the copies lie, as a section of its own.
    copies: String,
}

impl Installation {
    fn new(mode: &str, lease_secs: u64) -> Installation {
        let litestream = std::env::var("DBWARD_TEST_LITESTREAM").expect("DBWARD_TEST_LITESTREAM");
        let id = hex(&random::<6>());
        let bucket = real_bucket(&format!("results-{id}")).expect("DBWARD_TEST_S3_URL");
        let place = bucket
            .lines()
            .find_map(|line| line.strip_prefix("endpoint = \"http://"))
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap();
        let proxy = Proxy::start(place.parse().unwrap());
        let bucket = bucket.replace(place, &proxy.addr().to_string());
        let toml = format!(
            "{SHOP}{bucket}\n[replication]\nmode = \"{mode}\"\nprefix = \"copy-{id}\"\n\
             litestream = \"{litestream}\"\nlease_secs = {lease_secs}\nsync_timeout_secs = 5\n"
        );
        Installation {
            toml,
            proxy,
            copies: real_bucket(&format!("copy-{id}")).unwrap(),
        }
    }

    fn machine(&self) -> Temp {
        settled(&self.toml)
    }

    /// A machine that serves, with its requester and its administrator.
    fn served(&self) -> (Temp, Program, Person, Person) {
        let dir = self.machine();
        let (server, at) = Program::serve(dir.path());
        let requester = person(at, dir.path(), "developer");
        let admin = person(at, dir.path(), "admin");
        (dir, server, requester, admin)
    }

    /// A machine with the keys of another.
    fn second(&self, first: &Path) -> Temp {
        let dir = self.machine();
        fs::create_dir(dir.path().join("state")).unwrap();
        for key in KEYS {
            let place = |dir: &Path| dir.join("state").join(key);
            fs::copy(place(first), place(dir.path())).unwrap();
        }
        dir
    }
}

fn standby(dir: &Path) -> Program {
    let mut command = binary();
    command.args(["serve", "--standby", "--config"]);
    Program::start(command.arg(dir.join("server.toml")).env("RUST_LOG", "info"))
}

/// Gives the machine a Litestream that runs this script.
fn in_place_of_litestream(dir: &Path, script: &str) {
    let other = dir.join("litestream");
    fs::write(&other, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    let config = dir.join("server.toml");
    let text = fs::read_to_string(&config).unwrap();
    let program = std::env::var("DBWARD_TEST_LITESTREAM").unwrap();
    fs::write(&config, text.replace(&program, &other.to_string_lossy())).unwrap();
}

/// The lease as it stands in the bucket; null where there is none.
fn lease(installation: &Installation) -> Value {
    let document = patient(&installation.copies).document("lease", LIST_TIMEOUT);
    let document = document.unwrap().map(|document| document.bytes);
    serde_json::from_slice(&document.unwrap_or(b"null".to_vec())).unwrap()
}

/// Waits until the standby has begun to follow.
fn follows(standby: &Program) {
    eventually("a standby that follows", || {
        standby.errors().contains("following the copy")
    });
}

fn address(line: &str) -> SocketAddr {
    line.strip_prefix("listening on http://")
        .unwrap_or_else(|| panic!("{line}"))
        .parse()
        .unwrap()
}

/// Somebody whose token lies in the state directory of the first machine.
fn person(at: SocketAddr, dir: &Path, role: &str) -> Person {
    let token = fs::read_to_string(dir.join(format!("state/{role}-token"))).unwrap();
    Person::new(at, role, Some(token), Faults::default())
}

/// The same person at another server.
fn at(person: &Person, at: SocketAddr) -> Person {
    Person::new(at, "same", person.token.clone(), Faults::default())
}

fn body() -> String {
    json!({"database": "shop", "environment": "production", "detail": UPDATE}).to_string()
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn other_keys_and_an_older_state_are_refused() {
    let installation = Installation::new("confirmed", 3);
    let first = installation.machine();
    Program::serve(first.path()).0.stop();
    let refused = |dir: &Path, more: &[&str], words: &str| {
        let mut command = binary();
        command
            .arg("serve")
            .args(more)
            .arg("--config")
            .arg(dir.join("server.toml"));
        let (status, errors) = Program::start(&mut command).end();
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains(words), "{errors}");
    };
    // Without keys, with others, and without the state.
    let stranger = installation.machine();
    refused(stranger.path(), &["--standby"], "signing.key is missing");
    let other = installation.second(first.path());
    let state = other.path().join("state");
    fs::remove_file(state.join("signing.key")).unwrap();
    for more in [&[][..], &["--standby"]] {
        refused(
            other.path(),
            more,
            "signing.key here is not the one of the server",
        );
    }
    let empty = installation.second(first.path());
    refused(empty.path(), &[], "start with --standby");
    // It does once it may fetch it; the first machine is the older one then.
    let (second, line) = {
        let second = standby(empty.path());
        let line = second.line();
        (second, line)
    };
    address(&line);
    refused(first.path(), &[], "another server has replaced it");
    second.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn doctor_finds_both_machines_well() {
    let installation = Installation::new("confirmed", 3);
    let first = installation.machine();
    let (server, addr) = Program::serve(first.path());
    let second = installation.second(first.path());
    let standby = standby(second.path());
    follows(&standby);
    person(addr, first.path(), "developer")
        .create("production", UPDATE)
        .is(201);
    let look = |dir: &Path| {
        let file = dir.join("server.toml");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut doctor = binary();
        doctor.args(["doctor", "--server"]).arg(file);
        let ran = doctor.output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (_, out) = look(first.path());
    for line in ["ok    files", "ok    copying", " serves it"] {
        assert!(out.contains(line), "no `{line}`: {out}");
    }
    let (code, out) = look(second.path());
    for line in [
        "ok    files",
        "ok    following      all that is in the copy of epoch 1 is here",
        " listens once it has the lease; another machine has it, epoch 1",
        "Nothing is wrong; ",
    ] {
        assert!(out.contains(line), "no `{line}`: {out}");
    }
    assert_eq!(code, Some(0), "{out}");
    let admin = person(addr, first.path(), "admin");
    eventually("a standby that is counted", || {
        let page = admin.get("/metrics").is(200);
        String::from_utf8_lossy(&page.body).contains("\ndbward_replication_standbys 1\n")
    });
    standby.stop();
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn copies_before_the_last_epoch_are_removed() {
    let installation = Installation::new("confirmed", 3);
    let dir = installation.machine();
    for _ in 0..3 {
        Program::serve(dir.path()).0.stop();
    }
    let (server, _) = Program::serve(dir.path());
    let bucket = patient(&installation.copies);
    let there = |epoch: u32| {
        let folder = format!("epoch-{epoch:08}");
        !bucket.names(&folder, LIST_TIMEOUT).unwrap().is_empty()
    };
    eventually("the old copies to go", || !there(1) && !there(2));
    assert_eq!([there(3), there(4)], [true, true]);
    server.stop();
}
