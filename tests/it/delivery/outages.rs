//! Receivers that are away, slow or busy: nothing is lost, and nobody else waits.

use super::{UPDATE, deliveries, is_tried, server, settled};
use crate::support::{DELIVERS, Manner, Person, Program, SHOP, Server, Sink, admin_of, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Notifications of each sink in the large test; DBWARD_DELIVERIES overrides it.
const DELIVERIES: usize = 20;
const SINKS: usize = 50;
/// Threads of delivery while all receivers are called: one for each, and the one that starts these.
const THREADS: usize = SINKS + 1;
/// The same at most: each has another for a moment, which finds the address.
const THREADS_MAX: usize = 2 * SINKS + 1;
/// Memory that it may take besides, in KiB, however many notifications wait: a MiB for each thread, and what the database
/// keeps of its file.
const MEMORY_MORE_KIB: u64 = 72 * 1024;

#[test]
fn an_hour_without_its_receiver_loses_nothing() {
    let status = |status, more: &str| Manner::Status(status, more.to_owned());
    for manner in [
        Manner::HangsUp,
        Manner::Resets,
        Manner::Babbles,
        Manner::EndlessHead,
        status(302, "location: /elsewhere\r\n"),
        status(429, ""),
        status(429, "retry-after: 600\r\n"),
        status(500, ""),
        status(503, "retry-after: 7200\r\n"),
    ] {
        an_hour_of(manner);
    }
}

#[test]
fn an_hour_of_silence_loses_nothing() {
    an_hour_of(Manner::Silent);
}

fn an_hour_of(manner: Manner) {
    let (sink, well) = (Sink::start(), Sink::start());
    let created = "events = [\"request.created\"]";
    let hooks = [sink.webhook("ops", created), well.webhook("well", created)];
    let s = server(&hooks.concat());
    sink.manner(manner);
    let requester = s.requester();
    let mut made: Vec<String> = Vec::new();
    made.push(requester.submit("production", UPDATE).id);
    eventually("an attempt", || sink.count() >= 1);
    // An hour, in which more and more comes.
    for _ in 0..12 {
        made.push(requester.submit("production", UPDATE).id);
        // Nobody else waits for it.
        eventually("the other", || well.count() == made.len());
        s.turn_only(300);
    }
    assert!(sink.count() < 100, "{} attempts", sink.count());
    sink.manner(Manner::Accepts);
    let mut got = Vec::new();
    eventually("all", || {
        s.turn_only(60);
        got = deliveries(&s, "status=delivered&webhook_id=ops");
        got.len() == made.len()
    });
    let got: BTreeSet<&str> = got
        .iter()
        .filter_map(|d| d["request_id"].as_str())
        .collect();
    assert_eq!(got, made.iter().map(String::as_str).collect());
    // Every attempt of one notification has one id.
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for received in sink.received() {
        let known = ids.entry(received.text("request_id")).or_default();
        known.insert(received.text("delivery_id"));
    }
    assert!(ids.values().all(|ids| ids.len() == 1));
}

#[test]
fn what_is_planned_keeps_its_time_when_receiver_is_back() {
    let sink = Sink::start();
    let policy = "[[notification_policies]]\nwebhooks = [\"ops\"]\nevents = [\"request.created\", \"request.escalated\"]\n\
        escalate_after_secs = 7200\nescalate_to = [\"user:approver\"]\n";
    let s = server(&format!("{}{policy}", sink.webhook("ops", "")));
    let events = || -> Vec<String> { sink.received().iter().map(|r| r.text("event")).collect() };
    sink.manner(Manner::Status(503, String::new()));
    s.requester().submit("production", UPDATE);
    eventually("an attempt", || {
        deliveries(&s, "").iter().any(|d| is_tried(d, 1))
    });
    sink.manner(Manner::Accepts);
    s.turn_only(60);
    eventually("it is back", || {
        deliveries(&s, "status=delivered").len() == 1
    });
    // This one comes after whatever the return of the receiver made due.
    s.requester().submit("production", UPDATE);
    eventually("the next", || deliveries(&s, "status=delivered").len() == 2);
    assert_eq!(events(), ["request.created"; 3]);
    let planned = deliveries(&s, "status=pending");
    assert!(planned.iter().all(|d| d["attempts"] == 0), "{planned:?}");
    s.turn_only(7_200);
    eventually("both", || deliveries(&s, "status=delivered").len() == 4);
    assert_eq!(events()[3..], ["request.escalated"; 2]);
}

/// Nobody else writes to the state of a server; while this one holds its lock, the server cannot.
fn locked(state_dir: &std::path::Path) -> rusqlite::Connection {
    let lock = rusqlite::Connection::open(state_dir.join("dbward.db")).unwrap();
    lock.execute_batch("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE")
        .unwrap();
    lock
}

#[test]
fn claimed_deliveries_of_a_failed_store_are_delivered_later() {
    let sink = Sink::start();
    sink.manner(Manner::Silent);
    let dir = crate::support::settled(&format!("{SHOP}{}", sink.webhook("ops", "")));
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    let body = json!({"database": "shop", "environment": "production", "detail": UPDATE});
    admin.post("/api/requests", &body).is(201);
    eventually("a call", || sink.count() == 1);
    let lock = locked(&dir.path().join("state"));
    sink.manner(Manner::Accepts);
    // Neither how it ended is written, nor that it is due again.
    for words in [
        "how a delivery ended could not be written",
        "delivery cannot use the store",
    ] {
        eventually(words, || server.errors().contains(words));
    }
    assert_eq!(total(&admin, "in_progress"), 1);
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    eventually("it is delivered", || total(&admin, "delivered") == 1);
    let received = sink.received();
    let ids: BTreeSet<String> = received.iter().map(|r| r.text("delivery_id")).collect();
    assert_eq!((received.len(), ids.len()), (2, 1));
    server.stop();
}

#[test]
fn what_is_never_accepted_is_given_up_after_ten_attempts() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", ""));
    sink.manner(Manner::Status(500, String::new()));
    s.requester().submit("production", UPDATE);
    for attempt in 1..=10 {
        eventually("an attempt", || is_tried(&deliveries(&s, "")[0], attempt));
        s.turn_only(6_600);
    }
    let dead = settled(&s, "ops", "dead");
    assert_eq!(dead["attempts"], 10);
    assert_eq!(dead["last_error"], "the answer is 500");
    assert_eq!(sink.count(), 10);
    let page = s.inner().app().metrics.render();
    assert!(page.contains("dbward_delivery_attempts_total{endpoint=\"ops\",outcome=\"failed\"} 9"));
    assert!(page.contains("dbward_delivery_attempts_total{endpoint=\"ops\",outcome=\"dead\"} 1"));
}

