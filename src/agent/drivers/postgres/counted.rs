//! The rows that a transaction has changed, as PostgreSQL counts them: triggers, cascades and functions included.
//!
//! These questions come after statements that may have changed the search path. So every operator, function and type in
//! them is named with its schema: no other one answers in its place.

use super::rows_text;
use super::statement::change;
use super::watch::PgStop;
use super::wire::PgConnection;
use crate::agent::drivers::guard;
use crate::agent::drivers::rows::Results;
use crate::domain::dialect::Dialect;
use std::collections::BTreeMap;

/// How often what is deferred may defer again before the plan is refused.
const ROUNDS_MAX: usize = 8;

/// The tables of the server itself that hold what people have stored: `pg_largeobject` and its metadata.
const LARGE_OBJECTS: [&str; 2] = ["2613", "2995"];

/// The first oid that the server gives to what people make; those below are of its own tables.
const FIRST_OWN_OID: u32 = 16_384;

/// Rows of one table that this transaction has changed.
pub(super) struct CountedTable {
    pub oid: String,
    /// The table as the search path shows it.
    pub name: String,
    pub rows: u64,
}

/// What the database counted for its process before this transaction: a pooler has it work for others, and it keeps
/// their rows for a while.
pub(super) struct RowCounter {
    before: BTreeMap<String, u64>,
}

impl RowCounter {
    /// Begins to count, before the first statement of the plan.
    pub(super) fn begin(conn: &mut PgConnection) -> Result<RowCounter, PgStop> {
        let hides = conn.own(
            "SELECT proname::pg_catalog.text FROM pg_catalog.pg_proc \
             WHERE pg_catalog.array_to_string(proconfig, ' ') OPERATOR(pg_catalog.~~) '%track_counts%' ORDER BY 1 LIMIT 1",
        )?;
        if let Some(name) = rows_text(hides).first() {
            return Err(PgStop::Failed(format!(
                "rows cannot be counted: the function `{name}` turns track_counts off"
            )));
        }
        let found = counters(conn)?.unwrap_or_default();
        Ok(RowCounter {
            before: found.into_iter().map(|one| (one.oid, one.rows)).collect(),
        })
    }

