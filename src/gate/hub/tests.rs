//! Nothing that is published is ever slept through, and no wake-up is lost with the one it woke.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc;

fn hub(limits: &GateLimits) -> Arc<Hub> {
    Arc::new(Hub::new(limits, Arc::new(Metrics::new())))
}

fn on(hub: &Hub, topics: &[&str], exclusive: bool) -> Park {
    Park {
        topics: topics
            .iter()
            .map(|t| ((*t).to_owned(), hub.generation(t)))
            .collect(),
        wait: Duration::from_secs(60),
        memo: String::new(),
        exclusive,
    }
}

/// Parks on this thread for at most `wait`.
fn stay(hub: &Arc<Hub>, park: &Park, wait: Duration, gone: impl FnMut() -> bool) -> ParkOutcome {
    let clock = Clock::system();
    let stay = Stay {
        park,
        token: 1,
        until: clock.instant() + wait,
        clock: &clock,
        tick: Duration::from_millis(20),
    };
    hub.park(&stay, gone)
}

const LONG: Duration = Duration::from_secs(20);

fn until_parked(hub: &Hub, count: usize) {
    let start = Instant::now();
    while hub.parked() != count {
        assert!(start.elapsed() < LONG, "{} parked", hub.parked());
        thread::yield_now();
    }
}

#[test]
fn a_change_between_reading_and_parking_is_seen() {
    let hub = hub(&GateLimits::default());
    let park = on(&hub, &["a", "b"], false);
    hub.publish("b", Wake::One);
    assert!(matches!(
        stay(&hub, &park, LONG, || false),
        ParkOutcome::Event(_)
    ));
}

#[test]
fn time_shutdown_and_leaving_end_a_wait() {
    let hub = hub(&GateLimits::default());
    let park = on(&hub, &["a"], false);
    let short = Duration::from_millis(1);
    assert!(matches!(
        stay(&hub, &park, short, || false),
        ParkOutcome::Deadline
    ));
    assert!(matches!(
        stay(&hub, &park, LONG, || true),
        ParkOutcome::Gone
    ));
    thread::scope(|s| {
        let waiting =
            s.spawn(|| matches!(stay(&hub, &park, LONG, || false), ParkOutcome::Shutdown));
        until_parked(&hub, 1);
        hub.shutdown();
        assert!(waiting.join().unwrap());
    });
    assert!(matches!(
        stay(&hub, &park, LONG, || false),
        ParkOutcome::Shutdown
    ));
    assert_eq!(hub.parked(), 0);
    assert!(hub.lock().lines.is_empty() && hub.lock().tokens.is_empty());
}

#[test]
fn one_wakes_in_order_of_arrival_and_all_wakes_all() {
    let hub = hub(&GateLimits::default());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        for n in 0..4 {
            let (hub, sender) = (&hub, sender.clone());
            let park = on(hub, &["jobs", "else"], true);
            s.spawn(move || {
                let outcome = stay(hub, &park, LONG, || false);
                sender.send(n).unwrap();
                if let ParkOutcome::Event(grant) = outcome {
                    grant.consumed();
                }
            });
            until_parked(hub, n + 1);
        }
        for n in 0..2 {
            hub.publish("jobs", Wake::One);
            assert_eq!(receiver.recv(), Ok(n));
        }
        until_parked(&hub, 2);
        assert!(receiver.try_recv().is_err());
        hub.publish("else", Wake::All);
        let mut rest = [receiver.recv().unwrap(), receiver.recv().unwrap()];
        rest.sort_unstable();
        assert_eq!(rest, [2, 3]);
    });
}

#[test]
fn unused_wake_up_goes_on_to_another_waiter() {
    let hub = hub(&GateLimits::default());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|s| {
        for n in 0..3 {
            let (hub, sender) = (&hub, sender.clone());
            let park = on(hub, &["jobs"], true);
            s.spawn(move || {
                let ParkOutcome::Event(grant) = stay(hub, &park, LONG, || false) else {
                    panic!("the wake-up did not reach waiter {n}");
                };
                sender.send(n).unwrap();
                // Only the last keeps it; a grant that is dropped is passed on.
                if n == 2 {
                    grant.consumed();
                }
            });
            until_parked(hub, n + 1);
        }
        hub.publish("jobs", Wake::One);
        for n in 0..3 {
            assert_eq!(receiver.recv(), Ok(n));
        }
    });
}

