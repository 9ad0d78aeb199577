//! People who call the server: a blocking HTTP client that sends exactly what the test says, and answers that know what
//! the contract wants of every answer.

use super::documented::is_documented;
use super::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

/// Internal errors that were answered.
pub type Faults = Arc<Mutex<Vec<String>>>;

/// A connection that gives up in time.
pub fn connect(at: SocketAddr) -> TcpStream {
    try_connect(at).unwrap()
}

fn try_connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Person {
    pub at: SocketAddr,
    pub subject: String,
    pub token: Option<String>,
    faults: Faults,
}

impl Person {
    pub fn new(at: SocketAddr, subject: &str, token: Option<String>, faults: Faults) -> Person {
        Person {
            at,
            subject: subject.to_owned(),
            token,
            faults,
        }
    }

    /// Sends a call and leaves its answer for later.
    pub fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Waiting {
        self.try_begin(method, path, headers, body).unwrap()
    }

    /// The same, where there may be no server.
    pub fn try_begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Waiting> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        if let Some(token) = &self.token {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut stream = try_connect(self.at)?;
        // A server that refuses a large body answers and closes before it was read: the answer still counts.
        let mut whole = head.into_bytes();
        whole.extend_from_slice(body);
        let _ = stream.write_all(&whole);
        Ok(Waiting {
            stream,
            asked: format!("{method} {path} by {}", self.subject),
            faults: self.faults.clone(),
        })
    }

    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.begin(method, path, headers, body).answer()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], b"")
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", path, headers, b"")
    }

    pub fn head(&self, path: &str) -> Answer {
        self.call("HEAD", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
    }

    /// A POST without a body and without a content type.
    pub fn poke(&self, path: &str) -> Answer {
        self.call("POST", path, &[], b"")
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], b"")
    }

    /// Starts a long-poll.
    pub fn wait(&self, path: &str) -> Waiting {
        self.begin("GET", path, &[], b"")
    }

    /// Makes a request of `sql` on the shop.
    pub fn submit(&self, environment: &str, sql: &str) -> Request {
        self.submit_with(environment, sql, json!({}))
    }

    /// The same, with further fields.
    pub fn submit_with(&self, environment: &str, sql: &str, more: Value) -> Request {
        let answer = self.create_with(environment, sql, more);
        let id = answer.is(201).text("id");
        Request {
            by: self.clone(),
            id,
            answer,
        }
    }

    /// Tries to make a request; the answer may be a refusal.
    pub fn create(&self, environment: &str, sql: &str) -> Answer {
        self.create_with(environment, sql, json!({}))
    }

    pub fn create_with(&self, environment: &str, sql: &str, more: Value) -> Answer {
        let mut body = json!({"database": "shop", "environment": environment, "detail": sql});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.post("/api/requests", &body)
    }

    pub fn approve(&self, request: &Request) -> Answer {
        self.poke(&format!("/api/requests/{}/approve", request.id))
    }

    pub fn reject(&self, request: &Request) -> Answer {
        self.poke(&format!("/api/requests/{}/reject", request.id))
    }

    pub fn cancel(&self, request: &Request) -> Answer {
        self.poke(&format!("/api/requests/{}/cancel", request.id))
    }

    pub fn resume(&self, request: &Request) -> Answer {
        self.poke(&format!("/api/requests/{}/resume", request.id))
    }

    pub fn show(&self, request: &Request) -> Answer {
        self.get(&format!("/api/requests/{}", request.id))
    }

    /// Ids of the requests that a list shows, in its order.
    pub fn ids(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("/api/requests?{query}")).is(200);
        page.list("requests")
            .iter()
            .map(|r| r["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A request that was made, and whose it is.
#[derive(Clone)]
pub struct Request {
    pub by: Person,
    pub id: String,
    pub answer: Answer,
}

impl Request {
    pub fn status(&self) -> String {
        self.by.show(self).is(200).text("status")
    }

    /// Whether it has that status now.
    pub fn is(self, status: &str) -> Request {
        assert_eq!(self.status(), status, "request {}", self.id);
        self
    }

    pub fn is_pending(&self) -> Request {
        self.clone().is("pending")
    }

    pub fn is_dispatched(&self) -> Request {
        self.clone().is("dispatched")
    }

    /// Approved by somebody, and resumed by its requester.
    pub fn approved_by(self, approver: &Person) -> Request {
        assert_eq!(approver.approve(&self).is(200).text("status"), "approved");
        self
    }

    pub fn resumed(self) -> Request {
        self.by.resume(&self).is(200);
        self
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/api/requests/{}{rest}", self.id)
    }
}

/// A call whose answer has not been read.
pub struct Waiting {
    stream: TcpStream,
    asked: String,
    faults: Faults,
}

impl Waiting {
    /// Reads the whole answer, and checks what the contract wants of every one.
    pub fn answer(mut self) -> Answer {
        let is_head = self.asked.starts_with("HEAD ");
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(answer) = Answer::read(&self.asked, &bytes, is_head) {
                if answer.status == 500 {
                    self.faults
                        .lock()
                        .unwrap()
                        .push(format!("{}: {}", self.asked, answer.raw()));
                }
                answer.is_well_formed(is_head);
                is_documented(&answer);
                return answer;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!(
                    "{}: closed inside an answer: {:?}",
                    self.asked,
                    text(&bytes)
                ),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(e) => panic!("{}: {e} after {:?}", self.asked, text(&bytes)),
            }
        }
    }

    /// The same, where the server may be killed meanwhile: none if there was no whole answer.
    pub fn answer_if_any(mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(answer) = Answer::read(&self.asked, &bytes, false) {
                return Some(answer);
            }
            match self.stream.read(&mut buffer) {
                Ok(n) if n > 0 => bytes.extend_from_slice(&buffer[..n]),
                _ => return None,
            }
        }
    }

    /// Whether nothing has been answered yet.
    pub fn is_waiting(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let quiet = self.stream.peek(&mut [0]).is_err();
        self.stream.set_nonblocking(false).unwrap();
        quiet
    }

    pub fn hang_up(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub asked: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub json: Value,
}

impl Answer {
    fn read(asked: &str, bytes: &[u8], is_head: bool) -> Option<Answer> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let length = headers.iter().find(|(n, _)| n == "content-length");
        let length: usize = length.map_or(0, |(_, n)| n.parse().unwrap());
        let length = if is_head || matches!(status, 204 | 304) {
            0
        } else {
            length
        };
        let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
        Some(Answer {
            asked: asked.to_owned(),
            status,
            headers,
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
            body,
        })
    }

    fn is_well_formed(&self, is_head: bool) {
        for name in ["x-dbward-version", "x-request-id"] {
            assert!(self.header(name).is_some(), "{}: no {name}", self.asked);
        }
        if self.asked.contains(" /api/") {
            assert_eq!(
                self.header("cache-control"),
                Some("no-store"),
                "{}",
                self.asked
            );
            assert_eq!(
                self.header("x-content-type-options"),
                Some("nosniff"),
                "{}",
                self.asked
            );
        }
        if matches!(self.status, 204 | 304) {
            assert_eq!(
                self.header("content-length").unwrap_or("0"),
                "0",
                "{}",
                self.asked
            );
            return;
        }
        // Whether it is ready is a report, not an error.
        if self.status < 400 || is_head || self.asked.contains(" /ready ") {
            return;
        }
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{}",
            self.raw()
        );
        let error = &self.json["error"];
        let start = format!(
            "{{\"error\":{{\"code\":{},\"message\":{},\"request_id\":{}",
            error["code"], error["message"], error["request_id"]
        );
        assert!(
            self.raw().starts_with(&start),
            "{}: {}",
            self.asked,
            self.raw()
        );
        assert_eq!(
            Some(error["request_id"].as_str().unwrap()),
            self.header("x-request-id")
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
        let needs = [
            (matches!(self.status, 429 | 503), "retry-after"),
            (self.status == 401, "www-authenticate"),
            (self.status == 405, "allow"),
        ];
        for (needed, name) in needs {
            assert!(
                !needed || self.header(name).is_some(),
                "{}: no {name}",
                self.asked
            );
        }
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.raw());
        self.clone()
    }

    /// An error of that status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Answer {
        assert_eq!(
            (self.status, self.json["error"]["code"].as_str()),
            (status, Some(code)),
            "{}: {}",
            self.asked,
            self.raw()
        );
        self.clone()
    }

    /// One whose message or hint contains these words.
    #[track_caller]
    pub fn saying(&self, words: &str) -> Answer {
        assert!(
            self.raw().contains(words),
            "{}: no `{words}` in {}",
            self.asked,
            self.raw()
        );
        self.clone()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        let value = self.json[field].as_str();
        value
            .unwrap_or_else(|| panic!("{}: no text `{field}` in {}", self.asked, self.raw()))
            .to_owned()
    }

    #[track_caller]
    pub fn list(&self, field: &str) -> Vec<Value> {
        let value = self.json[field].as_array();
        value
            .unwrap_or_else(|| panic!("{}: no list `{field}` in {}", self.asked, self.raw()))
            .clone()
    }

    /// The body as text.
    pub fn raw(&self) -> String {
        text(&self.body)
    }
}

fn text(bytes: &[u8]) -> String {
    let shown = bytes.len().min(4096);
    let mut out = String::from_utf8_lossy(&bytes[..shown]).into_owned();
    if shown < bytes.len() {
        out.push_str("...");
    }
    out
}

/// Waits until so many long-polls wait.
impl super::Server {
    #[track_caller]
    pub fn until_parked(&self, n: i64) {
        eventually(&format!("{n} parked"), || self.parked() == n);
    }
}
