//! Compares every row of a request that an event accounts for with what the events say: the request with its texts,
//! votes, executions and results. One request at a time, so that memory does not grow with the log.

use super::super::audit::{EventRow, events_of};
use super::super::live::open::OPEN_STATUSES;
use super::super::proof::{STORED, VOTES, stored_request, stored_vote};
use super::super::query::{RunStatement, first, tuple};
use super::differences::{Differences, RowDifference, RowOwner};
use crate::crypto::sha256_hex;
use crate::domain::accounts::{
    AccountedRow, AccountedValue, ERROR_SHA256, RESULT_SHA256, RequestAccount, TOKEN_SHA256,
};
use crate::domain::policy::workflow::Workflow;
use crate::error::Error;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, BTreeSet};

const NEXT_REQUEST: &str = "SELECT * FROM requests WHERE seq >= ?1 ORDER BY seq LIMIT 1";
const EXECUTIONS: &str = "SELECT * FROM executions WHERE request_seq = ?1 ORDER BY attempt";
const REHEARSALS: &str = "SELECT * FROM rehearsals WHERE request_seq = ?1 ORDER BY seq";
const RESULTS: &str = "SELECT x.*, e.id AS execution FROM results x \
     LEFT JOIN executions e ON e.seq = x.execution_seq WHERE x.request_seq = ?1";
/// A purge names what it removes, soon after its time was over.
const PURGED: &str = "SELECT EXISTS (SELECT 1 FROM audit_events e, json_each(e.metadata_json, '$.executions') j \
     WHERE e.event_type = 'result.purged' AND j.value = ?1 \
     AND e.seq >= coalesce((SELECT min(seq) FROM audit_events WHERE created_at_ms >= ?2), 0))";

/// Requests that were found to be corrupt.
const FROZEN: &str = "SELECT request_id FROM audit_events WHERE event_type = 'request.corrupt'";

/// Selects requests whose last move left them in one of the statuses that follow.
const LEFT_IN: &str = "a.request_id FROM audit_events a WHERE NOT EXISTS (SELECT 1 FROM audit_events b \
     WHERE b.request_id = a.request_id AND b.to_status IS NOT NULL AND b.seq > a.seq) AND a.to_status IN";

/// What the commitment of a request covers of its texts; which of them differs, a hash cannot tell.
const COMMITTED: [&str; 4] = ["detail", "plan_json", "workflow_json", "salt"];
/// The same for what goes along with it.
const COMMITTED_CONTEXT: [&str; 4] = [
    "facts_json",
    "trace_json",
    "metadata_json",
    "share_with_json",
];

/// Which requests are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum RequestScope {
    All,
    /// Those that something can still come of.
    Open,
}

/// The columns of a row that do not hold what they must.
pub(in crate::store) fn columns_differ(
    row: &Row,
    expected: &AccountedRow,
) -> rusqlite::Result<Vec<&'static str>> {
    let mut differing = Vec::new();
    for (column, cell) in expected {
        let hashed = match *column {
            TOKEN_SHA256 => Some("token_json"),
            ERROR_SHA256 => Some("error_message"),
            RESULT_SHA256 => Some("result_json"),
            _ => None,
        };
        let column = hashed.unwrap_or(column);
        let same = match (row.get_ref(column)?, cell) {
            (ValueRef::Null, AccountedValue::Null) => true,
            (ValueRef::Integer(n), AccountedValue::Integer(m)) => n == *m,
            (ValueRef::Text(text), AccountedValue::Text(hash)) if hashed.is_some() => {
                sha256_hex(text) == *hash
            }
            (ValueRef::Text(text), AccountedValue::Text(other)) => text == other.as_bytes(),
            _ => false,
        };
        if !same {
            differing.push(column);
        }
    }
    Ok(differing)
}

/// Compares the requests of that scope.
pub(super) fn requests(
    connection: &Connection,
    scope: RequestScope,
    differences: &mut Differences,
) -> Result<(), Error> {
    let mut next = connection.prepare(NEXT_REQUEST)?;
    let mut open = match scope {
        RequestScope::All => None,
        RequestScope::Open => Some(open_requests(connection)?.into_iter()),
    };
    let mut after = i64::MIN;
    while !differences.is_full() {
        let from = match &mut open {
            None => after.saturating_add(1),
            Some(open) => match open.next() {
                Some(seq) => seq,
                None => break,
            },
        };
        let mut rows = next.query([from])?;
        let Some(row) = rows.next()? else {
            break;
        };
        after = row.get("seq")?;
        request(connection, row, after, differences)?;
    }
    Ok(())
}

/// Rows of requests that are open by their status, or by what the log has of them.
fn open_requests(connection: &Connection) -> Result<Vec<i64>, Error> {
    let sql = format!(
        "SELECT r.seq FROM requests r WHERE r.status IN ({OPEN_STATUSES}) OR r.corrupt_seq IS NOT NULL \
         OR r.id IN ({FROZEN}) OR r.id IN (SELECT {LEFT_IN} ({OPEN_STATUSES})) ORDER BY r.seq"
    );
    connection.list(&sql, [], first)
}

