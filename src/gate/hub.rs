//! Where parked calls wait, without a worker and without the database.
//!
//! A topic is a name with a generation, which [`Hub::publish`] raises. Generations live in a fixed table of hashed
//! slots: two topics may share one, and then a change of the other merely lets a call look once more. A call parks
//! with the generations it saw before it read its data; they are compared under the lock that publishing takes, so a
//! change between reading and parking is never slept through. Publish only after COMMIT.

use crate::clock::Clock;
use crate::gate::limits::GateLimits;
use crate::gate::park::Park;
use crate::metrics::Metrics;
use std::collections::{BTreeMap, HashMap, hash_map::RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Slots of the table of generations; fixed, so that no topic ever has to be cleaned up.
const SLOTS: usize = 4096;

/// Whom a change wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Of the exclusive waiters the one that has waited longest, and every other waiter: "a job is there".
    ///
    /// If the client of the woken one has left, or its resumed pass gets no answer through, the next one is woken in
    /// its place. A resumed pass that answers, or parks again, has consumed the wake-up: if it leaves work undone,
    /// the application publishes again.
    One,
    /// All of them: "this request changed".
    All,
}

/// The topics and who waits for them.
pub struct Hub {
    generations: Vec<AtomicU64>,
    hasher: RandomState,
    waiting: Mutex<Waiters>,
    parked_max: usize,
    parked_per_token_max: usize,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Waiters {
    lines: HashMap<Arc<str>, WaiterQueue>,
    tokens: HashMap<u64, usize>,
    parked: usize,
    next: u64,
    shut: bool,
}

/// The waiters of one topic, in the order in which they came.
#[derive(Default)]
struct WaiterQueue {
    exclusive: BTreeMap<u64, Arc<Waiter>>,
    shared: BTreeMap<u64, Arc<Waiter>>,
}

impl WaiterQueue {
    fn side(&mut self, exclusive: bool) -> &mut BTreeMap<u64, Arc<Waiter>> {
        if exclusive {
            &mut self.exclusive
        } else {
            &mut self.shared
        }
    }

    fn is_empty(&self) -> bool {
        self.exclusive.is_empty() && self.shared.is_empty()
    }

    /// Wakes the first exclusive waiter that nobody has woken yet.
    fn grant(&mut self, topic: &Arc<str>, woken: &mut Vec<Arc<Waiter>>) {
        while let Some((_, waiter)) = self.exclusive.pop_first() {
            if waiter.wake(Cause::Grant(topic.clone())) {
                woken.push(waiter);
                return;
            }
        }
    }
}

struct Waiter {
    thread: Thread,
    /// Set once, under the lock; a waiter that has it is still in the lines of its other topics until it leaves them
    /// itself, and is passed over there.
    cause: OnceLock<Cause>,
}

enum Cause {
    Event,
    Grant(Arc<str>),
    Shutdown,
}

impl Waiter {
    fn wake(&self, cause: Cause) -> bool {
        self.cause.set(cause).is_ok()
    }
}

/// How a park ended.
pub(super) enum ParkOutcome {
    /// A topic changed; the grant is consumed when the resumed pass was answered, else passed on.
    Event(WakeGrant),
    /// The time is up.
    Deadline,
    Shutdown,
    /// Too many are parked.
    Full,
    /// The client has left.
    Gone,
}

/// A wake-up meant for one waiter. Dropped without [`WakeGrant::consumed`], it goes to the next in line.
pub(super) struct WakeGrant {
    hub: Arc<Hub>,
    topic: Option<Arc<str>>,
}

impl WakeGrant {
    pub(super) fn consumed(mut self) {
        self.topic = None;
    }
}

impl Drop for WakeGrant {
    fn drop(&mut self) {
        if let Some(topic) = self.topic.take() {
            self.hub.pass_on(&topic);
        }
    }
}

/// What a parking thread brings along.
pub(super) struct Stay<'a> {
    pub(super) park: &'a Park,
    /// Hash of the credentials.
    pub(super) token: u64,
    pub(super) until: Instant,
    pub(super) clock: &'a Clock,
    pub(super) tick: Duration,
}

impl Hub {
    /// A hub with the bounds of `limits` and nobody in it.
    pub fn new(limits: &GateLimits, metrics: Arc<Metrics>) -> Hub {
        Hub {
            generations: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            waiting: Mutex::default(),
            parked_max: limits.parked_max,
            parked_per_token_max: limits.parked_per_token_max,
            metrics,
        }
    }

    /// The generation of a topic: read it before the data.
    pub fn generation(&self, topic: &str) -> u64 {
        self.slot(topic).load(Ordering::Acquire)
    }

    /// Says that `topic` changed; the change must be committed.
    pub fn publish(&self, topic: &str, wake: Wake) {
        let mut woken = Vec::new();
        {
            let mut waiting = self.lock();
            self.slot(topic).fetch_add(1, Ordering::AcqRel);
            if let Some((name, mut line)) = waiting.lines.remove_entry(topic) {
                let mut all = |side: BTreeMap<u64, Arc<Waiter>>| {
                    woken.extend(side.into_values().filter(|w| w.wake(Cause::Event)));
                };
                all(std::mem::take(&mut line.shared));
                match wake {
                    Wake::All => all(std::mem::take(&mut line.exclusive)),
                    Wake::One => line.grant(&name, &mut woken),
                }
                if !line.is_empty() {
                    waiting.lines.insert(name, line);
                }
            }
        }
        for waiter in woken {
            waiter.thread.unpark();
        }
    }

