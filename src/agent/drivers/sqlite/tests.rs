//! The SQLite driver on real files: exact values, the wall around reads, all or nothing for writes, and the limits.

use super::*;
use crate::agent::config::ROWS_BYTES_MAX;
use crate::agent::drivers::{StopReason, Unrecorded};
use serde_json::{Value, json};
use std::path::Path;

/// A database file in a folder of its own, removed at the end.
pub(super) struct File {
    pub(super) folder: PathBuf,
    pub(super) path: PathBuf,
}

impl File {
    pub(super) fn new(schema: &str) -> File {
        let name = crate::crypto::hex(&crate::crypto::random::<8>());
        let folder = std::env::temp_dir().join(format!("dbward-driver-{name}"));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("app.db");
        let file = File { folder, path };
        file.conn().execute_batch(schema).unwrap();
        file
    }

    pub(super) fn conn(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    pub(super) fn one(&self, sql: &str) -> i64 {
        self.conn().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(super) fn driver(&self) -> Sqlite {
        Sqlite::new(self.path.clone(), false)
    }

    fn run(&self, operation: Operation, plan: &[&str]) -> RunOutcome {
        self.driver()
            .run(&job(operation, plan), &Unrecorded(Cancel::new()))
    }

    fn read(&self, plan: &[&str]) -> RunOutcome {
        self.run(Operation::ExecuteSelect, plan)
    }

    fn write(&self, plan: &[&str]) -> RunOutcome {
        self.run(Operation::ExecuteDml, plan)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn job(operation: Operation, plan: &[&str]) -> DriverJob {
    DriverJob {
        operation,
        plan: plan.iter().map(|s| (*s).to_owned()).collect(),
        timeout_secs: 30,
        max_rows: None,
        max_result_bytes: ROWS_BYTES_MAX,
        max_affected_rows: None,
        lock_timeout_secs: LOCK_SECS_DEFAULT,
    }
}

fn rows(outcome: RunOutcome) -> (Value, String) {
    match outcome {
        RunOutcome::Rows { json, .. } => (serde_json::from_str(&json).unwrap(), json),
        other => panic!("not rows: {other:?}"),
    }
}

fn failure(outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Failed { message, .. } => message,
        other => panic!("not a failure: {other:?}"),
    }
}

const THREE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE);
                     INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');";
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

#[test]
fn values_come_back_exactly_and_in_order() {
    let file = File::new(
        "CREATE TABLE v (z BIGINT, a REAL, m VARCHAR(9), b BLOB, n);
         INSERT INTO v VALUES (9223372036854775807, 0.1, 'é\"', x'00ff', NULL);
         INSERT INTO v VALUES (-9007199254740993, 9e999, CAST(x'ff' AS TEXT), x'', 7);",
    );
    let (_, text) = rows(file.read(&["SELECT z, a, m, b, n, z FROM v ORDER BY rowid"]));
    assert_eq!(
        text,
        r#"{"columns":[{"name":"z","key":"z","type":"bigint"},{"name":"a","key":"a","type":"real"},"#
            .to_owned()
            + r#"{"name":"m","key":"m","type":"varchar(9)"},{"name":"b","key":"b","type":"blob"},"#
            + r#"{"name":"n","key":"n","type":"integer"},{"name":"z","key":"z_2","type":"bigint"}],"#
            + r#""rows":[{"z":9223372036854775807,"a":0.1,"m":"é\"","b":"\\x00ff","n":null,"z_2":9223372036854775807},"#
            + r#"{"z":-9007199254740993,"a":"Infinity","m":"\\xff","b":"\\x","n":7,"z_2":-9007199254740993}],"#
            + r#""cell_types":[[1,2,"invalid_utf8"]],"truncated":false,"truncation_reason":null}"#
    );
}

/// Each of these is taken for a read by mistake; none may leave a trace.
#[test]
fn a_read_cannot_write_whatever_the_classifier_thought() {
    let file = File::new(THREE);
    let other = file.folder.join("other.db");
    let attach = format!("ATTACH '{}' AS o", other.display());
    let vacuum = format!("VACUUM INTO '{}'", other.display());
    let plans: &[&[&str]] = &[
        &["DELETE FROM t"],
        &["SELECT 1", "DELETE FROM t"],
        &["INSERT INTO t VALUES (9, 'x') RETURNING id"],
        &["WITH x AS (SELECT 1) UPDATE t SET v = 'x' RETURNING v"],
        &["CREATE TABLE u (a)"],
        &["CREATE TEMP TABLE u (a)"],
        &["DROP TABLE t"],
        &["PRAGMA query_only = 0", "DELETE FROM t"],
        &["PRAGMA writable_schema = 1"],
        &["PRAGMA user_version = 7"],
        &["PRAGMA journal_mode = WAL"],
        &["PRAGMA wal_checkpoint(TRUNCATE)"],
        &["COMMIT", "DELETE FROM t"],
        &["ROLLBACK"],
        &["SAVEPOINT s"],
        &["SELECT 1; DELETE FROM t"],
        &["SELECT load_extension('x')"],
        &["REINDEX"],
        &["ANALYZE"],
        &["VACUUM"],
        &[&vacuum],
        &[&attach],
        &[&attach, "CREATE TABLE o.x (a)"],
    ];
    let before = std::fs::read(&file.path).unwrap();
    for plan in plans {
        let message = failure(file.read(plan));
        assert!(!message.is_empty(), "{plan:?}");
        assert_eq!(
            std::fs::read(&file.path).unwrap(),
            before,
            "{plan:?}: {message}"
        );
    }
    let files: Vec<_> = std::fs::read_dir(&file.folder).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn what_only_reads_is_allowed() {
    let file = File::new(THREE);
    let plans: &[&[&str]] = &[
        &["SELECT * FROM t"],
        &["SELECT * FROM t; -- done"],
        &["PRAGMA table_info(t)"],
        &["PRAGMA user_version"],
        &["SELECT * FROM pragma_table_info('t')"],
        &["EXPLAIN QUERY PLAN SELECT * FROM t"],
        &["EXPLAIN DELETE FROM t"],
        &["VALUES (1), (2)"],
    ];
    for plan in plans {
        let (json, _) = rows(file.read(plan));
        assert!(!json["rows"].as_array().unwrap().is_empty(), "{plan:?}");
    }
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);
}

#[test]
fn each_element_of_a_plan_is_one_whole_statement() {
    let file = File::new(THREE);
    for (sql, says) in [
        ("DELETE FROM t WHERE id = 1; DELETE FROM t", "more than one"),
        ("", "no statement"),
        ("-- nothing", "no statement"),
        ("DELETE FROM t WHERE id = ?", "parameter"),
        ("DELETE FROM t WHERE id = 1\0", "NUL"),
        ("COMMIT", "control the transaction"),
        ("ATTACH 'x' AS o", "not authorized"),
    ] {
        let message = failure(file.write(&[sql]));
        assert!(message.contains(says), "{sql}: {message}");
    }
    assert!(failure(file.write(&[])).contains("0 statements"));
    let (two, _) = rows(file.read(&["SELECT 1 AS a", "SELECT 2 AS b"]));
    assert_eq!(two["rows"], json!([{"a": 1}]));
    assert_eq!(two["more_results"][0]["rows"], json!([{"b": 2}]));
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);
}

#[test]
fn cells_of_equal_form_and_another_type_differ() {
    let file = File::new("CREATE TABLE t (word TEXT, n INTEGER, raw BLOB)");
    for (sql, types) in [
        (
            "SELECT '\\x00' AS v UNION ALL SELECT x'00'",
            json!([[1, 0, "blob"]]),
        ),
        (
            "SELECT x'00' AS v UNION ALL SELECT '\\x00'",
            json!([[1, 0, "text"]]),
        ),
        (
            "SELECT CAST(x'ff80' AS TEXT) AS v",
            json!([[0, 0, "invalid_utf8"]]),
        ),
        (
            "SELECT '\\xff80' AS v UNION ALL SELECT CAST(x'ff80' AS TEXT) UNION ALL SELECT x'ff80'",
            json!([[1, 0, "invalid_utf8"], [2, 0, "blob"]]),
        ),
        (
            "SELECT 9007199254740993 AS v UNION ALL SELECT '9007199254740993' UNION ALL SELECT 1.5",
            json!([[1, 0, "text"]]),
        ),
        (
            "SELECT 9e999 AS v UNION ALL SELECT 'Infinity'",
            json!([[1, 0, "text"]]),
        ),
        (
            "SELECT 1 AS a, 'x' AS b, x'01' AS c, NULL AS d",
            json!(null),
        ),
    ] {
        let (json, _) = rows(file.read(&[sql]));
        assert_eq!(json["cell_types"], types, "{sql}: {json}");
    }
    let fill = "INSERT INTO t VALUES ('a', 1, x'00'), (x'00', 'b', 'c'), (NULL, NULL, NULL)";
    file.conn().execute_batch(fill).unwrap();
    let (both, _) = rows(file.read(&["SELECT * FROM t", "SELECT * FROM t WHERE n = 'b'"]));
    let second = json!([[1, 0, "blob"], [1, 1, "text"], [1, 2, "text"]]);
    assert_eq!(both["cell_types"], second);
    let more = json!([[0, 0, "blob"], [0, 1, "text"], [0, 2, "text"]]);
    assert_eq!(both["more_results"][0]["cell_types"], more);
}

#[test]
fn only_rows_that_statements_change_are_counted() {
    let file = File::new(THREE);
    let changed = |rows| RunOutcome::Changed { rows };
    file.conn()
        .execute_batch(
            "CREATE TABLE log (id);
             CREATE TRIGGER tr AFTER DELETE ON t BEGIN INSERT INTO log VALUES (old.id), (old.id); END;",
        )
        .unwrap();
    assert_eq!(file.write(&["UPDATE t SET v = v || '!'"]), changed(3));
    let RunOutcome::Returned {
        rows,
        json,
        truncated,
    } = file.write(&[
        "DELETE FROM t WHERE id < 3",
        "CREATE TABLE u AS SELECT * FROM log",
        "CREATE INDEX i ON u (id)",
        "SELECT * FROM u",
        "INSERT INTO t VALUES (7, 'x'), (8, 'y') RETURNING id",
        "UPDATE t SET v = 'z' WHERE id = 99",
    ])
    else {
        panic!("nothing is returned");
    };
    assert_eq!((rows, truncated), (4, false));
    // Of the SELECT and of RETURNING.
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        json["more_results"][0]["rows"],
        serde_json::json!([{"id": 7}, {"id": 8}])
    );
    assert_eq!(file.one("SELECT count(*) FROM u"), 4);
    assert_eq!(file.write(&["DROP TABLE u"]), changed(0));
    assert_eq!(file.write(&["DELETE FROM t"]), changed(3));
}

