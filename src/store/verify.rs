//! Proves the audit log: the chain event by event, its signed checkpoints and its head, that the moves it records are
//! the ones the requests made, and that every row that an event accounts for is as it says.

mod rows;

use super::audit::{EventRow, walk_events};
use super::live::{has_baseline, has_table, instance, read_head};
use super::{Store, db, read_only};
use crate::clock::Timestamp;
use crate::crypto::PublicKey;
use crate::domain::audit::{CHECKPOINT, Checkpoint, PURGE, Purge};
use crate::error::Error;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub valid: bool,
    /// Events examined, the broken one included.
    pub total_events: i64,
    /// The first event that does not hold.
    pub first_broken_id: Option<String>,
    /// What is wrong with it, for the log and the command line.
    pub problem: Option<String>,
}

/// Verifies the database file at `path` through a connection of its own that cannot write, so that a long
/// verification holds nobody up.
///
/// # Errors
/// `internal` when the file cannot be read at all.
pub fn verify_chain(
    path: &Path,
    key: &dyn Fn(&str) -> Option<PublicKey>,
) -> Result<Verified, Error> {
    let connection = read_only(path)?;
    let purge = last_purge(&connection)?;
    let mut walk = ChainWalk::after(purge.clone(), key);
    let mut total = 0;
    let broken = |id: String, total, problem: String| Verified {
        valid: false,
        total_events: total,
        first_broken_id: Some(id),
        problem: Some(problem),
    };
    let mut found = None;
    // What stands before the bound may be gone, or on its way.
    walk_events(&connection, walk.seq, |event| {
        total += 1;
        let (id, problem) = match event {
            Err((id, e)) => (id, Some(format!("unreadable: {e}"))),
            Ok(row) => {
                let problem = walk.next(&row).err();
                (row.event.id, problem)
            }
        };
        found = problem.map(|problem| (id, problem));
        found.is_none()
    })?;
    if let Some((id, problem)) = found {
        return Ok(broken(id, total, problem));
    }
    let bound = purge.map_or(0, |p| p.bound_seq);
    let mut end = walk.end().map(|problem| (None, problem.to_owned()));
    if end.is_none() {
        end = head_differs(&connection, key, &walk)?.map(|problem| (None, problem));
    }
    if end.is_none() {
        end = moves_differ(&connection, bound)?;
    }
    if end.is_none() {
        end = rows::differ(&connection, bound)?;
    }
    if let Some((id, problem)) = end {
        return Ok(Verified {
            first_broken_id: id,
            ..broken(String::new(), total, problem)
        });
    }
    Ok(Verified {
        valid: true,
        total_events: total,
        first_broken_id: None,
        problem: None,
    })
}

/// What of the signed head is not what the chain ends with.
fn head_differs(
    connection: &Connection,
    key: &dyn Fn(&str) -> Option<PublicKey>,
    walk: &ChainWalk,
) -> Result<Option<String>, Error> {
    let signed = match has_table(connection, "audit_head")? {
        true => read_head(connection)?,
        false => None,
    };
    let Some(signed) = signed else {
        let due = has_baseline(connection)?;
        return Ok(due.then(|| "the signed head is missing".to_owned()));
    };
    let (seq, hash) = (walk.seq, walk.head.as_deref().unwrap_or_default());
    if signed.head.seq != seq || signed.head.hash != hash {
        let head = signed.head.seq;
        return Ok(Some(format!(
            "the log ends at {seq}, and its signed head is {head}"
        )));
    }
    let instance = instance(connection)?;
    let valid = key(&signed.key_id).is_some_and(|key| signed.is_valid(&instance, &key));
    Ok((!valid).then(|| "the signature of the head does not hold".to_owned()))
}

/// The newest bound: everything up to it may be gone.
fn last_purge(connection: &Connection) -> Result<Option<Purge>, Error> {
    connection
        .query_row(
            "SELECT bound_seq, last_hash, purged_before, retained, key_id, signature FROM audit_purges \
             ORDER BY id DESC LIMIT 1",
            [],
            |r| {
                Ok(Purge {
                    bound_seq: r.get(0)?,
                    last_hash: r.get(1)?,
                    purged_before: r.get(2)?,
                    retained: r.get(3)?,
                    key_id: r.get(4)?,
                    signature: r.get(5)?,
                })
            },
        )
        .optional()
        .map_err(db)
}

