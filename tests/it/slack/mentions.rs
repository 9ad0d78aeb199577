//! Whom a message mentions: people with a linked account, those whose account Slack finds by their address, and by name
//! alone all others. An account that was only found lets nobody do anything.

use super::{APPROVER, UPDATE, link, posted, server_with, written_in};
use crate::support::{FakeSlack, Server, Sink, SlackMood, decision, eventually};
use serde_json::{Value, json};

const FOUND: &str = "U0FOUND";
const ADDRESS: &str = r#"
[[users]]
id = "approver-two"
email = "Two+db@example.com"
"#;

/// A server that knows the address of the second approver; the first has a linked account.
fn addressed(slack: &FakeSlack) -> Server {
    let s = server_with(slack, ADDRESS);
    link(&s.approver(), "approver", APPROVER);
    s
}

/// A new request; the line of its message that says who is asked.
fn asked(s: &Server, slack: &FakeSlack) -> String {
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(s, &request);
    let calls = slack.of("chat.postMessage");
    let mut posts = calls.iter().filter(|call| call.body["thread_ts"].is_null());
    let post = posts.next_back().unwrap();
    assert!(written_in(&post.body).contains(&request.id), "{ts}");
    let blocks = post.body["blocks"].as_array().unwrap();
    let texts = blocks.iter().filter_map(|b| b["text"]["text"].as_str());
    let mut line = texts.filter_map(|text| text.strip_prefix("Asked: "));
    line.next_back().unwrap_or_default().to_owned()
}

fn lookups(slack: &FakeSlack) -> usize {
    slack.of("users.lookupByEmail").len()
}

#[test]
fn person_without_linked_account_is_found_by_address_once() {
    let slack = FakeSlack::start();
    slack.knows("Two+db@example.com", json!({"id": FOUND}));
    let s = addressed(&slack);
    let both = format!("<@{APPROVER}>, <@{FOUND}>");
    assert_eq!(asked(&s, &slack), both);
    assert_eq!(asked(&s, &slack), both);
    assert_eq!(lookups(&slack), 1);
    // Half a day later the account may be another.
    s.turn_only(12 * 3_600);
    slack.knows("Two+db@example.com", json!({"id": "U0OTHER"}));
    assert_eq!(asked(&s, &slack), format!("<@{APPROVER}>, <@U0OTHER>"));
    // Who is linked is not looked up.
    let second = s.person("approver-two", &["readonly"]);
    link(&second, "approver-two", "U0LINKED");
    let calls = lookups(&slack);
    let mut mentions: Vec<String> = asked(&s, &slack).split(", ").map(str::to_owned).collect();
    mentions.sort();
    assert_eq!(
        mentions,
        [format!("<@{APPROVER}>"), "<@U0LINKED>".to_owned()]
    );
    assert_eq!(lookups(&slack), calls);
}

#[test]
fn unknown_person_is_named_and_looked_up_hourly() {
    let slack = FakeSlack::start();
    let s = addressed(&slack);
    let named = format!("<@{APPROVER}>, approver-two");
    assert_eq!(asked(&s, &slack), named);
    slack.knows("Two+db@example.com", json!({"id": FOUND}));
    assert_eq!(asked(&s, &slack), named);
    assert_eq!(lookups(&slack), 1);
    s.turn_only(3_600);
    assert_eq!(asked(&s, &slack), format!("<@{APPROVER}>, <@{FOUND}>"));
    for (user, what) in [
        (json!({"id": FOUND, "deleted": true}), "gone"),
        (json!({"id": FOUND, "is_bot": true}), "a program"),
        (json!({"id": "<!channel>"}), "not an id"),
    ] {
        s.turn_only(12 * 3_600);
        slack.knows("Two+db@example.com", user);
        assert_eq!(asked(&s, &slack), named, "{what}");
    }
}

#[test]
fn a_lookup_that_fails_leaves_the_name_and_pauses_lookups() {
    for (mood, pause) in [
        (SlackMood::Status(429, "retry-after: 600\r\n"), 600),
        (SlackMood::Error("missing_scope"), 3_600),
        (SlackMood::Error("ratelimited"), 3_600),
        (SlackMood::Status(500, ""), 60),
        (SlackMood::Babbles, 60),
    ] {
        let slack = FakeSlack::start();
        slack.knows("Two+db@example.com", json!({"id": FOUND}));
        let s = addressed(&slack);
        slack.next("users.lookupByEmail", mood);
        let named = format!("<@{APPROVER}>, approver-two");
        assert_eq!(asked(&s, &slack), named);
        s.turn_only(pause - 1);
        assert_eq!(asked(&s, &slack), named);
        assert_eq!(lookups(&slack), 1);
        s.turn_only(1);
        assert_eq!(asked(&s, &slack), format!("<@{APPROVER}>, <@{FOUND}>"));
        assert_eq!(lookups(&slack), 2);
    }
}

