//! Descriptions of real files.

use super::*;
use crate::agent::drivers::sqlite::tests::File;
use crate::agent::drivers::{Driver, StopReason};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

fn tables(file: &File) -> Vec<Value> {
    let json = file.driver().describe(&Cancel::new()).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    json["tables"].as_array().unwrap().clone()
}

fn table(file: &File, name: &str) -> Value {
    let found = tables(file).into_iter().find(|t| t["name"] == name);
    found.unwrap_or_else(|| panic!("no table {name}"))
}

#[test]
fn a_table_is_described_as_the_server_reads_it() {
    let file = File::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (
             id INTEGER PRIMARY KEY,
             parent INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE,
             code VARCHAR(9) DEFAULT 'x' UNIQUE,
             CHECK (code <> '')
         );
         CREATE INDEX child__parent ON child (parent, lower(code));
         CREATE TRIGGER noted AFTER UPDATE OF code ON Child BEGIN DELETE FROM parent WHERE id = 9; END;
         CREATE TRIGGER \"insert\" BEFORE DELETE ON child BEGIN SELECT 1; END;
         INSERT INTO parent VALUES (1);
         INSERT INTO child (parent, code) VALUES (1, 'a'), (1, 'b');",
    );
    assert_eq!(
        table(&file, "child"),
        json!({
            "name": "child",
            "schema_name": "",
            "estimated_rows": 2,
            "columns": [
                {"name": "id", "data_type": "INTEGER", "nullable": false, "default_value": null,
                 "is_primary_key": true},
                {"name": "parent", "data_type": "INTEGER", "nullable": false, "default_value": null,
                 "is_primary_key": false},
                {"name": "code", "data_type": "VARCHAR(9)", "nullable": true, "default_value": "'x'",
                 "is_primary_key": false},
            ],
            "constraints": [
                {"name": "primary_key", "constraint_type": "primary_key", "columns": ["id"],
                 "referenced_table": null, "referenced_columns": null, "on_delete": null},
                {"name": "sqlite_autoindex_child_1", "constraint_type": "unique", "columns": ["code"],
                 "referenced_table": null, "referenced_columns": null, "on_delete": null},
                {"name": "foreign_key_0", "constraint_type": "foreign_key", "columns": ["parent"],
                 "referenced_table": "parent", "referenced_columns": ["id"], "on_delete": "CASCADE"},
            ],
            "indexes": [
                {"name": "child__parent", "columns": ["parent", "(expression)"], "is_unique": false,
                 "index_type": "btree"},
                {"name": "sqlite_autoindex_child_1", "columns": ["code"], "is_unique": true,
                 "index_type": "btree"},
            ],
            "triggers": [
                {"name": "insert", "event": "DELETE"},
                {"name": "noted", "event": "UPDATE"},
            ],
        })
    );
}

/// The server follows cascades by what is reported here.
#[test]
fn the_server_finds_the_cascade_in_a_description() {
    use crate::domain::dialect::Dialect;
    use crate::domain::schema::Snapshot;
    let file = File::new(
        "CREATE TABLE a (id INTEGER PRIMARY KEY);
         CREATE TABLE b (id INTEGER PRIMARY KEY, a REFERENCES A ON DELETE CASCADE);
         CREATE TABLE c (b REFERENCES b ON DELETE CASCADE);
         CREATE TABLE d (c REFERENCES a ON DELETE SET NULL);",
    );
    let json = file.driver().describe(&Cancel::new()).unwrap();
    let snapshot = Snapshot::parse(&json).unwrap();
    let a = snapshot.table("a", Dialect::Sqlite).unwrap();
    let names: Vec<_> = snapshot.cascade(a).iter().map(|t| &t.name).collect();
    assert_eq!(names, ["b", "c"]);
}

