//! What the clients of each case send, and what they accept as an answer.

use crate::Outcome;
use crate::drive::Client;
use crate::server::Tokens;
use crate::wire::{Answer, find, request, text_of};
use std::sync::Arc;

/// Digits in the statement that differ from request to request.
const HOLE: &str = "00000000";
/// Of the requests a client made it remembers one in so many, to ask for them afterwards.
const REMEMBERED_EVERY: usize = 64;

/// The body of a request: a short read, with a reason.
fn body_of_create() -> String {
    format!(
        "{{\"database\":\"app\",\"environment\":\"production\",\"operation\":\"execute_select\",\
         \"detail\":\"SELECT id, email, created_at FROM customers WHERE id = 1{HOLE} ORDER BY created_at DESC LIMIT 20\",\
         \"reason\":\"customer asks where the order is\"}}"
    )
}

/// Makes requests that wait for approval.
#[derive(Clone)]
pub struct Creator {
    call: Vec<u8>,
    hole: usize,
    count: usize,
    /// Ids of some of those that were acknowledged.
    pub remembered: Vec<String>,
}

impl Creator {
    /// One for each of `clients`, the requesters in turn.
    pub fn new(tokens: &Tokens, clients: usize) -> Outcome<Vec<Creator>> {
        let body = body_of_create();
        let tokens = tokens.requesters.iter().cycle().take(clients);
        tokens
            .enumerate()
            .map(|(n, token)| {
                let call = request("POST", "/api/requests", token, Some(&body));
                let hole = find(&call, HOLE.as_bytes()).ok_or("no hole in the statement")?;
                Ok(Creator {
                    call,
                    hole,
                    count: n * 100_000,
                    remembered: Vec::new(),
                })
            })
            .collect()
    }
}

impl Client for Creator {
    fn next(&mut self) -> &[u8] {
        self.count += 1;
        fill(&mut self.call[self.hole..], self.count);
        &self.call
    }

    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool> {
        let body = answer.expect(201)?;
        if find(body, b"\"status\":\"pending\"").is_none() {
            return Err("a request that is not pending".to_owned());
        }
        if self.count.is_multiple_of(REMEMBERED_EVERY) {
            let id = text_of(body, "id").ok_or("a request without an id")?;
            self.remembered.push(id.to_owned());
        }
        Ok(true)
    }
}

/// Writes the last digits of `number` over the hole.
fn fill(hole: &mut [u8], number: usize) {
    let mut rest = number;
    for digit in hole[..HOLE.len()].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

/// The calls of a life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Create,
    Approve,
    Resume,
    Claim,
    Result,
    Stream,
}

/// Takes requests from their creation to their result.
#[derive(Clone)]
pub struct Life {
    stage: Stage,
    create: Creator,
    requester: String,
    approver: String,
    agent: String,
    request: String,
    execution: String,
    result: Arc<str>,
    call: Vec<u8>,
}

/// In the last row of every result.
const LAST_CELL: &str = "two@example.com";
/// What the agent reports: two rows, as existing agents send them, JSON in a string.
const RESULT: &str = r#"{"success":true,"result_data":"{\"rows\":[{\"id\":1,\"email\":\"one@example.com\"},{\"id\":2,\"email\":\"two@example.com\"}],\"truncated\":false,\"truncation_reason\":null}","error_message":null,"rows_affected":null,"duration_ms":2,"truncated":false}"#;

impl Life {
    /// One for each of `clients`, the people in turn.
    pub fn new(tokens: &Tokens, clients: usize) -> Outcome<Vec<Life>> {
        let creators = Creator::new(tokens, clients)?;
        let pick = |of: &[String], n: usize| of[n % of.len()].clone();
        Ok(creators
            .into_iter()
            .enumerate()
            .map(|(n, create)| Life {
                stage: Stage::Create,
                create,
                requester: pick(&tokens.requesters, n),
                approver: pick(&tokens.approvers, n),
                agent: pick(&tokens.agents, n),
                request: String::new(),
                execution: String::new(),
                result: Arc::from(RESULT),
                call: Vec::new(),
            })
            .collect())
    }

    /// Has the agent report this instead, with a success that the calls to come look for.
    pub fn reporting(mut self, result: &str) -> Life {
        self.result = Arc::from(result);
        self
    }

