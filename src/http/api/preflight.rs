//! `POST /api/preflight`: what a request of a statement would come to, without making one.

use super::request_json;
use crate::actions::approvers::NamedApprovers;
use crate::actions::create_request::UnparsableAt;
use crate::actions::explain::{self, PlanStart, PlanStatus, Plans, WAIT_MS_DEFAULT, WAIT_MS_MAX};
use crate::actions::preflight::{Preflight, preflight};
use crate::actions::topics;
use crate::domain::actor::Caller;
use crate::domain::decision::Decision;
use crate::domain::id::{Operation, Target};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Opening;
use crate::error::{Error, ErrorKind};
use crate::gate::Wake;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::http::wait::TopicWatch;
use crate::store::Explained;
use serde_json::{Value, json};
use std::time::Duration;

/// Members of the body; another one is refused, since it could have been meant to change the prediction.
const FIELDS: [&str; 5] = [
    "database",
    "environment",
    "sql",
    "include_explain",
    "explain_timeout_ms",
];

/// `POST /api/preflight`; held until agents have explained the statements, or as long as the caller waits for that.
pub fn check(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let body = ask.body()?;
    body.only(&FIELDS)?;
    let wants_plans = body.flag("include_explain")?.unwrap_or(true);
    let wait_ms = body
        .number("explain_timeout_ms")?
        .unwrap_or(WAIT_MS_DEFAULT)
        .min(WAIT_MS_MAX);
    let target = Target::new(
        &body.needed_text("database")?,
        &body.needed_text("environment")?,
    )?;
    let sql = body.needed_text("sql")?;
    let first = ask.memo().is_none();
    let tried = preflight(&context.app, caller, target, &sql, first)?;
    let begun = match ask.memo() {
        Some(id) => PlanStart::Asked(id.to_owned()),
        None if !wants_plans => PlanStart::Refused(PlanStatus::NotRequested),
        None => explain::begin(&context.app, caller, &tried, wait_ms)?,
    };
    let id = match begun {
        PlanStart::Asked(id) => id,
        PlanStart::Refused(why) => return replies::json(200, &shown(&tried, Plans::none(why))),
    };
    if first {
        // Any agent may lack what it takes, so all look.
        let agents = topics::jobs(&tried.target);
        context.hub.publish(&agents, Wake::All);
    }
    let watch = match ask.may_wait(wait_ms) {
        true => {
            let plans = [topics::preflight(&id)];
            Some(TopicWatch::begin(context, caller, ask, plans)?)
        }
        false => None,
    };
    let plans = explain::take(&context.app, caller, &tried, &id, watch.is_some());
    match (plans, watch) {
        (None, Some(watch)) => Ok(watch.park_for(ask, Duration::from_millis(wait_ms), &id)),
        (plans, _) => {
            let plans = plans.unwrap_or_else(|| Plans::none(PlanStatus::Timeout));
            replies::json(200, &shown(&tried, plans))
        }
    }
}

fn shown(tried: &Preflight, plans: Plans) -> Value {
    let decided = &tried.predicted.decision;
    let known = tried.predicted.assessment.as_ref();
    let context: Value = known
        .and_then(|known| serde_json::from_str(&known.context).ok())
        .unwrap_or_default();
    let refusal = decided.as_ref().err().map(refusal);
    let listed = |value: &Value| value.as_array().cloned().filter(|list| !list.is_empty());
    let blocking = refusal
        .as_ref()
        .and_then(|refusal| listed(&refusal["details"]["findings"]));
    let is_blocked = blocking.is_some();
    let findings = blocking
        .or_else(|| listed(&context["sql_review"]["findings"]))
        .unwrap_or_default();
    let analysis = tried.predicted.analysis.as_ref();
    let unparsable = UnparsableAt::of(analysis.map(|a| &a.class));
    let status = match decided {
        Err(_) => "blocked",
        // Somebody may approve what cannot be read; its author had better look first.
        Ok(_) if !findings.is_empty() || unparsable.is_some() => "warning",
        Ok(_) => "requestable",
    };
    let mut fixes: Vec<Value> = findings.iter().map(|f| f["fix"].clone()).collect();
    fixes.extend(refusal.as_ref().map(|r| r["hint"].clone()));
    fixes.retain(|fix| !fix.is_null());
    fixes.dedup();
    json!({
        "database": tried.target.database(),
        "environment": tried.target.environment(),
        "status": status,
        "classification": {
            "operation": known.and_then(|k| k.operation).map(Operation::as_str),
            "reason": known.and_then(|k| k.reason.as_ref()),
        },
        "review": {"blocked": is_blocked, "findings": findings},
        "risk": {
            "level": known.map(|k| k.risk.level.as_str()),
            "factors": known.map(|k| &k.risk.factors[..]).unwrap_or_default(),
        },
        "policy": policy(tried),
        "refusal": refusal,
        "unparsable": request_json::unparsable(unparsable.as_ref()),
        "impact": {
            "tables": tried.tables.iter().map(|(name, rows)| json!({"name": name, "estimated_rows": rows})).collect::<Vec<_>>(),
            "explain_status": plans.status.as_str(),
            "explain": explained(plans),
        },
        "fix_hints": fixes,
        "next_actions": next_actions(decided),
    })
}

