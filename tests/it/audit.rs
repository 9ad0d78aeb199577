//! The audit log: what stands in it, who finds it, and that it proves itself.

use crate::support::{SHOP, Server, golden, verified};
use dbward::crypto::sha256_hex;
use rusqlite::config::DbConfig;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE name = 'secret'";

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|e| e["event_type"].as_str().unwrap())
        .collect()
}

#[test]
fn an_event_tells_who_did_what_from_where() {
    let s = Server::shop();
    let id = [("x-request-id", "my-own.id_1")];
    let body =
        json!({"database": "shop", "environment": "production", "detail": UPDATE, "reason": "why"});
    s.requester()
        .call("POST", "/api/requests", &id, body.to_string().as_bytes())
        .is(201);
    let event = s.events("event_type=request.created").remove(0);
    assert_eq!(event.as_object().unwrap().len(), 25);
    assert_eq!(metadata(&event)["http_request_id"], "my-own.id_1");
    golden("event", &event);
}

#[test]
fn the_chain_can_be_computed_from_the_api_alone() {
    let s = Server::shop();
    let request = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    s.agent("agent-1").run(&request.id);
    s.requester()
        .create("production", "DELETE FROM items")
        .is(422);
    let mut events = s.events("");
    events.reverse();
    let mut previous = Value::Null;
    for event in &events {
        let fields = [
            "id",
            "event_type",
            "event_category",
            "event_version",
            "outcome",
            "actor_id",
            "actor_type",
            "resource_type",
            "resource_id",
            "peer_ip",
            "client_ip",
            "client_ip_source",
            "request_id",
            "operation",
            "database_name",
            "environment",
            "detail_fingerprint",
            "detail_raw",
            "reason",
            "metadata_json",
            "prev_hash",
            "created_at",
        ];
        let parts: Vec<String> = fields
            .iter()
            .map(|name| {
                let value = match &event[name] {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                format!("{}:{value}", value.len())
            })
            .collect();
        assert_eq!(event["prev_hash"], previous, "{event}");
        assert_eq!(
            event["event_hash"],
            sha256_hex(parts.join("\n").as_bytes()),
            "{event}"
        );
        previous = event["event_hash"].clone();
    }
    let proof = s.admin().get("/api/audit/verify").is(200);
    assert_eq!(
        proof.json,
        json!({"valid": true, "total_events": events.len(), "first_broken_id": null, "problem": null,
            "frozen_total": 0, "frozen_requests": []})
    );
}

#[test]
fn every_move_says_from_where_to_where() {
    let s = Server::shop();
    let request = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    s.agent("agent-1").run(&request.id);
    let events = s.events(&format!("request_id={}", request.id));
    let moves: Vec<String> = events
        .iter()
        .rev()
        .map(metadata)
        .map(|m| {
            format!(
                "{}>{}",
                m["from_status"].as_str().unwrap(),
                m["to_status"].as_str().unwrap()
            )
        })
        .collect();
    let want = [
        "new>pending",
        "pending>approved",
        "approved>dispatched",
        "dispatched>running",
        "running>executed",
    ];
    assert_eq!(moves, want);
    let actors: Vec<&str> = events
        .iter()
        .rev()
        .map(|e| e["actor_id"].as_str().unwrap())
        .collect();
    assert_eq!(
        actors,
        ["requester", "approver", "requester", "agent-1", "agent-1"]
    );
    let kinds: BTreeSet<&str> = events
        .iter()
        .map(|e| e["actor_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, BTreeSet::from(["agent", "user"]));
}

#[test]
fn events_are_found_by_every_filter() {
    let s = Server::shop();
    let one = s.requester().submit("production", UPDATE);
    let two = s.requester().submit("development", UPDATE);
    s.requester()
        .create("production", "DELETE FROM items")
        .is(422);
    let count = |query: &str| s.events(query).len();
    assert_eq!(count(&format!("request_id={}", one.id)), 1);
    assert_eq!(count(&format!("request_id={}", two.id)), 2);
    assert_eq!(count("event_type=request.created"), 1);
    assert_eq!(count("event_type=request.created&actor_id=requester"), 1);
    assert_eq!(count("event_type=request.created&actor_id=approver"), 0);
    assert_eq!(count("event_category=approval&environment=production"), 1);
    assert_eq!(count("event_category=approval&database=shop"), 3);
    assert_eq!(count("outcome=denied"), 1);
    assert_eq!(count("database=other"), 0);
    s.turn_only(100);
    let now = s.clock.now();
    s.turn_only(1);
    s.requester().submit("staging", UPDATE);
    let encoded = now.rfc3339_offset().replace('+', "%2B");
    assert_eq!(
        count(&format!("since={encoded}&event_category=approval")),
        1
    );
    // As clients send it that do not encode the plus.
    assert_eq!(
        count(&format!(
            "since={}&event_category=approval",
            now.rfc3339_offset()
        )),
        1
    );
    assert_eq!(
        count(&format!("until={}&event_category=approval", now.rfc3339())),
        3
    );
}

#[test]
fn bad_filters_of_events_are_400() {
    let s = Server::shop();
    for query in [
        "since=yesterday",
        "until=2026-13-01T00:00:00Z",
        "outcome=good",
        "event_category=all",
        "limit=-1",
        "offset=x",
        "cursor=zzz",
        "offset=10001",
    ] {
        let answer = s.admin().get(&format!("/api/audit/events?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.raw());
    }
    assert_eq!(
        s.admin().get("/api/audit/events?limit=5000").is(200).json["limit"],
        200
    );
    for path in ["/api/audit/events", "/api/audit/verify"] {
        s.requester().get(path).refused(403, "forbidden");
    }
}

#[test]
fn events_page_by_cursor() {
    let s = Server::shop();
    for _ in 0..7 {
        s.requester().submit("production", UPDATE);
    }
    let (mut seen, mut query) = (Vec::new(), "event_type=request.created&limit=3".to_owned());
    loop {
        let page = s.admin().get(&format!("/api/audit/events?{query}")).is(200);
        seen.extend(page.list("events"));
        assert_eq!(page.json.get("total").is_some(), !query.contains("cursor"));
        let Some(cursor) = page.json["next_cursor"].as_str() else {
            break;
        };
        query = format!("event_type=request.created&limit=3&cursor={cursor}");
    }
    let ids: BTreeSet<&str> = seen.iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!((seen.len(), ids.len()), (7, 7));
    // A cursor belongs to its list.
    let cursor = s
        .admin()
        .get("/api/audit/events?limit=1")
        .text("next_cursor");
    s.admin()
        .get(&format!("/api/requests?cursor={cursor}"))
        .refused(400, "validation_error");
}

#[test]
fn a_checkpoint_is_signed_every_hundred_events_and_every_hour() {
    let s = Server::shop();
    let marks = || s.events("event_type=audit.signed_checkpoint");
    while marks().is_empty() {
        s.requester().submit("production", UPDATE);
    }
    let first = metadata(&marks()[0]);
    assert_eq!(
        first["event_count_since_last_checkpoint"]
            .as_i64()
            .or(first["event_count"].as_i64()),
        Some(100)
    );
    assert_eq!(s.admin().get("/api/audit/verify").json["total_events"], 101);
    s.turn_only(3_599);
    s.minute();
    assert_eq!(marks().len(), 1);
    // An hour in which nothing happened needs no proof; one event makes it due.
    s.turn_only(2);
    s.minute();
    let quiet = marks().len();
    assert!(quiet <= 2);
    s.requester().submit("production", UPDATE);
    s.minute();
    assert_eq!(marks().len(), 2);
    assert_eq!(s.admin().get("/api/audit/verify").json["valid"], true);
}

#[test]
fn refusals_are_capped_and_the_rest_is_one_row() {
    let s = Server::shop();
    for _ in 0..35 {
        s.requester()
            .create("production", "DELETE FROM items")
            .is(422);
    }
    let singles = s.events("outcome=denied&actor_id=requester");
    assert_eq!(singles.len(), 20);
    assert!(singles.iter().all(|e| metadata(e)["count"] == 1));
    // Others have a budget of their own.
    s.approver().create("production", UPDATE).is(403);
    assert_eq!(s.events("outcome=denied&actor_id=approver").len(), 1);
    s.minute();
    let all = s.events("outcome=denied&actor_id=requester");
    assert_eq!(all.len(), 21);
    assert_eq!(metadata(&all[0])["count"], 15);
    s.requester()
        .create("production", "DELETE FROM items")
        .is(422);
    assert_eq!(s.events("outcome=denied&actor_id=requester").len(), 22);
}

#[test]
fn failed_authentications_are_one_row_a_minute_and_address() {
    let s = Server::with(&format!("trusted_proxies = [\"127.0.0.1\"]\n{SHOP}"));
    for n in 0..9 {
        let from = if n < 5 { "203.0.113.1" } else { "203.0.113.2" };
        let headers = [
            (
                "authorization",
                "Bearer dbw_00000000000000000000000000000000",
            ),
            ("x-forwarded-for", from),
        ];
        s.nobody().get_with("/api/me", &headers).is(401);
    }
    s.nobody().get("/api/me").is(401);
    assert!(s.events("event_type=auth.failures").is_empty());
    s.minute();
    let rows = s.events("event_type=auth.failures");
    let counts: BTreeSet<(String, i64)> = rows
        .iter()
        .map(|e| {
            (
                e["resource_id"].as_str().unwrap().to_owned(),
                metadata(e)["count"].as_i64().unwrap(),
            )
        })
        .collect();
    let want = [("203.0.113.1".to_owned(), 5), ("203.0.113.2".to_owned(), 4)];
    assert_eq!(counts, BTreeSet::from(want));
    assert!(rows.iter().all(|e| e["outcome"] == "denied"));
}

#[test]
fn statements_stand_in_the_log_as_configured() {
    for (mode, want) in [
        ("literals", None),
        ("full", Some(Value::Null)),
        ("none", Some(json!(UPDATE))),
    ] {
        let s = Server::with(&format!("{SHOP}\n[audit]\nredaction = \"{mode}\"\n"));
        s.requester().submit("production", UPDATE);
        s.requester()
            .create("production", "DELETE FROM secret_items")
            .is(422);
        let events = s.events("");
        let event = events
            .iter()
            .find(|e| e["event_type"] == "request.created")
            .unwrap();
        match want {
            Some(want) => assert_eq!(event["detail_raw"], want, "{mode}"),
            None => {
                let text = event["detail_raw"].as_str().unwrap();
                assert!(
                    text.contains("UPDATE items") && !text.contains("secret"),
                    "{text}"
                );
                assert_eq!(event["detail_fingerprint"], sha256_hex(text.as_bytes()));
            }
        }
        if mode != "none" {
            assert!(!json!(events).to_string().contains("'secret'"), "{mode}");
        }
    }
}

#[test]
fn literals_differ_and_the_fingerprint_does_not() {
    let s = Server::shop();
    for (price, name) in [(1, "a"), (2, "b")] {
        s.requester().submit(
            "production",
            &format!("UPDATE items SET price = {price} WHERE name = '{name}'"),
        );
    }
    let events = s.events("event_type=request.created");
    assert_eq!(
        events[0]["detail_fingerprint"],
        events[1]["detail_fingerprint"]
    );
}

#[test]
fn a_start_is_audited_with_its_first_tokens() {
    let s = Server::shop();
    let mut events = s.events("");
    events.reverse();
    assert_eq!(
        types(&events),
        [
            "state.baseline",
            "config.synced",
            "token.created",
            "token.created",
            "token.created"
        ]
    );
    assert!(
        events
            .iter()
            .all(|e| e["actor_id"] == "system" && e["actor_type"] == "system")
    );
    let s = s.restart();
    assert_eq!(s.events("event_type=config.synced").len(), 2);
    assert_eq!(s.events("event_type=token.created").len(), 3);
}

/// Attacks a copy of a database, since the server's own file must stay sound for its last check: the schema refuses it,
/// and an attacker whose connection runs none of its triggers is detected.
pub fn found_out(folder: &Path, attack: &str) {
    let copy = crate::support::Temp::new();
    let source = rusqlite::Connection::open(folder.join("dbward.db")).unwrap();
    let target = copy.path().join("dbward.db");
    source
        .execute("VACUUM INTO ?1", [target.to_str().unwrap()])
        .unwrap();
    let keys = copy.path().join("audit-keys.json");
    std::fs::copy(folder.join("audit-keys.json"), keys).unwrap();
    assert!(verified(copy.path()).valid);
    let db = rusqlite::Connection::open(&target).unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    assert!(db.execute_batch(attack).is_err(), "{attack}");
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
        .unwrap();
    db.execute_batch(attack).unwrap();
    drop(db);
    let proof = verified(copy.path());
    assert!(
        !proof.valid && proof.problem.is_some(),
        "{attack}: {proof:?}"
    );
}

#[test]
fn what_was_tampered_with_is_found() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    for attack in [
        "UPDATE audit_events SET actor_id = 'approver' WHERE event_type = 'request.created'",
        "UPDATE audit_events SET detail_raw = 'SELECT 1' WHERE event_type = 'request.created'",
        "DELETE FROM audit_events WHERE seq = 2",
        "UPDATE requests SET status = 'approved'",
    ] {
        found_out(&s.state_dir(), attack);
    }
    request.is_pending();
}

#[test]
fn secrets_are_nowhere_in_the_log() {
    let s = Server::shop();
    let tokens = [s.requester().token.unwrap(), s.admin().token.unwrap()];
    let request = s
        .requester()
        .submit("development", "UPDATE items SET price = 2 WHERE id = 1");
    let claim = s.agent("agent-1").run(&request.id);
    let token: Value = serde_json::from_str(&claim.answer.text("execution_token")).unwrap();
    let log = json!(s.events("")).to_string();
    assert!(log.contains("execution.completed"), "{log}");
    let [requester, admin] = &tokens;
    let signature = token["signature_v2"].as_str().unwrap();
    for secret in [requester, admin, signature] {
        assert!(!log.contains(secret));
    }
}
