//! Who is notified of what: every event of a request goes into the outbox with what it reports, for the webhooks that
//! the configuration in effect at that point of the log names, and reports no more than the log does.

mod checkpoints;
mod deliveries;

use crate::support::{DELIVERS, Person, SHOP, Server, Sink, eventually, golden};
use dbward::domain::policy::notification::EVENTS;
use dbward::store::DeliveryFilter;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE name = 'a secret name'";
const SECRET: &str = "hunter2-hunter2";

/// A webhook that receives everything.
const OPS: &str =
    "[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/hook\"\nsecret = \"hunter2-hunter2\"\n";

/// Two steps in staging, and a role for emergencies.
const STEPS: &str = r#"
[[workflows]]
database = "shop"
environment = "staging"
[[workflows.steps]]
[[workflows.steps.approvers]]
user = "approver"
[[workflows.steps]]
[[workflows.steps.approvers]]
user = "approver-two"
[[auth.roles]]
name = "hurry"
permissions = ["request.break_glass"]
"#;

/// What was notified, oldest first: the webhook and the facts.
fn notified(s: &Server) -> Vec<(String, Value)> {
    let all = DeliveryFilter::default();
    let rows = s
        .inner()
        .app()
        .store
        .read(|view| view.list_deliveries(&all, 1000, 0));
    let read = |row: &dbward::store::DeliveryRow| {
        let facts: Value = serde_json::from_str(&row.payload_json).unwrap();
        assert_eq!(facts["delivery_id"], row.id.as_str());
        assert_eq!(facts["event"], row.event_type.as_str());
        (row.webhook_id.clone(), facts)
    };
    let mut notified: Vec<_> = rows.unwrap().iter().flatten().map(read).collect();
    notified.reverse();
    notified
}

/// The facts of the newest notification of that event.
#[track_caller]
fn newest(s: &Server, event: &str) -> Value {
    let found = notified(s)
        .into_iter()
        .rev()
        .find(|(_, f)| f["event"] == event);
    found
        .unwrap_or_else(|| panic!("nobody was notified of {event}"))
        .1
}

/// `ops request.created`, of every notification, oldest first.
fn short(s: &Server) -> Vec<String> {
    notified(s)
        .iter()
        .map(|(webhook, facts)| format!("{webhook} {}", facts["event"].as_str().unwrap()))
        .collect()
}

/// Has everything happen to requests that can happen.
fn live(s: &Server) {
    let (requester, agent) = (
        s.person("requester", &["developer", "hurry"]),
        s.agent("agent-1"),
    );
    let approved = requester
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    agent.run(&approved.resumed().id);
    s.approver()
        .reject(&requester.submit("production", UPDATE))
        .is(200);
    let stepped = requester.submit("staging", UPDATE);
    s.approver().approve(&stepped).is(200);
    s.person("approver-two", &["readonly"])
        .approve(&stepped)
        .is(200);
    let failing = requester.submit("development", UPDATE);
    let claim = agent.claim(&failing.id);
    agent
        .fail(&claim.execution, "duplicate key: 'a secret name'")
        .is(200);
    let urgent = json!({"emergency": true, "reason": "outage"});
    requester.submit_with("production", UPDATE, urgent);
    // Its agent is silent, and nobody takes the other; the one before goes the same way.
    agent.claim(&requester.submit("development", UPDATE).id);
    requester.submit("development", UPDATE);
    s.turn(301);
    requester.submit("production", UPDATE);
    s.turn(86_401);
    let running = requester.submit("development", UPDATE);
    let claim = agent.claim(&running.id);
    requester.cancel(&running).is(200);
    agent.succeed(&claim.execution, crate::support::ROWS);
    requester.submit("production", UPDATE);
    let edited = requester.submit("development", UPDATE);
    s.edit_request(
        &edited,
        "UPDATE request_texts SET detail = 'DELETE FROM items' WHERE request_seq = ?",
    );
    agent.poll();
    agent.try_claim(&edited.id).refused(409, "corrupt");
    s.admin().poke("/api/users/requester/suspend").is(200);
}

