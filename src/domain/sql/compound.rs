//! Where a statement with statements inside it ends: the bodies of triggers and events. Their semicolons cut nothing.

use super::analysis::Leading;
use super::analysis::{Category, SqlVerdict, StatementClass};
use super::leading_keywords;
use super::token::{StatementTokens, Tok, TokenKind};
use crate::domain::dialect::Dialect;

/// Words after which a statement of a body may begin.
const OPENERS: &[&str] = &["begin", "then", "else", "do", "loop", "repeat", "row"];

/// Follows the tokens of one statement, and knows whether a semicolon ends it.
pub(super) struct StatementCut<'a> {
    src: &'a str,
    dialect: Dialect,
    /// Tokens so far.
    seen: usize,
    creates: bool,
    /// It creates a trigger or an event.
    has_body: bool,
    depth: usize,
    /// The token before.
    last: Option<Tok>,
}

impl<'a> StatementCut<'a> {
    pub fn new(src: &'a str, dialect: Dialect) -> StatementCut<'a> {
        StatementCut {
            src,
            dialect,
            seen: 0,
            creates: false,
            has_body: false,
            depth: 0,
            last: None,
        }
    }

    fn word(&self, tok: Option<Tok>) -> &'a str {
        match tok {
            Some(t) if t.kind == TokenKind::Word => &self.src[t.start..t.end],
            _ => "",
        }
    }

    /// Takes the next token; whether it separates two statements.
    pub fn separates(&mut self, tok: Tok) -> bool {
        /// The kind of object stands within so many tokens: `CREATE OR REPLACE DEFINER = a@b TRIGGER`.
        const HEAD_TOKENS_MAX: usize = 16;
        if tok.kind == TokenKind::Semi {
            if self.depth == 0 {
                *self = StatementCut::new(self.src, self.dialect);
                return true;
            }
            self.last = Some(tok);
            return false;
        }
        let word = self.word(Some(tok));
        let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
        if self.seen == 0 {
            self.creates = self.dialect != Dialect::Postgres && is(&["create"]);
        } else if self.creates && self.seen < HEAD_TOKENS_MAX {
            self.has_body |= is(&["trigger"]) || (self.dialect == Dialect::MySql && is(&["event"]));
        }
        if self.has_body {
            match self.dialect {
                Dialect::Sqlite => self.sqlite(word),
                _ => self.mysql(word),
            }
        }
        self.seen += 1;
        self.last = Some(tok);
        false
    }

    /// `BEGIN ...; ...; END`: the END after a semicolon is the last.
    fn sqlite(&mut self, word: &str) {
        let after_semicolon = self.last.is_some_and(|t| t.kind == TokenKind::Semi);
        if word.eq_ignore_ascii_case("begin") {
            self.depth = 1;
        } else if word.eq_ignore_ascii_case("end") && after_semicolon {
            self.depth = 0;
        }
    }

    fn mysql(&mut self, word: &str) {
        let before = self.word(self.last);
        let ends = before.eq_ignore_ascii_case("end");
        let colon = self.last.is_some_and(|t| &self.src[t.start..t.end] == ":");
        let begins = colon
            || self.last.is_some_and(|t| t.kind == TokenKind::Semi)
            || OPENERS.iter().any(|w| before.eq_ignore_ascii_case(w));
        let is = |words: &[&str]| words.iter().any(|w| word.eq_ignore_ascii_case(w));
        if is(&["end"]) {
            self.depth = self.depth.saturating_sub(1);
        } else if (is(&["begin", "if", "loop", "while", "repeat"]) && begins && !ends)
            // A CASE may stand in an expression, too.
            || (is(&["case"]) && !ends)
        {
            self.depth += 1;
        }
    }
}

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
