//! Understanding SQL: one text in, one [`Analysis`] out.
//!
//! The order of reading (code map):
//!
//! - `token`, `lex`: tokens by the rules of the database; `cross_check`: the parser's tokens must be the same.
//! - `limits`: what a text may cost. `leading_keywords`, `settings`, `compound`: what first words settle.
//! - `judge`: the verdict on a statement, from the tree that `walk`, `walk_dml` and `walk_expr` walk and from
//!   `functions`. `catalogue`: functions that are known to do nothing but compute. `condition`: conditions that choose
//!   no rows. `by_words`: what words tell where the parser fails.
//! - `review`, `locking`, `upkeep`, `characters`: rules and findings. `redact`: the text without its data.
//! - `any`: a text whose dialect nobody knows. `script`: statements of a migration; `merge`: its texts as one.
//!   `row_changes`: whether a statement or a trigger may change more rows than it says. `schema_expressions`: what a
//!   default or a check calls. `table_name`: how a table is named.
//!
//! It is right about what it knows and humble about the rest: a kind of statement that is not listed, a part of a tree
//! that the walk does not know, a function whose name can be read in two ways are writes; a text that cannot be read
//! with certainty is [`Class::Unparsable`], which only a human may let through.

mod analysis;
mod any;
mod by_words;
mod catalogue;
mod characters;
mod compound;
mod condition;
mod cross_check;
mod dangerous;
mod definitions;
mod functions;
mod judge;
mod judged;
mod leading_keywords;
mod lex;
mod limits;
mod locking;
mod merge;
mod names_by_words;
mod redact;
mod review;
mod row_changes;
mod rules;
mod schema_expressions;
mod script;
mod settings;
mod table_name;
#[cfg(test)]
mod tests;
mod token;
mod upkeep;
mod walk;
mod walk_ddl;
mod walk_dml;
mod walk_expr;
mod word_list;

pub use crate::domain::dialect::DialectFact;
pub use analysis::{
    Analysis, Category, Class, DdlFacts, InputError, Redacted, StatementClass, StatementFacts,
};
pub use any::analyze_any;
pub use catalogue::{computes_on_mariadb, computes_on_mysql};
pub use characters::{escaped, escaped_exactly, shows_nothing};
pub use functions::names_before_parentheses;
pub use limits::{
    CHAIN_MAX, SHORT_TEXT_BYTES_MAX, STACK_BYTES, STATEMENTS_MAX, TEXT_BYTES_MAX, WORD_RUN_MAX,
};
pub use row_changes::{
    InsertedColumns, inserted_columns, is_plain_write, only_computes, trigger_event,
};
pub use rules::{Finding, IN_LIST_MAX, ReviewRule, RuleAction};
pub use schema_expressions::{UnreadableExpression, unknown_calls};
pub use script::{ScriptError, ScriptStatement, comments, mentions, mentions_within, statements};
pub use table_name::table_parts;

use crate::crypto::sha256_hex;
use crate::domain::dialect::Dialect;
use judged::Judged;
use std::collections::BTreeSet;
use token::{LexError, StatementTokens};

/// Analyses `text`. Pure and deterministic; needs a stack of [`STACK_BYTES`] for the worst accepted text.
///
/// # Errors
/// A text that is empty, too long or too complex to be looked at.
pub fn analyze(text: &str, dialect: Dialect) -> Result<Analysis, InputError> {
    if text.contains('\0') {
        return Err(InputError::Nul);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(InputError::TooLong { bytes: text.len() });
    }
    let lexed = lex::lex(text, dialect);
    let stmts = lexed.stmts();
    if stmts.is_empty() && lexed.lex_error.is_none() {
        return Err(InputError::Empty);
    }
    if stmts.len() > STATEMENTS_MAX {
        return Err(InputError::TooManyStatements { count: stmts.len() });
    }
    let too_complex = stmts
        .iter()
        .position(|p| !limits::complexity(p).acceptable());
    if let Some(at) = too_complex {
        return Err(InputError::TooComplex { statement: at + 1 });
    }
    let hidden = characters::review(&lexed, &stmts);
    let tokens = match lexed.lex_error.or_else(|| dangling_minus(&stmts, dialect)) {
        Some(lex_error) => Err(lex_error),
        None => cross_check::tokens(&lexed, &stmts, dialect),
    };
    let tokens = match tokens {
        Ok(tokens) => tokens,
        Err(lex_error) => return Ok(with(uncut(text, dialect, &stmts, lex_error), hidden)),
    };
    let judged: Vec<Judged> = stmts
        .iter()
        .zip(tokens)
        .enumerate()
        .map(|(i, (stmt, tokens))| {
            let hint_sets = lexed.setting_hint.is_some();
            judge::judge(stmt, tokens, dialect, i + 1, hint_sets)
        })
        .collect();
    Ok(with(assemble(text, dialect, &stmts, judged), hidden))
}

