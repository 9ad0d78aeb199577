//! What audit events account for: whether a stored row is the one that its event tells of. Keys that an older event does
//! not carry are not compared.

mod request;

pub use request::RequestAccount;

use crate::clock::Timestamp;
use crate::domain::audit::Event;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Stands for the hash of `token_json` in a row of executions.
pub const TOKEN_SHA256: &str = "token_sha256";
/// Stands for the hash of `error_message`.
pub const ERROR_SHA256: &str = "error_sha256";
/// Stands for the hash of `result_json`.
pub const RESULT_SHA256: &str = "result_sha256";

/// The metadata of an event, and what it says of a column.
#[derive(Debug, Clone, Default)]
pub struct EventMetadata(Map<String, Value>);

impl EventMetadata {
    /// What `event` says; nothing where its metadata is not an object.
    pub fn by(event: &Event) -> EventMetadata {
        EventMetadata(serde_json::from_str(&event.metadata_json).unwrap_or_default())
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// Whether it says nothing else of `key` than `value`.
    pub fn agrees(&self, key: &str, value: impl Into<Value>) -> bool {
        self.0
            .get(key)
            .is_none_or(|metadata| *metadata == value.into())
    }

    /// The same, where no such key is the same as null or false.
    pub fn says(&self, key: &str, value: impl Into<Value>) -> bool {
        let value = value.into();
        let none = matches!(value, Value::Null | Value::Bool(false));
        self.0.get(key).map_or(none, |metadata| *metadata == value)
    }

    /// The same for a time; whole milliseconds, however it is written.
    pub fn agrees_time(&self, key: &str, ms: Option<i64>) -> bool {
        match self.0.get(key) {
            None => true,
            Some(Value::Null) => ms.is_none(),
            Some(metadata) => {
                let metadata = metadata.as_str().and_then(Timestamp::parse);
                metadata.is_some() && metadata.map(|t| t.0) == ms
            }
        }
    }
}

/// What a column must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountedValue {
    Null,
    Integer(i64),
    Text(String),
}

impl AccountedValue {
    fn text(text: Option<&str>) -> AccountedValue {
        text.map_or(AccountedValue::Null, |text| {
            AccountedValue::Text(text.to_owned())
        })
    }
}

/// Columns of a row that events account for; what they do not name is not compared.
pub type AccountedRow = BTreeMap<&'static str, AccountedValue>;

/// A key of metadata, the column that it accounts for, and whether it is a time.
type AccountedKey = (&'static str, &'static str, bool);

impl EventMetadata {
    /// Puts into `row` what the metadata has of these keys.
    fn account(&self, row: &mut AccountedRow, keys: &[AccountedKey]) {
        for (key, column, is_time) in keys {
            let cell = match self.0.get(*key) {
                None => continue,
                Some(Value::Null) => AccountedValue::Null,
                Some(Value::Bool(flag)) => AccountedValue::Integer(i64::from(*flag)),
                Some(Value::String(text)) if *is_time => Timestamp::parse(text)
                    .map_or(AccountedValue::Null, |t| AccountedValue::Integer(t.0)),
                Some(Value::String(text)) => AccountedValue::Text(text.clone()),
                Some(Value::Number(n)) => AccountedValue::Integer(n.as_i64().unwrap_or(i64::MAX)),
                Some(other) => AccountedValue::Text(other.to_string()),
            };
            row.insert(column, cell);
        }
    }
}

/// The row of a token, as the event of its creation accounts for it, and the hash of what its secret is stored as.
pub fn token_row(event: &Event, at: Timestamp) -> (AccountedRow, Option<String>) {
    let metadata = EventMetadata::by(event);
    let mut row = AccountedRow::from([("created_at_ms", AccountedValue::Integer(at.0))]);
    metadata.account(
        &mut row,
        &[
            ("subject_id", "subject_id", false),
            ("subject_type", "subject_type", false),
            ("roles", "roles_json", false),
            ("role_mode", "role_mode", false),
            ("groups", "groups_json", false),
            ("issuer", "issuer", false),
            ("issuers", "issuers_json", false),
            ("expires_at", "expires_at_ms", true),
            ("name", "name", false),
            ("prefix", "token_prefix", false),
            ("parent_id", "parent_id", false),
            ("session_id", "session_id", false),
        ],
    );
    if let Some(scopes) = metadata.value("scopes") {
        let pairs = scopes.as_array().map(|scopes| {
            let pair =
                |s: &Value| Value::from(vec![s["database"].clone(), s["environment"].clone()]);
            Value::from(scopes.iter().map(pair).collect::<Vec<_>>()).to_string()
        });
        row.insert("bound_to_json", AccountedValue::text(pairs.as_deref()));
    }
    (row, metadata.text("hash_sha256").map(str::to_owned))
}

