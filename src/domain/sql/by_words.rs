//! What the words of a statement tell where the parser cannot read it: its kind, whether a query can be anything but a
//! read, a missing WHERE, and the statement inside a string that is prepared or executed. Where a word could mean a write,
//! the statement stays unreadable; a write that was read so is never approved by risk.

use super::analysis::{Category, Class, SqlVerdict, StatementClass};
use super::condition::{Rows, rows};
use super::judged::{Judged, write};
use super::rules::{Finding, ReviewRule};
use super::token::{StatementTokens, TokenKind};
use super::{cross_check, leading_keywords, names_by_words, upkeep};
use crate::domain::dialect::Dialect;

/// Completes what is known of a statement that could not be parsed; `runs` where it is executed. What is certain by its
/// words alone is not a parse failure any more.
pub(super) fn complete(
    judged: &mut Judged,
    stmt: &StatementTokens<'_>,
    dialect: Dialect,
    number: usize,
    runs: bool,
) {
    let too_deep = judged
        .parse_failure
        .as_ref()
        .is_some_and(|failure| failure.message == cross_check::TOO_DEEP);
    if too_deep || !balanced(stmt) || is_unfinished(stmt) {
        return;
    }
    let Some(verdict) = verdict(stmt, dialect) else {
        return;
    };
    let rules = match verdict.kind {
        "update" if !chooses(stmt, dialect) => vec![ReviewRule::NoWhereUpdate],
        "delete" if !chooses(stmt, dialect) => vec![ReviewRule::NoWhereDelete],
        "alter_table" => alterations(stmt, dialect),
        "create_index" if dialect == Dialect::Postgres && !has(stmt, "concurrently") => {
            vec![ReviewRule::CreateIndexNotConcurrently]
        }
        _ => Vec::new(),
    };
    if runs {
        judged
            .findings
            .extend(rules.into_iter().map(|rule| found(rule, stmt, number)));
    }
    let names = names_by_words::names(stmt, dialect);
    judged.tables = names.tables;
    judged.unknown_functions = names.unknown_functions;
    judged.parse_failure = None;
    judged.by_words = true;
    judged.verdict = verdict;
}

/// What the first words say, and that nothing after them says otherwise.
fn verdict(stmt: &StatementTokens<'_>, dialect: Dialect) -> Option<SqlVerdict> {
    let opens = (0..stmt.toks.len())
        .find(|&i| stmt.kind(i) != Some(TokenKind::Open))
        .unwrap_or(0);
    let queries = stmt.is_any(opens, &["select", "values", "with"])
        || (stmt.is(opens, "table") && dialect != Dialect::Sqlite);
    if queries {
        return match (locks(stmt), reads(stmt, dialect)) {
            (true, _) => Some(write("select", "locks rows", true)),
            (false, true) => Some(SqlVerdict {
                kind: "select",
                category: Category::ReadOnly,
                class: StatementClass::Select,
                reason: "reads".to_owned(),
                returns_rows: true,
            }),
            (false, false) => None,
        };
    }
    let word = stmt.text(0).to_ascii_lowercase();
    if stmt.kind(0) != Some(TokenKind::Word) {
        return None;
    }
    let returns = has(stmt, "returning");
    Some(match word.as_str() {
        "insert" => write("insert", "inserts rows", returns),
        "replace" if dialect != Dialect::Postgres => write("insert", "inserts rows", returns),
        "update" => write("update", "updates rows", returns),
        "delete" => write("delete", "deletes rows", returns),
        "merge" if dialect == Dialect::Postgres => write("merge", "merges rows", returns),
        "create" => definition(match leading_keywords::object(stmt)? {
            "table" => "create_table",
            "view" => "create_view",
            "index" => "create_index",
            _ => return None,
        }),
        "alter" if leading_keywords::object(stmt) == Some("table") => definition("alter_table"),
        "alter" if stmt.is(1, "domain") && dialect == Dialect::Postgres => {
            other("alter_domain", "alters a domain")
        }
        "alter" if stmt.is(1, "sequence") => other("alter_sequence", "alters a sequence"),
        _ => upkeep(stmt, dialect)?,
    })
}

/// Whether more has to follow the last word.
fn is_unfinished(stmt: &StatementTokens<'_>) -> bool {
    const OPEN_ENDED: &[&str] = &[
        "and", "as", "between", "by", "case", "from", "having", "in", "into", "join", "like",
        "not", "on", "or", "select", "set", "then", "union", "using", "values", "when", "where",
        "with",
    ];
    let last = stmt.toks.len().saturating_sub(1);
    match stmt.kind(last) {
        Some(TokenKind::Word) => stmt.is_any(last, OPEN_ENDED),
        Some(TokenKind::Comma | TokenKind::Dot | TokenKind::Open) => true,
        Some(TokenKind::Op) => !matches!(stmt.text(last), "*" | "]" | "}"),
        _ => false,
    }
}

