//! Compares tokens and people with what the events say of them. Only people are held all at once.

use super::super::audit::{EventRow, event_at, events_of_type};
use super::super::query::{RunStatement, tuple};
use super::differences::{Differences, RowDifference, RowOwner};
use super::rows::columns_differ;
use crate::crypto::sha256_hex;
use crate::domain::accounts::{AccountedRow, AccountedValue, EventMetadata, token_row};
use crate::error::Error;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const NEXT_TOKEN: &str =
    "SELECT id, audit_seq, revoked_at_ms FROM tokens WHERE id > ?1 ORDER BY id LIMIT 1";
const NEXT_USER: &str = "SELECT * FROM users WHERE id > ?1 ORDER BY id LIMIT 1";

/// Each event of a creation has its row, and each row the event that it names. Of tokens that a quarantine revoked,
/// only that they are.
pub(super) fn tokens(
    connection: &Connection,
    bound: i64,
    differences: &mut Differences,
) -> Result<(), Error> {
    let quarantined = quarantined_tokens(connection, bound)?;
    let mut differing = BTreeSet::new();
    events_of_type(connection, "token.created", bound, |row| {
        let id = row.event.resource_id.clone().unwrap_or_default();
        if quarantined.contains(&id) || differences.is_full() {
            return Ok(());
        }
        if let Some(difference) = token(connection, &id, &row)? {
            differing.insert(id);
            differences.add(difference);
        }
        Ok(())
    })?;
    let mut after = String::new();
    while !differences.is_full() {
        let row: Option<(String, i64, Option<i64>)> =
            connection.find(NEXT_TOKEN, [&after], tuple)?;
        let Some((id, seq, revoked)) = row else {
            break;
        };
        after.clone_from(&id);
        if seq <= bound || differing.contains(&id) {
            continue;
        }
        let event = event_at(connection, seq)?;
        let columns = match event
            .as_ref()
            .filter(|e| e.event.resource_id.as_ref() == Some(&id))
        {
            None => vec!["audit_seq"],
            Some(row) => match row.event.event_type.as_str() {
                "token.created" if revoked.is_none() => continue,
                "token.revoked" if revoked == Some(row.at.0) => continue,
                "token.created" | "token.revoked" => vec!["revoked_at_ms"],
                _ => vec!["audit_seq"],
            },
        };
        let difference = RowDifference::new(RowOwner::Token(id), "tokens", columns);
        differences.add(RowDifference {
            event: event.map(|row| row.event.id),
            ..difference
        });
    }
    Ok(())
}

fn quarantined_tokens(connection: &Connection, bound: i64) -> Result<BTreeSet<String>, Error> {
    let mut ids = BTreeSet::new();
    events_of_type(connection, "token.revoked", bound, |row| {
        if EventMetadata::by(&row.event).value("quarantined").is_some() {
            ids.extend(row.event.resource_id);
        }
        Ok(())
    })?;
    Ok(ids)
}

/// What of a token is not what the event of its creation says.
fn token(
    connection: &Connection,
    id: &str,
    created: &EventRow,
) -> Result<Option<RowDifference>, Error> {
    let (expected, hash) = token_row(&created.event, created.at);
    let columns = connection.find("SELECT * FROM tokens WHERE id = ?1", [id], |r| {
        let stored: String = r.get("token_hash")?;
        let mut columns = columns_differ(r, &expected)?;
        if hash
            .as_ref()
            .is_some_and(|h| *h != sha256_hex(stored.as_bytes()))
        {
            columns.push("token_hash");
        }
        Ok(columns)
    })?;
    let owner = RowOwner::Token(id.to_owned());
    let difference = match columns {
        None => RowDifference::missing(owner, "tokens"),
        Some(columns) if columns.is_empty() => return Ok(None),
        Some(columns) => RowDifference::new(owner, "tokens", columns),
    };
    Ok(Some(RowDifference {
        event: Some(created.event.id.clone()),
        ..difference
    }))
}

