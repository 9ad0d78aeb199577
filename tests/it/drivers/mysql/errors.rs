//! Errors of the database: what everybody may read of them quotes no value of a row, and the requester reads all.

use super::super::places::mysql;
use super::super::served::Served;
use dbward::agent::drivers::RunOutcome;

const SECRET: &str = "ann@example.com";

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn messages_of_mysql_quote_no_values() {
    let place = mysql();
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTO_INCREMENT, v INTEGER, d DATE, s VARCHAR(16), UNIQUE (s))",
        "CREATE TABLE p (a INTEGER) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (5))",
        "INSERT INTO t (v, s) VALUES (4711, 'ann@example.com')",
        "CREATE PROCEDURE says(who VARCHAR(40)) SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = who",
        "CREATE PROCEDURE missing(who VARCHAR(40)) SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1305, MESSAGE_TEXT = who",
        "CREATE PROCEDURE pretends(who VARCHAR(40)) SIGNAL SQLSTATE '42S02' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT = who",
    ] {
        place.done(&[sql]);
    }
    for (sql, code, hidden) in [
        (
            "INSERT INTO t (s) VALUES ('ann@example.com')",
            "1062",
            SECRET,
        ),
        (
            "INSERT INTO t (v) VALUES ('ann@example.com')",
            "1366",
            SECRET,
        ),
        (
            "INSERT INTO t (d) VALUES ('ann@example.com')",
            "1292",
            SECRET,
        ),
        ("UPDATE t SET v = s + 1", "1292", SECRET),
        (
            "UPDATE t SET v = v + 9223372036854770000 + 4711",
            "1690",
            "4711",
        ),
        (
            "UPDATE t SET s = EXTRACTVALUE('<a/>', 'b[ann@example.com')",
            "1105",
            "@example.com",
        ),
        ("INSERT INTO p SELECT v FROM t", "1526", "4711"),
        ("CALL says('ann@example.com')", "1644", SECRET),
        (
            "CALL missing('PROCEDURE Ann does not exist')",
            "1305",
            "Ann",
        ),
        ("CALL pretends('ann@example.com')", "1146", SECRET),
        (
            "INSERT INTO t (s) SELECT CONCAT(s, ' and more') FROM t",
            "1406",
            SECRET,
        ),
        ("INSERT INTO t (s) VALUE 'ann@example.com'", "1064", SECRET),
    ] {
        let RunOutcome::Failed {
            message, detail, ..
        } = place.write(&[sql])
        else {
            panic!("it worked: {sql}");
        };
        assert!(
            message.contains(&format!("(error {code}, SQLSTATE ")) && !message.contains(hidden),
            "{sql}: {message}"
        );
        let full = format!("{message} {}", detail.unwrap_or_default());
        // This one names the column only.
        assert!(code == "1406" || full.contains(hidden), "{sql}: {full}");
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn values_in_errors_of_mysql_reach_nobody_but_the_requester() {
    let served = Served::start(mysql(), 60);
    served.place.done(&[
        "CREATE PROCEDURE says() SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ann@example.com'",
    ]);
    let request = served.submit("CALL says()", "");
    let failed = served.result(&request).is(200);
    assert_eq!(failed.json["success"], false);
    let executions =
        |who: &crate::support::Person| who.get(&request.path("/executions")).is(200).raw();
    assert!(executions(&request.by).contains(SECRET));
    assert!(!executions(&served.server.approver()).contains(SECRET));
    let audit = served
        .server
        .admin()
        .get("/api/audit/events?limit=100")
        .is(200)
        .raw();
    assert!(
        audit.contains("execution.failed") && !audit.contains(SECRET),
        "{audit}"
    );
}
