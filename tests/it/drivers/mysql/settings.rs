//! A MariaDB that is set otherwise than usual, or becomes so.

use super::super::migrations::{migrated, up};
use super::super::places::{mysql, placed};
use super::super::rehearsals::rehearse;
use super::super::silence::AtCommit;
use super::super::{Journal, Place, failure, job};
use super::server::OwnServer;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig, Tls};
use dbward::agent::drivers::{Cancel, JobEffect};
use dbward::domain::id::Operation;

/// Who may do everything, and who may do what a database needs, in that database.
fn users(server: &OwnServer) -> [Place; 2] {
    let admin = server.endpoint("127.0.0.1", Tls::Require, None);
    let plain = DatabaseEndpoint {
        user: "plain".to_owned(),
        database: "shop".to_owned(),
        ..admin.clone()
    };
    let admin = placed(DriverConfig::MySql(admin));
    admin.done(&["CREATE DATABASE shop"]);
    [admin, placed(DriverConfig::MySql(plain))]
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn server_with_other_modes_reads_text_as_the_analysis_did() {
    let server = OwnServer::start_with(&[
        "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT,PAD_CHAR_TO_FULL_LENGTH",
        "--init-connect=SET sql_select_limit = 1, foreign_key_checks = 0, sql_auto_is_null = 1",
    ]);
    let [_admin, place] = users(&server);
    place.done(&[
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9), c CHAR(3)) ENGINE = InnoDB",
    ]);
    place.done(&["CREATE TABLE u (t INTEGER, FOREIGN KEY (t) REFERENCES t (id)) ENGINE = InnoDB"]);
    // Three characters, and the empty text.
    let insert = |id: u8| format!(r#"INSERT INTO t VALUES ({id}, "a\\b", '')"#);
    place.done(&[&insert(1), &insert(2)]);
    migrated(up(&place, &[("1", &insert(3))]));
    migrated(up(
        &place,
        &[(
            "2",
            &format!("-- migrate:up transaction:false\n{}", insert(4)),
        )],
    ));
    rehearse(&place, &[&insert(5)]).unwrap();
    place
        .wall
        .explain(
            &place.driver,
            r#"SELECT * FROM t WHERE v = "a\\b""#,
            &Cancel::new(),
        )
        .unwrap();
    assert_eq!(
        place.count(r"t WHERE v = 'a\\b' AND length(v) = 3 AND c = ''"),
        4
    );
    let (rows, _) = place.rows("SELECT id, c, 0 || 1 AS either FROM t ORDER BY id");
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        rows["rows"][0],
        serde_json::json!({"id": 1, "c": "", "either": 1})
    );
    // A key refuses.
    let (message, effect) = failure(place.write(&["INSERT INTO u VALUES (9)"]));
    assert!(message.contains("error 1452"), "{message}");
    assert_eq!(effect, JobEffect::RolledBack);
}

/// Where a backslash is half of a character, a quote after it ends nothing; where double quotes stand around names, a text
/// is a column.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_statement_that_changes_the_reading_ends_the_plan() {
    let place = mysql();
    place.done(&["CREATE TABLE t (v VARCHAR(20)) ENGINE = InnoDB"]);
    place.done(&["CREATE PROCEDURE keeps() BEGIN SET SESSION sql_mode = 'ANSI_QUOTES'; SET NAMES latin1; END"]);
    place.done(&["CREATE PROCEDURE bends() SET SESSION character_set_client = gbk"]);
    let insert = "INSERT INTO t VALUES (\"v\")";
    let says = "changed how the database reads text";
    for bends in [
        "SET SESSION sql_mode = 'ANSI_QUOTES'",
        "SET @@sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
        "SET NAMES gbk",
        "SET NAMES sjis",
        "SET CHARACTER SET big5",
        "EXECUTE IMMEDIATE 'SET NAMES gbk'",
    ] {
        let (message, effect) = failure(place.write(&[bends, insert]));
        assert!(
            message.starts_with("statement 2: ") && message.contains(says),
            "{bends}: {message}"
        );
        assert_eq!(effect, JobEffect::RolledBack, "{bends}");
        let file = format!("-- migrate:up\n{bends};\n{insert}");
        let (message, _) = failure(up(&place, &[("1", &file)]));
        assert!(message.contains(says), "{bends}: {message}");
    }
    assert_eq!(place.count("t"), 0);
    // What a routine or a trigger sets ends with it.
    place.done(&[
        "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET SESSION character_set_client = sjis",
    ]);
    for first in ["CALL keeps()", "CALL bends()", insert] {
        place.done(&[first, insert]);
    }
    place.done(&[
        "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,TRADITIONAL'",
        insert,
    ]);
}

/// A server that has become read-only, as at a switch-over, says so at the COMMIT.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_commit_that_the_server_refuses_is_rolled_back() {
    let server = OwnServer::start();
    let [admin, plain] = users(&server);
    plain.done(&["CREATE TABLE t (id INTEGER) ENGINE = InnoDB"]);
    let read_only = |on: u8| admin.done(&[&format!("SET GLOBAL read_only = {on}")]);
    let insert = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)"]);
    let mut record = AtCommit(|| {
        read_only(1);
    });
    let outcome = plain
        .wall
        .run(&plain.driver, &insert, &Cancel::new(), &mut record);
    let (message, effect) = failure(outcome);
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert!(
        message.contains("error 1290") && message.ends_with("; rolled back"),
        "{message}"
    );
    read_only(0);
    assert_eq!(plain.count("t"), 0);
}

/// As if a library had brought a function that later servers have as their own.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn function_of_a_library_is_not_taken_for_the_servers() {
    let server = OwnServer::start();
    let [admin, plain] = users(&server);
    admin.done(&["CREATE TABLE t (id INTEGER)"]);
    // This server has none of the name, so it does not even run.
    let writes = "INSERT INTO t VALUES (LENGTH(UUID_V7()))";
    let atomic = |place: &Place| {
        let mut journal = Journal::default();
        let job = job(Operation::ExecuteDml, &[writes]);
        let cancel = Cancel::new();
        place.wall.run(&place.driver, &job, &cancel, &mut journal);
        journal.atomic
    };
    assert_eq!(atomic(&admin), Some(true));
    admin.done(&["INSERT INTO mysql.func VALUES ('uuid_V7', 0, 'x.so', 'function')"]);
    assert_eq!(atomic(&admin), Some(false));
    // Who may not look them up sees none.
    plain.done(&["CREATE TABLE t (id INTEGER)"]);
    assert_eq!(atomic(&plain), Some(true));
}
