//! A request and the only ways it can move.
//!
//! [`State`] is what holds now; its variants offer exactly the verbs that are legal in them, and each verb returns a
//! [`Transition`] that nothing else can make. The store applies a step and never a bare status (contract section 5).

mod outcome;
mod refusal;
mod runs;
mod seen;
mod status;

pub use seen::{Evidence, corrupt_error};

pub use outcome::{ExecutionEnd, ExecutionOutcome};
pub use refusal::Refusal;
pub use status::{Opening, Status, Transition};

use crate::clock::Timestamp;
use crate::domain::approval::{Ballot, Vote};
use crate::domain::id::{Operation, Target};
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::workflow::Workflow;
use crate::domain::risk_level::RiskLevel;
use crate::domain::row_bound::{self, RowBound};
use crate::domain::sql::DialectFact;
use crate::error::Error;

/// Why a request is cancelled whose requester is suspended.
pub const SUSPENDED_REQUESTER: &str = "its requester was suspended";

/// A stored request: what is recorded of it, which reads as its own fields, and what holds of it now. Its texts are
/// [`RequestText`].
///
/// [`RequestText`]: crate::domain::change::RequestText
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    facts: RequestFacts,
    state: State,
}

/// What is recorded of a request besides its status: who wants what where, and the times that bind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// Order of creation; dense enough to page by, never shown.
    pub seq: i64,
    /// UUID.
    pub id: String,
    pub requester: String,
    pub target: Target,
    /// What it turned out to be.
    pub operation: Operation,
    /// The dialect that its text was read in.
    pub dialect: DialectFact,
    /// The audit event that gave it its status.
    pub audit_seq: i64,
    /// Whether it is an emergency.
    pub emergency: bool,
    /// Whether its result is not kept.
    pub no_result_store: bool,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// Current step, 0-based; equal to `total_steps` when all are satisfied.
    pub current_step: u32,
    pub total_steps: u32,
    pub risk_level: RiskLevel,
    /// SHA-256 of the policies that decided.
    pub policy_version: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it reached its last outcome.
    pub resolved_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// When it was approved, finally or automatically.
    pub approved_at: Option<Timestamp>,
    /// When that approval can no longer be used.
    pub approval_expires_at: Option<Timestamp>,
    /// Where it was dispatched from, while dispatched or running.
    pub dispatched_from: Option<Status>,
    /// When an unclaimed dispatch goes back.
    pub dispatch_deadline: Option<Timestamp>,
    /// When its first execution completed: the execution window runs from here.
    pub first_completed_at: Option<Timestamp>,
    pub executions_finished: u32,
    /// Executions that were lost and stayed so.
    pub executions_lost: u32,
    /// The execution that runs, or the last one; of a cancelled request the one that was cancelled, if any was.
    pub execution_id: Option<String>,
    /// The agent of that execution.
    pub claimed_by: Option<String>,
    /// Who called it off.
    pub cancelled_by: Option<String>,
    /// Why it was called off.
    pub cancel_reason: Option<String>,
    /// How many rows it may change at most, where somebody says so.
    pub row_bound: Option<RowBound>,
    /// What that execution left in the database, once the request has an outcome.
    pub outcome: Option<ExecutionOutcome>,
    /// Whether that is only the word of an agent that reports no outcomes.
    pub outcome_unproven: bool,
    /// What is stored of it was found not to be what the audit log says: it is only looked at from then on.
    pub corrupt: bool,
}

/// What holds of a request now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Pending(Pending),
    /// May be dispatched: approved, auto-approved or an emergency.
    Ready(Ready),
    /// Waits for an agent.
    Dispatched(Dispatched),
    /// An agent holds it.
    Running(Running),
    /// Executed or failed; policy may allow another run.
    Ended(Ended),
    /// Lost; the outcome is unknown.
    Lost(Lost),
    /// Rejected, cancelled or expired, or corrupt and of no state: nothing moves it any more.
    Closed(Status),
}

/// A request that waits for approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    expires_at: Timestamp,
}

/// A request that may be dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    status: Status,
    expires_at: Timestamp,
}

/// A request that waits for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatched {
    from: Status,
    deadline: Timestamp,
}

/// A request that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub execution_id: String,
    pub agent_id: String,
}

/// A request that was executed or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    status: Status,
    runs: Runs,
    /// A write of which something may have taken effect, although it failed.
    uncertain: bool,
}

/// A request whose execution was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub execution_id: String,
    runs: Runs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Runs {
    counted: u32,
    reads_only: bool,
    first_completed_at: Option<Timestamp>,
    approval_expires_at: Timestamp,
}

