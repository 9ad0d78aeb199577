//! A text cut into statements, whatever they are: for migrations, whose statements no class rejects.

use super::analysis::Category;
use super::analysis::Leading;
use super::leading_keywords;
use super::lex;
use super::token::{StatementTokens, TokenKind};
use crate::domain::dialect::Dialect;

/// Words after SET that change how transactions work.
const TRANSACTION_SETTINGS: [&str; 6] = [
    "transaction",
    "autocommit",
    "characteristics",
    "completion_type",
    "transaction_read_only",
    "tx_read_only",
];
/// First words of a definition with a body of statements.
const WITH_BODY: [&str; 4] = ["trigger", "procedure", "function", "event"];
/// How far into a definition its kind stands: `CREATE OR REPLACE DEFINER = 'a' @ 'b' TRIGGER`.
const KIND_WITHIN: usize = 12;

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptStatement {
    /// Its own text: without separators, and without what comments stand after its last word.
    pub text: String,
    /// Line of its first word, from 1.
    pub line: u64,
    /// Whether it begins, ends or changes a transaction.
    pub controls_transaction: bool,
}

/// A text that cannot be cut with certainty, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    pub line: u64,
    pub column: u64,
    pub what: &'static str,
}

/// The statements of `text`, empty ones left out. The body of a trigger or a routine belongs to its definition.
///
/// # Errors
/// Where a literal, a quoted name or a comment does not end, or means something else from version to version.
pub fn statements(text: &str, dialect: Dialect) -> Result<Vec<ScriptStatement>, ScriptError> {
    let lexed = lex::lex(text, dialect);
    if let Some(error) = lexed.lex_error {
        return Err(ScriptError {
            line: error.line,
            column: error.column,
            what: error.what,
        });
    }
    let mut found: Vec<ScriptStatement> = Vec::new();
    // Of the definition whose body is not complete: where it begins, and how many blocks are open.
    let mut open: Option<(usize, i64)> = None;
    for stmt in lexed.stmts() {
        let end = stmt.toks.last().map_or(stmt.begin, |t| t.end);
        let depth = blocks(&stmt);
        if let Some((begin, outer)) = open {
            let depth = outer + depth;
            if let (Some(whole), Some(text)) = (found.last_mut(), text.get(begin..end)) {
                text.clone_into(&mut whole.text);
            }
            open = (depth > 0).then_some((begin, depth));
            continue;
        }
        let own = text.get(stmt.begin..end).unwrap_or_default();
        let own = own.trim_start_matches(|c: char| c.is_ascii_whitespace());
        if has_body(&stmt) && depth > 0 {
            open = Some((end - own.len(), depth));
        }
        found.push(ScriptStatement {
            text: own.to_owned(),
            line: stmt.toks.first().map_or(1, |t| t.line),
            controls_transaction: controls_transaction(&stmt, dialect),
        });
    }
    Ok(found)
}

/// Line and column of each comment of `text`; up to where it can be read.
pub fn comments(text: &str, dialect: Dialect) -> Vec<(u64, u64)> {
    lex::lex(text, dialect).comments
}

/// Whether the words and names of `phrase` stand somewhere in `text`, one after the other, outside literals and comments
/// and whatever their case; `None` for a text that cannot be read.
pub fn mentions(text: &str, phrase: &str, dialect: Dialect) -> Option<bool> {
    let words = |text: &str| -> Option<Vec<String>> {
        let lexed = lex::lex(text, dialect);
        if lexed.lex_error.is_some() {
            return None;
        }
        let all = StatementTokens {
            src: text,
            toks: &lexed.toks,
            begin: 0,
        };
        let word = |i: usize| match all.kind(i) {
            Some(TokenKind::Word | TokenKind::Quoted | TokenKind::Dot) => {
                all.name(i).to_lowercase()
            }
            // Nothing that a phrase has.
            _ => "'".to_owned(),
        };
        Some((0..all.toks.len()).map(word).collect())
    };
    let (text, phrase) = (words(text)?, words(phrase)?);
    Some(!phrase.is_empty() && text.windows(phrase.len()).any(|found| found == phrase))
}

/// The same, also within what `text` runs or keeps for later as the text of a block or a routine; `None` also for what is
/// put together while it runs (`PREPARE`, `EXECUTE`), of which nobody knows beforehand what it says.
pub fn mentions_within(text: &str, phrase: &str, dialect: Dialect) -> Option<bool> {
    within(text, phrase, dialect, BODIES_MAX)
}

/// Bodies within each other that are read.
const BODIES_MAX: usize = 8;

fn within(text: &str, phrase: &str, dialect: Dialect, deeper: usize) -> Option<bool> {
    match mentions(text, phrase, dialect) {
        Some(false) => {}
        other => return other,
    }
    let lexed = lex::lex(text, dialect);
    let all = StatementTokens {
        src: text,
        toks: &lexed.toks,
        begin: 0,
    };
    let made_up = |i: usize| {
        all.is(i, "prepare")
            || all.is(i, "execute") && !all.is_any(i + 1, &["function", "on", "procedure"])
    };
    if (0..all.toks.len()).any(made_up) {
        return None;
    }
    for stmt in all.toks.split(|tok| tok.kind == TokenKind::Semi) {
        let stmt = StatementTokens { toks: stmt, ..all };
        if !(stmt.is(0, "do") || has_body(&stmt)) {
            continue;
        }
        for i in (0..stmt.toks.len()).filter(|i| stmt.kind(*i) == Some(TokenKind::Str)) {
            let deeper = deeper.checked_sub(1)?;
            match within(body(stmt.text(i)), phrase, dialect, deeper) {
                Some(false) => {}
                other => return other,
            }
        }
    }
    Some(false)
}

