//! Removes result objects that no row refers to: what a crash left between the object and its row, or a report that
//! did not count.

use super::JobState;
use super::purge_requests::days_before;
use crate::error::Error;
use crate::objects::{LOCAL, ObjectMeta, Objects};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Days after which an object without a row is nobody's: far longer than a report takes from its object to its row,
/// however the clocks of the two machines differ.
pub const ORPHANED_AFTER_DAYS: u32 = 2;
/// Objects listed at once.
const PAGE: usize = 500;
/// Objects looked at in one turn, so that a large bucket costs a bounded number of calls an hour; the next turn goes
/// on.
pub const OBJECTS_PER_TURN_MAX: usize = 20_000;

/// Where the last turn stopped, by place.
#[derive(Default)]
pub struct SweepProgress(Mutex<BTreeMap<&'static str, String>>);

/// Looks at the objects of every place, and removes the orphans. Returns how many.
///
/// # Errors
/// When a place cannot list, or the store cannot read.
pub(super) fn sweep_objects(jobs: &JobState) -> Result<usize, Error> {
    let app = &jobs.app;
    let mut gone = 0;
    for objects in std::iter::once(&app.objects).chain(&app.older_objects) {
        gone += sweep(jobs, objects.as_ref())?;
    }
    Ok(gone)
}

fn sweep(jobs: &JobState, objects: &dyn Objects) -> Result<usize, Error> {
    let backend = objects.backend();
    let progress = || jobs.swept.0.lock().unwrap_or_else(|e| e.into_inner());
    let mut after = progress().remove(backend);
    let (mut seen, mut gone) = (0, 0);
    loop {
        let page = objects.list(after.as_deref(), PAGE)?;
        let ended = page.len() < PAGE || jobs.app.is_draining();
        after = page.last().map(|object| object.key.clone());
        seen += page.len();
        for object in page {
            gone += usize::from(is_removed(jobs, objects, &object)?);
        }
        match after.clone() {
            Some(_) if ended => return Ok(gone),
            Some(key) if seen >= OBJECTS_PER_TURN_MAX => {
                progress().insert(backend, key);
                return Ok(gone);
            }
            Some(_) => {}
            None => return Ok(gone),
        }
    }
}

/// Removes an object that is old and nobody's. Whether it is somebody's is asked last, so that a row that has just come
/// counts.
fn is_removed(jobs: &JobState, objects: &dyn Objects, object: &ObjectMeta) -> Result<bool, Error> {
    let app = &jobs.app;
    let old = days_before(app.clock.now(), ORPHANED_AFTER_DAYS);
    let Some((_, execution)) = object.key.split_once('/') else {
        return Ok(false);
    };
    // What is younger than a state that was restored may be another server's, which goes on with the newer one.
    let shared = (objects.backend() != LOCAL).then_some(app.settings.restored_from);
    let youngest = shared.flatten().map_or(old, |restored| restored.min(old));
    if object.stored_at > youngest {
        return Ok(false);
    }
    // A server that does not hold the lease any more does not know what is needed.
    if app.store.holds_lease() == Some(false) {
        return Ok(false);
    }
    // No report of this execution is handled meanwhile: it would write the object that is about to go.
    let Ok(_turn) = app.in_flight.reports.begin(execution) else {
        return Ok(false);
    };
    if app.store.read(|view| view.has_result(execution))? {
        return Ok(false);
    }
    match objects.delete(&object.key) {
        Ok(()) => {
            jobs.stuck.moved(&object.key);
            app.metrics.purged.add(&["object"], 1);
            log::info!(
                "the result object {} belonged to no result and is removed",
                object.key
            );
            Ok(true)
        }
        Err(error) => {
            jobs.stuck.note(&jobs.app, "objects", &object.key, &error);
            Ok(false)
        }
    }
}
