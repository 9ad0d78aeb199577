//! Removes the oldest part of the audit log, and keeps the proof of what is left: a signed row says up to where, the
//! first event that stays is a signed checkpoint with the number of those before it, and nothing that a kept request
//! did is ever removed.
//!
//! The bound is set first, in one short transaction with its event and a new baseline; then the events before it go in
//! small parts. A crash in between leaves a log that verifies, and the next turn goes on.

use super::purge_requests::days_before;
use crate::actions::App;
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::audit::Checkpoint;
use crate::domain::change::LogChange;
use crate::error::Error;
use crate::store::{PurgeLimit, Verdict};
use std::sync::Arc;

/// Events removed in one transaction: at some five microseconds each the database is held for a few milliseconds.
pub const BATCH: u32 = 500;
/// Seconds between two bounds: each is a row and an event that stay.
pub const PAUSE_SECS: u64 = 20 * 3600;

/// Sets a bound if one is due, then removes everything before the last one. Returns how many events went.
///
/// # Errors
/// When the store cannot read or write; `internal` when the checkpoint that would be the proof does not hold: then
/// nothing is removed.
pub(super) fn purge_audit(app: &Arc<App>) -> Result<usize, Error> {
    // What an earlier turn did not get to.
    let mut gone = delete(app)?;
    let days = app.active().retention.audit_ttl_days;
    let now = app.clock.now();
    let before = days_before(now, days);
    let (last, limit) = app
        .store
        .read(|view| Ok((view.last_purge()?, view.purge_limit(before)?)))?;
    let waits = last.is_some_and(|last| now < last.plus_secs(PAUSE_SECS));
    if let Some(limit) = limit.filter(|_| !waits) {
        prove(app, &limit, before)?;
        set_bound(app, limit, before)?;
        gone += delete(app)?;
    }
    Ok(gone)
}

/// That the event after the bound is what it says: a checkpoint, whose signed time is old enough. Everything before it
/// is older.
fn prove(app: &App, limit: &PurgeLimit, before: Timestamp) -> Result<(), Error> {
    let event = &limit.checkpoint.event;
    let checkpoint = Checkpoint::read(&event.metadata_json);
    let holds = checkpoint.is_some_and(|checkpoint| {
        app.store.audit_key(&checkpoint.key_id).is_some_and(|key| {
            let (head, count) = (&limit.last.hash, limit.last.seq);
            event.hash() == limit.checkpoint.hash
                && Timestamp::parse(&event.created_at).is_some_and(|at| at < before)
                && checkpoint.is_valid(head, count, &event.created_at, &key)
        })
    });
    if holds {
        return Ok(());
    }
    Err(Error::bug(format!(
        "audit event {} is not a checkpoint that could prove a purge",
        event.id
    )))
}

fn set_bound(app: &Arc<App>, limit: PurgeLimit, before: Timestamp) -> Result<(), Error> {
    app.store.change(Actor::system(), move |view, _| {
        // Events have come since, and nothing else has to have: the bound that was proved is still one.
        let Some(now) = view
            .purge_limit(before)?
            .filter(|now| now.last == limit.last)
        else {
            return Ok(Verdict::Same(()));
        };
        let purged = LogChange::AuditPurged {
            bound_seq: now.last.seq,
            last_hash: now.last.hash,
            before,
            retained: now.retained,
        };
        let baseline = LogChange::StateBaselined(view.signed_baseline()?);
        let mut changes = vec![purged.into(), baseline.into()];
        // The event that says so may be removed now, and a file that is missing must stop the next start.
        if view.has_checkpoint_file()? {
            changes.push(LogChange::CheckpointFileAttached.into());
        }
        Ok(Verdict::Write(changes, ()))
    })
}

fn delete(app: &App) -> Result<usize, Error> {
    let mut gone = 0;
    loop {
        let some = app.store.delete_purged_events(BATCH)?;
        if some == 0 || app.is_draining() {
            return Ok(gone);
        }
        gone += some;
        app.metrics.purged.add(&["event"], some as u64);
    }
}
