//! Reading requests: one by id, what is due, and what agents may take; lists are in `request_lists`.

use super::query::{RunStatement, first, target, tuple};
use super::row_columns::{ReadColumn, columns};
use super::unreadable::readable;
use super::values::NotNegative;
use super::{RowCursor, View, corrupt, snapshot};
use crate::clock::Timestamp;
use crate::domain::approval::Vote;
use crate::domain::change::RequestText;
use crate::domain::execution::ExecutionStatus;
use crate::domain::id::{Operation, Target};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{ExecutionOutcome, Request, RequestFacts, Status};
use crate::domain::row_bound::{self, RowBound, RowBoundSource};
use crate::domain::sql::DialectFact;
use crate::error::Error;
use rusqlite::{Row, params};

columns! {
    /// What a request is read from.
    pub(super) enum RequestColumn of "requests" from "requests r LEFT JOIN executions x ON x.id = r.execution_id" {
        Id = "r.id",
        Seq = "r.seq",
        Requester = "r.requester",
        Database = "r.database_name",
        Environment = "r.environment",
        Operation = "r.operation",
        Status = "r.status",
        AuditSeq = "r.audit_seq",
        Emergency = "r.emergency",
        NoResultStore = "r.no_result_store",
        Reason = "r.reason",
        CurrentStep = "r.current_step",
        TotalSteps = "r.total_steps",
        RiskLevel = "r.risk_level",
        PolicyVersion = "r.policy_version",
        CreatedAt = "r.created_at_ms",
        UpdatedAt = "r.updated_at_ms",
        ResolvedAt = "r.resolved_at_ms",
        ExpiresAt = "r.expires_at_ms",
        ApprovedAt = "r.approved_at_ms",
        ApprovalExpiresAt = "r.approval_expires_at_ms",
        DispatchedFrom = "r.dispatched_from",
        DispatchDeadline = "r.dispatch_deadline_ms",
        FirstCompletedAt = "r.first_completed_at_ms",
        ExecutionsFinished = "r.executions_finished",
        ExecutionsLost = "r.executions_lost",
        ExecutionId = "r.execution_id",
        ClaimedBy = "r.claimed_by",
        CancelledBy = "r.cancelled_by",
        CancelReason = "r.cancel_reason",
        LastStatus = "x.status",
        LastOutcome = "x.outcome",
        LastUnproven = "x.outcome_unproven",
        Dialect = "r.dialect",
        IsCorrupt = "r.corrupt_seq IS NOT NULL",
        BoundRows = "r.max_affected_rows",
        BoundSource = "r.row_bound_source",
        RehearsedRows = "r.rehearsed_rows",
    }
    FIND = "WHERE r.id = ?1";
    CANCELLABLE_OF = "WHERE r.requester = ?1 AND r.status IN ('pending', 'approved', 'auto_approved', 'break_glass', \
        'dispatched', 'running', 'execution_lost') AND r.corrupt_seq IS NULL ORDER BY r.seq LIMIT ?2";
}

columns! {
    enum TextColumn of "request_texts" from "request_texts t \
        LEFT JOIN request_contexts c ON c.request_seq = t.request_seq \
        LEFT JOIN idempotency_keys k ON k.requester = ?2 AND k.request_seq = t.request_seq" {
        RequestSeq = "t.request_seq",
        Detail = "t.detail",
        Plan = "t.plan_json",
        Workflow = "t.workflow_json",
        Facts = "t.facts_json",
        Trace = "t.trace_json",
        Metadata = "t.metadata_json",
        ShareWith = "t.share_with_json",
        Fingerprint = "t.fingerprint",
        Redacted = "t.redacted",
        Context = "c.context_json",
        IdempotencyKey = "k.key",
        IdempotencyFingerprint = "k.fingerprint",
    }
    TEXT_OF = "WHERE t.request_seq = ?1";
}

columns! {
    enum VoteColumn of "approvals" from "approvals a \
        JOIN requests r ON r.seq = a.request_seq LEFT JOIN users u ON u.id = a.actor_id" {
        RequestId = "r.id",
        Actor = "a.actor_id",
        Action = "a.action",
        Selector = "a.matched_selector",
        Step = "a.step_index",
        Comment = "a.comment",
        IssuedByRequester = "a.issued_by_requester",
        At = "a.created_at_ms",
        Counts = "a.step_index < r.current_step OR u.status IS NOT 'suspended'",
    }
    VOTES_OF = "WHERE a.request_seq = ?1 ORDER BY a.id";
}

