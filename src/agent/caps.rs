//! What the agent's own file says last, whatever the server has signed: statements that are never run, and limits that
//! only ever get smaller.

use super::config::Caps;
use super::drivers::DriverJob;
use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::migration::{self, Direction};
use crate::domain::sql::mentions_within;

/// Lowers the limits of `job` to `caps`.
pub fn limit(job: &mut DriverJob, caps: &Caps) {
    job.max_rows = Some(job.max_rows.unwrap_or(u64::MAX).min(caps.max_rows));
    job.max_result_bytes = job.max_result_bytes.min(caps.max_result_bytes);
    job.timeout_secs = match (job.timeout_secs, caps.max_statement_secs) {
        (secs, 0) => secs,
        (0, cap) => cap,
        (secs, cap) => secs.min(cap),
    };
}

/// Refuses a job in which one of the words stands that `caps` deny, and one that cannot be read.
///
/// # Errors
/// The sentence for the requester.
pub fn allowed(job: &DriverJob, caps: &Caps, dialect: Dialect) -> Result<(), String> {
    if caps.deny.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = match (Direction::of(job.operation), job.operation) {
        (Some(direction), _) => {
            let detail = job.plan.first().map_or("", String::as_str);
            let plan = migration::plan(direction, detail, dialect);
            let plan = plan.map_err(|error| error.message().to_owned())?;
            plan.migrations.into_iter().map(|m| m.sql).collect()
        }
        (None, Operation::ExecuteSelect | Operation::ExecuteDml) => job.plan.clone(),
        (None, _) => Vec::new(),
    };
    for text in &texts {
        for words in &caps.deny {
            match mentions_within(text, words, dialect) {
                Some(false) => {}
                Some(true) => {
                    return Err(format!(
                        "not run: `{words}` is in `deny` of this agent's own configuration"
                    ));
                }
                None => {
                    return Err(
                        "not run: the statement cannot be read, and this agent denies some words"
                            .to_owned(),
                    );
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::execution::LOCK_SECS_DEFAULT;

    fn job(operation: Operation, sql: &str) -> DriverJob {
        DriverJob {
            operation,
            plan: vec![sql.to_owned()],
            timeout_secs: 0,
            max_rows: None,
            max_result_bytes: 100,
            max_affected_rows: None,
            lock_timeout_secs: LOCK_SECS_DEFAULT,
        }
    }

    #[test]
    fn limits_only_get_smaller() {
        let caps = |rows, bytes, secs| Caps {
            deny: Vec::new(),
            max_rows: rows,
            max_result_bytes: bytes,
            max_statement_secs: secs,
        };
        for (limits, caps, expected) in [
            ((None, 100, 0), caps(5, 200, 0), (Some(5), 100, 0)),
            ((Some(9), 100, 30), caps(5, 50, 10), (Some(5), 50, 10)),
            ((Some(3), 100, 30), caps(5, 200, 60), (Some(3), 100, 30)),
            ((None, 100, 0), caps(5, 200, 60), (Some(5), 100, 60)),
        ] {
            let mut job = job(Operation::ExecuteSelect, "SELECT 1");
            (job.max_rows, job.max_result_bytes, job.timeout_secs) = limits;
            limit(&mut job, &caps);
            assert_eq!(
                (job.max_rows, job.max_result_bytes, job.timeout_secs),
                expected
            );
        }
    }

    #[test]
    fn denied_words_are_found_anywhere_and_nowhere_else() {
        let caps = Caps {
            deny: vec!["drop table".to_owned(), "hr.salaries".to_owned()],
            ..Caps::default()
        };
        let refused =
            |operation, sql: &str| allowed(&job(operation, sql), &caps, Dialect::Postgres);
        for sql in [
            "DROP /* x */ TABLE a",
            "SELECT * FROM hr . \"salaries\"",
            "WITH a AS (SELECT 1 FROM HR.Salaries) SELECT * FROM a",
            "SELECT 'x",
            "DO $$ BEGIN DROP TABLE a; END $$",
            "DO 'BEGIN DROP TABLE a; END'",
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $x$ SELECT 1; DROP TABLE a $x$",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE $1; END $$",
            "SELECT 1; DO $a$ BEGIN EXECUTE 'drop ' || 'table a'; END $a$",
            "PREPARE p AS SELECT 1",
        ] {
            assert!(refused(Operation::ExecuteDml, sql).is_err(), "{sql}");
        }
        for sql in [
            "SELECT 'drop table', \"drop\" FROM t -- hr.salaries",
            "DROP VIEW a",
            "DO $$ BEGIN DROP VIEW a; END $$",
            "INSERT INTO t VALUES ('drop table') ON CONFLICT DO NOTHING",
            "CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "GRANT EXECUTE ON FUNCTION f TO reader",
        ] {
            refused(Operation::ExecuteDml, sql).unwrap();
        }
        let up = |sql: &str| {
            serde_json::json!({"direction": "up", "migrations": [{"version": "1", "sql": sql}]})
                .to_string()
        };
        assert!(refused(Operation::MigrateUp, &up("SELECT 1; drop table a")).is_err());
        refused(Operation::MigrateUp, &up("SELECT 1")).unwrap();
        refused(Operation::MigrateStatus, "").unwrap();
        for sql in [
            "EXECUTE IMMEDIATE 'DROP TABLE a'",
            "PREPARE s FROM 'DROP TABLE a'",
            "CREATE PROCEDURE p() BEGIN DROP TABLE a; END",
        ] {
            let job = job(Operation::ExecuteDml, sql);
            assert!(allowed(&job, &caps, Dialect::MySql).is_err(), "{sql}");
        }
    }
}
