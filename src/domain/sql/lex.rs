//! Cuts SQL text into tokens by the lexical rules of the database itself, not of a parser for many dialects.
//!
//! This is the authority for where a literal, a comment or a statement ends: the plan is cut by it, literals are
//! hidden by it, functions are found by it. The parser's own tokens are held against it (see `agree`), so a text that
//! the two read differently is never classified. Where a database would read the text in a way that depends on its
//! version or its settings (executable comments, escaped identifiers), this refuses instead of guessing.
//!
//! Two settings are taken as their defaults, and an agent must set them so: `standard_conforming_strings = on`
//! (PostgreSQL), and a `sql_mode` without `ANSI_QUOTES` and `NO_BACKSLASH_ESCAPES` (MySQL).

use super::token::{LexError, Lexed, Tok, TokenKind};
use crate::domain::dialect::Dialect;

/// Operators of more than one character; the rest is taken character by character.
const OPERATORS: [&str; 27] = [
    "<=>", "->>", "#>>", "!~*", "~~*", "!~~", "::", ":=", "<=", ">=", "<>", "!=", "||", "&&", "->",
    "#>", "@>", "<@", "=>", "<<", ">>", "==", "~*", "!~", "~~", "?|", "?&",
];

/// Cuts `src` into tokens. Linear in its length; never fails, but may stop early with a `problem`.
pub(super) fn lex(src: &str, dialect: Dialect) -> Lexed<'_> {
    let mut lexer = Lexer {
        src,
        bytes: src.as_bytes(),
        dialect,
        at: 0,
        line: 1,
        column: 1,
        out: Lexed {
            src,
            dialect,
            toks: Vec::with_capacity(src.len() / 4 + 4),
            comments: Vec::new(),
            lex_error: None,
            setting_hint: None,
        },
    };
    while lexer.at < lexer.bytes.len() {
        let (line, column) = (lexer.line, lexer.column);
        if let Err(what) = lexer.step() {
            lexer.out.lex_error = Some(LexError { line, column, what });
            break;
        }
    }
    lexer.out
}

struct Lexer<'a> {
    src: &'a str,
    bytes: &'a [u8],
    dialect: Dialect,
    at: usize,
    line: u64,
    column: u64,
    out: Lexed<'a>,
}

type Step = Result<(), &'static str>;

