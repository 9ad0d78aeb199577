//! A request as JSON: whole, and as an item of a list.

use super::rehearsals;
use super::webhooks::{channel, webhook_id};
use super::{escaped, excerpt, time};
use crate::actions::allowed::Allowed;
use crate::actions::approvers::NamedApprovers;
use crate::actions::awaited::NextAction;
use crate::actions::create_request::UnparsableAt;
use crate::actions::view_requests::Detail;
use crate::clock::Timestamp;
use crate::domain::approval::{StepRemaining, Vote, count, current_step, is_satisfied};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{ExecutionOutcome, Request, Status};
use crate::error::Error;
use crate::store::{DeliveryRow, RequestItem};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A request with all there is to say of it. What was stored as JSON goes out as the text it was stored as.
#[derive(Serialize)]
pub(super) struct RequestJson<'a> {
    id: &'a str,
    requester: &'a str,
    database: &'a str,
    environment: &'a str,
    operation: &'static str,
    detail: &'a str,
    detail_escaped: Option<String>,
    dialect: &'static str,
    status: &'static str,
    outcome: Option<&'static str>,
    outcome_unproven: bool,
    next: Value,
    corrupt: bool,
    queue_hint: Option<&'static str>,
    emergency: bool,
    reason: Option<&'a str>,
    share_with: Vec<String>,
    no_result_store: bool,
    max_affected_rows: Option<u64>,
    row_bound_source: Option<&'static str>,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
    approved_at: Option<String>,
    approval_expires_at: Option<String>,
    resolved_at: Option<String>,
    risk_level: &'static str,
    current_step: u32,
    total_steps: u32,
    next_approvers: Vec<String>,
    approval_progress: Option<Value>,
    context: Option<Value>,
    rehearsal: Option<Value>,
    rehearsable: bool,
    actions: Option<&'a [&'static str]>,
    resume_needs_acknowledgement: bool,
    decision_trace: &'a RawValue,
    metadata: Option<&'a RawValue>,
    idempotency_key: Option<&'a str>,
    execution_id: Option<&'a str>,
    claimed_by: Option<&'a str>,
    cancelled_by: Option<&'a str>,
    cancel_reason: Option<&'a str>,
    policy_version: &'a str,
    notifications: Vec<Value>,
    notifications_truncated: bool,
}

impl<'a> RequestJson<'a> {
    /// # Errors
    /// `internal` when a stored text is not JSON.
    pub(super) fn new(
        detail: &'a Detail,
        approvers: &[NamedApprovers],
        allowed: Option<&'a Allowed>,
    ) -> Result<RequestJson<'a>, Error> {
        let Detail {
            request: r,
            text,
            votes,
            rehearsal,
            now,
            next,
            queue_hint,
            notifications,
            notifications_truncated,
            ..
        } = detail;
        let workflow = text.workflow.as_ref();
        Ok(RequestJson {
            id: &r.id,
            requester: &r.requester,
            database: r.target.database(),
            environment: r.target.environment(),
            operation: r.operation.as_str(),
            detail: &text.detail,
            detail_escaped: escaped(&text.detail, usize::MAX),
            dialect: r.dialect.as_str(),
            status: r.status().as_str(),
            outcome: r.outcome.map(ExecutionOutcome::as_str),
            outcome_unproven: r.outcome_unproven,
            next: self::next(next.as_ref()),
            corrupt: r.corrupt,
            queue_hint: *queue_hint,
            emergency: r.emergency,
            reason: r.reason.as_deref(),
            share_with: text.share_with.iter().map(ToString::to_string).collect(),
            no_result_store: r.no_result_store,
            max_affected_rows: r.row_bound.map(|bound| bound.rows),
            row_bound_source: r.row_bound.map(|bound| bound.source.as_str()),
            created_at: r.created_at.rfc3339(),
            updated_at: r.updated_at.rfc3339(),
            expires_at: time(r.expires_at),
            approved_at: time(r.approved_at),
            approval_expires_at: time(r.approval_expires_at),
            resolved_at: time(r.resolved_at),
            risk_level: r.risk_level.as_str(),
            current_step: r.current_step,
            total_steps: r.total_steps,
            next_approvers: next_approvers(r, workflow),
            approval_progress: workflow.map(|w| progress(w, votes, approvers)),
            context: context_of(detail)?,
            rehearsal: rehearsal
                .as_ref()
                .map(|last| rehearsals::shown(last, *now, r.execution_id.is_some())),
            rehearsable: allowed.is_some_and(|a| a.verbs.contains(&"rehearse")),
            actions: allowed.map(|a| a.verbs.as_slice()),
            resume_needs_acknowledgement: allowed.is_some_and(|a| a.needs_acknowledgement),
            decision_trace: raw(&text.trace_json)?,
            metadata: text.metadata_json.as_deref().map(raw).transpose()?,
            idempotency_key: text.idempotency_key.as_deref(),
            execution_id: r.execution_id.as_deref(),
            claimed_by: r.claimed_by.as_deref(),
            cancelled_by: r.cancelled_by.as_deref(),
            cancel_reason: r.cancel_reason.as_deref(),
            policy_version: &r.policy_version,
            notifications: notifications.iter().map(notification).collect(),
            notifications_truncated: *notifications_truncated,
        })
    }
}

