//! Mail: requesters learn the outcome, approvers that they are asked, and a request shows who was notified and how that
//! went.

use super::{UPDATE, deliveries, is_tried};
use crate::support::{DELIVERS, Letter, Manner, PostOffice, SHOP, Server, Sink, eventually};
use serde_json::{Value, json};

/// People with addresses; `approver-two` has none.
pub(super) const PEOPLE: &str = "[[users]]\nid = \"requester\"\nemail = \"requester@example.com\"\n\
    [[users]]\nid = \"approver\"\nemail = \"approver@example.com\"\n\
    [[users]]\nid = \"approver-two\"\n";

/// Who may do without approval.
const HURRY: &str = "[[auth.roles]]\nname = \"hurry\"\npermissions = [\"request.break_glass\"]\n";

pub(super) fn server(post: &PostOffice) -> Server {
    let public = "public_url = \"https://dbward.example.com\"\n";
    Server::with(&format!(
        "{public}{SHOP}{PEOPLE}{DELIVERS}{}",
        post.section()
    ))
}

/// `to: subject` of every mail, oldest first.
pub(super) fn sent(post: &PostOffice) -> Vec<String> {
    let subject = |letter: &Letter| field(letter, "Subject");
    post.letters()
        .iter()
        .map(|letter| format!("{}: {}", letter.to, subject(letter)))
        .collect()
}

fn field(letter: &Letter, name: &str) -> String {
    let start = format!("{name}: ");
    let line = letter.text.lines().find_map(|l| l.strip_prefix(&start));
    line.unwrap_or_default().to_owned()
}

#[test]
fn approvers_are_asked_and_the_requester_learns_the_outcome() {
    let post = PostOffice::start();
    let s = server(&post);
    let request = s.requester().submit("production", UPDATE);
    eventually("asked", || post.letters().len() == 1);
    s.approver().approve(&request).is(200);
    eventually("the outcome", || post.letters().len() == 2);
    s.requester().cancel(&request).is(200);
    let other = s.requester().submit("production", UPDATE);
    eventually("asked again", || post.letters().len() == 3);
    s.approver().reject(&other).is(200);
    eventually("the other outcome", || post.letters().len() == 4);
    assert_eq!(
        sent(&post),
        [
            "approver@example.com: [dbward] Approval needed: shop/production",
            "requester@example.com: [dbward] Approved: shop/production",
            // Nobody is notified of what they did themselves.
            "approver@example.com: [dbward] Approval needed: shop/production",
            "requester@example.com: [dbward] Rejected: shop/production",
        ]
    );
    let [asked, approved, ..] = &post.letters()[..] else {
        panic!()
    };
    // One thread a request, one id a notification.
    let thread = format!("<request-{}@example.com>", request.id);
    assert_eq!(field(asked, "References"), thread);
    assert_eq!(field(approved, "References"), thread);
    assert_ne!(field(asked, "Message-ID"), field(approved, "Message-ID"));
    assert_eq!(field(asked, "Auto-Submitted"), "auto-generated");
    let plain = asked.text.replace("=\r\n", "");
    assert!(plain.contains(&format!(
        "https://dbward.example.com/requests/{}",
        request.id
    )));
    assert!(plain.contains("you may approve the request"));
    assert!(plain.contains("text/html"));
    assert!(!plain.contains("a secret name"), "{plain}");
}

#[test]
fn webhooks_that_say_nothing_delay_no_mail() {
    let post = PostOffice::start();
    let silent: Vec<Sink> = (0..12).map(|_| Sink::start()).collect();
    let hooks: String = silent
        .iter()
        .enumerate()
        .map(|(n, sink)| {
            sink.manner(Manner::Silent);
            sink.webhook(&format!("silent-{n}"), "events = [\"request.created\"]")
        })
        .collect();
    let s = Server::with(&format!(
        "{SHOP}{PEOPLE}{DELIVERS}{hooks}{}",
        post.section()
    ));
    for n in 1..=5 {
        s.requester().submit("production", UPDATE);
        eventually("a mail", || post.letters().len() == n);
    }
    // Calls without an answer are still under way, and none of them has ended.
    let silenced = deliveries(&s, "status=delivered");
    let mut channels = silenced.iter().map(|d| d["channel"].as_str().unwrap());
    assert!(channels.all(|channel| channel == "email"), "{silenced:?}");
    assert!(silent.iter().any(|sink| sink.count() > 0));
}

