//! The other side: agents register, wait, claim, send heartbeats, and report.

use crate::support::{Agent, SHOP, Server, eventually, golden, ids};
use dbward::crypto::{PublicKey, unhex};
use dbward::domain::dialect::Dialect;
use dbward::domain::execution_token::{self, Expected};
use dbward::domain::id::Operation;
use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use std::thread;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "select id from items where id = 1";
const MIGRATION: &str = r#"{"format":"v2","direction":"up","versions":["1"],"migrations":[{"version":"1","sql":"CREATE TABLE ü (a int)","transactional":true}],"dir_sha256":"00"}"#;

fn migration(s: &Server) -> String {
    let more = json!({"operation": "migrate_up"});
    s.requester().submit_with("development", MIGRATION, more).id
}

#[test]
fn a_first_poll_registers_an_agent_once() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    golden("poll_nothing", &agent.poll().json);
    agent.poll();
    assert_eq!(s.events("event_type=agent.registered").len(), 1);
    let shown = s.admin().get("/api/agents").is(200);
    assert_eq!(shown.json["agents"][0]["id"], "agent-1");
    let mut shown = shown.json;
    shown["agents"][0]["last_poll_ago_secs"] = "<secs>".into();
    golden("agents", &shown);
    s.requester().get("/api/agents").refused(403, "forbidden");
    s.turn(61);
    let shown = s.admin().get("/api/agents").is(200).json;
    assert_eq!(shown["agents"][0]["status"], "offline");
}

#[test]
fn agents_are_known_after_a_restart() {
    let s = Server::shop();
    s.agent("agent-1").poll();
    let request = s.requester().submit("development", SELECT);
    let s = s.restart();
    s.agent("agent-1").try_claim(&request.id).is(200);
}

#[test]
fn a_poll_offers_jobs_in_the_order_of_their_dispatch() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let late = s.requester().submit("production", UPDATE);
    let first = s.requester().submit("development", UPDATE);
    let second = s.requester().submit("development", SELECT);
    let late = late.approved_by(&s.approver()).resumed();
    let answer = agent.poll_with(json!({"limit": 20})).is(200);
    assert_eq!(ids(&answer), [first.id.clone(), second.id.clone(), late.id]);
    golden("poll_job", &answer.json["jobs"][0]);
    assert_eq!(agent.jobs(), [first.id, second.id]);
    assert!(ids(&agent.poll_with(json!({"limit": 0})).is(200)).is_empty());
    assert_eq!(
        ids(&agent
            .poll_with(json!({"limit": 1000, "status": null}))
            .is(200))
        .len(),
        3
    );
}

#[test]
fn an_agent_is_offered_what_it_serves_and_can() {
    let s = Server::with(&format!(
        "{SHOP}\n[[databases]]\nname = \"other\"\nenvironments = [\"development\"]\n"
    ));
    let shop = s.requester().submit("development", UPDATE).id;
    let read = s.requester().submit("development", SELECT).id;
    let other = s
        .requester()
        .submit_with("development", UPDATE, json!({"database": "other"}))
        .id;
    let offered = |capabilities: Value| s.agent("agent-1").serving(capabilities).jobs();
    let all = json!({"databases": ["*"], "environments": ["*"]});
    assert_eq!(
        s.agent("a")
            .serving(all)
            .poll_with(json!({"limit": 9}))
            .list("jobs")
            .len(),
        3
    );
    assert_eq!(
        offered(json!({"databases": ["shop"]})),
        [shop.clone(), read.clone()]
    );
    assert_eq!(
        offered(json!({"databases": ["other"], "environments": ["*"]})),
        [other.as_str()]
    );
    let scopes = json!({"scopes": [{"database": "other", "environment": "development"}]});
    assert_eq!(offered(scopes), [other.as_str()]);
    let both = json!({"databases": ["shop"], "environments": ["production"], "scopes": [{"database": "other", "environment": "*"}]});
    assert_eq!(offered(both), [other]);
    let reads =
        json!({"databases": ["shop"], "environments": [], "operations": ["execute_select"]});
    assert_eq!(offered(reads), [read]);
    assert!(offered(json!({"databases": ["shop"], "environments": ["production"]})).is_empty());
    assert!(offered(json!({"databases": []})).is_empty());
}

#[test]
fn claim_is_held_against_what_the_agent_serves_and_can() {
    let s = Server::shop();
    let write = s.requester().submit("development", UPDATE).id;
    let elsewhere = s
        .agent("agent-1")
        .serving(json!({"databases": ["shop"], "environments": ["production"]}));
    elsewhere.poll();
    elsewhere.try_claim(&write).refused(403, "forbidden");
    let reads = json!({"databases": ["shop"], "operations": ["execute_select"]});
    let reader = s.agent("agent-2").serving(reads);
    reader.poll();
    reader.try_claim(&write).refused(403, "forbidden");
    s.agent("never-polled")
        .try_claim(&write)
        .refused(404, "not_found");
    assert_eq!(
        s.events("event_type=attempt.refused&actor_id=agent-1")
            .len(),
        1
    );
    s.agent("agent-3").claim(&write);
}

