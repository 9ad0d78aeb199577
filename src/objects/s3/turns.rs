//! Whose turn it is: so many calls are under way at once, and no more.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// How long a call waits for its turn when as many are under way as may be; it holds a worker meanwhile.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);

/// Calls under way, at most so many.
pub(super) struct Turns {
    max: usize,
    taken: Mutex<usize>,
    changed: Condvar,
}

/// The turn of one call.
pub(super) struct CallTurn<'a>(&'a Turns);

impl Turns {
    pub(super) fn new(max: usize) -> Turns {
        Turns {
            max: max.max(1),
            taken: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    /// A turn, waited for a little; none where too many calls are under way for longer.
    pub(super) fn take(&self) -> Option<CallTurn<'_>> {
        let taken = self.taken.lock().unwrap_or_else(|e| e.into_inner());
        let (mut taken, waited) = self
            .changed
            .wait_timeout_while(taken, TURN_WAIT_MAX, |taken| *taken >= self.max)
            .unwrap_or_else(|e| e.into_inner());
        if waited.timed_out() {
            return None;
        }
        *taken += 1;
        Some(CallTurn(self))
    }
}

impl Drop for CallTurn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(|e| e.into_inner()) -= 1;
        self.0.changed.notify_one();
    }
}
