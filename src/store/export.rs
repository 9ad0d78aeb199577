//! The audit log for another machine: events in their order, in one snapshot with the signed head that they end with,
//! through a connection of its own, so that nobody waits.

use super::chain::walk_chain;
use super::live::{hash_of, instance, last_event, read_head};
use super::query::{RunStatement, first};
use super::read_only;
use super::verify::last_purge;
use crate::clock::Timestamp;
use crate::domain::chain::ChainStart;
use crate::error::{Error, ErrorKind};
use crate::export::{ExportStart, event_line, head_line, start_line};
use rusqlite::Connection;
use std::io::{self, Write};
use std::path::Path;

/// What an export begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportSince {
    /// The first event that there is.
    Beginning,
    /// The event after that number.
    Event(i64),
    /// The first event that is not before that time.
    Time(Timestamp),
}

impl ExportSince {
    /// Reads the number of an event or a time.
    pub fn parse(text: &str) -> Option<ExportSince> {
        match !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse().ok().map(ExportSince::Event),
            false => Timestamp::parse(text).map(ExportSince::Time),
        }
    }
}

/// How much one page of an export holds.
#[derive(Debug, Clone, Copy)]
pub struct ExportPage {
    /// Events at most; at least one.
    pub events: u32,
    /// Bytes after which it ends; the last event may go beyond.
    pub bytes: usize,
}

/// Writes an export of the file at `path`: all of it, or one page, which ends with the signed head where it reaches the
/// end of the log.
///
/// # Errors
/// `validation_error` for a number that no event has yet; `gone` for one whose next event was removed; `internal` when
/// the file cannot be read, has no signed head, or `out` cannot be written.
pub fn export_events(
    path: &Path,
    since: ExportSince,
    page: Option<ExportPage>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let connection = read_only(path)?;
    let signed = read_head(&connection)?.ok_or_else(|| {
        Error::bug("the audit log has no signed head").hint("start the server once with this file")
    })?;
    let start = start_of(&connection, since)?;
    let mut out = Counted { out, bytes: 0 };
    start_line(&start, &mut out).map_err(unwritten)?;
    let (mut last, mut events) = (start.after.seq, 0);
    let mut failed = None;
    walk_chain(&connection, last, |event| {
        let written = match event {
            Ok((event, _)) => {
                last = event.seq;
                event_line(&event, &mut out).map_err(unwritten)
            }
            Err((id, problem)) => Err(Error::bug(format!("event {id} cannot be read: {problem}"))),
        };
        failed = written.err();
        events += 1;
        let full = page.is_some_and(|p| events >= p.events || out.bytes >= p.bytes);
        failed.is_none() && !full
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if last >= signed.head.seq {
        head_line(&signed, &mut out).map_err(unwritten)?;
    }
    out.flush().map_err(unwritten)
}

fn unwritten(e: io::Error) -> Error {
    Error::internal("writing the export", e)
}

struct Counted<'o> {
    out: &'o mut dyn Write,
    bytes: usize,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.bytes = self.bytes.saturating_add(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Where the export begins. What stands before the bound of a purge may be gone, or on its way.
fn start_of(connection: &Connection, since: ExportSince) -> Result<ExportStart, Error> {
    let purge = last_purge(connection)?;
    let bound = purge.as_ref().map_or(0, |p| p.bound_seq);
    let after = match since {
        ExportSince::Beginning | ExportSince::Event(0) => bound,
        ExportSince::Event(seq) => seq,
        ExportSince::Time(at) => before(connection, at)?.max(bound),
    };
    if after < bound {
        return Err(Error::new(
            ErrorKind::Gone,
            "gone",
            format!("the event after {after} was removed by retention"),
        )
        .hint(format!("the log begins after event {bound}")));
    }
    let whole = after == bound && !matches!(since, ExportSince::Event(1..));
    let hash = match (after, &purge) {
        (0, _) => Some(String::new()),
        (_, Some(purge)) if after == bound => Some(purge.last_hash.clone()),
        _ => hash_of(connection, after)?,
    };
    let Some(hash) = hash else {
        let (last, _) = last_event(connection)?;
        return Err(Error::invalid(format!(
            "there is no event {after}: the log ends at {last}"
        )));
    };
    Ok(ExportStart {
        instance: instance(connection)?,
        after: ChainStart { seq: after, hash },
        purge: purge.filter(|_| whole),
    })
}

/// The number before the first event that is not before `at`; clocks are set back, so it is not the one before it in
/// time.
fn before(connection: &Connection, at: Timestamp) -> Result<i64, Error> {
    let found: Option<i64> = connection.one(
        "SELECT min(seq) FROM audit_events WHERE created_at_ms >= ?1",
        [at.0],
        first,
    )?;
    match found {
        Some(seq) => Ok(seq.saturating_sub(1)),
        None => Ok(last_event(connection)?.0),
    }
}
