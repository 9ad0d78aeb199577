//! A request that somebody puts back to where it once was: the log knows of a later move, so nothing comes of it.

use super::{UPDATE, dispatched, metadata, shop};
use crate::support::{Request, SHOP, Server};

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

/// The one event of its corruption names what differs.
#[track_caller]
fn is_corrupt(s: &Server, request: &Request, differs: &str) {
    let events = s.events(&format!(
        "event_type=request.corrupt&request_id={}",
        request.id
    ));
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(metadata(&events[0])["differs"], differs);
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
    is_corrupt(&s, &request, "status");
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
    is_corrupt(&s, &request, "status");
    let started = format!("event_type=execution.started&request_id={}", request.id);
    assert_eq!(s.events(&started).len(), 1);
}

#[test]
fn a_rejected_request_that_waits_again_takes_no_vote() {
    for verb in ["approve", "reject"] {
        let s = shop();
        let request = s.requester().submit("production", UPDATE);
        s.approver().reject(&request).is(200);
        put_back(&s, &request, "pending", ", due_at_ms = expires_at_ms");
        s.edit_request(&request, "DELETE FROM approvals WHERE request_seq = ?");
        let path = request.path(&format!("/{verb}"));
        s.approver().poke(&path).refused(409, "corrupt");
        is_corrupt(&s, &request, "status");
        let voted = format!("event_type=request.approved&request_id={}", request.id);
        assert!(s.events(&voted).is_empty());
    }
}

/// Takes the events out of the log that moved a request to `status`.
fn forget(s: &Server, request: &Request, status: &str) {
    s.edit_state(&format!(
        "DELETE FROM audit_events WHERE request_id = '{}' AND to_status = '{status}'",
        request.id
    ));
}

#[test]
fn request_whose_end_the_log_has_lost_is_not_signed() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    s.requester().cancel(&request).is(200);
    // So that the log does not end with what is taken out.
    dispatched(&s);
    let due = ", dispatch_deadline_ms = updated_at_ms + 300000, due_at_ms = updated_at_ms + 300000";
    put_back(&s, &request, "dispatched", due);
    forget(&s, &request, "cancelled");
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    is_corrupt(&s, &request, "status");
    s.abandon();
}

#[test]
fn rewriting_a_forged_row_does_not_make_it_genuine() {
    let s = shop();
    let agent = s.agent("agent-1");
    let approved = s.requester().submit("production", UPDATE);
    let approved = approved.approved_by(&s.approver());
    s.requester().cancel(&approved).is(200);
    dispatched(&s);
    put_back(
        &s,
        &approved,
        "approved",
        ", due_at_ms = approval_expires_at_ms",
    );
    forget(&s, &approved, "cancelled");
    s.requester().resume(&approved).is(200);
    agent.poll();
    agent.try_claim(&approved.id).refused(409, "corrupt");
    is_corrupt(&s, &approved, "status");
    s.abandon();
}

/// Takes out everything that came of a request after its first run.
fn forget_later_runs(s: &Server, request: &Request) {
    s.edit_request(
        request,
        "DELETE FROM executions WHERE request_seq = ? AND attempt > 1; \
         DELETE FROM audit_events WHERE request_id = (SELECT id FROM requests WHERE seq = ?) AND seq > \
         (SELECT min(seq) FROM audit_events WHERE request_id = (SELECT id FROM requests WHERE seq = ?) \
         AND to_status = 'executed'); \
         UPDATE requests SET executions_finished = 1, execution_id = (SELECT id FROM executions WHERE request_seq = ?), \
         audit_seq = (SELECT max(seq) FROM audit_events WHERE request_id = requests.id AND to_status = 'executed') \
         WHERE seq = ?",
    );
}

#[test]
fn a_run_that_the_log_has_lost_allows_no_other() {
    for stopped in [false, true] {
        let s = Server::with(&format!(
            "{SHOP}[[execution_policies]]\nmax_executions = 2\n"
        ));
        let request = dispatched(&s);
        s.agent("agent-1").run(&request.id);
        // A checkpoint covers what is left.
        s.turn_only(3_601);
        s.minute();
        assert!(!s.events("event_type=audit.signed_checkpoint").is_empty());
        s.requester().resume(&request).is(200);
        s.agent("agent-1").run(&request.id);
        let refused = s.requester().resume(&request);
        refused.refused(409, "max_executions_reached");
        dispatched(&s);
        let s = match stopped {
            true => s.restart_edited(|s| forget_later_runs(s, &request)),
            false => {
                forget_later_runs(&s, &request);
                s
            }
        };
        s.requester().resume(&request).is(200);
        let agent = s.agent("agent-1");
        agent.poll();
        agent.try_claim(&request.id).refused(409, "corrupt");
        is_corrupt(&s, &request, "executions");
        s.abandon();
    }
}
