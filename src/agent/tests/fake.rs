//! A server that is just enough for an agent: it holds polls, gives out jobs, and records what it receives. It can
//! refuse, hang up, and lie.

use crate::clock::Clock;
use crate::crypto::{Keypair, uuid};
use crate::domain::dialect::Dialect;
use crate::domain::execution_token::{ExecutionClaims, TTL_SECS, detail_hash, sign};
use crate::domain::id::Operation;
use crate::domain::sql::DialectFact;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Longer than anything here takes; a test that waits so long has failed.
pub const LONG: Duration = Duration::from_secs(30);

/// One request that waits for an agent.
#[derive(Clone)]
pub struct Offer {
    pub request_id: String,
    pub execution_id: String,
    pub operation: Operation,
    pub plan: Vec<String>,
    /// What is done to the token before it is given out.
    pub alter: fn(&mut ExecutionClaims),
    pub lease_secs: u64,
}

impl Offer {
    pub fn new(operation: Operation, plan: &[&str]) -> Offer {
        Offer {
            request_id: uuid(),
            execution_id: uuid(),
            operation,
            plan: plan.iter().map(|sql| (*sql).to_owned()).collect(),
            alter: |_| {},
            lease_secs: 60,
        }
    }
}

#[derive(Default)]
pub struct Seen {
    pub offers: Vec<Offer>,
    pub polls: Vec<Value>,
    pub claim_keys: Vec<String>,
    pub heartbeats: usize,
    /// Execution id and body of every result that was accepted.
    pub results: Vec<(String, Value)>,
    /// How many claims are answered by hanging up.
    pub claims_lost: usize,
    /// How many results are answered with this status first.
    pub results_refused: (usize, u16),
    pub cancelled: bool,
    /// Statements to explain that are shown: id and SQL. A claim takes one away.
    pub dry_runs: Vec<(String, String)>,
    /// How many claims of these are refused with this status first.
    pub dry_claims_refused: (usize, u16),
    pub dry_claims: usize,
    /// Id and body of every plan.
    pub plans: Vec<(String, Value)>,
    pub schemas: Vec<Value>,
    /// Whether descriptions and plans are never answered.
    pub held: bool,
    /// The status with which a description is answered.
    pub schemas_refused: Option<u16>,
    /// Whose the agent's token is, as far as the agent is informed; agent-1's by default.
    pub agent_id: Option<&'static str>,
    closed: bool,
}

pub struct Fake {
    pub address: SocketAddr,
    pub key: Arc<Keypair>,
    inner: Arc<(Mutex<Seen>, Condvar)>,
}

impl Fake {
    pub fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Fake {
            address: listener.local_addr().unwrap(),
            key: Arc::new(Keypair::from_seed([3; 32])),
            inner: Arc::default(),
        };
        let (inner, key) = (Arc::clone(&fake.inner), Arc::clone(&fake.key));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if inner.0.lock().unwrap().closed {
                    return;
                }
                let (inner, key) = (Arc::clone(&inner), Arc::clone(&key));
                std::thread::spawn(move || serve(stream, &inner, &key));
            }
        });
        fake
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.inner.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn offer(&self, offer: Offer) {
        self.seen().offers.push(offer);
        self.inner.1.notify_all();
    }

    /// Shows a statement to explain; its id.
    pub fn show(&self, sql: &str) -> String {
        let id = uuid();
        self.seen().dry_runs.push((id.clone(), sql.to_owned()));
        self.inner.1.notify_all();
        id
    }

    /// Waits for `over`; the test fails if it does not come.
    pub fn wait(&self, over: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let (seen, late) = self
            .inner
            .1
            .wait_timeout_while(self.seen(), LONG, |seen| !over(seen))
            .unwrap_or_else(|e| e.into_inner());
        assert!(!late.timed_out(), "what was waited for did not happen");
        seen
    }

    /// The body of the only result, once it is there.
    pub fn result(&self) -> Value {
        let seen = self.wait(|seen| !seen.results.is_empty());
        assert_eq!(seen.results.len(), 1);
        seen.results[0].1.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.seen().closed = true;
        self.inner.1.notify_all();
        let _woken = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, inner: &(Mutex<Seen>, Condvar), key: &Keypair) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
            head.push_str(&line.to_lowercase());
            line.clear();
        }
        let mut words = head.split(' ');
        let (Some(_), Some(path)) = (words.next(), words.next()) else {
            return;
        };
        assert!(head.contains("authorization: bearer dbw_test"), "{head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let Some((status, reply)) = answer(path, &body, inner, key) else {
            return;
        };
        let reply = reply.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
            reply.len()
        );
        if stream.write_all((head + &reply).as_bytes()).is_err() {
            return;
        }
    }
}

