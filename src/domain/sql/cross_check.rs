//! The parser's tokens, held against our own before anything is parsed.
//!
//! A text that the parser cuts differently from the database is how a statement hides from a classifier. So both token
//! lists must agree on where every word, quoted name, number, literal, parenthesis, comma, semicolon and comment starts
//! and ends.

use super::token::{LexError, Lexed, StatementTokens, TokenKind};
use crate::domain::dialect::Dialect;
use sqlparser::ast::Statement;
use sqlparser::dialect::{MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

/// The parser's tokens of one statement, white space included.
pub(super) type Tokens = Vec<TokenWithSpan>;

fn parser_dialect(dialect: Dialect) -> &'static dyn sqlparser::dialect::Dialect {
    match dialect {
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::MySql => &MySqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
    }
}

/// The parser's tokens, one list for each of `lexed.pieces()`.
///
/// # Errors
/// Where the parser cannot cut the text, or cuts it differently.
pub(super) fn tokens(lexed: &Lexed<'_>, dialect: Dialect) -> Result<Vec<Tokens>, LexError> {
    let all = Tokenizer::new(parser_dialect(dialect), lexed.src)
        .tokenize_with_location()
        .map_err(|e| LexError {
            line: e.location.line,
            column: e.location.column,
            what: "a character or literal that the parser does not know",
        })?;
    compare(lexed, &all)?;
    let mut stmts = Vec::new();
    let mut stmt = Vec::new();
    let mut filled = false;
    for token in all {
        match token.token {
            Token::SemiColon => {
                let done = std::mem::take(&mut stmt);
                if filled {
                    stmts.push(done);
                }
                filled = false;
            }
            Token::Whitespace(_) => stmt.push(token),
            _ => {
                filled = true;
                stmt.push(token);
            }
        }
    }
    if filled {
        stmts.push(stmt);
    }
    Ok(stmts)
}

/// Whether both lists have the same words, literals and marks from and to the same places, and the same comments.
/// Only operators are left out, which the parser joins in its own way.
fn compare(lexed: &Lexed<'_>, theirs: &[TokenWithSpan]) -> Result<(), LexError> {
    let mut ours = lexed
        .toks
        .iter()
        .filter(|t| !matches!(t.kind, TokenKind::Op | TokenKind::Dot));
    let mut comments = lexed.comments.iter();
    for token in theirs {
        let (start, end) = (token.span.start, token.span.end);
        let start = (start.line, start.column);
        let agrees = match &token.token {
            Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_),
            ) => comments.next() == Some(&start),
            Token::Whitespace(_) => true,
            Token::CopyData { .. } => false,
            other => match kind_of(other) {
                None => true,
                Some(kind) => ours.next().is_some_and(|own| {
                    // `0x1F` is a number to us, and a string to the parser.
                    let same =
                        own.kind == kind || (own.kind, kind) == (TokenKind::Number, TokenKind::Str);
                    same && (own.line, own.column) == start && own.after == (end.line, end.column)
                }),
            },
        };
        if !agrees {
            return Err(two_readings(start.0, start.1));
        }
    }
    let left = ours
        .next()
        .map(|own| (own.line, own.column))
        .or(comments.next().copied());
    match left {
        Some((line, column)) => Err(two_readings(line, column)),
        None => Ok(()),
    }
}

fn two_readings(line: u64, column: u64) -> LexError {
    LexError {
        line,
        column,
        what: "a place that can be cut into words in two ways",
    }
}

/// What we would call a token of the parser; `None` for those that are not compared.
fn kind_of(token: &Token) -> Option<TokenKind> {
    Some(match token {
        Token::Word(w) if w.quote_style.is_some() => TokenKind::Quoted,
        Token::Word(_) => TokenKind::Word,
        Token::LParen => TokenKind::Open,
        Token::RParen => TokenKind::Close,
        Token::Comma => TokenKind::Comma,
        Token::SemiColon => TokenKind::Semi,
        Token::Number(..) => TokenKind::Number,
        Token::Placeholder(_) => TokenKind::Param,
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => TokenKind::Str,
        _ => return None,
    })
}

