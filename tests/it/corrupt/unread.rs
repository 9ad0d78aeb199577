//! Rows that hold what can be no value: every route says so with a code of its own, and goes on for all others.

use super::{TWO, UPDATE, dispatched, metadata};
use crate::results::ran;
use crate::support::{Person, ROWS, Request, SHOP, Server};
use serde_json::Value;

/// Edits of a dispatched request whose row is `?`: names that there are not, numbers out of range, no JSON, no UTF-8.
const EDITS: &[&str] = &[
    "UPDATE requests SET operation = 'anything' WHERE seq = ?",
    "UPDATE requests SET status = 'anything' WHERE seq = ?",
    "UPDATE requests SET dialect = 'klingon' WHERE seq = ?",
    "UPDATE requests SET requester = CAST(X'FF' AS TEXT) WHERE seq = ?",
    "UPDATE requests SET reason = CAST(X'FF' AS TEXT) WHERE seq = ?",
    "UPDATE requests SET environment = '' WHERE seq = ?",
    "UPDATE requests SET current_step = -1 WHERE seq = ?",
    "UPDATE requests SET max_affected_rows = -1 WHERE seq = ?",
    "UPDATE requests SET row_bound_source = 'nobody' WHERE seq = ?",
    "UPDATE requests SET dispatched_from = 'nowhere' WHERE seq = ?",
    "UPDATE requests SET dispatch_deadline_ms = NULL WHERE seq = ?",
    "UPDATE request_texts SET detail = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
    "UPDATE request_texts SET workflow_json = '{' WHERE request_seq = ?",
    "UPDATE request_texts SET facts_json = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
    "UPDATE request_texts SET share_with_json = '[' WHERE request_seq = ?",
    "UPDATE request_texts SET redacted = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
    "UPDATE approvals SET action = 'perhaps' WHERE request_seq = ?",
    "UPDATE approvals SET step_index = -1 WHERE request_seq = ?",
    "UPDATE approvals SET comment = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
];

fn ids(person: &Person, list: &str) -> Vec<Value> {
    let items = person.get(list).is(200).list("requests");
    items.iter().map(|item| item["id"].clone()).collect()
}

/// A request is refused, or shown with the flag.
#[track_caller]
fn is_not_shown_as_sound(s: &Server, request: &Request) {
    let shown = s.admin().show(request);
    let refused = shown.status == 409 && shown.json["error"]["code"] == "corrupt";
    assert!(refused || shown.json["corrupt"] == true, "{}", shown.raw());
}

/// Every call about a request; none is our fault.
#[track_caller]
fn is_refused_everywhere(s: &Server, request: &Request, edited: &str) {
    is_not_shown_as_sound(s, request);
    for rest in [
        "/executions",
        "/result/stream?wait=0",
        "/result/content",
        "?wait=0",
    ] {
        let answer = s.admin().get(&request.path(rest));
        assert_ne!(answer.status, 500, "{edited}: {rest}: {}", answer.raw());
    }
    for verb in ["approve", "reject", "cancel", "resume", "rehearse"] {
        let answer = s.admin().poke(&request.path(&format!("/{verb}")));
        assert!(
            matches!(answer.status, 409 | 422),
            "{edited}: {verb}: {}",
            answer.raw()
        );
    }
    let about = format!("event_type=request.corrupt&request_id={}", request.id);
    let events = s.events(&about);
    assert_eq!(events.len(), 1, "{edited}: {events:?}");
    assert!(
        metadata(&events[0])["differs"].is_string(),
        "{edited}: {events:?}"
    );
}

#[test]
fn every_route_reports_an_unreadable_request_and_serves_others() {
    let s = Server::with(&format!("{SHOP}{TWO}"));
    for edited in EDITS {
        let (before, request) = (dispatched(&s), dispatched(&s));
        let after = s.requester().submit("production", UPDATE);
        s.edit_request(&request, edited);
        // The page goes on after what it leaves out.
        let page = s.admin().get("/api/requests?limit=2").is(200);
        assert_eq!(
            page.list("requests")[0]["id"],
            after.id.as_str(),
            "{edited}"
        );
        let next = page.json["next_cursor"].as_str().unwrap();
        let rest = ids(&s.admin(), &format!("/api/requests?cursor={next}"));
        assert!(rest.contains(&before.id.as_str().into()), "{edited}");
        is_refused_everywhere(&s, &request, edited);
        s.approver()
            .get("/api/requests?pending_for_me=true")
            .is(200);
        s.turn(1);
        s.admin().get("/metrics").is(200);
        s.admin().get("/api/audit/verify").is(200);
        s.approver().approve(&after).is(200);
        s.agent("agent-1").run(&before.id);
    }
    assert_eq!(s.forgive_faults(), 0);
}

