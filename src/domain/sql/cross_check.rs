//! The parser's tokens, held against our own before anything is parsed.
//!
//! A text that the parser cuts differently from the database is how a statement hides from a classifier. So both token
//! lists must agree on where every word, quoted name, number, literal, parenthesis, comma, semicolon and comment starts
//! and ends.

use super::token::{LexError, Lexed, StatementTokens, Tok, TokenKind};
use crate::domain::dialect::Dialect;
use sqlparser::ast::{Expr, Statement};
use sqlparser::dialect::{MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

/// The parser's tokens of one statement.
#[derive(Default)]
pub(super) struct Tokens {
    list: Vec<TokenWithSpan>,
    /// Where the parser cuts a name or a number in its own way: it is not asked about such a statement.
    differs: Option<(u64, u64)>,
}

fn parser_dialect(dialect: Dialect) -> &'static dyn sqlparser::dialect::Dialect {
    match dialect {
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::MySql => &MySqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
    }
}

/// The parser's tokens, one list for each of `stmts`, the statements of `lexed`.
///
/// # Errors
/// Where the parser cannot cut the text, or cuts it differently.
pub(super) fn tokens(
    lexed: &Lexed<'_>,
    stmts: &[StatementTokens<'_>],
    dialect: Dialect,
) -> Result<Vec<Tokens>, LexError> {
    let all = Tokenizer::new(parser_dialect(dialect), lexed.src)
        .tokenize_with_location()
        .map_err(|e| LexError {
            line: e.location.line,
            column: e.location.column,
            what: "a character or literal that the parser does not know",
        })?;
    let differences = compare(lexed, &all)?;
    let last = |stmt: &StatementTokens<'_>| stmt.toks.last().map_or((1, 1), |t| t.after);
    let mut lists: Vec<Tokens> = stmts.iter().map(|_| Tokens::default()).collect();
    let mut at = 0;
    for token in all {
        let start = (token.span.start.line, token.span.start.column);
        while stmts.get(at).is_some_and(|stmt| start >= last(stmt)) {
            at += 1;
        }
        let first = stmts.get(at).and_then(|stmt| stmt.toks.first());
        let inside = first.is_some_and(|t| start >= (t.line, t.column));
        if let Some(tokens) = lists.get_mut(at)
            && inside
            && !matches!(token.token, Token::Whitespace(_))
        {
            tokens.list.push(token);
        }
    }
    for place in differences {
        let found = stmts.iter().position(|stmt| place < last(stmt));
        if let Some(tokens) = found.and_then(|at| lists.get_mut(at)) {
            tokens.differs.get_or_insert(place);
        }
    }
    Ok(lists)
}

/// Holds both lists against each other: the same words, literals and marks from and to the same places, and the same
/// comments. Only operators are left out, which the parser joins in its own way. Returns where a run of names, numbers
/// and parameters without a gap is cut in another way inside: nothing else can hide there.
fn compare(lexed: &Lexed<'_>, theirs: &[TokenWithSpan]) -> Result<Vec<(u64, u64)>, LexError> {
    let mut ours = lexed
        .toks
        .iter()
        .filter(|t| !matches!(t.kind, TokenKind::Op | TokenKind::Dot));
    let mut comments = lexed.comments.iter();
    let mut differences = Vec::new();
    let mut at = 0;
    while let Some(token) = theirs.get(at) {
        at += 1;
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
                Some(kind) => {
                    let own = ours.next();
                    let same = own.is_some_and(|own| {
                        // `0x1F` is a number to us, and a string to the parser.
                        let same = own.kind == kind
                            || (own.kind, kind) == (TokenKind::Number, TokenKind::Str);
                        same && (own.line, own.column) == start
                            && own.after == (end.line, end.column)
                    });
                    let plain = own.filter(|own| !same && is_plain(own.kind) && is_plain(kind));
                    if let Some(own) = plain {
                        at = meet(own, &mut ours, theirs, at - 1)
                            .ok_or_else(|| two_readings(start.0, start.1))?;
                        differences.push((own.line, own.column));
                    }
                    same || plain.is_some()
                }
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
        None => Ok(differences),
    }
}

fn is_plain(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Word | TokenKind::Number | TokenKind::Param)
}

/// Goes on in both lists, from `own` and from `theirs[at]`, to where a token of both ends; the parser's token after it.
/// None where a literal, a mark or a gap comes first.
fn meet<'t>(
    own: &'t Tok,
    ours: &mut impl Iterator<Item = &'t Tok>,
    theirs: &[TokenWithSpan],
    mut at: usize,
) -> Option<usize> {
    let place = |l: Location| (l.line, l.column);
    let mut our_end = own.after;
    let mut their_end = place(theirs.get(at)?.span.end);
    at += 1;
    while our_end != their_end {
        if our_end < their_end {
            let next = ours.next()?;
            let glued = (next.line, next.column) == our_end;
            if !is_plain(next.kind) || !glued {
                return None;
            }
            our_end = next.after;
        } else {
            let next = theirs.get(at)?;
            at += 1;
            let plain = kind_of(&next.token).is_none_or(is_plain)
                && !matches!(next.token, Token::Whitespace(_) | Token::CopyData { .. });
            if !plain || place(next.span.start) != their_end {
                return None;
            }
            their_end = place(next.span.end);
        }
    }
    Some(at)
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

/// Parses the statement of `stmt`, whose parser tokens are (the end of) `tokens`.
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
    if let Some((line, column)) = tokens.differs {
        return Err(ParseFailure::at(stmt, line, column));
    }
    let tokens = tokens
        .list
        .into_iter()
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
        Err(ParserError::RecursionLimitExceeded) => Err(ParseFailure::at_end(stmt, TOO_DEEP)),
        Err(error) => match place_in(&error.to_string()) {
            Some((line, column)) => Err(ParseFailure::at(stmt, line, column)),
            // Only the end of the text has no place.
            None => Err(ParseFailure::at_end(stmt, ENDS_EARLY)),
        },
    }
}

/// Parses the condition that stands from token `from` to before `to`, all of it.
pub(super) fn condition(
    stmt: &StatementTokens<'_>,
    from: usize,
    to: usize,
    dialect: Dialect,
) -> Option<Expr> {
    let start = stmt.toks.get(from)?.start;
    let end = stmt.toks.get(to.checked_sub(1)?)?.end;
    let dialect_of = parser_dialect(dialect);
    let tokens = Tokenizer::new(dialect_of, stmt.src.get(start..end)?)
        .tokenize_with_location()
        .ok()?;
    let tokens = tokens.into_iter().map(|t| logical(t, dialect)).collect();
    let mut parser = Parser::new(dialect_of).with_tokens_with_locations(tokens);
    let condition = parser.parse_expr().ok()?;
    (parser.peek_token().token == Token::EOF).then_some(condition)
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

pub(super) const TOO_DEEP: &str = "the statement is too deeply nested";

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
