//! Rows that SQLite removes and counts nowhere: those whose place a new one takes.

use super::EarlyStop;
use crate::domain::dialect::Dialect;
use crate::domain::sql::mentions;
use rusqlite::Connection;

/// How a statement, a trigger or a constraint says that a new row takes the place of others.
const REPLACING: [&str; 3] = ["or replace", "conflict replace", "replace into"];

/// Whether `sql` may replace rows; also where it cannot be read.
fn replaces(sql: &str) -> bool {
    REPLACING
        .iter()
        .any(|words| mentions(sql, words, Dialect::Sqlite) != Some(false))
}

/// Refuses statements that may replace rows, by themselves or by a table or a trigger of the database.
pub(super) fn refuse_replacing<'a>(
    conn: &Connection,
    plan: impl IntoIterator<Item = &'a str>,
) -> Result<(), EarlyStop> {
    let refused = |what: &str| {
        Err(EarlyStop::Failed(format!(
            "{what} replaces rows, and SQLite does not count those that go"
        )))
    };
    if plan.into_iter().any(replaces) {
        return refused("the statement");
    }
    let mut found =
        conn.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql LIKE '%replace%'")?;
    let mut rows = found.query([])?;
    while let Some(row) = rows.next()? {
        if replaces(&row.get::<_, String>(2)?) {
            let (kind, name) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            return refused(&format!("the {kind} `{name}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{File, job};
    use crate::agent::drivers::{Cancel, Driver, RunOutcome, Unrecorded};
    use crate::domain::id::Operation;

    const THREE: &str = "INSERT INTO t VALUES (1, 10, 'replace into'), (2, 20, ''), (3, 30, '');";

    /// What it comes to with a bound of two rows, and whether it is rehearsed.
    fn run(schema: &str, sql: &str) -> (String, bool, i64) {
        let file = File::new(&format!("{schema}; {THREE}"));
        let mut job = job(Operation::ExecuteDml, &[sql]);
        let control = Unrecorded(Cancel::new());
        let rehearsed = file.driver().rehearse(&job, &control);
        job.max_affected_rows = Some(2);
        let message = match file.driver().run(&job, &control) {
            RunOutcome::Failed { message, .. } => message,
            _ => String::new(),
        };
        let is_rehearsed = matches!(rehearsed, RunOutcome::Rehearsed { .. });
        (message, is_rehearsed, file.one("SELECT count(*) FROM t"))
    }

    #[test]
    fn rows_that_are_replaced_are_within_no_bound() {
        let plain = "CREATE TABLE t (a UNIQUE, b UNIQUE, v)";
        let keeps = "CREATE TABLE t (a UNIQUE ON CONFLICT /**/ REPLACE, b UNIQUE, v)";
        let trigger = "CREATE TABLE t (a UNIQUE, b UNIQUE, v);
            CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT OR REPLACE INTO t VALUES (2, 30, ''); END";
        let insert = "INSERT INTO t VALUES (4, 40, '')";
        for (schema, sql, what) in [
            (
                plain,
                "INSERT OR REPLACE INTO t VALUES (2, 30, '')",
                "the statement",
            ),
            (plain, "replace INTO t VALUES (2, 30, '')", "the statement"),
            (
                plain,
                "UPDATE OR/**/REPLACE t SET a = 2 WHERE b = 30",
                "the statement",
            ),
            (keeps, insert, "the table `t`"),
            (trigger, insert, "the trigger `g`"),
        ] {
            let (message, rehearsed, rows) = run(schema, sql);
            let says = format!("{what} replaces rows");
            assert!(message.starts_with(&says), "{sql}: {message}");
            assert!(!rehearsed, "{sql}");
            assert_eq!(rows, 3, "{sql}");
        }
        let text = "UPDATE t SET v = replace(v, 'or replace', '') WHERE a = 1";
        assert_eq!(run(plain, text), (String::new(), true, 3));
    }
}
