//! Notifications: written with what they report, kept as they were, and brought to an end.

use super::*;
use crate::domain::policy::notification::{EventFilter, PENDING_MS_MAX, RoutedWebhook};
use crate::store::DeliveryFilter;

fn routes(ids: &[&str]) -> Arc<Routes> {
    let webhooks = ids.iter().map(|id| RoutedWebhook {
        id: (*id).to_owned(),
        events: EventFilter::default(),
    });
    Arc::new(Routes::new(webhooks.collect(), &[]))
}

fn synced(ids: &[&str]) -> Change {
    ConfigurationChange::ConfigSynced {
        policy_version: "0".repeat(64),
        policy_text: "text".into(),
        summary: serde_json::Map::new(),
        routes: routes(ids),
    }
    .into()
}

fn sync(store: &Store, ids: &[&str]) {
    let change = synced(ids);
    store
        .change(Actor::system(), |_, _| Ok(Verdict::Write(vec![change], ())))
        .unwrap();
}

/// Webhook and status of every notification, oldest first.
fn kept(store: &Store) -> Vec<String> {
    let all = store.read(|v| v.list_deliveries(&DeliveryFilter::default(), 1000, 0));
    let mut all: Vec<String> = all
        .unwrap()
        .iter()
        .flatten()
        .map(|d| format!("{} {}", d.webhook_id, d.status))
        .collect();
    all.reverse();
    all
}

/// Whether the counters say what the rows say.
fn counted(store: &Store) {
    let connection = store.connection.lock().unwrap();
    let lines = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(
        lines(
            "SELECT channel || ' ' || status || ' ' || n FROM outbox_counts WHERE n <> 0 ORDER BY 1"
        ),
        lines(
            "SELECT channel || ' ' || status || ' ' || count(*) FROM outbox GROUP BY channel, status ORDER BY 1"
        )
    );
}

#[test]
fn a_change_that_is_undone_takes_its_notifications_with_it() {
    let temp = temp();
    let store = open(&temp);
    sync(&store, &["ops"]);
    create(&store).unwrap();
    assert_eq!(kept(&store), ["ops pending"]);
    let failed: Result<(), Error> = store.change(Actor::system(), |view, _| {
        let new = new_request(view, Opening::Pending)?;
        let mut twice = new.clone();
        twice.seq += 1;
        let changes = [new, twice].map(|n| RequestChange::Created(Box::new(n)).into());
        Ok(Verdict::Write(changes.into(), ()))
    });
    assert!(failed.is_err());
    assert_eq!(kept(&store), ["ops pending"]);
    counted(&store);
}

#[test]
fn routes_change_at_their_committed_event_only() {
    let temp = temp();
    let store = open(&temp);
    create(&store).unwrap();
    assert_eq!(kept(&store), [""; 0]);
    // What follows it in the same transaction goes by the new routes already.
    store
        .change(Actor::system(), |view, _| {
            let new = new_request(view, Opening::Pending)?;
            let created = RequestChange::Created(Box::new(new)).into();
            Ok(Verdict::Write(vec![synced(&["ops", "chat"]), created], ()))
        })
        .unwrap();
    assert_eq!(kept(&store), ["ops pending", "chat pending"]);
    let failed: Result<(), Error> = store.change(Actor::system(), |_, _| {
        let again = token("t1", 'a');
        Ok(Verdict::Write(
            vec![synced(&["other"]), again.clone(), again],
            (),
        ))
    });
    assert!(failed.is_err());
    create(&store).unwrap();
    assert_eq!(kept(&store)[2..], ["ops pending", "chat pending"]);
    counted(&store);
}

