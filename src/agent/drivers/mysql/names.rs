//! Names of tables as the catalog of the database is asked for them.

use super::session::quoted;
use crate::domain::sql::table_parts;

/// Schema and name of a table, each as the text of an expression.
pub(super) fn named(table: &str) -> (String, String) {
    match table_parts(table) {
        (Some(schema), name) => (quoted(&schema), quoted(&name)),
        (None, name) => ("DATABASE()".to_owned(), quoted(&name)),
    }
}
