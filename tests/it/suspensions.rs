//! A suspension takes effect everywhere at once: tokens, requests, waiting calls, and at the next call.

use super::people::{activate, listed, metadata, suspend};
use crate::support::{Request, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// One request of the requester in every status that there is, by name.
fn one_of_each(s: &Server) -> Vec<(&'static str, Request)> {
    let (requester, agent) = (
        s.person("requester", &["developer", "hurry"]),
        s.agent("agent-1"),
    );
    let rescue = json!({"emergency": true, "reason": "outage"});
    let pending = requester.submit("production", UPDATE);
    let approved = requester
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    let rejected = requester.submit("production", UPDATE);
    s.approver().reject(&rejected).is(200);
    let executed = requester.submit("development", UPDATE);
    agent.run(&executed.id);
    let lost = requester.submit("development", UPDATE);
    agent.claim(&lost.id);
    let auto_approved = requester.submit("development", UPDATE);
    let break_glass = requester.submit_with("production", UPDATE, rescue);
    // Nobody takes the last two, and nobody learns of the one before.
    s.turn(301);
    let dispatched = requester.submit("development", UPDATE);
    let running = requester.submit("development", UPDATE);
    agent.claim(&running.id);
    vec![
        ("pending", pending),
        ("approved", approved),
        ("rejected", rejected),
        ("executed", executed),
        ("execution_lost", lost),
        ("auto_approved", auto_approved),
        ("break_glass", break_glass),
        ("dispatched", dispatched),
        ("running", running),
    ]
}

#[test]
fn suspending_cancels_everything_that_can_be_and_revokes_every_token() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"hurry\"\npermissions = [\"request.break_glass\"]\n"
    ));
    let all = one_of_each(&s);
    for (status, request) in &all {
        request.clone().is(status);
    }
    let tokens = s.admin().get("/api/tokens").list("tokens");
    let tokens = tokens
        .iter()
        .filter(|t| t["subject_id"] == "requester")
        .count();
    let answer = suspend(&s.admin(), "requester").is(200);
    assert_eq!(answer.json["revoked_tokens"], tokens);
    assert_eq!(answer.json["warning"], Value::Null);
    let mut cancelled: Vec<String> = answer
        .list("cancelled_requests")
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    let mut wanted = Vec::new();
    for (status, request) in &all {
        let now = s.admin().show(request).is(200).json;
        if matches!(*status, "rejected" | "executed") {
            assert_eq!(now["status"], *status);
            continue;
        }
        wanted.push(request.id.clone());
        assert_eq!(
            (&now["status"], &now["cancelled_by"]),
            (&json!("cancelled"), &json!("admin")),
            "{status}"
        );
    }
    cancelled.sort();
    wanted.sort();
    assert_eq!(cancelled, wanted);
    assert_eq!(s.events("event_type=request.cancelled").len(), wanted.len());
    assert_eq!(s.events("event_type=token.revoked").len(), tokens);
    let events = s.events("event_type=user.disabled");
    assert_eq!((events.len(), &events[0]["actor_id"]), (1, &json!("admin")));
    assert_eq!(metadata(&events[0])["by_config"], false);
    // The agent that runs one of them learns of it.
    let running = &all.last().unwrap().1;
    let shown = s.admin().show(running).json;
    let execution = shown["execution_id"].as_str().unwrap().to_owned();
    assert_eq!(
        s.agent("agent-1").heartbeat(&execution).is(200).json["cancelled"],
        true
    );
    assert!(s.agent("agent-1").jobs().is_empty());
    // Again changes nothing.
    let again = suspend(&s.admin(), "requester").is(200);
    assert_eq!(
        (
            &again.json["revoked_tokens"],
            &again.json["cancelled_requests"]
        ),
        (&json!(0), &json!([]))
    );
    assert_eq!(s.events("event_type=user.disabled").len(), 1);
}

