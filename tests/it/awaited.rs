//! Who or what a request waits for: answered by every call that leaves somebody waiting.

use crate::approvals::{reader, shop, submit};
use crate::support::{Server, golden};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

#[test]
fn each_call_that_leaves_somebody_waiting_says_for_whom() {
    let s = shop(
        "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n\
         [[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"dba\"\n",
    );
    let request = submit(&s);
    let ops = |votes: u32| {
        json!({
            "action": "approve", "by": ["group:ops"],
            "remaining": {
                "step": 0, "votes": votes, "of": [{"selector": "group:ops", "votes": votes}], "steps_after": 1,
            },
        })
    };
    assert_eq!(request.answer.json["next"], ops(2));
    let voted = reader(&s, "op-one").approve(&request).is(200).json;
    assert_eq!(voted["next"], ops(1));
    assert_eq!(voted["remaining"], ops(1)["remaining"]);
    reader(&s, "op-two").approve(&request).is(200);
    assert_eq!(
        request.by.show(&request).json["next"]["by"],
        json!(["group:dba"])
    );
    let voted = reader(&s, "dba-one").approve(&request).is(200).json;
    let resume = json!({"action": "resume", "by": ["user:requester"], "remaining": null});
    assert_eq!(
        (&voted["next"], &voted["remaining"]),
        (&resume, &Value::Null)
    );
    // Nobody has seen an agent of this database.
    let resumed = request.by.resume(&request).is(200).json;
    let run = json!({"action": "run", "by": [], "remaining": null});
    assert_eq!(
        (&resumed["next"], &resumed["queue_hint"]),
        (&run, &json!("no_agents"))
    );
    let stream = request
        .by
        .get(&request.path("/result/stream?wait=0"))
        .is(204);
    assert_eq!(stream.header("x-dbward-awaits"), Some("run"));
    assert_eq!(stream.header("x-dbward-queue-hint"), Some("no_agents"));
    let agent = s.agent("agent-1");
    let claim = agent.claim(&request.id);
    let stream = request
        .by
        .get(&request.path("/result/stream?wait=0"))
        .is(204);
    assert_eq!(stream.header("x-dbward-awaits"), Some("report agent-1"));
    agent.succeed(&claim.execution, "{}").is(200);
    assert_eq!(request.by.show(&request).json["next"], Value::Null);
}

#[test]
fn request_that_no_agent_would_take_says_so_at_once() {
    let s = Server::shop();
    let hint = |environment: &str, sql: &str, more: Value| {
        let answer = s.requester().create_with(environment, sql, more);
        answer.is(201).json["queue_hint"].clone()
    };
    assert_eq!(hint("production", UPDATE, json!({})), "no_agents");
    assert_eq!(hint("development", UPDATE, json!({})), "no_agents");
    let agent = s.agent("agent-1").serving(json!({
        "databases": ["shop"], "environments": ["production"], "operations": ["execute_select"],
    }));
    agent.poll();
    assert_eq!(
        hint("production", UPDATE, json!({})),
        "no_agents_for_operation"
    );
    assert_eq!(hint("production", "SELECT 1", json!({})), Value::Null);
    assert_eq!(hint("development", "SELECT 1", json!({})), "no_agents");
    // One that is busy will take it later; one that has gone will not.
    let busy = json!({"status": {"in_flight": 2, "max_concurrent": 2}});
    agent.poll_with(busy).is(200);
    assert_eq!(hint("production", "SELECT 1", json!({})), Value::Null);
    s.turn(61);
    assert_eq!(hint("production", "SELECT 1", json!({})), "no_agents");
}

#[test]
fn unreadable_text_is_located_when_submitted() {
    let s = Server::shop();
    let more = json!({"idempotency_key": "k"});
    let first = s
        .requester()
        .create_with("production", "SELECT 1;\n  SELEC 2", more.clone());
    let place = first.is(201).json["unparsable"].clone();
    assert_eq!((&place["line"], &place["column"]), (&json!(2), &json!(3)));
    assert!(!place["message"].as_str().unwrap().is_empty());
    let again = s
        .requester()
        .create_with("production", "SELECT 1;\n  SELEC 2", more);
    assert_eq!(again.is(200).json["unparsable"], place);
    let fine = s.requester().create("production", UPDATE).is(201);
    assert_eq!(fine.json["unparsable"], Value::Null);
    golden("create_unparsable", &first.json);
}
