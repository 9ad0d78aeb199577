//! What PostgreSQL says when it refuses: names for everybody, values of rows for the requester alone.

use super::super::places::postgres;
use dbward::agent::drivers::RunOutcome;

/// What went wrong: the sentence for everybody, and what is apart from it.
fn failed_with(outcome: RunOutcome) -> (String, String) {
    match outcome {
        RunOutcome::Failed {
            message, detail, ..
        } => (message, detail.unwrap_or_default()),
        other => panic!("it worked: {other:?}"),
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn values_of_rows_stand_apart_from_the_message() {
    let place = postgres();
    place.done(&["CREATE TABLE t (email TEXT PRIMARY KEY)"]);
    place.done(&["INSERT INTO t VALUES ('secret@example.com')"]);
    let RunOutcome::Failed {
        message, detail, ..
    } = place.write(&["INSERT INTO t VALUES ('secret@example.com')"])
    else {
        panic!("it worked");
    };
    assert!(
        message.contains("t_pkey") && message.contains("23505") && !message.contains("secret"),
        "{message}"
    );
    assert!(detail.unwrap().contains("secret@example.com"));
    let RunOutcome::Failed {
        message, detail, ..
    } = place.read(&["SELECT email::integer FROM t"])
    else {
        panic!("it worked");
    };
    assert!(
        message.contains("22P02") && !message.contains("secret"),
        "{message}"
    );
    assert!(detail.unwrap().contains("secret@example.com"));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn words_of_functions_are_for_the_requester_alone() {
    let place = postgres();
    place.done(&["CREATE TABLE t (v TEXT)", "INSERT INTO t VALUES ('secret')"]);
    for (raise, code) in [
        ("RAISE EXCEPTION 'of %', OLD.v", "P0001"),
        (
            "RAISE EXCEPTION USING MESSAGE = OLD.v, HINT = 'not ' || OLD.v, ERRCODE = '23505', CONSTRAINT = OLD.v",
            "23505",
        ),
        (
            "RAISE EXCEPTION USING MESSAGE = OLD.v, ERRCODE = '42P01', TABLE = OLD.v",
            "42P01",
        ),
        ("EXECUTE 'SELECT ' || OLD.v", "42703"),
        ("PERFORM OLD.v::integer", "22P02"),
    ] {
        let body = format!(
            "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raise}; RETURN NEW; END $$"
        );
        place.done(&[
            &body,
            "DROP TRIGGER IF EXISTS g ON t",
            "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        ]);
        let (message, detail) = failed_with(place.write(&["UPDATE t SET v = 'x'"]));
        assert!(
            message.contains(code) && !message.contains("secret"),
            "{raise}: {message}"
        );
        assert!(
            detail.contains("secret") && detail.contains("PL/pgSQL function f()"),
            "{raise}: {detail}"
        );
    }
    for sql in [
        "SELECT v::regclass FROM t",
        "SELECT v::regrole FROM t",
        "SELECT current_setting(v) FROM t",
        "SELECT v::json FROM t",
        "SELECT v::date FROM t",
        "SELECT set_config('work_mem', v, true) FROM t",
    ] {
        let (message, detail) = failed_with(place.write(&[sql]));
        assert!(!message.contains("secret"), "{sql}: {message}");
        assert!(detail.contains("secret"), "{sql}: {detail}");
    }
    // What the statement itself names stays.
    for (sql, says) in [
        ("DELETE FROM missing", "relation \"missing\" does not exist"),
        (
            "CREATE TABLE t (a INTEGER)",
            "relation \"t\" already exists",
        ),
        (
            "UPDATE t SET w = 1",
            "column \"w\" of relation \"t\" does not exist",
        ),
        ("DROP TABLE public.gone", "table \"gone\" does not exist"),
        ("SELECT 1 / 0", "division by zero"),
    ] {
        let (message, _) = failed_with(place.write(&[sql]));
        assert!(message.starts_with(says), "{sql}: {message}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn constraints_are_named_inside_of_functions_too() {
    let place = postgres();
    place.done(&[
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE c (p INTEGER CONSTRAINT of_p REFERENCES p DEFERRABLE INITIALLY DEFERRED, v TEXT CONSTRAINT short CHECK (length(v) < 5))",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO c VALUES (NEW.id, 'secret'); RETURN NEW; END $$",
        "CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()",
    ]);
    let (message, detail) = failed_with(place.write(&["INSERT INTO p VALUES (7)"]));
    assert!(
        message.contains("check constraint \"short\"") && !message.contains("secret"),
        "{message}"
    );
    assert!(detail.contains("secret"), "{detail}");
    let (message, _) = failed_with(place.write(&["INSERT INTO c VALUES (8, 'a')"]));
    assert!(
        message.contains("foreign key constraint \"of_p\"") && !message.contains("(8)"),
        "{message}"
    );
}
