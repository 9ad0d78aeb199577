//! How long a statement waits for a lock that somebody else holds.

use super::{Place, failure, job};
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::{JobEffect, StopReason};
use dbward::domain::id::Operation;
use std::sync::Arc;

/// With a lock held for as long as it takes, a statement that needs a stronger one fails with `error`, once because
/// of what was signed and once because of agent.toml: neither alone would let it end before the time limit of the job.
pub fn are_waited_for_no_longer_than_signed_or_configured(
    mut place: Place,
    hold: &str,
    held: &str,
    error: &str,
) {
    place.done(&["CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1)"]);
    for (signed, configured) in [(1, 3600), (3600, 1)] {
        match &mut place.driver {
            DriverConfig::Postgres(at) | DriverConfig::MySql(at) => {
                at.lock_timeout_secs = configured;
            }
            other => panic!("no server: {other:?}"),
        }
        let shared = Arc::new(place);
        let wait = match &shared.driver {
            DriverConfig::MySql(_) => "SELECT SLEEP(25)",
            _ => "SELECT pg_sleep(25)",
        };
        let holder = job(Operation::ExecuteDml, &[hold, wait]);
        let (cancel, started, thread) = super::running(&shared, holder);
        started.recv().unwrap();
        crate::support::eventually("the lock is held", || shared.value(held) == "1");
        let mut waits = job(
            Operation::ExecuteDml,
            &["ALTER TABLE t ADD COLUMN v INTEGER"],
        );
        waits.lock_timeout_secs = signed;
        let (message, effect) = failure(shared.run(&waits));
        assert!(message.contains(error), "{signed} {configured}: {message}");
        assert_eq!(effect, JobEffect::RolledBack, "{message}");
        cancel.ask(StopReason::Cancelled);
        failure(thread.join().unwrap());
        place = Arc::into_inner(shared).unwrap_or_else(|| panic!("the place is still in use"));
    }
}