const UNTERMINATED: &str = "a literal, quoted name or comment that does not end";

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// One byte on; columns count characters.
    fn bump(&mut self) {
        match self.bytes.get(self.at) {
            Some(b'\n') => {
                self.line += 1;
                self.column = 1;
            }
            Some(b) if b & 0xC0 != 0x80 => self.column += 1,
            _ => {}
        }
        self.at += 1;
    }

    fn bump_by(&mut self, n: usize) {
        for _ in 0..n {
            self.bump();
        }
    }

    /// Runs `body` and records what it passed over as one token.
    fn token(&mut self, kind: TokenKind, body: impl FnOnce(&mut Self) -> Step) -> Step {
        let (start, line, column) = (self.at, self.line, self.column);
        body(self)?;
        self.out.toks.push(Tok {
            kind,
            start,
            end: self.at,
            line,
            column,
            after: (self.line, self.column),
        });
        Ok(())
    }

    fn single(&mut self, kind: TokenKind) -> Step {
        self.token(kind, |l| {
            l.bump();
            Ok(())
        })
    }

    fn is_word_start(&self, b: u8) -> bool {
        b.is_ascii_alphabetic()
            || b == b'_'
            || b >= 0x80
            || (self.dialect == Dialect::MySql && b == b'$')
    }

    fn is_word_part(&self, b: u8) -> bool {
        self.is_word_start(b) || b.is_ascii_digit() || b == b'$'
    }

    fn step(&mut self) -> Step {
        use Dialect::{MySql, Postgres, Sqlite};
        let (b, next, dialect) = (self.peek(0), self.peek(1), self.dialect);
        match b {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => self.bump(),
            0x0b if dialect != Sqlite => self.bump(),
            0..=0x1f | 0x7f => return Err("a control character"),
            b'-' if next == b'-' && self.dashes_open_comment() => self.line_comment(),
            b'#' if dialect == MySql => self.line_comment(),
            b'/' if next == b'*' => return self.block_comment(),
            b'\'' => return self.token(TokenKind::Str, |l| l.quoted(b'\'', dialect == MySql)),
            b'"' if dialect == MySql => {
                return self.token(TokenKind::Str, |l| l.quoted(b'"', true));
            }
            b'"' => return self.token(TokenKind::Quoted, |l| l.quoted(b'"', false)),
            b'`' if dialect != Postgres => {
                return self.token(TokenKind::Quoted, |l| l.quoted(b'`', false));
            }
            b'[' if dialect == Sqlite => return self.token(TokenKind::Quoted, Self::bracketed),
            b'$' if dialect == Postgres => return self.dollar(),
            b'$' | b'@' | b':' | b'#' if dialect == Sqlite && self.is_word_part(next) => {
                return self.sqlite_parameter();
            }
            b'?' if dialect != Postgres => {
                return self.token(TokenKind::Param, |l| {
                    l.bump();
                    l.digits();
                    Ok(())
                });
            }
            b'@' if dialect == MySql => return self.mysql_variable(),
            b'0'..=b'9' => return self.token(TokenKind::Number, Self::number),
            b'.' if next.is_ascii_digit() => return self.token(TokenKind::Number, Self::number),
            _ if self.is_word_start(b) => return self.word(),
            b'(' => return self.single(TokenKind::Open),
            b')' => return self.single(TokenKind::Close),
            b',' => return self.single(TokenKind::Comma),
            b'.' => return self.single(TokenKind::Dot),
            b';' => return self.single(TokenKind::Semi),
            _ => return self.operator(),
        }
        Ok(())
    }

    /// MySQL wants white space or a control character after the dashes: `1--1` is an addition there.
    fn dashes_open_comment(&self) -> bool {
        let next = self.bytes.get(self.at + 2).copied();
        self.dialect != Dialect::MySql || next.is_none_or(|b| b <= b' ' || b == 0x7f)
    }

    /// To the end of the line; for PostgreSQL a carriage return ends a line too.
    fn line_comment(&mut self) {
        self.out.comments.push((self.line, self.column));
        while self.at < self.bytes.len() {
            let b = self.peek(0);
            if b == b'\n' || (b == b'\r' && self.dialect == Dialect::Postgres) {
                break;
            }
            self.bump();
        }
    }

    /// PostgreSQL nests block comments, the others do not.
    fn block_comment(&mut self) -> Step {
        let start = self.at;
        let mysql = self.dialect == Dialect::MySql;
        if mysql && (self.peek(2) == b'!' || (self.peek(2) == b'M' && self.peek(3) == b'!')) {
            return Err("an executable comment, which runs on some servers and not on others");
        }
        self.out.comments.push((self.line, self.column));
        self.bump_by(2);
        let mut depth = 1;
        while self.at < self.bytes.len() {
            if self.peek(0) == b'*' && self.peek(1) == b'/' {
                self.bump_by(2);
                depth -= 1;
                if depth == 0 {
                    self.note_hint(start);
                    return Ok(());
                }
            } else if self.peek(0) == b'/'
                && self.peek(1) == b'*'
                && self.dialect == Dialect::Postgres
            {
                self.bump_by(2);
                depth += 1;
            } else {
                self.bump();
            }
        }
        Err(UNTERMINATED)
    }

    /// Hints are comments, but some of them change a setting for their statement, the timeout above all.
    fn note_hint(&mut self, start: usize) {
        let Some(hint) = self.src.get(start + 2..self.at) else {
            return;
        };
        if self.out.setting_hint.is_none() && hint.starts_with('+') {
            let hint = hint.to_ascii_lowercase();
            let sets = ["set_var", "max_execution_time", "set(", "set ("];
            if sets.iter().any(|s| hint.contains(s)) {
                self.out.setting_hint = Some(start);
            }
        }
    }

    /// From a quote to the next one that is not doubled (nor, with `backslash`, escaped).
    fn quoted(&mut self, quote: u8, backslash: bool) -> Step {
        self.bump();
        while self.at < self.bytes.len() {
            let b = self.peek(0);
            if backslash && b == b'\\' {
                self.bump();
                if self.at < self.bytes.len() {
                    self.bump();
                }
            } else if b == quote {
                self.bump();
                if self.peek(0) != quote {
                    return Ok(());
                }
                self.bump();
            } else {
                self.bump();
            }
        }
        Err(UNTERMINATED)
    }

    fn bracketed(&mut self) -> Step {
        while self.at < self.bytes.len() {
            let b = self.peek(0);
            self.bump();
            if b == b']' {
                return Ok(());
            }
        }
        Err(UNTERMINATED)
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.bump();
        }
    }

    /// `$1`, `$$text$$`, `$tag$text$tag$`, or a lone `$`.
    fn dollar(&mut self) -> Step {
        if self.peek(1).is_ascii_digit() {
            return self.token(TokenKind::Param, |l| {
                l.bump();
                l.digits();
                Ok(())
            });
        }
        let Some(tag) = self.dollar_tag() else {
            return self.operator();
        };
        let body = self.at + tag.len();
        match self.src.get(body..).and_then(|rest| rest.find(tag)) {
            Some(found) => {
                let total = tag.len() * 2 + found;
                self.token(TokenKind::Str, |l| {
                    l.bump_by(total);
                    Ok(())
                })
            }
            None => Err(UNTERMINATED),
        }
    }

    /// `$$` or `$tag$`, if that is what comes.
    fn dollar_tag(&self) -> Option<&'a str> {
        let mut len = 1;
        while self.peek(len) != b'$' && self.is_word_part(self.peek(len)) {
            len += 1;
        }
        let tag = self.src.get(self.at..self.at + len + 1)?;
        tag.ends_with('$').then_some(tag)
    }

    /// SQLite takes `$name(anything)` and `$name::name` for one parameter; nobody else does.
    fn sqlite_parameter(&mut self) -> Step {
        self.token(TokenKind::Param, |l| {
            l.bump();
            while l.is_word_part(l.peek(0)) {
                l.bump();
            }
            match l.peek(0) {
                b'(' => Err("a parameter with a suffix in parentheses"),
                b':' => Err("a parameter with a suffix"),
                _ => Ok(()),
            }
        })
    }

    /// `@x`, `@@x`; `@` before a quote stands alone.
    fn mysql_variable(&mut self) -> Step {
        let prefix = if self.peek(1) == b'@' { 2 } else { 1 };
        if !self.is_word_part(self.peek(prefix)) {
            return self.single(TokenKind::Op);
        }
        self.token(TokenKind::Word, |l| {
            l.bump_by(prefix);
            while l.is_word_part(l.peek(0)) {
                l.bump();
            }
            Ok(())
        })
    }

    /// Digits and whatever sticks to them, so that nothing glued to a number can pass for a word.
    fn number(&mut self) -> Step {
        let hex = self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X');
        let mut last = 0;
        loop {
            let b = self.peek(0);
            let sign = matches!(b, b'+' | b'-')
                && matches!(last, b'e' | b'E')
                && !hex
                && self.peek(1).is_ascii_digit();
            if !(b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || sign) {
                return Ok(());
            }
            last = b;
            self.bump();
        }
    }

    /// A word, or a string with a prefix letter.
    fn word(&mut self) -> Step {
        let (b, next) = (self.peek(0).to_ascii_lowercase(), self.peek(1));
        let mysql = self.dialect == Dialect::MySql;
        let postgres = self.dialect == Dialect::Postgres;
        let quote_ahead = |l: &mut Self, skip: usize, backslash: bool| {
            l.bump_by(skip);
            l.quoted(b'\'', backslash)
        };
        match (b, next) {
            (b'x', b'\'') => return self.token(TokenKind::Str, |l| quote_ahead(l, 1, false)),
            (b'b', b'\'') if mysql || postgres => {
                return self.token(TokenKind::Str, |l| quote_ahead(l, 1, false));
            }
            (b'n', b'\'') if mysql || postgres => {
                return self.token(TokenKind::Str, |l| quote_ahead(l, 1, mysql));
            }
            (b'e', b'\'') if postgres => {
                self.token(TokenKind::Str, |l| quote_ahead(l, 1, true))?;
                return self.refuse_continuation();
            }
            (b'$', _) if mysql && self.dollar_tag().is_some() => {
                return Err("a dollar quote, which only newer servers take for one");
            }
            (b'u', b'&') if postgres && self.peek(2) == b'\'' => {
                return self.token(TokenKind::Str, |l| quote_ahead(l, 2, false));
            }
            (b'u', b'&') if postgres && self.peek(2) == b'"' => {
                return Err("an identifier with escapes");
            }
            _ => {}
        }
        if self.dialect == Dialect::Sqlite && self.src[self.at..].starts_with('\u{feff}') {
            return Err("a byte order mark");
        }
        self.token(TokenKind::Word, |l| {
            while l.is_word_part(l.peek(0)) {
                l.bump();
            }
            Ok(())
        })
    }

    /// PostgreSQL goes on with an escape string on the next line, by the rules of escape strings; others would not.
    fn refuse_continuation(&mut self) -> Step {
        let mut rest = self.src[self.at..].trim_start();
        while let Some(comment) = rest.strip_prefix("--") {
            let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
            rest = comment[end..].trim_start();
        }
        if rest.starts_with('\'') {
            return Err("an escape string that continues after white space");
        }
        Ok(())
    }

    fn operator(&mut self) -> Step {
        let rest = &self.bytes[self.at..];
        let len = OPERATORS
            .iter()
            .find(|op| rest.starts_with(op.as_bytes()))
            .map_or(1, |op| op.len());
        self.token(TokenKind::Op, |l| {
            l.bump_by(len);
            Ok(())
        })
    }
}

/// The number that MySQL and SQLite take a text for: the one it starts with, or 0.
pub(super) fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(i, _)| i);
    text.get(..end).and_then(|t| t.parse().ok()).unwrap_or(0.0)
}
