//! Results: waited for, downloaded, listed, shared, and never changed on their way.

use crate::support::{Answer, Person, ROWS, Request, SHOP, Server, golden};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// A request that ran in development, with this result.
pub(crate) fn ran(s: &Server, data: &str) -> Request {
    ran_with(s, data, json!({}))
}

fn ran_with(s: &Server, data: &str, more: Value) -> Request {
    let request = s.requester().submit_with("development", SELECT, more);
    let agent = s.agent("agent-1");
    let claim = agent.claim(&request.id);
    agent.succeed(&claim.execution, data).is(200);
    request
}

pub(crate) fn content(person: &Person, request: &Request) -> Answer {
    person.get(&request.path("/result/content"))
}

pub(crate) fn stream(person: &Person, request: &Request) -> Answer {
    person.get(&request.path("/result/stream?wait=1"))
}

#[test]
fn a_stream_wakes_for_a_result() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    let (one, two) = (
        request.by.wait(&request.path("/result/stream")),
        request.by.wait(&request.path("/result/stream")),
    );
    s.until_parked(2);
    let claim = s.agent("agent-1").run(&request.id);
    let live = one.answer().is(200);
    assert_eq!(live.text("execution_id"), claim.execution);
    golden("envelope", &live.json);
    assert_eq!(two.answer().is(200).body, live.body);
    // The same bytes, live and stored.
    assert_eq!(content(&request.by, &request).is(200).body, live.body);
    let s = s.restart();
    assert_eq!(stream(&s.requester(), &request).is(200).body, live.body);
}

#[test]
fn a_stream_wakes_for_a_failure() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    let waiting = request.by.wait(&request.path("/result/stream"));
    s.until_parked(1);
    let claim = s.agent("agent-1").claim(&request.id);
    s.agent("agent-1")
        .fail(&claim.execution, "no such table: items")
        .is(200);
    let answer = waiting.answer().is(200);
    assert_eq!(
        (&answer.json["success"], &answer.json["result_data"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(answer.text("error_message"), "no such table: items");
}

#[test]
fn a_stream_wakes_for_every_other_outcome() {
    type End = fn(&Server, &Request);
    let ends: [(&str, End); 4] = [
        ("cancelled", |_, r| drop(r.by.cancel(r).is(200))),
        ("rejected", |s, r| drop(s.approver().reject(r).is(200))),
        // The waiter's own time turns with the clock, so the request is nearly due before the waiter comes.
        ("expired", |s, _| s.turn(100)),
        ("execution_lost", |s, _| s.turn(100)),
    ];
    for (outcome, end) in ends {
        let s = Server::with(&SHOP.replace(
            "environment = \"production\"",
            "environment = \"production\"\npending_ttl_secs = 100",
        ));
        let request = if outcome == "execution_lost" {
            let request = s.requester().submit("development", UPDATE);
            s.agent("agent-1").claim(&request.id);
            request
        } else {
            s.requester().submit("production", UPDATE)
        };
        let waiting = request.by.wait(&request.path("/result/stream"));
        s.until_parked(1);
        end(&s, &request);
        let answer = waiting.answer().is(200);
        assert_eq!(answer.json["success"], false);
        let message = answer.text("error_message");
        match outcome {
            "rejected" => assert_eq!(message, "request rejected by approver"),
            _ => assert_eq!(message, format!("request {outcome}")),
        }
        if outcome == "cancelled" {
            golden("envelope_ended", &answer.json);
        }
        assert_eq!(
            stream(&request.by, &request).is(200).text("error_message"),
            message
        );
    }
}

#[test]
fn a_stream_survives_what_is_not_an_outcome() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let waiting = request.by.wait(&request.path("/result/stream"));
    s.until_parked(1);
    let request = request.approved_by(&s.approver()).resumed();
    assert!(waiting.is_waiting());
    s.agent("agent-1").run(&request.id);
    assert_eq!(waiting.answer().is(200).json["success"], true);
}

#[test]
fn stream_that_ends_with_its_time_is_204_without_body() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let waiting = request.by.wait(&request.path("/result/stream"));
    let short = request.by.wait(&request.path("/result/stream?wait=5"));
    s.until_parked(2);
    s.turn_only(6);
    assert!(short.answer().is(204).body.is_empty());
    s.turn_only(290);
    assert!(waiting.is_waiting());
    s.turn_only(10);
    waiting.answer().is(204);
    for wait in ["-1", "x"] {
        request
            .by
            .get(&request.path(&format!("/result/stream?wait={wait}")))
            .refused(400, "validation_error");
    }
    request
        .by
        .get(&request.path("/result/stream?wait=0"))
        .is(204);
}

