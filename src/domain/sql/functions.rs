//! Functions that make a query more than a query, found among the tokens, wherever they are called.
//!
//! A call is a name with a parenthesis after it, or in PostgreSQL with a dot before it, whatever part of a statement it
//! stands in, so that no corner of the parse tree (FROM, DEFAULT, ORDER BY, a SHOW's WHERE) can hide one. One list
//! serves all dialects, because the dialect of a database may be unknown. A name that could be read in more than one
//! way counts as dangerous.
//!
//! What no list can know: a function that somebody defined may write. Such a call stays a query, which the agent runs
//! in a read-only transaction, but it is not approved by risk alone; see `catalogue`.

use super::dangerous::{DESCRIBING_PRAGMAS, is_dangerous};
use super::token::{StatementTokens, TokenKind};
use super::{catalogue, lex};
use crate::domain::dialect::Dialect;
use std::collections::BTreeSet;

/// Functions that MySQL takes for its own only where no space stands before the parenthesis; with one, it calls what
/// somebody defined under that name. Sorted.
///
/// Source: <https://dev.mysql.com/doc/refman/8.4/en/function-resolution.html>
pub(super) const OWN_WITHOUT_SPACE: &[&str] = &[
    "adddate",
    "bit_and",
    "bit_or",
    "bit_xor",
    "cast",
    "count",
    "curdate",
    "curtime",
    "date_add",
    "date_sub",
    "extract",
    "group_concat",
    "max",
    "mid",
    "min",
    "now",
    "position",
    "session_user",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "subdate",
    "substr",
    "substring",
    "sum",
    "sysdate",
    "system_user",
    "trim",
    "var_pop",
    "var_samp",
    "variance",
];

/// Calls in a statement of MySQL that look like the server's own functions, and are not.
pub(super) fn spaced_calls(stmt: &StatementTokens<'_>) -> BTreeSet<String> {
    /// Words after which a table or a key has such a name.
    const NAMES_FOLLOW: &[&str] = &[
        "exists", "from", "index", "into", "join", "key", "table", "update", "view",
    ];
    let spaced = |i: &usize| match (stmt.toks.get(*i), stmt.toks.get(i + 1)) {
        (Some(name), Some(open)) => {
            name.kind == TokenKind::Word
                && open.kind == TokenKind::Open
                && open.start > name.end
                && !(*i > 0 && stmt.is_any(i - 1, NAMES_FOLLOW))
        }
        _ => false,
    };
    let names = (0..stmt.toks.len()).filter(spaced);
    names
        .map(|i| stmt.text(i).to_ascii_lowercase())
        .filter(|name| OWN_WITHOUT_SPACE.binary_search(&name.as_str()).is_ok())
        .collect()
}

/// The names in `sql` before a parenthesis, in lower case, whatever they are: functions, but tables and keywords too; `None`
/// where it cannot be read with certainty.
pub fn names_before_parentheses(sql: &str, dialect: Dialect) -> Option<BTreeSet<String>> {
    let lexed = lex::lex(sql, dialect);
    if lexed.lex_error.is_some() {
        return None;
    }
    let mut names = BTreeSet::new();
    for stmt in lexed.stmts() {
        let is_name = |i: &usize| {
            matches!(stmt.kind(*i), Some(TokenKind::Word | TokenKind::Quoted))
                && stmt.kind(i + 1) == Some(TokenKind::Open)
        };
        let found = (0..stmt.toks.len()).filter(is_name);
        names.extend(found.map(|i| stmt.name(i).to_lowercase()));
    }
    Some(names)
}

/// The first thing in a statement that makes even a query a write: why, and the token it is.
pub(super) fn first_danger(
    stmt: &StatementTokens<'_>,
    dialect: Dialect,
) -> Option<(String, usize)> {
    dangers(stmt, dialect).next()
}

/// The same of all such things.
pub(super) fn dangers<'s>(
    stmt: &'s StatementTokens<'_>,
    dialect: Dialect,
) -> impl Iterator<Item = (String, usize)> + 's {
    (0..stmt.toks.len()).filter_map(move |i| danger_at(stmt, i, dialect).map(|why| (why, i)))
}

