//! Statements that agents explain before anybody approves: which, by whom, and what reviewers see of it.

mod preflights;

use crate::support::{Agent, Answer, Request, SHOP, Server, eventually};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const TWO: &str =
    "UPDATE items SET price = 2 WHERE id = 1; UPDATE items SET price = 3 WHERE id = 2";

/// What an agent is offered to explain: id and statement.
fn offered(agent: &Agent) -> Vec<(String, String)> {
    listed(&agent.poll())
}

fn listed(answer: &Answer) -> Vec<(String, String)> {
    let text = |job: &Value, field: &str| job[field].as_str().unwrap().to_owned();
    let jobs = answer.list("dry_run_jobs");
    jobs.iter()
        .map(|job| (text(job, "id"), text(job, "sql")))
        .collect()
}

fn claim(agent: &Agent, id: &str) -> Answer {
    agent.person.poke(&format!("/api/agent/dry-run/{id}/claim"))
}

fn finish(agent: &Agent, id: &str, body: &Value) -> Answer {
    agent
        .person
        .post(&format!("/api/agent/dry-run/{id}/result"), body)
}

/// Claims a job and answers it.
fn explain(agent: &Agent, id: &str, mut body: Value) -> Answer {
    body["claim_token"] = claim(agent, id).is(200).text("claim_token").into();
    finish(agent, id, &body)
}

fn plan(cost: u32) -> Value {
    json!({"result": [{"Plan": {"Node Type": "Update", "Total Cost": cost}}]})
}

fn context(request: &Request) -> Value {
    request.by.show(request).is(200).json["context"].clone()
}

fn sweep(s: &Server) {
    dbward::jobs::dry_runs(s.inner().job_state()).unwrap();
}

#[test]
fn every_statement_of_what_waits_for_somebody_is_explained() {
    let s = Server::shop();
    let request = s.requester().submit("production", TWO);
    let collecting = context(&request);
    assert_eq!(
        (
            &collecting["status"],
            &collecting["explain_enabled"],
            &collecting["explain"]
        ),
        (&json!("collecting"), &json!(true), &Value::Null)
    );
    let unplanned = s.approver().show(&request).is(200);
    let agent = s.agent("agent-1");
    let poll = agent.poll_with(json!({"limit": 0})).is(200);
    let job = &poll.json["dry_run_jobs"][0];
    assert_eq!(
        (&job["request_id"], &job["database"], &job["environment"]),
        (&json!(request.id), &json!("shop"), &json!("production"))
    );
    let jobs = listed(&poll);
    assert_eq!(jobs.len(), 2);
    // Answered from the last to the first, shown in the order of the text.
    assert_eq!(
        explain(&agent, &jobs[1].0, plan(2)).is(200).json,
        json!({"status": "accepted"})
    );
    assert_eq!(context(&request)["status"], "collecting");
    explain(&agent, &jobs[0].0, plan(1)).is(200);
    let ready = context(&request);
    assert_eq!(ready["status"], "ready");
    assert_eq!(
        ready["explain"],
        json!([
            {"sql": jobs[0].1, "plan": plan(1)["result"]},
            {"sql": jobs[1].1, "plan": plan(2)["result"]},
        ])
    );
    assert!(jobs[0].1.contains("price = 2") && jobs[1].1.contains("price = 3"));
    assert!(offered(&agent).is_empty());
    // Approvers see it too, and a vote of who has not seen it yet does not count.
    let seen = s.approver().show(&request).is(200);
    assert_eq!(seen.json["context"]["explain"], ready["explain"]);
    let vote = |shown: &Answer| {
        let tag = shown.header("etag").unwrap();
        let path = request.path("/approve");
        s.approver().call("POST", &path, &[("If-Match", tag)], b"")
    };
    vote(&unplanned).refused(412, "changed");
    vote(&seen).is(200);
}

#[test]
fn only_waiters_for_the_plans_are_woken_by_them() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let agent = s.agent("agent-1");
    let wait = |seen: &str| {
        let path = request.path(&format!("?wait=60&seen={seen}"));
        s.approver().begin("GET", &path, &[], b"")
    };
    let plans = wait("pending:0:none:collecting:0");
    s.until_parked(1);
    let others = [wait("pending:0"), wait("pending:0:none")];
    s.until_parked(3);
    let id = offered(&agent)[0].0.clone();
    explain(&agent, &id, plan(1)).is(200);
    let seen = plans.answer().is(200).json;
    assert_eq!(seen["context"]["status"], "ready");
    assert_eq!(seen["context"]["explain"][0]["plan"], plan(1)["result"]);
    // Who saw less than there is now is answered at once.
    let late = wait("pending:0:none:collecting:0").answer().is(200).json;
    assert_eq!(late["context"]["status"], "ready");
    for other in others {
        assert!(other.is_waiting());
        other.hang_up();
    }
}

