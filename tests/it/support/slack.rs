//! A Slack on this machine: it keeps what it was asked, enforces the limits of the real one, answers badly where it is
//! to, and signs what it sends.

mod limits;

use super::client::Answer;
use super::server::Server;
use dbward::crypto::{hex, hmac_sha256};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub const SIGNING_SECRET: &str = "signing-secret-of-the-test";
const BOT_TOKEN: &str = "xoxb-token-of-the-test";
pub const TEAM: &str = "T0OURS";

/// How a method answers once.
#[derive(Clone)]
pub enum SlackMood {
    /// `ok: false` with this error.
    Error(&'static str),
    /// This status, with these header lines.
    Status(u16, &'static str),
    /// 200 and what is not JSON.
    Babbles,
    /// Does what it is asked, and closes the connection.
    LosesTheAnswer,
}

/// A call of a method.
#[derive(Debug, Clone)]
pub struct SlackCall {
    pub method: String,
    pub body: Value,
}

impl SlackCall {
    /// The id of the one button of a message.
    pub fn button(&self) -> Option<String> {
        let blocks = self.body["blocks"].as_array()?;
        let actions = blocks.iter().find(|b| b["type"] == "actions")?;
        actions["elements"][0]["action_id"]
            .as_str()
            .map(str::to_owned)
    }
}

#[derive(Default)]
struct SlackState {
    calls: Vec<SlackCall>,
    moods: BTreeMap<String, VecDeque<SlackMood>>,
    messages: BTreeSet<String>,
    views: BTreeSet<String>,
    triggers: BTreeSet<String>,
    /// Triggers with a number below it are too old.
    expired: u64,
    /// Accounts of people, by their addresses.
    accounts: BTreeMap<String, Value>,
    /// Calls that the real one would not have taken.
    offences: Vec<String>,
    number: u64,
    /// The channel that every name is, where it is not the usual one.
    resolved: Option<&'static str>,
    /// A method that takes calls and does not answer.
    held: Option<&'static str>,
    stop: bool,
}

pub struct FakeSlack {
    at: SocketAddr,
    state: Arc<Mutex<SlackState>>,
    released: Arc<Condvar>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FakeSlack {
    pub fn start() -> FakeSlack {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(SlackState::default()));
        let released = Arc::new(Condvar::new());
        let (shared, freed) = (Arc::clone(&state), Arc::clone(&released));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().stop {
                    return;
                }
                let (shared, freed) = (Arc::clone(&shared), Arc::clone(&freed));
                thread::spawn(move || serve(stream.unwrap(), &shared, &freed));
            }
        });
        FakeSlack {
            at,
            state,
            released,
            thread: Some(thread),
        }
    }

    /// A `[slack]` section that leads here.
    pub fn section(&self) -> String {
        format!(
            "[slack]\nbot_token = \"{BOT_TOKEN}\"\nsigning_secret = \"{SIGNING_SECRET}\"\nchannel = \"#db\"\n\
             api_base_url = \"http://{}/api\"\n",
            self.at
        )
    }

    /// Answers the next call of a method so, once.
    pub fn next(&self, method: &str, mood: SlackMood) {
        let mut state = self.state.lock().unwrap();
        let moods = state.moods.entry(method.to_owned()).or_default();
        moods.push_back(mood);
    }

    /// Answers no call of a method until it is released.
    pub fn hold(&self, method: &'static str) {
        self.state.lock().unwrap().held = Some(method);
    }

    /// Somebody gives the names of channels to this one.
    pub fn names(&self, channel: &'static str) {
        self.state.lock().unwrap().resolved = Some(channel);
    }

    pub fn release(&self) {
        self.state.lock().unwrap().held = None;
        self.released.notify_all();
    }

    /// The account with an address, as `users.lookupByEmail` finds it.
    pub fn knows(&self, email: &str, user: Value) {
        let mut state = self.state.lock().unwrap();
        state.accounts.insert(email.to_owned(), user);
    }

    /// Three seconds pass: no dialog opens by a trigger that was there before.
    pub fn expire_triggers(&self) {
        let newest = TRIGGERS.load(Ordering::SeqCst);
        self.state.lock().unwrap().expired = newest;
    }

    /// Calls a method, as the server does.
    pub fn call(&self, method: &str, body: &Value) -> Value {
        done(&mut self.state.lock().unwrap(), method, body)
    }

    /// Calls that the real one would not have taken, which this test expects.
    pub fn forgive(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().offences)
    }

    pub fn calls(&self) -> Vec<SlackCall> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Calls of one method.
    pub fn of(&self, method: &str) -> Vec<SlackCall> {
        let mut calls = self.calls();
        calls.retain(|call| call.method == method);
        calls
    }

    /// Waits for the `n`th call of a method, counted from 1, and returns it.
    #[track_caller]
    pub fn nth(&self, method: &str, n: usize) -> SlackCall {
        super::eventually(&format!("call {n} of {method}"), || {
            self.of(method).len() >= n
        });
        self.of(method).remove(n - 1)
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.state.lock().unwrap().stop = true;
        self.release();
        let _ = TcpStream::connect(self.at);
        let _ = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            let offences = &self.state.lock().unwrap().offences;
            assert!(offences.is_empty(), "Slack would refuse: {offences:?}");
        }
    }
}

