//! Writes that an agent runs before anybody has approved them: which, for whom, what is signed, what is shown and bound.

use crate::support::{Agent, Answer, Claim, Person, Request, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// The shop, whose requests in production may be rehearsed.
fn shop(rehearse: &str) -> Server {
    let workflow = "environment = \"production\"\n";
    Server::with(&SHOP.replace(workflow, &format!("{workflow}rehearse = \"{rehearse}\"\n")))
}

fn capable(s: &Server) -> Agent {
    let agent = s.agent("agent-1");
    agent.poll_with(features()).is(200);
    agent
}

fn features() -> Value {
    json!({"features": ["claims_v2", "outcome", "rehearsal", "row_bound"]})
}

fn offered(agent: &Agent) -> Vec<String> {
    let jobs = agent.poll_with(features()).is(200).list("rehearsal_jobs");
    let id = |job: &Value| job["id"].as_str().unwrap().to_owned();
    jobs.iter().map(id).collect()
}

fn ask(person: &Person, request: &Request) -> Answer {
    person.poke(&request.path("/rehearse"))
}

fn claim(agent: &Agent, id: &str) -> Answer {
    agent
        .person
        .poke(&format!("/api/agent/rehearsals/{id}/claim"))
}

fn report(agent: &Agent, id: &str, body: Value) -> Answer {
    let path = format!("/api/agent/rehearsals/{id}/result");
    agent.person.post(&path, &body)
}

/// The bound that an execution's token carries.
fn signed(claim: &Claim) -> Value {
    let token = claim.answer.text("execution_token");
    serde_json::from_str::<Value>(&token).unwrap()["max_affected_rows"].clone()
}

fn rows(rows: u64) -> Value {
    json!({"result": {"rows_affected": rows, "statements": [{"kind": "update", "table": "items", "rows": rows}],
                      "triggers": [], "warnings": [], "lock_wait_ms": null}})
}

fn rehearsal(request: &Request) -> Value {
    request.by.show(request).is(200).json["rehearsal"].clone()
}

fn bound(request: &Request) -> (Value, Value) {
    let shown = request.by.show(request).is(200).json;
    (
        shown["max_affected_rows"].clone(),
        shown["row_bound_source"].clone(),
    )
}

/// Asks, and has the agent report so many rows.
fn rehearse(agent: &Agent, request: &Request, n: u64) -> String {
    let id = ask(&request.by, request).is(202).text("id");
    claim(agent, &id).is(200);
    report(agent, &id, rows(n)).is(200);
    id
}

#[test]
fn approvers_see_rows_and_no_more_of_them_are_run() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE).is_pending();
    assert_eq!(rehearsal(&request), Value::Null);
    let asked = ask(&request.by, &request).is(202);
    assert_eq!(asked.text("status"), "waiting");
    let id = asked.text("id");
    assert_eq!(offered(&agent), [id.as_str()]);
    let claimed = claim(&agent, &id).is(200);
    let token: Value = serde_json::from_str(&claimed.text("rehearsal_token")).unwrap();
    assert_eq!(token["mode"], "rehearsal");
    assert_eq!(token.get("signature"), None);
    assert_eq!(token.get("execution_id"), None);
    // A claim whose answer was lost is repeated, by the same agent alone.
    let again = claim(&agent, &id).is(200);
    assert_eq!(
        again.text("rehearsal_token"),
        claimed.text("rehearsal_token")
    );
    let other = s.agent("agent-2");
    other.poll_with(features()).is(200);
    claim(&other, &id).refused(409, "conflict");
    report(&other, &id, rows(1)).refused(409, "conflict");
    assert!(offered(&agent).is_empty());
    for _ in 0..2 {
        let taken = report(&agent, &id, rows(37)).is(200);
        assert_eq!(taken.text("status"), "done");
    }
    report(&agent, &id, rows(38)).refused(409, "conflict");
    let shown = rehearsal(&request);
    assert_eq!(shown["status"], "done");
    assert_eq!(shown["rows_affected"], 37);
    assert_eq!(shown["agent_id"], "agent-1");
    assert_eq!(shown["statements"][0]["table"], "items");
    assert_eq!(shown["stale"], false);
    assert!(shown["rehearsed_at"].is_string());
    assert_eq!(bound(&request), (json!(37), json!("rehearsal")));
    // It was no execution, and moved nothing.
    assert_eq!(request.status(), "pending");
    let request = request.approved_by(&s.approver()).resumed();
    let execution = agent.claim(&request.id);
    assert_eq!(signed(&execution), 37);
    let kinds: Vec<Value> = s
        .events(&format!("request_id={}", request.id))
        .iter()
        .rev()
        .map(|e| e["event_type"].clone())
        .collect();
    assert_eq!(
        kinds[..4],
        [
            "request.created",
            "rehearsal.requested",
            "rehearsal.started",
            "rehearsal.completed"
        ]
    );
    agent.succeed(&execution.execution, "{}").is(200);
}

