//! Understanding SQL: one text in, one [`Analysis`] out.
//!
//! The order of reading (code map):
//!
//! - `token`, `lex`: tokens by the rules of the database; `agree`: the parser's tokens must be the same.
//! - `limits`: what a text may cost. `heads`, `settings`: what first words settle.
//! - `judge`: the verdict on a statement, from the tree that `walk`, `walk_dml` and `walk_expr` walk and from `functions`.
//! - `review`: rules and findings. `redact`: the text without its data.
//!
//! It is right about what it knows and humble about the rest: a kind of statement that is not listed, a part of a tree
//! that the walk does not know, a function whose name can be read in two ways are writes; a text that cannot be read
//! with certainty is [`Class::Unparsable`], which only a human may let through.

mod agree;
mod functions;
mod heads;
mod judge;
mod lex;
mod limits;
mod redact;
mod review;
mod settings;
#[cfg(test)]
mod tests;
mod token;
mod walk;
mod walk_dml;
mod walk_expr;

pub use limits::{
    CHAIN_MAX, SHORT_TEXT_BYTES_MAX, STACK_BYTES, STATEMENTS_MAX, TEXT_BYTES_MAX, WORD_RUN_MAX,
};
pub use review::{Action, Finding, IN_LIST_MAX, Rule};

use crate::crypto::sha256_hex;
use crate::domain::policy::Dialect;
use judge::Judged;
use std::collections::BTreeSet;
use token::{Piece, Trouble};

/// What a text is as a whole: the operation it becomes, or why it becomes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Reads only: `execute_select`.
    Select,
    /// Writes, or may: `execute_dml`.
    Dml {
        /// Nothing but structure changes.
        ddl_only: bool,
        /// Why it is a write: ``calls `pg_sleep` ``.
        reason: String,
    },
    /// Refused whatever the workflow (break-glass may pass some of it, see [`DdlFacts`]).
    Rejected {
        /// Why: `drops a table`.
        reason: String,
        /// Line of the statement, from 1.
        line: u64,
        /// Column of the statement in characters, from 1.
        column: u64,
    },
    /// Cannot be read with certainty: a write that a human must approve, never by empty steps or in an emergency.
    Unparsable {
        /// Line where reading stopped, from 1.
        line: u64,
        /// Column where reading stopped in characters, from 1.
        column: u64,
        /// What stopped it; quotes at most one word or mark of the text, never a literal.
        message: String,
    },
}

/// What a statement is for the rules of break-glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Queries, SHOW, EXPLAIN, safe SET.
    ReadOnly,
    /// Changes data, or may.
    Dml,
    /// CREATE TABLE, VIEW, INDEX; ALTER TABLE.
    SafeDdl,
    /// DROP TABLE, VIEW, INDEX, SEQUENCE; CREATE SEQUENCE; TRUNCATE.
    BreakGlassDdl,
    /// Roles, grants, schemas, databases, types.
    PrivilegeDdl,
    /// Functions, procedures, DO, LOAD, COPY ... PROGRAM.
    CodeExecution,
    /// BEGIN, COMMIT and the like.
    TxControl,
    /// Locks, unsafe SET, ATTACH, PRAGMA.
    SecurityBoundary,
    /// Not understood.
    Unknown,
}

/// What a single statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatementClass {
    /// Reads.
    Select,
    /// Writes, or may.
    Dml,
    /// Changes structure.
    Ddl,
    /// Is refused.
    Rejected,
}

/// The verdict on a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    kind: &'static str,
    category: Category,
    class: StatementClass,
    reason: String,
    /// Whether a client gets rows from it; a batch of reads may hold one such statement.
    returns_rows: bool,
}

impl Verdict {
    fn refused(kind: &'static str, category: Category, reason: &str) -> Verdict {
        Verdict {
            kind,
            category,
            class: StatementClass::Rejected,
            reason: reason.to_owned(),
            returns_rows: false,
        }
    }
}

