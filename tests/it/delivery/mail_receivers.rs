//! Who is sent mail, by what they are at that moment: suspended, reminded, linked by somebody else, without a vote.

use super::mail::{PEOPLE, sent, server};
use super::{UPDATE, deliveries};
use crate::support::{DELIVERS, FakeSlack, PostOffice, SHOP, Server, Sink, eventually};
use serde_json::json;

#[test]
fn nobody_who_is_suspended_gets_mail() {
    let post = PostOffice::start();
    let s = server(&post);
    let _ = (s.requester(), s.approver());
    s.admin().poke("/api/users/approver/suspend").is(200);
    s.person("approver-two", &["readonly"]);
    s.requester().submit("production", UPDATE);
    eventually("cancelled", || {
        deliveries(&s, "status=cancelled").len() == 1
    });
    assert_eq!(
        deliveries(&s, "")[0]["last_error"],
        "the person is suspended"
    );
    assert!(post.letters().is_empty());
}

#[test]
fn suspended_people_learn_of_their_cancelled_requests_only() {
    let post = PostOffice::start();
    let s = server(&post);
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    let waiting = requester.submit("production", UPDATE);
    let running = requester.submit("development", UPDATE);
    let claim = agent.claim(&running.id);
    let own = || -> Vec<String> {
        let mut sent = sent(&post);
        sent.retain(|line| line.starts_with("requester@"));
        sent
    };
    eventually("one was approved automatically", || own().len() == 1);
    s.admin().poke("/api/users/requester/suspend").is(200);
    eventually("both were cancelled", || own().len() == 3);
    agent.succeed(&claim.execution, crate::support::ROWS);
    eventually("how it ended is sent to nobody", || {
        let path = format!("request_id={}&status=cancelled", running.id);
        let cancelled = deliveries(&s, &path);
        cancelled.len() == 1 && cancelled[0]["last_error"] == "the person is suspended"
    });
    let mut cancelled = own().split_off(1);
    cancelled.sort();
    assert_eq!(
        cancelled,
        [
            "requester@example.com: [dbward] Cancelled: shop/development",
            "requester@example.com: [dbward] Cancelled: shop/production",
        ]
    );
    let letters = post.letters();
    let about = |id: &str| letters.iter().filter(|l| l.text.contains(id)).count();
    // The approver was asked about the one that waited.
    assert_eq!((about(&waiting.id), about(&running.id)), (2, 2));
}

#[test]
fn approvers_are_reminded_and_others_notified_while_it_waits() {
    let post = PostOffice::start();
    let sink = Sink::start();
    let policy = "[[notification_policies]]\nwebhooks = [\"ops\"]\nevents = [\"request_reminded\", \"request.escalated\"]\n\
        remind_after_secs = 3600\nescalate_after_secs = 7200\nescalate_to = [\"user:lead\"]\n\
        [[users]]\nid = \"lead\"\nemail = \"lead@example.com\"\n";
    let s = Server::with(&format!(
        "{SHOP}{PEOPLE}{DELIVERS}{}{policy}{}",
        post.section(),
        sink.webhook("ops", "")
    ));
    let waiting = s.requester().submit("production", UPDATE);
    let decided = s.requester().submit("production", UPDATE);
    s.approver().reject(&decided).is(200);
    // Both asked, one outcome.
    eventually("the first", || post.letters().len() == 3);
    s.turn_only(3_500);
    // What comes after it is sent, so what is due has been: no reminder yet.
    let third = s.requester().submit("production", UPDATE);
    s.approver().reject(&third).is(200);
    eventually("asked, and the outcome", || post.letters().len() == 5);
    assert_eq!(sink.count(), 0);
    s.turn_only(101);
    eventually("the reminder", || {
        post.letters().len() == 6 && sink.count() == 1
    });
    s.turn_only(3_700);
    eventually("the escalation", || {
        post.letters().len() == 7 && sink.count() == 2
    });
    assert_eq!(
        sent(&post)[5..],
        [
            "approver@example.com: [dbward] Still waiting for approval: shop/production",
            "lead@example.com: [dbward] Waiting too long for approval: shop/production",
        ]
    );
    assert!(post.letters()[6].text.contains("the request is overdue"));
    for (received, event) in sink
        .received()
        .iter()
        .zip(["request.reminded", "request.escalated"])
    {
        assert_eq!(received.header("x-dbward-event"), Some(event));
        assert_eq!(received.text("event"), event);
        assert_eq!(received.text("request_id"), waiting.id);
    }
    // Of the third, the reminder was due as well.
    eventually("the rest", || deliveries(&s, "status=cancelled").len() == 8);
    let of_decided = deliveries(&s, &format!("status=cancelled&request_id={}", decided.id));
    assert_eq!(of_decided.len(), 4);
    assert!(
        of_decided
            .iter()
            .all(|d| d["last_error"] == "the step does not wait any more")
    );
}