#[test]
fn the_bound_of_a_rehearsal_freezes_at_the_first_vote() {
    let s = Server::with(
        &SHOP
            .replace(
                "environment = \"production\"\n",
                "environment = \"production\"\nrehearse = \"on_request\"\n",
            )
            .replace("[[auth.groups]]", "min = 2\n\n[[auth.groups]]"),
    );
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    rehearse(&agent, &request, 5);
    rehearse(&agent, &request, 7);
    assert_eq!(bound(&request).0, 7);
    s.approver().approve(&request).is(200);
    rehearse(&agent, &request, 900);
    assert_eq!(rehearsal(&request)["rows_affected"], 900);
    assert_eq!(bound(&request).0, 7);
    let request = request.approved_by(&s.person("approver-two", &[]));
    let request = request.resumed();
    assert_eq!(signed(&agent.claim(&request.id)), 7);
    // What the requester says stays, and what the policy says where it is lower.
    let more = json!({"max_affected_rows": 50});
    let own = s.requester().submit_with("production", UPDATE, more);
    rehearse(&agent, &own, 7);
    assert_eq!(bound(&own), (json!(50), json!("request")));
}

#[test]
fn a_vote_counts_only_for_the_rows_that_were_read() {
    let s = shop("on_request");
    let agent = capable(&s);
    // Where the requester has bound the rows, a rehearsal leaves the bound as it is.
    for bound in [json!({}), json!({"max_affected_rows": 9000})] {
        let request = s.requester().submit_with("production", UPDATE, bound);
        let tag = || {
            let answer = s.approver().show(&request).is(200);
            answer.header("etag").unwrap().to_owned()
        };
        let approve = |tag: &str| {
            let path = request.path("/approve");
            s.approver().call("POST", &path, &[("If-Match", tag)], b"")
        };
        rehearse(&agent, &request, 37);
        let seen = tag();
        rehearse(&agent, &request, 37);
        assert_eq!(tag(), seen, "as many rows are the same request");
        rehearse(&agent, &request, 5000);
        approve(&seen).refused(412, "changed");
        assert_eq!(request.status(), "pending");
        approve(&tag()).is(200);
    }
}

#[test]
fn agents_without_the_feature_never_get_a_rehearsal() {
    let s = shop("on_request");
    let old = s.agent("agent-1");
    let poll = old.poll();
    assert_eq!(poll.json.get("rehearsal_jobs"), None);
    let request = s.requester().submit("production", UPDATE);
    let id = ask(&request.by, &request).is(202).text("id");
    assert_eq!(old.poll().json.get("rehearsal_jobs"), None);
    claim(&old, &id).refused(409, "feature_missing");
    assert_eq!(rehearsal(&request)["status"], "waiting");
    // Nor does one that serves something else, or reads in another dialect.
    let elsewhere = s.agent("agent-2").serving(json!({"databases": ["other"]}));
    elsewhere.poll_with(features()).is(200);
    claim(&elsewhere, &id).refused(403, "forbidden");
    let capable = capable(&s);
    assert_eq!(offered(&capable), [id.as_str()]);
    // A request that runs bound by it goes to agents that count.
    claim(&capable, &id).is(200);
    report(&capable, &id, rows(3)).is(200);
    let request = request.approved_by(&s.approver()).resumed();
    let blind = s.agent("agent-3");
    assert!(blind.jobs().is_empty());
    blind.try_claim(&request.id).refused(409, "feature_missing");
}

#[test]
fn what_may_not_be_rehearsed_is_refused_with_the_reason() {
    let s = shop("on_request");
    for (sql, why) in [
        ("SELECT id FROM items WHERE id = 1", "only reads"),
        ("CREATE TABLE t (a int)", "create_table"),
        ("INSERT INTO items SELECT * FROM others", "2 tables"),
        ("UPDATE items SET price = mine(1) WHERE id = 1", "`mine`"),
        ("UPDAT items", "cannot be read"),
    ] {
        let request = s.requester().submit("production", sql);
        let refused = ask(&request.by, &request).refused(422, "rehearsal_refused");
        refused.saying(why);
        let more = json!({"rehearse": true});
        let refused = s.requester().create_with("production", sql, more);
        refused.refused(422, "rehearsal_refused").saying(why);
        assert_eq!(rehearsal(&request), Value::Null);
    }
    // Neither where the workflow does not allow it, nor where nobody is asked.
    let staging = s.requester().submit("staging", UPDATE);
    let refused = ask(&staging.by, &staging).refused(422, "rehearsal_refused");
    refused.saying("workflow");
    for environment in ["staging", "development"] {
        let more = json!({"rehearse": true});
        let refused = s.requester().create_with(environment, UPDATE, more);
        refused.refused(422, "rehearsal_refused");
    }
    let request = s.requester().submit("production", UPDATE);
    let request = request.approved_by(&s.approver());
    ask(&request.by, &request).refused(409, "conflict");
}