    /// The rows of this transaction by table; none where the database does not count.
    pub(super) fn by_table(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Option<Vec<CountedTable>>, PgStop> {
        let own = |mut one: CountedTable| {
            let before = self.before.get(&one.oid).copied().unwrap_or(0);
            one.rows = one.rows.saturating_sub(before);
            (one.rows > 0).then_some(one)
        };
        Ok(counters(conn)?.map(|found| found.into_iter().filter_map(own).collect()))
    }

    /// The rows of this transaction; none where the database does not count.
    pub(super) fn rows(&self, conn: &mut PgConnection) -> Result<Option<u64>, PgStop> {
        Ok(self.by_table(conn)?.map(|found| total(&found)))
    }

    /// Has everything happen that waits for the commit, where it can still be counted and refused. A trigger that is
    /// fired by it may defer again: nothing waits any more once a round has changed no row.
    pub(super) fn run_deferred(&self, conn: &mut PgConnection) -> Result<(), PgStop> {
        let mut before = self.rows(conn)?;
        for _ in 0..ROUNDS_MAX {
            conn.own("SET CONSTRAINTS ALL IMMEDIATE")?;
            let now = self.rows(conn)?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
        Err(PgStop::Failed(
            "triggers put off rows until the commit again and again, where they are not counted"
                .to_owned(),
        ))
    }
}

/// Runs a statement of a write to its end; the rows that it has changed. It tells of them itself, but for those of a WITH
/// before its last part, of EXPLAIN ANALYZE, of a function that is called, and of a trigger that puts rows elsewhere: where
/// it tells of none, or may not tell of all, what the database counted for it.
pub(super) fn change_counted(
    conn: &mut PgConnection,
    sql: &str,
    results: &mut Results,
) -> Result<u64, PgStop> {
    let before = changed_so_far(conn)?;
    let own = change(conn, sql, results)?;
    let tells_all = own > 0 && guard::leading_words(sql, Dialect::Postgres).0 != "WITH";
    if tells_all || conn.status != b'T' {
        return Ok(own);
    }
    let now = changed_so_far(conn)?;
    Ok(own.max(now.saturating_sub(before)))
}

/// Rows of tables that people have made, as the process counts them at the moment.
fn changed_so_far(conn: &mut PgConnection) -> Result<u64, PgStop> {
    let [objects, metadata] = LARGE_OBJECTS;
    let found = conn.own(&format!(
        "SELECT pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(oid) \
         OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(oid) \
         OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(oid))::pg_catalog.text \
         FROM pg_catalog.pg_class WHERE relkind OPERATOR(pg_catalog.=) ANY ('{{r,m}}'::pg_catalog.\"char\"[]) \
         AND (oid OPERATOR(pg_catalog.>=) {FIRST_OWN_OID}::pg_catalog.oid \
         OR oid OPERATOR(pg_catalog.=) ANY ('{{{objects},{metadata}}}'::pg_catalog.oid[]))"
    ))?;
    let rows = rows_text(found).into_iter().next();
    Ok(rows.and_then(|rows| rows.parse().ok()).unwrap_or(0))
}

pub(super) fn total(found: &[CountedTable]) -> u64 {
    found
        .iter()
        .map(|one| one.rows)
        .fold(0, u64::saturating_add)
}

/// What the process counts at the moment; none where it does not.
fn counters(conn: &mut PgConnection) -> Result<Option<Vec<CountedTable>>, PgStop> {
    let mut rows = conn
        .own(
            "SELECT pg_catalog.current_setting('track_counts'); \
             SELECT schemaname::pg_catalog.text, relid::pg_catalog.text, relid::pg_catalog.regclass::pg_catalog.text, \
             (n_tup_ins OPERATOR(pg_catalog.+) n_tup_upd OPERATOR(pg_catalog.+) n_tup_del)::pg_catalog.text \
             FROM pg_catalog.pg_stat_xact_all_tables WHERE \
             (n_tup_ins OPERATOR(pg_catalog.+) n_tup_upd OPERATOR(pg_catalog.+) n_tup_del) OPERATOR(pg_catalog.<>) 0",
        )?
        .into_iter()
        .map(|row| row.into_iter().map(Option::unwrap_or_default));
    if rows.next().and_then(|mut row| row.next()).as_deref() != Some("on") {
        return Ok(None);
    }
    let mut found = Vec::new();
    for mut row in rows {
        let mut next = || row.next().unwrap_or_default();
        let (schema, oid, name, count) = (next(), next(), next(), next());
        let of_server = ["pg_catalog", "pg_toast", "information_schema"].contains(&schema.as_str());
        if !of_server || LARGE_OBJECTS.contains(&oid.as_str()) {
            found.push(CountedTable {
                oid,
                name,
                rows: count.parse().unwrap_or(u64::MAX),
            });
        }
    }
    Ok(Some(found))
}

/// What this transaction has done to rows that the database does not count, from the locks that it holds for it: rows of
/// foreign tables, and all rows of a table that has been truncated, rewritten or dropped, whatever did it. A table that is
/// gone may have been a temporary one; nobody can tell any more.
pub(super) fn uncounted(conn: &mut PgConnection) -> Result<Option<String>, PgStop> {
    let found = conn.own(
        "SELECT c.oid::pg_catalog.regclass::pg_catalog.text, c.relkind::pg_catalog.text, \
         c.relpersistence::pg_catalog.text, l.mode FROM pg_catalog.pg_locks l \
         JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) l.database \
         AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
         LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation \
         WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted \
         AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() ORDER BY 1",
    )?;
    let one = |row: Vec<Option<String>>| {
        let mut texts = row.into_iter();
        let (table, kind) = (texts.next().flatten(), texts.next().flatten());
        let (persistence, mode) = (texts.next().flatten(), texts.next().flatten());
        let mode = mode.unwrap_or_default();
        let Some(table) = table else {
            return (mode == "AccessExclusiveLock").then(|| "a table that is dropped".to_owned());
        };
        let changes = match kind.as_deref() {
            _ if persistence.as_deref() == Some("t") => false,
            // Everything but reading, TRUNCATE as well.
            Some("f") => !["AccessShareLock", "RowShareLock"].contains(&mode.as_str()),
            Some("r" | "p") => mode == "AccessExclusiveLock",
            _ => false,
        };
        changes.then(|| format!("`{table}`"))
    };
    Ok(found.into_iter().find_map(one).map(|table| {
        format!(
            "rows of {table} change uncounted (it is foreign, or truncated, rewritten, dropped or locked against \
             everybody)"
        )
    }))
}
