//! An Adaptive Card, as the Workflows webhooks of Microsoft Teams post it.
//!
//! All texts of others are runs of a rich text block, which knows no markup, so that none can be a link.

use super::NotificationFacts;
use super::card::Card;
use crate::outbound::clip::{clip, plain, short};
use serde_json::{Value, json};

/// Teams takes 28 KB in all.
const TITLE_MAX: usize = 300;
const VALUE_MAX: usize = 1_000;
const DETAIL_MAX: usize = 12_000;

pub(super) fn message(facts: &NotificationFacts) -> Value {
    let card = Card::new(facts);
    let mut body = vec![rich(vec![json!({
        "type": "TextRun", "text": short(&card.headline(), TITLE_MAX, plain), "size": "Large", "weight": "Bolder",
    })])];
    body.extend(card.lines.iter().map(|(label, value)| {
        rich(vec![
            json!({"type": "TextRun", "text": format!("{label}: "), "weight": "Bolder"}),
            json!({"type": "TextRun", "text": short(value, VALUE_MAX, plain)}),
        ])
    }));
    if let Some(detail) = &card.detail {
        let clipped = clip(detail, DETAIL_MAX, plain);
        let note = clipped.note(card.detail_truncated);
        body.push(rich(vec![
            json!({"type": "TextRun", "text": clipped.text, "fontType": "Monospace"}),
        ]));
        body.extend(note.map(|note| {
            rich(vec![
                json!({"type": "TextRun", "text": note, "isSubtle": true}),
            ])
        }));
    }
    let actions: Vec<Value> = card
        .url
        .iter()
        .map(|url| json!({"type": "Action.OpenUrl", "title": "Open the request", "url": url}))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
                "actions": actions,
            },
        }],
    })
}

fn rich(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}