/// Requests that were open by their last move, and whose rows are missing. Those that were found to be corrupt are
/// recorded already.
pub(in crate::store) fn missing_requests(
    connection: &Connection,
    bound: i64,
    differences: &mut Differences,
) -> Result<(), Error> {
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT id, request_id, max(seq) FROM audit_events WHERE seq > ?1 AND to_status IS NOT NULL \
             AND request_id IN (SELECT {LEFT_IN} ({OPEN_STATUSES})) AND request_id NOT IN (SELECT id FROM requests) \
             AND request_id NOT IN (SELECT id FROM purged_requests) \
             AND request_id NOT IN (SELECT request_id FROM audit_events WHERE event_type = 'request.corrupt') \
             GROUP BY request_id"
        ))?;
    let mut rows = statement.query([bound])?;
    while let Some(row) = rows.next()? {
        let owner = RowOwner::Request(row.get("request_id")?);
        differences.add(RowDifference {
            event: row.get("id")?,
            ..RowDifference::missing(owner, "requests")
        });
    }
    Ok(())
}

fn request(
    connection: &Connection,
    row: &Row,
    seq: i64,
    differences: &mut Differences,
) -> Result<(), Error> {
    let id: String = row.get("id")?;
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
    let mut found = Parts {
        connection,
        seq,
        id: &id,
        found: Vec::new(),
    };
    let columns = columns_differ(row, &account.request)?;
    if !columns.is_empty() {
        found.add("requests", &columns);
    }
    if !account.frozen {
        found.compare(account)?;
    }
    for difference in found.found {
        differences.add(RowDifference {
            event: last.clone(),
            ..difference
        });
    }
    Ok(())
}

/// A value of another type, or bytes that are not text.
fn is_unreadable(e: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    matches!(
        e,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..)
    )
}

/// One request, and what of its rows differs.
struct Parts<'a> {
    connection: &'a Connection,
    seq: i64,
    id: &'a str,
    found: Vec<RowDifference>,
}

