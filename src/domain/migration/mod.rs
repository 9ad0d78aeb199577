//! What a request on migrations says: which migrations to apply or to take back, or how to repair the record of those
//! that were. The form is that of existing clients (docs/migrations.md).

pub mod file;

use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::sql::{self, ScriptStatement};
use crate::error::Shown;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Longest version, in bytes: what the table of versions holds.
pub const VERSION_BYTES_MAX: usize = 128;
/// The table in which a database keeps the versions that were applied.
pub const TABLE: &str = "schema_migrations";
/// The form that is read.
const FORMAT: &str = "v2";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

impl Direction {
    /// `up` or `down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
        }
    }

    /// The direction of an operation that applies migrations or takes them back.
    pub fn of(operation: Operation) -> Option<Direction> {
        match operation {
            Operation::MigrateUp => Some(Direction::Up),
            Operation::MigrateDown => Some(Direction::Down),
            _ => None,
        }
    }
}

/// One migration, as far as its direction runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub version: String,
    pub sql: String,
    /// Its statements, in order.
    pub statements: Vec<ScriptStatement>,
    /// Whether they are to be one transaction, together with the record of the version.
    pub transactional: bool,
}

/// Migrations in the order of their versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationPlan {
    pub direction: Direction,
    pub migrations: Vec<Migration>,
    /// Applied or taken back at most.
    pub max_count: Option<usize>,
}

/// A change of the record alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    pub action: RepairAction,
    pub version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairAction {
    /// Records the version without running anything.
    MarkApplied,
    /// Removes the version from the record without running anything.
    Remove,
}

impl RepairAction {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            RepairAction::MarkApplied => "mark_applied",
            RepairAction::Remove => "remove",
        }
    }
}

/// Why a detail is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationError {
    /// It is not what such a detail is.
    Invalid(String),
    /// A statement in it may never run in a migration.
    Refused(String),
}

impl MigrationError {
    /// The sentence for the requester.
    pub fn message(&self) -> &str {
        match self {
            MigrationError::Invalid(message) | MigrationError::Refused(message) => message,
        }
    }
}

#[derive(Deserialize)]
struct PlanJson {
    format: Option<String>,
    direction: Option<String>,
    versions: Option<Vec<String>>,
    migrations: Vec<MigrationJson>,
    max_count: Option<u64>,
}

#[derive(Deserialize)]
struct MigrationJson {
    version: String,
    sql: String,
    transactional: Option<bool>,
}

#[derive(Deserialize)]
struct RepairJson {
    action: RepairAction,
    version: String,
}

/// Reads the detail of an operation that applies migrations or takes them back; `dialect` is that of the database.
///
/// # Errors
/// [`MigrationError`], with the version that it is about.
pub fn plan(
    direction: Direction,
    detail: &str,
    dialect: Dialect,
) -> Result<MigrationPlan, MigrationError> {
    let json: PlanJson = serde_json::from_str(detail)
        .map_err(|e| MigrationError::Invalid(format!("detail of a migration: {e}")))?;
    checked(direction, &json).map_err(MigrationError::Invalid)?;
    let mut migrations = Vec::with_capacity(json.migrations.len());
    for migration in json.migrations {
        migrations.push(read(migration, direction, dialect)?);
    }
    let max = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(MigrationPlan {
        direction,
        migrations,
        max_count: json.max_count.map(max),
    })
}

fn checked(direction: Direction, json: &PlanJson) -> Result<(), String> {
    if let Some(other) = json.format.as_deref().filter(|format| *format != FORMAT) {
        return Err(format!("format is `{}`, not `{FORMAT}`", Shown(other)));
    }
    let named = json.direction.as_deref().unwrap_or_default();
    if named != direction.as_str() {
        return Err(format!(
            "direction is `{}`, and the operation is migrate_{}",
            Shown(named),
            direction.as_str()
        ));
    }
    if json.migrations.is_empty() {
        return Err("migrations is empty".to_owned());
    }
    if json.max_count == Some(0) {
        return Err("max_count is 0".to_owned());
    }
    let mut seen = BTreeSet::new();
    for migration in &json.migrations {
        version(&migration.version)?;
        if !seen.insert(migration.version.as_str()) {
            return Err(format!("version `{}` is there twice", migration.version));
        }
    }
    let pairs = || json.migrations.windows(2);
    let ascending = |less: fn(&str, &str) -> bool| {
        pairs().find(|pair| !less(&pair[0].version, &pair[1].version))
    };
    // By name, as files are sorted, or as numbers.
    if let (Some(pair), Some(_)) = (ascending(|a, b| a < b), ascending(is_before)) {
        return Err(format!(
            "version `{}` comes after `{}`, which is higher",
            pair[1].version, pair[0].version
        ));
    }
    match &json.versions {
        Some(versions)
            if versions.len() != seen.len()
                || !versions
                    .iter()
                    .all(|version| seen.contains(version.as_str())) =>
        {
            Err("versions names others than the migrations".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether a version is lower than another, as numbers where both are.
pub fn is_before(one: &str, other: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match digits(one) && digits(other) {
        true => {
            let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            (one.len(), one) < (other.len(), other)
        }
        false => one < other,
    }
}

fn version(text: &str) -> Result<(), String> {
    let fits = !text.is_empty()
        && text.len() <= VERSION_BYTES_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    match fits {
        true => Ok(()),
        false => Err(format!(
            "version `{}` does not have 1 to {VERSION_BYTES_MAX} characters of a-z, A-Z, 0-9, `_`, `-`, `.`",
            Shown(text)
        )),
    }
}

fn read(
    migration: MigrationJson,
    direction: Direction,
    dialect: Dialect,
) -> Result<Migration, MigrationError> {
    let version = migration.version;
    let invalid = |what: String| MigrationError::Invalid(format!("migration `{version}`: {what}"));
    if migration.sql.contains('\0') {
        return Err(invalid("it holds a NUL character".to_owned()));
    }
    let section = file::section(&migration.sql, direction, dialect).map_err(&invalid)?;
    let statements = sql::statements(&section.sql, dialect).map_err(|e| {
        invalid(format!(
            "line {}, column {} cannot be read: {}",
            e.line, e.column, e.what
        ))
    })?;
    if let Some((at, found)) = (1..)
        .zip(&statements)
        .find(|(_, statement)| statement.controls_transaction)
    {
        return Err(MigrationError::Refused(format!(
            "migration `{version}`: statement {at} at line {} would control the transaction, which is the agent's",
            found.line
        )));
    }
    Ok(Migration {
        sql: section.sql,
        statements,
        transactional: section.transactional && migration.transactional != Some(false),
        version,
    })
}

/// Reads the detail of a repair.
///
/// # Errors
/// The sentence that says what is wrong with it.
pub fn repair(detail: &str) -> Result<Repair, String> {
    let json: RepairJson =
        serde_json::from_str(detail).map_err(|e| format!("detail of a repair: {e}"))?;
    version(&json.version)?;
    Ok(Repair {
        action: json.action,
        version: json.version,
    })
}

#[cfg(test)]
mod tests;
