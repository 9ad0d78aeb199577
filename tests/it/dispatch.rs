//! What dispatches an approved request: its requester, or the last vote where the workflow says so.

use crate::support::{Request, SHOP, Server};
use serde_json::Value;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// Production asks for two votes and dispatches with the second.
fn on_approval() -> Server {
    let workflow = "environment = \"production\"\n";
    Server::with(
        &SHOP
            .replace(workflow, &format!("{workflow}dispatch = \"on_approval\"\n"))
            .replace("[[auth.groups]]", "min = 2\n\n[[auth.groups]]"),
    )
}

fn events(s: &Server, request: &Request) -> Vec<String> {
    let found: Vec<Value> = s.events(&format!("request_id={}", request.id));
    let types = found
        .iter()
        .rev()
        .map(|e| e["event_type"].as_str().unwrap().to_owned());
    types.collect()
}

#[test]
fn the_last_vote_dispatches_in_its_own_transaction() {
    let s = on_approval();
    let request = s.requester().submit("production", UPDATE).is_pending();
    let first = s.approver().approve(&request).is(200);
    assert_eq!(first.text("status"), "pending");
    assert!(s.agent("agent-1").jobs().is_empty());
    let last = s.person("approver-two", &[]).approve(&request).is(200);
    assert_eq!(last.text("status"), "dispatched");
    assert_eq!(
        events(&s, &request),
        [
            "request.created",
            "step.approved",
            "request.approved",
            "request.dispatched"
        ]
    );
    assert_eq!(s.agent("agent-1").jobs(), [request.id.as_str()]);
}

#[test]
fn resume_of_what_the_vote_dispatched_changes_nothing() {
    let s = on_approval();
    let request = s.requester().submit("production", UPDATE);
    s.approver().approve(&request).is(200);
    s.person("approver-two", &[]).approve(&request).is(200);
    let resume = || request.by.resume(&request).is(200).text("status");
    assert_eq!(resume(), "dispatched");
    let claim = s.agent("agent-1").claim(&request.id);
    assert_eq!(resume(), "running");
    assert_eq!(
        events(&s, &request).last().map(String::as_str),
        Some("execution.started")
    );
    s.person("stranger", &["developer"])
        .resume(&request)
        .refused(403, "forbidden");
    s.agent("agent-1").succeed(&claim.execution, "{}").is(200);
    request
        .by
        .resume(&request)
        .refused(409, "max_executions_reached");
}

#[test]
fn a_dispatch_that_nobody_claims_goes_back_to_approved() {
    let s = on_approval();
    let request = s.requester().submit("production", UPDATE);
    s.approver().approve(&request).is(200);
    s.person("approver-two", &[]).approve(&request).is(200);
    s.turn(301);
    let request = request.is("approved");
    request.by.resume(&request).is(200);
    request.is_dispatched();
}
