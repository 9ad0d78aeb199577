//! Whether the server can write is tried, and forgotten in time.

use super::*;

#[test]
fn a_probe_that_cannot_write_fails_until_it_can() {
    let temp = temp();
    let store = open(&temp);
    store.probe().unwrap();
    let full = "CREATE TEMP TRIGGER full BEFORE UPDATE ON main.meta BEGIN SELECT raise(ABORT, 'full'); END";
    store.lock().execute_batch(full).unwrap();
    // It was tried just now.
    store.probe().unwrap();
    store.clock.turn(std::time::Duration::from_secs(11));
    store.probe().unwrap_err();
    store.probe().unwrap_err();
    store.lock().execute_batch("DROP TRIGGER full").unwrap();
    store.probe().unwrap();
    create(&store).unwrap();
}
