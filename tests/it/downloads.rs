//! Stored results as downloads: whole, in part, unchanged, as CSV, of each execution, and when they are gone.

use crate::results::{content, ran, stream};
use crate::support::{OBJECTS, ROWS, SHOP, Server};
use dbward::crypto::sha256_hex;
use std::fs;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

#[test]
fn the_download_is_the_stored_object_with_its_etag() {
    let s = Server::shop_with_objects();
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
    assert_eq!(s.object(&s.stored()[0]), answer.body);
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

const CUT: &str =
    r#"{"rows":[{"id":1}],"truncated":true,"truncation_reason":"row limit reached (1)"}"#;

#[test]
fn a_cut_result_says_so_in_every_form() {
    let s = Server::shop();
    let request = ran(&s, CUT);
    let get = |query: &str| {
        let path = request.path(&format!("/result/content?{query}"));
        request.by.get(&path)
    };
    for query in ["format=csv", "format=json", "values=exact", "complete=0"] {
        let answer = get(query).is(200);
        assert_eq!(answer.header("x-dbward-truncated"), Some("true"), "{query}");
        let name = answer.header("content-disposition").unwrap();
        assert!(name.contains("-truncated."), "{name}");
    }
    assert_eq!(get("format=json").json["truncated"], true);
    for query in ["format=csv&complete=1", "complete=true"] {
        get(query).refused(409, "truncated");
    }
    get("complete=yes").refused(400, "validation_error");
    let whole = ran(&s, ROWS);
    let path = whole.path("/result/content?format=csv&complete=1");
    let answer = whole.by.get(&path).is(200);
    assert_eq!(answer.header("x-dbward-truncated"), None);
}

#[test]
fn exact_values_survive_every_reader_of_json() {
    let s = Server::shop();
    let data = r#"{"columns":[{"name":"n","key":"n","type":"bigint"},{"name":"v","key":"v","type":"text"}],"rows":[{"n":9007199254740993,"v":"\\x00"},{"n":1,"v":"\\x00"}],"cell_types":[[1,1,"blob"]],"truncated":false,"truncation_reason":null}"#;
    let request = ran(&s, data);
    for path in ["/result/content", "/result/stream"] {
        let get = |query: &str| request.by.get(&request.path(&format!("{path}{query}")));
        let plain = get("").is(200);
        assert!(plain.raw().contains("\"n\":9007199254740993"), "as it came");
        let exact = get("?values=exact").is(200);
        let rows = &exact.json["result_data"]["rows"];
        assert_eq!(rows[0]["n"], "9007199254740993");
        assert_eq!(rows[1]["n"], 1);
        assert_eq!(rows[0]["v"], "\\x00");
        assert_eq!(rows[1]["v"]["type"], "blob");
        assert_eq!(rows[1]["v"]["value"], "\\x00");
        get("?values=other").refused(400, "validation_error");
    }
    let both = request.path("/result/content?values=exact&format=csv");
    request.by.get(&both).refused(400, "validation_error");
    let tags: Vec<String> = ["", "?values=exact", "?format=csv"]
        .iter()
        .map(|q| {
            let answer = request
                .by
                .get(&request.path(&format!("/result/content{q}")));
            answer.header("etag").unwrap().to_owned()
        })
        .collect();
    assert!(tags[0] != tags[1] && tags[1] != tags[2]);
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
    // What an earlier one returned is there while a later one runs, and when it is lost.
    let last =
        || content(&request.by, &request).is(200).json["result_data"]["rows"][0]["n"].clone();
    assert_eq!(last(), 1);
    s.turn(60);
    assert_eq!(last(), 1);
    of(&claim.execution).refused(404, "not_found");
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
fn a_corrupt_object_is_never_shown_and_audited() {
    let s = Server::shop_with_objects();
    let request = ran(&s, ROWS);
    s.turn_only(3_600);
    s.flush();
    let key = s.stored().remove(0);
    let mut bytes = s.object(&key);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    s.overwrite(&key, &bytes);
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
    let s = Server::shop_with_objects();
    let request = ran(&s, ROWS);
    s.turn_only(3_600);
    s.flush();
    s.remove(&s.stored()[0]);
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
fn folder_that_cannot_be_written_makes_the_agent_try_again() {
    let s = Server::with(&format!(
        "{SHOP}{OBJECTS}\n[result_storage]\nbackend = \"local\"\n"
    ));
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
