//! Signing in to the console through an identity provider: the way there and back, the session that comes of it, and its
//! end.

mod browser;
mod ends;
mod refused;

use crate::support::{Answer, Idp, Key, SHOP, Server, key_set};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SITE: &str = "https://dbward.example.com";
const HOUR: u64 = 3600;

/// A shop whose people sign in by browser.
pub struct House {
    pub idp: Idp,
    key: Key,
    pub s: Server,
}

/// A sign-in that the server has begun.
struct Begun {
    /// The parameters with which the provider was asked.
    asked: BTreeMap<String, String>,
    /// `name=value` of the cookie.
    cookie: String,
}

/// A browser that is signed in.
#[derive(Clone)]
pub struct Browser {
    pub cookie: String,
    csrf: String,
}

fn toml(idp: &Idp, more: &str) -> String {
    let at = idp.url();
    format!(
        "public_url = \"{SITE}\"\n{SHOP}[auth.oidc]\nissuer_url = \"{at}\"\nclient_id = \"dbward\"\n\
         groups_claim = \"groups\"\n{more}\n[[auth.role_bindings]]\nrole = \"developer\"\ngroups = [\"backend\"]\n"
    )
}

fn house_with(more: &str) -> House {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let s = Server::with(&toml(&idp, more));
    House { idp, key, s }
}

pub fn house() -> House {
    house_with("")
}

/// What a browser would keep of an answer's cookies: name, value, attributes.
fn cookies(answer: &Answer) -> Vec<(String, String, String)> {
    answer
        .headers_named("set-cookie")
        .iter()
        .map(|line| {
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned(), attributes.to_owned())
        })
        .collect()
}

impl House {
    fn begin_to(&self, to: &str) -> Begun {
        let answer = self.s.nobody().get(&format!("/auth/sign-in?to={to}"));
        assert_eq!(answer.status, 303, "{}", answer.raw());
        let location = answer.header("location").unwrap().to_owned();
        let (place, query) = location.split_once('?').unwrap();
        assert_eq!(place, format!("{}/authorize", self.idp.url()));
        let decoded = |text: &str| percent(text);
        let asked = query.split('&').map(|pair| pair.split_once('=').unwrap());
        let (name, value, _) = &cookies(&answer)[0];
        Begun {
            asked: asked.map(|(n, v)| (n.to_owned(), decoded(v))).collect(),
            cookie: format!("{name}={value}"),
        }
    }

    fn begin(&self) -> Begun {
        self.begin_to("/")
    }

    /// Has the provider give a code for somebody who signed in as the server asked.
    fn code(&self, begun: &Begun, subject: &str, more: Value) -> String {
        let now = self.s.clock.now().0 / 1000;
        let mut claims = json!({
            "iss": self.idp.url(), "aud": "dbward", "sub": subject, "iat": now, "exp": now + 600,
            "nonce": begun.asked["nonce"],
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let code = format!("code-{subject}-{}", &begun.asked["state"][..8]);
        self.idp.grant(
            &code,
            &begun.asked["code_challenge"],
            &self.key.sign(&claims),
        );
        code
    }

    fn back(&self, cookie: &str, state: &str, code: &str) -> Answer {
        let path = format!("/auth/callback?code={code}&state={state}");
        self.s.nobody().get_with(&path, &[("cookie", cookie)])
    }

    fn sign_in_with(&self, subject: &str, more: Value) -> Browser {
        let begun = self.begin();
        let code = self.code(&begun, subject, more);
        let answer = self.back(&begun.cookie, &begun.asked["state"], &code);
        assert_eq!(answer.status, 200, "{}", answer.raw());
        let (name, value, _) = &cookies(&answer)[0];
        let cookie = format!("{name}={value}");
        let me = self.s.nobody().get_with("/api/me", &[("cookie", &cookie)]);
        let csrf = me.is(200).json["session"]["csrf_token"]
            .as_str()
            .unwrap()
            .to_owned();
        Browser { cookie, csrf }
    }

    pub fn sign_in(&self, subject: &str) -> Browser {
        self.sign_in_with(subject, json!({}))
    }

    fn get(&self, browser: &Browser, path: &str) -> Answer {
        self.s
            .nobody()
            .get_with(path, &[("cookie", &browser.cookie)])
    }

    fn change(&self, browser: &Browser, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [
            ("cookie", browser.cookie.as_str()),
            ("x-csrf-token", &browser.csrf),
            ("origin", SITE),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
        ];
        self.s
            .nobody()
            .call(method, path, &headers, body.to_string().as_bytes())
    }

    /// Where a callback that signs nobody in leads, after the last `=`.
    fn failure(&self, answer: &Answer) -> String {
        assert_eq!(answer.status, 303, "{}", answer.raw());
        assert!(
            !cookies(answer)
                .iter()
                .any(|(name, value, _)| name.contains("session") && !value.is_empty())
        );
        let location = answer.header("location").unwrap();
        location.strip_prefix("/#sign-in=").unwrap().to_owned()
    }
}

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

fn percent(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn sign_in_asks_for_code_with_pkce_state_and_nonce() {
    let h = house();
    let begun = h.begin_to("%2Frequests%3Fuser%3Dme");
    let asked = &begun.asked;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "dbward"),
        ("redirect_uri", "https://dbward.example.com/auth/callback"),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[name], value);
    }
    let other = h.begin().asked;
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(URL_SAFE_NO_PAD.decode(&asked[name]).unwrap().len(), 32);
        assert_ne!(asked[name], other[name]);
    }
    // What the browser keeps is Lax, for ten minutes, and no other host can set it.
    let answer = h.s.nobody().get("/auth/sign-in");
    let (name, value, attributes) = cookies(&answer).remove(0);
    assert_eq!(name, "__Host-dbward-sign-in");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(!value.contains(&asked["state"]));
    let code = h.code(&begun, "ann", json!({}));
    let answer = h.back(&begun.cookie, &asked["state"], &code);
    // A page navigates on; a redirect would keep the strict cookie back.
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .raw()
            .contains("<meta http-equiv=\"refresh\" content=\"0;url=/requests?user=me\">")
    );
    assert!(
        answer
            .header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let kept = cookies(&answer);
    assert_eq!(kept[0].0, "__Host-dbward-session");
    assert_eq!(
        kept[0].2,
        "Path=/; Max-Age=28800; HttpOnly; SameSite=Strict; Secure"
    );
    assert_eq!(
        (kept[1].0.as_str(), kept[1].1.as_str()),
        ("__Host-dbward-sign-in", "")
    );
    let (credentials, form) = h.idp.exchanges().remove(0);
    assert_eq!(credentials, "", "a public client");
    assert!(
        form.contains("grant_type=authorization_code") && form.contains("client_id=dbward"),
        "{form}"
    );
}

