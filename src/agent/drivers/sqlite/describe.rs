//! What the tables of a SQLite file are: read from its schema in one short transaction, their rows estimated after it.
//!
//! All of it or nothing: a description that leaves a table out would hide a cascade that ends there, so a database
//! over a limit is a failure that names the limit. Left out on purpose are views, tables of SQLite itself and those
//! that a virtual table keeps its content in. SQLite does not tell names of constraints, so they are called by what
//! they are; and of CHECK constraints it tells nothing.

use super::{EarlyStop, JobDeadline, Sqlite};
use crate::agent::drivers::{Cancel, cut};
use crate::domain::sql::trigger_event;
use rusqlite::{Connection, Row};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Most tables of one database; more than anybody reads, and soon read.
const TABLES_MAX: usize = 5000;
/// Longest description, in bytes: with its frame it fits into the 10 MiB that a server takes.
const BYTES_MAX: usize = 8 << 20;
/// Longest time for all of it, in seconds.
const DESCRIBE_SECS_MAX: u64 = 30;
/// How long rows are counted; after that every table that would have to be is estimated without.
const COUNT_FOR: Duration = Duration::from_secs(10);
/// Most rows that are counted in one table.
const COUNTED_MAX: i64 = 10_000;
/// Bytes that a row takes at least, with its place in the page: no file holds more rows.
const ROW_BYTES_MIN: i64 = 6;
/// Rows of a table that nobody counts.
const UNKNOWN: i64 = -1;

/// One table, as the server reads it.
#[derive(Debug, Serialize)]
struct TableDescription {
    name: String,
    /// SQLite has no schemas.
    schema_name: &'static str,
    estimated_rows: i64,
    columns: Vec<ColumnDescription>,
    constraints: Vec<ConstraintDescription>,
    indexes: Vec<Index>,
    triggers: Vec<Trigger>,
    #[serde(skip)]
    storage: Storage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    Rowid,
    WithoutRowid,
    Virtual,
}

#[derive(Debug, Serialize)]
struct ColumnDescription {
    name: String,
    data_type: String,
    nullable: bool,
    default_value: Option<String>,
    is_primary_key: bool,
    /// Place in the primary key, from 1; 0 for none.
    #[serde(skip)]
    place: i64,
}

#[derive(Debug, Serialize)]
struct ConstraintDescription {
    name: String,
    constraint_type: &'static str,
    columns: Vec<String>,
    referenced_table: Option<String>,
    referenced_columns: Option<Vec<String>>,
    on_delete: Option<String>,
}

#[derive(Debug, Serialize)]
struct Index {
    name: String,
    columns: Vec<String>,
    is_unique: bool,
    index_type: &'static str,
    /// Why it is there: `c` for CREATE INDEX, `u` for UNIQUE, `pk` for PRIMARY KEY.
    #[serde(skip)]
    origin: String,
}

#[derive(Debug, Serialize)]
struct Trigger {
    name: String,
    /// `INSERT`, `UPDATE` or `DELETE`.
    event: &'static str,
}

#[derive(Serialize)]
struct DatabaseDescription {
    tables: Vec<TableDescription>,
}

/// Describes the file of `sqlite`; the message says why not.
pub(super) fn describe(sqlite: &Sqlite, cancel: &Cancel) -> Result<String, String> {
    let watch = JobDeadline::new(DESCRIBE_SECS_MAX, cancel);
    let done = sqlite.open(false).and_then(|mut conn| {
        watch.attach(&mut conn)?;
        read(&conn, &watch)
    });
    done.map_err(|stop| match (stop, cancel.asked()) {
        (EarlyStop::Failed(message) | EarlyStop::Quoting { shown: message, .. }, _) => cut(message),
        (EarlyStop::Interrupted, Some(reason)) => reason.message().to_owned(),
        (EarlyStop::Interrupted, None) => {
            format!("describing the tables took longer than {DESCRIBE_SECS_MAX} s")
        }
    })
}

fn read(conn: &Connection, watch: &JobDeadline) -> Result<String, EarlyStop> {
    let began = Instant::now();
    // The schema at one moment. Counting comes after, so that nobody who writes waits for it.
    conn.execute_batch("BEGIN")?;
    watch.when_unlocked(conn, "SELECT 1 FROM sqlite_schema LIMIT 1")?;
    let mut tables = Vec::new();
    let mut bytes = 0;
    for (name, storage) in names(conn)? {
        if watch.over() {
            return Err(EarlyStop::Interrupted);
        }
        let table = table(conn, name, storage)?;
        bytes += json(&table)?.len();
        if bytes > BYTES_MAX {
            return Err(too_long());
        }
        tables.push(table);
    }
    conn.execute_batch("COMMIT")?;
    for table in &mut tables {
        if watch.over() {
            return Err(EarlyStop::Interrupted);
        }
        let may_count = began.elapsed() < COUNT_FOR;
        table.estimated_rows = match estimate(conn, watch, table, may_count) {
            Ok(rows) => rows,
            // Gone meanwhile, or broken; the rest is still worth telling.
            Err(EarlyStop::Interrupted) => return Err(EarlyStop::Interrupted),
            Err(_) => UNKNOWN,
        };
    }
    let text = json(&DatabaseDescription { tables })?;
    match text.len() > BYTES_MAX {
        true => Err(too_long()),
        false => Ok(text),
    }
}

