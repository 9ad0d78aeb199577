//! A server for days of turned clock at a tenth of the load that it bears, with retention: memory, descriptors, threads and
//! file stay as they are once retention has caught up.
//!
//! The server is in this process, since its clock is turned: an hour for each second that goes by. What an hour has to
//! do is a tenth of what was measured at full load in a second.

use crate::Outcome;
use crate::calls::Life;
use crate::drive::{Span, run};
use crate::history::Vote;
use crate::report::Row;
use crate::server::{CONFIG, Folder, Tokens};
use crate::wire::{Connection, request};
use dbward::clock::Clock;
use dbward::config::Config;
use dbward::jobs;
use dbward::server::{Server, StartOptions};
use std::thread;
use std::time::{Duration, Instant};

/// Clients at full load, and at a tenth of it.
const CLIENTS: usize = 64;
const FEW: usize = 8;
/// One request in so many is rejected, one result in so many is too large for a row.
const REJECTED_EVERY: usize = 5;
const LARGE_EVERY: usize = 4;
/// What is measured at full load.
const FULL: Span = Span {
    warm_up: Duration::from_secs(1),
    measured: Duration::from_secs(4),
    operations_max: usize::MAX,
};
/// The shortest that there is.
const RETENTION: &str =
    "\n[retention]\nrequest_ttl_days = 1\nresult_ttl_days = 1\naudit_ttl_days = 1\n";
/// Hours after which as much goes as comes.
const SETTLED_HOURS: usize = 72;
/// Hours that are looked at, at least: two halves that hold a removal of the log each.
const HOURS_MIN: usize = SETTLED_HOURS + 2 * 30;
const HOUR: Duration = Duration::from_secs(3_600);
/// Seconds, and so hours, of a run unless DBWARD_SOAK_SECS says otherwise.
const SECS: u64 = 135;
const SLICE: Duration = Duration::from_secs(1);
/// By how much the second half may be more than the first: a tenth, and what a purge leaves to the next.
const SLACK: f64 = 1.1;
const DESCRIPTORS_MORE: f64 = 8.0;
const THREADS_MORE: f64 = 8.0;
const MEMORY_MORE: f64 = 4e6;
/// The part of full load that a busy machine must still make of the tenth that it shall.
const LOAD_MIN: f64 = 0.05;

/// How long it takes, with what comes before and after it.
pub fn longest() -> Duration {
    Duration::from_secs(secs() * 2 + 120)
}

fn secs() -> u64 {
    let asked = std::env::var("DBWARD_SOAK_SECS").ok();
    asked.and_then(|secs| secs.parse().ok()).unwrap_or(SECS)
}

/// What is looked at, at the end of an hour.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory: f64,
    descriptors: f64,
    threads: f64,
    file: f64,
}

impl Sample {
    fn of(server: &Server, admin: &str) -> Outcome<Sample> {
        let mut connection = Connection::open(server.addr())?;
        let answer = connection.call(&request("GET", "/metrics", admin, None))?;
        let page = String::from_utf8_lossy(answer.expect(200)?).into_owned();
        let value = |name: &str| -> Outcome<f64> {
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.and_then(|n| n.parse().ok())
                .ok_or_else(|| format!("no {name} in the metrics"))
        };
        Ok(Sample {
            memory: value("process_resident_memory_bytes")?,
            descriptors: value("process_open_fds")?,
            threads: value("process_threads")?,
            file: value("dbward_store_database_bytes")? + value("dbward_store_wal_bytes")?,
        })
    }

    /// The most of each.
    fn most(samples: &[Sample]) -> Sample {
        let most = |of: fn(&Sample) -> f64| samples.iter().map(of).fold(0.0, f64::max);
        Sample {
            memory: most(|s| s.memory),
            descriptors: most(|s| s.descriptors),
            threads: most(|s| s.threads),
            file: most(|s| s.file),
        }
    }
}

