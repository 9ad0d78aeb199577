//! What agents say of an execution: heartbeats, reports in time, late, repeated, and too large.

use crate::support::{ROWS, SHOP, Server, golden};
use serde_json::json;
use std::sync::{Arc, Barrier};
use std::thread;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

#[test]
fn executions_belong_to_the_agent_that_claimed_them() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    let claim = s.agent("agent-1").claim(&request.id);
    let other = s.agent("agent-2");
    other.heartbeat(&claim.execution).refused(403, "forbidden");
    other
        .succeed(&claim.execution, ROWS)
        .refused(403, "forbidden");
    request.is("running");
}

#[test]
fn a_heartbeat_of_what_has_ended_says_stop() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let stop = json!({"cancelled": true});
    assert_eq!(
        agent
            .heartbeat("00000000-0000-4000-8000-000000000000")
            .is(200)
            .json,
        stop
    );
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    s.turn(60);
    assert_eq!(agent.heartbeat(&claim.execution).is(200).json, stop);
    let request = s.requester().submit("development", SELECT);
    let claim = agent.run(&request.id);
    assert_eq!(agent.heartbeat(&claim.execution).is(200).json, stop);
}

#[test]
fn a_late_report_of_a_lost_execution_counts_once() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    s.turn(60);
    assert_eq!(request.status(), "execution_lost");
    assert_eq!(
        agent.succeed(&claim.execution, ROWS).is(200).text("status"),
        "executed"
    );
    agent.succeed(&claim.execution, ROWS).is(200);
    agent
        .fail(&claim.execution, "no, it failed")
        .refused(409, "conflict");
    let events = s.events(&format!(
        "event_type=execution.completed&request_id={}",
        request.id
    ));
    assert_eq!(events.len(), 1);
    assert!(
        events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains("\"late\":true")
    );
    request.is("executed");
}

#[test]
fn late_report_of_what_was_dispatched_again_does_not_count() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    s.turn(60);
    let request = request.resumed();
    agent
        .succeed(&claim.execution, ROWS)
        .refused(409, "lease_lost");
    let second = agent.claim(&request.id);
    assert_ne!(claim.execution, second.execution);
    agent
        .succeed(&claim.execution, ROWS)
        .refused(409, "lease_lost");
    agent.succeed(&second.execution, ROWS).is(200);
    request.is("executed");
}

#[test]
fn an_accepted_report_may_be_repeated_and_not_changed() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let first = agent.succeed(&claim.execution, ROWS).is(200);
    golden("report", &first.json);
    for _ in 0..3 {
        assert_eq!(
            agent.succeed(&claim.execution, ROWS).is(200).json,
            first.json
        );
    }
    agent
        .succeed(&claim.execution, "{\"rows\":[]}")
        .refused(409, "conflict");
    agent.fail(&claim.execution, "no").refused(409, "conflict");
    let content = request.by.get(&request.path("/result/content")).is(200);
    assert_eq!(content.json["result_data"]["rows"][0]["id"], 1);
    assert_eq!(s.events("event_type=execution.completed").len(), 1);
}

#[test]
fn repeated_reports_at_once_are_all_accepted_and_count_once() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let barrier = Arc::new(Barrier::new(6));
    let racers: Vec<_> = (0..6)
        .map(|_| {
            let (agent, barrier, id) =
                (agent.clone(), Arc::clone(&barrier), claim.execution.clone());
            thread::spawn(move || {
                barrier.wait();
                agent.succeed(&id, ROWS).status
            })
        })
        .collect();
    assert!(racers.into_iter().all(|r| r.join().unwrap() == 200));
    assert_eq!(s.events("event_type=execution.completed").len(), 1);
    request.by.get(&request.path("/result/content")).is(200);
}

#[test]
fn reports_of_unknown_executions_and_bad_reports_are_distinguished() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent
        .succeed("00000000-0000-4000-8000-000000000000", ROWS)
        .refused(404, "not_found");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    for bad in [
        json!({}),
        json!({"success": "yes"}),
        json!({"success": true, "rows_affected": -1}),
        json!({"success": true, "rows_affected": "1"}),
        json!({"success": true, "error_message": 1}),
        json!({"success": true, "duration_ms": 1.5}),
    ] {
        agent
            .result(&claim.execution, &bad)
            .refused(400, "validation_error");
    }
    request.is("running");
}

#[test]
fn oversize_result_ends_the_execution_as_failed_with_the_sizes() {
    let s = Server::with(&format!(
        "{SHOP}\n[result_storage]\nmax_persist_bytes = 1000\n"
    ));
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let data = format!("{{\"rows\":[\"{}\"]}}", "x".repeat(2_000));
    let answer = agent
        .succeed(&claim.execution, &data)
        .refused(413, "payload_too_large");
    answer
        .saying("2013")
        .saying("1000")
        .saying("the statement may have taken effect");
    let request = request.is("failed");
    let executions = request
        .by
        .get(&request.path("/executions"))
        .is(200)
        .list("executions");
    assert!(
        executions[0]["error_message"]
            .as_str()
            .unwrap()
            .contains("may have taken effect")
    );
    // The agent drops a result on any 4xx; repeating it must not do harm.
    agent
        .succeed(&claim.execution, &data)
        .refused(413, "payload_too_large");
    let fits = s.requester().submit("development", SELECT);
    agent.run(&fits.id);
}

