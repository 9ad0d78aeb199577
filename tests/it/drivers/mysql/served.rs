//! A server and an agent on MySQL or MariaDB.

use super::super::places::mysql;
use super::super::served::{self, Endless, Served};
use super::super::silence;
use dbward::agent::drivers::JobEffect;

const ENDLESS: Endless = Endless {
    sql: "INSERT INTO t SELECT 7 + sleep(120)",
    running: "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
              AND INFO LIKE '%7 + sleep(120)%' AND ID <> CONNECTION_ID()",
    session: "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
              AND INFO LIKE '%7 + sleep(120)%' AND ID <> CONNECTION_ID()",
    kill: "KILL ID",
};

const LOCKS: silence::LockWords = silence::LockWords {
    sleep: "SELECT SLEEP(60)",
    sleeps: "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'User sleep'",
    waits: "SELECT count(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
            AND STATE = 'Waiting for table metadata lock'",
    error: "1205",
    lifts: "SET SESSION lock_wait_timeout = 86400",
};

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_runs_what_was_approved() {
    served::what_was_approved_runs_and_is_read(&Served::start(mysql(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn reviewers_see_the_plan_of_mysql() {
    served::reviewers_see_the_plan_of_the_database(&Served::start(mysql(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn cancelling_a_request_ends_its_statement_in_mysql() {
    served::cancelling_a_request_ends_its_statement(&Served::start(mysql(), 60), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_late_statement_is_ended_in_mysql() {
    served::a_late_statement_is_ended_and_says_so(&Served::start(mysql(), 2), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_session_that_mysql_loses_is_a_failure() {
    served::a_lost_session_is_a_failure_and_not_the_end(&Served::start(mysql(), 60), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn an_agent_killed_next_to_mysql_tells_what_is_left() {
    served::a_killed_agent_says_afterwards_what_is_left(Served::start(mysql(), 60), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_that_says_nothing_ends_a_statement_with_its_time() {
    silence::a_database_that_says_nothing_ends_a_statement_with_its_time(mysql(), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn the_zone_of_the_agent_moves_no_time_of_mysql() {
    let mut served = Served::start(mysql(), 60);
    served.kill_agent();
    let at = served.server.requester().at;
    served.start_agent_with(at, "", &[("TZ", "Asia/Kolkata")]);
    served
        .place
        .done(&["CREATE TABLE t (d DATETIME, s TIMESTAMP)"]);
    let moment = "'2024-07-01 12:00:00'";
    let write = served.run(&format!("INSERT INTO t VALUES ({moment}, {moment})"));
    assert_eq!(write.json["success"], true, "{}", write.raw());
    let read = served.submit("SELECT d, s FROM t", "");
    served.result(&read).is(200);
    let content = read.by.get(&read.path("/result/content")).is(200);
    let row = &content.json["result_data"]["rows"][0];
    assert_eq!(
        (&row["d"], &row["s"]),
        (&"2024-07-01 12:00:00".into(), &"2024-07-01 12:00:00".into())
    );
    // As the database itself has them.
    assert_eq!(
        served.place.value("SELECT s FROM t"),
        "\"2024-07-01 12:00:00\""
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn a_commit_that_never_reaches_mysql_is_never_called_executed() {
    silence::a_commit_that_is_lost_is_never_called_executed(mysql());
}

/// These databases keep no record of a transaction.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn connection_that_breaks_before_commit_of_mysql_leaves_it_unknown() {
    let (message, effect, rows) = silence::the_connection_breaks_at_a_commit(mysql());
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    assert!(
        message.contains("it may or may not have taken effect"),
        "{message}"
    );
    assert_eq!(rows, 0);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn readers_of_mysql_go_on_after_a_statement_that_waits() {
    silence::readers_after_a_waiting_statement_go_on(mysql(), &LOCKS);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn what_locks_a_table_of_mysql_gives_up() {
    let statements = [
        "ALTER TABLE t MODIFY id BIGINT",
        "ALTER TABLE t ENGINE = InnoDB",
        "CREATE INDEX i ON t (id)",
        "DROP TABLE t",
        "TRUNCATE t",
        "RENAME TABLE t TO u",
        "LOCK TABLES t WRITE",
        "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW SET @a = 1",
        "CREATE OR REPLACE TABLE t (id INTEGER)",
    ];
    silence::what_locks_a_table_gives_up(mysql(), &LOCKS, &statements);
}
