//! Reading requests: one by id, what is due, and what agents may take; lists are in `request_lists`.

use super::audit::status;
use super::query::{RunStatement, first, target};
use super::{RowCursor, View, corrupt, executions, snapshot};
use crate::clock::Timestamp;
use crate::domain::approval::{Vote, VoteAction};
use crate::domain::change::RequestText;
use crate::domain::execution::ExecutionStatus;
use crate::domain::id::{Operation, Target};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{ExecutionOutcome, Request, Status};
use crate::domain::row_bound::{self, RowBound, RowBoundSource};
use crate::domain::sql::DialectFact;
use crate::error::Error;
use rusqlite::types::Value as Sql;
use rusqlite::{Row, params, params_from_iter};

pub(super) const COLUMNS: &str = "r.seq, r.id, r.requester, r.database_name, r.environment, r.operation, r.status, r.audit_seq, \
     r.emergency, r.no_result_store, r.reason, r.current_step, r.total_steps, r.risk_level, r.policy_version, \
     r.created_at_ms, r.updated_at_ms, r.resolved_at_ms, r.expires_at_ms, r.approved_at_ms, \
     r.approval_expires_at_ms, r.dispatched_from, r.dispatch_deadline_ms, r.first_completed_at_ms, \
     r.executions_finished, r.executions_lost, r.execution_id, r.claimed_by, r.cancelled_by, r.cancel_reason, \
     x.status, x.outcome, x.outcome_unproven, r.dialect, \
     r.corrupt_seq IS NOT NULL, r.max_affected_rows, r.row_bound_source, r.rehearsed_rows";
/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 38;
/// What they are read from, besides `requests r`.
pub(super) const LAST_EXECUTION: &str = "LEFT JOIN executions x ON x.id = r.execution_id";

/// A dispatched request, as an agent's poll shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchedJob {
    pub id: String,
    pub requester: String,
    pub target: Target,
    pub operation: Operation,
    pub dialect: DialectFact,
    pub detail: String,
    /// Whether only an agent that counts rows may run it.
    pub needs_row_bound: bool,
    pub request_seq: i64,
    pub dispatch_seq: i64,
}

