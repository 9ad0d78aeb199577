//! Risk as a table.

use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::schema::{Schema, Snapshot};
use crate::domain::sql::{Class, analyze, analyze_any};

const SNAPSHOT: &str = r#"{"tables": [
  {"name": "small", "schema_name": "public", "estimated_rows": 10},
  {"name": "large", "schema_name": "public", "estimated_rows": 5000},
  {"name": "edge", "schema_name": "public", "estimated_rows": 1000},
  {"name": "unseen", "schema_name": "public", "estimated_rows": -1},
  {"name": "twice", "schema_name": "a", "estimated_rows": 1},
  {"name": "twice", "schema_name": "b", "estimated_rows": 1},
  {"name": "parent", "schema_name": "public", "estimated_rows": 5},
  {"name": "child", "schema_name": "public", "estimated_rows": 10, "constraints": [
    {"constraint_type": "foreign_key", "referenced_table": "parent", "on_delete": "CASCADE"}]},
  {"name": "grandchild", "schema_name": "public", "estimated_rows": 9000, "constraints": [
    {"constraint_type": "foreign_key", "referenced_table": "child", "on_delete": "CASCADE"}]},
  {"name": "kept", "schema_name": "public", "estimated_rows": 9, "constraints": [
    {"constraint_type": "foreign_key", "referenced_table": "small", "on_delete": "RESTRICT"}]},
  {"name": "ring_a", "schema_name": "public", "estimated_rows": 1, "constraints": [
    {"constraint_type": "foreign_key", "referenced_table": "ring_b", "on_delete": "CASCADE"}]},
  {"name": "ring_b", "schema_name": "public", "estimated_rows": 1, "constraints": [
    {"constraint_type": "foreign_key", "referenced_table": "ring_a", "on_delete": "CASCADE"}]}
]}"#;

fn risk_of(sql: &str, schema: Schema) -> Risk {
    let analysis = analyze(sql, Dialect::Postgres).unwrap();
    let operation = match analysis.class {
        Class::Select => Operation::ExecuteSelect,
        _ => Operation::ExecuteDml,
    };
    score(
        Some(&SqlFacts::new(&analysis, schema)),
        operation,
        &ReviewPolicy::default_policy(),
        &Allowance::default(),
    )
}

