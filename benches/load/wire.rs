//! A small keep-alive HTTP client over `TcpStream`. The load and the server share two cores, so it does little: request
//! bytes are built once, and of an answer it looks at the status line and the length.

use crate::Outcome;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer: a long-poll of this benchmark and some room. Nothing here may hang.
const ANSWER_MAX: Duration = Duration::from_secs(75);
/// For connecting over loopback.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Largest answer read, in bytes; a result is the largest that is asked for.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a connection starts with, in bytes: most answers fit, and two thousand of them cost little.
const BUFFER_BYTES: usize = 4 * 1024;

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer; the body lives until the next one is read.
pub struct Answer<'c> {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'c [u8],
}

impl Answer<'_> {
    /// The body, if the status is the one wanted.
    pub fn expect(&self, status: u16) -> Outcome<&[u8]> {
        if self.status == status {
            return Ok(self.body);
        }
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]);
        Err(format!(
            "answer {} instead of {status}: {start}",
            self.status
        ))
    }
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Outcome<Connection> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_MAX)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.set_write_timeout(Some(ANSWER_MAX))?;
                Ok(stream)
            })
            .map_err(|e| format!("connecting to {address}: {e}"))?;
        Ok(Connection {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
        })
    }

    /// Sends a whole request.
    pub fn send(&mut self, request: &[u8]) -> Outcome<()> {
        self.stream
            .write_all(request)
            .map_err(|e| format!("sending a request: {e}"))
    }

    /// Waits for the answer to the request sent last.
    pub fn receive(&mut self) -> Outcome<Answer<'_>> {
        self.filled = 0;
        let (head, status, length) = loop {
            self.more()?;
            if let Some(end) = find(&self.buffer[..self.filled], b"\r\n\r\n") {
                let head = &self.buffer[..end + 2];
                let status = status(head).ok_or("an answer without a status line")?;
                let length = match content_length(head) {
                    Some(length) => length,
                    None if status == 204 => 0,
                    None => return Err("an answer without a length".to_owned()),
                };
                break (end + 4, status, length);
            }
        };
        if length > ANSWER_BYTES_MAX {
            return Err(format!("an answer of {length} bytes"));
        }
        while self.filled < head + length {
            self.more()?;
        }
        if self.filled > head + length {
            return Err("bytes after an answer".to_owned());
        }
        Ok(Answer {
            status,
            body: &self.buffer[head..self.filled],
        })
    }

    /// Sends and waits.
    pub fn call(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.send(request)?;
        self.receive()
    }

    fn more(&mut self) -> Outcome<()> {
        if self.filled == self.buffer.len() {
            if self.filled >= ANSWER_BYTES_MAX + BUFFER_BYTES {
                return Err("an answer that does not end".to_owned());
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => Err("the server closed a connection".to_owned()),
            Ok(n) => {
                self.filled += n;
                Ok(())
            }
            Err(e) => Err(format!("waiting for an answer: {e}")),
        }
    }
}

/// The bytes of a request with JSON in its body, or none.
pub fn request(method: &str, target: &str, token: &str, body: Option<&str>) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    if !token.is_empty() {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    } else if method == "POST" {
        head.push_str("Content-Length: 0\r\n\r\n");
    } else {
        head.push_str("\r\n");
    }
    head.into_bytes()
}

/// The string value of a key in compact JSON, where it stands first.
pub fn text_of<'b>(body: &'b [u8], key: &str) -> Option<&'b str> {
    let pattern = format!("\"{key}\":\"");
    let start = find(body, pattern.as_bytes())? + pattern.len();
    let length = body[start..].iter().position(|b| *b == b'"')?;
    std::str::from_utf8(&body[start..start + length]).ok()
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|b| b == first) {
        let start = from + at + 1;
        if hay.len() - start < rest.len() {
            return None;
        }
        if &hay[start..start + rest.len()] == rest {
            return Some(start - 1);
        }
        from = start;
    }
    None
}

fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|b| *b == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    std::str::from_utf8(&line[NAME.len()..])
        .ok()?
        .trim()
        .parse()
        .ok()
}
