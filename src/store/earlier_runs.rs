//! Proves what earlier executions left in the rows of a request, before another one is signed for it: how many there
//! were, since when, and how they ended decide whether it may run again.

use super::View;
use super::audit::EventRow;
use super::query::{RunStatement, first};
use super::verify::columns_differ;
use crate::domain::accounts::{AccountedRow, AccountedValue, EventMetadata, RequestAccount};
use crate::domain::request::{Request, Status};
use crate::error::Error;
use rusqlite::Row;

/// The events that end an execution. There are as many as the policy allows runs, and a lost one now and then.
const ENDS: &str = "SELECT seq FROM audit_events WHERE request_id = ?1 AND (event_type = 'execution.completed' \
    OR event_type = 'execution.failed' OR event_type = 'execution.lost') ORDER BY seq";
const REQUEST: &str = "SELECT executions_finished, executions_lost, first_completed_at_ms FROM requests WHERE seq = ?1";
const EXECUTION: &str = "SELECT status, outcome FROM executions WHERE id = ?1 AND request_seq = ?2";

impl View<'_> {
    /// Whether the request's executions are those that the audit log tells of, and their count and the beginning of the
    /// window too. The sums of live rows do not cover a request that has run, so that nothing else shows whether the log
    /// still has all of its runs: where it has one, it must be whole from the request's creation on.
    pub(super) fn ran_as_logged(
        &self,
        request: &Request,
        created: &EventRow,
    ) -> Result<bool, Error> {
        let begun = AccountedRow::from([
            ("executions_finished", AccountedValue::Integer(0)),
            ("executions_lost", AccountedValue::Integer(0)),
            ("first_completed_at_ms", AccountedValue::Null),
        ]);
        let mut account = RequestAccount::default();
        account.request.clone_from(&begun);
        let ends = self.connection.list(ENDS, [&request.id], first)?;
        if !ends.is_empty() && !self.is_whole_after(created)? {
            return Ok(false);
        }
        let mut last = None;
        for seq in ends {
            let Some(row) = self.proved_event(seq)? else {
                return Ok(false);
            };
            if row.event.request_id.as_deref() != Some(request.id.as_str()) {
                return Ok(false);
            }
            account.take(seq, &row.event, row.at);
            let lost = EventMetadata::by(&row.event);
            last = lost
                .text("execution_id")
                .map(str::to_owned)
                .or(row.event.resource_id);
        }
        // By the last one it was decided whether it may run once more, and what that takes.
        if request.status() == Status::Dispatched && request.execution_id != last {
            return Ok(false);
        }
        account
            .request
            .retain(|column, _| begun.contains_key(column));
        if self
            .connection
            .one(REQUEST, [request.seq], |row| differs(row, &account.request))?
        {
            return Ok(false);
        }
        for (id, mut execution) in account.executions {
            execution.retain(|column, _| matches!(*column, "status" | "outcome"));
            let found = self
                .connection
                .find(EXECUTION, (id, request.seq), |row| differs(row, &execution))?;
            if found != Some(false) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn differs(row: &Row, expected: &AccountedRow) -> Result<bool, Error> {
    Ok(!columns_differ(row, expected)?.is_empty())
}
