//! How SQLite would go about a statement, without running it.

use super::{EarlyStop, JobDeadline, Sqlite, authorize, prepare};
use crate::agent::drivers::rows::push_string;
use crate::agent::drivers::{Cancel, PLAN_BYTES_MAX, cut};
use rusqlite::Connection;

/// Longest time for one statement, in seconds; making a plan takes a moment, waiting for a lock may take longer.
const EXPLAIN_SECS_MAX: u64 = 5;

/// The plan of `sql` as a JSON array of `{"id","parent","detail"}`; the message says why it is missing.
pub(super) fn explain(sqlite: &Sqlite, sql: &str, cancel: &Cancel) -> Result<String, String> {
    if sql.contains('\0') {
        return Err("the statement holds a NUL byte".to_owned());
    }
    let watch = JobDeadline::new(EXPLAIN_SECS_MAX, cancel);
    let done = sqlite.open(false).and_then(|mut conn| {
        watch.attach(&mut conn)?;
        conn.execute_batch("BEGIN")?;
        watch.when_unlocked(&conn, "SELECT 1 FROM sqlite_schema LIMIT 1")?;
        conn.authorizer(Some(authorize))?;
        plan(&conn, sql)
    });
    done.map_err(|stop| cut(stop.described(&watch).0))
}

fn plan(conn: &Connection, sql: &str) -> Result<String, EarlyStop> {
    // Compiled on its own first: what follows EXPLAIN must be the whole of one statement.
    if prepare(conn, sql)?.is_explain() != 0 {
        return Err(EarlyStop::Failed(
            "the statement is an EXPLAIN itself and has no plan".into(),
        ));
    }
    let mut statement = prepare(conn, &format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut rows = statement.query([])?;
    let mut out = "[".to_owned();
    while let Some(row) = rows.next()? {
        let (id, parent): (i64, i64) = (row.get("id")?, row.get("parent")?);
        let detail: String = row.get("detail")?;
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&format!("{{\"id\":{id},\"parent\":{parent},\"detail\":"));
        push_string(&mut out, &detail);
        out.push('}');
        if out.len() >= PLAN_BYTES_MAX {
            return Err(EarlyStop::Failed(format!(
                "the plan is longer than {} KiB",
                PLAN_BYTES_MAX >> 10
            )));
        }
    }
    out.push(']');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::agent::drivers::sqlite::tests::File;
    use crate::agent::drivers::{Cancel, Driver, ERROR_BYTES_MAX, StopReason};
    use serde_json::Value;
    use std::time::{Duration, Instant};

    const SCHEMA: &str =
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, \"odd \"\"name\"\"\");
                          INSERT INTO t VALUES (1, 'a', 'b')";

    fn plan(file: &File, sql: &str) -> Vec<Value> {
        let json = file.driver().explain(sql, &Cancel::new());
        let json = json.unwrap_or_else(|e| panic!("{sql}: {e}"));
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_plan_tells_how_and_nothing_is_run() {
        let file = File::new(SCHEMA);
        for (sql, says) in [
            ("SELECT * FROM t", "SCAN t"),
            ("SELECT * FROM t; -- done", "SCAN t"),
            (
                "-- why\nSELECT * FROM t WHERE v = 'x'",
                "SEARCH t USING INDEX",
            ),
            (
                "UPDATE t SET v = 'x' WHERE id = 1",
                "SEARCH t USING INTEGER PRIMARY KEY",
            ),
            ("DELETE FROM t WHERE v > 'a'", "SEARCH t USING"),
            ("INSERT INTO t (v) SELECT v || 'x' FROM t", "SCAN t"),
        ] {
            let rows = plan(&file, sql);
            let detail = rows[0]["detail"].as_str().unwrap();
            assert!(detail.starts_with(says), "{sql}: {detail}");
            assert!(rows[0]["id"].is_i64() && rows[0]["parent"] == 0, "{sql}");
        }
        let rows = plan(&file, "SELECT * FROM t AS \"x\"\"y\"");
        assert_eq!(rows[0]["detail"], "SCAN x\"y");
        assert!(plan(&file, "CREATE TABLE u (a)").is_empty());
        assert_eq!(file.one("SELECT count(*) FROM t WHERE v = 'a'"), 1);
        assert_eq!(
            file.one("SELECT count(*) FROM sqlite_schema WHERE name = 'u'"),
            0
        );
    }

    #[test]
    fn what_has_no_plan_says_why() {
        let file = File::new(SCHEMA);
        let long = format!("SELECT * FROM \"{}\"", "x".repeat(ERROR_BYTES_MAX));
        let joins = (0..60).map(|n| format!("t AS {}{n}", "x".repeat(2000)));
        let wide = format!("SELECT 1 FROM {}", joins.collect::<Vec<_>>().join(", "));
        for (sql, says) in [
            ("SELEC 1", "syntax error"),
            ("SELECT * FROM missing", "no such table: missing"),
            ("SELECT 1; DELETE FROM t", "more than one statement"),
            ("", "no statement"),
            ("-- nothing", "no statement"),
            ("DELETE FROM t WHERE id = ?", "parameter"),
            ("SELECT 1\0", "NUL"),
            ("EXPLAIN SELECT 1", "EXPLAIN itself"),
            ("ATTACH 'x' AS o", "not authorized"),
            ("PRAGMA user_version = 7", "not authorized"),
            ("COMMIT", "not authorized"),
            (&long, "no such table"),
            (&wide, "longer than 64 KiB"),
        ] {
            let message = file.driver().explain(sql, &Cancel::new()).unwrap_err();
            assert!(message.contains(says), "{says}: {message}");
            assert!(message.len() <= ERROR_BYTES_MAX);
        }
    }

    #[test]
    fn explaining_stops_when_agent_does_though_somebody_holds_a_lock() {
        let file = File::new(SCHEMA);
        let holder = file.conn();
        holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let cancel = Cancel::new();
        cancel.ask(StopReason::Stopping);
        let began = Instant::now();
        let message = file
            .driver()
            .explain("SELECT * FROM t", &cancel)
            .unwrap_err();
        assert!(message.contains("had to stop"), "{message}");
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}
