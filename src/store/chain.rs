//! Reads the events of the chain as they are hashed, in their order and without copying them.

use super::audit::{AFTER, EventColumn};
use super::row_columns::{Columns, ReadColumn};
use crate::clock::Timestamp;
use crate::domain::audit::{EVENT_VERSION_FIELD, HASHED_FIELDS};
use crate::domain::chain::ChainedEvent;
use crate::error::Error;
use rusqlite::{Connection, Row};
use std::fmt::Write as _;

/// An event of the chain with the time of its column, or the id of one that cannot be read, and why.
pub(super) type WalkedEvent<'a> = Result<(ChainedEvent<'a>, Timestamp), (String, String)>;

/// Shows `each` every event after number `after`, in order, until it has enough. Nothing is copied.
pub(super) fn walk_chain(
    connection: &Connection,
    after: i64,
    mut each: impl FnMut(WalkedEvent) -> bool,
) -> Result<(), Error> {
    let mut statement = connection.prepare(AFTER)?;
    let mut rows = statement.query([after])?;
    let mut version = String::new();
    while let Some(row) = rows.next()? {
        version.clear();
        let event = chained(row, &mut version).map_err(|e| {
            (
                row.try_column(EventColumn::Id).unwrap_or_default(),
                e.to_string(),
            )
        });
        if !each(event) {
            break;
        }
    }
    Ok(())
}

/// The event as it is hashed; `version` holds the one field that is a number.
fn chained<'r>(
    row: &'r Row,
    version: &'r mut String,
) -> rusqlite::Result<(ChainedEvent<'r>, Timestamp)> {
    use EventColumn as C;
    let number: i64 = row.try_column(C::Version)?;
    let _ = write!(version, "{number}");
    let mut fields = [""; HASHED_FIELDS];
    for (n, field) in fields.iter_mut().enumerate() {
        *field = match n {
            EVENT_VERSION_FIELD => version.as_str(),
            _ => row.get_ref(n)?.as_str_or_null()?.unwrap_or_default(),
        };
    }
    let event = ChainedEvent {
        seq: row.try_column(C::Seq)?,
        fields,
        hash: row.get_ref(C::Hash.place())?.as_str()?,
    };
    Ok((event, row.try_column(C::At)?))
}