impl View<'_> {
    pub fn find_request(&self, id: &str) -> Result<Option<Request>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM requests r {LAST_EXECUTION} WHERE r.id = ?1");
        self.connection.find(&sql, [id], read_request)
    }

    /// The request of that id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn request(&self, id: &str) -> Result<Request, Error> {
        self.find_request(id)?
            .ok_or_else(|| Error::not_found("request", id))
    }

    /// The row that the next new request gets; never that of one that was removed.
    pub fn next_request_seq(&self) -> Result<i64, Error> {
        self.connection.one(
            "SELECT max(coalesce((SELECT max(seq) FROM requests), 0), \
                 coalesce((SELECT max(request_seq) FROM purged_requests), 0)) + 1",
            [],
            first,
        )
    }

    pub fn request_text(&self, request: &Request) -> Result<RequestText, Error> {
        const SQL: &str = "SELECT t.detail, t.plan_json, t.workflow_json, t.facts_json, t.trace_json, \
            t.metadata_json, t.share_with_json, t.fingerprint, t.redacted, c.context_json, k.key, k.fingerprint \
            FROM request_texts t LEFT JOIN request_contexts c ON c.request_seq = t.request_seq \
            LEFT JOIN idempotency_keys k ON k.requester = ?2 AND k.request_seq = t.request_seq \
            WHERE t.request_seq = ?1";
        let (text, workflow, share): (RequestText, Option<String>, String) =
            self.connection
                .one(SQL, params![request.seq, request.requester], |r| {
                    let text = RequestText {
                        detail: r.get(0)?,
                        plan_json: r.get(1)?,
                        workflow: None,
                        facts_json: r.get(3)?,
                        trace_json: r.get(4)?,
                        metadata_json: r.get(5)?,
                        share_with: Vec::new(),
                        fingerprint: r.get(7)?,
                        redacted: r.get(8)?,
                        context_json: r.get(9)?,
                        dry_runs: Vec::new(),
                        idempotency_key: r.get(10)?,
                        idempotency_fingerprint: r.get(11)?,
                    };
                    Ok((text, r.get(2)?, r.get(6)?))
                })?;
        let bad = |column| corrupt("request_texts", &request.id, column);
        let workflow = match workflow {
            Some(json) => Some(Workflow::from_text(&json).ok_or_else(|| bad("workflow_json"))?),
            None => None,
        };
        let share_with = snapshot::read_selectors(&share).ok_or_else(|| bad("share_with_json"))?;
        Ok(RequestText {
            workflow,
            share_with,
            ..text
        })
    }

    /// The workflow as it was when the request was made; a corrupt one is an error.
    pub fn request_workflow(&self, request: &Request) -> Result<Option<Workflow>, Error> {
        let json: Option<String> = self.connection.one(
            "SELECT workflow_json FROM request_texts WHERE request_seq = ?1",
            [request.seq],
            first,
        )?;
        json.map(|json| read_workflow(request, &json)).transpose()
    }

    /// Votes on a request, oldest first.
    pub fn votes(&self, request: &Request) -> Result<Vec<Vote>, Error> {
        let rows: Vec<(Vote, String)> = self
            .connection
            .list("SELECT a.actor_id, a.action, a.matched_selector, a.step_index, a.comment, a.issued_by_requester, \
                 a.created_at_ms, a.step_index < r.current_step OR u.status IS NOT 'suspended' FROM approvals a \
                 JOIN requests r ON r.seq = a.request_seq LEFT JOIN users u ON u.id = a.actor_id \
                 WHERE a.request_seq = ?1 ORDER BY a.id", [request.seq], |r| {
                    let vote = Vote {
                        actor: r.get(0)?,
                        action: VoteAction::Reject,
                        selector: r.get(2)?,
                        step: r.get(3)?,
                        comment: r.get(4)?,
                        issued_by_requester: r.get(5)?,
                        at: Timestamp(r.get(6)?),
                        counts: r.get(7)?,
                    };
                    Ok((vote, r.get(1)?))
                })?;
        rows.into_iter()
            .map(|(vote, action)| {
                let action = VoteAction::parse(&action)
                    .ok_or_else(|| corrupt("approvals", &request.id, "action"))?;
                Ok(Vote { action, ..vote })
            })
            .collect()
    }

    /// What an idempotency key of `requester` was used for: its fingerprint and the request.
    pub fn find_idempotent(
        &self,
        requester: &str,
        key: &str,
    ) -> Result<Option<(String, Request)>, Error> {
        let found: Option<(String, String)> = self
            .connection
            .find("SELECT k.fingerprint, r.id FROM idempotency_keys k JOIN requests r ON r.seq = k.request_seq \
                 AND r.requester = k.requester \
                 WHERE k.requester = ?1 AND k.key = ?2", [requester, key], |r| Ok((r.get(0)?, r.get(1)?)))?;
        found
            .map(|(fingerprint, id)| Ok((fingerprint, self.request(&id)?)))
            .transpose()
    }

    /// Selectors that a pending request waits for.
    pub fn next_approvers(&self, request: &Request) -> Result<Vec<String>, Error> {
        self.connection.list(
            "SELECT selector FROM request_approvers WHERE request_seq = ?1 ORDER BY selector",
            [request.seq],
            first,
        )
    }

    /// Ids of requests whose time has come, the longest overdue first, from after `after` on. Nothing else of them is
    /// read, so that one that is unreadable hides no other.
    pub fn due_requests(
        &self,
        now: Timestamp,
        after: RowCursor,
        limit: u32,
    ) -> Result<Vec<(RowCursor, String)>, Error> {
        self.connection
            .list("SELECT due_at_ms, seq, id FROM requests WHERE due_at_ms <= ?1 AND (due_at_ms, seq) > (?2, ?3) \
                 ORDER BY due_at_ms, seq LIMIT ?4", params![now.0, after.0, after.1, limit], |r| {
                    Ok((RowCursor(r.get(0)?, r.get(1)?), r.get(2)?))
                })
    }

    /// Pending requests that a person has voted on, oldest first.
    pub fn pending_voted_by(&self, actor: &str) -> Result<Vec<Request>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM requests r {LAST_EXECUTION} WHERE r.status = 'pending' \
             AND r.seq IN (SELECT request_seq FROM approvals WHERE actor_id = ?1) ORDER BY r.seq"
        );
        self.requests(&sql, vec![actor.to_owned().into()])
    }

    /// Requests of a person that can still be cancelled, oldest first.
    pub fn cancellable_of(&self, requester: &str, limit: u32) -> Result<Vec<Request>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM requests r {LAST_EXECUTION} WHERE r.requester = ?1 AND r.status IN ('pending', 'approved', \
             'auto_approved', 'break_glass', 'dispatched', 'running', 'execution_lost') AND r.corrupt_seq IS NULL \
             ORDER BY r.seq LIMIT ?2"
        );
        self.requests(
            &sql,
            vec![requester.to_owned().into(), i64::from(limit).into()],
        )
    }

    /// Dispatched requests of one target, first dispatched first; without their statements, which [`View::fill_in`]
    /// reads for those that are given out.
    pub fn dispatched_jobs(
        &self,
        target: &Target,
        limit: u32,
    ) -> Result<Vec<DispatchedJob>, Error> {
        const SQL: &str = "SELECT r.id, r.requester, r.operation, r.seq, r.audit_seq, r.dialect, \
            r.row_bound_source IS 'request' OR r.rehearsed_rows IS NOT NULL FROM requests r \
            WHERE r.status = 'dispatched' AND r.corrupt_seq IS NULL AND r.database_name = ?1 AND r.environment = ?2 \
            ORDER BY r.audit_seq LIMIT ?3";
        let rows: Vec<(DispatchedJob, String, String)> = self.connection.list(
            SQL,
            params![target.database(), target.environment(), limit],
            |r| {
                let job = DispatchedJob {
                    id: r.get(0)?,
                    requester: r.get(1)?,
                    target: target.clone(),
                    operation: Operation::ExecuteDml,
                    dialect: DialectFact::Unknown,
                    detail: String::new(),
                    needs_row_bound: r.get(6)?,
                    request_seq: r.get(3)?,
                    dispatch_seq: r.get(4)?,
                };
                Ok((job, r.get(2)?, r.get(5)?))
            },
        )?;
        rows.into_iter()
            .map(|(job, operation, fact)| {
                let operation = Operation::parse(&operation)
                    .ok_or_else(|| corrupt("requests", &job.id, "operation"))?;
                Ok(DispatchedJob {
                    needs_row_bound: job.needs_row_bound && !operation.is_read(),
                    operation,
                    dialect: dialect(&fact, &job.id)?,
                    ..job
                })
            })
            .collect()
    }

    /// Reads the statement of a job.
    pub fn fill_in(&self, job: &mut DispatchedJob) -> Result<(), Error> {
        job.detail = self.connection.one(
            "SELECT detail FROM request_texts WHERE request_seq = ?1",
            [job.request_seq],
            first,
        )?;
        Ok(())
    }

    /// The migration that runs on a target now, if one does.
    pub fn running_migration(&self, target: &Target) -> Result<Option<String>, Error> {
        self.connection.find(
            "SELECT id FROM requests WHERE status = 'running' \
                 AND (operation = 'migrate_up' OR operation = 'migrate_down' OR operation = 'migrate_repair') \
                 AND database_name = ?1 AND environment = ?2 LIMIT 1",
            [target.database(), target.environment()],
            first,
        )
    }

    /// How many requests run.
    pub fn count_running(&self) -> Result<i64, Error> {
        self.connection.one(
            "SELECT n FROM request_counts WHERE status = 'running'",
            [],
            first,
        )
    }

    fn requests(&self, sql: &str, values: Vec<Sql>) -> Result<Vec<Request>, Error> {
        self.connection
            .list(sql, params_from_iter(values), read_request)
    }
}

