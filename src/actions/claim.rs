//! An agent takes a dispatched request: it gets the SQL, a lease, and a token that binds both.

use super::refusals::refuse_verb;
use super::{Active, App, dialects, unreadable};
use crate::clock::Timestamp;
use crate::crypto::uuid_at;
use crate::domain::actor::Caller;
use crate::domain::agent::Agent;
use crate::domain::change::{NewExecution, RequestChange, RequestRef, RequestText};
use crate::domain::execution::Execution;
use crate::domain::execution_token::{self, ExecutionClaims};
use crate::domain::permission::Permission;
use crate::domain::policy::execution::ROWS_MAX;
use crate::domain::request::{Request, State, Status};
use crate::error::Error;
use crate::store::{Unproven, Verdict, View};
use std::sync::Arc;

/// Longest claim key, in bytes.
pub const CLAIM_KEY_BYTES_MAX: usize = 128;

/// What a refused attempt is called in the audit log.
const VERB: &str = "agent.claim";

/// What the agent gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub execution_id: String,
    pub request: Request,
    pub text: RequestText,
    pub token_json: String,
    /// Seconds a statement may run, 0 for no limit.
    pub statement_timeout_secs: u64,
    /// Rows returned at most.
    pub max_rows: Option<u64>,
    /// End of the lease.
    pub lease_until: Timestamp,
}

/// Claims request `id`. With a `claim_key`, asking again gives the same answer until the first heartbeat.
///
/// # Errors
/// 503 while draining; 404 for an agent that never polled or an unknown request; 403 `forbidden`; 409 `conflict`,
/// `dialect_mismatch`, `dialect_changed`, `corrupt` for a request that is not proved by the audit log; 422
/// `database_not_registered`.
pub fn claim(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    claim_key: Option<String>,
) -> Result<Claimed, Error> {
    caller.require(Permission::AgentClaim)?;
    app.accepting()?;
    check_key(claim_key.as_deref())?;
    let reports = reports(app, &caller.subject)?;
    let (cx, caller, id) = (Arc::clone(app), caller.clone(), id.to_owned());
    app.store.change(caller.actor(), move |view, now| {
        let request = match view.request(&id) {
            Ok(request) => request,
            Err(error) => return unreadable::refuse(view, &id, error.into()),
        };
        let agent = report_for(&reports, &request);
        if let Err(error) = is_its_own(&caller, agent, &request) {
            return refuse_verb(&cx, &caller, &request, VERB, error);
        }
        request.ensure_intact()?;
        // Before each signature, and before the text is handed out again: a file can be edited under a running server.
        let text = match proved_text(view, &request) {
            Ok(text) => text,
            Err(unproven) => return unreadable::refuse(view, &id, unproven),
        };
        if let Some(execution) = again(view, agent, &request, claim_key.as_deref())? {
            // No heartbeat has come, so nothing has run yet.
            if let Err(error) = means_the_same(&cx.active(), view, agent, &request, now) {
                return refuse_verb(&cx, &caller, &request, VERB, error);
            }
            return Ok(Verdict::Same(claimed_again(request, text, execution)));
        }
        let State::Dispatched(dispatched) = request.state() else {
            return Err(Error::conflict(
                "conflict",
                format!("request is {}, expected dispatched", request.status()),
            ));
        };
        if dispatched.time_out(now).is_some() {
            return Err(Error::conflict("conflict", "its dispatch has timed out"));
        }
        if request.operation.is_migration_change()
            && let Some(other) = view.running_migration(&request.target)?
        {
            return Err(Error::conflict(
                "conflict",
                format!("migration {other} is running on {}", request.target),
            ));
        }
        if let Err(error) = means_the_same(&cx.active(), view, agent, &request, now) {
            return refuse_verb(&cx, &caller, &request, VERB, error);
        }
        ensure_counts(agent, &request)?;
        let execution = execution(&cx, view, agent, &request, &text, claim_key, now)?;
        let claimed = claimed_first(request.clone(), text, &execution);
        let change = RequestChange::ExecutionStarted {
            request: RequestRef::from(&request),
            step: dispatched.claim(),
            execution,
        };
        Ok(Verdict::Write(vec![change.into()], claimed))
    })
}

/// The texts of a request, once it is proved where they are signed or handed out.
fn proved_text(view: &View, request: &Request) -> Result<RequestText, Unproven> {
    if matches!(request.status(), Status::Dispatched | Status::Running) {
        view.prove(request)?;
    }
    Ok(view.request_text(request)?)
}

/// What came under that id lately; never empty.
pub(super) fn reports(app: &App, id: &str) -> Result<Vec<Agent>, Error> {
    let reports = app.store.agent_reports(id);
    match reports.is_empty() {
        true => Err(Error::not_found("agent", id).hint("poll before you claim")),
        false => Ok(reports),
    }
}

/// The report that decides a claim: several programs may share a token, and each claims what its own poll offered. The
/// newest one where none fits, so that the refusal says what is missing there.
fn report_for<'r>(reports: &'r [Agent], request: &Request) -> &'r Agent {
    let fits = |report: &&Agent| {
        report.serves(&request.target)
            && report.runs(request.operation)
            && ensure_counts(report, request).is_ok()
    };
    reports.iter().find(fits).unwrap_or(&reports[0])
}