#[test]
fn requests_without_reviewers_or_storage_are_not_explained() {
    let toml = SHOP.replace(
        "environment = \"staging\"\n",
        "environment = \"staging\"\nexplain = false\n",
    );
    let s = Server::with(&toml);
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    agent.poll();
    requester.submit("development", UPDATE);
    let silent = requester.submit_with("production", UPDATE, json!({"no_result_store": true}));
    let plain = requester.submit("staging", UPDATE);
    let rescue = json!({"emergency": true, "reason": "outage"});
    s.admin().submit_with("production", UPDATE, rescue);
    let up = json!({"operation": "migrate_status"});
    requester.submit_with("production", "{}", up);
    let odd = requester.submit("production", "SELEC nonsense FROM FROM");
    assert!(offered(&agent).is_empty());
    assert_eq!(context(&silent), Value::Null);
    let shown = context(&plain);
    assert_eq!(
        (&shown["status"], &shown["explain_enabled"]),
        (&json!("ready"), &json!(false))
    );
    assert_eq!(context(&odd)["status"], "ready");
}

#[test]
fn waiting_poll_is_answered_when_a_plan_is_wanted() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let waiting = agent.begin_poll(30);
    s.until_parked(1);
    let elsewhere = s
        .agent("agent-2")
        .serving(json!({"databases": ["shop"], "environments": ["staging"]}))
        .begin_poll(30);
    s.until_parked(2);
    let request = s.requester().submit("production", UPDATE);
    let answer = waiting.answer().is(200);
    assert!(answer.list("jobs").is_empty());
    assert_eq!(
        answer.json["dry_run_jobs"][0]["request_id"],
        request.id.as_str()
    );
    assert!(elsewhere.is_waiting());
    elsewhere.hang_up();
    // Once it is taken, the next poll waits again.
    let id = listed(&answer)[0].0.clone();
    claim(&agent, &id).is(200);
    let again = agent.begin_poll(30);
    eventually("parked again", || s.parked() == 1);
    assert!(again.is_waiting());
    again.hang_up();
}

#[test]
fn a_job_belongs_to_the_first_claimant() {
    let s = Server::shop();
    s.requester().submit("production", UPDATE);
    let (one, two) = (s.agent("agent-1"), s.agent("agent-2"));
    let id = offered(&one)[0].0.clone();
    assert_eq!(offered(&two)[0].0, id);
    let token = claim(&one, &id).is(200).text("claim_token");
    claim(&two, &id).refused(409, "conflict");
    claim(&one, &id).refused(409, "conflict");
    assert!(offered(&two).is_empty());
    let answer = |token: &str| json!({"claim_token": token, "result": {}});
    finish(&two, &id, &answer(&token)).refused(409, "conflict");
    finish(&one, &id, &answer("another")).refused(409, "conflict");
    finish(&one, &id, &answer(&token)).is(200);
    finish(&one, &id, &answer(&token)).refused(409, "conflict");
    claim(&one, &id).refused(409, "conflict");
}

#[test]
fn only_agents_that_serve_the_target_take_part() {
    let s = Server::shop();
    s.requester().submit("production", UPDATE);
    let id = offered(&s.agent("agent-1"))[0].0.clone();
    let elsewhere = s
        .agent("agent-2")
        .serving(json!({"databases": ["shop"], "environments": ["staging"]}));
    elsewhere.poll();
    let body = json!({"claim_token": "a", "result": {}});
    claim(&elsewhere, &id).refused(403, "forbidden");
    finish(&elsewhere, &id, &body).refused(403, "forbidden");
    claim(&s.agent("never-polled"), &id).refused(403, "forbidden");
    let agent = s.agent("agent-1");
    claim(&agent, "nothing").refused(404, "not_found");
    finish(&agent, "nothing", &body).refused(404, "not_found");
    for person in [s.requester(), s.admin()] {
        for verb in ["claim", "result"] {
            let path = format!("/api/agent/dry-run/{id}/{verb}");
            person.post(&path, &body).refused(403, "forbidden");
            s.nobody()
                .post(&path, &body)
                .refused(401, "unauthenticated");
        }
    }
}

