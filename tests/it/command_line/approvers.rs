//! Who can approve, by name: in preflights, and in requests that wait.

use super::console::Console;
use crate::people::suspend;
use crate::support::{SHOP, Server};
use serde_json::{Value, json};

const TEXT: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// The steps that a request of the requester would have.
fn steps(server: &Server) -> Value {
    let body = json!({"database": "shop", "environment": "production", "sql": TEXT});
    let tried = server.requester().post("/api/preflight", &body).is(200);
    tried.json["policy"]["workflow"]["steps"].clone()
}

/// In production one of a group approves, then a lead: by the configuration, or by a token.
const TWO_STEPS: &str = r#"
[[workflows]]
database = "shop"
environment = "production"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"
[[workflows.steps]]
mode = "any"
[[workflows.steps.approvers]]
role = "lead"
[[workflows.steps.approvers]]
user = "chief"

[[auth.roles]]
name = "lead"
permissions = ["request.approve", "request.view"]
[[auth.role_bindings]]
role = "developer"
subjects = ["requester"]
[[auth.role_bindings]]
role = "lead"
subjects = ["boss", "requester"]
"#;

#[test]
fn who_can_approve_is_named_before_and_while_it_waits() {
    let server = Server::with(&format!("{SHOP}{TWO_STEPS}"));
    server.person("eve", &["lead"]);
    server.person("gone", &["lead"]);
    suspend(&server.admin(), "gone").is(200);
    let named = |selector: &str, people: &[&str]| json!({"selector": selector, "min": 1, "people": people, "others": false});
    let steps = steps(&server);
    let group = named("group:approvers", &["approver", "approver-two"]);
    assert_eq!(steps[0]["approvers"], json!([group]));
    let lead = named("role:lead", &["boss", "eve"]);
    assert_eq!(
        steps[1]["approvers"],
        json!([lead, named("user:chief", &["chief"])])
    );
    let console = Console::before(&server);
    let (token, e) = (server.requester().token, ["-d", "shop", "-e", "production"]);
    let out = console
        .run(token.as_deref(), &[&["preflight", TEXT], &e[..]].concat())
        .is(0)
        .out;
    let words = "Needs 1 of group approvers (approver, approver-two), then 1 of role lead (boss, eve) or 1 of user chief.";
    assert!(out.contains(words), "{out}");

    let request = server.requester().submit("production", TEXT);
    let show = || {
        let out = console
            .run(token.as_deref(), &["request", "show", &request.id])
            .is(0)
            .out;
        let lines = out
            .lines()
            .filter(|line| line.trim_start().starts_with("Step "));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        show(),
        [
            "Step 1     0 of 1 group approvers (approver, approver-two)",
            "Step 2     0 of 1 role lead or 0 of 1 user chief",
        ]
    );
    server.approver().approve(&request).is(200);
    assert_eq!(
        show(),
        [
            "Step 1     1 of 1 group approvers, done",
            "Step 2     0 of 1 role lead (boss, eve) or 0 of 1 user chief",
        ]
    );
    server.person("eve", &["lead"]).approve(&request).is(200);
    let shown = server.requester().show(&request).is(200).json;
    let entry = &shown["approval_progress"]["steps"][1]["approvers_required"][0];
    assert_eq!(entry["people"], Value::Null, "{entry}");
}

#[test]
fn of_many_who_can_approve_ten_are_named() {
    let people: Vec<String> = (10..30).map(|n| format!("p{n}")).collect();
    let listed = SHOP.replace(
        "\"approver-two\"",
        &format!("\"{}\"", people.join("\", \"")),
    );
    let server = Server::with(&listed);
    let steps = steps(&server);
    let entry = &steps[0]["approvers"][0];
    let first: Vec<&str> = ["approver"]
        .into_iter()
        .chain(people[..9].iter().map(String::as_str))
        .collect();
    assert_eq!(
        (&entry["people"], &entry["others"]),
        (&json!(first), &json!(true))
    );
    let console = Console::before(&server);
    let options = ["preflight", TEXT, "-d", "shop", "-e", "production"];
    let out = console
        .run(server.requester().token.as_deref(), &options)
        .is(0)
        .out;
    assert!(out.contains("p17, p18, others)."), "{out}");
}
