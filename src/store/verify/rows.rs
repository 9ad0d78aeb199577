//! Compares every row that an event accounts for with what the events say: requests with their texts, votes, executions
//! and results, tokens, and people. One request at a time, so that memory does not grow with the log; only people are
//! held all at once.

use super::super::audit::{EventRow, event_at, events_of, events_of_type};
use super::super::db;
use super::super::proof::{STORED, VOTES, stored_request, stored_vote};
use crate::crypto::sha256_hex;
use crate::domain::accounts::{
    AccountedRow, AccountedValue, ERROR_SHA256, EventMetadata, RESULT_SHA256, RequestAccount,
    TOKEN_SHA256, token_row,
};
use crate::error::Error;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong, and the event that says otherwise.
pub(super) type Difference = Option<(Option<String>, String)>;

const NEXT_REQUEST: &str = "SELECT * FROM requests WHERE seq > ?1 ORDER BY seq LIMIT 1";
const EXECUTIONS: &str = "SELECT * FROM executions WHERE request_seq = ?1 ORDER BY attempt";
const REHEARSALS: &str = "SELECT * FROM rehearsals WHERE request_seq = ?1 ORDER BY seq";
const RESULTS: &str = "SELECT x.*, e.id AS execution FROM results x \
     LEFT JOIN executions e ON e.seq = x.execution_seq WHERE x.request_seq = ?1";
const NEXT_TOKEN: &str = "SELECT * FROM tokens WHERE id > ?1 ORDER BY id LIMIT 1";
const NEXT_USER: &str = "SELECT * FROM users WHERE id > ?1 ORDER BY id LIMIT 1";
/// A purge names what it removes, soon after its time was over.
const PURGED: &str = "SELECT EXISTS (SELECT 1 FROM audit_events e, json_each(e.metadata_json, '$.executions') j \
     WHERE e.event_type = 'result.purged' AND j.value = ?1 \
     AND e.seq >= coalesce((SELECT min(seq) FROM audit_events WHERE created_at_ms >= ?2), 0))";

/// The first row at odds with the events after number `bound`.
pub(super) fn differ(connection: &Connection, bound: i64) -> Result<Difference, Error> {
    if let Some(found) = requests(connection)? {
        return Ok(Some(found));
    }
    if let Some(found) = tokens(connection, bound)? {
        return Ok(Some(found));
    }
    users(connection, bound)
}

/// The first column of a row that does not hold what it must.
fn column_differs(row: &Row, expected: &AccountedRow) -> rusqlite::Result<Option<&'static str>> {
    for (column, cell) in expected {
        let hashed = match *column {
            TOKEN_SHA256 => Some("token_json"),
            ERROR_SHA256 => Some("error_message"),
            RESULT_SHA256 => Some("result_json"),
            _ => None,
        };
        let value = row.get_ref(hashed.unwrap_or(column))?;
        let same = match (value, cell) {
            (ValueRef::Null, AccountedValue::Null) => true,
            (ValueRef::Integer(n), AccountedValue::Integer(m)) => n == *m,
            (ValueRef::Text(text), AccountedValue::Text(hash)) if hashed.is_some() => {
                sha256_hex(text) == *hash
            }
            (ValueRef::Text(text), AccountedValue::Text(other)) => text == other.as_bytes(),
            _ => false,
        };
        if !same {
            return Ok(Some(hashed.unwrap_or(column)));
        }
    }
    Ok(None)
}

fn requests(connection: &Connection) -> Result<Difference, Error> {
    let mut after = i64::MIN;
    let mut next = connection.prepare(NEXT_REQUEST).map_err(db)?;
    loop {
        let mut rows = next.query([after]).map_err(db)?;
        let Some(row) = rows.next().map_err(db)? else {
            return Ok(None);
        };
        let id: String = row.get("id").map_err(db)?;
        after = row.get("seq").map_err(db)?;
        let mut account = RequestAccount::default();
        let mut last = None;
        events_of(connection, &id, |event: EventRow| {
            account.take(event.seq, &event.event, event.at);
            last = Some(event.event.id);
        })?;
        if account.frozen {
            // What else differs is recorded already, and nothing is done with the request any more.
            account.request.retain(|column, _| *column == "corrupt_seq");
        }
        if !account.frozen
            && let Some(due) = account.due().cloned()
        {
            account.request.insert("due_at_ms", due);
        }
        let differs = match column_differs(row, &account.request).map_err(db)? {
            Some(column) => Some(format!("requests, column {column}")),
            None if account.frozen => None,
            None => parts(connection, after, &id, account)?,
        };
        if let Some(what) = differs {
            let problem = format!("request {id}: {what} is not what its events say");
            return Ok(Some((last, problem)));
        }
    }
}

