//! Sign-ins that sign nobody in, and calls in a session that no page of ours made.

use super::{HOUR, House, SITE, cookies, house, house_with, toml};
use crate::support::{Idp, Key, Mood, SHOP, Server, key_set};
use dbward::http::route::Guarded;
use dbward::http::router::ROUTES;
use serde_json::json;

#[test]
fn an_answer_to_another_sign_in_is_refused() {
    let h = house();
    let (mine, other) = (h.begin(), h.begin());
    let code = h.code(&mine, "ann", json!({}));
    // Another state, none, that of a sign-in of another browser, and this browser without its cookie.
    for state in ["", "x", &other.asked["state"]] {
        assert_eq!(h.failure(&h.back(&mine.cookie, state, &code)), "foreign");
    }
    assert_eq!(
        h.failure(&h.back(&other.cookie, &mine.asked["state"], &code)),
        "foreign"
    );
    assert_eq!(
        h.failure(&h.back("x=1", &mine.asked["state"], &code)),
        "expired"
    );
    let forged = mine.cookie.replace('=', "=0");
    assert_eq!(
        h.failure(&h.back(&forged, &mine.asked["state"], &code)),
        "expired"
    );
    // None of this has used up the sign-in itself.
    assert!(h.idp.exchanges().is_empty());
    let path = format!(
        "/auth/callback?code={code}&state={}&iss=https%3A%2F%2Fevil.example",
        mine.asked["state"]
    );
    let answer = h.s.nobody().get_with(&path, &[("cookie", &mine.cookie)]);
    assert_eq!(h.failure(&answer), "foreign");
    assert_eq!(
        h.back(&mine.cookie, &mine.asked["state"], &code).status,
        200
    );
}

#[test]
fn a_sign_in_comes_back_once_and_within_ten_minutes() {
    let h = house();
    h.idp.forget_used_codes();
    let begun = h.begin();
    let code = h.code(&begun, "ann", json!({}));
    assert_eq!(
        h.back(&begun.cookie, &begun.asked["state"], &code).status,
        200
    );
    assert_eq!(
        h.failure(&h.back(&begun.cookie, &begun.asked["state"], &code)),
        "foreign"
    );
    assert_eq!(h.idp.exchanges().len(), 1);
    let begun = h.begin();
    let code = h.code(&begun, "ann", json!({}));
    h.s.turn_only(600);
    assert_eq!(
        h.failure(&h.back(&begun.cookie, &begun.asked["state"], &code)),
        "expired"
    );
    // The provider takes no code twice either.
    let h = house();
    let first = h.begin();
    let code = h.code(&first, "ann", json!({}));
    assert_eq!(
        h.back(&first.cookie, &first.asked["state"], &code).status,
        200
    );
    let second = h.begin();
    assert_eq!(
        h.failure(&h.back(&second.cookie, &second.asked["state"], &code)),
        "denied"
    );
}

#[test]
fn foreign_id_token_is_refused() {
    let h = house();
    let now = h.s.clock.now().0 / 1000;
    for (claims, why) in [
        (json!({"nonce": "other"}), "token"),
        (json!({"nonce": null}), "token"),
        (json!({"aud": "somebody-else"}), "token"),
        (json!({"iss": "https://evil.example"}), "token"),
        (json!({"exp": now - 60}), "token"),
        (json!({"sub": ""}), "token"),
    ] {
        let begun = h.begin();
        let code = h.code(&begun, "ann", claims.clone());
        let answer = h.back(&begun.cookie, &begun.asked["state"], &code);
        assert_eq!(h.failure(&answer), why, "{claims}");
    }
    // A verifier that is not that of the challenge: the provider gives nothing.
    let begun = h.begin();
    h.idp.grant("stolen", "another-challenge", "x");
    assert_eq!(
        h.failure(&h.back(&begun.cookie, &begun.asked["state"], "stolen")),
        "denied"
    );
    // A provider that refuses, is away, or fails.
    let begun = h.begin();
    let path = format!(
        "/auth/callback?error=access_denied&state={}",
        begun.asked["state"]
    );
    let answer = h.s.nobody().get_with(&path, &[("cookie", &begun.cookie)]);
    assert_eq!(h.failure(&answer), "denied");
    for mood in [
        Mood::HangUp,
        Mood::Status(500),
        Mood::Redirect("/x".to_owned()),
    ] {
        let begun = h.begin();
        let code = h.code(&begun, "ann", json!({}));
        h.idp.mood(mood);
        let answer = h.back(&begun.cookie, &begun.asked["state"], &code);
        assert_eq!(h.failure(&answer), "unavailable");
        h.idp.mood(Mood::Well);
    }
    // One that does not know this server: trying again does not help.
    let begun = h.begin();
    let code = h.code(&begun, "ann", json!({}));
    h.idp.mood(Mood::Status(401));
    let answer = h.back(&begun.cookie, &begun.asked["state"], &code);
    assert_eq!(h.failure(&answer), "client");
    h.idp.mood(Mood::Well);
    assert!(h.s.events("event_type=session.started").is_empty());
}

