//! Notices that another process wrote into the state file while the server runs. What is signed is proved each time
//! (see `proof`); tokens, sessions, people and dialects are believed at every call, so their rows are held against the
//! sums as soon as somebody else has written, and the schema, whose triggers our own commits would run, against the
//! migrations.

use super::Store;
use super::live::changed;
use super::query::{RunStatement, first};
use super::schema::differing_from_newest;
use crate::error::Error;
use rusqlite::Connection;
use std::sync::atomic::Ordering;

/// Tables whose rows are believed.
const BELIEVED: [&str; 6] = [
    "reported_dialects",
    "schema_snapshots",
    "sessions",
    "stated_dialects",
    "tokens",
    "users",
];

/// What SQLite says of the file: another number after every commit of another connection, and of none of ours.
pub(super) fn version(connection: &Connection) -> Result<i64, Error> {
    connection.one("PRAGMA data_version", [], first)
}

impl Store {
    /// Whether the schema and what is believed are what this process made; where they are not, the process ends, since
    /// the next start names what differs. Nothing is under way on the connection, or a transaction that has written
    /// nothing yet.
    pub(super) fn ensure_alone(&self, connection: &Connection) -> Result<(), Error> {
        let found = version(connection)?;
        if found == self.file_version.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Each of Litestream's checkpoints is such a write. What is believed is proved all the same: others may have
        // written next to it.
        if self.copier_wrote(connection) {
            log::debug!("what copies the state has written into its file");
        } else {
            log::warn!("another process wrote into the state file");
        }
        let changed = match differing_from_newest(connection)? {
            Some(what) => format!("the schema: {what}"),
            None => match changed(connection, &self.live, &BELIEVED)?.join(", ") {
                tables if tables.is_empty() => {
                    self.file_version.store(found, Ordering::Relaxed);
                    return Ok(());
                }
                tables => format!("rows of {tables}"),
            },
        };
        (self.fatal)(&format!("another process changed {changed}"));
        Err(Error::unavailable("the state file was changed"))
    }
}
