//! What receivers read: the facts of a notification, written as each kind of receiver wants them and within its limits.
//!
//! A text that is too long is cut between characters, and the message says so; no length makes a message fail.

mod card;
mod google_chat;
mod letter;
mod posted;
mod slack;
mod teams;

use crate::config::WebhookFormat;
use crate::domain::change::DETAIL_BYTES_MAX;
use crate::domain::request::SUSPENDED_REQUESTER;
use crate::domain::sql::escaped_exactly;
use crate::store::DueDelivery;
pub(super) use letter::letter;
pub(super) use posted::{RequestPost, linked, moved, tested, unreadable};
use serde_json::{Map, Value};

/// Somebody who is asked, and where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskedPerson {
    pub(super) id: String,
    pub(super) slack_user_id: Option<String>,
    pub(super) email: Option<String>,
}

/// The facts of a notification, as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NotificationFacts {
    fields: Map<String, Value>,
    /// Whom it asks, for messages in a channel.
    pub(super) asked: Vec<AskedPerson>,
}

impl NotificationFacts {
    /// Reads stored facts, and adds statement and risk of the request, and where it can be looked at.
    pub(super) fn read(row: &DueDelivery, public_url: Option<&str>) -> Option<NotificationFacts> {
        let mut fields: Map<String, Value> = serde_json::from_str(&row.payload_json).ok()?;
        // Facts that an earlier version stored have their own.
        if !fields.contains_key("detail") {
            let statement = row.statement.as_deref();
            let shown = statement.map(|s| &s[..s.floor_char_boundary(DETAIL_BYTES_MAX)]);
            if shown.map(str::len) < statement.map(str::len) {
                fields.insert("detail_truncated".to_owned(), true.into());
            }
            fields.insert("detail".to_owned(), shown.into());
        }
        let request = fields.get("request_id").and_then(Value::as_str);
        let url = public_url
            .zip(request)
            .map(|(base, id)| format!("{base}/requests/{id}"));
        fields.insert("url".to_owned(), url.into());
        if fields.get("risk_level").is_none_or(Value::is_null) {
            fields.insert("risk_level".to_owned(), row.risk_level.as_deref().into());
        }
        Some(NotificationFacts {
            fields,
            asked: Vec::new(),
        })
    }

    /// The request it is about.
    pub(super) fn request_id(&self) -> Option<&str> {
        self.text("request_id")
    }

    /// Where its target is.
    pub(super) fn environment(&self) -> Option<&str> {
        self.text("environment")
    }

    /// Who made the request.
    pub(super) fn requester(&self) -> Option<&str> {
        self.text("requester")
    }

    /// Whether it reports that a suspension cancelled the request of `person`.
    pub(super) fn is_cancellation_by_suspension_of(&self, person: &str) -> bool {
        self.text("event") == Some("request.cancelled")
            && self.requester() == Some(person)
            && self.text("reason") == Some(SUSPENDED_REQUESTER)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.fields.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    fn is_false(&self, name: &str) -> bool {
        self.fields.get(name) == Some(&Value::Bool(false))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name).and_then(Value::as_u64)
    }

    fn is_set(&self, name: &str) -> bool {
        self.fields.get(name) == Some(&Value::Bool(true))
    }
}

/// Whether the step that a reminder is about still waits.
pub(super) fn is_timely(row: &DueDelivery) -> bool {
    let facts = NotificationFacts::read(row, None);
    let step = facts.and_then(|facts| facts.number("step_number"));
    step.is_some() && step == row.waiting_step.map(u64::from)
}

/// The body of a call of a webhook.
pub(super) fn body(format: WebhookFormat, facts: &NotificationFacts) -> Vec<u8> {
    let message = match format {
        WebhookFormat::Generic => generic(facts),
        WebhookFormat::Slack => slack::message(facts),
        WebhookFormat::Teams => teams::message(facts),
        WebhookFormat::GoogleChat => google_chat::message(facts),
    };
    message.to_string().into_bytes()
}