#[test]
fn an_answer_is_a_plan_or_an_error() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let agent = s.agent("agent-1");
    let id = offered(&agent)[0].0.clone();
    let token = claim(&agent, &id).is(200).text("claim_token");
    for body in [
        json!({"claim_token": token}),
        json!({"result": {}}),
        json!({"claim_token": 7, "result": {}}),
        json!({"claim_token": token, "error": 7}),
        json!([]),
    ] {
        let answer = finish(&agent, &id, &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.raw());
    }
    let path = format!("/api/agent/dry-run/{id}/result");
    let broken = format!("{{\"claim_token\":\"{token}\",\"result\":{{\"a\":}}}}");
    agent
        .person
        .call("POST", &path, &[], broken.as_bytes())
        .refused(400, "validation_error");
    assert_eq!(context(&request)["status"], "collecting");
    let error = json!({"claim_token": token, "error": "e".repeat(9_000), "result": {"a": 1}});
    finish(&agent, &id, &error).is(200);
    let shown = context(&request);
    // An agent has answered, be it with an error.
    assert_eq!(shown["status"], "partial");
    assert_eq!(shown["explain"][0]["error"].as_str().unwrap().len(), 4_096);
    assert_eq!(shown["explain"][0]["plan"], Value::Null);
}

#[test]
fn a_plan_that_is_too_large_is_reported_as_such() {
    let s = Server::shop();
    let request = s.requester().submit("production", TWO);
    let agent = s.agent("agent-1");
    let jobs = offered(&agent);
    let large = json!({"result": "p".repeat(64 * 1024)});
    explain(&agent, &jobs[0].0, large).is(200);
    let fits = json!({"result": "p".repeat(64 * 1024 - 2)});
    explain(&agent, &jobs[1].0, fits).is(200);
    let shown = context(&request);
    assert_eq!(shown["status"], "partial");
    let error = shown["explain"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("65538") && error.contains("65536"),
        "{error}"
    );
    assert!(shown["explain"][1]["plan"].is_string());
}

#[test]
fn numbers_of_a_plan_come_back_as_they_were_sent() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let agent = s.agent("agent-1");
    let id = offered(&agent)[0].0.clone();
    let token = claim(&agent, &id).is(200).text("claim_token");
    let body =
        format!("{{\"claim_token\":\"{token}\",\"result\":{{\"z\":1,\"a\":9007199254740993}}}}");
    let path = format!("/api/agent/dry-run/{id}/result");
    agent
        .person
        .call("POST", &path, &[], body.as_bytes())
        .is(200);
    let shown = request.by.show(&request).is(200);
    assert_eq!(
        shown.json["context"]["explain"][0]["plan"]["a"],
        9007199254740993_u64
    );
}

#[test]
fn what_nobody_explains_in_time_is_shown_without() {
    let s = Server::shop();
    let (none, some) = (
        s.requester().submit("production", UPDATE),
        s.requester().submit("production", TWO),
    );
    let agent = s.agent("agent-1");
    let jobs = offered(&agent);
    assert_eq!(jobs.len(), 3);
    explain(&agent, &jobs[1].0, plan(1)).is(200);
    let token = claim(&agent, &jobs[2].0).is(200).text("claim_token");
    s.turn_only(299);
    sweep(&s);
    assert_eq!(context(&none)["status"], "collecting");
    s.turn_only(1);
    sweep(&s);
    let (none, some) = (context(&none), context(&some));
    assert_eq!(
        (&none["status"], &some["status"]),
        (&json!("unavailable"), &json!("partial"))
    );
    assert!(
        none["explain"][0]["error"]
            .as_str()
            .unwrap()
            .contains("in time")
    );
    assert_eq!(some["explain"][0]["plan"], plan(1)["result"]);
    assert_eq!(some["explain"][1]["plan"], Value::Null);
    let late = json!({"claim_token": token, "result": {}});
    finish(&agent, &jobs[2].0, &late).refused(409, "conflict");
    claim(&agent, &jobs[0].0).refused(409, "conflict");
    assert!(offered(&agent).is_empty());
}

#[test]
fn claim_that_nobody_answers_is_free_again_after_a_minute() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let (one, two) = (s.agent("agent-1"), s.agent("agent-2"));
    let id = offered(&one)[0].0.clone();
    let token = claim(&one, &id).is(200).text("claim_token");
    s.turn_only(59);
    sweep(&s);
    assert!(offered(&two).is_empty());
    s.turn_only(1);
    sweep(&s);
    assert_eq!(offered(&two)[0].0, id);
    let stale = json!({"claim_token": token, "result": {"old": 1}});
    finish(&one, &id, &stale).refused(409, "conflict");
    explain(&two, &id, plan(3)).is(200);
    finish(&one, &id, &stale).refused(409, "conflict");
    assert_eq!(context(&request)["explain"][0]["plan"], plan(3)["result"]);
}