/// What belongs to a request and is not what its events say.
fn parts(
    connection: &Connection,
    seq: i64,
    id: &str,
    mut account: RequestAccount,
) -> Result<Option<String>, Error> {
    if let Some(what) = texts(connection, seq, &account)? {
        return Ok(Some(what));
    }
    if let Some(what) = votes(connection, seq, id, &account)? {
        return Ok(Some(what));
    }
    let executions = std::mem::take(&mut account.executions);
    let rehearsals = std::mem::take(&mut account.rehearsals);
    for (table, sql, expected) in [
        ("executions", EXECUTIONS, executions),
        ("rehearsals", REHEARSALS, rehearsals),
    ] {
        if let Some(what) = named(connection, table, sql, seq, expected)? {
            return Ok(Some(what));
        }
    }
    results(connection, seq, account)
}

/// The first row of a request in `table` that its events do not account for, or that is missing.
fn named(
    connection: &Connection,
    table: &str,
    sql: &str,
    seq: i64,
    mut account: BTreeMap<String, AccountedRow>,
) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(db)?;
    let mut rows = statement.query([seq]).map_err(db)?;
    while let Some(row) = rows.next().map_err(db)? {
        let id: String = row.get("id").map_err(db)?;
        let Some(expected) = account.remove(&id) else {
            return Ok(Some(format!("{table}, row {id}")));
        };
        if let Some(column) = column_differs(row, &expected).map_err(db)? {
            return Ok(Some(format!("{table}, row {id}, column {column}")));
        }
    }
    let missing = account.pop_first();
    Ok(missing.map(|(id, _)| format!("{table}, where {id} is missing,")))
}

fn texts(
    connection: &Connection,
    seq: i64,
    account: &RequestAccount,
) -> Result<Option<String>, Error> {
    let Some(created) = &account.created else {
        return Ok(Some("requests".to_owned()));
    };
    let stored = connection
        .prepare_cached(&format!("SELECT {STORED} WHERE r.seq = ?1"))
        .and_then(|mut s| s.query_row([seq], stored_request))
        .map_err(db)?;
    let broken = stored.breaks_commitment(created);
    let shown: Option<(Option<String>, Option<String>)> = connection
        .prepare_cached("SELECT redacted, fingerprint FROM request_texts WHERE request_seq = ?1")
        .and_then(|mut s| {
            s.query_row([seq], |r| Ok((r.get(0)?, r.get(1)?)))
                .optional()
        })
        .map_err(db)?;
    if broken.is_some() || shown.as_ref() != Some(&account.redacted) {
        return Ok(Some("request_texts".to_owned()));
    }
    let waits: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM request_approvers WHERE request_seq = ?1)")
        .and_then(|mut s| s.query_row([seq], |r| r.get(0)))
        .map_err(db)?;
    let pending =
        account.request.get("status") == Some(&AccountedValue::Text("pending".to_owned()));
    Ok((waits && !pending).then(|| "request_approvers".to_owned()))
}

fn votes(
    connection: &Connection,
    seq: i64,
    id: &str,
    account: &RequestAccount,
) -> Result<Option<String>, Error> {
    let stored: Vec<_> = connection
        .prepare_cached(VOTES)
        .and_then(|mut s| s.query_map([seq], stored_vote)?.collect::<Result<_, _>>())
        .map_err(db)?;
    let events: BTreeSet<i64> = stored.iter().map(|vote| vote.audit_seq).collect();
    let in_order = stored.is_sorted_by_key(|vote| vote.audit_seq);
    if !in_order || events.len() != stored.len() || events.len() != account.votes.len() {
        return Ok(Some("approvals".to_owned()));
    }
    for vote in &stored {
        let differs = match account.votes.get(&vote.audit_seq) {
            Some((event, at)) => vote.differs(id, event, *at),
            None => Some("audit_seq"),
        };
        if let Some(column) = differs {
            return Ok(Some(format!("approvals, column {column}")));
        }
    }
    Ok(None)
}

