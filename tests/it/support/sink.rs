//! A receiver of notifications: it keeps what it got, and answers well, badly, late or not at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How it answers.
#[derive(Clone, PartialEq)]
pub enum Manner {
    /// 200 with a body.
    Accepts,
    /// This status, with these header lines.
    Status(u16, String),
    /// 200 and a body without an end.
    Endless,
    /// Header lines without an end.
    EndlessHead,
    /// Takes the call and closes the connection.
    HangsUp,
    /// Takes the call and resets the connection.
    Resets,
    /// Takes the call and says nothing until its manner changes, or the test has one call answered with 200.
    Silent,
    /// What is not HTTP.
    Babbles,
}

/// A call that it got.
#[derive(Clone)]
pub struct Received {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A text of its body.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct SinkState {
    manner: Manner,
    received: Vec<Received>,
    /// Silent calls that are to be answered.
    answers: usize,
    stop: bool,
}

pub struct Sink {
    at: SocketAddr,
    state: Arc<(Mutex<SinkState>, Condvar)>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sink {
    pub fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let state = SinkState {
            manner: Manner::Accepts,
            received: Vec::new(),
            answers: 0,
            stop: false,
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.0.lock().unwrap().stop {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Sink {
            at,
            state,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks/token-in-the-path", self.at)
    }

    /// A `[[webhooks]]` entry that leads here.
    pub fn webhook(&self, id: &str, more: &str) -> String {
        format!(
            "[[webhooks]]\nid = \"{id}\"\nurl = \"{}\"\n{more}\n",
            self.url()
        )
    }

    pub fn manner(&self, manner: Manner) {
        self.state.0.lock().unwrap().manner = manner;
        self.state.1.notify_all();
    }

    /// Has a silent call answered with 200: one that waits, or the next.
    pub fn answer_one(&self) {
        self.state.0.lock().unwrap().answers += 1;
        self.state.1.notify_all();
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.0.lock().unwrap().received.clone()
    }

    pub fn count(&self) -> usize {
        self.state.0.lock().unwrap().received.len()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.0.lock().unwrap().stop = true;
        self.state.1.notify_all();
        let _ = TcpStream::connect(self.at);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut received = Received {
        path,
        headers,
        body: Vec::new(),
    };
    let length = received.header("content-length")?.parse().ok()?;
    received.body = vec![0; length];
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}

fn serve(mut stream: TcpStream, state: &(Mutex<SinkState>, Condvar)) {
    let Some(received) = read(&stream) else {
        return;
    };
    let mut inside = state.0.lock().unwrap();
    inside.received.push(received);
    state.1.notify_all();
    while inside.manner == Manner::Silent && inside.answers == 0 && !inside.stop {
        inside = state.1.wait(inside).unwrap();
    }
    let manner = match (&inside.manner, inside.answers) {
        (Manner::Silent, 1..) => {
            inside.answers -= 1;
            Manner::Accepts
        }
        (manner, _) => manner.clone(),
    };
    drop(inside);
    let answer = match manner {
        Manner::Accepts => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        Manner::Status(status, more) => {
            format!("HTTP/1.1 {status} x\r\n{more}content-length: 0\r\n\r\n")
        }
        Manner::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
            return;
        }
        Manner::EndlessHead => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            let line = format!("x: {}\r\n", "y".repeat(1_000));
            while stream.write_all(line.as_bytes()).is_ok() {}
            return;
        }
        Manner::Babbles => "hello\r\n".to_owned(),
        Manner::Resets => {
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            return;
        }
        Manner::HangsUp | Manner::Silent => return,
    };
    let _ = stream.write_all(answer.as_bytes());
}
