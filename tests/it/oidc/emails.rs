//! Where mail reaches people of the provider: at the address that their last token named, after a restart too.

use super::{ISSUER, UPDATE, claims, toml, with};
use crate::support::{DELIVERS, Idp, Key, PostOffice, Server, eventually, key_set};
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
