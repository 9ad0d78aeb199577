//! What procedures return: every result of them, within the limits of one, through to people.

use super::super::places::mysql;
use super::super::served::Served;
use super::super::{Place, job, returned};
use crate::command_line::console::Console;
use dbward::agent::drivers::{DriverJob, RunOutcome};
use dbward::domain::id::Operation;
use serde_json::{Value, json};

fn made() -> Place {
    let place = mysql();
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE PROCEDURE several() BEGIN SELECT 1 AS a UNION SELECT 2; INSERT INTO t VALUES (7), (8); \
         SELECT id AS b, 'x' AS c FROM t ORDER BY id; SELECT 3 AS d WHERE FALSE; END",
    ] {
        place.done(&[sql]);
    }
    place
}

/// The results of a write that returns some, and whether something was left out.
fn results_of(place: &Place, job: &DriverJob) -> (Value, bool) {
    match place.run(job) {
        RunOutcome::Returned {
            json, truncated, ..
        } => (serde_json::from_str(&json).unwrap(), truncated),
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn every_result_of_a_call_is_returned() {
    let place = made();
    let call = job(Operation::ExecuteDml, &["CALL several()", "SELECT 4 AS e"]);
    let (all, truncated) = results_of(&place, &call);
    assert!(!truncated);
    assert_eq!(all["rows"], json!([{"a": 1}, {"a": 2}]));
    let more: Vec<&Value> = (0..3).map(|n| &all["more_results"][n]["rows"]).collect();
    let shown = [
        json!([{"b": 7, "c": "x"}, {"b": 8, "c": "x"}]),
        json!([]),
        json!([{"e": 4}]),
    ];
    assert_eq!(more, shown.iter().collect::<Vec<_>>());
    assert_eq!(all["more_results"][1]["columns"][0]["name"], "d");
    assert_eq!(place.count("t"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn results_of_a_call_share_limits_and_all_runs() {
    let place = made();
    let mut call = job(Operation::ExecuteDml, &["CALL several()"]);
    call.max_rows = Some(3);
    let (all, truncated) = results_of(&place, &call);
    assert!(truncated);
    assert_eq!(all["truncation_reason"], "row limit reached (3)");
    assert_eq!(all["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["more_results"][0]["rows"], json!([{"b": 7, "c": "x"}]));
    // What no longer fits is read all the same, so that the procedure comes to its end.
    assert_eq!(place.count("t"), 2);
    place.done(&["DELETE FROM t"]);
    call.max_rows = None;
    call.max_result_bytes = 16;
    let (all, truncated) = results_of(&place, &call);
    assert!(truncated);
    assert_eq!(all["truncation_reason"], "size limit reached (16 bytes)");
    assert_eq!(all["more_results"][0]["rows"], json!([]));
    assert_eq!(place.count("t"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn results_of_a_call_reach_the_requester() {
    let served = Served::start(made(), 60);
    let request = served.submit("CALL several()", "");
    let stream = served.result(&request).is(200);
    assert_eq!(stream.json["success"], true, "{}", stream.raw());
    let content = |query: &str| {
        let path = request.path(&format!("/result/content{query}"));
        request.by.get(&path).is(200)
    };
    let data = content("").json["result_data"].clone();
    assert_eq!(data["rows"], json!([{"a": 1}, {"a": 2}]));
    assert_eq!(data["more_results"][0]["rows"][1]["b"], 8);
    assert_eq!(
        content("?format=csv&result=2").raw().lines().last(),
        Some("8,x")
    );
    let exact = content("?values=exact").json["result_data"].clone();
    assert_eq!(exact["more_results"][0]["rows"][0]["c"], "x");
    let shell = Console::at(&format!("http://{}", request.by.at));
    let shown = shell.run(
        request.by.token.as_deref(),
        &["request", "result", &request.id],
    );
    let shown = shown.is(0).out;
    for column in ["a", "b", "c", "d"] {
        let titled = shown
            .lines()
            .any(|line| line.split_whitespace().any(|word| word == column));
        assert!(titled, "{column}: {shown}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_write_of_mysql_shows_what_it_returns() {
    returned::a_write_shows_what_it_returns(&mysql(), false);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn rows_that_mysql_returns_are_bounded() {
    returned::returned_rows_are_bounded_like_those_of_a_read(&mysql());
    returned::returned_rows_are_held_against_the_bound(&mysql());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn rows_that_mysql_returns_reach_the_requester() {
    returned::returned_rows_reach_the_requester(&Served::start(mysql(), 60));
}
