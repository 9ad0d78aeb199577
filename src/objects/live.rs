//! The newest results, in memory, by execution: for those who wait, and for what is never stored. Bounded in number, in
//! bytes and in time; what is thrown out was delivered or can be read from the store.

use crate::clock::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// All slots together, in bytes: results are up to 32 MiB, and a server must leave room for other programs.
pub const LIVE_BYTES_MAX: usize = 256 * 1024 * 1024;

pub struct Live {
    slots_max: usize,
    ttl_secs: u64,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_execution: HashMap<String, LiveEnvelope>,
    by_age: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

struct LiveEnvelope {
    age: u64,
    until: Timestamp,
    envelope: Arc<[u8]>,
}

impl Live {
    /// At most `slots_max` results, each for `ttl_secs`.
    pub fn new(slots_max: usize, ttl_secs: u64) -> Live {
        Live {
            slots_max,
            ttl_secs,
            slots: Mutex::new(Slots::default()),
        }
    }

    /// Keeps the envelope of an execution; the oldest make room.
    pub fn put(&self, execution_id: &str, envelope: Arc<[u8]>, now: Timestamp) {
        let mut slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        slots.remove(execution_id);
        if envelope.len() > LIVE_BYTES_MAX || self.slots_max == 0 {
            return;
        }
        while slots.by_execution.len() >= self.slots_max
            || slots.bytes + envelope.len() > LIVE_BYTES_MAX
        {
            if !slots.remove_oldest() {
                break;
            }
        }
        let age = slots.next;
        slots.next += 1;
        slots.bytes += envelope.len();
        slots.by_age.insert(age, execution_id.to_owned());
        let slot = LiveEnvelope {
            age,
            until: now.plus_secs(self.ttl_secs),
            envelope,
        };
        slots.by_execution.insert(execution_id.to_owned(), slot);
    }

    /// The envelope of an execution, while it is kept.
    pub fn get(&self, execution_id: &str, now: Timestamp) -> Option<Arc<[u8]>> {
        let slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        let slot = slots.by_execution.get(execution_id)?;
        (now < slot.until).then(|| Arc::clone(&slot.envelope))
    }

    /// Forgets one: the execution it belongs to did not come to be.
    pub fn remove(&self, execution_id: &str) {
        let mut slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        slots.remove(execution_id);
    }

    /// Forgets what is past its time.
    pub fn sweep(&self, now: Timestamp) {
        let mut slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        while let Some((_, id)) = slots.by_age.first_key_value() {
            let id = id.clone();
            match slots.by_execution.get(&id) {
                Some(slot) if slot.until > now => break,
                _ => slots.remove_oldest(),
            };
        }
    }
}

impl Slots {
    fn remove(&mut self, execution_id: &str) {
        if let Some(slot) = self.by_execution.remove(execution_id) {
            self.by_age.remove(&slot.age);
            self.bytes -= slot.envelope.len();
        }
    }

    fn remove_oldest(&mut self) -> bool {
        let Some((_, id)) = self.by_age.pop_first() else {
            return false;
        };
        if let Some(slot) = self.by_execution.remove(&id) {
            self.bytes -= slot.envelope.len();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize) -> Arc<[u8]> {
        vec![0; n].into()
    }

    #[test]
    fn the_oldest_make_room_and_time_is_kept() {
        let live = Live::new(2, 10);
        let t = Timestamp(0);
        live.put("a", bytes(1), t);
        live.put("b", bytes(1), t);
        live.put("c", bytes(1), t);
        assert!(live.get("a", t).is_none());
        assert!(live.get("c", Timestamp(9_999)).is_some());
        assert!(live.get("c", Timestamp(10_000)).is_none());
        live.sweep(Timestamp(10_000));
        assert_eq!(live.slots.lock().unwrap().bytes, 0);
    }

    #[test]
    fn bytes_are_bounded() {
        let live = Live::new(100, 10);
        let t = Timestamp(0);
        for n in 0..5 {
            live.put(&n.to_string(), bytes(LIVE_BYTES_MAX / 3), t);
        }
        assert!(live.slots.lock().unwrap().bytes <= LIVE_BYTES_MAX);
        assert!(live.get("4", t).is_some());
        assert!(live.get("0", t).is_none());
    }
}
