//! Whether the functions that a statement calls are the server's own. Their names alone do not tell: one that only other
//! servers or later versions have can be that of a stored function, which may write.

use super::session::{MySqlDeadline, MySqlStop, Session, quoted};
use crate::agent::drivers::guard::Reading;
use crate::domain::dialect::Dialect;
use crate::domain::sql::names_before_parentheses;

/// Names that are looked up for one statement, at most.
const NAMES_MAX: usize = 1_000;

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
    let names = names_before_parentheses(sql, Dialect::MySql);
    let Some(names) = names.filter(|names| names.len() <= NAMES_MAX) else {
        return Ok(Some(
            "a function whose name cannot be determined".to_owned(),
        ));
    };
    if names.is_empty() {
        return Ok(None);
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

/// The same by its name alone, as in the text of a view, where the server names the schema of a stored function.
pub(super) fn unknown_by_name(session: &Session, reading: &Reading) -> Option<String> {
    let unknown = |name: &&String| !session.kind.computes(name);
    reading.unknown_functions.iter().find(unknown).cloned()
}
