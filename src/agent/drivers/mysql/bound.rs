//! Whether the number of rows that a plan changes can be known: only of plain INSERT, UPDATE and DELETE on
//! transactional tables without triggers and without keys that pass a change on. These databases count nothing else.

use super::session::{MySqlDeadline, MySqlStop, Session};
use crate::agent::drivers::{DriverJob, guard};
use crate::domain::dialect::Dialect;

/// Opens the refusal of an execution.
pub(super) const APPROVED: &str = "not run: a number of rows was approved, and ";

/// Refuses a plan whose rows nobody can count, in a sentence that `refused` opens.
pub(super) fn provable(
    session: &mut Session,
    job: &DriverJob,
    watch: &MySqlDeadline,
    refused: &str,
) -> Result<(), MySqlStop> {
    let unprovable = |why: String| Err(MySqlStop::Failed(format!("{refused}{why}")));
    for sql in &job.plan {
        let (first, _) = guard::leading_words(sql, Dialect::MySql);
        if !["INSERT", "UPDATE", "DELETE"].contains(&first.as_str()) {
            return unprovable(format!("what `{first}` changes is not counted"));
        }
        let Some(tables) = guard::tables(sql, Dialect::MySql).filter(|tables| !tables.is_empty())
        else {
            return unprovable("the tables of a statement cannot be determined".to_owned());
        };
        for table in tables {
            let (schema, name) = named(&table);
            let found = session.ask(
                &format!(
                    "SELECT (SELECT e.TRANSACTIONS FROM information_schema.TABLES t JOIN information_schema.ENGINES e \
                     ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = {schema} AND t.TABLE_NAME = {name}), \
                     (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {schema} \
                     AND EVENT_OBJECT_TABLE = {name}), \
                     (SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS \
                     WHERE UNIQUE_CONSTRAINT_SCHEMA = {schema} AND REFERENCED_TABLE_NAME = {name} \
                     AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION')))"
                ),
                watch,
            )?;
            let row = found.into_iter().next().unwrap_or_default();
            let text = |n: usize| row.get(n).cloned().flatten().unwrap_or_default();
            if text(0) != "YES" {
                return unprovable(format!("`{table}` is not a table that can roll back"));
            }
            if text(1) != "0" {
                return unprovable(format!(
                    "`{table}` has triggers, whose rows are not counted"
                ));
            }
            if text(2) != "0" {
                return unprovable(format!(
                    "keys that point to `{table}` pass changes on, whose rows are not counted"
                ));
            }
        }
    }
    Ok(())
}

/// Schema and name of a table, each as the text of an expression.
pub(super) fn named(table: &str) -> (String, String) {
    match table.split_once('.') {
        Some((schema, name)) => (quoted(schema), quoted(name)),
        None => ("DATABASE()".to_owned(), quoted(table)),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