/// Where reading a text stopped.
pub fn unparsable(at: Option<&UnparsableAt>) -> Value {
    at.map_or(
        Value::Null,
        |at| json!({"line": at.line, "column": at.column, "message": at.message}),
    )
}

/// Who must act; null once there is an outcome.
pub(super) fn next(next: Option<&NextAction>) -> Value {
    let Some(next) = next else { return Value::Null };
    json!({
        "action": next.action,
        "by": next.by,
        "remaining": remaining(next.remaining.as_ref()),
    })
}

/// How many more approvals, and of whom.
pub(super) fn remaining(remaining: Option<&StepRemaining>) -> Value {
    let Some(r) = remaining else {
        return Value::Null;
    };
    let of: Vec<Value> =
        r.of.iter()
            .map(|(selector, votes)| json!({"selector": selector.to_string(), "votes": votes}))
            .collect();
    json!({"step": r.step, "votes": r.votes, "of": of, "steps_after": r.steps_after})
}

/// Who was notified, by which channel, and how that went.
fn notification(row: &DeliveryRow) -> Value {
    json!({
        "delivery_id": row.id,
        "event_type": row.event_type,
        "channel": channel(row),
        "webhook_id": webhook_id(row),
        "recipient": row.recipient,
        "status": row.status,
        "attempts": row.attempts,
        "last_error": row.last_error,
        "created_at": row.created_at.rfc3339(),
        "updated_at": row.updated_at.rfc3339(),
    })
}

fn raw(text: &str) -> Result<&RawValue, Error> {
    serde_json::from_str(text).map_err(|e| Error::internal("a stored text is not JSON", e))
}

/// None where the result is not to be kept.
fn context_of(detail: &Detail) -> Result<Option<Value>, Error> {
    let stored = detail.text.context_json.as_ref();
    let state = detail.context_state.as_ref();
    stored
        .zip(state)
        .map(|(stored, (status, explain))| context(stored, status, explain.as_ref()))
        .transpose()
}

/// What reviewers go by: what was known when the request was made, and the plans that agents sent since.
fn context(stored: &str, status: &str, explain: Option<&Value>) -> Result<Value, Error> {
    let mut context: Map<String, Value> = serde_json::from_str(stored)
        .map_err(|e| Error::internal("a stored context is not a JSON object", e))?;
    name_fixes(&mut context);
    let enabled = status != "ready" || explain.is_some();
    context.insert("status".to_owned(), status.into());
    context.insert("explain_enabled".to_owned(), enabled.into());
    context.insert("explain".to_owned(), explain.cloned().unwrap_or_default());
    Ok(Value::Object(context))
}

/// Requests of earlier builds are stored with findings whose `fix` was called `mend`.
fn name_fixes(context: &mut Map<String, Value>) {
    let findings = context
        .get_mut("sql_review")
        .and_then(|review| review.get_mut("findings"))
        .and_then(Value::as_array_mut);
    for finding in findings.into_iter().flatten() {
        if let Some(finding) = finding.as_object_mut()
            && let Some(fix) = finding.remove("mend")
        {
            finding.insert("fix".to_owned(), fix);
        }
    }
}

/// Selectors that a pending request waits for.
fn next_approvers(request: &Request, workflow: Option<&Workflow>) -> Vec<String> {
    let waits = workflow.filter(|_| request.status() == Status::Pending);
    waits.map_or_else(Vec::new, |w| w.approvers_of(request.current_step))
}

/// Adds who is known to be able to give an approval.
pub(super) fn put_people(entry: &mut Value, named: &NamedApprovers) {
    entry["people"] = named.people.clone().into();
    entry["others"] = named.others.into();
}