#[test]
fn requested_pause_counts_for_all_notifications_of_a_receiver() {
    let (sink, other) = (Sink::start(), Sink::start());
    let created = "events = [\"request.created\"]";
    let webhooks = [
        sink.webhook("ops", created),
        other.webhook("other", created),
    ];
    let s = server(&webhooks.concat());
    sink.manner(Manner::Status(429, "retry-after: 600\r\n".to_owned()));
    let requester = s.requester();
    requester.submit("production", UPDATE);
    let of_ops = |more: &str| deliveries(&s, &format!("webhook_id=ops{more}"));
    eventually("an attempt", || is_tried(&of_ops("")[0], 1));
    let at = of_ops("")[0]["next_retry_at"].as_str().unwrap().to_owned();
    let at = dbward::clock::Timestamp::parse(&at).unwrap();
    assert!(at.since(s.clock.now()) > 590_000, "{at:?}");
    requester.submit("production", UPDATE);
    sink.manner(Manner::Accepts);
    s.turn_only(585);
    // The dispatcher has looked since: what comes after it has reached another webhook.
    requester.submit("production", UPDATE);
    eventually("the other has all", || other.count() == 3);
    assert_eq!(sink.count(), 1);
    s.turn_only(30);
    eventually("all", || of_ops("&status=delivered").len() == 3);
    assert_eq!(sink.count(), 4);
}

#[test]
fn test_message_does_not_wait_for_end_of_a_pause() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", "events = [\"request.created\"]"));
    sink.manner(Manner::Status(429, "retry-after: 3600\r\n".to_owned()));
    s.requester().submit("production", UPDATE);
    eventually("an attempt", || is_tried(&deliveries(&s, "")[0], 1));
    sink.manner(Manner::Accepts);
    s.admin().poke("/api/webhooks/ops/test").is(202);
    eventually("it is sent", || {
        deliveries(&s, "status=delivered").len() == 1
    });
}

