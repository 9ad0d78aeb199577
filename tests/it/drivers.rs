//! The agent's drivers on real databases, each job in a child process as in production: one table of claims for SQLite,
//! PostgreSQL and MySQL or MariaDB. The last two run where DBWARD_TEST_POSTGRES_URL and DBWARD_TEST_MYSQL_URL name a
//! server on which databases may be made.

mod awkward;
mod chaos;
mod constructs;
mod forged;
mod held;
mod lies;
mod locks;
mod logs;
mod migrations;
mod mysql;
pub mod places;
mod postgres;
mod rehearsals;
mod returned;
mod served;
mod silence;
mod sqlite;
mod values;
mod walled;

use crate::support::Temp;
use dbward::agent::config::{DriverConfig, ROWS_BYTES_MAX};
use dbward::agent::drivers::{Cancel, DriverJob, JobEffect, RunOutcome, StopReason};
use dbward::agent::wall::{Record, Wall};
use dbward::domain::id::Operation;
use dbward::domain::policy::execution::LOCK_SECS_DEFAULT;
use serde_json::Value;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Held by the test that asks which transactions there are.
static LOOKS: Mutex<()> = Mutex::new(());

/// A database of a test's own, and the wall in front of it.
pub struct Place {
    pub driver: DriverConfig,
    pub wall: Wall,
    /// Ends what the test has made.
    cleans: Option<Box<dyn FnOnce() + Send + Sync>>,
    _folder: Temp,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(clean) = self.cleans.take() {
            clean();
        }
    }
}

/// What is written down of a run.
#[derive(Default)]
pub struct Journal {
    pub session: Option<String>,
    pub atomic: Option<bool>,
    pub mark: Option<String>,
    pub committing: bool,
    /// Tells when the first statement is about to run.
    pub started: Option<Sender<()>>,
    /// Refuses to write down that a commit is next.
    pub refuses: bool,
}

impl Record for Journal {
    fn started(&mut self, session: Option<&str>, atomic: bool) -> Result<(), String> {
        self.session = session.map(str::to_owned);
        self.atomic = Some(atomic);
        if let Some(started) = &self.started {
            started.send(()).unwrap();
        }
        Ok(())
    }

    fn committing(&mut self, mark: Option<&str>, _: u64) -> Result<(), String> {
        self.committing = true;
        self.mark = mark.map(str::to_owned);
        match self.refuses {
            true => Err("the journal is full".to_owned()),
            false => Ok(()),
        }
    }
}

pub fn job(operation: Operation, plan: &[&str]) -> DriverJob {
    DriverJob {
        operation,
        plan: plan.iter().map(|sql| (*sql).to_owned()).collect(),
        timeout_secs: 30,
        max_rows: None,
        max_result_bytes: ROWS_BYTES_MAX,
        max_affected_rows: None,
        lock_timeout_secs: LOCK_SECS_DEFAULT,
    }
}

impl Place {
    pub fn run(&self, job: &DriverJob) -> RunOutcome {
        self.wall
            .run(&self.driver, job, &Cancel::new(), &mut Journal::default())
    }

    pub fn read(&self, plan: &[&str]) -> RunOutcome {
        self.run(&job(Operation::ExecuteSelect, plan))
    }

    pub fn write(&self, plan: &[&str]) -> RunOutcome {
        self.run(&job(Operation::ExecuteDml, plan))
    }

    /// Runs `plan`, which must commit; the rows that it changed.
    pub fn done(&self, plan: &[&str]) -> u64 {
        committed(self.write(plan))
    }

    /// The rows of a read, and their text.
    pub fn rows(&self, sql: &str) -> (Value, String) {
        match self.read(&[sql]) {
            RunOutcome::Rows { json, .. } => (
                serde_json::from_str(&json).unwrap_or_else(|e| panic!("{sql}: {e}: {json}")),
                json,
            ),
            other => panic!("{sql}: {other:?}"),
        }
    }

    /// The only value of the only row of a read, as it stands in the result.
    pub fn value(&self, sql: &str) -> String {
        // MariaDB answers about transactions from a cache that it keeps for as long as somebody looks ten times a second.
        let _looks_alone = sql.to_ascii_lowercase().contains("innodb_trx").then(|| {
            let alone = LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
            std::thread::park_timeout(Duration::from_millis(150));
            alone
        });
        let (rows, text) = self.rows(sql);
        assert_eq!(
            rows["rows"].as_array().map(Vec::len),
            Some(1),
            "{sql}: {text}"
        );
        let start = text.find("\"rows\":[{").unwrap() + 9;
        let end = text
            .find("}],\"cell_types\"")
            .or(text.find("}],\"truncated\""));
        let end = end.unwrap();
        text[start..end].split_once(':').unwrap().1.to_owned()
    }

    pub fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT count(*) AS n FROM {table}"))
            .parse()
            .unwrap()
    }
}

