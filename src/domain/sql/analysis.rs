//! What the analysis says about a text: its class, its statements, its findings, and why a text is not analysed at all.

use super::rules::Finding;
use crate::domain::dialect::{Dialect, DialectFact};

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
    Unknown,
}

/// What a single statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatementClass {
    Select,
    Dml,
    Ddl,
    Rejected,
}

/// The verdict on a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SqlVerdict {
    pub kind: &'static str,
    pub category: Category,
    pub class: StatementClass,
    pub reason: String,
    /// Whether a client gets rows from it; a batch of reads may hold one such statement.
    pub returns_rows: bool,
}

impl SqlVerdict {
    pub fn refused(kind: &'static str, category: Category, reason: &str) -> SqlVerdict {
        SqlVerdict {
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
    pub category: Category,
    pub class: StatementClass,
    /// Why it is classed so.
    pub reason: String,
    /// Line of its first word, from 1.
    pub line: u64,
    /// Column of its first word in characters, from 1.
    pub column: u64,
    /// Tables it names, sorted; each as `table_parts` takes it: `schema.table` or `table`.
    pub tables: Vec<String>,
    /// Whether what it does shows in its kind and its tables alone: a read, plain DDL, or a write that calls nothing
    /// dangerous and hides no other write. Whatever else is done, nobody can tell how far it reaches.
    pub foreseen: bool,
    /// Read by its words alone, because the parser does not know it.
    pub by_words: bool,
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
    /// The dialect it was read in; where the fact is `any`, the one that stands for all.
    pub dialect: Dialect,
    /// The dialect as a fact of the request.
    pub dialect_fact: DialectFact,
    pub class: Class,
    /// Its statements, in order; empty where the text could not even be cut into statements.
    pub statements: Vec<StatementFacts>,
    /// The statements' own text, cut from the source: no separators, no comments after the last word. `None` where
    /// the text could not be read, and where it is refused even in an emergency.
    pub plan: Option<Vec<String>>,
    /// Findings of the review rules, by statement; configuration decides what they do.
    pub findings: Vec<Finding>,
    /// Tables that are read or written, sorted; each as `table_parts` takes it: `schema.table` or `table`. Unquoted PostgreSQL names are in lower case;
    /// in MySQL and SQLite names keep their letter case and are to be compared without regard to case.
    pub tables: Vec<String>,
    /// Functions it calls that are not known to be free of side effects: `schema.name` or `name`, sorted.
    pub unknown_functions: Vec<String>,
    pub ddl: DdlFacts,
    /// A single statement of harmless DDL, by shape: CREATE TABLE or VIEW without OR REPLACE or AS, and in PostgreSQL
    /// CREATE INDEX CONCURRENTLY and ALTER TABLE with nothing but ADD COLUMN. Callers also require that there are no
    /// findings.
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
    Nul,
    /// More than [`TEXT_BYTES_MAX`](super::TEXT_BYTES_MAX) bytes.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// More than [`STATEMENTS_MAX`](super::STATEMENTS_MAX) statements.
    TooManyStatements {
        count: usize,
    },
    /// A statement with more than [`CHAIN_MAX`](super::CHAIN_MAX) operators and the like, or
    /// [`WORD_RUN_MAX`](super::WORD_RUN_MAX) words in a row.
    TooComplex {
        /// The statement, from 1.
        statement: usize,
    },
}

impl Analysis {
    /// The analysis of a text that could not be cut into statements; the class is yet to be set.
    pub(super) fn parse_failure(
        dialect: Dialect,
        fingerprint: String,
        redacted: String,
    ) -> Analysis {
        Analysis {
            dialect,
            dialect_fact: DialectFact::Known(dialect),
            class: Class::Unparsable {
                line: 1,
                column: 1,
                message: "cannot find the statements".to_owned(),
            },
            statements: Vec::new(),
            plan: None,
            findings: Vec::new(),
            tables: Vec::new(),
            unknown_functions: Vec::new(),
            ddl: DdlFacts {
                eligible: false,
                categories: Vec::new(),
            },
            safe_ddl: false,
            fingerprint,
            redacted: Redacted { literals: redacted },
        }
    }
}

/// What the first words say.
#[derive(Debug)]
pub(super) enum Leading {
    /// The verdict; the statement need not be parsed.
    Settled(SqlVerdict),
    /// Refused, but a parsed tree decides whether break-glass may pass it.
    Refused(SqlVerdict),
    /// EXPLAIN and the like: the explained statement starts at token `inner`; `runs` where it is executed too.
    Explain { runs: bool, inner: usize },
    /// The parse tree decides.
    Parse,
}

/// A verdict that needs no parse tree.
pub(super) fn settled(
    kind: &'static str,
    category: Category,
    class: StatementClass,
    reason: &str,
    returns_rows: bool,
) -> Leading {
    Leading::Settled(SqlVerdict {
        kind,
        category,
        class,
        reason: reason.to_owned(),
        returns_rows,
    })
}
