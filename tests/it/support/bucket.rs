//! Stores that speak S3: the real one that DBWARD_TEST_S3_URL names, and a fake one: it keeps objects in memory,
//! can be slow, refuse, hang up, or answer what was not asked, and remembers what it was asked.

use dbward::clock::{Clock, Timestamp};
use dbward::config::{Config, S3Storage};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// The section for the store of DBWARD_TEST_S3_URL (`http://<id>:<secret>@<host>:<port>/<bucket>`), if there is one.
pub fn real_bucket(prefix: &str) -> Option<String> {
    let url = std::env::var("DBWARD_TEST_S3_URL").ok()?;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (pair, place) = rest.split_once('@').unwrap();
    let (id, secret) = pair.split_once(':').unwrap();
    let (host, bucket) = place.trim_end_matches('/').split_once('/').unwrap();
    Some(section(
        &format!("{scheme}://{host}"),
        bucket,
        prefix,
        id,
        secret,
    ))
}

fn section(endpoint: &str, bucket: &str, prefix: &str, id: &str, secret: &str) -> String {
    format!(
        "\n[result_storage]\nbackend = \"s3\"\nendpoint = \"{endpoint}\"\nbucket = \"{bucket}\"\n\
         prefix = \"{prefix}\"\naccess_key_id = \"{id}\"\nsecret_access_key = \"{secret}\"\n"
    )
}

/// What a section means.
pub fn storage(section: &str) -> S3Storage {
    let text = format!("state_dir = \"state\"\n{section}");
    let config = Config::parse(&text, Path::new("/nowhere"), &|_| None);
    config.unwrap().result_storage.s3.unwrap()
}

/// How the fake behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Mood {
    Well,
    /// Takes the call and says nothing.
    Slow,
    /// This status with this code.
    Says(u16, &'static str),
    /// This status, and a page of somebody in between.
    Page(u16),
    /// To there.
    Redirect(String),
    HangUp,
    /// Half of the body, then the end.
    Half,
    /// The body without its length.
    Unmeasured,
    /// Head and body of another protocol.
    Noise,
    /// So many bytes, whatever was asked for.
    Bytes(usize),
}

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

struct Inside {
    mood: Mood,
    /// One for each of the next calls, before the mood counts.
    next: VecDeque<Mood>,
    /// With the time of their writing.
    objects: BTreeMap<String, (Timestamp, Vec<u8>)>,
    asked: Vec<Asked>,
    stop: bool,
}

/// The fake.
pub struct Bucket {
    at: SocketAddr,
    inside: Arc<(Mutex<Inside>, Condvar)>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bucket {
    pub fn start() -> Bucket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let inside = Inside {
            mood: Mood::Well,
            next: VecDeque::new(),
            objects: BTreeMap::new(),
            asked: Vec::new(),
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
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Bucket {
            at,
            inside,
            thread: Some(thread),
        }
    }

    /// The section that names it.
    pub fn section(&self) -> String {
        let endpoint = format!("http://{}", self.at);
        section(&endpoint, "shelf", "kept", "fake-id", "fake-secret")
    }

    pub fn mood(&self, mood: Mood) {
        self.inside.0.lock().unwrap().mood = mood;
        self.inside.1.notify_all();
    }

    /// Behaves so for the next calls, one each.
    pub fn next(&self, moods: &[Mood]) {
        self.inside.0.lock().unwrap().next.extend(moods.to_vec());
    }

    /// What it was asked since the last look.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inside.0.lock().unwrap().asked)
    }

    /// Calls that have come since the last look.
    pub fn calls(&self) -> usize {
        self.inside.0.lock().unwrap().asked.len()
    }

    /// Keys of its objects.
    pub fn keys(&self) -> Vec<String> {
        self.inside
            .0
            .lock()
            .unwrap()
            .objects
            .keys()
            .cloned()
            .collect()
    }

