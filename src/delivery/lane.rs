//! What delivery remembers of a channel between two batches.

use super::{LaneReport, SLOW};
use crate::clock::Timestamp;
use crate::domain::delivery::{FailureKind, RETRY_AFTER_SECS_MAX};
use std::time::{Duration, Instant};

/// A channel; its notifications are attempted one after another.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// A thread serves it.
    pub(super) busy_since: Option<Instant>,
    /// Left alone until then, after a failure.
    pub(super) paused_until: Option<Timestamp>,
    /// Its last attempt was fast and answered. Others may take long, and so never keep these waiting.
    pub(super) is_proven: bool,
    /// When it last had its turn, in turns of all.
    pub(super) last_turn: u64,
    /// Failures since the last success.
    failures: u32,
    /// It could not be reached, and so may have notifications that wait without need once it can.
    was_away: bool,
}

impl Lane {
    /// Takes in how a batch went. Whether the receiver is back after it was away.
    pub(super) fn take(&mut self, report: &LaneReport, roll: u8) -> bool {
        self.busy_since = None;
        let mut is_back = false;
        if report.delivered {
            (self.failures, self.is_proven) = (0, true);
            is_back = std::mem::take(&mut self.was_away);
        }
        if let Some(failure) = &report.failure {
            self.failures = self.failures.saturating_add(1);
            self.paused_until = Some(
                report
                    .ended_at
                    .plus_ms(failure.pause_ms(self.failures, roll)),
            );
            if failure.kind == FailureKind::Unreachable {
                (self.is_proven, self.was_away, is_back) = (false, true, false);
            }
        }
        self.is_proven &= !report.slow;
        is_back
    }

    /// How long it keeps its place among proven lanes, where it has one: no longer than one that answers at once needs.
    pub(super) fn place_left(&self) -> Option<Duration> {
        let since = self.busy_since.filter(|_| self.is_proven)?;
        SLOW.checked_sub(since.elapsed())
            .filter(|left| !left.is_zero())
    }

    /// When it may be served, for one whose first notification is due at `due_at`.
    pub(super) fn ready_at(&self, due_at: Timestamp, now: Timestamp) -> Timestamp {
        // No pause is as long: the clock was set back.
        let is_pause = |until: &Timestamp| until.since(now) <= RETRY_AFTER_SECS_MAX * 1_000;
        let until = self.paused_until.filter(is_pause);
        until.map_or(due_at, |until| until.max(due_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::FailedAttempt;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn report(kind: Option<FailureKind>, delivered: bool) -> LaneReport {
        LaneReport {
            failure: kind.map(|kind| FailedAttempt::new(kind, "x")),
            delivered,
            ..LaneReport::new("ops".to_owned(), NOW)
        }
    }

    #[test]
    fn lane_pauses_longer_with_each_failure_and_recovers_at_once() {
        let mut lane = Lane::default();
        let away = report(Some(FailureKind::Unreachable), false);
        for pause in [4_000, 24_000, 96_000, 480_000, 480_000] {
            lane.busy_since = Some(Instant::now());
            assert!(!lane.take(&away, 0));
            assert_eq!(lane.ready_at(NOW, NOW), Timestamp(NOW.0 + pause));
            assert!(!lane.is_proven && lane.busy_since.is_none());
        }
        assert!(lane.take(&report(None, true), 0));
        assert!(lane.is_proven);
        assert!(!lane.take(&report(None, true), 0));
        lane.take(&away, 0);
        assert_eq!(lane.ready_at(NOW, NOW), Timestamp(NOW.0 + 4_000));
    }

    #[test]
    fn clock_that_is_set_back_leaves_no_pause_of_day() {
        let mut lane = Lane::default();
        lane.take(&report(Some(FailureKind::Unreachable), false), 0);
        let before = Timestamp(NOW.0 - 24 * 3_600_000);
        assert_eq!(lane.ready_at(before, before), before);
    }

    #[test]
    fn only_a_receiver_that_answers_takes_a_place() {
        let mut lane = Lane {
            busy_since: Some(Instant::now()),
            ..Lane::default()
        };
        assert_eq!(lane.place_left(), None);
        lane.is_proven = true;
        assert!(lane.place_left().is_some_and(|left| left <= SLOW));
        lane.busy_since = Instant::now().checked_sub(SLOW);
        assert_eq!(lane.place_left(), None);
        lane.busy_since = None;
        assert_eq!(lane.place_left(), None);
    }

    #[test]
    fn one_that_rejects_is_not_away() {
        let mut lane = Lane::default();
        lane.take(&report(None, true), 0);
        let rejects = report(Some(FailureKind::Rejected), false);
        for _ in 0..5 {
            lane.take(&rejects, 0);
        }
        assert!(lane.is_proven);
        assert_eq!(lane.ready_at(NOW, NOW), Timestamp(NOW.0 + 24_000));
        assert!(!lane.take(&report(None, true), 0));
    }
}
