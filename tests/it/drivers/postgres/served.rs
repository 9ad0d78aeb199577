//! A server and an agent on PostgreSQL.

use super::super::places::postgres;
use super::super::served::{self, Endless, Served};

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
