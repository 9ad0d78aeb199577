//! An agent with its journal, claims under way and notifications, across the loss of the first machine: nothing runs
//! twice, nothing that was acknowledged is lost, and a delivery keeps its id.

use super::*;
use crate::support::Sink;
use std::collections::{BTreeMap, BTreeSet};

/// Requests before the first machine is gone, and after.
const BEFORE: i64 = 40;
const AFTER: i64 = 10;
/// Statements that have run when it goes.
const RAN: i64 = 5;
/// Jobs that an agent runs at a time: so many claims may be lost with the machine before it gets them.
const CLAIMS_MAX: usize = 2;

/// Starts an agent of the database in `dir`, with the token of that machine.
fn agent(dir: &Path, machine: &Path, at: SocketAddr) -> Program {
    fs::copy(machine.join("state/agent-token"), dir.join("agent-token")).unwrap();
    let text = format!(
        "[server]\nurl = \"http://{at}\"\ntoken_file = \"agent-token\"\n[agent]\nstate_dir = \"agent-state\"\n\
         max_concurrent = {CLAIMS_MAX}\n[[databases]]\nname = \"shop\"\nenvironment = \"development\"\n\
         driver = \"sqlite\"\npath = \"shop.db\"\n"
    );
    fs::write(dir.join("agent.toml"), text).unwrap();
    Program::start(
        binary()
            .arg("agent")
            .arg("--config")
            .arg(dir.join("agent.toml")),
    )
}

/// How often each number was inserted.
fn inserted(dir: &Path) -> BTreeMap<i64, i64> {
    let db = rusqlite::Connection::open(dir.join("shop.db")).unwrap();
    let mut counts = db
        .prepare("SELECT n, count(*) FROM ran GROUP BY n")
        .unwrap();
    let rows = counts.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// The ids under which each event of each request was delivered.
fn deliveries(sink: &Sink) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut seen: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for got in sink.received() {
        let event = (got.text("request_id"), got.text("event"));
        seen.entry(event)
            .or_default()
            .insert(got.text("delivery_id"));
    }
    seen
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn agent_and_receivers_go_on_with_the_second_machine() {
    let sink = Sink::start();
    let mut installation = Installation::new("confirmed", 3);
    let toml = installation.toml.replace("\"postgresql\"", "\"sqlite\"");
    let hook = sink.webhook("ops", "");
    installation.toml = format!("allow_private_networks = true\n{toml}{hook}");
    let first = installation.machine();
    let (server, at_first) = Program::serve(first.path());
    // What everybody calls leads to the machine that serves.
    let balancer = Proxy::start(at_first);
    let requester = person(balancer.addr(), first.path(), "developer");
    let admin = person(balancer.addr(), first.path(), "admin");
    let second = installation.second(first.path());
    let standby = standby(second.path());
    follows(&standby);
    let place = Temp::new();
    rusqlite::Connection::open(place.path().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE ran (n INTEGER)")
        .unwrap();
    let agent = agent(place.path(), first.path(), balancer.addr());
    let create = |n: i64| {
        let answer = requester.create("development", &format!("INSERT INTO ran VALUES ({n})"));
        (answer.is(201).text("id"), n)
    };
    let mut known: Vec<(String, i64)> = (0..BEFORE).map(create).collect();
    eventually("statements that run", || {
        i64::try_from(inserted(place.path()).len()).unwrap() >= RAN
    });
    server.kill();
    fs::remove_dir_all(first.path().join("state")).unwrap();
    balancer.lead_to(address(&standby.line()));
    known.extend((BEFORE..BEFORE + AFTER).map(create));

    let unfinished = || {
        let ran = inserted(place.path());
        let status = |id: &str| {
            admin
                .get(&format!("/api/requests/{id}"))
                .is(200)
                .text("status")
        };
        let open = known.iter().filter(|(id, _)| status(id) != "executed");
        open.map(|(id, n)| (id.clone(), ran.contains_key(n)))
            .collect::<Vec<_>>()
    };
    // A claim that was answered by nobody any more has run nowhere; its lease ends it.
    eventually("executions", || {
        let open = unfinished();
        open.len() <= CLAIMS_MAX && open.iter().all(|(_, has_run)| !has_run)
    });
    let ran = inserted(place.path());
    assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    assert!(ran.len() + CLAIMS_MAX >= known.len(), "{ran:?}");
    eventually("notifications", || {
        let seen = deliveries(&sink);
        let completed = |id: &str| (id.to_owned(), "execution.completed".to_owned());
        let mut done = known.iter().filter(|(_, n)| ran.contains_key(n));
        done.all(|(id, _)| seen.contains_key(&completed(id)))
    });
    let seen = deliveries(&sink);
    let twice: Vec<_> = seen.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let proof = admin.get("/api/audit/verify").is(200);
    assert_eq!(proof.json["valid"], true, "{}", proof.raw());
    agent.stop();
    standby.stop();
}
