//! The other side: agents register, wait, claim, are heard, and report.

use crate::support::{Agent, ROWS, SHOP, Server, eventually, golden, ids};
use dbward::crypto::{PublicKey, unhex};
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
        [other.clone()]
    );
    let scopes = json!({"scopes": [{"database": "other", "environment": "development"}]});
    assert_eq!(offered(scopes), [other.clone()]);
    let both = json!({"databases": ["shop"], "environments": ["production"], "scopes": [{"database": "other", "environment": "*"}]});
    assert_eq!(offered(both), [other]);
    let reads =
        json!({"databases": ["shop"], "environments": [], "operations": ["execute_select"]});
    assert_eq!(offered(reads), [read]);
    assert!(offered(json!({"databases": ["shop"], "environments": ["production"]})).is_empty());
    assert!(offered(json!({"databases": []})).is_empty());
}

#[test]
fn a_claim_is_held_against_what_the_agent_serves_and_can() {
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
fn a_poll_that_waits_is_answered_when_a_job_is_there() {
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
fn a_job_for_a_client_that_went_away_is_passed_on() {
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
            agent_id: Some("agent-1"),
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
fn a_claim_with_a_key_may_be_repeated_until_the_first_heartbeat() {
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
fn executions_belong_to_the_agent_that_claimed_them() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    let claim = s.agent("agent-1").claim(&request.id);
    let other = s.agent("agent-2");
    other.heartbeat(&claim.execution).refused(403, "forbidden");
    other
        .succeed(&claim.execution, ROWS)
        .refused(403, "forbidden");
    request.is("running");
}

#[test]
fn a_heartbeat_of_what_is_no_more_says_stop() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let stop = json!({"cancelled": true});
    assert_eq!(
        agent
            .heartbeat("00000000-0000-4000-8000-000000000000")
            .is(200)
            .json,
        stop
    );
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    s.turn(60);
    assert_eq!(agent.heartbeat(&claim.execution).is(200).json, stop);
    let request = s.requester().submit("development", SELECT);
    let claim = agent.run(&request.id);
    assert_eq!(agent.heartbeat(&claim.execution).is(200).json, stop);
}

#[test]
fn a_late_report_of_a_lost_execution_counts_once() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    s.turn(60);
    assert_eq!(request.status(), "execution_lost");
    assert_eq!(
        agent.succeed(&claim.execution, ROWS).is(200).text("status"),
        "executed"
    );
    agent.succeed(&claim.execution, ROWS).is(200);
    agent
        .fail(&claim.execution, "no, it failed")
        .refused(409, "conflict");
    let events = s.events(&format!(
        "event_type=execution.completed&request_id={}",
        request.id
    ));
    assert_eq!(events.len(), 1);
    assert!(
        events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains("\"late\":true")
    );
    request.is("executed");
}

#[test]
fn a_late_report_of_what_was_dispatched_again_does_not_count() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    s.turn(60);
    let request = request.resumed();
    agent
        .succeed(&claim.execution, ROWS)
        .refused(409, "lease_lost");
    let second = agent.claim(&request.id);
    assert_ne!(claim.execution, second.execution);
    agent
        .succeed(&claim.execution, ROWS)
        .refused(409, "lease_lost");
    agent.succeed(&second.execution, ROWS).is(200);
    request.is("executed");
}

#[test]
fn an_accepted_report_may_be_repeated_and_not_changed() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let first = agent.succeed(&claim.execution, ROWS).is(200);
    golden("report", &first.json);
    for _ in 0..3 {
        assert_eq!(
            agent.succeed(&claim.execution, ROWS).is(200).json,
            first.json
        );
    }
    agent
        .succeed(&claim.execution, "{\"rows\":[]}")
        .refused(409, "conflict");
    agent.fail(&claim.execution, "no").refused(409, "conflict");
    let content = request.by.get(&request.path("/result/content")).is(200);
    assert_eq!(content.json["result_data"]["rows"][0]["id"], 1);
    assert_eq!(s.events("event_type=execution.completed").len(), 1);
}

#[test]
fn repeated_reports_at_once_are_all_accepted_and_count_once() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    let barrier = Arc::new(Barrier::new(6));
    let racers: Vec<_> = (0..6)
        .map(|_| {
            let (agent, barrier, id) =
                (agent.clone(), Arc::clone(&barrier), claim.execution.clone());
            thread::spawn(move || {
                barrier.wait();
                agent.succeed(&id, ROWS).status
            })
        })
        .collect();
    assert!(racers.into_iter().all(|r| r.join().unwrap() == 200));
    assert_eq!(s.events("event_type=execution.completed").len(), 1);
    request.by.get(&request.path("/result/content")).is(200);
}

#[test]
fn reports_of_unknown_executions_and_bad_reports_are_told_apart() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent
        .succeed("00000000-0000-4000-8000-000000000000", ROWS)
        .refused(404, "not_found");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    for bad in [
        json!({}),
        json!({"success": "yes"}),
        json!({"success": true, "rows_affected": -1}),
        json!({"success": true, "rows_affected": "1"}),
        json!({"success": true, "error_message": 1}),
        json!({"success": true, "duration_ms": 1.5}),
    ] {
        agent
            .result(&claim.execution, &bad)
            .refused(400, "validation_error");
    }
    request.is("running");
}

#[test]
fn an_oversize_result_ends_the_execution_as_failed_with_the_sizes() {
    let s = Server::with(&format!(
        "{SHOP}\n[result_storage]\nmax_persist_bytes = 1000\n"
    ));
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let data = format!("{{\"rows\":[\"{}\"]}}", "x".repeat(2_000));
    let answer = agent
        .succeed(&claim.execution, &data)
        .refused(413, "payload_too_large");
    answer
        .saying("2013")
        .saying("1000")
        .saying("the statement may have taken effect");
    let request = request.is("failed");
    let executions = request
        .by
        .get(&request.path("/executions"))
        .is(200)
        .list("executions");
    assert!(
        executions[0]["error_message"]
            .as_str()
            .unwrap()
            .contains("may have taken effect")
    );
    // The agent drops a result on any 4xx; repeating it must not do harm.
    agent
        .succeed(&claim.execution, &data)
        .refused(413, "payload_too_large");
    let fits = s.requester().submit("development", SELECT);
    agent.run(&fits.id);
}

#[test]
fn a_body_beyond_every_limit_still_ends_its_execution() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", UPDATE);
    let claim = agent.claim(&request.id);
    let body = vec![b' '; 27 * 1024 * 1024];
    let path = format!("/api/agent/jobs/{}/result", claim.execution);
    agent
        .person
        .call("POST", &path, &[], &body)
        .refused(413, "payload_too_large");
    let shown = request.by.get(&request.path("/result/stream")).is(200);
    assert_eq!(shown.json["success"], false);
    assert!(
        shown
            .text("error_message")
            .contains("may have taken effect")
    );
    request.is("failed");
}

#[test]
fn a_result_of_ten_megabytes_escaped_in_a_string_is_accepted() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    // Quotes double in the string, as they do in real rows.
    let data = format!("[{}\"\"]", "\"\",".repeat(3_400_000));
    agent.succeed(&claim.execution, &data).is(200);
    let content = request.by.get(&request.path("/result/content")).is(200);
    assert!(
        content
            .body
            .windows(data.len().min(64))
            .any(|w| w == &data.as_bytes()[..64])
    );
    assert!(content.body.len() > data.len());
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