/// How far the approvals have come, step by step; with who can go on, for the one that waits.
fn progress(workflow: &Workflow, votes: &[Vote], approvers: &[NamedApprovers]) -> Value {
    let current = current_step(workflow, votes);
    let steps: Vec<Value> = workflow
        .steps
        .iter()
        .zip(0..)
        .map(|(step, index)| {
            let required: Vec<Value> = step
                .approvers
                .iter()
                .enumerate()
                .map(|(n, a)| {
                    let mut entry = json!({
                        "selector": a.selector.to_string(),
                        "min": a.min,
                        "current": count(&a.selector, index, votes),
                    });
                    if let Some(named) = approvers.get(n).filter(|_| index == current) {
                        put_people(&mut entry, named);
                    }
                    entry
                })
                .collect();
            let cast = votes.iter().filter(|v| v.step == index);
            json!({
                "index": index,
                "mode": step.mode.as_str(),
                "satisfied": is_satisfied(step, index, votes),
                "approvers_required": required,
                "approvals": cast.map(vote).collect::<Vec<Value>>(),
            })
        })
        .collect();
    json!({
        "current_step": current,
        "total_steps": workflow.steps.len(),
        "steps": steps,
    })
}

fn vote(vote: &Vote) -> Value {
    json!({
        "user": vote.actor,
        "action": vote.action.as_str(),
        "at": vote.at.rfc3339(),
        "comment": vote.comment,
        "selector": vote.selector,
        "issued_by_requester": vote.issued_by_requester,
        "counts": vote.counts,
        "not_counted_because": (!vote.counts).then_some("suspended"),
    })
}

/// Bytes of a statement in a list, of a reason, and of all the selectors of the next approvers: each byte is at most
/// six of JSON, and a hundred items are 1 MiB.
const DETAIL_BYTES: usize = 1024;
const REASON_BYTES: usize = 200;
const APPROVERS_BYTES: usize = 768;

/// A request in a list, cut so that a page is never large.
pub(super) fn item(item: &RequestItem) -> Value {
    let r = &item.request;
    let detail = excerpt(&item.detail, DETAIL_BYTES);
    let reason = r.reason.as_deref();
    let mut left = APPROVERS_BYTES;
    let approvers = item.next_approvers.iter().take_while(|selector| {
        left = left.saturating_sub(selector.len());
        left > 0
    });
    let mut shown = json!({
        "id": r.id,
        "requester": r.requester,
        "database": r.target.database(),
        "environment": r.target.environment(),
        "operation": r.operation.as_str(),
        "detail": detail,
        "detail_escaped": escaped(detail, DETAIL_BYTES),
        "detail_truncated": detail.len() as u64 != item.detail_bytes,
        "detail_bytes": item.detail_bytes,
        "dialect": r.dialect.as_str(),
        "status": r.status().as_str(),
        "outcome": r.outcome.map(ExecutionOutcome::as_str),
        "outcome_unproven": r.outcome_unproven,
        "corrupt": r.corrupt,
        "emergency": r.emergency,
        "reason": reason.map(|text| excerpt(text, REASON_BYTES)),
        "reason_truncated": reason.is_some_and(|text| text.len() > REASON_BYTES),
        "risk_level": r.risk_level.as_str(),
        "max_affected_rows": r.row_bound.map(|bound| bound.rows),
        "row_bound_source": r.row_bound.map(|bound| bound.source.as_str()),
        "current_step": r.current_step,
        "total_steps": r.total_steps,
        "next_approvers": approvers.collect::<Vec<_>>(),
        "created_at": Timestamp::rfc3339(r.created_at),
        "updated_at": Timestamp::rfc3339(r.updated_at),
        "expires_at": time(r.expires_at),
        "approved_at": time(r.approved_at),
    });
    if let Some((action, at)) = &item.vote {
        shown["your_vote"] = json!({"action": action.as_str(), "at": at.rfc3339()});
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::context;
    use serde_json::json;

    #[test]
    fn findings_of_older_requests_are_shown_with_their_fix() {
        for name in ["mend", "fix"] {
            let stored = json!({"sql_review": {"findings": [{"rule": "r", name: "add a WHERE"}]}});
            let shown = context(&stored.to_string(), "ready", None).unwrap();
            let expected = json!([{"rule": "r", "fix": "add a WHERE"}]);
            assert_eq!(shown["sql_review"]["findings"], expected);
        }
    }
}
