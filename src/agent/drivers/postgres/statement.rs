//! Single statements of a plan: read by the server as one, run, their rows made into a result or counted.

use super::called::Words;
use super::rows_text;
use super::values::{self, PgKind};
use super::watch::PgStop;
use super::wire::{End, PgConnection, Shape, Sink};
use crate::agent::drivers::rows::{Cell, ResultRows, Results};
use crate::agent::drivers::{WhenFull, guard};
use crate::domain::dialect::Dialect;

/// What a plan may not hold.
pub(super) const EMPTY: &str = "one element of the plan holds no statement";

/// Where something has changed how the server reads text, `sql` is another statement to it than the one approved.
const OTHER_READING: &str = "not run: something changed how the database reads text (standard_conforming_strings, \
                             client_encoding), and the statement was read otherwise";

pub(super) fn prepared(conn: &mut PgConnection, sql: &str) -> Result<Shape, PgStop> {
    if !conn.reads_as_analysed() {
        return Err(PgStop::Failed(OTHER_READING.to_owned()));
    }
    let shape = conn
        .prepare(sql)
        .map_err(|fault| PgStop::of_statement(fault, sql))?;
    match shape.parameters {
        0 => Ok(shape),
        _ => Err(PgStop::Failed(
            "the statement has a parameter, and there is no value for it".to_owned(),
        )),
    }
}

/// Runs what [`prepared`] has read of `sql`.
fn run(conn: &mut PgConnection, sql: &str, sink: &mut Sink<'_>) -> Result<End, PgStop> {
    conn.execute(sink)
        .map_err(|fault| PgStop::of_statement(fault, sql))
}

/// The types of a statement's columns: known ones by themselves, others as the catalogue names them.
fn column_types(
    conn: &mut PgConnection,
    sql: &str,
    shape: &Shape,
) -> Result<Vec<(Option<String>, PgKind)>, PgStop> {
    let mut unknown: Vec<u32> = shape
        .columns
        .iter()
        .map(|c| c.type_oid)
        .filter(|oid| values::known(*oid).is_none())
        .collect();
    unknown.sort_unstable();
    unknown.dedup();
    let mut asked = Vec::new();
    if !unknown.is_empty() {
        let list: Vec<String> = unknown.iter().map(u32::to_string).collect();
        asked = conn.own(&format!(
            "SELECT oid::pg_catalog.text, pg_catalog.format_type(oid, NULL), typcategory::pg_catalog.text \
             FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[])",
            list.join(",")
        ))?;
        // The question has taken the place of the statement.
        prepared(conn, sql)?;
    }
    let of = |oid: u32| -> (Option<String>, PgKind) {
        if let Some((name, kind)) = values::known(oid) {
            return (Some(name.to_owned()), kind);
        }
        let oid = oid.to_string();
        let row = asked
            .iter()
            .find(|row| row.first().and_then(Option::as_ref) == Some(&oid));
        let text = |n: usize| row.and_then(|row| row.get(n)).cloned().flatten();
        (
            text(1),
            text(2).map_or(PgKind::Text, |category| values::asked(&category)),
        )
    };
    Ok(shape.columns.iter().map(|c| of(c.type_oid)).collect())
}

/// Runs a statement; its rows become the next of `results`.
pub(super) fn query(
    conn: &mut PgConnection,
    sql: &str,
    results: &mut Results,
    when_full: WhenFull,
) -> Result<End, PgStop> {
    let shape = prepared(conn, sql)?;
    if shape.columns.is_empty() {
        return run(conn, sql, &mut |_| true);
    }
    let types = column_types(conn, sql, &shape)?;
    let columns = shape
        .columns
        .iter()
        .zip(&types)
        .map(|(c, (name, _))| (c.name.clone(), name.clone()));
    let reads_on = when_full == WhenFull::ReadOn;
    let mut rows = match results.begin(columns.collect()) {
        true => results.last(),
        false if reads_on => None,
        false => return Ok(End::Enough),
    };
    let mut room = vec![String::new(); types.len()];
    run(conn, sql, &mut |row| {
        let fits = match (rows.as_deref_mut(), row) {
            (Some(rows), Some(row)) => push(rows, row, &types, &mut room),
            (Some(rows), None) => {
                rows.too_long();
                false
            }
            (None, _) => false,
        };
        if !fits {
            rows = None;
        }
        fits || reads_on
    })
}