/// A vote as stored, column by column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVote {
    pub step_index: i64,
    pub action: String,
    pub actor_id: String,
    pub token_id: Option<String>,
    pub matched_selector: String,
    pub comment: Option<String>,
    pub issued_by_requester: bool,
    pub created_at_ms: i64,
    pub audit_seq: i64,
}

impl StoredVote {
    /// The columns that are not what `event`, which the row names, tells of a vote on that request.
    pub fn differing(&self, request_id: &str, event: &Event, at: Timestamp) -> Vec<&'static str> {
        let metadata = EventMetadata::by(event);
        let action = match event.event_type.as_str() {
            "step.approved" | "request.approved" => "approve",
            "request.rejected" => "reject",
            _ => return vec!["audit_seq"],
        };
        let held = [
            (
                "request_seq",
                event.request_id.as_deref() == Some(request_id),
            ),
            ("action", self.action == action),
            ("actor_id", self.actor_id == event.actor_id),
            (
                "step_index",
                metadata.says("step_number", self.step_index.saturating_add(1)),
            ),
            (
                "matched_selector",
                metadata.says("selector", self.matched_selector.as_str()),
            ),
            (
                "comment",
                metadata.says("approval_comment", self.comment.clone()),
            ),
            (
                "issued_by_requester",
                metadata.says("issued_by_requester", self.issued_by_requester),
            ),
            (
                "token_id",
                metadata.agrees("actor_token_id", self.token_id.clone()),
            ),
            ("created_at_ms", self.created_at_ms == at.0),
        ];
        let differing = held.into_iter().filter(|(_, holds)| !holds);
        differing.map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_what_its_event_tells() {
        let event = Event {
            event_type: "step.approved".into(),
            actor_id: "approver".into(),
            request_id: Some("r1".into()),
            metadata_json: r#"{"step_number":1,"selector":"role:dba","actor_token_id":"t1"}"#
                .into(),
            ..Event::default()
        };
        let vote = StoredVote {
            step_index: 0,
            action: "approve".into(),
            actor_id: "approver".into(),
            token_id: Some("t1".into()),
            matched_selector: "role:dba".into(),
            comment: None,
            issued_by_requester: false,
            created_at_ms: 5,
            audit_seq: 9,
        };
        let differing = |vote: &StoredVote| vote.differing("r1", &event, Timestamp(5));
        assert!(differing(&vote).is_empty());
        assert_eq!(vote.differing("r2", &event, Timestamp(5)), ["request_seq"]);
        type Edit = (&'static str, fn(&mut StoredVote));
        let edits: [Edit; 8] = [
            ("step_index", |v| v.step_index = 1),
            ("action", |v| v.action = "reject".into()),
            ("actor_id", |v| v.actor_id = "x".into()),
            ("token_id", |v| v.token_id = None),
            ("matched_selector", |v| v.matched_selector = "x".into()),
            ("comment", |v| v.comment = Some("x".into())),
            ("issued_by_requester", |v| v.issued_by_requester = true),
            ("created_at_ms", |v| v.created_at_ms = 6),
        ];
        for (column, edit) in edits {
            let mut edited = vote.clone();
            edit(&mut edited);
            assert_eq!(differing(&edited), [column]);
        }
    }

    #[test]
    fn times_are_compared_however_they_are_written() {
        let event = Event {
            metadata_json: r#"{"a":"2026-01-02T03:04:05.678Z","b":null,"c":"x"}"#.into(),
            ..Event::default()
        };
        let metadata = EventMetadata::by(&event);
        let at = Timestamp::parse("2026-01-02T03:04:05.678+00:00").map(|t| t.0);
        assert!(metadata.agrees_time("a", at) && !metadata.agrees_time("a", None));
        assert!(metadata.agrees_time("b", None) && !metadata.agrees_time("b", at));
        assert!(!metadata.agrees_time("c", None) && metadata.agrees_time("d", at));
    }
}
