//! Removes notifications of the outbox that have come to an end: delivered, cancelled or given up.

use super::purge_requests::days_before;
use crate::actions::App;
use crate::error::Error;
use std::sync::Arc;

/// Days that they can still be looked at.
pub const KEPT_DAYS: u32 = 7;
/// Rows removed in one transaction; each is one row of one table.
const BATCH: u32 = 500;

/// Removes all that ended [`KEPT_DAYS`] ago. Returns how many.
///
/// # Errors
/// When the store cannot write.
pub(super) fn purge_messages(app: &Arc<App>) -> Result<usize, Error> {
    let before = days_before(app.clock.now(), KEPT_DAYS);
    let mut gone = 0;
    loop {
        let some = app.store.delete_messages(before, BATCH)?;
        if some == 0 || app.is_draining() {
            return Ok(gone);
        }
        gone += some;
        app.metrics.purged.add(&["message"], some as u64);
    }
}