/// The same, but for functions that wait or take locks of the session: they change no row.
pub(super) fn may_change_rows(stmt: &StatementTokens<'_>, dialect: Dialect) -> bool {
    const CHANGES_NO_ROW: &[&str] = &[
        "get_lock",
        "is_free_lock",
        "is_used_lock",
        "release_all_locks",
        "release_lock",
        "sleep",
    ];
    (0..stmt.toks.len()).any(|i| {
        danger_at(stmt, i, dialect).is_some()
            && !(stmt.kind(i) == Some(TokenKind::Word) && stmt.is_any(i, CHANGES_NO_ROW))
    })
}

fn danger_at(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect) -> Option<String> {
    match stmt.kind(i)? {
        TokenKind::Word | TokenKind::Quoted => {}
        TokenKind::Str if dialect == Dialect::MySql && stmt.text(i).starts_with('"') => {
            // A name, if the server runs with ANSI_QUOTES.
            return (stmt.kind(i + 1) == Some(TokenKind::Open)).then(unreadable);
        }
        TokenKind::Op if stmt.text(i) == ":=" && dialect == Dialect::MySql => {
            return Some("sets a variable".to_owned());
        }
        _ => return None,
    }
    let called = stmt.kind(i + 1) == Some(TokenKind::Open);
    let field = dialect == Dialect::Postgres && i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot);
    if !called && !field && !worth_a_look(stmt.text(i)) {
        return None;
    }
    let name = stmt.name(i).to_ascii_lowercase();
    if field && !called && called_as_field(&name) {
        return Some(format!("calls `{}`", shown(&name)));
    }
    if dialect == Dialect::Sqlite
        && let Some(pragma) = name.strip_prefix("pragma_")
        && DESCRIBING_PRAGMAS.binary_search(&pragma).is_err()
    {
        return Some(format!("reads through `pragma_{}`", shown(pragma)));
    }
    if !called {
        let next_value = name == "next" && stmt.is(i + 1, "value") && stmt.is(i + 2, "for");
        let pseudo_column = name == "nextval" && i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot);
        return (next_value || pseudo_column).then(|| "takes the next value of a sequence".into());
    }
    if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Some(unreadable());
    }
    let with_argument = name == "last_insert_id" && stmt.kind(i + 2) != Some(TokenKind::Close);
    // Where the default of a column is a sequence, MariaDB draws from it.
    let default_of = dialect == Dialect::MySql && name == "default" && draws_default(stmt, i);
    (with_argument || default_of || is_dangerous(&name))
        .then(|| format!("calls `{}`", shown(&name)))
}

/// `DEFAULT(column)` in a statement that reads or writes rows; in a definition it is `DEFAULT (expression)`.
fn draws_default(stmt: &StatementTokens<'_>, i: usize) -> bool {
    !stmt.is_any(0, &["create", "alter"])
        && matches!(stmt.kind(i + 2), Some(TokenKind::Word | TokenKind::Quoted))
        && matches!(stmt.kind(i + 3), Some(TokenKind::Close | TokenKind::Dot))
}

/// PostgreSQL's other form of a call: `(1).pg_sleep`, `row.pg_sleep`, with a column's name taking precedence. Names
/// that could be ordinary columns (`schedule`) count only where they stand for a function of the server itself.
fn called_as_field(name: &str) -> bool {
    /// Of extensions, and callable with one argument.
    const MORE: &[&str] = &[
        "dblink",
        "dblink_cancel_query",
        "dblink_close",
        "dblink_connect",
        "dblink_connect_u",
        "dblink_disconnect",
        "dblink_exec",
        "dblink_open",
        "http_delete",
        "http_get",
        "http_head",
        "lo_manage",
        "pg_background_launch",
        "pg_file_unlink",
        "pg_prewarm",
        "pg_truncate_visibility_map",
        "postgres_fdw_disconnect",
        "run_job",
        "ts_stat",
        "unschedule",
    ];
    MORE.binary_search(&name).is_ok() || (catalogue::is_called_as_field(name) && is_dangerous(name))
}

/// Cheap look before a name is copied: only these mean something without a parenthesis.
fn worth_a_look(text: &str) -> bool {
    let bytes = text.as_bytes();
    let first = bytes
        .iter()
        .copied()
        .find(|b| !matches!(b, b'"' | b'`' | b'['));
    matches!(first, Some(b'p' | b'P' | b'n' | b'N'))
}

fn unreadable() -> String {
    "calls a function whose name cannot be read with certainty".to_owned()
}

fn shown(name: &str) -> &str {
    /// Longest name that is quoted back.
    const NAME_BYTES_MAX: usize = 64;
    name.get(..NAME_BYTES_MAX).unwrap_or(name)
}
