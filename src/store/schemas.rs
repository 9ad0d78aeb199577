//! Reading what agents reported of their databases.

use super::query::RunStatement;
use super::{View, corrupt};
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

impl View<'_> {
    /// What agents last reported of a database's dialect, newest report first.
    pub fn reported_dialects(&self, target: &Target) -> Result<Vec<ReportedDialect>, Error> {
        let rows: Vec<(String, String)> = self
            .connection
            .prepare_cached(
                "SELECT agent_id, dialect FROM reported_dialects WHERE database_name = ?1 AND environment = ?2 \
                 ORDER BY audit_seq DESC",
            )
            .and_then(|mut s| {
                let values = [target.database(), target.environment()];
                s.query_map(values, |r| Ok((r.get(0)?, r.get(1)?)))?
                    .collect()
            })
            ?;
        rows.into_iter()
            .map(|(agent_id, dialect)| {
                let dialect = Dialect::parse(&dialect)
                    .ok_or_else(|| corrupt("reported_dialects", target, "dialect"))?;
                Ok(ReportedDialect { agent_id, dialect })
            })
            .collect()
    }

    /// What each agent last stated of a database's dialect, be it with a description that failed.
    pub fn stated_dialects(&self, target: &Target) -> Result<Vec<(String, Dialect)>, Error> {
        let rows: Vec<(String, String)> = self
            .connection
            .prepare_cached(
                "SELECT agent_id, dialect FROM stated_dialects WHERE database_name = ?1 AND environment = ?2",
            )
            .and_then(|mut s| {
                let values = [target.database(), target.environment()];
                s.query_map(values, |r| Ok((r.get(0)?, r.get(1)?)))?
                    .collect()
            })?;
        let parsed = |(agent_id, name): (String, String)| {
            let dialect = Dialect::parse(&name)
                .ok_or_else(|| corrupt("stated_dialects", target, "dialect"))?;
            Ok((agent_id, dialect))
        };
        rows.into_iter().map(parsed).collect()
    }

    /// What is known of a database.
    pub fn find_schema(&self, target: &Target) -> Result<Option<SchemaRow>, Error> {
        let row: Option<(String, SchemaRow)> = self
            .connection
            .find("SELECT dialect, snapshot_json, collected_at_ms, last_status, last_error, last_sync_ms, agent_id \
                 FROM schema_snapshots WHERE database_name = ?1 AND environment = ?2", [target.database(), target.environment()], |r| {
                    let row = SchemaRow {
                        dialect: Dialect::Postgres,
                        snapshot_json: r.get(1)?,
                        collected_at: r.get::<_, Option<i64>>(2)?.map(Timestamp),
                        last_status: r.get(3)?,
                        last_error: r.get(4)?,
                        last_sync: Timestamp(r.get(5)?),
                        agent_id: r.get(6)?,
                    };
                    Ok((r.get(0)?, row))
                })?;
        row.map(|(dialect, row)| {
            let dialect = Dialect::parse(&dialect)
                .ok_or_else(|| corrupt("schema_snapshots", target, "dialect"))?;
            Ok(SchemaRow { dialect, ..row })
        })
        .transpose()
    }
}
