//! What one person may take of the server: requests that wait at one time, bytes of requests in a day; and whether the
//! disk has room for a further request of anybody. Holders of `*` for everything are not limited.

use super::App;
use super::rates::Rates;
use crate::domain::actor::Caller;
use crate::error::{Error, ErrorKind};
use crate::store::View;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often the file system is asked what is free.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// `Retry-After` where there are too many pending requests, in seconds: people have to decide first.
const PENDING_RETRY_SECS: u32 = 60;
/// `Retry-After` where the disk is full, in seconds.
const DISK_RETRY_SECS: u32 = 30;
/// A day, in milliseconds.
const DAY_MS: u32 = 24 * 60 * 60 * 1000;

/// The limits, as configured.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of one person that may be pending at one time.
    pub pending_max: u32,
    /// Bytes of one person's requests in a day; 0 for no limit.
    pub bytes_per_day: u64,
    /// Bytes that must be free next to the database.
    pub free_bytes_min: u64,
    /// The folder of the database.
    pub folder: PathBuf,
    /// Bytes that are free in a folder.
    pub free_bytes: fn(&Path) -> u64,
}

/// The limits, and what has been used of them.
pub struct Quotas {
    limits: Limits,
    bytes: Rates,
    /// What was free when the file system was last asked.
    free: Mutex<Option<(Instant, u64)>>,
}

impl Quotas {
    pub fn new(limits: Limits) -> Quotas {
        Quotas {
            bytes: Rates::new(limits.bytes_per_day, DAY_MS),
            limits,
            free: Mutex::new(None),
        }
    }

    /// Whether the disk has room for a request.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn ensure_disk(&self, now: Instant) -> Result<(), Error> {
        let free = self.free_bytes(now);
        if free >= self.limits.free_bytes_min {
            return Ok(());
        }
        log::error!(
            "{free} bytes are free in {}, below min_free_bytes ({}): no request is taken",
            self.limits.folder.display(),
            self.limits.free_bytes_min
        );
        Err(
            Error::unavailable("the server has no disk space for a further request")
                .hint("what is under way goes on; ask the operator")
                .retry_after(DISK_RETRY_SECS),
        )
    }

    fn free_bytes(&self, now: Instant) -> u64 {
        let mut known = self.free.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((at, free)) = *known
            && now.saturating_duration_since(at) < LOOK_EVERY
        {
            return free;
        }
        let free = (self.limits.free_bytes)(&self.limits.folder);
        *known = Some((now, free));
        free
    }

    /// Takes the bytes of a request of the caller.
    ///
    /// # Errors
    /// 429 `rate_limited`.
    pub fn take_bytes(&self, app: &App, caller: &Caller, bytes: usize) -> Result<(), Error> {
        if caller.rights.is_admin() {
            return Ok(());
        }
        let taken = self
            .bytes
            .take(&caller.subject, bytes as u64, app.clock.now());
        taken.map_err(|secs| {
            let max = self.limits.bytes_per_day;
            let message = format!(
                "requests of `{}` have more than {max} bytes a day",
                caller.subject
            );
            Error::new(ErrorKind::TooMany, "rate_limited", message).retry_after(secs)
        })
    }

    /// Whether the caller may have one more pending request; asked in the transaction that makes it.
    ///
    /// # Errors
    /// 429 `too_many_open_requests`.
    pub fn ensure_pending(&self, view: &View, caller: &Caller) -> Result<(), Error> {
        let max = i64::from(self.limits.pending_max);
        if caller.rights.is_admin() || view.pending_requests_of(&caller.subject)? < max {
            return Ok(());
        }
        let message = format!("`{}` has {max} pending requests already", caller.subject);
        Err(
            Error::new(ErrorKind::TooMany, "too_many_open_requests", message)
                .hint("cancel some of them, or wait until they are decided")
                .retry_after(PENDING_RETRY_SECS),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_refuses_and_is_asked_again() {
        let quotas = |free_bytes_min| {
            Quotas::new(Limits {
                pending_max: 1,
                bytes_per_day: 0,
                free_bytes_min,
                folder: PathBuf::new(),
                free_bytes: |_| 1_000,
            })
        };
        let now = Instant::now();
        let full = quotas(1_001);
        assert_eq!(full.ensure_disk(now).unwrap_err().code(), "unavailable");
        assert!(quotas(1_000).ensure_disk(now).is_ok());
        *full.free.lock().unwrap() = Some((now, u64::MAX));
        assert!(full.ensure_disk(now).is_ok(), "remembered for a second");
        assert!(full.ensure_disk(now + LOOK_EVERY).is_err());
    }
}
