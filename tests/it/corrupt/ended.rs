//! Requests that have ended, edited in the state file: results that were not reported are never shown, and nobody reads
//! what they could not read before.

use super::metadata;
use crate::results::{content, ran, stream};
use crate::support::{Person, ROWS, Request, SHOP, Server};
use dbward::crypto::{hex, sha256_hex};
use dbward::store::{AuditFilter, EventRow};
use serde_json::{Value, json};

const SELECT: &str = "SELECT id FROM items WHERE id = 1";
const FORGED: &str = r#"{"success":true,"result_data":{"rows":[]}}"#;

/// No result is in memory any more.
fn later(s: &Server) {
    s.turn_only(3_600);
    s.flush();
}

/// The row of a request's only result, as SQL.
fn of(request: &Request) -> String {
    format!(
        "execution_seq IN (SELECT e.seq FROM executions e JOIN requests r ON r.seq = e.request_seq WHERE r.id = '{}')",
        request.id
    )
}

/// Makes the row of a request's result one of these bytes.
fn says(s: &Server, request: &Request, bytes: &[u8]) {
    let (row, hash) = (of(request), sha256_hex(bytes));
    s.edit_state(&format!(
        "UPDATE results SET checksum_sha256 = '{hash}', content_length = {} WHERE {row}",
        bytes.len()
    ));
}

/// Puts these bytes in place of a request's result, which is a row, with the size and the hash that fit.
fn replace_row(s: &Server, request: &Request, bytes: &[u8]) {
    says(s, request, bytes);
    let (body, row) = (hex(bytes), of(request));
    s.edit_state(&format!(
        "UPDATE result_bodies SET body = X'{body}' WHERE {row}"
    ));
}

/// The same, wherever it is kept.
fn replace(s: &Server, request: &Request, bytes: &[u8]) {
    match s.stored().first() {
        Some(key) => {
            says(s, request, bytes);
            s.overwrite(key, bytes);
        }
        None => replace_row(s, request, bytes),
    }
}

#[track_caller]
fn is_never_shown(s: &Server, request: &Request) {
    content(&request.by, request).refused(500, "internal");
    stream(&request.by, request).refused(500, "internal");
    assert_eq!(s.forgive_faults(), 2);
}

#[test]
fn a_result_that_was_not_reported_is_never_shown() {
    for s in [Server::shop(), Server::shop_with_objects()] {
        let request = ran(&s, ROWS);
        let reported = content(&request.by, &request).is(200).body;
        later(&s);
        replace(&s, &request, FORGED.as_bytes());
        is_never_shown(&s, &request);
        let events = s.events("event_type=result.corrupt");
        // Read twice, audited once.
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["request_id"], request.id.as_str());
        let problem = s.admin().get("/api/audit/verify").text("problem");
        assert!(problem.contains("checksum_sha256"), "{problem}");
        replace(&s, &request, &reported);
        assert_eq!(content(&request.by, &request).is(200).body, reported);
    }
}

#[test]
fn result_edited_while_no_server_ran_is_never_shown() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    let reported = content(&request.by, &request).is(200).body;
    let s = s.restart_edited(|s| replace_row(s, &request, FORGED.as_bytes()));
    let request = Request {
        by: s.requester(),
        ..request
    };
    is_never_shown(&s, &request);
    replace(&s, &request, &reported);
    assert_eq!(content(&request.by, &request).is(200).body, reported);
}

/// The event by which a request's execution ended.
fn end(s: &Server, request: &Request) -> EventRow {
    let filter = AuditFilter {
        event_type: Some("execution.completed".to_owned()),
        request_id: Some(request.id.clone()),
        ..AuditFilter::default()
    };
    let store = &s.inner().app().store;
    store
        .read(|view| view.list_events(&filter, 1, 0))
        .unwrap()
        .remove(0)
        .unwrap()
}

/// Writes an event in place of another, and its hash into the one after it.
fn forge(s: &Server, row: &EventRow) {
    let (seq, hash) = (row.seq, row.event.hash());
    let text = row.event.metadata_json.replace('\'', "''");
    s.edit_state(&format!(
        "UPDATE audit_events SET metadata_json = '{text}', event_hash = '{hash}' WHERE seq = {seq}; \
         UPDATE audit_events SET prev_hash = '{hash}' WHERE seq = {seq} + 1"
    ));
}

