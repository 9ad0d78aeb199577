//! What an agent sends, key by key: all that existing servers read, in its types, and what ours reads besides.

use super::*;
use serde_json::Value;

/// The keys of an object with the types of their values; a list with those of its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(all) => all.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(all) => all.first().map_or(json!([]), |first| json!([shape(first)])),
        Value::String(_) => json!("text"),
        Value::Number(n) if n.is_u64() => json!("natural"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("flag"),
        Value::Null => json!("null"),
    }
}

#[test]
fn a_poll_has_the_fields_of_the_protocol() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    fake.offer(Offer::new(Operation::ExecuteSelect, &[ENDLESS]));
    let busy = |poll: &Value| poll["status"]["in_flight"] == 1;
    let seen = fake.wait(|seen| seen.polls.iter().any(busy));
    let poll = seen.polls.iter().find(|poll| busy(poll)).unwrap();
    assert_eq!(
        shape(poll),
        json!({
            "agent_id": "null",
            "capabilities": {
                "databases": ["text"], "environments": ["text"], "operations": ["text"],
                "scopes": [{"database": "text", "environment": "text"}],
            },
            "status": {
                "in_flight": "natural", "max_concurrent": "natural", "draining": "flag", "uptime_secs": "natural",
                "active_jobs": [{"request_id": "text", "operation": "text", "elapsed_secs": "natural"}],
            },
            "limit": "natural", "wait": "natural", "agent_version": "text", "features": ["text"],
        })
    );
    assert_eq!(
        poll["features"],
        json!(["claims_v2", "dialect", "outcome", "rehearsal", "row_bound"])
    );
    assert_eq!(
        poll["status"]["active_jobs"][0]["operation"],
        "execute_select"
    );
    drop(seen);
    agent.stop(Duration::ZERO);
}

#[test]
fn a_result_has_the_fields_of_the_protocol() {
    let (fake, place) = (Fake::start(), Place::new());
    let agent = place.agent(&fake);
    let up = json!({"direction": "up", "migrations": [{"version": "1", "sql": "CREATE TABLE m (id INTEGER)"}]});
    let up = up.to_string();
    let offers = [
        (
            Operation::ExecuteSelect,
            "SELECT id FROM t",
            "text",
            "null",
            "null",
        ),
        (
            Operation::ExecuteDml,
            "DELETE FROM t WHERE id > 1",
            "text",
            "null",
            "natural",
        ),
        (Operation::MigrateUp, &up, "text", "null", "null"),
        (Operation::MigrateStatus, "", "text", "null", "null"),
        (
            Operation::ExecuteDml,
            "DELETE FROM missing",
            "null",
            "text",
            "null",
        ),
    ];
    let mut results = Vec::new();
    for (n, (operation, sql, data, error, rows)) in offers.into_iter().enumerate() {
        fake.offer(Offer::new(operation, &[sql]));
        let seen = fake.wait(|seen| seen.results.len() > n);
        let result = seen.results[n].1.clone();
        assert_eq!(
            shape(&result),
            json!({
                "success": "flag", "result_data": data, "error_message": error, "rows_affected": rows,
                "duration_ms": "natural", "truncated": "flag", "outcome": "text", "error_detail": "null",
            }),
            "{sql}: {result}"
        );
        assert_eq!(result["success"], error == "null", "{result}");
        results.push(result);
    }
    assert_eq!(
        data(&results[0])["truncation_reason"],
        "row limit reached (2)"
    );
    assert_eq!(data(&results[1]), json!({"rows_affected": 2}));
    assert_eq!(data(&results[2]), json!({"applied": ["1"]}));
    assert_eq!(data(&results[3]), json!({"applied_versions": ["1"]}));
    agent.stop(LONG);
}
