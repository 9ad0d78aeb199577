//! How PostgreSQL reads text: as the analysis did, whatever is usual on the server and whatever a statement has set.

use super::super::migrations::{migrated, up};
use super::super::places::postgres;
use super::super::rehearsals::rehearse;
use super::super::{Place, failure};
use dbward::agent::drivers::{Cancel, JobEffect};

/// One backslash; where it escapes, the quote after it ends nothing.
const INSERT: &str = r"INSERT INTO t VALUES ('\')";

fn made() -> Place {
    let place = postgres();
    place.done(&[
        "CREATE TABLE t (v TEXT)",
        "CREATE FUNCTION bends() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$",
        "CREATE FUNCTION encodes() RETURNS text LANGUAGE sql AS $$ SELECT set_config('client_encoding', 'SJIS', false) $$",
    ]);
    place
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn server_that_reads_backslashes_otherwise_is_not_left_to_it() {
    let place = made();
    let name = place.value("SELECT current_database() AS v");
    let name = name.trim_matches('"');
    place.done(&[
        &format!("ALTER DATABASE {name} SET standard_conforming_strings = off"),
        &format!("ALTER DATABASE {name} SET bytea_output = 'escape'"),
    ]);
    place.done(&[INSERT]);
    migrated(up(&place, &[("1", INSERT)]));
    let alone = format!("-- migrate:up transaction:false\n{INSERT};\n{INSERT}");
    migrated(up(&place, &[("2", &alone)]));
    assert_eq!(place.count(r"t WHERE v = '\'"), 4);
    assert_eq!(place.count("t"), 4);
    rehearse(&place, &[INSERT]).unwrap();
    let sql = r"SELECT v FROM t WHERE v = '\'";
    place
        .wall
        .explain(&place.driver, sql, &Cancel::new())
        .unwrap();
    assert_eq!(place.value(r"SELECT '\x00ff'::bytea AS v"), r#""\\x00ff""#);
    // What runs in no transaction has a session of its own.
    place.done(&[r"CREATE INDEX CONCURRENTLY i ON t (v) WHERE v <> '\'"]);
    assert_eq!(
        place.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass"),
        "true"
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_statement_that_changes_the_reading_ends_the_plan() {
    let place = made();
    let says = "changed how the database reads text";
    for bends in ["SELECT bends()", "SELECT encodes()"] {
        let (message, effect) = failure(place.write(&[bends, "INSERT INTO t VALUES ('a')"]));
        assert!(
            message.starts_with("statement 2: ") && message.contains(says),
            "{bends}: {message}"
        );
        assert_eq!(effect, JobEffect::RolledBack);
        let (message, _) = failure(place.read(&[bends, "SELECT 1"]));
        assert!(message.contains(says), "{bends}: {message}");
    }
    for how in ["", " transaction:false"] {
        let file = format!(
            "-- migrate:up{how}\nSET standard_conforming_strings = off;\nINSERT INTO t VALUES ('a')"
        );
        let (message, _) = failure(up(&place, &[("1", &file)]));
        assert!(message.contains(says), "{how}: {message}");
    }
    assert_eq!(place.count("t"), 0);
}