/// A stored workflow; a corrupt one is an error, never none.
pub fn read_workflow(request: &Request, json: &str) -> Result<Workflow, Error> {
    Workflow::from_text(json).ok_or_else(|| corrupt("request_texts", &request.id, "workflow_json"))
}

pub(super) fn dialect(text: &str, id: &str) -> Result<DialectFact, Error> {
    DialectFact::parse(text).ok_or_else(|| corrupt("requests", id, "dialect"))
}

/// The bound of a request. One that cannot be read is an error, never no bound.
fn row_bound(row: &Row, id: &str) -> Result<Option<RowBound>, Error> {
    let bad = || corrupt("requests", id, "max_affected_rows");
    let (rows, source): (Option<i64>, Option<String>) =
        row.get(35).and_then(|rows| Ok((rows, row.get(36)?)))?;
    let rehearsed: Option<i64> = row.get(37)?;
    let stored = match (rows, source) {
        (None, None) => None,
        (Some(rows), Some(source)) => Some(RowBound {
            rows: u64::try_from(rows).map_err(|_| bad())?,
            source: RowBoundSource::parse(&source).ok_or_else(bad)?,
        }),
        _ => return Err(bad()),
    };
    let rehearsed = rehearsed
        .map(u64::try_from)
        .transpose()
        .map_err(|_| corrupt("requests", id, "rehearsed_rows"))?;
    Ok(row_bound::after_rehearsal(stored, rehearsed))
}