#[test]
fn the_bounds_hold_for_all_and_for_one_token() {
    let limits = GateLimits {
        parked_max: 3,
        parked_per_token_max: 2,
        ..GateLimits::default()
    };
    let hub = hub(&limits);
    let park = on(&hub, &["a"], false);
    let clock = Clock::system();
    let stay_as = |token: u64| {
        let stay = Stay {
            park: &park,
            token,
            until: clock.instant() + LONG,
            clock: &clock,
            tick: Duration::from_secs(1),
        };
        hub.park(&stay, || false)
    };
    thread::scope(|s| {
        s.spawn(|| stay_as(1));
        s.spawn(|| stay_as(1));
        until_parked(&hub, 2);
        assert!(matches!(stay_as(1), ParkOutcome::Full), "of one token");
        s.spawn(|| stay_as(2));
        until_parked(&hub, 3);
        assert!(matches!(stay_as(3), ParkOutcome::Full), "in all");
        hub.publish("a", Wake::All);
    });
    assert_eq!(hub.parked(), 0);
}

/// Takers look for a thing that writers put down, as a poll looks for a job: each waits only if it saw nothing.
#[test]
fn many_takers_and_writers_lose_nothing() {
    const THINGS: usize = 20_000;
    let hub = hub(&GateLimits::default());
    let (there, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let done = AtomicBool::new(false);
    let take = || {
        there
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
    };
    thread::scope(|s| {
        for taker in 0..8 {
            let (hub, take, taken, done) = (&hub, &take, &taken, &done);
            s.spawn(move || {
                let mut grant = None;
                while !done.load(Ordering::SeqCst) {
                    let park = on(hub, &["jobs"], true);
                    if take() {
                        taken.fetch_add(1, Ordering::SeqCst);
                        // Every third receiver "leaves": its wake-up must reach another.
                        match grant.take() {
                            Some(g) if taker % 3 == 0 => drop::<WakeGrant>(g),
                            Some(g) => g.consumed(),
                            None => {}
                        }
                        continue;
                    }
                    grant = match stay(hub, &park, LONG, || false) {
                        ParkOutcome::Event(grant) => Some(grant),
                        ParkOutcome::Shutdown => return,
                        _ => panic!("a wake-up was lost"),
                    };
                }
            });
        }
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..THINGS / 4 {
                    there.fetch_add(1, Ordering::SeqCst);
                    hub.publish("jobs", Wake::One);
                }
            });
        }
        let start = Instant::now();
        while taken.load(Ordering::SeqCst) < THINGS {
            assert!(start.elapsed() < LONG, "{taken:?} of {THINGS}");
            thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
        hub.shutdown();
    });
    assert_eq!(hub.parked(), 0);
}

#[test]
fn many_waiters_on_many_topics_are_woken_at_once() {
    const WAITERS: usize = 500;
    let hub = hub(&GateLimits {
        parked_per_token_max: WAITERS,
        ..GateLimits::default()
    });
    let names: Vec<String> = (0..crate::gate::park::TOPICS_MAX)
        .map(|n| format!("jobs/{n}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let park = on(&hub, &names, false);
    thread::scope(|s| {
        for _ in 0..WAITERS {
            thread::Builder::new()
                .stack_size(128 * 1024)
                .spawn_scoped(s, || {
                    assert!(matches!(
                        stay(&hub, &park, LONG, || false),
                        ParkOutcome::Event(_)
                    ));
                })
                .unwrap();
        }
        until_parked(&hub, WAITERS);
        let start = Instant::now();
        hub.publish("jobs/63", Wake::All);
        until_parked(&hub, 0);
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    });
    assert!(hub.lock().lines.is_empty());
}
