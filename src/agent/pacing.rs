//! How long to wait before trying again: longer each time, within limits, and never all agents at once.

use crate::crypto::random;
use std::time::Duration;

/// First wait after a failure.
const FIRST: Duration = Duration::from_secs(1);

/// Waits that double from one second up to a limit.
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits of one second up to `max`.
    pub fn up_to(max: Duration) -> Backoff {
        Backoff { next: FIRST, max }
    }

    /// The next wait: give or take a quarter, and not below what the server asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        let [r] = random::<1>();
        let jittered = wait * (192 + u32::from(r) / 2) / 256;
        asked.unwrap_or(Duration::ZERO).max(jittered)
    }

    /// It worked: the next failure waits as the first.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_limit_and_obey_the_server() {
        let mut backoff = Backoff::up_to(Duration::from_secs(15));
        for secs in [1, 2, 4, 8, 15, 15] {
            let (wait, plain) = (backoff.next(None), Duration::from_secs(secs));
            assert!(wait >= plain * 3 / 4 && wait <= plain * 5 / 4, "{wait:?}");
        }
        let asked = Duration::from_secs(60);
        assert_eq!(backoff.next(Some(asked)), asked);
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_millis(1250));
    }
}
