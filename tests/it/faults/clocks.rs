//! A clock that jumps: what has an end ends, and nothing runs twice.

use super::SELECT;
use crate::support::{Request, Server};
use serde_json::json;
use std::time::Duration;

const DAY: u64 = 86_400;
/// Longer than anything lasts by itself.
const JUMP: Duration = Duration::from_secs(40 * DAY);

/// How often a request has been run.
fn runs(request: &Request) -> usize {
    let path = request.path("/executions");
    request.by.get(&path).is(200).list("executions").len()
}

#[test]
fn clock_set_forward_by_days_runs_nothing_twice() {
    let s = Server::shop();
    let (requester, approver, agent) = (s.requester(), s.approver(), s.agent("agent-1"));
    let ends = s.clock.now().plus_secs(2 * DAY).rfc3339();
    let body = json!({"subject_id": "guest", "subject_type": "user", "roles": ["readonly"], "expires_at": ends});
    let token = s.admin().post("/api/tokens", &body).is(201).text("token");
    let guest = s.bearer("guest", &token);
    guest.get("/api/me").is(200);
    let submit = || requester.submit("production", SELECT);
    let (waiting, approved) = (submit(), submit().approved_by(&approver));
    let dispatched = submit().approved_by(&approver).resumed();
    let running = submit().approved_by(&approver).resumed();
    let claim = agent.claim(&running.id);
    let done = requester.submit("development", SELECT);
    agent.run(&done.id);

    s.clock.set_forward(JUMP);
    s.sweep();
    s.minute();
    guest.get("/api/me").refused(401, "unauthenticated");
    for over in [&waiting, &approved, &dispatched] {
        over.clone().is("expired");
        approver.approve(over).refused(410, "gone");
        requester.resume(over).refused(410, "gone");
    }
    running.clone().is("execution_lost");
    let nothing_to_run = || {
        assert!(agent.jobs().is_empty());
        for request in [&waiting, &approved, &dispatched, &running, &done] {
            let status = agent.try_claim(&request.id).status;
            assert!([403, 404, 409, 410].contains(&status), "{status}");
        }
    };
    nothing_to_run();
    // What the agent did counts, once.
    agent.succeed(&claim.execution, "[]").is(200);
    running.clone().is("executed");
    nothing_to_run();

    s.clock.set_back(JUMP);
    s.sweep();
    s.minute();
    nothing_to_run();
    agent.succeed(&claim.execution, "[]").is(200);
    for over in [&waiting, &approved, &dispatched] {
        over.clone().is("expired");
    }
    assert_eq!([runs(&running), runs(&done), runs(&dispatched)], [1, 1, 0]);
    let s = s.restart();
    s.sweep();
    assert!(s.agent("agent-1").jobs().is_empty());
    // Work goes on by the time that it is now.
    let again = s
        .requester()
        .submit("production", SELECT)
        .approved_by(&s.approver())
        .resumed();
    s.agent("agent-1").run(&again.id);
    again.is("executed");
    let completed = s.events("event_type=execution.completed");
    assert_eq!(completed.len(), 3, "{completed:?}");
}
