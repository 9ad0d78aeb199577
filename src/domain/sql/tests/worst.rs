//! The worst texts that are accepted: how deep and how slow they get.

use super::*;
use std::time::{Duration, Instant};

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
            .stmts()
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

/// Parts of definitions, each of which is looked at.
const PARTS: &[(&str, &str)] = &[
    ("ALTER TABLE t ", "ADD a int, "),
    ("ALTER TABLE t ", "ADD CONSTRAINT c NOT NULL a NOT VALID, "),
    (
        "ALTER TABLE t ENGINE = x, ",
        "ALGORITHM = COPY, LOCK = NONE, ",
    ),
    ("DELETE FROM t WHERE ", "(a = a) AND "),
    ("DELETE FROM t WHERE ", "(SELECT (1)) = "),
    ("SHOW VARIABLES WHERE ", "f(1) = "),
];

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
    let frames = |dialect| match dialect {
        Dialect::Postgres => &FRAMES[..3],
        _ => &FRAMES[..1],
    };
    on_stack(STACK_BYTES / 2, move || {
        for (_, dialect, _) in TABLES {
            let framed = |frame: &'static &'static str| {
                let frame = *frame;
                UNITS.iter().map(move |unit| (frame, *unit))
            };
            let shapes = frames(dialect).iter().flat_map(framed);
            for (frame, unit) in shapes.chain(PARTS.iter().copied()) {
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
