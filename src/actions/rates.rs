//! How much a person may do in a time, where configuration sets a limit: a bucket for each that refills evenly.

use crate::clock::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// Buckets kept; beyond it, those that are full again are forgotten, and if none is, nobody new is limited.
const BUCKETS_MAX: usize = 20_000;

/// Buckets of calls, or of bytes.
pub struct Rates {
    full: u64,
    period_ms: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Rates {
    /// `full` for each in a period; 0 for no limit.
    pub fn new(full: u64, period_ms: u32) -> Rates {
        Rates {
            full,
            period_ms,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes `count` for `who`; where that is more than a whole bucket, the whole.
    ///
    /// # Errors
    /// The seconds to wait, at least 1.
    pub fn take(&self, who: &str, count: u64, now: Timestamp) -> Result<(), u32> {
        if self.full == 0 {
            return Ok(());
        }
        let full = self.full as f64;
        let count = (count as f64).min(full);
        let per_ms = full / f64::from(self.period_ms);
        let mut buckets = self.buckets.lock().unwrap_or_else(|e| e.into_inner());
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(who) {
            buckets.retain(|_, b| b.left + now.since(b.at) as f64 * per_ms < full);
            if buckets.len() >= BUCKETS_MAX {
                return Ok(());
            }
        }
        let bucket = buckets.entry(who.to_owned()).or_insert(Bucket {
            left: full,
            at: now,
        });
        bucket.left = (bucket.left + now.since(bucket.at) as f64 * per_ms).min(full);
        bucket.at = now;
        if bucket.left >= count {
            bucket.left -= count;
            return Ok(());
        }
        let secs = ((count - bucket.left) / per_ms / 1000.0).ceil();
        Err((secs as u32).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_has_its_calls_minute_and_they_come_back_evenly() {
        let rates = Rates::new(2, 60_000);
        let at = |ms: i64| Timestamp(1_000_000 + ms);
        assert_eq!(rates.take("a", 1, at(0)), Ok(()));
        assert_eq!(rates.take("a", 1, at(0)), Ok(()));
        assert_eq!(rates.take("a", 1, at(0)), Err(30));
        assert_eq!(rates.take("b", 1, at(0)), Ok(()));
        assert_eq!(rates.take("a", 1, at(29_000)), Err(1));
        assert_eq!(rates.take("a", 1, at(30_000)), Ok(()));
        assert_eq!(rates.take("a", 1, at(30_000)), Err(30));
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let rates = Rates::new(0, 60_000);
        assert!((0..1000).all(|_| rates.take("a", 1, Timestamp(0)).is_ok()));
    }
}
