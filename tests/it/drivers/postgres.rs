//! PostgreSQL: the claims of every database, awkward values, and what is its own.

mod alone;
mod bounds;
pub mod cluster;
mod logins;
mod migrations;
mod rehearsed;
mod rows_returned;
mod served;
mod words;

use super::places::{on_server, postgres, postgres_made};
use super::{Journal, claims, failure, job};
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::{Cancel, JobEffect};
use dbward::domain::id::Operation;
use serde_json::json;

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_writes_all_or_nothing() {
    claims::a_write_is_all_or_nothing(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_commits_only_what_the_journal_knows() {
    claims::a_commit_waits_for_the_journal(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_refuses_lies_about_reads() {
    claims::lies_about_reads_are_refused(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_gets_the_bytes_of_a_plan() {
    let place = postgres();
    claims::a_plan_keeps_its_bytes(&place);
    assert_eq!(place.value("SELECT '{\"a\":1}'::jsonb ? 'a' AS v"), "true");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_sessions_share_nothing() {
    claims::nothing_of_a_session_reaches_the_next(
        &postgres(),
        [
            "SET work_mem = '77MB'",
            "SELECT current_setting('work_mem') AS v",
        ],
        "CREATE TEMPORARY TABLE only_mine (a INTEGER)",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_is_stopped_by_time() {
    let place = postgres();
    claims::time_ends_what_does_not_end(
        &place,
        "SELECT count(*) FROM generate_series(1, 100000000000)",
    );
    // The database has the limit itself, in a transaction and outside.
    let limit = "(SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout')";
    let has_it = format!("{limit} BETWEEN 1 AND 30000");
    assert_eq!(place.value(&format!("SELECT {has_it} AS v")), "true");
    place.done(&["CREATE TABLE t (v BOOLEAN)"]);
    place.done(&[&format!("INSERT INTO t SELECT {has_it}")]);
    let file = format!("-- migrate:up transaction:false\nINSERT INTO t SELECT {has_it}");
    super::migrations::migrated(super::migrations::up(&place, &[("1", &file)]));
    assert_eq!(place.count("t WHERE v"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_is_stopped_by_cancelling() {
    let endless = "INSERT INTO t SELECT 1 FROM generate_series(1, 100000000000) g WHERE g < 0";
    claims::cancelling_ends_a_write_in_the_database(
        postgres(),
        &["UPDATE t SET id = 3 WHERE id = 1", endless],
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_results_stop_at_their_limits() {
    claims::a_result_stops_at_its_limits(
        &postgres(),
        "SELECT generate_series(1, 100000000000) AS g",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_keeps_to_the_rows_approved() {
    claims::more_rows_than_approved_change_nothing(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_is_described_and_explains() {
    claims::tables_are_described_and_statements_explained(&postgres());
}

/// SQL of a value, and how it stands in the result.
const VALUES: &[(&str, &str)] = &[
    ("NULL::text", "null"),
    ("''::text", "\"\""),
    ("9007199254740993::bigint", "9007199254740993"),
    ("(-9223372036854775808)::bigint", "-9223372036854775808"),
    ("0.1::float8", "0.1"),
    ("'NaN'::float8", "\"NaN\""),
    ("'-Infinity'::float4", "\"-Infinity\""),
    ("1e300::float8", "1e+300"),
    (
        "12345678901234567890.123456789012345678900::numeric",
        "\"12345678901234567890.123456789012345678900\"",
    ),
    ("'NaN'::numeric", "\"NaN\""),
    ("true", "true"),
    ("'infinity'::date", "\"infinity\""),
    ("'0044-03-15 BC'::date", "\"0044-03-15 BC\""),
    (
        "'2024-02-29 12:00:00.123456'::timestamp",
        "\"2024-02-29 12:00:00.123456\"",
    ),
    (
        "('2024-07-01 12:00:00+02'::timestamptz AT TIME ZONE 'UTC')",
        "\"2024-07-01 10:00:00\"",
    ),
    (
        "'1 year 2 mons -3 days 04:05:06.7'::interval",
        "\"1 year 2 mons -3 days +04:05:06.7\"",
    ),
    ("'101'::bit(3)", "\"101\""),
    (
        "'{\"b\": 1.10, \"a\": 123456789012345678901234567890}'::json",
        "{\"b\": 1.10, \"a\": 123456789012345678901234567890}",
    ),
    ("'{\"n\": 1.10}'::jsonb", "{\"n\": 1.10}"),
    ("ARRAY[1, NULL, 3]", "[1,null,3]"),
    (
        "ARRAY[['a', 'b c'], ['NULL', '']]",
        "[[\"a\",\"b c\"],[\"NULL\",\"\"]]",
    ),
    ("'[2:3]={1,2}'::int[]", "\"[2:3]={1,2}\""),
    ("ARRAY['ok'::mood]", "[\"ok\"]"),
    ("'ok'::mood", "\"ok\""),
    (
        "'00112233-4455-6677-8899-aabbccddeeff'::uuid",
        "\"00112233-4455-6677-8899-aabbccddeeff\"",
    ),
    ("'10.0.0.1/8'::inet", "\"10.0.0.1/8\""),
    ("'[1,5)'::int4range", "\"[1,5)\""),
    ("'\\x00ff'::bytea", "\"\\\\x00ff\""),
    ("'(1,2)'::point", "\"(1,2)\""),
    ("ROW(1, 'x')", "\"(1,x)\""),
    ("E'a\\tb\\\\\"'", "\"a\\tb\\\\\\\"\""),
];

/// What is long: text, and JSON nested deeper than readers take, which becomes text.
fn long_json() -> [(String, String); 2] {
    let (open, close) = ("[".repeat(200), "]".repeat(200));
    [
        ("repeat('[', 200)".to_owned(), format!("\"{open}\"")),
        (
            "(repeat('[', 200) || repeat(']', 200))::json".to_owned(),
            format!("\"{open}{close}\""),
        ),
    ]
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_values_come_as_they_are() {
    let place = postgres();
    place.done(&["CREATE TYPE mood AS ENUM ('ok')"]);
    let long = long_json();
    for (sql, json) in VALUES
        .iter()
        .copied()
        .chain(long.iter().map(|(a, b)| (a.as_str(), b.as_str())))
    {
        assert_eq!(place.value(&format!("SELECT {sql} AS v")), json, "{sql}");
    }
    let (two, _) = place.rows("SELECT 1 AS a, 2 AS a, NULL AS b");
    assert_eq!(two["columns"][1]["key"], "a_2");
    let (typed, _) = place
        .rows("SELECT 'ok'::mood AS m, 1::numeric(5,2) AS n, '[1,2)'::int4range AS r WHERE false");
    let types: Vec<_> = typed["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["type"].clone())
        .collect();
    assert_eq!(types, [json!("mood"), json!("numeric"), json!("int4range")]);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn bytes_that_are_not_text_are_marked_and_cost_no_result() {
    let place =
        postgres_made("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    place.done(&["CREATE TABLE t (v TEXT)"]);
    place.done(&["INSERT INTO t VALUES (convert_from('\\xff61', 'SQL_ASCII'))"]);
    assert_eq!(place.value("SELECT v FROM t"), "\"\\\\xff61\"");
    let (rows, _) = place.rows("SELECT v FROM t");
    assert_eq!(
        rows["cell_types"],
        serde_json::json!([[0, 0, "invalid_utf8"]])
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_a_commit_came_to_is_asked_of_the_database() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let write = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)"]);
    let run = |refuses: bool| {
        let mut journal = Journal {
            refuses,
            ..Journal::default()
        };
        place
            .wall
            .run(&place.driver, &write, &Cancel::new(), &mut journal);
        journal.mark
    };
    let (committed, rolled_back) = (run(false), run(true));
    let settle = |mark: &Option<String>| {
        place
            .wall
            .settle(&place.driver, mark.as_deref(), &Cancel::new())
    };
    assert_eq!(settle(&committed), JobEffect::Committed);
    assert_eq!(settle(&rolled_back), JobEffect::RolledBack);
    assert_eq!(settle(&Some("no number".to_owned())), JobEffect::Unknown);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_runs_in_no_transaction_runs_alone_and_says_what_it_left() {
    let place = postgres();
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["INSERT INTO t VALUES (1), (1)"]);
    let (message, effect) = failure(place.write(&["CREATE UNIQUE INDEX CONCURRENTLY u ON t (id)"]));
    assert_eq!(effect, JobEffect::Partial, "{message}");
    assert!(message.contains("left an invalid index: u"), "{message}");
    place.done(&["DROP INDEX CONCURRENTLY u"]);
    place.done(&["CREATE INDEX CONCURRENTLY i ON t (id)"]);
    // A function that says so is not believed: outside a transaction it would have changed something for good.
    let body = "BEGIN IF nextval('s') < 3 THEN RAISE EXCEPTION USING ERRCODE = '25001'; END IF; RETURN 1; END";
    place.done(&[
        "CREATE SEQUENCE s",
        &format!("CREATE FUNCTION f() RETURNS integer LANGUAGE plpgsql AS $${body}$$"),
    ]);
    let (message, effect) = failure(place.write(&["SELECT f()"]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert_eq!(place.value("SELECT last_value FROM s"), "1");
    let (message, effect) = failure(place.write(&["INSERT INTO t VALUES (2)", "VACUUM t"]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert_eq!(place.count("t"), 2);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_lock_is_waited_for_no_longer_than_allowed() {
    super::locks::are_waited_for_no_longer_than_signed_or_configured(
        postgres(),
        "LOCK TABLE t",
        "SELECT count(*) AS n FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 't'::regclass",
        "55P03",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_server_that_is_not_there_is_a_sentence_without_secrets() {
    let place = postgres();
    let DriverConfig::Postgres(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    let mut gone = endpoint.clone();
    gone.port = 1;
    let why = place.wall.check(&DriverConfig::Postgres(gone)).unwrap_err();
    assert!(why.starts_with("the database cannot be reached"), "{why}");
    let mut nobody = endpoint;
    nobody.user = "nobody_here".to_owned();
    let why = place
        .wall
        .check(&DriverConfig::Postgres(nobody))
        .unwrap_err();
    assert!(why.contains("nobody_here"), "{why}");
    place.wall.check(&place.driver).unwrap();
    on_server(&place.driver, "SELECT 1");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_description_tells_triggers_and_the_rows_of_the_statistics() {
    let place = postgres();
    let table = || {
        let text = place.wall.describe(&place.driver, &Cancel::new()).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        all["tables"][0].clone()
    };
    place.done(&[
        "CREATE TABLE t (id INTEGER)",
        "INSERT INTO t SELECT generate_series(1, 1234)",
    ]);
    assert_eq!(table()["triggers"], json!([]));
    place.done(&[
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER notes AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TRIGGER off AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE t DISABLE TRIGGER off",
        "ANALYZE t",
    ]);
    let described = table();
    assert_eq!(
        described["triggers"],
        json!([{"name": "notes", "event": "INSERT OR DELETE"}])
    );
    assert_eq!(described["estimated_rows"], 1234);
    // Estimates are of the statistics, not counted.
    place.done(&["INSERT INTO t SELECT generate_series(1, 10)"]);
    assert_eq!(table()["estimated_rows"], 1234);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_describes_two_thousand_tables_in_time() {
    claims::many_tables_are_described_in_time(&postgres(), "");
}
