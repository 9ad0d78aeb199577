//! A server and an agent as people run them, the agent as a process of its own, on a database of the test's own: claims
//! that hold on every database server.

use super::Place;
use super::places::sqlite;
use crate::support::{Answer, Program, Request, Server, Temp, binary, eventually};
use dbward::agent::config::{DatabaseEndpoint, DriverConfig};
use serde_json::json;
use std::net::SocketAddr;

/// Everything waits for an approver, and takes at most so many seconds.
const TOML: &str = r#"
[[databases]]
name = "shop"
environments = ["production"]
dialect = "DIALECT"

[[workflows]]
rehearse = "on_request"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"

[[auth.groups]]
name = "approvers"
members = ["approver"]

[[execution_policies]]
statement_timeout_secs = SECS
"#;

/// The database as people reach it.
pub struct Served {
    pub server: Server,
    pub place: Place,
    agent: Option<Program>,
    folder: Temp,
}

/// The keys of a table of agent.toml.
pub fn keys(driver: &DriverConfig) -> String {
    let at = |kind: &str, at: &DatabaseEndpoint| {
        let password = at.password.as_ref().map_or(String::new(), |password| {
            format!("password = {:?}\n", String::from_utf8_lossy(&password.0))
        });
        format!(
            "driver = \"{kind}\"\nhost = {:?}\nport = {}\ndatabase = {:?}\nuser = {:?}\nlock_timeout_secs = 2\n{password}",
            at.host, at.port, at.database, at.user
        )
    };
    match driver {
        DriverConfig::Sqlite { path, .. } => format!("driver = \"sqlite\"\npath = {path:?}\n"),
        DriverConfig::Postgres(endpoint) => at("postgresql", endpoint),
        DriverConfig::MySql(endpoint) => at("mysql", endpoint),
    }
}

impl Served {
    pub fn start(place: Place, timeout_secs: u64) -> Served {
        let dialect = place.driver.dialect().as_str();
        Served::reading(place, dialect, timeout_secs)
    }

    /// The same with a server that reads texts in `dialect`, or does not say which one where that is empty.
    pub fn reading(place: Place, dialect: &str, timeout_secs: u64) -> Served {
        let toml = TOML.replace("SECS", &timeout_secs.to_string()).replace(
            "dialect = \"DIALECT\"",
            &match dialect {
                "" => String::new(),
                dialect => format!("dialect = \"{dialect}\""),
            },
        );
        let mut served = Served {
            server: Server::with(&toml),
            place,
            agent: None,
            folder: Temp::new(),
        };
        served.start_agent();
        served
    }

    /// Starts the agent, which has the folder of the one before.
    pub fn start_agent(&mut self) {
        let at = self.server.requester().at;
        self.start_agent_with(at, "", &[]);
    }

    /// The same agent, which calls the server at `at`, with further `keys` of the table `agent` and these variables.
    pub fn start_agent_with(&mut self, at: SocketAddr, keys: &str, variables: &[(&str, &str)]) {
        let person = self.server.agent("agent-1").person;
        let path = self.folder.path().join("agent.toml");
        let text = format!(
            "[server]\nurl = \"http://{at}\"\ntoken = \"{}\"\n[agent]\nid = \"agent-1\"\nstate_dir = \"agent\"\n{keys}\
             [[databases]]\nname = \"shop\"\nenvironment = \"production\"\n{}",
            person.token.unwrap_or_default(),
            self::keys(&self.place.driver)
        );
        std::fs::write(&path, text).unwrap();
        let mut command = binary();
        command.envs(variables.iter().copied());
        self.agent = Some(Program::start(
            command.arg("agent").arg("--config").arg(&path),
        ));
    }

    pub fn agent(&self) -> &Program {
        self.agent.as_ref().unwrap()
    }