fn results(
    connection: &Connection,
    seq: i64,
    mut account: RequestAccount,
) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare_cached(RESULTS).map_err(db)?;
    let mut rows = statement.query([seq]).map_err(db)?;
    while let Some(row) = rows.next().map_err(db)? {
        let execution: Option<String> = row.get("execution").map_err(db)?;
        let execution = execution.unwrap_or_default();
        let Some(expected) = account.results.remove(&execution) else {
            return Ok(Some("results, column execution_seq".to_owned()));
        };
        if let Some(column) = column_differs(row, &expected).map_err(db)? {
            return Ok(Some(format!("results, column {column}")));
        }
        let number: i64 = row.get("execution_seq").map_err(db)?;
        if let Some(what) = body(connection, row, number)? {
            return Ok(Some(what));
        }
        let access: BTreeSet<String> = connection
            .prepare_cached("SELECT selector FROM result_access WHERE execution_seq = ?1")
            .and_then(|mut s| s.query_map([number], |r| r.get(0))?.collect())
            .map_err(db)?;
        if account.access.get(&execution).is_some_and(|a| *a != access) {
            return Ok(Some("result_access".to_owned()));
        }
    }
    for (execution, expected) in &account.results {
        let since = match expected.get("expires_at_ms") {
            Some(AccountedValue::Integer(ms)) => *ms,
            _ => 0,
        };
        let purged: bool = connection
            .prepare_cached(PURGED)
            .and_then(|mut s| s.query_row(params![execution, since], |r| r.get(0)))
            .map_err(db)?;
        if !purged {
            return Ok(Some(format!(
                "results, where that of {execution} is missing,"
            )));
        }
    }
    Ok(None)
}

/// A result that is a row of its own hashes to what the row of the result says.
fn body(connection: &Connection, row: &Row, execution: i64) -> Result<Option<String>, Error> {
    let (backend, checksum): (String, String) = row
        .get("backend")
        .and_then(|backend| Ok((backend, row.get("checksum_sha256")?)))
        .map_err(db)?;
    let body: Option<Vec<u8>> = connection
        .prepare_cached("SELECT body FROM result_bodies WHERE execution_seq = ?1")
        .and_then(|mut s| s.query_row([execution], |r| r.get(0)).optional())
        .map_err(db)?;
    let same = match (&body, backend == super::super::ROW) {
        (Some(body), true) => sha256_hex(body) == checksum,
        (None, false) => true,
        _ => false,
    };
    Ok((!same).then(|| "result_bodies".to_owned()))
}

/// Each event of a creation has its row, and each row the event that it names.
fn tokens(connection: &Connection, bound: i64) -> Result<Difference, Error> {
    let mut found = None;
    events_of_type(connection, "token.created", bound, |row| {
        let id = row.event.resource_id.clone().unwrap_or_default();
        let (expected, hash) = token_row(&row.event, row.at);
        let compared = connection
            .prepare_cached("SELECT * FROM tokens WHERE id = ?1")
            .and_then(|mut s| {
                s.query_row([&id], |r| {
                    let stored: String = r.get("token_hash")?;
                    let same = hash
                        .as_ref()
                        .is_none_or(|h| *h == sha256_hex(stored.as_bytes()));
                    let column = column_differs(r, &expected)?;
                    Ok(column.or((!same).then_some("token_hash")))
                })
                .optional()
            })
            .map_err(db)?;
        let problem = match compared {
            None => Some(format!("token {id} is missing")),
            Some(None) => None,
            Some(Some(column)) => Some(format!(
                "token {id}: tokens, column {column} is not what its event says"
            )),
        };
        if let Some(problem) = problem {
            found.get_or_insert((Some(row.event.id), problem));
        }
        Ok(())
    })?;
    if found.is_some() {
        return Ok(found);
    }
    let mut after = String::new();
    let mut next = connection.prepare(NEXT_TOKEN).map_err(db)?;
    loop {
        let row: Option<(String, i64, Option<i64>)> = next
            .query_row([&after], |r| {
                Ok((r.get("id")?, r.get("audit_seq")?, r.get("revoked_at_ms")?))
            })
            .optional()
            .map_err(db)?;
        let Some((id, seq, revoked)) = row else {
            return Ok(None);
        };
        after.clone_from(&id);
        if seq <= bound {
            continue;
        }
        let event = event_at(connection, seq)?;
        let named = event.as_ref().is_some_and(|row| {
            let e = &row.event;
            e.resource_id.as_deref() == Some(id.as_str())
                && match e.event_type.as_str() {
                    "token.created" => revoked.is_none(),
                    "token.revoked" => revoked == Some(row.at.0),
                    _ => false,
                }
        });
        if !named {
            let problem =
                format!("token {id}: the event that its row names does not account for it");
            return Ok(Some((event.map(|row| row.event.id), problem)));
        }
    }
}

