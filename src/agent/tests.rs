//! The agent against a server that is just enough for one.

mod aside;
mod fake;
mod shapes;

use super::config::ROWS_BYTES_MAX;
use super::config::{DatabaseConfig, DriverConfig};
use super::drivers::sqlite::Sqlite;
use super::drivers::{Driver as _, DriverJob, RunOutcome};
use super::*;
use crate::client::{BearerToken, ClientOptions};
use crate::clock::Timestamp;
use crate::domain::dialect::Dialect;
use crate::domain::execution_token::ExecutionClaims;
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use crate::domain::sql::DialectFact;
use fake::{Fake, LONG, Offer};
use serde_json::json;
use std::path::PathBuf;

/// A folder with a database of three rows and room for a journal, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let name = crate::crypto::hex(&crate::crypto::random::<8>());
        let place = Place(std::env::temp_dir().join(format!("dbward-agent-{name}")));
        std::fs::create_dir(&place.0).unwrap();
        // An empty file is an empty database; the driver itself fills it.
        std::fs::write(place.0.join("app.db"), b"").unwrap();
        let filled = place.run(
            Operation::ExecuteDml,
            &[
                "CREATE TABLE t (id INTEGER)",
                "INSERT INTO t VALUES (1), (2), (3)",
            ],
        );
        assert_eq!(filled, RunOutcome::Changed { rows: 3 });
        place
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    fn config(&self, fake: &Fake) -> AgentConfig {
        let token = BearerToken::new("dbw_test").unwrap();
        let database = DatabaseConfig {
            target: Target::new("app", "development").unwrap(),
            driver: DriverConfig::Sqlite {
                path: self.0.join("app.db"),
                read_only: false,
            },
            caps: config::Caps::default(),
        };
        let server = ClientOptions::new(format!("http://{}", fake.address), token);
        AgentConfig::new(server, self.state(), vec![database])
    }

    fn agent(&self, fake: &Fake) -> RunningAgent {
        RunningAgent::start_with(Wall::none(), self.config(fake), Clock::system()).unwrap()
    }

    fn run(&self, operation: Operation, plan: &[&str]) -> RunOutcome {
        let job = DriverJob {
            operation,
            plan: plan.iter().map(|sql| (*sql).to_owned()).collect(),
            timeout_secs: 30,
            max_rows: None,
            max_result_bytes: ROWS_BYTES_MAX,
            max_affected_rows: None,
            lock_timeout_secs: LOCK_SECS_DEFAULT,
        };
        Sqlite::new(self.0.join("app.db"), false).run(&job, &drivers::Unrecorded(Cancel::new()))
    }

    fn rows(&self) -> i64 {
        let found = self.run(Operation::ExecuteSelect, &["SELECT count(*) AS n FROM t"]);
        let RunOutcome::Rows { json, .. } = found else {
            panic!("{found:?}");
        };
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["rows"][0]["n"].as_i64().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/// The JSON in the string that a result is.
fn data(report: &serde_json::Value) -> serde_json::Value {
    serde_json::from_str(report["result_data"].as_str().unwrap()).unwrap()
}

#[test]
fn a_job_is_claimed_run_and_handed_in() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    assert!(agent.wait_ready(LONG));
    fake.offer(Offer::new(Operation::ExecuteSelect, &["SELECT id FROM t"]));
    let result = fake.result();
    assert_eq!(result["success"], json!(true));
    // The limit in the token counts, not the one sent with it.
    assert_eq!(data(&result)["rows"], json!([{"id": 1}, {"id": 2}]));
    assert_eq!(result["truncated"], json!(true));
    assert!(result["duration_ms"].is_u64());
    agent.stop(LONG);
    let seen = fake.seen();
    let first = &seen.polls[0];
    assert_eq!(
        first["capabilities"],
        json!({"databases": ["app"], "environments": ["development"],
           "scopes": [{"database": "app", "environment": "development"}],
           "operations": [
            "execute_select", "execute_dml", "migrate_up", "migrate_down", "migrate_status", "migrate_repair",
        ]})
    );
    let waits: Vec<_> = seen
        .polls
        .iter()
        .take(2)
        .map(|poll| (&poll["limit"], &poll["wait"]))
        .collect();
    assert_eq!(waits, [(&json!(2), &json!(0)), (&json!(2), &json!(25))]);
    let last = seen.polls.last().unwrap();
    assert_eq!(
        (&last["limit"], &last["status"]["draining"]),
        (&json!(0), &json!(true))
    );
}

#[test]
fn counted_writes_outcome_outlives_an_absent_server() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().results_refused = (1, 503);
    let agent = place.agent(&fake);
    fake.offer(Offer::new(
        Operation::ExecuteDml,
        &["DELETE FROM t WHERE id > 1"],
    ));
    let result = fake.result();
    assert_eq!(data(&result), json!({"rows_affected": 2}));
    assert_eq!(result["rows_affected"], json!(2));
    drop(agent);
    let journal = Journal::open(&place.state()).unwrap();
    assert!(journal.unsubmitted(10).unwrap().is_empty());
}

