//! How many statements one person may have tried, by whichever call.

use super::App;
use super::rates::Rates;
use crate::domain::actor::Caller;
use crate::error::{Error, ErrorKind};

/// Statements of one person that are tried in a minute: a folder of migrations at once, and no load to speak of.
const PER_MINUTE: u64 = 60;

/// Limits how often one person may try.
pub(super) fn rates(minute_ms: u32) -> Rates {
    Rates::new(PER_MINUTE, minute_ms)
}

/// Takes one of those that the caller may have tried in this minute.
///
/// # Errors
/// 429 `rate_limited`.
pub(super) fn count(app: &App, caller: &Caller) -> Result<(), Error> {
    let rates = &app.caches.preflights;
    rates
        .take(&caller.subject, 1, app.clock.now())
        .map_err(|secs| {
            let message =
                format!("at most {PER_MINUTE} statements a minute are tried for one person");
            Error::new(ErrorKind::TooMany, "rate_limited", message).retry_after(secs)
        })
}
