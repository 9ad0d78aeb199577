//! The audit event of each change of a request.

mod rehearsed;

use super::{
    CompletedSteps, DdlPassed, Finished, InconclusiveReport, NewExecution, NewRequest, NewResult,
    RequestChange, RequestRef,
};
use crate::clock::Timestamp;
use crate::crypto::sha256_hex;
use crate::domain::approval::Vote;
use crate::domain::audit::{AuditEntry, EventOutcome};
use crate::domain::change::entry::{about, object, of_request};
use crate::domain::request::{ExecutionOutcome, Status, Transition};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl RequestChange {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        let mut entry = match self {
            RequestChange::Created(new) => created(new),
            RequestChange::Dispatched {
                request,
                deadline,
                acknowledged,
                ..
            } => dispatched(request, *deadline, acknowledged.as_deref()),
            RequestChange::DdlPassed(passed) => ddl_passed(passed),
            RequestChange::StepApproved {
                request,
                vote,
                current_step,
                total_steps,
                ..
            } => step_approved(request, vote, *current_step, *total_steps),
            RequestChange::Approved {
                request,
                vote,
                total_steps,
                votes,
                approval_expires_at,
                ..
            } => with(
                voted("request.approved", request, vote, Some(*total_steps)),
                [
                    ("votes", (*votes).into()),
                    ("approval_expires_at", approval_expires_at.rfc3339().into()),
                ],
            ),
            RequestChange::StepsCompleted(completed) => steps_completed(completed),
            RequestChange::Rejected { request, vote, .. } => rejected(request, vote),
            RequestChange::Cancelled {
                request, reason, ..
            } => cancelled(request, reason.as_deref()),
            RequestChange::Expired { request, .. } => {
                of_request("request.expired", "approval", request)
            }
            RequestChange::DispatchTimedOut { request, .. } => {
                of_request("request.dispatch_timeout", "approval", request)
            }
            RequestChange::ExecutionStarted {
                request, execution, ..
            } => started(request, execution),
            RequestChange::ExecutionFinished {
                request,
                step,
                finished,
                result,
            } => ended(request, *step, finished, result.as_ref()),
            RequestChange::ExecutionLost {
                request,
                execution_id,
                agent_id,
                report,
                ..
            } => lost(request, execution_id, agent_id, report.as_ref()),
            RequestChange::Rehearsal(change) => rehearsed::entry(change),
            RequestChange::Corrupted { request, what } => frozen(request, what),
            RequestChange::ResultCorrupt {
                request,
                execution_id,
            } => corrupt(request, execution_id),
        };
        entry.moved = self.moved();
        entry
    }
}

fn with<const N: usize>(mut e: AuditEntry, more: [(&str, Value); N]) -> AuditEntry {
    for (key, value) in more {
        e.metadata.insert(key.into(), value);
    }
    e
}

fn step_approved(request: &RequestRef, vote: &Vote, current: u32, total: u32) -> AuditEntry {
    let e = voted("step.approved", request, vote, Some(total));
    with(e, [("current_step", current.into())])
}

fn frozen(request: &RequestRef, what: &str) -> AuditEntry {
    let mut e = of_request("request.corrupt", "request", request);
    e.outcome = EventOutcome::Failure;
    with(e, [("differs", what.into())])
}

fn created(new: &NewRequest) -> AuditEntry {
    let event_type = match new.step.to() {
        Status::AutoApproved => "request.auto_approved",
        Status::BreakGlass => "request.break_glass",
        _ => "request.created",
    };
    let mut e = about(event_type, "approval", "request", &new.id);
    e.request_id = Some(new.id.clone());
    e.operation = Some(new.operation.as_str());
    e.database = Some(new.target.database().to_owned());
    e.environment = Some(new.target.environment().to_owned());
    e.fingerprint = Some(new.text.fingerprint.clone());
    e.detail.clone_from(&new.text.redacted);
    e.reason.clone_from(&new.reason);
    let commitments = new.commitments();
    e.metadata = object(json!({
        "policy_version": new.policy_version,
        "risk_level": new.risk_level.as_str(),
        "dialect": new.dialect.as_str(),
        "emergency": new.emergency,
        "allow_ddl": new.allow_ddl,
        "no_result_store": new.no_result_store,
        "total_steps": new.total_steps,
        "expires_at": new.expires_at.map(Timestamp::rfc3339),
        "approval_expires_at": new.approval_expires_at.map(Timestamp::rfc3339),
        "commitment": commitments.request,
        "context_commitment": commitments.context,
    }));
    if let Some(bound) = new.row_bound {
        let m = &mut e.metadata;
        m.insert("max_affected_rows".into(), bound.rows.into());
        m.insert("row_bound_source".into(), bound.source.as_str().into());
    }
    e
}

fn dispatched(request: &RequestRef, deadline: Timestamp, acknowledged: Option<&str>) -> AuditEntry {
    let mut e = of_request("request.dispatched", "approval", request);
    e.metadata
        .insert("dispatch_deadline".into(), deadline.rfc3339().into());
    e.reason = acknowledged.map(str::to_owned);
    if acknowledged.is_some() {
        e.metadata
            .insert("acknowledged_unknown_outcome".into(), true.into());
    }
    e
}

fn ddl_passed(passed: &DdlPassed) -> AuditEntry {
    let mut e = of_request("ddl.break_glass_bypass", "approval", &passed.request);
    e.fingerprint = Some(passed.fingerprint.clone());
    e.detail.clone_from(&passed.redacted);
    e.reason.clone_from(&passed.reason);
    e.metadata = object(json!({
        "statement_count": passed.passed.statements,
        "classifier_bypassed": passed.passed.classifier,
        "reviewer_bypassed": passed.passed.reviewer,
    }));
    e
}

