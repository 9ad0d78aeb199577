//! Every recorded decision, oldest first, with the policies that decided: for replaying them. Through a connection of
//! its own that cannot write, so that it holds nobody up and works next to a running server.

use super::query::{RunStatement, first};
use super::read_only;
use super::row_columns::{ReadColumn, columns};
use crate::clock::Timestamp;
use crate::domain::decision::replay::Recorded;
use crate::domain::policy::Policies;
use crate::error::Error;
use rusqlite::Connection;
use std::path::Path;

columns! {
    enum DecisionColumn of "requests" from "requests r LEFT JOIN request_texts t ON t.request_seq = r.seq" {
        Id = "r.id",
        Operation = "r.operation",
        RiskLevel = "r.risk_level",
        PolicyVersion = "r.policy_version",
        Facts = "t.facts_json",
        Trace = "t.trace_json",
        Workflow = "t.workflow_json",
        // From the audit log: its chain proves it, while the request has moved on since.
        Opening = "(SELECT e.to_status FROM audit_events e WHERE e.request_id = r.id AND e.from_status = 'new')",
    }
    SINCE = "WHERE r.created_at_ms >= ?1 AND r.corrupt_seq IS NULL ORDER BY r.seq";
}

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
    use DecisionColumn as C;
    let connection = read_only(path)?;
    let mut statement = connection.prepare(SINCE)?;
    let mut rows = statement.query([since.0])?;
    let mut policies: Option<(String, Option<Policies>)> = None;
    while let Some(row) = rows.next()? {
        let text = |column| -> Result<String, Error> {
            let text: Option<String> = row.column(column)?;
            Ok(text.unwrap_or_default())
        };
        let recorded = Recorded {
            id: text(C::Id)?,
            operation: text(C::Operation)?,
            risk_level: text(C::RiskLevel)?,
            policy_version: text(C::PolicyVersion)?,
            facts: text(C::Facts)?,
            trace: text(C::Trace)?,
            workflow: row.column(C::Workflow)?,
            opening: text(C::Opening)?,
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
    let text: Option<String> = connection.find(
        "SELECT text FROM policy_versions WHERE sha256 = ?1",
        [version],
        first,
    )?;
    Ok(text.and_then(|text| Policies::from_canonical(&text)))
}
