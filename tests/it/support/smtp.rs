//! A mail server that keeps what it gets, and refuses or hangs up where it is to.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A mail that was accepted.
#[derive(Clone)]
pub struct Letter {
    pub to: String,
    /// As it was sent, header fields included.
    pub text: String,
}

struct PostState {
    letters: Vec<Letter>,
    /// What a recipient is answered instead of 250.
    refusal: Option<String>,
    stop: bool,
}

pub struct PostOffice {
    at: SocketAddr,
    state: Arc<Mutex<PostState>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl PostOffice {
    pub fn start() -> PostOffice {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(PostState {
            letters: Vec::new(),
            refusal: None,
            stop: false,
        }));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().stop {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        PostOffice {
            at,
            state,
            thread: Some(thread),
        }
    }

    /// An `[email]` section that sends by it.
    pub fn section(&self) -> String {
        format!(
            "[email]\nserver = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"dbward <dbward@example.com>\"\n",
            self.at.port()
        )
    }

    /// Every recipient is answered so from now on.
    pub fn refuse(&self, answer: Option<&str>) {
        self.state.lock().unwrap().refusal = answer.map(str::to_owned);
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

fn serve(stream: TcpStream, state: &Mutex<PostState>) {
    let mut reader = BufReader::new(&stream);
    let say = |text: &str| (&stream).write_all(format!("{text}\r\n").as_bytes());
    let _ = say("220 post.example.com");
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let upper = line.to_ascii_uppercase();
        let answered = if upper.starts_with("RCPT TO:") {
            let refusal = state.lock().unwrap().refusal.clone();
            let address = line["RCPT TO:".len()..].trim().trim_matches(['<', '>']);
            to = address.to_owned();
            say(&refusal.unwrap_or_else(|| "250 ok".to_owned()))
        } else if upper.starts_with("DATA") {
            let _ = say("354 go on");
            let mut text = String::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line == ".\r\n" {
                    break;
                }
                text.push_str(&line);
            }
            let letter = Letter {
                to: to.clone(),
                text,
            };
            state.lock().unwrap().letters.push(letter);
            say("250 ok")
        } else if upper.starts_with("QUIT") {
            let _ = say("221 bye");
            return;
        } else {
            say("250 ok")
        };
        if answered.is_err() {
            return;
        }
    }
}
