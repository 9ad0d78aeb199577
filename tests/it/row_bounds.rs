//! How many rows a request may change at most: who says so, which agents get such a request, and what is signed.

use crate::support::{SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

fn signed(answer: &crate::support::Answer) -> Value {
    let token: Value = serde_json::from_str(&answer.text("execution_token")).unwrap();
    token["max_affected_rows"].clone()
}

#[test]
fn bound_of_requester_is_signed_and_needs_agent_that_counts() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent.poll();
    let request =
        s.requester()
            .submit_with("development", UPDATE, json!({"max_affected_rows": 50}));
    assert_eq!(request.answer.json["queue_hint"], "agents_lack_row_bound");
    let shown = request.by.show(&request).is(200).json;
    assert_eq!(shown["max_affected_rows"], 50);
    assert_eq!(shown["row_bound_source"], "request");
    assert_eq!(shown["queue_hint"], "agents_lack_row_bound");
    assert!(agent.jobs().is_empty());
    agent.try_claim(&request.id).refused(409, "feature_missing");
    let request = request.is("dispatched");
    let capable = json!({"features": ["claims_v2", "row_bound"]});
    let jobs = agent.poll_with(capable).is(200).list("jobs");
    assert_eq!(jobs.len(), 1);
    let claim = agent.try_claim(&request.id).is(200);
    assert_eq!(signed(&claim), 50);
    let created = &s.events(&format!(
        "event_type=request.auto_approved&request_id={}",
        request.id
    ))[0];
    assert!(
        created["metadata_json"]
            .as_str()
            .unwrap()
            .contains("\"max_affected_rows\":50")
    );
}

#[test]
fn bound_of_the_policy_reaches_only_agents_that_count() {
    let s = Server::with(&format!(
        "{SHOP}\n[[execution_policies]]\nmax_affected_rows = 100\n"
    ));
    for (features, rows) in [(json!([]), Value::Null), (json!(["row_bound"]), json!(100))] {
        let agent = s.agent("agent-1");
        agent.poll_with(json!({"features": features})).is(200);
        let request = s.requester().submit("development", UPDATE);
        let shown = request.by.show(&request).is(200).json;
        assert_eq!(shown["max_affected_rows"], 100);
        assert_eq!(shown["row_bound_source"], "policy");
        assert_eq!(signed(&agent.try_claim(&request.id).is(200)), rows);
    }
    // What the requester says overrides it, and what only reads needs none.
    let more = json!({"max_affected_rows": 7});
    let own = s.requester().submit_with("development", UPDATE, more);
    assert_eq!(own.by.show(&own).json["max_affected_rows"], 7);
    let read = s.requester().submit("development", "SELECT 1");
    assert_eq!(read.by.show(&read).json["max_affected_rows"], Value::Null);
}

#[test]
fn a_job_waits_only_for_the_features_that_it_needs() {
    let s = Server::with(&SHOP.replace(
        "environment = \"production\"\n",
        "environment = \"production\"\nrehearse = \"on_request\"\n",
    ));
    let (agent, requester) = (s.agent("agent-1"), s.requester());
    let all = ["claims_v2", "row_bound", "rehearsal", "outcome", "dialect"];
    let bound = json!({"max_affected_rows": 5});
    for missing in all.map(Some).into_iter().chain([None]) {
        // What came before under this token does not count any more.
        s.turn_only(61);
        let features: Vec<&str> = all.into_iter().filter(|f| Some(*f) != missing).collect();
        let report = json!({"features": features, "limit": 10});
        agent.poll_with(report.clone()).is(200);
        let plain = requester.submit("development", UPDATE);
        let bounded = requester.submit_with("development", UPDATE, bound.clone());
        let waiting = requester.submit("production", UPDATE);
        requester.poke(&waiting.path("/rehearse"));
        let offered = agent.poll_with(report).is(200);
        let jobs = crate::support::ids(&offered);
        let lacks = |feature: &str| missing == Some(feature);
        // An agent of 0.1.6 names none of the others, and gets its work all the same.
        assert!(jobs.contains(&plain.id), "{missing:?}");
        assert_eq!(
            jobs.contains(&bounded.id),
            !lacks("row_bound"),
            "{missing:?}"
        );
        let rehearsals = offered.json["rehearsal_jobs"].as_array();
        let rehearsals = rehearsals.map_or(0, Vec::len);
        let rehearses = !lacks("rehearsal");
        assert_eq!(rehearsals, usize::from(rehearses), "{missing:?}");
        agent.try_claim(&plain.id).is(200);
        if lacks("row_bound") {
            agent.try_claim(&bounded.id).refused(409, "feature_missing");
            let shown = requester.show(&bounded).is(200);
            assert_eq!(shown.text("status"), "dispatched");
            assert_eq!(shown.json["queue_hint"], "agents_lack_row_bound");
        } else {
            agent.try_claim(&bounded.id).is(200);
        }
        requester.cancel(&waiting).is(200);
    }
}