struct ChainWalk<'a> {
    key: &'a dyn Fn(&str) -> Option<PublicKey>,
    seq: i64,
    head: Option<String>,
    /// The purge after which the log begins.
    purge: Option<Purge>,
    /// Whether the event that tells of it has been seen.
    reported: bool,
}

impl ChainWalk<'_> {
    fn after<'a>(
        purge: Option<Purge>,
        key: &'a dyn Fn(&str) -> Option<PublicKey>,
    ) -> ChainWalk<'a> {
        ChainWalk {
            key,
            seq: purge.as_ref().map_or(0, |p| p.bound_seq),
            head: purge.as_ref().map(|p| p.last_hash.clone()),
            reported: purge.is_none(),
            purge,
        }
    }

    /// The proof of what is gone: signed by a known key, the first event after it is a checkpoint, which says how many
    /// came before, and a later one records it.
    fn proof(&mut self, row: &EventRow) -> Result<(), String> {
        let Some(purge) = &self.purge else {
            return Ok(());
        };
        if row.seq == purge.bound_seq + 1 {
            let key = (self.key)(&purge.key_id)
                .ok_or_else(|| format!("purged by the unknown key {}", purge.key_id))?;
            if !purge.is_valid(&key) {
                return Err("the signature of the purge before it does not hold".to_owned());
            }
            if row.event.event_type != CHECKPOINT {
                return Err("the first event after a purge is not a checkpoint".to_owned());
            }
        }
        if row.seq == purge.event_seq() {
            if row.event.event_type != PURGE || !purge.is_described_by(&row.event.metadata_json) {
                return Err("it does not tell of the purge that was made with it".to_owned());
            }
            self.reported = true;
        }
        Ok(())
    }

    /// What is missing at the end.
    fn end(&self) -> Option<&'static str> {
        (!self.reported).then_some("no event tells of the last purge")
    }

    fn next(&mut self, row: &EventRow) -> Result<(), String> {
        let event = &row.event;
        self.proof(row)?;
        if row.seq != self.seq + 1 {
            return Err(format!("number {} after {}", row.seq, self.seq));
        }
        if event.prev_hash != self.head {
            return Err("does not name the event before it".to_owned());
        }
        if event.hash() != row.hash {
            return Err("its hash is not the hash of its fields".to_owned());
        }
        // Retention goes by the column, which is not hashed.
        if Timestamp::parse(&event.created_at) != Some(row.at) {
            return Err("its time is not the hashed one".to_owned());
        }
        if event.event_type == CHECKPOINT {
            self.checkpoint(row)?;
        }
        self.seq = row.seq;
        self.head = Some(row.hash.clone());
        Ok(())
    }

    fn checkpoint(&self, row: &EventRow) -> Result<(), String> {
        let checkpoint =
            Checkpoint::read(&row.event.metadata_json).ok_or("a checkpoint without its facts")?;
        let key = (self.key)(&checkpoint.key_id)
            .ok_or_else(|| format!("signed by the unknown key {}", checkpoint.key_id))?;
        let head = self.head.as_deref().unwrap_or_default();
        if checkpoint.is_valid(head, self.seq, &row.event.created_at, &key) {
            Ok(())
        } else {
            Err("its checkpoint signature does not hold".to_owned())
        }
    }
}

