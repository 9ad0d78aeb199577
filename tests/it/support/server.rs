//! A server in this process: free port, folder of its own, a clock that tests turn. When it goes, its audit log is
//! verified, and that nobody was answered an internal error.

mod filled;
mod stopped;

pub use stopped::Stopped;

use super::agent::Agent;
use super::client::{Faults, Person, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dbward::clock::{Clock, Timestamp};
use dbward::config::Config;
use dbward::crypto::{PublicKey, hex, random};
use dbward::domain::decision::replay::{Recorded, Replayed};
use dbward::domain::policy::Policies;
use dbward::gate::GateLimits;
use dbward::server::StartOptions;
use dbward::store::{Verified, VerifyKeys, each_decision, verify_chain};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A shop: in development everything runs at once; in staging and production one of the approvers approves.
pub const SHOP: &str = r#"
[[databases]]
name = "shop"
dialect = "postgresql"
environments = ["development", "staging", "production"]

[[workflows]]
environment = "development"

[[workflows]]
environment = "staging"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"

[[workflows]]
environment = "production"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"

[[auth.groups]]
name = "approvers"
members = ["approver", "approver-two"]
"#;

/// In a server.toml: results are objects, however small they are.
pub const OBJECTS: &str = "# every result is an object\n";

/// In a server.toml: notifications are delivered, and do not only stand in the outbox.
pub const DELIVERS: &str = "# notifications are delivered\n";

/// A folder that is removed when it goes.
pub struct Temp(PathBuf);

impl Temp {
    pub fn new() -> Temp {
        let name = format!("dbward-it-{}", hex(&random::<6>()));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Temp(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Verifies a database file with the public keys next to it.
pub fn verified(state_dir: &Path) -> Verified {
    let text = fs::read_to_string(state_dir.join("audit-keys.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let key = |id: &str| {
        let bytes = STANDARD.decode(file["keys"][id].as_str()?).ok()?;
        PublicKey::from_bytes(&bytes)
    };
    verify_chain(
        &state_dir.join("dbward.db"),
        &VerifyKeys::new(&key, None),
        None,
    )
    .unwrap()
}

/// Decides every request again, which must come out as it was recorded.
fn replayed(state_dir: &Path) {
    let mut differences = Vec::new();
    let mut each =
        |recorded: &Recorded, policies: Option<&Policies>| match recorded.replay(policies) {
            Replayed::Same => {}
            other => differences.push((recorded.id.clone(), other)),
        };
    each_decision(&state_dir.join("dbward.db"), Timestamp(0), &mut each).unwrap();
    assert!(
        differences.is_empty(),
        "decided differently: {differences:?}"
    );
}

/// Starts with `--quarantine`.
pub const QUARANTINE: &str = "# --quarantine\n";

/// What verification says of live rows that were edited.
pub const NOT_OF_THE_HEAD: &str = "are not those of the signed head";

/// A running server.
pub struct Server {
    running: Option<dbward::server::Server>,
    pub clock: Clock,
    dir: Option<Temp>,
    toml: String,
    limits: GateLimits,
    tokens: Mutex<HashMap<String, String>>,
    faults: Faults,
    /// Whether the test edited the state file.
    edited: AtomicBool,
}

impl Server {
    pub fn shop() -> Server {
        Server::with(SHOP)
    }

    /// The same, whose results are objects, however small they are.
    pub fn shop_with_objects() -> Server {
        Server::with(&format!("{SHOP}{OBJECTS}"))
    }

    /// One with this server.toml, but for state_dir and listen.
    pub fn with(toml: &str) -> Server {
        let limits = GateLimits {
            tick: Duration::from_millis(20),
            ..GateLimits::default()
        };
        Server::start(
            toml,
            limits,
            Clock::system(),
            Temp::new(),
            HashMap::new(),
            Faults::default(),
        )
    }

    fn start(
        toml: &str,
        limits: GateLimits,
        clock: Clock,
        dir: Temp,
        tokens: HashMap<String, String>,
        faults: Faults,
    ) -> Server {
        let prefix = dir.path().file_name().unwrap().to_str().unwrap();
        // The same claims hold of a bucket, where there is one: each server has a prefix of its own in it.
        let place = match toml.contains("[result_storage]") {
            true => String::new(),
            false => super::real_bucket(prefix).unwrap_or_default(),
        };
        let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{toml}{place}");
        let config = Config::parse(&text, dir.path(), &|_| None)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let options = StartOptions {
            clock: clock.clone(),
            limits: limits.clone(),
            result_row_bytes_max: match toml.contains(OBJECTS) {
                true => 0,
                false => StartOptions::default().result_row_bytes_max,
            },
            delivers: toml.contains(DELIVERS),
            quarantine: toml.contains(QUARANTINE),
            ..StartOptions::default()
        };
        let running = dbward::server::Server::start(&config, options).unwrap();
        Server {
            running: Some(running),
            clock,
            dir: Some(dir),
            toml: toml.to_owned(),
            limits,
            tokens: Mutex::new(tokens),
            faults,
            edited: AtomicBool::new(false),
        }
    }

    /// Stops in order and starts again on the same folder, with the same clock.
    pub fn restart(self) -> Server {
        let toml = self.toml.clone();
        self.restart_with(&toml)
    }

    /// The same with another server.toml.
    pub fn restart_with(mut self, toml: &str) -> Server {
        self.running.take().unwrap().stop().unwrap();
        self.start_again(toml)
    }

    /// The same, so many seconds later: nothing happens by the clock in between.
    pub fn restart_after(mut self, secs: u64) -> Server {
        self.running.take().unwrap().stop().unwrap();
        self.clock.turn(Duration::from_secs(secs));
        let toml = self.toml.clone();
        self.start_again(&toml)
    }

    /// The same; `work` is done in its folder while no server of ours runs.
    pub fn restart_around(mut self, secs: u64, work: impl FnOnce(&Path)) -> Server {
        self.running.take().unwrap().stop().unwrap();
        work(self.dir.as_ref().unwrap().path());
        self.clock.turn(Duration::from_secs(secs));
        let toml = self.toml.clone();
        self.start_again(&toml)
    }

    fn start_again(mut self, toml: &str) -> Server {
        let (dir, tokens) = (
            self.dir.take().unwrap(),
            self.tokens.lock().unwrap().clone(),
        );
        Server::start(
            toml,
            self.limits.clone(),
            self.clock.clone(),
            dir,
            tokens,
            self.faults.clone(),
        )
    }

    /// Ends it without a look at its log, in which the test left what `verify` finds.
    pub fn abandon(mut self) {
        self.running.take().unwrap().stop().unwrap();
        self.dir = None;
    }

    pub fn inner(&self) -> &dbward::server::Server {
        self.running.as_ref().unwrap()
    }

    /// Stops in order, on a thread of its own, while the test goes on calling.
    pub fn stop_in_background(&mut self) -> std::thread::JoinHandle<()> {
        let running = self.running.take().unwrap();
        std::thread::spawn(move || running.stop().unwrap())
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.as_ref().unwrap().path().join("state")
    }

    /// Somebody without a token.
    pub fn nobody(&self) -> Person {
        Person::new(self.inner().addr(), "nobody", None, self.faults.clone())
    }

    /// Somebody with this token.
    pub fn bearer(&self, subject: &str, token: &str) -> Person {
        let token = Some(token.to_owned());
        Person::new(self.inner().addr(), subject, token, self.faults.clone())
    }

    pub fn admin(&self) -> Person {
        let token = fs::read_to_string(self.state_dir().join("admin-token")).unwrap();
        self.bearer("admin", &token)
    }

    /// Somebody with a token of these roles, which the administrator made.
    pub fn person(&self, subject: &str, roles: &[&str]) -> Person {
        let token = self.token(subject, "user", roles);
        self.bearer(subject, &token)
    }

    fn token(&self, subject: &str, kind: &str, roles: &[&str]) -> String {
        let known = format!("{subject} {roles:?}");
        if let Some(token) = self.tokens.lock().unwrap().get(&known) {
            return token.clone();
        }
        let body = json!({"subject_id": subject, "subject_type": kind, "roles": roles});
        let token = self
            .admin()
            .post("/api/tokens", &body)
            .is(201)
            .text("token");
        self.tokens.lock().unwrap().insert(known, token.clone());
        token
    }

    pub fn requester(&self) -> Person {
        self.person("requester", &["developer"])
    }

    pub fn approver(&self) -> Person {
        self.person("approver", &["readonly"])
    }

    /// An agent for all of the shop.
    pub fn agent(&self, name: &str) -> Agent {
        let token = self.token(name, "agent", &["agent-default"]);
        Agent::new(self.bearer(name, &token))
    }

    /// Turns the clock, and runs what is due by it.
    pub fn turn(&self, secs: u64) {
        self.turn_only(secs);
        self.sweep();
    }

    /// Turns the clock and leaves what is due to the next call.
    pub fn turn_only(&self, secs: u64) {
        self.clock.turn(Duration::from_secs(secs));
        // Delivery waits by the time of day, which does not know of it.
        if let Some(running) = &self.running {
            running.app().due.notify();
        }
    }

    pub fn sweep(&self) {
        let jobs = self.inner().job_state();
        dbward::jobs::expire(jobs).unwrap();
        dbward::jobs::lease(jobs).unwrap();
    }

    /// What retention does once an hour.
    pub fn purge(&self) {
        let jobs = self.inner().job_state();
        dbward::jobs::results(jobs).unwrap();
        dbward::jobs::retention(jobs).unwrap();
    }

    pub fn minute(&self) {
        dbward::jobs::minute(self.inner().job_state()).unwrap();
    }

    pub fn flush(&self) {
        dbward::jobs::flush(self.inner().job_state()).unwrap();
    }

    /// Long-polls that wait now.
    pub fn parked(&self) -> i64 {
        let page = self.inner().app().metrics.render();
        let line = page
            .lines()
            .find_map(|l| l.strip_prefix("dbward_gate_parked "));
        line.map_or(0, |n| n.parse().unwrap())
    }

    /// Audit events that match a query, newest first.
    pub fn events(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/audit/events?limit=200&{query}");
        self.admin().get(&path).is(200).list("events")
    }

    /// Keys of stored results, in order.
    pub fn stored(&self) -> Vec<String> {
        let listed = self.inner().app().objects.list(None, 1_000).unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }

    /// A stored result, as it lies there.
    pub fn object(&self, key: &str) -> Vec<u8> {
        let found = self.inner().app().objects.get(key, 1 << 20);
        found.unwrap().unwrap()
    }

    /// Writes over a stored result, past everything that knows of it.
    pub fn overwrite(&self, key: &str, bytes: &[u8]) {
        let objects = &self.inner().app().objects;
        objects.put(key, bytes, self.clock.now()).unwrap();
    }

    /// Removes a stored result, past everything that knows of it.
    pub fn remove(&self, key: &str) {
        self.inner().app().objects.delete(key).unwrap();
    }

    /// Stops, edits the state file, and starts again with `--quarantine`.
    pub fn quarantined(mut self, sql: &str) -> Server {
        self.running.take().unwrap().stop().unwrap();
        self.edit_state(sql);
        let toml = format!("{}{QUARANTINE}", self.toml.trim_end_matches(QUARANTINE));
        self.start_again(&toml)
    }

    /// Stops, edits the state file, and starts again.
    pub fn restart_edited(mut self, edit: impl FnOnce(&Server)) -> Server {
        self.running.take().unwrap().stop().unwrap();
        edit(&self);
        let toml = self.toml.clone();
        self.start_again(&toml)
    }

    /// Why a start is refused after this edit of the state file.
    pub fn refused_after(mut self, sql: &str) -> String {
        self.running.take().unwrap().stop().unwrap();
        self.edit_state(sql);
        let dir = self.dir.as_ref().unwrap().path();
        let text = format!(
            "state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{}",
            self.toml
        );
        let config = Config::parse(&text, dir, &|_| None).unwrap();
        let options = StartOptions {
            clock: self.clock.clone(),
            ..StartOptions::default()
        };
        let refused = dbward::server::Server::start(&config, options).err();
        refused.expect("the start goes on").to_string()
    }

    /// Edits the state file under the running server, with every guard of its schema switched off.
    pub fn edit_state(&self, sql: &str) {
        self.edited.store(true, Ordering::SeqCst);
        let db = rusqlite::Connection::open(self.state_dir().join("dbward.db")).unwrap();
        let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        db.set_db_config(off, false).unwrap();
        db.execute_batch(&format!(
            "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}"
        ))
        .unwrap();
    }

    /// Edits rows of a request the same way; `?` in the statement is its `request_seq`.
    pub fn edit_request(&self, request: &Request, sql: &str) {
        let row = format!("(SELECT seq FROM requests WHERE id = '{}')", request.id);
        self.edit_state(&sql.replace('?', &row));
    }

    /// Forgets internal errors that the test provoked; returns how many there were.
    pub fn forgive_faults(&self) -> usize {
        std::mem::take(&mut *self.faults.lock().unwrap()).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(dir) = &self.dir else { return };
        if std::thread::panicking() {
            return;
        }
        if self.running.is_some() {
            let proof = self.admin().get("/api/audit/verify");
            // Live rows that the test edited stay edited.
            let edited = self.edited.load(Ordering::SeqCst)
                && proof.json["problem"]
                    .as_str()
                    .is_some_and(|p| p.ends_with(NOT_OF_THE_HEAD));
            assert!(
                proof.status == 401 || proof.json["valid"] == true || edited,
                "the server finds its audit log broken: {}",
                proof.raw()
            );
        }
        self.running = None;
        let proof = verified(&dir.path().join("state"));
        assert!(proof.valid, "the audit log is broken: {proof:?}");
        replayed(&dir.path().join("state"));
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "internal errors: {faults:?}");
    }
}