#[test]
fn a_proved_outcome_stays_where_its_result_is_too_large() {
    let s = Server::with(&format!(
        "{SHOP}\n[result_storage]\nmax_persist_bytes = 1000\n"
    ));
    let agent = s.agent("agent-1");
    let report = |outcome: &str, sql: &str| {
        let request = s.requester().submit("development", sql);
        let claim = agent.claim(&request.id);
        let committed = outcome == "committed";
        let body = json!({
            "success": committed, "result_data": format!("{{\"rows\":[\"{}\"]}}", "x".repeat(2_000)),
            "error_message": (!committed).then_some("no"), "rows_affected": 7, "truncated": false,
            "outcome": outcome, "duration_ms": 12,
        });
        agent.result(&claim.execution, &body).is(200);
        agent.result(&claim.execution, &body).is(200);
        let request = request.is(if committed { "executed" } else { "failed" });
        let list = request.by.get(&request.path("/executions")).is(200);
        let execution = list.list("executions")[0].clone();
        assert_eq!(execution["outcome"], outcome);
        assert_eq!(execution["rows_affected"], 7);
        (request, execution)
    };
    let left_out = "left out: 2013 bytes are over the limit of 1000 bytes";
    for sql in [UPDATE, SELECT] {
        let (request, _) = report("committed", sql);
        let shown = request.by.get(&request.path("/result/stream")).is(200);
        assert_eq!(shown.json["success"], true);
        assert_eq!(shown.json["result_data"]["truncation_reason"], left_out);
    }
    let (_, execution) = report("rolled_back", UPDATE);
    let message = execution["error_message"].as_str().unwrap();
    assert_eq!(message, format!("no; result {left_out}"));
}

#[test]
fn a_body_beyond_every_limit_still_ends_its_execution() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let body = vec![b' '; 27 * 1024 * 1024];
    let path = format!("/api/agent/jobs/{}/result", claim.execution);
    agent
        .person
        .call("POST", &path, &[], &body)
        .refused(413, "payload_too_large");
    let shown = request.by.get(&request.path("/result/stream")).is(200);
    assert_eq!(shown.json["success"], false);
    assert!(
        shown
            .text("error_message")
            .contains("may have taken effect")
    );
    request.is("failed");
}

#[test]
fn result_of_ten_megabytes_escaped_in_a_string_is_accepted() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    // Quotes double in the string, as they do in real rows.
    let data = format!("[{}\"\"]", "\"\",".repeat(3_400_000));
    agent.succeed(&claim.execution, &data).is(200);
    let content = request.by.get(&request.path("/result/content")).is(200);
    assert!(
        content
            .body
            .windows(data.len().min(64))
            .any(|w| w == &data.as_bytes()[..64])
    );
    assert!(content.body.len() > data.len());
}

#[test]
fn implausible_result_ends_the_execution_as_failed() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let deep = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    for (data, says) in [
        (deep(129), "nested 129 deep"),
        ("[".repeat(500_000), "nested 500000 deep"),
        (r#"{"rows": 3}"#.to_owned(), "a list of rows"),
        (r#"{"rows": [[1]]}"#.to_owned(), "a row is not an object"),
        (
            r#"{"rows_affected": -1}"#.to_owned(),
            "not what its members say",
        ),
    ] {
        for operation in [SELECT, UPDATE] {
            let request = s.requester().submit("development", operation);
            let claim = agent.claim(&request.id);
            let answer = agent.succeed(&claim.execution, &data).is(200);
            assert_eq!(answer.text("status"), "failed");
            // The agent repeats it where the answer was lost.
            agent.succeed(&claim.execution, &data).is(200);
            let content = s.requester().get(&request.path("/result/content")).is(200);
            let message = content.text("error_message");
            assert!(message.contains(says), "{message}");
            assert!(message.contains("may have taken effect"), "{message}");
        }
    }
    // As JSON and not as JSON in a string, it is the same; and the deepest that passes is read in every form.
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let body = format!("{{\"success\":true,\"result_data\":{}}}", deep(200));
    let path = format!("/api/agent/jobs/{}/result", claim.execution);
    let answer = agent.person.call("POST", &path, &[], body.as_bytes());
    assert_eq!(answer.is(200).text("status"), "failed");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let rows = format!("{{\"rows\":[{{\"a\":{}}}]}}", deep(125));
    let answer = agent.succeed(&claim.execution, &rows).is(200);
    assert_eq!(answer.text("status"), "executed");
    for query in ["", "?values=exact", "?format=csv"] {
        s.requester()
            .get(&request.path(&format!("/result/content{query}")))
            .is(200);
    }
}
