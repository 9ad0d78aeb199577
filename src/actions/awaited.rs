//! What a request waits for: whose approval, who must resume it, or why no agent has taken it.

use super::App;
use crate::clock::Timestamp;
use crate::domain::agent::Agent;
use crate::domain::approval::{StepRemaining, Vote, remaining};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Request, Status};
use crate::domain::sql::DialectFact;
use crate::error::Error;
use crate::store::View;

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

/// A request as an action left it: as much as tells what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    needs: JobNeeds,
    next: Option<NextAction>,
}

/// What an agent would have to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobNeeds {
    pub status: Status,
    pub target: Target,
    pub operation: Operation,
    pub dialect: DialectFact,
    /// Whether only an agent that counts rows may run it.
    pub needs_row_bound: bool,
}

impl Left {
    pub(super) fn new(needs: JobNeeds, next: Option<NextAction>) -> Left {
        Left { needs, next }
    }

    /// Of a request that is in `status` now.
    pub(super) fn of(
        request: &Request,
        status: Status,
        workflow: Option<&Workflow>,
        votes: &[Vote],
    ) -> Left {
        Left {
            needs: JobNeeds {
                status,
                ..JobNeeds::of(request)
            },
            next: next_in(
                status,
                &request.requester,
                request.claimed_by.as_deref(),
                workflow,
                votes,
            ),
        }
    }

    /// The same of a request as it is stored.
    pub(super) fn stored(view: &View, request: &Request) -> Result<Left, Error> {
        let (workflow, votes) = match request.status() {
            Status::Pending => (view.request_workflow(request)?, view.votes(request)?),
            _ => (None, Vec::new()),
        };
        Ok(Left::of(
            request,
            request.status(),
            workflow.as_ref(),
            &votes,
        ))
    }
}

impl JobNeeds {
    fn of(request: &Request) -> JobNeeds {
        JobNeeds {
            status: request.status(),
            target: request.target.clone(),
            operation: request.operation,
            dialect: request.dialect,
            needs_row_bound: request.needs_row_bound(),
        }
    }
}

/// What a request waits for that an action has just left so. It only explains: where it cannot be found out, nothing is
/// reported.
pub fn after(app: &App, left: Left) -> Awaited {
    let queue_hint = hint(app, &left.needs, app.clock.now());
    Awaited {
        next: left.next,
        queue_hint: queue_hint.unwrap_or_else(|error| {
            log::warn!("whether an agent takes a request is unknown: {error}");
            None
        }),
    }
}

/// What request `id` waits for now, under the same rule.
pub fn of(app: &App, id: &str) -> Awaited {
    let left = app
        .store
        .read(|view| Left::stored(view, &view.request(id)?));
    match left {
        Ok(left) => after(app, left),
        Err(error) => {
            log::warn!("what request {id} waits for is unknown: {error}");
            Awaited::default()
        }
    }
}

/// Who must act on a request.
pub fn next(request: &Request, workflow: Option<&Workflow>, votes: &[Vote]) -> Option<NextAction> {
    next_in(
        request.status(),
        &request.requester,
        request.claimed_by.as_deref(),
        workflow,
        votes,
    )
}

pub(super) fn next_in(
    status: Status,
    requester: &str,
    claimed_by: Option<&str>,
    workflow: Option<&Workflow>,
    votes: &[Vote],
) -> Option<NextAction> {
    let plain = |action, by| {
        Some(NextAction {
            action,
            by,
            remaining: None,
        })
    };
    match status {
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
            let requester = Selector::User(requester.to_owned());
            plain("resume", vec![requester.to_string()])
        }
        Status::Dispatched => plain("run", Vec::new()),
        Status::Running => plain(
            "report",
            claimed_by.map(str::to_owned).into_iter().collect(),
        ),
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
    hint(app, &JobNeeds::of(request), now)
}

fn hint(app: &App, needs: &JobNeeds, now: Timestamp) -> Result<Option<&'static str>, Error> {
    let waits = match needs.status {
        Status::Dispatched => true,
        Status::Pending | Status::Approved | Status::AutoApproved | Status::BreakGlass => false,
        _ => return Ok(None),
    };
    let mut agents = app.store.agent_reports_for(&needs.target, now);
    if agents.is_empty() {
        return Ok(Some("no_agents"));
    }
    agents.retain(|a| a.runs(needs.operation));
    if agents.is_empty() {
        return Ok(Some("no_agents_for_operation"));
    }
    if needs.needs_row_bound {
        agents.retain(Agent::counts_rows);
        if agents.is_empty() {
            return Ok(Some("agents_lack_row_bound"));
        }
    }
    let known = app.schema(&needs.target)?;
    let active = app.active();
    let configured = active.policies.dialect(&needs.target);
    agents.retain(|a| needs.dialect.runs_on(known.runs(&a.id, configured)));
    let states: Vec<_> = agents.iter().map(|a| a.state(now)).collect();
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