#[test]
fn a_confidential_client_proves_itself() {
    let h = house_with("client_secret = \"s:cret\"");
    h.sign_in("ann");
    let (credentials, form) = h.idp.exchanges().remove(0);
    // `dbward:s%3Acret`
    assert_eq!(credentials, "Basic ZGJ3YXJkOnMlM0FjcmV0");
    assert!(!form.contains("cret"), "{form}");
    let h = house_with("client_secret = \"s:cret\"");
    h.idp.says(json!({
        "issuer": h.idp.url(), "jwks_uri": format!("{}/keys", h.idp.url()),
        "authorization_endpoint": format!("{}/authorize", h.idp.url()),
        "token_endpoint": format!("{}/token", h.idp.url()),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }));
    h.sign_in("ann");
    let (credentials, form) = h.idp.exchanges().remove(0);
    assert_eq!(credentials, "");
    assert!(form.ends_with("client_secret=s%3Acret"), "{form}");
}

#[test]
fn session_acts_as_its_person_with_rights_of_its_claims() {
    let h = house();
    let ann = h.sign_in_with("ann", json!({"groups": ["backend"], "name": "Ann"}));
    let me = h.get(&ann, "/api/me").is(200).json;
    assert_eq!(me["subject_id"], "ann");
    assert_eq!(me["roles"][0]["name"], "developer");
    assert_eq!(me["groups"], json!(["backend"]));
    let body = json!({"database": "shop", "environment": "production", "detail": "UPDATE items SET price = 2 WHERE id = 1"});
    let id = h
        .change(&ann, "POST", "/api/requests", &body)
        .is(201)
        .text("id");
    let shown = h.get(&ann, &format!("/api/requests/{id}")).is(200).json;
    assert_eq!(shown["requester"], "ann");
    // The log says in which session.
    let events = h.s.events(&format!("request_id={id}"));
    let session = me["session"]["id"].clone();
    assert!(
        events
            .iter()
            .all(|e| metadata(e)["actor_session_id"] == session),
        "{events:?}"
    );
    let bob = h.sign_in("bob");
    h.change(&bob, "POST", "/api/requests", &body)
        .refused(403, "forbidden");
    h.s.admin().get("/api/users/ann").is(200);
    // A token next to the cookie is what counts.
    let token = std::fs::read_to_string(h.s.state_dir().join("admin-token")).unwrap();
    let both = [
        ("cookie", ann.cookie.as_str()),
        ("authorization", &format!("Bearer {token}")),
    ];
    assert_eq!(
        h.s.nobody().get_with("/api/me", &both).is(200).json["subject_id"],
        "admin"
    );
}

#[test]
fn a_session_is_written_down_hashed_and_outlives_a_restart() {
    let mut h = house();
    let ann = h.sign_in("ann");
    let started = h.s.events("event_type=session.started").remove(0);
    assert_eq!(started["actor_id"], "ann");
    assert_eq!(metadata(&started)["method"], "oidc");
    let secret = ann.cookie.split_once('=').unwrap().1.to_owned();
    let file = std::fs::read(h.s.state_dir().join("dbward.db-wal")).unwrap();
    let finds = |what: &str| file.windows(what.len()).any(|w| w == what.as_bytes());
    assert!(finds(started["resource_id"].as_str().unwrap()) && !finds(&secret));
    h.s = h.s.restart();
    assert_eq!(h.get(&ann, "/api/me").is(200).json["subject_id"], "ann");
    // What the page learnt before still lets it change something.
    h.change(&ann, "DELETE", "/api/session", &json!({})).is(204);
    h.get(&ann, "/api/me").is(401);
}
