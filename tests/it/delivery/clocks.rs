//! Planned notifications while the clock is set back.

use super::{UPDATE, deliveries, server};
use crate::support::{Sink, eventually};
use std::time::Duration;

const HOUR: u64 = 3_600;

/// Each comes at its own time of day, in order and once, however often that time passes.
#[test]
fn reminders_after_the_clock_was_set_back_come_once() {
    let sink = Sink::start();
    let policy = "[[notification_policies]]\nwebhooks = [\"ops\"]\n\
        events = [\"request.created\", \"request.reminded\", \"request.escalated\"]\n\
        remind_after_secs = 3600\nescalate_after_secs = 7200\nescalate_to = [\"user:approver\"]\n";
    let s = server(&format!("{}{policy}", sink.webhook("ops", "")));
    let events = || -> Vec<String> { sink.received().iter().map(|r| r.text("event")).collect() };
    let request = s.requester().submit("production", UPDATE);
    eventually("asked", || events() == ["request.created"]);
    // What somebody asks for by hand comes after whatever is due.
    let all_due_is_sent = || {
        let before = sink.count();
        s.admin().poke("/api/webhooks/ops/test").is(202);
        eventually("the test message", || {
            events()[before..]
                .iter()
                .any(|event| event == "webhook.tested")
        });
    };
    let planned = || -> Vec<String> {
        let mut all = events();
        all.retain(|event| event != "webhook.tested" && event != "request.created");
        all
    };
    s.turn_only(HOUR / 2);
    s.clock.set_back(Duration::from_secs(2 * HOUR));
    all_due_is_sent();
    assert_eq!(planned(), [""; 0]);
    // Half an hour before the first.
    s.turn_only(2 * HOUR);
    all_due_is_sent();
    assert_eq!(planned(), [""; 0]);
    s.turn_only(HOUR);
    eventually("the reminder", || planned() == ["request.reminded"]);
    // Its time comes again.
    s.clock.set_back(Duration::from_secs(HOUR));
    s.turn_only(HOUR);
    all_due_is_sent();
    assert_eq!(planned(), ["request.reminded"]);
    s.turn_only(HOUR);
    eventually("the escalation", || {
        planned() == ["request.reminded", "request.escalated"]
    });
    let path = format!("request_id={}&status=pending", request.id);
    assert!(deliveries(&s, &path).is_empty());
}
