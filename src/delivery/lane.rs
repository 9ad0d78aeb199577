//! What delivery remembers of a channel between two batches.

use super::LaneReport;
use crate::clock::Timestamp;
use crate::domain::delivery::FailureKind;

/// A channel; its notifications are attempted one after another.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// A worker serves it.
    pub(super) busy: bool,
    /// Left alone until then, after a failure.
    pub(super) paused_until: Option<Timestamp>,
    /// Its last attempt was fast and answered. Others share few threads: they may take long.
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
        self.busy = false;
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

    /// When it may be served, for one whose first notification is due at `due_at`.
    pub(super) fn ready_at(&self, due_at: Timestamp) -> Timestamp {
        self.paused_until.map_or(due_at, |until| until.max(due_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::FailedAttempt;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn report(kind: Option<FailureKind>, delivered: bool) -> LaneReport {
        LaneReport {
            channel: "ops".to_owned(),
            ended_at: NOW,
            failure: kind.map(|kind| FailedAttempt::new(kind, "x")),
            delivered,
            slow: false,
            unwritten: false,
        }
    }

    #[test]
    fn a_lane_pauses_longer_with_each_failure_and_recovers_at_once() {
        let mut lane = Lane::default();
        let away = report(Some(FailureKind::Unreachable), false);
        for pause in [4_000, 24_000, 96_000, 480_000, 480_000] {
            lane.busy = true;
            assert!(!lane.take(&away, 0));
            assert_eq!(lane.ready_at(NOW), Timestamp(NOW.0 + pause));
            assert!(!lane.is_proven && !lane.busy);
        }
        assert!(lane.take(&report(None, true), 0));
        assert!(lane.is_proven);
        assert!(!lane.take(&report(None, true), 0));
        lane.take(&away, 0);
        assert_eq!(lane.ready_at(NOW), Timestamp(NOW.0 + 4_000));
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
        assert_eq!(lane.ready_at(NOW), Timestamp(NOW.0 + 24_000));
        assert!(!lane.take(&report(None, true), 0));
    }
}
