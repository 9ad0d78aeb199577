//! Reading what agents reported of their databases.

use super::View;
use super::query::{RunStatement, tuple};
use super::row_columns::{ReadColumn, columns};
use crate::clock::Timestamp;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::error::Error;

/// The newest description of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRow {
    /// That of the description.
    pub dialect: Dialect,
    /// The last good description, as JSON.
    pub snapshot_json: Option<String>,
    /// When that was collected.
    pub collected_at: Option<Timestamp>,
    /// How the last attempt went: `ready`, `partial` or `failed`.
    pub last_status: String,
    /// What was wrong with it.
    pub last_error: Option<String>,
    pub last_sync: Timestamp,
    /// Which agent it was.
    pub agent_id: String,
}

/// The dialect that an agent last reported of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedDialect {
    pub agent_id: String,
    pub dialect: Dialect,
}

columns! {
    enum Column of "schema_snapshots" from "schema_snapshots" {
        Agent = "agent_id",
        Dialect = "dialect",
        Snapshot = "snapshot_json",
        CollectedAt = "collected_at_ms",
        LastStatus = "last_status",
        LastError = "last_error",
        LastSync = "last_sync_ms",
    }
    OF_TARGET = "WHERE database_name = ?1 AND environment = ?2";
}

impl View<'_> {
    /// What agents last reported of a database's dialect, newest report first.
    pub fn reported_dialects(&self, target: &Target) -> Result<Vec<ReportedDialect>, Error> {
        self.connection.list(
            "SELECT agent_id, dialect FROM reported_dialects WHERE database_name = ?1 AND environment = ?2 \
             ORDER BY audit_seq DESC",
            [target.database(), target.environment()],
            |r| {
                let (agent_id, dialect) = tuple(r)?;
                Ok(ReportedDialect { agent_id, dialect })
            },
        )
    }

    /// What each agent last stated of a database's dialect, be it with a description that failed.
    pub fn stated_dialects(&self, target: &Target) -> Result<Vec<(String, Dialect)>, Error> {
        self.connection.list(
            "SELECT agent_id, dialect FROM stated_dialects WHERE database_name = ?1 AND environment = ?2",
            [target.database(), target.environment()],
            tuple,
        )
    }

    /// What is known of a database.
    pub fn find_schema(&self, target: &Target) -> Result<Option<SchemaRow>, Error> {
        use Column as C;
        let target = [target.database(), target.environment()];
        self.connection.find(OF_TARGET, target, |r| {
            Ok(SchemaRow {
                dialect: r.column(C::Dialect)?,
                snapshot_json: r.column(C::Snapshot)?,
                collected_at: r.column(C::CollectedAt)?,
                last_status: r.column(C::LastStatus)?,
                last_error: r.column(C::LastError)?,
                last_sync: r.column(C::LastSync)?,
                agent_id: r.column(C::Agent)?,
            })
        })
    }
}
