//! Tokens: who issues which, what they permit, and that losing one counts at once.

use crate::support::{SHOP, Server, golden, ids};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT 1";

const ROLES: &str = r#"
[[auth.roles]]
name = "issuer"
permissions = ["token.manage", "request.view"]
[[auth.roles]]
name = "dev-scoped"
permissions = ["request.create", "request.view", "token.manage"]
environments = ["development"]
[[auth.groups]]
name = "staff"
members = ["bound"]
[[auth.role_bindings]]
role = "developer"
groups = ["staff"]
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{ROLES}"))
}

fn body(subject: &str, roles: &[&str]) -> Value {
    json!({"subject_id": subject, "subject_type": "user", "roles": roles})
}

#[test]
fn a_token_is_shown_once() {
    let s = Server::shop();
    let mut asked = body("somebody", &["readonly"]);
    asked["name"] = "laptop".into();
    asked["expires_at"] = "2099-01-01T00:00:00Z".into();
    let answer = s.admin().post("/api/tokens", &asked).is(201);
    let token = answer.text("token");
    assert!(token.starts_with("dbw_") && token.len() == 36);
    assert_eq!(answer.text("prefix"), token[4..12]);
    assert_eq!(
        answer.json["permissions"],
        json!(["request.create_select", "request.view", "result.view"])
    );
    let list = s.admin().get("/api/tokens").is(200);
    assert!(!list.raw().contains(&token[12..]) && !list.raw().contains("hash"));
    let mut shown = list.list("tokens")[0].clone();
    shown["token_prefix"] = "<prefix>".into();
    golden("token", &shown);
    assert!(
        !s.events("event_type=token.created")[0]
            .to_string()
            .contains(&token[12..])
    );
}

#[test]
fn bad_tokens_are_not_issued() {
    let s = server();
    for (field, value) in [
        ("subject_id", json!("system")),
        ("subject_id", json!("a\0b")),
        ("subject_id", json!("s".repeat(300))),
        ("subject_id", json!(1)),
        ("subject_type", json!("robot")),
        ("subject_type", Value::Null),
        ("roles", json!(["nobody"])),
        ("roles", json!("admin")),
        ("roles", json!(["agent-default"])),
        ("roles", json!([1])),
        ("groups", json!("staff")),
        ("groups", json!([""])),
        ("name", json!("n".repeat(256))),
        ("name", json!("a\nb")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!("2001-01-01T00:00:00Z")),
        ("expires_at", json!(4102444800_u32)),
    ] {
        let mut asked = body("somebody", &["readonly"]);
        asked[field] = value.clone();
        let answer = s.admin().post("/api/tokens", &asked);
        assert_eq!(answer.status, 400, "{field} {value}: {}", answer.raw());
    }
    let agent = |roles: Value, groups: Value| {
        let asked =
            json!({"subject_id": "a", "subject_type": "agent", "roles": roles, "groups": groups});
        s.admin().post("/api/tokens", &asked).status
    };
    assert_eq!(agent(json!([]), json!([])), 400);
    assert_eq!(agent(json!(["admin"]), json!([])), 400);
    assert_eq!(agent(json!(["agent-default", "admin"]), json!([])), 400);
    assert_eq!(agent(json!(["agent-default"]), json!(["staff"])), 400);
    assert_eq!(agent(json!(["agent-default"]), json!([])), 201);
    s.admin()
        .post("/api/tokens", &body("a", &["readonly"]))
        .refused(409, "conflict");
}

