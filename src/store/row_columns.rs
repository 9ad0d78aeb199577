//! Columns by name: a declaration gives each a name and says where it comes from, and both the text of a SELECT and
//! the place of each column in its rows are made from that when we are compiled. So no place is counted by hand, and
//! none is searched for while rows are read.

use super::{corrupt, db};
use crate::error::Error;
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Error as SqlError, Row};

/// Columns of one query. The first names the row in messages.
pub(super) trait Columns: Copy {
    /// The table that messages name.
    const TABLE: &'static str;
    /// Where each comes from.
    const SOURCES: &'static [&'static str];
    /// How many there are.
    const COUNT: usize = Self::SOURCES.len();
    /// All of them, as a SELECT lists them.
    const LIST: &'static str;

    fn place(self) -> usize;
}

/// Declares columns; where they are always selected from the same tables, also the statements that select them.
macro_rules! columns {
    ($(#[$attribute:meta])* $visible:vis enum $name:ident of $table:literal $columns:tt) => {
        $crate::store::row_columns::columns!(@columns { $(#[$attribute])* $visible } $name, $table, $columns);
    };
    (
        $(#[$attribute:meta])*
        $visible:vis enum $name:ident of $table:literal from $from:literal $columns:tt
        $($(#[$statement_attribute:meta])* $statement_visible:vis $statement:ident = $tail:literal;)*
    ) => {
        $crate::store::row_columns::columns!(@columns { $(#[$attribute])* $visible } $name, $table, $columns);
        $(
            $crate::store::row_columns::columns!(
                @statement { $(#[$statement_attribute])* $statement_visible } $statement, $from, $tail, $columns
            );
        )*
    };
    (@columns { $(#[$attribute:meta])* $visible:vis } $name:ident, $table:literal, {
        $first:ident = $first_source:literal $(, $column:ident = $source:literal)* $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy)]
        $visible enum $name {
            // It may do no more than name the row.
            #[allow(dead_code)]
            $first
            $(, $column)*
        }

        impl $crate::store::row_columns::Columns for $name {
            const TABLE: &'static str = $table;
            const SOURCES: &'static [&'static str] = &[$first_source $(, $source)*];
            const LIST: &'static str = concat!($first_source $(, ", ", $source)*);

            fn place(self) -> usize {
                self as usize
            }
        }
    };
    (@statement { $(#[$attribute:meta])* $visible:vis } $statement:ident, $from:literal, $tail:literal, {
        $first:ident = $first_source:literal $(, $column:ident = $source:literal)* $(,)?
    }) => {
        $(#[$attribute])*
        $visible const $statement: &str =
            concat!("SELECT ", $first_source $(, ", ", $source)*, " FROM ", $from, " ", $tail);
    };
}
pub(super) use columns;

/// Reads declared columns of a row.
pub(super) trait ReadColumn {
    /// # Errors
    /// `internal` for a value that the type does not have: it names table, row and column.
    fn column<T: FromSql>(&self, column: impl Columns) -> Result<T, Error>;

    /// The same, for who judges a value that the type does not have.
    fn try_column<T: FromSql>(&self, column: impl Columns) -> Result<T, SqlError>;
}

impl ReadColumn for Row<'_> {
    fn column<T: FromSql>(&self, column: impl Columns) -> Result<T, Error> {
        self.try_column(column)
            .map_err(|error| failed(self, column, error))
    }

    fn try_column<T: FromSql>(&self, column: impl Columns) -> Result<T, SqlError> {
        self.get(column.place())
    }
}

/// The error of a value that a column must not have.
#[cold]
pub(super) fn invalid<C: Columns>(row: &Row<'_>, column: C) -> Error {
    let id = match row.get_ref(0) {
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        Ok(ValueRef::Integer(number)) => number.to_string(),
        _ => "?".to_owned(),
    };
    let source = C::SOURCES[column.place()];
    let name = source.split_once('.').map_or(source, |(_, name)| name);
    corrupt(C::TABLE, id, name)
}

#[cold]
fn failed(row: &Row<'_>, column: impl Columns, error: SqlError) -> Error {
    match error {
        SqlError::FromSqlConversionFailure(..)
        | SqlError::InvalidColumnType(..)
        | SqlError::IntegralValueOutOfRange(..) => invalid(row, column),
        other => db(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    columns! {
        enum Pet of "pets" from "pets p" {
            Name = "p.name",
            Legs = "p.legs",
        }
        BY_LEGS = "WHERE p.legs = ?1";
    }

    #[test]
    fn a_declaration_makes_the_statement_and_the_places() {
        assert_eq!(
            BY_LEGS,
            "SELECT p.name, p.legs FROM pets p WHERE p.legs = ?1"
        );
        assert_eq!((Pet::LIST, Pet::COUNT), ("p.name, p.legs", 2));
        assert_eq!((Pet::Name.place(), Pet::Legs.place()), (0, 1));
    }

    #[test]
    fn invalid_value_is_named_by_table_row_and_column() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE pets (name, legs); INSERT INTO pets VALUES ('rex', -4)")
            .unwrap();
        let legs = connection
            .query_row(BY_LEGS, [-4], |row| {
                assert_eq!(row.column::<i64>(Pet::Legs).unwrap(), -4);
                assert_eq!(row.column::<String>(Pet::Name).unwrap(), "rex");
                Ok(row.column::<u32>(Pet::Legs))
            })
            .unwrap();
        let error = legs.unwrap_err().to_string();
        assert_eq!(
            error,
            "internal: pets rex: column legs holds no valid value"
        );
    }
}