#[test]
fn a_failure_in_the_second_statement_undoes_the_first() {
    let file = File::new(THREE);
    let message = failure(file.write(&[
        "DELETE FROM t WHERE id = 1",
        "INSERT INTO t VALUES (9, 'b')",
    ]));
    assert_eq!(
        message,
        "statement 2: UNIQUE constraint failed: t.v; rolled back"
    );
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);

    let message = failure(file.write(&[
        "DELETE FROM t WHERE id = 1",
        "INSERT OR ROLLBACK INTO t VALUES (9, 'b')",
        "DELETE FROM t",
    ]));
    assert!(message.contains("rolled back"), "{message}");
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);
}

#[test]
fn a_constraint_that_is_checked_at_the_end_rolls_back() {
    let file = File::new(
        "CREATE TABLE p (id INTEGER PRIMARY KEY);
         CREATE TABLE c (p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);",
    );
    let message = failure(file.write(&["INSERT INTO c VALUES (1)"]));
    assert!(
        message.contains("FOREIGN KEY") && message.ends_with("rolled back"),
        "{message}"
    );
    assert_eq!(file.one("SELECT count(*) FROM c"), 0);
}

#[test]
fn more_rows_than_allowed_are_rolled_back() {
    let file = File::new(THREE);
    let mut job = job(Operation::ExecuteDml, &["UPDATE t SET v = v || '!'"]);
    job.max_affected_rows = Some(2);
    let message = failure(file.driver().run(&job, &Unrecorded(Cancel::new())));
    assert_eq!(
        message,
        "3 rows would change, 2 approved: nothing was changed; rolled back"
    );
    assert_eq!(file.one("SELECT count(*) FROM t WHERE v LIKE '%!'"), 0);
    job.max_affected_rows = Some(3);
    assert_eq!(
        file.driver().run(&job, &Unrecorded(Cancel::new())),
        RunOutcome::Changed { rows: 3 }
    );
}

