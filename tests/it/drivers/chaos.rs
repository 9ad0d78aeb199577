//! Jobs on real databases while server, agents, the children in which they run statements, and database sessions are
//! killed: none runs twice, none is lost, and what every route says of a request is what the database shows.
//!
//! DBWARD_CHAOS_JOBS says how many jobs (20 unless set), DBWARD_CHAOS_SECS within which time they have to be made (300),
//! DBWARD_CHAOS_SEED repeats the order of the kills.

use super::Place;
use super::places::{mysql, postgres, sqlite};
use super::served::keys;
use crate::support::{Person, Program, Temp, admin_of, binary, settled, verified};
use dbward::agent::config::DriverConfig;
use dbward::agent::drivers::RunOutcome;
use dbward::crypto::random;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const AGENTS: u64 = 2;
const CLIENTS: usize = 3;
/// Requests of one client that are not final at once, so that kills meet work.
const AHEAD: usize = 8;
/// Milliseconds between two kills, at least, and how many more.
const KILL_EVERY_MS: (u64, u64) = (250, 900);
/// How long everything may take to come to its end after the last kill: a lease, the grace of a restart, and a margin.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);
/// What is killed.
const KINDS: [&str; 4] = ["children", "agent", "session", "server"];
/// With so many jobs each of them is, and three quarters of the jobs are made all the same.
const MANY: usize = 300;
/// Of fewer jobs, at least so many are made that half of them have to succeed.
const SOME: usize = 20;
/// How a job fails that met a kill: of the agent or its child, of the child before it had its task, of its session.
const MET_A_KILL: [&str; 9] = [
    "agent stopped while the statement ran; rolled back",
    "the process that ran the statement was killed; rolled back",
    "not run: the child process takes no task",
    "the database closed the connection",
    "the connection to the database broke",
    "terminating connection due to administrator command (SQLSTATE 57P01)",
    "the database cannot be reached",
    "Connection was killed (error 1927, SQLSTATE 70100)",
    "Query execution was interrupted (error 1317, SQLSTATE 70100)",
];
/// Pause of those who wait for a server that is down.
const PAUSE: Duration = Duration::from_millis(30);

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Everything that can be killed.
struct World {
    dir: Temp,
    at: SocketAddr,
    place: Place,
    server: Option<Program>,
    agents: Vec<Option<Program>>,
    /// How often it was the turn of each kind of thing, and how many of it were there to be killed.
    turns: BTreeMap<&'static str, u64>,
    killed: BTreeMap<&'static str, u64>,
}

fn server_toml(place: &Place) -> String {
    format!(
        "[[databases]]\nname = \"shop\"\nenvironments = [\"development\"]\ndialect = \"{}\"\n[[workflows]]\n\
         [logging]\nlevel = \"error\"\n",
        place.driver.dialect().as_str()
    )
}

impl World {
    fn new(place: Place) -> World {
        place.done(&["CREATE TABLE jobs (id INTEGER)"]);
        place.done(&["CREATE TABLE twins (id INTEGER)"]);
        let at = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut world = World {
            dir: settled(&server_toml(&place)),
            at,
            place,
            server: None,
            agents: Vec::new(),
            turns: BTreeMap::new(),
            killed: BTreeMap::new(),
        };
        world.start_server();
        let admin = admin_of(world.at, world.dir.path());
        for n in 0..AGENTS {
            let body = json!({"subject_id": format!("agent-{n}"), "subject_type": "agent", "roles": ["agent-default"]});
            let token = admin.post("/api/tokens", &body).is(201).text("token");
            let text = format!(
                "[server]\nurl = \"http://{}\"\ntoken = \"{token}\"\n[agent]\nstate_dir = \"agent-{n}\"\nmax_concurrent = 3\n\
                 [[databases]]\nname = \"shop\"\nenvironment = \"development\"\n{}",
                world.at,
                keys(&world.place.driver)
            );
            std::fs::write(world.agent_toml(n), text).unwrap();
            let agent = world.agent(n);
            world.agents.push(Some(agent));
        }
        world
    }

    fn agent_toml(&self, n: u64) -> std::path::PathBuf {
        self.dir.path().join(format!("agent-{n}.toml"))
    }

    fn agent(&self, n: u64) -> Program {
        let path = self.agent_toml(n);
        Program::start(binary().arg("agent").arg("--config").arg(path))
    }

    fn start_server(&mut self) {
        let config = self.dir.path().join("server.toml");
        let program = Program::start(
            binary()
                .arg("serve")
                .arg("--config")
                .arg(config)
                .args(["--listen", &self.at.to_string()]),
        );
        program.line();
        self.server = Some(program);
    }

