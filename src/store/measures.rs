//! What the store counts and times, and what a page of metrics shows of the database.

use super::query::{RunStatement, first};
use super::{Store, View};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::metrics::Metrics;
use rusqlite::ToSql;
use std::sync::Arc;

/// Looks into an index each, however large the tables are.
const OLDEST_PENDING: &str =
    "SELECT created_at_ms FROM requests WHERE status = 'pending' ORDER BY seq LIMIT 1";
/// What is planned for later does not wait yet.
const OLDEST_UNDELIVERED: &str = "SELECT coalesce(pending_since_ms, created_at_ms) FROM outbox \
         WHERE status = ?1 AND coalesce(pending_since_ms, created_at_ms) <= ?2 ORDER BY seq LIMIT 1";
const LAST_CHECKPOINT: &str = "SELECT created_at_ms FROM audit_events \
         WHERE event_type = 'audit.signed_checkpoint' ORDER BY seq DESC LIMIT 1";
const CHAIN_LENGTH: &str = "SELECT coalesce(max(seq), 0) FROM audit_events";

/// What a scrape reads of the database.
#[derive(Debug, PartialEq, Eq)]
pub struct DatabaseMeasures {
    /// When the oldest request was made that waits for approval.
    pub oldest_pending: Option<Timestamp>,
    /// Since when the oldest notification waits that is not delivered yet.
    pub oldest_undelivered: Option<Timestamp>,
    /// When the newest checkpoint of the audit log was signed.
    pub last_checkpoint: Option<Timestamp>,
    /// Number of the newest audit event.
    pub chain_length: i64,
}

impl Store {
    /// From now on, transactions and waits are counted there; only the first call counts.
    pub fn count_into(&self, metrics: Arc<Metrics>) {
        let _ = self.metrics.set(metrics);
    }

    pub(super) fn count(&self, count: impl FnOnce(&Metrics)) {
        if let Some(metrics) = self.metrics.get() {
            count(metrics);
        }
    }
}

impl View<'_> {
    /// What a scrape reads.
    ///
    /// # Errors
    /// `internal` when the database cannot be read.
    pub fn measures(&self, now: Timestamp) -> Result<DatabaseMeasures, Error> {
        let time = |sql: &str, params: &[&dyn ToSql]| -> Result<Option<Timestamp>, Error> {
            let ms: Option<i64> = self.connection.find(sql, params, first)?;
            Ok(ms.map(Timestamp))
        };
        let waiting = time(OLDEST_UNDELIVERED, &[&"pending", &now.0])?;
        let under_way = time(OLDEST_UNDELIVERED, &[&"in_progress", &now.0])?;
        Ok(DatabaseMeasures {
            oldest_pending: time(OLDEST_PENDING, &[])?,
            oldest_undelivered: waiting.into_iter().chain(under_way).min_by_key(|at| at.0),
            last_checkpoint: time(LAST_CHECKPOINT, &[])?,
            chain_length: self.connection.one(CHAIN_LENGTH, [], first)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn a_scrape_scans_no_table_and_sorts_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../../sql/schema.sql"))
            .unwrap();
        for sql in [
            OLDEST_PENDING,
            OLDEST_UNDELIVERED,
            LAST_CHECKPOINT,
            CHAIN_LENGTH,
        ] {
            let mut explain = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            let some = vec!["pending"; explain.parameter_count()];
            let plan: Vec<String> = explain
                .query_map(rusqlite::params_from_iter(some), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let looks = |step: &String| step.starts_with("SEARCH ");
            assert!(
                !plan.is_empty() && plan.iter().all(looks),
                "{sql}: {plan:?}"
            );
        }
    }
}
