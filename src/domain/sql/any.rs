//! Reading a text whose dialect nobody knows.
//!
//! [`analyze_any`] reads the text in all three dialects. The shape of the result, for callers:
//!
//! | the three readings | `Analysis::class` | `Analysis::dialect_fact` |
//! |---|---|---|
//! | agree | that of all | [`DialectFact::Any`]: every driver may run it; risk is at best `unknown` |
//! | all refuse | `Rejected` | [`DialectFact::Any`] |
//! | differ | `Unparsable`, with the place where they part and the hint to configure `dialect` | [`DialectFact::Unknown`]: no driver may run it |
//!
//! Readings agree if they have the same tokens, class, statements, tables and findings. Tokens are part of it because
//! the reading of a literal or a comment decides where statements end: texts that dialects cut differently never count
//! as agreed, whatever they are classed as.

use super::token::{Lexed, Tok};
use super::{Analysis, Class, InputError, analyze, lex, parse_failed};
use crate::crypto::sha256_hex;
use crate::domain::dialect::{Dialect, DialectFact};

/// Every dialect; the first is the one whose reading stands for all.
const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite];

/// Analyses `text` in all dialects; see the module's table. Costs three analyses, and needs the stack of one.
///
/// # Errors
/// As [`analyze`], if the text is an error in every dialect, or too long or too complex in one.
pub fn analyze_any(text: &str) -> Result<Analysis, InputError> {
    let [first, second, third] = DIALECTS.map(|dialect| analyze(text, dialect));
    let (first, second, third) = match (first, second, third) {
        (Ok(first), Ok(second), Ok(third)) => (first, second, third),
        (Err(error), Err(_), Err(_)) => return Err(error),
        (first, second, third) => return one_is_an_error(text, [first, second, third]),
    };
    let all_refuse = [&first, &second, &third]
        .iter()
        .all(|a| matches!(a.class, Class::Rejected { .. }));
    let parting = parting(text).or_else(|| {
        [&second, &third]
            .into_iter()
            .find_map(|other| difference(&first, other))
    });
    let mut agreed = first;
    agreed.dialect_fact = DialectFact::Any;
    for other in [second, third] {
        for name in other.unknown_functions {
            if !agreed.unknown_functions.contains(&name) {
                agreed.unknown_functions.push(name);
            }
        }
        agreed.safe_ddl &= other.safe_ddl;
        for (mine, theirs) in agreed.statements.iter_mut().zip(&other.statements) {
            mine.foreseen &= theirs.foreseen;
            mine.by_words |= theirs.by_words;
        }
    }
    agreed.unknown_functions.sort_unstable();
    match parting {
        None => Ok(agreed),
        // Whatever the database is, it is not to run this; break-glass would have to know the statements.
        Some(_) if all_refuse => {
            agreed.ddl.eligible = false;
            agreed.plan = None;
            agreed.safe_ddl = false;
            Ok(agreed)
        }
        Some(place) => Ok(disagreed(text, place)),
    }
}

/// Some dialects see nothing to run in the text (`# comment`), or find it too complex.
fn one_is_an_error(
    text: &str,
    results: [Result<Analysis, InputError>; 3],
) -> Result<Analysis, InputError> {
    let costly = results.iter().find_map(|result| match result {
        Err(InputError::Empty) | Ok(_) => None,
        Err(error) => Some(*error),
    });
    match costly {
        Some(error) => Err(error),
        None => Ok(disagreed(text, parting(text).unwrap_or((1, 1)))),
    }
}

/// Line and column of the first token that the dialects do not share.
fn parting(text: &str) -> Option<(u64, u64)> {
    let [first, second, third] = DIALECTS.map(|dialect| lex::lex(text, dialect));
    [second, third]
        .iter()
        .filter_map(|other| first_difference(&first, other))
        .min()
}

fn first_difference(one: &Lexed<'_>, other: &Lexed<'_>) -> Option<(u64, u64)> {
    let same = |a: &Tok, b: &Tok| (a.kind, a.start, a.end) == (b.kind, b.start, b.end);
    let place = |t: &Tok| (t.line, t.column);
    let mut ours = one.toks.iter();
    let mut theirs = other.toks.iter();
    loop {
        return match (ours.next(), theirs.next()) {
            (Some(a), Some(b)) if same(a, b) => continue,
            (Some(a), Some(b)) => Some(place(a).min(place(b))),
            (Some(left), None) | (None, Some(left)) => Some(place(left)),
            (None, None) => {
                let lex_error = one.lex_error.or(other.lex_error);
                let either = one.lex_error.is_some() != other.lex_error.is_some();
                lex_error.filter(|_| either).map(|t| (t.line, t.column))
            }
        };
    }
}

/// Where two readings of the same tokens differ in what the text does.
fn difference(one: &Analysis, other: &Analysis) -> Option<(u64, u64)> {
    let start = Some((1, 1));
    let same_class = match (&one.class, &other.class) {
        (Class::Dml { ddl_only: a, .. }, Class::Dml { ddl_only: b, .. }) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    if !same_class || one.statements.len() != other.statements.len() || one.plan != other.plan {
        return start;
    }
    let differs = one.statements.iter().zip(&other.statements).find(|(a, b)| {
        (a.kind, a.category, a.class) != (b.kind, b.category, b.class)
            || !same_names(&a.tables, &b.tables)
    });
    if let Some((statement, _)) = differs {
        return Some((statement.line, statement.column));
    }
    let mut findings = one.findings.iter().zip(&other.findings);
    if let Some((a, _)) =
        findings.find(|(a, b)| (a.rule, a.statement, a.offset) != (b.rule, b.statement, b.offset))
    {
        return Some((a.line, a.column));
    }
    match one.findings.len() == other.findings.len() {
        true => None,
        false => start,
    }
}

/// Dialects fold the case of names differently.
fn same_names(one: &[String], other: &[String]) -> bool {
    let folded = |names: &[String]| {
        let mut names: Vec<String> = names.iter().map(|n| n.to_lowercase()).collect();
        names.sort_unstable();
        names
    };
    folded(one) == folded(other)
}

fn disagreed(text: &str, (line, column): (u64, u64)) -> Analysis {
    let redacted = parse_failed(text);
    let mut analysis =
        Analysis::parse_failure(Dialect::Postgres, sha256_hex(redacted.as_bytes()), redacted);
    analysis.dialect_fact = DialectFact::Unknown;
    analysis.class = Class::Unparsable {
        line,
        column,
        message:
            "PostgreSQL, MySQL and SQLite read it differently; configure `dialect` of the database"
                .to_owned(),
    };
    analysis
}
