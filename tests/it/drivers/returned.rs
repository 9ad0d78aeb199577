//! Rows that a write returns: all of them within the limits of a result, counted as those that it changes, and none of
//! them the reason why something stays or not.

use super::served::Served;
use super::{Place, committed, failure, job};
use dbward::agent::drivers::{DriverJob, JobEffect, RunOutcome};
use dbward::domain::id::Operation;
use serde_json::{Value, json};

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))";

/// Rows that were changed, the result, and whether something was left out of it.
fn returned(place: &Place, job: &DriverJob) -> (u64, Value, bool) {
    match place.run(job) {
        RunOutcome::Returned {
            rows,
            json,
            truncated,
        } => (rows, serde_json::from_str(&json).unwrap(), truncated),
        other => panic!("{other:?}"),
    }
}

fn writes(plan: &[&str]) -> DriverJob {
    job(Operation::ExecuteDml, plan)
}

/// `updates` where an UPDATE has RETURNING too.
pub fn a_write_shows_what_it_returns(place: &Place, updates: bool) {
    place.done(&[TABLE]);
    let insert = "INSERT INTO t VALUES (1, 'a'), (2, NULL) RETURNING id, v, v";
    let (rows, all, truncated) = returned(place, &writes(&[insert]));
    assert_eq!((rows, truncated), (2, false));
    assert_eq!(
        all["rows"],
        json!([{"id": 1, "v": "a", "v_2": "a"}, {"id": 2, "v": null, "v_2": null}])
    );
    assert_eq!(all["columns"][2]["key"], "v_2");
    // Each statement that returns rows has a result, also one that finds none.
    let plan = [
        "INSERT INTO t VALUES (3, 'c')",
        "DELETE FROM t WHERE id = 9 RETURNING id",
        "DELETE FROM t WHERE id = 3 RETURNING v",
    ];
    let (rows, all, _) = returned(place, &writes(&plan));
    assert_eq!(rows, 2);
    assert_eq!(all["rows"], json!([]));
    assert_eq!(all["more_results"][0]["rows"], json!([{"v": "c"}]));
    if updates {
        let update = "UPDATE t SET v = 'z' WHERE id = 2 RETURNING v";
        let (rows, all, _) = returned(place, &writes(&[update]));
        assert_eq!((rows, &all["rows"]), (1, &json!([{"v": "z"}])));
    }
    assert_eq!(place.count("t"), 2);
}

/// What no longer fits is left out, which the result says; all of it is changed.
pub fn returned_rows_are_bounded_like_those_of_a_read(place: &Place) {
    place.done(&[TABLE]);
    let values: Vec<String> = (0..50).map(|n| format!("({n}, 'v')")).collect();
    let insert = format!("INSERT INTO t VALUES {} RETURNING id", values.join(", "));
    let mut few = writes(&[&insert]);
    few.max_rows = Some(3);
    let (rows, all, truncated) = returned(place, &few);
    assert_eq!((rows, truncated), (50, true));
    assert_eq!(all["rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(all["truncation_reason"], "row limit reached (3)");
    assert_eq!(place.count("t"), 50);
    let mut small = writes(&["DELETE FROM t WHERE id < 40 RETURNING v"]);
    small.max_result_bytes = 30;
    let (rows, all, truncated) = returned(place, &small);
    assert_eq!((rows, truncated), (40, true));
    assert_eq!(all["truncation_reason"], "size limit reached (30 bytes)");
    assert_eq!(place.count("t"), 10);
}

pub fn returned_rows_are_held_against_the_bound(place: &Place) {
    place.done(&[TABLE]);
    place.done(&["INSERT INTO t VALUES (1, 'a'), (2, 'b')"]);
    let mut delete = writes(&["DELETE FROM t RETURNING id"]);
    delete.max_affected_rows = Some(1);
    let (message, effect) = failure(place.run(&delete));
    assert_eq!(effect, JobEffect::RolledBack);
    assert!(
        message.contains("2 rows would change, 1 approved"),
        "{message}"
    );
    // Of what is taken back nothing is shown.
    let (_, effect) = failure(place.write(&[
        "DELETE FROM t WHERE id = 1 RETURNING id",
        "INSERT INTO t VALUES (2, 'again') RETURNING id",
    ]));
    assert_eq!(effect, JobEffect::RolledBack);
    assert_eq!(place.count("t"), 2);
    delete.max_affected_rows = Some(2);
    assert_eq!(committed(place.run(&delete)), 2);
}

/// From the request to the download.
pub fn returned_rows_reach_the_requester(served: &Served) {
    served.place.done(&[TABLE]);
    let request = served.submit(
        "INSERT INTO t VALUES (1, 'a'), (2, 'b') RETURNING id, v",
        "",
    );
    let done = served.result(&request).is(200);
    assert_eq!(
        (&done.json["success"], &done.json["rows_affected"]),
        (&json!(true), &json!(2)),
        "{}",
        done.raw()
    );
    let content = |query: &str| {
        let path = request.path(&format!("/result/content{query}"));
        request.by.get(&path).is(200)
    };
    let whole = content("");
    assert_eq!(whole.json["rows_affected"], 2, "{}", whole.raw());
    assert_eq!(
        whole.json["result_data"]["rows"],
        json!([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}])
    );
    let csv = content("?format=csv");
    assert_eq!(csv.raw().lines().last(), Some("2,b"));
}

mod sqlite {
    use super::super::places::sqlite;
    use super::super::served::Served;

    #[test]
    fn a_write_of_sqlite_shows_what_it_returns() {
        super::a_write_shows_what_it_returns(&sqlite(), true);
    }

    #[test]
    fn rows_that_sqlite_returns_are_bounded() {
        super::returned_rows_are_bounded_like_those_of_a_read(&sqlite());
        super::returned_rows_are_held_against_the_bound(&sqlite());
    }

    #[test]
    fn rows_that_sqlite_returns_reach_the_requester() {
        super::returned_rows_reach_the_requester(&Served::start(sqlite(), 60));
    }
}