#[test]
fn bad_polls_are_400() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    for capabilities in [
        json!({}),
        json!({"databases": "shop"}),
        json!({"databases": ["Shop!"]}),
        json!({"databases": [1]}),
        json!({"databases": ["shop"], "environments": ["no pe"]}),
        json!({"databases": ["shop"], "operations": ["drop"]}),
        json!({"scopes": [{"database": "shop"}]}),
        json!({"databases": (0..257).map(|n| format!("db{n}")).collect::<Vec<_>>()}),
        json!(7),
    ] {
        let answer = agent
            .clone()
            .serving(capabilities.clone())
            .poll_with(json!({}));
        assert_eq!(answer.status, 400, "{capabilities}: {}", answer.raw());
    }
    for more in [
        json!({"limit": -1}),
        json!({"limit": "two"}),
        json!({"wait": -1}),
        json!({"status": 5}),
        json!({"agent_version": 1}),
    ] {
        agent.poll_with(more).refused(400, "validation_error");
    }
    assert!(s.events("event_type=agent.registered").is_empty());
}

#[test]
fn poll_that_waits_is_answered_when_a_job_is_there() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let waiting = agent.begin_poll(30);
    s.until_parked(1);
    let request = s.requester().submit("development", SELECT);
    assert_eq!(ids(&waiting.answer().is(200)), [request.id]);
    assert!(s.agent("agent-1").jobs().len() == 1);
}

#[test]
fn a_poll_waits_no_longer_than_thirty_seconds() {
    let s = Server::shop();
    let waiting = s.agent("agent-1").begin_poll(3_600);
    s.until_parked(1);
    s.turn_only(29);
    assert!(waiting.is_waiting());
    s.turn_only(2);
    assert!(waiting.answer().is(200).list("jobs").is_empty());
}

#[test]
fn one_job_wakes_one_of_two_who_wait_for_it() {
    let s = Server::shop();
    let (one, two) = (
        s.agent("agent-1").begin_poll(30),
        s.agent("agent-2").begin_poll(30),
    );
    s.until_parked(2);
    s.requester().submit("development", SELECT);
    s.until_parked(1);
    eventually("one answer", || one.is_waiting() != two.is_waiting());
    s.requester().submit("development", SELECT);
    assert!(!ids(&one.answer()).is_empty() && !ids(&two.answer()).is_empty());
}

#[test]
fn job_for_a_client_that_went_away_is_passed_on() {
    let s = Server::shop();
    let gone = s.agent("agent-1").begin_poll(30);
    s.until_parked(1);
    let stays = s.agent("agent-2").begin_poll(30);
    s.until_parked(2);
    gone.hang_up();
    let request = s.requester().submit("development", SELECT);
    assert_eq!(ids(&stays.answer().is(200)), [request.id]);
}

#[test]
fn an_agent_that_waits_for_work_counts_as_seen() {
    let s = Server::shop();
    let waiting = s.agent("agent-1").begin_poll(30);
    s.until_parked(1);
    s.turn_only(20);
    let shown = s.admin().get("/api/agents").is(200).json;
    assert_eq!(shown["agents"][0]["status"], "healthy");
    waiting.hang_up();
}

#[test]
fn an_agent_that_is_too_old_gets_no_work() {
    let s = Server::shop();
    s.requester().submit("development", SELECT);
    let agent = s.agent("agent-1");
    for (version, old) in [
        ("0.1.5", true),
        ("0.1.6", false),
        ("0.1.10", false),
        ("1.0.0", false),
        ("", false),
    ] {
        let answer = agent.poll_with(json!({"agent_version": version})).is(200);
        assert_eq!(answer.json["upgrade_required"], old, "{version}");
        assert_eq!(answer.list("jobs").is_empty(), old, "{version}");
    }
    assert_eq!(agent.poll().text("min_agent_version"), "0.1.6");
}

#[test]
fn a_claim_gives_what_the_agent_needs() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    let mut answer = s.agent("agent-1").claim(&request.id).answer.json;
    let token: Value = serde_json::from_str(answer["execution_token"].as_str().unwrap()).unwrap();
    answer["execution_token"] = token;
    answer["execution_token"]["policy_version"] = "<sha256>".into();
    golden("claim", &answer);
}

