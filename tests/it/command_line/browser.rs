//! Signing in in a browser on this machine: by authorization code with PKCE, over an address on the loopback.

use super::console::Console;
use super::device::{Provider, WHOAMI, points, real_provider, server};
use crate::support::{Program, connect, eventually};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dbward::crypto::sha256;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const LOGIN: &[&str] = &["login", "--browser"];

/// A sign-in that waits for its browser.
struct Waiting {
    login: Program,
    /// The address that the browser is to open, and its parameters.
    url: String,
    asked: BTreeMap<String, String>,
}

impl Waiting {
    fn start(command: &mut Command) -> Waiting {
        let login = Program::start(command);
        eventually("the address", || login.errors().contains("Ctrl-C gives up"));
        let errors = login.errors();
        let (_, url) = errors.split_once("open   ").unwrap();
        let url = url.lines().next().unwrap().to_owned();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let (_, query) = url.split_once('?').unwrap();
        let asked = query.split('&').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (decoded(name), decoded(value))
        });
        let asked = asked.collect();
        Waiting { login, url, asked }
    }

    /// What a browser sees that comes back with this query; `STATE` stands for the right state.
    fn comes_back(&self, query: &str) -> String {
        let query = query.replace("STATE", &self.asked["state"]);
        self.calls(&format!(
            "GET /callback?{query} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        ))
    }

    fn calls(&self, head: &str) -> String {
        let at = self.asked["redirect_uri"].strip_prefix("http://").unwrap();
        let at = at.strip_suffix("/callback").unwrap();
        let mut stream = connect(at.parse().unwrap());
        stream.write_all(head.as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }

    fn nonce(&self) -> Value {
        self.asked["nonce"].clone().into()
    }
}

/// A parameter of a form.
fn field<'a>(form: &'a str, name: &str) -> &'a str {
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).unwrap().1
}

#[test]
fn a_browser_here_signs_somebody_in() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    let waiting = Waiting::start(&mut console.command(None, LOGIN));
    let asked = &waiting.asked;
    assert!(
        waiting
            .url
            .starts_with(&format!("{}/authorize?", provider.url()))
    );
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["scope"], "openid offline_access");
    assert_eq!(asked["prompt"], "consent");
    provider.gives_for(3600, "refresh", waiting.nonce());
    let page = waiting.comes_back("code=the%2Fcode&state=STATE");
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("<h1>Signed in</h1>"),
        "{page}"
    );
    let form = provider.asked().pop().unwrap();
    assert_eq!(field(&form, "grant_type"), "authorization_code");
    assert_eq!(field(&form, "code"), "the%2Fcode");
    let verifier = field(&form, "code_verifier");
    let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    assert_eq!(asked["code_challenge"], challenge);
    let (status, errors) = waiting.login.end();
    assert!(status.success(), "{errors}");
    assert!(
        !errors.contains(verifier) && !errors.contains("the/code"),
        "{errors}"
    );
    assert_eq!(console.run(None, WHOAMI).is(0).out, "somebody\n");
    let kept = console.home().join(".config/dbward/credentials.json");
    assert_eq!(
        fs::metadata(kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn what_does_not_know_the_state_signs_nobody_in() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    let waiting = Waiting::start(&mut console.command(None, LOGIN));
    for query in [
        "code=theirs&state=other",
        "code=theirs",
        "code=theirs&state=STATE&state=STATE",
    ] {
        let page = waiting.comes_back(query);
        assert!(
            page.starts_with("HTTP/1.1 400") && page.contains("another sign-in"),
            "{page}"
        );
    }
    let page = waiting.calls("GET /favicon.ico HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 404"), "{page}");
    assert!(provider.asked().is_empty(), "no code was redeemed");
    // It still waits for the right one.
    provider.gives_for(3600, "refresh", waiting.nonce());
    let page = waiting.comes_back("code=ours&state=STATE");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (status, errors) = waiting.login.end();
    assert!(status.success(), "{errors}");
}

#[test]
fn failed_browser_sign_in_says_why_in_both_places() {
    for (query, words) in [
        (
            "error=access_denied&state=STATE",
            "the sign-in was denied in the browser",
        ),
        (
            "error=server_error&error_description=%3Cb%3Edown%1B&state=STATE",
            "the identity provider refused: <b>down\\u{1b} (server_error)",
        ),
        ("state=STATE", "the browser came back without a code"),
        (
            "code=c&state=STATE&iss=https%3A%2F%2Fother.example.com",
            "the browser came back from another identity provider",
        ),
    ] {
        let provider = Provider::start(60);
        let (_server, console) = provider.served();
        let waiting = Waiting::start(&mut console.command(None, LOGIN));
        let page = waiting.comes_back(query);
        let on_page = words.replace('<', "&lt;").replace('>', "&gt;");
        assert!(
            page.starts_with("HTTP/1.1 400") && page.contains(&on_page),
            "{page}"
        );
        assert!(page.contains("run dbward login again"), "{page}");
        let (status, errors) = waiting.login.end();
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains(&format!("error: {words}")), "{errors}");
        assert!(provider.asked().is_empty());
    }
}

#[test]
fn a_token_of_another_sign_in_is_not_kept() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    let waiting = Waiting::start(&mut console.command(None, LOGIN));
    provider.gives_for(3600, "refresh", json!("another"));
    let page = waiting.comes_back("code=c&state=STATE");
    assert!(page.starts_with("HTTP/1.1 400"), "{page}");
    let (status, errors) = waiting.login.end();
    assert_eq!(status.code(), Some(1));
    assert!(
        errors.contains("error: the identity provider gave an id token of another sign-in"),
        "{errors}"
    );
    assert!(
        !console
            .home()
            .join(".config/dbward/credentials.json")
            .exists()
    );
}

#[test]
fn the_browser_that_is_named_opens_the_address() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    let browser = console.home().join("browser");
    fs::write(
        &browser,
        "#!/bin/sh\nprintf %s \"$1\" > opened.part && mv opened.part opened\n",
    )
    .unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = console.command(None, LOGIN);
    let waiting = Waiting::start(command.env("BROWSER", &browser));
    let opened = console.home().join("opened");
    eventually("the browser", || opened.exists());
    assert_eq!(fs::read_to_string(opened).unwrap(), waiting.url);
}

#[test]
fn a_server_without_a_provider_opens_no_browser() {
    let server = crate::support::Server::shop();
    let console = Console::at("");
    points(&console, &server);
    let ran = console.run(None, LOGIN).is(1);
    assert!(
        ran.errors.contains("names no identity provider"),
        "{}",
        ran.errors
    );
}

/// The provider's `/test/browse` is a browser without a person.
#[test]
#[ignore = "needs DBWARD_TEST_OIDC_PROVIDER"]
fn a_real_provider_signs_somebody_in_in_a_browser() {
    let (_provider, issuer) = real_provider();
    let server = server(&issuer);
    let console = Console::at("");
    points(&console, &server);
    let waiting = Waiting::start(&mut console.command(None, LOGIN));
    let mut stream = connect(issuer.strip_prefix("http://").unwrap().parse().unwrap());
    write!(
        stream,
        "POST /test/browse HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}",
        waiting.url.len(),
        waiting.url
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("<h1>Signed in</h1>"), "{answer}");
    let (status, errors) = waiting.login.end();
    assert!(status.success(), "{errors}");
    for _ in 0..2 {
        assert_eq!(console.run(None, WHOAMI).is(0).out, "somebody\n");
    }
}
