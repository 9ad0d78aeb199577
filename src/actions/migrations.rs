//! The migrations of a new request: checked, and read as all SQL is, so that people see what they would do.

use super::App;
use super::dialects::analyze as analyzed;
use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::migration::{self, Direction, MigrationError, MigrationPlan};
use crate::domain::sql::Analysis;
use crate::error::Error;
use std::sync::Arc;

const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite];

/// What all migrations of `detail` are together; none where the operation carries no SQL.
///
/// # Errors
/// 400 `validation_error` for a detail that is not one, 422 `sql_rejected` for transaction control, and what the
/// analyzer says.
pub(super) fn analyze(
    app: &App,
    operation: Operation,
    detail: &str,
    dialect: Option<Dialect>,
) -> Result<Option<Arc<Analysis>>, Error> {
    if operation == Operation::MigrateRepair {
        migration::repair(detail).map_err(invalid)?;
    }
    let Some(direction) = Direction::of(operation) else {
        return Ok(None);
    };
    let plan = plan(direction, detail, dialect).map_err(|error| match error {
        MigrationError::Invalid(message) => invalid(message),
        MigrationError::Refused(message) => Error::refused("sql_rejected", message)
            .hint("leave it out: each migration is a transaction, unless its marker says `transaction:false`"),
    })?;
    let mut parts = Vec::with_capacity(plan.migrations.len());
    for migration in plan.migrations {
        if migration.statements.is_empty() {
            continue;
        }
        let name = format!("migration `{}`", migration.version);
        let analysis = analyzed(app, &migration.sql, dialect)
            .map_err(|error| error.hint(format!("it is about {name}")))?;
        parts.push((name, Arc::unwrap_or_clone(analysis)));
    }
    Ok(Analysis::merged(parts).map(Arc::new))
}

fn invalid(message: String) -> Error {
    Error::invalid(message).hint("docs/migrations.md has the form")
}

/// The plan, read in all dialects where nobody knows which it is.
fn plan(
    direction: Direction,
    detail: &str,
    dialect: Option<Dialect>,
) -> Result<MigrationPlan, MigrationError> {
    if let Some(dialect) = dialect {
        return migration::plan(direction, detail, dialect);
    }
    let [first, second, third] =
        DIALECTS.map(|dialect| migration::plan(direction, detail, dialect));
    let (first, second, third) = (first?, second?, third?);
    match first == second && first == third {
        true => Ok(first),
        false => Err(MigrationError::Invalid(
            "PostgreSQL, MySQL and SQLite read the migrations differently; configure `dialect` of the database"
                .to_owned(),
        )),
    }
}
