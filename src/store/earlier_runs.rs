//! Proves what earlier executions left in the rows of a request, before another one is signed for it: how many there
//! were, since when, and how they ended decide whether it may run again.

use super::View;
use super::query::{RunStatement, first};
use crate::domain::accounts::{AccountedRow, AccountedValue, RequestAccount};
use crate::domain::request::Request;
use crate::error::Error;

/// The events that end an execution. There are as many as the policy allows runs, and a lost one now and then.
const ENDS: &str = "SELECT seq FROM audit_events WHERE request_id = ?1 AND (event_type = 'execution.completed' \
    OR event_type = 'execution.failed' OR event_type = 'execution.lost') ORDER BY seq";

const STORED: &str = "SELECT status, outcome FROM executions WHERE id = ?1 AND request_seq = ?2";

impl View<'_> {
    /// Whether the request's executions are those that the audit log tells of, and their count and the beginning of the
    /// window too.
    pub(super) fn ran_as_logged(&self, request: &Request) -> Result<bool, Error> {
        let mut account = RequestAccount::default();
        account.request = AccountedRow::from([
            ("executions_finished", AccountedValue::Integer(0)),
            ("executions_lost", AccountedValue::Integer(0)),
            ("first_completed_at_ms", AccountedValue::Null),
        ]);
        for seq in self.connection.list(ENDS, [&request.id], first)? {
            let Some(row) = self.proved_event(seq)? else {
                return Ok(false);
            };
            if row.event.request_id.as_deref() != Some(request.id.as_str()) {
                return Ok(false);
            }
            account.take(seq, &row.event, row.at);
        }
        let since = request.first_completed_at.map(|at| at.0);
        let stored = [
            ("executions_finished", count(request.executions_finished)),
            ("executions_lost", count(request.executions_lost)),
            (
                "first_completed_at_ms",
                since.map_or(AccountedValue::Null, AccountedValue::Integer),
            ),
        ];
        if stored
            .iter()
            .any(|(column, value)| account.request.get(column) != Some(value))
        {
            return Ok(false);
        }
        for (id, row) in &account.executions {
            let found = self.connection.find(STORED, (id, request.seq), |r| {
                Ok([("status", r.get(0)?), ("outcome", r.get(1)?)])
            })?;
            let Some(found) = found else { return Ok(false) };
            let differs = found.into_iter().any(|(column, value)| {
                let value: Option<String> = value;
                row.get(column).is_some_and(|expected| {
                    *expected != value.map_or(AccountedValue::Null, AccountedValue::Text)
                })
            });
            if differs {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn count(n: u32) -> AccountedValue {
    AccountedValue::Integer(n.into())
}
