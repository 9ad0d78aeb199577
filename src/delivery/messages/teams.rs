//! An Adaptive Card, as the Workflows webhooks of Microsoft Teams post it.
//!
//! All texts of others are runs of a rich text block, which knows no markup, so that none can be a link.

use super::card::Card;
use super::{AskedPerson, NotificationFacts};
use crate::outbound::clip::{clip, plain, short};
use serde_json::{Value, json};

/// Teams takes 28 KB in all.
const TITLE_MAX: usize = 300;
const VALUE_MAX: usize = 1_000;
const DETAIL_MAX: usize = 12_000;
/// Bytes of the name of somebody who is asked; there are at most twenty, each three times.
const NAME_BYTES_MAX: usize = 40;

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
    let (text, entities) = asked(&facts.asked);
    if !text.is_empty() {
        body.push(json!({"type": "TextBlock", "text": text, "wrap": true}));
    }
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
                "msteams": {"entities": entities},
            },
        }],
    })
}

/// The line that addresses those who are asked, and what makes mentions of it. The line knows markup, unlike the others:
/// a name stands there with what cannot be markup only.
fn asked(people: &[AskedPerson]) -> (String, Vec<Value>) {
    let (mut names, mut entities) = (Vec::new(), Vec::new());
    for person in people {
        let is_plain = |c: char| c.is_alphanumeric() || ".-@".contains(c);
        let plain_name = |c: char| if is_plain(c) { c } else { ' ' };
        let end = person.id.floor_char_boundary(NAME_BYTES_MAX);
        let name: String = person.id[..end].chars().map(plain_name).collect();
        match &person.email {
            // The address is the person's user principal name there, or the message shows the name alone.
            Some(email) => {
                let text = format!("<at>{name}</at>");
                let mentioned = json!({"id": email, "name": name});
                entities.push(json!({"type": "mention", "text": text, "mentioned": mentioned}));
                names.push(text);
            }
            None => names.push(name),
        }
    }
    let text = match names.is_empty() {
        true => String::new(),
        false => format!("Asked: {}", names.join(", ")),
    };
    (text, entities)
}

fn rich(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}
