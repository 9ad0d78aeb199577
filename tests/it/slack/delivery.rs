//! Messages of the Slack app arrive at least once, are kept true, and never lose an approval.

use super::{APPROVER, UPDATE, link_all, posted, server, server_with, written_in};
use crate::support::{FakeSlack, SlackMood, decision, eventually};
use serde_json::Value;

/// The newest notification by Slack of a request.
fn newest(s: &crate::support::Server, request: &str) -> Value {
    let path = format!("/api/webhook-deliveries?request_id={request}");
    let all = s.admin().get(&path).is(200).list("deliveries");
    all.into_iter().next().unwrap_or_default()
}

/// Whether it was tried: on a slow machine another attempt comes before anybody looks.
fn is_tried(row: &Value) -> bool {
    row["attempts"].as_u64() >= Some(1)
}

#[test]
fn each_failure_of_slack_is_tried_again_or_ends_it() {
    for (mood, ends, reason) in [
        (
            SlackMood::Error("channel_not_found"),
            "dead",
            "Slack answers `channel_not_found`",
        ),
        (
            SlackMood::Error("not_in_channel"),
            "dead",
            "Slack answers `not_in_channel`",
        ),
        (
            SlackMood::Error("invalid_blocks"),
            "dead",
            "Slack answers `invalid_blocks`",
        ),
        (
            SlackMood::Error("internal_error"),
            "pending",
            "Slack answers `internal_error`",
        ),
        (
            SlackMood::Error("invalid_auth"),
            "pending",
            "Slack answers `invalid_auth`",
        ),
        (
            SlackMood::Status(429, "retry-after: 600\r\n"),
            "pending",
            "the answer is 429",
        ),
        (SlackMood::Status(500, ""), "pending", "the answer is 500"),
        (SlackMood::Status(404, ""), "dead", "the answer is 404"),
        (SlackMood::Babbles, "pending", "the answer is not JSON"),
    ] {
        let slack = FakeSlack::start();
        let s = server(&slack);
        slack.next("chat.postMessage", mood);
        let request = s.requester().submit("production", UPDATE);
        let mut row = Value::Null;
        eventually("an attempt", || {
            row = newest(&s, &request.id);
            is_tried(&row) && row["status"] != "in_progress"
        });
        assert_eq!(
            (&row["status"], &row["last_error"]),
            (&ends.into(), &reason.into())
        );
        assert_eq!(
            (&row["channel"], &row["webhook_id"]),
            (&"slack".into(), &Value::Null)
        );
        if ends == "pending" {
            s.turn_only(900);
            let ts = posted(&s, &request);
            assert!(ts.starts_with("1700000000."));
            eventually("delivered", || {
                newest(&s, &request.id)["status"] == "delivered"
            });
        } else {
            // What comes next posts it.
            s.approver().approve(&request).is(200);
            posted(&s, &request);
            let root = slack.nth("chat.postMessage", 2);
            assert_eq!(root.button().as_deref(), Some("dbward_resume"));
        }
    }
}

#[test]
fn a_wait_that_slack_asks_for_is_kept() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    slack.next(
        "chat.postMessage",
        SlackMood::Status(429, "retry-after: 600\r\n"),
    );
    let request = s.requester().submit("production", UPDATE);
    eventually("an attempt", || is_tried(&newest(&s, &request.id)));
    let at = newest(&s, &request.id)["next_retry_at"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = dbward::clock::Timestamp::parse(&at).unwrap();
    assert!(at.since(s.clock.now()) > 590_000);
    assert_eq!(slack.of("chat.postMessage").len(), 1);
}

#[test]
fn unrecorded_message_is_posted_again_and_still_decides() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    slack.nth("chat.postMessage", 2);
    slack.next("chat.postMessage", SlackMood::LosesTheAnswer);
    let request = s.requester().submit("production", UPDATE);
    slack.nth("chat.postMessage", 3);
    eventually("an attempt", || is_tried(&newest(&s, &request.id)));
    s.turn_only(10);
    let ts = posted(&s, &request);
    let lost = "1700000000.000003";
    assert_ne!(ts, lost);
    s.click(APPROVER, "dbward_review", &request.id, lost)
        .is(200);
    let open = slack.nth("views.open", 1);
    // The twin loses its button, and the vote counts.
    let update = slack.nth("chat.update", 1);
    assert_eq!((&update.body["ts"], update.button()), (&lost.into(), None));
    assert!(written_in(&update.body).contains("a newer message"));
    s.submit_dialog(APPROVER, &open, decision("approve", None))
        .is(200);
    request.is("approved");
    assert_eq!(slack.nth("chat.update", 2).body["ts"], ts.as_str());
}

#[test]
fn a_restart_goes_on_with_the_same_message() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    let s = s.restart();
    let request = crate::support::Request {
        by: s.requester(),
        ..request
    };
    s.approver().approve(&request).is(200);
    let update = slack.nth("chat.update", 1);
    assert_eq!(update.body["ts"], ts.as_str());
    let reply = slack.nth("chat.postMessage", 2);
    assert_eq!(reply.body["thread_ts"], ts.as_str());
}

#[test]
fn a_message_that_somebody_removed_is_posted_anew() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    slack.next("chat.update", SlackMood::Error("message_not_found"));
    s.approver().approve(&request).is(200);
    let root = slack.nth("chat.postMessage", 2);
    assert_eq!(root.button().as_deref(), Some("dbward_resume"));
    let reply = slack.nth("chat.postMessage", 3);
    let now = posted(&s, &request);
    assert_ne!(now, ts);
    assert_eq!(reply.body["thread_ts"], now.as_str());
}

