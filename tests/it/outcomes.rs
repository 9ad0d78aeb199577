//! What an execution left in the database: the same on every route, for every order of cancellation, report, loss and
//! restart.

use crate::support::{ROWS, Request, SHOP, Server, golden};
use dbward::store::DeliveryFilter;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";
const EVENTS: [&str; 4] = ["cancel", "report", "lost", "restart"];
/// What agents report; the last two are those of 0.1.6, which name no outcome.
const REPORTS: [&str; 6] = [
    "committed",
    "rolled_back",
    "partial",
    "unknown",
    "success",
    "failure",
];

fn report(kind: &str) -> Value {
    let mut body = match kind {
        "committed" | "success" => json!({
            "success": true, "result_data": "{\"rows_affected\":1}", "rows_affected": 1, "duration_ms": 5,
        }),
        _ => {
            json!({"success": false, "error_message": "what the database said", "duration_ms": 5})
        }
    };
    if !matches!(kind, "success" | "failure") {
        body["outcome"] = kind.into();
    }
    body
}

fn with_policy(lines: &str) -> Server {
    Server::with(&format!("{SHOP}\n[[execution_policies]]\n{lines}\n"))
}

fn acknowledge(reason: &str) -> Value {
    json!({"acknowledge_unknown_outcome": true, "reason": reason})
}

/// An execution under way, and what its agent is going to report.
struct Case {
    name: String,
    kind: &'static str,
    request: Request,
    execution: String,
}

fn cases(s: &Server) -> Vec<Case> {
    let agent = s.agent("agent-1");
    let mut cases = Vec::new();
    for (word, sql) in [("write", UPDATE), ("read", SELECT)] {
        for kind in REPORTS {
            let request = s.requester().submit("development", sql);
            let execution = agent.claim(&request.id).execution;
            cases.push(Case {
                name: format!("{word} {kind}"),
                kind,
                request,
                execution,
            });
        }
    }
    cases
}

fn orders() -> Vec<Vec<&'static str>> {
    let mut all = vec![Vec::new()];
    for _ in EVENTS {
        let longer = all.iter().flat_map(|order: &Vec<&str>| {
            let next = EVENTS.iter().filter(|e| !order.contains(e));
            next.map(|e| [order.as_slice(), &[*e]].concat())
        });
        all = longer.collect();
    }
    all
}

/// What everybody sees of a request, once all routes have been held against each other.
#[track_caller]
fn truth(s: &Server, case: &Case, at: &str) -> String {
    let (request, by) = (&case.request, s.requester());
    let shown = by.show(request).is(200).json;
    let (status, outcome) = (&shown["status"], &shown["outcome"]);
    let unproven = &shown["outcome_unproven"];
    let committed = outcome == "committed";
    let running = status == "running";
    assert_eq!(outcome.is_null(), running, "{at}: {shown}");
    assert!(outcome != "stopping" || status == "cancelled", "{at}");
    let same = |route: &str, json: &Value| {
        assert_eq!(json["outcome"], *outcome, "{at}: {route} {json}");
        assert_eq!(json["outcome_unproven"], *unproven, "{at}: {route} {json}");
    };

    let page = by.get("/api/requests?limit=100").is(200).list("requests");
    let item = page.iter().find(|r| r["id"] == shown["id"]).unwrap();
    assert_eq!(item["status"], *status, "{at}");
    same("list", item);

    let executions = by.get(&request.path("/executions")).is(200);
    let execution = executions.list("executions").remove(0);
    assert_eq!(execution["id"], case.execution.as_str());
    assert_eq!(execution["status"] == "completed", committed, "{at}");
    same("executions", &execution);

    let stream = by.get(&request.path("/result/stream?wait=0"));
    assert_eq!(stream.status, if running { 204 } else { 200 }, "{at}");
    if !running {
        assert_eq!(stream.json["success"], committed, "{at}: {}", stream.raw());
        assert_eq!(stream.json["execution_id"], case.execution.as_str(), "{at}");
        same("stream", &stream.json);
    }

    let content = by.get(&request.path("/result/content"));
    let expected = match execution["status"].as_str().unwrap() {
        "claimed" => 409,
        "lost" => 404,
        _ => 200,
    };
    assert_eq!(content.status, expected, "{at}: {}", content.raw());
    if content.status == 200 {
        assert_eq!(content.json["success"], committed, "{at}");
        same("content", &content.json);
    }
    if committed {
        assert_eq!(content.body, stream.body, "{at}");
    }

    assert_eq!(logged(s, case, status), *outcome, "{at}: audit or webhooks");
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let unproven = if *unproven == true { " unproven" } else { "" };
    let success = if committed { " success" } else { "" };
    format!("{} {}{unproven}{success}", word(status), word(outcome))
}

