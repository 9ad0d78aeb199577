//! A notification as mail: plain text, and the same as simple HTML.

use super::NotificationFacts;
use super::card::Card;
use crate::domain::policy::notification::ESCALATED;
use crate::outbound::clip::{clip, plain, short};
use std::fmt::Write as _;

/// A line of a mail's subject, and a value; longer ones are cut.
const SUBJECT_MAX: usize = 200;
const VALUE_MAX: usize = 2_000;
const DETAIL_MAX: usize = 100_000;

/// What a mail says.
pub(in crate::delivery) struct Letter {
    pub(in crate::delivery) subject: String,
    pub(in crate::delivery) text: String,
    pub(in crate::delivery) html: String,
}

/// The mail for `person`.
pub(in crate::delivery) fn letter(facts: &NotificationFacts, person: &str) -> Letter {
    let card = Card::new(facts);
    let headline = short(&card.headline(), SUBJECT_MAX, plain);
    let mut text = format!("{headline}\n\n");
    let mut html = format!("<p><strong>{}</strong></p>\n<p>", escaped(&headline));
    for (label, value) in &card.lines {
        let value = short(value, VALUE_MAX, plain);
        let _ = writeln!(text, "{label}: {value}");
        let _ = writeln!(html, "{label}: {}<br>", escaped(&value));
    }
    html.push_str("</p>\n");
    if let Some(detail) = &card.detail {
        let clipped = clip(detail, DETAIL_MAX, plain);
        // Indented, so that no line of it looks like one of ours.
        let _ = writeln!(text, "\n    {}", clipped.text.replace('\n', "\n    "));
        let _ = writeln!(html, "<pre>{}</pre>", escaped(&clipped.text));
        if let Some(note) = clipped.note(card.detail_truncated) {
            let _ = writeln!(text, "({note})");
            let _ = writeln!(html, "<p>({note})</p>");
        }
    }
    if let Some(url) = card.url {
        let _ = writeln!(text, "\nOpen the request: {url}");
        let _ = writeln!(
            html,
            "<p><a href=\"{}\">Open the request</a></p>",
            escaped(url)
        );
    }
    let why = match facts.text("event") {
        _ if facts.text("requester") == Some(person) => {
            "You receive this because the request is yours."
        }
        Some("webhook.tested") => "You receive this because you asked for a test message.",
        Some("user.updated") => {
            "You receive this because the account acts as you in dbward. If it is not yours, tell your administrators at once."
        }
        Some(ESCALATED) => "You receive this because the request is overdue.",
        _ => "You receive this because you may approve the request.",
    };
    let _ = writeln!(text, "\n{why}");
    let _ = writeln!(html, "<p>{why}</p>");
    Letter {
        subject: format!("[dbward] {headline}"),
        text,
        html,
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mail_says_what_happened_and_why_it_came() {
        let reason = "\"quoted\" & more\r\n\nOpen the request: https://evil.example";
        let facts = facts(json!({"detail": "SELECT '<b>'\nRisk: low", "reason": reason}));
        let mine = letter(&facts, "requester");
        assert_eq!(mine.subject, "[dbward] Approval needed: shop/production");
        for part in [
            // What people write begins no line of its own.
            "Reason: \"quoted\" & more   Open the request: https://evil.example\n",
            "\n    SELECT '<b>'\n    Risk: low\n",
            "Open the request: https://dbward.example.com/requests/0b54-request",
            "the request is yours",
        ] {
            assert!(mine.text.contains(part), "{}", mine.text);
        }
        assert!(mine.html.contains("&lt;b&gt;") && !mine.html.contains("<b>"));
        assert!(mine.html.contains("&quot;quoted&quot; &amp; more"));
        assert!(letter(&facts, "approver").text.contains("you may approve"));
    }
}
