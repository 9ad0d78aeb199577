//! An identity provider that is not one: it signs what the test says with keys of its own, publishes them, and can be
//! slow, refuse, or hang up. It says with which key it signs, and counts how often it is asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// How it behaves.
#[derive(Clone, PartialEq)]
pub enum Mood {
    Well,
    /// Takes the call and says nothing.
    Slow,
    /// This status and no more.
    Status(u16),
    /// To there.
    Redirect(String),
    HangUp,
}

/// The ID token for the person at the browser, with this nonce.
type SignsIn = Box<dyn Fn(&str) -> String + Send>;

struct Inside {
    mood: Mood,
    signs_in: Option<SignsIn>,
    keys: String,
    /// The document about itself, where it differs from the usual.
    document: Option<Value>,
    asked: Vec<String>,
    /// By code, the challenge of its sign-in and the ID token for it.
    codes: HashMap<String, (String, String)>,
    /// Whether a code may be used again, as none may.
    forgetful: bool,
    /// What was sent for an ID token: the credentials and the form.
    exchanges: Vec<(String, String)>,
    stop: bool,
}

pub struct Idp {
    at: SocketAddr,
    inside: Arc<(Mutex<Inside>, Condvar)>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Inside {
    /// Where a browser goes that was sent here with this query: back, with a code.
    fn signed_in(&mut self, query: &str) -> String {
        let field = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.find(|(n, _)| *n == name).unwrap().1;
            percent_decode_str(value)
                .decode_utf8()
                .unwrap()
                .into_owned()
        };
        let sign = self.signs_in.as_ref().unwrap();
        let granted = (field("code_challenge"), sign(&field("nonce")));
        let code = format!("code-{}", self.asked.len());
        self.codes.insert(code.clone(), granted);
        let (back, state) = (field("redirect_uri"), field("state"));
        format!("{back}?code={code}&state={state}")
    }

    /// The ID token for a code, once, to who knows the verifier.
    fn exchange(&mut self, form: &str) -> (u16, Value) {
        let field = |name: &str| {
            let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(n, _)| *n == name).map(|(_, value)| value)
        };
        let code = field("code").unwrap_or_default();
        let verifier = field("code_verifier").unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let granted = self.codes.get(code).cloned();
        if !self.forgetful {
            self.codes.remove(code);
        }
        match granted {
            Some((wanted, token)) if wanted == challenge => (
                200,
                json!({"id_token": token, "access_token": "a", "token_type": "Bearer"}),
            ),
            _ => (400, json!({"error": "invalid_grant"})),
        }
    }
}

/// A key that signs.
pub struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub fn new(id: &str) -> Key {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let bytes = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Key {
            id: id.to_owned(),
            pair: EcdsaKeyPair::from_pkcs8(algorithm, bytes.as_ref(), &random).unwrap(),
        }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": part(1..33), "y": part(33..65)})
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"alg": "ES256", "kid": self.id});
        let text = format!("{}.{}", part(&head), part(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), text.as_bytes())
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A set of these keys, as it is published.
pub fn key_set(keys: &[&Key]) -> String {
    let keys: Vec<Value> = keys.iter().map(|k| k.jwk()).collect();
    json!({"keys": keys}).to_string()
}

impl Idp {
    /// One that publishes this set of keys.
    pub fn start(keys: &str) -> Idp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let inside = Inside {
            mood: Mood::Well,
            signs_in: None,
            keys: keys.to_owned(),
            document: None,
            asked: Vec::new(),
            codes: HashMap::new(),
            forgetful: false,
            exchanges: Vec::new(),
            stop: false,
        };
        let inside = Arc::new((Mutex::new(inside), Condvar::new()));
        let shared = Arc::clone(&inside);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.0.lock().unwrap().stop {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), at, &shared));
            }
        });
        Idp {
            at,
            inside,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub fn mood(&self, mood: Mood) {
        self.inside.0.lock().unwrap().mood = mood;
        self.inside.1.notify_all();
    }

    pub fn publish(&self, keys: &str) {
        self.inside.0.lock().unwrap().keys = keys.to_owned();
    }

    /// What it says about itself from now on.
    pub fn says(&self, document: Value) {
        self.inside.0.lock().unwrap().document = Some(document);
    }

    /// Will give this ID token for a code, to who knows the verifier of the challenge.
    pub fn grant(&self, code: &str, challenge: &str, id_token: &str) {
        let mut inside = self.inside.0.lock().unwrap();
        let granted = (challenge.to_owned(), id_token.to_owned());
        inside.codes.insert(code.to_owned(), granted);
    }

    /// Signs in every browser that comes, without a page.
    pub fn signs_in(&self, sign: impl Fn(&str) -> String + Send + 'static) {
        self.inside.0.lock().unwrap().signs_in = Some(Box::new(sign));
    }

    /// Takes every code again and again from now on.
    pub fn forget_used_codes(&self) {
        self.inside.0.lock().unwrap().forgetful = true;
    }

    /// What was sent for ID tokens: the credentials and the form.
    pub fn exchanges(&self) -> Vec<(String, String)> {
        self.inside.0.lock().unwrap().exchanges.clone()
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        let inside = self.inside.0.lock().unwrap();
        inside.asked.iter().filter(|path| *path == "/keys").count()
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.inside.0.lock().unwrap().stop = true;
        self.inside.1.notify_all();
        let _ = TcpStream::connect(self.at);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn serve(stream: TcpStream, at: SocketAddr, inside: &(Mutex<Inside>, Condvar)) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    let _ = reader.read_line(&mut line);
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut credentials) = (0, String::new());
    while line.trim() != "" {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                credentials = value.to_owned();
            }
            _ => {}
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).unwrap();
    let form = String::from_utf8(form).unwrap();
    let mut state = inside.0.lock().unwrap();
    state.asked.push(path.clone());
    while state.mood == Mood::Slow && !state.stop {
        state = inside.1.wait(state).unwrap();
    }
    let usual = json!({
        "issuer": format!("http://{at}"),
        "jwks_uri": format!("http://{at}/keys"),
        "authorization_endpoint": format!("http://{at}/authorize"),
        "token_endpoint": format!("http://{at}/token"),
    });
    let (status, more, body) = match (&state.mood, path.as_str()) {
        (Mood::HangUp | Mood::Slow, _) => return,
        (Mood::Status(status), _) => (*status, String::new(), "{}".to_owned()),
        (Mood::Redirect(to), _) => (302, format!("location: {to}\r\n"), String::new()),
        (Mood::Well, "/token") => {
            state.exchanges.push((credentials, form.clone()));
            let (status, answer) = state.exchange(&form);
            (status, String::new(), answer.to_string())
        }
        (Mood::Well, "/keys") => (200, String::new(), state.keys.clone()),
        (Mood::Well, "/.well-known/openid-configuration") => {
            let document = state.document.clone().unwrap_or(usual);
            (200, String::new(), document.to_string())
        }
        (Mood::Well, path) => match path.strip_prefix("/authorize?") {
            Some(query) => (
                302,
                format!("location: {}\r\n", state.signed_in(query)),
                String::new(),
            ),
            None => (404, String::new(), String::new()),
        },
    };
    drop(state);
    let head = format!(
        "HTTP/1.1 {status} x\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
}