#[test]
fn every_event_of_a_request_is_notified_with_facts() {
    let s = Server::with(&format!("{SHOP}{STEPS}{OPS}"));
    live(&s);
    let mut logged: Vec<(String, String)> = s
        .events("")
        .iter()
        .map(|e| [&e["event_type"], &e["request_id"]].map(|v| v.as_str().unwrap_or("").to_owned()))
        .map(|[event, request]| (event, request))
        .filter(|(event, _)| EVENTS.contains(&event.as_str()))
        .collect();
    logged.reverse();
    let notified: Vec<(String, String)> = notified(&s)
        .iter()
        .map(|(_, f)| [&f["event"], &f["request_id"]].map(|v| v.as_str().unwrap().to_owned()))
        .map(|[event, request]| (event, request))
        .collect();
    assert_eq!(notified, logged);
    let kinds: BTreeSet<&str> = notified.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(kinds, EVENTS.into());
}

#[test]
fn facts_are_flat_complete_and_all_from_the_log() {
    let s = Server::with(&format!("{SHOP}{STEPS}{OPS}"));
    live(&s);
    let notified = notified(&s);
    assert!(notified.len() >= EVENTS.len(), "{notified:?}");
    for (_, facts) in notified {
        for name in [
            "event",
            "request_id",
            "database",
            "environment",
            "operation",
            "actor",
            "requester",
            "delivery_id",
            "timestamp",
            "status",
            "reason",
        ] {
            assert!(facts.get(name).is_some(), "no {name} in {facts}");
        }
        assert!(facts["delivery_id"].as_str().unwrap().starts_with("wd-"));
        assert_eq!(
            (&facts["requester"], &facts["database"]),
            (&json!("requester"), &json!("shop"))
        );
        let creation = matches!(
            facts["event"].as_str(),
            Some("request.created" | "request.auto_approved" | "request.break_glass")
        );
        // The statement of a new request is stored once, with the request.
        assert_eq!(
            facts.get("detail"),
            (!creation).then_some(&Value::Null),
            "{facts}"
        );
        assert!(
            facts
                .as_object()
                .unwrap()
                .values()
                .all(|v| !v.is_object() && !v.is_array())
        );
        // Neither from the statement nor from the database's message.
        assert!(!facts.to_string().contains("a secret name"), "{facts}");
    }
}

#[test]
fn facts_say_who_did_what_and_how_the_request_stands() {
    let s = Server::with(&format!("{SHOP}{STEPS}{OPS}"));
    live(&s);
    let says = |event: &str, field: &str| newest(&s, event)[field].clone();
    for (event, field, value) in [
        ("request.created", "status", json!("pending")),
        ("request.created", "actor", json!("requester")),
        ("request.break_glass", "reason", json!("outage")),
        ("request.break_glass", "emergency", json!(true)),
        ("step.approved", "status", json!("pending")),
        ("step.approved", "actor", json!("approver")),
        ("step.approved", "step_number", json!(1)),
        ("request.approved", "step_number", json!(2)),
        ("request.approved", "total_steps", json!(2)),
        ("request.rejected", "status", json!("rejected")),
        ("request.dispatch_timeout", "actor", json!("system")),
        ("request.expired", "actor", json!("system")),
        ("execution.started", "actor", json!("agent-1")),
        ("execution.failed", "status", json!("failed")),
        ("execution.lost", "status", json!("execution_lost")),
        // The suspended person did not cancel it.
        ("request.cancelled", "actor", json!("admin")),
        (
            "request.cancelled",
            "reason",
            json!("its requester was suspended"),
        ),
        // It ran to its end although it had been cancelled.
        ("execution.completed", "committed_after_cancel", json!(true)),
        ("execution.completed", "status", json!("cancelled")),
    ] {
        assert_eq!(says(event, field), value, "{event} {field}");
    }
}

/// Three webhooks, two of which policies name.
fn routed() -> Server {
    let hook = |id: &str, events: &str| {
        format!(
            "[[webhooks]]\nid = \"{id}\"\nurl = \"https://{id}.example.com\"\nevents = {events}\n"
        )
    };
    let policies = r#"
[[notification_policies]]
webhooks = ["ops"]
events = ["request.cancelled"]
[[notification_policies]]
environment = "production"
webhooks = ["ops", "chat"]
events = ["request.created"]
"#;
    let hooks = [
        hook("ops", "[]"),
        hook("chat", "[]"),
        hook("free", "[\"request.rejected\", \"request.created\"]"),
    ];
    Server::with(&format!("{SHOP}{}{policies}", hooks.concat()))
}