fn json(value: &impl Serialize) -> Result<String, EarlyStop> {
    serde_json::to_string(value).map_err(|e| EarlyStop::Failed(e.to_string()))
}

fn too_long() -> EarlyStop {
    EarlyStop::Failed(format!(
        "the description of the tables is longer than {} MiB",
        BYTES_MAX >> 20
    ))
}

/// The tables, by name.
fn names(conn: &Connection) -> Result<Vec<(String, Storage)>, EarlyStop> {
    let mut statement = conn.prepare("PRAGMA main.table_list")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get("name")?;
        let kind: String = row.get("type")?;
        let storage = match (kind.as_str(), row.get("wr")?) {
            ("table", false) => Storage::Rowid,
            ("table", true) => Storage::WithoutRowid,
            ("virtual", _) => Storage::Virtual,
            _ => continue,
        };
        let internal = name
            .get(..7)
            .is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
        if internal {
            continue;
        }
        if found.len() == TABLES_MAX {
            return Err(EarlyStop::Failed(format!(
                "the database has more than {TABLES_MAX} tables"
            )));
        }
        found.push((name, storage));
    }
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn table(conn: &Connection, name: String, storage: Storage) -> Result<TableDescription, EarlyStop> {
    let columns = match columns(conn, &name) {
        // What implements the table is not built in here: then nobody knows its columns.
        Err(EarlyStop::Failed(_)) if storage == Storage::Virtual => Vec::new(),
        columns => columns?,
    };
    let indexes = indexes(conn, &name)?;
    let triggers = triggers(conn, &name)?;
    let mut table = TableDescription {
        name,
        schema_name: "",
        estimated_rows: UNKNOWN,
        columns,
        constraints: Vec::new(),
        indexes,
        triggers,
        storage,
    };
    primary_key(&mut table);
    for index in table.indexes.iter().filter(|index| index.origin == "u") {
        table
            .constraints
            .push(constraint(&index.name, "unique", index.columns.clone()));
    }
    let foreign = foreign_keys(conn, &table.name)?;
    table.constraints.extend(foreign);
    Ok(table)
}

fn constraint(
    name: &str,
    constraint_type: &'static str,
    columns: Vec<String>,
) -> ConstraintDescription {
    ConstraintDescription {
        name: name.to_owned(),
        constraint_type,
        columns,
        referenced_table: None,
        referenced_columns: None,
        on_delete: None,
    }
}

/// Adds the primary key to the constraints, in its own order of columns.
fn primary_key(table: &mut TableDescription) {
    let key = key_of(&table.columns);
    if key.is_empty() {
        return;
    }
    let index = table.indexes.iter().find(|index| index.origin == "pk");
    // A primary key without an index is the row id: it is never NULL, though nothing declares that.
    if index.is_none() && table.storage == Storage::Rowid {
        for column in table.columns.iter_mut().filter(|c| c.is_primary_key) {
            column.nullable = false;
        }
    }
    table
        .constraints
        .push(constraint("primary_key", "primary_key", key));
}

fn key_of(columns: &[ColumnDescription]) -> Vec<String> {
    let mut key: Vec<&ColumnDescription> = columns.iter().filter(|c| c.is_primary_key).collect();
    key.sort_unstable_by_key(|column| column.place);
    key.into_iter().map(|column| column.name.clone()).collect()
}

