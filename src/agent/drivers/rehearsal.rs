//! A rehearsal: what each driver may run without anybody's approval, as the agent itself reads it, and the report of
//! what it would have changed. The rollback is the driver's; that nothing is ever committed, the wall sees to as well.

use super::guard::on_large_stack;
use super::{DriverJob, STATEMENTS_MAX, guard};
use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::rehearsal::refusal;
use crate::domain::sql::{InsertedColumns, analyze, inserted_columns, unknown_calls};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Triggers that a report names, at most, and tables of one statement.
const TRIGGERS_MAX: usize = 100;
const TABLES_MAX: usize = 100;

/// Rows by the name of their table.
pub type TableRows = BTreeMap<String, u64>;

/// What `now` counts and `before` did not, but for `rows` of `own`, which the statement has changed itself.
pub fn beyond(now: &TableRows, before: &TableRows, own: &str, rows: u64) -> TableRows {
    let more = now.iter().map(|(table, rows_now)| {
        let itself = if table == own { rows } else { 0 };
        let known = before.get(table).copied().unwrap_or(0);
        let left = rows_now.saturating_sub(known).saturating_sub(itself);
        (table.clone(), left)
    });
    more.filter(|(_, rows)| *rows > 0).collect()
}

fn list(rows: &TableRows) -> Vec<Value> {
    let each = rows.iter().take(TABLES_MAX);
    each.map(|(table, rows)| json!({"table": table, "rows": rows}))
        .collect()
}

/// A statement that may be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTableWrite {
    pub sql: String,
    /// `insert`, `update`, `delete` or `merge`.
    pub kind: &'static str,
    /// The one table that it names: `schema.table` or `table`.
    pub table: String,
    pub defaults: TakenDefaults,
}

/// The columns of its table that may get their default from a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenDefaults {
    None,
    /// All but these.
    AllBut(Vec<String>),
    Any,
}

impl TakenDefaults {
    fn of(kind: &str, sql: &str, dialect: Dialect) -> TakenDefaults {
        match (kind, inserted_columns(sql, dialect)) {
            ("insert", InsertedColumns::Listed(given)) => TakenDefaults::AllBut(given),
            ("insert" | "merge", _) => TakenDefaults::Any,
            _ if sql.to_ascii_lowercase().contains("default") => TakenDefaults::Any,
            _ => TakenDefaults::None,
        }
    }
}

impl OneTableWrite {
    /// Whether rows are written, and not only removed.
    pub fn writes_rows(&self) -> bool {
        self.kind != "delete"
    }

    /// Whether it may take a new value from a sequence.
    pub fn inserts(&self) -> bool {
        matches!(self.kind, "insert" | "merge")
    }
}

/// The statements of a plan, by the agent's own reading, whatever the server has made of them.
///
/// # Errors
/// The sentence for approvers, where one of them may not be rehearsed.
pub fn read(job: &DriverJob, dialect: Dialect) -> Result<Vec<OneTableWrite>, String> {
    guard::check(job, dialect)?;
    if job.plan.len() > STATEMENTS_MAX {
        return Err(format!("not rehearsed: over {STATEMENTS_MAX} statements"));
    }
    let read = on_large_stack(|| {
        let each = job.plan.iter().map(|sql| one(sql, dialect));
        each.collect::<Result<Vec<_>, String>>()
    });
    read.unwrap_or_else(|| Err("the agent could not analyse the statement".to_owned()))
        .map_err(|why| format!("not rehearsed: {why}"))
}

fn one(sql: &str, dialect: Dialect) -> Result<OneTableWrite, String> {
    let analysis =
        analyze(sql, dialect).map_err(|_| "a statement cannot be analysed".to_owned())?;
    if let Some(why) = refusal(Operation::ExecuteDml, Some(&analysis)) {
        return Err(why);
    }
    match analysis.statements.as_slice() {
        [statement] if statement.tables.len() == 1 => Ok(OneTableWrite {
            sql: sql.to_owned(),
            kind: statement.kind,
            table: statement.tables[0].clone(),
            defaults: TakenDefaults::of(statement.kind, sql, dialect),
        }),
        _ => Err("one element of the plan holds more than one statement".to_owned()),
    }
}

/// An expression that runs by itself when rows of a table change.
#[derive(Debug)]
pub struct SchemaExpression {
    /// What it is, for people: `the default of a`.
    pub what: String,
    pub text: String,
    /// Names of functions that it calls and that are known to do nothing but compute, whatever the catalogue here says.
    pub known: Vec<String>,
}

/// Refuses a rehearsal with which more would run than computes: nobody has agreed to it yet.
///
/// # Errors
/// The sentence for approvers.
pub fn only_computing(all: &[SchemaExpression], dialect: Dialect) -> Result<(), String> {
    for one in all {
        let Ok(calls) = unknown_calls(&one.text, dialect) else {
            return Err(format!("not rehearsed: {} cannot be read", one.what));
        };
        let bare = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        if let Some(name) = calls.iter().find(|name| !one.known.contains(&bare(name))) {
            return Err(does_more(&one.what, name));
        }
    }
    Ok(())
}

/// The sentence about a function that is not known to be harmless.
pub fn does_more(what: &str, function: &str) -> String {
    format!(
        "not rehearsed: {what} calls `{function}`, which is not known to do nothing but compute"
    )
}

