//! Functions that a statement calls as if it read a column, so that nobody who approved it has seen them.

use super::super::places::postgres;
use super::super::{Place, failure};
use dbward::agent::drivers::JobEffect;

/// A database in which calls of functions show in `runs`, which no rollback takes back.
fn watched() -> Place {
    let place = postgres();
    place.done(&[
        "CREATE SEQUENCE runs",
        "CREATE TABLE t (id integer PRIMARY KEY, v text, total integer)",
        "CREATE TABLE child () INHERITS (t)",
        "CREATE TABLE other (id integer, \"É\" integer)",
        "CREATE VIEW seen AS SELECT * FROM t",
        "CREATE TYPE pair AS (a integer, b integer)",
        "CREATE TABLE pairs (all_of pair[])",
        "CREATE DOMAIN couple AS pair",
        "INSERT INTO t VALUES (1, 'a', 5)",
        "INSERT INTO other VALUES (1, 2)",
        "INSERT INTO child VALUES (2, 'b', 6)",
        "INSERT INTO pairs VALUES (ARRAY[(1, 2)::pair])",
    ]);
    for takes in [
        "of_row(t)",
        "\"Odd\"(t)",
        "more(t, v integer DEFAULT 1)",
        "any_row(record)",
        "any_thing(anyelement)",
        "many(VARIADIC t[])",
        "of_pair(pair)",
        "of_couple(couple)",
        "total(t)",
        "total(other)",
        "\"É\"(t)",
        "id(integer)",
        "two(t, integer)",
    ] {
        place.done(&[&format!(
            "CREATE FUNCTION {takes} RETURNS integer LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM setval('runs', 7); RETURN 1; END $$"
        )]);
    }
    place
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_reads_like_a_column_calls_no_function() {
    let place = watched();
    for (sql, name) in [
        ("SELECT t.of_row FROM t", "of_row"),
        ("SELECT x . /* a */ of_row FROM t x", "of_row"),
        ("SELECT public.t.OF_ROW FROM t", "of_row"),
        ("SELECT x.\"Odd\" FROM t x", "Odd"),
        ("SELECT c.of_row FROM child c", "of_row"),
        ("SELECT t.more FROM t", "more"),
        ("SELECT t.any_row FROM t", "any_row"),
        ("SELECT s.any_thing FROM seen s", "any_thing"),
        ("SELECT t.many FROM t", "many"),
        ("SELECT p.of_pair FROM pairs, unnest(all_of) p", "of_pair"),
        (
            "SELECT p.of_couple FROM pairs, unnest(all_of) p",
            "of_couple",
        ),
        ("SELECT o.total FROM other o", "total"),
        ("SELECT t.\"É\" FROM t", "É"),
        ("SELECT 1 FROM t ORDER BY t.of_row", "of_row"),
    ] {
        let says = format!("`.{name}` reads like a column");
        let (message, effect) = failure(place.read(&["SELECT 1", sql]));
        assert!(message.contains(&says), "{sql}: {message}");
        assert_eq!(effect, JobEffect::RolledBack);
        let write = format!("INSERT INTO other (id) {sql}");
        let (message, effect) = failure(place.write(&[&write]));
        assert!(message.contains(&says), "{write}: {message}");
        assert_eq!(effect, JobEffect::RolledBack);
    }
    let escaped = "SELECT t.U&\"\\006ff_row\" FROM t";
    let (message, _) = failure(place.read(&[escaped]));
    assert!(message.contains("a name with escapes"), "{message}");
    assert_eq!(place.value("SELECT is_called FROM runs"), "false");
    assert_eq!(place.count("other"), 1);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn columns_are_read_whatever_functions_share_their_names() {
    let place = watched();
    for (sql, value) in [
        ("SELECT t.total FROM ONLY t", "5"),
        ("SELECT other.\"É\" FROM other", "2"),
        ("SELECT t.id FROM ONLY t", "1"),
        ("SELECT x.n FROM (SELECT total AS n FROM ONLY t) x", "5"),
        ("SELECT 'a.of_row' AS v", "\"a.of_row\""),
    ] {
        assert_eq!(place.value(sql), value, "{sql}");
    }
    assert_eq!(place.value("SELECT is_called FROM runs"), "false");
    // Written as a call it is one, as people have seen.
    assert_eq!(
        place.done(&["INSERT INTO other (id) SELECT two(t, 1) FROM ONLY t"]),
        1
    );
    assert_eq!(place.value("SELECT is_called FROM runs"), "true");
}
