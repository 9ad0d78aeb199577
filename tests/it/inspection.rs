//! What one token can do now, and what its issuer is warned of.

use crate::support::{SHOP, Server};
use serde_json::{Value, json};

const BOUND: &str = r#"
[[auth.role_bindings]]
role = "readonly"
subjects = ["bound"]
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{BOUND}"))
}

fn issued(s: &Server, subject: &str, roles: &[&str]) -> Value {
    let asked = json!({"subject_id": subject, "subject_type": "user", "roles": roles});
    s.admin().post("/api/tokens", &asked).is(201).json
}

#[test]
fn token_that_can_do_less_than_its_roles_says_so() {
    let s = server();
    let cut = issued(&s, "bound", &["developer"]);
    assert_eq!(
        cut["warning"],
        "the token can do less than developer permits: its subject holds readonly by server.toml, and the roles of the token are a ceiling on that"
    );
    assert!(!cut["permissions"].to_string().contains("request.cancel"));
    for (subject, roles) in [
        ("bound", &["readonly"][..]),
        ("bound", &[]),
        ("free", &["developer"]),
    ] {
        let whole = issued(&s, subject, roles);
        assert_eq!(whole["warning"], Value::Null, "{subject} {roles:?}");
    }
}

#[test]
fn a_token_is_shown_with_what_it_can_do_now() {
    let s = server();
    let issued = issued(&s, "bound", &["developer"]);
    let id = issued["id"].as_str().unwrap();
    let path = format!("/api/tokens/{id}/inspect");
    let shown = s.admin().get(&path).is(200);
    assert!(!shown.raw().contains(issued["token"].as_str().unwrap()));
    assert_eq!(
        (&shown.json["role_mode"], &shown.json["is_valid"]),
        (&json!("ceiling"), &json!(true))
    );
    let effective = &shown.json["effective"];
    let names = |key: &str| -> Vec<&str> {
        let roles = effective[key].as_array().unwrap().iter();
        roles.map(|role| role["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("roles"), ["readonly"]);
    assert_eq!(names("token_ceiling"), ["developer"]);
    // The same as the token says of itself.
    let holder = s.bearer("bound", issued["token"].as_str().unwrap());
    let me = holder.get("/api/me").is(200);
    assert_eq!(effective["permissions"], me.json["permissions"]);
    s.admin().delete(&format!("/api/tokens/{id}")).is(200);
    let shown = s.admin().get(&path).is(200);
    assert_eq!(
        (&shown.json["is_valid"], &shown.json["rejection_reason"]),
        (&json!(false), &json!("revoked"))
    );
    s.requester().get(&path).refused(403, "forbidden");
    s.admin()
        .get("/api/tokens/nothing/inspect")
        .refused(404, "not_found");
}