/// What a rehearsal would have changed.
#[derive(Debug, Default)]
pub struct Report {
    statements: Vec<Value>,
    rows: u64,
    /// Triggers of the tables that the statements fire, as far as the database tells.
    triggers: Vec<String>,
    warnings: Vec<String>,
    /// Milliseconds that locks of others were waited for, where the database tells.
    pub lock_wait_ms: Option<u64>,
    /// Whether a run cannot be held to the rows counted here.
    no_bound: bool,
}

impl Report {
    /// Takes the end of a statement: it says that it changed `rows` itself, and the transaction as a whole has changed
    /// `total` by now, as far as the database counts; `more` is where, as far as it tells.
    pub fn ran(&mut self, write: &OneTableWrite, rows: u64, total: u64, more: &TableRows) {
        let more_rows = total.saturating_sub(self.rows).saturating_sub(rows);
        self.rows = self.rows.saturating_add(rows).saturating_add(more_rows);
        self.statements.push(json!({
            "kind": write.kind,
            "table": write.table,
            "rows": rows,
            "more_rows": more_rows,
            "more": list(more),
        }));
    }

    /// What was put off until the end has brought the changes of the transaction to `total`, those to the tables of
    /// `put_off` among them; the last statement is charged with it.
    pub fn settled(&mut self, total: u64, put_off: &TableRows) {
        let more = total.saturating_sub(self.rows);
        self.rows = self.rows.saturating_add(more);
        if let Some(last) = self.statements.last_mut() {
            let known = last["more_rows"].as_u64().unwrap_or(0);
            last["more_rows"] = known.saturating_add(more).into();
            if let Some(known) = last["more"].as_array_mut() {
                known.extend(list(put_off));
            }
        }
    }

    pub fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Says that a run of the same would be refused if it were held to a number of rows.
    pub fn cannot_be_bound(&mut self, why: &str) {
        self.no_bound = true;
        self.warn(format!("no number of rows can be held: {why}"));
    }

    /// Notes triggers that a statement on `table` fires.
    pub fn fires(&mut self, table: &str, names: impl IntoIterator<Item = String>) {
        for name in names {
            let trigger = format!("{name} on {table}");
            if self.triggers.len() < TRIGGERS_MAX && !self.triggers.contains(&trigger) {
                self.triggers.push(trigger);
            }
        }
    }

    /// Says that new values of a sequence are used up, which no rollback takes back.
    pub fn advances_sequence(&mut self, table: &str) {
        self.warn(format!("a sequence of `{table}` has advanced; that stays"));
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        json!({
            "rows_affected": self.rows,
            "statements": self.statements,
            "triggers": self.triggers,
            "warnings": self.warnings,
            "lock_wait_ms": self.lock_wait_ms,
            "no_bound": self.no_bound,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::config::ROWS_BYTES_MAX;

    fn job(plan: &[&str]) -> DriverJob {
        DriverJob {
            operation: Operation::ExecuteDml,
            plan: plan.iter().map(|sql| (*sql).to_owned()).collect(),
            timeout_secs: 1,
            max_rows: None,
            max_result_bytes: ROWS_BYTES_MAX,
            max_affected_rows: None,
            lock_timeout_secs: 1,
        }
    }

    #[test]
    fn the_agent_reads_for_itself_what_it_rehearses() {
        let plan = job(&[
            "UPDATE t SET a = 1 WHERE id = 2",
            "DELETE FROM u WHERE id = 1",
        ]);
        let read_plan = read(&plan, Dialect::Postgres).unwrap();
        let found: Vec<_> = read_plan.iter().map(|w| (w.kind, &w.table[..])).collect();
        assert_eq!(found, [("update", "t"), ("delete", "u")]);
        for lie in [
            "CREATE TABLE pwn (a int)",
            "COMMIT",
            "/*x*/ COMMIT; DELETE FROM t WHERE id = 1",
            "DELETE FROM t WHERE id = 1; DELETE FROM u WHERE id = 1",
            "DELETE FROM t USING u WHERE t.id = u.id",
            "UPDATE t SET a = lo_unlink(1) WHERE id = 1",
            "UPDATE t SET a = dblink('x', 'y') WHERE id = 1",
            "SELECT 1",
            "CALL p()",
            "TRUNCATE t",
        ] {
            for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
                assert!(read(&job(&[lie]), dialect).is_err(), "{lie}");
            }
        }
        assert!(read(&job(&[]), Dialect::Sqlite).is_err());
    }

    #[test]
    fn a_report_counts_once_what_triggers_add() {
        let write = |table: &str| OneTableWrite {
            sql: String::new(),
            kind: "update",
            table: table.to_owned(),
            defaults: TakenDefaults::None,
        };
        let mut report = Report::default();
        let of = |table: &str, rows| TableRows::from([(table.to_owned(), rows)]);
        let counted = TableRows::from([("orders".to_owned(), 38), ("events".to_owned(), 36)]);
        let more = beyond(&counted, &TableRows::new(), "orders", 37);
        report.ran(&write("orders"), 37, 74, &more);
        report.ran(
            &write("items"),
            2,
            76,
            &beyond(&of("items", 2), &of("events", 36), "items", 2),
        );
        report.settled(79, &of("log", 3));
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["rows_affected"], 79);
        assert_eq!(json["statements"][0]["more_rows"], 37);
        assert_eq!(json["statements"][1]["rows"], 2);
        assert_eq!(json["statements"][1]["more_rows"], 3);
        assert_eq!(
            json["statements"][0]["more"],
            json!([{"table": "events", "rows": 36}, {"table": "orders", "rows": 1}])
        );
        assert_eq!(
            json["statements"][1]["more"],
            json!([{"table": "log", "rows": 3}])
        );
    }
}
