//! A mail server that keeps what it gets, and refuses or hangs up where it is to.

use dbward::crypto::base64_text;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The certificate of one that speaks TLS.
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls/first.crt");

/// A mail that was accepted.
#[derive(Clone)]
pub struct Letter {
    pub to: String,
    /// As it was sent, header fields included.
    pub text: String,
}

/// In place of an answer: none, until the other side gives up.
pub const SILENCE: &str = "";

/// Name and password of who may send by a server that wants to know.
const SENDER: (&str, &str) = ("dbward", "a-secret-password");

struct PostState {
    letters: Vec<Letter>,
    /// Whether the password counts.
    admits: bool,
    /// What a recipient is answered instead of 250.
    refusal: Option<String>,
    /// Answers to single recipients.
    refused: BTreeMap<String, String>,
    /// What it greets with, and what a sender is answered, instead of 220 and 250.
    turned_away: Option<(&'static str, &'static str)>,
    /// Whether it says nothing to a whole mail.
    holds: bool,
    connections: usize,
    stop: bool,
}

pub struct PostOffice {
    at: SocketAddr,
    /// It speaks TLS from the first byte, and takes mail only of [`SENDER`].
    is_locked: bool,
    state: Arc<Mutex<PostState>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl PostOffice {
    pub fn start() -> PostOffice {
        PostOffice::open(None)
    }

    /// One that speaks TLS from the first byte and wants a password.
    pub fn locked() -> PostOffice {
        let chain = vec![CertificateDer::from_pem_file(CERTIFICATE).unwrap()];
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls/first.key");
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let tls =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key);
        PostOffice::open(Some(Arc::new(tls.unwrap())))
    }

    fn open(tls: Option<Arc<ServerConfig>>) -> PostOffice {
        let is_locked = tls.is_some();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(PostState {
            letters: Vec::new(),
            admits: true,
            refusal: None,
            refused: BTreeMap::new(),
            turned_away: None,
            holds: false,
            connections: 0,
            stop: false,
        }));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().stop {
                    return;
                }
                shared.lock().unwrap().connections += 1;
                let (shared, tls, stream) = (Arc::clone(&shared), tls.clone(), stream.unwrap());
                thread::spawn(move || match tls {
                    None => serve(stream, false, &shared),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        serve(StreamOwned::new(connection, stream), true, &shared);
                    }
                });
            }
        });
        PostOffice {
            at,
            is_locked,
            state,
            thread: Some(thread),
        }
    }

    /// An `[email]` section that sends by it.
    pub fn section(&self) -> String {
        let (name, password) = SENDER;
        let more = match self.is_locked {
            false => "security = \"none\"".to_owned(),
            true => format!(
                "security = \"tls\"\nusername = \"{name}\"\npassword = \"{password}\"\nca_file = \"{CERTIFICATE}\""
            ),
        };
        format!(
            "[email]\nserver = \"127.0.0.1\"\nport = {}\n{more}\nfrom = \"dbward <dbward@example.com>\"\n",
            self.at.port()
        )
    }

    /// Whether the password counts from now on.
    pub fn admit(&self, admits: bool) {
        self.state.lock().unwrap().admits = admits;
    }

    /// This recipient is answered so from now on, and with [`SILENCE`] not at all.
    pub fn refuse_one(&self, address: &str, answer: Option<&str>) {
        let mut state = self.state.lock().unwrap();
        state.refused.remove(address);
        let refused = answer.map(|answer| (address.to_owned(), answer.to_owned()));
        state.refused.extend(refused);
    }

    /// Every recipient is answered so from now on.
    pub fn refuse(&self, answer: Option<&str>) {
        self.state.lock().unwrap().refusal = answer.map(str::to_owned);
    }

    /// It greets with the first of these and answers every sender with the second, from now on.
    pub fn turn_away(&self, answers: Option<(&'static str, &'static str)>) {
        self.state.lock().unwrap().turned_away = answers;
    }

    /// Whether it says nothing to a whole mail, from now on.
    pub fn hold(&self, holds: bool) {
        self.state.lock().unwrap().holds = holds;
    }

    /// Connections that there were.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.state.lock().unwrap().letters.clone()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.state.lock().unwrap().stop = true;
        let _ = TcpStream::connect(self.at);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// Whether these words are the login of [`SENDER`].
fn is_login(words: &str) -> bool {
    let (name, password) = SENDER;
    let known = base64_text(format!("\0{name}\0{password}").as_bytes());
    words == format!("AUTH PLAIN {known}")
}

fn serve(stream: impl Read + Write, is_locked: bool, state: &Mutex<PostState>) {
    let mut stream = BufReader::new(stream);
    let (mut is_in, mut to) = (!is_locked, String::new());
    let turned_away = state.lock().unwrap().turned_away;
    let (greeting, to_sender) = turned_away.unwrap_or(("220 post.example.com", "250 ok"));
    let mut answer = greeting.to_owned();
    loop {
        let written = stream
            .get_mut()
            .write_all(format!("{answer}\r\n").as_bytes());
        if written.and_then(|()| stream.get_mut().flush()).is_err() || answer.starts_with("221") {
            return;
        }
        let Some(line) = line(&mut stream) else {
            return;
        };
        let upper = line.to_ascii_uppercase();
        answer = if upper.starts_with("AUTH ") {
            is_in = is_login(&line) && state.lock().unwrap().admits;
            match is_in {
                true => "235 welcome".to_owned(),
                false => "535 5.7.8 nobody known".to_owned(),
            }
        } else if upper.starts_with("EHLO") && is_locked {
            "250-post.example.com\r\n250 AUTH PLAIN LOGIN".to_owned()
        } else if upper.starts_with("QUIT") {
            "221 bye".to_owned()
        } else if !is_in && !upper.starts_with("EHLO") {
            "530 5.7.0 who are you".to_owned()
        } else if upper.starts_with("MAIL FROM:") {
            to_sender.to_owned()
        } else if upper.starts_with("RCPT TO:") {
            let address = line["RCPT TO:".len()..].trim().trim_matches(['<', '>']);
            let state = state.lock().unwrap();
            let refusal = state
                .refused
                .get(address)
                .or(state.refusal.as_ref())
                .cloned();
            to = address.to_owned();
            drop(state);
            if refusal.as_deref() == Some(SILENCE) {
                let _ = self::line(&mut stream);
                return;
            }
            refusal.unwrap_or_else(|| "250 ok".to_owned())
        } else if upper.starts_with("DATA") {
            let _ = stream.get_mut().write_all(b"354 go on\r\n");
            let Some(text) = text(&mut stream) else {
                return;
            };
            if state.lock().unwrap().holds {
                let _ = self::line(&mut stream);
                return;
            }
            let to = to.clone();
            state.lock().unwrap().letters.push(Letter { to, text });
            "250 ok".to_owned()
        } else {
            "250 ok".to_owned()
        };
    }
}

/// The next line without its end; none where the connection ends.
fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// A mail as it was sent, up to the dot.
fn text(stream: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    loop {
        let start = text.len();
        if stream.read_line(&mut text).ok()? == 0 {
            return None;
        }
        if &text[start..] == ".\r\n" {
            text.truncate(start);
            return Some(text);
        }
    }
}
