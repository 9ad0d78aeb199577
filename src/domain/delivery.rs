//! How the delivery of a notification goes on after an attempt: it is over, it is tried again, or it is given up.

use super::policy::notification::ATTEMPTS_MAX;

/// Pauses after the first failed attempt and the following ones, in seconds: ten attempts take about four and a half
/// hours.
const RETRY_SECS: [u64; ATTEMPTS_MAX as usize - 1] =
    [5, 30, 120, 600, 1_200, 1_800, 3_000, 4_200, 5_400];
/// Longest pause of a receiver that cannot be reached, in seconds: what has not been tried yet is not kept waiting for
/// hours once it is back.
const UNREACHABLE_PAUSE_SECS_MAX: u64 = 600;
/// Longest pause of a receiver that answers and rejects, in seconds: the next notification may fare better.
const REJECTING_PAUSE_SECS_MAX: u64 = 30;
/// Longest wait that a receiver can ask for, in seconds; a notification is given up after a day.
pub const RETRY_AFTER_SECS_MAX: u64 = 4 * 3_600;
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 300;

/// What a failed attempt says about the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It refuses this notification for good.
    Refused,
    /// It does not accept this notification now, because of whom it is for; that says nothing about others.
    Postponed,
    /// It answered, but did not accept this one; another may fare better.
    Rejected,
    /// It cannot be reached, or asks for a pause.
    Unreachable,
}

/// An attempt that did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    pub kind: FailureKind,
    /// For people; without anything secret.
    pub reason: String,
    /// How long the receiver asks to wait, in seconds.
    pub retry_after_secs: Option<u64>,
}

impl FailedAttempt {
    /// A failure without a wait that somebody asked for. A long reason is cut.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> FailedAttempt {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        FailedAttempt {
            kind,
            reason,
            retry_after_secs: None,
        }
    }

    /// What the status of an answer by HTTP means; none where it is a success.
    pub fn of_status(status: u16, retry_after_secs: Option<u64>) -> Option<FailedAttempt> {
        let kind = match status {
            200..=299 => return None,
            429 | 503 => FailureKind::Unreachable,
            408 | 425 => FailureKind::Rejected,
            400..=499 => FailureKind::Refused,
            _ => FailureKind::Rejected,
        };
        let reason = match status {
            300..=399 => format!("the answer is {status}; redirects are not followed"),
            _ => format!("the answer is {status}"),
        };
        Some(FailedAttempt {
            retry_after_secs: retry_after_secs.map(|secs| secs.min(RETRY_AFTER_SECS_MAX)),
            ..FailedAttempt::new(kind, reason)
        })
    }

    /// Milliseconds until the next attempt after so many failed ones, with `roll` for jitter; none where the
    /// notification is given up.
    pub fn retry_ms(&self, failed: u32, roll: u8) -> Option<u64> {
        let index = usize::try_from(failed).ok()?.checked_sub(1)?;
        let pause = match self.kind {
            FailureKind::Refused => return None,
            FailureKind::Postponed | FailureKind::Rejected | FailureKind::Unreachable => {
                *RETRY_SECS.get(index)?
            }
        };
        Some(self.at_least_asked(jittered_ms(pause, roll)))
    }

    /// Milliseconds for which the receiver is left alone after so many failures without a success between them.
    pub fn pause_ms(&self, failures: u32, roll: u8) -> u64 {
        let most = match self.kind {
            FailureKind::Refused | FailureKind::Postponed => return 0,
            FailureKind::Rejected => REJECTING_PAUSE_SECS_MAX,
            FailureKind::Unreachable => UNREACHABLE_PAUSE_SECS_MAX,
        };
        let index = usize::try_from(failures.max(1) - 1).unwrap_or(usize::MAX);
        let pause = RETRY_SECS.get(index).copied().unwrap_or(most).min(most);
        self.at_least_asked(jittered_ms(pause, roll))
    }

    fn at_least_asked(&self, ms: u64) -> u64 {
        ms.max(self.retry_after_secs.unwrap_or(0) * 1_000)
    }
}

/// Within a fifth of `secs`, so that those that failed together do not come back together.
fn jittered_ms(secs: u64, roll: u8) -> u64 {
    secs * (800 + 400 * u64::from(roll) / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: u16) -> FailedAttempt {
        FailedAttempt::of_status(status, None).unwrap()
    }

    #[test]
    fn statuses_deliver_retry_or_refuse() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(FailedAttempt::of_status(status, None), None);
        }
        for (statuses, kind) in [
            (
                vec![400, 401, 403, 404, 410, 413, 422],
                FailureKind::Refused,
            ),
            (
                vec![100, 302, 307, 408, 425, 500, 502, 504, 599, 999],
                FailureKind::Rejected,
            ),
            (vec![429, 503], FailureKind::Unreachable),
        ] {
            for status in statuses {
                assert_eq!(failed(status).kind, kind, "{status}");
            }
        }
        assert!(failed(302).reason.contains("redirects are not followed"));
    }

    #[test]
    fn ten_attempts_take_about_four_and_a_half_hours() {
        let failure = failed(500);
        let pauses: Vec<u64> = (1..=9)
            .map(|n| failure.retry_ms(n, 128).unwrap() / 1_000)
            .collect();
        assert_eq!(&pauses[..4], [5, 30, 120, 600]);
        assert!(pauses.is_sorted());
        assert!((16_000..17_000).contains(&pauses.iter().sum::<u64>()));
        assert_eq!(failure.retry_ms(10, 128), None);
        assert_eq!(failure.retry_ms(0, 128), None);
        assert_eq!(failed(404).retry_ms(1, 128), None);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let failure = failed(500);
        for roll in 0..=u8::MAX {
            let ms = failure.retry_ms(1, roll).unwrap();
            assert!((4_000..=6_000).contains(&ms), "{roll}: {ms}");
        }
        assert_ne!(failure.retry_ms(1, 0), failure.retry_ms(1, 255));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_and_bounded() {
        let busy = |secs| FailedAttempt::of_status(429, Some(secs)).unwrap();
        assert_eq!(busy(77).retry_ms(1, 0), Some(77_000));
        assert_eq!(busy(77).pause_ms(1, 0), 77_000);
        assert_eq!(busy(1).retry_ms(2, 0), Some(24_000));
        let most = RETRY_AFTER_SECS_MAX * 1_000;
        assert_eq!(busy(u64::MAX).retry_ms(1, 0), Some(most));
    }

    #[test]
    fn receiver_that_answers_is_left_alone_for_short_time_only() {
        assert_eq!(failed(500).pause_ms(1, 0), 4_000);
        assert_eq!(failed(500).pause_ms(9, 0), 24_000);
        assert_eq!(failed(404).pause_ms(9, 0), 0);
        let postponed = FailedAttempt::new(FailureKind::Postponed, "x");
        assert_eq!(postponed.pause_ms(9, 0), 0);
        assert_eq!(postponed.retry_ms(2, 0), failed(500).retry_ms(2, 0));
        let gone = FailedAttempt::new(FailureKind::Unreachable, "x");
        assert_eq!(gone.pause_ms(4, 0), 480_000);
        assert_eq!(gone.pause_ms(u32::MAX, 0), 480_000);
        let long = FailedAttempt::new(FailureKind::Refused, "ä".repeat(1_000));
        assert_eq!(long.reason.len(), 300);
    }
}