/// Has requests end in every way of which their requester is notified.
fn end_in_every_way(s: &Server) {
    let (requester, agent) = (
        s.person("requester", &["developer", "hurry"]),
        s.agent("agent-1"),
    );
    // Approved without anybody, lost with its agent.
    agent.claim(&requester.submit("development", UPDATE).id);
    s.turn(301);
    // Nobody takes it.
    requester.submit("development", UPDATE);
    s.turn(301);
    // Nobody decides.
    requester.submit("production", UPDATE);
    s.turn(86_401);
    // Cancelled too late.
    let running = requester.submit("development", UPDATE);
    let claim = agent.claim(&running.id);
    requester.cancel(&running).is(200);
    agent.succeed(&claim.execution, crate::support::ROWS);
    let run = requester
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    agent.run(&run.resumed().id);
    let failing = requester.submit("development", UPDATE);
    agent
        .fail(&agent.claim(&failing.id).execution, "duplicate key")
        .is(200);
    s.approver()
        .reject(&requester.submit("production", UPDATE))
        .is(200);
    s.admin()
        .cancel(&requester.submit("production", UPDATE))
        .is(200);
    let urgent = json!({"emergency": true, "reason": "outage"});
    agent.run(&requester.submit_with("production", UPDATE, urgent).id);
    let edited = requester.submit("development", UPDATE);
    s.edit_request(
        &edited,
        "UPDATE request_texts SET detail = 'DELETE FROM items' WHERE request_seq = ?",
    );
    agent.poll();
    agent.try_claim(&edited.id).refused(409, "corrupt");
}

#[test]
fn every_outcome_reaches_the_requester_also_where_nobody_acts() {
    let post = PostOffice::start();
    let s = Server::with(&format!(
        "{SHOP}{HURRY}{PEOPLE}{DELIVERS}{}",
        post.section()
    ));
    end_in_every_way(&s);
    let expected = [
        // Title, what it says of the database, and how often.
        ("Approved automatically", "", 5),
        ("Approved", "", 1),
        ("Emergency: runs without approval", "", 1),
        ("Rejected", "", 1),
        ("Cancelled", "", 1),
        // Also the one that nobody took: its approval ended.
        ("Expired", "", 2),
        ("No agent took it in time", "", 1),
        ("Differs from what was approved: it does not run", "", 1),
        ("Executed", "committed", 2),
        ("Committed although it had been cancelled", "committed", 1),
        ("Execution failed", "unknown", 1),
        ("Execution lost: its outcome is unknown", "unknown", 1),
    ];
    let all: usize = expected.iter().map(|(_, _, n)| n).sum();
    let own = || -> Vec<Letter> {
        let mut letters = post.letters();
        letters.retain(|l| l.to == "requester@example.com");
        letters
    };
    eventually("all", || own().len() >= all);
    let letters = own();
    for (title, outcome, times) in expected {
        let found: Vec<&Letter> = letters
            .iter()
            .filter(|l| l.text.contains(&format!("\r\n{title}: shop/")))
            .collect();
        assert_eq!(found.len(), times, "{title}: {:#?}", sent(&post));
        let says = |l: &&Letter| l.text.contains(&format!("\r\nOutcome: {outcome}"));
        let count = found.iter().copied().filter(|l| says(l)).count();
        assert_eq!(count, if outcome.is_empty() { 0 } else { times }, "{title}");
    }
    assert_eq!(letters.len(), all, "{:#?}", sent(&post));
}

#[test]
fn request_shows_who_was_notified_and_why_somebody_was_not() {
    let post = PostOffice::start();
    let s = server(&post);
    post.refuse(Some("550 no such user here"));
    let request = s.requester().submit("production", UPDATE);
    eventually("dead", || deliveries(&s, "status=dead").len() == 1);
    post.refuse(Some("451 try again later"));
    s.approver().approve(&request).is(200);
    eventually("an attempt", || {
        deliveries(&s, "status=pending")
            .iter()
            .any(|d| is_tried(d, 1))
    });
    let shown = |id: &str| -> Vec<Value> {
        s.admin()
            .get(&format!("/api/requests/{id}"))
            .is(200)
            .list("notifications")
    };
    let [approved, asked] = &shown(&request.id)[..] else {
        panic!()
    };
    assert_eq!(
        (
            &asked["channel"],
            &asked["recipient"],
            &asked["status"],
            &asked["webhook_id"]
        ),
        (
            &json!("email"),
            &json!("approver"),
            &json!("dead"),
            &Value::Null
        )
    );
    assert!(
        asked["last_error"]
            .as_str()
            .unwrap()
            .contains("no such user here")
    );
    assert_eq!(
        (&approved["recipient"], &approved["status"]),
        (&json!("requester"), &json!("pending"))
    );
    post.refuse(None);
    let stranger = s.person("stranger", &["developer"]);
    let other = stranger.submit("production", UPDATE);
    s.approver().reject(&other).is(200);
    eventually("cancelled", || {
        deliveries(&s, "status=cancelled").len() == 1
    });
    let outcome = &shown(&other.id)[0];
    assert_eq!(
        outcome["last_error"],
        "no e-mail address of this person is known"
    );
    s.turn_only(10);
    eventually("the outcome", || {
        post.letters()
            .iter()
            .any(|l| l.to == "requester@example.com")
    });
}