#[test]
fn messages_follow_the_name_of_their_channel() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    // Its channel is renamed, and another one has the name now.
    slack.names("C0NEWER");
    posted(&s, &s.requester().submit("production", UPDATE));
    s.approver().approve(&request).is(200);
    let left = slack.nth("chat.update", 1);
    assert_eq!(
        (&left.body["channel"], &left.body["ts"]),
        (&"C0RESOLVED".into(), &ts.as_str().into())
    );
    assert_eq!(left.button(), None);
    assert!(written_in(&left.body).contains("continued in <#C0NEWER>"));
    let root = slack.nth("chat.postMessage", 3);
    assert_eq!(root.button().as_deref(), Some("dbward_resume"));
    assert_eq!(slack.nth("chat.postMessage", 4).body["channel"], "C0NEWER");
}

#[test]
fn every_end_takes_the_button_away_and_tells_the_requester() {
    let slack = FakeSlack::start();
    let s = server_with(&slack, "channels = { staging = \"C0STAGING\" }\n");
    let rejected = s.requester().submit("production", UPDATE);
    posted(&s, &rejected);
    let body = serde_json::json!({"comment": "not <@U1> today"});
    s.approver().post(&rejected.path("/reject"), &body).is(200);
    let update = slack.nth("chat.update", 1);
    assert_eq!(update.button(), None);
    assert!(
        written_in(&update.body).contains("Rejected")
            && written_in(&update.body).contains("not &lt;@U1&gt; today")
    );
    let reply = slack.nth("chat.postMessage", 2);
    assert!(
        written_in(&reply.body).contains("not &lt;@U1&gt; today"),
        "{}",
        reply.body
    );
    let expired = s.requester().submit("staging", UPDATE);
    posted(&s, &expired);
    assert_eq!(
        slack.nth("chat.postMessage", 3).body["channel"],
        "C0STAGING"
    );
    s.turn(400 * 86_400);
    eventually("the end is shown", || {
        let last = slack.of("chat.update").pop();
        last.is_some_and(|c| written_in(&c.body).contains("Expired") && c.button().is_none())
    });
}

#[test]
fn reminders_mention_those_who_are_still_asked() {
    let slack = FakeSlack::start();
    let policy =
        "[[notification_policies]]\nenvironment = \"production\"\nremind_after_secs = 600\n";
    let s = server_with(&slack, policy);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    s.turn_only(601);
    let reply = slack.nth("chat.postMessage", 4);
    assert_eq!(reply.body["thread_ts"], ts.as_str());
    let text = written_in(&reply.body);
    assert!(
        text.contains("Still waiting") && text.contains(&format!("<@{APPROVER}>")),
        "{text}"
    );
}

#[test]
fn unwritable_message_is_posted_anew() {
    for error in ["cant_update_message", "edit_window_closed"] {
        let slack = FakeSlack::start();
        let s = server(&slack);
        let request = s.requester().submit("production", UPDATE);
        let old = posted(&s, &request);
        slack.next("chat.update", SlackMood::Error(error));
        s.approver().approve(&request).is(200);
        let anew = slack.nth("chat.postMessage", 2);
        assert_eq!(anew.button().as_deref(), Some("dbward_resume"), "{error}");
        let reply = slack.nth("chat.postMessage", 3).body;
        let ts = posted(&s, &request);
        assert_ne!(ts, old, "{error}");
        assert_eq!(reply["thread_ts"], ts.as_str(), "{error}");
    }
}

#[test]
fn an_update_that_is_refused_keeps_the_answer_from_nobody() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    slack.next("chat.update", SlackMood::Error("msg_too_long"));
    s.approver().approve(&request).is(200);
    let reply = slack.nth("chat.postMessage", 2).body;
    assert_eq!(reply["thread_ts"], ts.as_str());
    assert!(written_in(&reply).contains("Approved"));
}

#[test]
fn who_may_approve_the_next_step_too_is_mentioned() {
    for (keys, is_mentioned) in [
        ("", true),
        ("allow_same_approver_across_steps = false\n", false),
    ] {
        let slack = FakeSlack::start();
        let more = format!(
            "[[workflows]]\ndatabase = \"shop\"\nenvironment = \"production\"\n{keys}\
             [[workflows.steps]]\n[[workflows.steps.approvers]]\nuser = \"approver\"\n\
             [[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"approvers\"\n"
        );
        let s = server_with(&slack, &more);
        link_all(&s);
        let request = s.requester().submit("production", UPDATE);
        posted(&s, &request);
        s.approver().approve(&request).is(200);
        // After both links and the message itself.
        let reply = slack.nth("chat.postMessage", 4).body;
        let text = written_in(&reply);
        let mention = format!("<@{APPROVER}>");
        assert_eq!(text.contains(&mention), is_mentioned, "{text}");
    }
}

#[test]
fn a_request_that_cannot_be_read_loses_its_button() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let request = s.requester().submit("production", UPDATE);
    posted(&s, &request);
    s.edit_state("UPDATE request_texts SET workflow_json = '{'");
    s.approver().approve(&request);
    eventually("its message", || {
        let last = slack.of("chat.update").pop();
        last.is_some_and(|c| {
            written_in(&c.body).contains("Differs from what was approved") && c.button().is_none()
        })
    });
}
