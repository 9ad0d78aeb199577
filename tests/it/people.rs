//! People: who is known, linking a Slack account, and who may suspend and activate whom.

use crate::support::{Agent, Person, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

const PEOPLE: &str = r#"
[[users]]
id = "named"

[[auth.groups]]
name = "staff"
members = ["bound", "named"]

[[auth.role_bindings]]
role = "readonly"
groups = ["staff"]
"#;

/// How the list shows this person.
pub(crate) fn listed(s: &Server, id: &str) -> Value {
    let people = s.admin().get("/api/users").is(200).list("users");
    let found = people.into_iter().find(|u| u["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not listed"))
}

fn link(by: &Person, id: &str, body: Value) -> crate::support::Answer {
    let bytes = body.to_string();
    let json = [("content-type", "application/json")];
    by.call(
        "PATCH",
        &format!("/api/users/{id}"),
        &json,
        bytes.as_bytes(),
    )
}

pub(crate) fn suspend(by: &Person, id: &str) -> crate::support::Answer {
    by.poke(&format!("/api/users/{id}/suspend"))
}

pub(crate) fn activate(by: &Person, id: &str) -> crate::support::Answer {
    by.poke(&format!("/api/users/{id}/activate"))
}

pub(crate) fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

#[test]
fn the_list_tells_roles_groups_source_and_slack_account() {
    let s = Server::with(&format!("{SHOP}{PEOPLE}"));
    s.requester().get("/api/me").is(200);
    link(
        &s.admin(),
        "requester",
        json!({"slack_user_id": "U0123ABCD"}),
    )
    .is(200);
    s.person("bound", &["admin"]).get("/api/me").is(200);
    let requester = listed(&s, "requester");
    assert_eq!(requester["roles"], json!(["developer"]));
    assert_eq!(
        (&requester["source"], &requester["status"]),
        (&json!("token"), &json!("active"))
    );
    assert_eq!(requester["slack_user_id"], "U0123ABCD");
    let named = listed(&s, "named");
    assert_eq!(
        (&named["source"], &named["roles"], &named["groups"]),
        (&json!("config"), &json!(["readonly"]), &json!(["staff"]))
    );
    // A token that names more than its subject holds gives no role.
    assert_eq!(listed(&s, "bound")["roles"], json!(["readonly"]));
    s.agent("agent-1").poll();
    assert_eq!(listed(&s, "agent-1")["subject_type"], "agent");
    for field in ["created_at", "updated_at", "last_seen_at", "display_name"] {
        assert!(
            requester.as_object().unwrap().contains_key(field),
            "{field}"
        );
    }
}

#[test]
fn the_list_is_for_who_manages_people_and_has_pages() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"warden\"\npermissions = [\"user.manage\"]\n"
    ));
    s.requester().get("/api/users").refused(403, "forbidden");
    let warden = s.person("warden", &["warden"]);
    let all = warden.get("/api/users").is(200).list("users");
    let ids = |page: &[Value]| -> Vec<String> {
        page.iter()
            .map(|u| u["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut paged = Vec::new();
    for offset in 0..all.len() {
        let page = warden.get(&format!("/api/users?limit=1&offset={offset}"));
        paged.extend(ids(&page.is(200).list("users")));
    }
    assert_eq!(paged, ids(&all));
    for query in ["limit=-1", "offset=x"] {
        warden
            .get(&format!("/api/users?{query}"))
            .refused(400, "validation_error");
    }
}

#[test]
fn people_link_their_own_slack_account_and_nobody_elses() {
    let s = Server::shop();
    s.approver();
    let requester = s.requester();
    let own = link(
        &requester,
        "requester",
        json!({"slack_user_id": "U0123ABCD"}),
    )
    .is(200);
    assert_eq!(
        own.json,
        json!({"id": "requester", "slack_user_id": "U0123ABCD"})
    );
    link(&requester, "approver", json!({"slack_user_id": "U1"})).refused(403, "forbidden");
    // Not even whether there is such a person.
    link(&requester, "nobody-knows", json!({"slack_user_id": "U1"})).refused(403, "forbidden");
    link(&s.admin(), "nobody-knows", json!({"slack_user_id": "U1"})).refused(404, "not_found");
    link(
        &s.admin(),
        "approver",
        json!({"slack_user_id": "U0123ABCD"}),
    )
    .refused(409, "slack_id_taken");
    assert_eq!(listed(&s, "approver")["slack_user_id"], Value::Null);
    link(&s.admin(), "approver", json!({"slack_user_id": "W9"})).is(200);
    // The same again changes nothing; null takes it back, and then it is free.
    link(
        &requester,
        "requester",
        json!({"slack_user_id": "U0123ABCD"}),
    )
    .is(200);
    assert_eq!(s.events("event_type=user.updated").len(), 2);
    link(&requester, "requester", json!({"slack_user_id": null})).is(200);
    link(
        &s.admin(),
        "approver",
        json!({"slack_user_id": "U0123ABCD"}),
    )
    .is(200);
    let events = s.events("event_type=user.updated");
    assert_eq!(events.len(), 4);
    assert_eq!(metadata(&events[3])["slack_user_id"], "U0123ABCD");
    assert_eq!(events[3]["actor_id"], "requester");
}

#[test]
fn invalid_slack_id_or_field_of_a_person_is_400() {
    let s = Server::shop();
    let requester = s.requester();
    for body in [
        json!({"slack_user_id": "u0123abcd"}),
        json!({"slack_user_id": "U0123abcd"}),
        json!({"slack_user_id": "U"}),
        json!({"slack_user_id": ""}),
        json!({"slack_user_id": "X0123ABCD"}),
        json!({"slack_user_id": "U0123 ABCD"}),
        json!({"slack_user_id": format!("U{}", "1".repeat(32))}),
        json!({"slack_user_id": 7}),
        json!({}),
        json!([]),
        json!({"slack_user_id": "U1", "role": "admin"}),
        json!({"slack_user_id": "U1", "roles": ["admin"]}),
        json!({"slack_user_id": "U1", "groups": ["approvers"]}),
        json!({"slack_user_id": "U1", "subject_type": "agent"}),
        json!({"slack_user_id": "U1", "status": "active"}),
    ] {
        let answer = link(&requester, "requester", body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.raw());
    }
    assert_eq!(listed(&s, "requester")["slack_user_id"], Value::Null);
    assert!(s.events("event_type=user.updated").is_empty());
}

#[test]
fn configuration_has_last_word_on_its_people_and_says_so() {
    let named = format!("{SHOP}\n[[users]]\nid = \"requester\"\n");
    let s = Server::with(&named);
    let requester = s.requester();
    let answer = suspend(&s.admin(), "requester").is(200);
    assert_eq!(answer.json["source"], "config");
    answer.saying("server.toml");
    let again = suspend(&s.admin(), "requester").is(200);
    assert_eq!(again.json["source"], "config");
    let s = s.restart();
    assert_eq!(listed(&s, "requester")["status"], "active");
    let event = s.events("event_type=user.activated").remove(0);
    assert_eq!(event["actor_id"], "system");
    assert_eq!(metadata(&event)["by_config"], true);
    // The tokens stay revoked.
    let requester = s.bearer("requester", &requester.token.unwrap());
    requester.get("/api/me").refused(401, "unauthenticated");
    let gone = named.replace(
        "id = \"requester\"",
        "id = \"requester\"\nstatus = \"suspended\"",
    );
    let s = s.restart_with(&gone);
    let answer = activate(&s.admin(), "requester").is(200);
    answer.saying("server.toml");
    assert_eq!(listed(&s, "requester")["status"], "active");
    let s = s.restart();
    assert_eq!(listed(&s, "requester")["status"], "suspended");
}

#[test]
fn activating_lets_a_person_in_but_gives_no_token_back() {
    let s = Server::shop();
    let old = s.requester();
    let request = old.submit("production", UPDATE);
    suspend(&s.admin(), "requester").is(200);
    let asked = json!({"subject_id": "requester", "subject_type": "user", "roles": ["developer"]});
    s.admin()
        .post("/api/tokens", &asked)
        .refused(409, "conflict");
    let answer = activate(&s.admin(), "requester").is(200);
    assert_eq!(answer.json, json!({"id": "requester"}));
    activate(&s.admin(), "requester").is(200);
    assert_eq!(s.events("event_type=user.activated").len(), 1);
    old.get("/api/me").refused(401, "unauthenticated");
    let token = s.admin().post("/api/tokens", &asked).is(201).text("token");
    let new = s.bearer("requester", &token);
    new.submit("development", SELECT);
    // What was cancelled stays so.
    assert_eq!(new.show(&request).is(200).text("status"), "cancelled");
}

#[test]
fn only_who_manages_people_suspends_and_activates() {
    let s = Server::shop();
    s.approver();
    for person in [s.requester(), s.approver()] {
        for id in ["approver", "requester", "nobody-knows"] {
            suspend(&person, id).refused(403, "forbidden");
            activate(&person, id).refused(403, "forbidden");
        }
    }
    let refused = s.events("event_type=attempt.refused&actor_id=requester");
    assert_eq!(refused.len(), 6);
    assert_eq!(metadata(&refused[0])["attempt"], "user.activate");
    for id in ["nobody-knows", "%00", "a%20b"] {
        assert_eq!(suspend(&s.admin(), id).status, 404, "{id}");
        assert_eq!(activate(&s.admin(), id).status, 404, "{id}");
    }
    s.admin()
        .post("/api/users/approver/suspend", &json!([1]))
        .refused(400, "validation_error");
    s.approver().get("/api/me").is(200);
}

#[test]
fn the_last_administrator_stays() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"chief-of-staging\"\npermissions = [\"*\"]\nenvironments = [\"staging\"]\n"
    ));
    let admin = s.admin();
    suspend(&admin, "admin").refused(409, "last_admin");
    // Neither a scoped one, nor one whose token ends before, could activate them again.
    s.person("half", &["chief-of-staging"])
        .get("/api/me")
        .is(200);
    let until = s.clock.now().plus_secs(60).rfc3339();
    let asked = json!({"subject_id": "brief", "subject_type": "user", "roles": ["admin"], "expires_at": until});
    admin.post("/api/tokens", &asked).is(201);
    s.turn_only(60);
    suspend(&admin, "admin").refused(409, "last_admin");
    let second = s.person("second", &["admin"]);
    suspend(&second, "admin").is(200);
    admin.get("/api/me").refused(401, "unauthenticated");
    suspend(&second, "second").refused(409, "last_admin");
    activate(&second, "admin").is(200);
    // The person has no token any more.
    suspend(&second, "second").refused(409, "last_admin");
    assert_eq!(second.get("/api/audit/verify").is(200).json["valid"], true);
}

