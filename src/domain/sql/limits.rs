//! What a text may cost: everything that could make the parser recurse or repeat itself is counted before it runs.
//!
//! The parser bounds what nests (50 levels) but builds flat chains (`a OR b OR c ...`, `x::int::int ...`) in loops, and
//! the tree of a chain is as deep as the chain is long; walking and dropping it recurses. So chain builders are counted
//! per statement, and so are runs of bare words, which prefix keywords recurse over.

use super::token::{StatementTokens, TokenKind};
use super::word_list::WordList;

/// Longest text, in bytes (the limit of a request's `detail`).
pub const TEXT_BYTES_MAX: usize = 100_000;

/// Most statements in one text.
pub const STATEMENTS_MAX: usize = 100;

/// Most chain builders in one statement: with these the deepest tree takes well under half of an analyzer's stack, in
/// debug builds too (a test holds it).
pub const CHAIN_MAX: usize = 4_000;

/// Stack, in bytes, that a thread needs to analyse any accepted text: twice what the deepest takes in debug builds (a
/// test holds it). Committed as it is used, so an idle thread costs none of it.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Texts up to this many bytes need no such thread: the deepest of them takes under 2 MiB in debug builds, a quarter of
/// the 8 MiB that callers have (a test holds it).
pub const SHORT_TEXT_BYTES_MAX: usize = 2_000;

/// Longest run of words with nothing but white space between them. Real statements stay under 30.
pub const WORD_RUN_MAX: usize = 200;

/// Words that can chain; sorted.
pub(super) const CHAINING: &[&str] = &[
    "AND",
    "ARRAY",
    "AT",
    "BETWEEN",
    "COLLATE",
    "DIV",
    "ESCAPE",
    "EXCEPT",
    "GLOB",
    "ILIKE",
    "IN",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "ISNULL",
    "JOIN",
    "LIKE",
    "MATCH",
    "MEMBER",
    "MINUS",
    "MOD",
    "NOT",
    "NOTNULL",
    "OPERATOR",
    "OR",
    "OVERLAPS",
    "REGEXP",
    "RLIKE",
    "SIMILAR",
    "UNION",
    "XOR",
];

pub(super) static CHAINS: WordList = WordList::new(CHAINING);

/// Words of [`CHAINING`] for which the parser copies all that stands before them, and so takes quadratic time; sorted.
pub(super) const COPYING: &[&str] = &["DIV", "GLOB", "MATCH", "REGEXP"];

/// What one of [`COPYING`] counts for: a chain of 500 takes some 50 ms.
const COPYING_WEIGHT: usize = 8;

/// How complex a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Complexity {
    pub chain: usize,
    /// Longest run of words.
    pub word_run: usize,
}

impl Complexity {
    /// Whether the parser may have it.
    pub fn acceptable(self) -> bool {
        self.chain <= CHAIN_MAX && self.word_run <= WORD_RUN_MAX
    }
}

/// Counts what may be too much in a statement.
pub(super) fn complexity(stmt: &StatementTokens<'_>) -> Complexity {
    let mut total = Complexity {
        chain: 0,
        word_run: 0,
    };
    let mut run = 0;
    for i in 0..stmt.toks.len() {
        match stmt.toks[i].kind {
            TokenKind::Word => {
                run += 1;
                total.word_run = total.word_run.max(run);
                total.chain += weight(stmt.text(i));
                continue;
            }
            TokenKind::Quoted => continue,
            // The sign of a number in a list is not a chain: bulk inserts are full of them.
            TokenKind::Op if matches!(stmt.text(i), "-" | "+") => {
                let listed =
                    i > 0 && matches!(stmt.toks[i - 1].kind, TokenKind::Comma | TokenKind::Open);
                total.chain += usize::from(!listed);
            }
            TokenKind::Op => total.chain += 1,
            _ => {}
        }
        run = 0;
    }
    total
}

fn weight(word: &str) -> usize {
    match CHAINS.find(word) {
        Some(word) if COPYING.contains(&word) => COPYING_WEIGHT,
        Some(_) => 1,
        None => 0,
    }
}
