//! What says nothing any more: a network between the agent and its server or its database, and a statement that
//! notices nothing while the agent has to stop.

use super::places::{placed, sqlite};
use super::served::{Endless, Served, prepared};
use super::sqlite::{DEAF, ENDLESS};
use super::{Cancel, JobEffect, Place, Record, RunOutcome, failure, job, running};
use crate::replication::proxy::{Lost, Proxy};
use crate::support::eventually;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig};
use dbward::domain::id::Operation;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seconds that a request may run, in the server's time; its lease is half a minute longer.
const TIMEOUT_SECS: u64 = 50;
const LEASE_SECS: u64 = TIMEOUT_SECS + 30;

#[test]
fn execution_on_a_silent_network_is_lost_with_its_lease() {
    let mut served = Served::start(sqlite(), TIMEOUT_SECS);
    served.kill_agent();
    let proxy = Proxy::start(served.server.requester().at);
    served.start_agent_with(proxy.addr(), "max_concurrent = 1\n", &[]);
    served.place.done(&["CREATE TABLE t (id INTEGER)"]);
    let request = served.submit(&format!("INSERT INTO t {ENDLESS}"), "");
    eventually("it runs", || {
        request.by.show(&request).text("status") == "running"
    });
    proxy.shut();
    served.server.turn(LEASE_SECS - 1);
    request.clone().is("running");
    served.server.turn(1);
    request.clone().is("execution_lost");
    // The agent learns of it as soon as anything gets through, and has its only place for the next one.
    proxy.open();
    let began = Instant::now();
    let next = served.run("INSERT INTO t VALUES (7)");
    assert_eq!(next.json["success"], true, "{}", next.raw());
    assert!(began.elapsed() < Duration::from_secs(TIMEOUT_SECS / 2));
    assert_eq!(served.place.count("t"), 1);
}

#[test]
fn a_statement_that_ignores_everything_keeps_no_agent_from_stopping() {
    let mut served = Served::start(sqlite(), 120);
    served.kill_agent();
    let at = served.server.requester().at;
    served.start_agent_with(at, "drain_secs = 0\n", &[]);
    let request = served.submit(DEAF, "");
    eventually("the statement works", || {
        let children = served.agent().children();
        children.iter().any(|(_, ticks)| *ticks > 50)
    });
    let began = Instant::now();
    served.stop_agent();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let reported = served.result(&request).is(200);
    let message = reported.text("error_message");
    assert!(message.contains("the agent had to stop"), "{message}");
}

/// A network to the database of `place` that can go silent.
fn behind_a_proxy(place: &Place) -> (Proxy, Place) {
    let (DriverConfig::Postgres(at) | DriverConfig::MySql(at)) = &place.driver else {
        panic!("no server");
    };
    let mut addresses = (at.host.as_str(), at.port).to_socket_addrs().unwrap();
    let proxy = Proxy::start(addresses.next().unwrap());
    let endpoint = DatabaseEndpoint {
        host: proxy.addr().ip().to_string(),
        port: proxy.addr().port(),
        ..at.clone()
    };
    let driver = match &place.driver {
        DriverConfig::Postgres(_) => DriverConfig::Postgres(endpoint),
        _ => DriverConfig::MySql(endpoint),
    };
    (proxy, placed(driver))
}

/// A statement whose database says nothing more ends with its time, has changed nothing, and frees its slot.
pub fn a_database_that_says_nothing_ends_a_statement_with_its_time(
    place: Place,
    endless: &Endless,
) {
    let (proxy, silent) = behind_a_proxy(&place);
    let mut served = Served::start(silent, 3);
    served.kill_agent();
    let at = served.server.requester().at;
    served.start_agent_with(at, "max_concurrent = 1\n", &[]);
    prepared(&served);
    let request = served.submit(endless.sql, "");
    eventually("the statement runs", || place.value(endless.running) != "0");
    proxy.shut();
    let late = served.result(&request).is(200);
    assert_eq!(late.json["success"], false, "{}", late.raw());
    let message = late.text("error_message");
    assert!(
        message.contains("statement timeout reached (3 s); rolled back"),
        "{message}"
    );
    proxy.open();
    eventually("the database has ended it", || {
        place.value(endless.running) == "0"
    });
    assert_eq!(place.count("t"), 1);
    // On a slow machine the few seconds of the first may not be enough for the next.
    eventually("the next statement", || {
        served.run("INSERT INTO t VALUES (5)").json["success"] == true
    });
}

/// How a database is asked who waits for whom.
pub struct LockWords {
    /// Sleeps for a minute.
    pub sleep: &'static str,
    /// How many sessions run that.
    pub sleeps: &'static str,
    /// How many statements wait for a lock of the table `t`.
    pub waits: &'static str,
    /// What the error of a lock that was not free has in it.
    pub error: &'static str,
    /// Takes the limit on waiting away, as far as a statement can.
    pub lifts: &'static str,
}

/// A plan that has read the table `t`, which it locks against changes of the structure, and then sleeps for a minute.
struct Holder {
    let_go: Cancel,
    thread: std::thread::JoinHandle<RunOutcome>,
}

impl Holder {
    fn of(place: &Arc<Place>, words: &LockWords) -> Holder {
        let plan = ["SELECT count(*) FROM t", words.sleep];
        let mut job = job(Operation::ExecuteDml, &plan);
        job.timeout_secs = 120;
        let (let_go, held, thread) = running(place, job);
        held.recv().unwrap();
        eventually("the lock is held", || place.value(words.sleeps) == "1");
        Holder { let_go, thread }
    }

    fn ends(self) {
        self.let_go.ask(super::StopReason::Cancelled);
        failure(self.thread.join().unwrap());
    }
}

