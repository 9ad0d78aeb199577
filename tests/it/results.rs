//! Results: waited for, downloaded, listed, shared, and never changed on their way.

use crate::support::{Answer, Person, ROWS, Request, SHOP, Server, golden};
use dbward::crypto::sha256_hex;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// A request that ran in development, with this result.
fn ran(s: &Server, data: &str) -> Request {
    ran_with(s, data, json!({}))
}

fn ran_with(s: &Server, data: &str, more: Value) -> Request {
    let request = s.requester().submit_with("development", SELECT, more);
    let agent = s.agent("agent-1");
    let claim = agent.claim(&request.id);
    agent.succeed(&claim.execution, data).is(200);
    request
}

fn content(person: &Person, request: &Request) -> Answer {
    person.get(&request.path("/result/content"))
}

fn stream(person: &Person, request: &Request) -> Answer {
    person.get(&request.path("/result/stream?wait=1"))
}

/// The files under the results folder.
fn stored(s: &Server) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![s.state_dir().join("results")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found
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
        // The waiter's own time turns with the clock, so the request is nearly due before he comes.
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
        assert_eq!(answer.text("error_message"), format!("request {outcome}"));
        if outcome == "cancelled" {
            golden("envelope_ended", &answer.json);
        }
        assert_eq!(
            stream(&request.by, &request).is(200).text("error_message"),
            format!("request {outcome}")
        );
    }
}