    /// Resumes everybody with `shutdown`, and everybody who comes later at once.
    pub fn shutdown(&self) {
        let mut woken = Vec::new();
        {
            let mut waiting = self.lock();
            waiting.shut = true;
            for (_, line) in waiting.lines.drain() {
                let all = line
                    .exclusive
                    .into_values()
                    .chain(line.shared.into_values());
                woken.extend(all.filter(|waiter| waiter.wake(Cause::Shutdown)));
            }
        }
        for waiter in woken {
            waiter.thread.unpark();
        }
    }

    /// Calls that wait now.
    pub fn parked(&self) -> usize {
        self.lock().parked
    }

    /// Waits on the calling thread. `gone` is asked once a tick.
    pub(super) fn park(
        self: &Arc<Self>,
        stay: &Stay<'_>,
        mut gone: impl FnMut() -> bool,
    ) -> ParkOutcome {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            cause: OnceLock::new(),
        });
        let id = match self.enter(stay, &waiter) {
            Ok(id) => id,
            Err(outcome) => return outcome,
        };
        let mut ended = ParkOutcome::Deadline;
        while waiter.cause.get().is_none() {
            let left = stay.until.saturating_duration_since(stay.clock.instant());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left.min(stay.tick));
            if waiter.cause.get().is_none() && gone() {
                ended = ParkOutcome::Gone;
                break;
            }
        }
        self.leave(id, stay);
        let grant = |topic| WakeGrant {
            hub: self.clone(),
            topic,
        };
        match (waiter.cause.get(), ended) {
            // A wake-up that came while the client left is passed on here, by dropping the grant.
            (Some(Cause::Grant(topic)), ParkOutcome::Gone) => {
                drop(grant(Some(topic.clone())));
                ParkOutcome::Gone
            }
            (_, ParkOutcome::Gone) => ParkOutcome::Gone,
            (Some(Cause::Grant(topic)), _) => ParkOutcome::Event(grant(Some(topic.clone()))),
            (Some(Cause::Event), _) => ParkOutcome::Event(grant(None)),
            (Some(Cause::Shutdown), _) => ParkOutcome::Shutdown,
            (None, ended) => ended,
        }
    }

    fn enter(self: &Arc<Self>, stay: &Stay<'_>, waiter: &Arc<Waiter>) -> Result<u64, ParkOutcome> {
        let mut waiting = self.lock();
        if waiting.shut {
            return Err(ParkOutcome::Shutdown);
        }
        let topics = &stay.park.topics;
        if topics
            .iter()
            .any(|(name, seen)| self.generation(name) != *seen)
        {
            let hub = self.clone();
            return Err(ParkOutcome::Event(WakeGrant { hub, topic: None }));
        }
        let same_token = waiting.tokens.get(&stay.token).copied().unwrap_or(0);
        if waiting.parked >= self.parked_max || same_token >= self.parked_per_token_max {
            return Err(ParkOutcome::Full);
        }
        let id = waiting.next;
        waiting.next += 1;
        waiting.parked += 1;
        waiting.tokens.insert(stay.token, same_token + 1);
        for (name, _) in topics {
            if !waiting.lines.contains_key(name.as_str()) {
                waiting
                    .lines
                    .insert(name.as_str().into(), WaiterQueue::default());
            }
            if let Some(line) = waiting.lines.get_mut(name.as_str()) {
                line.side(stay.park.exclusive).insert(id, waiter.clone());
            }
        }
        self.metrics.gate_parked.set(&[], waiting.parked as i64);
        Ok(id)
    }

    fn leave(&self, id: u64, stay: &Stay<'_>) {
        let mut waiting = self.lock();
        for (name, _) in &stay.park.topics {
            let Some(line) = waiting.lines.get_mut(name.as_str()) else {
                continue;
            };
            line.side(stay.park.exclusive).remove(&id);
            if line.is_empty() {
                waiting.lines.remove(name.as_str());
            }
        }
        waiting.parked -= 1;
        if let Some(count) = waiting.tokens.get_mut(&stay.token) {
            *count -= 1;
            if *count == 0 {
                waiting.tokens.remove(&stay.token);
            }
        }
        self.metrics.gate_parked.set(&[], waiting.parked as i64);
    }

    /// Hands a wake-up to the next in line. The generation stays: a thread that reads it now reads the change as well.
    fn pass_on(&self, topic: &Arc<str>) {
        let mut woken = Vec::new();
        {
            let mut waiting = self.lock();
            if let Some(line) = waiting.lines.get_mut(topic) {
                line.grant(topic, &mut woken);
                if line.is_empty() {
                    waiting.lines.remove(topic);
                }
            }
        }
        for waiter in woken {
            waiter.thread.unpark();
        }
    }

    fn slot(&self, topic: &str) -> &AtomicU64 {
        let slot = self.hasher.hash_one(topic) as usize % SLOTS;
        &self.generations[slot]
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests;
