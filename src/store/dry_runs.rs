//! EXPLAIN jobs: what agents explain for reviewers before anybody approves. Not audited: they change nothing, and a
//! request does not depend on them.

use super::query::{RunStatement, first, target, tuple};
use super::row_columns::{ReadColumn, columns};
use super::unreadable::readable;
use super::{Store, Unproven, View, corrupt};
use crate::clock::Timestamp;
use crate::crypto::uuid;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::request::Request;
use crate::domain::sql::DialectFact;
use crate::error::Error;
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

/// Milliseconds after which a claimed job that nobody answered may be claimed again.
pub const RECLAIM_AFTER_MS: i64 = 60_000;
/// Milliseconds after which a request is shown without what was not explained by then.
pub const GIVE_UP_AFTER_MS: i64 = 300_000;
/// Contexts given up in one look.
const SWEEP_ROWS: u32 = 200;

/// A statement to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    /// UUID.
    pub id: String,
    /// The request it belongs to.
    pub request_id: String,
    pub target: Target,
    /// The dialect that the request was read in.
    pub dialect: DialectFact,
    pub sql: String,
}

/// What came of explaining a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// The plan, as the database's own JSON.
    Plan(String),
    /// The database's error.
    Failed(String),
}

columns! {
    enum JobColumn of "dry_run_jobs" from "dry_run_jobs j JOIN requests r ON r.seq = j.request_seq" {
        Id = "j.id",
        Database = "j.database_name",
        Environment = "j.environment",
        Dialect = "r.dialect",
        RequestId = "r.id",
    }
    JOB = "WHERE j.id = ?1";
}

impl View<'_> {
    /// Statements of one target that wait to be explained, oldest first: those that were read in `dialect`, and those
    /// that are the same in all.
    pub fn pending_dry_runs(
        &self,
        target: &Target,
        dialect: Option<Dialect>,
        limit: u32,
    ) -> Result<Vec<DryRun>, Error> {
        const SQL: &str = "SELECT j.id, r.id, r.dialect, j.sql_text FROM dry_run_jobs j \
             JOIN requests r ON r.seq = j.request_seq \
             WHERE j.status = 'pending' AND r.status = 'pending' AND r.corrupt_seq IS NULL \
             AND j.database_name = ?1 AND j.environment = ?2 \
             AND r.dialect IN ('any', ?4) ORDER BY j.created_at_ms LIMIT ?3";
        let name = dialect.map(Dialect::as_str);
        let read = |r: &Row<'_>| -> Result<DryRun, Error> {
            let (id, request_id, dialect, sql) = tuple(r)?;
            Ok(DryRun {
                id,
                request_id,
                target: target.clone(),
                dialect,
                sql,
            })
        };
        let values = params![target.database(), target.environment(), limit, name];
        readable(
            self.connection.list(SQL, values, |r| Ok(read(r)))?,
            "not offered to agents",
        )
    }

    /// Where a job's statement belongs, the dialect that it was read in, and the id of its request.
    pub fn find_dry_run(&self, id: &str) -> Result<Option<(Target, DialectFact, String)>, Error> {
        use JobColumn as C;
        self.connection.find(JOB, [id], |r| {
            let target = target(r, C::Database, C::Environment)?;
            Ok((target, r.column(C::Dialect)?, r.column(C::RequestId)?))
        })
    }

    /// Proves that what agents are asked to explain of a request are its statements, where it runs: those of its plan,
    /// which must have been proved.
    ///
    /// # Errors
    /// Why it is not proved.
    pub fn prove_dry_runs(&self, request: &Request) -> Result<(), Unproven> {
        const PLAN: &str = "SELECT plan_json FROM request_texts WHERE request_seq = ?1";
        const ASKED: &str = "SELECT statement_index, sql_text, database_name, environment FROM dry_run_jobs \
             WHERE request_seq = ?1";
        let plan: Option<String> = self.connection.one(PLAN, [request.seq], first)?;
        let plan: Vec<String> = plan
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default();
        let asked: Vec<(i64, String, String, String)> =
            self.connection.list(ASKED, [request.seq], tuple)?;
        let target = &request.target;
        let same = asked.iter().all(|(n, sql, database, environment)| {
            usize::try_from(*n).ok().and_then(|n| plan.get(n)) == Some(sql)
                && database == target.database()
                && environment == target.environment()
        });
        match same {
            true => Ok(()),
            false => Err(Unproven::Differs("dry_runs")),
        }
    }

    /// How far the context of a request is, and the plans it has.
    pub fn context_state(
        &self,
        request_seq: i64,
    ) -> Result<Option<(String, Option<Value>)>, Error> {
        let row: Option<(String, Option<String>)> = self.connection.find(
            "SELECT status, explain_json FROM request_contexts WHERE request_seq = ?1",
            [request_seq],
            tuple,
        )?;
        row.map(|(status, explain)| {
            let explain = explain
                .map(|json| {
                    serde_json::from_str(&json)
                        .map_err(|_| corrupt("request_contexts", request_seq, "explain_json"))
                })
                .transpose()?;
            Ok((status, explain))
        })
        .transpose()
    }
}

