//! The limits of Slack that messages and dialogs must keep, as its documentation of Block Kit and of its methods states
//! them. Lengths are counted as Slack does, in UTF-16.

use serde_json::Value;
use std::collections::BTreeSet;

/// Blocks of a message and of a dialog, and elements of a row of buttons and of a line of context.
const MESSAGE_BLOCKS: usize = 50;
const MODAL_BLOCKS: usize = 100;
const ACTIONS: usize = 25;
const CONTEXT_ELEMENTS: usize = 10;
const FIELDS: usize = 10;
const OPTIONS: usize = 100;
const RADIO_OPTIONS: usize = 10;
/// Lengths.
const MESSAGE_TEXT: usize = 40_000;
const TEXT: usize = 3_000;
const FIELD: usize = 2_000;
const HEADER: usize = 150;
const BUTTON: usize = 75;
const OPTION_VALUE: usize = 150;
const VALUE: usize = 2_000;
const TITLE: usize = 24;
const PLACEHOLDER: usize = 150;
const ID: usize = 255;
const METADATA: usize = 3_000;

/// What of a call Slack refuses: its error, and where. What it would show as something else than was written, a name as
/// a mention of everybody, counts too.
pub(super) fn offences(method: &str, body: &Value) -> Vec<(&'static str, String)> {
    match method {
        "chat.postMessage" | "chat.update" => message(body),
        "chat.postEphemeral" => message(body),
        "views.open" | "views.update" => modal(method, body),
        _ => Vec::new(),
    }
}

fn message(body: &Value) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if body["channel"].as_str().is_none_or(str::is_empty) {
        found.push(("channel_not_found", "no channel".to_owned()));
    }
    match body["text"].as_str() {
        None | Some("") => found.push(("no_text", "no text".to_owned())),
        Some(text) if length(text) > MESSAGE_TEXT => {
            found.push(("msg_too_long", "text".to_owned()));
        }
        Some(text) => found.extend(marked_up(text, "text").map(|what| ("invalid_blocks", what))),
    }
    let mut checked = Checked::default();
    checked.blocks(&body["blocks"], MESSAGE_BLOCKS);
    if checked.has_input {
        checked.note("an input in a message");
    }
    found.extend(
        checked
            .found
            .into_iter()
            .map(|what| ("invalid_blocks", what)),
    );
    found
}

fn modal(method: &str, body: &Value) -> Vec<(&'static str, String)> {
    let view = &body["view"];
    let mut checked = Checked::default();
    if view["type"] != "modal" || view["title"].is_null() {
        checked.note("not a modal with a title");
    }
    checked.plain(&view["title"], TITLE, "title");
    for name in ["submit", "close"] {
        if !view[name].is_null() {
            checked.plain(&view[name], TITLE, name);
        }
    }
    checked.short(&view["private_metadata"], METADATA, "private_metadata");
    checked.short(&view["callback_id"], ID, "callback_id");
    if method == "views.open" && body["trigger_id"].as_str().is_none_or(str::is_empty) {
        checked.note("no trigger_id");
    }
    checked.blocks(&view["blocks"], MODAL_BLOCKS);
    if view["blocks"].as_array().is_none_or(Vec::is_empty) {
        checked.note("no blocks");
    }
    if checked.has_input && view["submit"].is_null() {
        checked.note("inputs without submit");
    }
    checked
        .found
        .into_iter()
        .map(|what| ("invalid_arguments", what))
        .collect()
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What of a text in Slack's markup is read as something else than its characters, but for mentions of people and links.
fn marked_up(text: &str, place: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>']) {
        let from = &rest[at..];
        let known = ["&amp;", "&lt;", "&gt;"]
            .into_iter()
            .find(|e| from.starts_with(e));
        let end = match known {
            Some(entity) => entity.len(),
            None => {
                let link = from.strip_prefix('<').and_then(|f| f.split_once('>'));
                let Some((inside, _)) = link.filter(|(inside, _)| is_link(inside)) else {
                    return Some(format!("{place} is not escaped: {from}"));
                };
                inside.len() + 2
            }
        };
        rest = &from[end..];
    }
    None
}

fn is_link(inside: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let is_person = inside
        .strip_prefix('@')
        .is_some_and(|id| id.starts_with(['U', 'W']) && id.bytes().all(plain));
    let is_web = inside.starts_with("https://") || inside.starts_with("http://");
    let is_channel = inside.starts_with("#C") && inside.bytes().skip(1).all(plain);
    is_person || is_channel || (is_web && !inside.contains('<'))
}

#[derive(Default)]
struct Checked {
    found: Vec<String>,
    has_input: bool,
}

impl Checked {
    fn note(&mut self, what: &str) {
        self.found.push(what.to_owned());
    }

    /// A text that may be missing.
    fn short(&mut self, text: &Value, most: usize, what: &str) {
        match text {
            Value::Null => {}
            Value::String(text) if (1..=most).contains(&length(text)) => {}
            _ => self
                .found
                .push(format!("{what} is not a text of 1 to {most}")),
        }
    }

