//! Copies of the database file, made while a server writes it.

use super::query::{RunStatement, first};
use super::read_only;
use super::row_columns::{ReadColumn, columns};
use crate::clock::Timestamp;
use crate::error::Error;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Longest wait for somebody who holds a lock of the database.
const LOCK_MAX: Duration = Duration::from_secs(5);
/// Complaints of SQLite about a broken file that are read, at most.
const COMPLAINTS_MAX: usize = 10;

/// A stored result outside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// `<request id>/<execution id>`.
    pub key: String,
    /// `local` or `s3`.
    pub backend: String,
    /// In bytes.
    pub length: u64,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
    /// When it is purged.
    pub expires_at: Timestamp,
}

columns! {
    enum ObjectColumn of "results" from "results x" {
        Key = "x.object_key",
        Backend = "x.backend",
        Length = "x.content_length",
        Sha256 = "x.checksum_sha256",
        ExpiresAt = "x.expires_at_ms",
    }
    OBJECTS = "WHERE x.backend <> ?1 ORDER BY x.execution_seq";
}

/// Copies the database at `from`, as of one moment, into the new file `to`, which needs no write-ahead log next to it.
/// A server that writes meanwhile is not held up: its write-ahead log grows until the copy is done.
///
/// # Errors
/// `internal` when one of the files cannot be used.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |e| Error::internal(format!("copying the database to {}", to.display()), e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)
        .map_err(|e| Error::internal(format!("database {}", from.display()), e))?;
    source.busy_timeout(LOCK_MAX).map_err(failed)?;
    let mut copy = Connection::open(to).map_err(failed)?;
    {
        let backup = Backup::new(&source, &mut copy).map_err(failed)?;
        // All of it in one step: between steps, every write of the server would start the copy over.
        if !matches!(backup.step(-1).map_err(failed)?, StepResult::Done) {
            return Err(Error::unavailable("the database stays locked by somebody"));
        }
    }
    let mode: String = copy
        .query_row("PRAGMA journal_mode = DELETE", [], |r| r.get(0))
        .map_err(failed)?;
    if mode != "delete" {
        return Err(Error::bug(format!("the copy stays in journal mode {mode}")));
    }
    copy.close().map_err(|(_, e)| failed(e))
}

/// What SQLite finds wrong with the file at `path`; nothing for a whole one.
///
/// # Errors
/// `internal` when it cannot be read at all.
pub fn broken_pages(path: &Path) -> Result<Vec<String>, Error> {
    let connection = read_only(path)?;
    let sql = format!("PRAGMA integrity_check({COMPLAINTS_MAX})");
    let found: Vec<String> = connection.list(&sql, [], first)?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// Calls `each` with every stored result outside the database at `path`, in one snapshot.
///
/// # Errors
/// `internal` when the file cannot be read; whatever `each` returns.
pub fn each_object(
    path: &Path,
    mut each: impl FnMut(StoredObject) -> Result<(), Error>,
) -> Result<(), Error> {
    use ObjectColumn as C;
    let connection = read_only(path)?;
    let mut statement = connection.prepare(OBJECTS)?;
    let mut rows = statement.query([super::ROW])?;
    while let Some(row) = rows.next()? {
        let length: i64 = row.column(C::Length)?;
        each(StoredObject {
            key: row.column(C::Key)?,
            backend: row.column(C::Backend)?,
            length: u64::try_from(length).unwrap_or(0),
            sha256: row.column(C::Sha256)?,
            expires_at: row.column(C::ExpiresAt)?,
        })?;
    }
    Ok(())
}