impl State {
    /// What holds of a request of that status.
    ///
    /// # Errors
    /// `internal` for facts that cannot be: it names the request and what is missing.
    fn of(status: Status, facts: &RequestFacts) -> Result<State, Error> {
        let missing = |column: &str| Error::bug(format!("request {} has no {column}", facts.id));
        let execution = || {
            let id = facts.execution_id.clone();
            id.ok_or_else(|| missing("execution_id"))
        };
        Ok(match status {
            Status::Pending => State::Pending(Pending {
                expires_at: facts.expires_at.ok_or_else(|| missing("expires_at"))?,
            }),
            Status::Approved | Status::AutoApproved | Status::BreakGlass => State::Ready(Ready {
                status,
                expires_at: Runs::of(facts)?.approval_expires_at,
            }),
            Status::Dispatched => State::Dispatched(Dispatched {
                from: facts
                    .dispatched_from
                    .filter(|from| Status::MOVES.contains(&(Some(*from), Status::Dispatched)))
                    .ok_or_else(|| missing("dispatched_from"))?,
                deadline: facts
                    .dispatch_deadline
                    .ok_or_else(|| missing("dispatch_deadline"))?,
            }),
            Status::Running => State::Running(Running {
                execution_id: execution()?,
                agent_id: facts
                    .claimed_by
                    .clone()
                    .ok_or_else(|| missing("claimed_by"))?,
            }),
            Status::Executed | Status::Failed => State::Ended(Ended {
                status,
                runs: Runs::of(facts)?,
                uncertain: status == Status::Failed
                    && !facts.operation.is_read()
                    && facts.outcome != Some(ExecutionOutcome::RolledBack),
            }),
            Status::ExecutionLost => State::Lost(Lost {
                execution_id: execution()?,
                runs: Runs::of(facts)?,
            }),
            Status::Rejected | Status::Cancelled | Status::Expired => State::Closed(status),
        })
    }

    fn status(&self) -> Status {
        match self {
            State::Pending(_) => Status::Pending,
            State::Ready(ready) => ready.status,
            State::Dispatched(_) => Status::Dispatched,
            State::Running(_) => Status::Running,
            State::Ended(ended) => ended.status,
            State::Lost(_) => Status::ExecutionLost,
            State::Closed(status) => *status,
        }
    }
}

impl std::ops::Deref for Request {
    type Target = RequestFacts;

    fn deref(&self) -> &RequestFacts {
        &self.facts
    }
}

impl Request {
    /// The same of another requester and on another target.
    pub fn owned_by(mut self, requester: String, target: Target) -> Request {
        self.facts.requester = requester;
        self.facts.target = target;
        self
    }

    /// The request of that status. A corrupt one that makes no state is closed to everything.
    ///
    /// # Errors
    /// `internal` for facts that cannot be: it names the request and what is missing.
    pub fn new(status: Status, facts: RequestFacts) -> Result<Request, Error> {
        let state = match State::of(status, &facts) {
            Err(_) if facts.corrupt => State::Closed(status),
            state => state?,
        };
        Ok(Request { facts, state })
    }

