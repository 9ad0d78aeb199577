//! What an agent asks for: a poll with nothing for it, a poll with one job among many for others, claims and reports,
//! results of three sizes, and the real agent next to the real server.

use crate::agent;
use crate::calls::{Life, Repeat};
use crate::drive::{Client, Measured, Span, run};
use crate::report::{Goal, Row, percentile};
use crate::server::{Folder, Server, Tokens};
use crate::wire::{Answer, Connection, request};
use crate::{Outcome, Plan, cases};
use std::time::{Duration, Instant};

/// Clients of everything at full load.
const CLIENTS: usize = 64;
/// Jobs that are dispatched for others, and claimed and reported afterwards.
const JOBS: usize = 10_000;
/// The same in short.
const JOBS_QUICK: usize = 1_500;
/// Longest time to dispatch them.
const DISPATCH_MAX: Duration = Duration::from_secs(120);
/// With many dispatched, a poll may take 1.3 times as long as with one.
const SHARE: f64 = 1.0 / 1.3;
/// Sizes of results, in bytes, and how often each is uploaded and downloaded.
const RESULTS: [(usize, usize); 3] = [(1 << 10, 200), (1 << 20, 30), (10 << 20, 6)];
/// One in so many uploads in short.
const QUICK_EVERY: usize = 3;
/// Bytes of one cell of a result.
const CELL_BYTES: usize = 1_000;
/// One in so many bytes of a result is for its names and commas: it may hold no more than its limit in all.
const FRAME_SHARE: usize = 20;

/// Takes requests as far as an agent could claim them, and keeps them.
struct Dispatching {
    life: Life,
    dispatched: Vec<Life>,
}

impl Client for Dispatching {
    fn next(&mut self) -> &[u8] {
        self.life.next()
    }

    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool> {
        self.life.check(answer)?;
        if !self.life.is_dispatched() {
            return Ok(false);
        }
        self.dispatched.push(self.life.clone());
        self.life.start_over();
        Ok(true)
    }
}

/// Claims what was dispatched, and reports it, one after the other.
struct Running {
    jobs: Vec<Life>,
    at: usize,
}

impl Client for Running {
    fn next(&mut self) -> &[u8] {
        // The span ends with the jobs.
        self.jobs[self.at].next()
    }

    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool> {
        self.jobs[self.at].check(answer)?;
        let reported = self.jobs[self.at].is_reported();
        if reported {
            self.at += 1;
        }
        Ok(reported)
    }
}

/// Runs the case on a server of its own.
pub fn measure(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Folder::new("jobs")?;
    let server = Server::start(folder.path())?;
    crate::guard(&server);
    on_server(plan, &server, rows).map_err(|e| server.explain(e))?;
    agent::measure(plan, &folder, &server, rows).map_err(|e| server.explain(e))?;
    server.stop()?;
    Ok(())
}

fn on_server(plan: &Plan, server: &Server, rows: &mut Vec<Row>) -> Outcome<()> {
    let tokens = Tokens::issue(server, 0)?;
    let fits = agent::dispatch_one(server, &tokens)?;
    let nothing = poll(plan, server, &tokens, "app", "production", "\"jobs\":[]")?;
    rows.push(Row {
        goal: Some(Goal::Rate(15_000.0)),
        note: nothing.1,
        ..cases::row("poll with nothing", CLIENTS, &nothing.0)
    });
    let alone = poll(plan, server, &tokens, "local", "staging", &fits)?;
    rows.push(Row {
        note: alone.1,
        ..cases::row("poll with one job", CLIENTS, &alone.0)
    });
    let jobs = if plan.is_quick() { JOBS_QUICK } else { JOBS };
    let dispatched = dispatch(server, &tokens, jobs)?;
    let among = poll(plan, server, &tokens, "local", "staging", &fits)?;
    rows.push(Row {
        floor: Some(alone.0.rate()),
        goal: Some(Goal::Share(SHARE)),
        note: format!("{}; floor: the same with no other", among.1),
        ..cases::row(
            &format!("poll with one job among {jobs}"),
            CLIENTS,
            &among.0,
        )
    });
    claim_and_report(server, &tokens, dispatched, rows)?;
    results(plan, server, &tokens, rows)
}

/// Polls for one environment, and what each costs.
fn poll(
    plan: &Plan,
    server: &Server,
    tokens: &Tokens,
    database: &str,
    environment: &str,
    expected: &str,
) -> Outcome<(Measured, String)> {
    cases::announce("poll", CLIENTS);
    let body = serde_json::json!({
        "capabilities": {"databases": [database], "environments": [environment]},
        "limit": 1,
    });
    let target = "/api/agent/poll";
    let mut polls = Repeat::with_body(target, &body.to_string(), &tokens.agents, CLIENTS, expected);
    let before = cases::Cost::now(server, &tokens.admin)?;
    let measured = run(server.address, &mut polls, plan.span(CLIENTS))?;
    let note = before.since(server, &tokens.admin, &measured)?;
    Ok((measured, note))
}

