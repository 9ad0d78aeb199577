//! Notifications reach their receivers: at least once, under one id, signed, in good time, and whatever one receiver
//! does, no other has to wait for it.

mod clocks;
mod limits;
mod mail;
mod mail_receivers;
mod outages;
mod page;
mod restarts;
mod silence;

use crate::support::{DELIVERS, Manner, SHOP, Server, Sink, eventually};
use dbward::crypto::{hex, hmac_sha256};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE name = 'a secret name'";
const SECRET: &str = "hunter2-hunter2";

/// A server that delivers to these webhooks.
fn server(hooks: &str) -> Server {
    Server::with(&format!("{SHOP}{DELIVERS}{hooks}"))
}

/// Deliveries that match a query, newest first.
fn deliveries(s: &Server, query: &str) -> Vec<Value> {
    let path = format!("/api/webhook-deliveries?limit=100&{query}");
    s.admin().get(&path).is(200).list("deliveries")
}

/// Whether a delivery was tried at least so often: on a slow machine the next attempt comes before anybody looks.
fn is_tried(row: &Value, times: u64) -> bool {
    row["attempts"].as_u64() >= Some(times)
}

/// Waits until the newest delivery of this webhook has this status, and returns it.
fn settled(s: &Server, webhook: &str, status: &str) -> Value {
    let mut newest = Value::Null;
    eventually(&format!("{webhook} {status}"), || {
        newest = deliveries(s, &format!("webhook_id={webhook}"))
            .first()
            .cloned()
            .unwrap_or_default();
        newest["status"] == status
    });
    newest
}

#[test]
fn notifications_arrive_signed_with_their_facts() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", &format!("secret = \"{SECRET}\"")));
    let request = s.requester().submit("production", UPDATE);
    let delivery = settled(&s, "ops", "delivered");
    let got = sink.received().remove(0);
    let body = got.json();
    assert_eq!(body["event"], "request.created");
    assert_eq!(body["request_id"], request.id.as_str());
    assert_eq!(body["detail"], "UPDATE items SET price = ? WHERE name = ?");
    assert_eq!(body["delivery_id"], delivery["id"]);
    for name in ["risk_level", "status", "timestamp", "url"] {
        assert!(body.get(name).is_some(), "{name}");
    }
    let id = delivery["id"].as_str();
    assert_eq!(got.path, "/hooks/token-in-the-path");
    assert_eq!(got.header("x-dbward-event"), Some("request.created"));
    assert_eq!(got.header("x-dbward-delivery"), id);
    assert_eq!(got.header("content-type"), Some("application/json"));
    let sign = |message: &[u8]| hex(&hmac_sha256(SECRET.as_bytes(), message));
    let signature = format!("sha256={}", sign(&got.body));
    assert_eq!(got.header("x-dbward-signature"), Some(&*signature));
    let timed = got.header("x-dbward-signature-v2").unwrap();
    let (time, mac) = timed
        .strip_prefix("t=")
        .unwrap()
        .split_once(",v1=")
        .unwrap();
    let message = [time.as_bytes(), b".", &got.body].concat();
    assert_eq!(mac, sign(&message));
    assert_eq!(delivery["attempts"], 1);
    assert_eq!(delivery["next_retry_at"], Value::Null);
    let shown = s.admin().get("/api/webhooks/ops").is(200).json;
    assert_eq!(shown["deliveries"]["delivered"], 1);
    let page = s.inner().app().metrics.render();
    assert!(
        page.contains("dbward_delivery_attempts_total{endpoint=\"ops\",outcome=\"delivered\"} 1")
    );
    assert!(page.contains("dbward_webhook_deliveries_total{status=\"delivered\"} 1"));
}

#[test]
fn links_lead_to_the_public_address() {
    let sink = Sink::start();
    let s = Server::with(&format!(
        "public_url = \"https://dbward.example.com/\"\n{SHOP}{DELIVERS}{}",
        sink.webhook("ops", "")
    ));
    let request = s.requester().submit("production", UPDATE);
    settled(&s, "ops", "delivered");
    let got = sink.received().remove(0);
    assert_eq!(
        got.json()["url"],
        format!("https://dbward.example.com/requests/{}", request.id)
    );
    // Without a secret nothing is signed.
    assert_eq!(got.header("x-dbward-signature"), None);
}

