//! Removes the copies of earlier epochs from the bucket. The one before ours is kept: it is what an operator falls back
//! to, and a standby may still be reading it.

use super::copier::Copier;
use super::litestream::{EPOCH_FOLDERS, Litestream};
use crate::error::Error;
use std::time::Duration;

/// Longest time of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Objects that are removed in one reign at most; the next one goes on.
const OBJECTS_MAX: usize = 100_000;
/// Pause between two removals, so that they take nothing from the copy in use.
const PAUSE: Duration = Duration::from_millis(5);

/// Removes every object of an epoch below `last`, until everything stops or a call fails.
pub(super) fn remove_below(copier: &Copier, last: u64) {
    match removed(copier, last) {
        Ok(0) => {}
        Ok(count) => {
            log::info!("{count} objects of epochs below {last} are removed from the bucket")
        }
        Err(error) => log::warn!(
            "copies of epochs below {last} are left in the bucket, the next start tries again: {error}"
        ),
    }
}

fn removed(copier: &Copier, last: u64) -> Result<usize, Error> {
    let (bucket, mut count) = (copier.keeper.bucket(), 0);
    loop {
        let page = bucket.names_after(EPOCH_FOLDERS, "", CALL_TIMEOUT)?;
        let old = page
            .names
            .iter()
            .take_while(|name| Litestream::epoch_of(name).is_some_and(|epoch| epoch < last));
        let before = count;
        for name in old {
            // A server that does not hold the lease any more does not know what is needed.
            if count == OBJECTS_MAX || !copier.keeper.may_write() || !copier.pause(PAUSE) {
                return Ok(count);
            }
            bucket.remove_name(name, CALL_TIMEOUT)?;
            count += 1;
        }
        if count == before {
            return Ok(count);
        }
    }
}
