//! Events of the log that a signature covers: that of the next checkpoint, or that of the head, which this process wrote
//! or proved at its start. The hash of an event proves nothing by itself: who can write the file can compute one, and put
//! it into the event after it.

use super::audit::{AFTER, EventRow, event_at, read_event};
use super::chain::walk_chain;
use super::query::{RunStatement, tuple};
use super::unreadable::is_unreadable;
use super::{Store, View};
use crate::clock::Timestamp;
use crate::domain::audit::{CHECKPOINT, Checkpoint};
use crate::domain::chain::{ChainStart, ChainWalk};
use crate::error::Error;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::MutexGuard;

/// Hashes of covered events that are remembered; beyond it the oldest are walked from again.
const REMEMBERED_MAX: usize = 10_000;
/// Events between one and the signature that covers it. A checkpoint is due after a hundred, and comes after the
/// transaction in which it became due: no transaction writes so many.
const WALKED_MAX: usize = 10_000;

/// Hashes of covered events, by number.
#[derive(Default)]
pub(super) struct SignedEvents(BTreeMap<i64, String>);

impl SignedEvents {
    fn contains(&self, row: &EventRow) -> bool {
        self.0.get(&row.seq).is_some_and(|hash| *hash == row.hash)
    }

    fn remember(&mut self, covered: impl IntoIterator<Item = (i64, String)>) {
        self.0.extend(covered);
        while self.0.len() > REMEMBERED_MAX {
            self.0.pop_first();
        }
    }
}

impl View<'_> {
    /// The event of that number, if a signature covers it. Its columns agree with what is hashed. One that cannot be read
    /// is not covered.
    pub(super) fn proved_event(&self, seq: i64) -> Result<Option<EventRow>, Error> {
        let row = match event_at(self.connection, seq) {
            Err(error) if is_unreadable(&error) => None,
            found => found?,
        };
        let Some(row) = row else {
            return Ok(None);
        };
        let holds = row.event.hash() == row.hash
            && Timestamp::parse(&row.event.created_at) == Some(row.at)
            && self.is_covered(&row)?;
        Ok(holds.then_some(row))
    }

    /// Whether every event after `row`, which is proved, is there as it was written, up to the end that this process
    /// knows.
    pub(super) fn is_whole_after(&self, row: &EventRow) -> Result<bool, Error> {
        let end = self.store.log_head();
        if row.seq > end.seq {
            // Written by this very transaction.
            return Ok(true);
        }
        let key = |id: &str| self.store.audit_key(id);
        let start = ChainStart {
            seq: row.seq,
            hash: row.hash.clone(),
        };
        let mut walk = ChainWalk::new(&key, start, None);
        let mut holds = true;
        walk_chain(self.connection, row.seq, |event| {
            if walk.at.seq < end.seq {
                holds = event.is_ok_and(|(event, _)| walk.next(&event).is_ok());
                return holds;
            }
            false
        })?;
        Ok(holds && walk.at.seq == end.seq && walk.at.hash == end.hash)
    }

    /// Whether the chain leads from an event, whose hash is right, to a signature.
    fn is_covered(&self, row: &EventRow) -> Result<bool, Error> {
        let end = self.store.log_head();
        if row.seq > end.seq {
            // Nobody else can write while a transaction lasts, and its head is signed with it.
            return Ok(!self.connection.is_autocommit());
        }
        let known = |row: &EventRow| {
            (row.seq == end.seq && row.hash == end.hash) || self.store.signed().contains(row)
        };
        let mut walked = Vec::new();
        let mut last = row.clone();
        let mut statement = self.connection.prepare_cached(AFTER)?;
        let mut rows = statement.query([row.seq])?;
        while !known(&last) {
            let Some(next) = rows.next()? else {
                return Ok(false);
            };
            let next = match read_event(next).map_err(Error::from) {
                Err(error) if is_unreadable(&error) => return Ok(false),
                read => read?,
            };
            let follows = next.seq == last.seq + 1
                && next.event.prev_hash.as_ref() == Some(&last.hash)
                && next.event.hash() == next.hash;
            if !follows || walked.len() >= WALKED_MAX {
                return Ok(false);
            }
            let signed = self.store.signs(&next, &last);
            walked.push(std::mem::replace(&mut last, next));
            if signed {
                break;
            }
        }
        self.store
            .signed()
            .remember(walked.into_iter().map(|row| (row.seq, row.hash)));
        Ok(true)
    }
}

impl Store {
    fn signed(&self) -> MutexGuard<'_, SignedEvents> {
        self.signed_events.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Remembers what a commit of ours wrote after event number `before`: its head covers that.
    pub(super) fn remember_signed(&self, connection: &Connection, before: i64) {
        let sql = "SELECT seq, event_hash FROM audit_events WHERE seq > ?1 ORDER BY seq";
        // What is not remembered is walked to.
        let written: Result<Vec<(i64, String)>, Error> = connection.list(sql, [before], tuple);
        if let Ok(written) = written {
            self.signed().remember(written);
        }
    }

    /// Whether `event` is a checkpoint by which our key signs what comes before it, up to `last`.
    fn signs(&self, event: &EventRow, last: &EventRow) -> bool {
        let key = self.audit_keys.current.public();
        event.event.event_type == CHECKPOINT
            && Checkpoint::read(&event.event.metadata_json)
                .is_some_and(|c| c.is_valid(&last.hash, last.seq, &event.event.created_at, &key))
    }
}
