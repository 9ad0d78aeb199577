//! Tables and calls of a statement by its words alone, where the parser cannot read it.
//!
//! One pass, with a frame for each parenthesis that is open: where a FROM list stands, a name after FROM, JOIN or a comma
//! is a table. A name that could be a call counts as one, because that only raises the risk.

use super::token::{StatementTokens, TokenKind};
use super::{catalogue, dangerous, leading_keywords, table_name};
use crate::domain::dialect::Dialect;
use std::collections::BTreeSet;

/// What the words name.
#[derive(Default)]
pub(super) struct Names {
    pub tables: BTreeSet<String>,
    /// Functions that are not known to be free of side effects.
    pub unknown_functions: BTreeSet<String>,
}

/// Where in a WITH the pass stands.
#[derive(Clone, Copy, PartialEq)]
enum With {
    No,
    /// A name comes next.
    Name {
        recursive: bool,
    },
    /// The parenthesis after AS comes next.
    Body {
        recursive: bool,
    },
    /// After the body: a comma, SEARCH, CYCLE or the statement.
    After {
        recursive: bool,
    },
}

struct Frame {
    with: With,
    /// The name of the expression whose body follows, and names in sight from here on.
    pending: Option<String>,
    names: Vec<String>,
    /// SELECT was seen here, so that FROM opens a list of tables.
    selects: bool,
    in_from: bool,
    expects_table: bool,
}

impl Frame {
    fn new(in_from: bool) -> Frame {
        Frame {
            with: With::No,
            pending: None,
            names: Vec::new(),
            selects: false,
            in_from,
            expects_table: in_from,
        }
    }
}

/// Words that a parenthesis may follow without a call.
const NO_CALLS: &[&str] = &[
    "against",
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
    "check",
    "columns",
    "conflict",
    "cross",
    "default",
    "distinct",
    "div",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "extended",
    "from",
    "group",
    "having",
    "ilike",
    "in",
    "index",
    "inner",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "key",
    "lateral",
    "left",
    "like",
    "limit",
    "match",
    "mod",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "partition",
    "passing",
    "primary",
    "references",
    "regexp",
    "returning",
    "right",
    "rlike",
    "row",
    "rows",
    "select",
    "set",
    "similar",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "union",
    "unique",
    "update",
    "using",
    "value",
    "values",
    "when",
    "where",
    "with",
    "xor",
];

/// Words of types with a size; no function of the three databases that has such a name changes anything.
const TYPES: &[&str] = &[
    "bit",
    "char",
    "character",
    "dec",
    "decimal",
    "double",
    "float",
    "nchar",
    "numeric",
    "time",
    "timestamp",
    "varbinary",
    "varbit",
    "varchar",
    "varying",
];

/// The tables that `stmt` names, and the functions that it may call.
pub(super) fn names(stmt: &StatementTokens<'_>, dialect: Dialect) -> Names {
    let mut names = Names::default();
    let mut frames = vec![Frame::new(false)];
    let mut i = 0;
    while i < stmt.toks.len() {
        i = step(stmt, i, dialect, &mut frames, &mut names);
    }
    names
}

/// Looks at token `i`; the token to look at next.
fn step(
    stmt: &StatementTokens<'_>,
    i: usize,
    dialect: Dialect,
    frames: &mut Vec<Frame>,
    names: &mut Names,
) -> usize {
    match stmt.kind(i) {
        Some(TokenKind::Open) => opened(stmt, i, dialect, frames),
        Some(TokenKind::Close) => closed(frames),
        Some(TokenKind::Comma) => comma(stmt, i, frames),
        Some(TokenKind::Word | TokenKind::Quoted) => {
            if let Some(next) = name_expected(stmt, i, dialect, frames, names) {
                return next;
            }
            keyword(stmt, i, dialect, frames);
            call(stmt, i, dialect, names);
        }
        _ => {}
    }
    i + 1
}

fn opens_query(stmt: &StatementTokens<'_>, i: usize) -> bool {
    stmt.is_any(i, &["select", "with", "values", "table"])
}

fn opened(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect, frames: &mut Vec<Frame>) {
    let mut in_from = false;
    if let Some(frame) = frames.last_mut() {
        if let With::Body { recursive } = frame.with {
            if i > 0 && stmt.is_any(i - 1, &["as", "materialized"]) {
                frame.with = With::After { recursive };
                // What may name itself is in sight in its own body.
                if (recursive || dialect == Dialect::Sqlite)
                    && let Some(name) = frame.pending.take()
                {
                    frame.names.push(name);
                }
            }
        } else if frame.in_from && frame.expects_table {
            in_from = !opens_query(stmt, i + 1);
            frame.expects_table = false;
        }
    }
    frames.push(Frame::new(in_from));
}

