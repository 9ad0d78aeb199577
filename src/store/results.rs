//! Reading what is known of stored results.

use super::View;
use super::query::{RunStatement, first, target};
use super::row_columns::{Columns, ReadColumn, columns};
use super::scopes::{inside, within};
use super::unreadable::readable;
use super::values::NotNegative;
use crate::clock::Timestamp;
use crate::domain::id::{Operation, Target};
use crate::domain::scope::{RoleScope, Scope};
use crate::domain::visibility::Viewer;
use crate::error::Error;
use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};

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

/// Where a policy in effect lets somebody read results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReach {
    /// Where the policy applies.
    pub scope: Scope,
    /// Where others apply before it.
    pub except: Vec<Scope>,
    /// Where the role holds by which it names them, if it is by role.
    pub role: Option<RoleScope>,
}

columns! {
    enum ResultColumn of "results" from "results x" {
        Key = "x.object_key",
        Backend = "x.backend",
        ContentLength = "x.content_length",
        Checksum = "x.checksum_sha256",
        StoredAt = "x.stored_at_ms",
        ExpiresAt = "x.expires_at_ms",
    }
    RESULT_OF = "WHERE x.execution_seq = ?1";
}

columns! {
    enum ItemColumn of "results" {
        RequestId = "q.id",
        ExecutionId = "e.id",
        Database = "q.database_name",
        Environment = "q.environment",
        Operation = "q.operation",
        StoredAt = "x.stored_at_ms",
        ContentLength = "x.content_length",
    }
}

impl View<'_> {
    /// The stored result of an execution.
    pub fn find_result(&self, execution_seq: i64) -> Result<Option<ResultRow>, Error> {
        use ResultColumn as C;
        self.connection.find(RESULT_OF, [execution_seq], |r| {
            let content_length: NotNegative = r.column(C::ContentLength)?;
            Ok(ResultRow {
                backend: r.column(C::Backend)?,
                key: r.column(C::Key)?,
                content_length: content_length.0,
                checksum_sha256: r.column(C::Checksum)?,
                stored_at: r.column(C::StoredAt)?,
                expires_at: r.column(C::ExpiresAt)?,
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

    /// Stored results within `viewer.view` that `viewer` may see, newest first: their own, those shared with them, those
    /// that policies in effect let them read, and everybody's where they hold `*`.
    pub fn list_results(
        &self,
        viewer: &Viewer,
        policies: &[PolicyReach],
        now: Timestamp,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ResultItem>, Error> {
        let (branches, mut values) = visible(viewer, policies);
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
        let columns = ItemColumn::LIST;
        let sql = format!(
            "SELECT {columns} FROM ({branches}) v JOIN results x ON x.execution_seq = v.seq \
             JOIN executions e ON e.seq = v.seq JOIN requests q ON q.seq = x.request_seq \
             WHERE ({viewed}) AND x.expires_at_ms > ? ORDER BY v.seq DESC LIMIT ? OFFSET ?"
        );
        use ItemColumn as C;
        let read = |r: &Row<'_>| -> Result<ResultItem, Error> {
            let content_length: NotNegative = r.column(C::ContentLength)?;
            Ok(ResultItem {
                request_id: r.column(C::RequestId)?,
                execution_id: r.column(C::ExecutionId)?,
                target: target(r, C::Database, C::Environment)?,
                operation: r.column(C::Operation)?,
                stored_at: r.column(C::StoredAt)?,
                content_length: content_length.0,
            })
        };
        let rows = self
            .connection
            .list(&sql, params_from_iter(values), |r| Ok(read(r)))?;
        readable(rows, "a result that is not listed")
    }
}

/// All results; a condition on their requests follows.
const ALL: &str =
    "SELECT x.execution_seq AS seq FROM results x JOIN requests r ON r.seq = x.request_seq";
/// Results that were shared by their requests with a selector; the requester is one whom each is shared with. What the
/// table has of policies is what they were when the result came.
const SHARED: &str = "SELECT a.execution_seq AS seq FROM result_access a JOIN results x USING (execution_seq) \
     JOIN requests r ON r.seq = x.request_seq JOIN request_texts t ON t.request_seq = r.seq WHERE a.selector = ? \
     AND (a.selector = 'user:' || r.requester \
     OR EXISTS (SELECT 1 FROM json_each(t.share_with_json) WHERE value = a.selector))";

fn visible(viewer: &Viewer, policies: &[PolicyReach]) -> (String, Vec<Sql>) {
    let mut parts = Vec::new();
    let mut values: Vec<Sql> = Vec::new();
    for selector in &viewer.selectors {
        parts.push(SHARED.to_owned());
        values.push(selector.clone().into());
    }
    for (role, scope) in &viewer.roles {
        let mut sql = SHARED.to_owned();
        values.push(format!("role:{role}").into());
        within("r", scope, &mut sql, &mut values);
        parts.push(sql);
    }
    for reach in policies {
        let mut sql = format!("{ALL} WHERE {}", inside("r", &reach.scope, &mut values));
        for other in &reach.except {
            let other = inside("r", other, &mut values);
            sql.push_str(&format!(" AND NOT ({other})"));
        }
        if let Some(scope) = &reach.role {
            within("r", scope, &mut sql, &mut values);
        }
        parts.push(sql);
    }
    for admin in &viewer.admin {
        let mut sql = format!("{ALL} WHERE 1 = 1");
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