/// The columns of a person's Slack account.
struct SlackLink {
    account: AccountedValue,
    linkers: AccountedValue,
    with: AccountedValue,
}

impl SlackLink {
    fn none() -> SlackLink {
        SlackLink {
            account: AccountedValue::Null,
            linkers: AccountedValue::Text("[]".to_owned()),
            with: AccountedValue::Null,
        }
    }

    fn put(self, row: &mut AccountedRow) {
        row.insert("slack_user_id", self.account);
        row.insert("slack_linkers_json", self.linkers);
        row.insert("slack_linked_with", self.with);
    }
}

/// What the events after `bound` say of one person.
#[derive(Default)]
struct Person {
    /// The first event that makes the row where there is none: its number and time, and what it makes.
    first: Option<(i64, i64, &'static str, String)>,
    last_change: Option<(i64, i64)>,
    status: Option<(i64, &'static str)>,
    slack: Option<SlackLink>,
    email: Option<AccountedValue>,
    claims: Option<(AccountedValue, AccountedValue)>,
    /// Configuration has set the status since then: the row is its own from there on.
    by_config: bool,
    /// A quarantine found the row changed, or missing: its number.
    quarantined: Option<i64>,
    /// It found it changed: what it was made as is not known any more.
    changed: bool,
}

/// Kinds of events that make or change the row of a person. What a quarantine says comes first: it counts for the
/// others.
const OF_PEOPLE: [&str; 7] = [
    "user.disabled",
    "user.activated",
    "user.created",
    "token.created",
    "user.updated",
    "user.email_changed",
    "user.claims_kept",
];

/// Each person has the row that the events since `bound` make.
pub(super) fn users(
    connection: &Connection,
    bound: i64,
    differences: &mut Differences,
) -> Result<(), Error> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for kind in OF_PEOPLE {
        events_of_type(connection, kind, bound, |row| {
            let metadata = EventMetadata::by(&row.event);
            let id = match kind {
                "token.created" => metadata.text("subject_id").unwrap_or_default().to_owned(),
                _ => row.event.resource_id.clone().unwrap_or_default(),
            };
            people.entry(id).or_default().take(kind, &row, &metadata);
            Ok(())
        })?;
    }
    let mut after = String::new();
    let mut next = connection.prepare(NEXT_USER)?;
    while !differences.is_full() {
        let mut rows = next.query([&after])?;
        let Some(row) = rows.next()? else {
            break;
        };
        let id: String = row.get("id")?;
        after.clone_from(&id);
        let seq: i64 = row.get("audit_seq")?;
        let expected = match (people.remove(&id), seq <= bound) {
            (None, true) => continue,
            (None, false) => AccountedRow::from([("audit_seq", AccountedValue::Null)]),
            (Some(person), older) => person.row(older, bound > 0),
        };
        let columns = columns_differ(row, &expected)?;
        if !columns.is_empty() {
            let event = event_at(connection, seq)?.map(|row| row.event.id);
            let difference = RowDifference::new(RowOwner::Person(id), "users", columns);
            differences.add(RowDifference {
                event,
                ..difference
            });
        }
    }
    for (id, person) in people {
        if person.quarantined.is_none() {
            differences.add(RowDifference::missing(RowOwner::Person(id), "users"));
        }
    }
    Ok(())
}

impl Person {
    /// Events of one kind are taken in their order, one kind after another.
    fn take(&mut self, kind: &str, row: &EventRow, metadata: &EventMetadata) {
        let (seq, at) = (row.seq, row.at.0);
        let text = |key: &str, default: &str| metadata.text(key).unwrap_or(default).to_owned();
        if self.quarantined.is_some_and(|q| seq < q) {
            return;
        }
        match kind {
            "user.disabled" if metadata.value("quarantined").is_some() => {
                *self = Person {
                    quarantined: Some(seq),
                    ..Person::default()
                };
                if metadata.value("missing").is_some() {
                    return;
                }
                self.changed = true;
                self.slack = Some(SlackLink::none());
                self.email = Some(AccountedValue::Null);
                self.claims = Some((AccountedValue::Null, AccountedValue::Null));
            }
            "token.created" => {
                self.made(seq, at, "token", text("subject_type", "user"));
                return;
            }
            "user.created" => self.made(seq, at, "oidc", "user".to_owned()),
            "user.updated" => {
                let text = |field| {
                    let value = metadata.value(field).and_then(Value::as_str);
                    value.map_or(AccountedValue::Null, |s| AccountedValue::Text(s.to_owned()))
                };
                let linkers = metadata.value("linked_by").cloned();
                let linkers = linkers.unwrap_or_else(|| Value::Array(Vec::new()));
                self.slack = Some(SlackLink {
                    account: text("slack_user_id"),
                    linkers: AccountedValue::Text(linkers.to_string()),
                    with: text("linked_with"),
                });
            }
            "user.email_changed" => {
                self.email = Some(AccountedValue::Text(text("email", "")));
            }
            "user.claims_kept" => {
                let claims = metadata.value("claims").map(Value::to_string);
                let claims = AccountedValue::Text(claims.unwrap_or_default());
                self.claims = Some((claims, AccountedValue::Integer(at)));
            }
            _ => {
                let by_config = metadata.value("by_config") == Some(&Value::Bool(true));
                self.by_config |= by_config;
                self.made(seq, at, "token", "user".to_owned());
            }
        }
        let status = match kind {
            "user.disabled" => Some("suspended"),
            "user.activated" => Some("active"),
            _ => None,
        };
        if let Some(status) = status
            && self.status.is_none_or(|(before, _)| before < seq)
        {
            self.status = Some((seq, status));
        }
        if self.last_change.is_none_or(|(before, _)| before < seq) {
            self.last_change = Some((seq, at));
        }
    }

