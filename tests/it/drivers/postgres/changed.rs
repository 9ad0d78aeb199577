//! Rows of which a statement does not tell by itself: what PostgreSQL counted is reported.

use super::super::places::postgres;
use super::super::served::Served;
use serde_json::Value;

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_a_statement_hides_are_reported() {
    let place = postgres();
    place.done(&[
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE TABLE log (id INTEGER)",
        "CREATE TABLE part (id INTEGER)",
        "CREATE FUNCTION gone() RETURNS bigint LANGUAGE sql AS \
         'WITH d AS (DELETE FROM log RETURNING 1) SELECT count(*) FROM d'",
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END $$",
        "CREATE TRIGGER noted AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO part VALUES (NEW.id); RETURN NULL; END $$",
        "CREATE TABLE parted (id INTEGER)",
        "CREATE TRIGGER elsewhere BEFORE INSERT ON parted FOR EACH ROW EXECUTE FUNCTION elsewhere()",
    ]);
    place.done(&["INSERT INTO t SELECT generate_series(1, 20)"]);
    for (plan, rows) in [
        // It tells of its own rows, and not of those of a trigger.
        (&["DELETE FROM t WHERE id = 1"][..], 1),
        (&["SELECT gone()"], 1),
        (
            &["WITH d AS (DELETE FROM t WHERE id < 4 RETURNING id) SELECT * FROM d"],
            4,
        ),
        (&["EXPLAIN (ANALYZE) DELETE FROM t WHERE id < 6"], 4),
        (&["EXPLAIN DELETE FROM t"], 0),
        (
            &["WITH d AS (DELETE FROM log RETURNING id) INSERT INTO part SELECT min(id) FROM d"],
            5,
        ),
        (&["INSERT INTO parted VALUES (1), (2)"], 2),
        (&["DO $$ BEGIN DELETE FROM part; END $$"], 3),
        (&["CREATE TABLE copied AS SELECT * FROM t"], 15),
        (&["UPDATE t SET id = id WHERE id > 90", "SELECT 1"], 0),
        (
            &[
                "INSERT INTO log VALUES (1), (2)",
                "SELECT gone()",
                "INSERT INTO log VALUES (3)",
            ],
            5,
        ),
    ] {
        assert_eq!(place.done(plan), rows, "{plan:?}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn rows_that_a_statement_hides_reach_result_and_audit() {
    let served = Served::start(postgres(), 60);
    served.place.done(&["CREATE TABLE t (id INTEGER)"]);
    served.place.done(&["INSERT INTO t VALUES (1), (2), (3)"]);
    let request = served.submit(
        "WITH d AS (DELETE FROM t WHERE id < 9 RETURNING id) SELECT max(id) FROM d",
        "",
    );
    let done = served.result(&request).is(200);
    assert_eq!(done.json["rows_affected"], 3, "{}", done.raw());
    let executions = request.by.get(&request.path("/executions")).is(200);
    assert_eq!(executions.json["executions"][0]["rows_affected"], 3);
    let query = format!("request_id={}&event_type=execution.completed", request.id);
    let event = &served.server.events(&query)[0];
    let metadata: Value = serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
    assert_eq!(metadata["rows_affected"], 3, "{event}");
}