#[test]
fn nothing_runs_that_was_not_signed() {
    type Alter = fn(&mut ExecutionClaims);
    let alterations: [(Alter, &str); 6] = [
        (|c| c.detail_hash = "0".repeat(64), "detail_hash"),
        (|c| c.request_id = crate::crypto::uuid(), "request_id"),
        (|c| c.execution_id = crate::crypto::uuid(), "execution_id"),
        (|c| c.expires_at = Timestamp(0), "expired"),
        (
            |c| c.dialect = DialectFact::Known(Dialect::Postgres),
            "dialect",
        ),
        (|c| c.dialect = DialectFact::Unknown, "dialect"),
    ];
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    for (n, (alter, says)) in alterations.into_iter().enumerate() {
        let mut offer = Offer::new(Operation::ExecuteDml, &["DELETE FROM t"]);
        offer.alter = alter;
        fake.offer(offer);
        let result = fake.wait(|seen| seen.results.len() > n).results[n]
            .1
            .clone();
        assert_eq!(result["success"], json!(false));
        let message = result["error_message"].as_str().unwrap();
        assert!(
            message.starts_with("token verification failed: "),
            "{message}"
        );
        assert!(message.contains(says), "{message}");
    }
    agent.stop(LONG);
    assert_eq!(place.rows(), 3);
}

#[test]
fn server_of_lower_epoch_is_refused_also_after_a_restart() {
    let (fake, place) = (Fake::start(), Place::new());
    let offer = |alter: fn(&mut ExecutionClaims)| {
        let mut offer = Offer::new(Operation::ExecuteDml, &["DELETE FROM t WHERE id = 1"]);
        offer.alter = alter;
        fake.offer(offer);
    };
    let outcome = |n: usize| {
        fake.wait(|seen| seen.results.len() > n).results[n]
            .1
            .clone()
    };
    let agent = place.agent(&fake);
    offer(|c| c.epoch = 2);
    assert_eq!(outcome(0)["success"], json!(true));
    offer(|c| c.epoch = 1);
    let message = outcome(1)["error_message"].to_string();
    assert!(
        message.contains("a server of epoch 2 has replaced that one"),
        "{message}"
    );
    agent.stop(LONG);
    drop(agent);
    let agent = place.agent(&fake);
    offer(|_| {});
    let message = outcome(2)["error_message"].to_string();
    assert!(message.contains("it is of epoch 0"), "{message}");
    offer(|c| c.epoch = 3);
    assert_eq!(outcome(3)["success"], json!(true));
    agent.stop(LONG);
}

#[test]
fn another_agents_token_is_refused_where_agent_knows_its_name() {
    let (fake, place) = (Fake::start(), Place::new());
    let mut config = place.config(&fake);
    config.id = Some("agent-2".into());
    let agent = RunningAgent::start_with(Wall::none(), config, Clock::system()).unwrap();
    fake.offer(Offer::new(Operation::ExecuteDml, &["DELETE FROM t"]));
    let message = fake.result()["error_message"].to_string();
    assert!(message.contains("agent_id"), "{message}");
    agent.stop(LONG);
    assert_eq!(place.rows(), 3);
}

#[test]
fn another_agents_token_is_refused_without_a_configured_id() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().agent_id = Some("agent-2");
    let agent = place.agent(&fake);
    fake.offer(Offer::new(Operation::ExecuteDml, &["DELETE FROM t"]));
    let message = fake.result()["error_message"].to_string();
    assert!(message.contains("agent_id"), "{message}");
    agent.stop(LONG);
    drop(agent);
    // What the server named at the first use of the token counts.
    fake.seen().agent_id = Some("agent-1");
    let agent = place.agent(&fake);
    let failure = agent.wait_failure(LONG).unwrap();
    assert!(failure.contains("`agent-2` before"), "{failure}");
    agent.stop(LONG);
    assert_eq!(place.rows(), 3);
}

#[test]
fn claim_whose_answer_is_lost_is_repeated_under_its_key() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().claims_lost = 1;
    let agent = place.agent(&fake);
    fake.offer(Offer::new(Operation::ExecuteSelect, &["SELECT 1"]));
    fake.result();
    agent.stop(LONG);
    let keys = fake.seen().claim_keys.clone();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0].len(), 34);
}

