//! Removes stored results whose time is over: first the object, then its row. An object that is gone already is not
//! an error, so a crash in between costs a second try; a row that goes first would leave an object that nobody knows.

use super::JobState;
use crate::actions::App;
use crate::domain::actor::Actor;
use crate::domain::change::{LogChange, PurgedResult};
use crate::error::Error;
use crate::store::{ExpiredResult, ROW, RowCursor, Verdict};
use std::sync::{Arc, Mutex};

/// Results removed in one transaction, which holds the database for a few milliseconds, and named by one event.
pub const BATCH: u32 = 100;

/// Refusals in a row after which a place counts as out of order for this turn: each may take its whole time-out.
const REFUSALS_MAX: usize = 20;

/// Where the last turn gave up.
#[derive(Default)]
pub struct PurgeProgress(Mutex<Option<RowCursor>>);

/// Removes every expired result that can be removed; the others are passed over until the next turn. Returns how many
/// went.
///
/// # Errors
/// When the store cannot read or write.
pub(super) fn purge_results(jobs: &JobState) -> Result<usize, Error> {
    let app = &jobs.app;
    let progress = || {
        let place = jobs.purged_results.0.lock();
        place.unwrap_or_else(|e| e.into_inner())
    };
    // After what a place refused to remove the last time; from the start again once the end was reached.
    let mut after = progress().take().unwrap_or(RowCursor::START);
    let (now, mut gone, mut refusals) = (app.clock.now(), 0, 0);
    loop {
        let expired: Vec<(bool, ExpiredResult)> = app.store.read(|view| {
            let expired = view.expired_results(now, after, BATCH)?.into_iter();
            let proved = expired.map(|result| Ok((view.expires_as_reported(&result)?, result)));
            proved.collect()
        })?;
        if expired.is_empty() || app.is_draining() {
            return Ok(gone);
        }
        let mut removed = Vec::with_capacity(expired.len());
        for (as_reported, result) in expired {
            if refusals >= REFUSALS_MAX {
                break;
            }
            after = result.place;
            if !as_reported {
                let error = Error::bug("its time and place are not those of the audit log");
                jobs.stuck
                    .note(app, "results", &result.execution_id, &error);
            } else if is_removed(jobs, &result) {
                refusals = 0;
                removed.push(result);
            } else {
                refusals += 1;
            }
        }
        gone += forget(app, removed)?;
        if refusals >= REFUSALS_MAX {
            *progress() = Some(after);
            return Ok(gone);
        }
    }
}

/// Removes the object; false where it may be there still.
fn is_removed(jobs: &JobState, result: &ExpiredResult) -> bool {
    if result.backend == ROW {
        // It goes with its row.
        return true;
    }
    let removed = match jobs.app.objects_of(&result.backend) {
        Some(objects) => objects.delete(&result.key),
        None => Err(Error::unavailable(format!(
            "no place of the kind `{}` is configured",
            result.backend
        ))),
    };
    match removed {
        Ok(()) => {
            jobs.stuck.moved(&result.execution_id);
            true
        }
        Err(error) => {
            jobs.stuck
                .note(&jobs.app, "results", &result.execution_id, &error);
            false
        }
    }
}

fn forget(app: &Arc<App>, removed: Vec<ExpiredResult>) -> Result<usize, Error> {
    if removed.is_empty() {
        return Ok(0);
    }
    let gone = app.store.change(Actor::system(), move |view, now| {
        let mut results = Vec::with_capacity(removed.len());
        for result in removed {
            if view.is_result_expired(result.place.1, now)? {
                results.push(PurgedResult {
                    execution_seq: result.place.1,
                    execution_id: result.execution_id,
                });
            }
        }
        let gone = results.len();
        Ok(match gone {
            0 => Verdict::Same(0),
            _ => Verdict::Write(vec![LogChange::ResultsPurged(results).into()], gone),
        })
    })?;
    app.metrics.purged.add(&["result"], gone as u64);
    Ok(gone)
}
