//! Characters that lie: what a reader of the text does not see, or takes for something else.

use super::rules::{Finding, ReviewRule};
use super::token::{Lexed, StatementTokens, TokenKind};
use crate::domain::characters::{is_blank, is_control, is_invisible, is_variation};
use std::borrow::Cow;
use std::collections::HashMap;
use unicode_security::MixedScript;
use unicode_security::confusable_detection::skeleton;

/// Findings of one text, at most: one is enough to look at it again.
const FINDINGS_MAX: usize = 20;

/// Characters that nobody sees, with what they are called.
const NAMED: &[(char, &str)] = &[
    ('\r', "carriage return without a line feed"),
    ('\u{1b}', "escape"),
    ('\u{a0}', "no-break space"),
    ('\u{ad}', "soft hyphen"),
    ('\u{34f}', "combining grapheme joiner"),
    ('\u{61c}', "Arabic letter mark"),
    ('\u{2009}', "thin space"),
    ('\u{200b}', "zero-width space"),
    ('\u{200c}', "zero-width non-joiner"),
    ('\u{200d}', "zero-width joiner"),
    ('\u{200e}', "left-to-right mark"),
    ('\u{200f}', "right-to-left mark"),
    ('\u{202a}', "left-to-right embedding"),
    ('\u{202b}', "right-to-left embedding"),
    ('\u{202c}', "pop directional formatting"),
    ('\u{202d}', "left-to-right override"),
    ('\u{202e}', "right-to-left override"),
    ('\u{202f}', "narrow no-break space"),
    ('\u{2060}', "word joiner"),
    ('\u{2066}', "left-to-right isolate"),
    ('\u{2067}', "right-to-left isolate"),
    ('\u{2068}', "first strong isolate"),
    ('\u{2069}', "pop directional isolate"),
    ('\u{2800}', "blank of Braille"),
    ('\u{3000}', "ideographic space"),
    ('\u{feff}', "byte order mark"),
];

/// Whether a reader sees nothing at all of a text.
pub fn shows_nothing(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

/// The text with what nobody sees written as `\u{202e}`; borrowed where there is nothing of the kind.
pub fn escaped(text: &str) -> Cow<'_, str> {
    written_out(text, is_invisible)
}

/// The same of what a database reads or returns, where a blank that is not one of ASCII is written as `\u{a0}` too.
pub fn escaped_exactly(text: &str) -> Cow<'_, str> {
    written_out(text, |c| is_invisible(c) || is_blank(c))
}

fn written_out(text: &str, is_hidden: fn(char) -> bool) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if is_control(c, chars.peek().copied()) || is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Printable ASCII, tabs and line ends: most texts are nothing else.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(i, b)| match b {
        b'\t' | b'\n' | b' '..=b'~' => true,
        b'\r' => bytes.get(i + 1) == Some(&b'\n'),
        _ => false,
    })
}

/// Findings about the characters of a text.
pub(super) fn review(lexed: &Lexed<'_>, stmts: &[StatementTokens<'_>]) -> Vec<Finding> {
    if is_plain(lexed.src) {
        return Vec::new();
    }
    let mut findings = hidden(lexed, stmts);
    findings.extend(confusable(stmts));
    findings.truncate(FINDINGS_MAX);
    findings
}

fn hidden(lexed: &Lexed<'_>, stmts: &[StatementTokens<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tokens = lexed.toks.iter().peekable();
    let (mut line, mut column) = (1, 1);
    // Where a literal has opened embeddings and isolates that it has not closed.
    let mut open: Vec<Place> = Vec::new();
    let mut chars = lexed.src.char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        let here = Place {
            offset,
            line,
            column,
            c,
        };
        if c == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
        while tokens.next_if(|t| t.end <= offset).is_some() {
            found.append(&mut open);
        }
        let token = tokens.peek().filter(|t| t.start <= offset);
        let kind = token.map(|t| t.kind);
        let in_literal = kind == Some(TokenKind::Str);
        let next = chars.peek().map(|(_, c)| *c);
        match c {
            _ if is_control(c, next) => found.push(here),
            '\u{202d}' | '\u{202e}' if in_literal => found.push(here),
            '\u{202a}' | '\u{202b}' | '\u{2066}'..='\u{2068}' if in_literal => open.push(here),
            '\u{202c}' | '\u{2069}' if in_literal => {
                open.pop();
            }
            // In a comment it makes an emoji of the character before it.
            _ if kind.is_none() && is_variation(c) => {}
            _ if !in_literal && is_invisible(c) => found.push(here),
            // The letter of a name that reads as the space after it.
            _ if kind == Some(TokenKind::Word) && is_blank(c) => found.push(here),
            _ => {}
        }
        if found.len() >= FINDINGS_MAX {
            break;
        }
    }
    found.append(&mut open);
    found.iter().map(|place| place.finding(stmts)).collect()
}

struct Place {
    offset: usize,
    line: u64,
    column: u64,
    c: char,
}