#[test]
fn risk_by_statement_and_table() {
    let table = "
SELECT * FROM large                                      | low     | ReadOnly
CREATE TABLE fresh (a int)                               | low     | SafeDdl
UPDATE small SET a = 1 WHERE b = 2                       | low     |
UPDATE edge SET a = 1 WHERE b = 2                        | low     |
UPDATE large SET a = 1 WHERE b = 2                       | medium  | LargeTable { rows: 5000 }
UPDATE public.large SET a = 1 WHERE b = 2                | medium  | LargeTable { rows: 5000 }
UPDATE missing SET a = 1 WHERE b = 2                     | unknown | UnknownTable { table: \"missing\" }
UPDATE twice SET a = 1 WHERE b = 2                       | unknown | UnknownTable { table: \"twice\" }
UPDATE unseen SET a = 1 WHERE b = 2                      | unknown | UnknownRows { table: \"unseen\" }
DELETE FROM small WHERE b = 2                            | low     |
DELETE FROM parent WHERE b = 2                           | high    | CascadeDelete { targets: [\"child\", \"grandchild\"] }
UPDATE parent SET a = 1 WHERE b = 2                      | low     |
DELETE FROM ring_a WHERE b = 2                           | medium  | CascadeDelete { targets: [\"ring_b\"] }
UPDATE small SET a = 1 WHERE b = 2; SELECT 1             | high    | MultiStatement
ALTER TABLE small DROP COLUMN a                          | medium  |
INSERT INTO small VALUES (1)                             | low     |
INSERT INTO small VALUES (pg_terminate_backend(1))       | unknown | Unforeseeable
SELECT pg_terminate_backend(1)                           | unknown | Unforeseeable
CALL anything(1)                                         | unknown | Unforeseeable
WITH g AS (DELETE FROM parent RETURNING *) SELECT * FROM g | unknown | Unforeseeable
WITH g AS (SELECT 1) DELETE FROM small WHERE a = 1       | unknown | Unforeseeable
SELECT purge()                                           | medium  | ReadOnly, UnknownFunction { name: \"purge\" }
SELECT app.purge()                                       | medium  | ReadOnly, UnknownFunction { name: \"app.purge\" }
SELECT (i).purge FROM small                              | medium  | ReadOnly, UnknownFunction { name: \"purge\" }
INSERT INTO small VALUES (purge())                       | medium  | UnknownFunction { name: \"purge\" }
SELECT lower(a), pg_catalog.abs(1), count(*) FROM large  | low     | ReadOnly
what is this                                             | unavailable |
";
    let snapshot = Snapshot::parse(SNAPSHOT).unwrap();
    for line in table.trim().lines() {
        let cell: Vec<&str> = line.split('|').map(str::trim).collect();
        let risk = risk_of(cell[0], Schema::Ready(&snapshot));
        assert_eq!(risk.level.as_str(), cell[1], "{line}: {risk:?}");
        assert_eq!(risk.factors.join(", "), cell[2], "{line}");
    }
}

#[test]
fn what_mysql_cannot_take_back_is_a_factor() {
    let table = "
INSERT INTO small VALUES (1); CREATE TABLE x (a int)     | high    | MultiStatement, CommitsAtOnce { statements: [2] }
CREATE TABLE x (a int); ALTER TABLE small ADD COLUMN b int | high  | MultiStatement, CommitsAtOnce { statements: [1, 2] }
ALTER TABLE small ADD COLUMN b int                       | low     |
INSERT INTO small VALUES (1); INSERT INTO small VALUES (2) | high  | MultiStatement
INSERT INTO flat VALUES (1)                              | medium  | NotTransactional { table: \"flat\" }
INSERT INTO small SELECT * FROM flat                     | medium  | NotTransactional { table: \"flat\" }
SELECT * FROM flat                                       | low     | ReadOnly
CALL p(); CREATE TABLE x (a int)                         | unknown | Unforeseeable, CommitsAtOnce { statements: [2] }
";
    let snapshot = r#"{"tables": [{"name": "small", "estimated_rows": 10},
      {"name": "flat", "estimated_rows": 10, "transactional": false}]}"#;
    let snapshot = Snapshot::parse(snapshot).unwrap();
    for line in table.trim().lines() {
        let cell: Vec<&str> = line.split('|').map(str::trim).collect();
        let analysis = analyze(cell[0], Dialect::MySql).unwrap();
        let facts = SqlFacts::new(&analysis, Schema::Ready(&snapshot));
        let operation = match analysis.class {
            Class::Select => Operation::ExecuteSelect,
            _ => Operation::ExecuteDml,
        };
        let review = ReviewPolicy::default_policy();
        let risk = score(Some(&facts), operation, &review, &Allowance::default());
        assert_eq!(risk.level.as_str(), cell[1], "{line}: {risk:?}");
        assert_eq!(risk.factors.join(", "), cell[2], "{line}");
        let elsewhere = analyze(cell[0], Dialect::Postgres).unwrap();
        assert_eq!(
            SqlFacts::new(&elsewhere, Schema::NotSynced).commits_at_once,
            Vec::<usize>::new()
        );
    }
}

#[test]
fn nothing_that_writes_is_low_where_tables_are_not_known() {
    let sql = "UPDATE small SET a = 1 WHERE b = 2";
    for schema in [Schema::NotSynced, Schema::Failed] {
        assert_eq!(risk_of(sql, schema).level, RiskLevel::Unknown);
    }
    assert!(Snapshot::parse("{}").is_none());
    assert!(Snapshot::parse("[]").is_none());
}

#[test]
fn a_rule_that_is_off_does_not_count() {
    let analysis = analyze("ALTER TABLE small DROP COLUMN a", Dialect::Postgres).unwrap();
    let snapshot = Snapshot::parse(SNAPSHOT).unwrap();
    let mut review = ReviewPolicy::default_policy();
    review
        .actions
        .insert(ReviewRule::DropColumn, RuleAction::Off);
    let risk = score(
        Some(&SqlFacts::new(&analysis, Schema::Ready(&snapshot))),
        Operation::ExecuteDml,
        &review,
        &Allowance::default(),
    );
    assert_eq!(risk.level, RiskLevel::Low);
}

#[test]
fn text_of_unknown_dialect_is_never_known_to_be_harmless() {
    let snapshot = Snapshot::parse(SNAPSHOT).unwrap();
    for (sql, operation, level) in [
        ("SELECT 1", Operation::ExecuteSelect, "unknown"),
        (
            "CREATE TABLE fresh (a int)",
            Operation::ExecuteDml,
            "unknown",
        ),
        (
            "UPDATE small SET a = 1 WHERE b = 2",
            Operation::ExecuteDml,
            "unknown",
        ),
        ("SELECT 1 # 2", Operation::ExecuteDml, "unavailable"),
    ] {
        let analysis = analyze_any(sql).unwrap();
        let risk = score(
            Some(&SqlFacts::new(&analysis, Schema::Ready(&snapshot))),
            operation,
            &ReviewPolicy::default_policy(),
            &Allowance::default(),
        );
        assert_eq!(risk.level.as_str(), level, "{sql}: {risk:?}");
    }
}

#[test]
fn functions_named_as_pure_do_not_count() {
    let analysis = analyze("SELECT purge(), app.purge()", Dialect::Postgres).unwrap();
    let facts = SqlFacts::new(&analysis, Schema::NotSynced);
    let mut review = ReviewPolicy::default_policy();
    for (named, level) in [("purge", "medium"), ("app.purge", "low")] {
        review.pure_functions.insert(named.to_owned());
        let risk = score(
            Some(&facts),
            Operation::ExecuteSelect,
            &review,
            &Allowance::default(),
        );
        assert_eq!(risk.level.as_str(), level, "{named}: {risk:?}");
    }
}
