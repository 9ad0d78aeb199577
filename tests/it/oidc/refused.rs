//! Why a token of the provider was refused stands in the log, and what it says does not.

use super::{ISSUER, toml, with};
use crate::support::{Idp, Key, Program, admin_of, eventually, key_set, settled};
use dbward::clock::Clock;
use serde_json::{Value, json};

#[test]
fn log_names_what_was_expected_and_nothing_of_the_token() {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let dir = settled(&toml("", ISSUER, Some(&format!("{}/keys", idp.url()))));
    let (server, at) = Program::serve(dir.path());
    let now = Clock::system().now().0 / 1000;
    let good = json!({"iss": ISSUER, "aud": "dbward", "sub": "secret-name", "exp": now + 3600});
    let me = |key: &Key, claims: &Value| {
        let mut person = admin_of(at, dir.path());
        person.token = Some(key.sign(claims));
        person.get("/api/me")
    };
    me(&key, &good).is(200);
    for (key, more, words) in [
        (
            &key,
            json!({"aud": "secret-audience"}),
            "its `aud` is not for `dbward` ([auth.oidc] client_id, audience)",
        ),
        (
            &key,
            json!({"iss": "https://secret.example.com"}),
            "its `iss` is not `https://id.example.com` ([auth.oidc] issuer)",
        ),
        (
            &key,
            json!({"exp": now - 3600}),
            "its `exp` is missing or over; compare the clocks",
        ),
        (
            &Key::new("secret-key"),
            json!({}),
            "its key is not one that `https://id.example.com` publishes",
        ),
        (
            &Key::new("one"),
            json!({}),
            "its signature was not made with the key of `https://id.example.com` that it names",
        ),
    ] {
        for _ in 0..3 {
            me(key, &with(good.clone(), more.clone())).is(401);
        }
        eventually(words, || server.errors().contains(words));
        assert_eq!(server.errors().matches(words).count(), 1, "once a minute");
    }
    let errors = server.stop();
    assert!(
        !errors.contains("secret") && !errors.contains("eyJ"),
        "{errors}"
    );
}
