//! Compares the moves that the log tells of with the requests.

use super::Difference;
use crate::error::Error;
use crate::store::query::{RunStatement, first, tuple};
use crate::store::row_columns::{ReadColumn, columns};
use rusqlite::{Connection, params};

columns! {
    enum MoveColumn of "audit_events" from "audit_events a" {
        Event = "a.id",
        From = "a.from_status",
        To = "a.to_status",
    }
    MOVES = "WHERE a.request_id = ?1 AND a.to_status IS NOT NULL AND a.seq > ?2 ORDER BY a.seq";
}

columns! {
    enum CreationColumn of "audit_events" from "audit_events a \
        LEFT JOIN requests r ON r.id = a.request_id AND r.corrupt_seq IS NULL \
        LEFT JOIN purged_requests p ON p.id = a.request_id" {
        Event = "a.id",
        Request = "a.request_id",
        Number = "coalesce(r.seq, p.request_seq)",
    }
    CREATIONS = "WHERE a.seq > ?1 AND a.from_status = 'new' ORDER BY a.seq";
}

const NEXT_REQUEST: &str = "SELECT min(request_id) FROM audit_events WHERE request_id > ?1";
const PURGED: &str =
    "SELECT EXISTS (SELECT 1 FROM purged_requests WHERE id = ?1 AND audit_seq > ?2)";

/// Compares the moves the log tells of with the requests: each move starts where the one before ended, and the last
/// one is where the request stands. Returns the first event that contradicts, and none for a request that has no event.
pub(super) fn differ(connection: &Connection, bound: i64) -> Result<Difference, Error> {
    // The columns are not hashed; the metadata is. They must agree before the columns may be used.
    let columns: Option<String> = connection.find(
        "SELECT id FROM audit_events WHERE from_status IS NOT (metadata_json ->> '$.from_status') \
         OR to_status IS NOT (metadata_json ->> '$.to_status') ORDER BY seq LIMIT 1",
        [],
        first,
    )?;
    if let Some(id) = columns {
        return Ok(Some((
            Some(id),
            "its statuses are not the hashed ones".to_owned(),
        )));
    }
    if let Some(id) = gap(connection, bound)? {
        return Ok(Some((
            Some(id),
            "it moves a request from where it was not".to_owned(),
        )));
    }
    let last: Option<(String, String)> = connection.find(
            "SELECT a.id, a.request_id FROM audit_events a LEFT JOIN requests r ON r.id = a.request_id \
             WHERE a.to_status IS NOT NULL AND a.seq > ?1 AND NOT EXISTS (SELECT 1 FROM audit_events b \
             WHERE b.request_id = a.request_id AND b.to_status IS NOT NULL AND b.seq > a.seq) \
             AND (r.status IS NOT a.to_status OR r.audit_seq IS NOT a.seq) \
             AND a.request_id NOT IN (SELECT request_id FROM audit_events WHERE event_type = 'request.corrupt') \
             AND (r.id IS NOT NULL OR a.request_id NOT IN (SELECT id FROM purged_requests WHERE audit_seq > ?1)) \
             ORDER BY a.seq LIMIT 1",
            [bound],
            tuple,
        )?;
    if let Some((id, request)) = last {
        return Ok(Some((
            Some(id),
            format!("request {request} stands elsewhere"),
        )));
    }
    unaccounted(connection, bound)
}

/// The event of a move that does not start where the request's move before it ended. One request at a time, so that
/// memory does not grow with the log.
fn gap(connection: &Connection, bound: i64) -> Result<Option<String>, Error> {
    let mut moves = connection.prepare(MOVES)?;
    let mut request = String::new();
    while let Some(id) = connection.one(NEXT_REQUEST, [&request], first::<Option<String>>)? {
        request = id;
        let mut stands: Option<String> = None;
        let mut rows = moves.query(params![request, bound])?;
        while let Some(row) = rows.next()? {
            let from: Option<String> = row.column(MoveColumn::From)?;
            let follows = match &stands {
                Some(_) => stands == from,
                // Where the request is gone, the beginning of its moves may be gone.
                None if from.as_deref() == Some("new") => true,
                None => connection.one(PURGED, params![request, bound], first)?,
            };
            if !follows {
                return Ok(Some(row.column(MoveColumn::Event)?));
            }
            stands = row.column(MoveColumn::To)?;
        }
    }
    Ok(None)
}

/// A request, there or removed, that no event accounts for.
fn unaccounted(connection: &Connection, bound: i64) -> Result<Difference, Error> {
    let orphan: Option<String> = connection.find(
            "SELECT r.id FROM requests r WHERE NOT EXISTS (SELECT 1 FROM audit_events a WHERE a.seq = r.audit_seq \
             AND a.request_id = r.id AND a.to_status = r.status) \
             AND r.id NOT IN (SELECT request_id FROM audit_events WHERE event_type = 'request.corrupt') LIMIT 1",
            [],
            first,
        )?;
    if let Some(request) = orphan {
        let problem = format!("request {request} stands where no event put it");
        return Ok(Some((None, problem)));
    }
    let unnamed: Option<String> = connection.find(
            "SELECT p.id FROM purged_requests p LEFT JOIN audit_events e ON e.seq = p.audit_seq \
             WHERE p.audit_seq > ?1 AND (e.event_type IS NOT 'request.purged' OR NOT EXISTS \
             (SELECT 1 FROM json_each(e.metadata_json, '$.requests') j WHERE j.value = p.id)) LIMIT 1",
            [bound],
            first,
        )?;
    if let Some(request) = unnamed {
        let problem = format!("no event tells that request {request} was removed");
        return Ok(Some((None, problem)));
    }
    numbered(connection, bound)
}

/// Requests have the numbers in which they were made, without a gap, and keep them when they are removed.
fn numbered(connection: &Connection, bound: i64) -> Result<Difference, Error> {
    let mut statement = connection.prepare_cached(CREATIONS)?;
    let mut rows = statement.query([bound])?;
    let mut before: Option<i64> = None;
    while let Some(row) = rows.next()? {
        // Of a frozen one its events tell that its rows are not what they were.
        let number: Option<i64> = row.column(CreationColumn::Number)?;
        if let (Some(before), Some(number)) = (before, number)
            && before.checked_add(1) != Some(number)
        {
            let request: String = row.column(CreationColumn::Request)?;
            let event = row.column(CreationColumn::Event)?;
            let problem = format!("request {request} has a number out of turn");
            return Ok(Some((Some(event), problem)));
        }
        before = number;
    }
    Ok(None)
}