/// Adds a row; `false` when it did not fit.
fn push(
    rows: &mut ResultRows,
    row: &[Option<&[u8]>],
    types: &[(Option<String>, PgKind)],
    room: &mut [String],
) -> bool {
    let cells: Vec<Cell<'_>> = row
        .iter()
        .zip(types)
        .zip(room)
        .map(|((value, (_, kind)), room)| {
            value.map_or(Cell::Null, |text| values::cell(*kind, text, room))
        })
        .collect();
    rows.push(|n| cells.get(n).copied().unwrap_or(Cell::Null))
}

/// Runs a statement of a write to its end; the rows that it says it has changed. Those that it returns become the next of
/// `results`, as far as they fit.
pub(super) fn change(
    conn: &mut PgConnection,
    sql: &str,
    results: &mut Results,
) -> Result<u64, PgStop> {
    match query(conn, sql, results, WhenFull::ReadOn)? {
        End::Done(tag) => Ok(changed(&tag)),
        End::Empty => Err(PgStop::Failed(EMPTY.to_owned())),
        End::Enough => Err(PgStop::Failed(
            "the rows of the statement were not read to their end".to_owned(),
        )),
    }
}

/// The number in a tag like `INSERT 0 5`; only of what changes rows.
pub(super) fn changed(tag: &str) -> u64 {
    let mut words = tag.split(' ');
    match words.next() {
        Some("INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY") => {
            words.next_back().and_then(|n| n.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// An index that a broken off CONCURRENTLY has left, or that somebody builds at the moment.
pub(super) struct InvalidIndex {
    /// The index as the search path shows it.
    pub shown: String,
    bare: String,
    table: String,
}

impl InvalidIndex {
    /// Whether a statement names it.
    pub fn is_named_by(&self, sql: &str) -> bool {
        Words::of(sql).may_name(&self.bare)
    }

    /// Whether a statement may have made it: it names the index or its table, or builds indexes anew.
    pub fn may_be_of(&self, sql: &str) -> bool {
        let words = Words::of(sql);
        words.may_name(&self.bare)
            || words.may_name(&self.table)
            || guard::leading_words(sql, Dialect::Postgres).0 == "REINDEX"
    }
}

/// All invalid indexes but those of partitioned tables, which are invalid until every partition has its part.
pub(super) fn invalid_indexes(conn: &mut PgConnection) -> Result<Vec<InvalidIndex>, PgStop> {
    let rows = conn.own(
        "SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text, c.relname::pg_catalog.text, t.relname::pg_catalog.text \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
         JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) i.indrelid \
         WHERE NOT i.indisvalid AND c.relkind OPERATOR(pg_catalog.=) 'i' ORDER BY 1",
    )?;
    let index = |row: Vec<Option<String>>| {
        let mut texts = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || texts.next().unwrap_or_default();
        InvalidIndex {
            shown: next(),
            bare: next(),
            table: next(),
        }
    };
    Ok(rows.into_iter().map(index).collect())
}

/// Partitions that a broken off DETACH PARTITION CONCURRENTLY has left, which servers before 14 do not have.
pub(super) fn detached_halfway(conn: &mut PgConnection) -> Result<Vec<String>, PgStop> {
    let rows = conn.own(
        "SELECT inhrelid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_inherits i \
         WHERE (pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'inhdetachpending') OPERATOR(pg_catalog.=) 'true' ORDER BY 1",
    )?;
    Ok(rows_text(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_of_changes_count() {
        let rows = [
            ("INSERT 0 5", 5),
            ("UPDATE 3", 3),
            ("DELETE 0", 0),
            ("MERGE 2", 2),
            ("SELECT 9", 0),
            ("CREATE TABLE", 0),
        ];
        for (tag, n) in rows {
            assert_eq!(changed(tag), n, "{tag}");
        }
    }
}