#[test]
fn suspending_somebody_with_many_requests_cancels_them_all() {
    let s = Server::shop();
    let requester = s.requester();
    for _ in 0..520 {
        requester.submit("production", UPDATE);
    }
    let answer = suspend(&s.admin(), "requester").is(200);
    assert_eq!(answer.list("cancelled_requests").len(), 520);
    let left = s.admin().get("/api/requests?status=pending").is(200);
    assert_eq!(left.json["total"], 0);
}

#[test]
fn a_suspension_counts_at_the_next_call_of_every_token() {
    let s = Server::shop();
    let (one, two) = (s.requester(), s.person("requester", &["readonly"]));
    one.get("/api/me").is(200);
    two.get("/api/me").is(200);
    suspend(&s.admin(), "requester").is(200);
    for person in [&one, &two] {
        person.get("/api/me").refused(401, "unauthenticated");
        person
            .create("development", SELECT)
            .refused(401, "unauthenticated");
        person.get("/api/results").refused(401, "unauthenticated");
    }
    assert_eq!(listed(&s, "requester")["status"], "suspended");
}

#[test]
fn suspension_ends_a_persons_waits_and_wakes_their_watchers() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let own = [
        request.by.wait(&request.path("?wait=60")),
        request.by.wait(&request.path("/result/stream")),
    ];
    let looking = s.admin().wait(&request.path("?wait=60"));
    let streaming = s.admin().wait(&request.path("/result/stream"));
    let (one, other) = (s.agent("agent-1"), s.agent("agent-2"));
    // Where nothing waits to be explained.
    let idle = json!({"databases": ["shop"], "environments": ["staging"]});
    let polling = one.clone().serving(idle.clone()).begin_poll(30);
    let unconcerned = other.serving(idle).begin_poll(30);
    s.until_parked(6);
    suspend(&s.admin(), "requester").is(200);
    for waiter in own {
        waiter.answer().refused(401, "unauthenticated");
    }
    assert_eq!(looking.answer().is(200).text("status"), "cancelled");
    assert_eq!(
        streaming.answer().is(200).text("error_message"),
        "request cancelled"
    );
    assert!(polling.is_waiting());
    suspend(&s.admin(), "agent-1").is(200);
    polling.answer().refused(401, "unauthenticated");
    one.poll_with(json!({})).refused(401, "unauthenticated");
    assert!(unconcerned.is_waiting());
    unconcerned.hang_up();
}

#[test]
fn a_suspended_voter_is_gone_but_the_votes_stay() {
    let two = SHOP
        .replace("group = \"approvers\"", "group = \"approvers\"\nmin = 2")
        .replace(
            "[[workflows.steps]]",
            "admin_override = false\n[[workflows.steps]]",
        );
    let s = Server::with(&two);
    let request = s.requester().submit("production", UPDATE);
    s.approver().approve(&request).is(200);
    suspend(&s.admin(), "approver").is(200);
    s.approver()
        .approve(&request)
        .refused(401, "unauthenticated");
    s.person("approver-two", &["readonly"])
        .approve(&request)
        .is(200);
    // The vote is still there, and does not count.
    let request = request.is_pending();
    // With one of two gone, nobody could approve the next.
    s.requester()
        .create("production", UPDATE)
        .refused(422, "no_eligible_approver");
    activate(&s.admin(), "approver").is(200);
    request.is("approved");
    s.requester().submit("production", UPDATE).is_pending();
}

#[test]
fn an_administrator_may_suspend_their_own_account() {
    let s = Server::shop();
    let tired = s.person("tired", &["admin"]);
    let request = tired.submit("production", UPDATE);
    let answer = suspend(&tired, "tired").is(200);
    assert_eq!(answer.json["cancelled_requests"], json!([request.id]));
    tired.get("/api/me").refused(401, "unauthenticated");
    assert_eq!(listed(&s, "tired")["status"], "suspended");
}
