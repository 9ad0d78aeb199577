//! Rows of requests: made, moved, voted on.

use super::{Context, executions, rehearsals};
use crate::clock::Timestamp;
use crate::crypto::uuid;
use crate::domain::approval::Vote;
use crate::domain::change::{CompletedSteps, NewRequest, RequestChange, RequestRef};
use crate::domain::id::Selector;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Status, Transition};
use crate::error::Error;
use crate::store::snapshot;
use rusqlite::{named_params, params};

/// Writes the rows of a change of this group.
pub(super) fn apply(cx: &Context, change: &RequestChange) -> Result<(), Error> {
    match change {
        RequestChange::Created(new) => created(cx, new),
        RequestChange::Dispatched {
            request,
            step,
            deadline,
            ..
        } => dispatched(cx, request, *step, *deadline),
        RequestChange::StepApproved {
            request,
            vote,
            current_step,
            approvers,
            ..
        } => {
            voted(cx, request, vote)?;
            advanced(cx, request, *current_step, approvers)
        }
        RequestChange::Approved {
            request,
            vote,
            step,
            total_steps,
            approval_expires_at,
            ..
        } => {
            voted(cx, request, vote)?;
            approved(cx, request, *step, *total_steps, *approval_expires_at)
        }
        RequestChange::StepsCompleted(completed) => steps_completed(cx, completed),
        RequestChange::Rejected {
            request,
            vote,
            step,
        } => {
            voted(cx, request, vote)?;
            closed(cx, request, *step)
        }
        RequestChange::Cancelled {
            request,
            step,
            reason,
        } => cancelled(cx, request, *step, reason.as_deref()),
        RequestChange::Expired { request, step } => closed(cx, request, *step),
        RequestChange::DispatchTimedOut { request, step } => returned(cx, request, *step),
        RequestChange::ExecutionStarted {
            request,
            step,
            execution,
        } => executions::started(cx, request, *step, execution),
        RequestChange::ExecutionFinished {
            request,
            step,
            finished,
            result,
        } => executions::finished(cx, request, *step, finished, result.as_ref()),
        RequestChange::ExecutionLost {
            request,
            step,
            execution_id,
            report,
            ..
        } => executions::lost(cx, request, *step, execution_id, report.as_ref()),
        RequestChange::Rehearsal(change) => rehearsals::apply(cx, change),
        RequestChange::Corrupted { request, .. } => frozen(cx, request),
        // What these say stands in the audit log alone.
        RequestChange::DdlPassed(_) | RequestChange::ResultCorrupt { .. } => Ok(()),
    }
}

fn created(cx: &Context, new: &NewRequest) -> Result<(), Error> {
    let status = new.step.to();
    let pending = status == Status::Pending;
    let due = if pending {
        new.expires_at
    } else {
        new.approval_expires_at
    };
    cx.one(
        "INSERT INTO requests (seq, id, requester, token_id, database_name, environment, operation, status, audit_seq, \
         emergency, allow_ddl, no_result_store, reason, current_step, total_steps, risk_level, policy_version, \
         created_at_ms, updated_at_ms, expires_at_ms, approved_at_ms, approval_expires_at_ms, due_at_ms, dialect, \
         max_affected_rows, row_bound_source) \
         VALUES (:seq, :id, :requester, :token_id, :database, :environment, :operation, :status, :audit_seq, \
         :emergency, :allow_ddl, :no_result_store, :reason, 0, :total_steps, :risk_level, :policy_version, \
         :now, :now, :expires_at, :approved_at, :approval_expires_at, :due, :dialect, :max_affected_rows, \
         :row_bound_source)",
        named_params! {
            ":seq": new.seq,
            ":id": new.id,
            ":requester": new.requester,
            ":token_id": new.token_id,
            ":database": new.target.database(),
            ":environment": new.target.environment(),
            ":operation": new.operation.as_str(),
            ":status": status.as_str(),
            ":audit_seq": cx.audit_seq,
            ":emergency": new.emergency,
            ":allow_ddl": new.allow_ddl,
            ":no_result_store": new.no_result_store,
            ":reason": new.reason,
            ":total_steps": new.total_steps,
            ":risk_level": new.risk_level.as_str(),
            ":policy_version": new.policy_version,
            ":now": cx.now.0,
            ":expires_at": new.expires_at.map(|t| t.0),
            ":approved_at": (!pending).then_some(cx.now.0),
            ":approval_expires_at": new.approval_expires_at.map(|t| t.0),
            ":due": due.map(|t| t.0),
            ":dialect": new.dialect.as_str(),
            ":max_affected_rows": new.row_bound.map(|b| i64::try_from(b.rows).unwrap_or(i64::MAX)),
            ":row_bound_source": new.row_bound.map(|b| b.source.as_str()),
        },
    )?;
    texts(cx, new)?;
    approvers(cx, new.seq, &new.approvers)
}

