//! The one table of routes; `matching` finds the line of a path in it, and `route` says what a line is.

mod matching;

pub use matching::{RouteMatch, allowed, find};

use super::api::{
    agents, audit, databases, dry_runs, groups, health, me, metrics, policies, preflight,
    rehearsals, requests, resolution, results, schemas, sessions, sign_in, tokens, users, webhooks,
    work,
};
use super::route::{Guarded, Route, delete, get, patch, post, put};
use super::{browser, openapi, pages, slack};
use std::time::Duration;

/// Largest body where a request is made, in bytes: 100,000 bytes of SQL, every one escaped as six, and 16 KiB of metadata.
pub const CREATE_BODY_BYTES: usize = 1024 * 1024;
/// The same for a result: 12 MiB of JSON that existing agents escape once more, in a string.
pub const RESULT_BODY_BYTES: usize = 26 * 1024 * 1024;
/// The same for the tables of a database.
pub const SCHEMA_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Time for proving the audit log, which reads all of it.
const VERIFY_DEADLINE: Duration = Duration::from_secs(600);

use Guarded::{Agent, Managed, Page, Public, Signed, User};

/// Every route there is.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    get("/", Page(pages::shell)),
    get("/requests", Page(pages::shell)),
    get("/requests/{id}", Page(pages::shell)),
    get("/new", Page(pages::shell)),
    get("/audit", Page(pages::shell)),
    get("/operations", Page(pages::shell)),
    get("/policies", Page(pages::shell)),
    get("/people", Page(pages::shell)),
    get("/assets/{version}/{name}", Page(pages::asset)),
    get("/auth/sign-in", Page(browser::sign_in)),
    get("/auth/callback", Page(browser::callback)),
    get("/health", Public(health::health)).always(),
    get("/ready", Public(health::ready)).always(),
    get("/metrics", User(metrics::page)).always(),
    get("/api/openapi.json", Public(openapi::document)),
    get("/api/sign-in", Public(sign_in::show)),
    get("/api/public-key", Agent(work::public_key)),
    post("/api/requests", User(requests::create)).body(CREATE_BODY_BYTES),
    get("/api/requests", User(requests::list)).query(requests::LIST_QUERY),
    get("/api/requests/{id}", User(requests::show)).query(&["wait", "seen"]),
    post("/api/requests/{id}/approve", User(requests::approve)),
    post("/api/requests/{id}/reject", User(requests::reject)),
    post("/api/requests/{id}/cancel", User(requests::cancel)),
    post("/api/requests/{id}/resume", User(requests::resume)),
    post("/api/requests/{id}/rehearse", User(rehearsals::ask)),
    get("/api/requests/{id}/executions", User(results::executions)).query(&["limit"]),
    get("/api/requests/{id}/result/stream", User(results::stream)).query(&["wait", "values"]),
    get("/api/requests/{id}/result/content", User(results::content)).query(results::CONTENT_QUERY),
    get("/api/results", User(results::list)).query(&["limit", "offset"]),
    get("/api/databases", User(databases::list)),
    get("/api/schemas/{database}", User(schemas::show)).query(&["environment", "table", "summary"]),
    get("/api/policy-resolution", User(resolution::resolve)).query(&["database", "environment", "operation", "sql"]),
    post("/api/preflight", User(preflight::check)).body(CREATE_BODY_BYTES),
    get("/api/me", User(me::show)),
    get("/api/sessions", User(sessions::list)),
    delete("/api/sessions", User(sessions::end_all)),
    delete("/api/session", User(sessions::end)),
    get("/api/roles", User(policies::roles)),
    post("/api/roles", Managed("auth.roles")),
    delete("/api/roles/{name}", User(policies::delete_role)),
    get("/api/users", User(users::list)).query(&["limit", "offset"]),
    get("/api/users/{id}", User(users::show)),
    patch("/api/users/{id}", User(users::update)),
    post("/api/users/{id}/suspend", User(users::suspend)).query(&["descendants"]),
    post("/api/users/{id}/activate", User(users::activate)),
    get("/api/groups", User(groups::list)),
    get("/api/groups/{name}", User(groups::show)),
    post("/api/tokens", User(tokens::create)),
    get("/api/tokens", User(tokens::list)).query(&["limit", "offset"]),
    get("/api/tokens/{id}/inspect", User(tokens::inspect)),
    delete("/api/tokens/{id}", User(tokens::revoke)).query(&["descendants"]),
    get("/api/audit/events", User(audit::list)).query(audit::LIST_QUERY),
    get("/api/audit/export", User(audit::export)).query(audit::EXPORT_QUERY),
    get("/api/audit/verify", User(audit::verify)).deadline(VERIFY_DEADLINE),
    get("/api/workflows", User(policies::workflows)),
    post("/api/workflows", Managed("workflows")),
    get("/api/workflows/{id}", User(policies::workflow)),
    put("/api/workflows/{id}", Managed("workflows")),
    delete("/api/workflows/{id}", Managed("workflows")),
    get("/api/execution-policies", User(policies::execution_policies)),
    post("/api/execution-policies", Managed("execution_policies")),
    get("/api/execution-policies/{id}", User(policies::execution_policy)),
    put("/api/execution-policies/{id}", Managed("execution_policies")),
    delete("/api/execution-policies/{id}", Managed("execution_policies")),
    get("/api/result-policies", User(policies::result_policies)),
    post("/api/result-policies", Managed("result_policies")),
    get("/api/result-policies/{id}", User(policies::result_policy)),
    put("/api/result-policies/{id}", Managed("result_policies")),
    delete("/api/result-policies/{id}", Managed("result_policies")),
    get("/api/notification-policies", User(policies::notification_policies)),
    post("/api/notification-policies", Managed("notification_policies")),
    get("/api/notification-policies/{id}", User(policies::notification_policy)),
    put("/api/notification-policies/{id}", Managed("notification_policies")),
    delete("/api/notification-policies/{id}", Managed("notification_policies")),
    get("/api/webhooks", User(webhooks::list)),
    post("/api/webhooks", Managed("webhooks")),
    get("/api/webhooks/{id}", User(webhooks::show)),
    put("/api/webhooks/{id}", Managed("webhooks")),
    delete("/api/webhooks/{id}", Managed("webhooks")),
    post("/api/webhooks/{id}/test", User(webhooks::send_test)),
    get("/api/webhook-deliveries", User(webhooks::deliveries)).query(webhooks::DELIVERIES_QUERY),
    post("/api/webhook-deliveries/{id}/redeliver", User(webhooks::redeliver)),
    post("/api/slack/commands", Signed(slack::command)),
    post("/api/slack/interactions", Signed(slack::interaction)),
    get("/api/agents", User(agents::list)),
    post("/api/agent/poll", Agent(work::poll)),
    post("/api/agent/jobs/{request_id}/claim", Agent(work::claim)),
    post("/api/agent/jobs/{execution_id}/heartbeat", Agent(work::heartbeat)).uncounted(),
    post("/api/agent/jobs/{execution_id}/result", Agent(work::result)).body(RESULT_BODY_BYTES).result(),
    post("/api/agent/schema-sync", Agent(schemas::sync)).body(SCHEMA_BODY_BYTES),
    post("/api/agent/dry-run/{id}/claim", Agent(dry_runs::claim)),
    post("/api/agent/dry-run/{id}/result", Agent(dry_runs::result)),
    post("/api/agent/rehearsals/{id}/claim", Agent(rehearsals::claim)),
    post("/api/agent/rehearsals/{id}/result", Agent(rehearsals::result)),
];

#[cfg(test)]
mod tests;
