//! One statement: that it is only one, and what the server returns for it.

use super::session::{MySqlDeadline, MySqlStop, Session};
use super::values;
use crate::agent::drivers::WhenFull;
use crate::agent::drivers::rows::{Cell, ResultRows, Results};
use crate::agent::drivers::{DriverJob, guard};
use crate::domain::dialect::Dialect;
use ::mysql::prelude::Queryable;
use ::mysql::{Column, Error, Row, Value};
use std::error::Error as _;

/// Number of the error about what cannot be prepared; the text was read whole before it comes.
const NOT_PREPARABLE: u16 = 1295;

/// How a statement ended.
pub(super) enum Ran {
    /// It changed so many rows.
    Changed(u64),
    /// The result is full; the connection is of no more use.
    Enough,
}

/// The message with the number of its statement, where the plan has several.
pub(super) fn numbered(stop: MySqlStop, n: usize, job: &DriverJob) -> MySqlStop {
    match stop {
        MySqlStop::Failed(message) if job.plan.len() > 1 => {
            MySqlStop::Failed(format!("statement {}: {message}", n + 1))
        }
        stop => stop,
    }
}

/// Has the server read `sql`: it refuses a second statement here, and only here.
pub(super) fn one_statement(
    session: &mut Session,
    sql: &str,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    match session.conn.prep(sql) {
        Ok(statement) => {
            let parameters = statement.num_params();
            session.conn.close(statement).map_err(|e| watch.stop(e))?;
            match parameters {
                0 => Ok(()),
                _ => Err(MySqlStop::Failed(
                    "the statement has a parameter, and there is no value for it".to_owned(),
                )),
            }
        }
        Err(Error::MySqlError(e)) if e.code == NOT_PREPARABLE => Ok(()),
        Err(e) => Err(watch.stop(e)),
    }
}

/// Runs `sql`; all results that it returns go to `results`.
pub(super) fn query(
    session: &mut Session,
    sql: &str,
    results: &mut Results,
    when_full: WhenFull,
    watch: &MySqlDeadline,
) -> Result<Ran, MySqlStop> {
    session.used = true;
    let returning = returns_what_it_changes(sql);
    let mut found = session.conn.query_iter(sql).map_err(|e| watch.stop(e))?;
    let (mut changed, mut enough) = (0_u64, false);
    while let Some(mut set) = found.iter() {
        let columns = set.columns().as_ref().to_vec();
        // Known only until it is read to its end.
        let affected = set.affected_rows();
        if columns.is_empty() {
            // At the place of a result an error can come as well.
            for row in set.by_ref() {
                row.map_err(|e| watch.stop(e))?;
            }
            changed = changed.saturating_add(affected);
            continue;
        }
        let mut into = begun(results, &columns);
        let (mut rows, mut full) = (0_u64, into.is_none());
        for row in set.by_ref() {
            let row = match row {
                Err(e) if is_too_long(&e) && when_full == WhenFull::Stop => {
                    if let Some(into) = into {
                        into.too_long();
                    }
                    full = true;
                    break;
                }
                row => row.map_err(|e| watch.stop(e))?,
            };
            rows = rows.saturating_add(1);
            full |= into
                .as_deref_mut()
                .is_some_and(|into| !push(into, &columns, &row));
            if full && when_full == WhenFull::Stop {
                break;
            }
            if full {
                into = None;
            }
        }
        if full && when_full == WhenFull::Stop {
            // Dropping either would read all that is left.
            std::mem::forget(set);
            enough = true;
            break;
        }
        if returning {
            changed = changed.saturating_add(rows);
        }
    }
    if enough {
        std::mem::forget(found);
        return Ok(Ran::Enough);
    }
    Ok(Ran::Changed(changed))
}

/// Whether the error is about a row that is longer than the connection takes.
fn is_too_long(error: &Error) -> bool {
    matches!(error, Error::CodecError(e) if e.source().is_none() && e.to_string().contains("max_allowed_packet"))
}

/// Whether each row that a result of `sql` has is one that it changed: MariaDB counts none where a statement has RETURNING.
fn returns_what_it_changes(sql: &str) -> bool {
    let (first, _) = guard::leading_words(sql, Dialect::MySql);
    matches!(first.as_str(), "INSERT" | "REPLACE" | "DELETE" | "UPDATE")
}

/// The next result; none where there are too many.
fn begun<'r>(results: &'r mut Results, columns: &[Column]) -> Option<&'r mut ResultRows> {
    let named = columns
        .iter()
        .map(|c| (c.name_str().into_owned(), Some(values::type_name(c))));
    match results.begin(named.collect()) {
        true => results.last(),
        false => None,
    }
}

fn push(into: &mut ResultRows, columns: &[Column], row: &Row) -> bool {
    let mut room = vec![String::new(); columns.len()];
    let cells: Vec<Cell<'_>> = columns
        .iter()
        .zip(&mut room)
        .enumerate()
        .map(|(n, (column, room))| match row.as_ref(n) {
            Some(Value::Bytes(bytes)) => values::cell(column, bytes, room),
            _ => Cell::Null,
        })
        .collect();
    into.push(|n| cells.get(n).copied().unwrap_or(Cell::Null))
}