/// What keeps tables in order.
fn upkeep(stmt: &StatementTokens<'_>, dialect: Dialect) -> Option<SqlVerdict> {
    let table = (1..3).any(|i| stmt.is_any(i, &["table", "tables"]));
    let word = stmt.text(0).to_ascii_lowercase();
    Some(match (dialect, word.as_str()) {
        (Dialect::Postgres, "vacuum") => other("vacuum", "vacuums tables"),
        (Dialect::Postgres, "cluster") => other("cluster", "rewrites a table"),
        (Dialect::Postgres, "comment") => other("comment", "comments on an object"),
        (Dialect::Postgres, "refresh") => other("refresh", "refreshes a materialized view"),
        (Dialect::Postgres | Dialect::Sqlite, "reindex") => other("reindex", "rebuilds indexes"),
        (Dialect::Postgres | Dialect::Sqlite, "analyze") => other("analyze", "collects statistics"),
        (Dialect::MySql, "analyze") if table => other("analyze", "collects statistics"),
        (Dialect::MySql, "optimize") if table => other("optimize", "rewrites a table"),
        (Dialect::MySql, "repair") if table => other("repair", "repairs a table"),
        (Dialect::MySql, "check") if table => other("check", "checks a table"),
        (Dialect::MySql, "checksum") if table => other("checksum", "reads a table's checksum"),
        _ => return None,
    })
}

fn other(kind: &'static str, reason: &str) -> SqlVerdict {
    let mut verdict = write(kind, reason, true);
    verdict.category = Category::Unknown;
    verdict
}

/// Structure that nobody has read to its end: break-glass does not pass it.
fn definition(kind: &'static str) -> SqlVerdict {
    SqlVerdict {
        kind,
        category: Category::Unknown,
        class: StatementClass::Ddl,
        reason: "changes structure".to_owned(),
        returns_rows: false,
    }
}

fn has(stmt: &StatementTokens<'_>, word: &str) -> bool {
    (0..stmt.toks.len()).any(|i| stmt.is(i, word))
}

/// Whether a query holds no word with which it could write, lock or send its rows elsewhere. A column of such a name
/// has to be quoted or qualified.
fn reads(stmt: &StatementTokens<'_>, dialect: Dialect) -> bool {
    const WRITES: &[&str] = &[
        "alter",
        "call",
        "copy",
        "create",
        "delete",
        "drop",
        "dumpfile",
        "exec",
        "execute",
        "grant",
        "into",
        "lock",
        "merge",
        "outfile",
        "pragma",
        "prepare",
        "procedure",
        "revoke",
        "truncate",
        "update",
        "vacuum",
    ];
    (0..stmt.toks.len()).all(|i| {
        let qualified = i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot);
        if stmt.kind(i) != Some(TokenKind::Word) || qualified {
            return true;
        }
        let word = stmt.text(i).to_ascii_lowercase();
        if word == "insert" || word == "replace" {
            // A function of strings; after a parenthesis it could be what a WITH is for.
            let called = stmt.kind(i + 1) == Some(TokenKind::Open);
            let after = i > 0 && stmt.kind(i - 1) == Some(TokenKind::Close);
            return dialect != Dialect::Postgres && called && !after;
        }
        WRITES.binary_search(&word.as_str()).is_err()
    })
}

/// What an ALTER TABLE that the parser does not know does to rows, as far as its words say.
fn alterations(stmt: &StatementTokens<'_>, dialect: Dialect) -> Vec<ReviewRule> {
    let mut rules = Vec::new();
    let mut add = |rule| {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    };
    let mysql = dialect == Dialect::MySql;
    let parts = ["partition", "partitioning"];
    for i in 2..stmt.toks.len() {
        let next = |words: &[&str]| stmt.is_any(i + 1, words);
        if stmt.kind(i - 1) == Some(TokenKind::Dot) {
            continue;
        }
        if mysql
            && (stmt.is_any(i, &["engine", "force", "row_format", "key_block_size"])
                || (stmt.is(i, "convert") && next(&["to"]))
                || (stmt.is_any(i, &["remove", "reorganize", "coalesce", "rebuild"])
                    && next(&parts))
                || (stmt.is(i, "partition") && next(&["by"])))
        {
            add(ReviewRule::TableRewrite);
        }
        if (stmt.is_any(i, &["truncate", "drop"]) && next(&["partition"])) || stmt.is(i, "discard")
        {
            add(ReviewRule::Truncate);
        } else if stmt.is(i, "drop") {
            let kept = [
                "constraint",
                "default",
                "not",
                "identity",
                "expression",
                "primary",
                "foreign",
                "check",
            ];
            if next(&["index", "key"]) {
                add(ReviewRule::DropIndex);
            } else if !next(&kept) {
                add(ReviewRule::DropColumn);
            }
        }
        let retypes = match mysql {
            true => stmt.is_any(i, &["modify", "change"]),
            false => stmt.is(i, "type"),
        };
        if retypes {
            add(ReviewRule::AlterColumnType);
        }
    }
    for part in upkeep::parts(stmt) {
        let then = |one: &str, two: &str| {
            (1..part.toks.len()).any(|i| part.is(i, one) && part.is(i + 1, two))
        };
        let deferred = then("not", "valid") || then("using", "index");
        if part.is(0, "add")
            && part.is_any(1, &["constraint", "primary", "unique", "foreign", "check"])
            && !deferred
        {
            add(ReviewRule::LongLock);
        }
    }
    rules
}

