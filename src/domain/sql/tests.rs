//! Tables of statements and what they are (`tests/sql/*.txt`), and what must hold for any text whatever.

mod any;
mod dialects;
mod rules;
mod worst;

use super::*;
use std::fmt::Write as _;

const TABLES: [(&str, Dialect, &str); 3] = [
    (
        "postgres.txt",
        Dialect::Postgres,
        include_str!("../../../tests/sql/postgres.txt"),
    ),
    (
        "mysql.txt",
        Dialect::MySql,
        include_str!("../../../tests/sql/mysql.txt"),
    ),
    (
        "sqlite.txt",
        Dialect::Sqlite,
        include_str!("../../../tests/sql/sqlite.txt"),
    ),
];

/// One case of a table: a statement and the lines that say what it is.
struct Case {
    line: usize,
    dialect: Dialect,
    bypass: bool,
    sql: String,
    expected: Vec<String>,
}

/// Reads a table: `> ` lines are the statement, `@bypass` and `=>` lines and what is indented below are about it.
fn cases(dialect: Dialect, table: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut bypass = false;
    let mut sql: Vec<&str> = Vec::new();
    for (n, line) in table.lines().enumerate() {
        if let Some(text) = line.strip_prefix("> ") {
            sql.push(text);
        } else if line.starts_with("@bypass ") {
            bypass = true;
        } else if line.starts_with("=> ") {
            cases.push(Case {
                line: n + 1,
                dialect,
                bypass: std::mem::take(&mut bypass),
                sql: unescaped(&std::mem::take(&mut sql).join("\n")),
                expected: vec![line.to_owned()],
            });
        } else if line.starts_with("   ")
            && let Some(case) = cases.last_mut()
        {
            case.expected.push(line.to_owned());
        } else {
            assert!(
                line.is_empty() || line.starts_with('#'),
                "line {} does not belong to a table: {line}",
                n + 1
            );
        }
    }
    cases
}

fn all_cases() -> Vec<Case> {
    TABLES
        .iter()
        .flat_map(|(_, dialect, table)| cases(*dialect, table))
        .collect()
}

/// Characters that a text file cannot show.
fn unescaped(text: &str) -> String {
    const SHOWN: [(&str, &str); 8] = [
        ("{CR}", "\r"),
        ("{TAB}", "\t"),
        ("{FF}", "\u{c}"),
        ("{VT}", "\u{b}"),
        ("{BELL}", "\u{7}"),
        ("{NUL}", "\0"),
        ("{NBSP}", "\u{a0}"),
        ("{BOM}", "\u{feff}"),
    ];
    SHOWN
        .iter()
        .fold(text.to_owned(), |t, (name, c)| t.replace(name, c))
}

/// What the analysis says, in the words of the tables.
fn described(sql: &str, dialect: Dialect) -> Vec<String> {
    let analysis = match analyze(sql, dialect) {
        Ok(analysis) => analysis,
        Err(error) => return vec![format!("=> input error: {error:?}")],
    };
    let mut lines = vec![match &analysis.class {
        Class::Select => "=> select".to_owned(),
        Class::Dml {
            ddl_only: true,
            reason,
        } => format!("=> ddl: {reason}"),
        Class::Dml { reason, .. } => format!("=> dml: {reason}"),
        Class::Rejected { reason, .. } => format!("=> rejected: {reason}"),
        Class::Unparsable {
            line,
            column,
            message,
        } => format!("=> unparsable at {line}:{column}: {message}"),
    }];
    if !analysis.tables.is_empty() {
        lines.push(format!("   tables: {}", analysis.tables.join(", ")));
    }
    if !analysis.unknown_functions.is_empty() {
        let names = analysis.unknown_functions.join(", ");
        lines.push(format!("   unknown functions: {names}"));
    }
    for f in &analysis.findings {
        lines.push(format!(
            "   finding: {} in {} at {}:{}",
            f.rule.as_str(),
            f.statement,
            f.line,
            f.column
        ));
    }
    if analysis.ddl.eligible {
        lines.push("   break-glass: yes".to_owned());
    }
    if analysis.safe_ddl {
        lines.push("   safe ddl: yes".to_owned());
    }
    if let Some(plan) = &analysis.plan
        && (plan.len() > 1 || plan[0] != sql)
    {
        for stmt in plan {
            lines.push(format!("   plan: {stmt:?}"));
        }
    }
    if !analysis.redacted.literals.starts_with("parse-failed:") {
        lines.push(format!("   redacted: {}", analysis.redacted.literals));
    }
    lines
}