fn closed(frames: &mut Vec<Frame>) {
    if frames.len() > 1 {
        frames.pop();
    }
    if let Some(frame) = frames.last_mut()
        && matches!(frame.with, With::After { .. })
        && let Some(name) = frame.pending.take()
    {
        frame.names.push(name);
    }
}

fn comma(stmt: &StatementTokens<'_>, i: usize, frames: &mut [Frame]) {
    let Some(frame) = frames.last_mut() else {
        return;
    };
    match frame.with {
        // `SEARCH DEPTH FIRST BY a, b SET c` has commas too.
        With::After { recursive }
            if stmt.is(i + 2, "as") || stmt.kind(i + 2) == Some(TokenKind::Open) =>
        {
            frame.with = With::Name { recursive };
        }
        _ => frame.expects_table = frame.in_from,
    }
}

/// The name of a common table expression or a table, where one comes next; the token after it.
fn name_expected(
    stmt: &StatementTokens<'_>,
    i: usize,
    dialect: Dialect,
    frames: &mut [Frame],
    names: &mut Names,
) -> Option<usize> {
    let frame = frames.last_mut()?;
    if let With::Name { recursive } = frame.with {
        if stmt.is(i, "recursive") {
            frame.with = With::Name { recursive: true };
            return Some(i + 1);
        }
        frame.pending = Some(compared(stmt, i, dialect));
        frame.with = With::Body { recursive };
        return Some(i + 1);
    }
    let defines = stmt.is_any(0, &["create", "alter"]);
    let modifiers = ["only", "lateral", "low_priority", "ignore"];
    if !frame.expects_table
        || stmt.is_any(i, &modifiers)
        || (defines && stmt.is_any(i, &["if", "not", "exists"]))
        || (stmt.is(0, "reindex") && stmt.is(i, "concurrently"))
    {
        return None;
    }
    frame.expects_table = false;
    // `ROWS FROM (...)`, and what is not a table at all.
    if (stmt.is(i, "rows") && stmt.is(i + 1, "from")) || opens_query(stmt, i) {
        return None;
    }
    let mut last = i;
    while stmt.kind(last + 1) == Some(TokenKind::Dot) && stmt.kind(last + 2).is_some() {
        last += 2;
    }
    // A call, or the columns of a table.
    if stmt.kind(last + 1) == Some(TokenKind::Open) && !defines {
        return None;
    }
    let alone = last == i;
    let own = compared(stmt, i, dialect);
    if !(alone && frames.iter().any(|f| f.names.contains(&own))) {
        names.tables.insert(full(stmt, i, last, dialect));
    }
    Some(last + 1)
}

fn keyword(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect, frames: &mut [Frame]) {
    let Some(frame) = frames.last_mut() else {
        return;
    };
    if stmt.kind(i) != Some(TokenKind::Word) || (i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot))
    {
        return;
    }
    let begins = i == 0 || matches!(stmt.kind(i - 1), Some(TokenKind::Open));
    let word = stmt.text(i).to_ascii_lowercase();
    match word.as_str() {
        "with" if begins || stmt.is_any(i - 1, &["explain", "analyze", "as"]) => {
            frame.with = With::Name { recursive: false };
        }
        "select" | "values" | "insert" | "update" | "delete" | "replace" => {
            frame.with = With::No;
            frame.selects |= word == "select";
            frame.in_from = false;
            frame.expects_table = false;
            // `INSERT INTO t`, `UPDATE t`.
            let target = matches!(word.as_str(), "insert" | "update" | "replace") && begins;
            frame.expects_table = target && word == "update";
        }
        "into" => frame.expects_table = true,
        "table" if dialect != Dialect::Sqlite && stmt.kind(i + 1) != Some(TokenKind::Open) => {
            frame.with = With::No;
            frame.expects_table = true;
        }
        "from" | "using" if frame.selects || stmt.is(0, "delete") || stmt.is(0, "update") => {
            let compares =
                i > 1 && stmt.is(i - 1, "distinct") && stmt.is_any(i - 2, &["is", "not"]);
            let columns =
                word == "using" && (stmt.kind(i + 1) == Some(TokenKind::Open) || frame.selects);
            if !compares && !columns {
                frame.in_from = true;
                frame.expects_table = true;
            }
        }
        // `CREATE INDEX i ON t (a)`.
        "on" if stmt.is(0, "create") && frame.names.is_empty() && !frame.in_from => {
            frame.expects_table = leading_keywords::object(stmt) == Some("index");
        }
        "join" | "straight_join" => frame.expects_table = frame.in_from,
        "where" | "group" | "having" | "order" | "limit" | "offset" | "fetch" | "union"
        | "intersect" | "except" | "returning" | "set" => {
            frame.in_from = false;
            frame.expects_table = false;
        }
        "window" if stmt.is(i + 2, "as") => frame.in_from = false,
        _ => {}
    }
}