fn found(rule: ReviewRule, stmt: &StatementTokens<'_>, number: usize) -> Finding {
    let (line, column) = stmt.toks.first().map_or((1, 1), |t| (t.line, t.column));
    Finding::new(rule, number, line, column)
}

/// The lock of a query that ends in one: `FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`.
fn locks(stmt: &StatementTokens<'_>) -> bool {
    let others = ["insert", "update", "delete", "merge", "into", "procedure"];
    let lock = |i: usize| {
        (stmt.is(i, "for") && stmt.is_any(i + 1, &["update", "share", "no", "key"]))
            || (stmt.is(i, "lock") && stmt.is(i + 1, "in"))
    };
    let plain =
        |i: usize| !stmt.is_any(i, &others) || (i > 0 && stmt.is_any(i - 1, &["for", "key"]));
    (0..stmt.toks.len()).any(lock) && (0..stmt.toks.len()).all(plain)
}

fn balanced(stmt: &StatementTokens<'_>) -> bool {
    let depth = stmt.toks.iter().try_fold(0_usize, |depth, t| match t.kind {
        TokenKind::Open => Some(depth + 1),
        TokenKind::Close => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

/// Whether anything outside parentheses chooses rows: a WHERE that is not true of every row, and in MySQL a LIMIT or an
/// inner join.
fn chooses(stmt: &StatementTokens<'_>, dialect: Dialect) -> bool {
    const AFTER: &[&str] = &["group", "limit", "order", "returning"];
    let mut depth = 0_usize;
    let mut outer = false;
    let mut joins = false;
    let mut from = None;
    let mut to = stmt.toks.len();
    for i in 0..stmt.toks.len() {
        match stmt.kind(i) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if stmt.is(i, "where") => from = from.or(Some(i + 1)),
            _ if dialect == Dialect::MySql && stmt.is(i, "limit") => return true,
            _ if from.is_some() && stmt.is_any(i, AFTER) => to = to.min(i),
            _ => {
                outer |= stmt.is_any(i, &["left", "right"]);
                joins |= stmt.is(i, "join") && dialect == Dialect::MySql;
            }
        }
    }
    let Some(from) = from else {
        return joins && !outer;
    };
    match cross_check::condition(stmt, from, to, dialect) {
        Some(condition) => rows(Some(&condition), dialect) != Rows::All,
        // Nobody can read it: it chooses if it compares something and leaves no way around that.
        None => {
            let part = |i: usize| stmt.is_any(i, &["or", "true"]) || stmt.text(i) == "||";
            !(from..to).any(part)
        }
    }
}

/// What runs inside `EXECUTE IMMEDIATE 'text'` and `PREPARE name FROM 'text'` counts as if it stood there.
pub(super) fn inside_string(
    judged: &mut Judged,
    stmt: &StatementTokens<'_>,
    dialect: Dialect,
    number: usize,
) {
    let prepares = stmt.is(0, "prepare") && stmt.is(2, "from");
    let executes = stmt.is(0, "execute") && stmt.is(1, "immediate");
    if dialect != Dialect::MySql || !(prepares || executes) {
        return;
    }
    let at = if executes { 2 } else { 3 };
    if stmt.kind(at) != Some(TokenKind::Str) {
        return;
    }
    let text = stmt.text(at);
    let Some(inner) = text.get(1..text.len().saturating_sub(1)) else {
        return;
    };
    let quote = text.get(..1).unwrap_or("'");
    let inner = inner.replace(&quote.repeat(2), quote).replace('\\', "");
    let Ok(analysis) = super::analyze(&inner, dialect) else {
        return;
    };
    for finding in analysis.findings {
        judged.findings.push(found(finding.rule, stmt, number));
    }
    judged.tables.extend(analysis.tables);
    if let Class::Rejected { reason, .. } = analysis.class {
        judged.verdict.class = StatementClass::Rejected;
        judged.verdict.reason = reason;
    }
}
