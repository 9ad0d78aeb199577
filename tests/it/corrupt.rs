//! The state file, edited under a running server: what was edited is never signed.

mod ended;
mod rewound;
mod unread;
mod waiting;

use crate::support::{Agent, NOT_OF_THE_HEAD, ROWS, Request, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// In staging, two people have to approve, or one of the leads.
const TWO: &str = r#"
[[workflows]]
database = "shop"
environment = "staging"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"
min = 2
"#;

fn shop() -> Server {
    Server::with(&format!("{SHOP}{TWO}"))
}

/// A request in production that was approved and dispatched.
fn dispatched(s: &Server) -> Request {
    s.requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed()
        .is_dispatched()
}

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

#[track_caller]
fn is_frozen(s: &Server, agent: &Agent, request: &Request, differs: &str) {
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    let about = format!("request_id={}", request.id);
    let events = s.events(&format!("event_type=request.corrupt&{about}"));
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(metadata(&events[0])["differs"], differs);
    assert_eq!(events[0]["outcome"], "failure");
    let started = s.events(&format!("event_type=execution.started&{about}"));
    assert_eq!(started, Vec::<Value>::new());
    // Another try finds the flag, and says it once only.
    agent.try_claim(&request.id).refused(409, "corrupt");
    assert_eq!(
        s.events(&format!("event_type=request.corrupt&{about}"))
            .len(),
        1
    );
    assert!(!agent.jobs().contains(&request.id));
    let shown = s.admin().show(request).is(200);
    assert_eq!(shown.json["corrupt"], true);
    // The log holds; the rows stay edited.
    let problem = s.admin().get("/api/audit/verify").text("problem");
    assert!(problem.ends_with(NOT_OF_THE_HEAD), "{problem}");
}

/// The same of a request that nobody can look at any more.
#[track_caller]
fn is_frozen_unseen(s: &Server, agent: &Agent, request: &Request, differs: &str) {
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    agent.try_claim(&request.id).refused(409, "corrupt");
    assert!(!agent.jobs().contains(&request.id));
    let about = format!("request_id={}", request.id);
    let events = s.events(&format!("event_type=request.corrupt&{about}"));
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(metadata(&events[0])["differs"], differs);
    assert_eq!(events[0]["database_name"], "shop");
    let started = s.events(&format!("event_type=execution.started&{about}"));
    assert_eq!(started, Vec::<Value>::new());
}

/// Edits that leave what can be no value.
const UNREADABLE: &[&str] = &[
    "UPDATE requests SET operation = 'anything' WHERE seq = ?",
    "UPDATE requests SET dialect = 'klingon' WHERE seq = ?",
    "UPDATE requests SET requester = CAST(X'FF' AS TEXT) WHERE seq = ?",
    "UPDATE requests SET reason = CAST(X'FF' AS TEXT) WHERE seq = ?",
    "UPDATE requests SET environment = '' WHERE seq = ?",
    "UPDATE requests SET current_step = -1 WHERE seq = ?",
    "UPDATE requests SET row_bound_source = 'nobody' WHERE seq = ?",
    "UPDATE request_texts SET detail = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
    "UPDATE request_texts SET redacted = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
];

#[test]
fn unreadable_request_is_frozen_and_stops_no_other() {
    let s = shop();
    let agent = s.agent("agent-1");
    for edited in UNREADABLE {
        let (request, other) = (dispatched(&s), dispatched(&s));
        s.edit_request(&request, edited);
        assert!(agent.jobs().contains(&other.id), "{edited}");
        is_frozen_unseen(&s, &agent, &request, "request");
        agent.run(&other.id);
    }
    assert_eq!(s.forgive_faults(), 0);
}

#[test]
fn a_poll_freezes_what_it_cannot_read() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    s.edit_request(&request, UNREADABLE[0]);
    assert_eq!(agent.jobs(), Vec::<String>::new());
    let events = s.events("event_type=request.corrupt");
    assert_eq!(events[0]["request_id"], request.id.as_str());
    assert_eq!(events[0]["actor_id"], "system");
}