    /// The token with which the agent calls the server.
    pub fn agent_token(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("agent.toml")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("token = "));
        line.unwrap().trim_matches('"').to_owned()
    }

    /// Whether the agent's journal has an execution in this state.
    pub fn journal_has(&self, state: &str) -> bool {
        let path = self.folder.path().join("agent").join("journal.db");
        let journal = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT EXISTS (SELECT 1 FROM executions WHERE state = ?1)";
        journal
            .query_row(sql, [state], |row| row.get(0))
            .unwrap_or(false)
    }

    /// Asks the agent to stop, and waits until it has.
    pub fn stop_agent(&mut self) {
        self.agent.take().unwrap().stop();
    }

    /// Waits until the agent, which was asked to stop, has.
    pub fn agent_ends(&mut self) {
        let (status, errors) = self.agent.take().unwrap().end();
        assert!(status.success(), "{status}: {errors}");
    }

    pub fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill();
    }

    /// Makes a request, which is approved and resumed.
    pub fn submit(&self, sql: &str, operation: &str) -> Request {
        let more = json!({"operation": operation});
        let requester = self.server.requester();
        let request = requester.submit_with("production", sql, more);
        request.approved_by(&self.server.approver()).resumed()
    }

    /// What it came to.
    pub fn result(&self, request: &Request) -> Answer {
        request.by.get(&request.path("/result/stream?wait=60"))
    }

    pub fn run(&self, sql: &str) -> Answer {
        self.result(&self.submit(sql, "")).is(200)
    }

    /// Sends `endless` on its way, and waits until the database runs it.
    pub fn begin(&self, endless: &Endless) -> Request {
        let request = self.submit(endless.sql, "");
        eventually("the statement runs", || self.runs(endless));
        request
    }

    pub fn runs(&self, endless: &Endless) -> bool {
        self.place.value(endless.running) != "0"
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let (Some(agent), false) = (self.agent.take(), std::thread::panicking()) {
            agent.stop();
        }
    }
}

/// A write into the table `t` that takes longer than any test.
pub struct Endless {
    pub sql: &'static str,
    /// How many run it now.
    pub running: &'static str,
    /// The session that runs it.
    pub session: &'static str,
    /// Ends the session `ID`.
    pub kill: &'static str,
}

pub fn prepared(served: &Served) {
    served
        .place
        .done(&["CREATE TABLE t (id BIGINT PRIMARY KEY)"]);
    served
        .place
        .done(&["INSERT INTO t VALUES (9007199254740993)"]);
}

pub fn what_was_approved_runs_and_is_read(served: &Served) {
    prepared(served);
    let write = served.run("INSERT INTO t VALUES (1), (2)");
    assert_eq!(
        (&write.json["success"], &write.json["rows_affected"]),
        (&json!(true), &json!(2)),
        "{}",
        write.raw()
    );
    let read = served.submit("SELECT id FROM t WHERE id > 1 ORDER BY id", "");
    assert_eq!(served.result(&read).is(200).json["success"], true);
    let content = read
        .by
        .get(&read.path("/result/content?format=json"))
        .is(200);
    assert!(
        content.raw().contains("9007199254740993"),
        "{}",
        content.raw()
    );
    let again = served.run("INSERT INTO t VALUES (3), (1)");
    assert_eq!(again.json["success"], false, "{}", again.raw());
    assert_eq!(served.place.count("t"), 3);
    let ids = served.server.requester().ids("status=failed");
    assert_eq!(ids.len(), 1);
}

pub fn reviewers_see_the_plan_of_the_database(served: &Served) {
    prepared(served);
    let sql = "SELECT id FROM t; DELETE FROM t WHERE id = 7";
    let request = served.server.requester().submit("production", sql);
    let context = || request.by.show(&request).is(200).json["context"].clone();
    let mut last = context();
    eventually("it is explained", || {
        last = context();
        last["status"] != "collecting"
    });
    assert_eq!(last["status"], "ready", "{last}");
    let explained = last["explain"].as_array().unwrap();
    assert_eq!(explained.len(), 2, "{last}");
    for one in explained {
        let plan = one["plan"].to_string().to_lowercase();
        assert!(plan.contains('t') && plan.len() > 20, "{one}");
    }
    assert_eq!(served.place.count("t"), 1);
}

#[test]
fn reviewers_see_the_plan_of_sqlite() {
    reviewers_see_the_plan_of_the_database(&Served::start(sqlite(), 60));
}

pub fn cancelling_a_request_ends_its_statement(served: &Served, endless: &Endless) {
    prepared(served);
    let request = served.begin(endless);
    request.by.cancel(&request).is(200);
    eventually("the statement has ended", || !served.runs(endless));
    request.clone().is("cancelled");
    assert_eq!(served.place.count("t"), 1);
    // Nothing is left that the next one would wait for.
    assert_eq!(served.run("INSERT INTO t VALUES (5)").json["success"], true);
}

pub fn a_late_statement_is_ended_and_says_so(served: &Served, endless: &Endless) {
    prepared(served);
    let late = served.run(endless.sql);
    assert_eq!(late.json["success"], false);
    assert!(
        late.text("error_message")
            .contains("statement timeout reached (2 s); rolled back"),
        "{}",
        late.raw()
    );
    assert!(!served.runs(endless));
    assert_eq!(served.place.count("t"), 1);
}