    /// Whether it waits for an agent to claim it.
    pub fn is_dispatched(&self) -> bool {
        self.stage == Stage::Claim
    }

    /// Whether its outcome was reported and not read yet.
    pub fn is_reported(&self) -> bool {
        self.stage == Stage::Stream
    }

    /// Starts over with another request.
    pub fn start_over(&mut self) {
        self.stage = Stage::Create;
    }

    /// The id of the request under way.
    pub fn request_id(&self) -> &str {
        &self.request
    }
}

impl Client for Life {
    fn next(&mut self) -> &[u8] {
        let of_request = |verb: &str| format!("/api/requests/{}/{verb}", self.request);
        let of_job = |id: &str, verb: &str| format!("/api/agent/jobs/{id}/{verb}");
        self.call = match self.stage {
            Stage::Create => return self.create.next(),
            Stage::Approve => request("POST", &of_request("approve"), &self.approver, Some("{}")),
            Stage::Resume => request("POST", &of_request("resume"), &self.requester, None),
            Stage::Claim => {
                let path = of_job(&self.request, "claim");
                request("POST", &path, &self.agent, None)
            }
            Stage::Result => {
                let path = of_job(&self.execution, "result");
                request("POST", &path, &self.agent, Some(&self.result))
            }
            Stage::Stream => request("GET", &of_request("result/stream"), &self.requester, None),
        };
        &self.call
    }

    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool> {
        let stage = self.stage;
        let wrong = |e: String| format!("{stage:?}: {e}");
        let wanted = if stage == Stage::Create { 201 } else { 200 };
        let body = answer.expect(wanted).map_err(wrong)?;
        let says = |what: &str| match find(body, what.as_bytes()) {
            Some(_) => Ok(()),
            None => Err(format!("{stage:?}: no {what} in the answer")),
        };
        let id = |key: &str| {
            text_of(body, key)
                .map(str::to_owned)
                .ok_or("no id in an answer")
        };
        self.stage = match stage {
            Stage::Create => {
                says("\"status\":\"pending\"")?;
                self.request = id("id")?;
                Stage::Approve
            }
            Stage::Approve => {
                says("\"status\":\"approved\"")?;
                Stage::Resume
            }
            Stage::Resume => {
                says("\"status\":\"dispatched\"")?;
                Stage::Claim
            }
            Stage::Claim => {
                says("\"execution_token\":")?;
                self.execution = id("execution_id")?;
                Stage::Result
            }
            Stage::Result => {
                says("\"status\":\"executed\"")?;
                Stage::Stream
            }
            Stage::Stream => {
                says("\"success\":true")?;
                says(LAST_CELL)?;
                Stage::Create
            }
        };
        Ok(stage == Stage::Stream)
    }
}

/// Repeats one call.
pub struct Repeat {
    call: Vec<u8>,
    expected: Vec<u8>,
}

impl Repeat {
    /// `clients` that GET, the tokens in turn; every answer must be 200 and hold `expected`.
    pub fn new(target: &str, tokens: &[String], clients: usize, expected: &str) -> Vec<Repeat> {
        let call = |token: &String| request("GET", target, token, None);
        Repeat::each(tokens, clients, expected, call)
    }

    /// The same with POST and a body.
    pub fn with_body(
        target: &str,
        body: &str,
        tokens: &[String],
        clients: usize,
        expected: &str,
    ) -> Vec<Repeat> {
        let call = |token: &String| request("POST", target, token, Some(body));
        Repeat::each(tokens, clients, expected, call)
    }

    fn each(
        tokens: &[String],
        clients: usize,
        expected: &str,
        call: impl Fn(&String) -> Vec<u8>,
    ) -> Vec<Repeat> {
        let tokens = tokens.iter().cycle().take(clients);
        let repeat = |token| Repeat {
            call: call(token),
            expected: expected.as_bytes().to_vec(),
        };
        tokens.map(repeat).collect()
    }
}

impl Client for Repeat {
    fn next(&mut self) -> &[u8] {
        &self.call
    }

    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool> {
        let body = answer.expect(200)?;
        match find(body, &self.expected) {
            Some(_) => Ok(true),
            None => Err(format!(
                "an answer without {}",
                String::from_utf8_lossy(&self.expected)
            )),
        }
    }
}