/// One statement of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementFacts {
    /// `select`, `insert`, `create_table`, `explain`, ..., `unknown`.
    pub kind: &'static str,
    /// Category for break-glass.
    pub category: Category,
    /// What it does.
    pub class: StatementClass,
    /// Why it is classed so.
    pub reason: String,
    /// Line of its first word, from 1.
    pub line: u64,
    /// Column of its first word in characters, from 1.
    pub column: u64,
    /// Tables it names: `schema.table` or `table`, sorted.
    pub tables: Vec<String>,
    /// Whether what it does shows in its kind and its tables alone: a read, plain DDL, or a write that calls nothing
    /// dangerous and hides no other write. Whatever else is done, nobody can tell how far it reaches.
    pub foreseen: bool,
}

/// What break-glass with `allow_ddl` needs to know (semantics 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlFacts {
    /// The text was read whole, and every statement is [`Category::SafeDdl`] or [`Category::BreakGlassDdl`].
    pub eligible: bool,
    /// The category of each statement.
    pub categories: Vec<Category>,
}

/// The text without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// Literals as `?`, comments dropped, statements joined by `; `; `parse-failed:<sha256 of the text>` where it could
    /// not be read.
    pub literals: String,
}

/// Everything that is known about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// The dialect it was read in.
    pub dialect: Dialect,
    /// What it is.
    pub class: Class,
    /// Its statements, in order; empty where the text could not even be cut into statements.
    pub statements: Vec<StatementFacts>,
    /// The statements' own text, cut from the source: no separators, no comments behind the last word. `None` where
    /// the text could not be read, and where it is refused even in an emergency.
    pub plan: Option<Vec<String>>,
    /// Findings of the review rules, by statement; configuration decides what they do.
    pub findings: Vec<Finding>,
    /// Tables that are read or written, sorted: `schema.table` or `table`. Unquoted PostgreSQL names are in lower case;
    /// in MySQL and SQLite names keep their spelling and are to be compared without regard to case.
    pub tables: Vec<String>,
    /// Facts for break-glass.
    pub ddl: DdlFacts,
    /// A single statement of harmless DDL, by shape: CREATE TABLE or VIEW without OR REPLACE or AS, and in PostgreSQL
    /// CREATE INDEX CONCURRENTLY and ALTER TABLE with nothing but ADD COLUMN. Whoever uses it also asks for no findings.
    pub safe_ddl: bool,
    /// The text without its data.
    pub redacted: Redacted,
    /// Hex SHA-256 of `redacted.literals`.
    pub fingerprint: String,
}

/// A text that is not analysed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// Nothing but white space, comments and semicolons.
    Empty,
    /// A NUL byte.
    Nul,
    /// More than [`TEXT_BYTES_MAX`] bytes.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// More than [`STATEMENTS_MAX`] statements.
    TooManyStatements {
        /// How many.
        count: usize,
    },
    /// A statement with more than [`CHAIN_MAX`] operators and the like, or [`WORD_RUN_MAX`] words in a row.
    TooComplex {
        /// The statement, from 1.
        statement: usize,
    },
}

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
    let pieces = lexed.pieces();
    if pieces.is_empty() && lexed.trouble.is_none() {
        return Err(InputError::Empty);
    }
    if pieces.len() > STATEMENTS_MAX {
        return Err(InputError::TooManyStatements {
            count: pieces.len(),
        });
    }
    let too_complex = pieces
        .iter()
        .position(|p| !limits::complexity(p).acceptable());
    if let Some(at) = too_complex {
        return Err(InputError::TooComplex { statement: at + 1 });
    }
    let tokens = match lexed.trouble.or_else(|| dangling_minus(&pieces, dialect)) {
        Some(trouble) => Err(trouble),
        None => agree::tokens(&lexed, dialect),
    };
    let tokens = match tokens {
        Ok(tokens) if tokens.len() == pieces.len() => tokens,
        Ok(_) => return Ok(uncut(text, dialect, &pieces, None)),
        Err(trouble) => return Ok(uncut(text, dialect, &pieces, Some(trouble))),
    };
    let judged: Vec<Judged> = pieces
        .iter()
        .zip(tokens)
        .enumerate()
        .map(|(i, (piece, tokens))| {
            let hint_sets = lexed.setting_hint.is_some();
            judge::judge(piece, tokens, dialect, i + 1, hint_sets)
        })
        .collect();
    Ok(assemble(text, dialect, &pieces, judged))
}

