//! Whom a subject of the provider may be, no more and no less.

use super::{ISSUER, UPDATE, claims, provided, toml, with};
use crate::support::{Idp, Key, SHOP, Server, key_set};
use serde_json::{Value, json};

#[test]
fn nobody_logs_in_as_agent_or_as_the_server_itself() {
    let (_idp, s, key) = provided();
    s.agent("agent-one");
    for subject in ["agent-one", "agent", "system", "anonymous", "*"] {
        let person = s.signed(&key, &with(claims(&s, subject), json!({"level": "high"})));
        person.get("/api/me").is(401);
        person.create("production", UPDATE).is(401);
    }
    assert!(s.events("event_type=user.created").is_empty());
}

#[test]
fn who_came_as_a_person_becomes_no_agent() {
    let (_idp, s, key) = provided();
    s.signed(&key, &claims(&s, "first")).get("/api/me").is(200);
    let asked = json!({"subject_id": "first", "subject_type": "agent", "roles": ["agent-default"]});
    s.admin()
        .post("/api/tokens", &asked)
        .refused(409, "conflict");
}

#[test]
fn ids_that_could_be_taken_for_others_are_nobodys() {
    let (_idp, s, key) = provided();
    for subject in [
        "",
        " admin",
        "admin ",
        "admin\u{a0}",
        "ad\u{200b}min",
        "\u{202e}nimda",
        "admin\u{feff}",
        "a\nb",
        &"x".repeat(250),
    ] {
        let person = s.signed(&key, &claims(&s, subject));
        person.get("/api/me").is(401);
        let asked = json!({"subject_id": subject, "subject_type": "user", "roles": ["readonly"]});
        let answer = s.admin().post("/api/tokens", &asked);
        answer.refused(400, "validation_error");
    }
    for subject in [
        "first.last@example.com",
        "auth0|42",
        "Zoë Ångström",
        "団子",
        &"x".repeat(249),
    ] {
        s.signed(&key, &claims(&s, subject)).get("/api/me").is(200);
    }
}

#[test]
fn a_group_that_looks_like_a_selector_names_nobody_else() {
    let (_idp, s, key) = provided();
    let request = s.requester().submit("production", UPDATE);
    for group in [
        "group:approvers",
        "user:approver",
        "role:admin",
        "*",
        "requester",
        "Approvers",
    ] {
        let groups = json!({"groups": [group, "backend"]});
        let person = s.signed(&key, &with(claims(&s, "somebody"), groups));
        person.approve(&request).refused(403, "forbidden");
        person.show(&request).refused(403, "forbidden");
        assert!(person.ids("pending_for_me=true").is_empty(), "{group}");
    }
    request.is_pending();
}

#[test]
fn suspended_people_do_not_log_in_by_the_provider() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let keys = format!("{}/keys", idp.url());
    let named = |status: &str| {
        let users = format!("[[users]]\nid = \"leaver\"\nstatus = \"{status}\"\n");
        format!("{}\n{users}", toml("", ISSUER, Some(&keys)))
    };
    let s = Server::with(&named("suspended"));
    let rights =
        json!({"groups": ["backend", "approvers"], "realm_access": {"roles": ["db-admins"]}});
    let leaver = |s: &Server| s.signed(&key, &with(claims(s, "leaver"), rights.clone()));
    leaver(&s).get("/api/me").is(401);
    leaver(&s).create("production", UPDATE).is(401);
    let s = s.restart_with(&named("active"));
    let request = leaver(&s).submit("production", UPDATE).is_pending();
    s.admin().poke("/api/users/leaver/suspend").is(200);
    leaver(&s).get("/api/me").is(401);
    assert_eq!(s.admin().show(&request).is(200).text("status"), "cancelled");
    // With both kinds of token it is one person: revoking and suspending hits them together.
    assert!(s.events("event_type=user.created").is_empty());
}

#[test]
fn token_of_ours_and_one_of_provider_are_one_voter() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let keys = format!("{}/keys", idp.url());
    let two = SHOP.replace("group = \"approvers\"", "group = \"approvers\"\nmin = 2");
    let oidc = toml("", ISSUER, Some(&keys)).replace(SHOP, &two);
    let s = Server::with(&oidc);
    let request = s.requester().submit("production", UPDATE);
    s.signed(&key, &claims(&s, "approver-two"))
        .approve(&request)
        .is(200);
    s.person("approver-two", &["readonly"])
        .approve(&request)
        .refused(409, "already_approved");
    request.is_pending();
}

#[test]
fn last_administrator_cannot_be_retired_but_the_first_token_can() {
    let (_idp, s, key) = provided();
    let listed = s.admin().get("/api/tokens").is(200).list("tokens");
    let first = listed.iter().find(|t| t["subject_id"] == "admin").unwrap();
    let path = format!("/api/tokens/{}", first["id"].as_str().unwrap());
    let claims_of = |s: &Server, subject: &str| {
        with(
            claims(s, subject),
            json!({"realm_access": {"roles": ["db-admins"]}}),
        )
    };
    // Whether the provider makes somebody an administrator is unknown before they log in.
    s.admin().delete(&path).refused(409, "last_admin");
    s.admin()
        .poke("/api/users/admin/suspend")
        .refused(409, "last_admin");
    let chief = s.signed(&key, &claims_of(&s, "chief"));
    chief.delete(&path).is(200);
    s.admin().get("/api/me").is(401);
    // Now that is the last known one.
    chief
        .poke("/api/users/chief/suspend")
        .refused(409, "last_admin");
    chief.get("/api/users").is(200);
}