    /// Kills one of everything, and starts it again where that is ours to do.
    fn kill(&mut self, dice: &mut Dice) {
        let n = dice.below(AGENTS);
        let at = usize::try_from(n).unwrap();
        // Each at least once.
        let first = KINDS.iter().find(|kind| !self.turns.contains_key(*kind));
        let kind = match first {
            Some(kind) => kind,
            None => KINDS[usize::try_from(dice.below(KINDS.len() as u64)).unwrap()],
        };
        *self.turns.entry(kind).or_default() += 1;
        let killed = match kind {
            "server" => {
                self.server.take().unwrap().kill();
                self.start_server();
                1
            }
            "agent" => {
                self.agents[at].take().unwrap().kill();
                self.agents[at] = Some(self.agent(n));
                1
            }
            "children" => {
                let children = self.agents[at].as_ref().unwrap().children();
                // One may have ended by itself.
                let killed = children
                    .iter()
                    .filter(|(child, _)| kill_process(*child, Signal::KILL).is_ok());
                killed.count() as u64
            }
            _ => self.kill_session(),
        };
        *self.killed.entry(kind).or_default() += killed;
    }

    /// Ends the sessions of the agents in the database; how many there were.
    fn kill_session(&self) -> u64 {
        match &self.place.driver {
            DriverConfig::Sqlite { .. } => 0,
            DriverConfig::Postgres(_) => {
                let outcome = self.place.write(&[
                    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS n FROM pg_stat_activity \
                     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
                ]);
                match outcome {
                    RunOutcome::Returned { json, .. } => {
                        let result: Value = serde_json::from_str(&json).unwrap();
                        result["rows"][0]["n"].as_u64().unwrap()
                    }
                    other => panic!("{other:?}"),
                }
            }
            DriverConfig::MySql(_) => {
                let (found, _) = self.place.rows(
                    "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()",
                );
                let sessions = found["rows"].as_array().unwrap();
                // One may have ended by itself, which is an error.
                let killed = sessions.iter().filter(|row| {
                    let outcome = self.place.write(&[&format!("KILL {}", row["ID"])]);
                    matches!(outcome, RunOutcome::Changed { .. })
                });
                killed.count() as u64
            }
        }
    }

    fn stop(&mut self) {
        for agent in &mut self.agents {
            agent.take().unwrap().stop();
        }
        self.server.take().unwrap().stop();
    }
}

/// A call to a server that may be down; `None` without an answer.
fn called(who: &Person, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let headers = [("content-type", "application/json")];
    let answer = who
        .try_begin(method, path, &headers, body.as_bytes())
        .ok()?
        .answer_if_any()?;
    Some((answer.status, answer.json))
}

/// Makes the request of job `n`, however often the server goes; its id.
fn made(who: &Person, n: u64) -> String {
    let sql = format!("INSERT INTO jobs VALUES ({n}); INSERT INTO twins VALUES ({n})");
    let body = json!({
        "database": "shop", "environment": "development", "detail": sql, "idempotency_key": format!("job-{n}"),
    });
    loop {
        match called(who, "POST", "/api/requests", &body.to_string()) {
            Some((200 | 201, json)) => return json["id"].as_str().unwrap().to_owned(),
            Some((status, json)) if status < 500 && status != 429 => panic!("{status}: {json}"),
            _ => thread::park_timeout(PAUSE),
        }
    }
}

/// What a request came to, if it has come to its end.
fn end(who: &Person, id: &str) -> Option<(String, String)> {
    let (status, json) = called(who, "GET", &format!("/api/requests/{id}"), "")?;
    let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
    let over = [
        "executed",
        "failed",
        "execution_lost",
        "approved",
        "expired",
    ];
    (status == 200 && over.contains(&text("status").as_str()))
        .then(|| (text("status"), text("outcome")))
}

/// Jobs by number, and the requests they became.
type Made = Arc<Mutex<BTreeMap<u64, String>>>;

/// Makes every job whose number has the remainder `client`, a few ahead of their ends.
fn client(dir: &Path, at: SocketAddr, client: usize, jobs: u64, until: Instant, all: &Made) {
    let who = admin_of(at, dir);
    let mut open: Vec<String> = Vec::new();
    for n in (client as u64..jobs).step_by(CLIENTS) {
        while open.len() >= AHEAD {
            open.retain(|id| end(&who, id).is_none());
            assert!(
                Instant::now() < until,
                "only {n} of {jobs} jobs were made in time"
            );
            thread::park_timeout(PAUSE);
        }
        let id = made(&who, n);
        open.push(id.clone());
        all.lock().unwrap().insert(n, id);
    }
}

/// Waits until every request has come to its end; what each came to.
fn ends(who: &Person, made: &BTreeMap<u64, String>) -> BTreeMap<u64, (String, String)> {
    let began = Instant::now();
    let mut ended = BTreeMap::new();
    loop {
        for (n, id) in made
            .iter()
            .filter(|(n, _)| !ended.contains_key(*n))
            .collect::<Vec<_>>()
        {
            if let Some(end) = end(who, id) {
                ended.insert(*n, end);
            }
        }
        if ended.len() == made.len() {
            return ended;
        }
        if began.elapsed() > SETTLED_WITHIN {
            let open: Vec<_> = made
                .iter()
                .filter(|(n, _)| !ended.contains_key(*n))
                .collect();
            panic!("never ended: {open:?}");
        }
        thread::park_timeout(PAUSE * 10);
    }
}

