//! Running one statement: prepared once a connection, its rows read into values, and its failures as our errors.

use super::row_columns::{Columns, ReadColumn};
use crate::domain::id::Target;
use crate::error::Error;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row};

/// A failure of the database, as a caller sees it.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        super::db(error)
    }
}

/// Statements of a connection.
pub(super) trait RunStatement {
    /// Every row.
    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error>;

    /// The first row, if there is one.
    fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error>;

    /// The first row, which is always there.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error>;

    /// Writes; returns how many rows changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, Error>;
}

impl RunStatement for Connection {
    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.prepare_cached(sql)?;
        let found = statement
            .query_row(params, |row| Ok(read(row)))
            .optional()?;
        found.transpose()
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.prepare_cached(sql)?
            .query_row(params, |row| Ok(read(row)))?
    }

    fn run(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        Ok(self.prepare_cached(sql)?.execute(params)?)
    }
}

/// The first column of a row.
pub(super) fn first<T: FromSql>(row: &Row<'_>) -> Result<T, Error> {
    Ok(row.get(0)?)
}

/// All columns of a row, for a statement that has few: in the order of its SELECT.
pub(super) fn tuple<T>(row: &Row<'_>) -> Result<T, Error>
where
    T: for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error>,
{
    Ok(T::try_from(row)?)
}

/// The target that two columns name. Names that make no target are an error.
pub(super) fn target<C: Columns>(
    row: &Row<'_>,
    database: C,
    environment: C,
) -> Result<Target, Error> {
    let (database, environment): (String, String) =
        (row.column(database)?, row.column(environment)?);
    Target::new(&database, &environment)
        .map_err(|error| Error::bug(format!("a stored target is invalid: {error}")))
}
