//! What becomes of a request after it was decided: dispatched, run, lost, run again, called off, expired.

use crate::support::{ROWS, SHOP, Server, golden};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

fn with_policy(lines: &str) -> Server {
    Server::with(&format!("{SHOP}\n[[execution_policies]]\n{lines}\n"))
}

fn acknowledge(reason: Option<&str>) -> Value {
    json!({"acknowledge_unknown_outcome": true, "reason": reason})
}

#[test]
fn from_create_to_result_in_production() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE).is_pending();
    let request = request.approved_by(&s.approver()).is("approved");
    golden("resume", &request.by.resume(&request).is(200).json);
    let agent = s.agent("agent-1");
    assert_eq!(agent.jobs(), [request.id.as_str()]);
    let claim = agent.claim(&request.id);
    assert_eq!(request.status(), "running");
    agent.heartbeat(&claim.execution).is(200);
    agent
        .succeed(&claim.execution, r#"{"rows_affected":1}"#)
        .is(200);
    let request = request.is("executed");
    let streamed = request.by.get(&request.path("/result/stream")).is(200);
    assert_eq!(streamed.json["rows_affected"], 1);
    let types: Vec<String> = s
        .events(&format!("request_id={}", request.id))
        .iter()
        .rev()
        .map(|e| e["event_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "request.created",
            "request.approved",
            "request.dispatched",
            "execution.started",
            "execution.completed"
        ]
    );
}

#[test]
fn what_needs_no_approval_is_dispatched_at_once() {
    let s = Server::shop();
    let request = s.requester().submit("development", UPDATE);
    assert_eq!(request.answer.text("status"), "dispatched");
    let trace = request.by.show(&request).json["decision_trace"]["decision"].clone();
    assert_eq!(
        (&trace["outcome"], &trace["reasons"]),
        (&json!("auto_approved"), &json!(["empty_steps"]))
    );
    s.agent("agent-1").run(&request.id);
    request.is("executed");
}

#[test]
fn only_what_may_be_dispatched_is_resumed() {
    let s = Server::shop();
    let requester = s.requester();
    let pending = requester.submit("production", UPDATE);
    requester.resume(&pending).refused(409, "conflict");
    let dispatched = requester.submit("development", UPDATE);
    requester.resume(&dispatched).refused(409, "conflict");
    let claim = s.agent("agent-1").claim(&dispatched.id);
    requester.resume(&dispatched).refused(409, "conflict");
    s.agent("agent-1").succeed(&claim.execution, ROWS).is(200);
    requester
        .resume(&dispatched)
        .refused(409, "max_executions_reached");
    let failed = requester.submit("development", UPDATE);
    let claim = s.agent("agent-1").claim(&failed.id);
    s.agent("agent-1")
        .fail(&claim.execution, "no such table")
        .is(200);
    assert_eq!(failed.status(), "failed");
    requester.resume(&failed).is(409);
    s.approver().reject(&pending).is(200);
    requester.resume(&pending).refused(409, "conflict");
    let cancelled = requester.submit("production", UPDATE);
    requester.cancel(&cancelled).is(200);
    requester.resume(&cancelled).refused(409, "conflict");
}

#[test]
fn only_the_requester_and_administrators_resume_and_cancel() {
    let s = Server::shop();
    let request = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    for person in [s.approver(), s.person("other", &["developer"])] {
        person.resume(&request).refused(403, "forbidden");
        person.cancel(&request).refused(403, "forbidden");
    }
    s.admin().resume(&request).is(200);
    s.admin().cancel(&request).is(200);
    request.is("cancelled");
}

#[test]
fn a_policy_lets_requests_run_more_often() {
    let s =
        with_policy("max_executions = 2\nretry_on_failure = true\nexecution_window_secs = 3600");
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let body = json!({"success": false, "outcome": "rolled_back", "error_message": "locked"});
    agent.result(&claim.execution, &body).is(200);
    let request = request.resumed();
    agent.run(&request.id);
    request
        .by
        .resume(&request)
        .refused(409, "max_executions_reached");
    request.is("executed");
}

