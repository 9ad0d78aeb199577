//! What an alteration or a statement of maintenance costs while it runs, by its words: the parser knows few of these
//! forms, and none of the options that tell MySQL how to alter.
//!
//! After the lists of Squawk and strong_migrations (PostgreSQL), of users of gh-ost and pt-online-schema-change (MySQL),
//! and the pages of ALTER TABLE, VACUUM, REINDEX and REFRESH of each database.

use super::judged::Judged;
use super::rules::{Finding, ReviewRule};
use super::token::{StatementTokens, TokenKind};
use crate::domain::dialect::Dialect;
use ReviewRule::{LongLock, RenameObject, TableRewrite};

/// A rule, and how to do it safely where the rule's own words do not fit.
type Cost = (ReviewRule, Option<&'static str>);

/// Adds what the words tell, and takes away what they promise not to do.
pub(super) fn review(
    judged: &mut Judged,
    stmt: &StatementTokens<'_>,
    dialect: Dialect,
    number: usize,
) {
    let Some(first) = stmt.toks.first() else {
        return;
    };
    for (rule, fix) in costs(stmt, dialect) {
        let known = judged.findings.iter_mut().find(|f| f.rule == rule);
        let finding = match known {
            Some(known) => known,
            None => {
                let mut found = Finding::new(rule, number, first.line, first.column);
                found.fit(dialect);
                found.offset = first.start;
                judged.findings.push(found);
                let Some(last) = judged.findings.last_mut() else {
                    return;
                };
                last
            }
        };
        if let Some(fix) = fix {
            finding.fix = fix;
        }
    }
    let promises = promises(stmt, dialect);
    judged.findings.retain(|f| !promises.contains(&f.rule));
}

fn costs(stmt: &StatementTokens<'_>, dialect: Dialect) -> Vec<Cost> {
    let has = |word: &str| (1..stmt.toks.len()).any(|i| is(stmt, i, word));
    let word = stmt.text(0).to_ascii_lowercase();
    match (dialect, word.as_str()) {
        (Dialect::Postgres, "vacuum") if has("full") => vec![(TableRewrite, Some(VACUUM))],
        (Dialect::Postgres, "cluster") => vec![(TableRewrite, Some(VACUUM))],
        (Dialect::Postgres, "reindex") if !has("concurrently") => vec![(
            LongLock,
            Some("REINDEX ... CONCURRENTLY, as a statement of its own"),
        )],
        (Dialect::Postgres, "refresh") if !has("concurrently") => vec![(
            LongLock,
            Some("REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on the view"),
        )],
        (Dialect::Postgres, "alter") if stmt.is(1, "domain") => domain(stmt),
        (Dialect::MySql, "optimize") => vec![(TableRewrite, None)],
        (Dialect::MySql, "repair") => vec![(LongLock, None)],
        (Dialect::MySql, "create") if stmt.is_any(1, &["fulltext", "spatial"]) => {
            vec![(LongLock, None)]
        }
        (Dialect::MySql, "create" | "drop") if has("index") => requested(stmt),
        (Dialect::MySql, "rename") if stmt.is_any(1, &["table", "tables"]) => {
            vec![(RenameObject, None)]
        }
        (Dialect::Sqlite, "reindex") => vec![(LongLock, None)],
        (_, "alter") => table(stmt, dialect),
        _ => Vec::new(),
    }
}

const VACUUM: &str =
    "use VACUUM without FULL, which lets others write; to give the space back, use pg_repack";

/// Whether token `i` is this word, and not a part of a qualified name.
fn is(stmt: &StatementTokens<'_>, i: usize, word: &str) -> bool {
    stmt.is(i, word) && (i == 0 || stmt.kind(i - 1) != Some(TokenKind::Dot))
}

/// A domain is checked against every column of its type.
fn domain(stmt: &StatementTokens<'_>) -> Vec<Cost> {
    let pair =
        |one: &str, two: &str| (2..stmt.toks.len()).any(|i| stmt.is(i, one) && stmt.is(i + 1, two));
    let adds = (2..stmt.toks.len())
        .any(|i| stmt.is(i, "add") && stmt.is_any(i + 1, &["constraint", "check", "not"]));
    match (adds && !pair("not", "valid")) || pair("set", "not") {
        true => vec![(LongLock, None)],
        false => Vec::new(),
    }
}

/// The parts of an ALTER TABLE, each from its first token to before the comma after it; empty for other statements.
pub(super) fn parts<'a>(stmt: &StatementTokens<'a>) -> Vec<StatementTokens<'a>> {
    let Some(table) = (1..stmt.toks.len().min(4)).find(|i| stmt.is(*i, "table")) else {
        return Vec::new();
    };
    let mut at = table + 1;
    if stmt.is(at, "if") {
        at += 2;
    }
    if stmt.is(at, "only") {
        at += 1;
    }
    at += 1;
    while stmt.kind(at) == Some(TokenKind::Dot) {
        at += 2;
    }
    if stmt.text(at) == "*" {
        at += 1;
    }
    let rest = stmt.toks.get(at..).unwrap_or(&[]);
    let mut depth = 0_usize;
    let cut = rest.split(|t| {
        match t.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && t.kind == TokenKind::Comma
    });
    cut.map(|toks| StatementTokens {
        src: stmt.src,
        toks,
        begin: stmt.begin,
    })
    .collect()
}

