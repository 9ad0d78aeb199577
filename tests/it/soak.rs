//! A server under work for weeks of turned clock: memory, descriptors and file stay as they are once retention has
//! caught up.

use crate::support::Server;
use serde_json::json;
use std::time::{Duration, Instant};

const RETENTION: &str =
    "[retention]\nrequest_ttl_days = 2\nresult_ttl_days = 1\naudit_ttl_days = 3\n";
/// Hours until the first that is kept is removed, and a day more for what follows from it.
const SETTLED_HOURS: usize = 5 * 24;
/// Requests in each hour.
const REQUESTS: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Sample {
    memory: u64,
    descriptors: u64,
    file: u64,
}

fn sample(s: &Server) -> Sample {
    let page = String::from_utf8(s.admin().get("/metrics").is(200).body).unwrap();
    let value = |name: &str| -> u64 {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap().parse().unwrap()
    };
    Sample {
        memory: value("process_resident_memory_bytes"),
        descriptors: value("process_open_fds"),
        file: value("dbward_store_database_bytes"),
    }
}

/// An hour of a small company, then the clock is turned by it.
fn hour(s: &Server, n: usize) {
    let (requester, approver, agent) = (s.requester(), s.approver(), s.agent("agent-1"));
    for k in 0..REQUESTS {
        let sql = format!("UPDATE items SET price = {k} WHERE id = {n}");
        let request = requester.submit("production", &sql).is_pending();
        match k % 6 {
            0 => drop(approver.reject(&request).is(200)),
            1 => drop(requester.cancel(&request).is(200)),
            // It expires.
            2 => {}
            3 => {
                let request = request.approved_by(&approver).resumed();
                let claim = agent.claim(&request.id);
                agent.fail(&claim.execution, "deadlock detected").is(200);
            }
            _ => {
                let request = request.approved_by(&approver).resumed();
                let claim = agent.claim(&request.id);
                let rows = json!({"rows": [{"id": n, "text": "x".repeat(20_000)}], "truncated": false, "truncation_reason": null});
                agent.succeed(&claim.execution, &rows.to_string()).is(200);
            }
        }
        requester.create("production", "DELETE FROM items").is(422);
        s.nobody().get("/api/me").is(401);
    }
    s.turn(3_600);
    s.minute();
    s.flush();
    s.purge();
}

/// For `DBWARD_SOAK_SECS` seconds.
#[test]
#[ignore = "takes minutes"]
fn weeks_of_work_leave_memory_descriptors_and_file_as_they_were() {
    let secs = std::env::var("DBWARD_SOAK_SECS").unwrap().parse().unwrap();
    let end = Instant::now() + Duration::from_secs(secs);
    let s = Server::with(&format!("{}\n{RETENTION}", crate::support::SHOP));
    let mut samples = Vec::new();
    while Instant::now() < end || samples.len() < 3 * SETTLED_HOURS {
        hour(&s, samples.len());
        samples.push(sample(&s));
    }
    // The largest of a day, since a purge is not at the same moment of each.
    let day = |from: usize| {
        samples[from..from + 24]
            .iter()
            .copied()
            .reduce(|a, b| Sample {
                memory: a.memory.max(b.memory),
                descriptors: a.descriptors.max(b.descriptors),
                file: a.file.max(b.file),
            })
    };
    let (early, late) = (
        day(SETTLED_HOURS).unwrap(),
        day(samples.len() - 24).unwrap(),
    );
    println!(
        "{} hours, {} requests: {early:?}, then {late:?}",
        samples.len(),
        samples.len() * REQUESTS
    );
    assert!(
        late.memory < early.memory + early.memory / 5,
        "{early:?} {late:?}"
    );
    assert!(
        late.descriptors <= early.descriptors + 8,
        "{early:?} {late:?}"
    );
    assert!(
        late.file < early.file + early.file / 10,
        "{early:?} {late:?}"
    );
}