#[test]
fn a_statement_without_an_end_is_interrupted_by_its_timeout() {
    let file = File::new(THREE);
    let started = Instant::now();
    let mut read = job(Operation::ExecuteSelect, &[ENDLESS]);
    read.timeout_secs = 1;
    let message = failure(file.driver().run(&read, &Unrecorded(Cancel::new())));
    assert_eq!(message, "statement timeout reached (1 s)");

    let endless = format!("INSERT INTO t (v) {ENDLESS}");
    let mut write = job(Operation::ExecuteDml, &["DELETE FROM t", &endless]);
    write.timeout_secs = 1;
    let message = failure(file.driver().run(&write, &Unrecorded(Cancel::new())));
    assert_eq!(message, "statement timeout reached (1 s); rolled back");
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn who_asks_is_obeyed_and_named() {
    let file = File::new(THREE);
    let cancel = Cancel::new();
    let running = {
        let (driver, cancel) = (file.driver(), cancel.clone());
        let job = job(Operation::ExecuteSelect, &[ENDLESS]);
        std::thread::spawn(move || driver.run(&job, &Unrecorded(cancel)))
    };
    cancel.ask(StopReason::Cancelled);
    assert_eq!(failure(running.join().unwrap()), "query cancelled");

    let write = job(Operation::ExecuteDml, &["DELETE FROM t"]);
    let stopping = Cancel::new();
    stopping.ask(StopReason::Stopping);
    let message = failure(file.driver().run(&write, &Unrecorded(stopping)));
    assert!(message.contains("had to stop"), "{message}");
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);
}

