//! Signing in through an identity provider: by device code, kept, renewed and ended.

use super::console::Console;
use crate::support::{Key, Program, Server, connect, eventually, key_set};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What the provider is asked at its token endpoint, and what it answers.
#[derive(Default)]
struct Exchange {
    asked: Vec<String>,
    answers: VecDeque<(u16, Value)>,
}

/// A provider that gives codes, and answers every question for tokens with what the test put there.
pub(super) struct Provider {
    at: SocketAddr,
    key: Key,
    exchange: Arc<Mutex<Exchange>>,
}

impl Provider {
    /// One whose codes count for so many seconds.
    pub(super) fn start(expires_in: u64) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let key = Key::new("one");
        let keys = key_set(&[&key]);
        let exchange = Arc::new(Mutex::new(Exchange::default()));
        let shared = Arc::clone(&exchange);
        // Ends with the process of the tests.
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (path, body) = read(&stream);
                let url = format!("http://{at}");
                let (status, answer) = match path.as_str() {
                    "/.well-known/openid-configuration" => (
                        200,
                        json!({
                            "issuer": url, "jwks_uri": format!("{url}/keys"),
                            "token_endpoint": format!("{url}/token"),
                            "authorization_endpoint": format!("{url}/authorize"),
                            "device_authorization_endpoint": format!("{url}/device"),
                            "scopes_supported": ["openid", "offline_access"],
                        }),
                    ),
                    "/keys" => (200, serde_json::from_str(&keys).unwrap()),
                    "/device" => (
                        200,
                        json!({
                            "device_code": "secret-device-code", "user_code": "WDJB-MJHT",
                            "verification_uri": format!("{url}/enter"), "expires_in": expires_in, "interval": 1,
                        }),
                    ),
                    _ => {
                        let mut exchange = shared.lock().unwrap();
                        exchange.asked.push(body.clone());
                        let pending = (400, json!({"error": "authorization_pending"}));
                        exchange.answers.pop_front().unwrap_or(pending)
                    }
                };
                if path == "/device" {
                    shared.lock().unwrap().asked.push(body);
                }
                let text = answer.to_string();
                let head = format!(
                    "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    text.len()
                );
                let _ = stream.write_all(format!("{head}{text}").as_bytes());
            }
        });
        Provider { at, key, exchange }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub(super) fn answers(&self, status: u16, answer: Value) {
        let mut exchange = self.exchange.lock().unwrap();
        exchange.answers.push_back((status, answer));
    }

    /// Tokens for somebody, that end after so many seconds.
    fn gives(&self, secs: i64, refresh_token: &str) {
        self.gives_for(secs, refresh_token, Value::Null);
    }

    /// The same, for the sign-in of that nonce.
    pub(super) fn gives_for(&self, secs: i64, refresh_token: &str, nonce: Value) {
        let now = dbward::clock::Clock::system().now().0 / 1000;
        let mut claims = json!({
            "iss": self.url(), "aud": "dbward", "sub": "somebody", "exp": now + secs,
        });
        if nonce != Value::Null {
            claims["nonce"] = nonce;
        }
        let id_token = self.key.sign(&claims);
        self.answers(
            200,
            json!({
                "access_token": "opaque", "id_token": id_token, "refresh_token": refresh_token, "expires_in": 9,
            }),
        );
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.exchange.lock().unwrap().asked.clone()
    }

    /// A server whose people come from here, and somebody at a shell before it.
    pub(super) fn served(&self) -> (Server, Console) {
        let server = server(&self.url());
        let console = Console::at("");
        points(&console, &server);
        (server, console)
    }
}

pub(super) fn server(issuer: &str) -> Server {
    let oidc = format!(
        "[auth.oidc]\nissuer = \"{issuer}\"\nclient_id = \"dbward\"\ndefault_role = \"readonly\"\n"
    );
    Server::with(&format!("{}{oidc}", crate::support::SHOP))
}

/// Names the server in the shell's dbward.toml.
pub(super) fn points(console: &Console, server: &Server) {
    let url = format!("http://{}", server.inner().addr());
    let text = format!("[server]\nurl = \"{url}\"\n");
    fs::write(console.home().join("dbward.toml"), text).unwrap();
}

/// Path and body of a call.
fn read(stream: &std::net::TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    let _ = reader.read_line(&mut line);
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while line.trim() != "" {
        line.clear();
        let _ = reader.read_line(&mut line);
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    (path, String::from_utf8(body).unwrap())
}

const LOGIN: &[&str] = &["login", "--device"];
pub(super) const WHOAMI: &[&str] = &["whoami", "--format", "quiet"];

#[test]
fn somebody_signs_in_in_a_browser_and_stays_signed_in() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    provider.answers(400, json!({"error": "authorization_pending"}));
    // It ends so soon that the next command has to renew it.
    provider.gives(20, "first-refresh");
    let ran = console.run(None, LOGIN).is(0);
    assert!(
        ran.errors.contains("enter  WDJB-MJHT") && ran.errors.contains("/enter\n"),
        "{}",
        ran.errors
    );
    assert!(ran.out.contains("somebody"), "{}", ran.out);
    for secret in ["secret-device-code", "first-refresh", "eyJ"] {
        assert!(!format!("{}{}", ran.out, ran.errors).contains(secret));
    }
    let kept = console.home().join(".config/dbward/credentials.json");
    let mode = fs::metadata(&kept).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let asked = provider.asked();
    assert_eq!(asked[0], "client_id=dbward&scope=openid+offline_access");
    assert_eq!(
        asked[1],
        "client_id=dbward&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=secret-device-code"
    );
    assert_eq!(asked.len(), 3);
    provider.gives(3600, "second-refresh");
    assert_eq!(console.run(None, WHOAMI).is(0).out, "somebody\n");
    assert_eq!(
        provider.asked().last().unwrap(),
        "client_id=dbward&grant_type=refresh_token&refresh_token=first-refresh"
    );
    assert!(
        fs::read_to_string(&kept)
            .unwrap()
            .contains("second-refresh")
    );
    // The next one is good for an hour.
    console.run(None, WHOAMI).is(0);
    assert_eq!(provider.asked().len(), 4);
    let ran = console.run(None, &["logout"]).is(0);
    assert!(ran.out.contains("Forgot the sign-in"), "{}", ran.out);
    assert!(!fs::read_to_string(&kept).unwrap().contains("refresh"));
}

