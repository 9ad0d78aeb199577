//! How slow a sender or a reader may be: an absolute deadline that grows with the size, and a nearer one for every
//! stage, so that bytes sent fast at first do not buy minutes of silence afterwards.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// Bytes of one stage: ten seconds' worth at the slowest rate.
const STAGE_BYTES: usize = 640 * 1024;

/// The deadlines of one transfer.
pub(super) struct Pace {
    base: Duration,
    bytes_per_sec: u64,
    overall: Instant,
    stage: Instant,
    stage_bytes: usize,
}

impl Pace {
    /// A transfer of at most `bytes`, starting at `now`: `base` in any case, and the time its bytes take at
    /// `bytes_per_sec`.
    pub(super) fn new(now: Instant, bytes: u64, base: Duration, bytes_per_sec: u64) -> Pace {
        let allowed = |bytes: u64| base + Duration::from_secs(bytes / bytes_per_sec.max(1));
        Pace {
            base,
            bytes_per_sec,
            overall: now + allowed(bytes),
            stage: now + allowed(bytes.min(STAGE_BYTES as u64)),
            stage_bytes: 0,
        }
    }

    /// When the transfer is too late, as things stand.
    pub(super) fn deadline(&self) -> Instant {
        self.overall.min(self.stage)
    }

    /// Notes that `bytes` more have moved; `now` is asked for only when a stage is complete.
    pub(super) fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.stage_bytes += bytes;
        if self.stage_bytes >= STAGE_BYTES {
            self.stage_bytes = 0;
            let stage = STAGE_BYTES as u64 / self.bytes_per_sec.max(1);
            self.stage = now() + self.base + Duration::from_secs(stage);
        }
    }
}

/// Whether an error only says that nothing happened for a while.
pub(super) fn is_pause(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(10);
    const RATE: u64 = 64 * 1024;

    #[test]
    fn small_transfer_has_the_base_and_a_large_one_more() {
        let now = Instant::now();
        assert_eq!(Pace::new(now, 100, BASE, RATE).deadline(), now + BASE);
        let large = Pace::new(now, 320 * 1024, BASE, RATE);
        assert_eq!(large.deadline(), now + Duration::from_secs(15));
    }

    #[test]
    fn bytes_sent_fast_do_not_buy_a_long_silence() {
        let now = Instant::now();
        let mut pace = Pace::new(now, 64 * 1024 * 1024, BASE, RATE);
        for _ in 0..100 {
            pace.moved(STAGE_BYTES, || now);
        }
        assert_eq!(pace.deadline(), now + Duration::from_secs(20));
    }

    #[test]
    fn the_whole_has_its_deadline_however_the_stages_go() {
        let now = Instant::now();
        let mut pace = Pace::new(now, 2 * STAGE_BYTES as u64, BASE, RATE);
        pace.moved(STAGE_BYTES, || now + Duration::from_secs(19));
        assert_eq!(pace.deadline(), now + Duration::from_secs(30));
    }
}
