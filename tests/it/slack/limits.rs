//! The Slack of these tests refuses what the real one refuses.

use super::{APPROVER, UPDATE, link_all, posted, server};
use crate::support::{FakeSlack, clicked};
use serde_json::{Value, json};

fn button(action: &str) -> Value {
    json!({"type": "button", "action_id": action, "text": {"type": "plain_text", "text": "x"}})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

/// A message of these blocks, as the tests' Slack answers it.
fn answered(slack: &FakeSlack, method: &str, body: &Value) -> String {
    let answer = slack.call(method, body);
    let error = answer["error"].as_str().unwrap_or("ok").to_owned();
    // What it refuses fails a test, unless that is expected.
    assert_eq!(slack.forgive().is_empty(), error == "ok", "{answer}");
    error
}

#[test]
fn slack_of_the_tests_refuses_messages_beyond_the_limits() {
    let slack = FakeSlack::start();
    let long = |n: usize| "x".repeat(n);
    let header =
        |n: usize| json!({"type": "header", "text": {"type": "plain_text", "text": long(n)}});
    let actions = |elements: Vec<Value>| json!({"type": "actions", "elements": elements});
    let with = |key: &str, n: usize| {
        let mut one = button("a");
        one[key] = long(n).into();
        actions(vec![one])
    };
    let named = |id: &str| json!({"type": "divider", "block_id": id});
    for (blocks, error) in [
        (vec![section("x"); 50], "ok"),
        (vec![section("x"); 51], "invalid_blocks"),
        (vec![section(&long(3_000))], "ok"),
        (vec![section(&long(3_001))], "invalid_blocks"),
        // Beyond the basic plane a character counts twice.
        (vec![section(&"😀".repeat(1_501))], "invalid_blocks"),
        (vec![section("")], "invalid_blocks"),
        (vec![header(150)], "ok"),
        (vec![header(151)], "invalid_blocks"),
        (vec![with("value", 2_000)], "ok"),
        (vec![with("value", 2_001)], "invalid_blocks"),
        (vec![with("url", 2_001)], "invalid_blocks"),
        (vec![actions(vec![button(&long(255))])], "ok"),
        (vec![actions(vec![button(&long(256))])], "invalid_blocks"),
        (
            vec![actions(vec![button("a"), button("a")])],
            "invalid_blocks",
        ),
        (vec![named("a"), named("b")], "ok"),
        (vec![named("a"), named("a")], "invalid_blocks"),
        (vec![named(&long(256))], "invalid_blocks"),
        (
            vec![section("1 &lt; 2 &amp; <@U0ANN> <https://a.example|b>")],
            "ok",
        ),
        (vec![section("1 < 2")], "invalid_blocks"),
        (vec![section("a & b")], "invalid_blocks"),
        (vec![section("<!channel>")], "invalid_blocks"),
        (vec![json!({"type": "image"})], "invalid_blocks"),
    ] {
        let body = json!({"channel": "#db", "text": "x", "blocks": blocks});
        let found = answered(&slack, "chat.postMessage", &body);
        assert_eq!(found, error, "{body:.300}");
    }
    let plain = |text: &str| json!({"channel": "#db", "text": text});
    for (text, error) in [("", "no_text"), ("<!here>", "invalid_blocks"), ("x", "ok")] {
        assert_eq!(
            answered(&slack, "chat.postMessage", &plain(text)),
            error,
            "{text}"
        );
    }
}

#[test]
fn slack_of_the_tests_refuses_dialogs_beyond_the_limits() {
    let slack = FakeSlack::start();
    let plain = |text: &str| json!({"type": "plain_text", "text": text});
    let input = json!({"type": "input", "label": plain("l"), "element": {"type": "plain_text_input", "action_id": "a"}});
    let view = |more: Value| {
        let mut view = json!({"type": "modal", "title": plain("t"), "blocks": [section("x")]});
        for (key, value) in more.as_object().unwrap() {
            view[key] = value.clone();
        }
        view
    };
    for (n, (more, error)) in [
        (json!({}), "ok"),
        (json!({"private_metadata": "x".repeat(3_000)}), "ok"),
        (
            json!({"private_metadata": "x".repeat(3_001)}),
            "invalid_arguments",
        ),
        (
            json!({"title": plain(&"x".repeat(25))}),
            "invalid_arguments",
        ),
        (json!({"blocks": vec![section("x"); 100]}), "ok"),
        (
            json!({"blocks": vec![section("x"); 101]}),
            "invalid_arguments",
        ),
        (json!({"blocks": [input]}), "invalid_arguments"),
        (json!({"blocks": [input], "submit": plain("s")}), "ok"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"trigger_id": format!("{}.x", u64::MAX - n as u64), "view": view(more)});
        let found = answered(&slack, "views.open", &body);
        assert_eq!(found, error, "{body:.300}");
    }
    // A trigger opens one dialog, and soon.
    let open = |trigger: &str| {
        let body = json!({"trigger_id": trigger, "view": view(json!({}))});
        slack.call("views.open", &body)["error"].clone()
    };
    let fresh = clicked(APPROVER, "dbward_review", "r", "1")["trigger_id"].clone();
    let late = clicked(APPROVER, "dbward_review", "r", "1")["trigger_id"].clone();
    assert_eq!(open(fresh.as_str().unwrap()), Value::Null);
    assert_eq!(open(fresh.as_str().unwrap()), "exchanged_trigger_id");
    slack.expire_triggers();
    assert_eq!(open(late.as_str().unwrap()), "expired_trigger_id");
    assert_eq!(open("made up"), "invalid_trigger_id");
}

#[test]
fn click_whose_trigger_is_too_old_is_answered_with_words() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    let click = clicked(APPROVER, "dbward_review", &request.id, &ts);
    slack.expire_triggers();
    s.interaction(&click).is(200);
    let answer = slack.nth("chat.postEphemeral", 1);
    assert_eq!(answer.body["text"], "That took too long. Try again.");
    assert_eq!(answer.body["user"], APPROVER);
    // The next click opens it.
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    slack.nth("views.open", 2);
}
