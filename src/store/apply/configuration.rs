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

/// What an agent reported of a database: its dialect, which only a whole description says, and the newest description
/// of its tables. A failure, or one that is not used, keeps the last good one.
fn schema_synced(cx: &Context, schema: &NewSchema) -> Result<(), Error> {
    cx.one(
        "INSERT INTO stated_dialects (database_name, environment, agent_id, dialect, audit_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (database_name, environment, agent_id) DO UPDATE SET \
         dialect = excluded.dialect, audit_seq = excluded.audit_seq",
        params![
            schema.target.database(),
            schema.target.environment(),
            schema.agent_id,
            schema.dialect.as_str(),
            cx.audit_seq
        ],
    )?;
    if schema.status == "ready" {
        cx.one(
            "INSERT INTO reported_dialects (database_name, environment, agent_id, dialect, reported_at_ms, audit_seq) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (database_name, environment, agent_id) DO UPDATE SET \
             dialect = excluded.dialect, reported_at_ms = excluded.reported_at_ms, audit_seq = excluded.audit_seq",
            params![
                schema.target.database(),
                schema.target.environment(),
                schema.agent_id,
                schema.dialect.as_str(),
                cx.now.0,
                cx.audit_seq
            ],
        )?;
    }
    let snapshot = schema.snapshot_json.as_ref().filter(|_| schema.is_used);
    let collected = snapshot.map(|_| cx.now.0);
    cx.one(
        "INSERT INTO schema_snapshots (database_name, environment, dialect, snapshot_json, collected_at_ms, \
         last_status, last_error, last_sync_ms, agent_id, audit_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (database_name, environment) DO UPDATE SET \
         dialect = iif(excluded.snapshot_json IS NULL, dialect, excluded.dialect), \
         snapshot_json = coalesce(excluded.snapshot_json, snapshot_json), \
         collected_at_ms = coalesce(excluded.collected_at_ms, collected_at_ms), \
         last_status = excluded.last_status, last_error = excluded.last_error, \
         last_sync_ms = excluded.last_sync_ms, agent_id = excluded.agent_id, audit_seq = excluded.audit_seq",
        params![
            schema.target.database(),
            schema.target.environment(),
            schema.dialect.as_str(),
            snapshot,
            collected,
            if schema.is_used { schema.status } else { "failed" },
            schema.error_message,
            cx.now.0,
            schema.agent_id,
            cx.audit_seq
        ],
    )
}