#[test]
fn mail_goes_by_tls_and_shows_no_password() {
    let post = PostOffice::locked();
    let s = server(&post);
    let request = s.requester().submit("production", UPDATE);
    eventually("asked", || post.letters().len() == 1);
    post.admit(false);
    s.approver().approve(&request).is(200);
    // A wrong password may be put right: it is tried again, and given up at the end.
    for attempt in 1..=10 {
        eventually("an attempt", || is_tried(&deliveries(&s, "")[0], attempt));
        s.turn_only(6_600);
    }
    let dead = deliveries(&s, "status=dead").remove(0);
    assert_eq!(
        dead["last_error"],
        "mail: permanent error (535): 5.7.8 nobody known"
    );
    let shown = s.admin().show(&request).is(200).raw();
    let log = s
        .events("")
        .iter()
        .map(Value::to_string)
        .collect::<String>();
    assert!(shown.contains("nobody known"));
    for text in [shown, log] {
        assert!(!text.contains("a-secret-password"), "{text}");
    }
    post.admit(true);
    let again = dead["id"].as_str().unwrap();
    s.admin()
        .poke(&format!("/api/webhook-deliveries/{again}/redeliver"))
        .is(202);
    eventually("the outcome", || post.letters().len() == 2);
    assert_eq!(
        sent(&post)[1],
        "requester@example.com: [dbward] Approved: shop/production"
    );
}

/// `DBWARD_TEST_SMTP` is `PORT FOLDER`: a server on this machine with STARTTLS, whose certificate is `cert.pem` in the
/// folder, and which keeps its mails below `mail/new`.
#[test]
#[ignore = "needs a mail server; .ci/long starts one"]
fn a_real_mail_server_receives_mail_by_starttls() {
    let place = std::env::var("DBWARD_TEST_SMTP").unwrap();
    let (port, folder) = place.split_once(' ').unwrap();
    let email = format!(
        "[email]\nserver = \"localhost\"\nport = {port}\nfrom = \"dbward <dbward@example.com>\"\nca_file = \"{folder}/cert.pem\"\n"
    );
    let s = Server::with(&format!("{SHOP}{PEOPLE}{DELIVERS}{email}"));
    let request = s.requester().submit("production", UPDATE);
    s.approver().approve(&request).is(200);
    eventually("both", || deliveries(&s, "status=delivered").len() == 2);
    let mails: Vec<String> = std::fs::read_dir(format!("{folder}/mail/new"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(mails.len(), 2);
    let thread = format!("References: <request-{}@example.com>", request.id);
    assert!(mails.iter().all(|mail| mail.contains(&thread)));
    assert!(
        mails
            .iter()
            .any(|mail| mail.contains("Subject: [dbward] Approved: shop/production"))
    );
}

#[test]
fn a_test_message_goes_to_those_who_ask_for_it() {
    let post = PostOffice::start();
    let more = "[[users]]\nid = \"admin\"\nemail = \"admin@example.com\"\n";
    let s = Server::with(&format!("{SHOP}{more}{DELIVERS}{}", post.section()));
    s.requester()
        .poke("/api/webhooks/email/test")
        .refused(403, "forbidden");
    s.admin()
        .poke("/api/webhooks/slack/test")
        .refused(404, "not_found");
    s.admin().poke("/api/webhooks/email/test").is(202);
    eventually("the mail", || post.letters().len() == 1);
    assert_eq!(sent(&post), ["admin@example.com: [dbward] Test message"]);
    assert!(
        post.letters()[0]
            .text
            .contains("you asked for a test message")
    );
    let event = s.events("event_type=webhook.tested").remove(0);
    assert_eq!(event["resource_id"], "@email");
}

#[test]
fn a_server_that_refuses_us_is_tried_again() {
    for answers in [
        ("554 5.7.1 blocked", "250 ok"),
        ("220 hello", "550 5.4.5 quota exceeded"),
    ] {
        let post = PostOffice::start();
        post.turn_away(Some(answers));
        let s = server(&post);
        s.requester().submit("production", UPDATE);
        let row = || deliveries(&s, "webhook_id=email").remove(0);
        eventually("an attempt", || is_tried(&row(), 1));
        assert_eq!(row()["status"], "pending", "{answers:?}");
        post.turn_away(None);
        s.turn_only(7);
        eventually("it arrives", || post.letters().len() == 1);
    }
}

#[test]
fn a_stop_does_not_wait_for_the_mail_server() {
    let post = PostOffice::start();
    post.hold(true);
    let s = server(&post);
    s.requester().submit("production", UPDATE);
    eventually("it has the mail", || post.connections() == 1);
    let began = std::time::Instant::now();
    let s = s.restart();
    assert!(began.elapsed().as_secs() < 8, "{:?}", began.elapsed());
    post.hold(false);
    eventually("it arrives", || post.letters().len() == 1);
    assert_eq!(deliveries(&s, "webhook_id=email").len(), 1);
}
