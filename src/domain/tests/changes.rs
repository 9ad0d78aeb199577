//! Every kind of change as its audit event, field by field with its hash, and as others are notified of it.

mod cases;

use super::golden;
use crate::clock::Timestamp;
use crate::domain::actor::{Actor, Origin};
use crate::domain::audit::{AuditEntry, CHECKPOINT, Checkpoint, Event, EventOutcome};
use crate::domain::change::{Change, LogChange, RequestChange};
use crate::domain::request::Status;
use cases::every_change;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const AT: Timestamp = Timestamp(1_767_323_045_678);

fn person() -> Actor {
    Actor {
        id: "approver".into(),
        kind: "user",
        token_id: Some("token-id".into()),
        session_id: None,
        slack_linked_with: None,
        acts: true,
        origin: Origin {
            peer_ip: Some("192.0.2.1".into()),
            client_ip: Some("192.0.2.2".into()),
            client_ip_source: Some("xff"),
            http_request_id: Some("call-1".into()),
        },
    }
}

/// The fields that an event has, under their names in the database.
fn shown(event: &Event) -> Value {
    let fields = [
        ("resource_type", &event.resource_type),
        ("resource_id", &event.resource_id),
        ("peer_ip", &event.peer_ip),
        ("client_ip", &event.client_ip),
        ("client_ip_source", &event.client_ip_source),
        ("request_id", &event.request_id),
        ("operation", &event.operation),
        ("database_name", &event.database_name),
        ("environment", &event.environment),
        ("detail_fingerprint", &event.detail_fingerprint),
        ("detail_raw", &event.detail_raw),
        ("reason", &event.reason),
        ("prev_hash", &event.prev_hash),
    ];
    let mut shown = json!({
        "id": event.id,
        "event_type": event.event_type,
        "event_category": event.event_category,
        "event_version": event.event_version,
        "outcome": event.outcome,
        "actor_id": event.actor_id,
        "actor_type": event.actor_type,
        "metadata_json": event.metadata_json,
        "created_at": event.created_at,
    });
    for (name, value) in fields
        .into_iter()
        .filter_map(|(n, v)| Some((n, v.as_ref()?)))
    {
        let long = value.len() > 200;
        shown[name] = if long {
            json!(value.len())
        } else {
            json!(value)
        };
    }
    shown
}

#[test]
fn every_change_keeps_its_hashed_event_and_its_notice() {
    let (actor, mut events) = (person(), Vec::new());
    for (case, change) in every_change() {
        let event = change
            .entry()
            .into_event("event-id".into(), &actor, AT, Some("7".repeat(64)));
        let of_request = match &change {
            Change::Request(change) => Some(change),
            _ => None,
        };
        let request = match &change {
            Change::Log(LogChange::AttemptRefused(refused)) => refused.request.as_ref(),
            _ => of_request.and_then(RequestChange::request),
        };
        let moved = of_request.and_then(RequestChange::moved).map(|(from, to)| {
            let from = from.map_or("new", Status::as_str);
            format!("{from} -> {}", to.as_str())
        });
        let notice = of_request.and_then(RequestChange::notice).map(|notice| {
            let payload = notice.payload(&event.event_type, &actor.id, "delivery-id", AT);
            let long = payload.to_string();
            if long.len() > 2_000 {
                json!({"sha256": crate::crypto::sha256_hex(long.as_bytes())})
            } else {
                json!({"request_seq": notice.request_seq, "payload": payload})
            }
        });
        events.push(json!({
            "case": case,
            "request": request.map(|r| &r.id),
            "moved": moved,
            "hash": event.hash(),
            "event": shown(&event),
            "notice": notice,
        }));
    }
    golden("changes.json", &format!("{:#}\n", json!(events)));
}

#[test]
fn the_servers_own_first_event_keeps_its_hash() {
    let checkpoint = Checkpoint {
        head: "8".repeat(64),
        count: 100,
        key_id: "key-1".into(),
        signature: "9".repeat(128),
    };
    let mut entry = AuditEntry::new(CHECKPOINT, "policy", EventOutcome::Info);
    entry.metadata = checkpoint.metadata();
    let event = entry.into_event("event-id".into(), &Actor::system(), AT, None);
    let shown = json!({"event": shown(&event), "hash": event.hash()});
    golden("checkpoint.json", &format!("{shown:#}\n"));
}

/// The group and name of every variant that the file of a group declares.
fn declared(group: &str, source: &str) -> Vec<String> {
    let (_, body) = source
        .split_once(&format!("pub enum {group}Change {{\n"))
        .unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap())
        .map(|kind| format!("{group} {kind}"))
        .collect()
}

/// A kind of change that is missing from the golden file would not be held.
#[test]
fn no_kind_of_change_is_missing() {
    let kinds: BTreeSet<String> = [
        declared("Request", include_str!("../change/request.rs")),
        declared("Identity", include_str!("../change/identity.rs")),
        declared("Configuration", include_str!("../change/configuration.rs")),
        declared("Delivery", include_str!("../change/delivery.rs")),
        declared("Log", include_str!("../change/logged.rs")),
    ]
    .concat()
    .into_iter()
    .collect();
    let held: BTreeSet<String> = every_change()
        .iter()
        .map(|(_, change)| {
            let shown = format!("{change:?}");
            let mut names = shown.split(|c: char| !c.is_alphanumeric());
            format!("{} {}", names.next().unwrap(), names.next().unwrap())
        })
        .collect();
    assert_eq!(held, kinds);
    assert!(kinds.len() > 20);
}