#[test]
fn event_with_right_hash_and_no_signature_proves_no_result() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    let reported = content(&request.by, &request).is(200).body;
    later(&s);
    // The event is not the last one, by whose hash the server knows its log.
    s.requester().submit("production", SELECT);
    let real = end(&s, &request);
    let mut forged = real.clone();
    forged.event.metadata_json = real
        .event
        .metadata_json
        .replace(&sha256_hex(&reported), &sha256_hex(FORGED.as_bytes()))
        .replace(
            &format!("\"result_bytes\":{}", reported.len()),
            &format!("\"result_bytes\":{}", FORGED.len()),
        );
    assert_ne!(forged, real);
    replace(&s, &request, FORGED.as_bytes());
    forge(&s, &forged);
    is_never_shown(&s, &request);
    forge(&s, &real);
    replace(&s, &request, &reported);
    assert_eq!(content(&request.by, &request).is(200).body, reported);
}

/// Writes an event in place of another, and those that come after it, up to a checkpoint, chained to it anew.
fn forge_to_checkpoint(s: &Server, row: &EventRow) {
    let filter = AuditFilter::default();
    let store = &s.inner().app().store;
    let rows = store
        .read(|view| view.list_events(&filter, 1000, 0))
        .unwrap();
    let mut rows: Vec<EventRow> = rows.into_iter().map(Result::unwrap).collect();
    rows.retain(|other| other.seq > row.seq);
    forge(s, row);
    let mut hash = row.event.hash();
    for mut next in rows.into_iter().rev() {
        next.event.prev_hash = Some(hash.clone());
        let chained = next.event.hash();
        s.edit_state(&format!(
            "UPDATE audit_events SET prev_hash = '{hash}', event_hash = '{chained}' WHERE seq = {}",
            next.seq
        ));
        hash = chained;
        // The server would notice another end of its log.
        if next.event.event_type == "audit.signed_checkpoint" {
            return;
        }
    }
    panic!("no checkpoint");
}

#[test]
fn rechained_event_up_to_a_checkpoint_proves_no_result() {
    let s = Server::shop();
    let request = ran(&s, ROWS);
    let reported = content(&request.by, &request).is(200).body;
    later(&s);
    s.minute();
    s.requester().submit("production", SELECT);
    let mut forged = end(&s, &request);
    forged.event.metadata_json = forged
        .event
        .metadata_json
        .replace(&sha256_hex(&reported), &sha256_hex(FORGED.as_bytes()))
        .replace(
            &format!("\"result_bytes\":{}", reported.len()),
            &format!("\"result_bytes\":{}", FORGED.len()),
        );
    replace(&s, &request, FORGED.as_bytes());
    forge_to_checkpoint(&s, &forged);
    is_never_shown(&s, &request);
    s.abandon();
}

/// Somebody who reads results in all of the shop, but not those of others.
fn stranger(s: &Server) -> Person {
    s.person("stranger", &["developer"])
}

/// Edits of a request whose row is `?`, each of which would let the stranger read, and what the event says of it.
const SHARED: &[(&str, &str)] = &[
    (
        "UPDATE requests SET requester = 'stranger' WHERE seq = ?",
        "request",
    ),
    (
        "UPDATE request_texts SET share_with_json = '[\"user:stranger\"]' WHERE request_seq = ?",
        "context",
    ),
];

#[test]
fn an_edit_of_who_may_read_lets_nobody_read() {
    for (edited, differs) in SHARED {
        let s = Server::shop();
        let request = ran(&s, ROWS);
        content(&stranger(&s), &request).refused(403, "forbidden");
        s.edit_request(&request, edited);
        content(&stranger(&s), &request).refused(409, "corrupt");
        let again = stream(&stranger(&s), &request);
        assert!(matches!(again.status, 403 | 409), "{}", again.raw());
        let events = s.events("event_type=request.corrupt");
        assert_eq!(events.len(), 1, "{edited}");
        assert_eq!(metadata(&events[0])["differs"], *differs);
        // Who made it by the log still reads it.
        content(&request.by, &request).is(200);
        request.by.show(&request).is(200);
        request.by.get(&request.path("/executions")).is(200);
        assert_ne!(stranger(&s).show(&request).status, 200, "{edited}");
    }
}

