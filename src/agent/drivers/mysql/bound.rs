//! Whether the number of rows that a plan changes can be known: only of plain INSERT, UPDATE and DELETE on
//! transactional tables without triggers and without keys that pass a change on, where nothing is called that might
//! change rows itself. These databases count nothing else; what the agent's user cannot see is not provable either.

use super::calls::first_unknown;
use super::session::{MySqlDeadline, MySqlStop, Session};
use super::tables::{KeysToIt, KnownTables, TableFacts};
use crate::agent::drivers::DriverJob;
use crate::agent::drivers::guard;
use crate::domain::dialect::Dialect;

/// Opens the refusal of an execution.
pub(super) const APPROVED: &str = "not run: a number of rows was approved, and ";

/// Opens the same after its statements have run.
pub(super) const APPROVED_AND_RUN: &str = "not committed: a number of rows was approved, and ";

/// Refuses a plan whose rows nobody can count, in a sentence that `refused` opens. Asked before the statements, and again
/// when their locks keep others from adding to what was seen.
pub(super) fn provable(
    session: &mut Session,
    job: &DriverJob,
    watch: &MySqlDeadline,
    refused: &str,
) -> Result<(), MySqlStop> {
    let unprovable = |why: String| Err(MySqlStop::Failed(format!("{refused}{why}")));
    let mut tables = KnownTables::default();
    let readings = guard::readings(&job.plan, Dialect::MySql);
    for (sql, reading) in job.plan.iter().zip(readings) {
        let (first, _) = guard::leading_words(sql, Dialect::MySql);
        if !["INSERT", "UPDATE", "DELETE"].contains(&first.as_str()) {
            return unprovable(format!("what `{first}` changes is not counted"));
        }
        let Some(reading) = reading.filter(|reading| !reading.tables.is_empty()) else {
            return unprovable("the tables of a statement cannot be determined".to_owned());
        };
        if let Some(name) = first_unknown(session, sql, &reading, watch)? {
            return unprovable(format!("rows that `{name}` may change are not counted"));
        }
        if !reading.plain {
            return unprovable("a statement may do more than its words show".to_owned());
        }
        let keys_matter = first != "INSERT" || sql.to_ascii_lowercase().contains("duplicate");
        for table in &reading.tables {
            let facts = tables.facts(session, table, watch)?;
            if let Some(why) = uncounted(table, &facts) {
                return unprovable(why);
            }
            if keys_matter
                && let Some(why) = passed_on(table, tables.keys_to(session, table, watch)?)
            {
                return unprovable(why);
            }
        }
    }
    Ok(())
}

/// Why what a change of `table` brings about is not counted.
fn uncounted(table: &str, facts: &TableFacts) -> Option<String> {
    if !facts.transactional {
        return Some(format!("`{table}` is not a table that can roll back"));
    }
    if !facts.triggers.is_empty() {
        return Some(format!(
            "`{table}` has triggers, whose rows are not counted"
        ));
    }
    (!facts.triggers_visible).then(|| {
        format!("the agent's user cannot see the triggers of `{table}`: it needs the privilege TRIGGER there")
    })
}

/// Why what the keys that point to `table` do is not counted.
fn passed_on(table: &str, keys: KeysToIt) -> Option<String> {
    match keys {
        KeysToIt::Keep => None,
        KeysToIt::PassOn => Some(format!(
            "keys that point to `{table}` pass changes on, whose rows are not counted"
        )),
        KeysToIt::Hidden => Some(format!(
            "the agent's user cannot see which keys of other databases point to `{table}`: it needs the privilege PROCESS"
        )),
    }
}
