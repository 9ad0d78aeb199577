//! Checkpoints of the audit log, as webhooks receive them.

use super::{UPDATE, notified};
use crate::support::{SHOP, Server};
use serde_json::Value;

#[test]
fn checkpoint_goes_only_to_webhooks_that_name_it() {
    let hook = |id: &str, events: &str| {
        format!(
            "[[webhooks]]\nid = \"{id}\"\nurl = \"http://127.0.0.1:9/{id}\"\nevents = {events}\n"
        )
    };
    let hooks = [
        hook("proof", "[\"audit.signed_checkpoint\"]"),
        hook("all", "[]"),
        hook("every", "[\"*\"]"),
        hook("both", "[\"*\", \"audit.signed_checkpoint\"]"),
    ];
    // A policy decides about databases only.
    let policy = "[[notification_policies]]\nenvironment = \"staging\"\nwebhooks = [\"proof\"]\n";
    let s = Server::with(&format!("{SHOP}{}{policy}", hooks.concat()));
    for _ in 0..60 {
        let request = s.requester().submit("production", UPDATE);
        s.requester().cancel(&request).is(200);
    }
    let events = s.events("event_type=audit.signed_checkpoint");
    assert!(!events.is_empty());
    let mut sent = notified(&s);
    sent.retain(|(_, facts)| facts["event"] == "audit.signed_checkpoint");
    sent.reverse();
    assert!(
        sent.iter()
            .all(|(webhook, _)| webhook == "proof" || webhook == "both")
    );
    let (sent, both): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(id, _)| id == "proof");
    assert_eq!((sent.len(), both.len()), (events.len(), events.len()));
    for ((webhook, facts), event) in sent.iter().zip(&events) {
        let mut line: Value =
            serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
        line["created_at"] = event["created_at"].clone();
        assert_eq!((webhook.as_str(), &facts["checkpoint"]), ("proof", &line));
        assert_eq!(facts["actor"], "system");
        assert_eq!(facts["request_id"], Value::Null);
    }
}
