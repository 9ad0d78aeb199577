//! What the words of a statement tell where the parser cannot read it: locks of a query, a missing WHERE, and the
//! statement inside a string that is prepared or executed. Nothing here makes a read of anything.

use super::analysis::{Category, Class, SqlVerdict, StatementClass};
use super::judge::Judged;
use super::review::{Finding, ReviewRule};
use super::token::{StatementTokens, TokenKind};
use crate::domain::dialect::Dialect;

/// Completes what is known of a statement that could not be parsed; `runs` where it is executed.
pub(super) fn complete(
    judged: &mut Judged,
    stmt: &StatementTokens<'_>,
    dialect: Dialect,
    number: usize,
    runs: bool,
) {
    if stmt.is_any(0, &["select", "with", "values"]) && locks(stmt) && balanced(stmt) {
        judged.parse_failure = None;
        judged.verdict = SqlVerdict {
            kind: "select",
            category: Category::Dml,
            class: StatementClass::Dml,
            reason: "locks rows".to_owned(),
            returns_rows: true,
        };
        return;
    }
    let rule = if stmt.is(0, "update") {
        ReviewRule::NoWhereUpdate
    } else if stmt.is(0, "delete") {
        ReviewRule::NoWhereDelete
    } else {
        return;
    };
    if runs && !chooses(stmt, dialect) {
        judged.findings.push(found(rule, stmt, number));
    }
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

/// Whether anything outside parentheses chooses rows: a WHERE, and in MySQL a LIMIT or an inner join.
fn chooses(stmt: &StatementTokens<'_>, dialect: Dialect) -> bool {
    let mut depth = 0_usize;
    let mut outer = false;
    let mut joins = false;
    for i in 0..stmt.toks.len() {
        match stmt.kind(i) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if stmt.is(i, "where") => return true,
            _ if dialect == Dialect::MySql && stmt.is(i, "limit") => return true,
            _ => {
                outer |= stmt.is_any(i, &["left", "right"]);
                joins |= stmt.is(i, "join") && dialect == Dialect::MySql;
            }
        }
    }
    joins && !outer
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
