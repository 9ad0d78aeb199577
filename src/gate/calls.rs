//! How many calls each token has under way: parked ones, which cost no worker, are not among them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Parts of the table, each with a lock of its own, held for nanoseconds.
const SHARDS: usize = 16;

/// Calls under way by token.
pub(super) struct Calls {
    shards: [Mutex<HashMap<u64, usize>>; SHARDS],
    max: usize,
}

/// One call under way; counted out when dropped.
pub(super) struct UnderWay<'c> {
    calls: &'c Calls,
    token: u64,
}

impl Calls {
    /// At most `max` for one token.
    pub(super) fn new(max: usize) -> Calls {
        Calls {
            shards: Default::default(),
            max,
        }
    }

    /// Counts a call in; `None` when the token has too many.
    pub(super) fn enter(&self, token: u64) -> Option<UnderWay<'_>> {
        let mut shard = self.shard(token);
        let count = shard.entry(token).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(UnderWay { calls: self, token })
    }

    fn shard(&self, token: u64) -> MutexGuard<'_, HashMap<u64, usize>> {
        let shard = &self.shards[(token % SHARDS as u64) as usize];
        shard.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn leave(&self, token: u64) {
        let mut shard = self.shard(token);
        if let Some(count) = shard.get_mut(&token) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&token);
            }
        }
    }
}

impl UnderWay<'_> {
    /// Runs `wait` without being counted; afterwards the call goes on whatever else its token began meanwhile.
    pub(super) fn aside<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.calls.leave(self.token);
        let waited = wait();
        *self.calls.shard(self.token).entry(self.token).or_default() += 1;
        waited
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.calls.leave(self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_for_each_token_alone() {
        let calls = Calls::new(2);
        let first = calls.enter(1);
        let second = calls.enter(1);
        assert!(first.is_some() && second.is_some());
        assert!(calls.enter(1).is_none());
        assert!(calls.enter(17).is_some(), "another one of the same shard");
        drop(first);
        assert!(calls.enter(1).is_some());
        drop(second);
        assert!(calls.shards.iter().all(|s| s.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_call_that_waits_makes_room_and_comes_back() {
        let calls = Calls::new(1);
        let waiting = calls.enter(1).unwrap();
        waiting.aside(|| assert!(calls.enter(1).is_some()));
        assert!(calls.enter(1).is_none());
    }
}