/// The newest outcome in the audit log, which is the one that the webhook was notified of.
#[track_caller]
fn logged(s: &Server, case: &Case, status: &Value) -> Value {
    let events = s.events(&format!("request_id={}", case.request.id));
    let metadata = |event: &Value| event["metadata_json"].as_str().unwrap().to_owned();
    let newest = |all: &[Value]| {
        let named = all.iter().find(|facts| !facts["outcome"].is_null());
        named.map_or(Value::Null, |facts| facts["outcome"].clone())
    };
    let audited: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(&metadata(event)).unwrap())
        .collect();
    let outcome = newest(&audited);
    let facts = notified(s, &case.request.id);
    assert_eq!(facts[0]["status"], *status, "{}", facts[0]);
    assert_eq!(newest(&facts), outcome);
    outcome
}

/// What the webhook is notified of a request, newest first.
fn notified(s: &Server, id: &str) -> Vec<Value> {
    let filter = DeliveryFilter::default();
    let rows = s
        .inner()
        .app()
        .store
        .read(|view| view.list_deliveries(&filter, 1000, 0))
        .unwrap();
    rows.iter()
        .flatten()
        .map(|row| serde_json::from_str(&row.payload_json).unwrap())
        .filter(|facts: &Value| facts["request_id"] == id)
        .collect()
}

#[test]
fn every_route_says_the_same_for_every_order_of_events() {
    let mut table: BTreeMap<String, String> = BTreeMap::new();
    for order in orders() {
        let mut s = Server::with(&format!(
            "shutdown_grace_secs = 0\n{SHOP}\n[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/hook\"\n"
        ));
        let cases = cases(&s);
        let (mut so_far, mut counted) = (Vec::new(), Vec::new());
        for event in [""].into_iter().chain(order) {
            match event {
                "lost" => s.turn(61),
                "restart" => s = s.restart(),
                _ => {}
            }
            for case in &cases {
                match event {
                    "cancel" => drop(s.requester().cancel(&case.request)),
                    "report" => {
                        let agent = s.agent("agent-1");
                        let body = report(case.kind);
                        let first = agent.result(&case.execution, &body).is(200).json;
                        // Repeating it changes nothing.
                        assert_eq!(agent.result(&case.execution, &body).is(200).json, first);
                    }
                    _ => {}
                }
            }
            so_far.push(event);
            // A restart changes nothing that anybody sees.
            if !event.is_empty() && event != "restart" {
                counted.push(event);
            }
            for case in &cases {
                let reported = counted.contains(&"report");
                let name = match reported {
                    true => case.name.as_str(),
                    false => case.name.split(' ').next().unwrap(),
                };
                let row = format!("{name}: {}", counted.join(", "));
                let got = truth(&s, case, &format!("{} after {so_far:?}", case.name));
                let known = table.entry(row.clone()).or_insert_with(|| got.clone());
                assert_eq!(*known, got, "{row} after {so_far:?}");
            }
        }
    }
    golden("outcomes", &json!(table));
}

#[test]
fn write_cancelled_before_its_commit_reports_what_it_did() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let waiting = request.by.wait(&request.path("/result/stream"));
    request.by.cancel(&request).is(200);
    let woken = waiting.answer().is(200).json;
    assert_eq!(woken["success"], false);
    assert_eq!(woken["error_message"], "request cancelled");
    assert_eq!(woken["outcome"], "stopping");
    agent.result(&claim.execution, &report("committed")).is(200);
    let stream = request.by.get(&request.path("/result/stream")).is(200).json;
    assert_eq!(stream["success"], true);
    assert_eq!(stream["rows_affected"], 1);
    assert_eq!(request.by.show(&request).json["outcome"], "committed");
    request.is("cancelled");
}

#[test]
fn write_of_unknown_outcome_is_lost_until_a_report() {
    let s = with_policy("max_executions = 5\nretry_on_failure = true");
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let says = json!({
        "success": false, "outcome": "unknown",
        "error_message": "agent stopped while the statement ran; it may or may not have taken effect",
    });
    let answer = agent.result(&claim.execution, &says).is(200);
    assert_eq!(answer.text("status"), "execution_lost");
    request.by.resume(&request).refused(422, "outcome_unknown");
    let shown = request.by.get(&request.path("/executions")).is(200);
    assert!(shown.raw().contains("may or may not"), "{}", shown.raw());
    agent.result(&claim.execution, &report("committed")).is(200);
    let request = request.is("executed");
    agent
        .result(&claim.execution, &report("rolled_back"))
        .refused(409, "conflict");
    request.is("executed");
}

#[test]
fn cancelling_a_further_run_says_nothing_of_the_one_before() {
    let s = Server::with(&format!(
        "{SHOP}\n[[execution_policies]]\nmax_executions = 2\n"
    ));
    let request = s.requester().submit("development", UPDATE);
    s.agent("agent-1").run(&request.id);
    let request = request.resumed();
    request.by.cancel(&request).is(200);
    let shown = request.by.show(&request).json;
    assert_eq!(shown["outcome"], Value::Null);
    let stream = request.by.get(&request.path("/result/stream")).is(200).json;
    assert_eq!(stream["error_message"], "request cancelled");
    // What the first one gave is still there.
    let content = request.by.get(&request.path("/result/content")).is(200);
    assert_eq!(content.json["success"], true);
}

