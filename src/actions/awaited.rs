//! What a request waits for: whose approval, who must resume it, or why no agent has taken it.

use super::{App, dialects};
use crate::clock::Timestamp;
use crate::domain::approval::{StepRemaining, Vote, remaining};
use crate::domain::feature::Feature;
use crate::domain::id::Selector;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Request, Status};
use crate::error::Error;

/// What a request waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Awaited {
    /// Who must act; none once it has an outcome.
    pub next: Option<NextAction>,
    /// Why no agent takes it, or would.
    pub queue_hint: Option<&'static str>,
}

/// What has to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextAction {
    /// `approve`, `resume`, `run` by an agent, or `report` by the one that runs it.
    pub action: &'static str,
    /// Selectors of people, or the id of the agent that runs it; none where any agent will do.
    pub by: Vec<String>,
    /// What the current step still needs, where approvals are missing.
    pub remaining: Option<StepRemaining>,
}

/// What request `id` waits for now. It only explains: where it cannot be found out, nothing is reported.
pub fn of(app: &App, id: &str) -> Awaited {
    look(app, id).unwrap_or_else(|error| {
        log::warn!("what request {id} waits for is unknown: {error}");
        Awaited::default()
    })
}

fn look(app: &App, id: &str) -> Result<Awaited, Error> {
    let now = app.clock.now();
    let (request, next) = app.store.read(|view| {
        let request = view.request(id)?;
        let (workflow, votes) = match request.status {
            Status::Pending => (view.request_workflow(&request)?, view.votes(&request)?),
            _ => (None, Vec::new()),
        };
        let next = next(&request, workflow.as_ref(), &votes);
        Ok((request, next))
    })?;
    Ok(Awaited {
        next,
        queue_hint: queue_hint(app, &request, now)?,
    })
}

/// Who must act on a request.
pub fn next(request: &Request, workflow: Option<&Workflow>, votes: &[Vote]) -> Option<NextAction> {
    let plain = |action, by| {
        Some(NextAction {
            action,
            by,
            remaining: None,
        })
    };
    match request.status {
        Status::Pending => {
            let remaining = workflow.and_then(|workflow| remaining(workflow, votes));
            let of = remaining.iter().flat_map(|r| &r.of);
            Some(NextAction {
                action: "approve",
                by: of.map(|(selector, _)| selector.to_string()).collect(),
                remaining,
            })
        }
        Status::Approved | Status::AutoApproved | Status::BreakGlass => {
            let requester = Selector::User(request.requester.clone());
            plain("resume", vec![requester.to_string()])
        }
        Status::Dispatched => plain("run", Vec::new()),
        Status::Running => plain("report", request.claimed_by.iter().cloned().collect()),
        Status::Executed
        | Status::Failed
        | Status::Rejected
        | Status::Cancelled
        | Status::Expired
        | Status::ExecutionLost => None,
    }
}

/// Why no agent takes a request, as far as the agents show; of one that is not dispatched yet, why none would. Of those
/// that are online, each step keeps the ones that could.
pub(super) fn queue_hint(
    app: &App,
    request: &Request,
    now: Timestamp,
) -> Result<Option<&'static str>, Error> {
    let waits = match request.status {
        Status::Dispatched => true,
        Status::Pending | Status::Approved | Status::AutoApproved | Status::BreakGlass => false,
        _ => return Ok(None),
    };
    let mut agents = app.store.all_agent_reports();
    agents.retain(|a| a.serves(&request.target) && a.state(now) != "offline");
    if agents.is_empty() {
        return Ok(Some("no_agents"));
    }
    agents.retain(|a| a.runs(request.operation));
    if agents.is_empty() {
        return Ok(Some("no_agents_for_operation"));
    }
    if request.needs_row_bound() {
        agents.retain(|a| a.features.contains(&Feature::RowBound));
        if agents.is_empty() {
            return Ok(Some("agents_lack_row_bound"));
        }
    }
    let active = app.active();
    let mut states = Vec::new();
    app.store.read(|view| {
        for agent in &agents {
            let target = &request.target;
            let dialect = dialects::of_agent(&active.policies, view, target, &agent.id)?;
            if request.dialect.runs_on(dialect) {
                states.push(agent.state(now));
            }
        }
        Ok(())
    })?;
    Ok(if states.is_empty() {
        Some("dialect_mismatch")
    } else if !waits || states.contains(&"healthy") {
        None
    } else if states.contains(&"saturated") {
        Some("agents_saturated")
    } else {
        Some("agents_draining")
    })
}
