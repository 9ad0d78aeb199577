//! The largest requests there can be, of the oddest characters: every message about them fits its receiver, which the
//! Slack of these tests checks for itself.

use super::deliveries;
use crate::support::{
    DELIVERS, FakeSlack, Letter, PostOffice, Received, Request, SHOP, Server, Sink, eventually,
};
use serde_json::{Value, json};

/// Bytes of the longest id of a person, of a name, and of a reason or comment.
const ID_BYTES: usize = 249;
const NAME_BYTES: usize = 63;
const NOTE_BYTES: usize = 1_024;
/// Bytes of a long statement; the server takes a few more.
const DETAIL_BYTES: usize = 99_000;
/// Steps of a workflow and approvers of a step, at most.
const STEPS: usize = 16;
const APPROVERS: usize = 16;
/// What Microsoft and Google take, in bytes, and the longest line of a mail.
const TEAMS_BYTES: usize = 28 * 1024;
const GOOGLE_BYTES: usize = 32_000;
const LINE_BYTES: usize = 998;
/// Longest text of a section of Slack, as it counts.
const SECTION_UNITS: usize = 3_000;

/// As much of `filler` as fits into so many bytes after a start.
fn filled(start: &str, filler: &str, bytes: usize) -> String {
    let mut text = start.to_owned();
    while text.len() + filler.len() <= bytes {
        text.push_str(filler);
    }
    text
}

/// The longest id of an approver.
fn id(step: usize, n: usize, filler: &str) -> String {
    filled(&format!("p{step}-{n}-"), filler, ID_BYTES)
}

/// A place with the longest names, and a workflow that names as many as it can, each with the longest id.
fn largest(filler: &str) -> String {
    let (database, environment) = place();
    let mut toml = format!(
        "public_url = \"https://{}.example.com\"\n[[databases]]\nname = \"{database}\"\ndialect = \"postgresql\"\n\
         environments = [\"{environment}\"]\n[[workflows]]\nallow_self_approve = false\n",
        "a".repeat(NAME_BYTES)
    );
    for step in 0..STEPS {
        toml.push_str("[[workflows.steps]]\nmode = \"any\"\n");
        for n in 0..APPROVERS {
            let id = id(step, n, filler);
            toml.push_str(&format!("[[workflows.steps.approvers]]\nuser = '{id}'\n"));
        }
    }
    for n in 0..APPROVERS {
        let id = id(0, n, filler);
        toml.push_str(&format!(
            "[[users]]\nid = '{id}'\nemail = \"p{n}@example.com\"\n"
        ));
    }
    toml.push_str(&format!(
        "[[users]]\nid = '{}'\nemail = \"requester@example.com\"\n\
         [[notification_policies]]\nremind_after_secs = 600\nescalate_after_secs = 1200\nescalate_to = ['user:{}']\n",
        filled("r", filler, ID_BYTES),
        id(0, 1, filler)
    ));
    toml
}

fn place() -> (String, String) {
    ("d".repeat(NAME_BYTES), "e".repeat(NAME_BYTES))
}

/// Makes the largest request.
fn submitted(s: &Server, filler: &str) -> Request {
    let (database, environment) = place();
    let requester = s.person(&filled("r", filler, ID_BYTES), &["developer"]);
    let detail = format!(
        "UPDATE items SET name = '{}' WHERE id = 1",
        filled("", filler, DETAIL_BYTES)
    );
    let reason = filled("", filler, NOTE_BYTES);
    let more = json!({"database": database, "reason": reason});
    requester.submit_with(&environment, &detail, more)
}

fn all_delivered(s: &Server) {
    eventually("all is delivered", || {
        let rows = deliveries(s, "");
        let ended = rows.iter().all(|d| {
            assert_ne!(d["status"], "dead", "{d}");
            d["status"] != "in_progress" && (d["status"] != "pending" || d["attempts"] == 0)
        });
        let due = rows.iter().filter(|d| {
            let is_planned = ["request.reminded", "request.escalated"]
                .iter()
                .any(|event| d["event_type"] == *event);
            d["status"] == "pending" && !is_planned
        });
        ended && due.count() == 0
    });
}

/// Whether a message of a webhook in the format of Slack keeps its limits.
fn fits_slack(received: &Received) -> bool {
    let message = received.json();
    let blocks = message["blocks"].as_array().unwrap();
    let texts = blocks.iter().flat_map(|block| {
        let fields = block["fields"].as_array().cloned().unwrap_or_default();
        fields.into_iter().chain([block["text"].clone()])
    });
    let units = |text: Value| {
        text["text"]
            .as_str()
            .map_or(0, |t| t.encode_utf16().count())
    };
    blocks.len() <= 50 && texts.map(units).all(|units| units <= SECTION_UNITS)
}

fn fits_mail(letter: &Letter) -> bool {
    letter.text.lines().all(|line| line.len() <= LINE_BYTES) && letter.text.is_ascii()
}