#[test]
fn reminders_are_cancelled_with_the_wait_and_no_backlog_meanwhile() {
    let sink = Sink::start();
    let policy = "[[notification_policies]]\nwebhooks = [\"ops\"]\nevents = [\"request.created\", \"request.reminded\"]\n\
        remind_after_secs = 7200\n";
    let s = server(&format!("{}{policy}", sink.webhook("ops", "")));
    let oldest = || {
        let page = String::from_utf8(s.admin().get("/metrics").is(200).body).unwrap();
        let line = page
            .lines()
            .find_map(|l| l.strip_prefix("dbward_outbox_oldest_seconds "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let planned = s.requester().submit("production", UPDATE);
    settled(&s, "ops", "pending");
    eventually("it is delivered", || sink.count() == 1);
    sink.manner(Manner::Status(503, "retry-after: 7000\r\n".to_owned()));
    s.requester().submit("production", UPDATE);
    eventually("a failure", || {
        deliveries(&s, "status=pending")
            .iter()
            .any(|d| is_tried(d, 1))
    });
    s.turn_only(1_000);
    // What is planned, and is older, hides nothing that waits.
    assert!(oldest() >= 1_000);
    s.approver().approve(&planned).is(200);
    let path = format!("request_id={}&status=pending", planned.id);
    assert_eq!(deliveries(&s, &path), [Value::Null; 0]);
    let path = format!("request_id={}&status=cancelled", planned.id);
    let cancelled = deliveries(&s, &path).remove(0);
    assert_eq!(cancelled["last_error"], "the step does not wait any more");
}

#[test]
fn notifications_keep_their_order_while_all_is_well() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", ""));
    let requester = s.requester();
    for _ in 0..20 {
        let request = requester.submit("production", UPDATE);
        requester.cancel(&request).is(200);
    }
    eventually("all", || sink.count() == 40);
    let times: Vec<String> = sink
        .received()
        .iter()
        .map(|r| r.text("timestamp"))
        .collect();
    assert!(times.is_sorted());
}

#[test]
fn a_call_without_an_answer_is_ended_and_made_again() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", "events = [\"request.created\"]"));
    sink.manner(Manner::Silent);
    let requester = s.requester();
    let made = [(); 3].map(|()| requester.submit("production", UPDATE).id);
    eventually("the end of the first call", || {
        deliveries(&s, "").iter().any(|d| is_tried(d, 1))
    });
    let pending = deliveries(&s, "status=pending");
    let ended: Vec<&Value> = pending.iter().filter(|d| d["attempts"] == 1).collect();
    assert_eq!((pending.len(), ended.len()), (3, 1), "{pending:?}");
    assert_eq!(ended[0]["last_error"], "no answer in time");
    assert!(ended[0]["next_retry_at"].is_string(), "{pending:?}");
    sink.manner(Manner::Accepts);
    s.turn_only(60);
    eventually("all", || deliveries(&s, "status=delivered").len() == 3);
    // The one that had no answer came twice, under one id.
    let received = sink.received();
    let mut got: Vec<String> = received.iter().map(|r| r.text("request_id")).collect();
    assert_eq!(got.len(), 4);
    let ids: BTreeSet<String> = received.iter().map(|r| r.text("delivery_id")).collect();
    assert_eq!(ids.len(), 3);
    got.sort();
    got.dedup();
    assert_eq!(got, BTreeSet::from(made).into_iter().collect::<Vec<_>>());
}

/// How many deliveries have this status.
fn total(admin: &Person, status: &str) -> usize {
    let path = format!("/api/webhook-deliveries?status={status}&limit=1");
    let total = admin.get(&path).is(200).json["total"].as_u64().unwrap();
    usize::try_from(total).unwrap()
}

