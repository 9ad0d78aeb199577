//! Statements that PostgreSQL runs in no transaction. They need a session of their own: limits that are set in a session
//! stay there, and a pooler gives each statement another one, in which somebody else works.

use super::session::{checks_for_the_client, set};
use super::statement::{InvalidIndex, change, detached_halfway, invalid_indexes};
use super::watch::{PgDeadline, PgStop};
use super::wire::{Fault, PgConnection};
use super::{Control, DriverJob, JobEffect, Postgres, RunOutcome, guard};
use crate::agent::drivers::rows::Results;
use crate::domain::dialect::Dialect;

/// The answer where a pooler stands before the database.
const POOLED: &str = "what runs in no transaction needs a session of its own, and a connection pooler stands before \
     this database; configure the address of the database itself for the agent";

/// Whether a statement that fails may have committed a part of its work where nobody looks for it: procedures and blocks
/// commit by themselves, subscriptions change another server, and a database is marked before it is dropped.
fn may_stop_halfway(sql: &str) -> bool {
    let (first, second) = guard::leading_words(sql, Dialect::Postgres);
    matches!(
        (first.as_str(), second.as_str()),
        ("CALL" | "DO", _) | ("CREATE" | "ALTER" | "DROP", "SUBSCRIPTION") | ("DROP", "DATABASE")
    )
}

/// Whether PostgreSQL has statements of this kind that run in no transaction. Others are not run a second time without
/// one, whatever refuses them: what they did outside the transaction would happen twice.
pub(super) fn needs_no_transaction(sql: &str) -> bool {
    let (first, second) = guard::leading_words(sql, Dialect::Postgres);
    match first.as_str() {
        "VACUUM" | "CLUSTER" | "REINDEX" | "CALL" | "DO" => true,
        "CREATE" | "ALTER" | "DROP" => [
            "DATABASE",
            "INDEX",
            "SUBSCRIPTION",
            "SYSTEM",
            "TABLE",
            "TABLESPACE",
            "TYPE",
            "UNIQUE",
        ]
        .contains(&second.as_str()),
        _ => false,
    }
}

/// A session of our own, outside a transaction.
pub(super) struct Alone {
    pub conn: PgConnection,
    /// Its name for [`crate::agent::drivers::Driver::interrupt`]: process and start of the process.
    pub session: String,
    /// The indexes that are invalid already.
    invalid_before: Vec<String>,
    /// The partitions that are detached by half already.
    detached_before: Vec<String>,
}

impl Alone {
    /// Connects; refuses where the session is not the one that the login named.
    pub fn open(driver: &Postgres, watch: &PgDeadline) -> Result<Alone, PgStop> {
        let mut conn = driver.connect(watch)?;
        let name = driver.begin(&mut conn, "", watch)?;
        conn.commit()?;
        // What was set for the transaction has gone with it.
        let raw_bytes = conn.server_encoding == "SQL_ASCII";
        conn.own(&set(&driver.reading(raw_bytes), false))?;
        // Refused where the system cannot do it.
        match conn.own(&checks_for_the_client(false)) {
            Ok(_) | Err(Fault::Refused(_)) => {}
            Err(fault) => return Err(fault.into()),
        }
        let parts: Vec<&str> = name.split('@').take(2).collect();
        let process = parts.first().and_then(|pid| pid.parse().ok());
        if process.is_none() || process != conn.backend {
            return Err(PgStop::Failed(POOLED.to_owned()));
        }
        Ok(Alone {
            session: parts.join("@"),
            invalid_before: shown(invalid_indexes(&mut conn)?),
            detached_before: detached_halfway(&mut conn)?,
            conn,
        })
    }

    /// Runs one statement under the limits of `watch`; the rows that it has changed. Those that it returns go to
    /// `results`.
    pub fn run(
        &mut self,
        sql: &str,
        results: &mut Results,
        watch: &PgDeadline,
    ) -> Result<u64, PgStop> {
        watch.look()?;
        self.conn.own(&format!(
            "SET statement_timeout = {}; SET lock_timeout = {}",
            watch.left_ms(),
            watch.lock_secs * 1000
        ))?;
        change(&mut self.conn, sql, results)
    }

    /// Indexes that are invalid now.
    pub fn invalid(&mut self) -> Result<Vec<InvalidIndex>, PgStop> {
        self.conn.own("RESET statement_timeout")?;
        invalid_indexes(&mut self.conn)
    }

    /// Whether it was not when the session began.
    pub fn is_new(&self, index: &InvalidIndex) -> bool {
        !self.invalid_before.contains(&index.shown)
    }

    /// What `sql` has left, which failed, and the end of the sentence that says so.
    pub fn left_by(&mut self, sql: &str) -> (JobEffect, String) {
        match self.left(sql) {
            Ok(left) if !left.is_empty() => (JobEffect::Partial, left),
            Ok(_) if !may_stop_halfway(sql) => (JobEffect::RolledBack, String::new()),
            _ => (
                JobEffect::Unknown,
                "; it may or may not have taken effect".to_owned(),
            ),
        }
    }

    fn left(&mut self, sql: &str) -> Result<String, PgStop> {
        let mut sentence = String::new();
        // Somebody else may build one at the same time.
        let mut invalid = self.invalid()?;
        invalid.retain(|index| self.is_new(index) && index.may_be_of(sql));
        let invalid = shown(invalid);
        if !invalid.is_empty() {
            sentence.push_str(&format!(
                "; it left an invalid index: {}",
                invalid.join(", ")
            ));
        }
        let mut detached = detached_halfway(&mut self.conn)?;
        detached.retain(|name| !self.detached_before.contains(name));
        if !detached.is_empty() {
            sentence.push_str(&format!(
                "; it left a partition detached by half, which FINALIZE ends: {}",
                detached.join(", ")
            ));
        }
        Ok(sentence)
    }
}

fn shown(indexes: Vec<InvalidIndex>) -> Vec<String> {
    indexes.into_iter().map(|index| index.shown).collect()
}

/// Runs the only statement of a plan.
pub(super) fn write(
    driver: &Postgres,
    job: &DriverJob,
    watch: &PgDeadline,
    control: &dyn Control,
) -> Result<RunOutcome, PgStop> {
    if job.max_affected_rows.is_some() {
        return Err(PgStop::Failed(
            "the statement cannot run in a transaction, and a number of rows was approved"
                .to_owned(),
        ));
    }
    let mut alone = Alone::open(driver, watch)?;
    control
        .started(Some(&alone.session), false)
        .map_err(PgStop::Failed)?;
    let sql = job.plan.first().map_or("", String::as_str);
    let mut results = Results::new(job.rows_max(), job.bytes_max());
    let stop = match alone.run(sql, &mut results, watch) {
        Ok(rows) => return Ok(RunOutcome::changed(rows, results)),
        Err(stop) => stop,
    };
    let (mut message, detail) = watch.why(stop);
    let (effect, left) = alone.left_by(sql);
    message.push_str(&left);
    Ok(RunOutcome::failure(message, effect).with_detail(detail))
}

#[cfg(test)]
mod tests {
    use super::needs_no_transaction;

    #[test]
    fn only_what_may_need_no_transaction_runs_without_one() {
        for (sql, runs) in [
            ("VACUUM t", true),
            ("/* x */ create unique index concurrently i on t (a)", true),
            ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", true),
            ("DROP DATABASE d", true),
            ("CALL p()", true),
            ("SELECT f()", false),
            ("INSERT INTO t VALUES (1)", false),
            ("CREATE VIEW v AS SELECT 1", false),
        ] {
            assert_eq!(needs_no_transaction(sql), runs, "{sql}");
        }
    }
}
