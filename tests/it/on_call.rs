//! Groups whose members take turns: by a rotation, and by a service that keeps the schedule.

mod mails;

use crate::support::{Server, Temp, binary, eventually};
use dbward::clock::Clock;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const UPDATE: &str = "UPDATE items SET price = 1 WHERE id = 1";
const DAY: u64 = 24 * 3600;

/// A database in production, where those on call in `night` approve.
const SHOP: &str = r#"
[[databases]]
name = "shop"
dialect = "postgresql"
environments = ["production"]

[[workflows]]
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "night"

[[users]]
id = "ann"
email = "ann@example.com"
[[users]]
id = "bob"
email = "bob@example.com"
[[users]]
id = "lead"
email = "lead@example.com"
"#;

/// The minute so many days from now, in UTC.
fn in_days(days: i64) -> String {
    let ms = u64::try_from(days.abs()).unwrap() * DAY * 1000;
    let now = Clock::system().now();
    let at = match days < 0 {
        true => dbward::clock::Timestamp(now.0 - i64::try_from(ms).unwrap()),
        false => now.plus_ms(ms),
    };
    at.rfc3339()[..16].to_owned()
}

/// ann has been on call for a day, bob is in six.
fn rotation() -> String {
    format!(
        "[[on_call]]\nname = \"night\"\ntime_zone = \"UTC\"\npeople = [\"ann\", \"bob\"]\nfirst_handover = \"{}\"\n",
        in_days(-1)
    )
}

fn group(s: &Server) -> Value {
    s.admin().get("/api/groups/night").is(200).json
}

#[test]
fn only_those_on_call_approve_and_only_until_hand_over() {
    let s = Server::with(&format!("{SHOP}{}", rotation()));
    let (ann, bob) = (
        s.person("ann", &["readonly"]),
        s.person("bob", &["readonly"]),
    );
    assert_eq!(group(&s)["members"], json!(["ann"]));
    assert_eq!(
        group(&s)["on_call"],
        json!({"by": "rotation", "answered_at": null, "failure": null})
    );
    let first = s.requester().submit("production", UPDATE);
    bob.approve(&first).refused(403, "forbidden");
    let vote = ann.approve(&first).is(200);
    assert_eq!(vote.json["matched_selector"], "group:night");
    assert_eq!(ann.get("/api/me").is(200).json["groups"], json!(["night"]));
    s.turn(6 * DAY);
    assert_eq!(group(&s)["members"], json!(["bob"]));
    assert_eq!(ann.get("/api/me").is(200).json["groups"], json!([]));
    let second = s.requester().submit("production", UPDATE);
    ann.approve(&second).refused(403, "forbidden");
    bob.approve(&second).is(200);
}

