//! Rehearsals from the command line: asked for with a request or afterwards, waited for, shown.

use super::console::{Console, Ran};
use crate::support::{Agent, SHOP, Server, eventually};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

fn shop(rehearse: &str) -> Server {
    let workflow = "environment = \"production\"\n";
    Server::with(&SHOP.replace(workflow, &format!("{workflow}rehearse = \"{rehearse}\"\n")))
}

/// Ids of the rehearsals that the agent is offered.
fn offered(agent: &Agent) -> Vec<String> {
    let features = json!({"features": ["claims_v2", "outcome", "rehearsal", "row_bound"]});
    let jobs = agent.poll_with(features).is(200).list("rehearsal_jobs");
    let id = |job: &Value| job["id"].as_str().unwrap().to_owned();
    jobs.iter().map(id).collect()
}

/// Rehearses whatever is asked for next, with this report, once it is waited for.
fn rehearses(server: &Server, agent: &Agent, report: &Value) {
    let mut id = None;
    eventually("a rehearsal is offered", || {
        id = offered(agent).pop();
        id.is_some()
    });
    server.until_parked(1);
    let path = format!("/api/agent/rehearsals/{}", id.unwrap());
    agent.person.poke(&format!("{path}/claim")).is(200);
    agent.person.post(&format!("{path}/result"), report).is(200);
}

/// Runs a command while an agent rehearses what it asks for.
fn recorded(
    console: &mut Console,
    (server, agent): (&Server, &Agent),
    report: &Value,
    token: &str,
    call: &[&str],
) -> Ran {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| console.record(token, call));
        rehearses(server, agent, report);
        running.join().unwrap()
    })
}

fn done() -> Value {
    json!({"result": {
        "rows_affected": 74,
        "statements": [
            {"kind": "update", "table": "items", "rows": 37, "more_rows": 37,
             "more": [{"table": "item_events", "rows": 37}]},
        ],
        "triggers": ["noted on items"],
        "warnings": ["what a trigger does outside the transaction stays"],
        "lock_wait_ms": 0,
    }})
}

#[test]
fn a_rehearsal_is_waited_for_shown_and_asked_for_again() {
    let server = shop("on_request");
    let mut console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let agent = server.agent("agent-1");
    offered(&agent);
    let call = ["execute", UPDATE, "-e", "production", "--rehearse"];
    let ran = recorded(&mut console, (&server, &agent), &done(), &token, &call).is(2);
    let id = ran.out.trim().to_owned();
    console.record_wide(&token, &["request", "show", &id]).is(0);
    let again = ["request", "rehearse", &id];
    let report = json!({"result": {"rows_affected": 1, "statements": [
        {"kind": "update", "table": "items", "rows": 1, "more_rows": 0}]}});
    recorded(&mut console, (&server, &agent), &report, &token, &again).is(0);
    let failed = json!({"error": "lock wait: after 2 s the lock was still not free"});
    recorded(&mut console, (&server, &agent), &failed, &token, &again).is(1);
    console.record(&token, &["request", "show", &id]).is(0);
    let no_wait = ["request", "rehearse", &id, "--no-wait"];
    console.record(&token, &no_wait).is(0);
    console.record_wide(&token, &again).is(1);
    console.record(&token, &["request", "show", &id]).is(0);
    server.turn(60);
    console.record(&token, &["request", "show", &id]).is(0);
    // What an agent reports is nothing that the shape of an answer depends on.
    let odd = json!({"result": {"rows_affected": 2, "statements": 7, "triggers": {"a": 1}, "warnings": [1]}});
    recorded(&mut console, (&server, &agent), &odd, &token, &again).is(0);
    server.turn(3601);
    console.record(&token, &["request", "show", &id]).is(0);
    console.golden("rehearsal");
}

#[test]
fn sql_that_cannot_be_rehearsed_makes_no_request() {
    let server = shop("on_request");
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    for (sql, environment, why) in [
        ("CREATE TABLE t (a int)", "production", "create_table"),
        ("SELECT 1", "production", "only reads"),
        (UPDATE, "staging", "its workflow does not allow it"),
    ] {
        let call = ["execute", sql, "-e", environment, "--rehearse"];
        let ran = console.run(Some(&token), &call).is(1);
        assert!(ran.errors.contains("not rehearsed"), "{}", ran.errors);
        assert!(ran.errors.contains(why), "{}", ran.errors);
    }
    assert!(server.requester().ids("limit=10").is_empty());
}

#[test]
fn ended_rehearsal_is_seen_while_waiting_for_approval() {
    let server = shop("before_approval");
    let console = Console::before(&server);
    let (requester, agent) = (server.requester(), server.agent("agent-1"));
    let token = requester.token.clone().unwrap();
    offered(&agent);
    let call = ["execute", UPDATE, "-e", "production", "--wait"];
    let ran = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| console.run(Some(&token), &call));
        rehearses(&server, &agent, &done());
        let id = requester.ids("limit=1").remove(0);
        let seen = format!("/api/requests/{id}");
        let bound = || requester.get(&seen).is(200).json["max_affected_rows"] == 74;
        eventually("the bound is set", bound);
        server
            .approver()
            .post(&format!("{seen}/reject"), &json!({"comment": "too many"}))
            .is(200);
        waiting.join().unwrap()
    });
    assert_eq!(ran.code, 1, "{}", ran.errors);
    assert!(ran.errors.contains("too many"), "{}", ran.errors);
    assert!(
        ran.errors
            .contains("rehearsal: 74 rows would change on agent-1")
            || ran
                .errors
                .contains("Rehearsal: 74 rows would change on agent-1"),
        "{}",
        ran.errors
    );
}

#[test]
fn who_approves_sees_how_many_rows_a_request_may_change() {
    let server = Server::shop();
    let console = Console::before(&server);
    let (mine, theirs) = (
        server.requester().token.unwrap(),
        server.approver().token.unwrap(),
    );
    let make = |more: &[&str]| {
        let call = [&["execute", UPDATE, "-e", "production"], more].concat();
        console.run(Some(&mine), &call).is(2);
    };
    let inbox = |more: &[&str]| {
        let call = [&["request", "list", "--mine-to-approve"], more].concat();
        console.run(Some(&theirs), &call).is(0).out
    };
    make(&[]);
    // Where none is bounded, a table has no column for it; programs have one in any case.
    assert!(!inbox(&[]).contains("ROWS"), "{}", inbox(&[]));
    assert!(inbox(&["--format", "csv"]).starts_with("ID,WAITS,WHERE,WHO,WHAT,ROWS,RISK\n"));
    make(&["--max-rows-affected", "37"]);
    let table = inbox(&[]);
    let row = table
        .lines()
        .find(|line| line.contains(" 37  unknown"))
        .unwrap_or_default();
    assert!(
        table.lines().next().unwrap().ends_with("ROWS  RISK") && !row.is_empty(),
        "{table}"
    );
    assert!(inbox(&["--format", "json"]).contains("\"max_affected_rows\":37,"));
}
