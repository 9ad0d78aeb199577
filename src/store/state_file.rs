//! What every part of a start asks of a state file, and how it refuses one.

use super::query::{RunStatement, first};
use crate::error::{Error, ErrorKind};
use rusqlite::Connection;

/// Error code of a state file that is not the one the server left; the process ends with exit code 3.
pub const STATE_DIFFERS: &str = "state_differs";

/// The refusal of a state file, in one line.
pub(super) fn differs(what: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Internal,
        STATE_DIFFERS,
        format!("the state file was changed while no server ran: {what}"),
    )
    .hint("restore the state directory from a backup")
}

pub(super) fn has_table(connection: &Connection, name: &str) -> Result<bool, Error> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [name],
        first,
    )
}
