//! What the agent refuses by itself, whatever was signed: a read that is not one, and statements that would end or
//! change the transaction which everything runs in.
//!
//! The wall is the database (a read-only transaction, the one-statement protocol, the state of the transaction after
//! each statement); this is the second look, so that the attempt never reaches it.

use super::{DriverJob, STATEMENTS_MAX};
use crate::domain::dialect::Dialect;
use crate::domain::sql::{Class, StatementClass, analyze, is_plain_write};
use crate::error::counted;

/// What a read may begin with.
const READS: [&str; 12] = [
    "SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "PRAGMA", "SET",
    "ANALYZE", "CALL",
];
/// What a read may begin with that cannot be analysed: no transaction keeps the others from what they do.
const UNREADABLE_READS: [&str; 8] = [
    "SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC",
];
/// Stack of the thread that analyses, in bytes: what the analyzer of the server has.
const STACK_BYTES: usize = 64 << 20;

/// Refuses a plan that may not run.
///
/// # Errors
/// The sentence for the requester.
pub fn check(job: &DriverJob, dialect: Dialect) -> Result<(), String> {
    if job.plan.is_empty() || job.plan.len() > STATEMENTS_MAX {
        return Err(format!(
            "the plan has {}; 1 to {STATEMENTS_MAX} can be run",
            counted(job.plan.len(), "statement")
        ));
    }
    if job.plan.iter().any(|sql| sql.contains('\0')) {
        return Err("the plan holds a NUL byte".to_owned());
    }
    for sql in &job.plan {
        one(sql, dialect, job.operation.is_read())?;
    }
    if job.operation.is_read() {
        analysed(&job.plan, dialect)?;
    }
    Ok(())
}

fn one(sql: &str, dialect: Dialect, read: bool) -> Result<(), String> {
    let (first, second) = leading_words(sql, dialect);
    if first.is_empty() && dialect == Dialect::MySql && executable_comment(sql) {
        return Err("a statement begins with a comment that MySQL executes".to_owned());
    }
    let controls = match first.as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ABORT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE"
        | "XA" => true,
        "PREPARE" => second == "TRANSACTION",
        "SET" => sets_transaction(sql),
        _ => false,
    };
    if controls {
        return Err(format!(
            "`{first}` would control the transaction, which is the agent's"
        ));
    }
    if read && !first.is_empty() && !READS.contains(&first.as_str()) {
        return Err(format!("`{first}` is not a read, and was approved as one"));
    }
    Ok(())
}

fn sets_transaction(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    [
        "transaction",
        "autocommit",
        "characteristics",
        "completion_type",
        "tx_",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

/// Holds each statement of a read against what the analysis of the server's own rules makes of it. What cannot be
/// analysed was approved by a human, and the database refuses to write.
fn analysed(plan: &[String], dialect: Dialect) -> Result<(), String> {
    let found = on_large_stack(|| {
        plan.iter()
            .find_map(|sql| match analyze(sql, dialect).ok()?.class {
                Class::Dml { reason, .. } | Class::Rejected { reason, .. } => Some(reason),
                // A read-only transaction does not stop MySQL from writing files.
                Class::Unparsable { .. } if writes_file(sql) => Some("may write a file".to_owned()),
                Class::Unparsable { .. }
                    if !UNREADABLE_READS.contains(&leading_words(sql, dialect).0.as_str()) =>
                {
                    Some("cannot be read".to_owned())
                }
                Class::Select | Class::Unparsable { .. } => None,
            })
    });
    match found {
        Some(None) => Ok(()),
        Some(Some(reason)) => Err(format!(
            "the statement would write, and was approved as a read: it {reason}"
        )),
        None => Err("not run: the agent could not analyse the statement".to_owned()),
    }
}

fn writes_file(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    lower.contains("outfile") || lower.contains("dumpfile")
}

/// What the agent's own reading makes of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// `insert`, `update`, `select` and so on.
    pub kind: &'static str,
    /// Whether it only reads, or sets what ends with its session.
    pub reads: bool,
    /// Whether it changes no rows but those of its own kind in its own tables, as far as words tell.
    pub plain: bool,
    /// The tables that it names, each `schema.table` or `table`.
    pub tables: Vec<String>,
    /// The functions that are not known to do nothing but compute.
    pub unknown_functions: Vec<String>,
}

/// The reading of each statement of `plan`; `None` for one that cannot be read.
pub fn readings(plan: &[String], dialect: Dialect) -> Vec<Option<Reading>> {
    let all = on_large_stack(|| plan.iter().map(|sql| reading(sql, dialect)).collect());
    all.unwrap_or_else(|| vec![None; plan.len()])
}

fn reading(sql: &str, dialect: Dialect) -> Option<Reading> {
    let analysis = analyze(sql, dialect).ok()?;
    match analysis.statements.as_slice() {
        [one] if !matches!(analysis.class, Class::Unparsable { .. }) && !one.by_words => {
            Some(Reading {
                kind: one.kind,
                reads: one.class == StatementClass::Select,
                plain: is_plain_write(sql, dialect),
                tables: one.tables.clone(),
                unknown_functions: analysis.unknown_functions,
            })
        }
        _ => None,
    }
}

/// What `work` returns; `None` where it panics or no thread can be started.
pub(super) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("agent-analyzer".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

/// Whether what comes before the first word is a comment that MySQL takes for code.
fn executable_comment(sql: &str) -> bool {
    let rest = skip(sql, Dialect::MySql);
    rest.starts_with("/*!") || rest.starts_with("/*M!")
}

/// The first two words of `sql` in upper case, empty where there are none.
pub fn leading_words(sql: &str, dialect: Dialect) -> (String, String) {
    let mut rest = skip(sql, dialect);
    while let Some(inner) = rest.strip_prefix(['(', ';']) {
        rest = skip(inner, dialect);
    }
    let (first, rest) = word(rest);
    let (second, _) = word(skip(rest, dialect));
    (first, second)
}

fn word(text: &str) -> (String, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (text[..end].to_ascii_uppercase(), &text[end..])
}

/// `sql` without the white space and the comments that it begins with.
fn skip(sql: &str, dialect: Dialect) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        let line = rest.starts_with("--") || (dialect == Dialect::MySql && rest.starts_with('#'));
        if line {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            if dialect == Dialect::MySql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) {
                return rest;
            }
            rest = after_comment(rest, dialect == Dialect::Postgres);
        } else {
            return rest;
        }
    }
}

