//! A request that somebody puts back to where it once was: the log knows of a later move, so nothing comes of it.

use super::{UPDATE, dispatched, metadata, shop};
use crate::support::{Request, Server};

/// Puts a row back to the last event that moved it to `status`.
fn put_back(s: &Server, request: &Request, status: &str, more: &str) {
    s.edit_request(
        request,
        &format!(
            "UPDATE requests SET status = '{status}', resolved_at_ms = NULL, cancelled_by = NULL, \
             cancel_reason = NULL, audit_seq = (SELECT max(seq) FROM audit_events WHERE request_id = requests.id \
             AND to_status = '{status}'){more} WHERE seq = ?"
        ),
    );
}

/// The one event of its corruption names its status.
#[track_caller]
fn is_corrupt(s: &Server, request: &Request) {
    let events = s.events(&format!(
        "event_type=request.corrupt&request_id={}",
        request.id
    ));
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(metadata(&events[0])["differs"], "status");
}

#[test]
fn a_cancelled_request_that_is_dispatched_again_is_not_signed() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    s.requester().cancel(&request).is(200);
    let due = ", dispatch_deadline_ms = updated_at_ms + 300000, due_at_ms = updated_at_ms + 300000";
    put_back(&s, &request, "dispatched", due);
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    is_corrupt(&s, &request);
    let started = format!("event_type=execution.started&request_id={}", request.id);
    assert!(s.events(&started).is_empty());
}

#[test]
fn a_request_that_runs_is_not_signed_for_another_run() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    agent.claim(&request.id);
    let free = ", claimed_by = NULL, execution_id = NULL, dispatch_deadline_ms = updated_at_ms + 300000, \
                due_at_ms = updated_at_ms + 300000";
    put_back(&s, &request, "dispatched", free);
    let other = s.agent("agent-2");
    other.poll();
    other.try_claim(&request.id).refused(409, "corrupt");
    is_corrupt(&s, &request);
    let started = format!("event_type=execution.started&request_id={}", request.id);
    assert_eq!(s.events(&started).len(), 1);
}

#[test]
fn a_rejected_request_that_waits_again_is_approved_in_vain() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("production", UPDATE);
    s.approver().reject(&request).is(200);
    put_back(&s, &request, "pending", ", due_at_ms = expires_at_ms");
    s.edit_request(&request, "DELETE FROM approvals WHERE request_seq = ?");
    s.approver().approve(&request).is(200);
    s.requester().resume(&request).is(200);
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    is_corrupt(&s, &request);
    let started = format!("event_type=execution.started&request_id={}", request.id);
    assert!(s.events(&started).is_empty());
    // The log tells of the approval, from where the request was not.
    let proof = s.admin().get("/api/audit/verify").is(200);
    assert_eq!(
        proof.json["problem"],
        "it moves a request from where it was not"
    );
    s.abandon();
}