/// Edits of a request whose row is `?`, and what the event says of each.
const EDITS: &[(&str, &str)] = &[
    (
        "UPDATE request_texts SET detail = 'DELETE FROM items' WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET plan_json = '[\"DELETE FROM items\"]' WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET plan_json = NULL WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET workflow_json = json_set(workflow_json, '$.steps', json('[]')) \
             WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET salt = NULL WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET facts_json = json_set(facts_json, '$.sql.dialect', 'mysql') \
             WHERE request_seq = ?",
        "context",
    ),
    (
        "UPDATE request_texts SET facts_json = json_set(facts_json, '$.requester.roles[0]', 'admin') \
             WHERE request_seq = ?",
        "context",
    ),
    ("DELETE FROM request_texts WHERE request_seq = ?", "texts"),
    (
        "UPDATE requests SET operation = 'execute_select' WHERE seq = ?",
        "request",
    ),
    (
        "UPDATE requests SET requester = 'approver-two' WHERE seq = ?",
        "request",
    ),
    (
        "UPDATE requests SET environment = 'staging' WHERE seq = ?",
        "request",
    ),
    ("UPDATE requests SET allow_ddl = 1 WHERE seq = ?", "texts"),
    (
        "UPDATE requests SET dialect = 'mysql' WHERE seq = ?",
        "texts",
    ),
    ("UPDATE requests SET emergency = 1 WHERE seq = ?", "texts"),
    (
        "UPDATE requests SET approval_expires_at_ms = approval_expires_at_ms + 1000 WHERE seq = ?",
        "expiry",
    ),
    ("DELETE FROM approvals WHERE request_seq = ?", "votes"),
    (
        "UPDATE approvals SET actor_id = 'approver-two' WHERE request_seq = ?",
        "votes",
    ),
    (
        "UPDATE approvals SET matched_selector = 'admin_override' WHERE request_seq = ?",
        "votes",
    ),
    (
        "UPDATE approvals SET token_id = NULL WHERE request_seq = ?",
        "votes",
    ),
];

#[test]
fn an_edited_request_is_never_signed() {
    for (edited, differs) in EDITS {
        let s = shop();
        let agent = s.agent("agent-1");
        let request = dispatched(&s);
        s.edit_request(&request, edited);
        if edited.starts_with("DELETE FROM request_texts") {
            // Nothing of it can be shown any more.
            is_frozen_unseen(&s, &agent, &request, differs);
            continue;
        }
        is_frozen(&s, &agent, &request, differs);
    }
}

/// Edits that would let a request run once more.
const RUN_AGAIN: &[&str] = &[
    "UPDATE requests SET executions_finished = 0 WHERE seq = ?",
    "UPDATE requests SET executions_finished = 0, first_completed_at_ms = NULL WHERE seq = ?",
    "UPDATE requests SET executions_finished = 0 WHERE seq = ?; \
     DELETE FROM executions WHERE request_seq = ?",
];

#[test]
fn request_that_ran_is_not_run_again_by_an_edit() {
    for edited in RUN_AGAIN {
        let s = shop();
        let agent = s.agent("agent-1");
        let request = dispatched(&s);
        agent.run(&request.id);
        s.requester()
            .resume(&request)
            .refused(409, "max_executions_reached");
        s.edit_request(&request, edited);
        s.requester().resume(&request).is(200);
        agent.poll();
        agent.try_claim(&request.id).refused(409, "corrupt");
        let events = s.events("event_type=request.corrupt");
        assert_eq!(metadata(&events[0])["differs"], "executions", "{edited}");
        let runs = format!("event_type=execution.started&request_id={}", request.id);
        assert_eq!(s.events(&runs).len(), 1, "{edited}");
    }
}

#[test]
fn edited_outcome_does_not_let_a_request_run_again() {
    let s = Server::with(&format!(
        "{SHOP}[[execution_policies]]\nmax_executions = 5\nretry_on_failure = true\n"
    ));
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    let first = agent.claim(&request.id).execution;
    let rolled_back = json!({"success": false, "result_data": null, "error_message": "no", "duration_ms": 3,
        "outcome": "rolled_back"});
    agent.result(&first, &rolled_back).is(200);
    s.requester().resume(&request).is(200);
    // As an agent reports that knows no outcomes.
    let second = agent.claim(&request.id).execution;
    agent.fail(&second, "no").is(200);
    s.requester()
        .resume(&request)
        .refused(422, "outcome_unknown");
    s.edit_request(
        &request,
        "UPDATE requests SET execution_id = (SELECT id FROM executions WHERE request_seq = requests.seq \
         AND attempt = 1) WHERE seq = ?",
    );
    s.requester().resume(&request).is(200);
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    let events = s.events("event_type=request.corrupt");
    assert_eq!(metadata(&events[0])["differs"], "executions");
    assert_eq!(s.events("event_type=execution.started").len(), 2);
}

#[test]
fn a_vote_that_nobody_cast_approves_nothing() {
    // Dispatched by hand: the only vote there is does not suffice, so a second one is made of the first.
    let s = shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("staging", UPDATE);
    s.approver().approve(&request).is(200);
    request.is_pending();
    let other = dispatched(&s);
    let moved = format!(
        "UPDATE requests SET status = 'dispatched', dispatched_from = 'approved', dispatch_deadline_ms = \
         created_at_ms + 300000, approval_expires_at_ms = created_at_ms + 300000, audit_seq = \
         (SELECT audit_seq FROM requests WHERE id = '{}') WHERE seq = ?;
         INSERT INTO approvals SELECT id + 50, request_seq, step_index, action, 'approver-two', token_id, \
         matched_selector, comment, issued_by_requester, created_at_ms, audit_seq FROM approvals WHERE request_seq = ?",
        other.id
    );
    s.edit_request(&request, &moved);
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    let events = s.events("event_type=request.corrupt");
    assert_eq!(metadata(&events[0])["differs"], "status");
    // What was not touched runs.
    agent.run(&other.id);
}