/// A statement of MySQL that ends in a minus sign: with what stands behind it cut off, two of them are a comment.
fn dangling_minus(pieces: &[Piece<'_>], dialect: Dialect) -> Option<Trouble> {
    let ends_so = |p: &&Piece<'_>| p.text(p.toks.len() - 1) == "-";
    let last = pieces.iter().find(ends_so)?.toks.last()?;
    (dialect == Dialect::MySql).then_some(Trouble {
        line: last.line,
        column: last.column,
        what: "a minus sign at the end of a statement",
    })
}

/// The analysis of a text that could not be cut into statements with certainty. What its first words refuse is refused
/// all the same.
fn uncut(text: &str, dialect: Dialect, pieces: &[Piece<'_>], trouble: Option<Trouble>) -> Analysis {
    let refused = pieces.iter().find_map(|piece| {
        let verdict = match heads::judge(piece, dialect) {
            heads::Head::Settled(v) | heads::Head::Refused(v) => v,
            _ => return None,
        };
        let first = piece.toks.first()?;
        (verdict.class == StatementClass::Rejected).then_some(Class::Rejected {
            reason: verdict.reason,
            line: first.line,
            column: first.column,
        })
    });
    let class = refused.unwrap_or_else(|| {
        let unread = trouble.map(agree::Unread::from);
        Class::Unparsable {
            line: unread.as_ref().map_or(1, |u| u.line),
            column: unread.as_ref().map_or(1, |u| u.column),
            message: unread.map_or_else(|| "cannot find the statements".to_owned(), |u| u.message),
        }
    });
    let redacted = parse_failed(text);
    Analysis {
        dialect,
        class,
        statements: Vec::new(),
        plan: None,
        findings: Vec::new(),
        tables: Vec::new(),
        ddl: DdlFacts {
            eligible: false,
            categories: Vec::new(),
        },
        safe_ddl: false,
        fingerprint: sha256_hex(redacted.as_bytes()),
        redacted: Redacted { literals: redacted },
    }
}

fn parse_failed(text: &str) -> String {
    format!("parse-failed:{}", sha256_hex(text.as_bytes()))
}

fn assemble(text: &str, dialect: Dialect, pieces: &[Piece<'_>], judged: Vec<Judged>) -> Analysis {
    let unread = judged.iter().find_map(|j| j.unread.clone());
    let class = class_of(pieces, &judged, unread.as_ref());
    let redacted = match &class {
        Class::Unparsable { .. } => parse_failed(text),
        _ => redact::literals(pieces, dialect),
    };
    let categories: Vec<Category> = judged.iter().map(|j| j.verdict.category).collect();
    let eligible = unread.is_none()
        && categories
            .iter()
            .all(|c| matches!(c, Category::SafeDdl | Category::BreakGlassDdl));
    let runs = eligible || !matches!(class, Class::Rejected { .. });
    let tables: BTreeSet<&String> = judged.iter().flat_map(|j| &j.tables).collect();
    let tables = tables.into_iter().cloned().collect();
    let mut findings: Vec<Finding> = judged.iter().flat_map(|j| j.findings.clone()).collect();
    findings.extend(mixed_ddl_dml(pieces, &judged));
    Analysis {
        dialect,
        plan: (unread.is_none() && runs).then(|| cut(text, pieces)),
        findings,
        tables,
        ddl: DdlFacts {
            eligible,
            categories,
        },
        safe_ddl: judged.len() == 1 && judged[0].safe_ddl,
        fingerprint: sha256_hex(redacted.as_bytes()),
        redacted: Redacted { literals: redacted },
        statements: pieces
            .iter()
            .zip(judged)
            .map(|(piece, judged)| facts(piece, judged, dialect))
            .collect(),
        class,
    }
}

fn facts(piece: &Piece<'_>, judged: Judged, dialect: Dialect) -> StatementFacts {
    let (line, column) = place(piece);
    let foreseen = judge::is_foreseen(piece, &judged.verdict, dialect);
    StatementFacts {
        kind: judged.verdict.kind,
        category: judged.verdict.category,
        class: judged.verdict.class,
        reason: judged.verdict.reason,
        line,
        column,
        tables: judged.tables.into_iter().collect(),
        foreseen,
    }
}

fn place(piece: &Piece<'_>) -> (u64, u64) {
    piece.toks.first().map_or((1, 1), |t| (t.line, t.column))
}

/// The text of each statement: from behind the separator before it, leading comments included, to its last word. A
/// comment behind that word is left out, because an agent that joins statements with `;` would put the separator into
/// it.
fn cut(text: &str, pieces: &[Piece<'_>]) -> Vec<String> {
    pieces
        .iter()
        .map(|piece| {
            let end = piece.toks.last().map_or(piece.begin, |t| t.end);
            let own = text.get(piece.begin..end).unwrap_or_default();
            own.trim_start_matches(|c: char| c.is_ascii_whitespace())
                .to_owned()
        })
        .collect()
}

/// The first refusal wins, then what cannot be read, then the first write that is more than structure.
fn class_of(pieces: &[Piece<'_>], judged: &[Judged], unread: Option<&agree::Unread>) -> Class {
    let with = |class| move |j: &&Judged| j.verdict.class == class;
    let rejected = |at: usize, reason: &str| {
        let (line, column) = pieces.get(at).map_or((1, 1), place);
        Class::Rejected {
            reason: reason.to_owned(),
            line,
            column,
        }
    };
    let refused = (0..judged.len()).find(|&at| {
        judged[at].verdict.class == StatementClass::Rejected
            && !ends_trigger(&pieces[..=at], &judged[..at])
    });
    if let Some(at) = refused {
        return rejected(at, &judged[at].verdict.reason);
    }
    if let Some(unread) = unread {
        return Class::Unparsable {
            line: unread.line,
            column: unread.column,
            message: unread.message.clone(),
        };
    }
    if let Some(dml) = judged.iter().find(with(StatementClass::Dml)) {
        return Class::Dml {
            ddl_only: false,
            reason: dml.verdict.reason.clone(),
        };
    }
    if let Some(ddl) = judged.iter().find(with(StatementClass::Ddl)) {
        return Class::Dml {
            ddl_only: true,
            reason: ddl.verdict.reason.clone(),
        };
    }
    // All read. One statement gives the rows, settings may stand before it, nothing behind it.
    let rows = judged.iter().position(|j| j.verdict.returns_rows);
    match rows {
        Some(at) if at + 1 < judged.len() => {
            rejected(at + 1, "nothing may follow the statement that returns rows")
        }
        _ => Class::Select,
    }
}

/// Whether the last of `pieces` is the END of a trigger's body, which the semicolons in it have cut off. The whole is
/// unreadable then, and waits for a human.
fn ends_trigger(pieces: &[Piece<'_>], before: &[Judged]) -> bool {
    let end = pieces
        .last()
        .is_some_and(|p| p.toks.len() == 1 && p.is(0, "end"));
    let opens = |(piece, judged): (&Piece<'_>, &Judged)| {
        judged.unread.is_some()
            && piece.is(0, "create")
            && (1..piece.toks.len().min(8)).any(|i| piece.is_any(i, &["trigger", "event"]))
    };
    end && pieces.iter().zip(before).any(opens)
}

/// One finding for a batch that changes both structure and data, at the statement that makes it so.
fn mixed_ddl_dml(pieces: &[Piece<'_>], judged: &[Judged]) -> Option<Finding> {
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
    let (line, column) = place(pieces.get(at)?);
    Some(Finding::new(Rule::MixedDdlDml, at + 1, line, column))
}