/// A form, escaped as Slack does.
pub fn form(fields: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        let _ = write!(out, "{name}=");
        for b in value.bytes() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(b.into()),
                b' ' => out.push('+'),
                b => {
                    let _ = write!(out, "%{b:02X}");
                }
            }
        }
    }
    out
}

/// The fields of a head that Slack would send with this body at this second.
pub fn signed(secret: &str, secs: i64, body: &str) -> [(&'static str, String); 3] {
    let mac = hmac_sha256(secret.as_bytes(), format!("v0:{secs}:{body}").as_bytes());
    [
        (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
        ("x-slack-request-timestamp", secs.to_string()),
        ("x-slack-signature", format!("v0={}", hex(&mac))),
    ]
}

/// What people do in Slack, as it reaches the server.
impl Server {
    pub fn secs(&self) -> i64 {
        self.clock.now().0.div_euclid(1_000)
    }

    /// A call that Slack signs now.
    pub fn signed_call(&self, path: &str, body: &str) -> Answer {
        let head = signed(SIGNING_SECRET, self.secs(), body);
        let head: Vec<(&str, &str)> = head.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.nobody().call("POST", path, &head, body.as_bytes())
    }

    pub fn interaction(&self, payload: &Value) -> Answer {
        let body = form(&[("payload", &payload.to_string())]);
        self.signed_call("/api/slack/interactions", &body)
    }

    /// A click of `user` on a button below the message `ts`.
    pub fn click(&self, user: &str, button: &str, request: &str, ts: &str) -> Answer {
        self.interaction(&clicked(user, button, request, ts))
    }

    /// Submits a dialog that was opened by `open`, a call of `views.open`.
    pub fn submit_dialog(&self, user: &str, open: &SlackCall, values: Value) -> Answer {
        self.interaction(&submitted(user, open, "V1", values))
    }

    /// A command that `user` types.
    pub fn command(&self, user: &str, text: &str) -> Answer {
        let trigger = trigger();
        let body = form(&[
            ("team_id", TEAM),
            ("channel_id", "C0CHANNEL"),
            ("user_id", user),
            ("command", "/dbward"),
            ("text", text),
            ("trigger_id", &trigger),
        ]);
        self.signed_call("/api/slack/commands", &body)
    }
}

/// Triggers that were made, in all tests.
static TRIGGERS: AtomicU64 = AtomicU64::new(1);

fn trigger() -> String {
    let number = TRIGGERS.fetch_add(1, Ordering::SeqCst);
    format!("{number}.{}", hex(&dbward::crypto::random::<8>()))
}

pub fn clicked(user: &str, button: &str, request: &str, ts: &str) -> Value {
    json!({
        "type": "block_actions",
        "team": {"id": TEAM, "domain": "ours"},
        "user": {"id": user, "team_id": TEAM},
        "trigger_id": trigger(),
        "channel": {"id": "C0RESOLVED"},
        "container": {"type": "message", "message_ts": ts, "channel_id": "C0RESOLVED"},
        "actions": [{"type": "button", "action_id": button, "value": request}],
    })
}

pub fn submitted(user: &str, open: &SlackCall, view_id: &str, values: Value) -> Value {
    let view = &open.body["view"];
    json!({
        "type": "view_submission",
        "team": {"id": TEAM},
        "user": {"id": user, "team_id": TEAM},
        "trigger_id": trigger(),
        "view": {
            "id": view_id,
            "callback_id": view["callback_id"],
            "private_metadata": view["private_metadata"],
            "state": {"values": values},
        },
    })
}

/// The fields of a review.
pub fn decision(choice: &str, comment: Option<&str>) -> Value {
    json!({
        "decision_block": {"decision_input": {"selected_option": {"value": choice}}},
        "comment_block": {"comment_input": {"value": comment}},
    })
}

fn serve(mut stream: TcpStream, state: &Mutex<SlackState>, released: &Condvar) {
    let Some((method, authorization, body)) = read(&stream) else {
        return;
    };
    let mut state = state.lock().unwrap();
    if authorization != format!("Bearer {BOT_TOKEN}") {
        state.offences.push(format!("{method}: another token"));
    }
    state.calls.push(SlackCall {
        method: method.clone(),
        body: body.clone(),
    });
    while state.held == Some(method.as_str()) {
        state = released.wait(state).unwrap();
    }
    let mood = state.moods.get_mut(&method).and_then(VecDeque::pop_front);
    let say = |status: u16, more: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} x\r\n{more}content-length: {length}\r\n\r\n{body}")
    };
    let answer = match mood {
        Some(SlackMood::Error(error)) => {
            say(200, "", &json!({"ok": false, "error": error}).to_string())
        }
        Some(SlackMood::Status(status, more)) => say(status, more, ""),
        Some(SlackMood::Babbles) => say(200, "", "<html>"),
        Some(SlackMood::LosesTheAnswer) => {
            done(&mut state, &method, &body);
            return;
        }
        None => {
            let answer = done(&mut state, &method, &body);
            say(
                200,
                "content-type: application/json\r\n",
                &answer.to_string(),
            )
        }
    };
    drop(state);
    let _ = stream.write_all(answer.as_bytes());
}