fn texts(cx: &Context, new: &NewRequest) -> Result<(), Error> {
    let text = &new.text;
    cx.one(
        "INSERT INTO request_texts (request_seq, detail, plan_json, workflow_json, facts_json, trace_json, \
         metadata_json, share_with_json, fingerprint, redacted, salt) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            new.seq,
            text.detail,
            text.plan_json,
            text.workflow.as_ref().map(Workflow::to_text),
            text.facts_json,
            text.trace_json,
            text.metadata_json,
            snapshot::selectors_json(&text.share_with),
            text.fingerprint,
            text.redacted,
            new.salt,
        ],
    )?;
    if let Some(context) = &text.context_json {
        cx.one(
            "INSERT INTO request_contexts (request_seq, status, context_json, created_at_ms, updated_at_ms) \
             VALUES (?1, ?2, ?3, ?4, ?4)",
            params![
                new.seq,
                if text.dry_runs.is_empty() {
                    "ready"
                } else {
                    "collecting"
                },
                context,
                cx.now.0
            ],
        )?;
    }
    for (n, sql) in text.dry_runs.iter().enumerate() {
        cx.one(
            "INSERT INTO dry_run_jobs (id, request_seq, statement_index, database_name, environment, sql_text, \
             status, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7)",
            params![
                uuid(),
                new.seq,
                i64::try_from(n).unwrap_or(i64::MAX),
                new.target.database(),
                new.target.environment(),
                sql,
                cx.now.0
            ],
        )?;
    }
    if let (Some(key), Some(fingerprint)) = (&text.idempotency_key, &text.idempotency_fingerprint) {
        cx.one(
            "INSERT INTO idempotency_keys (requester, key, fingerprint, request_seq) VALUES (?1, ?2, ?3, ?4)",
            params![new.requester, key, fingerprint, new.seq],
        )?;
    }
    Ok(())
}

/// Replaces the inbox rows of a request.
fn approvers(cx: &Context, seq: i64, selectors: &[Selector]) -> Result<(), Error> {
    for selector in selectors {
        cx.any(
            "INSERT OR IGNORE INTO request_approvers (selector, request_seq) VALUES (?1, ?2)",
            params![selector.to_string(), seq],
        )?;
    }
    Ok(())
}

/// It is only looked at from here on; nothing is due any more.
fn frozen(cx: &Context, request: &RequestRef) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET corrupt_seq = ?2, due_at_ms = NULL WHERE seq = ?1 AND corrupt_seq IS NULL",
        params![request.seq, cx.audit_seq],
    )
}

fn clear_approvers(cx: &Context, seq: i64) -> Result<(), Error> {
    cx.any(
        "DELETE FROM request_approvers WHERE request_seq = ?1",
        params![seq],
    )?;
    Ok(())
}

/// The common part of every move.
fn from(step: Transition) -> &'static str {
    step.from().map_or("new", Status::as_str)
}

fn dispatched(
    cx: &Context,
    request: &RequestRef,
    step: Transition,
    deadline: Timestamp,
) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, dispatched_from = ?2, \
         dispatch_deadline_ms = ?6, due_at_ms = ?6 WHERE seq = ?1 AND status = ?2",
        params![
            request.seq,
            from(step),
            step.to().as_str(),
            cx.audit_seq,
            cx.now.0,
            deadline.0
        ],
    )
}

/// Back to where it was dispatched from; what may still expire does so at its old time.
fn returned(cx: &Context, request: &RequestRef, step: Transition) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, dispatched_from = NULL, \
         dispatch_deadline_ms = NULL, \
         due_at_ms = CASE WHEN ?3 IN ('approved', 'auto_approved', 'break_glass') THEN approval_expires_at_ms END \
         WHERE seq = ?1 AND status = ?2",
        params![
            request.seq,
            from(step),
            step.to().as_str(),
            cx.audit_seq,
            cx.now.0
        ],
    )
}

fn voted(cx: &Context, request: &RequestRef, vote: &Vote) -> Result<(), Error> {
    cx.one(
        "INSERT INTO approvals (request_seq, step_index, action, actor_id, token_id, matched_selector, comment, \
         issued_by_requester, created_at_ms, audit_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            request.seq,
            vote.step,
            vote.action.as_str(),
            vote.actor,
            cx.actor.token_id,
            vote.selector,
            vote.comment,
            vote.issued_by_requester,
            vote.at.0,
            cx.audit_seq,
        ],
    )
}

fn advanced(
    cx: &Context,
    request: &RequestRef,
    current_step: u32,
    selectors: &[Selector],
) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET current_step = ?2, updated_at_ms = ?3 WHERE seq = ?1 AND status = 'pending'",
        params![request.seq, current_step, cx.now.0],
    )?;
    clear_approvers(cx, request.seq)?;
    approvers(cx, request.seq, selectors)
}

fn approved(
    cx: &Context,
    request: &RequestRef,
    step: Transition,
    total_steps: u32,
    approval_expires_at: Timestamp,
) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, approved_at_ms = ?5, \
         current_step = ?6, approval_expires_at_ms = ?7, due_at_ms = ?7 WHERE seq = ?1 AND status = ?2",
        params![
            request.seq,
            from(step),
            step.to().as_str(),
            cx.audit_seq,
            cx.now.0,
            total_steps,
            approval_expires_at.0
        ],
    )?;
    clear_approvers(cx, request.seq)
}

fn steps_completed(cx: &Context, done: &CompletedSteps) -> Result<(), Error> {
    match done.approval {
        None => advanced(cx, &done.request, done.current_step, &done.approvers),
        Some((step, until)) => approved(cx, &done.request, step, done.total_steps, until),
    }
}

fn closed(cx: &Context, request: &RequestRef, step: Transition) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, resolved_at_ms = ?5, \
         due_at_ms = NULL WHERE seq = ?1 AND status = ?2",
        params![
            request.seq,
            from(step),
            step.to().as_str(),
            cx.audit_seq,
            cx.now.0
        ],
    )?;
    clear_approvers(cx, request.seq)
}

fn cancelled(
    cx: &Context,
    request: &RequestRef,
    step: Transition,
    reason: Option<&str>,
) -> Result<(), Error> {
    closed(cx, request, step)?;
    cx.one(
        // The execution that was cancelled is the one whose end was open; one that had ended before is not part of it.
        "UPDATE requests SET cancelled_by = ?2, cancel_reason = ?3, execution_id = (SELECT id FROM executions e \
         WHERE e.id = requests.execution_id AND e.status IN ('claimed', 'lost')) WHERE seq = ?1",
        params![request.seq, cx.actor.id, reason],
    )
}