#[test]
fn policies_say_who_is_notified_and_can_be_asked() {
    let s = routed();
    let requester = s.requester();
    let (production, staging) = (
        requester.submit("production", UPDATE),
        requester.submit("staging", UPDATE),
    );
    requester.cancel(&production).is(200);
    requester.cancel(&staging).is(200);
    assert_eq!(
        short(&s),
        [
            "ops request.created",
            "chat request.created",
            "free request.created",
            "free request.created",
            "ops request.cancelled"
        ]
    );
    let ask = |environment: &str| {
        let path = format!("/api/policy-resolution?database=shop&environment={environment}");
        requester.get(&path).is(200).json["notification_policy"].clone()
    };
    let free =
        json!({"id": "free", "events": ["request.created", "request.rejected"], "by": "webhook"});
    assert_eq!(
        ask("production"),
        json!({"matched_by": "(*, production)", "webhooks": [
            {"id": "ops", "events": ["request.created"], "by": "policy"},
            {"id": "chat", "events": ["request.created"], "by": "policy"},
            free,
        ]})
    );
    assert_eq!(
        ask("staging"),
        json!({"matched_by": "(*, *)", "webhooks": [
            {"id": "ops", "events": ["request.cancelled"], "by": "policy"},
            free,
        ]})
    );
}

#[test]
fn notification_policies_are_listed_and_shown() {
    let s = routed();
    let admin = s.admin();
    golden(
        "notification_policies",
        &admin.get("/api/notification-policies").is(200).json,
    );
    let one = admin
        .get("/api/notification-policies/np:*:production")
        .is(200);
    assert_eq!(one.json["webhooks"], json!(["chat", "ops"]));
    admin
        .get("/api/notification-policies/np:x:y")
        .refused(404, "not_found");
}

#[test]
fn statements_follow_the_redaction_of_the_log_and_are_cut() {
    for (redaction, detail) in [
        (
            "literals",
            json!("UPDATE items SET price = ? WHERE name = ?"),
        ),
        ("full", Value::Null),
        ("none", json!(UPDATE)),
    ] {
        let audit = format!("[audit]\nredaction = \"{redaction}\"\n");
        let sink = Sink::start();
        let hook = sink.webhook("ops", "");
        let s = Server::with(&format!("{SHOP}{DELIVERS}{hook}{audit}"));
        s.requester().submit("production", UPDATE);
        eventually("the first", || sink.count() == 1);
        assert_eq!(sink.received()[0].json()["detail"], detail, "{redaction}");
        if redaction == "none" {
            let long = format!("SELECT '{}'", "ä".repeat(20_000));
            s.requester().submit("production", &long);
            eventually("the second", || sink.count() == 2);
            let facts = sink.received()[1].json();
            assert_eq!(facts["detail_truncated"], true);
            let kept = facts["detail"].as_str().unwrap();
            assert!(long.starts_with(kept) && (16_380..=16_384).contains(&kept.len()));
        }
    }
}

#[test]
fn a_secret_is_nowhere_to_be_seen() {
    let s = Server::with(&format!("{SHOP}{OPS}"));
    s.requester().submit("production", UPDATE);
    let admin = s.admin();
    let list = admin.get("/api/webhooks").is(200);
    golden("webhooks", &list.json);
    let mut seen = list.raw();
    for path in [
        "/api/webhooks/ops",
        "/api/webhook-deliveries",
        "/api/audit/events?limit=200",
        "/api/policy-resolution?database=shop&environment=production",
        "/metrics",
    ] {
        seen.push_str(&String::from_utf8(admin.get(path).is(200).body).unwrap());
    }
    assert!(!seen.contains(SECRET));
    // Nor is it stored.
    s.flush();
    let needle = SECRET.as_bytes();
    for file in ["dbward.db", "dbward.db-wal"] {
        let bytes = fs::read(s.state_dir().join(file)).unwrap();
        assert!(!bytes.windows(needle.len()).any(|w| w == needle), "{file}");
    }
}

