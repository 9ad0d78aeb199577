//! Where mail reaches people of the provider: at the address that their last token named, as what its claims made them,
//! after a restart too.

use super::{ISSUER, UPDATE, claims, toml, with};
use crate::support::{DELIVERS, FakeSlack, Idp, Key, PostOffice, Server, eventually, key_set};
use serde_json::{Value, json};

fn server(idp: &Idp, post: &PostOffice) -> Server {
    let oidc = toml("", ISSUER, Some(&format!("{}/keys", idp.url())));
    Server::with(&format!("{oidc}{DELIVERS}{}", post.section()))
}

/// Claims of a developer with these more.
fn developer(s: &Server, subject: &str, more: Value) -> Value {
    let claims = with(claims(s, subject), json!({"groups": ["backend"]}));
    with(claims, more)
}

fn email_of(s: &Server, id: &str) -> Value {
    let path = format!("/api/users/{id}");
    s.admin().get(&path).is(200).json["email"].clone()
}

/// The addresses in the audit log, newest first.
fn kept(s: &Server) -> Vec<String> {
    let events = s.events("event_type=user.email_changed");
    let email = |event: &Value| -> String {
        let metadata = event["metadata_json"].as_str().unwrap();
        let metadata: Value = serde_json::from_str(metadata).unwrap();
        metadata["email"].as_str().unwrap().to_owned()
    };
    events.iter().map(email).collect()
}

#[test]
fn mail_reaches_people_of_the_provider_after_a_restart() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let s = server(&idp, &post);
    let named = json!({"email": "ann@example.com", "email_verified": true});
    let ann = s.signed(&key, &developer(&s, "ann", named));
    let request = ann.submit("production", UPDATE);
    assert_eq!(kept(&s), ["ann@example.com"]);
    let s = s.restart();
    assert_eq!(email_of(&s, "ann"), "ann@example.com");
    s.admin().reject(&request).is(200);
    eventually("the outcome", || post.letters().len() == 1);
    assert_eq!(post.letters()[0].to, "ann@example.com");
}

#[test]
fn the_last_address_that_the_provider_vouches_for_is_kept() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let mut s = server(&idp, &post);
    for (more, email) in [
        (
            json!({"email": "ann@example.com"}),
            json!("ann@example.com"),
        ),
        // Who names none says nothing of it.
        (json!({}), json!("ann@example.com")),
        (
            json!({"email": "eve@example.com", "email_verified": false}),
            json!("ann@example.com"),
        ),
        (
            json!({"email": "eve@example.com", "email_verified": "false"}),
            json!("ann@example.com"),
        ),
        (
            json!({"email": "other@example.com", "email_verified": true}),
            json!("other@example.com"),
        ),
    ] {
        let person = s.signed(&key, &developer(&s, "ann", more.clone()));
        person.get("/api/me").is(200);
        s = s.restart();
        assert_eq!(email_of(&s, "ann"), email, "{more}");
    }
    assert_eq!(kept(&s), ["other@example.com", "ann@example.com"]);
    let unknown = json!({"email": "eve@example.com", "email_verified": false});
    let eve = s.signed(&key, &developer(&s, "eve", unknown));
    eve.get("/api/me").is(200);
    assert_eq!(email_of(&s, "eve"), Value::Null);
}

#[test]
fn approvers_are_asked_at_the_address_of_their_last_token() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let s = server(&idp, &post);
    for (id, address) in [
        ("approver-two", "two@example.com"),
        ("ann", "ann@example.com"),
    ] {
        let claims = developer(&s, id, json!({"email": address}));
        s.signed(&key, &claims).get("/api/me").is(200);
    }
    let s = s.restart();
    s.requester().submit("production", UPDATE);
    eventually("asked", || !post.letters().is_empty());
    // Nobody else may approve it whose address is known.
    let [letter] = &post.letters()[..] else {
        panic!("one is asked")
    };
    assert_eq!(letter.to, "two@example.com");
    assert!(letter.text.contains("Subject: [dbward] Approval needed: "));
}

/// Staging waits for a group, and development for a role, that claims alone give.
const BY_CLAIMS: &str = r#"
[[workflows]]
database = "shop"
environment = "staging"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "data-team"

[[workflows]]
database = "shop"
environment = "development"
[[workflows.steps]]
[[workflows.steps.approvers]]
role = "lead"
"#;

/// A server whose approvers are known by claims alone; Ann is in the group and has the role, Bob has neither.
fn asked_by_claims(idp: &Idp, post: &PostOffice, key: &Key) -> Server {
    let oidc = toml("", ISSUER, Some(&format!("{}/keys", idp.url())));
    let s = Server::with(&format!("{oidc}{BY_CLAIMS}{DELIVERS}{}", post.section()));
    for (id, groups, level) in [
        ("ann", json!(["data-team", "backend"]), "high"),
        ("bob", json!(["data", "approvers", "backend"]), "low"),
    ] {
        let more = json!({"groups": groups, "level": level, "email": format!("{id}@example.com")});
        let person = s.signed(key, &with(claims(&s, id), more));
        person.get("/api/me").is(200);
    }
    s
}