fn read(stream: &TcpStream) -> Option<(String, String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization, mut is_form) = (0, String::new(), false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = value.to_owned(),
            "content-type" => is_form = value.starts_with("application/x-www-form-urlencoded"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let method = path.strip_prefix("/api/")?.to_owned();
    let body = match is_form {
        true => json!({"form": String::from_utf8(body).ok()?}),
        false => serde_json::from_slice(&body).ok()?,
    };
    Some((method, authorization, body))
}

/// What the real one would do: it refuses what it does not take, and then the test fails.
fn done(state: &mut SlackState, method: &str, body: &Value) -> Value {
    let offences = limits::offences(method, body);
    if let Some((error, _)) = offences.first() {
        let answer = json!({"ok": false, "error": error});
        let words = offences.iter().map(|(_, what)| format!("{method}: {what}"));
        state.offences.extend(words);
        return answer;
    }
    state.number += 1;
    let n = state.number;
    let refuse = |error: &str| json!({"ok": false, "error": error});
    match method {
        "auth.test" => json!({"ok": true, "team_id": TEAM, "user_id": "U0BOT"}),
        "chat.postMessage" => {
            let thread = body["thread_ts"].as_str();
            if thread.is_some_and(|ts| !state.messages.contains(ts)) {
                refuse("thread_not_found")
            } else {
                let ts = format!("1700000000.{n:06}");
                state.messages.insert(ts.clone());
                // A name is resolved, an id stays.
                let named = body["channel"].as_str().filter(|c| c.starts_with("C0"));
                let resolved = state.resolved.unwrap_or("C0RESOLVED");
                json!({"ok": true, "ts": ts, "channel": named.unwrap_or(resolved)})
            }
        }
        "chat.update" => match body["ts"].as_str() {
            Some(ts) if state.messages.contains(ts) => json!({"ok": true, "ts": ts}),
            _ => refuse("message_not_found"),
        },
        "views.open" => match used(state, body["trigger_id"].as_str().unwrap_or_default()) {
            Ok(()) => {
                let id = format!("V{n}");
                state.views.insert(id.clone());
                json!({"ok": true, "view": {"id": id}})
            }
            Err(error) => refuse(error),
        },
        "views.update" => match body["view_id"].as_str() {
            Some(id) if state.views.contains(id) => json!({"ok": true}),
            _ => refuse("not_found"),
        },
        "chat.postEphemeral" => json!({"ok": true}),
        "users.lookupByEmail" => {
            let form = body["form"].as_str().unwrap_or_default();
            let known = state.accounts.iter();
            let mut found = known.filter(|(email, _)| form == self::form(&[("email", email)]));
            match found.next() {
                Some((_, user)) => json!({"ok": true, "user": user}),
                None => refuse("users_not_found"),
            }
        }
        _ => refuse("unknown_method"),
    }
}

/// Uses a trigger, which opens one dialog within three seconds.
fn used(state: &mut SlackState, trigger: &str) -> Result<(), &'static str> {
    let number = trigger
        .split('.')
        .next()
        .and_then(|n| n.parse::<u64>().ok());
    match number {
        None => Err("invalid_trigger_id"),
        Some(number) if number < state.expired => Err("expired_trigger_id"),
        Some(_) if !state.triggers.insert(trigger.to_owned()) => Err("exchanged_trigger_id"),
        Some(_) => Ok(()),
    }
}
