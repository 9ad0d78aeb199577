//! Notifications: written with what they report, kept as they were, and brought to an end.

use super::*;
use crate::domain::policy::notification::{EventFilter, PENDING_MS_MAX, RoutedWebhook};
use crate::store::DeliveryFilter;
use std::collections::BTreeMap;

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

/// Steps of SQLite's virtual machine, in hundreds, that a claim takes of so many notifications that wait; how many it claims.
fn claiming(waiting: u32, due: bool) -> (usize, u64) {
    let temp = temp();
    let store = open(&temp);
    sync(&store, &["ops"]);
    create(&store).unwrap();
    let steps = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let at = if due { store.clock.now().0 } else { i64::MAX };
    {
        let mut connection = store.connection.lock().unwrap();
        connection
            .execute_batch(&format!(
                "DROP TRIGGER outbox_insert; INSERT INTO outbox (delivery_id, channel, event_type, request_seq, audit_seq, \
                 payload_json, status, next_attempt_ms, created_at_ms, updated_at_ms) \
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {waiting}) \
                 SELECT 'wd-' || i, 'ops', event_type, NULL, audit_seq, payload_json, 'pending', {at}, 0, 0 FROM n, outbox"
            ))
            .unwrap();
        let count = move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            false
        };
        connection.progress_handler(100, Some(count)).unwrap();
    }
    let claimed = store
        .claim_deliveries(vec!["ops".to_owned()], BTreeMap::new(), 16)
        .unwrap();
    let due = store.read(|view| view.due_channels()).unwrap();
    assert!(due.len() <= 1);
    (
        claimed[0].1.len(),
        steps.load(std::sync::atomic::Ordering::Relaxed),
    )
}

#[test]
fn a_claim_reads_few_of_hundred_thousand_that_are_due() {
    let (few, many) = (claiming(100, true), claiming(100_000, true));
    assert_eq!((few.0, many.0), (16, 16));
    assert!(many.1 <= 2 * few.1 + 10, "{few:?} {many:?}");
    // Those that are planned for later cost a look at each, and no more.
    let later = claiming(100_000, false);
    assert_eq!(later.0, 1);
    assert!(later.1 < 100_000, "{later:?}");
}