    fn plain(&mut self, text: &Value, most: usize, what: &str) {
        if text["type"] != "plain_text" || text["text"].is_null() {
            self.found.push(format!("{what} is not plain_text"));
        }
        self.short(&text["text"], most, what);
    }

    fn markup(&mut self, text: &Value, most: usize, what: &str) {
        if text["type"] == "plain_text" {
            return self.plain(text, most, what);
        }
        if text["type"] != "mrkdwn" || text["text"].is_null() {
            self.found.push(format!("{what} is not a text"));
        }
        self.short(&text["text"], most, what);
        self.found
            .extend(marked_up(text["text"].as_str().unwrap_or_default(), what));
    }

    /// An id that must be short, and no other's.
    fn id(&mut self, id: &Value, seen: &mut BTreeSet<String>, what: &str) {
        self.short(id, ID, what);
        if let Some(id) = id.as_str()
            && !seen.insert(id.to_owned())
        {
            self.found.push(format!("{what} {id} twice"));
        }
    }

    fn blocks(&mut self, blocks: &Value, most: usize) {
        let blocks = blocks.as_array().map_or(&[][..], Vec::as_slice);
        if blocks.len() > most {
            self.found.push(format!("{} blocks", blocks.len()));
        }
        let mut ids = BTreeSet::new();
        for block in blocks {
            self.id(&block["block_id"], &mut ids, "block_id");
            match block["type"].as_str().unwrap_or_default() {
                "header" => self.plain(&block["text"], HEADER, "header"),
                "section" => self.section(block),
                "context" => self.context(block),
                "actions" => self.actions(block),
                "input" => self.input(block),
                "rich_text" => self.rich_text(block),
                "divider" => {}
                other => self.found.push(format!("a block of type {other}")),
            }
        }
    }

    fn section(&mut self, block: &Value) {
        let fields = block["fields"].as_array();
        if !block["text"].is_null() {
            self.markup(&block["text"], TEXT, "section");
        } else if fields.is_none_or(Vec::is_empty) {
            self.note("a section of nothing");
        }
        if fields.is_some_and(|fields| fields.len() > FIELDS) {
            self.note("too many fields");
        }
        for field in fields.into_iter().flatten() {
            self.markup(field, FIELD, "field");
        }
    }

    fn context(&mut self, block: &Value) {
        let elements = block["elements"].as_array().map_or(&[][..], Vec::as_slice);
        if !(1..=CONTEXT_ELEMENTS).contains(&elements.len()) {
            self.note("elements of a context");
        }
        for element in elements {
            self.markup(element, FIELD, "context");
        }
    }

    fn actions(&mut self, block: &Value) {
        let elements = block["elements"].as_array().map_or(&[][..], Vec::as_slice);
        if !(1..=ACTIONS).contains(&elements.len()) {
            self.note("elements of actions");
        }
        let mut ids = BTreeSet::new();
        for element in elements {
            self.id(&element["action_id"], &mut ids, "action_id");
            if element["type"] != "button" {
                self.note("an action that is not a button");
            }
            self.plain(&element["text"], BUTTON, "button");
            self.short(&element["value"], VALUE, "value of a button");
            self.short(&element["url"], VALUE, "url of a button");
            let style = element["style"].as_str();
            if style.is_some_and(|style| style != "primary" && style != "danger") {
                self.note("style of a button");
            }
        }
    }

    fn input(&mut self, block: &Value) {
        self.has_input = true;
        self.plain(&block["label"], FIELD, "label");
        let element = &block["element"];
        self.short(&element["action_id"], ID, "action_id");
        if !element["placeholder"].is_null() {
            self.plain(&element["placeholder"], PLACEHOLDER, "placeholder");
        }
        let options = match element["type"].as_str().unwrap_or_default() {
            "plain_text_input" => {
                let most = element["max_length"].as_u64();
                if most.is_some_and(|most| !(1..=3_000).contains(&most)) {
                    self.note("max_length");
                }
                return;
            }
            "static_select" => OPTIONS,
            "radio_buttons" => RADIO_OPTIONS,
            other => return self.found.push(format!("an input of type {other}")),
        };
        let all = element["options"].as_array().map_or(&[][..], Vec::as_slice);
        if !(1..=options).contains(&all.len()) {
            self.found.push(format!("{} options", all.len()));
        }
        for option in all {
            self.plain(&option["text"], BUTTON, "text of an option");
            self.short(&option["value"], OPTION_VALUE, "value of an option");
        }
    }

    fn rich_text(&mut self, block: &Value) {
        for element in block["elements"].as_array().into_iter().flatten() {
            if element["type"] != "rich_text_preformatted" {
                self.note("rich text that is not preformatted");
            }
            for part in element["elements"].as_array().into_iter().flatten() {
                self.short(&part["text"], TEXT, "preformatted text");
            }
        }
    }
}
