//! What is unknown is refused, never dropped: a filter that is dropped shows everything, a limit that is dropped grants
//! everything.

use crate::support::Server;
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

#[test]
fn unknown_query_parameters_are_refused_under_api_only() {
    let s = Server::shop();
    let (admin, request) = (s.admin(), s.requester().submit("production", UPDATE));
    let (show, stream) = (request.path(""), request.path("/result/stream"));
    for path in [
        "/api/requests",
        "/api/audit/events",
        "/api/results",
        "/api/users",
        "/api/tokens",
        "/api/me",
        "/api/databases",
        "/api/agents",
        "/api/webhook-deliveries",
        "/api/openapi.json",
        "/api/audit/verify",
        &show,
        &stream,
    ] {
        for query in ["action=login", "Limit=1", "limit%20=1", "=1", "wat"] {
            let answer = admin.get(&format!("{path}?{query}"));
            answer.refused(400, "validation_error").saying("is unknown");
        }
    }
    let notified = admin.get("/api/audit/events?action=token.created");
    notified
        .saying("query parameter `action` is unknown")
        .saying("event_type");
    admin
        .post(&format!("{show}/approve?force=1"), &json!({}))
        .refused(400, "validation_error");
    assert_eq!(request.status(), "pending");
    for path in ["/health?x=1", "/ready?x=1", "/metrics?x=1"] {
        admin.get(path).is(200);
    }
    // A caller who is not authenticated learns nothing of it.
    s.nobody().get("/api/requests?wat=1").is(401);
}

#[test]
fn parameters_of_existing_clients_are_known() {
    let s = Server::shop();
    let request = s.requester().submit("development", SELECT);
    s.agent("agent-1").run(&request.id);
    let admin = s.admin();
    for path in [
        "/api/requests?limit=100",
        "/api/requests?limit=5&status=pending&database=shop&environment=production&user=admin",
        "/api/requests?pending_for_me=true&limit=5",
        "/api/results?limit=50",
        "/api/policy-resolution?database=shop&environment=production&operation=execute_dml",
        "/api/audit/events?limit=10&actor_id=a&operation=execute_dml&status=pending&event_type=request.created\
         &event_category=request&outcome=success&environment=production&since=2026-01-01T00:00:00Z\
         &until=2026-01-01T00:00:00+00:00",
        &request.path("?wait=0"),
        &request.path("/executions?limit=20"),
        &request.path("/result/stream?wait=1"),
        &request.path("/result/content?format=csv"),
    ] {
        admin.get(path).is(200);
    }
}

#[test]
fn audit_events_are_found_by_operation_and_status() {
    let s = Server::shop();
    let write = s.requester().submit("production", UPDATE);
    let read = s.requester().submit("development", SELECT);
    let of = |query: &str| -> Vec<(Value, Value)> {
        let mut found: Vec<(Value, Value)> = s
            .events(query)
            .iter()
            .map(|e| (e["request_id"].clone(), e["event_type"].clone()))
            .collect();
        found.reverse();
        found
    };
    assert_eq!(
        of("operation=execute_dml"),
        [(json!(write.id), json!("request.created"))]
    );
    assert_eq!(
        of("status=dispatched"),
        [(json!(read.id), json!("request.dispatched"))]
    );
    assert!(of("operation=execute_dml&status=dispatched").is_empty());
    for bad in ["operation=drop", "status=done", "operation=", "cursor="] {
        s.admin()
            .get(&format!("/api/audit/events?{bad}"))
            .refused(400, "validation_error");
    }
    s.admin()
        .get("/api/requests?cursor=")
        .refused(400, "validation_error");
}

#[test]
fn a_token_is_asked_for_in_known_words_only() {
    let s = Server::shop();
    let issue = |more: Value| {
        let mut body = json!({"subject_id": "guest", "subject_type": "user"});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        s.admin().post("/api/tokens", &body)
    };
    for unknown in ["role", "scope", "permissions", "scopes", "ceiling", "Roles"] {
        issue(json!({"roles": ["readonly"], unknown: "x"}))
            .refused(400, "validation_error")
            .saying(&format!("field `{unknown}` is unknown"))
            .saying("scope_ceiling");
    }
    for neither in [json!({}), json!({"roles": null})] {
        issue(neither)
            .refused(400, "validation_error")
            .saying("field `roles` or `scope_ceiling` is missing");
    }
    for bad in [
        json!({"roles": [], "scope_ceiling": null}),
        json!({"roles": ["readonly"], "scope_ceiling": {"roles": ["readonly"]}}),
        json!({"scope_ceiling": {}}),
        json!({"scope_ceiling": {"roles": []}}),
        json!({"scope_ceiling": {"roles": ["readonly"], "databases": ["shop"]}}),
        json!({"scope_ceiling": ["readonly"]}),
        json!({"scope_ceiling": {"roles": ["nobody-knows"]}}),
    ] {
        issue(bad).refused(400, "validation_error");
    }
    assert!(
        s.events("event_type=token.created&actor_id=admin")
            .is_empty()
    );
}

#[test]
fn a_scope_ceiling_is_always_a_ceiling() {
    let s = Server::shop();
    let issue = |subject: &str, kind: &str, more: Value| {
        let mut body = json!({"subject_id": subject, "subject_type": kind});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let issued = s.admin().post("/api/tokens", &body).is(201);
        let tokens = s.admin().get("/api/tokens").is(200).list("tokens");
        let listed = tokens.iter().find(|t| t["id"] == issued.json["id"]);
        listed.unwrap().clone()
    };
    // Nobody bound this subject to a role: named roles are a grant, a ceiling stays one.
    for (more, mode, roles) in [
        (json!({"roles": ["readonly"]}), "grant", json!(["readonly"])),
        (
            json!({"scope_ceiling": {"roles": ["readonly"]}}),
            "ceiling",
            json!(["readonly"]),
        ),
        (json!({"roles": []}), "resolved", json!([])),
        (json!({"scope_ceiling": null}), "resolved", json!([])),
    ] {
        let token = issue("guest", "user", more.clone());
        assert_eq!(
            (&token["role_mode"], &token["roles"]),
            (&json!(mode), &roles),
            "{more}"
        );
    }
    let agent = issue("agent-9", "agent", json!({"scope_ceiling": null}));
    assert_eq!(agent["roles"], json!(["agent-default"]));
}

#[test]
fn the_idempotency_key_may_be_a_header() {
    let s = Server::shop();
    let requester = s.requester();
    let create = |headers: &[(&str, &str)], key: Option<&str>| {
        let mut body = json!({"database": "shop", "environment": "production", "detail": UPDATE});
        if let Some(key) = key {
            body["idempotency_key"] = json!(key);
        }
        requester.call(
            "POST",
            "/api/requests",
            headers,
            body.to_string().as_bytes(),
        )
    };
    let first = create(&[("idempotency-key", "k1")], None)
        .is(201)
        .text("id");
    for (headers, key) in [
        (&[("Idempotency-Key", "k1")][..], None),
        (&[], Some("k1")),
        (&[("IDEMPOTENCY-KEY", "k1")], Some("k1")),
    ] {
        assert_eq!(create(headers, key).is(200).text("id"), first);
    }
    create(&[("idempotency-key", "k1")], Some("k2")).refused(400, "validation_error");
    create(
        &[("idempotency-key", "k1"), ("idempotency-key", "k1")],
        None,
    )
    .refused(400, "validation_error");
    let long = "x".repeat(256);
    create(&[("idempotency-key", &long)], None).refused(400, "validation_error");
    assert_eq!(requester.ids("").len(), 1);
}