fn table(stmt: &StatementTokens<'_>, dialect: Dialect) -> Vec<Cost> {
    let mut costs = Vec::new();
    for part in parts(stmt) {
        if renames(&part, dialect) {
            costs.push((RenameObject, None));
        }
        costs.extend(match dialect {
            Dialect::Postgres => of_postgres(&part),
            Dialect::MySql => of_mysql(&part),
            Dialect::Sqlite => of_sqlite(&part),
        });
    }
    if dialect == Dialect::MySql {
        costs.extend(requested(stmt));
    }
    costs
}

/// `RENAME TO b`, `RENAME a TO b`, `SET SCHEMA b`, MySQL's `CHANGE a b type`; names of indexes and constraints are in no
/// program's statements.
fn renames(part: &StatementTokens<'_>, dialect: Dialect) -> bool {
    let changes = dialect == Dialect::MySql && part.is(0, "change");
    let at = 1 + usize::from(part.is(1, "column"));
    let renamed = changes && !part.name(at).eq_ignore_ascii_case(&part.name(at + 1));
    renamed
        || (part.is(0, "rename") && !part.is_any(1, &["constraint", "index", "key"]))
        || (part.is(0, "set") && part.is(1, "schema"))
}

fn of_postgres(part: &StatementTokens<'_>) -> Vec<Cost> {
    let has = |word: &str| (1..part.toks.len()).any(|i| is(part, i, word));
    let sets = part.is(0, "set");
    let moves = sets && part.is_any(1, &["logged", "unlogged", "tablespace", "access"]);
    let expression =
        (1..part.toks.len()).any(|i| part.is(i, "set") && part.is(i + 1, "expression"));
    if moves || (part.is(0, "alter") && expression) {
        return vec![(
            TableRewrite,
            Some("make a new table, copy in batches, then switch; or when nobody writes to it"),
        )];
    }
    if part.is(0, "attach") {
        return vec![(
            LongLock,
            Some(
                "give the new partition a valid CHECK that says the same as its bounds first; PostgreSQL then does not \
                 read it",
            ),
        )];
    }
    if part.is(0, "detach") && !has("concurrently") && !has("finalize") {
        return vec![(
            LongLock,
            Some("DETACH PARTITION ... CONCURRENTLY, as a statement of its own"),
        )];
    }
    if part.is(0, "add") && has("exclude") && !part.is_any(1, &["column"]) {
        return vec![(
            LongLock,
            Some(
                "add it when nobody writes to the table: PostgreSQL can neither defer nor build it CONCURRENTLY",
            ),
        )];
    }
    Vec::new()
}

fn of_mysql(part: &StatementTokens<'_>) -> Vec<Cost> {
    let has = |word: &str| (1..part.toks.len()).any(|i| is(part, i, word));
    let key =
        |at: usize| (at..part.toks.len()).any(|i| part.is(i, "primary") && part.is(i + 1, "key"));
    match part.text(0).to_ascii_lowercase().as_str() {
        "add" if part.is_any(1, &["fulltext", "spatial"]) => vec![(LongLock, None)],
        "add" if key(1) => vec![(TableRewrite, None)],
        "add" if has("auto_increment") || has("stored") || has("persistent") => {
            vec![(TableRewrite, None)]
        }
        "drop" if key(1) => vec![(TableRewrite, None)],
        _ => Vec::new(),
    }
}

/// SQLite adds a column without looking at the rows, unless something has to hold for each of them.
fn of_sqlite(part: &StatementTokens<'_>) -> Vec<Cost> {
    let has = |word: &str| (1..part.toks.len()).any(|i| is(part, i, word));
    let generated = has("generated") || has("as");
    match part.is(0, "add") && (has("check") || (generated && has("null"))) {
        true => vec![(LongLock, None)],
        false => Vec::new(),
    }
}

/// What the statement asks of MySQL: `ALGORITHM = COPY`, `LOCK = EXCLUSIVE`.
fn requested(stmt: &StatementTokens<'_>) -> Vec<Cost> {
    let mut costs = Vec::new();
    if has_option(stmt, "algorithm", &["copy"]) {
        costs.push((TableRewrite, None));
    }
    if has_option(stmt, "lock", &["shared", "exclusive"]) {
        costs.push((LongLock, None));
    }
    costs
}

/// What an option of the statement rules out: MySQL refuses the statement instead.
fn promises(stmt: &StatementTokens<'_>, dialect: Dialect) -> Vec<ReviewRule> {
    let mut promised = Vec::new();
    if dialect != Dialect::MySql || !stmt.is_any(0, &["alter", "create", "drop"]) {
        return promised;
    }
    let quick = has_option(stmt, "algorithm", &["instant", "nocopy"]);
    if quick {
        promised.push(TableRewrite);
    }
    if quick || has_option(stmt, "lock", &["none"]) {
        promised.push(LongLock);
    }
    promised
}

/// Whether an option of the statement, outside every parenthesis, has one of the values and no other one.
fn has_option(stmt: &StatementTokens<'_>, option: &str, values: &[&str]) -> bool {
    let mut depth = 0_usize;
    let mut found = false;
    for i in 0..stmt.toks.len() {
        match stmt.kind(i) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth = depth.saturating_sub(1),
            _ if depth == 0 && is(stmt, i, option) => {
                let at = i + 1 + usize::from(stmt.text(i + 1) == "=");
                let value = stmt.is_any(at, values);
                if found && !value {
                    return false;
                }
                found = value;
            }
            _ => {}
        }
    }
    found
}
