//! Removes requests that ended long ago, with everything that belongs to them. What is still alive never goes, nor
//! what has a stored result: that has a time of its own, and goes first.

use super::JobState;
use crate::actions::App;
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::change::{Change, LogChange, PurgedRequest, RequestChange, RequestRef};
use crate::error::{Error, ErrorKind};
use crate::store::{RowCursor, SettledRequest, Verdict, View};
use std::sync::Arc;

/// Requests removed in one transaction: each is a dozen rows in as many tables, so that the database is held for some
/// ten milliseconds. One event names them.
pub const BATCH: u32 = 50;

/// Removes every request that has ended and has not changed for the days that `[retention]` says. Returns how many.
///
/// # Errors
/// When the store cannot read or write.
pub(super) fn purge_requests(jobs: &JobState) -> Result<usize, Error> {
    let app = &jobs.app;
    let days = app.active().retention.request_ttl_days;
    let before = days_before(app.clock.now(), days);
    let (mut after, mut gone) = (RowCursor::START, 0);
    loop {
        let settled = app
            .store
            .read(|view| view.settled_requests(before, after, BATCH))?;
        let Some(last) = settled.last().filter(|_| !app.is_draining()) else {
            return Ok(gone);
        };
        after = last.place;
        let free: Vec<SettledRequest> = settled.into_iter().filter(|r| r.is_free).collect();
        gone += match forget(app, free.clone(), before) {
            Err(error) if error.kind() == ErrorKind::Internal => one_by_one(jobs, free, before)?,
            answer => answer?,
        };
    }
}

/// The time so many days before `now`.
pub(super) fn days_before(now: Timestamp, days: u32) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::from(days) * 86_400_000))
}

/// The same, where one of them cannot be removed: that must not keep the others, nor those of the next batch.
fn one_by_one(
    jobs: &JobState,
    free: Vec<SettledRequest>,
    before: Timestamp,
) -> Result<usize, Error> {
    let mut gone = 0;
    for request in free {
        let id = request.id.clone();
        match forget(&jobs.app, vec![request], before) {
            Ok(n) => gone += n,
            Err(error) if error.kind() == ErrorKind::Internal => {
                jobs.stuck.note(&jobs.app, "requests", &id, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

fn forget(app: &Arc<App>, free: Vec<SettledRequest>, before: Timestamp) -> Result<usize, Error> {
    if free.is_empty() {
        return Ok(0);
    }
    let gone = app.store.change(Actor::system(), move |view, _| {
        let (mut requests, mut changes) = (Vec::with_capacity(free.len()), Vec::new());
        for request in free {
            // Anything may have happened since it was looked at.
            let Some(still) = view.find_free_request(request.place.1, before)? else {
                continue;
            };
            if view.ended_by_log(&still.id, before)? {
                requests.push(PurgedRequest {
                    seq: still.place.1,
                    id: still.id,
                });
            } else {
                changes.extend(corrupt(view, &still.id, "status")?);
            }
        }
        let gone = requests.len();
        if gone > 0 {
            changes.push(LogChange::RequestsPurged { requests, before }.into());
        }
        Ok(match changes.is_empty() {
            true => Verdict::Same(0),
            false => Verdict::Write(changes, gone),
        })
    })?;
    app.metrics.purged.add(&["request"], gone as u64);
    Ok(gone)
}

/// Freezes a request whose row says that its time is over, and the log does not; none where it is frozen.
pub(super) fn corrupt(view: &View, id: &str, what: &'static str) -> Result<Option<Change>, Error> {
    let request = view.request(id)?;
    if request.corrupt {
        return Ok(None);
    }
    log::error!("request {id} is corrupt: its time is not over by the audit log");
    let change = RequestChange::Corrupted {
        request: RequestRef::from(&request),
        what,
    };
    Ok(Some(change.into()))
}