#[test]
fn an_execution_never_runs_twice() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    let offer = Offer::new(Operation::ExecuteDml, &["INSERT INTO t VALUES (9)"]);
    fake.offer(offer.clone());
    fake.result();
    assert_eq!(place.rows(), 4);
    // The server, or somebody with its key, gives the same execution out again; then a new one.
    fake.offer(offer.clone());
    drop(fake.wait(|seen| seen.offers.is_empty()));
    let mut next = offer;
    next.execution_id = crate::crypto::uuid();
    fake.offer(next.clone());
    let seen = fake.wait(|seen| seen.results.len() == 2);
    assert_eq!(seen.results[1].0, next.execution_id);
    drop(seen);
    agent.stop(LONG);
    assert_eq!(place.rows(), 5);
}

#[test]
fn a_cancelled_execution_is_interrupted() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().cancelled = true;
    let agent = place.agent(&fake);
    let mut offer = Offer::new(Operation::ExecuteSelect, &[ENDLESS]);
    offer.lease_secs = 6;
    fake.offer(offer);
    assert_eq!(fake.result()["error_message"], json!("query cancelled"));
    assert!(fake.seen().heartbeats >= 1);
    agent.stop(LONG);
}

#[test]
fn statement_under_way_at_a_stop_is_undone_and_reported() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    let insert = format!("INSERT INTO t {ENDLESS}");
    fake.offer(Offer::new(
        Operation::ExecuteDml,
        &["DELETE FROM t", &insert],
    ));
    let running = agent.shared.wait(LONG, |state| !state.running.is_empty());
    assert_eq!(running.running.len(), 1);
    drop(running);
    agent.stop(Duration::ZERO);
    let message = fake.result()["error_message"].to_string();
    assert!(message.contains("had to stop; rolled back"), "{message}");
    assert_eq!(place.rows(), 3);
}

#[test]
fn stopping_does_not_wait_for_a_poll_that_waits() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    drop(fake.wait(|seen| seen.polls.len() == 2));
    let began = Instant::now();
    agent.stop(LONG);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn after_a_crash_the_agent_reports_known_and_unknown_outcomes() {
    let (fake, place) = (Fake::start(), Place::new());
    let now = Clock::system().now();
    let journal = Journal::open(&place.state()).unwrap();
    let target = Target::new("app", "development").unwrap();
    let claimed = |id: &str, at: Timestamp| {
        assert!(journal.claimed(id, "r", "h", &target, at).unwrap());
    };
    claimed("done", Timestamp(now.0 - 2));
    claimed("ran", Timestamp(now.0 - 1));
    journal.started("ran", None, true).unwrap();
    claimed("half", now);
    journal.started("half", None, false).unwrap();
    journal.finish("done", "{\"success\":true}", now).unwrap();
    drop(journal);
    let agent = place.agent(&fake);
    let seen = fake.wait(|seen| seen.results.len() == 3);
    assert_eq!(seen.results[0], ("done".into(), json!({"success": true})));
    for (n, id, outcome, says) in [
        (1, "ran", "rolled_back", "rolled back"),
        (2, "half", "unknown", "may or may not have taken effect"),
    ] {
        let (found, body) = &seen.results[n];
        assert_eq!((found.as_str(), &body["outcome"]), (id, &json!(outcome)));
        let message = body["error_message"].to_string();
        assert!(message.contains(says), "{message}");
    }
    drop(seen);
    agent.stop(LONG);
}

#[test]
fn outcome_that_server_will_not_have_is_not_sent_again() {
    let (fake, place) = (Fake::start(), Place::new());
    fake.seen().results_refused = (1, 409);
    let agent = place.agent(&fake);
    fake.offer(Offer::new(Operation::ExecuteSelect, &["SELECT 1"]));
    drop(fake.wait(|seen| seen.results_refused.0 == 0 && seen.offers.is_empty()));
    drop(agent);
    let journal = Journal::open(&place.state()).unwrap();
    assert!(journal.unsubmitted(10).unwrap().is_empty());
    assert!(fake.seen().results.is_empty());
}

#[test]
fn a_server_with_another_key_is_not_obeyed() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    assert!(agent.wait_ready(LONG));
    agent.stop(LONG);
    drop(agent);
    // The first start has pinned the key of this server; now another one stands there.
    let journal = Journal::open(&place.state()).unwrap();
    journal.set_public_key(&"ab".repeat(32)).unwrap();
    drop(journal);
    let agent = place.agent(&fake);
    let why = agent.wait_failure(LONG).unwrap();
    assert!(
        why.contains("public key is not the key of its first start"),
        "{why}"
    );
    assert!(!agent.wait_ready(Duration::ZERO));
    drop(agent);
    // Configured on purpose, it is accepted and remembered.
    let mut config = place.config(&fake);
    config.public_key = Some(fake.key.public().bytes());
    let agent = RunningAgent::start_with(Wall::none(), config, Clock::system()).unwrap();
    assert!(agent.wait_ready(LONG));
    drop(agent);
    assert!(place.agent(&fake).wait_ready(LONG));
}