#[test]
fn an_account_that_was_only_found_lets_nobody_vote() {
    let slack = FakeSlack::start();
    slack.knows("Two+db@example.com", json!({"id": FOUND}));
    let s = addressed(&slack);
    assert!(asked(&s, &slack).contains(FOUND));
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    s.click(FOUND, "dbward_review", &request.id, &ts).is(200);
    let answer = slack.nth("chat.postEphemeral", 1);
    assert!(written_in(&answer.body).contains("is not linked to anybody"));
    // Not in a dialog of somebody else either.
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let open = slack.nth("views.open", 1);
    s.submit_dialog(FOUND, &open, decision("approve", None))
        .is(200)
        .saying("is not linked to anybody");
    assert_eq!(request.status(), "pending");
    let user = s.admin().get("/api/users/approver-two").is(200);
    assert_eq!(user.json["slack_user_id"], Value::Null);
}

#[test]
fn requester_is_mentioned_by_address_and_suspended_people_are_not() {
    let slack = FakeSlack::start();
    slack.knows("r@example.com", json!({"id": "U0FOUNDR"}));
    slack.knows("Two+db@example.com", json!({"id": FOUND}));
    let requester = "[[users]]\nid = \"requester\"\nemail = \"r@example.com\"\n";
    let s = server_with(
        &slack,
        &format!("{ADDRESS}status = \"suspended\"\n{requester}"),
    );
    let request = s.requester().submit("production", UPDATE);
    posted(&s, &request);
    let root = written_in(&slack.nth("chat.postMessage", 1).body);
    assert!(root.contains("<@U0FOUNDR>"), "{root}");
    assert!(!root.contains(&format!("<@{FOUND}>")), "{root}");
    assert!(root.contains(r#"Asked: approver","#), "{root}");
    s.approver().reject(&request).is(200);
    eventually("the outcome", || slack.of("chat.postMessage").len() == 2);
    let reply = written_in(&slack.nth("chat.postMessage", 2).body);
    assert!(reply.contains("<@U0FOUNDR>"), "{reply}");
}

#[test]
fn who_is_an_approver_by_a_token_alone_is_mentioned() {
    let slack = FakeSlack::start();
    let by_role = "[[workflows]]\ndatabase = \"shop\"\nenvironment = \"production\"\n\
        [[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = \"lead\"\n\
        [[auth.roles]]\nname = \"lead\"\npermissions = [\"request.approve\"]\n";
    let s = server_with(&slack, by_role);
    let eve = s.person("eve", &["lead"]);
    link(&eve, "eve", "U0EVE");
    assert_eq!(asked(&s, &slack), "<@U0EVE>");
}

#[test]
fn long_lists_of_approvers_are_cut_between_escapes() {
    let slack = FakeSlack::start();
    let name = |n: u32| format!("R&D & <team> {n} {}", "&".repeat(60));
    let groups: String = (0..15)
        .map(|n| format!("[[workflows.steps.approvers]]\ngroup = \"{}\"\n", name(n)))
        .collect();
    let members: String = (0..15)
        .map(|n| {
            format!(
                "[[auth.groups]]\nname = \"{}\"\nmembers = [\"approver\"]\n",
                name(n)
            )
        })
        .collect();
    let lists = format!(
        "[[workflows]]\ndatabase = \"shop\"\nenvironment = \"production\"\n[[workflows.steps]]\nmode = \"any\"\n{groups}{members}"
    );
    let s = server_with(&slack, &lists);
    let request = s.requester().submit("production", UPDATE);
    posted(&s, &request);
    let root = written_in(&slack.nth("chat.postMessage", 1).body);
    assert!(root.contains("R&amp;D &amp; &lt;team&gt; 0"), "{root}");
    assert!(root.contains('…'), "{root}");
}

#[test]
fn messages_to_other_receivers_wait_for_no_lookup() {
    let (slack, teams) = (FakeSlack::start(), Sink::start());
    let webhook = teams.webhook("teams", "format = \"teams\"");
    let s = server_with(&slack, &format!("{ADDRESS}{webhook}"));
    let busy = SlackMood::Status(429, "retry-after: 7200\r\n");
    slack.next("chat.postMessage", busy);
    s.requester().submit("production", UPDATE);
    slack.nth("chat.postMessage", 1);
    eventually("the message in Teams", || teams.count() == 1);
    assert_eq!(lookups(&slack), 1);
    // What was found is forgotten, and Slack is left alone for another hour.
    s.turn_only(3_600);
    s.requester().submit("production", UPDATE);
    eventually("the message in Teams", || teams.count() == 2);
    assert_eq!(lookups(&slack), 1);
}