#[test]
fn nobody_issues_more_than_they_hold() {
    let s = server();
    s.requester()
        .post("/api/tokens", &body("requester", &["readonly"]))
        .refused(403, "forbidden");
    let issuer = s.person("issuer", &["issuer"]);
    issuer
        .post("/api/tokens", &body("issuer", &["issuer"]))
        .is(201);
    issuer
        .post("/api/tokens", &body("issuer", &["readonly"]))
        .refused(403, "forbidden");
    issuer
        .post("/api/tokens", &body("issuer", &["admin"]))
        .refused(403, "forbidden");
    issuer
        .post("/api/tokens", &body("somebody", &["issuer"]))
        .refused(403, "forbidden");
    let agent = json!({"subject_id": "a", "subject_type": "agent", "roles": ["agent-default"]});
    issuer.post("/api/tokens", &agent).refused(403, "forbidden");
    let mut grouped = body("issuer", &["issuer"]);
    grouped["groups"] = json!(["approvers"]);
    issuer
        .post("/api/tokens", &grouped)
        .refused(403, "forbidden");
    // A scope is part of what one holds.
    let scoped = s.person("scoped", &["dev-scoped"]);
    scoped
        .post("/api/tokens", &body("scoped", &["issuer"]))
        .refused(403, "forbidden");
    scoped
        .post("/api/tokens", &body("scoped", &["dev-scoped"]))
        .is(201);
    assert!(s.events("event_type=attempt.refused&actor_id=issuer").len() == 5);
}

#[test]
fn roles_are_a_grant_without_bindings_and_a_ceiling_with() {
    let s = server();
    let permissions = |subject: &str, roles: &[&str]| {
        let answer = s.admin().post("/api/tokens", &body(subject, roles)).is(201);
        (answer.json["permissions"].clone(), answer.text("token"))
    };
    let reads = json!(["request.create_select", "request.view", "result.view"]);
    assert_eq!(permissions("free", &["readonly"]).0, reads);
    let (bound, token) = permissions("bound", &["admin"]);
    assert!(!bound.to_string().contains('*'), "{bound}");
    let bound = s.bearer("bound", &token);
    bound.submit("development", UPDATE);
    bound.get("/api/audit/events").refused(403, "forbidden");
    let (least, token) = permissions("bound", &["readonly"]);
    assert_eq!(least, reads);
    s.bearer("bound", &token)
        .create("development", UPDATE)
        .refused(403, "forbidden");
    let (all, token) = permissions("bound", &[]);
    assert!(all.to_string().contains("request.create\""));
    let me = s.bearer("bound", &token).get("/api/me").is(200);
    assert_eq!(me.json["groups"], json!(["staff"]));
    golden("me_bound", &me.json);
}

#[test]
fn taking_bindings_away_never_widens_a_token() {
    let s = server();
    let token = s
        .admin()
        .post("/api/tokens", &body("bound", &["admin"]))
        .is(201)
        .text("token");
    let without = ROLES.split("[[auth.role_bindings]]").next().unwrap();
    let s = s.restart_with(&format!("{SHOP}{without}"));
    let bound = s.bearer("bound", &token);
    bound
        .create("development", SELECT)
        .refused(403, "forbidden");
    bound.get("/api/audit/events").refused(403, "forbidden");
    assert_eq!(bound.get("/api/me").is(200).json["roles"], json!([]));
}

#[test]
fn token_without_roles_follows_the_bindings_and_the_default_role() {
    let s = server();
    let token = s
        .admin()
        .post("/api/tokens", &body("bound", &[]))
        .is(201)
        .text("token");
    let free = s
        .admin()
        .post("/api/tokens", &body("free", &[]))
        .is(201)
        .text("token");
    s.bearer("free", &free)
        .create("development", SELECT)
        .refused(403, "forbidden");
    let toml = format!(
        "{SHOP}{}[auth]\ndefault_role = \"readonly\"\n",
        ROLES
            .replace("\"staff\"]", "\"others\"]")
            .replace("name = \"staff\"", "name = \"others\"")
            .replace("\"bound\"", "\"free\"")
    );
    let s = s.restart_with(&toml);
    s.bearer("free", &free).submit("development", UPDATE);
    s.bearer("bound", &token).submit("development", SELECT);
    s.bearer("bound", &token)
        .create("development", UPDATE)
        .refused(403, "forbidden");
}

