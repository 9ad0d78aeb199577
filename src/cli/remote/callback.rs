//! The address on this machine to which a browser returns after a sign-in (RFC 8252, section 7.3), and the page that it
//! shows there.

use super::CommandError;
use crate::client::pairs_of;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Path of the address; the provider registers `http://127.0.0.1/callback`, with any port.
const PATH: &str = "/callback";
/// Longest head of a call that is read, in bytes: codes are short.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// Calls that are read at once. A browser opens one or two; more are hung up on.
const CALLS_MAX: usize = 8;
/// How long a call may take to say what it wants. Browsers open connections that they never use.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A call of the browser that waits for its page.
pub struct Visit {
    stream: TcpStream,
    /// Parameters of the address, as they came: which of two equal names counts, nobody may choose.
    parameters: Vec<(String, String)>,
}

impl Visit {
    /// The parameter of that name, if it came exactly once.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Shows a page, if the window is still open.
    pub fn show(self, status: u16, title: &str, text: &str) {
        let _ = answer(&self.stream, status, title, text);
    }
}

/// The address, as long as the value lives.
pub struct Callback {
    pub uri: String,
    visits: Receiver<Visit>,
}

impl Callback {
    /// Listens on a free port, for this machine alone.
    pub fn listen() -> Result<Callback, CommandError> {
        let failed = |e: io::Error| {
            CommandError::new(format!("no port of 127.0.0.1 can be listened on: {e}"))
                .hint("`dbward login --device`")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let (sender, visits) = sync_channel(CALLS_MAX);
        std::thread::Builder::new()
            .name("callback".to_owned())
            .spawn(move || accept(&listener, &sender))
            .map_err(failed)?;
        Ok(Callback {
            uri: format!("http://127.0.0.1:{port}{PATH}"),
            visits,
        })
    }

    /// The next call with parameters; `None` when there is none until then.
    pub fn next_until(&self, end: Instant) -> Option<Visit> {
        let left = end.saturating_duration_since(Instant::now());
        self.visits.recv_timeout(left).ok()
    }
}

/// Takes calls until the process ends.
fn accept(listener: &TcpListener, sender: &SyncSender<Visit>) {
    let running = Arc::new(());
    for stream in listener.incoming().map_while(Result::ok) {
        let (one, sender) = (Arc::clone(&running), sender.clone());
        if Arc::strong_count(&running) > CALLS_MAX + 1 {
            continue;
        }
        let reader = std::thread::Builder::new().name("callback-call".to_owned());
        let _ = reader.spawn(move || {
            let _running = one;
            let _ = stream.set_read_timeout(Some(READ_TIMEOUT));
            let _ = stream.set_write_timeout(Some(READ_TIMEOUT));
            if let Some(parameters) = parameters(&stream) {
                let _ = sender.try_send(Visit { stream, parameters });
            }
        });
    }
}

/// The parameters of a call to the address; other calls are answered here.
fn parameters(stream: &TcpStream) -> Option<Vec<(String, String)>> {
    let mut reader = BufReader::new(stream.take(HEAD_BYTES_MAX));
    let mut head = Vec::new();
    reader.read_until(b'\n', &mut head).ok()?;
    let line = String::from_utf8(head).ok()?;
    let mut rest = Vec::new();
    while rest != b"\r\n" {
        rest.clear();
        if reader.read_until(b'\n', &mut rest).ok()? == 0 {
            return None;
        }
    }
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != PATH || query.is_empty() {
        let _ = answer(stream, 404, "Not found", "Nothing is here.");
        return None;
    }
    pairs_of(query)
}

fn answer(mut stream: &TcpStream, status: u16, title: &str, text: &str) -> io::Result<()> {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let (title, text) = (escaped(title), escaped(text));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title} · dbward</title>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
    );
    let head = format!(
        "HTTP/1.1 {status} .\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\ncontent-security-policy: default-src 'none'\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(format!("{head}{page}").as_bytes())
}
