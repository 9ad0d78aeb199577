//! The parser's tokens, held against our own before anything is parsed.
//!
//! A text that the parser cuts differently from the database is how a statement hides from a classifier. So both token
//! lists must agree on where every word, quoted name, number, literal, parenthesis, comma, semicolon and comment starts
//! and ends.

use super::token::{Kind, Lexed, Piece, Trouble};
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
pub(super) fn tokens(lexed: &Lexed<'_>, dialect: Dialect) -> Result<Vec<Tokens>, Trouble> {
    let all = Tokenizer::new(parser_dialect(dialect), lexed.src)
        .tokenize_with_location()
        .map_err(|e| Trouble {
            line: e.location.line,
            column: e.location.column,
            what: "a character or literal that the parser does not know",
        })?;
    compare(lexed, &all)?;
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut filled = false;
    for token in all {
        match token.token {
            Token::SemiColon => {
                let done = std::mem::take(&mut piece);
                if filled {
                    pieces.push(done);
                }
                filled = false;
            }
            Token::Whitespace(_) => piece.push(token),
            _ => {
                filled = true;
                piece.push(token);
            }
        }
    }
    if filled {
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Whether both lists have the same words, literals and marks from and to the same places, and the same comments.
/// Only operators are left out, which the parser joins in its own way.
fn compare(lexed: &Lexed<'_>, theirs: &[TokenWithSpan]) -> Result<(), Trouble> {
    let mut ours = lexed
        .toks
        .iter()
        .filter(|t| !matches!(t.kind, Kind::Op | Kind::Dot));
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
                    let same = own.kind == kind || (own.kind, kind) == (Kind::Number, Kind::Str);
                    same && (own.line, own.column) == start && own.behind == (end.line, end.column)
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

fn two_readings(line: u64, column: u64) -> Trouble {
    Trouble {
        line,
        column,
        what: "a place that can be cut into words in two ways",
    }
}

/// What we would call a token of the parser; `None` for those that are not compared.
fn kind_of(token: &Token) -> Option<Kind> {
    Some(match token {
        Token::Word(w) if w.quote_style.is_some() => Kind::Quoted,
        Token::Word(_) => Kind::Word,
        Token::LParen => Kind::Open,
        Token::RParen => Kind::Close,
        Token::Comma => Kind::Comma,
        Token::SemiColon => Kind::Semi,
        Token::Number(..) => Kind::Number,
        Token::Placeholder(_) => Kind::Param,
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => Kind::Str,
        _ => return None,
    })
}

/// Parses the statement of `piece`, whose parser tokens are (the end of) `tokens`.
///
/// # Errors
/// Where the parser stops; the message names no literal.
pub(super) fn parse(
    piece: &Piece<'_>,
    tokens: Tokens,
    dialect: Dialect,
) -> Result<Statement, Unread> {
    let first = piece.toks.first();
    let from = first.map_or(Location { line: 1, column: 1 }, |t| Location {
        line: t.line,
        column: t.column,
    });
    let tokens: Tokens = tokens
        .into_iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
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
                Err(Unread::at(piece, place.line, place.column))
            }
        }
        Err(ParserError::RecursionLimitExceeded) => {
            Err(Unread::at_end(piece, "the statement is too deeply nested"))
        }
        Err(error) => match place_in(&error.to_string()) {
            Some((line, column)) => Err(Unread::at(piece, line, column)),
            // Only the end of the text has no place.
            None => Err(Unread::at_end(piece, ENDS_EARLY)),
        },
    }
}

const ENDS_EARLY: &str = "the statement ends too early";

/// Where reading stopped, and at what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl Unread {
    fn at(piece: &Piece<'_>, line: u64, column: u64) -> Unread {
        /// A longer word is not worth quoting.
        const WORD_BYTES_MAX: usize = 32;
        let found = piece
            .toks
            .iter()
            .position(|t| (t.line, t.column) == (line, column));
        let near = match found.map(|i| (piece.toks[i].kind, piece.text(i))) {
            Some((Kind::Word, word))
                if word.len() <= WORD_BYTES_MAX && word.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                format!("cannot read the statement at `{word}`")
            }
            Some((Kind::Str | Kind::Number, _)) => "cannot read the statement at a literal".into(),
            Some((Kind::Op | Kind::Open | Kind::Close | Kind::Comma | Kind::Dot, mark)) => {
                format!("cannot read the statement at `{mark}`")
            }
            Some(_) => "cannot read the statement".into(),
            None => return Unread::at_end(piece, ENDS_EARLY),
        };
        Unread {
            line,
            column,
            message: near,
        }
    }

    /// At the last word of the statement.
    fn at_end(piece: &Piece<'_>, message: &str) -> Unread {
        let (line, column) = piece.toks.last().map_or((1, 1), |t| (t.line, t.column));
        Unread {
            line,
            column,
            message: message.to_owned(),
        }
    }
}

impl From<Trouble> for Unread {
    fn from(trouble: Trouble) -> Unread {
        Unread {
            line: trouble.line,
            column: trouble.column,
            message: format!("the text has {}", trouble.what),
        }
    }
}

/// The place that the parser's message ends with: `... at Line: 1, Column: 8`.
fn place_in(message: &str) -> Option<(u64, u64)> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}