#[test]
fn of_two_administrators_who_suspend_each_other_one_stays() {
    let s = Server::shop();
    for round in 0..8 {
        let (one, two) = (format!("one-{round}"), format!("two-{round}"));
        let (a, b) = (s.person(&one, &["admin"]), s.person(&two, &["admin"]));
        let first = a.begin("POST", &format!("/api/users/{two}/suspend"), &[], b"");
        let second = b.begin("POST", &format!("/api/users/{one}/suspend"), &[], b"");
        let mut both = [first.answer().status, second.answer().status];
        both.sort_unstable();
        // The second caller has lost the token by then.
        assert_eq!(both, [200, 401]);
    }
}

#[test]
fn an_agent_may_not_suspend() {
    let s = Server::shop();
    let agent: Agent = s.agent("agent-1");
    suspend(&agent.person, "requester").refused(403, "forbidden");
    link(&agent.person, "agent-1", json!({"slack_user_id": "U1"})).refused(403, "forbidden");
}

#[test]
fn slack_accounts_are_shown_and_unlinked_without_slack() {
    let s = Server::shop();
    let ann = s.person("ann", &["readonly"]);
    let linked = |account: Value| {
        let body = json!({"slack_user_id": account}).to_string();
        let head = [("content-type", "application/json")];
        s.admin()
            .call("PATCH", "/api/users/ann", &head, body.as_bytes())
            .is(200);
        s.admin().get("/api/users/ann").is(200).json["slack_user_id"].clone()
    };
    ann.get("/api/me").is(200);
    assert_eq!(linked(json!("U0123ABCDEF")), "U0123ABCDEF");
    let users = s.admin().get("/api/users").is(200).list("users");
    assert!(
        users
            .iter()
            .any(|user| user["slack_user_id"] == "U0123ABCDEF")
    );
    assert_eq!(linked(Value::Null), Value::Null);
}
