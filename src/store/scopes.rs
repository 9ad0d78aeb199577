//! The scope of a role as a condition on rows of requests.

use crate::domain::scope::{ANY, RoleScope, Scope};
use rusqlite::types::Value as Sql;

/// Adds to `sql` that the request row `of` lies within `scope`, and to `values` the names it binds; nothing for a scope
/// of everything.
pub(super) fn within(of: &str, scope: &RoleScope, sql: &mut String, values: &mut Vec<Sql>) {
    for (column, names) in [
        ("database_name", scope.named_databases()),
        ("environment", scope.named_environments()),
    ] {
        if let Some(names) = names {
            let marks = vec!["?"; names.len()].join(", ");
            sql.push_str(&format!(" AND {of}.{column} IN ({marks})"));
            values.extend(names.iter().cloned().map(Sql::from));
        }
    }
}

/// The condition that the request row `of` lies within `scope`, whose names are added to `values`.
pub(super) fn inside(of: &str, scope: &Scope, values: &mut Vec<Sql>) -> String {
    let mut sql = "1 = 1".to_owned();
    for (column, name) in [
        ("database_name", &scope.database),
        ("environment", &scope.environment),
    ] {
        if name != ANY {
            sql.push_str(&format!(" AND {of}.{column} = ?"));
            values.push(name.clone().into());
        }
    }
    sql
}
