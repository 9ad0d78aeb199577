//! Texts that dialects read differently: what each makes of them, and what is made of them where nobody knows the
//! dialect.

use super::*;

/// Constructs that lexers differ about; `select`, `dml` or `rejected` with the number of statements, `unparsable`,
/// `empty`. Columns: PostgreSQL, MySQL, SQLite, dialect not known.
const CONSTRUCTS: &[[&str; 5]] = &[
    // Nobody differs.
    ["SELECT 1", "select 1", "select 1", "select 1", "select 1"],
    [
        "UPDATE t SET a = 1 WHERE id = 1",
        "dml 1",
        "dml 1",
        "dml 1",
        "dml 1",
    ],
    [
        "DELETE FROM t WHERE a = 'it''s' -- why",
        "dml 1",
        "dml 1",
        "dml 1",
        "dml 1",
    ],
    [
        "SELECT a FROM Users; ",
        "select 1",
        "select 1",
        "select 1",
        "select 1",
    ],
    [
        "DROP TABLE t",
        "rejected 1",
        "rejected 1",
        "rejected 1",
        "rejected 1",
    ],
    [
        "/* a */ SELECT 1 /* b */",
        "select 1",
        "select 1",
        "select 1",
        "select 1",
    ],
    // Comments that nest.
    [
        "/* /* */ DROP TABLE secret -- */ UPDATE t SET a=1 WHERE id=1",
        "dml 1",
        "rejected 1",
        "rejected 1",
        "unparsable",
    ],
    [
        "SELECT 1 /* /* */ + 1 */",
        "select 1",
        "unparsable",
        "unparsable",
        "unparsable",
    ],
    [
        "SELECT 1 /* /* */ */ */",
        "unparsable",
        "unparsable",
        "unparsable",
        "unparsable",
    ],
    // Dashes without a space.
    [
        "SELECT 1 --1\n; DELETE FROM t",
        "dml 2",
        "dml 2",
        "dml 2",
        "unparsable",
    ],
    [
        "DELETE FROM t WHERE a = 1 --1 OR 1\n",
        "dml 1",
        "dml 1",
        "dml 1",
        "unparsable",
    ],
    [
        "SELECT 1--\u{b}x",
        "select 1",
        "select 1",
        "select 1",
        "select 1",
    ],
    // Hash.
    [
        "SELECT 1 # 2",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "# DROP TABLE t",
        "unparsable",
        "empty",
        "unparsable",
        "unparsable",
    ],
    [
        "UPDATE t SET a = 1 # WHERE id = 1",
        "dml 1",
        "dml 1",
        "dml 1",
        "unparsable",
    ],
    // Backslashes in strings.
    [
        "SELECT '\\' OR 1=1 -- '",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "SELECT '\\'; DELETE FROM t WHERE '1' = '1'",
        "dml 2",
        "unparsable",
        "dml 2",
        "unparsable",
    ],
    [
        "SELECT E'\\'; DELETE FROM t -- '",
        "select 1",
        "select 1",
        "dml 2",
        "unparsable",
    ],
    [
        "SELECT U&'a' FROM t",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    // Dollar quotes.
    [
        "SELECT $$ ; DROP TABLE t; $$",
        "select 1",
        "unparsable",
        "rejected 3",
        "unparsable",
    ],
    [
        "SELECT $a$ ' $a$ -- '",
        "select 1",
        "unparsable",
        "select 1",
        "unparsable",
    ],
    // Backticks and brackets.
    [
        "SELECT `a;b` FROM t",
        "unparsable",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "SELECT a[1] FROM t",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "SELECT [a;b] FROM t",
        "unparsable",
        "unparsable",
        "select 1",
        "unparsable",
    ],
    // Executable comments.
    [
        "SELECT 1 /*! + 1 */",
        "select 1",
        "unparsable",
        "select 1",
        "unparsable",
    ],
    [
        "SELECT 1 /*M! + 1 */",
        "select 1",
        "unparsable",
        "select 1",
        "unparsable",
    ],
    [
        "/*!50000 DROP TABLE t */ SELECT 1",
        "select 1",
        "unparsable",
        "select 1",
        "unparsable",
    ],
    // Quotes.
    [
        "SELECT '' '' FROM t",
        "select 1",
        "select 1",
        "select 1",
        "select 1",
    ],
    [
        "SELECT \"a\" FROM t",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "DELETE FROM t WHERE \"id\" = 5",
        "dml 1",
        "dml 1",
        "dml 1",
        "unparsable",
    ],
    [
        "SELECT \"a\\\" ; DROP TABLE t; -- \"",
        "rejected 2",
        "select 1",
        "rejected 2",
        "unparsable",
    ],
    // Variables and parameters.
    [
        "SELECT @a",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "SELECT :a",
        "select 1",
        "select 1",
        "select 1",
        "unparsable",
    ],
    [
        "SELECT ?",
        "unparsable",
        "select 1",
        "select 1",
        "unparsable",
    ],
    // Findings that only some dialects have.
    [
        "CREATE INDEX i ON t (a)",
        "dml 1",
        "dml 1",
        "dml 1",
        "unparsable",
    ],
];

fn summary(result: &Result<Analysis, InputError>) -> String {
    match result {
        Err(InputError::Empty) => "empty".to_owned(),
        Err(error) => format!("{error:?}"),
        Ok(analysis) => {
            let n = analysis.statements.len();
            match analysis.class {
                Class::Select => format!("select {n}"),
                Class::Dml { .. } => format!("dml {n}"),
                // A text that is not read whole has no statements, and may be refused all the same.
                Class::Rejected { .. } => format!("rejected {}", n.max(1)),
                Class::Unparsable { .. } => "unparsable".to_owned(),
            }
        }
    }
}

#[test]
fn each_dialect_reads_constructs_its_own_way() {
    let mut wrong = String::new();
    for row in CONSTRUCTS {
        let sql = row[0];
        let read = [
            summary(&analyze(sql, Dialect::Postgres)),
            summary(&analyze(sql, Dialect::MySql)),
            summary(&analyze(sql, Dialect::Sqlite)),
            summary(&analyze_any(sql)),
        ];
        if read != row[1..] {
            let _ = writeln!(wrong, "{sql:?}\n  table {:?}\n  read  {read:?}", &row[1..]);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// All nine pairs of analysed and executing dialect: a driver that the fact accepts runs what was analysed.
#[test]
fn accepted_drivers_execute_what_was_analysed() {
    const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite];
    let texts: Vec<String> = all_cases()
        .into_iter()
        .map(|case| case.sql)
        .chain(CONSTRUCTS.iter().map(|row| row[0].to_owned()))
        .collect();
    let mut agreed = 0;
    for sql in &texts {
        let readings = [None, Some(0), Some(1), Some(2)].map(|known: Option<usize>| match known {
            Some(n) => analyze(sql, DIALECTS[n]),
            None => analyze_any(sql),
        });
        for analysed in readings.iter().flatten() {
            let Some(plan) = &analysed.plan else { continue };
            for executing in DIALECTS {
                if !analysed.dialect_fact.accepts(executing) {
                    continue;
                }
                let run = analyze(sql, executing).unwrap();
                assert_eq!(run.plan.as_ref(), Some(plan), "{executing:?}: {sql}");
                assert_eq!(
                    std::mem::discriminant(&run.class),
                    std::mem::discriminant(&analysed.class),
                    "{executing:?}: {sql}"
                );
                agreed += usize::from(analysed.dialect_fact == DialectFact::Any);
            }
        }
    }
    assert!(agreed > 100, "only {agreed} texts are the same in all");
}

#[test]
fn text_of_unknown_dialect_names_the_place_where_readings_part() {
    let sql = "SELECT 1;\nUPDATE t SET a = 1 # WHERE id = 1";
    let analysis = analyze_any(sql).unwrap();
    assert_eq!(analysis.dialect_fact, DialectFact::Unknown);
    let Class::Unparsable {
        line,
        column,
        message,
    } = &analysis.class
    else {
        panic!("{:?}", analysis.class);
    };
    assert_eq!((*line, *column), (2, 20));
    assert!(message.contains("configure `dialect`"), "{message}");
    assert!(analysis.plan.is_none());
}

#[test]
fn dialect_facts_have_names() {
    for name in ["postgresql", "mysql", "sqlite", "any", "unknown"] {
        assert_eq!(
            DialectFact::parse(name).map(DialectFact::as_str),
            Some(name)
        );
    }
    assert_eq!(DialectFact::parse("oracle"), None);
}
