//! What a million stored requests cost: the list, the inbox with ten thousand that wait, and a start. Making them takes
//! about a quarter of an hour and 6 GB, so they are kept in a folder and used again by the next run.

use crate::calls::{Creator, Repeat};
use crate::drive::{Measured, run};
use crate::history::{Vote, fill};
use crate::report::{Goal, Row};
use crate::server::{Folder, Server, Tokens};
use crate::wire::{Connection, request};
use crate::{Outcome, Plan};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Requests that are over.
const STORED: usize = 1_000_000;
/// Those it is compared with.
const FEW: usize = 1_000;
/// Creates after which the memory is looked at, and what it may be.
const CREATES: usize = 100_000;
const MEMORY_MIB: u64 = 60;
/// Requests that wait while it is compared.
const WAITING: [usize; 2] = [200, 10_000];
/// Made at one time: between them it says how far it is.
const STEP: usize = 50_000;
/// Clients while requests are made.
const FILLERS: usize = 64;
/// Clients while it is measured.
const CLIENTS: usize = 4;
/// With a million stored, a call may take 1.3 times as long as with a thousand.
const SHARE: f64 = 1.0 / 1.3;
/// Starts, of which the slowest counts.
const STARTS: usize = 3;
/// A start may take so long, whatever is over.
const START_MAX: Duration = Duration::from_millis(500);
/// The folder that is kept, and the file in it that says how many were made.
const KEPT: &str = "million";
const MADE: &str = "made";

/// Runs the case; the first run makes the requests.
pub fn measure(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    let few = few(plan, rows)?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(KEPT);
    fs::create_dir_all(&folder).map_err(|e| format!("making {}: {e}", folder.display()))?;
    make(&folder)?;
    eprintln!("the requests are kept in {}", folder.display());
    rows.push(starts(&folder)?);
    let server = Server::start(&folder)?;
    crate::guard(&server);
    let tokens = Tokens::issue(&server, 0)?;
    wait(&server, &tokens, WAITING[1])?;
    for (call, few) in CALLS.into_iter().zip(&few) {
        let measured = call.run(plan, &server, &tokens)?;
        rows.push(Row {
            floor: Some(few.rate()),
            goal: Some(Goal::Share(SHARE)),
            note: format!("floor: the same with {FEW}"),
            ..row(call, WAITING[1], STORED, &measured)
        });
    }
    rows.push(memory(&server, format!("{STORED} stored"))?);
    server.stop()?;
    Ok(())
}

/// What is measured.
#[derive(Clone, Copy)]
enum Call {
    List,
    Inbox,
}

const CALLS: [Call; 2] = [Call::List, Call::Inbox];

impl Call {
    fn name(self) -> &'static str {
        match self {
            Call::List => "list",
            Call::Inbox => "inbox",
        }
    }

    fn run(self, plan: &Plan, server: &Server, tokens: &Tokens) -> Outcome<Measured> {
        let (target, callers, expected) = match self {
            Call::List => ("/api/requests?limit=20", &tokens.requesters, "\"requests\""),
            Call::Inbox => (
                "/api/requests?pending_for_me=true&limit=20",
                &tokens.approvers,
                "\"pending\"",
            ),
        };
        let mut clients = Repeat::new(target, callers, CLIENTS, expected);
        run(server.address, &mut clients, plan.span(CLIENTS))
    }
}

fn row(call: Call, waiting: usize, stored: usize, measured: &Measured) -> Row {
    let name = format!("{}, {waiting} of {stored} wait", call.name());
    crate::cases::row(&name, CLIENTS, measured)
}

/// The same with few, on a server of its own, and its memory after many creates. Returns what [`CALLS`] took with as
/// many waiting as there will be.
fn few(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<Vec<Measured>> {
    let folder = Folder::new("few")?;
    let server = Server::start(folder.path())?;
    crate::guard(&server);
    let tokens = Tokens::issue(&server, 0)?;
    close(&server, &tokens, FEW)?;
    let mut all = Vec::new();
    for waiting in WAITING {
        wait(&server, &tokens, waiting)?;
        all.clear();
        for call in CALLS {
            let measured = call.run(plan, &server, &tokens)?;
            rows.push(row(call, waiting, FEW, &measured));
            all.push(measured);
        }
    }
    let more = CREATES - WAITING[1];
    eprintln!("{more} creates");
    let mut creators = Creator::new(&tokens, FILLERS)?;
    run(server.address, &mut creators, fill(more, FILLERS))?;
    rows.push(Row {
        goal: Some(Goal::Memory(MEMORY_MIB)),
        ..memory(&server, format!("{CREATES} creates"))?
    });
    server.stop()?;
    Ok(all)
}

fn memory(server: &Server, with: String) -> Outcome<Row> {
    let mib = server.rss_kib()? >> 10;
    Ok(Row {
        memory_mib: Some(mib),
        note: format!("{mib} MiB in memory"),
        ..Row::new(format!("memory, {with}"))
    })
}

/// Makes the requests that are over, from where the last run got to.
fn make(folder: &Path) -> Outcome<()> {
    let file = folder.join(MADE);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut made: usize = text.trim().parse().unwrap_or(0);
    if made >= STORED {
        return Ok(());
    }
    let server = Server::start(folder)?;
    crate::guard(&server);
    let tokens = Tokens::issue(&server, 0)?;
    let began = Instant::now();
    while made < STORED {
        let step = STEP.min(STORED - made);
        made += close(&server, &tokens, step).map_err(|e| server.explain(e))?;
        fs::write(&file, made.to_string()).map_err(|e| e.to_string())?;
        let secs = began.elapsed().as_secs();
        eprintln!("{made} of {STORED} requests after {secs} s");
    }
    server.stop()?;
    Ok(())
}

/// Makes so many requests and rejects them, or as many as there is time for; how many.
fn close(server: &Server, tokens: &Tokens, requests: usize) -> Outcome<usize> {
    let mut votes = Vote::new(tokens, FILLERS, "reject")?;
    let made = run(server.address, &mut votes, fill(requests, FILLERS))?;
    Ok(made.operations_all)
}

/// Makes requests until so many wait: those of an earlier run may have expired.
fn wait(server: &Server, tokens: &Tokens, wanted: usize) -> Outcome<()> {
    let call = request(
        "GET",
        "/api/requests?status=pending&limit=1",
        &tokens.admin,
        None,
    );
    let mut connection = Connection::open(server.address)?;
    let answer = connection.call(&call)?;
    let json: Value = serde_json::from_slice(answer.expect(200)?).map_err(|e| e.to_string())?;
    let total = json["total"].as_u64().ok_or("a list without a total")?;
    let missing = wanted.saturating_sub(usize::try_from(total).unwrap_or(usize::MAX));
    let mut creators = Creator::new(tokens, FILLERS.min(missing))?;
    if missing > 0 {
        run(server.address, &mut creators, fill(missing, FILLERS))?;
    }
    Ok(())
}

/// Starts the server some times on all of it.
fn starts(folder: &Path) -> Outcome<Row> {
    let mut slowest = Duration::ZERO;
    for _ in 0..STARTS {
        let server = Server::start(folder)?;
        slowest = slowest.max(server.start);
        server.stop()?;
    }
    Ok(Row {
        slowest: Some(slowest),
        goal: Some(Goal::Slowest(START_MAX)),
        note: format!("the slowest of {STARTS}, to the first answer"),
        ..Row::new(format!("start with {STORED} stored"))
    })
}
