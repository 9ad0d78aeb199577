//! A purge that is killed: what is left proves itself each time, and the next turn goes on with it.

use super::{Dice, rounds};
use crate::support::{OBJECTS, SHOP, Server, eventually, verified};
use dbward::clock::Clock;
use dbward::config::Config;
use dbward::jobs;
use dbward::server::StartOptions;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const RETENTION: &str =
    "[retention]\nrequest_ttl_days = 10\nresult_ttl_days = 5\naudit_ttl_days = 20\n";
const DAY: u64 = 86_400;
/// After which everything of before may go, the log too.
const LATER: u64 = 25 * DAY;
const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";
/// Requests that are over, and as many of them that have a result.
const OVER: usize = 150;
const EXECUTED: usize = 25;
/// Names the folder in which [`purger_child`] purges.
const FOLDER: &str = "DBWARD_TEST_PURGE";

/// Does nothing but purge, later, in the folder of another test; that one kills it.
#[test]
fn purger_child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let text = fs::read_to_string(folder.join("purge.toml")).unwrap();
    let config = Config::parse(&text, folder, &|_| None).unwrap();
    let clock = Clock::system();
    clock.turn(Duration::from_secs(LATER));
    let options = StartOptions {
        clock,
        ..StartOptions::default()
    };
    let server = dbward::server::Server::start(&config, options).unwrap();
    for _ in 0..3 {
        jobs::results(server.job_state()).unwrap();
        jobs::retention(server.job_state()).unwrap();
    }
    server.stop().unwrap();
}

fn purger(folder: &Path) -> Child {
    let module = module_path!().split_once("::").unwrap().1;
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("{module}::purger_child"), "--exact"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Rows and objects that a purge removes.
fn left(state: &Path) -> u64 {
    let db = rusqlite::Connection::open(state.join("dbward.db")).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    let rows: i64 = db
        .query_row(
            "SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM audit_events)",
            [],
            |r| r.get(0),
        )
        .unwrap();
    let objects = fs::read_dir(state.join("results")).unwrap().count();
    rows.unsigned_abs() + objects as u64
}

#[test]
fn a_purge_that_is_killed_is_finished_by_the_next() {
    let mut dice = Dice::new();
    let server = Server::with(&format!("{SHOP}{OBJECTS}{RETENTION}"));
    let requester = server.requester();
    for _ in 0..OVER {
        let request = requester.submit("production", UPDATE);
        requester.cancel(&request).is(200);
    }
    let agent = server.agent("agent-1");
    for _ in 0..EXECUTED {
        agent.run(&requester.submit("development", SELECT).id);
    }
    let mut killed = 0;
    let server = server.restart_around(LATER, |folder| {
        let text =
            format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{SHOP}{OBJECTS}{RETENTION}");
        fs::write(folder.join("purge.toml"), text).unwrap();
        let state = folder.join("state");
        for round in 0..4 * rounds() {
            let before = left(&state);
            let target = before - 1 - dice.below(before / 8);
            let mut child = purger(folder);
            eventually("a purge that is under way", || {
                left(&state) <= target || child.try_wait().unwrap().is_some()
            });
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(
                verified(&state).valid,
                "round {round}: {:?}",
                verified(&state)
            );
            match ended {
                None => killed += 1,
                Some(status) => assert!(status.success(), "round {round}: {status}"),
            }
        }
    });
    assert!(killed > 0, "no purge was killed");
    server.purge();
    assert_eq!(server.requester().get("/api/requests").json["total"], 0);
    assert!(server.stored().is_empty());
    let requests: i64 = rusqlite::Connection::open(server.state_dir().join("dbward.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM requests", [], |r| r.get(0))
        .unwrap();
    assert_eq!(requests, 0);
    // It works as before.
    let request = server.requester().submit("production", UPDATE);
    server.approver().approve(&request).is(200);
}