/// What the last execution left in the database, once the request has an outcome.
fn outcome(row: &Row, state: &str, id: &str) -> Result<Option<ExecutionOutcome>, Error> {
    let left: (Option<String>, Option<String>) =
        row.get(30).and_then(|status| Ok((status, row.get(31)?)))?;
    match left {
        (Some(execution), outcome) if status(state, id)?.is_outcome() => {
            let request = status(state, id)?;
            ExecutionStatus::parse(&execution)
                .and_then(|execution| executions::left(execution, outcome.as_deref(), request))
                .ok_or_else(|| corrupt("executions", id, "outcome"))
        }
        _ => Ok(None),
    }
}

pub(super) fn read_request(row: &Row) -> Result<Request, Error> {
    let target = target(row, 3, 4)?;
    let raw = |row: &Row| -> rusqlite::Result<(Request, String, String, Option<String>, String)> {
        let time = |n: usize| -> rusqlite::Result<Option<Timestamp>> {
            Ok(row.get::<_, Option<i64>>(n)?.map(Timestamp))
        };
        let request = Request {
            seq: row.get(0)?,
            id: row.get(1)?,
            requester: row.get(2)?,
            target,
            operation: Operation::ExecuteDml,
            dialect: DialectFact::Unknown,
            status: Status::Pending,
            audit_seq: row.get(7)?,
            emergency: row.get(8)?,
            no_result_store: row.get(9)?,
            reason: row.get(10)?,
            current_step: row.get(11)?,
            total_steps: row.get(12)?,
            risk_level: row.get(13)?,
            policy_version: row.get(14)?,
            created_at: Timestamp(row.get(15)?),
            updated_at: Timestamp(row.get(16)?),
            resolved_at: time(17)?,
            expires_at: time(18)?,
            approved_at: time(19)?,
            approval_expires_at: time(20)?,
            dispatched_from: None,
            dispatch_deadline: time(22)?,
            first_completed_at: time(23)?,
            executions_finished: row.get(24)?,
            executions_lost: row.get(25)?,
            execution_id: row.get(26)?,
            claimed_by: row.get(27)?,
            cancelled_by: row.get(28)?,
            cancel_reason: row.get(29)?,
            row_bound: None,
            outcome: None,
            outcome_unproven: row.get::<_, Option<bool>>(32)?.unwrap_or(false),
            corrupt: row.get(34)?,
        };
        let texts = (row.get(5)?, row.get(6)?, row.get(21)?, row.get(33)?);
        Ok((request, texts.0, texts.1, texts.2, texts.3))
    };
    let (request, operation, state, from, fact) = raw(row)?;
    let row_bound = row_bound(row, &request.id)?;
    let outcome = outcome(row, &state, &request.id)?;
    Ok(Request {
        operation: Operation::parse(&operation)
            .ok_or_else(|| corrupt("requests", &request.id, "operation"))?,
        dialect: dialect(&fact, &request.id)?,
        row_bound,
        status: status(&state, &request.id)?,
        dispatched_from: from.map(|f| status(&f, &request.id)).transpose()?,
        outcome_unproven: outcome.is_some() && request.outcome_unproven,
        outcome,
        ..request
    })
}