/// The rows that a write has changed, which committed and may have returned some.
#[track_caller]
pub fn committed(outcome: RunOutcome) -> u64 {
    match outcome {
        RunOutcome::Changed { rows } | RunOutcome::Returned { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

/// The message of a failure, and what it left.
pub fn failure(outcome: RunOutcome) -> (String, JobEffect) {
    match outcome {
        RunOutcome::Failed {
            message, effect, ..
        } => (message, effect),
        other => panic!("it worked: {other:?}"),
    }
}

/// Starts a job that does not end by itself; what it comes to, and how to end it.
pub fn running(
    place: &std::sync::Arc<Place>,
    job: DriverJob,
) -> (Cancel, Receiver<()>, std::thread::JoinHandle<RunOutcome>) {
    let (started, seen) = channel();
    let cancel = Cancel::new();
    let (place, asked) = (std::sync::Arc::clone(place), cancel.clone());
    let thread = std::thread::spawn(move || {
        let mut journal = Journal {
            started: Some(started),
            ..Journal::default()
        };
        place.wall.run(&place.driver, &job, &asked, &mut journal)
    });
    (cancel, seen, thread)
}

/// Claims that hold on every database.
pub mod claims {
    use super::*;
    use std::sync::Arc;

    pub fn a_write_is_all_or_nothing(place: &Place) {
        assert_eq!(
            place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))"]),
            0
        );
        assert_eq!(
            place.done(&[
                "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
                "UPDATE t SET v = 'c' WHERE id = 1"
            ]),
            3
        );
        let (message, effect) = failure(place.write(&[
            "INSERT INTO t VALUES (3, 'd')",
            "INSERT INTO t VALUES (1, 'again')",
        ]));
        assert_eq!(effect, JobEffect::RolledBack);
        assert!(
            message.starts_with("statement 2: ") && message.ends_with("; rolled back"),
            "{message}"
        );
        assert_eq!(place.count("t"), 2);
    }

    pub fn a_commit_waits_for_the_journal(place: &Place) {
        place.done(&["CREATE TABLE t (id INTEGER)"]);
        let mut journal = Journal {
            refuses: true,
            ..Journal::default()
        };
        let job = job(Operation::ExecuteDml, &["INSERT INTO t VALUES (1)"]);
        let (message, effect) = failure(place.wall.run(
            &place.driver,
            &job,
            &Cancel::new(),
            &mut journal,
        ));
        assert_eq!(effect, JobEffect::RolledBack, "{message}");
        assert!(message.contains("the journal is full"), "{message}");
        assert!(journal.committing && journal.atomic == Some(true));
        assert_eq!(place.count("t"), 0);
    }

    /// What a server with a stolen key, or a bug, might sign as a read.
    pub fn lies_about_reads_are_refused(place: &Place) {
        place.done(&["CREATE TABLE t (id INTEGER)"]);
        for plan in [
            &["/*x*/ COMMIT; CREATE TABLE pwn(id INTEGER); SELECT 1"][..],
            &["/*x*/ COMMIT", "CREATE TABLE pwn(id INTEGER)", "SELECT 1"],
            &["SELECT 1; CREATE TABLE pwn(id INTEGER)"],
            &["CREATE TABLE pwn(id INTEGER)"],
            &["INSERT INTO t VALUES (1)"],
            &["WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x"],
            &["SET TRANSACTION READ WRITE", "INSERT INTO t VALUES (1)"],
            &["EXPLAIN SELECT 1", "DELETE FROM t"],
            &["SELECT 1\0"],
            &[""],
            &[],
        ] {
            let outcome = place.read(plan);
            assert!(
                matches!(
                    outcome,
                    RunOutcome::Failed {
                        effect: JobEffect::RolledBack,
                        ..
                    }
                ),
                "{plan:?}: {outcome:?}"
            );
        }
        assert_eq!(place.count("t"), 0);
        failure(place.read(&["SELECT * FROM pwn"]));
    }

    pub fn a_plan_keeps_its_bytes(place: &Place) {
        place.done(&["CREATE TABLE t (v VARCHAR(100))"]);
        let odd = "? %s $1 :x {{v}} ${HOME} é 😀";
        place.done(&[&format!("INSERT INTO t VALUES ('{odd}')")]);
        assert_eq!(place.value("SELECT v FROM t"), Value::from(odd).to_string());
        assert_eq!(place.value("SELECT 'a?b' AS v"), "\"a?b\"");
    }

    /// `set` is what sets something, and what reads it.
    pub fn nothing_of_a_session_reaches_the_next(place: &Place, set: [&str; 2], temporary: &str) {
        let [sets, reads] = set;
        let before = place.value(reads);
        place.done(&[sets]);
        assert_eq!(place.value(reads), before);
        place.done(&[temporary]);
        let (_, effect) = failure(place.read(&["SELECT * FROM only_mine"]));
        assert_eq!(effect, JobEffect::RolledBack);
    }

    pub fn time_ends_what_does_not_end(place: &Place, endless: &str) {
        let mut job = job(Operation::ExecuteSelect, &[endless]);
        job.timeout_secs = 1;
        let began = Instant::now();
        let (message, effect) = failure(place.run(&job));
        assert_eq!(
            (message.as_str(), effect),
            ("statement timeout reached (1 s)", JobEffect::RolledBack)
        );
        assert!(
            began.elapsed() < Duration::from_secs(12),
            "{:?}",
            began.elapsed()
        );
    }

    /// `plan` changes the row 1 of `t` and then does not end.
    pub fn cancelling_ends_a_write_in_the_database(place: Place, plan: &[&str]) {
        place.done(&["CREATE TABLE t (id INTEGER)"]);
        place.done(&["INSERT INTO t VALUES (1)"]);
        let place = Arc::new(place);
        let (cancel, started, thread) = running(&place, job(Operation::ExecuteDml, plan));
        started.recv_timeout(Duration::from_secs(20)).unwrap();
        cancel.ask(StopReason::Cancelled);
        let (message, effect) = failure(thread.join().unwrap());
        assert_eq!(
            (message.as_str(), effect),
            ("query cancelled; rolled back", JobEffect::RolledBack)
        );
        // Not even a lock is left.
        assert_eq!(place.done(&["UPDATE t SET id = 2 WHERE id = 1"]), 1);
        assert_eq!(place.count("t"), 1);
    }

    pub fn a_result_stops_at_its_limits(place: &Place, many: &str) {
        let mut job = job(Operation::ExecuteSelect, &[many]);
        job.max_rows = Some(3);
        let RunOutcome::Rows { json, truncated } = place.run(&job) else {
            panic!("no rows");
        };
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(truncated);
        assert_eq!(json["rows"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["truncation_reason"], "row limit reached (3)");
    }

    pub fn more_rows_than_approved_change_nothing(place: &Place) {
        let key = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)";
        place.done(&[key]);
        place.done(&["INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)"]);
        let mut job = job(
            Operation::ExecuteDml,
            &["UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 1"],
        );
        job.max_affected_rows = Some(3);
        let (message, effect) = failure(place.run(&job));
        assert_eq!(effect, JobEffect::RolledBack, "{message}");
        assert!(
            message.contains("4 rows would change, 3 approved: nothing was changed"),
            "{message}"
        );
        assert_eq!(place.count("t WHERE v = 1"), 0);
        job.max_affected_rows = Some(4);
        assert_eq!(place.run(&job), RunOutcome::Changed { rows: 4 });
    }

    pub fn tables_are_described_and_statements_explained(place: &Place) {
        place.done(&["CREATE TABLE p (id INTEGER PRIMARY KEY, v VARCHAR(10) UNIQUE)"]);
        place.done(&["CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER NOT NULL, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)"]);
        let text = place.wall.describe(&place.driver, &Cancel::new()).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        let table = |name: &str| {
            let tables = all["tables"].as_array().unwrap();
            tables
                .iter()
                .find(|t| t["name"] == name)
                .unwrap_or_else(|| panic!("{name}: {text}"))
                .clone()
        };
        let keys = table("c")["constraints"].as_array().unwrap().clone();
        let foreign = keys
            .iter()
            .find(|k| k["constraint_type"] == "foreign_key")
            .unwrap();
        assert_eq!(
            (&foreign["referenced_table"], &foreign["on_delete"]),
            (&"p".into(), &"CASCADE".into())
        );
        assert_eq!(foreign["columns"], serde_json::json!(["p"]));
        assert_eq!(foreign["referenced_columns"], serde_json::json!(["id"]));
        assert_eq!(table("p")["columns"][0]["is_primary_key"], true, "{text}");
        assert!(table("p")["estimated_rows"].is_i64());
        let explain = |sql: &str| place.wall.explain(&place.driver, sql, &Cancel::new());
        for sql in [
            "SELECT * FROM c WHERE id = 1",
            "DELETE FROM c WHERE id = 1",
            "-- why\nUPDATE c SET p = 2 WHERE id = 3",
        ] {
            let plan = explain(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            serde_json::from_str::<Value>(&plan).unwrap();
        }
        for sql in [
            "SELECT 1; DELETE FROM c",
            "SELECT * FROM missing",
            "COMMIT",
            "SELECT 1\0",
            "",
        ] {
            assert!(explain(sql).is_err(), "{sql}");
        }
    }

    /// Two thousand tables are described within seconds.
    pub fn many_tables_are_described_in_time(place: &Place, kind: &str) {
        for hundred in 0..20 {
            let plan: Vec<String> = (0..100)
                .map(|n| {
                    format!(
                        "CREATE TABLE t{} (id INTEGER PRIMARY KEY, v VARCHAR(10)) {kind}",
                        hundred * 100 + n
                    )
                })
                .collect();
            place.done(&plan.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let began = Instant::now();
        let text = place.wall.describe(&place.driver, &Cancel::new()).unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
        let all: Value = serde_json::from_str(&text).unwrap();
        let tables = all["tables"].as_array().unwrap();
        assert_eq!(tables.len(), 2000);
        assert!(
            tables
                .iter()
                .all(|t| t["columns"].as_array().unwrap().len() == 2),
            "{}",
            tables[0]
        );
    }
}