#[test]
fn nothing_is_lost_when_a_job_finishes_before_anybody_waits() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    assert_eq!(
        request.by.get(&request.path("/result/stream")).is(200).json["success"],
        true
    );
    // And long after, when the live one is gone.
    s.turn_only(3_600);
    s.flush();
    assert_eq!(
        request.by.get(&request.path("/result/stream")).is(200).json["success"],
        true
    );
}

#[test]
fn numbers_columns_and_text_come_back_byte_for_byte() {
    let s = Server::shop();
    let data = r#"{"columns":[{"name":"z"},{"name":"a"}],"rows":[{"z":12345678901234567890123456789,"a":1.10,"ü":"\u00e9 \ud83d\ude00","e":1E400,"n":-0.0}],"truncated":false}"#;
    let request = ran(&s, data);
    for answer in [
        content(&request.by, &request),
        stream(&request.by, &request),
    ] {
        let text = String::from_utf8(answer.is(200).body).unwrap();
        assert!(text.contains(data), "{text}");
    }
}

#[test]
fn result_may_be_json_json_in_a_string_or_neither() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for (sent, kept) in [
        (
            r#"{"rows":[{"b":1,"a":99999999999999999999}]}"#,
            r#"{"rows":[{"b":1,"a":99999999999999999999}]}"#,
        ),
        (
            r#""{\"rows\":[{\"b\":1,\"a\":99999999999999999999}]}""#,
            r#"{"rows":[{"b":1,"a":99999999999999999999}]}"#,
        ),
        (r#""3 rows\n""#, r#""3 rows\n""#),
        ("null", "null"),
    ] {
        let request = s.requester().submit("development", SELECT);
        let claim = agent.claim(&request.id);
        let body = format!("{{\"success\":true,\"result_data\":{sent}}}");
        let path = format!("/api/agent/jobs/{}/result", claim.execution);
        agent
            .person
            .call("POST", &path, &[], body.as_bytes())
            .is(200);
        let text = String::from_utf8(stream(&request.by, &request).is(200).body).unwrap();
        assert!(text.contains(&format!("\"result_data\":{kept},")), "{text}");
    }
}

#[test]
fn truncation_is_flagged_wherever_it_was_reported() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for (flag, data) in [
        (true, "{\"rows\":[]}"),
        (
            false,
            "{\"rows\":[],\"truncated\":true,\"truncation_reason\":\"row limit reached (1)\"}",
        ),
    ] {
        let request = s.requester().submit("development", SELECT);
        let claim = agent.claim(&request.id);
        let body = json!({"success": true, "result_data": data, "truncated": flag});
        agent.result(&claim.execution, &body).is(200);
        assert_eq!(
            stream(&request.by, &request).is(200).json["truncated"],
            true
        );
        assert_eq!(
            content(&request.by, &request).is(200).json["truncated"],
            true
        );
    }
    let request = ran(&s, ROWS);
    assert_eq!(content(&request.by, &request).json["truncated"], false);
}

#[test]
fn unstored_result_is_streamed_and_gone() {
    let s = Server::shop();
    let request =
        s.requester()
            .submit_with("development", SELECT, json!({"no_result_store": true}));
    let waiting = request.by.wait(&request.path("/result/stream"));
    s.until_parked(1);
    s.agent("agent-1").run(&request.id);
    assert_eq!(waiting.answer().is(200).json["success"], true);
    assert!(s.stored().is_empty());
    content(&request.by, &request)
        .refused(410, "gone")
        .saying("result not stored for this request");
    stream(&request.by, &request).is(200);
    let shown = request.by.show(&request).json;
    assert_eq!(
        (&shown["no_result_store"], &shown["context"]),
        (&json!(true), &Value::Null)
    );
    s.turn_only(700);
    s.flush();
    stream(&request.by, &request).refused(410, "gone");
}

