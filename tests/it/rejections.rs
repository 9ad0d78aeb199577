//! Votes against, votes that come too late, and requests that nobody decides in time.

use crate::approvals::{TWO_STEPS, reader, shop, submit, with};
use crate::support::{Server, golden};
use serde_json::json;
use std::sync::{Arc, Barrier};
use std::thread;

#[test]
fn approval_and_rejection_at_once_end_as_one_of_them() {
    let s = Server::shop();
    let (one, two) = (s.approver(), reader(&s, "approver-two"));
    for _ in 0..8 {
        let request = submit(&s);
        let barrier = Arc::new(Barrier::new(2));
        let approving = {
            let (one, request, barrier) = (one.clone(), request.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                one.approve(&request).status
            })
        };
        barrier.wait();
        let rejected = two.reject(&request).status;
        let approved = approving.join().unwrap();
        let status = request.status();
        let mut both = [approved, rejected];
        both.sort_unstable();
        assert_eq!(both, [200, 409], "approve {approved}, reject {rejected}");
        assert_eq!(
            status,
            if approved == 200 {
                "approved"
            } else {
                "rejected"
            }
        );
    }
}

#[test]
fn one_rejection_is_final_and_its_reason_is_kept() {
    let s = Server::shop();
    for field in ["comment", "reason"] {
        let request = submit(&s);
        let answer = with(
            &s.approver(),
            &request,
            "reject",
            json!({field: "not today"}),
        )
        .is(200);
        golden("reject", &answer.json);
        s.approver().approve(&request).refused(409, "conflict");
        let events = s.events(&format!(
            "event_type=request.rejected&request_id={}",
            request.id
        ));
        assert_eq!(events[0]["reason"], "not today");
        request.by.resume(&request).refused(409, "conflict");
        request.is("rejected");
    }
}

#[test]
fn requester_may_reject_own_request() {
    let s = Server::shop();
    let request = submit(&s);
    request.by.reject(&request).is(200);
    request.is("rejected");
}

#[test]
fn an_expired_request_is_410_whether_swept_or_not() {
    let s = Server::shop();
    for swept in [false, true] {
        let request = submit(&s);
        if swept {
            s.turn(86_400)
        } else {
            s.turn_only(86_400)
        }
        s.approver().approve(&request).refused(410, "gone");
        s.approver().reject(&request).refused(410, "gone");
        request.by.resume(&request).refused(410, "gone");
        s.sweep();
        request.is("expired");
    }
}

#[test]
fn a_workflow_says_how_long_its_requests_wait() {
    let s = shop(&format!(
        "pending_ttl_secs = 60\napproval_ttl_secs = 120\n{TWO_STEPS}"
    ));
    let request = submit(&s);
    s.turn(59);
    assert_eq!(request.status(), "pending");
    s.turn(1);
    request.is("expired");
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    reader(&s, "dba-one").approve(&request).is(200);
    s.turn(119);
    assert_eq!(request.status(), "approved");
    s.turn_only(1);
    request.by.resume(&request).refused(410, "gone");
    s.sweep();
    request.is("expired");
}

#[test]
fn a_vote_after_the_decision_says_so() {
    let s = Server::shop();
    let late = reader(&s, "approver-two");
    let request = submit(&s).approved_by(&s.approver());
    late.approve(&request).refused(409, "conflict");
    late.reject(&request).refused(409, "conflict");
    let request = request.resumed();
    s.agent("agent-1").run(&request.id);
    late.approve(&request).refused(409, "conflict");
    // A person who was never asked learns nothing.
    reader(&s, "stranger")
        .approve(&request)
        .refused(403, "forbidden");
    late.show(&request).refused(403, "forbidden");
}
