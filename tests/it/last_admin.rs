//! The last administrator stays, whatever would remove them: here their token; a suspension, a deleted role and a
//! configuration are with their areas.

use crate::support::{SHOP, Server};
use serde_json::{Value, json};

/// Ids of the tokens of somebody.
fn tokens_of(s: &Server, subject: &str) -> Vec<String> {
    let page = s.admin().get("/api/tokens").is(200).list("tokens");
    let own = page.iter().filter(|t| t["subject_id"] == subject);
    own.map(|t| t["id"].as_str().unwrap().to_owned()).collect()
}

fn path(id: &str) -> String {
    format!("/api/tokens/{id}")
}

fn server() -> Server {
    Server::with(&format!(
        r#"{SHOP}
[[auth.roles]]
name = "keeper"
permissions = ["token.manage"]
[[auth.roles]]
name = "chief-of-staging"
permissions = ["*"]
environments = ["staging"]
[[auth.role_bindings]]
role = "readonly"
subjects = ["bound"]
"#
    ))
}

#[test]
fn the_token_that_the_last_administrator_stands_on_stays() {
    let s = server();
    let [first] = &tokens_of(&s, "admin")[..] else {
        panic!("one token");
    };
    let keeper = s.person("keeper", &["keeper"]);
    let refused = s.admin().delete(&path(first)).refused(409, "last_admin");
    refused.saying("give somebody else the role `admin` first");
    keeper.delete(&path(first)).refused(409, "last_admin");
    // None of these could activate the administrator again: of a part, of an agent, with a lower role, or expired by
    // then.
    s.person("half", &["chief-of-staging"])
        .get("/api/me")
        .is(200);
    s.person("bound", &["admin"]).get("/api/me").is(200);
    s.agent("agent-1").poll();
    let until = s.clock.now().plus_secs(60).rfc3339();
    let brief = json!({"subject_id": "brief", "subject_type": "user", "roles": ["admin"], "expires_at": until});
    s.admin().post("/api/tokens", &brief).is(201);
    s.turn_only(60);
    keeper.delete(&path(first)).refused(409, "last_admin");
    s.admin().get("/api/me").is(200);
    assert!(s.events("event_type=token.revoked").is_empty());
    // All others may go, and the administrator's too once there is a second.
    for subject in ["half", "bound", "agent-1", "brief"] {
        for id in tokens_of(&s, subject) {
            keeper.delete(&path(&id)).is(200);
        }
    }
    let second = s.person("second", &["admin"]);
    let [other] = &tokens_of(&s, "second")[..] else {
        panic!("one token");
    };
    keeper.delete(&path(first)).is(200);
    s.admin().get("/api/me").is(401);
    second.delete(&path(other)).refused(409, "last_admin");
    // Again is the same again, not a loss.
    second.delete(&path(first)).is(200);
}

#[test]
fn of_two_administrators_who_revoke_each_others_token_one_stays() {
    let s = server();
    let [first] = &tokens_of(&s, "admin")[..] else {
        panic!("one token");
    };
    for round in 0..8 {
        let names = [format!("one-{round}"), format!("two-{round}")];
        let people = names.clone().map(|name| s.person(&name, &["admin"]));
        let ids = names.map(|name| tokens_of(&s, &name).remove(0));
        let first = people[0].begin("DELETE", &path(&ids[1]), &[], b"");
        let second = people[1].begin("DELETE", &path(&ids[0]), &[], b"");
        let mut both = [first.answer().status, second.answer().status];
        both.sort_unstable();
        assert_eq!(both, [200, 401]);
    }
    // Eight of them are left, and the developer and the agent of the first start.
    let last = s.person("last", &["admin"]);
    let page = last.get("/api/tokens").is(200).list("tokens");
    let mut statuses = Vec::new();
    for token in page
        .iter()
        .filter(|t| t["status"] == "active" && t["subject_id"] != "last")
    {
        let id = token["id"].as_str().unwrap();
        if id != first {
            statuses.push(last.delete(&path(id)).status);
        }
    }
    assert_eq!(statuses, vec![200; 10]);
    last.delete(&path(first)).is(200);
    let own = last.get("/api/tokens").is(200).list("tokens");
    let own = own.iter().find(|t| t["subject_id"] == "last").unwrap();
    let id = own["id"].as_str().unwrap();
    last.delete(&path(id)).refused(409, "last_admin");
    assert_eq!(
        last.get("/api/me").is(200).json["subject_id"],
        Value::from("last")
    );
}
