//! Characters that a reader does not see, or takes for a space: one list for names, texts and pages. `src/web/dom.js` has
//! it in its own language, and a test holds them equal.

/// Whether `c` is a control character that text does not need; `next` tells CRLF from a lone CR.
pub fn is_control(c: char, next: Option<char>) -> bool {
    match c {
        '\t' | '\n' => false,
        '\r' => next != Some('\n'),
        c => c.is_control(),
    }
}

/// Whether `c` shows nothing of itself, or turns the direction of what follows.
pub fn is_invisible(c: char) -> bool {
    is_variation(c)
        || matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `c` only varies how the character before it is drawn, as in emoji.
pub fn is_variation(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}')
}

/// Whether `c` is a space to a reader and none to a database, to which it is a letter.
pub fn is_blank(c: char) -> bool {
    !c.is_ascii() && c.is_whitespace() && !c.is_control() && !is_invisible(c)
}