/// A place with a table `t`, whose agent waits a minute for locks.
fn with_a_table(mut place: Place) -> Arc<Place> {
    match &mut place.driver {
        DriverConfig::Postgres(at) | DriverConfig::MySql(at) => at.lock_timeout_secs = 60,
        other => panic!("no server: {other:?}"),
    }
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    place.done(&["INSERT INTO t VALUES (1)"]);
    Arc::new(place)
}

/// Nobody who comes after a statement that waits for a lock waits longer than that statement may.
pub fn readers_after_a_waiting_statement_go_on(place: Place, words: &LockWords) {
    let place = with_a_table(place);
    let waiting = |n: &str| place.value(words.waits) == n;
    let holder = Holder::of(&place, words);
    let mut alter = job(
        Operation::ExecuteDml,
        &["ALTER TABLE t ADD COLUMN v INTEGER"],
    );
    alter.lock_timeout_secs = 10;
    let (_cancel, _started, altering) = running(&place, alter);
    eventually("the change waits", || waiting("1"));
    let mut read = job(Operation::ExecuteSelect, &["SELECT count(*) AS n FROM t"]);
    read.lock_timeout_secs = 60;
    let (_cancel, _started, reading) = running(&place, read);
    eventually("the reader waits for it", || waiting("2"));
    let outcome = reading.join().unwrap();
    assert!(matches!(outcome, RunOutcome::Rows { .. }), "{outcome:?}");
    // All the while the lock was held.
    assert_eq!(place.value(words.sleeps), "1");
    let (message, effect) = failure(altering.join().unwrap());
    assert!(message.contains(words.error), "{message}");
    assert_eq!(effect, JobEffect::RolledBack);
    holder.ends();
}

/// Whatever locks a table against others gives up where somebody else holds it: each of `statements`, and a migration,
/// also one without a transaction.
pub fn what_locks_a_table_gives_up(place: Place, words: &LockWords, statements: &[&str]) {
    let place = with_a_table(place);
    let holder = Holder::of(&place, words);
    for sql in statements {
        let mut change = job(Operation::ExecuteDml, &[sql]);
        change.lock_timeout_secs = 1;
        let (message, _) = failure(place.run(&change));
        assert!(message.contains(words.error), "{sql}: {message}");
    }
    let mut lifted = job(Operation::ExecuteDml, &[words.lifts, statements[0]]);
    lifted.lock_timeout_secs = 1;
    let (message, _) = failure(place.run(&lifted));
    assert!(message.contains(words.error), "{message}");
    for how in ["", " transaction:false"] {
        let file = format!(
            "-- migrate:up{how}\n{};\nALTER TABLE t ADD COLUMN v INTEGER",
            words.lifts
        );
        let mut migration = super::migrations::job_of(&[("1", &file)]);
        migration.lock_timeout_secs = 1;
        let (message, _) = failure(place.run(&migration));
        assert!(message.contains(words.error), "{file}: {message}");
    }
    assert_eq!(place.value(words.sleeps), "1");
    holder.ends();
}

/// Does something between the moment at which the journal knows of a commit and the commit.
pub struct AtCommit<F>(pub F);

impl<F: FnMut()> Record for AtCommit<F> {
    fn started(&mut self, _: Option<&str>, _: bool) -> Result<(), String> {
        Ok(())
    }

    fn committing(&mut self, _: Option<&str>, _: u64) -> Result<(), String> {
        (self.0)();
        Ok(())
    }
}

/// Inserts a row through a network to which `happens` just before COMMIT is sent, with three seconds of time.
fn commits_while(place: &Place, happens: impl FnMut(&Proxy) + Send) -> RunOutcome {
    place.done(&["CREATE TABLE t (id INTEGER)"]);
    let (proxy, through) = behind_a_proxy(place);
    let mut happens = happens;
    let mut record = AtCommit(|| happens(&proxy));
    let mut insert = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)"]);
    insert.timeout_secs = 3;
    let outcome = through
        .wall
        .run(&through.driver, &insert, &Cancel::new(), &mut record);
    proxy.cut();
    outcome
}

/// COMMIT arrives, and its answer does not.
pub fn an_answer_to_a_commit_that_is_lost_is_proved(place: Place) {
    let outcome = commits_while(&place, |proxy| proxy.lose(Lost::Answers));
    assert_eq!(outcome, RunOutcome::Changed { rows: 1 });
    assert_eq!(place.count("t"), 1);
}

/// Has `sql` run, and the connection end instead of passing its COMMIT on; what it comes to.
pub fn the_connection_breaks_at_the_commit_of(place: &Place, sql: &str) -> RunOutcome {
    let (proxy, through) = behind_a_proxy(place);
    let mut record = AtCommit(|| proxy.cut());
    let write = job(Operation::ExecuteDml, &[sql]);
    through
        .wall
        .run(&through.driver, &write, &Cancel::new(), &mut record)
}

/// COMMIT does not arrive, and neither does anything about that.
pub fn a_commit_that_is_lost_is_never_called_executed(place: Place) {
    let outcome = commits_while(&place, |proxy| proxy.lose(Lost::Everything));
    let (message, effect) = failure(outcome);
    assert_eq!(effect, JobEffect::Unknown, "{message}");
    assert!(
        message.contains("may or may not have taken effect"),
        "{message}"
    );
    assert_eq!(place.count("t"), 0);
}

/// The connection ends instead of passing COMMIT on; the failure, and the rows that are there.
pub fn the_connection_breaks_at_a_commit(place: Place) -> (String, JobEffect, i64) {
    let (message, effect) = failure(commits_while(&place, Proxy::cut));
    (message, effect, place.count("t"))
}