/// The same of requests that wait for a vote.
const WAITING: &[&str] = &[
    EDITS[0],
    EDITS[11],
    EDITS[12],
    "UPDATE approvals SET action = 'perhaps' WHERE request_seq = ?",
];

#[test]
fn unreadable_request_hides_nothing_else_that_waits() {
    let s = Server::with(&format!("{SHOP}{TWO}"));
    let second = s.person("approver-two", &["readonly"]);
    for edited in WAITING {
        let (before, request) = (
            s.requester().submit("staging", UPDATE),
            s.requester().submit("staging", UPDATE),
        );
        s.approver().approve(&request).is(200);
        let after = s.requester().submit("staging", UPDATE);
        s.edit_request(&request, edited);
        let waits = ids(&second, "/api/requests?pending_for_me=true");
        for other in [&before, &after] {
            assert!(waits.contains(&other.id.as_str().into()), "{edited}");
        }
        is_refused_everywhere(&s, &request, edited);
        let voted = second.approve(&before).is(200);
        assert_eq!(voted.text("status"), "pending");
    }
    assert_eq!(s.forgive_faults(), 0);
}

/// Edits of a request that ran.
const RAN: &[&str] = &[
    "UPDATE executions SET status = 'perhaps' WHERE request_seq = ?",
    "UPDATE executions SET outcome = 'perhaps' WHERE request_seq = ?",
    "UPDATE executions SET duration_ms = -1 WHERE request_seq = ?",
    "UPDATE executions SET error_message = CAST(X'FF' AS TEXT) WHERE request_seq = ?",
    "UPDATE requests SET executions_finished = -1 WHERE seq = ?",
];

#[test]
fn executions_that_cannot_be_read_are_nobodys_fault() {
    let s = Server::with(&format!("{SHOP}{TWO}"));
    for edited in RAN {
        let request = ran(&s, ROWS);
        s.edit_request(&request, edited);
        s.admin()
            .get(&request.path("/executions"))
            .refused(409, "corrupt");
        is_not_shown_as_sound(&s, &request);
        s.admin().get("/api/requests").is(200);
    }
    let request = ran(&s, ROWS);
    let listed = || {
        let results = s.requester().get("/api/results").is(200).list("results");
        results
            .iter()
            .map(|r| r["request_id"].clone())
            .collect::<Vec<_>>()
    };
    let unread = ran(&s, ROWS);
    assert!(listed().contains(&unread.id.as_str().into()));
    s.edit_request(
        &unread,
        "UPDATE results SET content_length = -1 WHERE request_seq = ?",
    );
    assert!(!listed().contains(&unread.id.as_str().into()));
    assert!(listed().contains(&request.id.as_str().into()));
    assert_eq!(s.forgive_faults(), 0);
    s.abandon();
}

#[test]
fn a_person_is_suspended_whose_request_cannot_be_read() {
    let s = Server::with(&format!("{SHOP}{TWO}"));
    let (unread, other) = (dispatched(&s), dispatched(&s));
    s.edit_request(&unread, EDITS[0]);
    let answer = crate::people::suspend(&s.admin(), "requester").is(200);
    assert_eq!(
        answer.list("cancelled_requests"),
        [Value::from(other.id.as_str())]
    );
    s.admin().show(&unread).refused(409, "corrupt");
}

#[test]
fn a_notification_that_cannot_be_read_holds_up_no_other() {
    let s = Server::with(&format!(
        "{SHOP}[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/hook\"\n"
    ));
    let request = dispatched(&s);
    s.edit_request(
        &request,
        "UPDATE outbox SET payload_json = CAST(X'FF' AS TEXT) WHERE seq = \
         (SELECT max(seq) FROM outbox WHERE request_seq = ?)",
    );
    let path = "/api/webhook-deliveries?limit=1";
    let first = s.admin().get(path).is(200);
    assert_eq!(first.list("deliveries"), Vec::<Value>::new());
    let next = first.json["next_cursor"].as_str().unwrap();
    let second = s.admin().get(&format!("{path}&cursor={next}")).is(200);
    assert_eq!(second.list("deliveries").len(), 1);
    s.admin().show(&request).is(200);
    let store = &s.inner().app().store;
    let due = || {
        store
            .claim_deliveries(vec!["ops".to_owned()], Default::default(), 100)
            .unwrap()
    };
    let claimed = due().remove(0).1;
    assert!(!claimed.is_empty());
    let broken =
        "SELECT status || ' ' || last_error FROM outbox WHERE seq = (SELECT max(seq) FROM outbox)";
    let db = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
    let ended: String = db.query_row(broken, [], |r| r.get(0)).unwrap();
    assert_eq!(ended, "dead its row cannot be read");
}

