//! A rehearsal: a write that runs before anybody has approved it, in a transaction that is always rolled back, so that
//! approvers see how many rows it changes. What may be rehearsed is narrow, since nobody has agreed to it yet.

use crate::clock::Timestamp;
use crate::domain::id::Operation;
use crate::domain::row_bound;
use crate::domain::sql::{Analysis, Class};

/// Seconds within which a rehearsal is over; what no agent has answered by then is unavailable.
pub const ANSWER_SECS: u64 = 60;
/// Seconds after which what was rehearsed is shown as stale: the rows may be others by now.
pub const STALE_AFTER_SECS: u64 = 3600;
/// Seconds that all statements of a rehearsal may take.
pub const TIMEOUT_SECS: u64 = 10;
/// Seconds that one of them waits for a lock, so that nobody who works waits long after it.
pub const LOCK_SECS: u64 = 2;
/// Rehearsals of one request, at most.
pub const PER_REQUEST_MAX: u32 = 10;

/// How far a rehearsal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RehearsalStatus {
    /// For an agent.
    Waiting,
    /// An agent has it.
    Claimed,
    /// It ran, and everything was rolled back.
    Done,
    /// The database or the agent refused it.
    Failed,
    /// No agent answered in time.
    Unavailable,
    /// It may not be rehearsed.
    Refused,
}

impl RehearsalStatus {
    const ALL: [RehearsalStatus; 6] = [
        RehearsalStatus::Waiting,
        RehearsalStatus::Claimed,
        RehearsalStatus::Done,
        RehearsalStatus::Failed,
        RehearsalStatus::Unavailable,
        RehearsalStatus::Refused,
    ];

    /// `waiting`, `claimed`, `done`, `failed`, `unavailable` or `refused`.
    pub fn as_str(self) -> &'static str {
        match self {
            RehearsalStatus::Waiting => "waiting",
            RehearsalStatus::Claimed => "claimed",
            RehearsalStatus::Done => "done",
            RehearsalStatus::Failed => "failed",
            RehearsalStatus::Unavailable => "unavailable",
            RehearsalStatus::Refused => "refused",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<RehearsalStatus> {
        RehearsalStatus::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Whether something can still come of it.
    pub fn is_open(self) -> bool {
        matches!(self, RehearsalStatus::Waiting | RehearsalStatus::Claimed)
    }
}

/// A rehearsal as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// UUID.
    pub id: String,
    pub status: RehearsalStatus,
    pub asked_by: String,
    pub asked_at: Timestamp,
    /// The agent that claimed it.
    pub agent_id: Option<String>,
    pub finished_at: Option<Timestamp>,
    /// Rows that all its statements changed, counted as the row bound counts.
    pub rows_affected: Option<u64>,
    /// What the agent reports of it, as JSON.
    pub result_json: Option<String>,
    /// Why it failed or was refused.
    pub error_message: Option<String>,
}

impl Rehearsal {
    /// Whether its time is over.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.status.is_open() && now >= self.asked_at.plus_secs(ANSWER_SECS)
    }

    /// Its status at `now`, even where the clock has not moved it yet.
    pub fn status_at(&self, now: Timestamp) -> RehearsalStatus {
        match self.is_overdue(now) {
            true => RehearsalStatus::Unavailable,
            false => self.status,
        }
    }

    /// Whether the rows may be others by now: it is old, or the request has run since.
    pub fn is_stale(&self, now: Timestamp, has_run: bool) -> bool {
        self.status == RehearsalStatus::Done
            && (has_run
                || self
                    .finished_at
                    .is_some_and(|at| now >= at.plus_secs(STALE_AFTER_SECS)))
    }
}

