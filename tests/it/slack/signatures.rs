//! Only what Slack signed, lately and once, in our workspace, does anything.

use super::{APPROVER, reviewing, server};
use crate::support::{
    Answer, FakeSlack, SHOP, SIGNING_SECRET, Server, clicked, decision, form, signed, submitted,
};
use serde_json::{Value, json};

const INTERACTIONS: &str = "/api/slack/interactions";

fn send(s: &Server, head: &[(&str, String)], body: &str) -> Answer {
    let head: Vec<(&str, &str)> = head.iter().map(|(n, v)| (*n, v.as_str())).collect();
    s.nobody()
        .call("POST", INTERACTIONS, &head, body.as_bytes())
}

fn payload_form(payload: &Value) -> String {
    form(&[("payload", &payload.to_string())])
}

/// No variation of a signed call counts.
fn refused_each(s: &Server, vote: &str, good: &[(&'static str, String)]) {
    let now = s.secs();
    let with = |name: &str, value: &str| changed(good, name, value);
    let mut twice = good.to_vec();
    twice.push(good[2].clone());
    let unsigned = good[..2].to_vec();
    for (what, head) in [
        ("another secret", signed("another", now, vote).to_vec()),
        ("no secret", signed("", now, vote).to_vec()),
        (
            "an old call",
            signed(SIGNING_SECRET, now - 301, vote).to_vec(),
        ),
        (
            "a future call",
            signed(SIGNING_SECRET, now + 320, vote).to_vec(),
        ),
        (
            "another time",
            with("x-slack-request-timestamp", &(now + 1).to_string()),
        ),
        ("no time", with("x-slack-request-timestamp", "")),
        (
            "another version",
            with("x-slack-signature", &good[2].1.replace("v0=", "v1=")),
        ),
        (
            "half a signature",
            with("x-slack-signature", &good[2].1[..35]),
        ),
        (
            "another body",
            signed(SIGNING_SECRET, now, &format!("{vote}&a=b")).to_vec(),
        ),
        ("two signatures", twice),
        ("no signature", unsigned),
    ] {
        let answer = send(s, &head, vote);
        assert_eq!(answer.status, 401, "{what}");
        answer.refused(401, "unauthenticated");
    }
}

/// The head with another value of one field.
fn changed(
    head: &[(&'static str, String)],
    name: &str,
    value: &str,
) -> Vec<(&'static str, String)> {
    let mut head = head.to_vec();
    let found = head.iter_mut().find(|(n, _)| *n == name).unwrap();
    found.1 = value.to_owned();
    head
}

#[test]
fn forged_old_future_and_repeated_calls_do_nothing() {
    let (_slack, s, request, open) = reviewing();
    let vote = payload_form(&submitted(APPROVER, &open, "V1", decision("approve", None)));
    let now = s.secs();
    let good = signed(SIGNING_SECRET, now, &vote);
    refused_each(&s, &vote, &good);
    request.clone().is_pending();
    // A token of an administrator does not stand in for Slack.
    s.admin().poke(INTERACTIONS).refused(401, "unauthenticated");
    assert_eq!(send(&s, &good, &vote).is(200).raw(), "");
    request.clone().is("approved");
    send(&s, &good, &vote).refused(401, "unauthenticated");
    // Written otherwise, it is the same call.
    let upper = changed(
        &good,
        "x-slack-signature",
        &good[2].1.to_uppercase().replace("V0=", "v0="),
    );
    send(&s, &upper, &vote).refused(401, "unauthenticated");
    let page = s.inner().app().metrics.render();
    for line in [
        "dbward_auth_failures_total{reason=\"slack_replayed\"} 2",
        "dbward_auth_failures_total{reason=\"slack_clock\"} 2",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    s.turn_only(61);
    s.minute();
    let failures = s.events("event_type=auth.failures");
    assert!(!failures.is_empty());
    assert!(!format!("{failures:?}").contains(SIGNING_SECRET));
}

#[test]
fn call_that_is_sent_again_under_new_signature_changes_nothing() {
    let (_slack, s, _, open) = reviewing();
    let vote = payload_form(&submitted(APPROVER, &open, "V1", decision("approve", None)));
    s.signed_call(INTERACTIONS, &vote).is(200);
    let mut again = signed(SIGNING_SECRET, s.secs() + 1, &vote).to_vec();
    again.push(("x-slack-retry-num", "1".to_owned()));
    send(&s, &again, &vote).is(200).saying("has changed");
    let votes = s.events("event_type=request.approved");
    assert_eq!(votes.len(), 1);
}

#[test]
fn what_is_signed_and_odd_is_refused_in_words() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let click = clicked(APPROVER, "dbward_review", "x", "1").to_string();
    let long = "x".repeat(300);
    let mut nobody = clicked(APPROVER, "dbward_review", "x", "1");
    nobody["user"]["id"] = long.clone().into();
    for (body, status, words) in [
        (String::new(), 400, "`payload` is missing"),
        (
            form(&[("payload", &click), ("payload", &click)]),
            400,
            "more than once",
        ),
        ("payload=%ff".to_owned(), 400, "not UTF-8"),
        ("payload={".to_owned(), 400, "not JSON"),
        (format!("payload={}", "[".repeat(10_000)), 400, "not JSON"),
        (payload_form(&nobody), 400, "does not say who acted"),
        (
            payload_form(&json!({"type": "block_actions"})),
            400,
            "does not say who acted",
        ),
    ] {
        let answer = s.signed_call(INTERACTIONS, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.raw());
        answer.saying(words);
    }
    let mut json = signed(SIGNING_SECRET, s.secs(), "{}").to_vec();
    json[0].1 = "application/json".to_owned();
    send(&s, &json, "{}").refused(415, "unsupported_media_type");
    let huge = form(&[("payload", &"x".repeat(300 * 1024))]);
    s.signed_call(INTERACTIONS, &huge)
        .refused(413, "payload_too_large");
    for other in [
        json!({"type": "view_closed", "user": {"id": APPROVER}}),
        json!({"type": "shortcut"}),
        json!([]),
        clicked(APPROVER, "another_button", "x", "1"),
        clicked(APPROVER, "dbward_review", "", "1"),
    ] {
        assert_eq!(
            s.signed_call(INTERACTIONS, &payload_form(&other))
                .is(200)
                .raw(),
            ""
        );
    }
    // Unknown query parameters are Slack's business.
    let head = signed(SIGNING_SECRET, s.secs(), "payload=[]");
    let head: Vec<(&str, &str)> = head.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = format!("{INTERACTIONS}?a=b");
    s.nobody().call("POST", &path, &head, b"payload=[]").is(200);
    assert!(slack.calls().is_empty(), "{:?}", slack.calls());
}

#[test]
fn without_the_app_there_are_no_routes() {
    let s = Server::with(SHOP);
    for path in ["/api/slack/commands", INTERACTIONS] {
        s.signed_call(path, "payload=[]").refused(404, "not_found");
    }
}
