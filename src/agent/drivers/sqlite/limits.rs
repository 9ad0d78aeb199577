//! What SQLite may use, as far as SQLite itself limits it: it refuses with a sentence where the process would be ended.
//! What it sorts on disk is bounded by the process (`crate::agent::wall`).

use rusqlite::Connection;
use rusqlite::limits::Limit;

/// Longest value and longest row that a read may make, in bytes: more than fits into a result, less than hurts the agent.
const READ_VALUE_BYTES_MAX: i32 = 64 << 20;
/// The same of a write, which copies what is there.
const WRITE_VALUE_BYTES_MAX: i32 = 256 << 20;
/// Columns of a table or a result; SQLite itself was built for no more.
const COLUMNS_MAX: i32 = 2000;
/// Memory of SQLite as a whole, in bytes: half of what the process may have.
const HEAP_BYTES_MAX: usize = 512 << 20;

/// Sets the limits of `conn`. That of memory counts for the whole process, and is only ever lowered.
pub(super) fn apply(conn: &Connection, write: bool) -> rusqlite::Result<()> {
    let length = if write {
        WRITE_VALUE_BYTES_MAX
    } else {
        READ_VALUE_BYTES_MAX
    };
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_COLUMN, COLUMNS_MAX)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, length)?;
    // What is sorted lies in files, whose size is bounded, and not in memory.
    conn.execute_batch(&format!(
        "PRAGMA hard_heap_limit = {HEAP_BYTES_MAX}; PRAGMA temp_store = FILE"
    ))
}
