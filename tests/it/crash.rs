//! Power cuts: the server is killed under load, started again, and must know everything that it ever acknowledged.
//!
//! DBWARD_CRASH_ROUNDS sets how often (3 unless set), DBWARD_CRASH_SEED repeats a run.

mod purges;

use crate::support::{Person, Program, SHOP, admin_of, recovered, settled, verified};
use dbward::crypto::random;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const CLIENTS: usize = 6;
const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// Numbers from a seed, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn new() -> Dice {
        let seed = std::env::var("DBWARD_CRASH_SEED")
            .ok()
            .and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(random())));
        println!("DBWARD_CRASH_SEED={seed}");
        Dice(seed.max(1))
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn rounds() -> usize {
    let reported = std::env::var("DBWARD_CRASH_ROUNDS").ok();
    reported.and_then(|n| n.parse().ok()).unwrap_or(3)
}

/// What was acknowledged: how far each request has come at least.
type Known = Arc<Mutex<BTreeMap<String, &'static str>>>;

fn person(at: SocketAddr, dir: &Path, name: &str) -> Person {
    let mut person = admin_of(at, dir);
    person.token = Some(fs::read_to_string(dir.join(name)).unwrap());
    person
}

fn called(who: &Person, path: &str, body: &str) -> Option<(u16, String)> {
    let answer = who
        .try_begin("POST", path, &[], body.as_bytes())
        .ok()?
        .answer_if_any()?;
    Some((
        answer.status,
        answer.json["id"].as_str().unwrap_or_default().to_owned(),
    ))
}

/// Creates and approves until the server is gone.
fn load(dir: &Path, at: SocketAddr, known: &Known, count: &AtomicUsize, stop: &AtomicBool) {
    let (requester, admin) = (person(at, dir, "state/developer-token"), admin_of(at, dir));
    let body =
        json!({"database": "shop", "environment": "production", "detail": UPDATE}).to_string();
    while !stop.load(Ordering::SeqCst) {
        let Some((201, id)) = called(&requester, "/api/requests", &body) else {
            return;
        };
        known.lock().unwrap().insert(id.clone(), "pending");
        count.fetch_add(1, Ordering::SeqCst);
        let Some((200, _)) = called(&admin, &format!("/api/requests/{id}/approve"), "") else {
            return;
        };
        known.lock().unwrap().insert(id.clone(), "approved");
        count.fetch_add(1, Ordering::SeqCst);
        let Some((200, _)) = called(&requester, &format!("/api/requests/{id}/resume"), "") else {
            return;
        };
        known.lock().unwrap().insert(id, "dispatched");
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// How far a status is on the way that the load takes.
fn rank(status: &str) -> usize {
    ["pending", "approved", "dispatched"]
        .iter()
        .position(|s| *s == status)
        .unwrap()
}

#[test]
fn everything_acknowledged_survives_kill_under_load() {
    let mut dice = Dice::new();
    let dir = settled(SHOP);
    let known: Known = Known::default();
    for round in 0..rounds() {
        let (server, at) = Program::serve(dir.path());
        let count = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (dir, known) = (dir.path().to_owned(), Arc::clone(&known));
                let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
                thread::spawn(move || load(&dir, at, &known, &count, &stop))
            })
            .collect();
        let enough = 40 + usize::try_from(dice.below(120)).unwrap();
        crate::support::eventually("load", || count.load(Ordering::SeqCst) >= enough);
        server.kill();
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|c| c.join().unwrap());
        // The file as it was left, before anybody repaired it.
        assert!(verified(&dir.path().join("state")).valid, "round {round}");
        let (server, admin) = recovered("a kill", || {
            let (server, at) = Program::serve(dir.path());
            let admin = admin_of(at, dir.path());
            admin.create("production", UPDATE).is(201);
            (server, admin)
        });
        let known = known.lock().unwrap().clone();
        assert!(!known.is_empty(), "round {round}");
        for (id, at_least) in &known {
            let shown = admin.get(&format!("/api/requests/{id}")).is(200);
            let status = shown.text("status");
            assert!(
                rank(&status) >= rank(at_least),
                "round {round}: {id} was {at_least} and is {status}"
            );
        }
        let proof = admin.get("/api/audit/verify").is(200);
        assert_eq!(proof.json["valid"], true, "round {round}: {}", proof.raw());
        server.stop();
    }
}

#[test]
fn result_cut_off_by_a_kill_counts_once_when_repeated() {
    let mut dice = Dice::new();
    let dir = settled(SHOP);
    let data = format!("[{}0]", "1234567890,".repeat(200_000));
    let body = json!({"success": true, "result_data": data, "duration_ms": 5}).to_string();
    for round in 0..rounds() {
        let (server, at) = Program::serve(dir.path());
        let requester = person(at, dir.path(), "state/developer-token");
        let agent = person(at, dir.path(), "state/agent-token");
        let id = requester.create("development", UPDATE).is(201).text("id");
        agent
            .post(
                "/api/agent/poll",
                &json!({"capabilities": {"databases": ["shop"]}}),
            )
            .is(200);
        let execution = agent
            .poke(&format!("/api/agent/jobs/{id}/claim"))
            .is(200)
            .text("execution_id");
        let path = format!("/api/agent/jobs/{execution}/result");
        let sending = {
            let (agent, path, body) = (agent.clone(), path.clone(), body.clone());
            thread::spawn(move || called(&agent, &path, &body))
        };
        // Somewhere between the first byte and the commit; the disk tells how far it is.
        let objects = dir.path().join("state/results");
        let wait_for_object = dice.below(2) == 0;
        if wait_for_object {
            let seen = || objects.join(&id).exists() || sending.is_finished();
            crate::support::eventually("an object", seen);
        }
        for _ in 0..dice.below(20_000) {
            std::hint::spin_loop();
        }
        server.kill();
        let acknowledged = sending
            .join()
            .unwrap()
            .is_some_and(|(status, _)| status == 200);
        let (server, at) = Program::serve(dir.path());
        let requester = person(at, dir.path(), "state/developer-token");
        let agent = person(at, dir.path(), "state/agent-token");
        let status = requester
            .get(&format!("/api/requests/{id}"))
            .is(200)
            .text("status");
        assert!(
            status == "executed" || (status == "running" && !acknowledged),
            "round {round}: {status}"
        );
        let again = agent.call("POST", &path, &[], body.as_bytes()).is(200);
        assert_eq!(again.text("status"), "executed");
        let content = requester
            .get(&format!("/api/requests/{id}/result/content"))
            .is(200);
        assert!(content.body.len() > data.len(), "round {round}");
        let admin = admin_of(at, dir.path());
        let events = admin
            .get(&format!(
                "/api/audit/events?request_id={id}&event_type=execution.completed"
            ))
            .is(200);
        assert_eq!(events.list("events").len(), 1);
        assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
        server.stop();
    }
}