#[test]
fn every_delete_rule_and_composite_keys_are_described() {
    let file = File::new(
        "CREATE TABLE p (a INTEGER, b TEXT, n, PRIMARY KEY (b, a));
         CREATE TABLE c (
             x, y,
             r1 REFERENCES p (n) ON DELETE RESTRICT,
             r2 REFERENCES p (n) ON DELETE SET NULL,
             r3 REFERENCES p (n) ON DELETE SET DEFAULT,
             r4 REFERENCES p (n),
             r5 REFERENCES missing,
             FOREIGN KEY (y, x) REFERENCES p
         );",
    );
    let parent = table(&file, "p");
    assert_eq!(parent["constraints"][0]["columns"], json!(["b", "a"]));
    // Other than a row id, such a key may be NULL in SQLite.
    assert_eq!(parent["columns"][0]["nullable"], json!(true));
    let child = table(&file, "c");
    let described = child["constraints"].as_array().unwrap().iter().map(|c| {
        assert_eq!(c["constraint_type"], "foreign_key");
        let action = c["on_delete"].as_str().unwrap();
        (
            c["columns"].clone(),
            c["referenced_columns"].clone(),
            action,
        )
    });
    let expected = [
        (json!(["y", "x"]), json!(["b", "a"]), "NO_ACTION"),
        (json!(["r5"]), Value::Null, "NO_ACTION"),
        (json!(["r4"]), json!(["n"]), "NO_ACTION"),
        (json!(["r3"]), json!(["n"]), "SET_DEFAULT"),
        (json!(["r2"]), json!(["n"]), "SET_NULL"),
        (json!(["r1"]), json!(["n"]), "RESTRICT"),
    ];
    assert_eq!(described.collect::<Vec<_>>(), expected);
}

#[test]
fn odd_names_generated_columns_and_rowid_less_tables_are_described() {
    let file = File::new(
        r#"CREATE TABLE "it's ""odd"" — é" ("a b" INTEGER, "c""d" AS ("a b" * 2) STORED, e AS (1), untyped);
           CREATE UNIQUE INDEX "i ""x" ON "it's ""odd"" — é" ("a b") WHERE untyped > 0;
           INSERT INTO "it's ""odd"" — é" VALUES (1, 2);
           CREATE TABLE w (k TEXT, l TEXT, v, PRIMARY KEY (l, k)) WITHOUT ROWID;
           INSERT INTO w VALUES ('a', 'b', 1), ('a', 'c', 1);"#,
    );
    let odd = table(&file, "it's \"odd\" — é");
    assert_eq!(odd["estimated_rows"], json!(1));
    let columns = odd["columns"].as_array().unwrap().iter().map(|c| {
        assert_eq!(c["default_value"], Value::Null);
        (
            c["name"].as_str().unwrap(),
            c["data_type"].as_str().unwrap(),
        )
    });
    let expected = [("a b", "INTEGER"), ("c\"d", ""), ("e", ""), ("untyped", "")];
    assert_eq!(columns.collect::<Vec<_>>(), expected);
    assert_eq!(odd["indexes"][0]["name"], "i \"x");
    assert_eq!(odd["indexes"][0]["columns"], json!(["a b"]));
    assert_eq!(odd["constraints"], json!([]));
    let without = table(&file, "w");
    assert_eq!(without["estimated_rows"], json!(2));
    assert_eq!(without["constraints"][0]["columns"], json!(["l", "k"]));
    assert_eq!(without["columns"][0]["nullable"], json!(false));
}

#[test]
fn views_and_what_belongs_to_sqlite_are_not_tables() {
    let file = File::new("");
    assert!(tables(&file).is_empty());
    file.conn()
        .execute_batch(
            "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT);
             CREATE TABLE A (id);
             CREATE INDEX i ON a (id);
             CREATE VIEW v AS SELECT * FROM b;
             CREATE VIEW broken AS SELECT * FROM missing;
             INSERT INTO b DEFAULT VALUES;
             ANALYZE;
             CREATE VIRTUAL TABLE f USING fts5(body);",
        )
        .unwrap();
    let described = tables(&file);
    let names: Vec<_> = described
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["A", "b", "f"]);
    assert_eq!(described[2]["estimated_rows"], json!(UNKNOWN));
    assert_eq!(described[2]["columns"].as_array().unwrap().len(), 1);
}

const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000)";