#[test]
fn a_sign_in_that_the_provider_ends_asks_for_another() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    provider.gives(20, "only-refresh");
    console.run(None, LOGIN).is(0);
    provider.answers(
        400,
        json!({"error": "invalid_grant", "error_description": "session\u{1b}[31m ended"}),
    );
    let ran = console.run(None, WHOAMI).is(1);
    assert!(
        ran.errors.starts_with("error: the sign-in is over: ")
            && ran.errors.contains("`dbward login`"),
        "{}",
        ran.errors
    );
    assert!(!ran.errors.contains('\u{1b}') && !ran.errors.contains("only-refresh"));
}

#[test]
fn who_does_not_sign_in_is_answered_with_a_sentence() {
    for (error, words) in [
        (
            "access_denied",
            "error: the sign-in was denied in the browser\n",
        ),
        ("expired_token", "nobody signed in before the code expired"),
        (
            "unauthorized_client",
            "the identity provider refused: unauthorized_client",
        ),
    ] {
        let provider = Provider::start(60);
        let (_server, console) = provider.served();
        provider.answers(400, json!({"error": error}));
        let ran = console.run(None, LOGIN).is(1);
        assert!(ran.errors.contains(words), "{}", ran.errors);
        assert!(
            !console
                .home()
                .join(".config/dbward/credentials.json")
                .exists()
        );
    }
    let provider = Provider::start(2);
    let (_server, console) = provider.served();
    let ran = console.run(None, LOGIN).is(1);
    assert!(
        ran.errors.contains("before the code expired"),
        "{}",
        ran.errors
    );
    assert!(provider.asked().len() > 1, "it was asked at least once");
}

#[test]
fn a_provider_that_wants_fewer_questions_gets_them() {
    let provider = Provider::start(60);
    let (_server, console) = provider.served();
    provider.answers(400, json!({"error": "slow_down"}));
    provider.gives(3600, "refresh");
    let start = Instant::now();
    console.run(None, LOGIN).is(0);
    // One second before the first question, five more before the next.
    assert!(
        start.elapsed() >= Duration::from_secs(7),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_server_without_a_provider_takes_tokens_only() {
    let server = Server::shop();
    let console = Console::at("");
    points(&console, &server);
    let ran = console.run(None, LOGIN).is(1);
    assert!(
        ran.errors.contains("names no identity provider") && ran.errors.contains("[server.oidc]"),
        "{}",
        ran.errors
    );
    assert_eq!(
        server.nobody().get("/api/sign-in").is(200).json,
        json!({"signed_in": false, "takes_tokens": true, "takes_token_links": false, "oidc": null})
    );
}

#[test]
fn a_server_tells_strangers_its_provider_and_no_more() {
    let server = server("https://id.example.com");
    assert_eq!(
        server.nobody().get("/api/sign-in").is(200).json,
        json!({"signed_in": false, "takes_tokens": true, "takes_token_links": false, "oidc": {
            "issuer": "https://id.example.com", "client_id": "dbward", "by_browser": false,
        }})
    );
}

/// The provider of npm, in the folder that the variable names, and its address. Its tokens end so soon that every
/// command has to renew them.
pub(super) fn real_provider() -> (Program, String) {
    let folder = std::env::var("DBWARD_TEST_OIDC_PROVIDER").unwrap();
    let mut command = Command::new("node");
    command
        .arg("provider.mjs")
        .current_dir(folder)
        .env("ID_TOKEN_SECS", "30");
    let provider = Program::start(&mut command);
    let issuer = provider.line();
    (provider, issuer)
}

#[test]
#[ignore = "needs DBWARD_TEST_OIDC_PROVIDER"]
fn a_real_provider_signs_somebody_in_and_renews_it() {
    let (_provider, issuer) = real_provider();
    let server = server(&issuer);
    let console = Console::at("");
    points(&console, &server);
    let login = Program::start(&mut console.command(None, LOGIN));
    eventually("the code", || login.errors().contains("\nWaiting"));
    let errors = login.errors();
    let (_, code) = errors.split_once("enter  ").unwrap();
    let code = code.lines().next().unwrap();
    let at = issuer.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = connect(at);
    write!(
        stream,
        "POST /test/approve?user_code={code} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let (status, errors) = login.end();
    assert!(status.success(), "{errors}");
    for _ in 0..3 {
        assert_eq!(console.run(None, WHOAMI).is(0).out, "somebody\n");
    }
}