/// None hangs up.
fn answer(
    path: &str,
    body: &Value,
    inner: &(Mutex<Seen>, Condvar),
    key: &Keypair,
) -> Option<(u16, Value)> {
    let mut seen = inner.0.lock().unwrap();
    let parts: Vec<&str> = path.trim_start_matches("/api/").split('/').collect();
    let reply = match parts.as_slice() {
        ["public-key"] => {
            let key = crate::crypto::hex(&key.public().bytes());
            json!({"public_key": key, "agent_id": seen.agent_id.unwrap_or("agent-1")})
        }
        ["agent", "poll"] => {
            seen.polls.push(body.clone());
            inner.1.notify_all();
            let wait = Duration::from_secs(body["wait"].as_u64().unwrap());
            let limit = body["limit"].as_u64().unwrap() as usize;
            seen = inner
                .1
                .wait_timeout_while(seen, wait, |s| {
                    s.offers.is_empty() && s.dry_runs.is_empty() && !s.closed
                })
                .unwrap()
                .0;
            let jobs: Vec<Value> = seen.offers.iter().take(limit).map(listed).collect();
            let dry_runs: Vec<Value> = seen.dry_runs.iter().take(10).map(dry_run).collect();
            json!({"jobs": jobs, "dry_run_jobs": dry_runs, "server_version": "0.0.0", "later": "ignored"})
        }
        ["agent", "jobs", id, "claim"] => {
            seen.claim_keys.push(body["claim_key"].to_string());
            if seen.claims_lost > 0 {
                seen.claims_lost -= 1;
                return None;
            }
            match seen.offers.iter().position(|o| o.request_id == *id) {
                Some(at) => claimed(&seen.offers.remove(at), key),
                None => {
                    return Some((409, json!({"error": {"code": "conflict", "message": "no"}})));
                }
            }
        }
        ["agent", "jobs", _, "heartbeat"] => {
            seen.heartbeats += 1;
            json!({"cancelled": seen.cancelled})
        }
        ["agent", "jobs", id, "result"] => {
            if seen.results_refused.0 > 0 {
                seen.results_refused.0 -= 1;
                inner.1.notify_all();
                return Some((seen.results_refused.1, json!({})));
            }
            seen.results.push(((*id).to_owned(), body.clone()));
            json!({"request_id": "r", "status": "executed"})
        }
        _ => return aside(&parts, body, seen, &inner.1),
    };
    inner.1.notify_all();
    Some((200, reply))
}

/// The same for calls without an execution: descriptions and plans.
fn aside(
    parts: &[&str],
    body: &Value,
    mut seen: MutexGuard<'_, Seen>,
    bell: &Condvar,
) -> Option<(u16, Value)> {
    // A woken thread looks only after this lock is released.
    bell.notify_all();
    match parts {
        ["agent", "schema-sync"] => {
            seen.schemas.push(body.clone());
            if let Some(status) = seen.schemas_refused {
                return Some((status, json!({})));
            }
        }
        ["agent", "dry-run", id, "claim"] => {
            seen.dry_claims += 1;
            if seen.dry_claims_refused.0 > 0 {
                seen.dry_claims_refused.0 -= 1;
                return Some((seen.dry_claims_refused.1, json!({})));
            }
            let Some(at) = seen.dry_runs.iter().position(|(other, _)| other == id) else {
                return Some((409, json!({})));
            };
            seen.dry_runs.remove(at);
            return Some((200, json!({"claim_token": format!("token of {id}")})));
        }
        ["agent", "dry-run", id, "result"] => {
            seen.plans.push(((*id).to_owned(), body.clone()));
        }
        _ => return Some((404, json!({}))),
    }
    drop(bell.wait_while(seen, |s| s.held && !s.closed).unwrap());
    Some((200, json!({"status": "accepted"})))
}

fn dry_run((id, sql): &(String, String)) -> Value {
    json!({"id": id, "request_id": "r", "database": "app", "environment": "development", "sql": sql})
}

fn listed(offer: &Offer) -> Value {
    json!({"id": offer.request_id, "created_by": "requester", "database": "app",
           "environment": "development", "operation": offer.operation.as_str(), "detail": ""})
}

fn claimed(offer: &Offer, key: &Keypair) -> Value {
    let plan = serde_json::to_string(&offer.plan).unwrap();
    let now = Clock::system().now();
    let mut claims = ExecutionClaims {
        request_id: offer.request_id.clone(),
        execution_id: offer.execution_id.clone(),
        operation: offer.operation,
        database: "app".into(),
        environment: "development".into(),
        detail_hash: detail_hash(Some(&plan), offer.operation, ""),
        issued_at: now,
        expires_at: now.plus_secs(TTL_SECS),
        requester_role: "developer".into(),
        requester_subject_id: "requester".into(),
        agent_id: "agent-1".into(),
        statement_timeout_secs: 60,
        max_rows: Some(2),
        max_affected_rows: None,
        lock_timeout_secs: 5,
        policy_version: "p".into(),
        dialect: DialectFact::Known(Dialect::Sqlite),
        epoch: 0,
    };
    (offer.alter)(&mut claims);
    json!({
        "execution_id": offer.execution_id,
        "request_id": offer.request_id,
        "operation": offer.operation.as_str(),
        "database": "app",
        "environment": "development",
        "detail": "not what is run",
        "execution_token": sign(&claims, key),
        "statement_timeout_secs": 60,
        "max_rows": 1_000_000,
        "lease_expires_at": now.plus_secs(offer.lease_secs).rfc3339_offset(),
        "execution_plan": null,
        "execution_plan_json": plan,
    })
}
