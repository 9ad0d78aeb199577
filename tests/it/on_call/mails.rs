//! Mail to those on call: each gets their own, once, whatever becomes of that of another.

use super::{DAY, SHOP, Schedules, UPDATE, group, in_days, pagerduty, rotation};
use crate::support::{DELIVERS, PostOffice, Request, SILENCE, Server, eventually};
use serde_json::Value;

/// These people are on call in a group, for two days.
fn override_with(people: &str) -> String {
    format!(
        "[[on_call.overrides]]\npeople = [{people}]\nfrom = \"{}\"\nuntil = \"{}\"\n",
        in_days(-1),
        in_days(2)
    )
}

/// A server where ann and bob are on call in `night`.
fn server(post: &PostOffice, more: &str) -> Server {
    let both = override_with("\"ann\", \"bob\"");
    let (rotation, email) = (rotation(), post.section());
    Server::with(&format!("{SHOP}{rotation}{both}{more}{DELIVERS}{email}"))
}

/// Who got mail, sorted.
fn sent(post: &PostOffice) -> String {
    let letters = post.letters();
    let mut to: Vec<String> = letters.into_iter().map(|letter| letter.to).collect();
    to.sort();
    to.join(" ").replace("@example.com", "")
}

/// Notifications of a request as it shows them.
fn notifications(s: &Server, request: &Request) -> Vec<Value> {
    let path = format!("/api/requests/{}", request.id);
    s.admin().get(&path).is(200).list("notifications")
}

/// The only one: its status, and how often it was tried.
fn status(s: &Server, request: &Request) -> String {
    let row = notifications(s, request).remove(0);
    format!("{} {}", row["status"].as_str().unwrap(), row["attempts"])
}

#[test]
fn mail_goes_to_those_on_call_when_it_is_sent() {
    let post = PostOffice::start();
    let policy = "[[notification_policies]]\nremind_after_secs = 86400\nescalate_after_secs = 172800\n\
        escalate_to = [\"user:lead\", \"group:night\"]\n";
    // ann's turn ends within the day.
    let rotation = rotation().replace(&in_days(-1), &in_days(-7 + 1));
    let long = SHOP.replace(
        "[[workflows]]\n",
        "[[workflows]]\npending_ttl_secs = 604800\n",
    );
    let s = Server::with(&format!(
        "{long}{rotation}{policy}{DELIVERS}{}",
        post.section()
    ));
    s.requester().submit("production", UPDATE);
    eventually("asked", || post.letters().len() == 1);
    s.turn_only(DAY + 60);
    eventually("reminded", || post.letters().len() == 2);
    s.turn_only(DAY);
    eventually("escalated", || post.letters().len() == 4);
    let to: Vec<String> = post.letters().iter().map(|l| l.to.clone()).collect();
    assert_eq!(
        to,
        [
            "ann@example.com",
            "bob@example.com",
            "bob@example.com",
            "lead@example.com"
        ]
    );
}

#[test]
fn one_refused_address_keeps_mail_from_nobody_else_on_call() {
    let post = PostOffice::start();
    let s = server(&post, "");
    post.refuse_one("ann@example.com", Some("550 no such user here"));
    let request = s.requester().submit("production", UPDATE);
    eventually("delivered", || status(&s, &request) == "delivered 1");
    assert_eq!(sent(&post), "bob");
    // The request says who has it and who has not.
    let shown = notifications(&s, &request).remove(0);
    assert_eq!(
        shown["last_error"],
        "sent to bob; not to ann: mail: permanent error (550): no such user here"
    );
    // Who has it gets it once, however often the other is tried.
    post.refuse_one("ann@example.com", Some("451 try again later"));
    let request = s.requester().submit("production", UPDATE);
    eventually("an attempt", || status(&s, &request) == "pending 1");
    assert_eq!(sent(&post), "bob bob");
    post.refuse_one("ann@example.com", None);
    s.turn_only(900);
    eventually("delivered", || status(&s, &request) == "delivered 2");
    assert_eq!(sent(&post), "ann bob bob");
    let shown = notifications(&s, &request).remove(0);
    assert_eq!(shown["last_error"], "sent to ann, bob");
    // Where all are refused, it is dead; sent again by hand, it goes to all of them again.
    post.refuse(Some("550 no such user here"));
    let request = s.requester().submit("production", UPDATE);
    eventually("dead", || status(&s, &request) == "dead 1");
    post.refuse(None);
    let dead = notifications(&s, &request).remove(0)["delivery_id"].clone();
    let again = format!(
        "/api/webhook-deliveries/{}/redeliver",
        dead.as_str().unwrap()
    );
    s.admin().poke(&again).is(202);
    eventually("delivered", || status(&s, &request) == "delivered 1");
    assert_eq!(sent(&post), "ann ann bob bob bob");
    s.admin().poke(&again).is(202);
    eventually("both once more", || {
        sent(&post) == "ann ann ann bob bob bob bob"
    });
}