/// Has the server take this server.toml over.
fn reload(s: &Server, toml: &str) -> Result<(), String> {
    let path = s.state_dir().with_file_name("server.toml");
    let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{toml}");
    fs::write(&path, text).unwrap();
    s.inner().reload(&path)
}

#[test]
fn removed_webhook_is_not_notified_and_its_deliveries_are_cancelled() {
    let other = OPS.replace("ops", "chat").replace(SECRET, "another-secret");
    let s = Server::with(&format!("{SHOP}{OPS}{other}"));
    let requester = s.requester();
    requester.submit("production", UPDATE);
    // A file that is refused changes nothing, and says nothing that is secret.
    let bad = format!("{SHOP}{OPS}{OPS}");
    let text = reload(&s, &bad).unwrap_err();
    assert!(text.contains("is the id of another webhook already") && !text.contains(SECRET));
    let rejected = s.events("event_type=config.reload_failed").remove(0);
    assert!(!rejected.to_string().contains(SECRET));
    requester.submit("production", UPDATE);
    assert_eq!(short(&s).len(), 4);
    reload(&s, &format!("{SHOP}{other}")).unwrap();
    requester.submit("production", UPDATE);
    let list = |query: &str| {
        let path = format!("/api/webhook-deliveries?{query}");
        s.admin().get(&path).is(200).json["total"].clone()
    };
    assert_eq!(list("webhook_id=ops&status=cancelled"), 2);
    assert_eq!(list("webhook_id=ops"), 2);
    assert_eq!(list("webhook_id=chat&status=pending"), 3);
    s.admin().get("/api/webhooks/ops").refused(404, "not_found");
    reload(&s, SHOP).unwrap();
    requester.submit("production", UPDATE);
    assert_eq!(list("webhook_id=chat&status=cancelled"), 3);
    assert_eq!(list("status=pending"), 0);
    // Deleting a role leaves the webhooks as they are.
    let role = "[[auth.roles]]\nname = \"spare\"\npermissions = [\"request.view\"]\n";
    reload(&s, &format!("{SHOP}{role}{OPS}")).unwrap();
    s.admin().delete("/api/roles/spare").is(204);
    s.admin().get("/api/webhooks/ops").is(200);
    requester.submit("production", UPDATE);
    assert_eq!(list("status=pending"), 1);
}

#[test]
fn reloads_in_a_storm_lose_no_notification_and_double_none() {
    const HOOKS: [&str; 2] = ["one", "two"];
    let toml = |n: usize| format!("{SHOP}{}", OPS.replace("ops", HOOKS[n % 2]));
    let s = Server::with(&toml(0));
    let people: Vec<Person> = (0..3)
        .map(|n| s.person(&format!("requester-{n}"), &["developer"]))
        .collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (s, stop) = (&s, &stop);
        for person in &people {
            scope.spawn(move || {
                for _ in 0..20 {
                    // One that came between two configurations is asked to come again.
                    eventually("taken", || {
                        person.create("production", UPDATE).status == 201
                    });
                }
                stop.store(true, Ordering::SeqCst);
            });
        }
        for n in 1.. {
            reload(s, &toml(n)).unwrap();
            if n >= 40 || stop.load(Ordering::SeqCst) {
                break;
            }
        }
    });
    // The log says which configuration each request came under, and so who was notified.
    let mut log = s.events("");
    log.reverse();
    let mut expected = Vec::new();
    let mut configurations = 0;
    for event in &log {
        match event["event_type"].as_str().unwrap() {
            "config.synced" => configurations += 1,
            "request.created" => {
                let hook = HOOKS[(configurations + 1) % 2];
                expected.push((hook.to_owned(), event["request_id"].clone()));
            }
            _ => {}
        }
    }
    assert!(configurations > 2, "{configurations}");
    assert_eq!(expected.len(), 60);
    let notified: Vec<(String, Value)> = notified(&s)
        .into_iter()
        .map(|(webhook, facts)| (webhook, facts["request_id"].clone()))
        .collect();
    assert_eq!(notified, expected);
}
