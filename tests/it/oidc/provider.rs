//! What happens while the provider rotates its keys, is slow, wrong or away.

use super::{claims, provided, server, toml, with};
use crate::support::{Idp, Key, Mood, Server, eventually, key_set};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn rotated_key_is_found_and_strangers_cause_no_fetches() {
    let (idp, s, one) = provided();
    s.signed(&one, &claims(&s, "a")).get("/api/me").is(200);
    assert_eq!(idp.asked(), 1);
    let two = Key::new("two");
    idp.publish(&key_set(&[&one, &two]));
    // The first fetch was just now.
    s.signed(&two, &claims(&s, "a")).get("/api/me").is(401);
    assert_eq!(idp.asked(), 1);
    s.turn_only(61);
    s.signed(&two, &claims(&s, "a")).get("/api/me").is(200);
    assert_eq!(idp.asked(), 2);
    let made_up: Vec<Key> = (0..8).map(|n| Key::new(&format!("made-up-{n}"))).collect();
    s.turn_only(61);
    thread::scope(|scope| {
        for key in &made_up {
            scope.spawn(|| {
                let answer = s.signed(key, &claims(&s, "a")).get("/api/me");
                // A caller that finds no place among those that wait is asked to come back.
                assert!([401, 503].contains(&answer.status), "{}", answer.raw());
            });
        }
    });
    assert_eq!(idp.asked(), 3, "one for everybody");
    s.signed(&one, &claims(&s, "a")).get("/api/me").is(200);
    // The provider withdraws the first key.
    idp.publish(&key_set(&[&two]));
    s.turn_only(15 * 60);
    eventually("the next turn", || idp.asked() == 4);
    eventually("its end", || {
        s.signed(&one, &claims(&s, "a")).get("/api/me").status == 401
    });
    s.signed(&two, &claims(&s, "a")).get("/api/me").is(200);
}

#[test]
fn absent_provider_is_503_and_our_own_tokens_count() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    for mood in [
        Mood::HangUp,
        Mood::Status(500),
        Mood::Status(404),
        Mood::Redirect(format!("{}/keys", idp.url())),
    ] {
        idp.mood(mood);
        let s = server(&idp);
        let person = s.signed(&key, &claims(&s, "a"));
        person
            .get("/api/me")
            .refused(503, "unavailable")
            .saying("tokens of this server");
        s.requester().get("/api/me").is(200);
        // It comes back: it is asked again soon.
        idp.mood(Mood::Well);
        s.turn_only(6);
        eventually("it counts", || person.get("/api/me").status == 200);
    }
}

#[test]
fn invalid_keys_are_503() {
    let key = Key::new("one");
    let idp = Idp::start("");
    for keys in ["", "{}", "<html>", &" ".repeat(1024 * 1024 + 1)] {
        idp.publish(keys);
        let s = server(&idp);
        s.signed(&key, &claims(&s, "a"))
            .get("/api/me")
            .refused(503, "unavailable");
    }
}

#[test]
fn keys_outlive_the_provider_for_a_day() {
    let (idp, s, key) = provided();
    let long = with(
        claims(&s, "a"),
        json!({"exp": s.clock.now().0 / 1000 + 10 * 86_400}),
    );
    let person = s.signed(&key, &long);
    person.get("/api/me").is(200);
    idp.mood(Mood::HangUp);
    s.turn_only(16 * 60);
    eventually("it was asked", || idp.asked() == 2);
    person.get("/api/me").is(200);
    // Whether the provider has a key that we have not, nobody can tell now.
    let other = s.signed(&Key::new("two"), &claims(&s, "a"));
    eventually("the failure is known", || {
        other.get("/api/me").status == 503
    });
    s.turn_only(23 * 3600);
    person.get("/api/me").is(200);
    s.turn_only(3600);
    person.get("/api/me").refused(503, "unavailable");
    s.requester().get("/api/me").is(200);
    idp.mood(Mood::Well);
    s.turn_only(301);
    eventually("it counts again", || person.get("/api/me").status == 200);
}

#[test]
fn a_slow_provider_holds_up_nobody_else() {
    let (idp, s, key) = provided();
    let known = s.signed(&key, &claims(&s, "a"));
    known.get("/api/me").is(200);
    let (ours, unknown) = (s.requester(), Key::new("two"));
    idp.mood(Mood::Slow);
    s.turn_only(61);
    let start = Instant::now();
    let token = s.signed(&unknown, &claims(&s, "a"));
    let waiting: Vec<_> = (0..30).map(|_| token.wait("/api/me")).collect();
    eventually("it is asked", || idp.asked() == 2);
    for _ in 0..20 {
        known.get("/api/me").is(200);
        ours.get("/api/me").is(200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    for answer in waiting {
        answer.answer().refused(503, "unavailable");
    }
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(idp.asked(), 2);
    // A stop does not wait for it either.
    let start = Instant::now();
    let mut s = s;
    s.stop_in_background().join().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_provider_is_asked_where_its_keys_are() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let issuer = idp.url();
    let s = Server::with(&toml("", &issuer, None));
    let ours = |s: &Server| s.signed(&key, &with(claims(s, "a"), json!({"iss": issuer})));
    ours(&s).get("/api/me").is(200);
    s.signed(&key, &claims(&s, "a")).get("/api/me").is(401);
    for wrong in [
        json!({"issuer": format!("{issuer}/"), "jwks_uri": format!("{issuer}/keys")}),
        json!({"issuer": "https://evil.example.com", "jwks_uri": format!("{issuer}/keys")}),
        json!({"jwks_uri": format!("{issuer}/keys")}),
        json!({"issuer": issuer}),
        json!({"issuer": issuer, "jwks_uri": 7}),
        json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": issuer, "jwks_uri": "http://169.254.169.254/keys"}),
        json!({"issuer": issuer, "jwks_uri": format!("{issuer}/elsewhere")}),
        json!([]),
    ] {
        idp.says(wrong.clone());
        let s = Server::with(&toml("", &issuer, None));
        let answer = ours(&s).get("/api/me");
        assert_eq!(answer.status, 503, "{wrong}: {}", answer.raw());
    }
}