#[test]
fn a_reminder_goes_to_those_who_are_asked_now() {
    let post = PostOffice::start();
    let policy = "[[notification_policies]]\nremind_after_secs = 3600\n\
        [[users]]\nid = \"late\"\nemail = \"late@example.com\"\n";
    let role = SHOP.replacen(
        "group = \"approvers\"\n\n[[auth",
        "role = \"approves\"\n\n[[auth.roles]]\nname = \"approves\"\npermissions = [\"request.approve\"]\n\n[[auth",
        1,
    );
    let s = Server::with(&format!(
        "{role}{PEOPLE}{DELIVERS}{}{policy}",
        post.section()
    ));
    s.person("approver", &["approves"]);
    let request = s.requester().submit("production", UPDATE);
    eventually("asked", || post.letters().len() == 1);
    // One leaves, another comes.
    s.admin().poke("/api/users/approver/suspend").is(200);
    s.person("late", &["approves"]);
    s.turn_only(3_601);
    eventually("reminded", || post.letters().len() == 2);
    assert_eq!(
        sent(&post),
        [
            "approver@example.com: [dbward] Approval needed: shop/production",
            "late@example.com: [dbward] Still waiting for approval: shop/production",
        ]
    );
    let about = format!("request_id={}&status=delivered", request.id);
    eventually("who has it", || {
        deliveries(&s, &about)[0]["last_error"] == "sent to late"
    });
}

#[test]
fn people_linked_by_somebody_else_are_notified_by_mail() {
    let (post, slack) = (PostOffice::start(), FakeSlack::start());
    let s = Server::with(&format!(
        "{SHOP}{PEOPLE}{DELIVERS}{}{}",
        post.section(),
        slack.section()
    ));
    let body = json!({"slack_user_id": "U0ADMIN"}).to_string();
    let head = [("content-type", "application/json")];
    s.person("approver", &["readonly"]);
    let path = "/api/users/approver";
    s.admin()
        .call("PATCH", path, &head, body.as_bytes())
        .is(200);
    eventually("a mail", || post.letters().len() == 1);
    assert_eq!(
        sent(&post),
        ["approver@example.com: [dbward] A Slack account was linked to you"]
    );
    assert!(post.letters()[0].text.contains("tell your administrators"));
}

#[test]
fn people_without_a_vote_left_are_not_asked_by_mail() {
    let post = PostOffice::start();
    let steps = SHOP.replacen(
        "environment = \"production\"\n",
        "environment = \"production\"\nallow_same_approver_across_steps = false\n\
         [[workflows.steps]]\n[[workflows.steps.approvers]]\nuser = \"approver\"\n",
        1,
    );
    let two = PEOPLE.replace(
        "id = \"approver-two\"",
        "id = \"approver-two\"\nemail = \"two@example.com\"",
    );
    let s = Server::with(&format!("{steps}{two}{DELIVERS}{}", post.section()));
    let request = s.requester().submit("production", UPDATE);
    eventually("asked", || post.letters().len() == 1);
    s.approver().approve(&request).is(200);
    eventually("all are through", || {
        deliveries(&s, "status=pending").is_empty() && post.letters().len() == 2
    });
    assert_eq!(post.letters()[1].to, "two@example.com");
    let cancelled = deliveries(&s, "status=cancelled").remove(0);
    assert_eq!(
        cancelled["last_error"],
        "the person has no vote in the step that waits"
    );
}