/// What stands between the quotes of a string.
fn body(text: &str) -> &str {
    if let Some(after) = text.strip_prefix('$') {
        let tag = after.find('$').map_or("", |end| &text[..end + 2]);
        return text
            .strip_prefix(tag)
            .and_then(|rest| rest.strip_suffix(tag))
            .unwrap_or(text);
    }
    let inner = text.split_once('\'').map_or(text, |(_, rest)| rest);
    inner.strip_suffix('\'').unwrap_or(inner)
}

fn has_body(stmt: &StatementTokens<'_>) -> bool {
    stmt.is(0, "create") && (1..KIND_WITHIN).any(|i| stmt.is_any(i, &WITH_BODY))
}

/// Blocks that these tokens open and do not close.
fn blocks(stmt: &StatementTokens<'_>) -> i64 {
    let qualified = |i: usize| i > 0 && stmt.kind(i - 1) == Some(TokenKind::Dot);
    (0..stmt.toks.len())
        .filter(|&i| !qualified(i))
        .map(|i| {
            if stmt.is(i, "end") {
                let other = stmt.is_any(i + 1, &["if", "loop", "while", "repeat"]);
                -i64::from(!other)
            } else {
                // `END CASE` has counted already.
                let closes = i > 0 && stmt.is(i - 1, "end");
                i64::from(stmt.is_any(i, &["begin", "case"]) && !closes)
            }
        })
        .sum()
}

fn controls_transaction(stmt: &StatementTokens<'_>, dialect: Dialect) -> bool {
    if stmt.is(0, "set") {
        return (1..stmt.toks.len()).any(|i| {
            let word = stmt.text(i).trim_start_matches('@');
            let word = word.rsplit('.').next().unwrap_or(word);
            TRANSACTION_SETTINGS
                .iter()
                .any(|setting| word.eq_ignore_ascii_case(setting))
        });
    }
    matches!(
        leading_keywords::judge(stmt, dialect),
        Leading::Refused(verdict) | Leading::Settled(verdict) if verdict.category == Category::TxControl
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, dialect: Dialect) -> Vec<String> {
        let found = statements(text, dialect).unwrap();
        found.into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn statements_are_cut_where_the_database_cuts_them() {
        let pg = Dialect::Postgres;
        for (text, expected) in [
            ("SELECT 1; -- done", vec!["SELECT 1"]),
            (
                "-- first\r\nSELECT 1;\r\n\r\nSELECT ';'",
                vec!["-- first\r\nSELECT 1", "SELECT ';'"],
            ),
            (
                "DO $$ BEGIN a; b; END $$; SELECT 2",
                vec!["DO $$ BEGIN a; b; END $$", "SELECT 2"],
            ),
            (
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
                vec![
                    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
                    "SELECT 3",
                ],
            ),
            (" ;; -- nothing", vec![]),
        ] {
            assert_eq!(texts(text, pg), expected, "{text}");
        }
        let trigger =
            "CREATE TRIGGER a AFTER INSERT ON b BEGIN DELETE FROM c; UPDATE d SET e = 1; END";
        assert_eq!(
            texts(&format!("{trigger};\nSELECT 1"), Dialect::Sqlite),
            [trigger, "SELECT 1"]
        );
        let routine = "CREATE DEFINER = CURRENT_USER PROCEDURE p() BEGIN IF a THEN SELECT 1; END IF; \
                       CASE b WHEN 1 THEN SELECT 2; END CASE; WHILE c DO SET c = 0; END WHILE; END";
        assert_eq!(
            texts(&format!("{routine}; SELECT 1;"), Dialect::MySql),
            [routine, "SELECT 1"]
        );
    }

    #[test]
    fn transaction_control_is_found_in_every_spelling() {
        for (text, dialect) in [
            ("COMMIT", Dialect::Postgres),
            ("/* x */ begin", Dialect::MySql),
            ("END", Dialect::Sqlite),
            ("start transaction", Dialect::MySql),
            ("SAVEPOINT a", Dialect::Sqlite),
            ("SET autocommit = 1", Dialect::MySql),
            ("SET @@session.autocommit = 1", Dialect::MySql),
            ("SET LOCAL transaction_read_only = off", Dialect::Postgres),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
                Dialect::Postgres,
            ),
            ("PREPARE TRANSACTION 'x'", Dialect::Postgres),
        ] {
            let found = statements(text, dialect).unwrap();
            assert!(found[0].controls_transaction, "{text}");
        }
        let found = statements(
            "CREATE TABLE commits (a int); SET timezone = 'UTC'",
            Dialect::Postgres,
        )
        .unwrap();
        let controls: Vec<bool> = found.iter().map(|s| s.controls_transaction).collect();
        assert_eq!(controls, [false, false]);
    }

    #[test]
    fn what_does_not_end_is_an_error_with_its_place() {
        let error = statements("SELECT 1;\nSELECT 'x", Dialect::Postgres).unwrap_err();
        assert_eq!((error.line, error.column), (2, 8));
    }
}
