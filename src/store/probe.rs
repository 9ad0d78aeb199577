//! Whether the database can be written to, for those who ask whether the server is ready.

use super::Store;
use super::query::RunStatement;
use crate::error::Error;

/// How often a write is tried for its own sake.
const PROBE_EVERY_MS: u64 = 10_000;

impl Store {
    /// Whether the database answers and can be written to: a row is, and committed, at most once in a few seconds, since
    /// each costs a sync. In between, only whether it could be.
    pub fn probe(&self) -> Result<(), Error> {
        let now = self.now();
        let connection = self.lock();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut probed = self.probed.lock().unwrap_or_else(|e| e.into_inner());
        if probed.is_some_and(|at| now.since(at) < PROBE_EVERY_MS) {
            return Ok(connection.execute_batch("ROLLBACK")?);
        }
        let written = self.ensure_alone(&connection).and_then(|()| {
            connection.run(
                "INSERT INTO meta (key, value) VALUES ('probed_at', ?1) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [now.0.to_string()],
            )?;
            Ok(connection.execute_batch("COMMIT")?)
        });
        match written {
            Ok(()) => *probed = Some(now),
            Err(_) if connection.is_autocommit() => {}
            Err(_) => connection.execute_batch("ROLLBACK")?,
        }
        written
    }
}
