//! SQL without its data: every literal becomes `?`, comments are dropped, white space and the case of keywords are made
//! uniform. Written from tokens, so that nothing a parser forgets to print or prints anew can get in or out.

use super::token::{Kind, Piece};
use crate::domain::dialect::Dialect;

/// Words that are written in capitals; any other word may be a name and keeps its spelling. Sorted.
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

/// Statements with their literals hidden, joined by `; `.
pub(super) fn literals(pieces: &[Piece<'_>], dialect: Dialect) -> String {
    let mut out = String::new();
    for piece in pieces {
        if !out.is_empty() {
            out.push_str("; ");
        }
        statement(piece, dialect, &mut out);
    }
    out
}

fn statement(piece: &Piece<'_>, dialect: Dialect, out: &mut String) {
    let mut before = Before::Start;
    for i in 0..piece.toks.len() {
        let kind = piece.toks[i].kind;
        let hidden = matches!(kind, Kind::Str | Kind::Number)
            || (kind == Kind::Quoted && may_be_string(piece, i, dialect));
        if !hidden && is_sign(piece, i) {
            continue;
        }
        let word = piece.text(i);
        let keyword = keyword(piece, i);
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
            Kind::Open | Kind::Dot => Before::Tight,
            Kind::Op if word == "::" || word == "[" || word == "@" => Before::Tight,
            Kind::Word | Kind::Quoted if !hidden => match keyword {
                Some(k) if SPACED.binary_search(&k).is_ok() => Before::Other,
                _ => Before::Name,
            },
            _ => Before::Other,
        };
    }
}

/// What was written last, as far as it decides about the space behind it.
#[derive(PartialEq)]
enum Before {
    Start,
    Tight,
    Name,
    Other,
}

impl Before {
    fn wants_space(&self, kind: Kind, word: &str) -> bool {
        match self {
            Before::Start | Before::Tight => false,
            Before::Name if kind == Kind::Open => false,
            _ => {
                !matches!(kind, Kind::Close | Kind::Comma | Kind::Dot)
                    && !matches!(word, "::" | "[" | "]")
            }
        }
    }
}

/// The canonical spelling of a keyword; part of a qualified name is none.
fn keyword(piece: &Piece<'_>, i: usize) -> Option<&'static str> {
    /// No keyword is longer.
    const LONGEST: usize = 12;
    let word = piece.text(i);
    let qualified =
        (i > 0 && piece.kind(i - 1) == Some(Kind::Dot)) || piece.kind(i + 1) == Some(Kind::Dot);
    if piece.kind(i) != Some(Kind::Word) || word.len() > LONGEST || qualified {
        return None;
    }
    let upper = word.to_ascii_uppercase();
    KEYWORDS
        .binary_search(&upper.as_str())
        .ok()
        .map(|found| KEYWORDS[found])
}

/// A sign that belongs to the number behind it: `-1` is one literal, `a - 1` is not.
fn is_sign(piece: &Piece<'_>, i: usize) -> bool {
    if !matches!(piece.text(i), "-" | "+") || piece.kind(i) != Some(Kind::Op) {
        return false;
    }
    let next = piece.kind(i + 1);
    let before_number = next == Some(Kind::Number);
    let behind_operand = i > 0
        && match piece.kind(i - 1) {
            Some(Kind::Word) => keyword(piece, i - 1).is_none_or(|k| matches!(k, "END" | "NULL")),
            Some(Kind::Op) => piece.text(i - 1) == "]",
            Some(Kind::Comma | Kind::Open) => false,
            _ => true,
        };
    before_number && !behind_operand
}

/// SQLite reads `"text"` as a string where no column has that name, so it is shown only where a name must stand.
fn may_be_string(piece: &Piece<'_>, i: usize, dialect: Dialect) -> bool {
    const NAMED: &[&str] = &[
        "as", "column", "exists", "from", "index", "into", "join", "key", "table", "update", "view",
    ];
    if dialect != Dialect::Sqlite || !piece.text(i).starts_with('"') {
        return false;
    }
    let before_dot = piece.kind(i + 1) == Some(Kind::Dot);
    let compared = i > 1 && piece.is(i - 1, "from") && piece.is(i - 2, "distinct");
    let behind = i > 0 && (piece.kind(i - 1) == Some(Kind::Dot) || piece.is_any(i - 1, NAMED));
    !(before_dot || behind) || compared
}