#[test]
fn the_window_runs_from_the_first_completed_execution() {
    let s = with_policy("max_executions = 10\nexecution_window_secs = 3600");
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    s.turn(200);
    agent.run(&request.id);
    s.turn(3_000);
    let request = request.resumed();
    agent.run(&request.id);
    s.turn(599);
    let request = request.resumed();
    agent.run(&request.id);
    s.turn(1);
    request.by.resume(&request).refused(410, "gone");
}

#[test]
fn an_approval_ends_by_its_time() {
    let s = Server::shop();
    let request = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    s.turn(86_399);
    assert_eq!(request.status(), "approved");
    s.turn_only(1);
    request.by.resume(&request).refused(410, "gone");
    s.sweep();
    let request = request.is("expired");
    request.by.resume(&request).refused(410, "gone");
    assert_eq!(
        s.events(&format!(
            "event_type=request.expired&request_id={}",
            request.id
        ))
        .len(),
        1
    );
}

#[test]
fn an_unclaimed_dispatch_goes_back_to_where_it_came_from() {
    let s = Server::with(&format!(
        "dispatch_timeout_secs = 300\n{SHOP}\n[[auth.roles]]\nname = \"oncall\"\n\
         permissions = [\"request.break_glass\", \"request.view\", \"request.resume\"]\n"
    ));
    let auto = s.requester().submit("development", UPDATE);
    let approved = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    let emergency = json!({"emergency": true, "reason": "it burns"});
    let urgent = s
        .person("oncall", &["oncall"])
        .submit_with("production", UPDATE, emergency);
    s.turn(299);
    assert_eq!(auto.status(), "dispatched");
    s.turn_only(1);
    // Due is due, whether it was swept or not.
    let agent = s.agent("agent-1");
    agent.poll();
    agent.try_claim(&auto.id).refused(409, "conflict");
    s.sweep();
    for (request, status) in [
        (auto, "auto_approved"),
        (approved, "approved"),
        (urgent, "break_glass"),
    ] {
        let request = request.is(status).resumed().is_dispatched();
        let events = s.events(&format!(
            "event_type=request.dispatch_timeout&request_id={}",
            request.id
        ));
        assert_eq!(events.len(), 1);
        agent.run(&request.id);
    }
}

#[test]
fn returned_dispatches_expire_and_their_clocks_do_not_restart() {
    let s = Server::with(&format!("[retention]\napproval_ttl_secs = 1000\n{SHOP}"));
    let request = s.requester().submit("development", UPDATE);
    s.turn(300);
    let request = request.is("auto_approved").resumed();
    s.turn(300);
    let request = request.is("auto_approved");
    s.turn(399);
    assert_eq!(request.status(), "auto_approved");
    s.turn(1);
    request.is("expired");
}

#[test]
fn an_execution_whose_agent_is_silent_is_lost() {
    let s = Server::shop();
    let request = s.requester().submit("development", UPDATE);
    let claim = s.agent("agent-1").claim(&request.id);
    s.turn(59);
    assert_eq!(request.status(), "running");
    s.turn(1);
    let request = request.is("execution_lost");
    let events = s.events(&format!(
        "event_type=execution.lost&request_id={}",
        request.id
    ));
    assert_eq!(events[0]["outcome"], "failure");
    assert!(
        events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains(&claim.execution)
    );
}

#[test]
fn heartbeats_keep_an_execution() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    for _ in 0..5 {
        s.turn(50);
        assert_eq!(
            agent.heartbeat(&claim.execution).is(200).json,
            json!({"cancelled": false})
        );
    }
    assert_eq!(request.status(), "running");
    s.turn(60);
    request.is("execution_lost");
}

#[test]
fn a_lost_read_is_resumed_under_the_default_policy() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    for _ in 0..2 {
        agent.claim(&request.id);
        s.turn(60);
        request.by.resume(&request).is(200);
    }
    agent.run(&request.id);
    request.is("executed");
}