#[test]
fn a_workflow_may_have_every_write_rehearsed() {
    let s = shop("before_approval");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    let shown = rehearsal(&request);
    assert_eq!(shown["status"], "waiting");
    assert_eq!(offered(&agent), [shown["id"].as_str().unwrap()]);
    let ddl = s.requester().submit("production", "CREATE TABLE t (a int)");
    let shown = rehearsal(&ddl);
    assert_eq!(shown["status"], "refused");
    assert!(
        shown["error_message"]
            .as_str()
            .unwrap()
            .contains("create_table")
    );
    let read = s.requester().submit("production", "SELECT 1");
    assert_eq!(rehearsal(&read), Value::Null);
    assert_eq!(offered(&agent).len(), 1);
    // One that its approver decides first is not offered any more.
    s.approver().reject(&request).is(200);
    assert!(offered(&agent).is_empty());
}

#[test]
fn a_rehearsal_wanted_at_once_is_part_of_the_request() {
    let s = shop("on_request");
    let more = |rehearse: bool| json!({"rehearse": rehearse, "idempotency_key": "k"});
    let create = |rehearse| {
        s.requester()
            .create_with("production", UPDATE, more(rehearse))
    };
    let id = create(true).is(201).text("id");
    assert_eq!(create(true).is(200).text("id"), id);
    create(false).refused(409, "idempotency_key_reused");
    let shown = s.requester().get(&format!("/api/requests/{id}"));
    assert_eq!(shown.json["rehearsal"]["status"], "waiting");
}

#[test]
fn no_rehearsal_within_minute_is_unavailable_and_votes_stay_open() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    let id = ask(&request.by, &request).is(202).text("id");
    ask(&request.by, &request).refused(409, "conflict");
    s.turn_only(60);
    // Before any job has looked.
    assert_eq!(rehearsal(&request)["status"], "unavailable");
    assert!(offered(&agent).is_empty());
    claim(&agent, &id).refused(409, "conflict");
    s.sweep();
    let events = s.events(&format!(
        "request_id={}&event_type=rehearsal.unavailable",
        request.id
    ));
    assert_eq!(events.len(), 1);
    // A claimed one, too: its report comes too late.
    let second = ask(&request.by, &request).is(202).text("id");
    claim(&agent, &second).is(200);
    s.turn(60);
    report(&agent, &second, rows(3)).refused(409, "conflict");
    assert_eq!(rehearsal(&request)["status"], "unavailable");
    assert_eq!(bound(&request).0, Value::Null);
    request.approved_by(&s.approver());
}

#[test]
fn rehearsal_is_stale_after_an_hour_and_after_a_run() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    rehearse(&agent, &request, 1);
    s.turn(3599);
    assert_eq!(rehearsal(&request)["stale"], false);
    s.turn(2);
    assert_eq!(rehearsal(&request)["stale"], true);
    // It blocks nothing.
    let request = request.approved_by(&s.approver()).resumed();
    agent.poll_with(features()).is(200);
    agent.claim(&request.id);
    let second = s.requester().submit("production", UPDATE);
    rehearse(&agent, &second, 1);
    assert_eq!(rehearsal(&second)["stale"], false);
    let second = second.approved_by(&s.approver()).resumed();
    agent.claim(&second.id);
    assert_eq!(rehearsal(&second)["stale"], true);
}

#[test]
fn a_failed_rehearsal_says_why_and_binds_nothing() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    let id = ask(&request.by, &request).is(202).text("id");
    report(&agent, &id, rows(1)).refused(409, "conflict");
    claim(&agent, &id).is(200);
    for body in [
        json!({}),
        json!({"result": {}}),
        json!({"result": {"rows_affected": "1"}}),
    ] {
        report(&agent, &id, body).refused(400, "validation_error");
    }
    report(&agent, &id, json!({"error": "it is locked"})).is(200);
    let shown = rehearsal(&request);
    assert_eq!(
        (&shown["status"], &shown["error_message"]),
        (&json!("failed"), &json!("it is locked"))
    );
    assert_eq!(bound(&request).0, Value::Null);
    let events = s.events(&format!(
        "request_id={}&event_type=rehearsal.failed",
        request.id
    ));
    assert!(
        !events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains("locked")
    );
}

#[test]
fn nobody_rehearses_one_request_for_ever() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    for n in 0..10 {
        rehearse(&agent, &request, n);
    }
    ask(&request.by, &request)
        .refused(409, "conflict")
        .saying("10 times");
    s.person("stranger", &["developer"])
        .poke(&request.path("/rehearse"))
        .refused(403, "forbidden");
}

