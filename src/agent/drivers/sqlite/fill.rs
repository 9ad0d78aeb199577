//! A statement and the rows of a result: its columns, and the values that SQLite has for them.

use super::{EarlyStop, WhenFull};
use crate::agent::drivers::rows::{Cell, ResultRows};
use rusqlite::Statement;
use rusqlite::types::ValueRef;

/// Runs a statement; its rows go to `rows`.
pub(super) fn fill(
    statement: &mut Statement<'_>,
    mut rows: Option<&mut ResultRows>,
    when_full: WhenFull,
) -> Result<(), EarlyStop> {
    let mut found = statement.query([])?;
    while let Some(row) = found.next().map_err(EarlyStop::running)? {
        let fits = rows
            .as_deref_mut()
            .is_some_and(|rows| rows.push(|n| row.get_ref(n).map_or(Cell::Null, cell)));
        match when_full {
            WhenFull::Stop if !fits => break,
            WhenFull::ReadOn if !fits => rows = None,
            _ => {}
        }
    }
    Ok(())
}

/// Name and declared type of each column.
pub(super) fn columns_of(statement: &Statement<'_>) -> Vec<(String, Option<String>)> {
    statement
        .columns()
        .map(|c| (c.name().to_owned(), c.decl_type().map(str::to_owned)))
        .collect()
}

fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(n) => Cell::Integer(n),
        ValueRef::Real(x) => Cell::Real(x),
        ValueRef::Text(bytes) => Cell::Text(bytes),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
    }
}