fn dispatch(server: &Server, tokens: &Tokens, jobs: usize) -> Outcome<Vec<Vec<Life>>> {
    eprintln!("{jobs} jobs to dispatch");
    let mut clients: Vec<Dispatching> = Life::new(tokens, CLIENTS)?
        .into_iter()
        .map(|life| Dispatching {
            life,
            dispatched: Vec::new(),
        })
        .collect();
    let span = Span {
        warm_up: Duration::ZERO,
        measured: DISPATCH_MAX,
        operations_max: jobs.div_ceil(CLIENTS),
    };
    run(server.address, &mut clients, span)?;
    Ok(clients.into_iter().map(|c| c.dispatched).collect())
}

fn claim_and_report(
    server: &Server,
    tokens: &Tokens,
    dispatched: Vec<Vec<Life>>,
    rows: &mut Vec<Row>,
) -> Outcome<()> {
    cases::announce("claim and report", CLIENTS);
    let each = dispatched.iter().map(Vec::len).min().unwrap_or(0);
    let mut clients: Vec<Running> = dispatched
        .into_iter()
        .map(|jobs| Running { jobs, at: 0 })
        .collect();
    let span = Span {
        warm_up: Duration::ZERO,
        measured: DISPATCH_MAX,
        operations_max: each,
    };
    let before = cases::Cost::now(server, &tokens.admin)?;
    let measured = run(server.address, &mut clients, span)?;
    let note = before.since(server, &tokens.admin, &measured)?;
    rows.push(Row {
        goal: Some(Goal::Rate(4_000.0)),
        note,
        ..cases::row("claim and report", CLIENTS, &measured)
    });
    Ok(())
}

/// From sending a result to having read all of it, for each size.
fn results(plan: &Plan, server: &Server, tokens: &Tokens, rows: &mut Vec<Row>) -> Outcome<()> {
    for (bytes, times) in RESULTS {
        eprintln!("results of {bytes} bytes");
        let times = if plan.is_quick() {
            times.div_ceil(QUICK_EVERY)
        } else {
            times
        };
        let dispatched = dispatch(server, tokens, times)?.into_iter().flatten();
        let report = result_of(bytes);
        let mut connection = Connection::open(server.address)?;
        let mut took = Vec::new();
        let cpu = server.cpu()?;
        for mut life in dispatched.take(times).map(|l| l.reporting(&report)) {
            connection.send(life.next())?;
            life.check(&connection.receive()?)?;
            let began = Instant::now();
            connection.send(life.next())?;
            life.check(&connection.receive()?)?;
            let target = format!("/api/requests/{}/result/content", life.request_id());
            let download = request("GET", &target, &tokens.admin, None);
            let read = connection.call(&download)?.expect(200)?.len();
            if read < cells_of(bytes) {
                return Err(format!("{read} bytes of a result of {bytes}"));
            }
            took.push(began.elapsed());
        }
        let cpu = (server.cpu()? - cpu).as_secs_f64() * 1000.0 / times.max(1) as f64;
        took.sort_unstable();
        let elapsed: Duration = took.iter().sum();
        rows.push(Row {
            clients: Some(1),
            rate: Some(took.len() as f64 / elapsed.as_secs_f64().max(1e-9)),
            p50: percentile(&took, 0.5),
            p99: percentile(&took, 0.99),
            slowest: took.last().copied(),
            note: format!("server {cpu:.1} ms of processor each, its claim included"),
            ..Row::new(format!("result of {} KiB, up and down", bytes >> 10))
        });
    }
    Ok(())
}

fn cells_of(bytes: usize) -> usize {
    bytes - bytes / FRAME_SHARE
}

/// A report whose cells hold the bytes that count.
fn result_of(bytes: usize) -> String {
    let room = cells_of(bytes);
    let cell = "x".repeat(CELL_BYTES);
    let mut rows: Vec<serde_json::Value> = (0..room / CELL_BYTES)
        .map(|n| serde_json::json!({"id": n, "note": cell}))
        .collect();
    let last = format!("{}two@example.com", &cell[..room % CELL_BYTES]);
    rows.push(serde_json::json!({"id": -1, "note": last}));
    let data = serde_json::json!({"rows": rows, "truncated": false, "truncation_reason": null});
    serde_json::json!({
        "success": true,
        "result_data": data.to_string(),
        "error_message": null,
        "rows_affected": null,
        "duration_ms": 2,
        "truncated": false,
    })
    .to_string()
}