#[test]
fn a_lock_is_waited_for_no_longer_than_the_timeout() {
    let file = File::new(THREE);
    let holder = file.conn();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for operation in [Operation::ExecuteSelect, Operation::ExecuteDml] {
        let mut job = job(operation, &["SELECT 1 FROM t"]);
        job.timeout_secs = 1;
        let message = failure(file.driver().run(&job, &Unrecorded(Cancel::new())));
        assert!(
            message.starts_with("statement timeout reached"),
            "{message}"
        );
    }
}

#[test]
fn a_result_is_cut_only_where_there_was_more() {
    let file = File::new(THREE);
    for (max, left, reason) in [
        (Some(2), 2, json!("row limit reached (2)")),
        (Some(3), 3, Value::Null),
        (Some(0), 0, json!("row limit reached (0)")),
        (None, 3, Value::Null),
    ] {
        let mut job = job(Operation::ExecuteSelect, &["SELECT * FROM t"]);
        job.max_rows = max;
        let (json, _) = rows(file.driver().run(&job, &Unrecorded(Cancel::new())));
        assert_eq!(json["rows"].as_array().unwrap().len(), left, "{max:?}");
        assert_eq!(json["truncated"], json!(!reason.is_null()));
        assert_eq!(json["truncation_reason"], reason);
    }
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001) SELECT i FROM n";
    let mut job = job(Operation::ExecuteSelect, &[many]);
    job.max_rows = Some(1_000_000);
    let (json, _) = rows(file.driver().run(&job, &Unrecorded(Cancel::new())));
    assert_eq!(json["rows"].as_array().unwrap().len(), 10_000);
    assert_eq!(json["truncation_reason"], "row limit reached (10000)");

    let (json, text) = rows(file.read(&[
        "SELECT i, zeroblob(1000000) AS b FROM (VALUES (1),(2),(3),(4),(5),(6))
                                         AS x, (SELECT 1 AS i)",
    ]));
    assert_eq!(json["rows"].as_array().unwrap().len(), 5);
    assert_eq!(json["truncation_reason"], "size limit reached (10 MB)");
    assert!(text.len() < 11 << 20);
    let message = failure(file.read(&["SELECT zeroblob(1000000000)"]));
    assert!(message.contains("too big"), "{message}");
}