/// Every failure has a reason that a kill explains.
fn failures_are_explained(who: &Person, made: &BTreeMap<u64, String>) {
    for (n, id) in made {
        let path = format!("/api/requests/{id}/executions");
        let (_, answer) = called(who, "GET", &path, "").expect("the server is there");
        for execution in answer["executions"].as_array().unwrap() {
            let reason = execution["error_message"].as_str().unwrap_or_default();
            let reason = reason
                .trim_start_matches("statement 1: ")
                .trim_start_matches("statement 2: ");
            let failed = execution["outcome"] == "rolled_back";
            let explained = MET_A_KILL.iter().any(|met| reason.starts_with(met));
            assert!(!failed || explained, "job {n}: {execution}");
        }
    }
}

/// How often each job stands in a table.
fn counts(place: &Place, table: &str) -> BTreeMap<u64, u64> {
    let (found, _) = place.rows(&format!(
        "SELECT id, count(*) AS n FROM {table} GROUP BY id"
    ));
    let rows = found["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["id"].as_u64().unwrap(), row["n"].as_u64().unwrap()))
        .collect()
}

/// Everything was killed that there is, and most jobs were made all the same.
fn enough_of_everything(world: &World, tally: &Tally) {
    let sessions = !matches!(world.place.driver, DriverConfig::Sqlite { .. });
    for kind in KINDS.iter().filter(|kind| sessions || **kind != "session") {
        let met = world.killed.get(kind).is_some_and(|n| *n > 0);
        assert!(met, "no {kind} was killed: {:?}", world.killed);
    }
    enough(tally, (3, 4));
}

/// How many jobs came to each end.
type Tally = BTreeMap<(String, String), u64>;

/// At least so large a part of the jobs was made.
fn enough(tally: &Tally, (part, of): (u64, u64)) {
    let executed = tally.iter().filter(|((status, _), _)| status == "executed");
    let executed: u64 = executed.map(|(_, n)| n).sum();
    let all: u64 = tally.values().sum();
    assert!(executed * of >= all * part, "too few: {tally:?}");
}

/// `remembers` says whether the database can be asked what became of a commit.
fn chaos(place: Place, remembers: bool) {
    let jobs = number("DBWARD_CHAOS_JOBS", 20);
    let seed = number("DBWARD_CHAOS_SEED", u64::from(u32::from_le_bytes(random()))).max(1);
    println!("DBWARD_CHAOS_SEED={seed}");
    let until = Instant::now() + Duration::from_secs(number("DBWARD_CHAOS_SECS", 300));
    let mut world = World::new(place);
    let (dir, at) = (world.dir.path().to_owned(), world.at);
    let all = Made::default();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (dir, all) = (&dir, &all);
                scope.spawn(move || client(dir, at, n, jobs, until, all))
            })
            .collect();
        let (world, done) = (&mut world, &done);
        scope.spawn(move || {
            let mut dice = Dice(seed);
            while !done.load(Ordering::SeqCst) {
                let wait = KILL_EVERY_MS.0 + dice.below(KILL_EVERY_MS.1);
                thread::park_timeout(Duration::from_millis(wait));
                world.kill(&mut dice);
            }
        });
        let ended: Vec<_> = clients
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|end| end.unwrap());
    });
    let made = all.lock().unwrap().clone();
    assert_eq!(
        made.keys().copied().collect::<Vec<_>>(),
        (0..jobs).collect::<Vec<_>>()
    );
    let admin = admin_of(at, &dir);
    let ended = ends(&admin, &made);
    failures_are_explained(&admin, &made);
    world.stop();
    let (jobs, twins) = (counts(&world.place, "jobs"), counts(&world.place, "twins"));
    assert_eq!(jobs, twins, "half of a request took effect");
    let mut tally = Tally::new();
    for (n, end) in &ended {
        let ran = jobs.get(n).copied().unwrap_or(0);
        let (status, outcome) = (end.0.as_str(), end.1.as_str());
        let is_true = match outcome {
            "committed" => ran == 1 && status == "executed",
            "rolled_back" => ran == 0 && status != "executed",
            // A claim whose answer no agent ever got; or a commit that the database cannot be asked about.
            "" | "unknown" => status == "execution_lost" && ran <= u64::from(!remembers),
            _ => false,
        };
        assert!(is_true, "job {n} is {end:?} and ran {ran} times");
        *tally.entry(end.clone()).or_default() += 1;
    }
    println!(
        "{} jobs: {tally:?}; killed: {:?}",
        ended.len(),
        world.killed
    );
    match ended.len() {
        MANY.. => enough_of_everything(&world, &tally),
        SOME.. => enough(&tally, (1, 2)),
        _ => {}
    }
    assert!(verified(&dir.join("state")).valid);
}

#[test]
fn jobs_on_sqlite_survive_kills() {
    chaos(sqlite(), false);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn jobs_on_postgres_survive_kills() {
    chaos(postgres(), true);
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn jobs_on_mysql_survive_kills() {
    chaos(mysql(), false);
}
