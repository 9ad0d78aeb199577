//! A rehearsal on each database, in a child process and from the request to what approvers see: the rows it tells are
//! those that change, nothing is left, and no lie makes it more.

use super::places::{mysql, postgres, sqlite};
use super::served::Served;
use super::{Place, job};
use crate::support::eventually;
use dbward::agent::drivers::Cancel;
use dbward::domain::id::Operation;
use serde_json::{Value, json};

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))";
const ROWS: &str = "INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b')";

pub fn rehearse(place: &Place, plan: &[&str]) -> Result<Value, String> {
    let mut job = job(Operation::ExecuteDml, plan);
    (job.timeout_secs, job.lock_timeout_secs) = (10, 1);
    let report = place.wall.rehearse(&place.driver, &job, &Cancel::new())?;
    Ok(serde_json::from_str(&report).unwrap())
}

fn made(place: &Place) {
    place.done(&[TABLE]);
    place.done(&[ROWS]);
}

fn unchanged(place: &Place) {
    assert_eq!(place.count("t WHERE v IN ('a', 'b')"), 3);
    assert_eq!(place.count("t"), 3);
}

fn rows_are_counted_and_nothing_is_left(place: &Place) {
    made(place);
    let report = rehearse(
        place,
        &[
            "UPDATE t SET v = 'c' WHERE v = 'a'",
            "INSERT INTO t VALUES (4, 'd')",
            "DELETE FROM t WHERE id = 99",
        ],
    )
    .unwrap();
    let rows: Vec<&Value> = report["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["rows"])
        .collect();
    assert_eq!(rows, [2, 1, 0]);
    assert_eq!(report["rows_affected"], 3);
    assert_eq!(report["triggers"], json!([]));
    unchanged(place);
    // A failure leaves nothing either, and says which statement it was.
    let again = ["DELETE FROM t", "INSERT INTO t VALUES (1, 'x'), (1, 'y')"];
    let why = rehearse(place, &again).unwrap_err();
    assert!(why.contains("statement 2"), "{why}");
    unchanged(place);
}

fn lies_are_refused(place: &Place) {
    made(place);
    for plan in [
        &["CREATE TABLE pwn (a INTEGER)"][..],
        &["DROP TABLE t"],
        &["COMMIT"],
        &["DELETE FROM t", "COMMIT"],
        &["/*x*/ COMMIT; CREATE TABLE pwn (a INTEGER); SELECT 1"],
        &["DELETE FROM t; COMMIT"],
        &["DELETE FROM t WHERE id IN (SELECT id FROM u)"],
        &["INSERT INTO t SELECT * FROM u"],
        &["SELECT 1"],
        &["SET autocommit = 1"],
        &["DELETE FROM nowhere"],
        &[],
    ] {
        rehearse(place, plan).unwrap_err();
        unchanged(place);
    }
}

/// What a rehearsal fails with is read by everybody who sees the request, before anybody has approved anything.
fn errors_quote_no_values(place: &Place) {
    const SECRET: &str = "ann@example.com";
    place.done(&["CREATE TABLE n (id INTEGER PRIMARY KEY, v VARCHAR(40) UNIQUE, a INTEGER)"]);
    place.done(&[&format!(
        "INSERT INTO n VALUES (1, '{SECRET}', 1), (2, 'b', 2)"
    )]);
    let text = |sql: &str| match rehearse(place, &[sql]) {
        Err(why) => why,
        Ok(report) => report.to_string(),
    };
    for sql in [
        "UPDATE n SET v = 'ann@example.com' WHERE id = 2",
        "UPDATE n SET a = CAST(v AS DECIMAL)",
        "UPDATE n SET a = 1 WHERE id = 1 AND current_setting(v) = 'com org net de'",
        "UPDATE n SET a = 1 / CAST(v AS INTEGER)",
    ] {
        let why = text(sql);
        assert!(
            !why.contains("ann") && !why.contains("example"),
            "{sql}: {why}"
        );
    }
    assert!(rehearse(place, &["INSERT INTO n VALUES (3, 'ann@example.com', 1)"]).is_err());
}

/// From the request to what approvers see, with an agent as people run it.
fn approvers_see_what_an_agent_counted(served: &Served) {
    let place = &served.place;
    made(place);
    let requester = served.server.requester();
    let sql = "UPDATE t SET v = 'c' WHERE v = 'a'";
    let more = json!({"rehearse": true});
    let request = requester.submit_with("production", sql, more);
    let shown = || request.by.show(&request).is(200).json;
    eventually("the rehearsal is over", || {
        !["waiting", "claimed"].contains(&shown()["rehearsal"]["status"].as_str().unwrap())
    });
    let seen = shown();
    assert_eq!(seen["rehearsal"]["status"], "done", "{seen}");
    assert_eq!(seen["rehearsal"]["rows_affected"], 2);
    assert_eq!(seen["max_affected_rows"], 2);
    unchanged(place);
    // More rows than the approver saw are not committed.
    place.done(&["UPDATE t SET v = 'a'"]);
    let request = request.approved_by(&served.server.approver()).resumed();
    let failed = served.result(&request).raw();
    assert!(
        failed.contains("3 rows would change, 2 approved"),
        "{failed}"
    );
    assert_eq!(place.count("t WHERE v = 'a'"), 3);
}

/// A MERGE that changes one row of `t` and adds one: its rows are counted before and held against the bound.
pub fn a_merge_is_rehearsed_bounded_and_run(served: &Served, sql: &str) {
    let place = &served.place;
    made(place);
    let report = rehearse(place, &[sql]).unwrap();
    assert_eq!(report["rows_affected"], 2, "{report}");
    assert_eq!(report["statements"][0]["kind"], "merge");
    unchanged(place);
    let bounded = |rows: u64| {
        let mut merge = job(Operation::ExecuteDml, &[sql]);
        merge.max_affected_rows = Some(rows);
        place.run(&merge)
    };
    let (message, _) = super::failure(bounded(1));
    assert!(
        message.contains("2 rows would change, 1 approved"),
        "{message}"
    );
    unchanged(place);
    let more = json!({"rehearse": true});
    let requester = served.server.requester();
    let request = requester.submit_with("production", sql, more);
    eventually("it is rehearsed", || {
        request.by.show(&request).is(200).json["rehearsal"]["status"] == "done"
    });
    let shown = request.by.show(&request).json;
    assert_eq!(shown["max_affected_rows"], 2, "{shown}");
    let request = request.approved_by(&served.server.approver()).resumed();
    let done = served.result(&request).is(200);
    assert_eq!(done.json["rows_affected"], 2, "{}", done.raw());
    assert_eq!(place.count("t WHERE v IN ('x', 'y')"), 2);
    assert_eq!(place.count("t"), 4);
}

#[test]
fn sqlite_rehearses() {
    errors_quote_no_values(&sqlite());
    rows_are_counted_and_nothing_is_left(&sqlite());
    lies_are_refused(&sqlite());
    approvers_see_what_an_agent_counted(&Served::start(sqlite(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_rehearses() {
    errors_quote_no_values(&postgres());
    rows_are_counted_and_nothing_is_left(&postgres());
    lies_are_refused(&postgres());
    approvers_see_what_an_agent_counted(&Served::start(postgres(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_tells_what_triggers_cascades_and_sequences_do() {
    let place = postgres();
    for sql in [
        "CREATE TABLE p (id serial PRIMARY KEY, v text)",
        "CREATE TABLE c (p integer REFERENCES p ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE log (v text)",
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO log VALUES (NEW.v); RETURN NEW; END $$",
        "CREATE TRIGGER noted AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE TRIGGER unrelated AFTER UPDATE ON p FOR EACH ROW EXECUTE FUNCTION noted()",
        "CREATE VIEW seen AS SELECT * FROM p",
    ] {
        place.done(&[sql]);
    }
    place.done(&["INSERT INTO p (v) VALUES ('a'), ('b')"]);
    place.done(&["INSERT INTO c VALUES (1), (1), (2)"]);
    let logged = place.count("log");
    let report = rehearse(
        &place,
        &[
            "INSERT INTO p (v) VALUES ('x')",
            "DELETE FROM p WHERE id = 1",
        ],
    )
    .unwrap();
    assert_eq!(report["rows_affected"], 5, "{report}");
    assert_eq!(report["statements"][0]["more_rows"], 1);
    assert_eq!(report["statements"][1]["more_rows"], 2);
    let more: Vec<&Value> = (0..2).map(|n| &report["statements"][n]["more"]).collect();
    assert_eq!(more[0], &json!([{"table": "log", "rows": 1}]));
    assert_eq!(more[1], &json!([{"table": "c", "rows": 2}]));
    assert_eq!(report["triggers"], json!(["noted on p"]));
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("a sequence of `p` has advanced"),
        "{warnings}"
    );
    assert_eq!(place.count("p"), 2);
    assert_eq!(place.count("c"), 3);
    assert_eq!(place.count("log"), logged);
    let why = rehearse(&place, &["DELETE FROM seen"]).unwrap_err();
    assert!(why.contains("not a plain table"), "{why}");
    // What waits for the commit is tried as well.
    let why = rehearse(&place, &["INSERT INTO c VALUES (99)"]).unwrap_err();
    assert!(why.contains("foreign key"), "{why}");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_names_the_triggers_of_partitions_and_of_cascades() {
    let place = postgres();
    place.done(&["CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
                  $$ BEGIN RETURN coalesce(NEW, OLD); END $$"]);
    place.done(&[
        "CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE c (id integer PRIMARY KEY REFERENCES p ON DELETE CASCADE)",
        "CREATE TABLE g (c integer REFERENCES c ON DELETE SET NULL)",
        "CREATE TABLE other (p integer REFERENCES p)",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO c VALUES (1)",
        "INSERT INTO g VALUES (1)",
    ]);
    for (name, when) in [
        ("everywhere", "AFTER DELETE ON p FOR EACH ROW"),
        ("whole", "AFTER DELETE ON p1 FOR EACH STATEMENT"),
        ("part", "BEFORE DELETE OR INSERT ON p1 FOR EACH ROW"),
        ("child", "AFTER DELETE ON c FOR EACH STATEMENT"),
        ("added", "AFTER INSERT ON c FOR EACH ROW"),
        ("grandchild", "AFTER UPDATE ON g FOR EACH ROW"),
        ("gone", "AFTER DELETE ON g FOR EACH ROW"),
        ("unrelated", "AFTER UPDATE ON other FOR EACH ROW"),
    ] {
        let sql = format!("CREATE TRIGGER {name} {when} EXECUTE FUNCTION f()");
        place.done(&[&sql]);
    }
    let report = rehearse(&place, &["DELETE FROM p WHERE id = 1"]).unwrap();
    let expected = [
        "everywhere on p",
        "child on c",
        "grandchild on g",
        "part on p1",
    ];
    assert_eq!(report["triggers"], json!(expected), "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("what a trigger does"), "{warnings}");
    // What a part has of the whole is named where the part is.
    let report = rehearse(&place, &["DELETE FROM p1 WHERE id = 1"]).unwrap();
    let expected = ["everywhere", "part", "whole"].map(|name| format!("{name} on p1"));
    assert_eq!(report["triggers"].as_array().unwrap()[..3], expected);
    assert_eq!(report["triggers"][3], "child on c", "{report}");
    let report = rehearse(&place, &["INSERT INTO p VALUES (2)"]).unwrap();
    assert_eq!(report["triggers"], json!(["part on p1"]), "{report}");
    // It might move to another part.
    let report = rehearse(&place, &["UPDATE p SET id = 3 WHERE id = 2"]).unwrap();
    assert_eq!(report["triggers"], json!(["everywhere on p", "part on p1"]));
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_rehearses() {
    errors_quote_no_values(&mysql());
    rows_are_counted_and_nothing_is_left(&mysql());
    lies_are_refused(&mysql());
    approvers_see_what_an_agent_counted(&Served::start(mysql(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_rehearses_only_what_it_can_take_back() {
    let place = mysql();
    for sql in [
        "CREATE TABLE kept (id INTEGER AUTO_INCREMENT PRIMARY KEY, v INTEGER) ENGINE=InnoDB",
        "CREATE TABLE flat (v INTEGER) ENGINE=MyISAM",
        "CREATE TABLE child (p INTEGER, FOREIGN KEY (p) REFERENCES kept (id) ON DELETE CASCADE) ENGINE=InnoDB",
    ] {
        place.write(&[sql]);
    }
    let why = rehearse(&place, &["INSERT INTO flat VALUES (1)"]).unwrap_err();
    assert!(
        why.contains("not rehearsed: `flat` is not a table that can roll back"),
        "{why}"
    );
    let why = rehearse(&place, &["DELETE FROM kept WHERE id = 1"]).unwrap_err();
    assert!(why.contains("pass changes on"), "{why}");
    place.write(&["DROP TABLE child"]);
    let report = rehearse(&place, &["INSERT INTO kept (v) VALUES (1), (2)"]).unwrap();
    assert_eq!(report["rows_affected"], 2);
    assert!(
        report["warnings"]
            .to_string()
            .contains("sequence of `kept`"),
        "{report}"
    );
    assert_eq!(place.count("kept"), 0);
    assert_eq!(place.count("flat"), 0);
}
