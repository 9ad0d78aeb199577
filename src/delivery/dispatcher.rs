//! Finds what is due and hands it to the workers, one batch a lane.

use super::lane::Lane;
use super::{Batch, Shared};
use crate::clock::Timestamp;
use crate::crypto::random;
use crate::error::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Notifications of one batch.
const BATCH_MAX: u32 = 16;
/// Notifications that are due at once when a receiver is back.
const HURRIED_MAX: u32 = 500;
/// Longest wait for a signal: the clock may have been set, or the machine may have slept.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    batches: Sender<Batch>,
    lanes: BTreeMap<String, Lane>,
    /// Channels that nobody works at and whose rows may be claimed all the same, since the store failed; none is served
    /// before they are returned.
    stranded: BTreeSet<String>,
    /// Workers without a batch.
    idle: usize,
    /// Batches of lanes that are not proven that may be under way at once.
    unproven_max: usize,
    turns: u64,
    /// The configuration that the pauses are from.
    generation: u64,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, batches: Sender<Batch>, workers: usize) -> Dispatcher {
        Dispatcher {
            shared,
            batches,
            lanes: BTreeMap::new(),
            stranded: BTreeSet::new(),
            idle: workers,
            unproven_max: (workers / 2).max(1),
            turns: 0,
            generation: 0,
        }
    }

    /// Takes in what workers report, gives them what is due, and waits until there may be more.
    pub(super) fn round(&mut self) {
        let signal = &self.shared.app.due;
        let seen = signal.generation();
        let taken = self.take_reports().and_then(|()| self.return_stranded());
        let wait = match taken.and_then(|()| self.hand_out()) {
            Ok(next) => {
                let left = next.map(|at| at.since(self.shared.app.clock.now()));
                left.map_or(WAIT_MAX, |ms| Duration::from_millis(ms.max(1)))
            }
            Err(error) => {
                log::error!("delivery cannot use the store: {error}");
                STORE_PAUSE
            }
        };
        if !self.shared.is_stopping() {
            self.shared.app.due.wait(seen, wait.min(WAIT_MAX));
        }
    }

    fn take_reports(&mut self) -> Result<(), Error> {
        let reports = std::mem::take(
            &mut *self
                .shared
                .reports
                .lock()
                .unwrap_or_else(|e| e.into_inner()),
        );
        let app = &self.shared.app;
        let mut failed = None;
        for report in reports {
            self.idle += 1;
            let lane = self.lanes.entry(report.channel.clone()).or_default();
            let [roll] = random::<1>();
            let is_back = lane.take(&report, roll);
            if report.unwritten {
                self.stranded.insert(report.channel);
            } else if is_back {
                let done = app.store.hurry_deliveries(report.channel, HURRIED_MAX);
                failed = done.err().or(failed);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes due again what is claimed of stranded channels.
    fn return_stranded(&mut self) -> Result<(), Error> {
        while let Some(channel) = self.stranded.first() {
            let store = &self.shared.app.store;
            store.return_deliveries(Some(channel.clone()))?;
            self.stranded.pop_first();
        }
        Ok(())
    }

    /// Gives idle workers what is due; when there is more to give.
    fn hand_out(&mut self) -> Result<Option<Timestamp>, Error> {
        let app = Arc::clone(&self.shared.app);
        let generation = app.active().generation;
        if generation != std::mem::replace(&mut self.generation, generation) {
            // Addresses and secrets may be others now.
            for lane in self.lanes.values_mut() {
                lane.paused_until = None;
            }
        }
        let due = app.store.read(|view| view.due_channels())?;
        let now = app.clock.now();
        let (mut ready, mut next) = (Vec::new(), None::<Timestamp>);
        for one in due {
            let lane = self.lanes.entry(one.channel.clone()).or_default();
            let at = lane.ready_at(one.due_at);
            match (lane.busy, at <= now) {
                // Its report is a signal.
                (true, _) => {}
                (false, true) => ready.push((lane.last_turn, one.channel)),
                (false, false) => next = Some(next.map_or(at, |next| next.min(at))),
            }
        }
        ready.sort();
        let chosen = self.chosen(ready);
        if !chosen.is_empty() {
            self.claim(chosen)?;
        }
        Ok(next)
    }

    /// Of lanes that are ready, in order of their last turn, those for which there is a worker.
    fn chosen(&self, ready: Vec<(u64, String)>) -> Vec<String> {
        let is_proven = |channel: &str| self.lanes.get(channel).is_some_and(|lane| lane.is_proven);
        let busy = self
            .lanes
            .values()
            .filter(|lane| lane.busy && !lane.is_proven);
        let mut places = self.unproven_max.saturating_sub(busy.count());
        let mut chosen = Vec::new();
        for (_, channel) in ready {
            if chosen.len() == self.idle {
                break;
            }
            if !is_proven(&channel) {
                if places == 0 {
                    continue;
                }
                places -= 1;
            }
            chosen.push(channel);
        }
        chosen
    }

    fn claim(&mut self, channels: Vec<String>) -> Result<(), Error> {
        // A claim that fails may have been written, where the copy of the state is what failed.
        self.stranded.extend(channels.iter().cloned());
        let store = &self.shared.app.store;
        let claimed = store.claim_deliveries(channels, BATCH_MAX)?;
        self.stranded.clear();
        for (channel, rows) in claimed {
            if rows.is_empty() {
                continue;
            }
            self.turns += 1;
            let lane = self.lanes.entry(channel.clone()).or_default();
            (lane.busy, lane.last_turn) = (true, self.turns);
            self.idle = self.idle.saturating_sub(1);
            // It fails only where every worker is gone, at the end.
            let _ = self.batches.send(Batch { channel, rows });
        }
        Ok(())
    }
}