#[test]
fn every_verb_but_reading_refuses_a_corrupt_request() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    s.edit_request(
        &request,
        "UPDATE request_texts SET detail = 'DELETE FROM items' WHERE request_seq = ?",
    );
    is_frozen(&s, &agent, &request, "texts");
    for verb in ["approve", "reject", "cancel", "resume"] {
        for person in [s.requester(), s.approver(), s.admin()] {
            let answer = person.poke(&request.path(&format!("/{verb}")));
            assert!(matches!(answer.status, 403 | 409), "{}", answer.raw());
            if person.subject == "admin" {
                answer.refused(409, "corrupt");
            }
        }
    }
    // The clock does not move it either, and it can still be looked at.
    s.turn(100_000);
    assert_eq!(request.status(), "dispatched");
    let listed = s.requester().get("/api/requests").is(200).list("requests");
    assert_eq!(listed[0]["corrupt"], true);
    s.requester().get(&request.path("/executions")).is(200);
}

#[test]
fn a_request_that_changed_hands_is_not_shown() {
    let s = shop();
    for rest in ["", "/executions"] {
        let request = s.requester().submit("production", "SELECT 1");
        s.edit_request(
            &request,
            "UPDATE requests SET requester = 'approver' WHERE seq = ?",
        );
        s.admin().get(&request.path(rest)).refused(409, "corrupt");
    }
}

#[test]
fn what_runs_is_called_off_and_its_report_is_kept() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    agent.poll();
    let claim = agent.claim_keyed(&request.id, "once").is(200);
    let execution = claim.text("execution_id");
    s.edit_request(&request,
        "UPDATE request_texts SET detail = 'DELETE FROM items', share_with_json = '[' WHERE request_seq = ?",
    );
    // The same claim again would hand out the edited text.
    agent
        .claim_keyed(&request.id, "once")
        .refused(409, "corrupt");
    let beat = agent.heartbeat(&execution).is(200);
    assert_eq!(beat.json["cancelled"], true);
    agent.succeed(&execution, ROWS).is(200);
    assert_eq!(s.events("event_type=execution.completed").len(), 1);
    s.edit_request(
        &request,
        "UPDATE request_texts SET share_with_json = '[]' WHERE request_seq = ?",
    );
    request.clone().is("executed");
    s.requester().get(&request.path("/result/content")).is(200);
    s.requester().resume(&request).refused(409, "corrupt");
}

#[test]
fn a_claim_that_is_repeated_hands_out_no_edited_text() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    agent.poll();
    agent.claim_keyed(&request.id, "once").is(200);
    agent.claim_keyed(&request.id, "once").is(200);
    s.edit_request(&request, EDITS[0].0);
    agent
        .claim_keyed(&request.id, "once")
        .refused(409, "corrupt");
    let events = s.events("event_type=request.corrupt");
    assert_eq!(metadata(&events[0])["differs"], "texts");
}

#[test]
fn logged_corruption_stays_when_the_row_is_repaired() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    s.edit_request(&request, EDITS[0].0);
    is_frozen(&s, &agent, &request, EDITS[0].1);
    let repaired = format!(
        "UPDATE request_texts SET detail = '{UPDATE}' WHERE request_seq = ?; \
         UPDATE requests SET corrupt_seq = NULL WHERE seq = ?"
    );
    s.edit_request(&request, &repaired);
    agent.try_claim(&request.id).refused(409, "corrupt");
    // It is by the log that it is known, and nothing else of it differs.
    let events = s.events("event_type=request.corrupt");
    let differs: Vec<Value> = events
        .iter()
        .map(|e| metadata(e)["differs"].clone())
        .collect();
    assert_eq!(differs, ["request", "texts"]);
    assert!(s.events("event_type=execution.started").is_empty());
    s.abandon();
}

#[test]
fn a_server_that_cannot_write_is_not_ready() {
    let s = shop();
    let ready = || s.admin().get("/ready");
    ready().is(200);
    let other = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = ready();
    assert_eq!(answer.status, 503, "{}", answer.raw());
    assert_eq!(answer.json["checks"]["sqlite"], "unavailable");
    other.execute_batch("ROLLBACK").unwrap();
    ready().is(200);
}

#[test]
fn log_names_what_was_asked_for_and_what_was_signed() {
    let s = shop();
    let agent = s.agent("agent-1");
    let request = dispatched(&s);
    agent.run(&request.id);
    let events = s.events(&format!("request_id={}", request.id));
    let created = events.last().unwrap();
    let facts = metadata(created);
    assert_eq!(facts["commitment"].as_str().unwrap().len(), 64);
    assert_eq!(facts["context_commitment"].as_str().unwrap().len(), 64);
    let started = events
        .iter()
        .find(|e| e["event_type"] == "execution.started")
        .unwrap();
    assert_eq!(
        metadata(started)["token_sha256"].as_str().unwrap().len(),
        64
    );
}