/// Why a text may not be rehearsed; `None` where it may. Every statement of it must be an INSERT, UPDATE, DELETE or
/// MERGE that names one table, does nothing that does not show, and calls only functions that are known to compute.
pub fn refusal(operation: Operation, analysis: Option<&Analysis>) -> Option<String> {
    let Some(analysis) = analysis.filter(|_| operation.is_execute()) else {
        return Some("migrations are not rehearsed".to_owned());
    };
    match &analysis.class {
        Class::Select => return Some("it only reads".to_owned()),
        Class::Unparsable { .. } => return Some("the text cannot be read".to_owned()),
        Class::Rejected { reason, .. } => return Some(reason.clone()),
        Class::Dml { .. } => {}
    }
    for statement in &analysis.statements {
        let place = format!(
            "`{}` at line {}, column {}",
            statement.kind, statement.line, statement.column
        );
        if !["insert", "update", "delete", "merge"].contains(&statement.kind) {
            return Some(format!("{place} is not an INSERT, UPDATE, DELETE or MERGE"));
        }
        if statement.tables.len() != 1 {
            let n = statement.tables.len();
            return Some(format!("{place} names {n} tables, and not one"));
        }
        if !statement.foreseen {
            return Some(format!("{place} may do more than its words show"));
        }
    }
    if let Some(name) = analysis.unknown_functions.first() {
        return Some(format!("`{name}` is not known to do nothing but compute"));
    }
    row_bound::uncountable(operation, Some(analysis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dialect::Dialect;
    use crate::domain::sql::{analyze, analyze_any};

    #[test]
    fn only_writes_of_one_table_may_be_rehearsed() {
        let table = "
UPDATE t SET a = 1 WHERE id = 2                              | postgresql mysql sqlite any
INSERT INTO t (a) VALUES (1); DELETE FROM t WHERE id = 1     | postgresql mysql sqlite any
UPDATE t SET a = upper(a) WHERE id = 1                       | postgresql mysql sqlite any
DELETE FROM t WHERE id = 1 RETURNING a                       | postgresql mysql sqlite any
MERGE INTO t USING (VALUES (1)) v(id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET a = 1 | postgresql sqlite
INSERT INTO t SELECT * FROM u                                |
DELETE FROM t USING u WHERE t.id = u.id                      |
UPDATE t SET a = (SELECT b FROM u)                           |
UPDATE t SET a = f(a) WHERE id = 1                           |
UPDATE t SET a = nextval('s') WHERE id = 1                   |
WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d        |
WITH d AS (SELECT 1) UPDATE t SET a = 1                      |
SELECT 1                                                     |
SELECT 1; UPDATE t SET a = 1 WHERE id = 2                    |
CREATE TABLE t (a int)                                       |
UPDATE t SET a = 1 WHERE id = 2; CREATE INDEX i ON t (a)     |
TRUNCATE t                                                   |
REPLACE INTO t VALUES (1)                                    |
COMMIT                                                       |
UPDATE t SET a = 1 WHERE id = 2; COMMIT                      |
UPDAT t SET a = 1                                            |
CALL p()                                                     |
";
        for line in table.trim().lines() {
            let (sql, rehearsed) = line.rsplit_once('|').unwrap();
            let mut found = Vec::new();
            for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
                let analysis = analyze(sql.trim(), dialect).unwrap();
                if refusal(Operation::ExecuteDml, Some(&analysis)).is_none() {
                    found.push(dialect.as_str());
                }
            }
            let any = analyze_any(sql.trim()).unwrap();
            if refusal(Operation::ExecuteDml, Some(&any)).is_none() {
                found.push("any");
            }
            assert_eq!(found.join(" "), rehearsed.trim(), "{sql}");
        }
        assert!(refusal(Operation::MigrateUp, None).is_some());
    }

    #[test]
    fn rehearsal_is_unavailable_after_minute_and_stale_after_an_hour() {
        let asked = Timestamp(0);
        let mut rehearsal = Rehearsal {
            id: String::new(),
            status: RehearsalStatus::Claimed,
            asked_by: String::new(),
            asked_at: asked,
            agent_id: None,
            finished_at: None,
            rows_affected: None,
            result_json: None,
            error_message: None,
        };
        let at = |secs| asked.plus_secs(secs);
        assert_eq!(rehearsal.status_at(at(59)), RehearsalStatus::Claimed);
        assert_eq!(rehearsal.status_at(at(60)), RehearsalStatus::Unavailable);
        rehearsal.status = RehearsalStatus::Done;
        rehearsal.finished_at = Some(at(1));
        assert_eq!(rehearsal.status_at(at(60)), RehearsalStatus::Done);
        assert!(!rehearsal.is_stale(at(3600), false) && rehearsal.is_stale(at(3600), true));
        assert!(rehearsal.is_stale(at(3601), false));
    }
}
