//! Connections to the database file, with the settings that everything here relies on.

use crate::error::Error;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Prepared statements kept; more than the code has, so that none is ever prepared twice.
const STATEMENTS_CACHED: usize = 256;

/// How long a statement waits for another process that has the file, such as what copies it.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of its own to the database file that cannot write, in one snapshot: for what reads much of it.
pub(super) fn read_only(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|e| Error::internal(format!("database {}", path.display()), e))?;
    tune(&connection)?;
    connection.execute_batch(
        "PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -32768;
         BEGIN",
    )?;
    Ok(connection)
}

/// Statements are prepared once. Plans must not depend on bound values: otherwise SQLite compiles a cached statement
/// anew at every use, since giving it back to the cache clears its bindings.
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Takes from everybody else what a file of the database lets them do: it was not always we who made it.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let mode = match std::fs::metadata(&file) {
            Ok(found) => found.permissions().mode(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if mode & 0o077 != 0 {
            log::warn!(
                "{} could be read or written by others; it is made private",
                Path::new(&file).display()
            );
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// Opens the file with the settings that everything here relies on, and reads them back.
pub(super) fn open_connection(path: &Path) -> Result<Connection, Error> {
    let name = path.display();
    let failed = |e: rusqlite::Error| Error::internal(format!("database {name}"), e);
    if !path.exists() {
        // Created by us and not by SQLite, so that nobody else can ever read it.
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| Error::internal(format!("database {name}"), e))?;
    }
    make_private(path).map_err(|e| Error::internal(format!("database {name}"), e))?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    tune(&connection).map_err(failed)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA recursive_triggers = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;
             PRAGMA cache_size = -8192;
             PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA secure_delete = ON;",
        )
        .map_err(failed)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0))
        .map_err(failed)?;
    for (pragma, want) in [
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("recursive_triggers", 1),
        ("trusted_schema", 0),
        ("secure_delete", 1),
    ] {
        let value: i64 = connection
            .query_row(&format!("PRAGMA {pragma}"), [], |r| r.get(0))
            .map_err(failed)?;
        if value != want {
            return Err(Error::bug(format!(
                "database {name}: PRAGMA {pragma} is {value}, not {want}"
            )));
        }
    }
    if mode != "wal" {
        return Err(Error::bug(format!(
            "database {name}: the file system does not allow a write-ahead log (journal mode {mode})"
        )));
    }
    Ok(connection)
}