#[test]
fn a_revoked_token_counts_no_more_at_once() {
    let s = Server::shop();
    let answer = s
        .admin()
        .post("/api/tokens", &body("somebody", &["developer"]))
        .is(201);
    let somebody = s.bearer("somebody", &answer.text("token"));
    somebody.get("/api/me").is(200);
    let path = format!("/api/tokens/{}", answer.text("id"));
    let first = s.admin().delete(&path).is(200);
    somebody.get("/api/me").refused(401, "unauthenticated");
    somebody
        .create("development", SELECT)
        .refused(401, "unauthenticated");
    // Again is the same again.
    assert_eq!(s.admin().delete(&path).is(200).json, first.json);
    assert_eq!(s.events("event_type=token.revoked").len(), 1);
    s.admin()
        .delete("/api/tokens/nonsense")
        .refused(404, "not_found");
    let tokens = s.admin().get("/api/tokens").list("tokens");
    let shown = tokens
        .iter()
        .find(|t| t["id"] == answer.json["id"])
        .unwrap();
    assert_eq!(shown["status"], "revoked");
    assert_eq!(shown["revoked_at"], first.json["revoked_at"]);
}

#[test]
fn losing_a_token_ends_what_waits_with_it() {
    let s = Server::shop();
    let answer = s
        .admin()
        .post("/api/tokens", &body("somebody", &["developer"]))
        .is(201);
    let somebody = s.bearer("somebody", &answer.text("token"));
    let request = somebody.submit("production", UPDATE);
    let waiting = [
        somebody.wait(&request.path("?wait=60")),
        somebody.wait(&request.path("/result/stream")),
    ];
    let made = s
        .admin()
        .post(
            "/api/tokens",
            &json!({"subject_id": "a", "subject_type": "agent", "roles": ["agent-default"]}),
        )
        .is(201);
    let agent = crate::support::Agent::new(s.bearer("a", &made.text("token")));
    // Not where the request is: its plan would be work.
    let agent = agent.serving(json!({"databases": ["shop"], "environments": ["staging"]}));
    let polling = agent.begin_poll(30);
    s.until_parked(3);
    for token in [&answer, &made] {
        s.admin()
            .delete(&format!("/api/tokens/{}", token.text("id")))
            .is(200);
    }
    for waiter in waiting {
        waiter.answer().refused(401, "unauthenticated");
    }
    polling.answer().refused(401, "unauthenticated");
}

#[test]
fn people_revoke_their_own_where_they_may() {
    let s = Server::shop();
    let own = s
        .admin()
        .post("/api/tokens", &body("somebody", &["developer"]))
        .is(201);
    let other = s
        .admin()
        .post("/api/tokens", &body("other", &["developer"]))
        .is(201);
    let reader = s
        .admin()
        .post("/api/tokens", &body("reader", &["readonly"]))
        .is(201);
    let path = |answer: &crate::support::Answer| format!("/api/tokens/{}", answer.text("id"));
    let somebody = s.bearer("somebody", &own.text("token"));
    somebody.delete(&path(&other)).refused(403, "forbidden");
    // Not even whether it is there.
    somebody
        .delete("/api/tokens/nonsense")
        .refused(403, "forbidden");
    s.bearer("reader", &reader.text("token"))
        .delete(&path(&reader))
        .refused(403, "forbidden");
    somebody.delete(&path(&own)).is(200);
    somebody.get("/api/tokens").refused(401, "unauthenticated");
    s.requester().get("/api/tokens").refused(403, "forbidden");
}

#[test]
fn expired_token_is_rejected() {
    let s = Server::shop();
    let mut asked = body("somebody", &["developer"]);
    asked["expires_at"] = s.clock.now().plus_secs(60).rfc3339().into();
    let token = s.admin().post("/api/tokens", &asked).is(201).text("token");
    let somebody = s.bearer("somebody", &token);
    somebody.get("/api/me").is(200);
    s.turn_only(60);
    somebody.get("/api/me").refused(401, "unauthenticated");
}