    /// What a vote on it is decided from, by the workflow it was made under.
    pub fn ballot<'a>(&'a self, workflow: &'a Workflow, votes: &'a [Vote]) -> Ballot<'a> {
        Ballot {
            workflow,
            votes,
            target: &self.target,
            requester: &self.requester,
        }
    }

    /// Whether its last execution returned something to show: one that was cancelled too late did all the same.
    pub fn has_result(&self) -> bool {
        match self.status() {
            Status::Executed | Status::Failed => true,
            Status::Cancelled => self.outcome == Some(ExecutionOutcome::Committed),
            _ => false,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn status(&self) -> Status {
        self.state.status()
    }

    /// See [`row_bound::is_needed`].
    pub fn needs_row_bound(&self) -> bool {
        row_bound::is_needed(self.operation, self.row_bound)
    }

    /// Calls the request off; legal unless it has an outcome other than lost.
    ///
    /// # Errors
    /// [`Refusal::WrongStatus`].
    pub fn cancel(&self) -> Result<Transition, Refusal> {
        match &self.state {
            State::Ended(_) | State::Closed(_) => {
                Err(self.refused("a request that can still be cancelled"))
            }
            State::Pending(_)
            | State::Ready(_)
            | State::Dispatched(_)
            | State::Running(_)
            | State::Lost(_) => Ok(Transition::new(self.status(), Status::Cancelled)),
        }
    }

    /// Hands the request to the agents.
    ///
    /// # Errors
    /// Any [`Refusal`]: see the verbs of [`Ready`], [`Ended`] and [`Lost`].
    pub fn resume(
        &self,
        policy: &ExecutionPolicy,
        acknowledged: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        match &self.state {
            State::Ready(ready) => ready.dispatch(now),
            State::Ended(ended) => ended.dispatch(policy, acknowledged, now),
            State::Lost(lost) => lost.dispatch(policy, acknowledged, now),
            State::Closed(Status::Expired) => Err(Refusal::Expired),
            State::Pending(pending) if now >= pending.expires_at => Err(Refusal::Expired),
            State::Pending(_) | State::Dispatched(_) | State::Running(_) | State::Closed(_) => {
                Err(self.refused("one that may be dispatched"))
            }
        }
    }

    /// The pending state, for a vote.
    ///
    /// # Errors
    /// [`Refusal::Expired`] for what expired, swept or not; otherwise [`Refusal::WrongStatus`].
    pub fn pending(&self, now: Timestamp) -> Result<&Pending, Refusal> {
        match &self.state {
            State::Pending(pending) if now >= pending.expires_at => Err(Refusal::Expired),
            State::Pending(pending) => Ok(pending),
            State::Closed(Status::Expired) => Err(Refusal::Expired),
            _ => Err(self.refused("pending")),
        }
    }

    fn refused(&self, wanted: &'static str) -> Refusal {
        Refusal::WrongStatus {
            status: self.status(),
            wanted,
        }
    }

    /// The move that the clock makes, if one is due: pending and ready requests expire, an unclaimed dispatch goes
    /// back to where it came from.
    pub fn due(&self, now: Timestamp) -> Option<Transition> {
        match &self.state {
            State::Pending(pending) => pending.expire(now),
            State::Ready(ready) => ready.expire(now),
            State::Dispatched(dispatched) => dispatched.time_out(now),
            State::Running(_) | State::Ended(_) | State::Lost(_) | State::Closed(_) => None,
        }
    }
}

impl Pending {
    pub fn approve(&self) -> Transition {
        Transition::new(Status::Pending, Status::Approved)
    }

    /// The dispatch that follows the last approval in the same transaction, where the workflow says so.
    pub fn dispatch(&self) -> Transition {
        Transition::new(Status::Approved, Status::Dispatched)
    }

    pub fn reject(&self) -> Transition {
        Transition::new(Status::Pending, Status::Rejected)
    }

    /// Expires, when due.
    pub fn expire(&self, now: Timestamp) -> Option<Transition> {
        (now >= self.expires_at).then(|| Transition::new(Status::Pending, Status::Expired))
    }
}

impl Ready {
    /// Hands it to the agents, while the approval lasts.
    ///
    /// # Errors
    /// [`Refusal::Expired`].
    pub fn dispatch(&self, now: Timestamp) -> Result<Transition, Refusal> {
        if now >= self.expires_at {
            return Err(Refusal::Expired);
        }
        Ok(Transition::new(self.status, Status::Dispatched))
    }

    /// Expires, when due.
    pub fn expire(&self, now: Timestamp) -> Option<Transition> {
        (now >= self.expires_at).then(|| Transition::new(self.status, Status::Expired))
    }
}

impl Dispatched {
    /// An agent takes it.
    pub fn claim(&self) -> Transition {
        Transition::new(Status::Dispatched, Status::Running)
    }

    /// Goes back to where it was dispatched from, when nobody took it in time.
    pub fn time_out(&self, now: Timestamp) -> Option<Transition> {
        (now >= self.deadline).then(|| Transition::new(Status::Dispatched, self.from))
    }
}

impl Running {
    pub fn finish(&self, end: ExecutionEnd) -> Transition {
        Transition::new(Status::Running, end.status())
    }

    /// The lease has run out.
    pub fn lapse(&self, lease_until: Timestamp, now: Timestamp) -> Option<Transition> {
        (now >= lease_until).then(|| Transition::new(Status::Running, Status::ExecutionLost))
    }
}

impl Ended {
    /// Runs it again, where policy allows; a write that may have taken effect only where somebody `acknowledged` that.
    ///
    /// # Errors
    /// [`Refusal::MaxExecutions`], [`Refusal::WindowPassed`], [`Refusal::NoRetry`], [`Refusal::OutcomeUnknown`].
    pub fn dispatch(
        &self,
        policy: &ExecutionPolicy,
        acknowledged: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        self.runs.count_allows(policy)?;
        self.runs.window_allows(policy, now)?;
        if self.status == Status::Failed && !policy.retry_on_failure {
            return Err(Refusal::NoRetry);
        }
        if self.uncertain && !acknowledged {
            return Err(Refusal::OutcomeUnknown);
        }
        Ok(Transition::new(self.status, Status::Dispatched))
    }

    /// Whether running it again needs an acknowledgement.
    pub fn is_uncertain(&self) -> bool {
        self.uncertain
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests;
