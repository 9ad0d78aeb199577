//! SQL without its data: every literal becomes `?`, comments are dropped, white space and the case of keywords are made
//! uniform. Written from tokens, so that nothing a parser forgets to print or prints anew can get in or out.

use super::token::{StatementTokens, TokenKind};
use super::word_list::WordList;
use crate::domain::dialect::Dialect;

/// Words that are written in capitals; any other word may be a name and is kept as written. Sorted.
pub(super) const KEYWORDS: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASCADE",
    "CASE",
    "CAST",
    "CHECK",
    "COLLATE",
    "COLUMN",
    "CONCURRENTLY",
    "CONFLICT",
    "CONSTRAINT",
    "CREATE",
    "CROSS",
    "DATABASE",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DO",
    "DROP",
    "ELSE",
    "END",
    "ESCAPE",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FETCH",
    "FOR",
    "FOREIGN",
    "FROM",
    "FULL",
    "FUNCTION",
    "GRANT",
    "GROUP",
    "HAVING",
    "IF",
    "ILIKE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MERGE",
    "NATURAL",
    "NOT",
    "NOTHING",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRAGMA",
    "PRIMARY",
    "RECURSIVE",
    "REFERENCES",
    "REPLACE",
    "RESTRICT",
    "RETURNING",
    "REVOKE",
    "RIGHT",
    "ROLLUP",
    "SELECT",
    "SEQUENCE",
    "SET",
    "SHOW",
    "TABLE",
    "TEMPORARY",
    "THEN",
    "TO",
    "TRUE",
    "TRUNCATE",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Keywords that a parenthesis follows at a distance; other words are taken for functions.
pub(super) const SPACED: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "BETWEEN",
    "BY",
    "CASE",
    "CHECK",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "HAVING",
    "IN",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "LATERAL",
    "LIKE",
    "LIMIT",
    "NOT",
    "ON",
    "OR",
    "OVER",
    "RETURNING",
    "SELECT",
    "SET",
    "TABLE",
    "THEN",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

pub(super) static CANONICAL: WordList = WordList::new(KEYWORDS);

/// Statements with their literals hidden, joined by `; `.
pub(super) fn literals(stmts: &[StatementTokens<'_>], dialect: Dialect) -> String {
    let mut out = String::new();
    for stmt in stmts {
        if !out.is_empty() {
            out.push_str("; ");
        }
        statement(stmt, dialect, &mut out);
    }
    out
}

fn statement(stmt: &StatementTokens<'_>, dialect: Dialect, out: &mut String) {
    let mut before = Before::Start;
    for i in 0..stmt.toks.len() {
        let kind = stmt.toks[i].kind;
        let hidden = matches!(kind, TokenKind::Str | TokenKind::Number)
            || (kind == TokenKind::Quoted && may_be_string(stmt, i, dialect));
        if !hidden && is_sign(stmt, i) {
            continue;
        }
        let word = stmt.text(i);
        let keyword = keyword(stmt, i);
        let text = match keyword {
            _ if hidden => "?",
            Some(keyword) => keyword,
            None => word,
        };
        if before.wants_space(kind, word) {
            out.push(' ');
        }
        out.push_str(text);
        before = match kind {
            TokenKind::Open | TokenKind::Dot => Before::Tight,
            TokenKind::Op if word == "::" || word == "[" || word == "@" => Before::Tight,
            TokenKind::Word | TokenKind::Quoted if !hidden => match keyword {
                Some(k) if SPACED.binary_search(&k).is_ok() => Before::Other,
                _ => Before::Name,
            },
            _ => Before::Other,
        };
    }
}

/// What was written last, as far as it decides about the space after it.
#[derive(PartialEq)]
enum Before {
    Start,
    Tight,
    Name,
    Other,
}

impl Before {
    fn wants_space(&self, kind: TokenKind, word: &str) -> bool {
        match self {
            Before::Start | Before::Tight => false,
            Before::Name if kind == TokenKind::Open => false,
            _ => {
                !matches!(kind, TokenKind::Close | TokenKind::Comma | TokenKind::Dot)
                    && !matches!(word, "::" | "[" | "]")
            }
        }
    }
}

/// The canonical form of a keyword; part of a qualified name is not a keyword.
fn keyword(stmt: &StatementTokens<'_>, i: usize) -> Option<&'static str> {
    let word = stmt.text(i);
    let qualified = (i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot))
        || stmt.kind(i + 1) == Some(TokenKind::Dot);
    if stmt.kind(i) != Some(TokenKind::Word) || qualified {
        return None;
    }
    CANONICAL.find(word)
}

/// A sign that belongs to the number after it: `-1` is one literal, `a - 1` is not.
fn is_sign(stmt: &StatementTokens<'_>, i: usize) -> bool {
    if !matches!(stmt.text(i), "-" | "+") || stmt.kind(i) != Some(TokenKind::Op) {
        return false;
    }
    let next = stmt.kind(i + 1);
    let before_number = next == Some(TokenKind::Number);
    let behind_operand = i > 0
        && match stmt.kind(i - 1) {
            Some(TokenKind::Word) => {
                keyword(stmt, i - 1).is_none_or(|k| matches!(k, "END" | "NULL"))
            }
            Some(TokenKind::Op) => stmt.text(i - 1) == "]",
            Some(TokenKind::Comma | TokenKind::Open) => false,
            _ => true,
        };
    before_number && !behind_operand
}

/// SQLite reads `"text"` as a string where no column has that name, so it is shown only where a name must stand.
fn may_be_string(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect) -> bool {
    const NAMED: &[&str] = &[
        "as", "column", "exists", "from", "index", "into", "join", "key", "table", "update", "view",
    ];
    if dialect != Dialect::Sqlite || !stmt.text(i).starts_with('"') {
        return false;
    }
    let before_dot = stmt.kind(i + 1) == Some(TokenKind::Dot);
    let compared = i > 1 && stmt.is(i - 1, "from") && stmt.is(i - 2, "distinct");
    let after_name =
        i > 0 && (stmt.kind(i - 1) == Some(TokenKind::Dot) || stmt.is_any(i - 1, NAMED));
    !(before_dot || after_name) || compared
}
