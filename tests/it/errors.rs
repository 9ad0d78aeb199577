//! Bad input of every kind, and the one shape of every error.

use crate::support::{Answer, SHOP, Server, connect, golden};
use dbward::http::route::Guarded;
use dbward::http::router::ROUTES;
use serde_json::json;
use std::io::{Read, Write};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[test]
fn errors_have_one_shape_with_keys_in_order() {
    let s = Server::shop();
    let id = [("x-request-id", "fixed")];
    let answers = [
        s.nobody().get_with("/api/me", &id),
        s.requester().get_with("/api/nothing", &id),
        s.requester().call("PUT", "/api/me", &id, b""),
        s.requester().call("POST", "/api/requests", &id, b"{"),
        s.requester().get_with("/api/audit/verify", &id),
        s.admin().call("POST", "/api/workflows", &id, b"{}"),
    ];
    let raw: Vec<_> = answers
        .iter()
        .map(|a| json!({"status": a.status, "body": a.raw()}))
        .collect();
    golden("errors", &json!(raw));
}

/// The names of what a refusal gives besides its message.
fn detail_keys(answer: &Answer) -> Vec<&str> {
    let details = answer.json["error"]["details"].as_object().unwrap();
    details.keys().map(String::as_str).collect()
}

#[test]
fn details_of_refusals_keep_their_names() {
    let one = SHOP.replace("\"approver\", \"approver-two\"", "\"requester\"");
    let s = Server::with(&one.replace(
        "[[workflows.steps]]",
        "admin_override = false\n[[workflows.steps]]",
    ));
    let requester = s.requester();
    let rejected = requester.create("production", "GRANT ALL ON items TO public");
    let rejected = rejected.refused(422, "sql_rejected");
    assert_eq!(detail_keys(&rejected), ["column", "line", "reason"]);
    let unparsable = requester.create("development", "SELEKT 1");
    let unparsable = unparsable.refused(422, "sql_unparsable");
    assert_eq!(detail_keys(&unparsable), ["column", "line"]);
    let blocked = requester.create("production", "DELETE FROM items");
    let blocked = blocked.refused(422, "sql_blocked_by_review");
    assert_eq!(detail_keys(&blocked), ["findings"]);
    let nobody = requester.create("production", "UPDATE items SET note = 'a' WHERE id = 1");
    let nobody = nobody.refused(422, "no_eligible_approver");
    assert_eq!(detail_keys(&nobody), ["approvers", "step", "workflow"]);
}

#[test]
fn unknown_paths_are_404_with_or_without_credentials() {
    let s = Server::shop();
    for path in [
        "//",
        "/api",
        "/api/",
        "/api/me/",
        "/API/me",
        "/api//me",
        "/api/me/x",
        "/index.html",
        "/api/requests/",
        "/api/./me",
        "/api/x/../me",
        "/api/%2e%2e/me",
        "/api%2fme",
        "/api/requests/a%2fb",
        "/api/requests/%00",
        "/api/requests/%",
        "/api/requests/%zz",
        "/api/requests/%ff",
        "/..",
        "/api/agent/dry-run",
        "/.git/config",
    ] {
        for person in [s.nobody(), s.requester(), s.agent("agent-1").person] {
            person.get(path).refused(404, "not_found");
        }
    }
}

#[test]
fn every_route_but_a_few_wants_credentials() {
    let s = Server::shop();
    for route in ROUTES {
        let path = route.path.replace(['{', '}'], "");
        let answer = s.nobody().call(route.method, &path, &[], b"");
        match route.guarded {
            // No file of the console has the name that stands in the template.
            Guarded::Page(_) if route.path.contains('{') && path.starts_with("/assets") => {
                drop(answer.refused(404, "not_found"));
            }
            // Without an identity provider nobody signs in by browser.
            Guarded::Page(_) if path.starts_with("/auth/") => {
                drop(answer.refused(404, "not_found"));
            }
            Guarded::Public(_) | Guarded::Page(_) => assert_eq!(answer.status, 200, "{path}"),
            // Without the app there is nothing.
            Guarded::Signed(_) => drop(answer.refused(404, "not_found")),
            _ => drop(answer.refused(401, "unauthenticated")),
        }
    }
}

#[test]
fn every_known_path_tells_its_methods() {
    let s = Server::shop();
    for route in ROUTES {
        let path = route.path.replace(['{', '}'], "");
        for method in ["OPTIONS", "PROPFIND", "get", "PATCH"] {
            if ROUTES
                .iter()
                .any(|r| r.path == route.path && r.method == method)
            {
                continue;
            }
            let answer = s
                .admin()
                .call(method, &path, &[], b"")
                .refused(405, "method_not_allowed");
            let allow = answer.header("allow").unwrap().to_owned();
            assert_eq!(
                allow.contains("HEAD"),
                allow.contains("GET"),
                "{path}: {allow}"
            );
        }
    }
    let answer = s.admin().delete("/api/requests").is(405);
    let mut allow: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
    allow.sort_unstable();
    assert_eq!(allow, ["GET", "HEAD", "POST"]);
}