/// Writes the tables anew with what the analysis says, for a reader of the difference: `DBWARD_SQL_TABLES=write`.
fn write_tables() {
    for (file, dialect, table) in TABLES {
        let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
        for case in cases(dialect, table).iter().rev() {
            let from = case.line - 1;
            lines.splice(
                from..from + case.expected.len(),
                described(&case.sql, dialect),
            );
        }
        let path = format!("{}/tests/sql/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn tables_of_statements_hold() {
    if std::env::var_os("DBWARD_SQL_TABLES").is_some_and(|v| v == "write") {
        return write_tables();
    }
    let mut wrong = String::new();
    for (file, dialect, table) in TABLES {
        for case in cases(dialect, table) {
            let actual = described(&case.sql, dialect);
            if actual != case.expected {
                let _ = writeln!(
                    wrong,
                    "{file}:{}: {:?}\n table:\n{}\n analysis:\n{}",
                    case.line,
                    case.sql,
                    case.expected.join("\n"),
                    actual.join("\n")
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn tables_are_large_enough() {
    let cases = all_cases();
    assert!(cases.len() >= 400, "{} statements", cases.len());
}

#[test]
fn known_bypasses_are_never_selects() {
    let cases = all_cases();
    let bypasses: Vec<_> = cases.iter().filter(|c| c.bypass).collect();
    assert!(bypasses.len() >= 60, "{} bypasses", bypasses.len());
    for case in bypasses {
        let class = analyze(&case.sql, case.dialect).map(|a| a.class);
        assert_ne!(class, Ok(Class::Select), "line {}: {}", case.line, case.sql);
    }
}

#[test]
fn input_errors_are_distinguished() {
    let pg = |sql: &str| analyze(sql, Dialect::Postgres);
    for empty in ["", "  \n\t", ";;", "-- nothing", "/* nothing */ ;"] {
        assert_eq!(pg(empty).unwrap_err(), InputError::Empty, "{empty:?}");
    }
    assert_eq!(pg("SELECT '\0'").unwrap_err(), InputError::Nul);
    let long = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(
        pg(&long).unwrap_err(),
        InputError::TooLong { bytes: long.len() }
    );
    let most = "DELETE FROM t WHERE a = 1;".repeat(STATEMENTS_MAX);
    assert_eq!(pg(&most).unwrap().statements.len(), STATEMENTS_MAX);
    let more = format!("{most} DELETE FROM t WHERE a = 1");
    assert_eq!(
        pg(&more).unwrap_err(),
        InputError::TooManyStatements {
            count: STATEMENTS_MAX + 1
        }
    );
    let chain = format!("SELECT 1{}", "+1".repeat(CHAIN_MAX));
    assert!(pg(&chain).is_ok());
    assert_eq!(
        pg(&format!("{chain}+1")).unwrap_err(),
        InputError::TooComplex { statement: 1 }
    );
    let words = format!("SELECT 1; SELECT {}", "NOT ".repeat(WORD_RUN_MAX));
    assert_eq!(
        pg(&words).unwrap_err(),
        InputError::TooComplex { statement: 2 }
    );
}

#[test]
fn rules_know_their_names() {
    for rule in ReviewRule::ALL {
        assert_eq!(ReviewRule::parse(rule.as_str()), Some(rule));
        let camel: String = rule
            .as_str()
            .split('_')
            .map(|w| w[..1].to_uppercase() + &w[1..])
            .collect();
        assert_eq!(rule.wire_name(), camel);
    }
    for action in [RuleAction::Block, RuleAction::Warn, RuleAction::Off] {
        assert_eq!(RuleAction::parse(action.as_str()), Some(action));
    }
}

#[test]
fn findings_give_reason_and_fix() {
    let analysis = analyze("SELECT 1;\n  DELETE FROM t", Dialect::Postgres).unwrap();
    let finding = &analysis.findings[0];
    assert_eq!((finding.statement, finding.line, finding.column), (2, 2, 3));
    assert_eq!(finding.message, "DELETE without WHERE clause");
    assert!(!finding.why.is_empty() && !finding.fix.is_empty());
    let list = vec!["1"; 101].join(",");
    let analysis = analyze(
        &format!("SELECT * FROM t WHERE a IN ({list})"),
        Dialect::Postgres,
    )
    .unwrap();
    assert_eq!(
        analysis.findings[0].message,
        "IN list with 101 elements (>100)"
    );
    let list = vec!["1"; 100].join(",");
    let analysis = analyze(
        &format!("SELECT * FROM t WHERE a IN ({list})"),
        Dialect::Postgres,
    )
    .unwrap();
    assert!(analysis.findings.is_empty());
}
