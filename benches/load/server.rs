//! The real server: the release binary as a child process, with a folder of its own.

use crate::Outcome;
use crate::instructions::counting;
use crate::wire::{Connection, request};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest start, with a full database.
const START_MAX: Duration = Duration::from_secs(30);
/// Longest stop: the server's own grace of 20 seconds and some room.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often a file is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What stands before the address in the log.
const ANNOUNCED: &str = "http://";
/// What callgrind calls its counts.
const COUNTS: &str = "counts";
/// Lines of the log that are shown when something went wrong.
const LOG_LINES_SHOWN: usize = 20;

/// People who make requests, approvers and agents of the life cycle, at most.
pub const PEOPLE_MAX: usize = 8;

/// A folder that is removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one on the disk that holds the build, since one in memory would make every sync free.
    pub fn new(of: &str) -> Outcome<Folder> {
        let name = format!("{of}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).map_err(|e| format!("making {}: {e}", path.display()))?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server. Killed when dropped without [`Server::stop`].
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to its first answer.
    pub start: Duration,
    folder: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts it on `folder`, which may hold the state of an earlier run, and waits for its first answer.
    pub fn start(folder: &Path) -> Outcome<Server> {
        Server::start_with(folder, "")
    }

    /// The same with more of a configuration, as TOML.
    pub fn start_with(folder: &Path, more: &str) -> Outcome<Server> {
        Server::start_as(folder, more, Command::new(env!("CARGO_BIN_EXE_dbward")))
    }

    /// The same under callgrind, which counts only when asked to.
    pub fn start_counted(folder: &Path) -> Outcome<Server> {
        let mut counts = OsString::from("--callgrind-out-file=");
        counts.push(folder.join(COUNTS));
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--instr-atstart=no", "--quiet"])
            .arg(counts)
            .arg(env!("CARGO_BIN_EXE_dbward"));
        Server::start_as(folder, "", command)
    }

    /// Instructions that a counted server takes while `calls` runs, and their parts in words.
    pub fn counting(&self, calls: impl FnOnce() -> Outcome<()>) -> Outcome<(u64, String)> {
        counting(self.id(), &self.folder.join(COUNTS), calls)
    }

    fn start_as(folder: &Path, more: &str, mut command: Command) -> Outcome<Server> {
        let config = folder.join("server.toml");
        fs::write(&config, format!("{CONFIG}{more}"))
            .map_err(|e| format!("writing {}: {e}", config.display()))?;
        let log = folder.join("server.log");
        let file = File::create(&log).map_err(|e| format!("making {}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let began = Instant::now();
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("starting the server: {e}"))?;
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            start: Duration::ZERO,
            folder: folder.to_owned(),
            log,
        };
        server.address = server.announced(began).map_err(|e| server.explain(e))?;
        let health = request("GET", "/health", "", None);
        Connection::open(server.address)?
            .call(&health)?
            .expect(200)?;
        server.start = began.elapsed();
        Ok(server)
    }

    /// Waits for the line with the address.
    fn announced(&mut self, began: Instant) -> Outcome<SocketAddr> {
        loop {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let found = text
                .split_once(ANNOUNCED)
                .and_then(|(_, rest)| rest.split_once(|c: char| c.is_whitespace() || c == '"'));
            if let Some((address, _)) = found {
                return address
                    .trim_end_matches('/')
                    .parse()
                    .map_err(|e| format!("the address `{address}`: {e}"));
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended at once: {status}"));
            }
            if began.elapsed() > START_MAX {
                return Err("the server says no address".to_owned());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Adds the end of the log to what went wrong.
    pub fn explain(&self, problem: String) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        format!(
            "{problem}\nlast lines of the server:\n{}",
            lines[from..].join("\n")
        )
    }

    /// Asks it to stop and waits. Says how long it took.
    pub fn stop(mut self) -> Outcome<Duration> {
        let began = Instant::now();
        let pid = Pid::from_raw(self.id()).ok_or("the server has no process id")?;
        kill_process(pid, Signal::TERM).map_err(|e| format!("stopping the server: {e}"))?;
        while began.elapsed() < STOP_MAX {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(began.elapsed()),
                Ok(Some(status)) => {
                    return Err(self.explain(format!("the server ended with {status}")));
                }
                Ok(None) => thread::sleep(LOOK_EVERY),
                Err(e) => return Err(format!("waiting for the server: {e}")),
            }
        }
        Err(self.explain("the server does not stop".to_owned()))
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Its memory in use, in KiB.
    pub fn rss_kib(&self) -> Outcome<u64> {
        self.status_number("VmRSS:")
    }

    /// Its threads.
    pub fn threads(&self) -> Outcome<u64> {
        self.status_number("Threads:")
    }

    /// Processor time it has used.
    pub fn cpu(&self) -> Outcome<Duration> {
        /// Ticks a second of /proc on Linux.
        const TICKS_PER_SEC: f64 = 100.0;
        let text = self.proc("stat")?;
        // The name in brackets may hold blanks; counted from after it, user and system time are fields 12 and 13.
        let fields: Vec<&str> = text
            .rsplit_once(')')
            .map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
        let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times in /proc")?;
        Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SEC))
    }

    fn status_number(&self, name: &str) -> Outcome<u64> {
        self.proc("status")?
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("no {name} in /proc"))
    }

    fn proc(&self, file: &str) -> Outcome<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
            .map_err(|e| format!("reading {file} of the server: {e}"))
    }

    /// The file of its database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("state/dbward.db")
    }

    /// A value of the metrics page, all labels added up.
    pub fn metric(&self, admin: &str, name: &str) -> Outcome<f64> {
        let mut connection = Connection::open(self.address)?;
        let answer = connection.call(&request("GET", "/metrics", admin, None))?;
        let page = String::from_utf8_lossy(answer.expect(200)?).into_owned();
        Ok(page
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Tokens of everybody who takes part.
pub struct Tokens {
    /// Of the first start; may do everything.
    pub admin: String,
    /// Make requests.
    pub requesters: Vec<String>,
    /// Approve them.
    pub approvers: Vec<String>,
    /// Run them.
    pub agents: Vec<String>,
    /// More tokens of the first requester, for calls that wait: each may park a limited number.
    pub watchers: Vec<String>,
}

impl Tokens {
    /// Issues them through the API, `watchers` of the last kind, and lets every agent poll once.
    pub fn issue(server: &Server, watchers: usize) -> Outcome<Tokens> {
        Tokens::issue_at(server.address, &server.folder, watchers)
    }

    /// The same, of the server at that address whose folder this is.
    pub fn issue_at(address: SocketAddr, folder: &Path, watchers: usize) -> Outcome<Tokens> {
        let admin = fs::read_to_string(folder.join("state/admin-token"))
            .map_err(|e| format!("reading the first token: {e}"))?;
        let mut connection = Connection::open(address)?;
        let mut issue = |subject: String, kind: &str, roles: &[&str]| -> Outcome<String> {
            let body = json!({"subject_id": subject, "subject_type": kind, "roles": roles});
            let call = request("POST", "/api/tokens", &admin, Some(&body.to_string()));
            let answer = connection.call(&call)?;
            let json: Value =
                serde_json::from_slice(answer.expect(201)?).map_err(|e| e.to_string())?;
            let token = json["token"].as_str().ok_or("an answer without a token")?;
            Ok(token.to_owned())
        };
        let people = 1..=PEOPLE_MAX;
        let tokens = Tokens {
            requesters: people
                .clone()
                .map(|n| issue(format!("requester-{n}"), "user", &[]))
                .collect::<Outcome<_>>()?,
            approvers: people
                .clone()
                .map(|n| issue(format!("approver-{n}"), "user", &[]))
                .collect::<Outcome<_>>()?,
            agents: people
                .map(|n| issue(format!("agent-{n}"), "agent", &["agent-default"]))
                .collect::<Outcome<_>>()?,
            watchers: (0..watchers)
                .map(|_| issue("requester-1".to_owned(), "user", &[]))
                .collect::<Outcome<_>>()?,
            admin: admin.clone(),
        };
        tokens.poll(address)?;
        Ok(tokens)
    }

    /// Lets every agent say that it is there.
    pub fn poll(&self, address: SocketAddr) -> Outcome<()> {
        let report = json!({
            "capabilities": {"databases": ["app"], "environments": ["production"]},
            "limit": 1,
        });
        let mut connection = Connection::open(address)?;
        for agent in &self.agents {
            let poll = request("POST", "/api/agent/poll", agent, Some(&report.to_string()));
            connection.call(&poll)?.expect(200)?;
        }
        Ok(())
    }
}

/// Two databases where everything needs one approval. All addresses here are loopback, so it is exempt, as a proxy, from
/// the cap for one address; everything else is as it comes, the access log included.
pub const CONFIG: &str = r#"
pending_requests_per_person = 1000000
state_dir = "state"
trusted_proxies = ["127.0.0.1"]

[[databases]]
name = "app"
environments = ["production"]
dialect = "postgresql"

[[databases]]
name = "local"
environments = ["staging"]
dialect = "sqlite"

[[workflows]]
database = "local"
environment = "staging"
explain = false

[[workflows.steps]]
mode = "all"

[[workflows.steps.approvers]]
group = "approvers"
min = 1

[[workflows]]
database = "app"
environment = "production"
explain = false

[[workflows.steps]]
mode = "all"

[[workflows.steps.approvers]]
group = "approvers"
min = 1

[[auth.groups]]
name = "requesters"
members = [
    "requester-1", "requester-2", "requester-3", "requester-4",
    "requester-5", "requester-6", "requester-7", "requester-8",
]

[[auth.groups]]
name = "approvers"
members = [
    "approver-1", "approver-2", "approver-3", "approver-4",
    "approver-5", "approver-6", "approver-7", "approver-8",
]

[[auth.role_bindings]]
role = "developer"
groups = ["requesters"]
"#;