#[test]
fn execution_tokens_verify_under_both_messages() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let key = agent
        .person
        .get("/api/public-key")
        .is(200)
        .text("public_key");
    let key = PublicKey::from_bytes(&unhex(&key).unwrap()).unwrap();
    for id in [
        s.requester().submit("development", SELECT).id,
        migration(&s),
    ] {
        let claim = agent.claim(&id).answer;
        let text = claim.text("execution_token");
        let token: Value = serde_json::from_str(&text).unwrap();
        let field = |name: &str| token[name].as_str().unwrap().to_owned();
        // The message of 0.1.6, made from what is in the token.
        let names = [
            "request_id",
            "operation",
            "environment",
            "database",
            "detail_hash",
            "expires_at",
            "requester_role",
            "requester_subject_id",
        ];
        let message = names.map(field).join("|");
        assert!(key.verifies(message.as_bytes(), &field("signature")));
        assert!(!key.verifies(
            message.replace("shop", "other").as_bytes(),
            &field("signature")
        ));
        assert!(field("expires_at").ends_with("+00:00"));
        let plan = claim.json["execution_plan_json"].as_str();
        let operation = Operation::parse(&claim.text("operation")).unwrap();
        let hash = execution_token::detail_hash(plan, operation, &claim.text("detail"));
        assert_eq!(hash, field("detail_hash"));
        let execution = claim.text("execution_id");
        let expected = Expected {
            request_id: &id,
            execution_id: &execution,
            operation,
            database: "shop",
            environment: "development",
            detail_hash: &hash,
            agent_id: "agent-1",
            dialect: Dialect::Postgres,
        };
        execution_token::verify(&text, &key, s.clock.now(), &expected).unwrap();
        agent.succeed(&execution, "{}").is(200);
    }
}

#[test]
fn a_request_is_claimed_once_however_many_try() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    let agents: Vec<Agent> = (0..8).map(|n| s.agent(&format!("agent-{n}"))).collect();
    agents.iter().for_each(|a| drop(a.poll()));
    let barrier = Arc::new(Barrier::new(agents.len()));
    let racers: Vec<_> = agents
        .into_iter()
        .map(|agent| {
            let (id, barrier) = (request.id.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                agent.try_claim(&id).status
            })
        })
        .collect();
    let mut statuses: Vec<u16> = racers.into_iter().map(|r| r.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[test]
fn what_is_not_dispatched_is_not_claimed() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent.poll();
    let pending = s.requester().submit("production", UPDATE);
    agent.try_claim(&pending.id).refused(409, "conflict");
    agent
        .try_claim("00000000-0000-4000-8000-000000000000")
        .refused(404, "not_found");
    agent.try_claim("nonsense").refused(404, "not_found");
}

#[test]
fn claim_with_key_may_be_repeated_until_the_first_heartbeat() {
    let s = Server::shop();
    let (agent, other) = (s.agent("agent-1"), s.agent("agent-2"));
    let request = s.requester().submit("development", SELECT);
    agent.poll();
    other.poll();
    let first = agent.claim_keyed(&request.id, "k1").is(200);
    let again = agent.claim_keyed(&request.id, "k1").is(200);
    for field in ["execution_id", "execution_token"] {
        assert_eq!(first.text(field), again.text(field));
    }
    agent
        .claim_keyed(&request.id, "k2")
        .refused(409, "conflict");
    other
        .claim_keyed(&request.id, "k1")
        .refused(409, "conflict");
    agent.try_claim(&request.id).refused(409, "conflict");
    agent.heartbeat(&first.text("execution_id")).is(200);
    agent
        .claim_keyed(&request.id, "k1")
        .refused(409, "conflict");
    for bad in [
        json!({"claim_key": ""}),
        json!({"claim_key": "k".repeat(129)}),
        json!({"claim_key": 1}),
    ] {
        agent
            .person
            .post(&format!("/api/agent/jobs/{}/claim", request.id), &bad)
            .refused(400, "validation_error");
    }
    assert_eq!(
        s.events(&format!(
            "event_type=execution.started&request_id={}",
            request.id
        ))
        .len(),
        1
    );
}

#[test]
fn only_running_migrations_exclude_each_other() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let (one, two) = (migration(&s), migration(&s));
    let write = s.requester().submit("development", UPDATE).id;
    let claim = agent.claim(&one);
    agent.try_claim(&two).refused(409, "conflict");
    agent.try_claim(&write).is(200);
    assert_eq!(claim.answer.json["statement_timeout_secs"], 0);
    agent
        .succeed(&claim.execution, r#"{"applied":["1"]}"#)
        .is(200);
    agent.try_claim(&two).is(200);
}

#[test]
fn agents_and_people_do_not_reach_each_others_paths() {
    let s = Server::shop();
    let agent = s.agent("agent-1").person;
    for path in [
        "/api/me",
        "/api/requests",
        "/api/agents",
        "/api/databases",
        "/metrics",
        "/api/audit/events",
        "/api/tokens",
    ] {
        agent
            .get(path)
            .refused(403, "forbidden")
            .saying("forbidden");
    }
    agent
        .post("/api/requests", &json!({}))
        .refused(403, "forbidden");
    for person in [s.requester(), s.admin()] {
        person.get("/api/public-key").refused(403, "forbidden");
        person
            .post("/api/agent/poll", &json!({}))
            .refused(403, "forbidden");
        person
            .poke("/api/agent/jobs/x/claim")
            .refused(403, "forbidden");
        person
            .poke("/api/agent/jobs/x/heartbeat")
            .refused(403, "forbidden");
        person
            .post("/api/agent/jobs/x/result", &json!({}))
            .refused(403, "forbidden");
    }
    s.nobody()
        .get("/api/public-key")
        .refused(401, "unauthenticated");
}