columns! {
    enum JobColumn of "requests" from "requests r" {
        Id = "r.id",
        Requester = "r.requester",
        Operation = "r.operation",
        Seq = "r.seq",
        AuditSeq = "r.audit_seq",
        Dialect = "r.dialect",
        BoundByPeople = "r.row_bound_source IS 'request' OR r.rehearsed_rows IS NOT NULL",
    }
    JOBS_OF = "WHERE r.status = 'dispatched' AND r.corrupt_seq IS NULL AND r.database_name = ?1 \
        AND r.environment = ?2 ORDER BY r.audit_seq LIMIT ?3";
}

/// What requests are read from, `r` among it.
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
        self.connection.find(FIND, [id], read_request)
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
        use TextColumn as C;
        let params = params![request.seq, request.requester];
        self.connection.one(TEXT_OF, params, |r| {
            let share_with: String = r.column(C::ShareWith)?;
            let share_with = snapshot::read_selectors(&share_with)
                .ok_or_else(|| corrupt("request_texts", &request.id, "share_with_json"))?;
            Ok(RequestText {
                detail: r.column(C::Detail)?,
                plan_json: r.column(C::Plan)?,
                workflow: r.column(C::Workflow)?,
                facts_json: r.column(C::Facts)?,
                trace_json: r.column(C::Trace)?,
                metadata_json: r.column(C::Metadata)?,
                share_with,
                fingerprint: r.column(C::Fingerprint)?,
                redacted: r.column(C::Redacted)?,
                context_json: r.column(C::Context)?,
                dry_runs: Vec::new(),
                idempotency_key: r.column(C::IdempotencyKey)?,
                idempotency_fingerprint: r.column(C::IdempotencyFingerprint)?,
            })
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
        use VoteColumn as C;
        self.connection.list(VOTES_OF, [request.seq], |r| {
            Ok(Vote {
                actor: r.column(C::Actor)?,
                action: r.column(C::Action)?,
                selector: r.column(C::Selector)?,
                step: r.column(C::Step)?,
                comment: r.column(C::Comment)?,
                issued_by_requester: r.column(C::IssuedByRequester)?,
                at: r.column(C::At)?,
                counts: r.column(C::Counts)?,
            })
        })
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
                 WHERE k.requester = ?1 AND k.key = ?2", [requester, key], tuple)?;
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
                    let (at, seq, id) = tuple(r)?;
                    Ok((RowCursor(at, seq), id))
                })
    }

    /// Ids of pending requests that a person has voted on, oldest first; of corrupt ones none.
    pub fn pending_voted_by(&self, actor: &str) -> Result<Vec<(i64, String)>, Error> {
        self.connection.list(
            "SELECT r.seq, r.id FROM requests r WHERE r.status = 'pending' AND r.corrupt_seq IS NULL \
             AND r.seq IN (SELECT request_seq FROM approvals WHERE actor_id = ?1) ORDER BY r.seq",
            [actor],
            tuple,
        )
    }

    /// Requests of a person that can still be cancelled, oldest first. One that cannot be read is left out: it can do
    /// nothing any more.
    pub fn cancellable_of(&self, requester: &str, limit: u32) -> Result<Vec<Request>, Error> {
        let read = |r: &Row<'_>| Ok(read_request(r));
        let params = params![requester, limit];
        let requests = self.connection.list(CANCELLABLE_OF, params, read)?;
        readable(requests, "a request that is not cancelled")
    }

    /// Dispatched requests of one target, first dispatched first; without their statements, which [`View::fill_in`]
    /// reads for those that are given out. Of one that cannot be read there is the id.
    pub fn dispatched_jobs(
        &self,
        target: &Target,
        limit: u32,
    ) -> Result<Vec<Result<DispatchedJob, String>>, Error> {
        use JobColumn as C;
        let read = |r: &Row<'_>| -> Result<DispatchedJob, Error> {
            let operation: Operation = r.column(C::Operation)?;
            Ok(DispatchedJob {
                id: r.column(C::Id)?,
                requester: r.column(C::Requester)?,
                target: target.clone(),
                operation,
                dialect: r.column(C::Dialect)?,
                detail: String::new(),
                needs_row_bound: r.column(C::BoundByPeople)? && !operation.is_read(),
                request_seq: r.column(C::Seq)?,
                dispatch_seq: r.column(C::AuditSeq)?,
            })
        };
        let params = params![target.database(), target.environment(), limit];
        self.connection.list(JOBS_OF, params, |r| {
            let id = r.column(C::Id).unwrap_or_default();
            Ok(read(r).map_err(|_| id))
        })
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
}

