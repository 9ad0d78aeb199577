//! How often a person may call, where configuration sets a limit: a bucket for each token that refills evenly.

use crate::clock::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;

/// Buckets kept; beyond it, those that are full again are forgotten, and if none is, nobody new is limited.
const BUCKETS_MAX: usize = 20_000;

/// Buckets of calls.
pub struct Rates {
    calls_per_minute: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Rates {
    /// A limit for each token; 0 for none.
    pub fn new(calls_per_minute: u32) -> Rates {
        Rates {
            calls_per_minute,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one call of `who`; or answers after how many seconds there will be one.
    ///
    /// # Errors
    /// The seconds to wait, at least 1.
    pub fn take(&self, who: &str, now: Timestamp) -> Result<(), u32> {
        if self.calls_per_minute == 0 {
            return Ok(());
        }
        let full = f64::from(self.calls_per_minute);
        let per_ms = full / 60_000.0;
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
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let secs = ((1.0 - bucket.left) / per_ms / 1000.0).ceil();
        Err((secs as u32).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_calls_a_minute_and_they_come_back_evenly() {
        let rates = Rates::new(2);
        let at = |ms: i64| Timestamp(1_000_000 + ms);
        assert_eq!(rates.take("a", at(0)), Ok(()));
        assert_eq!(rates.take("a", at(0)), Ok(()));
        assert_eq!(rates.take("a", at(0)), Err(30));
        assert_eq!(rates.take("b", at(0)), Ok(()));
        assert_eq!(rates.take("a", at(29_000)), Err(1));
        assert_eq!(rates.take("a", at(30_000)), Ok(()));
        assert_eq!(rates.take("a", at(30_000)), Err(30));
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let rates = Rates::new(0);
        assert!((0..1000).all(|_| rates.take("a", Timestamp(0)).is_ok()));
    }
}