impl Store {
    /// Gives a waiting job to an agent; the token that its answer must show, or `None` if it does not wait any more.
    pub fn claim_dry_run(&self, id: &str, agent_id: &str) -> Result<Option<String>, Error> {
        let (id, agent_id, token) = (id.to_owned(), agent_id.to_owned(), uuid());
        let now = self.now().0;
        self.bookkeep(move |connection| {
            let claimed = execute(
                connection,
                "UPDATE dry_run_jobs SET status = 'claimed', claimed_by = ?2, claim_token = ?3, claimed_at_ms = ?4 \
                 WHERE id = ?1 AND status = 'pending' AND EXISTS (SELECT 1 FROM requests r \
                 WHERE r.seq = request_seq AND r.corrupt_seq IS NULL)",
                params![id, agent_id, token, now],
            )?;
            Ok((claimed == 1).then_some(token))
        })
    }

    /// Takes the answer of a claimed job; false if the claim does not count any more. With the last answer, the
    /// context of the request is complete.
    pub fn finish_dry_run(
        &self,
        id: &str,
        agent_id: &str,
        claim_token: &str,
        explained: Explained,
    ) -> Result<bool, Error> {
        let (id, agent_id, token) = (id.to_owned(), agent_id.to_owned(), claim_token.to_owned());
        let now = self.now();
        self.bookkeep(move |connection| {
            let (status, plan, error) = match explained {
                Explained::Plan(plan) => ("completed", Some(plan), None),
                Explained::Failed(error) => ("failed", None, Some(error)),
            };
            let done = execute(
                connection,
                "UPDATE dry_run_jobs SET status = ?4, result_json = ?5, error_message = ?6, finished_at_ms = ?7 \
                 WHERE id = ?1 AND claimed_by = ?2 AND claim_token = ?3 AND status = 'claimed'",
                params![id, agent_id, token, status, plan, error, now.0],
            )?;
            if done == 1 {
                complete(connection, &id, now)?;
            }
            Ok(done == 1)
        })
    }

    /// Frees claims that nobody answered, and gives up contexts that took too long.
    pub fn sweep_dry_runs(&self) -> Result<(), Error> {
        let now = self.now();
        self.bookkeep(move |connection| {
            execute(
                connection,
                "UPDATE dry_run_jobs SET status = 'pending', claimed_by = NULL, claim_token = NULL \
                 WHERE status = 'claimed' AND claimed_at_ms <= ?1 \
                 AND request_seq IN (SELECT request_seq FROM request_contexts WHERE status = 'collecting')",
                params![now.0 - RECLAIM_AFTER_MS],
            )?;
            let late: Vec<i64> = connection
                .list("SELECT request_seq FROM request_contexts WHERE status = 'collecting' AND created_at_ms <= ?1 \
                     ORDER BY created_at_ms LIMIT ?2", params![now.0 - GIVE_UP_AFTER_MS, SWEEP_ROWS], first)?;
            for request in late {
                execute(
                    connection,
                    "UPDATE dry_run_jobs SET status = 'failed', error_message = 'no agent explained it in time', \
                     claimed_by = NULL, claim_token = NULL, finished_at_ms = ?2 WHERE request_seq = ?1 AND status IN ('pending', 'claimed')",
                    params![request, now.0],
                )?;
                gather(connection, request, now)?;
            }
            Ok(())
        })
    }
}

/// Completes the context of the job's request, if that was the last job.
fn complete(connection: &Connection, id: &str, now: Timestamp) -> Result<(), Error> {
    let (request, open): (i64, bool) = connection
        .one("SELECT j.request_seq, EXISTS (SELECT 1 FROM dry_run_jobs o WHERE o.request_seq = j.request_seq \
             AND o.status IN ('pending', 'claimed')) FROM dry_run_jobs j WHERE j.id = ?1", [id], tuple)?;
    if open {
        return Ok(());
    }
    gather(connection, request, now)
}

/// Puts the plans of a request together: `ready` with all, `unavailable` where no agent answered, `partial` otherwise.
fn gather(connection: &Connection, request: i64, now: Timestamp) -> Result<(), Error> {
    let rows: Vec<(String, Option<String>, Option<String>, bool)> = connection
        .list("SELECT sql_text, result_json, error_message, claimed_by IS NOT NULL FROM dry_run_jobs WHERE request_seq = ?1 \
             ORDER BY statement_index", [request], tuple)?;
    let planned = rows.iter().filter(|row| row.1.is_some()).count();
    let status = match planned {
        0 if rows.iter().all(|row| !row.3) => "unavailable",
        n if n == rows.len() => "ready",
        _ => "partial",
    };
    let explain: Vec<Value> = rows
        .into_iter()
        .map(|(sql, plan, error, _)| match plan {
            Some(plan) => {
                let plan: Value = serde_json::from_str(&plan).unwrap_or(Value::Null);
                json!({"sql": sql, "plan": plan})
            }
            None => json!({"sql": sql, "error": error, "hint": null}),
        })
        .collect();
    execute(
        connection,
        "UPDATE request_contexts SET status = ?2, explain_json = ?3, updated_at_ms = ?4 WHERE request_seq = ?1",
        params![request, status, Value::Array(explain).to_string(), now.0],
    )?;
    Ok(())
}

fn execute(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, Error> {
    connection.run(sql, values)
}
