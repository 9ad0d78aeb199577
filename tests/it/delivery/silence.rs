//! Receivers that say nothing, or take their time: nobody else waits for them, however many they are.

use super::{UPDATE, deliveries, settled};
use crate::support::{DELIVERS, Manner, SHOP, Server, Sink, eventually};
use serde_json::Value;
use std::time::{Duration, Instant};

const CREATED: &str = "events = [\"request.created\"]";
/// How long a call of a webhook lasts that nobody answers.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Webhooks that a configuration may have at most.
const WEBHOOKS_MAX: usize = 50;

/// A server that has a place for one receiver that answers promptly.
fn server(hooks: &str) -> Server {
    Server::with(&format!("delivery_workers = 1\n{SHOP}{DELIVERS}{hooks}"))
}

/// As many silent receivers as there may be next to one more, and their entries.
fn silent() -> (Vec<Sink>, String) {
    let sinks: Vec<Sink> = (1..WEBHOOKS_MAX).map(|_| Sink::start()).collect();
    let hook = |(n, sink): (usize, &Sink)| {
        sink.manner(Manner::Silent);
        sink.webhook(&format!("silent-{n:02}"), CREATED)
    };
    let hooks = sinks.iter().enumerate().map(hook).collect();
    (sinks, hooks)
}

/// None of the calls to those who are silent has ended, of which the first began after `since`. A machine on which all
/// that took longer than a call may last proves nothing.
#[track_caller]
fn assert_all_under_way(s: &Server, others: &str, since: Instant) {
    let mut silenced = deliveries(s, "");
    silenced.retain(|d| d["webhook_id"] != others);
    let all = silenced.iter().all(|d| d["attempts"] == 0);
    assert!(all || since.elapsed() >= CALL_TIMEOUT, "{silenced:?}");
}

#[test]
fn nobody_known_yet_waits_for_those_who_say_nothing() {
    let (silent, hooks) = silent();
    // The last one in every order.
    let well = Sink::start();
    let s = server(&format!("{hooks}{}", well.webhook("well", CREATED)));
    let began = Instant::now();
    s.requester().submit("production", UPDATE);
    eventually("it is delivered", || well.count() == 1);
    assert_all_under_way(&s, "well", began);
    eventually("all are called at one time", || {
        silent.iter().all(|sink| sink.count() >= 1)
    });
    assert_all_under_way(&s, "well", began);
}

#[test]
fn somebody_known_waits_for_nobody_who_says_nothing() {
    let (silent, hooks) = silent();
    let well = Sink::start();
    let s = server(&format!("{hooks}{}", well.webhook("well", "")));
    s.admin().poke("/api/webhooks/well/test").is(202);
    settled(&s, "well", "delivered");
    let began = Instant::now();
    for n in 2..=4 {
        s.requester().submit("production", UPDATE);
        eventually("the next", || well.count() == n);
    }
    assert_all_under_way(&s, "well", began);
    let called_once = silent.iter().all(|sink| sink.count() <= 1);
    assert!(called_once || began.elapsed() >= CALL_TIMEOUT);
}

#[test]
fn slow_receiver_gets_all_in_order_and_delays_nobody() {
    let (slow, well) = (Sink::start(), Sink::start());
    let hooks = [slow.webhook("slow", CREATED), well.webhook("well", CREATED)];
    let s = server(&hooks.concat());
    let submit = || s.requester().submit("production", UPDATE).id;
    // Both are known to answer, and there is one place for such.
    let mut made = vec![submit()];
    eventually("both", || deliveries(&s, "status=delivered").len() == 2);
    slow.manner(Manner::Silent);
    for n in 2..=4 {
        made.push(submit());
        eventually("the other has it", || well.count() == n);
    }
    assert_eq!(slow.count(), 2);
    for n in 2..=4 {
        eventually("one after another", || slow.count() == n);
        let delivered = deliveries(&s, "status=delivered&webhook_id=slow");
        assert_eq!(delivered.len(), n - 1);
        slow.answer_one();
        eventually("it is delivered", || {
            deliveries(&s, "status=delivered&webhook_id=slow").len() == n
        });
    }
    let got: Vec<Value> = slow.received().iter().map(|r| r.json()).collect();
    let got: Vec<&str> = got
        .iter()
        .filter_map(|r| r["request_id"].as_str())
        .collect();
    assert_eq!(got, made);
}