#[test]
fn whom_binding_makes_administrator_may_come_by_provider_and_counts() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let keys = format!("{}/keys", idp.url());
    let bound = "\n[[auth.role_bindings]]\nrole = \"admin\"\nsubjects = [\"chief\"]\n";
    for (mode, status) in [("both", 200), ("token", 409)] {
        let base = toml(&format!("mode = \"{mode}\""), ISSUER, Some(&keys));
        let s = Server::with(&format!("{base}{bound}"));
        let listed = s.admin().get("/api/tokens").is(200).list("tokens");
        let first = listed.iter().find(|t| t["subject_id"] == "admin").unwrap();
        let path = format!("/api/tokens/{}", first["id"].as_str().unwrap());
        assert_eq!(s.admin().delete(&path).status, status, "{mode}");
        if status == 200 {
            let chief = s.signed(&key, &claims(&s, "chief"));
            chief
                .poke("/api/users/chief/suspend")
                .refused(409, "last_admin");
            chief.get("/api/users").is(200);
        }
    }
}

#[test]
fn list_of_people_shows_rights_and_their_source() {
    let (_idp, s, key) = provided();
    let more = json!({
        "groups": ["backend", "approvers"], "level": "high", "name": "Ann Other", "email": "ann@example.com",
    });
    s.signed(&key, &with(claims(&s, "ann"), more))
        .get("/api/me")
        .is(200);
    let minted = json!({
        "subject_id": "approver", "subject_type": "user", "roles": ["developer"], "groups": ["night"],
    });
    let token = s.admin().post("/api/tokens", &minted).is(201).text("id");
    let visitor = json!({"subject_id": "visitor", "subject_type": "user", "roles": ["developer"]});
    let granted = s.admin().post("/api/tokens", &visitor).is(201).text("id");
    let people = s.admin().get("/api/users").is(200).list("users");
    let of = |id: &str| people.iter().find(|p| p["id"] == id).unwrap();
    let given = |id: &str, what: &str| -> Vec<Value> {
        let all = of(id)["access"][what].as_array().unwrap();
        let mut all: Vec<Value> = all
            .iter()
            .map(|a| json!([a["name"], a["source"], a["group"], a["token_id"]]))
            .collect();
        all.sort_by_key(Value::to_string);
        all
    };
    assert_eq!(
        given("ann", "roles"),
        [
            json!(["developer", "claims", null, null]),
            json!(["lead", "claims", null, null])
        ]
    );
    assert_eq!(
        given("ann", "groups"),
        [json!(["backend", "claims", null, null])]
    );
    assert_eq!(of("ann")["display_name"], "Ann Other");
    assert_eq!(of("ann")["email"], "ann@example.com");
    assert_eq!(
        given("approver", "roles"),
        [json!(["readonly", "config", null, null])]
    );
    // A token for somebody whom no binding names grants what it names.
    assert_eq!(
        given("visitor", "roles"),
        [json!(["developer", "token", null, granted])]
    );
    assert_eq!(
        given("approver", "groups"),
        [
            json!(["approvers", "config", null, null]),
            json!(["night", "token", null, token])
        ]
    );
    let roles = of("approver")["access"]["roles"].as_array().unwrap();
    let readonly = roles.iter().find(|r| r["name"] == "readonly").unwrap();
    assert!(readonly["permissions"].to_string().contains("request.view"));
    // Who was suspended cannot use a token any more.
    s.admin().poke("/api/users/approver/suspend").is(200);
    let people = s.admin().get("/api/users").is(200).list("users");
    let suspended = people.iter().find(|p| p["id"] == "approver").unwrap();
    assert!(!suspended["access"].to_string().contains("token\","));
}

#[test]
fn list_of_people_shows_that_claims_are_unknown_after_restart() {
    let (_idp, s, key) = provided();
    let claims = with(
        claims(&s, "ann"),
        json!({"groups": ["backend"], "level": "high"}),
    );
    let ann = |s: &Server| {
        let people = s.admin().get("/api/users").is(200).list("users");
        people.into_iter().find(|p| p["id"] == "ann").unwrap()
    };
    s.signed(&key, &claims).get("/api/me").is(200);
    assert!(ann(&s)["claims_seen_at"].is_string());
    let s = s.restart();
    let known = ann(&s);
    assert_eq!(known["claims_seen_at"], Value::Null);
    assert!(known["last_seen_at"].is_string(), "{known}");
    assert!(!known["access"].to_string().contains("claims"), "{known}");
    // The next token tells again.
    s.signed(&key, &claims).get("/api/me").is(200);
    let access = ann(&s)["access"].to_string();
    assert!(access.contains("backend"), "{access}");
}

#[test]
fn another_claim_may_hold_the_id_of_people() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let toml = toml("", ISSUER, Some(&format!("{}/keys", idp.url())));
    let s = Server::with(&toml.replace(
        "groups_claim = ",
        "subject_claim = \"profile.login\"\nname_claim = \"profile.full\"\ngroups_claim = ",
    ));
    let profile = json!({"profile": {"login": "ann", "full": "Ann Other"}});
    let me = s.signed(&key, &with(claims(&s, "8f14e45f"), profile.clone()));
    assert_eq!(me.get("/api/me").is(200).text("subject_id"), "ann");
    let people = s.admin().get("/api/users").is(200).list("users");
    let ann = people.iter().find(|p| p["id"] == "ann").unwrap();
    assert_eq!(ann["display_name"], "Ann Other");
    for (subject, more) in [
        (json!("8f14e45f"), json!({})),
        (json!("8f14e45f"), json!({"profile": {"login": 7}})),
        (json!("8f14e45f"), json!({"profile": {"login": "system"}})),
        (json!(null), profile),
    ] {
        let mut claims = with(claims(&s, "x"), more);
        claims["sub"] = subject;
        s.bearer("x", &key.sign(&claims)).get("/api/me").is(401);
    }
}