#[test]
fn deliveries_to_removed_webhooks_are_cancelled_and_old_ones_dead() {
    let temp = temp();
    let store = open(&temp);
    sync(&store, &["ops", "chat"]);
    for _ in 0..3 {
        create(&store).unwrap();
    }
    assert_eq!(store.cancel_deliveries().unwrap(), 0);
    sync(&store, &["chat"]);
    assert_eq!(store.cancel_deliveries().unwrap(), 3);
    assert_eq!(store.cancel_deliveries().unwrap(), 0);
    assert_eq!(store.give_up_deliveries(true).unwrap(), 0);
    let day = std::time::Duration::from_millis(PENDING_MS_MAX as u64);
    store.clock.turn(day - std::time::Duration::from_secs(60));
    create(&store).unwrap();
    assert_eq!(store.give_up_deliveries(true).unwrap(), 0);
    store.clock.turn(std::time::Duration::from_secs(60));
    // What was never tried has its turn first, where the server runs long enough.
    assert_eq!(store.give_up_deliveries(false).unwrap(), 0);
    assert_eq!(store.give_up_deliveries(true).unwrap(), 3);
    assert_eq!(store.give_up_deliveries(true).unwrap(), 0);
    assert_eq!(
        kept(&store),
        [
            "ops cancelled",
            "chat dead",
            "ops cancelled",
            "chat dead",
            "ops cancelled",
            "chat dead",
            "chat pending"
        ]
    );
    counted(&store);
    let counts = store.read(|v| v.delivery_counts("chat")).unwrap();
    assert_eq!((counts.pending, counts.dead), (1, 3));
    assert_eq!(
        counts.last_error.as_deref(),
        Some("not delivered within a day")
    );
    let dead = DeliveryFilter {
        webhook_id: Some("chat".into()),
        status: Some("dead"),
        ..DeliveryFilter::default()
    };
    assert_eq!(store.read(|v| v.count_deliveries(&dead)).unwrap(), 3);
    assert_eq!(
        store
            .read(|v| v.list_deliveries(&dead, 2, 2))
            .unwrap()
            .len(),
        1
    );
    // One that never had its turn, since the server is started again each day, goes after a week.
    store.clock.turn(6 * day);
    assert_eq!(store.give_up_deliveries(false).unwrap(), 0);
    store.clock.turn(day);
    assert_eq!(store.give_up_deliveries(false).unwrap(), 1);
}

#[test]
fn the_schema_refuses_notifications_of_nothing_and_rewritten_ones() {
    let temp = temp();
    let store = open(&temp);
    sync(&store, &["ops"]);
    create(&store).unwrap();
    store
        .change(Actor::system(), |_, _| {
            Ok(Verdict::Write(vec![token("t1", 'a')], ()))
        })
        .unwrap();
    let row = "INSERT INTO outbox (delivery_id, channel, event_type, request_seq, audit_seq, payload_json, status, \
               next_attempt_ms, created_at_ms, updated_at_ms) VALUES";
    let attacks = [
        // Of an event that is not the one of this transaction, of none, of another type, of another request.
        format!("{row} ('x', 'ops', 'request.created', 1, 2, '{{}}', 'pending', 0, 0, 0)"),
        format!("{row} ('x', 'ops', 'request.created', 1, 999, '{{}}', 'pending', 0, 0, 0)"),
        format!(
            "{row} ('x', 'ops', 'request.approved', NULL, (SELECT max(seq) FROM audit_events), '{{}}', 'pending', 0, 0, 0)"
        ),
        format!(
            "{row} ('x', 'ops', 'token.created', 1, (SELECT max(seq) FROM audit_events), '{{}}', 'pending', 0, 0, 0)"
        ),
        // Of the event of this transaction, but sent already.
        format!(
            "{row} ('x', 'ops', 'token.created', NULL, (SELECT max(seq) FROM audit_events), '{{}}', 'delivered', NULL, 0, 0)"
        ),
        "INSERT OR REPLACE INTO outbox SELECT * FROM outbox".to_owned(),
        "UPDATE outbox SET payload_json = '{}'".to_owned(),
        "UPDATE outbox SET channel = 'other'".to_owned(),
        "UPDATE outbox SET event_type = 'request.approved'".to_owned(),
        "UPDATE outbox SET audit_seq = audit_seq + 1".to_owned(),
        "UPDATE outbox SET status = 'delivered'".to_owned(),
        "UPDATE outbox SET status = 'sent', next_attempt_ms = NULL".to_owned(),
        "DELETE FROM outbox".to_owned(),
    ];
    {
        let connection = store.connection.lock().unwrap();
        for attack in &attacks {
            match connection.execute(attack, []) {
                Ok(n) => panic!("{n} rows changed by: {attack}"),
                Err(e) => {
                    let text = e.to_string();
                    let by_schema = [
                        "without its audit event",
                        "never changes",
                        "is kept",
                        "CHECK",
                    ]
                    .iter()
                    .any(|m| text.contains(m));
                    assert!(by_schema, "{attack}\n  failed for another reason: {text}");
                }
            }
        }
    }
    assert_eq!(kept(&store), ["ops pending"]);
    counted(&store);
}
