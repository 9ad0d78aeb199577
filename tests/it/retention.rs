//! Retention: results, requests, notifications and audit events go when their time is over, and nothing else does; what
//! is left proves itself.

mod traces;

use super::audit::found_out;
use super::results::content;
use crate::support::{Bucket, OBJECTS, Request, SHOP, Server, Temp, verified};
use serde_json::{Value, json};
use std::fs;

const DAY: u64 = 86_400;
const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// Everything is kept for a few days; whatever is called in development runs at once.
const SHORT: &str =
    "[retention]\nrequest_ttl_days = 10\nresult_ttl_days = 5\naudit_ttl_days = 20\n";

fn short() -> Server {
    Server::with(&format!("{SHOP}{OBJECTS}{SHORT}"))
}

fn executed(s: &Server) -> Request {
    let request = s.requester().submit("development", SELECT);
    s.agent("agent-1").run(&request.id);
    request
}

fn purged(s: &Server, kind: &str) -> u64 {
    let page = s.inner().app().metrics.render();
    let line = format!("dbward_purged_total{{kind=\"{kind}\"}} ");
    let value = page.lines().find_map(|l| l.strip_prefix(&line));
    value.map_or(0, |v| v.parse().unwrap())
}

fn ids(event: &Value, key: &str) -> Vec<String> {
    let metadata: Value = serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
    let ids = metadata[key].as_array().unwrap();
    ids.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

/// So many events that a signed checkpoint is among them.
fn chatter(s: &Server) {
    for _ in 0..60 {
        let request = s.requester().submit("production", UPDATE);
        s.requester().cancel(&request).is(200);
    }
}

#[test]
fn result_goes_with_its_object_when_its_time_is_over() {
    let s = short();
    let request = executed(&s);
    s.turn(5 * DAY - 1);
    s.purge();
    assert_eq!(s.stored().len(), 1);
    s.turn(1);
    content(&s.requester(), &request).refused(410, "gone");
    s.purge();
    assert!(s.stored().is_empty());
    assert_eq!(purged(&s, "result"), 1);
    content(&s.requester(), &request).refused(410, "gone");
    assert!(s.requester().get("/api/results").list("results").is_empty());
    let events = s.events("event_type=result.purged");
    assert_eq!(events.len(), 1);
    assert_eq!(ids(&events[0], "executions").len(), 1);
    s.requester().show(&request).is(200);
    // Nothing is left to do.
    s.purge();
    assert_eq!(s.events("event_type=result.purged").len(), 1);
}

#[test]
fn unremovable_result_is_tried_again_and_holds_up_no_other() {
    let s = short();
    let (gone, stuck, last) = (executed(&s), executed(&s), executed(&s));
    let results = s.state_dir().join("results");
    fs::remove_dir_all(results.join(&gone.id)).unwrap();
    // A folder where the object should be cannot be removed as one.
    let folder = results.join(&stuck.id);
    let object = fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::remove_file(&object).unwrap();
    fs::create_dir_all(object.join("in the way")).unwrap();
    s.turn(6 * DAY);
    s.purge();
    assert_eq!(purged(&s, "result"), 2);
    assert!(!results.join(&last.id).exists());
    let page = s.inner().app().metrics.render();
    assert!(
        page.contains("dbward_sweep_stuck_total{job=\"results\"} 1"),
        "{page}"
    );
    fs::remove_dir_all(&object).unwrap();
    s.purge();
    assert_eq!(purged(&s, "result"), 3);
}

#[test]
fn ended_request_is_purged_with_its_own_rows_only() {
    let s = short();
    let requester = s.requester();
    let rejected = requester.submit("production", UPDATE);
    s.approver().reject(&rejected).is(200);
    let expired = requester.submit("production", UPDATE);
    let run = executed(&s);
    let keyed = json!({"idempotency_key": "once"});
    let once = requester.submit_with("production", UPDATE, keyed.clone());
    requester.cancel(&once).is(200);
    s.turn(9 * DAY);
    let approved = requester.submit("production", UPDATE);
    s.approver().approve(&approved).is(200);
    let before = requester.get("/api/requests").json["total"].clone();
    assert_eq!(before, 5);
    s.purge();
    assert_eq!(purged(&s, "request"), 0);
    s.turn(DAY + 1);
    s.purge();
    assert_eq!(purged(&s, "request"), 3);
    for request in [&rejected, &run, &once] {
        requester.show(request).refused(404, "not_found");
        content(&requester, request).refused(404, "not_found");
    }
    // It expired a day after it was made.
    requester.show(&expired).is(200);
    let list = requester.get("/api/requests").is(200);
    assert_eq!(
        (list.list("requests").len(), list.json["total"].clone()),
        (2, json!(2))
    );
    // The log still tells of them, and of where they went.
    assert_eq!(s.events(&format!("request_id={}", rejected.id)).len(), 2);
    let notified = s.events("event_type=request.purged");
    let mut named = ids(&notified[0], "requests");
    named.sort();
    let mut gone = vec![rejected.id.clone(), run.id.clone(), once.id.clone()];
    gone.sort();
    assert_eq!(named, gone);
    // Its key is free again, and no row number is used twice.
    let again = requester.submit_with("production", UPDATE, keyed);
    assert_ne!(again.id, once.id);
    assert!(verified(&s.state_dir()).valid);
    let s = s.restart();
    s.requester().show(&again).is(200);
}

#[test]
fn a_request_is_kept_as_long_as_its_result() {
    let toml = format!("{SHOP}{OBJECTS}{SHORT}[[result_policies]]\nretention_days = 15\n");
    let s = Server::with(&toml);
    let request = executed(&s);
    s.turn(11 * DAY);
    s.purge();
    content(&s.requester(), &request).is(200);
    s.turn(5 * DAY);
    s.purge();
    s.requester().show(&request).refused(404, "not_found");
}

#[test]
fn log_is_cut_at_a_checkpoint_and_the_rest_verifies() {
    let s = short();
    chatter(&s);
    let kept = s.requester().submit("production", UPDATE);
    s.approver().approve(&kept).is(200);
    s.requester().resume(&kept).is(200);
    s.agent("agent-1").claim(&kept.id);
    chatter(&s);
    let all = verified(&s.state_dir()).total_events;
    // The first are young enough, then old enough, but requests are in the way until they go.
    s.purge();
    assert_eq!(verified(&s.state_dir()).total_events, all);
    s.turn_only(21 * DAY);
    s.purge();
    assert!(purged(&s, "event") >= 99, "{}", purged(&s, "event"));
    let left = verified(&s.state_dir());
    assert!(left.valid, "{left:?}");
    // All that the kept request did is still there.
    assert_eq!(s.events(&format!("request_id={}", kept.id)).len(), 4);
    let proof = s.admin().get("/api/audit/verify").is(200).json;
    assert_eq!(
        (&proof["valid"], &proof["first_broken_id"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(proof["total_events"], left.total_events);
    let purges = s.events("event_type=audit.purge_checkpoint");
    assert_eq!(purges.len(), 1);
    // That of the first start is gone, and the purge wrote another: from there the log goes on, at the head before it.
    let baselines = s.events("event_type=state.baseline");
    assert_eq!(baselines.len(), 1);
    let facts: Value =
        serde_json::from_str(baselines[0]["metadata_json"].as_str().unwrap()).unwrap();
    assert_eq!(facts["head_hash"], purges[0]["prev_hash"]);
    // Twice in a day changes nothing, and the log goes on.
    s.purge();
    assert_eq!(s.events("event_type=audit.purge_checkpoint").len(), 1);
    chatter(&s);
    let s = s.restart_with(&format!("{SHOP}{OBJECTS}{SHORT}"));
    assert!(verified(&s.state_dir()).valid);
    s.turn(22 * DAY);
    s.purge();
    s.purge();
    let left = verified(&s.state_dir());
    assert!(left.valid, "{left:?}");
    s.requester().submit("production", UPDATE);
    for attack in [
        "DELETE FROM audit_events WHERE seq = (SELECT max(seq) - 3 FROM audit_events)",
        "DELETE FROM audit_events WHERE seq = (SELECT min(seq) FROM audit_events)",
        "UPDATE audit_purges SET bound_seq = bound_seq + 1, last_hash = \
         (SELECT event_hash FROM audit_events WHERE seq = bound_seq + 1) WHERE id = (SELECT max(id) FROM audit_purges)",
        "DELETE FROM audit_purges",
        "INSERT INTO purged_requests SELECT seq + 1000, id, 1 FROM requests ORDER BY seq DESC LIMIT 1; \
         DELETE FROM requests WHERE seq = (SELECT max(seq) FROM requests)",
        "UPDATE audit_events SET created_at_ms = 0 WHERE seq = (SELECT max(seq) FROM audit_events)",
        "DELETE FROM audit_purges WHERE id = (SELECT max(id) FROM audit_purges)",
        "UPDATE audit_purges SET retained = retained + 1",
        "INSERT INTO audit_purges SELECT id + 1, (SELECT max(seq) - 1 FROM audit_events), \
         (SELECT event_hash FROM audit_events WHERE seq = (SELECT max(seq) - 1 FROM audit_events)), purged_before, 1, \
         key_id, signature, created_at_ms FROM audit_purges ORDER BY id DESC LIMIT 1",
    ] {
        found_out(&s.state_dir(), attack);
    }
}

#[test]
fn a_request_that_somebody_else_removes_is_missed() {
    let s = short();
    let request = s.requester().submit("production", UPDATE);
    s.requester().cancel(&request).is(200);
    for attack in [
        "DELETE FROM requests",
        "INSERT INTO purged_requests SELECT seq, id, audit_seq FROM requests; DELETE FROM requests",
        "INSERT INTO purged_requests SELECT seq, id, (SELECT max(seq) FROM audit_events) FROM requests; \
         DELETE FROM request_texts; DELETE FROM request_approvers; DELETE FROM requests",
    ] {
        found_out(&s.state_dir(), attack);
    }
}

#[test]
fn half_removed_prefix_verifies_and_the_next_turn_goes_on() {
    let s = short();
    chatter(&s);
    chatter(&s);
    s.turn_only(11 * DAY);
    s.purge();
    // The clock stays, so that the server purges nothing meanwhile.
    let app = s.inner().app();
    let all = verified(&s.state_dir()).total_events;
    // As a crash leaves it: the bound is set, and a few are gone.
    let limit = app
        .store
        .read(|view| {
            view.purge_limit(dbward::clock::Timestamp(
                app.clock.now().0 - 10 * 86_400_000,
            ))
        })
        .unwrap()
        .unwrap();
    let before = app.clock.now();
    app.store
        .change(dbward::domain::actor::Actor::system(), move |view, _| {
            let before = dbward::clock::Timestamp(before.0 - 10 * 86_400_000);
            let now = view.purge_limit(before)?.unwrap();
            let purged = dbward::domain::change::LogChange::AuditPurged {
                bound_seq: now.last.seq,
                last_hash: now.last.hash,
                before,
                retained: now.retained,
            };
            Ok(dbward::store::Verdict::Write(vec![purged.into()], ()))
        })
        .unwrap();
    assert_eq!(app.store.delete_purged_events(7).unwrap(), 7);
    let left = verified(&s.state_dir());
    assert!(left.valid && left.total_events < all, "{left:?}");
    let s = s.restart_with(&format!("{SHOP}{OBJECTS}{SHORT}"));
    s.turn_only(10 * DAY);
    s.purge();
    assert_eq!(purged(&s, "event"), limit.last.seq as u64 - 7);
    assert!(verified(&s.state_dir()).valid);
}

#[test]
fn orphaned_objects_go_and_all_others_stay() {
    let s = short();
    let request = executed(&s);
    let results = s.state_dir().join("results");
    let orphan = results
        .join(dbward::crypto::uuid())
        .join(dbward::crypto::uuid());
    // Another object next to one that counts: an attempt that did not come to be.
    let unused = results.join(&request.id).join(dbward::crypto::uuid());
    for path in [&orphan, &unused] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"{}").unwrap();
    }
    fs::write(results.join("notes.txt"), b"not ours").unwrap();
    s.purge();
    assert!(
        orphan.exists() && unused.exists(),
        "too young to be orphans"
    );
    s.turn_only(3 * DAY);
    s.purge();
    assert!(!orphan.exists() && !unused.exists());
    assert_eq!(purged(&s, "object"), 2);
    assert!(results.join("notes.txt").exists());
    content(&s.requester(), &request).is(200);
}

/// A copy whose lease is over.
struct Replaced;

impl dbward::store::Replica for Replaced {
    fn is_awaited(&self) -> bool {
        false
    }

    fn may_write(&self) -> bool {
        false
    }

    fn sync(&self) -> Result<(), dbward::error::Error> {
        Ok(())
    }
}

#[test]
fn server_without_the_lease_removes_no_object() {
    let s = short();
    let results = s.state_dir().join("results");
    let orphan = results
        .join(dbward::crypto::uuid())
        .join(dbward::crypto::uuid());
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"{}").unwrap();
    s.turn_only(3 * DAY);
    let store = &s.inner().app().store;
    store.replicate(std::sync::Arc::new(Replaced)).unwrap();
    dbward::jobs::results(s.inner().job_state()).unwrap();
    assert!(orphan.exists());
}

#[test]
fn restored_state_leaves_objects_of_its_bucket_that_are_younger() {
    let bucket = Bucket::start();
    let s = Server::with(&format!("{SHOP}{}", bucket.section()));
    let mark = s.state_dir().join("restored-from");
    let s = s.restart_around(0, |_| fs::write(&mark, "2020-01-02T03:04:05.678Z").unwrap());
    let key = format!("{}/{}", dbward::crypto::uuid(), dbward::crypto::uuid());
    let store = crate::buckets::patient(&bucket.section());
    let soon = dbward::clock::Clock::system().now().plus_secs(3_600);
    dbward::objects::Objects::put(&store, &key, b"{}", soon).unwrap();
    let there = || bucket.keys().iter().any(|name| name.ends_with(&key));
    s.turn_only(3 * DAY);
    dbward::jobs::results(s.inner().job_state()).unwrap();
    assert!(there(), "another server may have stored it");
    let s = s.restart_around(0, |_| fs::remove_file(&mark).unwrap());
    dbward::jobs::results(s.inner().job_state()).unwrap();
    assert!(!there());
}

#[test]
fn notifications_that_ended_go_after_a_week() {
    let hook = "allow_private_networks = true\n[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/hook\"\n";
    let toml = format!("{hook}{SHOP}{OBJECTS}{SHORT}");
    let s = Server::with(&toml);
    let request = s.requester().submit("production", UPDATE);
    let total = || s.admin().get("/api/webhook-deliveries").is(200).json["total"].clone();
    assert_eq!(total(), 1);
    s.turn(2 * DAY);
    dbward::jobs::outbox(s.inner().job_state()).unwrap();
    s.purge();
    // What expired meanwhile was notified too.
    assert_eq!(total(), 2);
    s.turn(8 * DAY);
    dbward::jobs::outbox(s.inner().job_state()).unwrap();
    s.purge();
    s.turn(8 * DAY);
    s.purge();
    assert_eq!(total(), 0);
    s.requester().show(&request).refused(404, "not_found");
}

#[test]
fn a_row_that_cannot_be_read_is_passed_over() {
    let s = short();
    let (broken, sound) = (
        s.requester().submit("production", UPDATE),
        s.requester().submit("production", UPDATE),
    );
    let db = rusqlite::Connection::open(s.state_dir().join("dbward.db")).unwrap();
    db.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;")
        .unwrap();
    let set = |from: &str| {
        let sql = "UPDATE requests SET dispatched_from = ?1 WHERE id = ?2";
        assert_eq!(db.execute(sql, [from, &broken.id]).unwrap(), 1);
    };
    set("nowhere");
    s.turn(DAY + 1);
    assert_eq!(sound.status(), "expired");
    let page = s.inner().app().metrics.render();
    assert!(
        page.contains("dbward_sweep_stuck_total{job=\"expire\"} 1"),
        "{page}"
    );
    db.execute(
        "UPDATE requests SET dispatched_from = NULL WHERE id = ?1",
        [&broken.id],
    )
    .unwrap();
    s.sweep();
    assert_eq!(broken.status(), "expired");
    s.forgive_faults();
}

#[test]
fn a_long_history_goes_in_small_parts() {
    let s = short();
    let requests: Vec<Request> = (0..120)
        .map(|_| {
            let request = s.requester().submit("production", UPDATE);
            s.requester().cancel(&request).is(200);
            request
        })
        .collect();
    s.turn(11 * DAY);
    s.purge();
    assert_eq!(purged(&s, "request"), 120);
    let events = s.events("event_type=request.purged");
    assert_eq!(events.len(), 3, "fifty at a time");
    assert!(s.requester().ids("").is_empty());
    assert_eq!(s.requester().get("/api/requests").json["total"], 0);
    assert_eq!(s.admin().get("/api/requests").json["total"], 0);
    requests[0].by.show(&requests[0]).refused(404, "not_found");
}

#[test]
fn purged_log_still_says_that_it_has_a_checkpoint_file() {
    const ATTACHED: &str = "event_type=audit.checkpoint_file_attached";
    let dir = Temp::new();
    let file = dir.path().join("checkpoints.jsonl");
    let s = Server::with(&format!(
        "{SHOP}{OBJECTS}{SHORT}[audit]\ncheckpoint_file = \"{}\"\n",
        file.display()
    ));
    let first = s.events(ATTACHED);
    assert_eq!(first.len(), 1);
    chatter(&s);
    s.turn_only(21 * DAY);
    s.purge();
    let now = s.events(ATTACHED);
    assert_eq!(now.len(), 1);
    assert_ne!(now[0]["id"], first[0]["id"]);
    let s = s.restart();
    // The same again, of what a start wrote.
    chatter(&s);
    s.turn_only(21 * DAY);
    s.purge();
    assert_eq!(s.events(ATTACHED).len(), 1);
}
