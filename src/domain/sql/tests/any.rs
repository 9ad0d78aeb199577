//! What must hold for any text whatever: no panic, no lost text, no leaked literal, a stable fingerprint.

use super::*;

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

/// What must hold for any text. Returns whether there was a plan to hold it against.
fn check_any(sql: &str, dialect: Dialect) -> bool {
    let Ok(analysis) = analyze(sql, dialect) else {
        return false;
    };
    let Some(plan) = &analysis.plan else {
        assert!(
            !matches!(analysis.class, Class::Select | Class::Dml { .. }),
            "no plan, and yet {:?}: {sql:?}",
            analysis.class
        );
        return false;
    };
    assert_eq!(plan.len(), analysis.statements.len(), "{sql:?}");
    // The pieces stand in the source in order, and between them is nothing but separators, white space and comments.
    let mut rest = sql;
    for stmt in plan {
        let at = rest.find(stmt.as_str());
        assert!(at.is_some(), "{stmt:?} is not the source's: {sql:?}");
        let (gap, after) = rest.split_at(at.unwrap_or(0));
        assert!(
            lex::lex(gap, dialect)
                .toks
                .iter()
                .all(|t| t.kind == token::TokenKind::Semi),
            "{gap:?} lost: {sql:?}"
        );
        rest = &after[stmt.len()..];
    }
    assert!(
        lex::lex(rest, dialect)
            .toks
            .iter()
            .all(|t| t.kind == token::TokenKind::Semi),
        "{rest:?} lost: {sql:?}"
    );
    // Joined anew, as an agent joins them, they are read as the same statements.
    // (After a COPY FROM STDIN the parser takes a new line for data, and the whole is refused.)
    let joined = plan.join(";\n");
    if !joined.to_ascii_lowercase().contains("stdin")
        && let Ok(again) = analyze(&joined, dialect)
    {
        assert_eq!(again.plan.as_ref(), Some(plan), "{sql:?}");
        assert_eq!(again.fingerprint, analysis.fingerprint, "{sql:?}");
    }
    true
}

/// Rounds of mutation over all tables; `DBWARD_SQL_ROUNDS` and `DBWARD_SQL_SEED` set others, for a longer hunt.
#[test]
fn mutations_of_the_tables_never_panic_nor_lose_text() {
    let setting = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    };
    let seed = setting("DBWARD_SQL_SEED", 0x5eed);
    println!("seed {seed}");
    let mut dice = Dice(seed.max(1));
    let cases = all_cases();
    let (mut tried, mut planned) = (0, 0);
    for _ in 0..setting("DBWARD_SQL_ROUNDS", 10) {
        for case in &cases {
            let sql = mutated(&case.sql, &mut dice);
            for (_, dialect, _) in TABLES {
                tried += 1;
                planned += usize::from(check_any(&sql, dialect));
            }
        }
    }
    assert!(
        planned * 20 > tried,
        "only {planned} of {tried} texts had a plan"
    );
}

#[test]
fn every_case_holds_the_rules_of_any_text() {
    let cases = all_cases();
    let has_plan = |case: &&super::Case| check_any(&case.sql, case.dialect);
    let planned = cases.iter().filter(has_plan).count();
    assert!(planned * 2 > cases.len(), "only {planned} had a plan");
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
        "GET 'hunter2' 'hunter2' frm",
        "SELECT * FROM t WHERE a = 'x' 'hunter2",
        "INSERT INTO t VALUES ('hunter2' 5",
        "hunter2hunter2hunter2hunter2hunter2hunter2 x",
        "GET $$hunter2$$ $$hunter2$$ x y z",
    ] {
        let analysis = analyze(sql, Dialect::Postgres).unwrap();
        let actual = format!("{:?}", analysis.class);
        assert!(matches!(analysis.class, Class::Unparsable { .. }), "{sql}");
        assert!(!actual.contains("hunter2"), "{actual}");
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
fn lists_that_are_searched_are_sorted() {
    for list in [
        dangerous::NAMES,
        dangerous::PREFIXES,
        dangerous::DESCRIBING_PRAGMAS,
        limits::CHAINING,
        limits::COPYING,
        redact::KEYWORDS,
        redact::SPACED,
        names_by_words::SORTED[0],
        names_by_words::SORTED[1],
    ] {
        assert!(list.is_sorted(), "{list:?}");
    }
}