fn everything_about_the_largest_request_fits(filler: &str) {
    let (slack, post) = (FakeSlack::start(), PostOffice::start());
    let sinks = ["slack", "teams", "google_chat"].map(|format| (format, Sink::start()));
    let hooks: String = sinks
        .iter()
        .map(|(format, sink)| {
            let id = format.replace('_', "-");
            sink.webhook(&id, &format!("format = \"{format}\""))
        })
        .collect();
    let s = Server::with(&format!(
        "{}{DELIVERS}{hooks}{}{}",
        largest(filler),
        slack.section(),
        post.section()
    ));
    let comment = json!({"comment": filled("", filler, NOTE_BYTES)});
    let approver = s.person(&id(0, 0, filler), &["readonly"]);
    let rejected = submitted(&s, filler);
    all_delivered(&s);
    s.turn_only(700);
    all_delivered(&s);
    s.turn_only(700);
    all_delivered(&s);
    let vote = |person: &crate::support::Person, request: &Request, verb: &str| {
        let path = format!("/api/requests/{}/{verb}", request.id);
        person.post(&path, &comment).is(200);
    };
    vote(&approver, &rejected, "approve");
    let next = s.person(&id(1, 15, filler), &["readonly"]);
    vote(&next, &rejected, "reject");
    let cancelled = submitted(&s, filler);
    let reason = json!({"reason": filled("", filler, NOTE_BYTES)});
    let path = format!("/api/requests/{}/cancel", cancelled.id);
    s.admin().post(&path, &reason).is(200);
    all_delivered(&s);
    let [slack_like, teams, google] = sinks.each_ref().map(|(_, sink)| sink.received());
    assert!(slack_like.len() >= 7, "{} messages", slack_like.len());
    assert!(slack_like.iter().all(fits_slack), "{filler}");
    assert!(
        teams.iter().all(|r| r.body.len() <= TEAMS_BYTES),
        "{filler}"
    );
    assert!(
        google.iter().all(|r| r.body.len() <= GOOGLE_BYTES),
        "{filler}"
    );
    let letters = post.letters();
    // All of the first step are asked twice, and reminded; the requester learns the outcomes.
    assert_eq!(letters.len(), 3 * APPROVERS + 1 + 2, "{filler}");
    assert!(letters.iter().all(fits_mail), "{filler}");
}

#[test]
fn everything_about_the_largest_requests_fits_its_receiver() {
    for filler in ["&", "<!channel>", "😀", "*[x](https://a.example)_~`|"] {
        everything_about_the_largest_request_fits(filler);
    }
}

/// More people than are looked at one by one anywhere.
const CROWD: usize = 2_100;
/// People who are asked by mail at most.
const MAILED: usize = 100;

#[test]
fn hundred_approvers_of_thousands_get_mail() {
    let (slack, post) = (FakeSlack::start(), PostOffice::start());
    let people =
        |n: usize| format!("[[users]]\nid = \"p{n:04}\"\nemail = \"p{n:04}@example.com\"\n");
    let people: String = (0..CROWD).map(people).collect();
    let names: Vec<String> = (0..CROWD).map(|n| format!("\"p{n:04}\"")).collect();
    let members = format!("members = [{}]", names.join(", "));
    let shop = SHOP.replace("members = [\"approver\", \"approver-two\"]", &members);
    assert_ne!(shop, SHOP);
    let s = Server::with(&format!(
        "{shop}{people}{DELIVERS}{}{}",
        slack.section(),
        post.section()
    ));
    let request = s
        .requester()
        .submit("production", "UPDATE items SET price = 2 WHERE id = 1");
    eventually("all are asked", || post.letters().len() == MAILED);
    let root = slack.nth("chat.postMessage", 1);
    assert!(root.body.to_string().contains("Asked: p0000, p0001"));
    all_delivered(&s);
    let shown = s.requester().show(&request).is(200).json;
    let entry = &shown["approval_progress"]["steps"][0]["approvers_required"][0];
    assert_eq!(entry["others"], true);
    assert_eq!(entry["people"].as_array().unwrap().len(), 10);
    assert_eq!(post.letters().len(), MAILED);
    // Who got no mail decides like any other.
    let last = s.person(&format!("p{:04}", CROWD - 1), &["readonly"]);
    last.approve(&request).is(200);
}

#[test]
fn a_statement_is_stored_once_for_however_many_receivers() {
    const RECEIVERS: usize = 50;
    let sink = Sink::start();
    let hooks: String = (0..RECEIVERS)
        .map(|n| sink.webhook(&format!("ops-{n}"), "events = [\"request.created\"]"))
        .collect();
    let s = super::server(&format!("[audit]\nredaction = \"none\"\n{hooks}"));
    let long = format!("SELECT '{}'", "x".repeat(DETAIL_BYTES));
    s.requester().submit("production", &long);
    eventually("all receive it", || sink.count() == RECEIVERS);
    let shown = |got: &Received| got.json()["detail"].as_str().map(str::len);
    assert!(sink.received().iter().all(|got| shown(got) == Some(16_384)));
    let db = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
    let stored = "SELECT count(*), sum(length(payload_json)) FROM outbox";
    let (rows, bytes): (i64, i64) = db
        .query_row(stored, [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    assert_eq!(rows, RECEIVERS as i64);
    assert!(bytes < rows * 1_000, "{bytes} bytes");
}