#[test]
fn who_was_on_call_stays_with_the_request() {
    let s = Server::with(&format!("{SHOP}{}", rotation()));
    let facts = |id: &str| -> Value {
        let file = s.state_dir().join("dbward.db");
        let state = rusqlite::Connection::open(file).unwrap();
        let text: String = state
            .query_row(
                "SELECT facts_json FROM request_texts t JOIN requests r ON r.seq = t.request_seq WHERE r.id = ?1",
                [id],
                |r| r.get(0),
            )
            .unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let first = s.requester().submit("production", UPDATE);
    assert_eq!(facts(&first.id)["on_call"], json!({"night": ["ann"]}));
    s.person("ann", &["readonly"]).approve(&first).is(200);
    s.turn(6 * DAY);
    let second = s.requester().submit("production", UPDATE);
    assert_eq!(facts(&second.id)["on_call"], json!({"night": ["bob"]}));
    assert_eq!(facts(&first.id)["on_call"], json!({"night": ["ann"]}));
    // Neither whose turn it is now nor the time of day decides again.
    let mut replay = binary();
    replay.args(["policy", "replay", "--db"]);
    let done = replay
        .arg(s.state_dir().join("dbward.db"))
        .output()
        .unwrap();
    let (out, errors) = (
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8(done.stderr).unwrap(),
    );
    assert_eq!(
        (done.status.code(), &*out),
        (Some(0), "2 decisions come out as recorded\n"),
        "{errors}"
    );
    let votes = s.requester().show(&first).is(200).json["approval_progress"].to_string();
    assert!(votes.contains("\"ann\""), "{votes}");
}

#[test]
fn policies_of_a_target_name_who_is_on_call() {
    let s = Server::with(&format!("{SHOP}{}", rotation()));
    let path = "/api/policy-resolution?database=shop&environment=production";
    let resolved = s.requester().get(path).is(200);
    assert_eq!(resolved.json["on_call"], json!({"night": ["ann"]}));
    let user = s.admin().get("/api/users/ann").is(200);
    let access = &user.json["access"]["groups"][0];
    assert_eq!(
        (&access["name"], &access["source"]),
        (&json!("night"), &json!("on_call"))
    );
}

#[test]
fn nobody_but_the_schedule_puts_people_on_call() {
    let s = Server::with(&format!("{SHOP}{}", rotation()));
    let asked = json!({"subject_id": "bob", "subject_type": "user", "name": "x", "roles": ["readonly"], "groups": ["night"]});
    let token = s.admin().post("/api/tokens", &asked).is(201);
    let bob = s.bearer("bob", token.json["token"].as_str().unwrap());
    let request = s.requester().submit("production", UPDATE);
    bob.approve(&request).refused(403, "forbidden");
}

#[test]
fn requester_who_is_on_call_waits_for_the_next() {
    let s = Server::with(&format!("{SHOP}{}", rotation()));
    let ann = s.person("ann", &["developer"]);
    let request = ann.submit("production", UPDATE);
    ann.approve(&request).refused(403, "self_approval");
    s.person("bob", &["readonly"])
        .approve(&request)
        .refused(403, "forbidden");
    // Nor does an administrator step in.
    let shop = SHOP.replace("[[workflows]]\n", "[[workflows]]\nadmin_override = false\n");
    let alone = shop + &rotation().replace("\"ann\", \"bob\"", "\"ann\"");
    let s = Server::with(&alone);
    let ann = s.person("ann", &["developer"]);
    ann.create("production", UPDATE)
        .refused(422, "no_eligible_approver");
}

/// A service that answers with what the test says.
struct Schedules {
    at: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    thread: Option<JoinHandle<()>>,
}

struct Inside {
    status: u16,
    body: String,
    asked: Vec<String>,
    stop: bool,
}

impl Schedules {
    fn start(body: &Value) -> Schedules {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let inside = Arc::new(Mutex::new(Inside {
            status: 200,
            body: body.to_string(),
            asked: Vec::new(),
            stop: false,
        }));
        let shared = Arc::clone(&inside);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().stop {
                    return;
                }
                answer(stream.unwrap(), &shared);
            }
        });
        Schedules {
            at,
            inside,
            thread: Some(thread),
        }
    }

    fn says(&self, status: u16, body: &str) {
        let mut inside = self.inside.lock().unwrap();
        (inside.status, inside.body) = (status, body.to_owned());
    }

    /// Heads of the calls so far.
    fn asked(&self) -> Vec<String> {
        self.inside.lock().unwrap().asked.clone()
    }

    fn section(&self, service: &str) -> String {
        format!(
            "[[on_call]]\nname = \"night\"\nservice = \"{service}\"\nschedule = \"PS1\"\ntoken = \"the-token\"\n\
             api_base_url = \"http://{}/\"\n",
            self.at
        )
    }
}