fn check_key(key: Option<&str>) -> Result<(), Error> {
    match key {
        Some(key)
            if key.is_empty()
                || key.len() > CLAIM_KEY_BYTES_MAX
                || key.chars().any(char::is_control) =>
        {
            Err(Error::invalid(format!(
                "claim_key must have 1 to {CLAIM_KEY_BYTES_MAX} bytes and no control characters"
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses what the agent's token is not for, and what it does not serve or run by its own account.
fn is_its_own(caller: &Caller, agent: &Agent, request: &Request) -> Result<(), Error> {
    let target = &request.target;
    let operation = request.operation;
    let what = if !caller.reaches(target) {
        format!("this agent's token is not for {target}")
    } else if !agent.serves(target) {
        format!("this agent does not serve {target}")
    } else if !agent.runs(operation) {
        format!("this agent does not run {operation}")
    } else {
        return Ok(());
    };
    Err(Error::forbidden(what))
}

/// Refuses what this agent's database would read differently than it was read when it was approved.
pub(super) fn means_the_same(
    active: &Active,
    view: &View,
    agent: &Agent,
    request: &Request,
    now: Timestamp,
) -> Result<(), Error> {
    let (policies, target) = (&active.policies, &request.target);
    dialects::ensure_registered(policies, target)?;
    dialects::ensure_runs(policies, view, target, &agent.id, request.dialect)?;
    dialects::ensure_current(policies, view, request, now)
}

/// Refuses a request whose bound this agent cannot hold; it stays dispatched for others.
fn ensure_counts(agent: &Agent, request: &Request) -> Result<(), Error> {
    if !request.needs_row_bound() || agent.counts_rows() {
        return Ok(());
    }
    Err(Error::conflict(
        "feature_missing",
        "this agent does not count the rows that a statement changes (row_bound)",
    )
    .hint("a newer agent of this database takes the request"))
}

/// The claim that this agent made with this key, while no heartbeat has come.
fn again(
    view: &View,
    agent: &Agent,
    request: &Request,
    key: Option<&str>,
) -> Result<Option<Execution>, Error> {
    let (Status::Running, Some(execution_id), Some(key)) =
        (request.status(), &request.execution_id, key)
    else {
        return Ok(None);
    };
    let execution = view.execution_of(execution_id)?;
    let same = execution.may_repeat_claim(&agent.id, key);
    Ok(same.then_some(execution))
}

fn claimed_first(request: Request, text: RequestText, execution: &NewExecution) -> Claimed {
    Claimed {
        execution_id: execution.id.clone(),
        token_json: execution.token_json.clone(),
        statement_timeout_secs: execution.statement_timeout_secs,
        max_rows: execution.max_rows,
        lease_until: execution.lease_until,
        request,
        text,
    }
}

fn claimed_again(request: Request, text: RequestText, execution: Execution) -> Claimed {
    Claimed {
        text,
        request,
        execution_id: execution.id,
        token_json: execution.token_json,
        statement_timeout_secs: execution.statement_timeout_secs,
        max_rows: execution.max_rows,
        lease_until: execution.lease.until,
    }
}

fn execution(
    app: &App,
    view: &View,
    agent: &Agent,
    request: &Request,
    text: &RequestText,
    claim_key: Option<String>,
    now: Timestamp,
) -> Result<NewExecution, Error> {
    let active = app.active();
    let policy = active.policies.execution(&request.target);
    let workflow_secs = text
        .workflow
        .as_ref()
        .and_then(|w| w.statement_timeout_secs);
    let statement_timeout_secs = policy.timeout_secs(request.operation, workflow_secs);
    let lease_secs = policy.lease_secs(request.operation);
    let max_rows = policy.max_rows.map(|n| n.min(ROWS_MAX));
    let id = uuid_at(now.0);
    let claims = ExecutionClaims {
        request_id: request.id.clone(),
        execution_id: id.clone(),
        operation: request.operation,
        database: request.target.database().to_owned(),
        environment: request.target.environment().to_owned(),
        detail_hash: execution_token::detail_hash(
            text.plan_json.as_deref(),
            request.operation,
            &text.detail,
        ),
        issued_at: now,
        expires_at: now.plus_secs(execution_token::TTL_SECS),
        requester_role: role_at_creation(&text.facts_json),
        requester_subject_id: request.requester.clone(),
        agent_id: agent.id.clone(),
        statement_timeout_secs,
        max_rows,
        max_affected_rows: request
            .row_bound
            .map(|bound| bound.rows)
            .filter(|_| agent.counts_rows() && !request.operation.is_read()),
        lock_timeout_secs: policy.lock_secs(),
        policy_version: request.policy_version.clone(),
        dialect: request.dialect,
        epoch: app.settings.epoch,
    };
    Ok(NewExecution {
        id,
        attempt: view.attempts(request.seq)? + 1,
        agent_id: agent.id.clone(),
        claim_key,
        token_json: execution_token::sign(&claims, &app.signer),
        lease_secs,
        lease_until: now.plus_secs(lease_secs),
        statement_timeout_secs,
        max_rows,
    })
}

/// The first role that the requester held when the request was made, or `unknown`. Passed to the agent, which
/// interprets nothing in it.
fn role_at_creation(facts_json: &str) -> String {
    let facts: serde_json::Value = serde_json::from_str(facts_json).unwrap_or_default();
    facts["requester"]["roles"][0]
        .as_str()
        .unwrap_or("unknown")
        .to_owned()
}
