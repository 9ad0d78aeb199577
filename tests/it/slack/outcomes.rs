//! Every way in which a request ends or goes on is shown in its message, and those who wait for it learn of it.

use super::{APPROVER, REQUESTER, UPDATE, link, link_all, posted, server, server_with, written_in};
use crate::people::suspend;
use crate::support::{FakeSlack, Request, Server, eventually};
use serde_json::{Value, json};

/// Waits for a reply below a message with these words, and returns it.
#[track_caller]
fn replied(slack: &FakeSlack, ts: &str, words: &str) -> Value {
    let mut found = None;
    eventually(&format!("a reply of {words}"), || {
        found = slack
            .of("chat.postMessage")
            .into_iter()
            .find(|call| call.body["thread_ts"] == ts && written_in(&call.body).contains(words));
        found.is_some()
    });
    found.unwrap().body
}

/// The message as it was written last: its words and its button.
fn last(slack: &FakeSlack) -> (String, Option<String>) {
    let call = slack.of("chat.update").pop().unwrap();
    (written_in(&call.body), call.button())
}

/// A posted request, handed to the agents.
fn dispatched(s: &Server) -> (Request, String) {
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(s, &request);
    (request.approved_by(&s.approver()).resumed(), ts)
}

#[test]
fn what_comes_of_execution_takes_button_away_and_mentions_requester() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let agent = s.agent("agent-1");
    let mention = format!("<@{REQUESTER}>");

    let (request, ts) = dispatched(&s);
    agent.claim(&request.id);
    s.turn(3_600);
    let reply = replied(&slack, &ts, "Execution lost: its outcome is unknown");
    assert!(written_in(&reply).contains(&mention), "{reply}");
    let (text, button) = last(&slack);
    assert!(
        text.contains("Execution lost") && text.contains("outcome: unknown"),
        "{text}"
    );
    assert_eq!(button, None);

    let (request, ts) = dispatched(&s);
    let claim = agent.claim(&request.id);
    agent.fail(&claim.execution, "driver error: no").is(200);
    let reply = replied(&slack, &ts, "Execution failed");
    assert!(written_in(&reply).contains(&mention), "{reply}");
    assert!(!written_in(&reply).contains("driver error"), "{reply}");
    assert_eq!(last(&slack).1, None);

    let (request, ts) = dispatched(&s);
    let claim = agent.claim(&request.id);
    s.requester().cancel(&request).is(200);
    let reply = replied(&slack, &ts, "Cancelled");
    assert!(written_in(&reply).contains("stopping"), "{reply}");
    agent
        .succeed(&claim.execution, r#"{"rows_affected":1}"#)
        .is(200);
    let reply = replied(&slack, &ts, "Committed although it had been cancelled");
    assert!(written_in(&reply).contains(&mention), "{reply}");
    assert!(written_in(&reply).contains("Outcome: committed"), "{reply}");
    assert_eq!(last(&slack).1, None);
}

#[test]
fn unclaimed_dispatch_is_reported_and_can_be_repeated() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let (_request, ts) = dispatched(&s);
    s.turn(400);
    let reply = replied(&slack, &ts, "No agent took it in time");
    assert!(
        written_in(&reply).contains(&format!("<@{REQUESTER}>")),
        "{reply}"
    );
    let (text, button) = last(&slack);
    assert!(text.contains("Approved"), "{text}");
    assert_eq!(button.as_deref(), Some("dbward_resume"));
}

#[test]
fn suspension_of_the_requester_takes_the_button_away() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    suspend(&s.admin(), "requester").is(200);
    let reply = replied(&slack, &ts, "Cancelled");
    // Somebody suspended has no account any more: they are named.
    let text = written_in(&reply);
    assert!(
        text.contains("requester") && !text.contains(&format!("<@{REQUESTER}>")),
        "{text}"
    );
    let (text, button) = last(&slack);
    assert!(text.contains("Cancelled"), "{text}");
    assert_eq!(button, None);
}

#[test]
fn approvers_learn_that_a_request_no_longer_waits() {
    let slack = FakeSlack::start();
    let hurry = "[[auth.roles]]\nname = \"hurry\"\npermissions = [\"request.break_glass\"]\n";
    let s = server_with(&slack, hurry);
    link_all(&s);
    let (asked, requester) = (format!("<@{APPROVER}>"), format!("<@{REQUESTER}>"));
    let reply = |ts: &str, words: &str| written_in(&replied(&slack, ts, words));

    let cancelled = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &cancelled);
    s.requester().cancel(&cancelled).is(200);
    let text = reply(&ts, "Cancelled");
    assert!(
        text.contains(&asked) && !text.contains(&requester),
        "{text}"
    );

    // It did not wait for them any more.
    let approved = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &approved);
    let approved = approved.approved_by(&s.approver());
    s.admin().cancel(&approved).is(200);
    let text = reply(&ts, "Cancelled");
    assert!(
        !text.contains(&asked) && text.contains(&requester),
        "{text}"
    );

    // Nor did it ever.
    let urgent = json!({"emergency": true, "reason": "outage"});
    let hurried = s.person("operator", &["developer", "hurry"]);
    let emergency = hurried.submit_with("production", UPDATE, urgent);
    let ts = posted(&s, &emergency);
    s.admin().cancel(&emergency).is(200);
    let text = reply(&ts, "Cancelled");
    assert!(!text.contains(&asked), "{text}");

    let late = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &late);
    s.turn(86_401);
    let text = reply(&ts, "Expired");
    assert!(text.contains(&asked) && text.contains(&requester), "{text}");
}

#[test]
fn what_needs_no_approval_is_posted_as_that() {
    let slack = FakeSlack::start();
    let hurry = "[[auth.roles]]\nname = \"hurry\"\npermissions = [\"request.break_glass\"]\n";
    let s = server_with(&slack, hurry);
    let urgent = json!({"emergency": true, "reason": "outage"});
    let hurried = s.person("operator", &["developer", "hurry"]);
    let emergency = hurried.submit_with("production", UPDATE, urgent);
    let ts = posted(&s, &emergency);
    let root = slack.nth("chat.postMessage", 1);
    let text = written_in(&root.body);
    assert!(
        text.contains("shop/production") && text.contains("operator"),
        "{text}"
    );
    assert!(
        !text.contains("Asked:") && !text.contains("secret name"),
        "{text}"
    );
    assert_eq!(root.body["thread_ts"], Value::Null);
    replied(&slack, &ts, "Sent to the agents");

    let auto = s.requester().submit("development", UPDATE);
    let ts = posted(&s, &auto);
    replied(&slack, &ts, "Sent to the agents");
    assert_eq!(last(&slack).1, None);
}

#[test]
fn escalation_mentions_those_to_whom_it_goes() {
    let slack = FakeSlack::start();
    let policy = "[[notification_policies]]\nenvironment = \"production\"\nescalate_after_secs = 600\n\
        escalate_to = [\"user:lead\"]\n";
    let s = server_with(&slack, policy);
    link_all(&s);
    link(&s.person("lead", &["readonly"]), "lead", "U0LEAD");
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    s.turn_only(601);
    let reply = replied(&slack, &ts, "Waiting too long for approval");
    let text = written_in(&reply);
    assert!(
        text.contains("<@U0LEAD>") && !text.contains(APPROVER),
        "{text}"
    );
    // The step still waits for its approvers.
    assert_eq!(last(&slack).1.as_deref(), Some("dbward_review"));
}
