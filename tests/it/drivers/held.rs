//! What waits for somebody else's lock: what a rehearsal says of it, and what an agent leaves that is killed meanwhile.

use super::places::{mysql, placed, postgres, sqlite};
use super::served::Served;
use super::{Place, job, running};
use crate::support::eventually;
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::{Cancel, StopReason};
use dbward::domain::id::Operation;
use serde_json::{Value, json};
use std::sync::Arc;

const DELETE: &str = "DELETE FROM t WHERE id = 1";

/// Somebody who has changed the row of id 1 and does not commit.
enum Holder {
    File(Box<rusqlite::Connection>),
    Server(Cancel, std::thread::JoinHandle<super::RunOutcome>),
}

impl Holder {
    fn of(place: &Place) -> Holder {
        let (wait, held) = match &place.driver {
            DriverConfig::Sqlite { path, .. } => {
                let conn = rusqlite::Connection::open(path).unwrap();
                conn.execute_batch("BEGIN IMMEDIATE").unwrap();
                return Holder::File(Box::new(conn));
            }
            DriverConfig::Postgres(_) => (
                "SELECT pg_sleep(60)",
                "SELECT count(*) AS n FROM pg_locks WHERE mode = 'RowExclusiveLock' AND granted AND relation = 't'::regclass",
            ),
            DriverConfig::MySql(_) => (
                "SELECT SLEEP(60)",
                "SELECT count(*) AS n FROM information_schema.innodb_trx WHERE trx_rows_modified > 0 \
                 AND trx_mysql_thread_id IN (SELECT id FROM information_schema.processlist WHERE db = DATABASE())",
            ),
        };
        let shared = Arc::new(placed(place.driver.clone()));
        let change = ["UPDATE t SET v = 'x' WHERE id = 1", wait];
        let mut holder = job(Operation::ExecuteDml, &change);
        holder.timeout_secs = 120;
        let (cancel, started, thread) = running(&shared, holder);
        started.recv().unwrap();
        eventually("the lock is held", || place.value(held) == "1");
        Holder::Server(cancel, thread)
    }

    fn lets_go(self) {
        match self {
            Holder::File(conn) => drop(conn),
            Holder::Server(cancel, thread) => {
                cancel.ask(StopReason::Cancelled);
                super::failure(thread.join().unwrap());
            }
        }
    }
}

fn made(place: &Place) {
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))"]);
    place.done(&["INSERT INTO t VALUES (1, 'a'), (2, 'a')"]);
}

fn rehearse(place: &Place, plan: &[&str], lock_secs: u64) -> Result<Value, String> {
    let mut job = job(Operation::ExecuteDml, plan);
    (job.timeout_secs, job.lock_timeout_secs) = (20, lock_secs);
    let report = place.wall.rehearse(&place.driver, &job, &Cancel::new())?;
    Ok(serde_json::from_str(&report).unwrap())
}

fn a_lock_is_reported_as_a_lock(mut place: Place, who: &str) {
    match &mut place.driver {
        DriverConfig::Postgres(at) | DriverConfig::MySql(at) => at.lock_timeout_secs = 15,
        DriverConfig::Sqlite { .. } => panic!("no server"),
    }
    made(&place);
    let holder = Holder::of(&place);
    let why = rehearse(&place, &[DELETE], 1).unwrap_err();
    assert!(
        why.starts_with("lock wait: after 1 s the lock was still not free"),
        "{why}"
    );
    assert!(why.contains(&format!("held by {who} ")), "{why}");
    assert!(why.contains("the statement was not refused"), "{why}");
    let place = Arc::new(place);
    eventually("the first has asked for the last time", || {
        !is_asked(&place)
    });
    let waiting = {
        let place = Arc::clone(&place);
        std::thread::spawn(move || rehearse(&place, &[DELETE], 15))
    };
    eventually("it waits, and that is seen", || is_asked(&place));
    holder.lets_go();
    let report = waiting.join().unwrap().unwrap();
    assert_eq!(report["rows_affected"], 1, "{report}");
    assert!(report["lock_wait_ms"].as_u64().unwrap() > 0, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains(&format!("held by {who} ")), "{warnings}");
    assert_eq!(place.count("t WHERE v = 'a'"), 2);
    let free = rehearse(&place, &[DELETE], 1).unwrap();
    assert_eq!(
        (&free["lock_wait_ms"], &free["warnings"]),
        (&json!(0), &json!([]))
    );
}