impl Parts<'_> {
    fn owner(&self) -> RowOwner {
        RowOwner::Request(self.id.to_owned())
    }

    fn add(&mut self, table: &'static str, columns: &[&'static str]) {
        let difference = RowDifference::new(self.owner(), table, columns.to_vec());
        self.found.push(difference);
    }

    fn add_row(&mut self, table: &'static str, row: &str, columns: &[&'static str]) {
        let difference = RowDifference::new(self.owner(), table, columns.to_vec());
        self.found.push(difference.of_row(row));
    }

    fn add_missing(&mut self, table: &'static str, row: Option<&str>) {
        let difference = RowDifference::missing(self.owner(), table);
        self.found.push(match row {
            Some(row) => difference.of_row(row),
            None => difference,
        });
    }

    fn compare(&mut self, mut account: RequestAccount) -> Result<(), Error> {
        if account.created.is_none() {
            self.add("requests", &[]);
            return Ok(());
        }
        self.texts(&account)?;
        self.approvers(&account)?;
        self.votes(&account)?;
        let executions = std::mem::take(&mut account.executions);
        self.named("executions", EXECUTIONS, executions)?;
        let rehearsals = std::mem::take(&mut account.rehearsals);
        self.named("rehearsals", REHEARSALS, rehearsals)?;
        self.results(account)
    }

    /// Rows of `table` that the events do not account for, or that are missing.
    fn named(
        &mut self,
        table: &'static str,
        sql: &str,
        mut account: BTreeMap<String, AccountedRow>,
    ) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([self.seq])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get("id")?;
            let Some(expected) = account.remove(&id) else {
                self.add_row(table, &id, &[]);
                continue;
            };
            let columns = columns_differ(row, &expected)?;
            if !columns.is_empty() {
                self.add_row(table, &id, &columns);
            }
        }
        for id in account.into_keys() {
            self.add_missing(table, Some(&id));
        }
        Ok(())
    }

    fn texts(&mut self, account: &RequestAccount) -> Result<(), Error> {
        let Some(created) = &account.created else {
            return Ok(());
        };
        let shown: Option<(Option<String>, Option<String>)> = self.connection.find(
            "SELECT redacted, fingerprint FROM request_texts WHERE request_seq = ?1",
            [self.seq],
            tuple,
        )?;
        let Some((redacted, fingerprint)) = shown else {
            self.add_missing("request_texts", None);
            return Ok(());
        };
        let differing: Vec<&'static str> = [
            ("redacted", redacted == account.redacted.0),
            ("fingerprint", fingerprint == account.redacted.1),
        ]
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(column, _)| column)
        .collect();
        if !differing.is_empty() {
            self.add("request_texts", &differing);
        }
        let stored = self
            .connection
            .prepare_cached(STORED)
            .and_then(|mut s| s.query_row([self.seq], stored_request));
        let broken = match stored {
            Err(e) if is_unreadable(&e) => Some("texts"),
            stored => stored?.breaks_commitment(created),
        };
        match broken {
            None => {}
            Some("texts") => self.add("request_texts", &COMMITTED),
            Some(_) => {
                self.add("request_texts", &COMMITTED_CONTEXT);
                self.add("request_contexts", &["context_json"]);
            }
        }
        Ok(())
    }

    /// Whom a pending request waits for: the approvers of its step, and nobody otherwise.
    fn approvers(&mut self, account: &RequestAccount) -> Result<(), Error> {
        let stored: Vec<String> = self.connection.list(
            "SELECT selector FROM request_approvers WHERE request_seq = ?1",
            [self.seq],
            first,
        )?;
        let stored = BTreeSet::from_iter(stored);
        let pending =
            account.request.get("status") == Some(&AccountedValue::Text("pending".to_owned()));
        let expected = match (pending, account.request.get("current_step")) {
            (false, _) => BTreeSet::new(),
            (true, Some(AccountedValue::Integer(step))) => match self.step_approvers(*step)? {
                Some(expected) => expected,
                None => return Ok(()),
            },
            // Older events do not say at which step it stands.
            (true, _) => return Ok(()),
        };
        if stored != expected {
            self.add("request_approvers", &["selector", "request_seq"]);
        }
        Ok(())
    }

    /// The selectors of one step of its workflow; none where that cannot be read, which its texts say.
    fn step_approvers(&self, step: i64) -> Result<Option<BTreeSet<String>>, Error> {
        let workflow: Option<Option<String>> = self.connection.find(
            "SELECT workflow_json FROM request_texts WHERE request_seq = ?1",
            [self.seq],
            first,
        )?;
        let workflow = workflow.flatten().as_deref().and_then(Workflow::from_text);
        let step = usize::try_from(step).ok();
        Ok(workflow.zip(step).and_then(|(workflow, step)| {
            let approvers = &workflow.steps.get(step)?.approvers;
            Some(approvers.iter().map(|a| a.selector.to_string()).collect())
        }))
    }

    fn votes(&mut self, account: &RequestAccount) -> Result<(), Error> {
        let stored = self
            .connection
            .prepare_cached(VOTES)
            .and_then(|mut s| s.query_map([self.seq], stored_vote)?.collect());
        let stored: Vec<_> = match stored {
            Err(e) if is_unreadable(&e) => {
                self.add("approvals", &[]);
                return Ok(());
            }
            stored => stored?,
        };
        let mut cast: BTreeSet<i64> = account.votes.keys().copied().collect();
        let before = self.found.len();
        for vote in &stored {
            let columns = match account.votes.get(&vote.audit_seq) {
                Some((event, at)) if cast.remove(&vote.audit_seq) => {
                    vote.differing(self.id, event, *at)
                }
                _ => vec!["audit_seq"],
            };
            if !columns.is_empty() {
                self.add_row("approvals", &format!("of {}", vote.actor_id), &columns);
            }
        }
        if let Some(event) = cast.first()
            && self.found.len() == before
        {
            self.add_missing("approvals", Some(&format!("of event {event}")));
        }
        if self.found.len() == before && !stored.is_sorted_by_key(|vote| vote.audit_seq) {
            self.add("approvals", &["id"]);
        }
        Ok(())
    }

    fn results(&mut self, mut account: RequestAccount) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(RESULTS)?;
        let mut rows = statement.query([self.seq])?;
        while let Some(row) = rows.next()? {
            let execution: Option<String> = row.get("execution")?;
            let execution = execution.unwrap_or_default();
            let Some(expected) = account.results.remove(&execution) else {
                self.add("results", &["execution_seq"]);
                continue;
            };
            let columns = columns_differ(row, &expected)?;
            if !columns.is_empty() {
                self.add_row("results", &execution, &columns);
            }
            let number: i64 = row.get("execution_seq")?;
            if !body_is_intact(self.connection, row, number)? {
                self.add_row("result_bodies", &execution, &[]);
            }
            let access: Vec<String> = self.connection.list(
                "SELECT selector FROM result_access WHERE execution_seq = ?1",
                [number],
                first,
            )?;
            let access = BTreeSet::from_iter(access);
            if account.access.get(&execution).is_some_and(|a| *a != access) {
                self.add_row("result_access", &execution, &[]);
            }
        }
        for (execution, expected) in &account.results {
            let since = match expected.get("expires_at_ms") {
                Some(AccountedValue::Integer(ms)) => *ms,
                _ => 0,
            };
            let purged: bool = self
                .connection
                .one(PURGED, params![execution, since], first)?;
            if !purged {
                self.add_missing("results", Some(execution));
            }
        }
        Ok(())
    }
}

/// A result that is a row of its own hashes to what the row of the result says.
fn body_is_intact(connection: &Connection, row: &Row, execution: i64) -> Result<bool, Error> {
    let backend: String = row.get("backend")?;
    let checksum: String = row.get("checksum_sha256")?;
    let body: Option<Vec<u8>> = connection.find(
        "SELECT body FROM result_bodies WHERE execution_seq = ?1",
        [execution],
        first,
    )?;
    Ok(match (&body, backend == super::super::ROW) {
        (Some(body), true) => sha256_hex(body) == checksum,
        (None, false) => true,
        _ => false,
    })
}