#[test]
fn many_notifications_to_many_receivers_drain() {
    let made: usize = std::env::var("DBWARD_DELIVERIES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(DELIVERIES);
    let sinks: Vec<Sink> = (0..SINKS).map(|_| Sink::start()).collect();
    let toml: String = sinks
        .iter()
        .enumerate()
        .map(|(n, sink)| sink.webhook(&format!("sink-{n}"), "events = [\"request.created\"]"))
        .collect();
    let dir = crate::support::settled(&format!("{SHOP}{toml}"));
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    let body = json!({"database": "shop", "environment": "production", "detail": UPDATE});
    admin.post("/api/requests", &body).is(201);
    eventually("the first", || total(&admin, "delivered") == SINKS);
    let memory = server.status("VmRSS");
    let mut threads_most = 0;
    // Each asks for an hour's pause at the first call, and so all others wait.
    let busy = Manner::Status(503, "retry-after: 3600\r\n".to_owned());
    sinks.iter().for_each(|sink| sink.manner(busy.clone()));
    for _ in 1..made {
        admin.post("/api/requests", &body).is(201);
        threads_most = threads_most.max(server.threads("delivery"));
    }
    let backlog = (made - 1) * SINKS;
    eventually("all wait", || {
        sinks.iter().all(|sink| sink.count() == 2) && total(&admin, "pending") == backlog
    });
    // A reload ends the pauses. All are called at one time: none waits for another's answer.
    sinks.iter().for_each(|sink| sink.manner(Manner::Silent));
    server.signal(Signal::HUP);
    eventually("all are called", || {
        sinks.iter().all(|sink| sink.count() == 3)
    });
    assert_eq!(server.threads("delivery"), THREADS);
    // A success makes due what else waits for that receiver.
    sinks.iter().for_each(|sink| sink.manner(Manner::Accepts));
    for some in (0..=backlog - SINKS).step_by(250) {
        eventually("more", || {
            let received: usize = sinks.iter().map(Sink::count).sum();
            received - 3 * SINKS >= some
        });
        threads_most = threads_most.max(server.threads("delivery"));
    }
    eventually("the end of each", || {
        total(&admin, "delivered") == made * SINKS
    });
    // Once each besides the call that was refused.
    assert!(sinks.iter().all(|sink| sink.count() == made + 1));
    assert!(threads_most <= THREADS_MAX, "{threads_most} threads");
    let memory_most = server.status("VmHWM");
    assert!(
        memory_most <= memory + MEMORY_MORE_KIB,
        "{memory_most} KiB, {memory} before"
    );
    server.stop();
}

#[test]
fn configured_proxy_makes_calls_and_this_machine_is_called_directly() {
    let (sink, proxy) = (
        Sink::start(),
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let at = proxy.local_addr().unwrap();
    let first = std::thread::spawn(move || {
        let (stream, _) = proxy.accept().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).unwrap();
        line
    });
    let away = "[[webhooks]]\nid = \"away\"\nurl = \"https://hooks.example.com/x\"\n";
    let s = Server::with(&format!(
        "outbound_proxy = \"http://{at}\"\n{SHOP}{DELIVERS}{}{away}",
        sink.webhook("ops", "")
    ));
    s.requester().submit("production", UPDATE);
    assert_eq!(
        first.join().unwrap().trim_end(),
        "CONNECT hooks.example.com:443 HTTP/1.1"
    );
    settled(&s, "ops", "delivered");
    assert_eq!(sink.count(), 1);
}

#[test]
fn after_an_outage_events_of_a_request_arrive_in_order() {
    let sink = Sink::start();
    let s = server(&sink.webhook(
        "ops",
        "events = [\"request.created\", \"request.approved\"]",
    ));
    sink.manner(Manner::HangsUp);
    let request = s.requester().submit("production", UPDATE);
    for (attempt, pause) in [(1, 7), (2, 37), (3, 150), (4, 750), (5, 800)] {
        eventually("an attempt", || {
            is_tried(&settled(&s, "ops", "pending"), attempt)
        });
        // The last pause of the message is longer than that of its receiver.
        s.turn_only(pause);
    }
    s.approver().approve(&request).is(200);
    sink.manner(Manner::Accepts);
    s.turn_only(700);
    eventually("both", || deliveries(&s, "status=delivered").len() == 2);
    let events: Vec<String> = sink.received().iter().map(|r| r.text("event")).collect();
    assert_eq!(
        events[events.len() - 2..],
        ["request.created", "request.approved"]
    );
}

#[test]
fn a_test_message_comes_before_what_is_due() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", "events = [\"request.created\"]"));
    sink.manner(Manner::HangsUp);
    for _ in 0..20 {
        s.requester().submit("production", UPDATE);
    }
    eventually("a failure", || sink.count() > 0);
    let before = sink.count();
    s.admin().poke("/api/webhooks/ops/test").is(202);
    eventually("the next call", || sink.count() > before);
    let tested = |got: &crate::support::Received| got.text("event") == "webhook.tested";
    assert!(sink.received()[before..].iter().take(2).any(tested));
}

#[test]
fn an_error_of_a_webhook_is_shown_until_something_arrives() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", "events = [\"request.created\"]"));
    let shown =
        || s.admin().get("/api/webhooks/ops").is(200).json["deliveries"]["last_error"].clone();
    sink.manner(Manner::Status(404, String::new()));
    s.requester().submit("production", UPDATE);
    settled(&s, "ops", "dead");
    assert_eq!(shown(), "the answer is 404");
    sink.manner(Manner::Accepts);
    s.requester().submit("production", UPDATE);
    settled(&s, "ops", "delivered");
    assert_eq!(shown(), Value::Null);
}