/// Compares the moves the log tells of with the requests: each move starts where the one before ended, and the last
/// one is where the request stands. Returns the first event at odds, and none for a request that has no event.
fn moves_differ(
    connection: &Connection,
    bound: i64,
) -> Result<Option<(Option<String>, String)>, Error> {
    // The columns are not hashed; the metadata is. They must agree before the columns may be used.
    let columns: Option<String> = connection
        .query_row(
            "SELECT id FROM audit_events WHERE from_status IS NOT (metadata_json ->> '$.from_status') \
             OR to_status IS NOT (metadata_json ->> '$.to_status') ORDER BY seq LIMIT 1",
            [],
            |r| r.get(0),
        )
        .optional()
        .map_err(db)?;
    if let Some(id) = columns {
        return Ok(Some((
            Some(id),
            "its statuses are not the hashed ones".to_owned(),
        )));
    }
    let gap: Option<String> = connection
        .query_row(
            "SELECT id FROM (SELECT id, seq, from_status, lag(to_status) OVER moves AS before, \
             row_number() OVER moves AS n, request_id FROM audit_events \
             WHERE to_status IS NOT NULL AND request_id IS NOT NULL AND seq > ?1 \
             WINDOW moves AS (PARTITION BY request_id ORDER BY seq)) \
             WHERE (n > 1 AND from_status IS NOT before) \
             OR (n = 1 AND from_status <> 'new' \
             AND request_id NOT IN (SELECT id FROM purged_requests WHERE audit_seq > ?1)) \
             ORDER BY seq LIMIT 1",
            [bound],
            |r| r.get(0),
        )
        .optional()
        .map_err(db)?;
    if let Some(id) = gap {
        return Ok(Some((
            Some(id),
            "it moves a request from where it was not".to_owned(),
        )));
    }
    let last: Option<(String, String)> = connection
        .query_row(
            "SELECT a.id, a.request_id FROM audit_events a LEFT JOIN requests r ON r.id = a.request_id \
             WHERE a.to_status IS NOT NULL AND a.seq > ?1 AND NOT EXISTS (SELECT 1 FROM audit_events b \
             WHERE b.request_id = a.request_id AND b.to_status IS NOT NULL AND b.seq > a.seq) \
             AND (r.status IS NOT a.to_status OR r.audit_seq IS NOT a.seq) \
             AND a.request_id NOT IN (SELECT request_id FROM audit_events WHERE event_type = 'request.corrupt') \
             AND (r.id IS NOT NULL OR a.request_id NOT IN (SELECT id FROM purged_requests WHERE audit_seq > ?1)) \
             ORDER BY a.seq LIMIT 1",
            [bound],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()
        .map_err(db)?;
    if let Some((id, request)) = last {
        return Ok(Some((
            Some(id),
            format!("request {request} stands elsewhere"),
        )));
    }
    unaccounted(connection, bound)
}

/// A request, there or removed, that no event accounts for.
fn unaccounted(
    connection: &Connection,
    bound: i64,
) -> Result<Option<(Option<String>, String)>, Error> {
    let orphan: Option<String> = connection
        .query_row(
            "SELECT r.id FROM requests r WHERE NOT EXISTS (SELECT 1 FROM audit_events a WHERE a.seq = r.audit_seq \
             AND a.request_id = r.id AND a.to_status = r.status) \
             AND r.id NOT IN (SELECT request_id FROM audit_events WHERE event_type = 'request.corrupt') LIMIT 1",
            [],
            |r| r.get(0),
        )
        .optional()
        .map_err(db)?;
    if let Some(request) = orphan {
        let problem = format!("request {request} stands where no event put it");
        return Ok(Some((None, problem)));
    }
    let unnamed: Option<String> = connection
        .query_row(
            "SELECT p.id FROM purged_requests p LEFT JOIN audit_events e ON e.seq = p.audit_seq \
             WHERE p.audit_seq > ?1 AND (e.event_type IS NOT 'request.purged' OR NOT EXISTS \
             (SELECT 1 FROM json_each(e.metadata_json, '$.requests') j WHERE j.value = p.id)) LIMIT 1",
            [bound],
            |r| r.get(0),
        )
        .optional()
        .map_err(db)?;
    Ok(unnamed.map(|request| {
        (
            None,
            format!("no event tells that request {request} was removed"),
        )
    }))
}

impl Store {
    /// Verifies this store's own file.
    pub fn verify(&self, path: &Path) -> Result<Verified, Error> {
        let verified = verify_chain(path, &|id| self.audit_key(id))?;
        if let Some(problem) = &verified.problem {
            log::error!("the audit log does not verify: {problem}");
        }
        Ok(verified)
    }
}
