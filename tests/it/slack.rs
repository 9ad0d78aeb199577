//! The Slack app, against a Slack on this machine that signs what it sends, enforces its limits, and fails where it is to:
//! requests are posted, decided, executed and made there by the people whose accounts are linked, and by nobody else.

mod crowds;
mod delivery;
mod dialogs;
mod identity;
mod limits;
mod mentions;
mod outcomes;
mod signatures;

use crate::support::{
    DELIVERS, FakeSlack, Person, Request, SHOP, Server, SlackCall, decision, eventually,
};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE name = 'a secret name'";
const APPROVER: &str = "U0APPROVER";
const REQUESTER: &str = "U0REQUESTER";

/// The shop, in which the requester is a developer by configuration, as Slack needs it.
const BOUND: &str = r#"
[[auth.role_bindings]]
role = "developer"
subjects = ["requester"]
"#;

fn server(slack: &FakeSlack) -> Server {
    server_with(slack, "")
}

fn server_with(slack: &FakeSlack, more: &str) -> Server {
    Server::with(&format!("{SHOP}{BOUND}{DELIVERS}{}{more}", slack.section()))
}

/// Links a person to a Slack account.
fn link(by: &Person, person: &str, slack_user_id: &str) {
    let body = json!({"slack_user_id": slack_user_id}).to_string();
    let head = [("content-type", "application/json")];
    let path = format!("/api/users/{person}");
    by.call("PATCH", &path, &head, body.as_bytes()).is(200);
}

/// The same for both of the shop, each by themselves: with tokens that name no roles, which would limit them.
fn link_all(s: &Server) {
    link(&s.person("approver", &[]), "approver", APPROVER);
    link(&s.person("requester", &[]), "requester", REQUESTER);
}

/// All that a message or a dialog, joined.
fn written_in(value: &Value) -> String {
    value.to_string()
}

/// The time of the message about a request, once it is recorded.
fn posted(s: &Server, request: &Request) -> String {
    let mut found = None;
    eventually("the message is recorded", || {
        found = s
            .inner()
            .app()
            .store
            .read(|view| {
                let seq = view.request(&request.id)?.seq;
                view.slack_message(seq)
            })
            .unwrap();
        found.is_some()
    });
    found.unwrap().ts
}

/// A posted request of the requester, with the dialog that the approver has open.
fn reviewing() -> (FakeSlack, Server, Request, SlackCall) {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let open = slack.nth("views.open", 1);
    (slack, s, request, open)
}

#[test]
fn a_request_is_posted_reviewed_approved_executed_and_shown() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let reason = json!({"reason": "sale <!channel> & `more`\n*Approvers*\nnobody"});
    let request = s.requester().submit_with("production", UPDATE, reason);
    let ts = posted(&s, &request);
    // Both accounts were notified of their links before.
    let root = slack.nth("chat.postMessage", 3);
    assert_eq!(root.body["channel"], "#db");
    assert_eq!(root.button().as_deref(), Some("dbward_review"));
    let text = written_in(&root.body);
    assert!(text.contains(&format!("<@{REQUESTER}>")), "{text}");
    assert!(text.contains(&format!("Asked: <@{APPROVER}>")), "{text}");
    assert!(
        text.contains("sale &lt;!channel&gt; &amp; 'more' *Approvers* nobody"),
        "{text}"
    );
    assert!(
        !text.contains("secret name") && !text.contains("UPDATE"),
        "{text}"
    );

    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let open = slack.nth("views.open", 1);
    assert!(
        written_in(&open.body).contains("UPDATE items SET price = 2 WHERE name = 'a secret name'")
    );
    s.submit_dialog(APPROVER, &open, decision("reject", None))
        .is(200)
        .saying("\"comment_block\":\"Say why you reject it.\"");
    let answer = s
        .submit_dialog(APPROVER, &open, decision("approve", Some("fine")))
        .is(200);
    assert_eq!(answer.raw(), "");
    request.clone().is("approved");
    let votes = s.requester().show(&request).is(200).json["approval_progress"].to_string();
    assert!(votes.contains("fine"), "{votes}");
    let update = slack.nth("chat.update", 1);
    assert_eq!(update.body["ts"], ts.as_str());
    assert_eq!(update.button().as_deref(), Some("dbward_resume"));
    let reply = slack.nth("chat.postMessage", 4);
    assert_eq!(reply.body["thread_ts"], ts.as_str());
    assert!(written_in(&reply.body).contains(&format!("<@{REQUESTER}>")));

    executed_and_shown(&s, &slack, &request, &ts);
    let page = s.inner().app().metrics.render();
    for line in [
        "dbward_slack_calls_total{kind=\"button\",outcome=\"done\"} 3",
        "dbward_slack_calls_total{kind=\"dialog\",outcome=\"refused\"} 1",
        "dbward_delivery_attempts_total{endpoint=\"@slack\",outcome=\"delivered\"}",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
}

/// The requester has an approved request executed and looks at its result.
fn executed_and_shown(s: &Server, slack: &FakeSlack, request: &Request, ts: &str) {
    s.click(REQUESTER, "dbward_resume", &request.id, ts).is(200);
    let open = slack.nth("views.open", 2);
    assert_eq!(
        s.submit_dialog(REQUESTER, &open, json!({})).is(200).raw(),
        ""
    );
    request.clone().is("dispatched");
    s.agent("agent-1").run(&request.id);
    eventually("the result can be looked at", || {
        let last = slack.of("chat.update").pop();
        last.is_some_and(|call| call.button().as_deref() == Some("dbward_view_result"))
    });
    s.click(REQUESTER, "dbward_view_result", &request.id, ts)
        .is(200);
    let shown = slack.nth("views.update", 1);
    assert!(
        written_in(&shown.body).contains("bytes in all"),
        "{}",
        shown.body
    );
    assert!(slack.of("chat.postEphemeral").is_empty());
    let events = s.events(&format!("request_id={}", request.id));
    let actors: Vec<&str> = events
        .iter()
        .filter(|e| {
            e["event_type"] == "request.approved" || e["event_type"] == "request.dispatched"
        })
        .map(|e| e["actor_id"].as_str().unwrap())
        .collect();
    assert_eq!(actors, ["requester", "approver"]);
}
