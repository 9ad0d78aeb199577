//! Two thousand long-polls that wait: what others feel of them, how fast they are woken, what they cost.

use crate::calls::Repeat;
use crate::drive::run;
use crate::report::{Goal, Row, percentile};
use crate::server::{Server, Tokens};
use crate::wire::{Connection, find, request, text_of};
use crate::{Outcome, Plan};
use std::thread;
use std::time::{Duration, Instant};

/// Calls that wait.
const POLLS: usize = 2_000;
/// Tokens they are spread over: one may have 32 calls under way that are not parked yet.
pub const TOKENS: usize = 80;
/// Threads that read the answers when all are woken.
const READERS: usize = 2;
/// Others that call meanwhile.
const OTHERS: usize = 4;
/// Longest time until all of them are parked.
const PARK_MAX: Duration = Duration::from_secs(15);
/// How often the server is asked how many are parked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Seconds that they ask to wait: longer than the whole case.
const WAIT_SECS: u64 = 60;

/// Runs the case.
pub fn measure(plan: &Plan, server: &Server, tokens: &Tokens, rows: &mut Vec<Row>) -> Outcome<()> {
    eprintln!("{POLLS} parked polls");
    let mut calm = Repeat::new("/api/me", &tokens.requesters, OTHERS, "requester-");
    let before = run(server.address, &mut calm, plan.span(OTHERS))?;
    let rss_before = server.rss_kib()?;
    let id = pending(server, tokens)?;
    let began = Instant::now();
    let mut polls = park(server, tokens, &id)?;
    await_parked(server, tokens, began)?;
    let parked_in = began.elapsed();
    let (rss, threads) = (server.rss_kib()?, server.threads()?);
    let cpu = server.cpu()?;
    let rested = Instant::now();
    thread::sleep(Duration::from_secs(1));
    let resting = (server.cpu()? - cpu).as_secs_f64() / rested.elapsed().as_secs_f64();

    let others = run(server.address, &mut calm, plan.span(OTHERS))?;
    rows.push(Row {
        clients: Some(OTHERS),
        rate: Some(others.rate()),
        p50: others.percentile(0.5),
        p99: others.percentile(0.99),
        slowest: others.times.last().copied(),
        floor: Some(before.rate()),
        goal: Some(Goal::P99(Duration::from_millis(5))),
        note: format!(
            "floor: the same with none parked (p99 {:.2} ms)",
            before.percentile(0.99).unwrap_or_default().as_secs_f64() * 1000.0
        ),
        ..Row::new(format!("me with {POLLS} parked"))
    });
    let times = wake(server, tokens, &id, &mut polls)?;
    let all = times.last().copied().unwrap_or_default();
    rows.push(Row {
        clients: Some(POLLS),
        rate: Some(POLLS as f64 / all.as_secs_f64().max(1e-9)),
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
        slowest: Some(all),
        goal: Some(Goal::Slowest(Duration::from_millis(400))),
        note: "from sending the approval to reading each answer, in the order of parking"
            .to_owned(),
        ..Row::new("parked polls woken")
    });
    rows.push(Row {
        clients: Some(POLLS),
        note: format!(
            "{rss_before} -> {rss} KiB, {threads} threads, parked in {:.0} ms, resting at {:.1}% of a core",
            parked_in.as_secs_f64() * 1000.0,
            resting * 100.0
        ),
        ..Row::new("memory while parked")
    });
    Ok(())
}

/// Makes a request of the first requester and returns its id.
fn pending(server: &Server, tokens: &Tokens) -> Outcome<String> {
    let body = r#"{"database":"app","environment":"production","operation":"execute_select","detail":"SELECT 1"}"#;
    let call = request("POST", "/api/requests", &tokens.requesters[0], Some(body));
    let mut connection = Connection::open(server.address)?;
    let answer = connection.call(&call)?;
    let id = text_of(answer.expect(201)?, "id").ok_or("a request without an id")?;
    Ok(id.to_owned())
}

fn park(server: &Server, tokens: &Tokens, id: &str) -> Outcome<Vec<Connection>> {
    let target = format!("/api/requests/{id}?wait={WAIT_SECS}");
    let calls: Vec<Vec<u8>> = tokens
        .watchers
        .iter()
        .map(|token| request("GET", &target, token, None))
        .collect();
    let mut polls = Vec::with_capacity(POLLS);
    for call in calls.iter().cycle().take(POLLS) {
        let mut connection = Connection::open(server.address)?;
        connection.send(call)?;
        polls.push(connection);
    }
    Ok(polls)
}

fn await_parked(server: &Server, tokens: &Tokens, began: Instant) -> Outcome<()> {
    loop {
        let parked = server.metric(&tokens.admin, "dbward_gate_parked")?;
        if parked as usize >= POLLS {
            return Ok(());
        }
        if began.elapsed() > PARK_MAX {
            return Err(format!("only {parked} of {POLLS} polls are parked"));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Approves, and reads every answer; the times from the approval on, sorted.
fn wake(
    server: &Server,
    tokens: &Tokens,
    id: &str,
    polls: &mut [Connection],
) -> Outcome<Vec<Duration>> {
    let mut approver = Connection::open(server.address)?;
    let target = format!("/api/requests/{id}/approve");
    let approve = request("POST", &target, &tokens.approvers[0], Some("{}"));
    let share = polls.len().div_ceil(READERS);
    let mut times = thread::scope(|scope| {
        let began = Instant::now();
        approver.send(&approve)?;
        let readers: Vec<_> = polls
            .chunks_mut(share)
            .map(|mine| scope.spawn(move || read_all(mine, began)))
            .collect();
        approver.receive()?.expect(200)?;
        let mut times = Vec::with_capacity(POLLS);
        for reader in readers {
            times.extend(
                reader
                    .join()
                    .map_err(|_| "a reader panicked".to_owned())??,
            );
        }
        Ok::<_, String>(times)
    })?;
    times.sort_unstable();
    Ok(times)
}

fn read_all(polls: &mut [Connection], began: Instant) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(polls.len());
    for poll in polls {
        let answer = poll.receive()?;
        times.push(began.elapsed());
        if find(answer.expect(200)?, b"\"status\":\"approved\"").is_none() {
            return Err("a woken poll does not say approved".to_owned());
        }
    }
    Ok(times)
}