#[test]
fn change_needs_token_of_session_and_comes_from_our_pages() {
    let h = house();
    let (ann, bob) = (h.sign_in("ann"), h.sign_in("bob"));
    let tried = |headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", ann.cookie.as_str())];
        all.extend_from_slice(headers);
        h.s.nobody().call("DELETE", "/api/sessions", &all, b"")
    };
    let csrf = ("x-csrf-token", ann.csrf.as_str());
    tried(&[]).refused(403, "csrf_token_invalid");
    tried(&[("x-csrf-token", "")]).refused(403, "csrf_token_invalid");
    tried(&[("x-csrf-token", &bob.csrf)]).refused(403, "csrf_token_invalid");
    tried(&[csrf, csrf]).refused(403, "csrf_token_invalid");
    for origin in [
        "null",
        "https://evil.example",
        "http://dbward.example.com",
        "https://dbward.example.com:8443",
    ] {
        tried(&[csrf, ("origin", origin)]).refused(403, "cross_site");
    }
    for from in ["cross-site", "same-site", "none"] {
        tried(&[csrf, ("sec-fetch-site", from)]).refused(403, "cross_site");
    }
    h.get(&ann, "/api/me").is(200);
    tried(&[csrf, ("origin", SITE)]).is(200);
    h.get(&ann, "/api/me").is(401);
    // Two cookies of the name are nobody's.
    let two = format!("{}; {}", bob.cookie, bob.cookie);
    h.s.nobody()
        .get_with("/api/me", &[("cookie", &two)])
        .is(401);
    // Without TLS's name the cookie could come from a neighbour.
    let plain = bob.cookie.replace("__Host-", "");
    h.s.nobody()
        .get_with("/api/me", &[("cookie", &plain)])
        .is(401);
    h.get(&bob, "/api/me").is(200);
}

#[test]
fn every_route_that_changes_something_needs_token_of_the_session() {
    let h = house();
    let ann = h.sign_in("ann");
    let changing = ROUTES.iter().filter(|route| route.method != "GET");
    // Slack signs what it sends, and has no session.
    let changing = changing.filter(|route| !matches!(route.guarded, Guarded::Signed(_)));
    let mut count = 0;
    for route in changing {
        let path = route.path.replace(['{', '}'], "");
        let headers = [("cookie", ann.cookie.as_str()), ("origin", SITE)];
        let answer = h.s.nobody().call(route.method, &path, &headers, b"");
        answer.refused(403, "csrf_token_invalid");
        count += 1;
    }
    assert!(count > 20, "{count}");
    h.get(&ann, "/api/me").is(200);
}

#[test]
fn another_host_of_the_domain_reads_nothing_with_a_session() {
    let h = house();
    let ann = h.sign_in("ann");
    let from = |name: &str, value: &str| {
        let headers = [("cookie", ann.cookie.as_str()), (name, value)];
        h.s.nobody()
            .get_with("/api/requests?pending_for_me=true", &headers)
    };
    for site in ["same-site", "cross-site"] {
        from("sec-fetch-site", site).refused(403, "cross_site");
    }
    from("origin", "https://other.example.com").refused(403, "cross_site");
    // A page of ours, and somebody who typed the address.
    from("sec-fetch-site", "same-origin").is(200);
    from("sec-fetch-site", "none").is(200);
}

#[test]
fn another_host_of_the_domain_keeps_no_session_alive() {
    let h = house();
    let ann = h.sign_in("ann");
    h.s.turn(HOUR - 60);
    let headers = [
        ("cookie", ann.cookie.as_str()),
        ("sec-fetch-site", "same-site"),
    ];
    let answer = h.s.nobody().get_with("/api/me", &headers);
    answer.refused(403, "cross_site");
    h.s.turn_only(120);
    h.get(&ann, "/api/me").is(401);
}