    fn made(&mut self, seq: i64, at: i64, source: &'static str, subject_type: String) {
        if self.first.as_ref().is_none_or(|(before, ..)| seq < *before) {
            self.first = Some((seq, at, source, subject_type));
        }
    }

    /// The row. One that is `older` than all these events was not made by them, and of one that may be (there are
    /// events no more), what it was made as is not known.
    fn row(self, older: bool, may_be_older: bool) -> AccountedRow {
        let mut row = AccountedRow::new();
        let first = self.first.filter(|_| !self.changed && !older);
        let made = first.as_ref().map(|(seq, at, ..)| (*seq, *at));
        if let Some((seq, at)) = self.last_change.or(made) {
            row.insert("audit_seq", AccountedValue::Integer(seq));
            row.insert("updated_at_ms", AccountedValue::Integer(at));
        }
        let status = self.status.map(|(_, status)| status);
        if let Some(status) = status.or((!older).then_some("active")) {
            row.insert("status", AccountedValue::Text(status.to_owned()));
        }
        if let Some((_, at, source, subject_type)) = first.filter(|_| !may_be_older) {
            row.insert("created_at_ms", AccountedValue::Integer(at));
            row.insert("source", AccountedValue::Text(source.to_owned()));
            row.insert("subject_type", AccountedValue::Text(subject_type));
            SlackLink::none().put(&mut row);
            row.insert("claimed_email", AccountedValue::Null);
            row.insert("claims_json", AccountedValue::Null);
            row.insert("claims_at_ms", AccountedValue::Null);
        }
        if let Some(slack) = self.slack {
            slack.put(&mut row);
        }
        if let Some(email) = self.email {
            row.insert("claimed_email", email);
        }
        if let Some((claims, at)) = self.claims {
            row.insert("claims_json", claims);
            row.insert("claims_at_ms", at);
        }
        if self.by_config {
            row.insert("source", AccountedValue::Text("config".to_owned()));
        }
        row
    }
}