impl Drop for Schedules {
    fn drop(&mut self) {
        self.inside.lock().unwrap().stop = true;
        let _ = TcpStream::connect(self.at);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(stream: TcpStream, inside: &Mutex<Inside>) {
    let mut head = String::new();
    let mut reader = BufReader::new(&stream);
    while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
    let mut inside = inside.lock().unwrap();
    inside.asked.push(head);
    let (status, body) = (inside.status, &inside.body);
    let more = if status == 302 {
        "location: http://127.0.0.1:1/\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
}

fn pagerduty(email: &str) -> Value {
    json!({"oncalls": [{"user": {"id": "PU", "type": "user", "email": email}, "schedule": {"id": "PS1"},
           "escalation_level": 1, "start": null, "end": null}], "more": false})
}

#[test]
fn pagerduty_says_who_is_on_call() {
    let schedules = Schedules::start(&pagerduty("Ann@example.com"));
    let s = Server::with(&format!("{SHOP}{}", schedules.section("pagerduty")));
    let ann = s.person("ann", &["readonly"]);
    eventually("the answer", || group(&s)["members"] == json!(["ann"]));
    let head = schedules.asked()[0].to_lowercase();
    assert!(
        head.starts_with("get /oncalls?schedule_ids%5b%5d=ps1&include%5b%5d=users&"),
        "{head}"
    );
    assert!(
        head.contains("authorization: token token=the-token"),
        "{head}"
    );
    assert!(
        head.contains("accept: application/vnd.pagerduty+json;version=2"),
        "{head}"
    );
    let request = s.requester().submit("production", UPDATE);
    ann.approve(&request).is(200);
    // Asked again a minute later, not before.
    schedules.says(200, &pagerduty("bob@example.com").to_string());
    s.turn(60);
    eventually("the next answer", || group(&s)["members"] == json!(["bob"]));
    assert!(!group(&s).to_string().contains("the-token"));
    let page = s.inner().app().metrics.render();
    assert!(
        page.contains("dbward_on_call_fetches_total{group=\"night\",outcome=\"ok\"}"),
        "{page}"
    );
}

#[test]
fn opsgenie_says_who_is_on_call() {
    let answer = json!({"data": {"onCallRecipients": ["bob@example.com"]}});
    let schedules = Schedules::start(&answer);
    let s = Server::with(&format!("{SHOP}{}", schedules.section("opsgenie")));
    eventually("the answer", || group(&s)["members"] == json!(["bob"]));
    let head = schedules.asked()[0].to_lowercase();
    assert!(
        head.starts_with("get /v2/schedules/ps1/on-calls?flat=true"),
        "{head}"
    );
    assert!(head.contains("authorization: geniekey the-token"), "{head}");
}

#[test]
fn service_answers_count_an_hour_then_nobody_is_on_call() {
    let schedules = Schedules::start(&pagerduty("ann@example.com"));
    let s = Server::with(&format!("{SHOP}{}", schedules.section("pagerduty")));
    let ann = s.person("ann", &["readonly"]);
    eventually("the answer", || group(&s)["members"] == json!(["ann"]));
    // It fails, redirects, and answers what is not understood: all the same.
    for (status, body) in [(500, "no"), (302, ""), (200, "{}"), (200, "<html>")] {
        schedules.says(status, body);
        let asked = schedules.asked().len();
        s.turn(600);
        eventually("asked", || {
            schedules.asked().len() > asked && !group(&s)["on_call"]["failure"].is_null()
        });
        assert_eq!(group(&s)["members"], json!(["ann"]), "{status} {body}");
    }
    let request = s.requester().submit("production", UPDATE);
    s.turn(1_200);
    assert_eq!(group(&s)["members"], json!([]));
    assert_eq!(group(&s)["on_call"]["answered_at"], Value::Null);
    ann.approve(&request).refused(403, "forbidden");
    eventually("the gauge", || {
        let page = s.inner().app().metrics.render();
        page.contains("dbward_on_call_people{group=\"night\"} 0")
    });
    schedules.says(200, &pagerduty("ann@example.com").to_string());
    s.turn(60);
    eventually("back", || group(&s)["members"] == json!(["ann"]));
    ann.approve(&request).is(200);
}

#[test]
fn the_token_of_a_service_may_stand_in_a_file() {
    let (folder, schedules) = (Temp::new(), Schedules::start(&pagerduty("ann@example.com")));
    let file = folder.path().join("pager-token");
    fs::write(&file, "token-of-the-file\n").unwrap();
    let by_file = format!("token_file = {file:?}");
    let section = schedules.section("pagerduty");
    let section = section.replace("token = \"the-token\"", &by_file);
    let s = Server::with(&format!("{SHOP}{section}"));
    eventually("the answer", || group(&s)["members"] == json!(["ann"]));
    let head = schedules.asked()[0].to_lowercase();
    assert!(
        head.contains("authorization: token token=token-of-the-file\r\n"),
        "{head}"
    );
}

#[test]
fn configured_proxy_asks_services_but_not_one_of_this_machine() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = proxy.local_addr().unwrap();
    proxy.set_nonblocking(true).unwrap();
    let schedules = Schedules::start(&pagerduty("ann@example.com"));
    let away = "[[on_call]]\nname = \"day\"\nservice = \"opsgenie\"\nschedule = \"PS2\"\ntoken = \"another-token\"\n";
    let s = Server::with(&format!(
        "outbound_proxy = \"http://{at}\"\n{SHOP}{}{away}",
        schedules.section("pagerduty")
    ));
    eventually("the answer", || group(&s)["members"] == json!(["ann"]));
    let mut first = None;
    eventually("the proxy is called", || {
        first = proxy.accept().ok();
        first.is_some()
    });
    let (stream, _) = first.unwrap();
    stream.set_nonblocking(false).unwrap();
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
    assert!(
        head.starts_with("CONNECT api.opsgenie.com:443 HTTP/1.1\r\n"),
        "{head}"
    );
    // What is for the service goes through the tunnel, encrypted.
    assert!(
        !head.contains("another-token") && !head.contains("PS2"),
        "{head}"
    );
}

#[test]
fn services_in_private_networks_are_not_asked() {
    let section = "[[on_call]]\nname = \"night\"\nservice = \"opsgenie\"\nschedule = \"PS1\"\ntoken = \"the-token\"\n\
        api_base_url = \"https://10.1.2.3\"\n";
    let s = Server::with(&format!("{SHOP}{section}"));
    eventually("asked", || !group(&s)["on_call"]["failure"].is_null());
    let failure = group(&s)["on_call"]["failure"].as_str().unwrap().to_owned();
    assert!(
        failure.contains("10.1.2.3") && failure.contains("allow_networks"),
        "{failure}"
    );
    assert_eq!(group(&s)["members"], json!([]));
}