fn with(mut analysis: Analysis, findings: Vec<Finding>) -> Analysis {
    analysis.safe_ddl &= findings.is_empty();
    analysis.findings.extend(findings);
    analysis
}

/// A statement of MySQL that ends in a minus sign: with what follows it cut off, two of them are a comment.
fn dangling_minus(stmts: &[StatementTokens<'_>], dialect: Dialect) -> Option<LexError> {
    let ends_so = |p: &&StatementTokens<'_>| p.text(p.toks.len() - 1) == "-";
    let last = stmts.iter().find(ends_so)?.toks.last()?;
    (dialect == Dialect::MySql).then_some(LexError {
        line: last.line,
        column: last.column,
        what: "a minus sign at the end of a statement",
    })
}

/// The analysis of a text that could not be cut into statements with certainty. What its first words refuse is refused
/// all the same.
fn uncut(
    text: &str,
    dialect: Dialect,
    stmts: &[StatementTokens<'_>],
    lex_error: LexError,
) -> Analysis {
    let refused = stmts.iter().find_map(|stmt| {
        let verdict = match leading_keywords::judge(stmt, dialect) {
            analysis::Leading::Settled(v) | analysis::Leading::Refused(v) => v,
            _ => return None,
        };
        let first = stmt.toks.first()?;
        (verdict.class == StatementClass::Rejected).then_some(Class::Rejected {
            reason: verdict.reason,
            line: first.line,
            column: first.column,
        })
    });
    let class = refused.unwrap_or_else(|| {
        let failure = cross_check::ParseFailure::from(lex_error);
        Class::Unparsable {
            line: failure.line,
            column: failure.column,
            message: failure.message,
        }
    });
    let redacted = parse_failed(text);
    let fingerprint = sha256_hex(redacted.as_bytes());
    Analysis {
        class,
        ..Analysis::parse_failure(dialect, fingerprint, redacted)
    }
}

fn parse_failed(text: &str) -> String {
    format!("parse-failed:{}", sha256_hex(text.as_bytes()))
}

fn assemble(
    text: &str,
    dialect: Dialect,
    stmts: &[StatementTokens<'_>],
    judged: Vec<Judged>,
) -> Analysis {
    let parse_failure = judged.iter().find_map(|j| j.parse_failure.clone());
    let class = class_of(stmts, &judged, parse_failure.as_ref());
    let redacted = match &class {
        Class::Unparsable { .. } => parse_failed(text),
        _ => redact::literals(stmts, dialect),
    };
    let categories: Vec<Category> = judged.iter().map(|j| j.verdict.category).collect();
    let eligible = parse_failure.is_none()
        && categories
            .iter()
            .all(|c| matches!(c, Category::SafeDdl | Category::BreakGlassDdl));
    let runs = eligible || !matches!(class, Class::Rejected { .. });
    let tables: BTreeSet<&String> = judged.iter().flat_map(|j| &j.tables).collect();
    let tables = tables.into_iter().cloned().collect();
    let unknown_functions: BTreeSet<String> = judged
        .iter()
        .flat_map(|j| j.unknown_functions.clone())
        .collect();
    let mut findings: Vec<Finding> = judged.iter().flat_map(|j| j.findings.clone()).collect();
    findings.extend(mixed_ddl_dml(stmts, &judged));
    Analysis {
        dialect,
        dialect_fact: DialectFact::Known(dialect),
        unknown_functions: unknown_functions.into_iter().collect(),
        plan: (parse_failure.is_none() && runs).then(|| cut(text, stmts)),
        findings,
        tables,
        ddl: DdlFacts {
            eligible,
            categories,
        },
        safe_ddl: judged.len() == 1 && judged[0].safe_ddl,
        fingerprint: sha256_hex(redacted.as_bytes()),
        redacted: Redacted { literals: redacted },
        statements: stmts
            .iter()
            .zip(judged)
            .map(|(stmt, judged)| facts(stmt, judged, dialect))
            .collect(),
        class,
    }
}

fn facts(stmt: &StatementTokens<'_>, judged: Judged, dialect: Dialect) -> StatementFacts {
    let (line, column) = place(stmt);
    let foreseen = !judged.by_words && judge::is_foreseen(stmt, &judged.verdict, dialect);
    StatementFacts {
        kind: judged.verdict.kind,
        category: judged.verdict.category,
        class: judged.verdict.class,
        reason: judged.verdict.reason,
        line,
        column,
        tables: judged.tables.into_iter().collect(),
        foreseen,
        by_words: judged.by_words,
    }
}

fn place(stmt: &StatementTokens<'_>) -> (u64, u64) {
    stmt.toks.first().map_or((1, 1), |t| (t.line, t.column))
}

/// The text of each statement: from after the separator before it, leading comments included, to its last word. A
/// comment after that word is left out, because an agent that joins statements with `;` would put the separator into
/// it.
fn cut(text: &str, stmts: &[StatementTokens<'_>]) -> Vec<String> {
    stmts
        .iter()
        .map(|stmt| {
            let end = stmt.toks.last().map_or(stmt.begin, |t| t.end);
            let own = text.get(stmt.begin..end).unwrap_or_default();
            own.trim_start_matches(|c: char| c.is_ascii_whitespace())
                .to_owned()
        })
        .collect()
}

/// The first refusal wins, then what cannot be read, then the first write that is more than structure.
fn class_of(
    stmts: &[StatementTokens<'_>],
    judged: &[Judged],
    parse_failure: Option<&cross_check::ParseFailure>,
) -> Class {
    let of = |class| move |j: &&Judged| j.verdict.class == class;
    let rejected = |at: usize, reason: &str| {
        let (line, column) = stmts.get(at).map_or((1, 1), place);
        Class::Rejected {
            reason: reason.to_owned(),
            line,
            column,
        }
    };
    let refused = judged
        .iter()
        .position(|j| j.verdict.class == StatementClass::Rejected);
    if let Some(at) = refused {
        return rejected(at, &judged[at].verdict.reason);
    }
    if let Some(parse_failure) = parse_failure {
        return Class::Unparsable {
            line: parse_failure.line,
            column: parse_failure.column,
            message: parse_failure.message.clone(),
        };
    }
    if let Some(dml) = judged.iter().find(of(StatementClass::Dml)) {
        return Class::Dml {
            ddl_only: false,
            reason: dml.verdict.reason.clone(),
        };
    }
    if let Some(ddl) = judged.iter().find(of(StatementClass::Ddl)) {
        return Class::Dml {
            ddl_only: true,
            reason: ddl.verdict.reason.clone(),
        };
    }
    // All read. One statement gives the rows, settings may stand before it, nothing after it.
    let rows = judged.iter().position(|j| j.verdict.returns_rows);
    match rows {
        Some(at) if at + 1 < judged.len() => {
            rejected(at + 1, "nothing may follow the statement that returns rows")
        }
        _ => Class::Select,
    }
}

/// One finding for a batch that changes both structure and data, at the statement that makes it so.
fn mixed_ddl_dml(stmts: &[StatementTokens<'_>], judged: &[Judged]) -> Option<Finding> {
    let is_ddl = |j: &Judged| {
        j.verdict.kind.starts_with("drop_")
            || matches!(
                j.verdict.kind,
                "create_table" | "create_index" | "create_view" | "alter_table" | "truncate"
            )
    };
    let is_dml = |j: &Judged| matches!(j.verdict.kind, "insert" | "update" | "delete");
    let at = judged
        .iter()
        .position(is_ddl)?
        .max(judged.iter().position(is_dml)?);
    let (line, column) = place(stmts.get(at)?);
    let mut finding = Finding::new(ReviewRule::MixedDdlDml, at + 1, line, column);
    finding.offset = stmts.get(at)?.offset_at(line, column);
    Some(finding)
}
