//! What an agent writes into its log at the most talkative level: no statement, and no value of one. The drivers run in
//! its children, which have no log at all; what is tried here is that the agent, which knows the statement and learns what
//! became of it, and its children's standard error, show nothing of it.

use super::Place;
use super::places::{mysql, postgres, sqlite};
use super::served::{Served, prepared};

/// Parts of the statements below, and of what databases say of them.
const PARTS: [&str; 4] = [
    "4711004711",
    "in_the_statement",
    "in-a-value",
    "no_such_table",
];

fn the_log_shows_no_statement(place: Place) {
    let mut served = Served::start(place, 60);
    served.kill_agent();
    prepared(&served);
    let at = served.server.requester().at;
    for filters in [
        "trace",
        "debug",
        "info,mysql=trace,rusqlite=trace,dbward=trace",
    ] {
        served.start_agent_with(at, "", &[("RUST_LOG", filters)]);
        let read = served.run("SELECT id AS in_the_statement FROM t WHERE id <> 4711004711");
        assert_eq!(read.json["success"], true, "{}", read.raw());
        for fails in [
            "INSERT INTO t SELECT id FROM t WHERE id > 4711004711",
            "INSERT INTO t SELECT 'in-a-value' FROM no_such_table",
        ] {
            assert_eq!(served.run(fails).json["success"], false);
        }
        let log = served.agent().errors();
        served.stop_agent();
        let ended = log.matches(" after ").count();
        assert!(ended >= 3, "{filters}: {log}");
        for part in PARTS {
            assert!(!log.contains(part), "{filters}: {log}");
        }
    }
}

#[test]
fn sqlite_statements_stay_out_of_the_log() {
    the_log_shows_no_statement(sqlite());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_statements_stay_out_of_the_log() {
    the_log_shows_no_statement(postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_statements_stay_out_of_the_log() {
    the_log_shows_no_statement(mysql());
}
