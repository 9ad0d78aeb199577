//! Proves the audit log: the chain event by event, its signed checkpoints, and that the moves it tells of are the ones
//! the requests made. Constant memory but for one status per request that is still open.

use super::audit::{COLUMNS, EventRow, read_event};
use super::{Store, db, read_only};
use crate::crypto::PublicKey;
use crate::domain::audit::{CHECKPOINT, Checkpoint};
use crate::error::Error;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whether everything holds.
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
    let mut walk = Walk {
        key,
        seq: 0,
        head: None,
    };
    let start: Option<(i64, String)> = connection
        .query_row(
            "SELECT bound_seq, last_hash FROM audit_purges ORDER BY bound_seq DESC LIMIT 1",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()
        .map_err(db)?;
    if let Some((seq, hash)) = start {
        walk.seq = seq;
        walk.head = Some(hash);
    }
    let mut total = 0;
    let broken = |id: String, total, problem: String| Verified {
        valid: false,
        total_events: total,
        first_broken_id: Some(id),
        problem: Some(problem),
    };
    {
        let sql = format!("SELECT {COLUMNS} FROM audit_events ORDER BY seq");
        let mut statement = connection.prepare(&sql).map_err(db)?;
        let mut rows = statement.query([]).map_err(db)?;
        while let Some(row) = rows.next().map_err(db)? {
            total += 1;
            let event = match read_event(row) {
                Ok(event) => event,
                Err(e) => {
                    let id: String = row.get(1).unwrap_or_default();
                    return Ok(broken(id, total, format!("unreadable: {e}")));
                }
            };
            if let Err(problem) = walk.next(&event) {
                return Ok(broken(event.event.id, total, problem));
            }
        }
    }
    if let Some((id, problem)) = moves_differ(&connection)? {
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

struct Walk<'a> {
    key: &'a dyn Fn(&str) -> Option<PublicKey>,
    seq: i64,
    head: Option<String>,
}

impl Walk<'_> {
    fn next(&mut self, row: &EventRow) -> Result<(), String> {
        let event = &row.event;
        if row.seq != self.seq + 1 {
            return Err(format!("number {} after {}", row.seq, self.seq));
        }
        if event.prev_hash != self.head {
            return Err("does not name the event before it".to_owned());
        }
        if event.hash() != row.hash {
            return Err("its hash is not the hash of its fields".to_owned());
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
/// one is where the request stands. Answers the first event at odds, and none for a request that has no event.
fn moves_differ(connection: &Connection) -> Result<Option<(Option<String>, String)>, Error> {
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
             row_number() OVER moves AS n FROM audit_events WHERE to_status IS NOT NULL AND request_id IS NOT NULL \
             WINDOW moves AS (PARTITION BY request_id ORDER BY seq)) \
             WHERE (n > 1 AND from_status IS NOT before) \
             OR (n = 1 AND from_status <> 'new' AND NOT EXISTS (SELECT 1 FROM audit_purges)) ORDER BY seq LIMIT 1",
            [],
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
             WHERE a.to_status IS NOT NULL AND NOT EXISTS (SELECT 1 FROM audit_events b \
             WHERE b.request_id = a.request_id AND b.to_status IS NOT NULL AND b.seq > a.seq) \
             AND (r.status IS NOT a.to_status OR r.audit_seq IS NOT a.seq) ORDER BY a.seq LIMIT 1",
            [],
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
    let orphan: Option<String> = connection
        .query_row(
            "SELECT r.id FROM requests r WHERE NOT EXISTS (SELECT 1 FROM audit_events a WHERE a.seq = r.audit_seq \
             AND a.request_id = r.id AND a.to_status = r.status) LIMIT 1",
            [],
            |r| r.get(0),
        )
        .optional()
        .map_err(db)?;
    Ok(orphan.map(|request| {
        (
            None,
            format!("request {request} stands where no event put it"),
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
