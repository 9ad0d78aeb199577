//! What a stop or a crash cuts off is delivered after the next start, under the id that it had.

use super::{UPDATE, deliveries, server};
use crate::support::{Manner, Program, SHOP, Sink, admin_of, eventually, settled};
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
fn a_kill_during_delivery_loses_nothing_and_repeats_under_one_id() {
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