#[test]
fn ten_jobs_at_a_time_and_twenty_statements_each() {
    let s = Server::shop();
    let many = vec![UPDATE; 25].join("; ");
    let request = s.requester().submit("production", &many);
    let agent = s.agent("agent-1");
    let mut seen = 0;
    loop {
        let jobs = offered(&agent);
        if jobs.is_empty() {
            break;
        }
        assert!(jobs.len() <= 10);
        for (id, _) in &jobs {
            explain(&agent, id, plan(1)).is(200);
        }
        seen += jobs.len();
    }
    assert_eq!(seen, 20);
    let shown = context(&request);
    assert_eq!(shown["explain"].as_array().unwrap().len(), 20);
    assert_eq!(shown["status"], "ready");
}

#[test]
fn agents_that_take_no_work_explain_nothing() {
    let s = Server::shop();
    s.requester().submit("production", UPDATE);
    let agent = s.agent("agent-1");
    let draining = json!({"status": {"draining": true}});
    assert!(listed(&agent.poll_with(draining).is(200)).is_empty());
    let old = agent.poll_with(json!({"agent_version": "0.1.5"})).is(200);
    assert_eq!(old.json["upgrade_required"], true);
    assert!(listed(&old).is_empty());
    assert_eq!(offered(&agent).len(), 1);
}

#[test]
fn explaining_outlives_a_restart_and_changes_no_decision() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let s = s.restart();
    let agent = s.agent("agent-1");
    let id = offered(&agent)[0].0.clone();
    s.approver().approve(&request).is(200);
    explain(&agent, &id, plan(1)).is(200);
    let shown = s.requester().show(&request).is(200).json;
    assert_eq!(
        (&shown["status"], &shown["context"]["status"]),
        (&json!("approved"), &json!("ready"))
    );
}

#[test]
fn what_ended_or_left_since_the_poll_is_not_explained() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let cancelled = s.requester().submit("production", UPDATE);
    let job = offered(&agent).remove(0).0;
    s.requester().cancel(&cancelled).is(200);
    claim(&agent, &job).refused(409, "conflict");
    s.requester().submit("production", UPDATE);
    let job = offered(&agent).remove(0).0;
    let s = s.restart_with(&SHOP.replace(", \"production\"]", "]"));
    let agent = s.agent("agent-1");
    agent.poll();
    claim(&agent, &job).refused(422, "database_not_registered");
}

#[test]
fn edited_statements_are_not_explained_and_freeze_their_request() {
    for edited in [
        "UPDATE dry_run_jobs SET sql_text = 'SELECT 1' WHERE request_seq = ?",
        "UPDATE dry_run_jobs SET statement_index = 1 WHERE request_seq = ?",
        "UPDATE dry_run_jobs SET environment = 'development' WHERE request_seq = ?",
    ] {
        let s = Server::shop();
        let agent = s.agent("agent-1");
        let (sound, request) = (
            s.requester().submit("production", UPDATE),
            s.requester().submit("production", UPDATE),
        );
        let [_, (job, _)] = &offered(&agent)[..] else {
            panic!("two are offered");
        };
        s.edit_request(&request, edited);
        claim(&agent, job).refused(409, "corrupt");
        let request_ids: Vec<Value> = agent
            .poll()
            .list("dry_run_jobs")
            .iter()
            .map(|job| job["request_id"].clone())
            .collect();
        assert_eq!(request_ids, [json!(sound.id)], "{edited}");
        let events = s.events("event_type=request.corrupt");
        assert_eq!(events.len(), 1, "{edited}");
        let facts = events[0]["metadata_json"].as_str().unwrap();
        assert!(facts.contains("\"differs\":\"dry_runs\""), "{facts}");
    }
}

#[test]
fn poll_freezes_a_request_whose_statements_were_edited() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    s.edit_request(
        &request,
        "UPDATE dry_run_jobs SET sql_text = 'SELECT 1' WHERE request_seq = ?",
    );
    assert_eq!(offered(&s.agent("agent-1")), Vec::new());
    assert_eq!(s.events("event_type=request.corrupt").len(), 1);
}