fn voted(
    event_type: &'static str,
    request: &RequestRef,
    vote: &Vote,
    total_steps: Option<u32>,
) -> AuditEntry {
    let mut e = of_request(event_type, "approval", request);
    let m = &mut e.metadata;
    m.insert("step_number".into(), (vote.step + 1).into());
    if let Some(total) = total_steps {
        m.insert("total_steps".into(), total.into());
    }
    m.insert("selector".into(), vote.selector.clone().into());
    if let Some(comment) = &vote.comment {
        m.insert("approval_comment".into(), comment.clone().into());
    }
    if vote.issued_by_requester {
        m.insert("issued_by_requester".into(), true.into());
    }
    e
}

fn steps_completed(completed: &CompletedSteps) -> AuditEntry {
    let event_type = match completed.approval {
        Some(_) => "request.approved",
        None => "step.approved",
    };
    let mut e = of_request(event_type, "approval", &completed.request);
    e.metadata = object(json!({
        "step_number": completed.current_step,
        "total_steps": completed.total_steps,
        "counts_again": completed.voter,
        "current_step": completed.current_step,
        "approval_expires_at": completed.approval.map(|(_, until)| until.rfc3339()),
    }));
    e
}

fn rejected(request: &RequestRef, vote: &Vote) -> AuditEntry {
    let mut e = voted("request.rejected", request, vote, None);
    e.reason.clone_from(&vote.comment);
    e
}

fn cancelled(request: &RequestRef, reason: Option<&str>) -> AuditEntry {
    let mut e = of_request("request.cancelled", "approval", request);
    e.reason = reason.map(str::to_owned);
    if request.status == Status::Running {
        let outcome = ExecutionOutcome::Stopping.as_str();
        e.metadata.insert("outcome".into(), outcome.into());
    }
    e
}

fn started(request: &RequestRef, execution: &NewExecution) -> AuditEntry {
    let mut e = of_request("execution.started", "execution", request);
    e.metadata = object(json!({
        "execution_id": execution.id,
        "attempt": execution.attempt,
        "agent_id": execution.agent_id,
        "statement_timeout_secs": execution.statement_timeout_secs,
        "max_rows": execution.max_rows,
        "lease_secs": execution.lease_secs,
        // What was signed: the token itself lets its holder run the statement, so only its hash is here.
        "token_sha256": sha256_hex(execution.token_json.as_bytes()),
    }));
    e
}

fn ended(
    request: &RequestRef,
    step: Option<Transition>,
    finished: &Finished,
    result: Option<&NewResult>,
) -> AuditEntry {
    let success = finished.end.outcome.is_success();
    let (event_type, outcome) = if success {
        ("execution.completed", EventOutcome::Success)
    } else {
        ("execution.failed", EventOutcome::Failure)
    };
    let mut e = of_request(event_type, "execution", request);
    e.outcome = outcome;
    e.resource_type = Some("execution");
    e.resource_id = Some(finished.execution_id.clone());
    let m = &mut e.metadata;
    m.insert("duration_ms".into(), finished.duration_ms.into());
    m.insert("rows_affected".into(), finished.rows_affected.into());
    m.insert("truncated".into(), finished.truncated.into());
    m.insert("late".into(), finished.late.into());
    m.insert("outcome".into(), finished.end.outcome.as_str().into());
    if finished.end.unproven {
        m.insert("outcome_unproven".into(), true.into());
    }
    m.insert(
        "report_sha256".into(),
        finished.report_sha256.clone().into(),
    );
    m.insert(
        "error_sha256".into(),
        hash_of(finished.error_message.as_deref()),
    );
    if let Some(result) = result {
        m.insert("result_backend".into(), result.backend.into());
        m.insert(
            "result_expires_at".into(),
            result.expires_at.rfc3339().into(),
        );
        let access: BTreeSet<String> = result.access.iter().map(ToString::to_string).collect();
        m.insert("result_access".into(), Vec::from_iter(access).into());
        m.insert(
            "result_sha256".into(),
            result.checksum_sha256.clone().into(),
        );
        m.insert("result_bytes".into(), result.content_length.into());
    }
    if step.is_none() && success {
        m.insert("committed_after_cancel".into(), true.into());
    }
    e
}

fn lost(
    request: &RequestRef,
    execution_id: &str,
    agent_id: &str,
    report: Option<&InconclusiveReport>,
) -> AuditEntry {
    let mut e = of_request("execution.lost", "agent", request);
    e.outcome = EventOutcome::Failure;
    e.metadata
        .insert("execution_id".into(), execution_id.into());
    let m = &mut e.metadata;
    m.insert("agent_id".into(), agent_id.into());
    m.insert("outcome".into(), ExecutionOutcome::Unknown.as_str().into());
    if let Some(report) = report {
        m.insert("reported".into(), true.into());
        m.insert("duration_ms".into(), report.duration_ms.into());
        m.insert("report_sha256".into(), report.report_sha256.clone().into());
        m.insert(
            "error_sha256".into(),
            hash_of(report.error_message.as_deref()),
        );
    }
    e
}

/// Messages of a database quote values: the log has their hash.
fn hash_of(error: Option<&str>) -> Value {
    error.map(|text| sha256_hex(text.as_bytes())).into()
}

fn corrupt(request: &RequestRef, execution_id: &str) -> AuditEntry {
    let mut e = of_request("result.corrupt", "execution", request);
    e.outcome = EventOutcome::Failure;
    e.metadata
        .insert("execution_id".into(), execution_id.into());
    e
}
