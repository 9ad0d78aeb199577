//! Rows of executions and results: claimed, finished, lost.

use super::Context;
use crate::domain::change::{Finished, InconclusiveReport, NewExecution, NewResult, RequestRef};
use crate::domain::request::{Status, Transition};
use crate::error::Error;
use rusqlite::params;

pub(super) fn started(
    cx: &Context,
    request: &RequestRef,
    step: Transition,
    new: &NewExecution,
) -> Result<(), Error> {
    cx.one(
        "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, execution_id = ?6, claimed_by = ?7, \
         dispatch_deadline_ms = NULL, due_at_ms = NULL WHERE seq = ?1 AND status = ?2",
        params![
            request.seq,
            step.from().map(Status::as_str),
            step.to().as_str(),
            cx.audit_seq,
            cx.now.0,
            new.id,
            new.agent_id
        ],
    )?;
    cx.one(
        "INSERT INTO executions (id, request_seq, attempt, agent_id, status, claim_key, token_json, \
         statement_timeout_secs, max_rows, lease_secs, lease_until_ms, started_at_ms, audit_seq) \
         VALUES (?1, ?2, ?3, ?4, 'claimed', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            new.id,
            request.seq,
            new.attempt,
            new.agent_id,
            new.claim_key,
            new.token_json,
            i64::try_from(new.statement_timeout_secs).unwrap_or(i64::MAX),
            new.max_rows.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            i64::try_from(new.lease_secs).unwrap_or(i64::MAX),
            new.lease_until.0,
            cx.now.0,
            cx.audit_seq
        ],
    )
}

pub(super) fn finished(
    cx: &Context,
    request: &RequestRef,
    step: Option<Transition>,
    finished: &Finished,
    result: Option<&NewResult>,
) -> Result<(), Error> {
    let from_lost = step.is_some_and(|s| s.from() == Some(Status::ExecutionLost));
    match step {
        Some(step) => cx.one(
            "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, resolved_at_ms = ?5, \
             executions_finished = executions_finished + 1, executions_lost = executions_lost - ?6, \
             first_completed_at_ms = coalesce(first_completed_at_ms, ?5), due_at_ms = NULL \
             WHERE seq = ?1 AND status = ?2",
            params![
                request.seq,
                step.from().map(Status::as_str),
                step.to().as_str(),
                cx.audit_seq,
                cx.now.0,
                from_lost
            ],
        )?,
        None => cx.one(
            "UPDATE requests SET updated_at_ms = ?2, executions_finished = executions_finished + 1, \
             first_completed_at_ms = coalesce(first_completed_at_ms, ?2) WHERE seq = ?1",
            params![request.seq, cx.now.0],
        )?,
    }
    cx.one(
        "UPDATE executions SET status = ?2, finished_at_ms = ?3, error_message = ?4, rows_affected = ?5, \
         duration_ms = ?6, truncated = ?7, late = ?8, report_sha256 = ?9, audit_seq = ?10, outcome = ?11, \
         outcome_unproven = ?12, error_detail = ?13 \
         WHERE id = ?1 AND status IN ('claimed', 'lost')",
        params![
            finished.execution_id,
            if finished.end.outcome.is_success() {
                "completed"
            } else {
                "failed"
            },
            cx.now.0,
            finished.error_message,
            finished
                .rows_affected
                .map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            finished
                .duration_ms
                .map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            finished.truncated,
            finished.late,
            finished.report_sha256,
            cx.audit_seq,
            finished.end.outcome.as_str(),
            finished.end.unproven,
            finished.error_detail
        ],
    )?;
    match result {
        Some(result) => stored(cx, request, &finished.execution_id, result),
        None => Ok(()),
    }
}

fn stored(
    cx: &Context,
    request: &RequestRef,
    execution_id: &str,
    result: &NewResult,
) -> Result<(), Error> {
    cx.one(
        "INSERT INTO results (execution_seq, request_seq, backend, object_key, content_length, checksum_sha256, \
         stored_at_ms, expires_at_ms, audit_seq) \
         SELECT seq, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM executions WHERE id = ?1",
        params![
            execution_id,
            request.seq,
            result.backend,
            result.key,
            i64::try_from(result.content_length).unwrap_or(i64::MAX),
            result.checksum_sha256,
            cx.now.0,
            result.expires_at.0,
            cx.audit_seq
        ],
    )?;
    if let Some(body) = &result.body {
        cx.one(
            "INSERT INTO result_bodies (execution_seq, body) SELECT seq, ?2 FROM executions WHERE id = ?1",
            params![execution_id, &body[..]],
        )?;
    }
    let own = format!("user:{}", request.requester);
    let selectors = result.access.iter().map(ToString::to_string);
    for selector in selectors.chain([own]) {
        cx.any(
            "INSERT OR IGNORE INTO result_access (selector, execution_seq) \
             SELECT ?2, seq FROM executions WHERE id = ?1",
            params![execution_id, selector],
        )?;
    }
    Ok(())
}

pub(super) fn lost(
    cx: &Context,
    request: &RequestRef,
    step: Option<Transition>,
    execution_id: &str,
    report: Option<&InconclusiveReport>,
) -> Result<(), Error> {
    if let Some(step) = step {
        cx.one(
            "UPDATE requests SET status = ?3, audit_seq = ?4, updated_at_ms = ?5, resolved_at_ms = ?5, \
             executions_lost = executions_lost + 1, due_at_ms = NULL WHERE seq = ?1 AND status = ?2",
            params![
                request.seq,
                step.from().map(Status::as_str),
                step.to().as_str(),
                cx.audit_seq,
                cx.now.0
            ],
        )?;
    }
    cx.one(
        "UPDATE executions SET status = 'lost', outcome = 'unknown', audit_seq = ?2, error_message = ?3, \
         duration_ms = ?4, report_sha256 = ?5, finished_at_ms = ?6 WHERE id = ?1 AND status = 'claimed'",
        params![
            execution_id,
            cx.audit_seq,
            report.and_then(|r| r.error_message.as_deref()),
            report
                .and_then(|r| r.duration_ms)
                .map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            report.map(|r| r.report_sha256.as_str()),
            report.map(|_| cx.now.0)
        ],
    )
}
