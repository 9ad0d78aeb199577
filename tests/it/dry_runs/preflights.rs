//! Plans for somebody who has made no request: a preflight waits for what agents explain, and nothing of it stays.

use super::{TWO, UPDATE, claim, explain, finish, listed, offered, plan};
use crate::support::{Person, SHOP, Server, Waiting, eventually};
use serde_json::{Value, json};

fn body(sql: &str, more: Value) -> Value {
    let mut body = json!({"database": "shop", "environment": "production", "sql": sql});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// Begins a preflight that has to wait.
fn begin(person: &Person, sql: &str) -> Waiting {
    let json = [("content-type", "application/json")];
    let body = body(sql, json!({})).to_string();
    person.begin("POST", "/api/preflight", &json, body.as_bytes())
}

/// Nobody is asked for a read in production.
fn reads_run_at_once() -> String {
    let reads = "[[workflows]]\ndatabase = \"shop\"\nenvironment = \"production\"\noperations = [\"execute_select\"]\n";
    format!("{SHOP}{reads}")
}

fn impact(person: &Person, sql: &str, more: Value) -> Value {
    let answer = person.post("/api/preflight", &body(sql, more)).is(200);
    answer.json["impact"].clone()
}

#[test]
fn a_preflight_waits_for_its_plans_and_leaves_nothing() {
    let s = Server::with(&reads_run_at_once());
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    agent.poll();
    let poll = agent.begin_poll(30);
    s.until_parked(1);
    let before = s.events("").len();
    let waiting = begin(&requester, TWO);
    let answer = poll.answer().is(200);
    let jobs = listed(&answer);
    assert_eq!(jobs.len(), 2, "{}", answer.raw());
    assert!(jobs[0].1.contains("price = 2") && jobs[1].1.contains("price = 3"));
    let job = &answer.json["dry_run_jobs"][0];
    assert_eq!(
        (&job["database"], &job["environment"], &job["dialect"]),
        (&json!("shop"), &json!("production"), &json!("postgresql"))
    );
    explain(&agent, &jobs[1].0, plan(2)).is(200);
    explain(&agent, &jobs[0].0, plan(1)).is(200);
    let shown = waiting.answer().is(200).json;
    assert_eq!(shown["status"], "requestable", "{shown}");
    assert_eq!(shown["impact"]["explain_status"], "ready");
    assert_eq!(
        shown["impact"]["explain"],
        json!([
            {"sql": jobs[0].1, "plan": plan(1)["result"]},
            {"sql": jobs[1].1, "plan": plan(2)["result"]},
        ])
    );
    assert!(offered(&agent).is_empty());
    claim(&agent, &jobs[0].0).refused(404, "not_found");
    assert!(requester.ids("limit=10").is_empty());
    assert_eq!(s.events("").len(), before, "nothing is audited");
}

#[test]
fn a_preflight_that_no_agent_explains_says_why() {
    let s = Server::with(&reads_run_at_once());
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    let nobody = impact(&requester, UPDATE, json!({}));
    assert_eq!(
        (&nobody["explain"], &nobody["explain_status"]),
        (&Value::Null, &json!("unavailable"))
    );
    agent.poll_with(json!({"status": {"draining": true}}));
    assert_eq!(
        impact(&requester, UPDATE, json!({}))["explain_status"],
        "unavailable"
    );
    agent.poll();
    let (silent, some) = (begin(&requester, UPDATE), begin(&requester, TWO));
    s.until_parked(2);
    let jobs = offered(&agent);
    assert_eq!(jobs.len(), 3);
    let two = jobs.iter().filter(|job| job.1.contains("price = 3"));
    let two: Vec<_> = two.collect();
    assert_eq!(two.len(), 1);
    explain(&agent, &two[0].0, json!({"error": "no such column"})).is(200);
    let token = claim(&agent, &jobs[0].0).is(200).text("claim_token");
    s.turn_only(5);
    let silent = silent.answer().is(200).json["impact"].clone();
    let some = some.answer().is(200).json["impact"].clone();
    assert_eq!(
        (&silent["explain"], &silent["explain_status"]),
        (&Value::Null, &json!("timeout"))
    );
    assert_eq!(some["explain_status"], "partial", "{some}");
    assert_eq!(some["explain"][0]["error"], "no agent explained it in time");
    assert_eq!(some["explain"][1]["error"], "no such column");
    // What comes later is for nobody.
    let late = json!({"claim_token": token, "result": {}});
    finish(&agent, &jobs[0].0, &late).refused(404, "not_found");
    assert!(offered(&agent).is_empty());
    // Who waits for nothing asks nobody.
    let at_once = impact(&requester, UPDATE, json!({"explain_timeout_ms": 0}));
    assert_eq!(at_once["explain_status"], "timeout");
    assert!(offered(&agent).is_empty());
}

#[test]
fn what_cannot_be_requested_is_sent_to_no_database() {
    let silent = SHOP.replace(
        "environment = \"staging\"\n",
        "environment = \"staging\"\nexplain = false\n",
    );
    let blind =
        "[[auth.roles]]\nname = \"blind\"\npermissions = [\"request.create\", \"request.view\"]\n";
    let reads = &reads_run_at_once()[SHOP.len()..];
    let s = Server::with(&format!("{silent}{reads}{blind}"));
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    agent.poll();
    for (sql, more, status) in [
        ("DELETE FROM items", json!({}), "refused"),
        ("GRANT ALL ON items TO x", json!({}), "refused"),
        ("SELEC 1", json!({}), "refused"),
        (UPDATE, json!({"environment": "staging"}), "disabled"),
        (UPDATE, json!({"include_explain": false}), "not_requested"),
    ] {
        let impact = impact(&requester, sql, more);
        assert_eq!(impact["explain_status"], status, "{sql}: {impact}");
        assert_eq!(impact["explain"], Value::Null);
        assert!(offered(&agent).is_empty(), "{sql}");
    }
    // A plan tells what tables hold, which is for those who may read results.
    let blind = s.person("blind", &["blind"]);
    assert_eq!(
        impact(&blind, UPDATE, json!({}))["explain_status"],
        "forbidden"
    );
    assert!(offered(&agent).is_empty());
    // Nor what the caller may not request.
    let reader = s.approver();
    assert_eq!(
        impact(&reader, UPDATE, json!({}))["explain_status"],
        "refused"
    );
    assert!(offered(&agent).is_empty());
}

#[test]
fn a_plan_is_for_those_who_could_read_without_asking() {
    let entry = |keys: &str| {
        format!("{SHOP}[[auto_approve]]\nenvironment = \"production\"\nrisk = \"low\"\n{keys}")
    };
    let (waits, runs) = ("needs_approval", "timeout");
    let any = SHOP.replace("dialect = \"postgresql\"\n", "");
    let any = any + &entry("")[SHOP.len()..];
    for (toml, sql, status) in [
        (SHOP.to_owned(), UPDATE, waits),
        (SHOP.to_owned(), "SELECT * FROM items", waits),
        (reads_run_at_once(), UPDATE, runs),
        (entry(""), UPDATE, runs),
        (entry(""), "SELECT * FROM items", runs),
        // Reads that call it wait for somebody.
        (
            entry(""),
            "UPDATE items SET price = peek(1) WHERE id = 1",
            waits,
        ),
        (entry("allow_read_only = false\n"), UPDATE, waits),
        (entry("").replace("\"low\"", "\"none\""), UPDATE, waits),
        (any, UPDATE, waits),
    ] {
        let s = Server::with(&toml);
        s.agent("agent-1").poll();
        let impact = impact(&s.requester(), sql, json!({"explain_timeout_ms": 0}));
        assert_eq!(impact["explain_status"], status, "{sql}: {impact}\n{toml}");
        assert_eq!(impact["explain"], Value::Null);
    }
}

#[test]
fn one_person_waits_for_two_preflights_at_most() {
    let s = Server::with(&reads_run_at_once());
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    agent.poll();
    let first = [begin(&requester, UPDATE), begin(&requester, UPDATE)];
    s.until_parked(2);
    assert_eq!(
        impact(&requester, UPDATE, json!({}))["explain_status"],
        "busy"
    );
    let other = begin(&s.person("requester-two", &["developer"]), UPDATE);
    s.until_parked(3);
    for (id, _) in offered(&agent) {
        explain(&agent, &id, plan(1)).is(200);
    }
    for waiting in first.into_iter().chain([other]) {
        let answer = waiting.answer().is(200);
        assert_eq!(answer.json["impact"]["explain_status"], "ready");
    }
    // Those who leave are not counted for ever.
    let left = [begin(&requester, UPDATE), begin(&requester, UPDATE)];
    s.until_parked(2);
    left.into_iter().for_each(Waiting::hang_up);
    s.turn_only(6);
    s.until_parked(0);
    agent.poll();
    let again = begin(&requester, UPDATE);
    let mut jobs = Vec::new();
    eventually("a statement is offered", || {
        jobs = offered(&agent);
        !jobs.is_empty()
    });
    explain(&agent, &jobs[0].0, plan(1)).is(200);
    assert_eq!(
        again.answer().is(200).json["impact"]["explain_status"],
        "ready"
    );
}

#[test]
fn plans_of_preflight_come_from_the_agent_that_claimed_it() {
    let s = Server::with(&reads_run_at_once());
    let elsewhere = s
        .agent("agent-2")
        .serving(json!({"databases": ["shop"], "environments": ["staging"]}));
    elsewhere.poll();
    let requester = s.requester();
    assert_eq!(
        impact(&requester, UPDATE, json!({}))["explain_status"],
        "unavailable"
    );
    let (one, two) = (s.agent("agent-1"), s.agent("agent-3"));
    one.poll();
    two.poll();
    let waiting = begin(&requester, UPDATE);
    s.until_parked(1);
    assert!(offered(&elsewhere).is_empty());
    let id = offered(&one)[0].0.clone();
    claim(&elsewhere, &id).refused(403, "forbidden");
    let token = claim(&one, &id).is(200).text("claim_token");
    claim(&two, &id).refused(409, "conflict");
    let answer = |token: &str| json!({"claim_token": token, "result": {"node": 1}});
    finish(&two, &id, &answer(&token)).refused(409, "conflict");
    finish(&one, &id, &answer("another")).refused(409, "conflict");
    assert!(waiting.is_waiting());
    finish(&one, &id, &answer(&token)).is(200);
    let shown = waiting.answer().is(200).json["impact"].clone();
    assert_eq!(shown["explain"][0]["plan"], json!({"node": 1}));
}
