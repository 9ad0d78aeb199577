//! The verdict on statements with statements inside them: triggers and events. Where they end, `token` knows.

use super::analysis::Leading;
use super::analysis::{Category, SqlVerdict, StatementClass};
use super::leading_keywords;
use super::token::{OPENERS, StatementTokens, TokenKind};
use crate::domain::dialect::Dialect;

/// The verdict on a statement that creates a trigger or an event: a write, unless its body holds what is refused.
pub(super) fn judge(
    stmt: &StatementTokens<'_>,
    kind: &'static str,
    dialect: Dialect,
) -> SqlVerdict {
    let mut declared: Vec<String> = Vec::new();
    for i in 1..stmt.toks.len() {
        let begins = stmt.kind(i - 1) == Some(TokenKind::Semi)
            || stmt.is_any(i - 1, OPENERS)
            || stmt.text(i - 1) == ":";
        if stmt.is(i, "declare") {
            declared.push(stmt.name(i + 1).to_ascii_lowercase());
        }
        if !begins || stmt.is_any(i, &["begin", "end"]) {
            continue;
        }
        if stmt.is(i, "set") {
            if sets_own(&stmt.from(i + 1), &declared) {
                continue;
            }
            return SqlVerdict::refused(
                kind,
                Category::SecurityBoundary,
                "its body changes a setting",
            );
        }
        let end = (i..stmt.toks.len()).find(|&e| stmt.kind(e) == Some(TokenKind::Semi));
        let inner = StatementTokens {
            src: stmt.src,
            toks: stmt
                .toks
                .get(i..end.unwrap_or(stmt.toks.len()))
                .unwrap_or(&[]),
            begin: stmt.begin,
        };
        if let Leading::Settled(verdict) | Leading::Refused(verdict) =
            leading_keywords::judge(&inner, dialect)
            && verdict.class == StatementClass::Rejected
        {
            return SqlVerdict::refused(
                kind,
                verdict.category,
                &format!("its body {}", verdict.reason),
            );
        }
    }
    let what = kind.strip_prefix("create_").unwrap_or(kind);
    let article = if what.starts_with('e') { "an" } else { "a" };
    SqlVerdict {
        kind,
        category: Category::Unknown,
        class: StatementClass::Dml,
        reason: format!("creates {article} {what}"),
        returns_rows: false,
    }
}

/// Whether a SET changes nothing but the new row and variables of the body or of its session.
fn sets_own(rest: &StatementTokens<'_>, declared: &[String]) -> bool {
    let end = (0..rest.toks.len()).find(|&i| rest.kind(i) == Some(TokenKind::Semi));
    let toks = rest
        .toks
        .get(..end.unwrap_or(rest.toks.len()))
        .unwrap_or(&[]);
    let mut depth = 0_usize;
    let mut target = true;
    for i in 0..toks.len() {
        match rest.kind(i) {
            Some(TokenKind::Open) => depth += 1,
            Some(TokenKind::Close) => depth = depth.saturating_sub(1),
            Some(TokenKind::Comma) if depth == 0 => target = true,
            _ if target => {
                target = false;
                let name = rest.name(i).to_ascii_lowercase();
                let row = name == "new" && rest.kind(i + 1) == Some(TokenKind::Dot);
                let variable = name.starts_with('@') && !name.starts_with("@@");
                if !(row || variable || declared.contains(&name)) {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}
