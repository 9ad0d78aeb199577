//! How sessions end: by themselves, by their person, by a suspension, and by an edit of the state file.

use super::{Browser, HOUR, House, house, house_with, metadata};
use crate::support::eventually;
use serde_json::json;

fn is_in(h: &House, browser: &Browser) -> bool {
    h.get(browser, "/api/me").status == 200
}

fn ends(h: &House) -> Vec<String> {
    let events = h.s.events("event_type=session.ended");
    let why = |e: &serde_json::Value| metadata(e)["why"].as_str().unwrap().to_owned();
    events.iter().map(why).collect()
}

#[test]
fn a_session_ends_an_hour_after_its_last_use() {
    let mut h = house();
    let ann = h.sign_in("ann");
    h.s.turn(HOUR - 60);
    assert!(is_in(&h, &ann));
    // That was a use, and it outlives a restart.
    h.s = h.s.restart();
    h.s.turn(HOUR - 60);
    // A page that waits for news does not count as one.
    let path = "/api/requests?pending_for_me=true&wait=0";
    h.get(&ann, path).is(200);
    // Nor does what a page says that it does by itself.
    let headers = [("cookie", ann.cookie.as_str()), ("x-unattended", "1")];
    h.s.nobody().get_with("/api/agents", &headers);
    h.s.turn_only(60);
    h.get(&ann, "/api/me").refused(401, "unauthenticated");
    assert!(ends(&h).is_empty());
    h.s.sweep();
    assert_eq!(ends(&h), ["idle"]);
    assert_eq!(
        h.s.nobody().get("/api/sign-in").is(200).json["signed_in"],
        false
    );
}

#[test]
fn session_ends_eight_hours_after_its_start_whatever_is_done() {
    let h = house();
    let ann = h.sign_in("ann");
    for _ in 0..15 {
        h.s.turn(HOUR / 2);
        assert!(is_in(&h, &ann));
    }
    h.s.turn_only(HOUR / 2 - 60);
    assert!(is_in(&h, &ann));
    h.s.turn(60);
    assert!(!is_in(&h, &ann));
    assert_eq!(ends(&h), ["expired"]);
}

#[test]
fn signing_out_ends_this_session_or_all_of_them() {
    let h = house();
    let (one, two, three) = (h.sign_in("ann"), h.sign_in("ann"), h.sign_in("ann"));
    let bob = h.sign_in("bob");
    let listed = h.get(&one, "/api/sessions").is(200).list("sessions");
    assert_eq!(listed.iter().filter(|s| s["is_current"] == true).count(), 1);
    assert_eq!(listed.len(), 3);
    let list = "/api/requests?pending_for_me=true";
    let etag = h.get(&one, list).is(200).header("etag").unwrap().to_owned();
    let headers = [("cookie", one.cookie.as_str()), ("if-none-match", &etag)];
    let path = format!("{list}&wait=60");
    let waiting = h.s.nobody().begin("GET", &path, &headers, b"");
    eventually("it waits", || h.s.parked() == 1);
    h.change(&one, "DELETE", "/api/session", &json!({})).is(204);
    // What waits is woken and refused.
    waiting.answer().refused(401, "unauthenticated");
    assert!(!is_in(&h, &one) && is_in(&h, &two));
    let ended = h
        .change(&two, "DELETE", "/api/sessions", &json!({}))
        .is(200);
    assert_eq!(ended.json["ended"], 2);
    assert!(!is_in(&h, &two) && !is_in(&h, &three) && is_in(&h, &bob));
    let mut why = ends(&h);
    why.sort();
    assert_eq!(
        why,
        [
            "signed_out",
            "signed_out_everywhere",
            "signed_out_everywhere"
        ]
    );
}

#[test]
fn a_suspension_ends_sessions_at_once_and_for_good() {
    let h = house();
    let ann = h.sign_in("ann");
    h.s.admin().poke("/api/users/ann/suspend").is(200);
    h.get(&ann, "/api/me").refused(401, "unauthenticated");
    assert_eq!(ends(&h), ["suspended"]);
    let begun = h.begin();
    let code = h.code(&begun, "ann", json!({}));
    let answer = h.back(&begun.cookie, &begun.asked["state"], &code);
    assert_eq!(h.failure(&answer), "suspended");
    h.s.admin().poke("/api/users/ann/activate").is(200);
    assert!(!is_in(&h, &ann));
    let again = h.sign_in("ann");
    assert!(is_in(&h, &again));
}

#[test]
fn an_eleventh_session_ends_the_one_not_used_for_longest() {
    let h = house();
    let all: Vec<Browser> = (0..10)
        .map(|_| {
            h.s.turn_only(40);
            h.sign_in("ann")
        })
        .collect();
    h.s.turn_only(40);
    assert!(is_in(&h, &all[0]));
    let newest = h.sign_in("ann");
    assert!(is_in(&h, &newest) && is_in(&h, &all[0]) && !is_in(&h, &all[1]));
    assert_eq!(ends(&h), ["replaced"]);
}

#[test]
fn a_token_issued_in_a_session_ends_with_it() {
    let h = house_with(
        "[[auth.roles]]\nname = \"minter\"\npermissions = [\"token.manage\"]\n[[auth.role_bindings]]\nrole = \"minter\"\nsubjects = [\"ann\"]\n",
    );
    let ann = h.sign_in("ann");
    let body = json!({"subject_id": "ann", "subject_type": "user", "roles": []});
    let made = h.change(&ann, "POST", "/api/tokens", &body).is(201);
    let end = h.get(&ann, "/api/me").json["session"]["expires_at"].clone();
    assert_eq!(
        (&made.json["expires_at"], &made.json["expires_at_inherited"]),
        (&end, &json!(true))
    );
    let mut later = body.clone();
    later["expires_at"] = "2999-01-01T00:00:00Z".into();
    h.change(&ann, "POST", "/api/tokens", &later)
        .refused(400, "validation_error");
    let token = h.s.bearer("ann", &made.text("token"));
    let child = token.post("/api/tokens", &body).is(201);
    h.change(&ann, "DELETE", "/api/session", &json!({})).is(204);
    token.get("/api/me").is(401);
    h.s.bearer("ann", &child.text("token"))
        .get("/api/me")
        .is(401);
    let ended = h.s.events("event_type=session.ended").remove(0);
    assert_eq!(
        metadata(&ended)["ended_tokens"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn an_edited_session_stops_the_start() {
    for edit in [
        "UPDATE sessions SET subject_id = 'admin'",
        "UPDATE sessions SET expires_at_ms = expires_at_ms + 1",
        "UPDATE sessions SET last_used_at_ms = last_used_at_ms + 1",
        "UPDATE sessions SET groups_json = '[\"backend\"]'",
        "DELETE FROM sessions",
    ] {
        let h = house();
        h.sign_in("ann");
        let why = h.s.refused_after(edit);
        assert!(why.contains("sessions"), "{edit}: {why}");
    }
}