#[test]
fn a_stream_survives_what_is_no_outcome() {
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
fn a_stream_that_ends_with_its_time_is_204_without_a_body() {
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
fn a_result_may_be_raw_json_or_json_in_a_string_or_neither() {
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
fn truncation_is_flagged_wherever_it_was_said() {
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
fn the_download_is_the_stored_object_with_its_etag() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    let answer = content(&request.by, &request).is(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(
        answer
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    let etag = answer.header("etag").unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", sha256_hex(&answer.body)));
    assert_eq!(fs::read(&stored(&s)[0]).unwrap(), answer.body);
    let path = request.path("/result/content");
    let head = request.by.head(&path).is(200);
    assert_eq!(
        head.header("content-length"),
        Some(&*answer.body.len().to_string())
    );
    assert_eq!(head.header("etag"), Some(&*etag));
    for (tag, status) in [
        (&*etag, 304),
        ("*", 304),
        (&*format!("\"x\", W/{etag}"), 304),
        ("\"x\"", 200),
    ] {
        request
            .by
            .get_with(&path, &[("if-none-match", tag)])
            .is(status);
    }
}

#[test]
fn parts_of_a_download_can_be_asked_for() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    let path = request.path("/result/content");
    let whole = request.by.get(&path).is(200);
    let (body, n) = (&whole.body, whole.body.len());
    let etag = whole.header("etag").unwrap();
    for (range, from, to) in [
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, n),
        ("bytes=-7", n - 7, n),
        ("bytes=0-99999", 0, n),
        ("bytes=-99999", 0, n),
        ("bytes=3-3", 3, 4),
    ] {
        let part = request.by.get_with(&path, &[("range", range)]).is(206);
        assert_eq!(part.body, body[from..to], "{range}");
        assert_eq!(
            part.header("content-range"),
            Some(&*format!("bytes {from}-{}/{n}", to - 1))
        );
        assert_eq!(part.header("etag"), Some(etag));
    }
    let beyond = format!("bytes={n}-");
    let answer = request.by.get_with(&path, &[("range", &beyond)]);
    assert_eq!(answer.status, 416, "{}", answer.raw());
    assert_eq!(
        answer.header("content-range"),
        Some(&*format!("bytes */{n}"))
    );
    // What is not understood is ignored; what is of another version too.
    for headers in [
        &[("range", "lines=1-2")][..],
        &[("range", "bytes=9-1")],
        &[("range", "bytes=0-1,3-4")],
        &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
    ] {
        assert_eq!(
            request.by.get_with(&path, headers).is(200).body.len(),
            n,
            "{headers:?}"
        );
    }
    let same = [("range", "bytes=0-1"), ("if-range", etag)];
    request.by.get_with(&path, &same).is(206);
}

#[test]
fn rows_can_be_had_as_csv() {
    let s = Server::shop();
    let data = r#"{"rows":[{"id":1,"note":"a,b"},{"id":12345678901234567890,"note":"say \"hi\"\nthere"},{"id":null,"note":""}]}"#;
    let request = ran(&s, data);
    let answer = request
        .by
        .get(&request.path("/result/content?format=csv"))
        .is(200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/csv")
    );
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[0], "id,note");
    assert_eq!(lines[1], "1,\"a,b\"");
    assert!(
        text.contains("12345678901234567890,\"say \"\"hi\"\"\nthere\""),
        "{text}"
    );
    request
        .by
        .get(&request.path("/result/content?format=json"))
        .is(200);
    for format in ["xml", ""] {
        request
            .by
            .get(&request.path(&format!("/result/content?format={format}")))
            .refused(400, "validation_error");
    }
}

#[test]
fn results_of_each_execution_are_kept() {
    let s = Server::with(&format!(
        "{SHOP}\n[[execution_policies]]\nmax_executions = 5\n"
    ));
    let request = s.requester().submit("development", SELECT);
    let agent = s.agent("agent-1");
    let mut executions = Vec::new();
    for n in 0..2 {
        if n > 0 {
            request.by.resume(&request).is(200);
        }
        let claim = agent.claim(&request.id);
        agent
            .succeed(&claim.execution, &format!("{{\"rows\":[{{\"n\":{n}}}]}}"))
            .is(200);
        executions.push(claim.execution);
    }
    let of = |id: &str| {
        request
            .by
            .get(&request.path(&format!("/result/content?execution_id={id}")))
    };
    for (n, id) in executions.iter().enumerate() {
        assert_eq!(of(id).is(200).json["result_data"]["rows"][0]["n"], n);
    }
    assert_eq!(
        content(&request.by, &request).json["result_data"]["rows"][0]["n"],
        1
    );
    of("nonsense").refused(404, "not_found");
    let other = ran(&s, ROWS);
    let foreign = content(&other.by, &other).text("execution_id");
    of(&foreign).refused(404, "not_found");
    request.by.resume(&request).is(200);
    let claim = agent.claim(&request.id);
    of(&claim.execution).refused(409, "conflict");
}

#[test]
fn what_has_not_run_has_no_content() {
    let s = Server::shop();
    let pending = s.requester().submit("production", UPDATE);
    content(&pending.by, &pending).refused(404, "not_found");
    let lost = s.requester().submit("development", UPDATE);
    s.agent("agent-1").claim(&lost.id);
    s.turn(60);
    content(&lost.by, &lost).refused(404, "not_found");
}

#[test]
fn a_result_that_is_not_to_be_stored_is_streamed_and_gone() {
    let s = Server::shop();
    let request =
        s.requester()
            .submit_with("development", SELECT, json!({"no_result_store": true}));
    let waiting = request.by.wait(&request.path("/result/stream"));
    s.until_parked(1);
    s.agent("agent-1").run(&request.id);
    assert_eq!(waiting.answer().is(200).json["success"], true);
    assert!(stored(&s).is_empty());
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
fn a_failure_is_stored_whatever_was_asked() {
    let s = Server::shop();
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
        !fs::read_to_string(&stored(&s)[0])
            .unwrap()
            .contains("secret")
    );
}

#[test]
fn results_are_seen_by_requester_administrator_and_whom_they_are_shared_with() {
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

#[test]
fn a_corrupt_object_is_never_shown_and_audited() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    s.turn_only(3_600);
    s.flush();
    let file = stored(&s).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let answer = content(&request.by, &request).refused(500, "internal");
    assert_eq!(answer.json["error"]["message"], "internal error");
    stream(&request.by, &request).refused(500, "internal");
    assert_eq!(s.forgive_faults(), 2);
    let events = s.events("event_type=result.corrupt");
    assert_eq!(events[0]["request_id"], request.id.as_str());
    assert_eq!(events[0]["outcome"], "failure");
}

#[test]
fn a_missing_object_is_gone() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    s.turn_only(3_600);
    s.flush();
    fs::remove_file(stored(&s).remove(0)).unwrap();
    content(&request.by, &request).refused(410, "gone");
    stream(&request.by, &request).refused(410, "gone");
}

#[test]
fn a_result_is_gone_after_its_retention() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    s.turn_only(30 * 86_400 - 60);
    content(&request.by, &request).is(200);
    s.turn_only(61);
    content(&request.by, &request).refused(410, "gone");
    assert!(
        s.requester()
            .get("/api/results")
            .is(200)
            .list("results")
            .is_empty()
    );
}

#[test]
fn a_store_that_cannot_be_written_makes_the_agent_try_again() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let results = s.state_dir().join("results");
    fs::remove_dir_all(&results).unwrap();
    fs::write(&results, "in the way").unwrap();
    agent
        .succeed(&claim.execution, ROWS)
        .refused(503, "unavailable");
    assert_eq!(request.status(), "running");
    fs::remove_file(&results).unwrap();
    fs::create_dir(&results).unwrap();
    agent.succeed(&claim.execution, ROWS).is(200);
    content(&request.by, &request).is(200);
}