/// Notes the call that token `i` may be.
fn call(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect, names: &mut Names) {
    let opens = stmt.kind(i + 1) == Some(TokenKind::Open);
    let dotted = i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot);
    // `(value).name`, `value[1].name`.
    let field = dialect == Dialect::Postgres
        && dotted
        && i > 1
        && (stmt.kind(i - 2) != Some(TokenKind::Word)
            && stmt.kind(i - 2) != Some(TokenKind::Quoted));
    if !opens && !field {
        return;
    }
    let plain = stmt.kind(i) == Some(TokenKind::Word) && !dotted;
    let typed = i > 0 && (stmt.is(i - 1, "as") || stmt.text(i - 1) == "::");
    let clause = (stmt.is(i, "filter") && stmt.is(i + 2, "where"))
        || (stmt.is(i, "over") && i > 0 && stmt.kind(i - 1) == Some(TokenKind::Close))
        || (stmt.is(i, "materialized") && i > 0 && stmt.is_any(i - 1, &["as", "not"]))
        || (stmt.is_any(i, &["group", "sets"]) && opens_query(stmt, i + 2));
    let defines = stmt.is_any(0, &["create", "alter"]);
    let clause = clause
        || i == 0
        || (defines
            && stmt.is_any(
                i,
                &["hash", "linear", "list", "range", "partitions", "than"],
            ));
    let word = stmt.text(i).to_ascii_lowercase();
    let listed = |words: &[&str]| words.binary_search(&word.as_str()).is_ok();
    let clause = clause || (listed(NO_CALLS) && !may_be_named_so(stmt, i, dialect));
    if plain && (clause || listed(TYPES)) || (typed && !dotted) {
        return;
    }
    let name = compared(stmt, i, dialect);
    let schema = (dotted && !field).then(|| compared(stmt, i - 2, dialect));
    let own = match schema.as_deref() {
        None => true,
        Some(schema) => dialect == Dialect::Postgres && schema == "pg_catalog",
    };
    if (own && catalogue::is_pure(&name, dialect)) || dangerous::is_dangerous(&name) {
        return;
    }
    names.unknown_functions.insert(match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name,
    });
}

/// Whether PostgreSQL takes a word before a parenthesis for the name of a function: it is not reserved there, and stands
/// where an expression begins.
fn may_be_named_so(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect) -> bool {
    const NAMES: &[&str] = &[
        "against",
        "columns",
        "conflict",
        "div",
        "escape",
        "extended",
        "index",
        "key",
        "match",
        "mod",
        "partition",
        "passing",
        "regexp",
        "rlike",
        "rows",
        "value",
        "xor",
    ];
    const BEFORE: &[&str] = &[
        "and",
        "by",
        "distinct",
        "else",
        "having",
        "not",
        "or",
        "returning",
        "select",
        "then",
        "when",
        "where",
    ];
    let begins = i > 0
        && (stmt.is_any(i - 1, BEFORE)
            || matches!(
                stmt.kind(i - 1),
                Some(TokenKind::Open | TokenKind::Comma | TokenKind::Op)
            ));
    dialect == Dialect::Postgres && begins && stmt.is_any(i, NAMES)
}

/// A name as it is compared: case counts only for quoted names of PostgreSQL.
pub(super) fn compared(stmt: &StatementTokens<'_>, i: usize, dialect: Dialect) -> String {
    let name = stmt.name(i);
    match dialect == Dialect::Postgres && stmt.kind(i) == Some(TokenKind::Quoted) {
        true => name,
        false => name.to_lowercase(),
    }
}

/// As of `table_name`, the dotted name from token `first` to `last`.
fn full(stmt: &StatementTokens<'_>, first: usize, last: usize, dialect: Dialect) -> String {
    let shown = |i: usize| match dialect == Dialect::Postgres {
        true => compared(stmt, i, dialect),
        false => stmt.name(i),
    };
    match last > first {
        true => table_name::joined(&[shown(last - 2), shown(last)]),
        false => table_name::joined(&[shown(last)]),
    }
}

#[cfg(test)]
pub(super) const SORTED: [&[&str]; 2] = [NO_CALLS, TYPES];