/// Each statement with its plan, as a request shows them; null where there is none at all.
fn explained(plans: Plans) -> Option<Vec<Value>> {
    let statement = |(sql, explained): (String, Explained)| match explained {
        Explained::Plan(plan) => {
            let plan: Value = serde_json::from_str(&plan).unwrap_or_default();
            json!({"sql": sql, "plan": plan})
        }
        Explained::Failed(error) => json!({"sql": sql, "error": error, "hint": null}),
    };
    let explained = plans.explained;
    (!explained.is_empty()).then(|| explained.into_iter().map(statement).collect())
}

/// A refusal as a submit would get it.
fn refusal(error: &Error) -> Value {
    let body: Value = serde_json::from_str(&error.body("")).unwrap_or_default();
    json!({
        "code": error.code(),
        "message": error.message(),
        "hint": error.hint_text(),
        "details": body["error"]["details"],
    })
}

fn policy(tried: &Preflight) -> Value {
    let (preview, reason) = match &tried.predicted.decision {
        Ok(d) => (preview(d), d.reason),
        Err(e) => ("deny", e.code()),
    };
    let workflow = tried.predicted.assessment.as_ref();
    let workflow = workflow.and_then(|known| known.workflow.as_ref());
    json!({
        "decision": preview,
        "reason_code": reason,
        // Where nobody can approve, the decision is a refusal that says so, as it is where no request would be made.
        "approvable": tried.predicted.decision.is_ok(),
        "workflow": workflow.map(|workflow| steps(workflow, &tried.approvers)),
        "policy_version": tried.policy_version,
    })
}

fn preview(decision: &Decision) -> &'static str {
    match decision.opening {
        Opening::Pending => "needs_approval",
        Opening::AutoApproved | Opening::BreakGlass => "auto_approved",
    }
}

fn steps(workflow: &Workflow, people: &[Vec<NamedApprovers>]) -> Value {
    let steps = workflow.steps.iter().enumerate().map(|(index, step)| {
        let people = people.get(index);
        let approvers = step.approvers.iter().enumerate().map(|(n, a)| {
            let mut entry = json!({"selector": a.selector.to_string(), "min": a.min});
            if let Some(named) = people.and_then(|people| people.get(n)) {
                request_json::put_people(&mut entry, named);
            }
            entry
        });
        json!({"mode": step.mode.as_str(), "approvers": approvers.collect::<Vec<_>>()})
    });
    json!({
        "id": workflow.id(),
        "require_reason": workflow.require_reason,
        "steps": steps.collect::<Vec<_>>(),
    })
}

/// What to do with the answer, as codes.
fn next_actions(decided: &Result<Decision, Error>) -> Vec<&'static str> {
    match decided {
        Ok(decision) if decision.opening == Opening::Pending => {
            vec!["create_request", "wait_for_approval"]
        }
        Ok(_) => vec!["create_request"],
        Err(e) if e.kind() == ErrorKind::Forbidden => vec!["ask_for_permission"],
        Err(e) if e.code() == "no_eligible_approver" || e.code() == "no_matching_workflow" => {
            vec!["ask_an_administrator"]
        }
        Err(_) => vec!["change_statement"],
    }
}
