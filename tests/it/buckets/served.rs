//! A server with a bucket: starts, reports, downloads, readiness, and a change of the place.

use crate::results::{content, ran, stream};
use crate::support::{Bucket, OBJECTS, ROWS, SHOP, Server, StoreMood as Mood, Temp};
use dbward::config::Config;
use dbward::server::StartOptions;

const SELECT: &str = "SELECT id FROM items WHERE id = 1";

#[test]
fn a_start_without_its_bucket_ends_with_the_reason() {
    let (bucket, dir) = (Bucket::start(), Temp::new());
    let text = format!(
        "state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{}",
        bucket.section()
    );
    let config = Config::parse(&text, dir.path(), &|_| None).unwrap();
    let start = || dbward::server::Server::start(&config, StartOptions::default());
    for (mood, reported) in [
        (
            Mood::Says(403, "InvalidAccessKeyId"),
            "does not know this `access_key_id`",
        ),
        (Mood::Says(501, "NotImplemented"), "`expiry_tag = false`"),
        (Mood::Bytes(5), "what was written is not what is read"),
    ] {
        bucket.mood(mood);
        let Err(error) = start() else {
            panic!("it starts although {reported}");
        };
        assert!(error.to_string().contains(reported), "{error}");
    }
    bucket.mood(Mood::Well);
    start().unwrap().stop().unwrap();
    assert!(bucket.keys().is_empty(), "a probe was left");
}

fn open() -> (Bucket, Server) {
    let bucket = Bucket::start();
    let s = Server::with(&format!("{SHOP}{OBJECTS}{}", bucket.section()));
    (bucket, s)
}

#[test]
fn a_report_is_taken_in_when_the_store_is_back() {
    let (bucket, s) = open();
    let agent = s.agent("agent-1");
    let request = s.requester().submit("development", SELECT);
    let claim = agent.claim(&request.id);
    for mood in [
        Mood::Says(500, "InternalError"),
        Mood::Says(403, "AccessDenied"),
        Mood::HangUp,
    ] {
        bucket.mood(mood);
        let answer = agent
            .succeed(&claim.execution, ROWS)
            .refused(503, "unavailable");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(request.status(), "running");
    }
    bucket.mood(Mood::Well);
    agent.succeed(&claim.execution, ROWS).is(200);
    let key = format!("{}/{}", request.id, claim.execution);
    assert_eq!(bucket.keys(), [format!("kept/{key}")]);
    assert_eq!(s.stored(), [key]);
    let whole = content(&request.by, &request).is(200);
    let page = s.inner().app().metrics.render();
    for line in [
        "dbward_result_storage_total{status=\"failed\"} 3",
        "dbward_result_store_duration_seconds_count{operation=\"put\",outcome=\"failed\"} 3",
        "dbward_result_store_duration_seconds_count{operation=\"get\",outcome=\"ok\"} 1",
    ] {
        assert!(page.contains(line), "no {line}");
    }

    // A reader is asked to come back, and the next one gets it whole.
    bucket.mood(Mood::Says(403, "AccessDenied"));
    let answer = content(&request.by, &request).refused(503, "unavailable");
    assert!(!answer.raw().contains("AccessDenied") && !answer.raw().contains("shelf"));
    bucket.mood(Mood::Half);
    content(&request.by, &request).refused(503, "unavailable");
    assert!(s.events("event_type=result.corrupt").is_empty());
    bucket.mood(Mood::Well);
    assert_eq!(content(&request.by, &request).is(200).body, whole.body);
}

#[test]
fn what_was_changed_in_the_bucket_is_never_shown() {
    let (bucket, s) = open();
    let request = ran(&s, ROWS);
    let kept = content(&request.by, &request).is(200).body;
    let name = bucket.keys().remove(0);
    let mut swapped = kept.clone();
    swapped[kept.len() / 2] ^= 1;
    let longer = [&kept[..], b" "].concat();
    for wrong in [&swapped[..], &longer, &kept[1..], b""] {
        bucket.plant(&name, wrong);
        content(&request.by, &request).refused(500, "internal");
    }
    assert_eq!(s.forgive_faults(), 4);
    // However often it is read.
    assert_eq!(s.events("event_type=result.corrupt").len(), 1);
    bucket.plant(&name, &kept);
    content(&request.by, &request).is(200);
}

#[test]
fn a_server_without_its_store_is_not_ready() {
    let (bucket, s) = open();
    assert_eq!(
        s.nobody().get("/ready").is(200).json["checks"]["result_store"],
        "ok"
    );
    bucket.mood(Mood::Says(503, "SlowDown"));
    bucket.asked();
    s.nobody().get("/ready").is(200);
    assert!(bucket.asked().is_empty(), "asked again within ten seconds");
    s.turn_only(11);
    let answer = s.nobody().get("/ready").is(503);
    assert_eq!(answer.json["checks"]["result_store"], "unavailable");
    // One try, and no more for ten seconds.
    s.nobody().get("/ready").is(503);
    assert_eq!(bucket.asked().len(), 1);
    bucket.mood(Mood::Well);
    s.turn_only(11);
    s.nobody().get("/ready").is(200);
}

#[test]
fn results_stay_where_they_were_when_the_place_changes() {
    let bucket = Bucket::start();
    let local = format!("{SHOP}{OBJECTS}\n[result_storage]\nbackend = \"local\"\n");
    let moved = format!("{SHOP}{OBJECTS}{}", bucket.section());
    let s = Server::with(&local);
    let older = ran(&s, ROWS);
    let (id, body) = (older.id.clone(), content(&older.by, &older).is(200).body);
    let s = s.restart_with(&moved);
    let newer = ran(&s, ROWS);
    let path = format!("/api/requests/{id}/result/content");
    assert_eq!(s.requester().get(&path).is(200).body, body);
    assert_eq!(bucket.keys().len(), 1);
    assert_eq!(s.stored().len(), 1);
    content(&newer.by, &newer).is(200);
    let newer_path = newer.path("/result/content");

    // The other way round nobody has the credentials: gone, and never something else.
    bucket.asked();
    let s = s.restart_with(&local);
    let answer = s.requester().get(&newer_path).refused(410, "gone");
    assert!(
        answer.raw().contains("not configured any more"),
        "{}",
        answer.raw()
    );
    let shown = s.requester().get(&newer.path("/result/stream?wait=1"));
    shown.refused(410, "gone");
    assert_eq!(s.requester().get(&path).is(200).body, body);
    assert!(bucket.asked().is_empty());
    let s = s.restart_with(&moved);
    s.requester().get(&newer_path).is(200);
}

#[test]
fn a_waiting_reader_gets_a_stored_result_from_the_bucket() {
    let (_bucket, s) = open();
    let request = ran(&s, ROWS);
    let live = stream(&request.by, &request).is(200).body;
    s.turn_only(3_600);
    s.flush();
    assert_eq!(stream(&request.by, &request).is(200).body, live);
}
