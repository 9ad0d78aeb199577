//! Reading and proving the audit log.

use super::App;
use crate::domain::actor::Caller;
use crate::domain::permission::Permission;
use crate::error::Error;
use crate::store::{
    AuditFilter, EventRow, ExportPage, ExportSince, UnreadEvent, Verified, export_events,
};

/// Events counted exactly; beyond it the total is a lower bound.
pub const COUNT_MAX: i64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events, newest first.
    pub events: Vec<EventRow>,
    /// Those among them that cannot be read.
    pub unread: Vec<UnreadEvent>,
    /// How many there are in all; none where nobody counted.
    pub total: Option<i64>,
    /// Whether there are more than that.
    pub total_is_lower_bound: bool,
    /// Where the next page starts; none at the end.
    pub next: Option<i64>,
}

/// Events that match, newest first.
///
/// # Errors
/// `forbidden` without `audit.view`.
pub fn list(
    app: &App,
    caller: &Caller,
    filter: &AuditFilter,
    limit: u32,
    offset: u32,
    count: bool,
) -> Result<EventPage, Error> {
    caller.require(Permission::AuditView)?;
    app.store.read(|view| {
        let mut events = view.list_events(filter, limit + 1, offset)?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = events.len() > wanted;
        events.truncate(wanted);
        let total = match count {
            true => Some(view.count_events(filter, COUNT_MAX)?),
            false => None,
        };
        let next = events.last().filter(|_| more).map(UnreadEvent::number);
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Ok(event) => read.push(event),
                Err(event) => unread.push(event),
            }
        }
        Ok(EventPage {
            next,
            total: total.map(|n| n.min(COUNT_MAX)),
            total_is_lower_bound: total.is_some_and(|n| n > COUNT_MAX),
            events: read,
            unread,
        })
    })
}

/// Verifies the whole log, through a connection of its own, so that nobody waits for it.
///
/// # Errors
/// `forbidden` without `audit.view`.
pub fn verify(app: &App, caller: &Caller) -> Result<Verified, Error> {
    caller.require(Permission::AuditView)?;
    app.store.verify(&app.settings.database_path)
}

/// One page of the log for another machine, as lines.
///
/// # Errors
/// `forbidden` without `audit.view`; otherwise those of [`export_events`].
pub fn export(
    app: &App,
    caller: &Caller,
    since: ExportSince,
    page: ExportPage,
) -> Result<Vec<u8>, Error> {
    caller.require(Permission::AuditView)?;
    let mut lines = Vec::new();
    export_events(&app.settings.database_path, since, Some(page), &mut lines)?;
    Ok(lines)
}