pub fn a_lost_session_is_a_failure_and_not_the_end(served: &Served, endless: &Endless) {
    prepared(served);
    let request = served.begin(endless);
    let id = served.place.value(endless.session);
    let kill = endless.kill.replace("ID", id.trim_matches('"'));
    served.place.write(&[&kill]);
    let lost = served.result(&request).is(200);
    assert_eq!(lost.json["success"], false, "{}", lost.raw());
    assert!(lost.raw().contains("rolled back"), "{}", lost.raw());
    assert_eq!(served.place.count("t"), 1);
    assert_eq!(served.run("INSERT INTO t VALUES (5)").json["success"], true);
}

pub fn a_killed_agent_says_afterwards_what_is_left(mut served: Served, endless: &Endless) {
    prepared(&served);
    let request = served.begin(endless);
    served.kill_agent();
    served.start_agent();
    let reported = served.result(&request).is(200);
    assert_eq!(reported.json["success"], false, "{}", reported.raw());
    assert!(
        reported
            .text("error_message")
            .contains("agent stopped while the statement ran; rolled back"),
        "{}",
        reported.raw()
    );
    eventually("its session has ended", || !served.runs(endless));
    assert_eq!(served.place.count("t"), 1);
    assert_eq!(served.run("INSERT INTO t VALUES (5)").json["success"], true);
}

/// The agent is killed in the middle of a migration that holds locks on `t`: `sql` writes there and does not end, which
/// `runs` sees. What is reported holds, nobody has to do anything about the locks, and the next migration runs.
pub fn an_agent_killed_in_a_migration_leaves_no_lock(
    mut served: Served,
    sql: &str,
    runs: impl Fn(&Served) -> bool,
    says: &str,
) {
    prepared(&served);
    let migration =
        |version: &str, sql: &str| super::migrations::detail("up", &[(version, sql)], None);
    let request = served.submit(&migration("1", sql), "migrate_up");
    eventually("the migration runs", || runs(&served));
    served.kill_agent();
    served.start_agent();
    let ended = || {
        let status = request.by.show(&request).text("status");
        ["failed", "execution_lost"].contains(&status.as_str())
    };
    eventually("its end is reported", ended);
    let reported = request.by.get(&request.path("/executions")).is(200);
    let execution = &reported.json["executions"][0];
    let message = execution["error_message"].as_str().unwrap();
    assert!(message.contains(says), "{}", reported.raw());
    let rolled_back = execution["outcome"] == "rolled_back";
    assert_eq!(
        rolled_back,
        says.contains("rolled back"),
        "{}",
        reported.raw()
    );
    eventually("nothing of it runs any more", || !runs(&served));
    // It needs the table for itself alone.
    let next = migration("2", "ALTER TABLE t ADD COLUMN v INTEGER");
    let next = served.result(&served.submit(&next, "migrate_up"));
    assert_eq!(next.is(200).json["success"], true, "{}", next.raw());
    assert_eq!(super::migrations::recorded(&served.place), json!(["2"]));
    assert_eq!(served.place.count("t"), 1);
    assert_eq!(served.place.count("t WHERE id = 9007199254740993"), 1);
}

pub fn migrations_run_from_request_to_result(served: &Served) {
    let files = [
        ("1", "CREATE TABLE m (id INTEGER)"),
        ("2", "INSERT INTO m VALUES (1)"),
    ];
    let run = |direction: &str, files: &[(&str, &str)]| {
        let detail = super::migrations::detail(direction, files, None);
        let request = served.submit(&detail, &format!("migrate_{direction}"));
        served.result(&request).is(200)
    };
    let up = run("up", &files);
    assert_eq!(
        up.json["result_data"],
        json!({"applied": ["1", "2"]}),
        "{}",
        up.raw()
    );
    let status = served.submit("", "migrate_status");
    let status = served.result(&status).is(200);
    assert_eq!(
        status.json["result_data"],
        json!({"applied_versions": ["1", "2"]}),
        "{}",
        status.raw()
    );
    let down = run(
        "down",
        &[("1", "DROP TABLE m"), ("2", "DELETE FROM missing")],
    );
    assert_eq!(down.json["success"], false, "{}", down.raw());
    let repair = json!({"action": "remove", "version": "2"}).to_string();
    let more =
        json!({"operation": "migrate_repair", "emergency": true, "reason": "its file is wrong"});
    let repair = served
        .server
        .admin()
        .submit_with("production", &repair, more);
    let repair = served.result(&repair).is(200);
    assert_eq!(
        repair.json["result_data"]["repaired"],
        "remove",
        "{}",
        repair.raw()
    );
    let down = run(
        "down",
        &[("1", "DROP TABLE m"), ("2", "DELETE FROM missing")],
    );
    assert_eq!(
        down.json["result_data"],
        json!({"reverted": ["1"]}),
        "{}",
        down.raw()
    );
}
