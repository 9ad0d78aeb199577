//! Tokens end with what they were issued with.

use crate::support::{Agent, Answer, Person, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// People who issue tokens for themselves.
const MINTERS: &str = r#"
[[auth.roles]]
name = "minter"
permissions = ["token.manage", "token.revoke_own", "request.view"]
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{MINTERS}"))
}

fn issue(by: &Person, subject: &str, roles: &[&str], more: Value) -> Answer {
    let kind = if roles == ["agent-default"] {
        "agent"
    } else {
        "user"
    };
    let mut body = json!({"subject_id": subject, "subject_type": kind, "roles": roles});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    by.post("/api/tokens", &body)
}

/// A token of `subject`, and its bearer.
fn issued(s: &Server, by: &Person, subject: &str, roles: &[&str], more: Value) -> (String, Person) {
    let answer = issue(by, subject, roles, more).is(201);
    (answer.text("id"), s.bearer(subject, &answer.text("token")))
}

fn ids(answer: &Answer, field: &str) -> Vec<String> {
    let list = answer.list(field);
    let mut ids: Vec<String> = list
        .iter()
        .map(|t| t["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

fn sorted<const N: usize>(ids: [&String; N]) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().cloned().collect();
    ids.sort();
    ids
}

fn me(person: &Person) -> u16 {
    person.get("/api/me").status
}

#[test]
fn own_token_never_outlives_the_one_it_is_issued_with() {
    let s = server();
    let end = "2099-01-01T00:00:00.000Z";
    let (_, first) = issued(
        &s,
        &s.admin(),
        "minter",
        &["minter"],
        json!({"expires_at": end}),
    );
    let inherited = issue(&first, "minter", &["minter"], json!({})).is(201);
    assert_eq!(
        (
            &inherited.json["expires_at"],
            &inherited.json["expires_at_inherited"]
        ),
        (&json!(end), &json!(true))
    );
    issue(
        &first,
        "minter",
        &["minter"],
        json!({"expires_at": "2099-01-01T00:00:00.001Z"}),
    )
    .refused(400, "validation_error")
    .saying("expires_at is after 2099-01-01T00:00:00.000Z");
    let earlier = json!({"expires_at": "2098-01-01T00:00:00Z"});
    let (_, second) = issued(&s, &first, "minter", &["minter"], earlier);
    // However long the chain.
    issue(&second, "minter", &["minter"], json!({"expires_at": end}))
        .refused(400, "validation_error");
    let third = issue(&second, "minter", &["minter"], json!({})).is(201);
    assert_eq!(third.json["expires_at"], "2098-01-01T00:00:00.000Z");
    // Without an end there is none to inherit, and others have their own.
    let forever = issue(&s.admin(), "admin", &["admin"], json!({})).is(201);
    assert_eq!(
        (
            &forever.json["expires_at"],
            &forever.json["expires_at_inherited"]
        ),
        (&Value::Null, &json!(false))
    );
    let (_, ending) = issued(
        &s,
        &s.admin(),
        "admin",
        &["admin"],
        json!({"expires_at": end}),
    );
    let other = issue(&ending, "requester", &["developer"], json!({})).is(201);
    assert_eq!(other.json["expires_at"], Value::Null);
}

#[test]
fn revoking_a_token_ends_what_its_person_issued_with_it() {
    let s = server();
    let (root, first) = issued(&s, &s.admin(), "minter", &["minter"], json!({}));
    let (second, two) = issued(&s, &first, "minter", &["minter"], json!({}));
    let (third, three) = issued(&s, &two, "minter", &["minter"], json!({}));
    let (_, aside) = issued(&s, &s.admin(), "minter", &["minter"], json!({}));
    // What waits with one of them is woken to be refused.
    let waiting = three.get("/api/me").status;
    assert_eq!(waiting, 200);
    let answer = s.admin().delete(&format!("/api/tokens/{root}")).is(200);
    assert_eq!(ids(&answer, "ended_descendants"), sorted([&second, &third]));
    assert!(answer.list("kept_descendants").is_empty());
    assert_eq!([&first, &two, &three].map(me), [401; 3]);
    assert_eq!(me(&aside), 200);
    let events = s.events("event_type=token.revoked");
    let metadata: Vec<Value> = events
        .iter()
        .map(|e| serde_json::from_str(e["metadata_json"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(events.len(), 3);
    let ended = metadata[2]["ended_descendants"].as_array().unwrap();
    assert_eq!(ended.len(), 2, "{metadata:?}");
    assert_eq!(metadata[0]["revoked_with"], root);
    // Again: nothing more.
    let again = s.admin().delete(&format!("/api/tokens/{root}")).is(200);
    assert_eq!(again.text("revoked_at"), answer.text("revoked_at"));
    assert!(again.list("ended_descendants").is_empty());
}

#[test]
fn tokens_issued_for_others_stay_unless_asked_for() {
    let s = server();
    let (root, chief) = issued(&s, &s.admin(), "chief", &["admin"], json!({}));
    let (own, _) = issued(&s, &chief, "chief", &["admin"], json!({}));
    let (worker, person) = issued(&s, &chief, "worker", &["minter"], json!({}));
    let (workers_own, _) = issued(&s, &person, "worker", &["minter"], json!({}));
    let (agent, robot) = issued(&s, &chief, "agent-9", &["agent-default"], json!({}));
    let answer = s.admin().delete(&format!("/api/tokens/{root}")).is(200);
    assert_eq!(ids(&answer, "ended_descendants"), sorted([&own]));
    let kept = sorted([&worker, &workers_own, &agent]);
    assert_eq!(ids(&answer, "kept_descendants"), kept);
    assert_eq!(me(&person), 200);
    Agent::new(robot.clone()).poll_with(json!({})).is(200);
    // Who may only revoke their own ends nobody else's.
    person
        .delete(&format!("/api/tokens/{worker}?descendants=true"))
        .is(200);
    let answer = s
        .admin()
        .delete(&format!("/api/tokens/{root}?descendants=true"))
        .is(200);
    assert_eq!(ids(&answer, "ended_descendants"), sorted([&agent]));
    Agent::new(robot)
        .poll_with(json!({}))
        .refused(401, "unauthenticated");
    s.admin()
        .delete(&format!("/api/tokens/{root}?descendants=maybe"))
        .refused(400, "validation_error");
}

#[test]
fn tokens_that_a_suspended_person_issued_stay_unless_asked_for() {
    for all in [false, true] {
        let s = server();
        let (_, chief) = issued(&s, &s.admin(), "chief", &["admin"], json!({}));
        let (_, own) = issued(&s, &chief, "chief", &["admin"], json!({}));
        let (worker, person) = issued(&s, &chief, "worker", &["minter"], json!({}));
        let (workers_own, _) = issued(&s, &person, "worker", &["minter"], json!({}));
        let path = format!("/api/users/chief/suspend?descendants={all}");
        let answer = s.admin().poke(&path).is(200);
        assert_eq!(answer.json["revoked_tokens"], 2);
        let (ended, kept) = match all {
            true => (sorted([&worker, &workers_own]), Vec::new()),
            false => (Vec::new(), sorted([&worker, &workers_own])),
        };
        assert_eq!(ids(&answer, "ended_descendants"), ended);
        assert_eq!(ids(&answer, "kept_descendants"), kept);
        assert_eq!((me(&chief), me(&own)), (401, 401));
        assert_eq!(me(&person), if all { 401 } else { 200 });
    }
}

#[test]
fn last_administrator_is_not_lost_by_what_ends_too() {
    let s = server();
    let listed = s.admin().get("/api/tokens").is(200).list("tokens");
    let first = listed.iter().find(|t| t["subject_id"] == "admin").unwrap();
    let path = format!("/api/tokens/{}", first["id"].as_str().unwrap());
    // The only other administrator's token ends with it.
    issued(&s, &s.admin(), "admin", &["admin"], json!({}));
    s.admin().delete(&path).refused(409, "last_admin");
    let (_, other) = issued(&s, &s.admin(), "other", &["admin"], json!({}));
    s.admin()
        .delete(&format!("{path}?descendants=true"))
        .refused(409, "last_admin");
    let answer = other.delete(&path).is(200);
    assert_eq!(answer.list("ended_descendants").len(), 1);
    assert_eq!(answer.list("kept_descendants").len(), 1);
    // The server of the test itself needs somebody.
    s.inner();
    other.submit("production", UPDATE).is_pending();
    assert_eq!(me(&other), 200);
}

#[test]
fn token_between_administrators_ends_once_with_its_person() {
    for all in [false, true] {
        let s = server();
        let (_, chief) = issued(&s, &s.admin(), "chief", &["admin"], json!({}));
        let (bobs, bob) = issued(&s, &chief, "bob", &["admin"], json!({}));
        let (_, back) = issued(&s, &bob, "chief", &["admin"], json!({}));
        let path = format!("/api/users/chief/suspend?descendants={all}");
        let answer = s.admin().poke(&path).is(200);
        assert_eq!(answer.json["revoked_tokens"], 2);
        let (ended, kept) = match all {
            true => (vec![bobs], Vec::new()),
            false => (Vec::new(), vec![bobs]),
        };
        assert_eq!(ids(&answer, "ended_descendants"), ended);
        assert_eq!(ids(&answer, "kept_descendants"), kept);
        assert_eq!((me(&chief), me(&back)), (401, 401));
        assert_eq!(me(&bob), if all { 401 } else { 200 });
    }
}