/// Steps of SQLite's machine, in hundreds, that estimating `name` takes, and what comes of it.
fn steps(file: &File, name: &str) -> (i32, i64) {
    let mut conn = Connection::open(&file.path).unwrap();
    let storage = names(&conn).unwrap().into_iter().find(|n| n.0 == name);
    let table = super::table(&conn, name.to_owned(), storage.unwrap().1).unwrap();
    let steps = Arc::new(AtomicI32::new(0));
    let counter = Arc::clone(&steps);
    let count = move || counter.fetch_add(1, Ordering::SeqCst) < 0;
    conn.progress_handler(100, Some(count)).unwrap();
    let watch = JobDeadline::new(0, &Cancel::new());
    let rows = estimate(&conn, &watch, &table, true).unwrap();
    (steps.load(Ordering::SeqCst), rows)
}

#[test]
fn a_large_table_is_not_scanned() {
    let file = File::new(&format!(
        "CREATE TABLE plain (v);
         INSERT INTO plain {MANY} SELECT i FROM n;
         DELETE FROM plain WHERE v % 3 = 0;
         CREATE TABLE hidden (rowid TEXT, OID TEXT);
         INSERT INTO hidden SELECT v, v FROM plain;
         CREATE TABLE hopeless (rowid, oid, _rowid_);
         INSERT INTO hopeless SELECT v, v, v FROM plain;
         CREATE TABLE keyed (k PRIMARY KEY) WITHOUT ROWID;
         INSERT INTO keyed SELECT v FROM plain;
         CREATE TABLE apart (id INTEGER PRIMARY KEY);
         INSERT INTO apart SELECT v * 1000000007 FROM plain;
         INSERT INTO apart VALUES (-9223372036854775808), (9223372036854775807);
         CREATE TABLE exact (v);
         INSERT INTO exact SELECT v FROM plain LIMIT 10000;
         CREATE TABLE few (id INTEGER PRIMARY KEY);
         INSERT INTO few VALUES (-5), (1000000000);"
    ));
    // 133,334 rows are left unless a case differs; a scan takes some hundred thousand steps.
    for (name, from, to) in [
        ("plain", 133_334, 200_000),
        ("hidden", 133_334, 133_334),
        ("hopeless", UNKNOWN, UNKNOWN),
        ("keyed", UNKNOWN, UNKNOWN),
        ("apart", 133_336, 10_000_000),
        ("exact", 10_000, 10_000),
        ("few", 2, 2),
    ] {
        let (steps, rows) = steps(&file, name);
        assert!((from..=to).contains(&rows), "{name}: {rows}");
        assert!(steps < 1000, "{name}: {steps}");
    }
    let plain = table(&file, "plain");
    assert!(plain["estimated_rows"].as_i64().unwrap() >= 133_334);
}

#[test]
fn schema_over_a_limit_is_refused_as_a_whole() {
    let file = File::new("");
    let conn = file.conn();
    conn.execute_batch("BEGIN").unwrap();
    for n in 0..=TABLES_MAX {
        conn.execute_batch(&format!("CREATE TABLE t{n} (a)"))
            .unwrap();
    }
    conn.execute_batch("COMMIT").unwrap();
    let message = file.driver().describe(&Cancel::new()).unwrap_err();
    assert_eq!(message, "the database has more than 5000 tables");
    conn.execute_batch("DROP TABLE t0").unwrap();
    assert_eq!(tables(&file).len(), TABLES_MAX);

    let file = File::new("");
    for n in 0..9 {
        let default = "x".repeat(1 << 20);
        file.conn()
            .execute_batch(&format!("CREATE TABLE t{n} (a DEFAULT '{default}')"))
            .unwrap();
    }
    let message = file.driver().describe(&Cancel::new()).unwrap_err();
    assert_eq!(
        message,
        "the description of the tables is longer than 8 MiB"
    );
}

#[test]
fn describing_never_makes_file_and_ends_when_the_agent_stops() {
    let file = File::new("CREATE TABLE t (a)");
    let missing = Sqlite::new(file.folder.join("missing.db"), false);
    let message = missing.describe(&Cancel::new()).unwrap_err();
    assert!(message.contains("not there"), "{message}");
    assert!(!file.folder.join("missing.db").exists());
    let holder = file.conn();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let cancel = Cancel::new();
    cancel.ask(StopReason::Stopping);
    let began = Instant::now();
    let message = file.driver().describe(&cancel).unwrap_err();
    assert!(message.contains("had to stop"), "{message}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
