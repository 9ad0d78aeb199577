//! Workflows, policies and roles, as configuration has them.

use super::{require, role_json};
use crate::actions::users;
use crate::domain::actor::Caller;
use crate::domain::permission::{Permission, Role};
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::notification::NotificationPolicy;
use crate::domain::policy::result::ResultPolicy;
use crate::domain::policy::workflow::{Workflow, WorkflowStep};
use crate::error::Error;
use crate::http::HttpContext;
use crate::http::call::HttpResponse;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// `GET /api/workflows`
pub fn workflows(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    require(caller, Permission::WorkflowManage)?;
    let active = context.app.active();
    let workflows: Vec<Value> = active
        .policies
        .workflows
        .iter()
        .map(workflow_json)
        .collect();
    replies::json(200, &json!({"workflows": workflows}))
}

/// `GET /api/workflows/{id}`
pub fn workflow(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    require(caller, Permission::WorkflowManage)?;
    let active = context.app.active();
    let found = active
        .policies
        .workflows
        .iter()
        .find(|w| w.id() == ask.id());
    let workflow = found.ok_or_else(|| Error::not_found("workflow", ask.id()))?;
    replies::json(200, &workflow_json(workflow))
}

fn workflow_json(w: &Workflow) -> Value {
    let operations: Vec<&str> = w.operations.iter().map(|o| o.as_str()).collect();
    let steps: Vec<Value> = w.steps.iter().map(step_json).collect();
    json!({
        "id": w.id(),
        "database": w.scope.database,
        "environment": w.scope.environment,
        "operations": operations,
        "steps": steps,
        "require_reason": w.require_reason,
        "allow_self_approve": w.allow_self_approve,
        "allow_same_approver_across_steps": w.allow_same_approver_across_steps,
        "admin_override": w.admin_override,
        "distinct_token_issuer": w.distinct_token_issuer,
        "explain": w.explain,
        "dispatch": w.dispatch.as_str(),
        "rehearse": w.rehearse.as_str(),
        "pending_ttl_secs": w.pending_ttl_secs,
        "approval_ttl_secs": w.approval_ttl_secs,
        "statement_timeout_secs": w.statement_timeout_secs,
        "created_at": null,
        "updated_at": null,
    })
}

fn step_json(step: &WorkflowStep) -> Value {
    let approvers: Vec<Value> = step
        .approvers
        .iter()
        .map(|a| json!({"selector": a.selector.to_string(), "min": a.min}))
        .collect();
    json!({"mode": step.mode.as_str(), "approvers": approvers})
}

/// `GET /api/execution-policies`
pub fn execution_policies(
    context: &HttpContext,
    caller: &Caller,
    _: &RoutedRequest,
) -> HandlerResult {
    require(caller, Permission::PolicyManage)?;
    let active = context.app.active();
    let policies: Vec<Value> = active
        .policies
        .execution
        .iter()
        .map(execution_json)
        .collect();
    replies::json(200, &json!({"execution_policies": policies}))
}

/// `GET /api/execution-policies/{id}`
pub fn execution_policy(
    context: &HttpContext,
    caller: &Caller,
    ask: &RoutedRequest,
) -> HandlerResult {
    require(caller, Permission::PolicyManage)?;
    let active = context.app.active();
    let found = active
        .policies
        .execution
        .iter()
        .find(|p| p.id() == ask.id());
    let policy = found.ok_or_else(|| Error::not_found("execution policy", ask.id()))?;
    replies::json(200, &execution_json(policy))
}

fn execution_json(p: &ExecutionPolicy) -> Value {
    json!({
        "id": p.id(),
        "database": p.scope.database,
        "environment": p.scope.environment,
        "max_executions": p.max_executions,
        "execution_window_secs": p.execution_window_secs,
        "retry_on_failure": p.retry_on_failure,
        "statement_timeout_secs": p.statement_timeout_secs,
        "max_statement_timeout_secs": p.max_statement_timeout_secs,
        "max_rows": p.max_rows,
        "max_affected_rows": p.max_affected_rows,
        "lock_timeout_secs": p.lock_secs(),
        "migration_lease_duration_secs": p.migration_lease_duration_secs,
        "migration_statement_timeout_secs": p.migration_statement_timeout_secs,
        "created_at": null,
        "updated_at": null,
    })
}

/// `GET /api/result-policies`
pub fn result_policies(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    require(caller, Permission::PolicyManage)?;
    let active = context.app.active();
    let policies: Vec<Value> = active.policies.result.iter().map(result_json).collect();
    replies::json(200, &json!({"result_policies": policies}))
}

/// `GET /api/result-policies/{id}`
pub fn result_policy(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    require(caller, Permission::PolicyManage)?;
    let active = context.app.active();
    let found = active.policies.result.iter().find(|p| p.id() == ask.id());
    let policy = found.ok_or_else(|| Error::not_found("result policy", ask.id()))?;
    replies::json(200, &result_json(policy))
}

fn result_json(p: &ResultPolicy) -> Value {
    let access: Vec<String> = p.access.iter().map(ToString::to_string).collect();
    json!({
        "id": p.id(),
        "database": p.scope.database,
        "environment": p.scope.environment,
        "retention_days": p.retention_days,
        "delivery_mode": p.delivery_mode.as_str(),
        "access": access,
        "hide_error_detail": p.hide_error_detail,
        "created_at": null,
        "updated_at": null,
    })
}

/// `GET /api/notification-policies`
pub fn notification_policies(
    context: &HttpContext,
    caller: &Caller,
    _: &RoutedRequest,
) -> HandlerResult {
    require(caller, Permission::PolicyManage)?;
    let active = context.app.active();
    let policies: Vec<Value> = active
        .policies
        .notification
        .iter()
        .map(notification_json)
        .collect();
    replies::json(200, &json!({"notification_policies": policies}))
}

/// `GET /api/notification-policies/{id}`
pub fn notification_policy(
    context: &HttpContext,
    caller: &Caller,
    ask: &RoutedRequest,
) -> HandlerResult {
    require(caller, Permission::PolicyManage)?;
    let active = context.app.active();
    let found = active
        .policies
        .notification
        .iter()
        .find(|p| p.id() == ask.id());
    let policy = found.ok_or_else(|| Error::not_found("notification policy", ask.id()))?;
    replies::json(200, &notification_json(policy))
}

fn notification_json(p: &NotificationPolicy) -> Value {
    json!({
        "id": p.id(),
        "database": p.scope.database,
        "environment": p.scope.environment,
        "webhooks": p.webhooks,
        "events": p.events.names(),
        "remind_after_secs": p.remind_after_secs,
        "escalate_after_secs": p.escalate_after_secs,
        "escalate_to": p.escalate_to.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// `GET /api/roles`: the built-in ones first.
pub fn roles(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    require(caller, Permission::RoleManage)?;
    let active = context.app.active();
    let mut roles: Vec<&Role> = active.policies.roles.values().collect();
    roles.sort_by_key(|r| !r.built_in);
    let roles: Vec<Value> = roles.into_iter().map(role_json).collect();
    replies::json(200, &json!({"roles": roles}))
}

/// `DELETE /api/roles/{name}`
pub fn delete_role(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    users::delete_role(&context.app, caller, ask.id())?;
    Ok(HttpResponse::empty(204))
}
