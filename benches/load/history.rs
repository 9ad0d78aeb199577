//! What a history costs: the list, the inbox and a decision with few stored requests and with many. Nothing of it may
//! grow with what is over.

use crate::calls::{Creator, Repeat};
use crate::drive::{Client, Measured, Span, run};
use crate::report::{Goal, Row};
use crate::server::{Folder, Server, Tokens};
use crate::wire::{Answer, request, text_of};
use crate::{Outcome, Plan};
use std::time::Duration;

/// Stored requests of the two rounds.
const SIZES: [usize; 2] = [1_000, 100_000];
/// The same in short.
const SIZES_QUICK: [usize; 2] = [1_000, 10_000];
/// Requests that still wait in both rounds: an inbox of so many.
const WAITING: usize = 200;
/// Clients while requests are made: enough to share commits.
const FILLERS: usize = 64;
/// Clients while it is measured.
const CLIENTS: usize = 4;
/// Longest time to make the requests.
const FILL_MAX: Duration = Duration::from_secs(180);
/// With many stored, a call may take 1.3 times as long as with few.
const SHARE: f64 = 1.0 / 1.3;

/// Makes a request, then votes on it.
pub struct Vote {
    create: Creator,
    approver: String,
    verb: &'static str,
    id: Option<String>,
    call: Vec<u8>,
}

impl Vote {
    /// `clients` that make and vote, the people in turn.
    pub fn new(tokens: &Tokens, clients: usize, verb: &'static str) -> Outcome<Vec<Vote>> {
        let approvers = tokens.approvers.iter().cycle();
        let creators = Creator::new(tokens, clients)?.into_iter();
        let vote = |(create, approver): (Creator, &String)| Vote {
            create,
            approver: approver.clone(),
            verb,
            id: None,
            call: Vec::new(),
        };
        Ok(creators.zip(approvers).map(vote).collect())
    }
}

impl Client for Vote {
    fn next(&mut self) -> &[u8] {
        match &self.id {
            None => self.create.next(),
            Some(id) => {
                let target = format!("/api/requests/{id}/{}", self.verb);
                self.call = request("POST", &target, &self.approver, Some("{}"));
                &self.call
            }
        }
    }

    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool> {
        if self.id.take().is_some() {
            answer.expect(200)?;
            return Ok(true);
        }
        let id = text_of(answer.expect(201)?, "id").ok_or("a request without an id")?;
        self.id = Some(id.to_owned());
        Ok(false)
    }
}

/// Runs the case on a server of its own.
pub fn measure(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Folder::new("history")?;
    let server = Server::start(folder.path())?;
    crate::guard(&server);
    let tokens = Tokens::issue(&server, 0)?;
    let sizes = if plan.is_quick() { SIZES_QUICK } else { SIZES };
    let mut waiting = Creator::new(&tokens, 1)?;
    run(server.address, &mut waiting, fill(WAITING, 1))?;
    let mut stored = WAITING;
    let mut first = Vec::new();
    for size in sizes {
        eprintln!("history of {size} requests");
        let mut over = Vote::new(&tokens, FILLERS, "reject")?;
        let more = fill(size.saturating_sub(stored), FILLERS);
        stored += run(server.address, &mut over, more)?.operations_all;
        let mib = server.rss_kib()? >> 10;
        rows.push(Row {
            memory_mib: Some(mib),
            note: format!("{mib} MiB in memory"),
            ..Row::new(format!("memory, {size} stored"))
        });
        for (n, (name, measured)) in round(plan, &server, &tokens)?.into_iter().enumerate() {
            let floor = first.get(n).copied();
            if floor.is_none() {
                first.push(measured.rate());
            }
            rows.push(Row {
                clients: Some(CLIENTS),
                rate: Some(measured.rate()),
                p50: measured.percentile(0.5),
                p99: measured.percentile(0.99),
                slowest: measured.times.last().copied(),
                floor,
                goal: floor.map(|_| Goal::Share(SHARE)),
                note: match floor {
                    Some(_) => format!("floor: the same with {}", sizes[0]),
                    None => String::new(),
                },
                ..Row::new(format!("{name}, {size} stored"))
            });
        }
    }
    server.stop()?;
    Ok(())
}

/// What makes so many requests.
pub fn fill(requests: usize, clients: usize) -> Span {
    Span {
        warm_up: Duration::ZERO,
        measured: FILL_MAX,
        operations_max: requests.div_ceil(clients),
    }
}

fn round(plan: &Plan, server: &Server, tokens: &Tokens) -> Outcome<Vec<(&'static str, Measured)>> {
    let span = plan.span(CLIENTS);
    let mut all = Vec::new();
    let own = "/api/requests?limit=20";
    let mut list = Repeat::new(own, &tokens.requesters, CLIENTS, "\"requests\"");
    all.push(("list", run(server.address, &mut list, span)?));
    let mine = "/api/requests?pending_for_me=true&limit=20";
    let mut inbox = Repeat::new(mine, &tokens.approvers, CLIENTS, "\"pending\"");
    all.push(("inbox", run(server.address, &mut inbox, span)?));
    let mut votes = Vote::new(tokens, CLIENTS, "approve")?;
    all.push(("create and decide", run(server.address, &mut votes, span)?));
    Ok(all)
}