#[test]
fn head_works_where_get_does() {
    let s = Server::shop();
    let request = s.requester().submit("development", "SELECT 1");
    s.agent("agent-1").run(&request.id);
    let admin = s.admin();
    for path in [
        "/api/me",
        "/api/requests",
        "/api/databases",
        "/health",
        "/ready",
        "/metrics",
        "/api/openapi.json",
    ] {
        let (get, head) = (admin.get(path).is(200), admin.head(path).is(200));
        assert!(head.body.is_empty());
        assert_eq!(
            get.header("content-type"),
            head.header("content-type"),
            "{path}"
        );
    }
    admin.head("/api/nothing").is(404);
    admin.head("/api/agent/poll").is(405);
    s.nobody().head("/api/me").is(401);
    for rest in ["", "/result/content", "/result/stream", "/executions"] {
        request.by.head(&request.path(rest)).is(200);
    }
}

#[test]
fn garbage_is_never_json() {
    let s = Server::shop();
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 14] = [
        b"",
        b"{",
        b"}",
        b"nonsense",
        b"\xff\xfe",
        b"\0",
        b"{\"a\":1,}",
        b"[]",
        b"null",
        b"7",
        b"\"text\"",
        b"{\"detail\":\"\\ud800\"}",
        b"{} {}",
        deep.as_bytes(),
    ];
    for (person, path) in [
        (s.requester(), "/api/requests"),
        (s.admin(), "/api/tokens"),
        (s.agent("agent-1").person, "/api/agent/poll"),
    ] {
        for body in bodies {
            person
                .call("POST", path, &JSON, body)
                .refused(400, "validation_error");
        }
    }
}

#[test]
fn duplicate_key_is_refused_or_has_one_meaning() {
    let s = Server::shop();
    let body = br#"{"database":"shop","environment":"development","environment":"production","detail":"SELECT 1"}"#;
    let answer = s.requester().call("POST", "/api/requests", &JSON, body);
    answer.refused(400, "validation_error");
}

#[test]
fn content_types_that_are_not_json_are_415() {
    let s = Server::shop();
    let body = br#"{"database":"shop","environment":"development","detail":"SELECT 1"}"#;
    let with = |kind: &str| {
        s.requester()
            .call("POST", "/api/requests", &[("content-type", kind)], body)
    };
    for kind in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "application/problem+json",
    ] {
        with(kind).refused(415, "unsupported_media_type");
    }
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
    ] {
        with(kind).is(201);
    }
    s.requester()
        .call("POST", "/api/requests", &[], body)
        .is(201);
}

#[test]
fn bodies_over_the_limit_are_413() {
    let s = Server::shop();
    let large = vec![b'x'; 1024 * 1024 + 1];
    s.requester()
        .call("POST", "/api/requests", &JSON, &large)
        .refused(413, "payload_too_large");
    s.admin()
        .call("POST", "/api/tokens", &JSON, &large)
        .refused(413, "payload_too_large");
    let request = s.requester().submit("production", "SELECT 1");
    s.approver()
        .call("POST", &request.path("/approve"), &JSON, &large)
        .refused(413, "payload_too_large");
    // The largest text there may be, every character escaped as six.
    let sql: String = "\\u0061".repeat(100_000 - 9);
    let body = format!(
        "{{\"database\":\"shop\",\"environment\":\"production\",\"detail\":\"SELECT '{sql}'\"}}"
    );
    s.requester()
        .call("POST", "/api/requests", &JSON, body.as_bytes())
        .is(201);
}

