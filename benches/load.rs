//! The benchmark: the real release server under load, and in the same run what the machine can do without
//! it. `cargo bench` takes about ten minutes, `cargo bench -- --quick` about two.
//!
//! It shares the cores with the server, so compare rates with their floors and never across runs. A missed goal is
//! printed; only a wrong answer fails.

#[path = "load/agent.rs"]
mod agent;
#[path = "load/calls.rs"]
mod calls;
#[path = "load/cases.rs"]
mod cases;
#[path = "load/copies.rs"]
mod copies;
#[path = "load/drive.rs"]
mod drive;
#[path = "load/floor_http.rs"]
mod floor_http;
#[path = "load/floor_store.rs"]
mod floor_store;
#[path = "load/history.rs"]
mod history;
#[path = "load/instructions.rs"]
mod instructions;
#[path = "load/jobs.rs"]
mod jobs;
#[path = "load/million.rs"]
mod million;
#[path = "load/outward.rs"]
mod outward;
#[path = "load/parked.rs"]
mod parked;
#[path = "load/parts.rs"]
mod parts;
#[path = "load/report.rs"]
mod report;
#[path = "load/server.rs"]
mod server;
#[path = "load/soak.rs"]
mod soak;
#[path = "load/wire.rs"]
mod wire;

use report::Row;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What went wrong, in words: a benchmark has nobody to handle it.
pub type Outcome<T> = Result<T, String>;

/// Longest run. One that hangs is ended, and its server with it.
const QUICK_MAX: Duration = Duration::from_secs(240);
const FULL_MAX: Duration = Duration::from_secs(1200);
/// The same where a million requests are made.
const MILLION_MAX: Duration = Duration::from_secs(3600);
/// Operations of one case, at most: about half a gigabyte of database.
const OPERATIONS_MAX: usize = 120_000;
/// Open files we ask for: two thousand parked polls and some.
const FILES: u64 = 8192;
/// Share of the processors that other programs may use before the rates say little.
const OTHERS_MAX: f64 = 0.1;
/// Writes of the probe of the disk.
const PROBES: usize = 200;

const USAGE: &str = "usage: cargo bench [-- [--quick] [--json FILE] [--only CASE]...]
cases: me, parked, create, life, audit, history, jobs, outward, sql; without --only, all of them
only --only runs these: million: the list, the inbox and a start with a million requests, which the first run makes;
copies: creates with copies in a bucket (DBWARD_TEST_LITESTREAM, DBWARD_TEST_S3_URL);
soak: days of turned clock at a tenth of full load, in 135 s or DBWARD_SOAK_SECS;
instructions: what each call takes, counted by callgrind";
const CASES: [&str; 9] = [
    "me", "parked", "create", "life", "audit", "history", "jobs", "outward", "sql",
];
/// The case that is slow, and says nothing about rates.
const INSTRUCTIONS: &str = "instructions";
/// The case that takes a quarter of an hour and 6 GB.
const MILLION: &str = "million";

/// The case that looks at what grows.
const SOAK: &str = "soak";

/// The case that needs Litestream and a bucket.
const COPIES: &str = "copies";

/// What to run, and how long.
pub struct Plan {
    only: Vec<String>,
    quick: bool,
    json: Option<PathBuf>,
    /// Not counted, in the beginning of a case.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

impl Plan {
    /// Whether a case was asked for.
    pub fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.asks(case)
    }

    /// Whether a case was asked for by its name.
    fn asks(&self, case: &str) -> bool {
        self.only.iter().any(|o| o == case)
    }

    /// Whether it shall take little time.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// The span of a case with so many clients.
    pub fn span(&self, clients: usize) -> drive::Span {
        drive::Span {
            warm_up: self.warm_up,
            measured: self.measured,
            operations_max: OPERATIONS_MAX / clients.max(1),
        }
    }

    fn parse(arguments: impl Iterator<Item = String>) -> Outcome<Plan> {
        let mut plan = Plan {
            only: Vec::new(),
            quick: false,
            json: None,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(10),
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo adds it.
                "--bench" => {}
                "--quick" => {
                    plan.quick = true;
                    plan.warm_up = Duration::from_millis(500);
                    plan.measured = Duration::from_secs(2);
                }
                "--json" => {
                    let file = arguments.next().filter(|file| !file.starts_with("--"));
                    let file = file.ok_or_else(|| format!("--json needs a file\n{USAGE}"))?;
                    plan.json = Some(PathBuf::from(file));
                }
                "--only" => {
                    let case = arguments.next().unwrap_or_default();
                    if ![INSTRUCTIONS, MILLION, COPIES, SOAK].contains(&case.as_str())
                        && !CASES.contains(&case.as_str())
                    {
                        return Err(format!("there is no case `{case}`\n{USAGE}"));
                    }
                    plan.only.push(case);
                }
                other => return Err(format!("unknown argument `{other}`\n{USAGE}")),
            }
        }
        Ok(plan)
    }
}