/// What the events after `bound` say of one person.
#[derive(Default)]
struct Person {
    /// The first token for them, which makes the row where there is none. Its number and time, as of the others.
    first_token: Option<(i64, i64)>,
    last_change: Option<(i64, i64)>,
    status: Option<(i64, &'static str)>,
    slack: Option<AccountedValue>,
}

fn users(connection: &Connection, bound: i64) -> Result<Difference, Error> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for kind in [
        "token.created",
        "user.created",
        "user.activated",
        "user.disabled",
        "user.updated",
    ] {
        events_of_type(connection, kind, bound, |row| {
            let metadata = EventMetadata::by(&row.event);
            let id = match kind {
                "token.created" => metadata.text("subject_id").unwrap_or_default().to_owned(),
                _ => row.event.resource_id.clone().unwrap_or_default(),
            };
            people.entry(id).or_default().take(kind, &row, &metadata);
            Ok(())
        })?;
    }
    let mut after = String::new();
    let mut next = connection.prepare(NEXT_USER).map_err(db)?;
    loop {
        let mut rows = next.query([&after]).map_err(db)?;
        let Some(row) = rows.next().map_err(db)? else {
            break;
        };
        let id: String = row.get("id").map_err(db)?;
        after.clone_from(&id);
        let known = people.remove(&id);
        let seq: i64 = row.get("audit_seq").map_err(db)?;
        let expected = match (known, seq <= bound) {
            (None, true) => continue,
            (None, false) => AccountedRow::from([("audit_seq", AccountedValue::Null)]),
            (Some(person), old) => person.row(old),
        };
        if let Some(column) = column_differs(row, &expected).map_err(db)? {
            let event = event_at(connection, seq)?.map(|row| row.event.id);
            let problem = format!("person {id}: users, column {column} is not what the events say");
            return Ok(Some((event, problem)));
        }
    }
    let missing = people.into_iter().next();
    Ok(missing.map(|(id, _)| (None, format!("person {id} is missing"))))
}

impl Person {
    /// Events of one kind are taken in their order, one kind after another.
    fn take(&mut self, kind: &str, row: &EventRow, metadata: &EventMetadata) {
        let place = (row.seq, row.at.0);
        if kind == "token.created" {
            self.first_token.get_or_insert(place);
            return;
        }
        let status = match kind {
            "user.disabled" => Some("suspended"),
            "user.activated" => Some("active"),
            _ => None,
        };
        if let Some(status) = status
            && self.status.is_none_or(|(seq, _)| seq < row.seq)
        {
            self.status = Some((row.seq, status));
        }
        if kind == "user.updated" {
            let slack = metadata.text("slack_user_id");
            self.slack =
                Some(slack.map_or(AccountedValue::Null, |s| AccountedValue::Text(s.to_owned())));
        }
        if self.last_change.is_none_or(|(seq, _)| seq < row.seq) {
            self.last_change = Some(place);
        }
    }

    /// The row; one that is older than all these events was not made by a token.
    fn row(self, old: bool) -> AccountedRow {
        let mut row = AccountedRow::new();
        let changed = self.last_change.or(self.first_token.filter(|_| !old));
        if let Some((seq, at)) = changed {
            row.insert("audit_seq", AccountedValue::Integer(seq));
            row.insert("updated_at_ms", AccountedValue::Integer(at));
        }
        let status = self.status.map(|(_, status)| status);
        if let Some(status) = status.or((!old).then_some("active")) {
            row.insert("status", AccountedValue::Text(status.to_owned()));
        }
        if let Some(slack) = self.slack {
            row.insert("slack_user_id", slack);
        }
        row
    }
}
