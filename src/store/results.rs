//! Reading what is known of stored results.

use super::query::{RunStatement, first, target};
use super::scopes::within;
use super::{View, Viewer, corrupt};
use crate::clock::Timestamp;
use crate::domain::id::{Operation, Target};
use crate::error::Error;
use rusqlite::params_from_iter;
use rusqlite::types::Value as Sql;

/// Backend of a result that is a row of the database, in the transaction that reports it.
pub const ROW: &str = "row";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// Where it is stored.
    pub backend: String,
    pub key: String,
    pub content_length: u64,
    pub checksum_sha256: String,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// When it may be removed.
    pub expires_at: Timestamp,
}

/// A stored result in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultItem {
    pub request_id: String,
    pub execution_id: String,
    pub target: Target,
    pub operation: Operation,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Size of the download.
    pub content_length: u64,
}

impl View<'_> {
    /// The stored result of an execution.
    pub fn find_result(&self, execution_seq: i64) -> Result<Option<ResultRow>, Error> {
        self.connection
            .find("SELECT backend, object_key, content_length, checksum_sha256, stored_at_ms, expires_at_ms \
                 FROM results WHERE execution_seq = ?1", [execution_seq], |r| {
                    Ok(ResultRow {
                        backend: r.get(0)?,
                        key: r.get(1)?,
                        content_length: u64::try_from(r.get::<_, i64>(2)?).unwrap_or(0),
                        checksum_sha256: r.get(3)?,
                        stored_at: Timestamp(r.get(4)?),
                        expires_at: Timestamp(r.get(5)?),
                    })
                })
    }

    /// The envelope of a result that is a row, of the backend [`ROW`].
    pub fn find_result_body(&self, execution_seq: i64) -> Result<Option<Vec<u8>>, Error> {
        self.connection.find(
            "SELECT body FROM result_bodies WHERE execution_seq = ?1",
            [execution_seq],
            first,
        )
    }

    /// Stored results within `viewer.view` that `viewer` may see, newest first: their own, those shared with them, and
    /// everybody's where they hold `*`.
    pub fn list_results(
        &self,
        viewer: &Viewer,
        now: Timestamp,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ResultItem>, Error> {
        let (branches, mut values) = visible(viewer);
        let mut viewed = "0".to_owned();
        for scopes in &viewer.view {
            viewed.push_str(" OR (1 = 1");
            for scope in scopes {
                within("q", scope, &mut viewed, &mut values);
            }
            viewed.push(')');
        }
        values.push(now.0.into());
        values.push(i64::from(limit).into());
        values.push(i64::from(offset).into());
        let sql = format!(
            "SELECT q.id, e.id, q.database_name, q.environment, q.operation, x.stored_at_ms, x.content_length \
             FROM ({branches}) v JOIN results x ON x.execution_seq = v.seq JOIN executions e ON e.seq = v.seq \
             JOIN requests q ON q.seq = x.request_seq WHERE ({viewed}) AND x.expires_at_ms > ? \
             ORDER BY v.seq DESC LIMIT ? OFFSET ?"
        );
        let rows: Vec<(ResultItem, String)> =
            self.connection.list(&sql, params_from_iter(values), |r| {
                let item = ResultItem {
                    request_id: r.get(0)?,
                    execution_id: r.get(1)?,
                    target: target(r, 2, 3)?,
                    operation: Operation::ExecuteDml,
                    stored_at: Timestamp(r.get(5)?),
                    content_length: u64::try_from(r.get::<_, i64>(6)?).unwrap_or(0),
                };
                Ok((item, r.get(4)?))
            })?;
        rows.into_iter()
            .map(|(item, operation)| {
                let operation = Operation::parse(&operation)
                    .ok_or_else(|| corrupt("requests", &item.request_id, "operation"))?;
                Ok(ResultItem { operation, ..item })
            })
            .collect()
    }
}

fn visible(viewer: &Viewer) -> (String, Vec<Sql>) {
    let mut parts = Vec::new();
    let mut values: Vec<Sql> = Vec::new();
    for selector in &viewer.selectors {
        parts.push(
            "SELECT a.execution_seq AS seq FROM result_access a WHERE a.selector = ?".to_owned(),
        );
        values.push(selector.clone().into());
    }
    for (role, scope) in &viewer.roles {
        let mut sql = "SELECT a.execution_seq AS seq FROM result_access a JOIN results x USING (execution_seq) \
                       JOIN requests r ON r.seq = x.request_seq WHERE a.selector = ?"
            .to_owned();
        values.push(format!("role:{role}").into());
        within("r", scope, &mut sql, &mut values);
        parts.push(sql);
    }
    for admin in &viewer.admin {
        let mut sql = "SELECT x.execution_seq AS seq FROM results x JOIN requests r ON r.seq = x.request_seq WHERE 1 = 1"
            .to_owned();
        for scope in admin {
            within("r", scope, &mut sql, &mut values);
        }
        parts.push(sql);
    }
    if parts.is_empty() {
        return ("SELECT 0 AS seq WHERE 0".to_owned(), values);
    }
    (parts.join(" UNION "), values)
}
