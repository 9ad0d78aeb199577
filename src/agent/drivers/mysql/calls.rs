//! Whether the functions that a statement calls are the server's own. Their names alone do not tell: one that only other
//! servers or later versions have can be that of a stored function, which may write.

use super::session::{MySqlDeadline, MySqlStop, Session, quoted};
use crate::agent::drivers::guard::Reading;
use crate::domain::dialect::Dialect;
use crate::domain::sql::names_before_parentheses;
use std::collections::BTreeSet;

/// Names that are looked up for one statement, at most.
const NAMES_MAX: usize = 1_000;

/// Functions of libraries that are known of a server, at most.
const LIBRARY_FUNCTIONS_MAX: usize = 10_000;
/// How the answer ends where the agent's user may not see the functions of libraries, or there is no table of them.
const HIDDEN: [&str; 2] = [
    "(error 1142, SQLSTATE 42000)",
    "(error 1146, SQLSTATE 42S02)",
];

/// The first function of a statement that is not known to do nothing but compute on this server; `sql` is its text.
pub(super) fn first_unknown(
    session: &mut Session,
    sql: &str,
    reading: &Reading,
    watch: &MySqlDeadline,
) -> Result<Option<String>, MySqlStop> {
    if let Some(name) = unknown_by_name(session, reading) {
        return Ok(Some(name));
    }
    let names = match names_of(sql) {
        Err(unclear) => return Ok(Some(unclear)),
        Ok(names) if names.is_empty() => return Ok(None),
        Ok(names) => names,
    };
    if let Some(name) = names.intersection(&session.of_libraries).next() {
        return Ok(Some(name.clone()));
    }
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let stored = session.ask(
        &format!(
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
             AND ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_NAME IN ({}) LIMIT 1",
            names.join(", ")
        ),
        watch,
    )?;
    Ok(stored.into_iter().flatten().flatten().next())
}

/// What may be a name of a function in `sql`, in lower case.
///
/// # Errors
/// What to call them where they cannot be determined.
fn names_of(sql: &str) -> Result<BTreeSet<String>, String> {
    names_before_parentheses(sql, Dialect::MySql)
        .filter(|names| names.len() <= NAMES_MAX)
        .ok_or_else(|| "a function whose name cannot be determined".to_owned())
}

/// The functions that libraries have given to the server, as far as the agent's user may see them, in lower case. Asked
/// while each statement is a transaction of its own: one that has read this table knows no savepoints.
pub(super) fn of_libraries(
    session: &mut Session,
    watch: &MySqlDeadline,
) -> Result<BTreeSet<String>, MySqlStop> {
    let question = format!("SELECT LOWER(name) FROM mysql.func LIMIT {LIBRARY_FUNCTIONS_MAX}");
    match session.ask(&question, watch) {
        Ok(found) => Ok(found.into_iter().flatten().flatten().collect()),
        Err(MySqlStop::Failed(why)) if HIDDEN.iter().any(|end| why.ends_with(end)) => {
            Ok(BTreeSet::new())
        }
        Err(stop) => Err(stop),
    }
}

/// The same in the text of a view, where the server names the schema of a stored function.
pub(super) fn unknown_in_view(session: &Session, sql: &str, reading: &Reading) -> Option<String> {
    let of_a_library = || match names_of(sql) {
        Err(unclear) => Some(unclear),
        Ok(names) => names.intersection(&session.of_libraries).next().cloned(),
    };
    unknown_by_name(session, reading).or_else(of_a_library)
}

/// The same by its name alone.
fn unknown_by_name(session: &Session, reading: &Reading) -> Option<String> {
    let unknown = |name: &&String| !session.kind.computes(name);
    reading.unknown_functions.iter().find(unknown).cloned()
}