#[test]
fn a_lost_write_is_resumed_only_with_an_acknowledgement() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    agent.claim(&request.id);
    s.turn(60);
    request
        .by
        .resume(&request)
        .refused(422, "outcome_unknown")
        .saying("look at the database");
    let path = request.path("/resume");
    request
        .by
        .post(&path, &json!({"acknowledge_unknown_outcome": "yes"}))
        .refused(400, "validation_error");
    let silent = request.by.post(&path, &acknowledge(None));
    assert!(matches!(silent.status, 400 | 422), "{}", silent.raw());
    request
        .by
        .post(&path, &acknowledge(Some("it is not there")))
        .is(200);
    let events = s.events(&format!(
        "event_type=request.dispatched&request_id={}",
        request.id
    ));
    assert_eq!(events[0]["reason"], "it is not there");
    assert!(
        events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains("acknowledged_unknown_outcome")
    );
    agent.run(&request.id);
    request.is("executed");
}

#[test]
fn cancelling_is_possible_until_there_is_an_outcome() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let requester = s.requester();
    let pending = requester.submit("production", UPDATE);
    let approved = requester
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    let dispatched = requester.submit("development", UPDATE);
    let lost = requester.submit("development", UPDATE);
    agent.claim(&lost.id);
    s.turn(60);
    for request in [pending, approved, dispatched, lost] {
        let answer = requester.post(&request.path("/cancel"), &json!({"reason": "never mind"}));
        assert_eq!(answer.is(200).text("status"), "cancelled");
        requester.cancel(&request).refused(409, "conflict");
        let events = s.events(&format!(
            "event_type=request.cancelled&request_id={}",
            request.id
        ));
        assert_eq!(events[0]["reason"], "never mind");
    }
    let done = requester.submit("development", UPDATE);
    agent.run(&done.id);
    requester.cancel(&done).refused(409, "conflict");
    let long = json!({"reason": "r".repeat(1025)});
    requester
        .post(&done.path("/cancel"), &long)
        .refused(400, "validation_error");
}

#[test]
fn executions_tell_how_each_run_ended() {
    let s = with_policy("max_executions = 3\nretry_on_failure = true");
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let body = json!({"success": false, "outcome": "rolled_back", "error_message": "locked", "duration_ms": 3});
    agent.result(&claim.execution, &body).is(200);
    let request = request.resumed();
    let claim = agent.claim(&request.id);
    let body = json!({"success": true, "result_data": "{\"rows_affected\":4}", "rows_affected": 4, "duration_ms": 77});
    agent.result(&claim.execution, &body).is(200);
    golden(
        "executions",
        &request.by.get(&request.path("/executions")).is(200).json,
    );
    assert_eq!(
        request
            .by
            .get(&request.path("/executions?limit=1"))
            .is(200)
            .list("executions")
            .len(),
        1
    );
    s.approver()
        .get(&request.path("/executions"))
        .refused(403, "forbidden");
}

#[test]
fn running_executions_get_a_lease_of_grace_after_a_restart() {
    // A stop that waits for nothing leaves the execution running.
    let s = Server::with(&format!("shutdown_grace_secs = 0\n{SHOP}"));
    let request = s.requester().submit("development", UPDATE);
    let claim = s.agent("agent-1").claim(&request.id);
    let s = s.restart_after(3_600);
    s.sweep();
    let is_running = || assert_eq!(s.requester().show(&request).text("status"), "running");
    is_running();
    s.turn(30);
    s.agent("agent-1").heartbeat(&claim.execution).is(200);
    s.turn(59);
    is_running();
    s.agent("agent-1").succeed(&claim.execution, ROWS).is(200);
}

#[test]
fn everything_is_there_after_a_restart() {
    let s = Server::shop();
    let pending = s.requester().submit("production", UPDATE);
    let done = s.requester().submit("development", SELECT);
    s.agent("agent-1").run(&done.id);
    let before = s.requester().show(&done).json;
    let s = s.restart();
    assert_eq!(s.requester().show(&done).json, before);
    s.approver().approve(&pending).is(200);
    let content = s.requester().get(&done.path("/result/content")).is(200);
    assert_eq!(content.json["result_data"]["rows"][0]["name"], "one");
    let jobs = s.agent("agent-1").jobs();
    assert!(jobs.is_empty());
}
