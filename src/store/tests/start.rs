//! A start costs what is open, whatever has ended.

use super::*;
use std::sync::atomic::AtomicU64;

/// Makes requests that are cancelled at once.
fn ended(store: &Store, n: usize) {
    for _ in 0..n {
        let id = create(store).unwrap();
        store
            .change(Actor::system(), move |view, _| {
                let request = view.request(&id)?;
                let cancelled = RequestChange::Cancelled {
                    request: RequestRef::from(&request),
                    step: request.cancel().unwrap(),
                    reason: None,
                };
                Ok(Verdict::Write(vec![cancelled.into()], ()))
            })
            .unwrap();
    }
}

/// Steps of SQLite's virtual machine in one start, in tens.
fn steps(temp: &Temp) -> u64 {
    let path = temp.0.join("dbward.db");
    let mut connection = open_connection(&path).unwrap();
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    connection.progress_handler(10, Some(count)).unwrap();
    let fatal: Fatal = Arc::new(|why| panic!("{why}"));
    let checks = StartChecks::default();
    let store = Store::open_on(connection, &path, Clock::system(), keys(), fatal, &checks).unwrap();
    let taken = steps.load(Ordering::Relaxed);
    store.close().unwrap();
    taken
}

#[test]
fn start_costs_what_is_open_and_not_what_has_ended() {
    let temp = temp();
    let store = open(&temp);
    for _ in 0..20 {
        create(&store).unwrap();
    }
    ended(&store, 10);
    store.close().unwrap();
    drop(store);
    let few = steps(&temp);
    let store = open(&temp);
    ended(&store, 300);
    store.close().unwrap();
    drop(store);
    let many = steps(&temp);
    assert!(few > 20, "{few}: nothing was counted");
    // Not one step in ten for each that has ended since.
    assert!(many < few + 30, "{few} before, {many} after");
    // What is open costs something: the count is one of what is read.
    let store = open(&temp);
    for _ in 0..300 {
        create(&store).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let open = steps(&temp);
    assert!(open > many + 300, "{many} before, {open} with more open");
}
