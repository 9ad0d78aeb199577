//! A server and an agent on PostgreSQL.

use super::super::places::postgres;
use super::super::served::{self, Endless, Served};
use super::super::{rehearsals, silence, walled};
use dbward::agent::config::{DriverConfig, Password};
use dbward::agent::drivers::JobEffect;

pub const ENDLESS: Endless = Endless {
    sql: "INSERT INTO t SELECT 7 FROM pg_sleep(60)",
    running: "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
              AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
    session: "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
              AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
    kill: "SELECT pg_terminate_backend(ID)",
};

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_runs_what_was_approved() {
    served::what_was_approved_runs_and_is_read(&Served::start(postgres(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn reviewers_see_the_plan_of_postgres() {
    served::reviewers_see_the_plan_of_the_database(&Served::start(postgres(), 60));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn cancelling_a_request_ends_its_statement_in_postgres() {
    served::cancelling_a_request_ends_its_statement(&Served::start(postgres(), 60), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_late_statement_is_ended_in_postgres() {
    served::a_late_statement_is_ended_and_says_so(&Served::start(postgres(), 2), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_session_that_postgres_loses_is_a_failure() {
    served::a_lost_session_is_a_failure_and_not_the_end(&Served::start(postgres(), 60), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_agent_killed_next_to_postgres_tells_what_is_left() {
    served::a_killed_agent_says_afterwards_what_is_left(Served::start(postgres(), 60), &ENDLESS);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_that_says_nothing_ends_a_statement_with_its_time() {
    silence::a_database_that_says_nothing_ends_a_statement_with_its_time(postgres(), &ENDLESS);
}

const LOCKS: silence::LockWords = silence::LockWords {
    sleep: "SELECT pg_sleep(60)",
    sleeps: "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
             AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
    waits: "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND relation = 't'::regclass",
    error: "55P03",
    lifts: "SET lock_timeout = 0",
};

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn readers_of_postgres_go_on_after_a_statement_that_waits() {
    silence::readers_after_a_waiting_statement_go_on(postgres(), &LOCKS);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_locks_a_table_of_postgres_gives_up() {
    let statements = [
        "ALTER TABLE t ALTER id TYPE bigint",
        "DROP TABLE t",
        "TRUNCATE t",
        "LOCK TABLE t",
        "CREATE RULE r AS ON DELETE TO t DO ALSO NOTIFY x",
        "CREATE POLICY p ON t USING (true)",
        "VACUUM FULL t",
        "DO $$ BEGIN DROP TABLE t; END $$",
    ];
    silence::what_locks_a_table_gives_up(postgres(), &LOCKS, &statements);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn times_of_postgres_do_not_follow_clock_of_the_agent() {
    let sql = "SELECT '2024-07-01 12:00:00'::timestamp AS plain, '2024-07-01 12:00:00+02'::timestamptz AS zoned, \
               '2024-07-01'::date AS day, current_setting('TimeZone') AS zone";
    let mut served = Served::start(postgres(), 60);
    served.kill_agent();
    let at = served.server.requester().at;
    let (expected, _) = served.place.rows(sql);
    assert_eq!(expected["rows"][0]["plain"], "2024-07-01 12:00:00");
    for zone in ["Asia/Kolkata", "America/St_Johns"] {
        served.start_agent_with(at, "", &[("TZ", zone), ("PGTZ", zone)]);
        let request = served.submit(sql, "");
        served.result(&request).is(200);
        let content = request.by.get(&request.path("/result/content?format=json"));
        let found = &content.is(200).json["result_data"]["rows"];
        assert_eq!(*found, expected["rows"], "{zone}");
        served.stop_agent();
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_merge_is_rehearsed_bounded_and_run_by_postgres() {
    let sql = "MERGE INTO t USING (VALUES (1, 'x'), (9, 'y')) AS s (id, v) ON t.id = s.id \
               WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)";
    rehearsals::a_merge_is_rehearsed_bounded_and_run(&Served::start(postgres(), 60), sql);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn the_password_of_postgres_is_on_no_command_line() {
    let mut place = postgres();
    let DriverConfig::Postgres(at) = &mut place.driver else {
        panic!("no server");
    };
    // A server that asks for none takes any.
    let password = at
        .password
        .get_or_insert(Password(b"only-on-the-pipe".to_vec()));
    let password = String::from_utf8(password.0.clone()).unwrap();
    walled::no_child_shows_a_password(&Served::start(place, 60), &ENDLESS, &password);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_commit_of_postgres_that_nothing_answers_is_proved() {
    silence::an_answer_to_a_commit_that_is_lost_is_proved(postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_commit_that_never_reaches_postgres_is_never_called_executed() {
    silence::a_commit_that_is_lost_is_never_called_executed(postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_connection_broken_before_commit_is_proved_rolled_back() {
    let (message, effect, rows) = silence::the_connection_breaks_at_a_commit(postgres());
    assert_eq!(effect, JobEffect::RolledBack, "{message}");
    assert_eq!(rows, 0);
}
