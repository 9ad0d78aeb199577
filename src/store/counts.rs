//! Counts that triggers keep. Limits, webhooks and the end of a server go by those of what is open, so each start counts
//! these anew: an edit of the file moves none of them. The rest are totals for lists.

use super::Store;
use super::query::RunStatement;
use crate::domain::request::Status;
use crate::error::Error;
use rusqlite::Connection;

/// Statuses of notifications that are due.
const DUE: [&str; 2] = ["pending", "in_progress"];

impl Store {
    /// Counts open requests and due notifications, at a cost in proportion to them.
    pub(super) fn count_open(&self) -> Result<(), Error> {
        self.bookkeep(|connection| {
            for status in Status::ALL.into_iter().filter(|s| s.is_open()) {
                count_requests(connection, status.as_str())?;
            }
            for status in DUE {
                count_notifications(connection, status)?;
            }
            Ok(())
        })
    }
}

fn count_requests(connection: &Connection, status: &str) -> Result<(), Error> {
    connection.run(
        "INSERT INTO request_counts (status, n) SELECT ?1, count(*) FROM requests WHERE status = ?1 \
         ON CONFLICT (status) DO UPDATE SET n = excluded.n",
        [status],
    )?;
    connection.run(
        "UPDATE requester_counts SET n = 0 WHERE status = ?1 AND n <> 0",
        [status],
    )?;
    connection.run(
        "INSERT INTO requester_counts (requester, status, n) \
         SELECT requester, ?1, count(*) FROM requests INDEXED BY requests__status WHERE status = ?1 GROUP BY requester \
         ON CONFLICT (requester, status) DO UPDATE SET n = excluded.n",
        [status],
    )?;
    Ok(())
}

fn count_notifications(connection: &Connection, status: &str) -> Result<(), Error> {
    connection.run(
        "UPDATE outbox_counts SET n = 0 WHERE status = ?1 AND n <> 0",
        [status],
    )?;
    connection.run(
        "INSERT INTO outbox_counts (channel, status, n, last_ms) \
         SELECT channel, ?1, count(*), max(updated_at_ms) FROM outbox INDEXED BY outbox__status WHERE status = ?1 \
         GROUP BY channel ON CONFLICT (channel, status) DO UPDATE SET n = excluded.n",
        [status],
    )?;
    Ok(())
}