#[test]
fn each_answer_delivers_is_tried_again_or_ends_it() {
    let status = |status: u16| Manner::Status(status, String::new());
    for (manner, ends, reason) in [
        (Manner::Accepts, "delivered", None),
        (status(204), "delivered", None),
        (Manner::Endless, "delivered", None),
        (status(400), "dead", Some("the answer is 400")),
        (status(404), "dead", Some("the answer is 404")),
        (status(410), "dead", Some("the answer is 410")),
        (status(408), "pending", Some("the answer is 408")),
        (status(425), "pending", Some("the answer is 425")),
        (status(429), "pending", Some("the answer is 429")),
        (status(500), "pending", Some("the answer is 500")),
        (status(503), "pending", Some("the answer is 503")),
        (
            Manner::Status(302, "location: /elsewhere\r\n".to_owned()),
            "pending",
            Some("the answer is 302; redirects are not followed"),
        ),
        (Manner::HangsUp, "pending", None),
        (Manner::Resets, "pending", None),
        (Manner::Babbles, "pending", Some("the answer is not HTTP")),
    ] {
        let sink = Sink::start();
        let s = server(&sink.webhook("ops", "events = [\"request_created\"]"));
        sink.manner(manner);
        s.requester().submit("production", UPDATE);
        let mut newest = Value::Null;
        eventually("an attempt", || {
            newest = deliveries(&s, "").remove(0);
            is_tried(&newest, 1) && newest["status"] == ends
        });
        assert!(sink.count() == 1 || ends == "pending");
        match reason {
            Some(reason) => assert_eq!(newest["last_error"], reason),
            None if ends == "pending" => assert!(newest["last_error"].is_string()),
            None => assert_eq!(newest["last_error"], Value::Null),
        }
        assert_eq!(newest["next_retry_at"].is_string(), ends == "pending");
    }
}