#[test]
fn server_starts_with_an_unreadable_row_of_an_agent() {
    let s = Server::with(SHOP);
    s.agent("agent-1").poll();
    s.flush();
    let s = s.restart_edited(|s| s.edit_state("UPDATE agents SET capabilities_json = '{'"));
    assert_eq!(
        s.admin().get("/api/agents").is(200).list("agents"),
        Vec::<Value>::new()
    );
    s.agent("agent-1").poll();
    let agents = s.admin().get("/api/agents").is(200).list("agents");
    assert_eq!(agents[0]["id"], "agent-1");
}

/// Events of a request, each of which proves a part of it.
const EVENTS: [&str; 3] = ["request.created", "request.approved", "request.dispatched"];

#[test]
fn request_is_not_proved_by_events_that_cannot_be_read() {
    for kind in EVENTS {
        let s = Server::with(&format!("{SHOP}{TWO}"));
        let request = dispatched(&s);
        // So that the log does not end with it.
        let other = dispatched(&s);
        s.edit_state(&format!(
            "UPDATE audit_events SET metadata_json = CAST(X'FF' AS TEXT) WHERE event_type = '{kind}' \
             AND request_id = '{}'",
            request.id
        ));
        let agent = s.agent("agent-1");
        agent.poll();
        agent.try_claim(&request.id).refused(409, "corrupt");
        is_not_shown_as_sound(&s, &request);
        let proof = s.admin().get("/api/audit/verify").is(200);
        assert_eq!(proof.json["valid"], false, "{kind}");
        let db = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
        let signed = "SELECT count(*) FROM executions";
        let signed: i64 = db.query_row(signed, [], |r| r.get(0)).unwrap();
        assert_eq!(signed, 0, "{kind}");
        agent.run(&other.id);
        assert_eq!(s.forgive_faults(), 0, "{kind}");
        s.abandon();
    }
}

#[test]
fn event_that_cannot_be_read_is_named_and_others_listed() {
    let s = Server::with(&format!("{SHOP}{TWO}"));
    let request = dispatched(&s);
    let all = s.events("");
    let about = format!("/api/audit/events?request_id={}", request.id);
    let before = s.admin().get(&about).is(200);
    s.edit_request(
        &request,
        "UPDATE audit_events SET reason = CAST(X'FF' AS TEXT) WHERE seq = (SELECT audit_seq FROM requests WHERE seq = ?)",
    );
    let after = s.admin().get(&about).is(200);
    let edited = &before.list("events")[0];
    assert_eq!(after.list("events"), before.list("events")[1..]);
    assert_eq!(after.list("unreadable")[0]["id"], edited["id"]);
    // A page of that event alone goes on after it.
    let page = s.admin().get(&format!("{about}&limit=1")).is(200);
    assert_eq!(page.list("events"), Vec::<Value>::new());
    let next = page.json["next_cursor"].as_str().unwrap();
    let next = format!("{about}&limit=1&cursor={next}");
    assert_eq!(
        s.admin().get(&next).is(200).list("events")[0],
        before.list("events")[1]
    );
    assert_eq!(s.events("").len(), all.len() - 1);
    s.abandon();
}

#[test]
fn agent_is_called_off_what_cannot_be_read() {
    for (edited, report) in [
        (
            "UPDATE requests SET reason = CAST(X'FF' AS TEXT) WHERE seq = ?",
            409,
        ),
        (
            "UPDATE request_texts SET share_with_json = '[' WHERE request_seq = ?",
            200,
        ),
        (
            "UPDATE executions SET duration_ms = -1 WHERE request_seq = ?",
            409,
        ),
    ] {
        let s = Server::with(&format!("{SHOP}{TWO}"));
        let agent = s.agent("agent-1");
        let (request, other) = (dispatched(&s), dispatched(&s));
        let execution = agent.claim(&request.id).execution;
        s.edit_request(&request, edited);
        let reported = agent.succeed(&execution, ROWS);
        assert_eq!(reported.status, report, "{edited}: {}", reported.raw());
        if report == 409 {
            reported.refused(409, "corrupt");
        }
        let about = format!("event_type=request.corrupt&request_id={}", request.id);
        assert_eq!(s.events(&about).len(), 1, "{edited}");
        let beat = agent.heartbeat(&execution).is(200);
        assert_eq!(beat.json["cancelled"], true, "{edited}");
        agent.run(&other.id);
        s.forgive_faults();
        s.abandon();
    }
}
