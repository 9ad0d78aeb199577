//! Tokens of a text, and the statements that they make: the values that `lex` produces and the rest of the analysis
//! reads.

use crate::domain::dialect::Dialect;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword or a plain identifier, MySQL's `@x` and `@@x` included.
    Word,
    /// An identifier in quotes, brackets or backticks.
    Quoted,
    /// Anything whose content is data: strings of all kinds, with their prefix letter.
    Str,
    /// A number, and whatever is glued to it.
    Number,
    /// `$1`, `?`, `?1`, `$name`.
    Param,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `;`
    Semi,
    /// Any other character or known operator.
    Op,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tok {
    pub kind: TokenKind,
    /// Byte offset of its first byte.
    pub start: usize,
    /// Byte offset after its last byte.
    pub end: usize,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// Line and column after its last character.
    pub after: (u64, u64),
}

/// Why lexing stopped, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct LexError {
    pub line: u64,
    pub column: u64,
    pub what: &'static str,
}

/// The tokens of a text.
#[derive(Debug)]
pub(super) struct Lexed<'a> {
    pub src: &'a str,
    pub dialect: Dialect,
    pub toks: Vec<Tok>,
    /// Line and column of each comment.
    pub comments: Vec<(u64, u64)>,
    /// Set where the text cannot be read with certainty; `toks` then ends there.
    pub lex_error: Option<LexError>,
    /// Byte offset of an optimizer hint that changes a setting for its statement, if there is one.
    pub setting_hint: Option<usize>,
}

/// Some tokens of one text: a statement, or the end of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatementTokens<'a> {
    pub src: &'a str,
    pub toks: &'a [Tok],
    /// Byte offset after the semicolon before it.
    pub begin: usize,
}

impl<'a> StatementTokens<'a> {
    /// The text of token `i`, empty past the end.
    pub fn text(&self, i: usize) -> &'a str {
        self.toks.get(i).map_or("", |t| &self.src[t.start..t.end])
    }

    /// What token `i` is.
    pub fn kind(&self, i: usize) -> Option<TokenKind> {
        self.toks.get(i).map(|t| t.kind)
    }

    /// Whether token `i` is this unquoted word, in any case.
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.kind(i) == Some(TokenKind::Word) && self.text(i).eq_ignore_ascii_case(word)
    }

    /// Whether token `i` is one of these unquoted words.
    pub fn is_any(&self, i: usize, words: &[&str]) -> bool {
        words.iter().any(|w| self.is(i, w))
    }

    /// The tokens from `i` on.
    pub fn from(&self, i: usize) -> StatementTokens<'a> {
        StatementTokens {
            src: self.src,
            toks: self.toks.get(i..).unwrap_or(&[]),
            begin: self.begin,
        }
    }

    /// Byte offset of the token that starts at this line and column; that of the statement if none does.
    pub fn offset_at(&self, line: u64, column: u64) -> usize {
        let found = self
            .toks
            .binary_search_by_key(&(line, column), |t| (t.line, t.column));
        let at = found.unwrap_or(0);
        self.toks.get(at).map_or(self.begin, |t| t.start)
    }

    /// The name that token `i` stands for: an identifier without its quotes.
    pub fn name(&self, i: usize) -> String {
        let text = self.text(i);
        match self.kind(i) {
            Some(TokenKind::Quoted) if text.len() >= 2 => {
                let inner = &text[1..text.len() - 1];
                match text.as_bytes()[0] {
                    b'"' => inner.replace("\"\"", "\""),
                    b'`' => inner.replace("``", "`"),
                    _ => inner.to_owned(),
                }
            }
            _ => text.to_owned(),
        }
    }
}

impl<'a> Lexed<'a> {
    /// The statements: tokens between semicolons, without empty ones.
    pub fn stmts(&'a self) -> Vec<StatementTokens<'a>> {
        let mut begin = 0;
        let mut stmts = Vec::new();
        let mut body = StatementCut::new(self.src, self.dialect);
        for toks in self.toks.split_inclusive(|t| body.separates(*t)) {
            let (toks, next) = match toks.split_last() {
                Some((last, rest)) if last.kind == TokenKind::Semi => (rest, last.end),
                _ => (toks, begin),
            };
            if !toks.is_empty() {
                stmts.push(StatementTokens {
                    src: self.src,
                    toks,
                    begin,
                });
            }
            begin = next;
        }
        stmts
    }
}

/// Words after which a statement of a body may begin.
pub(super) const OPENERS: &[&str] = &["begin", "then", "else", "do", "loop", "repeat", "row"];

/// Follows the tokens of one statement, and knows whether a semicolon ends it.
struct StatementCut<'a> {
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
    fn new(src: &'a str, dialect: Dialect) -> StatementCut<'a> {
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
    fn separates(&mut self, tok: Tok) -> bool {
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