#[test]
fn sign_ins_lead_back_into_the_console_only() {
    let h = house();
    for to in [
        "%2F%2Fevil.example",
        "https%3A%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "%2F%22%3E%3Cscript%3E",
        "",
        // Nor to what is not a page: a download, or another sign-in.
        "%2Fapi%2Frequests%2F1%2Fresult%2Fcontent",
        "%2Fauth%2Fsign-in",
        "%2F.%2Frequests",
        "%2Fnowhere",
    ] {
        h.s.nobody()
            .get(&format!("/auth/sign-in?to={to}"))
            .refused(400, "validation_error");
    }
    let begun = h.begin_to("%2Frequests%3Fa%3D1%26b%3D2");
    let code = h.code(&begun, "ann", json!({}));
    let page = h.back(&begun.cookie, &begun.asked["state"], &code);
    assert!(
        page.raw().contains("url=/requests?a=1&amp;b=2\""),
        "{}",
        page.raw()
    );
}

#[test]
fn sign_ins_of_one_address_are_bounded() {
    let h = house();
    // They come back evenly, one a second.
    let begun = (0..90).filter(|_| h.s.nobody().get("/auth/sign-in").status == 303);
    assert!((60..=80).contains(&begun.count()));
    let refused = (0..20)
        .map(|_| h.s.nobody().get("/auth/callback"))
        .find(|answer| answer.status == 429)
        .unwrap();
    refused.refused(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    h.s.turn_only(60);
    assert_eq!(h.s.nobody().get("/auth/sign-in").status, 303);
}

#[test]
fn nobody_signs_in_without_a_client_or_in_the_clear() {
    h_without(&format!("public_url = \"{SITE}\"\n{SHOP}"));
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let at = idp.url();
    h_without(&format!(
        "public_url = \"{SITE}\"\n{SHOP}[auth.oidc]\nissuer_url = \"{at}\"\naudience = \"x\"\n"
    ));
    h_without(&format!(
        "public_url = \"http://dbward.example.com\"\n{SHOP}[auth.oidc]\nissuer_url = \"{at}\"\nclient_id = \"x\"\n"
    ));
    // Over our own TLS, or on this machine, the address of the call is as good as a configured one.
    let s = Server::with(&format!(
        "{SHOP}[auth.oidc]\nissuer_url = \"{at}\"\nclient_id = \"x\"\n"
    ));
    s.nobody().get("/auth/sign-in").refused(404, "not_found");
    let h = house_with("");
    assert_eq!(
        h.s.nobody().get("/api/sign-in").is(200).json["oidc"]["by_browser"],
        true
    );
    let answer = h.s.nobody().get("/auth/sign-in");
    assert_eq!(cookies(&answer).len(), 1);
}

fn h_without(toml: &str) {
    let s = Server::with(toml);
    s.nobody().get("/auth/sign-in").refused(404, "not_found");
    s.nobody().get("/auth/callback").refused(404, "not_found");
    let shown = s.nobody().get("/api/sign-in").is(200).json;
    assert_ne!(shown["oidc"]["by_browser"], true);
}

#[test]
fn callbacks_without_a_code_use_up_no_sign_in() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let s = Server::with(&format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\n{}",
        toml(&idp, "")
    ));
    let h = House { idp, key, s };
    let begun = h.begin();
    let code = h.code(&begun, "ann", json!({}));
    let path = format!("/auth/callback?state={}", begun.asked["state"]);
    let from = |n: usize| {
        let address = format!("2001:db8::{n:x}");
        let headers = [
            ("cookie", begun.cookie.as_str()),
            ("x-forwarded-for", &address),
        ];
        h.s.nobody().get_with(&path, &headers)
    };
    // Of one sign-in under way too, what comes without a code is not its end.
    for n in 0..30 {
        assert_eq!(h.failure(&from(n)), "denied");
    }
    // All of one /64 is one address.
    let refused = (30..200).map(from).find(|answer| answer.status == 429);
    refused.unwrap().refused(429, "rate_limited");
    assert_eq!(
        h.back(&begun.cookie, &begun.asked["state"], &code).status,
        200
    );
}
