//! Wakes delivery: something is due, or may be.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Counts up whenever notifications may have become due.
#[derive(Default)]
pub struct DueSignal {
    generation: Mutex<u64>,
    moved: Condvar,
    /// What somebody has sent by hand, whatever keeps it waiting: channels and ids of deliveries.
    urged: Mutex<BTreeSet<(String, String)>>,
}

impl DueSignal {
    /// Wakes who waits.
    pub fn notify(&self) {
        *self.generation.lock().unwrap_or_else(|e| e.into_inner()) += 1;
        self.moved.notify_all();
    }

    /// Has a delivery made now, before all others of its channel, also where that was left alone after a failure.
    pub fn urge(&self, channel: &str, delivery_id: &str) {
        let mut urged = self.urged.lock().unwrap_or_else(|e| e.into_inner());
        urged.insert((channel.to_owned(), delivery_id.to_owned()));
        drop(urged);
        self.notify();
    }

    /// Takes the deliveries that are urged, each with its channel.
    pub fn take_urged(&self) -> BTreeSet<(String, String)> {
        std::mem::take(&mut *self.urged.lock().unwrap_or_else(|e| e.into_inner()))
    }

    /// To be read before looking at what is due, so that nothing that comes meanwhile is missed.
    pub fn generation(&self) -> u64 {
        *self.generation.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until the generation is another than `seen`, at most for `at_most`.
    pub fn wait(&self, seen: u64, at_most: Duration) {
        let generation = self.generation.lock().unwrap_or_else(|e| e.into_inner());
        drop(
            self.moved
                .wait_timeout_while(generation, at_most, |generation| *generation == seen),
        );
    }
}
