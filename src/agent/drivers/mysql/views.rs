//! What a statement runs by reading: a view may call a function, which may write, and the words of the statement do not
//! show it.

use super::calls::unknown_in_view;
use super::names::named;
use super::session::{MySqlDeadline, MySqlStop, Session};
use crate::agent::drivers::guard;
use crate::domain::dialect::Dialect;
use std::collections::BTreeSet;

/// Views that are looked through for one statement, at most; one that reads more of them counts as unknown.
const VIEWS_MAX: usize = 100;

/// Whether reading `tables`, each a name as the analysis gives it, does nothing but compute: what is a view among them is
/// looked through, down to its tables. What the agent's user cannot see of a view counts as more.
pub(super) fn only_compute(
    session: &mut Session,
    tables: &[String],
    watch: &MySqlDeadline,
) -> Result<bool, MySqlStop> {
    let mut waiting: Vec<(String, bool)> = tables.iter().cloned().map(|t| (t, true)).collect();
    let mut known = BTreeSet::new();
    let mut views = 0;
    while let Some((table, by_statement)) = waiting.pop() {
        if !known.insert(table.clone()) {
            continue;
        }
        let (schema, name) = named(&table);
        let kinds = session.ask(
            &format!(
                "SELECT TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SYSTEM VIEW', 'SEQUENCE', 'TEMPORARY') \
                 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name}"
            ),
            watch,
        )?;
        // What a statement names and nobody can see cannot be read by it, or is temporary.
        if kinds.is_empty() && !by_statement {
            return Ok(false);
        }
        if kinds
            .into_iter()
            .flatten()
            .all(|one| one.as_deref() == Some("1"))
        {
            continue;
        }
        views += 1;
        if views > VIEWS_MAX {
            return Ok(false);
        }
        let texts = session.ask(
            &format!(
                "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name}"
            ),
            watch,
        )?;
        let texts: Vec<String> = texts.into_iter().flatten().flatten().collect();
        if texts.is_empty() {
            return Ok(false);
        }
        for (text, reading) in texts.iter().zip(guard::readings(&texts, Dialect::MySql)) {
            match reading {
                Some(one)
                    if one.reads && one.plain && unknown_in_view(session, text, &one).is_none() =>
                {
                    waiting.extend(one.tables.into_iter().map(|table| (table, false)));
                }
                _ => return Ok(false),
            }
        }
    }
    Ok(true)
}
