//! Rows of policies, and of the databases' schemas as agents report them.

use super::Context;
use crate::domain::change::{ConfigurationChange, NewSchema};
use crate::error::Error;
use rusqlite::params;

/// Writes the rows of a change of this group.
pub(super) fn apply(cx: &Context, change: &ConfigurationChange) -> Result<(), Error> {
    match change {
        ConfigurationChange::ConfigSynced {
            policy_version,
            policy_text,
            ..
        }
        | ConfigurationChange::RoleDeleted {
            policy_version,
            policy_text,
            ..
        } => policies(cx, policy_version, policy_text),
        ConfigurationChange::SchemaSynced(schema) => schema_synced(cx, schema),
        // Stands in the audit log alone.
        ConfigurationChange::ConfigRejected { .. } => Ok(()),
    }
}

/// Keeps the text of a set of policies, unless it is kept already.
fn policies(cx: &Context, version: &str, text: &str) -> Result<(), Error> {
    cx.any(
        "INSERT INTO policy_versions (sha256, text, audit_seq, created_at_ms) \
         SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM policy_versions WHERE sha256 = ?1)",
        params![version, text, cx.audit_seq, cx.now.0],
    )?;
    Ok(())
}

/// The newest description of a database; a failure keeps the last good one.
fn schema_synced(cx: &Context, schema: &NewSchema) -> Result<(), Error> {
    let collected = schema.snapshot_json.is_some().then_some(cx.now.0);
    cx.one(
        "INSERT INTO schema_snapshots (database_name, environment, dialect, snapshot_json, collected_at_ms, \
         last_status, last_error, last_sync_ms, agent_id, audit_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (database_name, environment) DO UPDATE SET dialect = excluded.dialect, \
         snapshot_json = coalesce(excluded.snapshot_json, snapshot_json), \
         collected_at_ms = coalesce(excluded.collected_at_ms, collected_at_ms), \
         last_status = excluded.last_status, last_error = excluded.last_error, \
         last_sync_ms = excluded.last_sync_ms, agent_id = excluded.agent_id, audit_seq = excluded.audit_seq",
        params![
            schema.target.database,
            schema.target.environment,
            schema.dialect.as_str(),
            schema.snapshot_json,
            collected,
            schema.status,
            schema.error_message,
            cx.now.0,
            schema.agent_id,
            cx.audit_seq
        ],
    )
}
