//! SET: which settings a batch may change before it reads.
//!
//! - Display settings (time zone, date style, application name) are safe.
//! - Anything that changes how the server reads the text after it (character sets, `sql_mode`) is safe only with a
//!   value that leaves our reading true; every other value is refused.
//! - A timeout is part of the execution policy. Setting one, up or down, and `autocommit` (it ends the read-only
//!   transaction that reads run in) makes the batch a write, so that somebody decides.
//! - Everything else is refused: roles, transactions, global and user variables, unknown names, and values that are
//!   more than a literal.

use super::analysis::{Leading, settled};
use super::token::{StatementTokens, TokenKind};
use super::{Category, StatementClass};
use crate::domain::dialect::Dialect;

/// What setting a variable does to the batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SettingEffect {
    Safe,
    Write,
    Refused,
}

/// The verdict on `SET ...`.
pub(super) fn judge(stmt: &StatementTokens<'_>, dialect: Dialect) -> Leading {
    let at = if stmt.is_any(1, &["session", "local"]) {
        2
    } else {
        1
    };
    let effect = if stmt.is(at, "time") && stmt.is(at + 1, "zone") {
        value_effect("timezone", &stmt.from(at + 2), dialect)
    } else if stmt.is(at, "names") {
        names(&stmt.from(at + 1), dialect)
    } else if dialect == Dialect::MySql {
        assignments(stmt, at, dialect)
    } else {
        assignment(&stmt.from(at), dialect)
    };
    match effect {
        SettingEffect::Safe => settled(
            "set",
            Category::ReadOnly,
            StatementClass::Select,
            "a safe setting",
            false,
        ),
        SettingEffect::Write => settled(
            "set",
            Category::Dml,
            StatementClass::Dml,
            "changes a timeout or the transaction mode",
            false,
        ),
        SettingEffect::Refused => settled(
            "set",
            Category::SecurityBoundary,
            StatementClass::Rejected,
            "this setting may not be changed here",
            false,
        ),
    }
}

/// MySQL sets several variables at once; the worst of them counts.
fn assignments(stmt: &StatementTokens<'_>, at: usize, dialect: Dialect) -> SettingEffect {
    let mut worst = SettingEffect::Safe;
    let toks = stmt.toks.get(at..).unwrap_or(&[]);
    for part in toks.split(|t| t.kind == TokenKind::Comma) {
        let part = StatementTokens {
            src: stmt.src,
            toks: part,
            begin: stmt.begin,
        };
        let skip = usize::from(part.is_any(0, &["session", "local"]));
        match assignment(&part.from(skip), dialect) {
            SettingEffect::Refused => return SettingEffect::Refused,
            SettingEffect::Write => worst = SettingEffect::Write,
            SettingEffect::Safe => {}
        }
    }
    worst
}

/// `name = value`, `name TO value, value`.
fn assignment(stmt: &StatementTokens<'_>, dialect: Dialect) -> SettingEffect {
    if !matches!(stmt.kind(0), Some(TokenKind::Word | TokenKind::Quoted)) {
        return SettingEffect::Refused;
    }
    if !(stmt.text(1) == "=" || stmt.text(1) == ":=" || stmt.is(1, "to")) {
        return SettingEffect::Refused;
    }
    value_effect(&stmt.name(0).to_ascii_lowercase(), &stmt.from(2), dialect)
}

fn value_effect(name: &str, value: &StatementTokens<'_>, dialect: Dialect) -> SettingEffect {
    let plain = |i: usize| {
        matches!(
            value.kind(i),
            Some(
                TokenKind::Word
                    | TokenKind::Quoted
                    | TokenKind::Str
                    | TokenKind::Number
                    | TokenKind::Comma
            )
        ) || (value.kind(i) == Some(TokenKind::Op) && matches!(value.text(i), "-" | "+"))
    };
    if value.toks.is_empty() || !(0..value.toks.len()).all(plain) {
        return SettingEffect::Refused;
    }
    if dialect == Dialect::MySql && value.text(0).starts_with('@') {
        return SettingEffect::Refused;
    }
    match name {
        "timezone" | "time_zone" | "datestyle" | "application_name" | "extra_float_digits" => {
            SettingEffect::Safe
        }
        "statement_timeout"
        | "lock_timeout"
        | "idle_in_transaction_session_timeout"
        | "wait_timeout"
        | "autocommit" => SettingEffect::Write,
        "client_encoding" | "character_set_client" => charset(value, dialect),
        "sql_mode" => sql_mode(value),
        _ => SettingEffect::Refused,
    }
}

/// `SET NAMES charset [COLLATE name]`.
fn names(rest: &StatementTokens<'_>, dialect: Dialect) -> SettingEffect {
    let collated = rest.toks.len() == 3 && rest.is(1, "collate");
    if rest.toks.len() != 1 && !collated {
        return SettingEffect::Refused;
    }
    let first = StatementTokens {
        src: rest.src,
        toks: rest.toks.get(..1).unwrap_or(&[]),
        begin: rest.begin,
    };
    charset(&first, dialect)
}

/// Only character sets in which a backslash or a quote is never half of a character: in others (GBK, SJIS, Big5) the
/// server would end a string where we see it go on.
fn charset(value: &StatementTokens<'_>, dialect: Dialect) -> SettingEffect {
    const SAFE: &[&str] = &[
        "ascii",
        "binary",
        "latin1",
        "sql_ascii",
        "unicode",
        "utf-8",
        "utf8",
        "utf8mb3",
        "utf8mb4",
    ];
    let name = literal(value).to_ascii_lowercase();
    // The server's default is what its connections start with: what the agent already reads in.
    let default = dialect == Dialect::MySql && name == "default";
    if value.toks.len() == 1 && (default || SAFE.contains(&name.as_str())) {
        SettingEffect::Safe
    } else {
        SettingEffect::Refused
    }
}

/// Only modes that say nothing about quotes, backslashes or operators.
fn sql_mode(value: &StatementTokens<'_>) -> SettingEffect {
    const SAFE: &[&str] = &[
        "allow_invalid_dates",
        "error_for_division_by_zero",
        "no_auto_create_user",
        "no_auto_value_on_zero",
        "no_engine_substitution",
        "no_unsigned_subtraction",
        "no_zero_date",
        "no_zero_in_date",
        "only_full_group_by",
        "pad_char_to_full_length",
        "strict_all_tables",
        "strict_trans_tables",
        "time_truncate_fractional",
        "traditional",
    ];
    let modes = literal(value).to_ascii_lowercase();
    let safe = modes
        .split(',')
        .map(str::trim)
        .all(|m| m.is_empty() || SAFE.contains(&m));
    if value.toks.len() == 1 && value.kind(0) == Some(TokenKind::Str) && safe {
        SettingEffect::Safe
    } else {
        SettingEffect::Refused
    }
}

/// The content of a plain string or the word itself; a string with an escape in it stays as it is and matches nothing.
fn literal<'a>(value: &StatementTokens<'a>) -> &'a str {
    let text = value.text(0);
    match value.kind(0) {
        Some(TokenKind::Str | TokenKind::Quoted) if text.len() >= 2 => text
            .strip_prefix(['\'', '"'])
            .and_then(|t| t.strip_suffix(['\'', '"']))
            .unwrap_or(text),
        _ => text,
    }
}