#[test]
fn targets_and_heads_over_the_limit_are_414_and_431() {
    let s = Server::shop();
    let long = "x".repeat(9_000);
    s.requester()
        .get(&format!("/api/requests?status={long}"))
        .refused(414, "uri_too_long");
    let huge = "x".repeat(40_000);
    let answer = s.requester().get_with("/api/me", &[("x-junk", &huge)]);
    assert_eq!(answer.status, 431, "{}", answer.raw());
    let many: Vec<(String, &str)> = (0..120).map(|n| (format!("x-{n}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    assert_eq!(s.requester().get_with("/api/me", &many).status, 431);
}

#[test]
fn parameters_are_decoded_once_and_checked() {
    let s = Server::shop();
    let requester = s.requester();
    for query in [
        "status=%00",
        "status=%ff",
        "limit=1&limit=2",
        "status=pending%0a",
    ] {
        let answer = requester.get(&format!("/api/requests?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.raw());
    }
    requester.get("/api/requests?status=%70ending").is(200);
    requester.get("/api/requests?user=%2570").is(200);
    // Existing clients do not encode what they send: a lone percent sign is one.
    requester.get("/api/requests?user=100%").is(200);
    // What somebody else wrote is quoted without its control characters.
    let answer = requester
        .get("/api/requests?status=a%0d%0aset-cookie:%20x")
        .is(400);
    assert!(answer.header("set-cookie").is_none());
    assert!(!answer.raw().contains('\r'));
}

#[test]
fn request_ids_of_clients_are_kept_if_they_are_harmless() {
    let s = Server::shop();
    let with = |id: &str| {
        s.requester()
            .get_with("/api/me", &[("x-request-id", id)])
            .header("x-request-id")
            .unwrap()
            .to_owned()
    };
    for id in ["a", "A-b_c.9", &"x".repeat(64)] {
        assert_eq!(with(id), id);
    }
    for id in ["", "a b", "a/b", &"x".repeat(65), "<script>", "a\"b"] {
        let made = with(id);
        assert!(made != id && !made.is_empty());
        assert_ne!(made, with(id));
    }
}

#[test]
fn config_managed_things_say_where_they_are_managed() {
    let s = Server::shop();
    let person = s.requester();
    for (method, path, section) in [
        ("POST", "/api/workflows", "workflows"),
        ("PUT", "/api/workflows/x", "workflows"),
        ("DELETE", "/api/workflows/x", "workflows"),
        ("POST", "/api/execution-policies", "execution_policies"),
        ("PUT", "/api/execution-policies/x", "execution_policies"),
        ("DELETE", "/api/execution-policies/x", "execution_policies"),
        ("POST", "/api/result-policies", "result_policies"),
        ("PUT", "/api/result-policies/x", "result_policies"),
        ("DELETE", "/api/result-policies/x", "result_policies"),
        (
            "POST",
            "/api/notification-policies",
            "notification_policies",
        ),
        (
            "PUT",
            "/api/notification-policies/x",
            "notification_policies",
        ),
        (
            "DELETE",
            "/api/notification-policies/x",
            "notification_policies",
        ),
        ("POST", "/api/webhooks", "webhooks"),
        ("PUT", "/api/webhooks/x", "webhooks"),
        ("DELETE", "/api/webhooks/x", "webhooks"),
        ("POST", "/api/roles", "auth.roles"),
    ] {
        let answer = person.call(method, path, &[], b"{}");
        answer
            .refused(405, "config_managed")
            .saying(section)
            .saying("server.toml");
        // No parameter would make it work.
        person
            .call(method, &format!("{path}?force=true"), &[], b"{}")
            .refused(405, "config_managed");
        s.nobody()
            .call(method, path, &[], b"{}")
            .refused(401, "unauthenticated");
    }
}

#[test]
fn errors_never_echo_statements_or_secrets() {
    let s = Server::shop();
    let requester = s.requester();
    let mut answers: Vec<(&str, Answer)> = [
        "DELETE FROM hidden_table",
        "GRANT ALL ON hidden_table TO x",
        "SELEKT hidden_table",
    ]
    .map(|sql| (sql, requester.create("development", sql)))
    .into();
    let metadata = json!({"metadata": "hidden_metadata".repeat(2_000)});
    answers.push((
        "hidden_metadata",
        requester.create_with("development", "SELECT 1", metadata),
    ));
    for (hidden, answer) in &answers {
        assert!(answer.status >= 400, "{hidden}: {}", answer.raw());
        assert!(!answer.raw().contains(hidden), "{}", answer.raw());
        assert!(!answer.raw().contains(requester.token.as_deref().unwrap()));
    }
    // What a statement is about may be named; its literals are not.
    let answer = requester.create(
        "development",
        "DELETE FROM items WHERE true OR note = 'hunter2'; DELETE FROM items",
    );
    assert!(
        answer.status == 422 && !answer.raw().contains("hunter2"),
        "{}",
        answer.raw()
    );
}

#[test]
fn half_a_request_leaves_the_server_as_it_was() {
    let s = Server::shop();
    let at = s.inner().addr();
    for bytes in [
        &b""[..],
        b"GET",
        b"GET /api/me HTTP/1.1\r\n",
        b"POST /api/requests HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/me HTTP/9.9\r\nhost: a\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /api/requests HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = connect(at);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5"),
            "{text}"
        );
        assert!(
            answer.is_empty() || text.contains("application/json"),
            "{text}"
        );
    }
    s.requester().get("/api/me").is(200);
}

#[test]
fn policies_in_effect_are_shown_to_their_managers() {
    let s = Server::with(&format!(
        "{SHOP}\n[[execution_policies]]\nenvironment = \"production\"\nmax_rows = 5\n"
    ));
    golden("workflows", &s.admin().get("/api/workflows").is(200).json);
    golden(
        "execution_policies",
        &s.admin().get("/api/execution-policies").is(200).json,
    );
    golden(
        "databases",
        &s.requester().get("/api/databases").is(200).json,
    );
    for list in ["workflows", "execution-policies"] {
        let all = s.admin().get(&format!("/api/{list}")).is(200);
        let id = all.list(&list.replace('-', "_"))[0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            s.admin().get(&format!("/api/{list}/{id}")).is(200).json["id"],
            id
        );
        s.admin()
            .get(&format!("/api/{list}/nothing"))
            .refused(404, "not_found");
        s.requester()
            .get(&format!("/api/{list}"))
            .refused(403, "forbidden");
    }
}
