//! `GET /api/policy-resolution`: which policies apply to a target, and what they would decide.

use crate::actions::resolve_policy::{self, Predicted, Resolution, Resolved};
use crate::domain::actor::Caller;
use crate::domain::id::{Operation, Target};
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Opening;
use crate::domain::risk_level::RiskLevel;
use crate::domain::sql::ReviewRule;
use crate::error::{Error, Shown};
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Map, Value, json};

/// `GET /api/policy-resolution`
pub fn resolve(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let query = ask.query();
    let needed = |name: &str| -> Result<String, Error> {
        query
            .text(name)?
            .ok_or_else(|| Error::invalid(format!("query parameter `{name}` is missing")))
    };
    let target = Target::new(&needed("database")?, &needed("environment")?)?;
    let operation = match query.text("operation")?.filter(|name| !name.is_empty()) {
        Some(name) => Some(
            Operation::parse_input(&name)
                .ok_or_else(|| Error::invalid(format!("unknown operation `{}`", Shown(&name))))?,
        ),
        None => None,
    };
    let sql = query.text("sql")?;
    let resolution =
        resolve_policy::resolve(&context.app, caller, target, operation, sql.as_deref())?;
    replies::json(200, &shown(&resolution, operation.is_some()))
}

fn shown(r: &Resolution, one: bool) -> Value {
    let mut out = Map::new();
    out.insert("database".into(), r.target.database().to_owned().into());
    out.insert(
        "environment".into(),
        r.target.environment().to_owned().into(),
    );
    out.insert("registered".into(), r.registered.into());
    if !r.registered {
        out.insert("decision_preview".into(), "deny".into());
        out.insert("reason_code".into(), "db_not_registered".into());
        return Value::Object(out);
    }
    out.insert("policy_version".into(), r.policy_version.clone().into());
    match r.operations.first() {
        Some(resolved) if one => {
            out.insert("operation".into(), resolved.operation.as_str().into());
            out.insert(
                "workflow".into(),
                resolved.workflow.as_ref().map(workflow).into(),
            );
            out.insert("decision_preview".into(), resolved.preview.as_str().into());
            out.insert("reason_code".into(), resolved.reason.into());
        }
        _ => {
            let all: Vec<Value> = r.operations.iter().map(short).collect();
            out.insert("resolutions".into(), all.into());
        }
    }
    out.insert(
        "auto_approve".into(),
        r.auto_approve.as_ref().map(auto_approve).into(),
    );
    out.insert("execution_policy".into(), execution(r));
    let rules: Map<String, Value> = ReviewRule::ALL
        .iter()
        .map(|rule| {
            let action = r.review.action(*rule).as_str();
            (rule.as_str().to_owned(), action.into())
        })
        .collect();
    out.insert(
        "sql_review".into(),
        json!({"matched_by": r.review.scope.to_string(), "rules": rules}),
    );
    out.insert(
        "result_policy".into(),
        json!({
            "matched_by": r.result.scope.to_string(),
            "retention_days": r.result.retention_days,
            "delivery_mode": r.result.delivery_mode.as_str(),
        }),
    );
    out.insert("notification_policy".into(), notification(r));
    out.insert("on_call".into(), json!(r.on_call));
    if let Some(predicted) = &r.predicted {
        out.insert("prediction".into(), prediction(predicted));
    }
    Value::Object(out)
}

fn execution(r: &Resolution) -> Value {
    json!({
        "statement_timeout_secs": r.execution.statement_timeout_secs,
        "migration_statement_timeout_secs": r.execution.migration_statement_timeout_secs,
        "max_rows": r.execution.max_rows,
        "max_affected_rows": r.execution.max_affected_rows,
        "lock_timeout_secs": r.execution.lock_secs(),
        "max_executions": r.execution.max_executions,
        "matched_by": r.execution.scope.to_string(),
        "explicit": r.execution_is_explicit,
    })
}

/// Who is notified of what there: by the policy that applies, or, where no policy names the webhook, by its own events.
fn notification(r: &Resolution) -> Value {
    let webhooks: Vec<Value> = r
        .firing
        .iter()
        .map(|f| {
            json!({
                "id": f.webhook,
                "events": f.events,
                "by": if f.by_policy { "policy" } else { "webhook" },
            })
        })
        .collect();
    json!({
        "matched_by": r.notification.as_ref().map(|p| p.scope.to_string()),
        "webhooks": webhooks,
    })
}

fn auto_approve(a: &AutoApprove) -> Value {
    json!({
        "max_risk": a.threshold.map(RiskLevel::as_str),
        "allow_read_only": a.allowance.allow_read_only,
        "allow_safe_ddl": a.allowance.allow_safe_ddl,
        "max_estimated_rows": a.allowance.max_estimated_rows,
        "matched_by": a.scope.to_string(),
    })
}

fn short(r: &Resolved) -> Value {
    json!({
        "operation": r.operation.as_str(),
        "workflow_id": r.workflow.as_ref().map(Workflow::id),
        "matched_by": r.workflow.as_ref().map(|w| w.scope.to_string()),
        "decision_preview": r.preview.as_str(),
        "reason_code": r.reason,
    })
}

fn workflow(w: &Workflow) -> Value {
    let steps: Vec<Value> = w
        .steps
        .iter()
        .map(|step| {
            let selectors: Vec<String> = step
                .approvers
                .iter()
                .map(|a| a.selector.to_string())
                .collect();
            json!({
                "approvers": selectors,
                "mode": step.mode.as_str(),
                "min": step.approvers.first().map(|a| a.min),
            })
        })
        .collect();
    json!({
        "id": w.id(),
        "matched_by": w.scope.to_string(),
        "steps": steps,
        "require_reason": w.require_reason,
        "explain": w.explain,
    })
}

/// What the statement would come to: the decision with its trace, or the refusal in the words a submit would get.
fn prediction(p: &Predicted) -> Value {
    match &p.decision {
        Ok(decision) => {
            let preview = match decision.opening {
                Opening::Pending => "needs_approval",
                Opening::AutoApproved | Opening::BreakGlass => "auto_approved",
            };
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            json!({
                "operation": decision.operation.as_str(),
                "decision_preview": preview,
                "reason_code": decision.reason,
                "risk_level": decision.risk.as_str(),
                "plan": p.analysis.as_ref().and_then(|a| a.plan.clone()),
                "context": read(&decision.context),
                "decision_trace": read(&decision.trace),
            })
        }
        Err(error) => json!({
            "decision_preview": "deny",
            "reason_code": error.code(),
            "message": error.message(),
            "hint": error.hint_text(),
        }),
    }
}