/// A stored workflow; a corrupt one is an error, never none.
pub fn read_workflow(request: &Request, json: &str) -> Result<Workflow, Error> {
    Workflow::from_text(json).ok_or_else(|| corrupt("request_texts", &request.id, "workflow_json"))
}

/// The bound of a request. One that cannot be read is an error, never no bound.
fn row_bound(row: &Row) -> Result<Option<RowBound>, Error> {
    use RequestColumn as C;
    let rows: Option<NotNegative> = row.column(C::BoundRows)?;
    let source: Option<RowBoundSource> = row.column(C::BoundSource)?;
    let rehearsed: Option<NotNegative> = row.column(C::RehearsedRows)?;
    let stored = match (rows, source) {
        (None, None) => None,
        (Some(NotNegative(rows)), Some(source)) => Some(RowBound { rows, source }),
        _ => {
            let id: String = row.column(C::Id)?;
            return Err(corrupt("requests", id, "max_affected_rows"));
        }
    };
    Ok(row_bound::after_rehearsal(stored, rehearsed.map(|r| r.0)))
}

/// What the last execution left in the database, once the request has an outcome.
fn outcome(row: &Row, request: Status) -> Result<Option<ExecutionOutcome>, Error> {
    use RequestColumn as C;
    let Some(execution) = row.column::<Option<ExecutionStatus>>(C::LastStatus)? else {
        return Ok(None);
    };
    if !request.is_outcome() {
        return Ok(None);
    }
    match execution.left(row.column(C::LastOutcome)?, request) {
        Some(left) => Ok(left),
        None => Err(corrupt(
            "executions",
            row.column::<String>(C::Id)?,
            "outcome",
        )),
    }
}

pub(super) fn read_request(row: &Row) -> Result<Request, Error> {
    use RequestColumn as C;
    let status = row.column(C::Status)?;
    let outcome = outcome(row, status)?;
    let unproven: Option<bool> = row.column(C::LastUnproven)?;
    let facts = RequestFacts {
        seq: row.column(C::Seq)?,
        id: row.column(C::Id)?,
        requester: row.column(C::Requester)?,
        target: target(row, C::Database, C::Environment)?,
        operation: row.column(C::Operation)?,
        dialect: row.column(C::Dialect)?,
        audit_seq: row.column(C::AuditSeq)?,
        emergency: row.column(C::Emergency)?,
        no_result_store: row.column(C::NoResultStore)?,
        reason: row.column(C::Reason)?,
        current_step: row.column(C::CurrentStep)?,
        total_steps: row.column(C::TotalSteps)?,
        risk_level: row.column(C::RiskLevel)?,
        policy_version: row.column(C::PolicyVersion)?,
        created_at: row.column(C::CreatedAt)?,
        updated_at: row.column(C::UpdatedAt)?,
        resolved_at: row.column(C::ResolvedAt)?,
        expires_at: row.column(C::ExpiresAt)?,
        approved_at: row.column(C::ApprovedAt)?,
        approval_expires_at: row.column(C::ApprovalExpiresAt)?,
        dispatched_from: row.column(C::DispatchedFrom)?,
        dispatch_deadline: row.column(C::DispatchDeadline)?,
        first_completed_at: row.column(C::FirstCompletedAt)?,
        executions_finished: row.column(C::ExecutionsFinished)?,
        executions_lost: row.column(C::ExecutionsLost)?,
        execution_id: row.column(C::ExecutionId)?,
        claimed_by: row.column(C::ClaimedBy)?,
        cancelled_by: row.column(C::CancelledBy)?,
        cancel_reason: row.column(C::CancelReason)?,
        row_bound: row_bound(row)?,
        outcome_unproven: outcome.is_some() && unproven.unwrap_or(false),
        outcome,
        corrupt: row.column(C::IsCorrupt)?,
    };
    Request::new(status, facts)
}
