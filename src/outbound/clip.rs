//! Cuts texts to a limit, between characters, after what escapes make of them.

/// A text within its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clipped {
    pub text: String,
    /// Characters that it shows.
    pub kept: usize,
    /// Characters that there were.
    pub total: usize,
}

impl Clipped {
    pub fn is_cut(&self) -> bool {
        self.kept < self.total
    }

    /// What a reader of a cut text is to know. `more` is set where the text was cut before already.
    pub fn note(&self, more: bool) -> Option<String> {
        match (self.is_cut(), more) {
            (false, false) => None,
            (_, true) => Some(format!("only the first {} characters are shown", self.kept)),
            (true, false) => Some(format!(
                "only {} of {} characters are shown",
                self.kept, self.total
            )),
        }
    }
}

/// How a character is written.
pub type Escape = fn(char, &mut String);

pub fn plain(c: char, out: &mut String) {
    out.push(c);
}

/// For Slack, and for text with a little HTML.
pub fn html(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

/// For one line of Slack's: nothing in it is a mention, a link, code or another line.
pub fn line(c: char, out: &mut String) {
    match c {
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
        '`' => out.push('\''),
        c => html(c, out),
    }
}

/// The same within a block of code of Slack, which a back-tick would end.
pub fn code(c: char, out: &mut String) {
    html(if c == '`' { '\'' } else { c }, out);
}

/// As much of `text` as fits into `most` bytes, counted as they stand in JSON, where some characters take six.
pub fn clip(text: &str, most: usize, escape: Escape) -> Clipped {
    let mut clipped = Clipped {
        text: String::with_capacity(text.len().min(most)),
        kept: 0,
        total: text.chars().count(),
    };
    let mut used = 0;
    for c in text.chars() {
        let start = clipped.text.len();
        escape(c, &mut clipped.text);
        used += json_bytes(&clipped.text[start..]);
        if used > most {
            clipped.text.truncate(start);
            break;
        }
        clipped.kept += 1;
    }
    clipped
}

/// The same with an ellipsis where something was cut off.
pub fn short(text: &str, most: usize, escape: Escape) -> String {
    let mut clipped = clip(text, most, escape);
    if clipped.is_cut() {
        clipped.text.push('…');
    }
    clipped.text
}

fn json_bytes(text: &str) -> usize {
    let one = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    };
    text.chars().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_fall_between_characters_and_escapes() {
        for (text, most, escape, want) in [
            ("abc", 3, plain as Escape, "abc"),
            ("abcd", 3, plain, "abc"),
            ("äöü", 4, plain, "äö"),
            ("äöü", 5, plain, "äö"),
            ("a&b", 5, html, "a"),
            ("a&b", 6, html, "a&amp;"),
            ("a\"b", 2, plain, "a"),
            ("\u{1}b", 6, plain, "\u{1}"),
            ("`", 9, code, "'"),
            ("", 0, plain, ""),
        ] {
            assert_eq!(clip(text, most, escape).text, want, "{text:?} {most}");
        }
        assert_eq!(short("abcd", 3, plain), "abc…");
        let cut = clip("abcd", 3, plain);
        assert_eq!(cut.note(false).unwrap(), "only 3 of 4 characters are shown");
        assert_eq!(
            cut.note(true).unwrap(),
            "only the first 3 characters are shown"
        );
        assert_eq!(clip("abc", 3, plain).note(false), None);
    }
}