#[test]
fn a_bound_that_nobody_could_hold_is_refused() {
    let s = Server::shop();
    let bounded = |sql: &str, rows: Value| {
        let more = json!({"max_affected_rows": rows});
        s.requester().create_with("production", sql, more)
    };
    for sql in ["CREATE TABLE t (a int)", "SELEC 1"] {
        bounded(sql, json!(5)).refused(422, "row_bound_unprovable");
    }
    bounded(UPDATE, json!(0)).is(201);
    bounded("SELECT 1", json!(5)).is(201);
    for rows in [
        json!(-1),
        json!("5"),
        json!(1.5),
        json!(9_007_199_254_740_993_u64),
    ] {
        bounded(UPDATE, rows).refused(400, "validation_error");
    }
    // The bound is part of what an idempotency key stands for.
    let keyed = |rows: u64| {
        let more = json!({"max_affected_rows": rows, "idempotency_key": "k"});
        s.requester().create_with("production", UPDATE, more)
    };
    keyed(5).is(201);
    keyed(5).is(200);
    keyed(6).refused(409, "idempotency_key_reused");
}

/// MySQL counts neither what triggers change nor what keys pass on, and its agent would refuse every bound.
#[test]
fn no_bound_is_promised_that_tables_break() {
    let mysql = SHOP.replace("\"postgresql\"", "\"mysql\"");
    let s = Server::with(&format!(
        "{mysql}\n[[execution_policies]]\nmax_affected_rows = 100\n"
    ));
    let agent = s.agent("agent-1");
    agent.poll_with(json!({"features": ["row_bound"]})).is(200);
    let key = |rule: &str| {
        json!([{"name": "k", "constraint_type": "foreign_key", "columns": ["a"],
            "referenced_table": "parents", "referenced_columns": ["id"], "on_delete": rule}])
    };
    let tables = |rule: &str| {
        json!({"tables": [
            {"name": "items", "estimated_rows": 3},
            {"name": "flat", "estimated_rows": 3, "transactional": false},
            {"name": "noted", "estimated_rows": 3, "triggers": [{"name": "r", "event": "UPDATE"}]},
            {"name": "parents", "estimated_rows": 3},
            {"name": "children", "estimated_rows": 3, "constraints": key(rule)},
        ]})
    };
    let report = |rule: &str| {
        let body = json!({"database": "shop", "environment": "development", "dialect": "mysql",
            "status": "ready", "snapshot": tables(rule)});
        agent.person.post("/api/agent/schema-sync", &body).is(200);
    };
    report("SET_NULL");
    let change = |table: &str| format!("UPDATE {table} SET price = 2 WHERE id = 1");
    for (table, says) in [
        ("flat", "`flat` is not a table that can roll back"),
        ("noted", "`noted` has triggers"),
        ("parents", "keys that point to `parents` pass changes on"),
    ] {
        let asked = json!({"database": "shop", "environment": "development", "detail": change(table), "max_affected_rows": 5});
        let answer = s.requester().post("/api/requests", &asked);
        answer.refused(422, "row_bound_unprovable").saying(says);
        let request = s.requester().submit("development", &change(table));
        let shown = request.by.show(&request).is(200).json;
        assert_eq!(shown["max_affected_rows"], Value::Null, "{table}");
    }
    let bound = |sql: &str| {
        let request = s.requester().submit("development", sql);
        request.by.show(&request).is(200).json["max_affected_rows"].clone()
    };
    assert_eq!(bound(&change("items")), 100);
    assert_eq!(bound("INSERT INTO parents (id) VALUES (1)"), 100);
    report("RESTRICT");
    assert_eq!(bound(&change("parents")), 100);
}
