//! What jobs could not move or remove, so that each failure is logged once.

use crate::actions::App;
use crate::error::Error;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Ids remembered as stuck, so that each is logged once and not every few seconds; beyond it, each time.
const STUCK_MAX: usize = 1_000;

/// What could not be moved, by id, as far as the log has it.
#[derive(Default)]
pub struct Stuck(Mutex<BTreeSet<String>>);

impl Stuck {
    /// Counts a failure of `id`, and logs it if it is the first.
    pub(super) fn note(&self, app: &App, job: &'static str, id: &str, error: &Error) {
        app.metrics.sweep_stuck.inc(&[job]);
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if known.contains(id) {
            return;
        }
        if known.len() < STUCK_MAX {
            known.insert(id.to_owned());
        }
        log::error!("{job}: {id} is passed over: {error}");
    }

    /// Forgets what moved after all.
    pub(super) fn moved(&self, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        known.remove(id);
    }
}