    /// Puts something there that nobody asked for.
    pub fn plant(&self, key: &str, bytes: &[u8]) {
        let mut inside = self.inside.0.lock().unwrap();
        let written = (Clock::system().now(), bytes.to_vec());
        inside.objects.insert(key.to_owned(), written);
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.inside.0.lock().unwrap().stop = true;
        self.inside.1.notify_all();
        let _ = TcpStream::connect(self.at);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn serve(stream: TcpStream, inside: &(Mutex<Inside>, Condvar)) {
    let mut reader = BufReader::new(&stream);
    let Some((asked, body)) = receive(&mut reader) else {
        return;
    };
    let mut state = inside.0.lock().unwrap();
    state.asked.push(asked.clone());
    let mood = state.next.pop_front().unwrap_or(state.mood.clone());
    while mood == Mood::Slow && state.mood == Mood::Slow && !state.stop {
        state = inside.1.wait(state).unwrap();
    }
    let mut more = String::new();
    let (status, body) = match &mood {
        Mood::HangUp | Mood::Slow => return,
        Mood::Noise => {
            let _ = (&stream).write_all(b"SSH-2.0-OpenSSH\r\n\r\n");
            return;
        }
        Mood::Says(status, code) => (*status, error(code)),
        Mood::Page(status) => (*status, b"<html><Code>NoSuchKey</Code></html>".to_vec()),
        Mood::Redirect(to) => {
            more = format!("location: {to}\r\n");
            (307, error("TemporaryRedirect"))
        }
        Mood::Bytes(n) => (200, vec![b'x'; *n]),
        Mood::Well | Mood::Half | Mood::Unmeasured => answer(&mut state, &asked, body),
    };
    drop(state);
    let length = match mood {
        Mood::Unmeasured => String::new(),
        _ => format!("content-length: {}\r\netag: \"v1\"\r\n", body.len()),
    };
    let sent = match mood {
        Mood::Half => &body[..body.len() / 2],
        _ => &body[..],
    };
    let head = format!("HTTP/1.1 {status} x\r\n{more}{length}connection: close\r\n\r\n");
    let _ = (&stream).write_all(head.as_bytes());
    let _ = (&stream).write_all(sent);
}

fn receive(reader: &mut impl BufRead) -> Option<(Asked, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let asked = Asked {
        method,
        path,
        headers,
    };
    let length = asked
        .header("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((asked, body))
}

fn error(code: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>what was signed</Message></Error>")
        .into_bytes()
}

/// What a store answers, of a bucket in the path.
fn answer(state: &mut Inside, asked: &Asked, body: Vec<u8>) -> (u16, Vec<u8>) {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let Some(key) = path.strip_prefix("/shelf") else {
        return (404, error("NoSuchBucket"));
    };
    let key = key.trim_start_matches('/');
    let known = state.objects.get(key).map(|(_, bytes)| bytes.clone());
    match (asked.method.as_str(), key, known) {
        ("GET", "", _) => (200, list(state, query)),
        ("PUT", _, _) => {
            let written = (Clock::system().now(), body);
            state.objects.insert(key.to_owned(), written);
            (200, Vec::new())
        }
        ("DELETE", _, _) => {
            state.objects.remove(key);
            (204, Vec::new())
        }
        ("GET", _, Some(bytes)) => (200, bytes),
        _ => (404, error("NoSuchKey")),
    }
}

fn list(state: &Inside, query: &str) -> Vec<u8> {
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.into_iter().find(|(known, _)| *known == name);
        found.map_or(String::new(), |(_, value)| value.replace("%2F", "/"))
    };
    let (prefix, after) = (parameter("prefix"), parameter("start-after"));
    let max: usize = parameter("max-keys").parse().unwrap_or(1_000);
    let all: Vec<_> = state
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix) && **key > after)
        .collect();
    let entries: String = all
        .iter()
        .take(max)
        .map(|(key, (at, _))| {
            let at = at.rfc3339();
            format!("<Contents><Key>{key}</Key><LastModified>{at}</LastModified></Contents>")
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><IsTruncated>{}</IsTruncated>{entries}</ListBucketResult>",
        all.len() > max
    )
    .into_bytes()
}