/// Who is asked by mail of a new request there; the mail of whom comes last is waited for.
fn asked(s: &Server, post: &PostOffice, environment: &str) -> Vec<String> {
    let before = post.letters().len();
    let request = s.requester().submit(environment, UPDATE);
    let path = format!("/api/webhook-deliveries?request_id={}", request.id);
    let rows = s.admin().get(&path).is(200).list("deliveries").len();
    eventually("asked", || post.letters().len() == before + rows);
    let letters = post.letters().split_off(before);
    letters.into_iter().map(|letter| letter.to).collect()
}

#[test]
fn approvers_by_claims_are_asked_for_thirty_days_after_restart() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let s = asked_by_claims(&idp, &post, &key);
    let s = s.restart();
    assert_eq!(asked(&s, &post, "staging"), ["ann@example.com"]);
    assert_eq!(asked(&s, &post, "development"), ["ann@example.com"]);
    // Who can approve is shown, and that claims may name others.
    let request = s.requester().submit("staging", UPDATE);
    let shown = s.requester().show(&request).is(200).json["approval_progress"].clone();
    let entry = &shown["steps"][0]["approvers_required"][0];
    assert_eq!(
        (&entry["people"], &entry["others"]),
        (&json!(["ann"]), &json!(true))
    );
    eventually("asked", || post.letters().len() == 3);
    // Bob is not in a group of the configuration because claims say so.
    assert_eq!(asked(&s, &post, "production"), [""; 0]);
    s.turn_only(29 * 86_400);
    assert_eq!(asked(&s, &post, "staging"), ["ann@example.com"]);
    s.turn_only(2 * 86_400);
    assert_eq!(asked(&s, &post, "staging"), [""; 0]);
}

#[test]
fn claims_are_kept_when_they_change_and_once_a_day() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let mut s = asked_by_claims(&idp, &post, &key);
    assert_eq!(s.events("event_type=user.claims_kept").len(), 2);
    for (hours, groups, events) in [
        (2, json!(["data-team", "backend"]), 2),
        (23, json!(["data-team", "backend"]), 3),
        (2, json!(["backend"]), 4),
    ] {
        s = s.restart_after(hours * 3_600);
        let more = json!({"groups": groups, "email": "ann@example.com", "level": "high"});
        let claims = with(claims(&s, "ann"), more);
        s.signed(&key, &claims).get("/api/me").is(200);
        let kept = s.events("event_type=user.claims_kept").len();
        assert_eq!(kept, events, "after {hours} more hours: {groups}");
    }
    assert_eq!(asked(&s, &post, "staging"), [""; 0]);
    let proof = s.admin().get("/api/audit/verify").is(200).json;
    assert_eq!(proof["valid"], true, "{proof}");
}

#[test]
fn kept_claims_ask_and_let_nobody_decide() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let s = asked_by_claims(&idp, &post, &key);
    let request = s.requester().submit("staging", UPDATE);
    // Ann comes again, and is in no group any more.
    let ann = s.signed(&key, &developer(&s, "ann", json!({})));
    ann.approve(&request).refused(403, "forbidden");
    // What is kept gives a token of this server nothing either.
    let token = s.person("ann", &["readonly"]);
    token.approve(&request).refused(403, "forbidden");
}

#[test]
fn approvers_by_a_token_alone_are_asked_by_mail() {
    let (post, key) = (PostOffice::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    let oidc = toml("", ISSUER, Some(&format!("{}/keys", idp.url())));
    let people = ["eve", "max", "zoe"]
        .map(|id| format!("[[users]]\nid = \"{id}\"\nemail = \"{id}@example.com\"\n"));
    let s = Server::with(&format!(
        "{oidc}{BY_CLAIMS}{DELIVERS}{}{}",
        people.concat(),
        post.section()
    ));
    s.person("eve", &["lead"]);
    s.person("max", &["readonly"]);
    let zoe = json!({"subject_id": "zoe", "subject_type": "user", "roles": ["readonly"], "groups": ["data-team"]});
    let token = s.admin().post("/api/tokens", &zoe).is(201).text("id");
    assert_eq!(asked(&s, &post, "development"), ["eve@example.com"]);
    assert_eq!(asked(&s, &post, "staging"), ["zoe@example.com"]);
    let revoked = s.admin().delete(&format!("/api/tokens/{token}"));
    assert!(revoked.status < 300, "{}", revoked.raw());
    assert_eq!(asked(&s, &post, "staging"), [""; 0]);
}

#[test]
fn approvers_by_claims_alone_are_mentioned_after_a_restart() {
    let (slack, key) = (FakeSlack::start(), Key::new("one"));
    let idp = Idp::start(&key_set(&[&key]));
    slack.knows("ann@example.com", json!({"id": "U0ANN"}));
    let oidc = toml("", ISSUER, Some(&format!("{}/keys", idp.url())));
    let s = Server::with(&format!("{oidc}{BY_CLAIMS}{DELIVERS}{}", slack.section()));
    for (id, groups) in [("ann", json!(["data-team"])), ("bob", json!(["backend"]))] {
        let more = json!({"groups": groups, "email": format!("{id}@example.com")});
        let person = s.signed(&key, &with(claims(&s, id), more));
        person.get("/api/me").is(200);
    }
    let s = s.restart();
    s.requester().submit("staging", UPDATE);
    let root = slack.nth("chat.postMessage", 1).body.to_string();
    assert!(root.contains("Asked: <@U0ANN>\""), "{root}");
}
