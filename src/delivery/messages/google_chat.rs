//! A card of Google Chat, version 2, as its incoming webhooks post it.

use super::NotificationFacts;
use super::card::Card;
use crate::outbound::clip::{clip, html, plain, short};
use serde_json::{Value, json};

/// Google Chat takes 32,000 bytes in all.
const TITLE_MAX: usize = 300;
const VALUE_MAX: usize = 1_000;
const DETAIL_MAX: usize = 12_000;
/// A name of somebody who is asked; there are at most twenty.
const NAME_MAX: usize = 100;

pub(super) fn message(facts: &NotificationFacts) -> Value {
    let card = Card::new(facts);
    let mut widgets: Vec<Value> = card
        .lines
        .iter()
        .map(|(label, value)| {
            json!({"decoratedText": {"topLabel": label, "text": short(value, VALUE_MAX, html), "wrapText": true}})
        })
        .collect();
    if !facts.asked.is_empty() {
        // A mention needs an account's number there, which nobody tells us.
        let names = facts
            .asked
            .iter()
            .map(|person| short(&person.id, NAME_MAX, html));
        let names: Vec<String> = names.collect();
        widgets.push(json!({"decoratedText": {"topLabel": "Asked", "text": names.join(", "), "wrapText": true}}));
    }
    if let Some(detail) = &card.detail {
        let clipped = clip(detail, DETAIL_MAX, html);
        let note = clipped.note(card.detail_truncated);
        widgets.push(json!({"textParagraph": {"text": clipped.text}}));
        widgets
            .extend(note.map(|note| json!({"textParagraph": {"text": format!("<i>{note}</i>")}})));
    }
    if let Some(url) = card.url {
        widgets.push(json!({"buttonList": {"buttons": [
            {"text": "Open the request", "onClick": {"openLink": {"url": url}}}
        ]}}));
    }
    json!({
        "cardsV2": [{
            "cardId": facts.text("delivery_id").unwrap_or("dbward"),
            "card": {
                "header": {"title": short(&card.headline(), TITLE_MAX, plain)},
                "sections": [{"widgets": widgets}],
            },
        }],
    })
}
