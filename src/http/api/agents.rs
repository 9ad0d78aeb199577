//! `GET /api/agents`: the agents there are, and how they do.

use crate::actions::agent_poll::list_agents;
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::agent::Agent;
use crate::http::HttpContext;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// `GET /api/agents`
pub fn list(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let (agents, now) = list_agents(&context.app, caller)?;
    let agents: Vec<Value> = agents.iter().map(|a| agent(a, now)).collect();
    replies::json(200, &json!({"agents": agents}))
}

fn agent(a: &Agent, now: Timestamp) -> Value {
    let state = a.state(now);
    // What an agent reported before it went silent is out of date.
    let offline = state == "offline";
    let active_jobs = if offline {
        Value::Array(Vec::new())
    } else {
        a.active_jobs.clone()
    };
    let databases: Vec<Value> = a
        .scopes
        .iter()
        .map(|s| json!({"database": s.database, "environment": s.environment}))
        .collect();
    let operations: Vec<&str> = a.operations.iter().map(|o| o.as_str()).collect();
    json!({
        "id": a.id,
        "status": state,
        "version": a.version,
        "capabilities": {"databases": databases, "operations": operations},
        "features": a.features.iter().map(|f| f.as_str()).collect::<Vec<_>>(),
        "in_flight": a.in_flight,
        "max_concurrent": a.max_concurrent,
        "uptime_secs": if offline { 0 } else { a.uptime_secs },
        "active_jobs": active_jobs,
        "last_poll_ago_secs": now.since(a.last_seen) / 1000,
        "last_seen_at": a.last_seen.rfc3339(),
    })
}