#[test]
fn polls_and_people_who_wait_learn_of_rehearsal_at_once() {
    let workflow = "environment = \"production\"\n";
    let quiet = format!("{workflow}rehearse = \"on_request\"\nexplain = false\n");
    let s = Server::with(&SHOP.replace(workflow, &quiet));
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    let mut more = features();
    more["wait"] = json!(30);
    let poll = agent.begin_poll_with(more);
    s.until_parked(1);
    let id = ask(&request.by, &request).is(202).text("id");
    let offered = poll.answer().is(200).list("rehearsal_jobs");
    assert_eq!(offered[0]["id"], json!(id));
    let wait = |seen: &str| request.path(&format!("?wait=30&seen={seen}"));
    // Who has seen it waiting is answered when it moves.
    let waiting = request
        .by
        .begin("GET", &wait("pending:0:waiting"), &[], b"");
    s.until_parked(1);
    claim(&agent, &id).is(200);
    let moved = waiting.answer().is(200);
    assert_eq!(moved.json["rehearsal"]["status"], "claimed");
    let waiting = request.by.begin("GET", &wait("pending:0"), &[], b"");
    s.until_parked(1);
    report(&agent, &id, rows(3)).is(200);
    let moved = waiting.answer().is(200);
    assert_eq!(moved.json["rehearsal"]["rows_affected"], 3);
    let at_once = request.by.get(&wait("pending:0:claimed")).is(200);
    assert_eq!(at_once.json["rehearsal"]["status"], "done");
}

#[test]
fn what_agent_reports_has_its_shape_or_is_left_out() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    let shown = |result: Value| {
        let id = ask(&request.by, &request).is(202).text("id");
        claim(&agent, &id).is(200);
        report(&agent, &id, json!({"result": result})).is(200);
        rehearsal(&request)
    };
    let more = json!([{"table": "log", "rows": 2}]);
    let full = shown(json!({
        "rows_affected": 3, "triggers": ["noted on items"], "warnings": ["w"], "lock_wait_ms": 7, "more": "ignored",
        "statements": [{"kind": "update", "table": "items", "rows": 1, "more_rows": 2, "more": more}],
    }));
    assert_eq!(full["statements"][0]["more"], more);
    assert_eq!((&full["lock_wait_ms"], full.get("more")), (&json!(7), None));
    let odd = shown(json!({
        "rows_affected": 3, "triggers": [1], "warnings": "w", "lock_wait_ms": -1, "statements": [{"kind": "update"}],
    }));
    for name in ["statements", "triggers", "warnings", "lock_wait_ms"] {
        assert_eq!(odd[name], Value::Null, "{name}");
    }
}

#[test]
fn whether_one_may_ask_for_a_rehearsal_is_shown() {
    let s = shop("on_request");
    let agent = capable(&s);
    let rehearsable = |r: &Request| r.by.show(r).is(200).json["rehearsable"].clone();
    let request = s.requester().submit("production", UPDATE);
    assert_eq!(rehearsable(&request), true);
    let id = ask(&request.by, &request).is(202).text("id");
    assert_eq!(rehearsable(&request), false);
    claim(&agent, &id).is(200);
    report(&agent, &id, rows(3)).is(200);
    assert_eq!(rehearsable(&request), true);
    let read = s.requester().submit("production", "SELECT 1");
    let elsewhere = s.requester().submit("staging", UPDATE);
    let decided = request.approved_by(&s.approver());
    for request in [read, elsewhere, decided] {
        assert_eq!(rehearsable(&request), false);
    }
}

#[test]
fn an_edited_bound_of_a_rehearsal_is_never_signed() {
    let s = shop("on_request");
    let agent = capable(&s);
    let request = s.requester().submit("production", UPDATE);
    rehearse(&agent, &request, 3);
    let request = request.approved_by(&s.approver()).resumed();
    s.edit_request(
        &request,
        "UPDATE requests SET rehearsed_rows = 9000 WHERE seq = ?",
    );
    agent.try_claim(&request.id).refused(409, "corrupt");
    s.forgive_faults();
}

#[test]
fn nobody_rehearses_what_is_over_or_left_the_configuration() {
    let s = shop("on_request");
    let request = s.requester().submit("production", UPDATE);
    let id = ask(&request.by, &request).is(202).text("id");
    let s = s.restart_with(&SHOP.replace(", \"production\"]", "]"));
    claim(&capable(&s), &id).refused(422, "database_not_registered");
    let s = s.restart_with(SHOP);
    s.turn_only(86_400);
    claim(&capable(&s), &id).refused(410, "gone");
    ask(&s.requester(), &request).refused(410, "gone");
}