#[test]
fn a_missing_file_is_never_created() {
    let file = File::new(THREE);
    let missing = file.folder.join("missing.db");
    for operation in [Operation::ExecuteSelect, Operation::ExecuteDml] {
        let driver = Sqlite::new(missing.clone(), false);
        let message =
            failure(driver.run(&job(operation, &["SELECT 1"]), &Unrecorded(Cancel::new())));
        assert!(message.contains("not there"), "{message}");
        let uri = format!("file:{}?mode=rwc", missing.display());
        let driver = Sqlite::new(Path::new(&uri).to_owned(), false);
        failure(driver.run(&job(operation, &["SELECT 1"]), &Unrecorded(Cancel::new())));
    }
    assert!(!missing.exists());
}

#[test]
fn a_database_served_read_only_is_changed_by_nothing() {
    let file = File::new(THREE);
    let driver = Sqlite::new(file.path.clone(), true);
    let message = failure(driver.run(
        &job(Operation::ExecuteDml, &["DELETE FROM t"]),
        &Unrecorded(Cancel::new()),
    ));
    assert!(message.contains("read-only"), "{message}");
    for operation in [
        Operation::MigrateUp,
        Operation::MigrateDown,
        Operation::MigrateRepair,
    ] {
        let refused = failure(driver.run(&job(operation, &["{}"]), &Unrecorded(Cancel::new())));
        assert!(refused.contains("read-only"), "{refused}");
        assert!(failure(file.run(operation, &["SELECT 1"])).contains("detail of a"));
    }
    let status = driver.run(
        &job(Operation::MigrateStatus, &[""]),
        &Unrecorded(Cancel::new()),
    );
    let none = "{\"applied_versions\":[]}";
    assert!(matches!(status, RunOutcome::Migrated { json, .. } if json == none));
    assert_eq!(file.one("SELECT count(*) FROM t"), 3);
}

#[test]
fn a_write_ahead_log_database_is_read_without_writing_it() {
    let file = File::new(THREE);
    file.conn()
        .execute_batch("PRAGMA journal_mode = WAL")
        .unwrap();
    let (json, _) = rows(file.read(&["SELECT count(*) AS n FROM t"]));
    assert_eq!(json["rows"], json!([{"n": 3}]));
    assert_eq!(
        file.write(&["DELETE FROM t WHERE id = 1"]),
        RunOutcome::Changed { rows: 1 }
    );
    assert_eq!(file.one("SELECT count(*) FROM t"), 2);
}

#[test]
fn killed_writers_remains_are_rolled_back_before_a_read() {
    let file = File::new("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('before');");
    let writer = file.conn();
    // More than the cache holds: some of it is in the file, and the journal that takes it back next to it.
    writer
        .execute_batch(
            "PRAGMA cache_size = 5; BEGIN; UPDATE t SET a = 'after'; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
             SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT hex(randomblob(500)) FROM n;",
        )
        .unwrap();
    let killed = File::new("");
    let journal = |path: &Path| path.with_extension("db-journal");
    std::fs::copy(journal(&file.path), journal(&killed.path)).unwrap();
    std::fs::copy(&file.path, &killed.path).unwrap();
    assert_eq!(killed.driver().check(&Cancel::new()), Ok(()));
    assert!(!journal(&killed.path).exists());
    assert_eq!(killed.one("SELECT count(*) FROM t WHERE a = 'before'"), 1);
}
