//! What stays of a write that fails, is killed or loses its session, as the database shows it and not as the words of the
//! statements say.

use super::super::places::{mysql, on_server};
use super::super::{Journal, Place, failure, job, running};
use crate::support::eventually;
use dbward::agent::drivers::{Cancel, JobEffect, RunOutcome};
use dbward::domain::id::Operation;
use std::sync::Arc;

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY) ENGINE = InnoDB";
/// Engines that cannot roll back.
const OTHER_ENGINES: [&str; 4] = ["MyISAM", "Aria", "MEMORY", "CSV"];

fn made(sql: &[&str]) -> Place {
    let place = mysql();
    for sql in sql {
        place.done(&[sql]);
    }
    place
}

/// Whether the journal notes that nothing stays of `plan` unless its commit is announced. The plan is not committed.
fn is_atomic(place: &Place, plan: &[&str]) -> bool {
    let mut journal = Journal {
        refuses: true,
        ..Journal::default()
    };
    let job = job(Operation::ExecuteDml, plan);
    place
        .wall
        .run(&place.driver, &job, &Cancel::new(), &mut journal);
    journal.atomic.unwrap()
}

/// Runs `plan` until its session sleeps, and kills that.
fn killed(place: Place, plan: &[&str]) -> (Arc<Place>, String, JobEffect) {
    let place = Arc::new(place);
    let plan = [plan, &["INSERT INTO t SELECT 70 + sleep(20)"]].concat();
    let (_, started, thread) = running(&place, job(Operation::ExecuteDml, &plan));
    started.recv().unwrap();
    let session = "SELECT COALESCE(MAX(ID), 0) AS id FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
                   AND STATE = 'User sleep' AND ID <> CONNECTION_ID()";
    let id = || place.value(session);
    eventually("it sleeps", || id() != "0");
    on_server(&place.driver, &format!("KILL {}", id()));
    let (message, effect) = failure(thread.join().unwrap());
    (place, message, effect)
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn killed_session_is_rolled_back_only_where_the_engine_can() {
    let (place, message, effect) = killed(made(&[TABLE]), &["INSERT INTO t VALUES (1)"]);
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert!(message.ends_with("; rolled back"), "{message}");
    assert_eq!(place.count("t"), 0);
    let flat = "CREATE TABLE m (id INTEGER) ENGINE = MyISAM";
    let (place, message, effect) = killed(made(&[TABLE, flat]), &["INSERT INTO m VALUES (1)"]);
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    assert!(
        message.contains("whether statement 1 of the plan stays, nobody can tell")
            && !message.contains("; rolled back"),
        "{message}"
    );
    assert_eq!(place.count("m"), 1);
    // The plan itself takes that away from the table.
    let plan = ["ALTER TABLE t ENGINE = MyISAM", "INSERT INTO t VALUES (1)"];
    let (place, message, effect) = killed(made(&[TABLE]), &plan);
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    assert!(
        message.contains("whether statements 2 to 3 of the plan stay, nobody can tell"),
        "{message}"
    );
    assert_eq!(place.count("t WHERE id = 1"), 1);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn only_what_the_engines_can_take_back_is_atomic() {
    let place = made(&[
        TABLE,
        "CREATE TABLE log (id INTEGER) ENGINE = MyISAM",
        "CREATE TABLE watched (id INTEGER) ENGINE = InnoDB",
        "CREATE TRIGGER logs AFTER INSERT ON watched FOR EACH ROW INSERT INTO log VALUES (NEW.id)",
        "CREATE TABLE computed (id INTEGER, v VARCHAR(9)) ENGINE = InnoDB",
        "CREATE TRIGGER computes BEFORE INSERT ON computed FOR EACH ROW SET NEW.v = upper(NEW.v)",
        "CREATE FUNCTION noted(a INTEGER) RETURNS INTEGER BEGIN INSERT INTO log VALUES (a); RETURN a; END",
        "CREATE VIEW seen AS SELECT * FROM log",
        "CREATE PROCEDURE p() INSERT INTO t VALUES (9)",
        "CREATE SEQUENCE s",
        "CREATE VIEW plain AS SELECT upper(id) AS id FROM seen",
        "CREATE VIEW calls AS SELECT noted(id) AS id FROM t",
        "CREATE VIEW through AS SELECT p.id FROM plain p JOIN calls c ON c.id = p.id",
        "CREATE VIEW draws AS SELECT NEXT VALUE FOR s AS id",
        "CREATE TABLE asks (id INTEGER) ENGINE = InnoDB",
        "CREATE TRIGGER asks BEFORE INSERT ON asks FOR EACH ROW SET NEW.id = (SELECT max(id) FROM calls)",
    ]);
    for (sql, atomic) in [
        ("SELECT * FROM plain", true),
        ("SELECT * FROM calls", false),
        (
            "SELECT id FROM t WHERE id IN (SELECT id FROM through)",
            false,
        ),
        ("SELECT * FROM draws", false),
        ("INSERT INTO t SELECT id FROM calls", false),
        ("INSERT INTO asks VALUES (1)", false),
        ("INSERT INTO t VALUES (1)", true),
        ("UPDATE t SET id = 2 WHERE id = 1", true),
        ("DELETE FROM t WHERE id IN (SELECT id FROM computed)", true),
        ("INSERT INTO computed VALUES (1, 'a')", true),
        ("SELECT * FROM log", true),
        ("INSERT INTO watched VALUES (1)", false),
        ("INSERT INTO t VALUES (noted(1))", false),
        ("SELECT noted(1)", false),
        ("INSERT INTO seen VALUES (1)", false),
        ("CALL p()", false),
        ("CREATE TABLE u (id INTEGER)", false),
    ] {
        assert_eq!(is_atomic(&place, &[sql]), atomic, "{sql}");
    }
    for engine in OTHER_ENGINES {
        place.done(&["DROP TABLE IF EXISTS m"]);
        place.done(&[&format!(
            "CREATE TABLE m (id INTEGER NOT NULL) ENGINE = {engine}"
        )]);
        assert!(
            !is_atomic(&place, &["INSERT INTO m VALUES (1)"]),
            "{engine}"
        );
        let rows = place.count("m");
        let plan = ["INSERT INTO m VALUES (7)", "INSERT INTO missing VALUES (1)"];
        let (message, effect) = failure(place.write(&plan));
        assert_eq!(effect, JobEffect::Partial, "{engine}: {message}");
        assert!(message.contains("cannot roll back stay"), "{message}");
        assert_eq!(place.count("m"), rows + 1, "{engine}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn what_triggers_and_functions_leave_is_reported() {
    let place = made(&[
        TABLE,
        "CREATE TABLE log (id INTEGER) ENGINE = MyISAM",
        "CREATE TRIGGER logs AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.id)",
        "CREATE FUNCTION noted(a INTEGER) RETURNS INTEGER BEGIN INSERT INTO log VALUES (a); RETURN a; END",
    ]);
    for plan in [
        ["INSERT INTO t VALUES (1)", "INSERT INTO missing VALUES (1)"],
        ["SELECT noted(1)", "INSERT INTO missing VALUES (1)"],
        // Warnings that are turned off hide nothing.
        ["SET max_error_count = 0", "INSERT INTO t VALUES (5), (5)"],
    ] {
        let before = place.count("log");
        let (message, effect) = failure(place.write(&plan));
        assert_eq!(effect, JobEffect::Partial, "{plan:?}: {message}");
        assert_eq!(place.count("log"), before + 1, "{plan:?}");
        assert_eq!(place.count("t"), 0);
    }
}

/// Plans, each of which fails: what is left, the rows that are there afterwards, and what the message says.
const FAILING: &str = "
INSERT INTO t VALUES (1); CALL plain(); DO sleep(0); FAILS     | rolled_back | null   | ; rolled back
INSERT INTO t VALUES (1); CREATE TEMPORARY TABLE x (a INTEGER); FAILS | rolled_back | null | ; rolled back
INSERT INTO t VALUES (1); CALL commits(); FAILS                | partial | '1,20' | statement 1 of the plan stays, committed on the way (
INSERT INTO t VALUES (1); CALL commits(); FAILS                | partial | '1,20' | of statement 2 a part is committed
INSERT INTO t VALUES (1); CALL fails()                         | partial | '1,50' | (1 row); of statement 2 a part is committed
INSERT INTO t VALUES (1); CALL repeats()                       | unknown | '1,60' | whether statements 1 to 2 of the plan stay, nobody can tell
INSERT INTO t VALUES (1); CALL takes_back(); INSERT INTO t VALUES (2) | unknown | null | statement 2: the statement ended the transaction
CALL takes_back(); INSERT INTO t VALUES (3); FAILS             | unknown | null   | whether statement 1 of the plan stays, nobody can tell
INSERT INTO t VALUES (1); ANALYZE TABLE u; INSERT INTO t VALUES (2); FAILS | partial | '1' | statements 1 to 2 of the plan stay, committed on the way (1 row)
INSERT INTO t VALUES (1), (2); SET PASSWORD FOR 'no'@'where' = PASSWORD('x') | partial | '1,2' | statement 1 of the plan stays, committed on the way (2 rows)
INSERT INTO t VALUES (1), (2); FLUSH TABLES; FAILS             | partial | '1,2'  | committed on the way (2 rows)
INSERT INTO t VALUES (1); CREATE TABLE u (id INTEGER)          | partial | '1'    | statement 1 of the plan stays
";

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn the_database_says_what_was_committed_on_the_way() {
    let place = made(&[
        TABLE,
        "CREATE TABLE u (id INTEGER) ENGINE = InnoDB",
        "CREATE PROCEDURE plain() INSERT INTO t VALUES (40)",
        "CREATE PROCEDURE commits() BEGIN INSERT INTO t VALUES (20); COMMIT; INSERT INTO t VALUES (21); END",
        "CREATE PROCEDURE takes_back() BEGIN INSERT INTO t VALUES (30); ROLLBACK; END",
        "CREATE PROCEDURE fails() BEGIN INSERT INTO t VALUES (50); COMMIT; INSERT INTO missing VALUES (1); END",
        // Its error rolls something back as well, and nobody counts what.
        "CREATE PROCEDURE repeats() BEGIN INSERT INTO t VALUES (60); COMMIT; INSERT INTO t VALUES (60); END",
    ]);
    for line in FAILING.trim().lines() {
        let [plan, effect, left, says] = *line.split('|').map(str::trim).collect::<Vec<_>>() else {
            panic!("{line}");
        };
        let plan = plan.replace("FAILS", "INSERT INTO missing VALUES (1)");
        place.done(&["DELETE FROM t"]);
        let (message, found) = failure(place.write(&plan.split("; ").collect::<Vec<_>>()));
        assert_eq!(found.as_str(), effect, "{plan}: {message}");
        assert!(message.contains(says), "{plan}: {message}");
        let rows = place.value("SELECT GROUP_CONCAT(id ORDER BY id) AS ids FROM t");
        assert_eq!(rows.replace('"', "'"), left, "{plan}: {message}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn several_objects_of_ddl_may_be_gone_where_it_fails() {
    let place = made(&["CREATE TABLE a (id INTEGER)"]);
    let (message, effect) = failure(place.write(&["DROP TABLE a, missing"]));
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    let gone = place.read(&["SELECT * FROM a"]);
    assert!(matches!(gone, RunOutcome::Failed { .. }), "{gone:?}");
    let (message, effect) = failure(place.write(&["DROP TABLE missing"]));
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn nothing_of_a_mysql_session_reaches_the_next_request() {
    let place = made(&[TABLE]);
    let plan = [
        "SELECT GET_LOCK('dbward_mine', 0)",
        "SET SESSION lock_wait_timeout = 7",
        "SET @mine = 1",
        "CREATE TEMPORARY TABLE t (other INTEGER)",
    ];
    place.write(&plan);
    match place.write(&["SELECT GET_LOCK('dbward_mine', 0) AS free"]) {
        RunOutcome::Returned { json, .. } => assert!(json.contains("\"free\":1"), "{json}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(place.value("SELECT @mine AS v"), "null");
    assert_eq!(place.value("SELECT @@lock_wait_timeout = 7 AS v"), "0");
    assert_eq!(place.count("t WHERE id = 1"), 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn plan_of_a_write_calls_nothing_that_could_change_rows() {
    let place = made(&[
        TABLE,
        "CREATE TABLE log (id INTEGER) ENGINE = MyISAM",
        "CREATE FUNCTION noted(a INTEGER) RETURNS INTEGER DETERMINISTIC BEGIN INSERT INTO log VALUES (a); RETURN a; END",
        "INSERT INTO t VALUES (1)",
    ]);
    let explain = |sql: &str| place.wall.explain(&place.driver, sql, &Cancel::new());
    let why = explain("DELETE FROM t WHERE id = noted(1)").unwrap_err();
    assert!(why.contains("no plan is made"), "{why}");
    let why = explain("SELECT * FROM t WHERE id = noted(1)");
    assert_eq!(place.count("log"), 0, "{why:?}");
    explain("DELETE FROM t WHERE id = abs(-1)").unwrap();
}

/// Of all of them only somebody's own exist here: other servers, later versions or none have functions of these names.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_function_named_like_another_servers_is_not_called() {
    let place = made(&[
        TABLE,
        "CREATE TABLE log (id INTEGER) ENGINE = MyISAM",
        "INSERT INTO t VALUES (1)",
    ]);
    for name in ["st_recalc", "bin_to_uuid", "uuid_v7"] {
        place.done(&[&format!(
            "CREATE FUNCTION {name}(a INTEGER) RETURNS INTEGER DETERMINISTIC \
             BEGIN INSERT INTO log VALUES (a); RETURN a; END"
        )]);
        for sql in [
            format!("UPDATE t SET id = 2 WHERE id = 1 AND {name}(1) > 0"),
            format!("DELETE FROM t WHERE id = {name}(1)"),
            format!("DELETE FROM t WHERE id = `{name}` (1)"),
        ] {
            let why = place.wall.explain(&place.driver, &sql, &Cancel::new());
            assert!(
                why.as_ref()
                    .is_err_and(|why| why.contains("no plan is made")),
                "{sql}: {why:?}"
            );
            assert_eq!(place.count("log"), 0, "{sql}");
        }
    }
}

/// MariaDB runs what a view calls while it plans a write, which no read-only transaction holds.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_plan_calls_nothing_through_a_view() {
    let place = made(&[
        TABLE,
        "CREATE TABLE log (id INTEGER) ENGINE = MyISAM",
        "CREATE FUNCTION noted(a INTEGER) RETURNS INTEGER DETERMINISTIC BEGIN INSERT INTO log VALUES (a); RETURN a; END",
        "CREATE VIEW calls AS SELECT noted(1) AS id",
        "CREATE VIEW through AS SELECT id FROM calls",
        "CREATE VIEW plain AS SELECT id FROM t",
        "INSERT INTO t VALUES (1)",
    ]);
    let explain = |sql: &str| place.wall.explain(&place.driver, sql, &Cancel::new());
    for sql in [
        "UPDATE t SET id = 3 WHERE id = (SELECT id FROM calls)",
        "DELETE FROM t WHERE id IN (SELECT id FROM through)",
        "UPDATE t, through SET t.id = 7 WHERE t.id = through.id",
        "INSERT INTO t SELECT id FROM through",
        "SELECT * FROM through",
    ] {
        let why = explain(sql).unwrap_err();
        assert!(why.contains("no plan is made"), "{sql}: {why}");
        assert_eq!(place.count("log"), 0, "{sql}");
    }
    explain("DELETE FROM t WHERE id IN (SELECT id FROM plain)").unwrap();
    explain("SELECT * FROM plain").unwrap();
}
