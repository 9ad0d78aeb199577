//! A message for an incoming webhook of Slack, by Block Kit.

use super::card::Card;
use super::{AskedPerson, NotificationFacts};
use crate::outbound::clip::{clip, code, html, line, plain, short};
use serde_json::{Value, json};

/// Slack's limits are 150 characters a header, 2,000 a field and 3,000 a text; bytes are at least as many.
const HEADER_MAX: usize = 140;
const FIELD_MAX: usize = 1_800;
const DETAIL_MAX: usize = 2_800;
/// A name of somebody who is asked; there are at most twenty.
const NAME_MAX: usize = 100;
/// Fields of one section.
const FIELDS_MAX: usize = 10;

pub(super) fn message(facts: &NotificationFacts) -> Value {
    let card = Card::new(facts);
    let header = short(&card.headline(), HEADER_MAX, plain);
    let fields: Vec<Value> = card
        .lines
        .iter()
        .take(FIELDS_MAX)
        .map(|(label, value)| {
            let value = short(value, FIELD_MAX, html);
            json!({"type": "mrkdwn", "verbatim": true, "text": format!("*{label}*\n{value}")})
        })
        .collect();
    let mut blocks =
        vec![json!({"type": "header", "text": {"type": "plain_text", "text": header}})];
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if let Some(detail) = &card.detail {
        let clipped = clip(detail, DETAIL_MAX, code);
        blocks.push(section(&format!("```{}```", clipped.text)));
        if let Some(note) = clipped.note(card.detail_truncated) {
            blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true, "text": note}]}));
        }
    }
    if !facts.asked.is_empty() {
        let people: Vec<String> = facts.asked.iter().map(mention).collect();
        blocks.push(section(&format!("Asked: {}", people.join(", "))));
    }
    if let Some(url) = card.url {
        blocks.push(section(&format!("<{url}|Open the request>")));
    }
    json!({"text": short(&card.headline(), HEADER_MAX, html), "blocks": blocks})
}

/// A mention of somebody with an account, else their id.
fn mention(person: &AskedPerson) -> String {
    match &person.slack_user_id {
        Some(account) => format!("<@{account}>"),
        None => short(&person.id, NAME_MAX, line),
    }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": text}})
}
