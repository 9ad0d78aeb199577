//! Tables of statements and what they are (`tests/sql/*.txt`), and what must hold for any text whatever.

use super::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

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
                "line {} is none of a table: {line}",
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
        for piece in plan {
            lines.push(format!("   plan: {piece:?}"));
        }
    }
    if !analysis.redacted.literals.starts_with("parse-failed:") {
        lines.push(format!("   redacted: {}", analysis.redacted.literals));
    }
    lines
}

#[test]
fn tables_of_statements_hold() {
    let mut wrong = String::new();
    for (file, dialect, table) in TABLES {
        for case in cases(dialect, table) {
            let said = described(&case.sql, dialect);
            if said != case.expected {
                let _ = writeln!(
                    wrong,
                    "{file}:{}: {:?}\n table:\n{}\n analysis:\n{}",
                    case.line,
                    case.sql,
                    case.expected.join("\n"),
                    said.join("\n")
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
    let bypasses = cases.iter().filter(|c| c.bypass).count();
    assert!(bypasses >= 60, "{bypasses} bypasses");
}

#[test]
fn known_bypasses_are_never_selects() {
    for case in all_cases().iter().filter(|c| c.bypass) {
        let class = analyze(&case.sql, case.dialect).map(|a| a.class);
        assert_ne!(class, Ok(Class::Select), "line {}: {}", case.line, case.sql);
    }
}

/// A small generator of our own: the same seed gives the same texts on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }
}

/// Bits that matter to lexers, thrown into statements at random places.
const SHARDS: &[&str] = &[
    "'",
    "\"",
    "`",
    "$$",
    "$a$",
    "--",
    "--\n",
    "#",
    "/*",
    "*/",
    "/*!",
    ";",
    "\\",
    "(",
    ")",
    "[",
    "]",
    "\n",
    "\r",
    "E'",
    "U&'",
    "N'",
    "X'",
    "@",
    ":",
    "?",
    " or 1=1 ",
    "pg_sleep(1)",
    "; delete from t",
    "\u{a0}",
    "é",
    "\u{1f600}",
    "0x",
    "1e",
    ".",
    ",",
    "union select ",
    "not ",
    " for update",
    "::int",
    "<",
    "|",
    "{",
    "}",
];

fn mutated(sql: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = sql.chars().collect();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(chars.len() + 1);
        match dice.roll(4) {
            0 if at < chars.len() => {
                chars.remove(at);
            }
            1 if at < chars.len() => {
                let other = dice.roll(chars.len());
                chars.swap(at, other);
            }
            2 => {
                let end = (at + dice.roll(12)).min(chars.len());
                let copy: Vec<char> = chars[at..end].to_vec();
                let to = dice.roll(chars.len() + 1);
                chars.splice(to..to, copy);
            }
            _ => {
                let shard = SHARDS[dice.roll(SHARDS.len())];
                chars.splice(at..at, shard.chars());
            }
        }
    }
    chars.into_iter().collect()
}

/// What must hold for any text.
fn check_any(sql: &str, dialect: Dialect) {
    let Ok(analysis) = analyze(sql, dialect) else {
        return;
    };
    let Some(plan) = &analysis.plan else {
        assert!(
            !matches!(analysis.class, Class::Select | Class::Dml { .. }),
            "no plan, and yet {:?}: {sql:?}",
            analysis.class
        );
        return;
    };
    assert_eq!(plan.len(), analysis.statements.len(), "{sql:?}");
    // The pieces stand in the source in order, and between them is nothing but separators, white space and comments.
    let mut rest = sql;
    for piece in plan {
        let at = rest.find(piece.as_str());
        assert!(at.is_some(), "{piece:?} is not the source's: {sql:?}");
        let (gap, behind) = rest.split_at(at.unwrap_or(0));
        assert!(
            lex::lex(gap, dialect)
                .toks
                .iter()
                .all(|t| t.kind == lex::Kind::Semi),
            "{gap:?} lost: {sql:?}"
        );
        rest = &behind[piece.len()..];
    }
    assert!(
        lex::lex(rest, dialect)
            .toks
            .iter()
            .all(|t| t.kind == lex::Kind::Semi),
        "{rest:?} lost: {sql:?}"
    );
    // Joined anew, as an agent joins them, they are read as the same statements.
    let joined = plan.join(";\n");
    if let Ok(again) = analyze(&joined, dialect) {
        assert_eq!(again.plan.as_ref(), Some(plan), "{sql:?}");
        assert_eq!(again.fingerprint, analysis.fingerprint, "{sql:?}");
    }
}

#[test]
fn mutations_of_the_tables_never_panic_nor_lose_text() {
    const SEED: u64 = 0x5eed_0001;
    const ROUNDS: usize = 12;
    println!("seed {SEED:#x}");
    let mut dice = Dice(SEED);
    let cases = all_cases();
    for _ in 0..ROUNDS {
        for case in &cases {
            let sql = mutated(&case.sql, &mut dice);
            for (_, dialect, _) in TABLES {
                check_any(&sql, dialect);
            }
        }
    }
}

#[test]
fn every_case_holds_the_rules_of_any_text() {
    for case in all_cases() {
        check_any(&case.sql, case.dialect);
    }
}

#[test]
fn redaction_leaks_no_literal() {
    const SECRET: &str = "s3cr3t";
    let forms = [
        (
            Dialect::Postgres,
            vec![
                "'s3cr3t'",
                "E's3cr3t\\''",
                "$$s3cr3t$$",
                "$t$s3cr3t$t$",
                "U&'s3cr3t'",
                "N's3cr3t'",
                "B's3cr3t'",
                "X's3cr3t'",
                "'a''s3cr3t'",
            ],
        ),
        (
            Dialect::MySql,
            vec![
                "'s3cr3t'",
                "\"s3cr3t\"",
                "'a\\'s3cr3t'",
                "N's3cr3t'",
                "X's3cr3t'",
                "_utf8's3cr3t'",
                "'a' 's3cr3t'",
            ],
        ),
        (
            Dialect::Sqlite,
            vec!["'s3cr3t'", "\"s3cr3t\"", "X's3cr3t'", "'a''s3cr3t'"],
        ),
    ];
    let frames = [
        "SELECT * FROM t WHERE a = {}",
        "SELECT * FROM t WHERE a IN ({}, {}) -- s3cr3t\n",
        "/* s3cr3t */ INSERT INTO t (a) VALUES ({})",
        "UPDATE t SET a = {} WHERE b LIKE {}",
        "SELECT CASE WHEN a = {} THEN {} ELSE {} END FROM t",
        "SELECT f({}, {}) FROM t; SELECT {}",
        "SET application_name = {}",
        "SELECT {} FROM",
        "GRANT {}",
        "CALL p({})",
    ];
    for (dialect, forms) in forms {
        for form in forms {
            for frame in frames {
                let sql = frame.replace("{}", form);
                let redacted = analyze(&sql, dialect).unwrap().redacted.literals;
                assert!(!redacted.contains(SECRET), "{sql:?} leaks in {redacted:?}");
            }
        }
    }
    // Numbers too, and whatever is glued to them.
    for sql in [
        "SELECT 424242",
        "SELECT -424242.5e10, .424242",
        "SELECT a FROM t LIMIT 424242",
    ] {
        for (_, dialect, _) in TABLES {
            let redacted = analyze(sql, dialect).unwrap().redacted.literals;
            assert!(!redacted.contains("4242"), "{redacted:?}");
        }
    }
}

#[test]
fn messages_never_quote_a_literal() {
    for sql in [
        "SELECT 'hunter2' 'hunter2' frm",
        "SELECT * FROM t WHERE a = 'x' 'hunter2",
        "INSERT INTO t VALUES ('hunter2' 5)",
        "hunter2hunter2hunter2hunter2hunter2hunter2 x",
        "SELECT $$hunter2$$ $$hunter2$$ x y z",
    ] {
        let analysis = analyze(sql, Dialect::Postgres).unwrap();
        let said = format!("{:?}", analysis.class);
        assert!(matches!(analysis.class, Class::Unparsable { .. }), "{sql}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn fingerprint_ignores_space_comments_case_and_literals() {
    let base = "SELECT a, count(*) FROM t WHERE b = 1 AND c IN ('x', 'y') GROUP BY a";
    let same = [
        "select a,count( * )from t where b=2 and c in('p','q')group by a",
        "SELECT a, COUNT(*) FROM t WHERE b = 1 AND c IN ('x', 'y') GROUP BY a".replace("COUNT", "count").as_str(),
        "SELECT a /* why */, count(*)\n\tFROM t -- where\n WHERE b = -17.5 AND c IN ('', '''') GROUP BY a;",
    ]
    .map(str::to_owned);
    for (_, dialect, _) in TABLES {
        let expected = analyze(base, dialect).unwrap().fingerprint;
        for sql in &same {
            assert_eq!(
                analyze(sql, dialect).unwrap().fingerprint,
                expected,
                "{sql}"
            );
        }
        for other in [
            "SELECT a FROM t",
            "SELECT A, count(*) FROM t WHERE b = 1 AND c IN ('x', 'y') GROUP BY a",
        ] {
            assert_ne!(
                analyze(other, dialect).unwrap().fingerprint,
                expected,
                "{other}"
            );
        }
    }
}

#[test]
fn input_errors_are_told_apart() {
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
    for rule in Rule::ALL {
        assert_eq!(Rule::parse(rule.as_str()), Some(rule));
        let camel: String = rule
            .as_str()
            .split('_')
            .map(|w| w[..1].to_uppercase() + &w[1..])
            .collect();
        assert_eq!(rule.wire_name(), camel);
    }
    for action in [Action::Block, Action::Warn, Action::Off] {
        assert_eq!(Action::parse(action.as_str()), Some(action));
    }
}

#[test]
fn findings_say_why_and_how_to_mend() {
    let analysis = analyze("SELECT 1;\n  DELETE FROM t", Dialect::Postgres).unwrap();
    let finding = &analysis.findings[0];
    assert_eq!((finding.statement, finding.line, finding.column), (2, 2, 3));
    assert_eq!(finding.message, "DELETE without WHERE clause");
    assert!(!finding.why.is_empty() && !finding.mend.is_empty());
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

/// Units that chain or nest, and what stands before them.
const UNITS: &[&str] = &[
    "1+",
    "1 OR ",
    "1=1 AND ",
    "1::int",
    "a::",
    "[1]",
    "(",
    "NOT ",
    "- ",
    "-",
    "~",
    "1 IS NULL ",
    "1 COLLATE c ",
    "CASE WHEN ",
    "(SELECT ",
    "1 UNION SELECT ",
    "1 UNION ALL (SELECT ",
    "EXISTS(",
    "a.",
    "f(",
    "f(1)",
    "1 IN (",
    "1,",
    "'a'||",
    "ARRAY[",
    "1 BETWEEN 1 AND ",
    "INTERVAL ",
    "CAST(1 AS ",
    "INT[]",
    "1 AT TIME ZONE ",
    "1 NOTNULL ",
    "a->",
    "t JOIN ",
    "t JOIN t ON 1 JOIN ",
    "(t JOIN ",
    "LATERAL (",
    "WITH a AS (",
    "(1),",
    "$$a$$",
    "$a$",
    "/*",
    "/**/",
    "--\n",
    "E'",
    "\"a\" ",
    "`",
    "[",
    "?",
    ":a ",
    "@",
    "#",
    "\\",
    ";",
    "0x",
    "..",
    "1 DIV ",
    "1 GLOB ",
    "1 REGEXP ",
    "EXPLAIN ",
    "PREPARE a AS ",
    "é",
    "\u{a0}",
    "\u{1f600}",
    "1 MEMBER OF (",
    "ANY(",
    "x y z, ",
    "WHEN 1 THEN 1 ",
    "NULL,",
    "-1,",
    "a int, ",
    "1 OPERATOR(+) ",
    "{",
    "E'a'\n",
    "E'a'--\n",
    "'",
];

const FRAMES: &[&str] = &[
    "SELECT ",
    "SELECT * FROM ",
    "SELECT * FROM t WHERE ",
    "",
    "INSERT INTO t VALUES ",
    "CREATE TABLE t (a ",
    "SELECT CAST(1 AS ",
    "EXPLAIN ",
    "SET a = ",
];

/// `unit` repeated to `bytes`, or to as many as are accepted.
fn longest(frame: &str, unit: &str, bytes: usize, dialect: Dialect) -> String {
    let text = |n: usize| format!("{frame}{}", unit.repeat(n));
    let mut n = (bytes - frame.len()) / unit.len();
    let too_complex = |n: usize| {
        let text = text(n);
        let lexed = lex::lex(&text, dialect);
        lexed
            .pieces()
            .iter()
            .any(|p| !limits::complexity(p).acceptable())
    };
    if too_complex(n) {
        let mut accepted = 0;
        while accepted + 1 < n {
            let middle = (accepted + n) / 2;
            if too_complex(middle) {
                n = middle;
            } else {
                accepted = middle;
            }
        }
        n = accepted;
    }
    text(n)
}

fn on_stack(bytes: usize, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(bytes)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

/// A stack overflow would end the test run, so this is a claim although nothing is compared.
#[test]
fn worst_texts_fit_half_an_analyzer_stack_and_two_seconds() {
    const SLOWEST: Duration = Duration::from_secs(2);
    on_stack(STACK_BYTES / 2, || {
        for (_, dialect, _) in TABLES {
            for frame in FRAMES {
                for unit in UNITS {
                    let sql = longest(frame, unit, TEXT_BYTES_MAX, dialect);
                    let start = Instant::now();
                    let analysis = analyze(&sql, dialect);
                    drop(analysis);
                    let took = start.elapsed();
                    assert!(
                        took < SLOWEST,
                        "{frame:?} {unit:?} in {dialect:?} took {took:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn worst_short_texts_fit_a_quarter_of_a_callers_stack() {
    const QUARTER: usize = 2 * 1024 * 1024;
    on_stack(QUARTER, || {
        for (_, dialect, _) in TABLES {
            for frame in FRAMES {
                for unit in UNITS {
                    let bytes = SHORT_TEXT_BYTES_MAX;
                    let _ = analyze(&longest(frame, unit, bytes, dialect), dialect);
                    // The deepest nesting with a chain at its bottom.
                    let nested = format!("SELECT {}{}", "(SELECT ".repeat(20), unit);
                    let _ = analyze(&longest(&nested, unit, bytes, dialect), dialect);
                }
            }
        }
    });
}
