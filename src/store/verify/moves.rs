//! Compares the moves that the log tells of with the requests.

use super::Difference;
use crate::error::Error;
use crate::store::db;
use rusqlite::{Connection, OptionalExtension};

/// Compares the moves the log tells of with the requests: each move starts where the one before ended, and the last
/// one is where the request stands. Returns the first event at odds, and none for a request that has no event.
pub(super) fn differ(connection: &Connection, bound: i64) -> Result<Difference, Error> {
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
fn unaccounted(connection: &Connection, bound: i64) -> Result<Difference, Error> {
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