/// Runs the case.
pub fn measure(rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Folder::new("soak")?;
    let clock = Clock::system();
    let text = format!("listen = \"127.0.0.1:0\"\n{CONFIG}{RETENTION}");
    let config = Config::parse(&text, folder.path(), &|_| None).map_err(|e| e.to_string())?;
    let options = StartOptions {
        clock: clock.clone(),
        ..StartOptions::default()
    };
    let server = Server::start(&config, options).map_err(|e| e.to_string())?;
    let tokens = Tokens::issue_at(server.addr(), folder.path(), 0)?;
    let full = run(server.addr(), &mut lives(&tokens, CLIENTS)?, FULL)?.rate();
    let each_hour = (full / 10.0 * SLICE.as_secs_f64()).ceil() as usize;
    let hours = usize::try_from(secs()).unwrap_or(0).max(HOURS_MIN);
    eprintln!("{full:.0} lives a second at full load: {each_hour} in each of {hours} hours");
    let (mut samples, began) = (Vec::with_capacity(hours), Instant::now());
    for n in 0..hours {
        hour(&server, &tokens, each_hour)?;
        clock.turn(HOUR);
        turn(&server)?;
        samples.push(Sample::of(&server, &tokens.admin)?);
        let end = began + SLICE * u32::try_from(n + 1).unwrap_or(u32::MAX);
        thread::sleep(end.saturating_duration_since(Instant::now()));
    }
    let took = began.elapsed();
    let proof = request("GET", "/api/audit/verify", &tokens.admin, None);
    let mut connection = Connection::open(server.addr())?;
    let proof = connection.call(&proof)?.expect(200)?.to_vec();
    if !String::from_utf8_lossy(&proof).contains("\"valid\":true") {
        return Err(format!("the log: {}", String::from_utf8_lossy(&proof)));
    }
    drop(connection);
    server.stop().map_err(|e| e.to_string())?;
    let settled = &samples[SETTLED_HOURS..];
    let (first, second) = settled.split_at(settled.len() / 2);
    let (early, late) = (Sample::most(first), Sample::most(second));
    let load = (each_hour * hours) as f64 / took.as_secs_f64() / full;
    rows.push(Row {
        clients: Some(FEW),
        rate: Some((each_hour * hours) as f64 / took.as_secs_f64()),
        memory_mib: Some(late.memory as u64 >> 20),
        note: format!(
            "{hours} hours in {} s at {:.0}% of full load; first half {}, second {}",
            took.as_secs(),
            load * 100.0,
            words(&early),
            words(&late)
        ),
        ..Row::new("soak, life cycles")
    });
    if load < LOAD_MIN {
        return Err(format!("only {:.0}% of full load", load * 100.0));
    }
    is_flat(&early, &late)
}

fn words(sample: &Sample) -> String {
    format!(
        "{:.1} MB of memory, {} descriptors, {} threads, {:.1} MB of file",
        sample.memory / 1e6,
        sample.descriptors,
        sample.threads,
        sample.file / 1e6
    )
}

fn is_flat(early: &Sample, late: &Sample) -> Outcome<()> {
    let flat = late.memory <= early.memory * SLACK + MEMORY_MORE
        && late.descriptors <= early.descriptors + DESCRIPTORS_MORE
        && late.threads <= early.threads + THREADS_MORE
        && late.file <= early.file * SLACK;
    match flat {
        true => Ok(()),
        false => Err(format!("it grows: {early:?}, then {late:?}")),
    }
}

/// Clients of which some report results that are too large for a row.
fn lives(tokens: &Tokens, clients: usize) -> Outcome<Vec<Life>> {
    let padding = "x".repeat(24 * 1024);
    let large = format!(
        r#"{{"success":true,"result_data":"{{\"rows\":[{{\"a\":\"{padding}\",\"email\":\"two@example.com\"}}],\"truncated\":false,\"truncation_reason\":null}}","error_message":null,"rows_affected":null,"duration_ms":2,"truncated":false}}"#
    );
    let lives = Life::new(tokens, clients)?.into_iter().enumerate();
    Ok(lives
        .map(|(n, life)| match n % LARGE_EVERY {
            0 => life.reporting(&large),
            _ => life,
        })
        .collect())
}

/// What an hour has to do: requests that run, and some that are rejected.
fn hour(server: &Server, tokens: &Tokens, requests: usize) -> Outcome<()> {
    tokens.poll(server.addr())?;
    let span = |requests: usize| Span {
        warm_up: Duration::ZERO,
        measured: HOUR,
        operations_max: requests.div_ceil(FEW).max(1),
    };
    run(server.addr(), &mut lives(tokens, FEW)?, span(requests))?;
    let mut votes = Vote::new(tokens, FEW, "reject")?;
    run(server.addr(), &mut votes, span(requests / REJECTED_EVERY))?;
    Ok(())
}

/// What happens by the clock.
fn turn(server: &Server) -> Outcome<()> {
    let state = server.job_state();
    for tick in [
        jobs::expire,
        jobs::lease,
        jobs::minute,
        jobs::flush,
        jobs::results,
        jobs::retention,
    ] {
        tick(state).map_err(|e| e.to_string())?;
    }
    Ok(())
}
