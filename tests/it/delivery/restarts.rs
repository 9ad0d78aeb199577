//! What a stop or a crash cuts off is delivered after the next start, under the id that it had.

use super::{UPDATE, deliveries, server};
use crate::support::{FakeSlack, Manner, Program, SHOP, Sink, admin_of, eventually, settled};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_stop_does_not_wait_for_receivers_and_loses_nothing() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", ""));
    sink.manner(Manner::Silent);
    s.requester().submit("production", UPDATE);
    eventually("an attempt", || sink.count() == 1);
    let began = std::time::Instant::now();
    let s = s.restart();
    assert!(
        began.elapsed().as_secs() < 8,
        "the stop waited for a receiver"
    );
    sink.manner(Manner::Accepts);
    eventually("the end", || deliveries(&s, "status=delivered").len() == 1);
    let ids: BTreeSet<String> = sink
        .received()
        .iter()
        .map(|r| r.header("x-dbward-delivery").unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1);
    // The stop was no fault of the receiver.
    assert_eq!(deliveries(&s, "")[0]["attempts"], 1);
}

#[test]
fn kill_during_delivery_loses_nothing_and_repeats_under_one_id() {
    let sinks: Vec<Sink> = (0..3).map(|_| Sink::start()).collect();
    let hooks: String = sinks
        .iter()
        .enumerate()
        .map(|(n, sink)| sink.webhook(&format!("sink-{n}"), "events = [\"request.created\"]"))
        .collect();
    let dir = settled(&format!("{SHOP}{hooks}"));
    let body = json!({"database": "shop", "environment": "production", "detail": UPDATE});
    let mut made = BTreeSet::new();
    for round in 0..3 {
        let (server, at) = Program::serve(dir.path());
        let admin = admin_of(at, dir.path());
        let before: usize = sinks.iter().map(Sink::count).sum();
        for _ in 0..10 {
            made.insert(admin.post("/api/requests", &body).is(201).text("id"));
        }
        // Somewhere in the middle: some have arrived, some are under way, some wait.
        let some = before + 3 + round * 5;
        eventually("some", || {
            sinks.iter().map(Sink::count).sum::<usize>() >= some
        });
        server.kill();
    }
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    eventually("all", || {
        let left = admin.get("/api/webhook-deliveries?status=pending").is(200);
        let under_way = admin
            .get("/api/webhook-deliveries?status=in_progress")
            .is(200);
        left.json["total"] == 0 && under_way.json["total"] == 0
    });
    for sink in &sinks {
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for received in sink.received() {
            let known = ids.entry(received.text("request_id")).or_default();
            known.insert(received.text("delivery_id"));
        }
        assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), made);
        assert!(ids.values().all(|ids| ids.len() == 1));
    }
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    server.stop();
}

#[test]
fn kill_between_call_and_record_repeats_under_one_id() {
    let (sink, slack) = (Sink::start(), FakeSlack::start());
    sink.manner(Manner::Silent);
    slack.hold("chat.postMessage");
    let hook = sink.webhook("ops", "events = [\"request.created\"]");
    let dir = settled(&format!("{SHOP}{hook}{}", slack.section()));
    let (server, at) = Program::serve(dir.path());
    let body = json!({"database": "shop", "environment": "production", "detail": UPDATE});
    let made = admin_of(at, dir.path())
        .post("/api/requests", &body)
        .is(201);
    // Both have it, and the server does not know.
    eventually("the call", || sink.count() == 1);
    slack.nth("chat.postMessage", 1);
    server.kill();
    sink.manner(Manner::Accepts);
    slack.release();
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    let path = format!("/api/webhook-deliveries?request_id={}", made.text("id"));
    let mut rows = Vec::new();
    eventually("both ended", || {
        rows = admin.get(&path).is(200).list("deliveries");
        rows.len() == 2 && rows.iter().all(|row| row["status"] == "delivered")
    });
    let ids: BTreeSet<String> = sink
        .received()
        .iter()
        .map(|r| r.text("delivery_id"))
        .collect();
    assert_eq!((sink.count(), ids.len()), (2, 1));
    // Slack has no name for a message but the one that it gives, and the app may not read channels: a twin, no more.
    assert_eq!(slack.of("chat.postMessage").len(), 2);
    server.stop();
}