/// All facts as they are, and the statement once more for receivers that show it to people.
fn generic(facts: &NotificationFacts) -> Value {
    let mut fields = facts.fields.clone();
    let shown = facts.text("detail").and_then(|detail| {
        let shown = escaped_exactly(detail);
        (shown != detail).then(|| shown.into_owned())
    });
    fields.insert("detail_escaped".to_owned(), shown.into());
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FORMATS: [WebhookFormat; 3] = [
        WebhookFormat::Slack,
        WebhookFormat::Teams,
        WebhookFormat::GoogleChat,
    ];

    pub(super) fn facts(changes: Value) -> NotificationFacts {
        let mut all = json!({
            "event": "request.created", "request_id": "0b54-request", "database": "shop",
            "environment": "production", "operation": "execute_query", "actor": "requester",
            "requester": "requester", "detail": "UPDATE items SET price = ?", "delivery_id": "wd-1",
            "timestamp": "2026-01-02T03:04:05.678Z", "status": "pending", "reason": "sale <today> & tomorrow",
            "risk_level": "high", "emergency": false, "total_steps": 2,
        });
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        read(&row(&all.to_string()))
    }

    fn row(payload_json: &str) -> DueDelivery {
        DueDelivery {
            seq: 1,
            id: "wd-1".to_owned(),
            channel: "ops".to_owned(),
            recipient: None,
            event_type: "request.created".to_owned(),
            audit_seq: 1,
            attempts: 0,
            payload_json: payload_json.to_owned(),
            statement: None,
            risk_level: None,
            waiting_step: None,
        }
    }

    fn read(row: &DueDelivery) -> NotificationFacts {
        NotificationFacts::read(row, Some("https://dbward.example.com")).unwrap()
    }

    #[test]
    fn a_new_request_is_shown_with_a_bounded_statement() {
        let whole = "é".repeat(DETAIL_BYTES_MAX / 2);
        for (stored, statement, detail, is_cut) in [
            ("{}", None, Value::Null, false),
            ("{}", Some(whole.clone()), json!(whole), false),
            ("{}", Some(format!("{whole}x")), json!(whole), true),
            // Of an earlier version, and of what became of a request.
            (
                r#"{"detail":"SELECT 1"}"#,
                Some(whole.clone()),
                json!("SELECT 1"),
                false,
            ),
            (
                r#"{"detail":null}"#,
                Some(whole.clone()),
                Value::Null,
                false,
            ),
        ] {
            let row = DueDelivery {
                statement,
                ..row(stored)
            };
            let facts = read(&row);
            assert_eq!(facts.fields.get("detail"), Some(&detail));
            assert_eq!(facts.is_set("detail_truncated"), is_cut);
        }
    }

    fn written(format: WebhookFormat, facts: &NotificationFacts) -> Value {
        serde_json::from_slice(&body(format, facts)).unwrap()
    }

    #[test]
    fn generic_has_every_key_of_earlier_receivers_and_more() {
        let message = written(WebhookFormat::Generic, &facts(json!({})));
        for key in [
            "event",
            "request_id",
            "database",
            "environment",
            "operation",
            "actor",
            "requester",
            "detail",
            "delivery_id",
            "timestamp",
            "risk_level",
            "status",
            "url",
        ] {
            assert!(message.get(key).is_some(), "{key}");
        }
        assert_eq!(
            message["url"],
            "https://dbward.example.com/requests/0b54-request"
        );
        // A later event has the risk of its request, too.
        let stored = r#"{"event":"request.approved","request_id":null}"#;
        let later = read(&DueDelivery {
            risk_level: Some("low".to_owned()),
            ..row(stored)
        });
        let message = written(WebhookFormat::Generic, &later);
        assert_eq!(
            (&message["risk_level"], &message["url"]),
            (&json!("low"), &Value::Null)
        );
        assert_eq!(NotificationFacts::read(&row("[]"), None), None);
    }

    #[test]
    fn no_message_hides_or_turns_what_its_reader_sees() {
        let lie = json!({"detail": "DELETE FROM t -- \u{202e}\u{1b}[2K", "reason": "a\u{200b}b", "requester": "p\u{202e}x"});
        let facts = facts(lie.clone());
        for format in FORMATS {
            let text = String::from_utf8(body(format, &facts)).unwrap();
            assert!(!text.contains(['\u{202e}', '\u{200b}']), "{text}");
            assert!(!text.contains("\\u001b"), "{text}");
            assert!(
                text.contains(r"\\u{202e}") && text.contains(r"a\\u{200b}b"),
                "{text}"
            );
        }
        let letter = letter::letter(&facts, "requester");
        for text in [letter.subject, letter.text, letter.html] {
            assert!(!text.contains(['\u{202e}', '\u{200b}', '\u{1b}']), "{text}");
        }
        let generic = written(WebhookFormat::Generic, &facts);
        assert_eq!(generic["detail"], lie["detail"]);
        assert_eq!(
            generic["detail_escaped"],
            r"DELETE FROM t -- \u{202e}\u{1b}[2K"
        );
        let plain = written(WebhookFormat::Generic, &self::facts(json!({})));
        assert_eq!(plain.get("detail_escaped"), Some(&Value::Null));
    }

    fn asked(id: &str, slack: Option<&str>, email: Option<&str>) -> AskedPerson {
        AskedPerson {
            id: id.to_owned(),
            slack_user_id: slack.map(str::to_owned),
            email: email.map(str::to_owned),
        }
    }

    #[test]
    fn approvers_are_mentioned_where_known_and_named_elsewhere() {
        let mut facts = facts(json!({}));
        facts.asked = vec![
            asked("ann", Some("U1"), Some("ann@example.com")),
            asked("<!channel> [x](y)", None, None),
        ];
        let slack = written(WebhookFormat::Slack, &facts);
        let blocks = slack["blocks"].to_string();
        assert!(
            blocks.contains("Asked: <@U1>, &lt;!channel&gt; [x](y)"),
            "{blocks}"
        );
        let teams = written(WebhookFormat::Teams, &facts);
        let card = &teams["attachments"][0]["content"];
        let line = "Asked: <at>ann</at>,   channel   x  y ";
        let is_it = |block: &Value| block["text"] == line;
        assert!(card["body"].as_array().unwrap().iter().any(is_it), "{card}");
        assert_eq!(
            card["msteams"]["entities"],
            json!([{"type": "mention", "text": "<at>ann</at>",
                    "mentioned": {"id": "ann@example.com", "name": "ann"}}])
        );
        let chat = written(WebhookFormat::GoogleChat, &facts).to_string();
        assert!(chat.contains("ann, &lt;!channel&gt; [x](y)"), "{chat}");
        let generic = written(WebhookFormat::Generic, &facts);
        assert_eq!(generic.get("asked"), None);
    }

    /// NotificationFacts of which everything is as long, and as hard to write, as it can be.
    fn hostile(filler: &str) -> NotificationFacts {
        let long = filler.repeat(16 * 1024 / filler.len());
        let short: String = filler.chars().cycle().take(1000 / filler.len()).collect();
        let mut facts = facts(json!({
            "detail": long, "detail_truncated": true, "reason": short, "comment": short, "requester": short,
            "actor": format!("x{short}"), "database": short, "environment": short, "event": "request.rejected",
            "step_number": 1, "rows_affected": u64::MAX, "agent_id": short,
        }));
        let id: String = filler.chars().cycle().take(250 / filler.len()).collect();
        let address = format!("{}@example.com", "a".repeat(60));
        facts.asked = (0..20).map(|_| asked(&id, None, Some(&address))).collect();
        facts
    }

    #[test]
    fn every_message_keeps_the_limits_of_its_receiver() {
        for filler in [
            "a",
            "&",
            "<",
            "\"",
            "\\",
            "\u{1}",
            "ä",
            "\u{10348}",
            "`",
            "*[x](y)",
        ] {
            let facts = hostile(filler);
            for format in FORMATS {
                let bytes = body(format, &facts);
                let most = match format {
                    WebhookFormat::Teams => 28 * 1024,
                    WebhookFormat::GoogleChat => 32_000,
                    _ => 100_000,
                };
                assert!(
                    bytes.len() <= most,
                    "{format:?} {filler:?}: {}",
                    bytes.len()
                );
                let text = String::from_utf8(bytes).unwrap();
                assert!(
                    text.contains("characters"),
                    "{format:?} {filler:?} does not say that it was cut"
                );
            }
            let message = written(WebhookFormat::Slack, &facts);
            let blocks = message["blocks"].as_array().unwrap();
            assert!(blocks.len() <= 50);
            for block in blocks {
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                assert!(fields.len() <= 10);
                for (text, most) in fields
                    .iter()
                    .map(|f| (f["text"].as_str(), 2_000))
                    .chain([(block["text"]["text"].as_str(), 3_000)])
                {
                    let utf16 = text.unwrap_or_default().encode_utf16().count();
                    assert!(utf16 <= most, "{filler:?}: {utf16}");
                }
            }
            let header = blocks[0]["text"]["text"].as_str().unwrap();
            assert!(header.chars().count() <= 150);
        }
    }

    #[test]
    fn chat_messages_say_what_happened_where_and_why() {
        for format in FORMATS {
            let text = String::from_utf8(body(format, &facts(json!({})))).unwrap();
            for part in [
                "Approval needed",
                "requester",
                "shop/production",
                "UPDATE items SET price = ?",
                "high",
            ] {
                assert!(text.contains(part), "{format:?} lacks {part}: {text}");
            }
            assert!(
                text.contains("https://dbward.example.com/requests/0b54-request"),
                "{format:?}"
            );
        }
        let escaped = "sale &lt;today&gt; &amp; tomorrow";
        for format in [WebhookFormat::Slack, WebhookFormat::GoogleChat] {
            let text = String::from_utf8(body(format, &facts(json!({})))).unwrap();
            assert!(
                text.contains(escaped) && !text.contains("<today>"),
                "{text}"
            );
        }
    }

    #[test]
    fn every_message_for_people_says_what_is_left_in_database() {
        for (outcome, unproven, words) in [
            (
                "stopping",
                false,
                "stopping: its agent has not reported yet",
            ),
            ("committed", false, "committed"),
            ("rolled_back", false, "rolled back: nothing took effect"),
            ("partial", false, "partial: some of it took effect"),
            ("unknown", false, "unknown"),
            (
                "unknown",
                true,
                "unknown: its agent cannot prove that nothing took effect",
            ),
        ] {
            let facts = facts(json!({
                "event": "execution.failed", "outcome": outcome, "outcome_unproven": unproven,
            }));
            let line = ("Outcome", words.to_owned());
            assert!(card::Card::new(&facts).lines.contains(&line), "{outcome}");
            for format in FORMATS {
                let text = String::from_utf8(body(format, &facts)).unwrap();
                assert!(text.contains(words), "{format:?} {outcome}: {text}");
            }
            let mail = letter(&facts, "requester");
            assert!(mail.text.contains(&format!("Outcome: {words}\n")));
            assert!(mail.html.contains(&format!("Outcome: {words}<br>")));
        }
        let waits = facts(json!({}));
        let lines = card::Card::new(&waits).lines;
        assert!(lines.iter().all(|(label, _)| *label != "Outcome"));
    }

    #[test]
    fn an_event_without_a_request_is_a_message_as_well() {
        let stored =
            r#"{"event":"webhook.tested","request_id":null,"actor":"admin","requester":null}"#;
        let facts = read(&row(stored));
        for format in FORMATS {
            let text = String::from_utf8(body(format, &facts)).unwrap();
            assert!(
                text.contains("Test message") && text.contains("admin"),
                "{text}"
            );
            assert!(!text.contains("null/null"));
        }
    }
}