/// What a query of our own about `name` finds.
fn list<T>(
    conn: &Connection,
    sql: &str,
    name: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, EarlyStop> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([name], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Generated columns are columns; those that a virtual table hides are not.
fn columns(conn: &Connection, table: &str) -> Result<Vec<ColumnDescription>, EarlyStop> {
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?1, 'main')
               WHERE hidden <> 1 ORDER BY cid";
    list(conn, sql, table, |row| {
        let (not_null, place): (bool, i64) = (row.get(2)?, row.get(4)?);
        Ok(ColumnDescription {
            name: row.get(0)?,
            data_type: row.get(1)?,
            nullable: !not_null,
            default_value: row.get(3)?,
            is_primary_key: place > 0,
            place,
        })
    })
}

fn indexes(conn: &Connection, table: &str) -> Result<Vec<Index>, EarlyStop> {
    let sql = "SELECT name, \"unique\", origin FROM pragma_index_list(?1, 'main') ORDER BY name";
    let mut indexes = list(conn, sql, table, |row| {
        Ok(Index {
            name: row.get(0)?,
            columns: Vec::new(),
            is_unique: row.get(1)?,
            index_type: "btree",
            origin: row.get(2)?,
        })
    })?;
    let sql = "SELECT cid, name FROM pragma_index_info(?1, 'main') ORDER BY seqno";
    for index in &mut indexes {
        index.columns = list(conn, sql, &index.name, |row| {
            let (place, name): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
            let unnamed = if place == -1 { "rowid" } else { "(expression)" };
            Ok(name.unwrap_or_else(|| unnamed.to_owned()))
        })?;
    }
    Ok(indexes)
}

fn triggers(conn: &Connection, table: &str) -> Result<Vec<Trigger>, EarlyStop> {
    let sql = "SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
               ORDER BY name";
    let found = list(conn, sql, table, |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    Ok(found
        .into_iter()
        .map(|(name, sql)| Trigger {
            name,
            event: trigger_event(&sql).unwrap_or("unknown"),
        })
        .collect())
}

fn foreign_keys(conn: &Connection, table: &str) -> Result<Vec<ConstraintDescription>, EarlyStop> {
    struct ForeignKeyColumn {
        id: i64,
        parent: String,
        from: String,
        to: Option<String>,
        on_delete: String,
    }
    let sql = "SELECT id, \"table\", \"from\", \"to\", on_delete
               FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq";
    let parts = list(conn, sql, table, |row| {
        Ok(ForeignKeyColumn {
            id: row.get(0)?,
            parent: row.get(1)?,
            from: row.get(2)?,
            to: row.get(3)?,
            on_delete: row.get(4)?,
        })
    })?;
    let mut keys = Vec::new();
    for parts in parts.chunk_by(|a, b| a.id == b.id) {
        let Some(first) = parts.first() else { continue };
        let named: Option<Vec<String>> = parts.iter().map(|part| part.to.clone()).collect();
        let referenced = match named {
            Some(named) => Some(named),
            // Without columns the primary key is meant; a parent that is not there has none.
            None => {
                let key = match columns(conn, &first.parent) {
                    Err(EarlyStop::Failed(_)) => Vec::new(),
                    columns => key_of(&columns?),
                };
                Some(key).filter(|key| !key.is_empty())
            }
        };
        let name = format!("foreign_key_{}", first.id);
        let from = parts.iter().map(|part| part.from.clone()).collect();
        keys.push(ConstraintDescription {
            referenced_table: Some(first.parent.clone()),
            referenced_columns: referenced,
            on_delete: Some(first.on_delete.replace(' ', "_")),
            ..constraint(&name, "foreign_key", from)
        });
    }
    Ok(keys)
}

/// How many rows `table` has: exactly where they are few, never fewer than there are where they are many, and
/// [`UNKNOWN`] rather than a number that is too small. Looks at no more than [`COUNTED_MAX`] rows and one.
fn estimate(
    conn: &Connection,
    watch: &JobDeadline,
    table: &TableDescription,
    count: bool,
) -> Result<i64, EarlyStop> {
    if table.storage == Storage::Virtual {
        return Ok(UNKNOWN);
    }
    let name = format!("main.\"{}\"", table.name.replace('"', "\"\""));
    if count {
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {})",
            COUNTED_MAX + 1
        );
        let rows = watch.unlocked(|| conn.query_row(&sql, [], |row| row.get(0)))?;
        if rows <= COUNTED_MAX {
            return Ok(rows);
        }
    }
    // A column of that name hides the row id, and would have to be searched.
    let hidden = |alias: &str| {
        let mut columns = table.columns.iter();
        columns.any(|column| column.name.eq_ignore_ascii_case(alias))
    };
    let alias = ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|alias| !hidden(alias));
    let (Storage::Rowid, Some(rowid)) = (table.storage, alias) else {
        return Ok(UNKNOWN);
    };
    // Two queries: SQLite goes straight to the end of a table for one alone.
    let sql =
        format!("SELECT (SELECT min({rowid}) FROM {name}), (SELECT max({rowid}) FROM {name})");
    let ends = watch.unlocked(|| conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))))?;
    let (Some(first), Some(last)) = ends else {
        return Ok(0);
    };
    let range = i64::saturating_sub(last, first).saturating_add(1);
    // Row ids may lie far apart.
    let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    let bytes: i64 = watch.unlocked(|| conn.query_row(sql, [], |row| row.get(0)))?;
    Ok(range.min(bytes / ROW_BYTES_MIN))
}

#[cfg(test)]
mod tests;