/// Parses the statement of `piece`, whose parser tokens are (the end of) `tokens`.
///
/// # Errors
/// Where the parser stops; the message names no literal.
pub(super) fn parse(
    stmt: &StatementTokens<'_>,
    tokens: Tokens,
    dialect: Dialect,
) -> Result<Statement, ParseFailure> {
    let first = stmt.toks.first();
    let from = first.map_or(Location { line: 1, column: 1 }, |t| Location {
        line: t.line,
        column: t.column,
    });
    let tokens: Tokens = tokens
        .into_iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .map(|t| logical(t, dialect))
        .skip_while(|t| (t.span.start.line, t.span.start.column) < (from.line, from.column))
        .collect();
    let mut parser = Parser::new(parser_dialect(dialect)).with_tokens_with_locations(tokens);
    match parser.parse_statement() {
        Ok(statement) => {
            let next = parser.peek_token();
            if next.token == Token::EOF {
                Ok(statement)
            } else {
                let place = next.span.start;
                Err(ParseFailure::at(stmt, place.line, place.column))
            }
        }
        Err(ParserError::RecursionLimitExceeded) => Err(ParseFailure::at_end(
            stmt,
            "the statement is too deeply nested",
        )),
        Err(error) => match place_in(&error.to_string()) {
            Some((line, column)) => Err(ParseFailure::at(stmt, line, column)),
            // Only the end of the text has no place.
            None => Err(ParseFailure::at_end(stmt, ENDS_EARLY)),
        },
    }
}

/// In MySQL `||` is OR and `&&` is AND, with their precedence; the parser knows neither.
fn logical(token: TokenWithSpan, dialect: Dialect) -> TokenWithSpan {
    let word = match token.token {
        Token::StringConcat if dialect == Dialect::MySql => "OR",
        Token::Overlap if dialect == Dialect::MySql => "AND",
        _ => return token,
    };
    TokenWithSpan::new(Token::make_keyword(word), token.span)
}

const ENDS_EARLY: &str = "the statement ends too early";

/// Where reading stopped, and at what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParseFailure {
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl ParseFailure {
    fn at(stmt: &StatementTokens<'_>, line: u64, column: u64) -> ParseFailure {
        /// A longer word is not worth quoting.
        const WORD_BYTES_MAX: usize = 32;
        let found = stmt
            .toks
            .iter()
            .position(|t| (t.line, t.column) == (line, column));
        let near = match found.map(|i| (stmt.toks[i].kind, stmt.text(i))) {
            Some((TokenKind::Word, word))
                if word.len() <= WORD_BYTES_MAX && word.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                format!("cannot read the statement at `{word}`")
            }
            Some((TokenKind::Str | TokenKind::Number, _)) => {
                "cannot read the statement at a literal".into()
            }
            Some((
                TokenKind::Op
                | TokenKind::Open
                | TokenKind::Close
                | TokenKind::Comma
                | TokenKind::Dot,
                mark,
            )) => {
                format!("cannot read the statement at `{mark}`")
            }
            Some(_) => "cannot read the statement".into(),
            None => return ParseFailure::at_end(stmt, ENDS_EARLY),
        };
        ParseFailure {
            line,
            column,
            message: near,
        }
    }

    /// At the last word of the statement.
    fn at_end(stmt: &StatementTokens<'_>, message: &str) -> ParseFailure {
        let (line, column) = stmt.toks.last().map_or((1, 1), |t| (t.line, t.column));
        ParseFailure {
            line,
            column,
            message: message.to_owned(),
        }
    }
}

impl From<LexError> for ParseFailure {
    fn from(lex_error: LexError) -> ParseFailure {
        ParseFailure {
            line: lex_error.line,
            column: lex_error.column,
            message: format!("the text has {}", lex_error.what),
        }
    }
}

/// The place that the parser's message ends with: `... at Line: 1, Column: 8`.
fn place_in(message: &str) -> Option<(u64, u64)> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}
