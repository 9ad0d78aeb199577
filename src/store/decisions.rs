//! Every recorded decision, oldest first, with the policies that decided: for replaying them. Through a connection of
//! its own that cannot write, so that it holds nobody up and works next to a running server.

use super::read_only;
use crate::clock::Timestamp;
use crate::domain::decision::replay::Recorded;
use crate::domain::policy::Policies;
use crate::error::Error;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// Shows `each` every decision recorded in the database file at `path` since that time, and the policies that decided;
/// `None` where these are not kept or cannot be read. Corrupt requests are left out: their facts are not those that were
/// decided on. Holds one decision and one set of policies at a time.
///
/// # Errors
/// `internal` when the file cannot be read.
pub fn each_decision(
    path: &Path,
    since: Timestamp,
    each: &mut dyn FnMut(&Recorded, Option<&Policies>),
) -> Result<(), Error> {
    let connection = read_only(path)?;
    // How a request opened is read from the audit log: its chain proves it, while the request has moved on since.
    let mut statement = connection
        .prepare(
            "SELECT r.id, r.operation, r.risk_level, r.policy_version, t.facts_json, t.trace_json, t.workflow_json, \
             (SELECT e.to_status FROM audit_events e WHERE e.request_id = r.id AND e.from_status = 'new') \
             FROM requests r LEFT JOIN request_texts t ON t.request_seq = r.seq \
             WHERE r.created_at_ms >= ?1 AND r.corrupt_seq IS NULL ORDER BY r.seq",
        )
        ?;
    let mut rows = statement.query([since.0])?;
    let mut policies: Option<(String, Option<Policies>)> = None;
    while let Some(row) = rows.next()? {
        let text = |n: usize| -> Result<String, Error> {
            let text: Option<String> = row.get(n)?;
            Ok(text.unwrap_or_default())
        };
        let recorded = Recorded {
            id: text(0)?,
            operation: text(1)?,
            risk_level: text(2)?,
            policy_version: text(3)?,
            facts: text(4)?,
            trace: text(5)?,
            workflow: row.get(6)?,
            opening: text(7)?,
        };
        if policies
            .as_ref()
            .is_none_or(|(version, _)| *version != recorded.policy_version)
        {
            let version = recorded.policy_version.clone();
            let read = find_policies(&connection, &version)?;
            policies = Some((version, read));
        }
        each(&recorded, policies.as_ref().and_then(|(_, p)| p.as_ref()));
    }
    Ok(())
}

fn find_policies(connection: &Connection, version: &str) -> Result<Option<Policies>, Error> {
    let text: Option<String> = connection
        .query_row(
            "SELECT text FROM policy_versions WHERE sha256 = ?1",
            [version],
            |r| r.get(0),
        )
        .optional()?;
    Ok(text.and_then(|text| Policies::from_canonical(&text)))
}
