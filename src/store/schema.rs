//! The schema that the state file has: every table, index, trigger and view must be one that its migrations make. A
//! trigger that somebody added would be run by the server's own next commit, and signed with it.

use super::migrate;
use super::query::{RunStatement, tuple};
use crate::error::{Error, Shown};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

/// What Litestream 0.5 makes in a file that it copies. It writes no others.
const OF_LITESTREAM: [(&str, &str); 2] = [
    (
        "_litestream_lock",
        "CREATE TABLE _litestream_lock (id INTEGER)",
    ),
    (
        "_litestream_seq",
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
    ),
];

/// An entry of the schema: a table, index, trigger or view.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SchemaEntry {
    kind: String,
    name: String,
    table: String,
    /// None for the indexes that SQLite makes by itself.
    sql: Option<String>,
}

impl SchemaEntry {
    /// Whether both are called the same, whatever they are made of.
    fn is_called(&self, other: &SchemaEntry) -> bool {
        self.kind == other.kind && self.name == other.name
    }

    fn is_of_litestream(&self) -> bool {
        let sql = self.sql.as_deref().unwrap_or_default();
        self.kind == "table"
            && self.table == self.name
            && OF_LITESTREAM
                .iter()
                .any(|(name, text)| *name == self.name && *text == sql)
    }
}

impl fmt::Display for SchemaEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Shown(&self.kind), Shown(&self.name))?;
        match self.table == self.name {
            true => Ok(()),
            false => write!(f, " of table {}", Shown(&self.table)),
        }
    }
}

/// What of the file's schema its migrations did not make, or made and is not there; none where it is as they left it.
///
/// # Errors
/// As [`migrate::applied`]; `internal` when the schema cannot be read.
pub(super) fn differing_schema(connection: &Connection) -> Result<Option<String>, Error> {
    let migrations = migrate::applied(connection)?;
    match migrate::NEWEST == migrations {
        true => compare(connection, newest()?),
        false => compare(connection, &made_by(migrations)?),
    }
}

/// The same of a file that this process has migrated, whatever it lists by now.
pub(super) fn differing_from_newest(connection: &Connection) -> Result<Option<String>, Error> {
    compare(connection, newest()?)
}

fn compare(connection: &Connection, made: &BTreeSet<SchemaEntry>) -> Result<Option<String>, Error> {
    let mut stored = BTreeSet::new();
    for entry in entries(connection)? {
        if !made.contains(&entry) && !entry.is_of_litestream() {
            let changed = made.iter().any(|known| known.is_called(&entry));
            return Ok(Some(match changed {
                true => format!("{entry} is not the one that a migration made"),
                false => format!("no migration made {entry}"),
            }));
        }
        if let Some(twice) = stored.replace(entry) {
            return Ok(Some(format!("{twice} is in the schema twice")));
        }
    }
    let missing = made.difference(&stored).next();
    Ok(missing.map(|entry| format!("{entry} is missing")))
}

fn entries(connection: &Connection) -> Result<Vec<SchemaEntry>, Error> {
    let sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid";
    let entries = connection.list(sql, [], tuple)?;
    let entries = entries.into_iter();
    Ok(entries
        .map(|(kind, name, table, sql)| SchemaEntry {
            kind,
            name,
            table,
            sql,
        })
        .collect())
}

/// What a fresh database has after that many migrations.
fn made_by(migrations: usize) -> Result<BTreeSet<SchemaEntry>, Error> {
    if migrations == 0 {
        return Ok(BTreeSet::new());
    }
    let fresh = migrate::in_memory(migrations)?;
    Ok(entries(&fresh)?.into_iter().collect())
}

/// The same after all migrations, which is what every start leaves.
fn newest() -> Result<&'static BTreeSet<SchemaEntry>, Error> {
    static NEWEST: OnceLock<BTreeSet<SchemaEntry>> = OnceLock::new();
    if let Some(made) = NEWEST.get() {
        return Ok(made);
    }
    let made = made_by(migrate::NEWEST)?;
    Ok(NEWEST.get_or_init(|| made))
}