#[test]
fn every_bad_credential_is_answered_in_the_same_words() {
    let s = Server::shop();
    let revoked = s
        .admin()
        .post("/api/tokens", &body("somebody", &["developer"]))
        .is(201);
    s.admin()
        .delete(&format!("/api/tokens/{}", revoked.text("id")))
        .is(200);
    let mut answers = Vec::new();
    for header in [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Basic YTpi".to_owned()),
        Some("Bearer dbw_00000000000000000000000000000000".to_owned()),
        Some(format!("Bearer dbw_{}", "0".repeat(4_000))),
        Some("Bearer eyJhbGciOiJub25lIn0.e30.".to_owned()),
        Some(format!("Bearer {}", revoked.text("token"))),
    ] {
        let fields: Vec<(&str, &str)> = header
            .iter()
            .map(|h| ("authorization", h.as_str()))
            .collect();
        let answer = s
            .nobody()
            .get_with("/api/me", &fields)
            .refused(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        answers.push((
            answer.json["error"]["message"].clone(),
            answer.json["hint"].clone(),
        ));
    }
    assert!(answers.iter().all(|a| *a == answers[0]));
    let admin = format!("bEaReR {}", s.admin().token.unwrap());
    s.nobody()
        .get_with("/api/me", &[("authorization", &admin)])
        .is(200);
}

#[test]
fn a_person_the_config_suspends_is_nobody() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let token = s.requester().token.unwrap();
    let suspended = format!("{SHOP}\n[[users]]\nid = \"requester\"\nstatus = \"suspended\"\n");
    let s = s.restart_with(&suspended);
    let requester = s.bearer("requester", &token);
    requester.get("/api/me").refused(401, "unauthenticated");
    s.admin()
        .post("/api/tokens", &body("requester-two", &["developer"]))
        .is(201);
    s.admin()
        .post("/api/tokens", &body("requester", &["developer"]))
        .refused(409, "conflict");
    s.admin().show(&request).is(200);
    assert_eq!(s.events("event_type=user.disabled").len(), 1);
}

#[test]
fn suspended_subjects_get_no_tokens() {
    let s = Server::with(&format!(
        "{SHOP}\n[[users]]\nid = \"gone\"\nstatus = \"suspended\"\n"
    ));
    s.admin()
        .post("/api/tokens", &body("gone", &["developer"]))
        .refused(409, "conflict");
}

#[test]
fn nobody_hoards_tokens() {
    let s = Server::shop();
    for _ in 0..100 {
        s.admin()
            .post("/api/tokens", &body("collector", &["readonly"]))
            .is(201);
    }
    s.admin()
        .post("/api/tokens", &body("collector", &["readonly"]))
        .is(409);
    assert_eq!(
        s.admin()
            .get("/api/tokens?limit=10")
            .is(200)
            .list("tokens")
            .len(),
        10
    );
}

#[test]
fn roles_are_listed_and_managed_by_configuration() {
    let s = server();
    golden("roles", &s.admin().get("/api/roles").is(200).json);
    s.requester().get("/api/roles").refused(403, "forbidden");
    s.admin()
        .post("/api/roles", &json!({}))
        .refused(405, "config_managed")
        .saying("auth.roles");
}

#[test]
fn an_agent_token_is_an_agent_whatever_it_says() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent.person.get("/api/me").refused(403, "forbidden");
    let request = s.requester().submit("development", SELECT);
    assert_eq!(ids(&agent.poll()), [request.id]);
}

#[test]
fn a_token_is_for_somebody() {
    let s = Server::shop();
    for body in [
        json!({}),
        json!({"subject_type": "user"}),
        json!({"subject_id": null, "subject_type": "user", "roles": []}),
        json!({"subject_id": "", "subject_type": "user", "roles": []}),
    ] {
        let answer = s.admin().post("/api/tokens", &body);
        answer.refused(400, "validation_error");
        assert_eq!(
            answer.json["error"]["message"], "subject_id is required",
            "{body}"
        );
    }
}
