//! The parts that dialogs of the Slack app are made of, each within Slack's limits.

use crate::domain::sql::escaped_exactly;
use serde_json::{Value, json};

/// Characters of one block; Slack has 3,000.
pub(super) const BLOCK_CHARS: usize = 2_900;
/// Longest value of a line, in bytes.
pub(super) const VALUE_MAX: usize = 600;

/// A text as preformatted blocks, and whether that is all of it.
pub(super) fn code(text: &str, chars_max: usize) -> (Vec<Value>, bool) {
    let total = text.chars().count();
    let shown: String = text.chars().take(chars_max).collect();
    let is_whole = total <= chars_max;
    let mut blocks: Vec<Value> = chunks(&escaped_exactly(&shown))
        .into_iter()
        .map(|chunk| {
            let text = json!({"type": "text", "text": chunk});
            json!({"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text]}]})
        })
        .collect();
    if !is_whole {
        blocks.push(context(&format!("{chars_max} of {total} characters")));
    }
    (blocks, is_whole)
}

/// A text in parts of one block each, counted as Slack counts: some characters twice.
fn chunks(text: &str) -> Vec<String> {
    let (mut chunks, mut used) = (Vec::new(), BLOCK_CHARS);
    for c in text.chars() {
        used += c.len_utf16();
        if used > BLOCK_CHARS {
            chunks.push(String::new());
            used = c.len_utf16();
        }
        if let Some(last) = chunks.last_mut() {
            last.push(c);
        }
    }
    chunks
}

pub(super) fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": text}})
}

pub(super) fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true, "text": text}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN_MAX: usize = 5 * BLOCK_CHARS;

    #[test]
    fn a_statement_is_whole_or_says_how_much_it_shows() {
        let (blocks, is_whole) = code(&"x".repeat(BLOCK_CHARS + 1), SHOWN_MAX);
        assert_eq!((blocks.len(), is_whole), (2, true));
        let (blocks, is_whole) = code(&"ä".repeat(SHOWN_MAX + 1), SHOWN_MAX);
        assert_eq!((blocks.len(), is_whole), (6, false));
        assert_eq!(
            blocks[5]["elements"][0]["text"],
            "14500 of 14501 characters"
        );
        for block in &blocks[..5] {
            let text = block["elements"][0]["elements"][0]["text"]
                .as_str()
                .unwrap();
            assert!(text.chars().count() <= 3_000);
        }
    }

    #[test]
    fn characters_that_slack_counts_twice_fit_into_a_block() {
        let text = format!("x{}", "😀".repeat(BLOCK_CHARS));
        let (blocks, is_whole) = code(&text, SHOWN_MAX);
        let shown: Vec<&str> = blocks
            .iter()
            .map(|b| b["elements"][0]["elements"][0]["text"].as_str().unwrap())
            .collect();
        assert!(is_whole && shown.concat() == text);
        let counts = shown.iter().map(|text| text.encode_utf16().count());
        assert!(counts.max().unwrap() <= BLOCK_CHARS);
    }

    #[test]
    fn what_nobody_sees_is_shown_in_a_statement() {
        let (blocks, _) = code("SELECT '\u{202e}`<!channel>`'", SHOWN_MAX);
        let text = &blocks[0]["elements"][0]["elements"][0]["text"];
        assert_eq!(text, "SELECT '\\u{202e}`<!channel>`'");
    }
}