#[test]
fn small_result_is_row_and_a_large_one_an_object() {
    let s = Server::shop();
    let small = ran(&s, ROWS);
    assert!(s.stored().is_empty());
    let request = s.requester().submit("development", SELECT);
    let claim = s.agent("agent-1").claim(&request.id);
    let data = json!({"rows": [{"text": "x".repeat(16 * 1024)}]}).to_string();
    s.agent("agent-1").succeed(&claim.execution, &data).is(200);
    assert_eq!(s.stored().len(), 1);
    let s = s.restart();
    for request in [&small.id, &request.id] {
        let path = format!("/api/requests/{request}/result/content");
        assert_eq!(s.requester().get(&path).is(200).json["success"], true);
    }
}

#[test]
fn a_failure_is_stored_whatever_was_asked() {
    let s = Server::shop_with_objects();
    let request =
        s.requester()
            .submit_with("development", SELECT, json!({"no_result_store": true}));
    let claim = s.agent("agent-1").claim(&request.id);
    let long = "e".repeat(5_000);
    let body = json!({"success": false, "error_message": long, "result_data": "{\"secret\":1}"});
    s.agent("agent-1").result(&claim.execution, &body).is(200);
    let answer = content(&request.by, &request).is(200);
    assert_eq!(answer.text("error_message").len(), 4_096);
    assert!(!answer.raw().contains("secret"));
    assert!(
        !String::from_utf8(s.object(&s.stored()[0]))
            .unwrap()
            .contains("secret")
    );
}

#[test]
fn requester_administrator_and_those_shared_with_see_results() {
    let s = Server::shop();
    let share = json!({"share_with": ["user:friend", "group:approvers", "role:readonly"]});
    let shared = ran_with(&s, ROWS, share);
    let own = ran(&s, ROWS);
    let stranger = s.person("stranger", &["developer"]);
    for person in [
        s.person("friend", &["developer"]),
        s.approver(),
        s.person("reader", &["readonly"]),
        s.admin(),
    ] {
        content(&person, &shared).is(200);
        stream(&person, &shared).is(200);
    }
    for person in [stranger.clone(), s.person("friend", &["developer"])] {
        content(&person, &own).refused(403, "forbidden");
        stream(&person, &own).refused(403, "forbidden");
    }
    stream(&stranger, &shared).refused(403, "forbidden");
    let listed = |person: Person| person.get("/api/results").is(200).list("results").len();
    assert_eq!(listed(s.requester()), 2);
    assert_eq!(listed(s.person("friend", &["developer"])), 1);
    assert_eq!(listed(s.person("reader", &["readonly"])), 1);
    assert_eq!(listed(stranger), 0);
    golden("results", &s.approver().get("/api/results").json);
}

#[test]
fn result_lists_page_and_tell_the_size_of_the_download() {
    let s = Server::shop();
    let first = ran(&s, ROWS);
    for _ in 0..3 {
        ran(&s, ROWS);
    }
    let page = s
        .requester()
        .get("/api/results?limit=1&offset=3")
        .is(200)
        .list("results");
    assert_eq!(page.len(), 1);
    assert_eq!(page[0]["request_id"], first.id.as_str());
    let download = content(&first.by, &first).body.len();
    assert_eq!(page[0]["content_length"], download);
    for query in ["limit=-1", "offset=x"] {
        s.requester()
            .get(&format!("/api/results?{query}"))
            .refused(400, "validation_error");
    }
}

/// Every text of a document that is a time.
fn times(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Array(all) => all.iter().for_each(|one| times(one, found)),
        Value::Object(members) => members.values().for_each(|one| times(one, found)),
        Value::String(text) if dbward::clock::Timestamp::parse(text).is_some() => {
            found.push(text.clone());
        }
        _ => {}
    }
}

#[test]
fn times_are_in_utc_with_z_everywhere() {
    let hook = "[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/hook\"\n";
    let s = Server::with(&format!("{SHOP}{hook}"));
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let mut found = Vec::new();
    times(
        &json!({"lease": claim.answer.json["lease_expires_at"]}),
        &mut found,
    );
    assert_eq!(found.len(), 1);
    agent.succeed(&claim.execution, ROWS).is(200);
    for path in [
        "/api/requests",
        &request.path(""),
        &request.path("/executions"),
        "/api/results",
        "/api/users",
        "/api/tokens",
        "/api/agents",
        "/api/webhook-deliveries",
    ] {
        let before = found.len();
        times(&s.admin().get(path).is(200).json, &mut found);
        assert!(found.len() > before, "{path} has no time");
    }
    let other: Vec<&String> = found.iter().filter(|time| !time.ends_with('Z')).collect();
    assert!(other.is_empty(), "{other:?}");
}
