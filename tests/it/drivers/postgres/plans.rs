//! Plans of PostgreSQL, which anybody reads who may see the schema: nothing that somebody else has written runs for them.

use super::super::Place;
use super::super::places::postgres;
use dbward::agent::drivers::Cancel;

fn explain(place: &Place, sql: &str) -> Result<String, String> {
    place.wall.explain(&place.driver, sql, &Cancel::new())
}

/// PostgreSQL runs a function that is declared immutable while it plans, and the plan shows its result.
#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn no_plan_of_postgres_runs_a_function_of_somebodys_own() {
    let place = postgres();
    place.done(&[
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (1, 'MARKER')",
        "CREATE FUNCTION shown() RETURNS text IMMUTABLE LANGUAGE plpgsql AS \
         'BEGIN RETURN (SELECT v FROM t WHERE id = 1); END'",
        "CREATE FUNCTION shown_of(text) RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN shown(); END'",
        "CREATE FUNCTION changes() RETURNS text LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; RETURN shown(); END'",
        "CREATE VIEW seen AS SELECT * FROM t WHERE v = shown()",
        "CREATE VIEW through AS SELECT id FROM seen",
        "CREATE VIEW plain AS SELECT id FROM t WHERE v = upper('x')",
        "CREATE EXTENSION pgcrypto",
    ]);
    for sql in [
        "SELECT * FROM t WHERE v = shown()",
        "DELETE FROM t WHERE v = public.shown()",
        "SELECT * FROM t WHERE v = shown_of('a')",
        "SELECT * FROM t WHERE v = ('a'::text).shown_of",
        "SELECT * FROM seen WHERE id = 7",
        "UPDATE t SET v = 'x' WHERE id IN (SELECT id FROM through)",
    ] {
        let why = explain(&place, sql).unwrap_err();
        assert!(why.contains("no plan is made"), "{sql}: {why}");
        assert!(!why.contains("MARKER"), "{sql}: {why}");
    }
    // What is called for each row is not called for a plan.
    for sql in [
        "SELECT * FROM t WHERE v = changes()",
        "SELECT * FROM plain",
        "SELECT * FROM t WHERE v = encode(digest('a', 'sha256'), 'hex')",
    ] {
        let plan = explain(&place, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(!plan.contains("MARKER"), "{sql}: {plan}");
    }
    assert_eq!(place.count("t"), 1);
}
