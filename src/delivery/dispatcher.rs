//! Finds what is due and has it attempted, one batch a lane, each by a thread of its own.

use super::lane::Lane;
use super::{Batch, Shared, run};
use crate::clock::Timestamp;
use crate::crypto::random;
use crate::domain::delivery::RETRY_AFTER_SECS_MAX;
use crate::error::Error;
use crate::store::DueDelivery;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Notifications of one batch.
const BATCH_MAX: u32 = 16;
/// Notifications that are due at once when a receiver is back.
const HURRIED_MAX: u32 = 500;
/// Batches under way at most. There are fewer channels, but for those whose webhook is not configured any more, and such
/// a batch ends without a call.
const THREADS_MAX: usize = 128;
/// Longest wait for a signal: the clock may have been set, or the machine may have slept.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A clock set back by less corrects nothing: no pause is much longer for it.
const CLOCK_STEP_MS: u64 = 60_000;
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    lanes: BTreeMap<String, Lane>,
    /// Channels that nobody works at and whose rows may be claimed all the same, since the store failed; none is served
    /// before they are returned.
    stranded: BTreeSet<String>,
    /// What serves lanes now, by their channels.
    threads: BTreeMap<String, JoinHandle<()>>,
    /// Proven lanes that are served at one time.
    workers: usize,
    turns: u64,
    /// Proven lanes wait for others of them.
    is_full: bool,
    /// The configuration that the pauses are from.
    generation: u64,
    /// Notifications that somebody sends by hand, by their ids.
    urged: BTreeMap<String, BTreeSet<String>>,
    /// The time of the last round; none before the first.
    last_round: Option<Timestamp>,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, workers: usize) -> Dispatcher {
        Dispatcher {
            shared,
            lanes: BTreeMap::new(),
            stranded: BTreeSet::new(),
            threads: BTreeMap::new(),
            workers,
            turns: 0,
            is_full: false,
            generation: 0,
            urged: BTreeMap::new(),
            last_round: None,
        }
    }

    /// Waits for the batches that are under way.
    pub(super) fn join(self) {
        for thread in self.threads.into_values() {
            let _ = thread.join();
        }
    }

    /// Takes in what threads report, starts others for what is due, and waits until there may be more.
    pub(super) fn round(&mut self) {
        let signal = &self.shared.app.due;
        let seen = signal.generation();
        let taken = self.take_reports().and_then(|()| self.return_stranded());
        let wait = match taken.and_then(|()| self.hand_out()) {
            Ok(next) => {
                let left = next.map(|at| at.since(self.shared.app.clock.now()));
                let due = left.map_or(WAIT_MAX, |ms| Duration::from_millis(ms.max(1)));
                self.next_place().map_or(due, |place| place.min(due))
            }
            Err(error) => {
                log::error!("delivery cannot use the store, or start a thread: {error}");
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
            if let Some(thread) = self.threads.remove(&report.channel) {
                // It has nothing left to do.
                let _ = thread.join();
            }
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

    /// Has attempted what is due; when there is more to attempt.
    fn hand_out(&mut self) -> Result<Option<Timestamp>, Error> {
        let app = Arc::clone(&self.shared.app);
        let generation = app.active().generation;
        if generation != std::mem::replace(&mut self.generation, generation) {
            // Addresses and secrets may be others now.
            for lane in self.lanes.values_mut() {
                lane.paused_until = None;
            }
        }
        for (channel, delivery) in app.due.take_urged() {
            self.lanes.entry(channel.clone()).or_default().paused_until = None;
            self.urged.entry(channel).or_default().insert(delivery);
        }
        let now = app.clock.now();
        self.correct_for_clock(now)?;
        let due = app.store.read(|view| view.due_channels())?;
        let (mut ready, mut next) = (Vec::new(), None::<Timestamp>);
        for one in due {
            let lane = self.lanes.entry(one.channel.clone()).or_default();
            let at = lane.ready_at(one.due_at, now);
            match (lane.busy_since.is_some(), at <= now) {
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

    /// Has nothing wait for a time that was near before the clock was set back, since the last round or before the start.
    fn correct_for_clock(&mut self, now: Timestamp) -> Result<(), Error> {
        let longest_wait_ms = match self.last_round {
            None => RETRY_AFTER_SECS_MAX * 1_000,
            Some(last) if now.plus_ms(CLOCK_STEP_MS) < last => {
                for lane in self.lanes.values_mut() {
                    lane.paused_until = None;
                }
                0
            }
            Some(_) => {
                self.last_round = Some(now);
                return Ok(());
            }
        };
        while self.shared.app.store.correct_due_times(longest_wait_ms)? > 0 {}
        self.last_round = Some(now);
        Ok(())
    }

    /// Of lanes that are ready, in order of their last turn, those that are served now. One that may take long, since it is
    /// new, slow or was away, takes no place of those that are proven.
    fn chosen(&mut self, ready: Vec<(u64, String)>) -> Vec<String> {
        let taken = self.lanes.values().filter_map(Lane::place_left).count();
        let mut places = self.workers.saturating_sub(taken);
        let mut chosen = Vec::new();
        self.is_full = false;
        for (_, channel) in ready {
            if chosen.len() + self.threads.len() >= THREADS_MAX {
                break;
            }
            if self.lanes.get(&channel).is_some_and(|lane| lane.is_proven) {
                if places == 0 {
                    self.is_full = true;
                    continue;
                }
                places -= 1;
            }
            chosen.push(channel);
        }
        chosen
    }

    /// When a lane that turns out slow gives its place to those that wait for one.
    fn next_place(&self) -> Option<Duration> {
        let left = self.lanes.values().filter_map(Lane::place_left);
        left.min().filter(|_| self.is_full)
    }

    fn claim(&mut self, channels: Vec<String>) -> Result<(), Error> {
        // A claim that fails may have been written, where the copy of the state is what failed.
        self.stranded.extend(channels.iter().cloned());
        let store = &self.shared.app.store;
        let urged = (channels.iter())
            .filter_map(|channel| Some((channel.clone(), self.urged.get(channel)?.clone())))
            .collect();
        let claimed = store.claim_deliveries(channels, urged, BATCH_MAX)?;
        for (channel, rows) in claimed {
            // One that is not among them was delivered or cancelled meanwhile.
            self.urged.remove(&channel);
            if !rows.is_empty() {
                self.serve(channel.clone(), rows)?;
            }
            self.stranded.remove(&channel);
        }
        Ok(())
    }

    fn serve(&mut self, channel: String, rows: Vec<DueDelivery>) -> Result<(), Error> {
        self.turns += 1;
        let shared = Arc::clone(&self.shared);
        let batch = Batch {
            channel: channel.clone(),
            rows,
        };
        let thread = Builder::new()
            .name(format!("delivery-{}", self.turns % 1_000))
            .spawn(move || run(&shared, batch))
            .map_err(|e| Error::internal("starting a thread of delivery", e))?;
        let lane = self.lanes.entry(channel.clone()).or_default();
        (lane.busy_since, lane.last_turn) = (Some(Instant::now()), self.turns);
        self.threads.insert(channel, thread);
        Ok(())
    }
}
