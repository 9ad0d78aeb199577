//! One person, and the groups of the configuration.

use crate::people::listed;
use crate::support::{SHOP, Server};
use serde_json::json;

const GROUPS: &str = r#"
[[auth.groups]]
name = "staff"
members = ["bound", "named"]

[[auth.role_bindings]]
role = "readonly"
groups = ["staff", "outside"]

[auth.oidc]
issuer = "https://id.example.com"
client_id = "dbward"
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{GROUPS}"))
}

#[test]
fn a_person_is_shown_as_the_list_shows_them() {
    let s = server();
    let requester = s.requester();
    requester.get("/api/me").is(200);
    s.flush();
    let shown = s.admin().get("/api/users/requester").is(200);
    assert_eq!(shown.json, listed(&s, "requester"));
    assert_eq!(shown.json["roles"], json!(["developer"]));
    // Oneself, and nobody else without the right to it.
    requester.get("/api/users/requester").is(200);
    requester.get("/api/users/admin").refused(403, "forbidden");
    requester.get("/api/users/nobody").refused(403, "forbidden");
    let unknown = s.admin().get("/api/users/nobody");
    unknown.refused(404, "not_found").saying("nobody");
}

#[test]
fn groups_have_members_and_roles() {
    let s = server();
    let groups = s.admin().get("/api/groups").is(200).list("groups");
    let names: Vec<&str> = groups.iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["approvers", "outside", "staff"]);
    assert_eq!(
        groups[2],
        json!({
            "name": "staff", "source": "config", "from_claim": false,
            "on_call": null, "members": ["bound", "named"], "roles": ["readonly"],
        })
    );
    // A binding names it, and nothing says who is in it.
    assert_eq!(
        groups[1],
        json!({"name": "outside", "source": "claims", "from_claim": true, "on_call": null, "members": [], "roles": ["readonly"]})
    );
    let one = s.admin().get("/api/groups/staff").is(200);
    assert_eq!(one.json, groups[2]);
    let unknown = s.admin().get("/api/groups/nobody");
    unknown.refused(404, "not_found").saying("nobody");
    s.requester()
        .get("/api/groups/staff")
        .refused(403, "forbidden");
}