#[test]
fn unknown_outcome_is_refused_and_the_execution_goes_on() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    for outcome in [json!("stopping"), json!("COMMITTED"), json!(1)] {
        let body = json!({"success": true, "outcome": outcome});
        agent
            .result(&claim.execution, &body)
            .refused(400, "validation_error");
    }
    request.is("running");
}

#[test]
fn stream_of_what_was_rejected_says_by_whom_and_why() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let waiting = request.by.wait(&request.path("/result/stream"));
    let why = json!({"reason": "use the other table"});
    s.approver().post(&request.path("/reject"), &why).is(200);
    let woken = waiting.answer().is(200).json;
    assert_eq!(
        woken["error_message"],
        "request rejected by approver: use the other table"
    );
    assert_eq!(woken["outcome"], Value::Null);
}

#[test]
fn agents_show_which_features_they_have() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let features = json!(["outcome", "claims_v2", "time_travel"]);
    agent.poll_with(json!({"features": features})).is(200);
    let agents = s.admin().get("/api/agents").is(200).list("agents");
    assert_eq!(agents[0]["features"], json!(["claims_v2", "outcome"]));
    let many: Vec<String> = (0..65).map(|n| format!("f{n}")).collect();
    agent
        .poll_with(json!({"features": many}))
        .refused(400, "validation_error");
}

#[test]
fn a_lost_write_is_not_resumed_because_policy_retries_failures() {
    let s = with_policy("max_executions = 5\nretry_on_failure = true");
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    for _ in 0..2 {
        agent.claim(&request.id);
        s.turn(60);
        request.by.resume(&request).refused(422, "outcome_unknown");
        let path = request.path("/resume");
        let looked = acknowledge("looked, it is not there");
        request.by.post(&path, &looked).is(200);
    }
    let refused = s.events(&format!(
        "event_type=attempt.refused&request_id={}",
        request.id
    ));
    assert_eq!(refused.len(), 2);
}

#[test]
fn unproved_failed_write_is_resumed_with_an_acknowledgement() {
    let s = with_policy("max_executions = 5\nretry_on_failure = true");
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    agent
        .fail(&agent.claim(&request.id).execution, "locked")
        .is(200);
    let shown = request.by.show(&request).is(200).json;
    assert_eq!(shown["status"], "failed");
    assert_eq!(shown["outcome"], "unknown");
    assert_eq!(shown["outcome_unproven"], true);
    request.by.resume(&request).refused(422, "outcome_unknown");
    let path = request.path("/resume");
    request.by.post(&path, &acknowledge("looked")).is(200);
    let events = s.events(&format!(
        "event_type=request.dispatched&request_id={}",
        request.id
    ));
    assert_eq!(events[0]["reason"], "looked");
    // One that proves that nothing is left is resumed as the policy says.
    let claim = agent.claim(&request.id);
    let body = json!({"success": false, "outcome": "rolled_back", "error_message": "locked"});
    agent.result(&claim.execution, &body).is(200);
    request.resumed();
}

#[test]
fn cancelling_an_execution_notifies_its_agent_and_shows_commits() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for succeeds in [true, false] {
        let request = s.requester().submit("development", UPDATE);
        let claim = agent.claim(&request.id);
        s.requester().cancel(&request).is(200);
        assert_eq!(
            agent.heartbeat(&claim.execution).is(200).json["cancelled"],
            true
        );
        let answer = if succeeds {
            agent.succeed(&claim.execution, r#"{"rows_affected":1}"#)
        } else {
            agent.fail(&claim.execution, "driver error: query cancelled")
        };
        assert_eq!(answer.is(200).text("status"), "cancelled");
        let request = request.is("cancelled");
        let events = s.events(&format!(
            "event_category=execution&request_id={}",
            request.id
        ));
        let reported = events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains("\"committed_after_cancel\":true");
        assert_eq!(reported, succeeds);
        let shown = request.by.get(&request.path("/executions")).is(200);
        assert_eq!(
            shown.raw().contains("committed after cancel"),
            succeeds,
            "{}",
            shown.raw()
        );
    }
}

#[test]
fn a_cancelled_execution_nobody_reports_is_given_up() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    s.requester().cancel(&request).is(200);
    s.turn(61);
    let executions = request
        .by
        .get(&request.path("/executions"))
        .is(200)
        .list("executions");
    assert_eq!(executions[0]["status"], "lost");
    agent.succeed(&claim.execution, ROWS).is(200);
    request.is("cancelled");
}

#[test]
fn what_was_lost_says_what_running_it_again_takes() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for (sql, needs_reason) in [(UPDATE, true), (SELECT, false)] {
        let request = s.requester().submit("development", sql);
        agent.claim(&request.id);
        s.turn(60);
        let request = request.is("execution_lost");
        let shown = s.requester().show(&request).is(200).json;
        assert_eq!(shown["actions"], json!(["resume", "cancel"]), "{sql}");
        assert_eq!(shown["resume_needs_acknowledgement"], needs_reason, "{sql}");
        let bare = s.requester().resume(&request);
        match needs_reason {
            true => drop(bare.refused(422, "outcome_unknown")),
            false => drop(bare.is(200)),
        }
    }
}