impl Place {
    fn finding(&self, stmts: &[StatementTokens<'_>]) -> Finding {
        let before = stmts.iter().filter(|p| p.begin <= self.offset).count();
        let mut finding = Finding::new(
            ReviewRule::HiddenCharacters,
            before.max(1),
            self.line,
            self.column,
        );
        finding.offset = self.offset;
        let name = NAMED.iter().find(|(c, _)| *c == self.c);
        let name = name.map_or_else(String::new, |(_, name)| format!(" ({name})"));
        finding.message = format!("Hidden character U+{:04X}{name}", u32::from(self.c));
        finding
    }
}

/// Names that mix scripts, that look like ASCII and are not, or that look like another name of the text.
fn confusable(stmts: &[StatementTokens<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut looks: HashMap<String, String> = HashMap::new();
    for (number, stmt) in stmts.iter().enumerate() {
        for i in 0..stmt.toks.len() {
            let tok = stmt.toks[i];
            let is_name = matches!(tok.kind, TokenKind::Word | TokenKind::Quoted);
            if !is_name || stmt.text(i).is_ascii() {
                continue;
            }
            let name = stmt.name(i).to_lowercase();
            // Hidden characters in it are findings of their own.
            if name.contains(is_invisible)
                || (tok.kind == TokenKind::Word && name.contains(is_blank))
            {
                continue;
            }
            let look: String = skeleton(&name).collect();
            let message = if look.is_ascii() {
                Some(format!("Identifier that looks like `{look}` and is not"))
            } else if !name.as_str().is_single_script() {
                Some("Identifier of letters of several scripts".to_owned())
            } else {
                let first = looks.entry(look).or_insert_with(|| name.clone());
                (*first != name).then(|| "Identifier that looks like another one".to_owned())
            };
            if let Some(message) = message {
                let mut finding = Finding::new(
                    ReviewRule::ConfusableIdentifier,
                    number + 1,
                    tok.line,
                    tok.column,
                );
                finding.offset = tok.start;
                finding.message = message;
                found.push(finding);
            }
            if found.len() >= FINDINGS_MAX {
                return found;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dialect::Dialect;
    use crate::domain::sql::analyze;

    fn found(sql: &str) -> Vec<String> {
        let analysis = analyze(sql, Dialect::Postgres).unwrap();
        let of_characters = analysis.findings.iter().filter(|f| {
            matches!(
                f.rule,
                ReviewRule::HiddenCharacters | ReviewRule::ConfusableIdentifier
            )
        });
        of_characters
            .map(|f| {
                format!(
                    "{} {} at {} ({}:{})",
                    f.rule.as_str(),
                    f.message,
                    f.offset,
                    f.line,
                    f.column
                )
            })
            .collect()
    }

    #[test]
    fn ordinary_international_text_is_not_a_finding() {
        for sql in [
            "SELECT 'مرحبا', 'שלום\u{200f}', '日本語', 'naïve', '👩\u{200d}💻', 'क\u{94d}\u{200d}ष' FROM t",
            "SELECT '\u{2067}שלום\u{2069} abc' FROM t",
            "SELECT größe, имя, 名前 FROM таблица -- größe",
            "SELECT 'a\tb\r\nc'\r\nFROM t",
            "SELECT '東京\u{3000}大阪', '12\u{a0}%', '❤\u{fe0f}' FROM \"名\u{3000}前\" -- ⚠\u{fe0f}\u{a0}: gr\u{202f}oß",
        ] {
            assert_eq!(found(sql), [""; 0], "{sql:?}");
        }
    }

    #[test]
    fn characters_that_lie_are_found_where_they_stand() {
        for (sql, expected) in [
            (
                "SELECT 1 -- \u{202e} x",
                "hidden_characters Hidden character U+202E (right-to-left override) at 12 (1:13)",
            ),
            (
                "SELECT '\u{202e}'",
                "hidden_characters Hidden character U+202E (right-to-left override) at 8 (1:9)",
            ),
            (
                "SELECT '\u{2067}' FROM t",
                "hidden_characters Hidden character U+2067 (right-to-left isolate) at 8 (1:9)",
            ),
            (
                "SELECT a\u{200b} FROM t",
                "hidden_characters Hidden character U+200B (zero-width space) at 8 (1:9)",
            ),
            (
                "SELECT 1 /* \u{e0041} */",
                "hidden_characters Hidden character U+E0041 at 12 (1:13)",
            ),
            (
                "SELECT '\u{1b}[2K'",
                "hidden_characters Hidden character U+001B (escape) at 8 (1:9)",
            ),
            (
                "SELECT 1;\nSELECT 1 -- a\rDROP",
                "hidden_characters Hidden character U+000D (carriage return without a line feed) at 23 (2:14)",
            ),
            (
                "DELETE FROM t WHERE\u{a0}old",
                "hidden_characters Hidden character U+00A0 (no-break space) at 19 (1:20)",
            ),
            (
                "SELECT a\u{3000}FROM t",
                "hidden_characters Hidden character U+3000 (ideographic space) at 8 (1:9)",
            ),
            (
                "SELECT a\u{2800} FROM t",
                "hidden_characters Hidden character U+2800 (blank of Braille) at 8 (1:9)",
            ),
            (
                "SELECT a\u{fe0f} FROM t",
                "hidden_characters Hidden character U+FE0F at 8 (1:9)",
            ),
            (
                "SELECT 1 -- \u{1d173}",
                "hidden_characters Hidden character U+1D173 at 12 (1:13)",
            ),
            (
                "SELECT 1 /* \u{9b} */",
                "hidden_characters Hidden character U+009B at 12 (1:13)",
            ),
            (
                "SELECT p\u{430}y FROM t",
                "confusable_identifier Identifier that looks like `pay` and is not at 7 (1:8)",
            ),
        ] {
            assert_eq!(found(sql), [expected], "{sql:?}");
        }
    }

    #[test]
    fn a_text_is_shown_with_what_nobody_sees() {
        assert_eq!(escaped("SELECT 1\r\n\t-- é"), "SELECT 1\r\n\t-- é");
        assert_eq!(escaped("a\u{202e}b\u{1b}\r"), "a\\u{202e}b\\u{1b}\\u{d}");
        // A blank is a blank to whom it is written, and not to a database.
        assert_eq!(escaped("12\u{a0}% \u{2800}"), "12\u{a0}% \\u{2800}");
        assert_eq!(escaped_exactly("12\u{a0}%\r"), "12\\u{a0}%\\u{d}");
    }
}