#[test]
fn an_edit_of_the_target_lets_nobody_read() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"stager\"\npermissions = [\"*\"]\nenvironments = [\"staging\"]\n"
    ));
    let stager = s.person("stager", &["stager"]);
    let request = ran(&s, ROWS);
    for edited in [
        "UPDATE requests SET environment = 'staging' WHERE seq = ?",
        "SELECT 1",
    ] {
        let answer = content(&stager, &request);
        assert!(matches!(answer.status, 403 | 409), "{}", answer.raw());
        s.edit_request(&request, edited);
    }
    assert_eq!(s.events("event_type=request.corrupt").len(), 1);
    content(&request.by, &request).is(200);
}

#[test]
fn an_execution_of_another_request_gives_nobody_its_result() {
    let s = Server::shop();
    let secret = ran(&s, ROWS);
    let own = stranger(&s).submit("development", SELECT);
    s.agent("agent-1").run(&own.id);
    let execution = content(&secret.by, &secret).is(200).text("execution_id");
    let moves = [
        format!(
            "UPDATE requests SET execution_id = '{execution}' WHERE id = '{}'",
            own.id
        ),
        format!(
            "UPDATE executions SET request_seq = (SELECT seq FROM requests WHERE id = '{}'), attempt = 9 \
             WHERE id = '{execution}'",
            own.id
        ),
    ];
    for moved in moves {
        s.edit_state(&moved);
        let whole = own.path(&format!("/result/content?execution_id={execution}"));
        for answer in [stream(&own.by, &own), own.by.get(&whole)] {
            assert_ne!(answer.status, 200, "{moved}: {}", answer.raw());
        }
    }
    assert_ne!(content(&own.by, &own).status, 200);
    assert_eq!(s.forgive_faults(), 4);
    s.edit_state(&format!(
        "UPDATE executions SET request_seq = (SELECT seq FROM requests WHERE id = '{}'), attempt = 1 \
         WHERE id = '{execution}'; \
         UPDATE requests SET execution_id = (SELECT id FROM executions WHERE request_seq = requests.seq)",
        secret.id
    ));
    assert_eq!(content(&own.by, &own).is(200).json["success"], json!(true));
}

#[test]
fn nothing_goes_early_by_an_edit_of_its_time() {
    for s in [Server::shop(), Server::shop_with_objects()] {
        let request = ran(&s, ROWS);
        let waiting = s.requester().submit("production", "SELECT 1 FROM items");
        s.edit_request(
            &request,
            "UPDATE results SET expires_at_ms = 1 WHERE request_seq = ?",
        );
        s.edit_request(
            &waiting,
            "UPDATE requests SET expires_at_ms = 1, due_at_ms = 1 WHERE seq = ?",
        );
        s.purge();
        s.turn(1);
        assert_eq!(s.events("event_type=result.purged"), Vec::<Value>::new());
        assert_eq!(s.events("event_type=request.expired"), Vec::<Value>::new());
        let frozen = s.events("event_type=request.corrupt");
        assert_eq!(frozen.len(), 1);
        assert_eq!(frozen[0]["request_id"], waiting.id.as_str());
        s.abandon();
    }
}

#[test]
fn edited_place_of_a_result_removes_no_object() {
    const DAY: u64 = 86_400;
    let s = Server::shop_with_objects();
    let expired = ran(&s, ROWS);
    s.turn_only(20 * DAY);
    let kept = ran(&s, ROWS);
    let (keys, row) = (s.stored(), of(&expired));
    let of_kept = keys.iter().find(|key| key.starts_with(&kept.id)).unwrap();
    s.edit_state(&format!(
        "UPDATE results SET object_key = '{of_kept}' WHERE {row}"
    ));
    s.turn_only(15 * DAY);
    s.purge();
    assert_eq!(s.stored(), keys);
    assert_eq!(s.events("event_type=result.purged"), Vec::<Value>::new());
    content(&kept.by, &kept).is(200);
    let proof = s.admin().get("/api/audit/verify").is(200);
    assert_eq!(proof.json["valid"], false);
    s.abandon();
}