/// Whether somebody has asked whose lock is waited for, since it is waited for.
fn is_asked(place: &Place) -> bool {
    let sql = match &place.driver {
        DriverConfig::MySql(_) => {
            "SELECT count(*) AS n FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST w \
             ON w.ID = t.trx_mysql_thread_id JOIN information_schema.PROCESSLIST a ON a.DB = w.DB WHERE w.DB = DATABASE() \
             AND t.trx_state = 'LOCK WAIT' AND a.COMMAND = 'Sleep' \
             AND a.TIME + 1 < TIMESTAMPDIFF(SECOND, t.trx_wait_started, NOW())"
        }
        _ => {
            "SELECT count(*) AS n FROM pg_locks l JOIN pg_stat_activity a ON a.query_start > l.waitstart \
             WHERE NOT l.granted AND l.pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database()) \
             AND a.datname = current_database() AND a.state = 'idle' AND a.query LIKE '%pg_blocking_pids%'"
        }
    };
    place.value(sql) != "0"
}

fn a_killed_agent_leaves_nothing(place: Place) {
    let mut served = Served::start(place, 60);
    made(&served.place);
    let holder = Holder::of(&served.place);
    let more = json!({"rehearse": true});
    let request = served
        .server
        .requester()
        .submit_with("production", DELETE, more);
    let seen = |what: &str| request.by.show(&request).is(200).json["rehearsal"][what].clone();
    eventually("the agent has it", || seen("status") == "claimed");
    served.kill_agent();
    holder.lets_go();
    assert_eq!(served.place.count("t WHERE v = 'a'"), 2);
    // Nobody can vote too late for it, and the next agent may have another go.
    served.start_agent();
    assert_eq!(seen("status"), "claimed");
    served.server.turn(60);
    assert_eq!(seen("status"), "unavailable");
    assert_eq!(
        request.by.show(&request).json["max_affected_rows"],
        Value::Null
    );
    request.by.poke(&request.path("/rehearse")).is(202);
    eventually("it is rehearsed", || seen("status") == "done");
    assert_eq!(seen("rows_affected"), 1);
    let request = request.approved_by(&served.server.approver()).resumed();
    let done = served.result(&request).is(200);
    assert_eq!(done.json["rows_affected"], 1, "{}", done.raw());
    assert_eq!(served.place.count("t"), 1);
}

/// How many wait for a row that somebody else holds.
fn waiting(place: &Place) -> Option<String> {
    let sql = match &place.driver {
        DriverConfig::Sqlite { .. } => return None,
        DriverConfig::Postgres(_) => {
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        DriverConfig::MySql(_) => {
            "SELECT count(*) AS n FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p \
             ON p.ID = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.DB = DATABASE()"
        }
    };
    Some(place.value(sql))
}

/// What is reported is what the row shows, also once the row is free again.
fn an_agent_killed_at_a_foreign_row_tells_the_truth(place: Place) {
    let mut served = Served::start(place, 60);
    made(&served.place);
    let holder = Holder::of(&served.place);
    let request = served.submit(DELETE, "");
    eventually("it waits for the row", || {
        served.journal_has("started") && waiting(&served.place).is_none_or(|n| n == "1")
    });
    served.kill_agent();
    served.start_agent();
    let reported = served.result(&request).is(200);
    assert_eq!(
        reported.json["outcome"],
        "rolled_back",
        "{}",
        reported.raw()
    );
    eventually("nobody waits any more", || {
        waiting(&served.place).is_none_or(|n| n == "0")
    });
    holder.lets_go();
    assert_eq!(served.place.count("t WHERE v = 'a'"), 2);
    let done = served.run(DELETE);
    assert_eq!(done.json["rows_affected"], 1, "{}", done.raw());
    assert_eq!(served.place.count("t"), 1);
}

#[test]
fn agent_killed_at_a_foreign_row_of_sqlite_is_truthful() {
    an_agent_killed_at_a_foreign_row_tells_the_truth(sqlite());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn agent_killed_at_a_foreign_row_of_postgres_is_truthful() {
    an_agent_killed_at_a_foreign_row_tells_the_truth(postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn agent_killed_at_a_foreign_row_of_mysql_is_truthful() {
    an_agent_killed_at_a_foreign_row_tells_the_truth(mysql());
}

#[test]
fn an_agent_killed_in_a_rehearsal_leaves_nothing_on_sqlite() {
    a_killed_agent_leaves_nothing(sqlite());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_says_whose_lock_a_rehearsal_waits_for() {
    a_lock_is_reported_as_a_lock(postgres(), "process");
    a_killed_agent_leaves_nothing(postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_says_whose_lock_a_rehearsal_waits_for() {
    a_lock_is_reported_as_a_lock(mysql(), "session");
    a_killed_agent_leaves_nothing(mysql());
}