#[test]
fn formats_are_those_of_their_receivers() {
    let sinks: Vec<Sink> = (0..3).map(|_| Sink::start()).collect();
    let hooks = ["slack", "teams", "google_chat"];
    let toml: String = hooks
        .iter()
        .zip(&sinks)
        .map(|(format, sink)| {
            sink.webhook(&format.replace('_', "-"), &format!("format = \"{format}\""))
        })
        .collect();
    let s = server(&toml);
    s.requester().submit("production", UPDATE);
    eventually("all", || sinks.iter().all(|sink| sink.count() == 1));
    let [slack, teams, chat] = [0, 1, 2].map(|n| sinks[n].received().remove(0).json());
    assert_eq!(slack["blocks"][0]["type"], "header");
    assert_eq!(slack["text"], "Approval needed: shop/production");
    let card = &teams["attachments"][0];
    assert_eq!(
        card["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(card["content"]["type"], "AdaptiveCard");
    assert_eq!(
        chat["cardsV2"][0]["card"]["header"]["title"],
        "Approval needed: shop/production"
    );
    for sink in &sinks {
        let text = String::from_utf8(sink.received().remove(0).body).unwrap();
        assert!(text.contains("UPDATE items SET price = ?"), "{text}");
        assert!(!text.contains("a secret name"));
    }
}

#[test]
fn permitted_people_repeat_deliveries_and_send_test_messages() {
    let sink = Sink::start();
    let s = server(&sink.webhook("ops", ""));
    let admin = s.admin();
    sink.manner(Manner::Status(404, String::new()));
    let request = s.requester().submit("production", UPDATE);
    let dead = settled(&s, "ops", "dead");
    let id = dead["id"].as_str().unwrap();
    let again = format!("/api/webhook-deliveries/{id}/redeliver");
    s.requester().poke(&again).refused(403, "forbidden");
    sink.manner(Manner::Accepts);
    // Long after everything else would have been given up.
    s.turn_only(3 * 86_400);
    assert_eq!(
        admin.poke(&again).is(202).json,
        json!({"delivery_id": id, "status": "pending"})
    );
    let delivered = settled(&s, "ops", "delivered");
    assert_eq!(
        (&delivered["id"], &delivered["attempts"]),
        (&dead["id"], &json!(1))
    );
    let ids: Vec<_> = sink
        .received()
        .iter()
        .map(|r| r.json()["delivery_id"].clone())
        .collect();
    assert_eq!(ids, [dead["id"].clone(), dead["id"].clone()]);
    assert_eq!(
        deliveries(&s, &format!("request_id={}", request.id)),
        [delivered]
    );
    assert_eq!(deliveries(&s, "request_id=nothing"), [Value::Null; 0]);
    let event = s.events("event_type=webhook.redelivered").remove(0);
    assert_eq!(
        (&event["resource_id"], &event["actor_id"]),
        (&dead["id"], &json!("admin"))
    );

    s.requester()
        .poke("/api/webhooks/ops/test")
        .refused(403, "forbidden");
    admin
        .poke("/api/webhooks/nobody/test")
        .refused(404, "not_found");
    admin
        .poke("/api/webhook-deliveries/wd-1/redeliver")
        .refused(404, "not_found");
    sink.manner(Manner::Status(500, String::new()));
    let test = admin
        .poke("/api/webhooks/ops/test")
        .is(202)
        .text("delivery_id");
    eventually("an attempt", || is_tried(&deliveries(&s, "")[0], 1));
    admin
        .poke(&format!("/api/webhook-deliveries/{test}/redeliver"))
        .refused(409, "conflict");
    let body = sink.received().pop().unwrap().json();
    assert_eq!(
        (&body["event"], &body["actor"], &body["request_id"]),
        (&json!("webhook.tested"), &json!("admin"), &Value::Null)
    );
    assert_eq!(s.events("event_type=webhook.tested").len(), 1);
}

#[test]
fn a_reload_changes_address_and_secret_of_what_waits() {
    let (old, new) = (Sink::start(), Sink::start());
    let s = server(&old.webhook("ops", "secret = \"old-secret-old\""));
    old.manner(Manner::HangsUp);
    s.requester().submit("production", UPDATE);
    eventually("an attempt", || is_tried(&deliveries(&s, "")[0], 1));
    let toml = new.webhook("ops", &format!("secret = \"{SECRET}\""));
    let path = s.state_dir().with_file_name("server.toml");
    let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{SHOP}{toml}");
    std::fs::write(&path, text).unwrap();
    s.inner().reload(&path).unwrap();
    s.turn_only(7);
    settled(&s, "ops", "delivered");
    let got = new.received().remove(0);
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), &got.body));
    assert_eq!(
        got.header("x-dbward-signature"),
        Some(&*format!("sha256={signature}"))
    );
}

#[test]
fn the_path_of_a_webhook_is_nowhere_to_be_seen() {
    let sink = Sink::start();
    let s = server(&format!(
        "{}{}",
        sink.webhook("ops", &format!("secret = \"{SECRET}\"")),
        "[[webhooks]]\nid = \"gone\"\nurl = \"http://127.0.0.1:9/token-in-the-path\"\n"
    ));
    sink.manner(Manner::Status(404, String::new()));
    s.requester().submit("production", UPDATE);
    s.admin().poke("/api/webhooks/ops/test").is(202);
    settled(&s, "ops", "dead");
    eventually("an attempt", || {
        deliveries(&s, "webhook_id=gone")
            .iter()
            .all(|d| d["last_error"].is_string())
    });
    for path in [
        "/api/webhooks",
        "/api/webhooks/ops",
        "/api/webhooks/gone",
        "/api/webhook-deliveries",
        "/api/audit/events?limit=200",
        "/metrics",
    ] {
        let text = String::from_utf8(s.admin().get(path).is(200).body).unwrap();
        assert!(
            !text.contains("token-in-the-path") && !text.contains(SECRET),
            "{path}"
        );
    }
}