fn after_comment(text: &str, nested: bool) -> &str {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (2, 1);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return text.get(at..).unwrap_or("");
                }
            }
            b"/*" if nested => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::super::ROWS_BYTES_MAX;
    use super::*;
    use crate::domain::id::Operation;
    use crate::domain::policy::execution::LOCK_SECS_DEFAULT;

    fn checked(operation: Operation, dialect: Dialect, plan: &[&str]) -> Result<(), String> {
        let job = DriverJob {
            operation,
            plan: plan.iter().map(|sql| (*sql).to_owned()).collect(),
            timeout_secs: 1,
            max_rows: None,
            max_result_bytes: ROWS_BYTES_MAX,
            max_affected_rows: None,
            lock_timeout_secs: LOCK_SECS_DEFAULT,
        };
        check(&job, dialect)
    }

    #[test]
    fn leading_words_are_found_past_comments() {
        let rows = [
            ("select 1", Dialect::Sqlite, "SELECT 1"),
            ("/*x*/ COMMIT", Dialect::Postgres, "COMMIT "),
            ("/* a /* b */ c */ end work", Dialect::Postgres, "END WORK"),
            ("/* a /* b */ c", Dialect::MySql, "C "),
            ("-- x\n ;; ( (values", Dialect::Postgres, "VALUES "),
            ("# x\nset/**/autocommit", Dialect::MySql, "SET AUTOCOMMIT"),
            ("# x\nset", Dialect::Postgres, " "),
            ("/*! COMMIT */", Dialect::MySql, " "),
            ("/* never ends", Dialect::Sqlite, " "),
            ("é", Dialect::Sqlite, " "),
        ];
        for (sql, dialect, words) in rows {
            let (first, second) = leading_words(sql, dialect);
            assert_eq!(format!("{first} {second}"), words, "{sql}");
        }
    }

    #[test]
    fn no_plan_controls_the_transaction() {
        for sql in [
            "/*x*/ COMMIT",
            "; commit and chain",
            "begin",
            "END",
            "Abort",
            "rollback to x",
            "SAVEPOINT a",
            "release a",
            "START TRANSACTION",
            "PREPARE TRANSACTION 'x'",
            "SET TRANSACTION READ WRITE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "set local transaction_read_only = off",
            "SET autocommit = 1",
        ] {
            for operation in [Operation::ExecuteSelect, Operation::ExecuteDml] {
                let message =
                    checked(operation, Dialect::Postgres, &["SELECT 1", sql]).unwrap_err();
                assert!(
                    message.contains("control the transaction"),
                    "{sql}: {message}"
                );
            }
        }
        let message = checked(
            Operation::ExecuteDml,
            Dialect::MySql,
            &["/*!50000 COMMIT */"],
        )
        .unwrap_err();
        assert!(message.contains("MySQL executes"), "{message}");
    }

    #[test]
    fn a_read_is_a_read() {
        let read = |sql: &str| checked(Operation::ExecuteSelect, Dialect::Postgres, &[sql]);
        for sql in [
            "SELECT 1",
            "with a as (select 1) select * from a",
            "(values (1))",
            "SHOW search_path",
        ] {
            read(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
        for sql in [
            "/*x*/ COMMIT; CREATE TABLE pwn(); SELECT 1",
            "CREATE TABLE pwn()",
            "DELETE FROM t",
            "WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d",
            "SELECT pg_terminate_backend(1)",
            "COPY t TO PROGRAM 'id'",
            "DO $$ begin end $$",
        ] {
            assert!(read(sql).is_err(), "{sql}");
        }
        // What cannot be analysed may read, but not begin with what needs no writable transaction.
        for (sql, runs) in [
            ("SELECT ~~~", true),
            ("CALL p(((", false),
            ("SET GLOBAL (((", false),
            ("ANALYZE (((", false),
        ] {
            let read = checked(Operation::ExecuteSelect, Dialect::MySql, &[sql]);
            assert_eq!(read.is_ok(), runs, "{sql}: {read:?}");
        }
        assert!(checked(Operation::ExecuteDml, Dialect::Postgres, &["DELETE FROM t"]).is_ok());
        assert!(checked(Operation::ExecuteDml, Dialect::Postgres, &[]).is_err());
        assert!(checked(Operation::ExecuteDml, Dialect::Postgres, &["SELECT '\0'"]).is_err());
    }
}