fn main() -> ExitCode {
    let plan = match Plan::parse(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    watch(match plan.quick {
        _ if plan.asks(MILLION) => MILLION_MAX,
        _ if plan.asks(SOAK) => soak::longest(),
        true => QUICK_MAX,
        false => FULL_MAX,
    });
    let mut rows = Vec::new();
    let before = Processor::now();
    let ended = measure(&plan, &mut rows);
    rows.extend(
        before
            .zip(Processor::now())
            .map(|(from, to)| to.since(&from)),
    );
    print!("{}", report::table(&rows));
    let written = match &plan.json {
        Some(file) => std::fs::write(file, report::json(&rows))
            .map_err(|e| format!("writing {}: {e}", file.display())),
        None => Ok(()),
    };
    match ended.and(written) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    raise_files()?;
    rows.push(machine()?);
    let alone = ["history", "jobs", "outward", "sql"];
    if CASES
        .iter()
        .any(|case| !alone.contains(case) && plan.wants(case))
    {
        cases::with_server(plan, rows)?;
    }
    if plan.wants("history") {
        history::measure(plan, rows)?;
    }
    if plan.wants("jobs") {
        jobs::measure(plan, rows)?;
    }
    if plan.wants("outward") {
        outward::measure(plan, rows)?;
    }
    if plan.wants("sql") {
        cases::sql(plan, rows)?;
    }
    if plan.asks(MILLION) {
        million::measure(plan, rows)?;
    }
    if plan.asks(COPIES) {
        copies::measure(plan, rows)?;
    }
    if plan.asks(SOAK) {
        soak::measure(rows)?;
    }
    if plan.asks(INSTRUCTIONS) {
        instructions::measure(rows)?;
    }
    Ok(())
}

/// Processor time since the start of the machine, in ticks.
struct Processor {
    all: f64,
    busy: f64,
    /// Of this process and of the servers that have ended.
    ours: f64,
}

impl Processor {
    fn now() -> Option<Processor> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let numbers = |text: &str| -> Vec<f64> {
            let words = text.split_whitespace();
            words.filter_map(|word| word.parse().ok()).collect()
        };
        let spent = numbers(text.lines().next()?.strip_prefix("cpu ")?);
        let idle = spent.get(3)? + spent.get(4)?;
        let own = std::fs::read_to_string("/proc/self/stat").ok()?;
        // After the name in brackets and the letter of the state: our user and system time, and our children's, stand
        // from the eleventh number on.
        let own = numbers(own.rsplit_once(')')?.1);
        Some(Processor {
            all: spent.iter().take(8).sum(),
            busy: spent.iter().take(8).sum::<f64>() - idle,
            ours: own.get(10..14)?.iter().sum(),
        })
    }

    /// What others used meanwhile: rates of a busy machine say little, and favour floors, which need one core only.
    fn since(&self, from: &Processor) -> Row {
        let all = (self.all - from.all).max(1.0);
        let others = ((self.busy - from.busy) - (self.ours - from.ours)).max(0.0) / all;
        let so = if others > OTHERS_MAX {
            ": too much for these rates to count"
        } else {
            ""
        };
        Row {
            note: format!("others used {:.0}% of the processors{so}", others * 100.0),
            ..Row::new("machine: the rest of it")
        }
    }
}

/// The server that runs, for the watch; 0 for none.
static SERVER: AtomicI32 = AtomicI32::new(0);

/// Puts a server under the watch.
pub fn guard(server: &server::Server) {
    SERVER.store(server.id(), Ordering::SeqCst);
}

/// Ends everything after `most`.
fn watch(most: Duration) {
    thread::spawn(move || {
        thread::sleep(most);
        eprintln!("error: not done after {} seconds", most.as_secs());
        if let Some(pid) = rustix::process::Pid::from_raw(SERVER.load(Ordering::SeqCst)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::process::exit(1);
    });
}

/// Allows as many open files as the system lets us have, up to what we need.
fn raise_files() -> Outcome<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |max| max.min(FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).map_err(|e| format!("raising open files: {e}"))?;
    }
    Ok(())
}

/// What the numbers were measured on: cores, what else runs, and what a durable write costs.
fn machine() -> Outcome<Row> {
    use std::io::Write;
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    let folder = server::Folder::new("sync")?;
    let probe = || -> std::io::Result<Vec<Duration>> {
        let mut file = std::fs::File::create(folder.path().join("probe"))?;
        let mut times = Vec::with_capacity(PROBES);
        for _ in 0..PROBES {
            let started = Instant::now();
            file.write_all(&[0x5a; 4096])?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    };
    let times = probe().map_err(|e| format!("probing the disk: {e}"))?;
    let elapsed: Duration = times.iter().sum();
    Ok(Row {
        clients: Some(1),
        rate: Some(PROBES as f64 / elapsed.as_secs_f64().max(1e-9)),
        p50: report::percentile(&times, 0.5),
        p99: report::percentile(&times, 0.99),
        slowest: times.last().copied(),
        note: format!("4 KiB written and synced; {cores} cores, load {load} before the run"),
        ..Row::new("machine: synced writes")
    })
}