#[test]
fn silence_at_one_address_keeps_mail_from_nobody_else() {
    let post = PostOffice::start();
    let s = server(&post, "");
    post.refuse_one("ann@example.com", Some(SILENCE));
    let request = s.requester().submit("production", UPDATE);
    eventually("an attempt", || status(&s, &request) == "pending 1");
    assert_eq!(sent(&post), "bob");
    let shown = notifications(&s, &request).remove(0);
    assert_eq!(
        shown["last_error"],
        "sent to bob; not to ann: the mail server does not answer in time"
    );
    // The server is not away: the next mail is sent at once.
    let other = s.requester().submit("production", UPDATE);
    eventually("an attempt", || status(&s, &other) == "pending 1");
    assert_eq!(sent(&post), "bob bob");
    post.refuse_one("ann@example.com", None);
    // The first may be tried once more in silence before that.
    let mut seen = [String::new(), String::new()];
    eventually("both", || {
        let now = [&request, &other].map(|r| status(&s, r));
        if now != seen {
            s.turn_only(60);
        }
        seen = now;
        seen.iter().all(|one| one.starts_with("delivered "))
    });
    assert_eq!(sent(&post), "ann ann bob bob");
}

#[test]
fn mail_waits_until_it_is_known_who_is_on_call() {
    let (post, schedules) = (
        PostOffice::start(),
        Schedules::start(&pagerduty("ann@example.com")),
    );
    schedules.says(500, "");
    let policy =
        "[[notification_policies]]\nescalate_after_secs = 60\nescalate_to = [\"group:night\"]\n";
    let shop = SHOP.replace("group = \"night\"", "user = \"lead\"");
    let (service, email) = (schedules.section("pagerduty"), post.section());
    let s = Server::with(&format!("{shop}{service}{policy}{DELIVERS}{email}"));
    let request = s.requester().submit("production", UPDATE);
    eventually("the lead is asked", || sent(&post) == "lead");
    s.turn_only(61);
    let escalated = || {
        let mut shown = notifications(&s, &request);
        shown.retain(|n| n["event_type"] == "request.escalated");
        shown.remove(0)
    };
    eventually("an attempt", || escalated()["attempts"].as_u64() >= Some(1));
    let why = escalated()["last_error"].as_str().unwrap().to_owned();
    let unknown = "not to group:night: it is not known who is on call";
    assert!(why.starts_with(unknown), "{why}");
    assert_eq!(escalated()["status"], "pending");
    schedules.says(200, &pagerduty("ann@example.com").to_string());
    s.turn(61);
    eventually("it is known", || {
        group(&s)["members"] == serde_json::json!(["ann"])
    });
    s.turn_only(700);
    eventually("the mail is sent", || sent(&post) == "ann lead");
}

#[test]
fn mails_of_one_attempt_share_connection_also_after_a_refusal() {
    let post = PostOffice::start();
    let s = server(&post, "");
    post.refuse_one("ann@example.com", Some("550 no such user here"));
    let request = s.requester().submit("production", UPDATE);
    eventually("delivered", || status(&s, &request) == "delivered 1");
    assert_eq!((sent(&post).as_str(), post.connections()), ("bob", 1));
}

#[test]
fn who_is_on_call_in_two_groups_gets_one_mail() {
    let post = PostOffice::start();
    let more = format!(
        "[[on_call]]\nname = \"day\"\ntime_zone = \"UTC\"\npeople = [\"lead\"]\nfirst_handover = \"{}\"\n{}",
        in_days(-1),
        override_with("\"bob\", \"lead\""),
    );
    let both = "[[workflows.steps.approvers]]\ngroup = \"day\"\n\n[[users]]\nid = \"ann\"";
    let shop = SHOP.replacen("[[users]]\nid = \"ann\"", both, 1);
    let night = override_with("\"ann\", \"bob\"");
    let (rotation, email) = (rotation(), post.section());
    let s = Server::with(&format!("{shop}{rotation}{night}{more}{DELIVERS}{email}"));
    let request = s.requester().submit("production", UPDATE);
    eventually("both groups", || {
        let shown = notifications(&s, &request);
        shown.len() == 2 && shown.iter().all(|n| n["status"] == "delivered")
    });
    assert_eq!(sent(&post), "ann bob lead");
}
