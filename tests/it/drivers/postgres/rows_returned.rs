//! Rows that a write on PostgreSQL returns.

use super::super::places::postgres;
use super::super::served::Served;
use super::super::{committed, job, returned};
use dbward::agent::drivers::RunOutcome;
use dbward::domain::id::Operation;
use serde_json::{Value, json};

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_write_of_postgres_shows_what_it_returns() {
    returned::a_write_shows_what_it_returns(&postgres(), true);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_postgres_returns_are_bounded() {
    returned::returned_rows_are_bounded_like_those_of_a_read(&postgres());
    returned::returned_rows_are_held_against_the_bound(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_postgres_returns_reach_the_requester() {
    returned::returned_rows_reach_the_requester(&Served::start(postgres(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn values_that_postgres_returns_are_those_of_a_read() {
    let place = postgres();
    place.done(&["CREATE TYPE mood AS ENUM ('sad', 'glad')"]);
    place.done(&[
        "CREATE TABLE t (a bigint, b numeric, c timestamptz, d bytea, e mood, f integer[])",
    ]);
    let values =
        "(9007199254740993, 'NaN', '0044-03-15 12:00:00+00 BC', '\\x00ff', 'glad', '{1,NULL}')";
    let write = place.write(&[&format!("INSERT INTO t VALUES {values} RETURNING *")]);
    let RunOutcome::Returned { json, .. } = write else {
        panic!("{write:?}");
    };
    let (_, read) = place.rows("SELECT * FROM t");
    assert_eq!(json, read);
    assert!(json.contains("9007199254740993"), "{json}");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_call_shows_what_it_gives_back() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&[
        "CREATE PROCEDURE doubles(INOUT a integer, INOUT b text) LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO t VALUES (a); a := a * 2; END $$",
        "CREATE PROCEDURE nothing() LANGUAGE sql AS 'INSERT INTO t VALUES (1)'",
    ]);
    let outcome = place.write(&[
        "CALL doubles(4, 'x')",
        "CALL nothing()",
        "CALL doubles(1, NULL)",
    ]);
    let RunOutcome::Returned { json, .. } = outcome else {
        panic!("{outcome:?}");
    };
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"], json!([{"a": 8, "b": "x"}]));
    assert_eq!(
        json["more_results"][0]["rows"],
        json!([{"a": 2, "b": null}])
    );
    assert_eq!(place.count("t"), 3);
}

/// Longer than any message that is kept.
#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn row_too_long_to_show_is_still_changed() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER, v text)"]);
    let insert = "INSERT INTO t SELECT n, repeat('x', CASE n WHEN 2 THEN 20000000 ELSE 1 END) \
                  FROM generate_series(1, 3) n RETURNING id, v";
    let outcome = place.run(&job(Operation::ExecuteDml, &[insert]));
    let RunOutcome::Returned {
        rows: 3,
        json,
        truncated: true,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"], json!([{"id": 1, "v": "x"}]));
    assert_eq!(json["truncation_reason"], "size limit reached (10 MB)");
    assert_eq!(place.count("t"), 3);
    assert_eq!(committed(place.write(&["DELETE FROM t"])), 3);
}
