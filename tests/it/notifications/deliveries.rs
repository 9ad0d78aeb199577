//! Deliveries as the API lists them, and what becomes of those that nobody makes.

use super::{OPS, UPDATE};
use crate::support::{SHOP, Server};
use dbward::domain::policy::notification::PENDING_MS_MAX;
use serde_json::{Value, json};

/// A server with two webhooks, of which three requests were made and called off.
fn notified() -> Server {
    let chat = "[[webhooks]]\nid = \"chat\"\nurl = \"https://chat.example.com\"\nevents = [\"request.created\"]\n";
    let s = Server::with(&format!("{SHOP}{OPS}{chat}"));
    let requester = s.requester();
    for _ in 0..3 {
        let request = requester.submit("production", UPDATE);
        requester.cancel(&request).is(200);
    }
    s
}

#[test]
fn deliveries_are_found_by_status_and_webhook() {
    let s = notified();
    let admin = s.admin();
    let list = |query: &str| admin.get(&format!("/api/webhook-deliveries?{query}"));
    let all = list("").is(200);
    assert_eq!(
        (&all.json["total"], all.list("deliveries").len()),
        (&json!(9), 9)
    );
    let first = &all.list("deliveries")[0];
    assert_eq!(
        (
            &first["event_type"],
            &first["status"],
            &first["attempts"],
            &first["max_attempts"]
        ),
        (
            &json!("request.cancelled"),
            &json!("pending"),
            &json!(0),
            &json!(10)
        )
    );
    assert!(first["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(first.get("payload").is_none());
    for (query, total) in [
        ("webhook_id=chat", 3),
        ("webhook_id=ops", 6),
        ("webhook_id=nobody", 0),
        ("status=pending", 9),
        ("status=dead", 0),
        ("status=pending&webhook_id=chat", 3),
        ("status=delivered&webhook_id=chat", 0),
    ] {
        let page = list(query).is(200);
        assert_eq!(page.json["total"], total, "{query}");
        assert_eq!(page.list("deliveries").len(), total, "{query}");
    }
    list("status=lost")
        .refused(400, "validation_error")
        .saying("in_progress");
    list("cursor=x").refused(400, "validation_error");
    list("limit=-1").refused(400, "validation_error");
    let shown = admin.get("/api/webhooks/ops").is(200).json["deliveries"].clone();
    assert_eq!(
        shown,
        json!({"pending": 6, "in_progress": 0, "delivered": 0, "dead": 0, "cancelled": 0,
               "last_delivered_at": null, "last_error": null})
    );
    admin.get("/api/webhooks/nobody").refused(404, "not_found");
}

#[test]
fn pages_by_cursor_and_by_offset_hold_every_delivery_once() {
    let s = notified();
    let admin = s.admin();
    let list = |query: &str| admin.get(&format!("/api/webhook-deliveries?{query}"));
    let all = list("").is(200);
    let id = |d: &Value| d["id"].as_str().unwrap().to_owned();
    let ids: Vec<String> = all.list("deliveries").iter().map(id).collect();
    let (mut by_cursor, mut next) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("limit=4{next}")).is(200);
        by_cursor.extend(page.list("deliveries").iter().map(id));
        match page.json["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(by_cursor, ids);
    let skipped: Vec<String> = list("offset=7").list("deliveries").iter().map(id).collect();
    assert_eq!(skipped, ids[7..]);
}

#[test]
fn what_nobody_delivers_is_given_up_after_a_day() {
    let s = Server::with(&format!("{SHOP}{OPS}"));
    s.requester().submit("production", UPDATE);
    let day = u64::try_from(PENDING_MS_MAX / 1000).unwrap();
    let deliveries = || s.admin().get("/api/webhooks/ops").is(200).json["deliveries"].clone();
    s.turn_only(day - 5);
    dbward::jobs::outbox(s.inner().job_state()).unwrap();
    assert_eq!(
        (&deliveries()["pending"], &deliveries()["dead"]),
        (&json!(1), &json!(0))
    );
    s.turn_only(5);
    dbward::jobs::outbox(s.inner().job_state()).unwrap();
    let ended = deliveries();
    assert_eq!((&ended["pending"], &ended["dead"]), (&json!(0), &json!(1)));
    assert_eq!(ended["last_error"], "not delivered within a day");
    let page = String::from_utf8(s.admin().get("/metrics").body).unwrap();
    for line in [
        "dbward_webhook_deliveries_total{status=\"dead\"} 1",
        "dbward_outbox_current{status=\"dead\"} 1",
        "dbward_outbox_current{status=\"pending\"} 0",
    ] {
        assert!(page.contains(line), "no {line}");
    }
}

#[test]
fn planned_reminders_do_not_keep_others_from_being_given_up() {
    let policy = "[[notification_policies]]\nenvironment = \"staging\"\nwebhooks = [\"late\"]\nevents = [\"request.escalated\"]\n\
        escalate_after_secs = 2000000\nescalate_to = [\"user:lead\"]\n";
    let webhooks = "[[webhooks]]\nid = \"late\"\nurl = \"https://late.example.com\"\n\
        [[webhooks]]\nid = \"ops\"\nurl = \"https://ops.example.com\"\nevents = [\"request.created\"]\n";
    let s = Server::with(&format!("{SHOP}{webhooks}{policy}"));
    for _ in 0..501 {
        s.requester().submit("staging", UPDATE);
    }
    s.requester().submit("production", UPDATE);
    s.turn_only(u64::try_from(PENDING_MS_MAX / 1000).unwrap());
    for _ in 0..4 {
        dbward::jobs::outbox(s.inner().job_state()).unwrap();
    }
    let of =
        |id: &str| s.admin().get(&format!("/api/webhooks/{id}")).is(200).json["deliveries"].clone();
    let (ops, late) = (of("ops"), of("late"));
    assert_eq!(
        (&ops["pending"], &ops["dead"]),
        (&json!(0), &json!(502)),
        "{ops}"
    );
    assert_eq!(
        (&late["pending"], &late["dead"]),
        (&json!(501), &json!(0)),
        "{late}"
    );
}

#[test]
fn request_says_that_older_notifications_are_not_shown() {
    let hook =
        |n: usize| format!("[[webhooks]]\nid = \"w{n}\"\nurl = \"https://w{n}.example.com\"\n");
    let hooks: String = (0..50).map(hook).collect();
    let s = Server::with(&format!("{SHOP}{hooks}"));
    let request = s.requester().submit("production", UPDATE);
    let shown = || s.admin().show(&request).is(200).json;
    let (first, listed) = (shown(), |all: &Value| {
        all["notifications"].as_array().unwrap().len()
    });
    assert_eq!(
        (listed(&first), &first["notifications_truncated"]),
        (50, &json!(false))
    );
    let request = request.approved_by(&s.approver()).resumed();
    s.agent("agent-1").run(&request.id);
    let all = s.admin().show(&request).is(200).json;
    assert_eq!(
        (listed(&all), &all["notifications_truncated"]),
        (200, &json!(true))
    );
    let path = format!("/api/webhook-deliveries?request_id={}&limit=1", request.id);
    let total = s.admin().get(&path).is(200).json["total"].as_u64().unwrap();
    assert!(total > 200, "{total}");
}
