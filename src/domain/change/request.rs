//! What happens to one request: made, voted on, dispatched, executed.

mod entry;
mod rehearsal;

pub use rehearsal::{
    EndedRehearsal, NewRehearsal, RehearsalChange, RehearsalStep, StartedRehearsal,
};

use crate::clock::Timestamp;
use crate::domain::approval::Vote;
use crate::domain::commitment::{Commitments, CommittedContext, CommittedRequest, SALT_BYTES};
use crate::domain::decision::Passed;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{ExecutionEnd, Request, Status, Transition};
use crate::domain::risk_level::RiskLevel;
use crate::domain::row_bound::RowBound;
use crate::domain::sql::DialectFact;
use std::sync::Arc;

/// Which request a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRef {
    pub seq: i64,
    pub id: String,
    pub requester: String,
    pub target: Target,
    pub operation: Operation,
    /// The status it has before the change.
    pub status: Status,
}

impl From<&Request> for RequestRef {
    fn from(r: &Request) -> Self {
        RequestRef {
            seq: r.seq,
            id: r.id.clone(),
            requester: r.requester.clone(),
            target: r.target.clone(),
            operation: r.operation,
            status: r.status(),
        }
    }
}

/// As it opens.
impl From<&NewRequest> for RequestRef {
    fn from(new: &NewRequest) -> Self {
        RequestRef {
            seq: new.seq,
            id: new.id.clone(),
            requester: new.requester.clone(),
            target: new.target.clone(),
            operation: new.operation,
            status: new.step.to(),
        }
    }
}

/// The texts of a request: written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestText {
    /// The SQL, or the JSON of a migration, byte for byte.
    pub detail: String,
    /// The statements that will run: the detail cut at statement boundaries, as a JSON array.
    pub plan_json: Option<String>,
    /// The workflow as it was.
    pub workflow: Option<Workflow>,
    /// Everything the decision was computed from, as JSON.
    pub facts_json: String,
    /// How it was decided, as JSON.
    pub trace_json: String,
    /// Tables, findings and risk, as JSON; none where the result is not to be kept.
    pub context_json: Option<String>,
    /// Statements to be explained before anybody approves.
    pub dry_runs: Vec<String>,
    /// The client's own facts, as JSON.
    pub metadata_json: Option<String>,
    /// Who else may see the result.
    pub share_with: Vec<Selector>,
    /// The client's idempotency key.
    pub idempotency_key: Option<String>,
    /// Hash of what the key was used with.
    pub idempotency_fingerprint: Option<String>,
    /// Hash of the redacted statement.
    pub fingerprint: String,
    /// The statement as audit events show it.
    pub redacted: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Its row: the next one, as the view of the same transaction says.
    pub seq: i64,
    /// UUID.
    pub id: String,
    pub requester: String,
    pub token_id: Option<String>,
    pub target: Target,
    pub operation: Operation,
    /// The dialect that its text was read in.
    pub dialect: DialectFact,
    pub step: Transition,
    pub emergency: bool,
    /// DDL was asked for.
    pub allow_ddl: bool,
    /// The result is not kept.
    pub no_result_store: bool,
    pub reason: Option<String>,
    pub total_steps: u32,
    /// Selectors of the first step, when pending.
    pub approvers: Vec<Selector>,
    pub risk_level: RiskLevel,
    /// SHA-256 of the policies that decided; they are stored already.
    pub policy_version: String,
    pub expires_at: Option<Timestamp>,
    /// When the approval of what needs none ends.
    pub approval_expires_at: Option<Timestamp>,
    /// How many rows it may change at most.
    pub row_bound: Option<RowBound>,
    pub text: RequestText,
    /// Random; goes into the commitments, and is kept with the texts.
    pub salt: [u8; SALT_BYTES],
}

impl NewRequest {
    /// What the audit log commits to.
    pub fn commitments(&self) -> Commitments {
        let text = &self.text;
        let workflow = text.workflow.as_ref().map(Workflow::to_text);
        let share: Vec<String> = text.share_with.iter().map(ToString::to_string).collect();
        let request = CommittedRequest {
            requester: &self.requester,
            database: self.target.database(),
            environment: self.target.environment(),
            operation: self.operation.as_str(),
            detail: &text.detail,
            plan_json: text.plan_json.as_deref(),
            workflow_json: workflow.as_deref(),
            dialect: self.dialect.as_str(),
            emergency: self.emergency,
            allow_ddl: self.allow_ddl,
            no_result_store: self.no_result_store,
            row_bound: self.row_bound.map(|b| (b.rows, b.source.as_str())),
        };
        let context = CommittedContext {
            facts_json: &text.facts_json,
            trace_json: &text.trace_json,
            metadata_json: text.metadata_json.as_deref(),
            share_with_json: &serde_json::Value::from(share).to_string(),
            context_json: text.context_json.as_deref(),
        };
        Commitments {
            request: request.hash(&self.salt),
            context: context.hash(&self.salt),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExecution {
    /// UUID.
    pub id: String,
    /// 1 for the first of a request.
    pub attempt: u32,
    pub agent_id: String,
    /// Makes the claim repeatable.
    pub claim_key: Option<String>,
    pub token_json: String,
    /// Length of a lease.
    pub lease_secs: u64,
    /// End of the first lease.
    pub lease_until: Timestamp,
    /// Seconds a statement may run, 0 for no limit.
    pub statement_timeout_secs: u64,
    /// Rows returned at most.
    pub max_rows: Option<u64>,
}

/// How an execution ended, as far as somebody can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub execution_id: String,
    /// What it left in the database.
    pub end: ExecutionEnd,
    /// The error that the agent reported.
    pub error_message: Option<String>,
    /// What the database added to it, with values of rows: in no event, and for the requester alone.
    pub error_detail: Option<String>,
    pub rows_affected: Option<u64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Whether rows were left out.
    pub truncated: bool,
    /// Whether the lease had run out before.
    pub late: bool,
    /// Hash of the report, so that the same one again is known.
    pub report_sha256: String,
}

/// A report that proves nothing: its execution may or may not have taken effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InconclusiveReport {
    pub error_message: Option<String>,
    pub duration_ms: Option<u64>,
    pub report_sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResult {
    /// `row`, `local` or `s3`.
    pub backend: &'static str,
    /// The envelope, where it becomes a row of its own.
    pub body: Option<Arc<[u8]>>,
    pub key: String,
    pub content_length: u64,
    pub checksum_sha256: String,
    /// When it may be removed.
    pub expires_at: Timestamp,
    /// Who may see it besides the requester.
    pub access: Vec<Selector>,
}

/// What an emergency with DDL passed that would have been refused (semantics 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlPassed {
    pub request: RequestRef,
    pub passed: Passed,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// Hash of the redacted statement.
    pub fingerprint: String,
    /// The statement as audit events show it.
    pub redacted: Option<String>,
}

impl DdlPassed {
    /// What `new`, which `request` names, passed.
    pub fn new(request: &RequestRef, new: &NewRequest, passed: Passed) -> DdlPassed {
        DdlPassed {
            request: request.clone(),
            passed,
            reason: new.reason.clone(),
            fingerprint: new.text.fingerprint.clone(),
            redacted: new.text.redacted.clone(),
        }
    }
}

/// Steps that are complete since the votes of a person count again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedSteps {
    pub request: RequestRef,
    pub voter: String,
    /// The step the request is in now, 0-based.
    pub current_step: u32,
    pub total_steps: u32,
    /// Selectors of that step.
    pub approvers: Vec<Selector>,
    /// The move and the end of the approval, where these were the last steps.
    pub approval: Option<(Transition, Timestamp)>,
}

/// A change of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestChange {
    /// A request is made.
    Created(Box<NewRequest>),
    /// A request is handed to the agents.
    Dispatched {
        request: RequestRef,
        step: Transition,
        /// When it goes back unclaimed.
        deadline: Timestamp,
        /// Why a lost write may run again, where somebody vouched for it.
        acknowledged: Option<String>,
    },
    /// An emergency passed DDL that would have been refused.
    DdlPassed(Box<DdlPassed>),
    /// A vote that leaves the request pending.
    StepApproved {
        request: RequestRef,
        vote: Vote,
        /// The step the request is in now, 0-based.
        current_step: u32,
        total_steps: u32,
        /// Selectors of that step.
        approvers: Vec<Selector>,
    },
    /// The last vote needed.
    Approved {
        request: RequestRef,
        vote: Vote,
        step: Transition,
        total_steps: u32,
        /// Approvals there are with this one.
        votes: usize,
        /// When the approval ends.
        approval_expires_at: Timestamp,
        /// When the request was made: since then it waited.
        created_at: Timestamp,
    },
    /// The votes of a person count again and complete steps.
    StepsCompleted(Box<CompletedSteps>),
    Rejected {
        request: RequestRef,
        vote: Vote,
        step: Transition,
    },
    Cancelled {
        request: RequestRef,
        step: Transition,
        reason: Option<String>,
    },
    /// Not approved or not used in time.
    Expired {
        request: RequestRef,
        step: Transition,
    },
    /// Nobody claimed it in time.
    DispatchTimedOut {
        request: RequestRef,
        step: Transition,
    },
    /// An agent claimed it.
    ExecutionStarted {
        request: RequestRef,
        step: Transition,
        execution: NewExecution,
    },
    ExecutionFinished {
        request: RequestRef,
        /// The move; none when the request was cancelled meanwhile and stays so.
        step: Option<Transition>,
        finished: Finished,
        /// What was stored of it.
        result: Option<NewResult>,
    },
    /// The lease ran out, or the agent reported that it cannot tell.
    ExecutionLost {
        request: RequestRef,
        /// The move; none when the request was cancelled meanwhile and stays so.
        step: Option<Transition>,
        execution_id: String,
        agent_id: String,
        report: Option<InconclusiveReport>,
    },
    /// A run that leaves nothing, for approvers.
    Rehearsal(RehearsalChange),
    /// What is stored of it is not what the audit log says: nothing is done with it any more.
    Corrupted {
        request: RequestRef,
        /// What differs.
        what: &'static str,
    },
    /// A stored result is not what was stored.
    ResultCorrupt {
        request: RequestRef,
        execution_id: String,
    },
}

impl RequestChange {
    /// The request, unless this is the making of one.
    pub fn request(&self) -> Option<&RequestRef> {
        match self {
            RequestChange::Created(_) => None,
            RequestChange::DdlPassed(passed) => Some(&passed.request),
            RequestChange::Rehearsal(change) => Some(&change.request),
            RequestChange::StepsCompleted(completed) => Some(&completed.request),
            RequestChange::Dispatched { request, .. }
            | RequestChange::StepApproved { request, .. }
            | RequestChange::Approved { request, .. }
            | RequestChange::Rejected { request, .. }
            | RequestChange::Cancelled { request, .. }
            | RequestChange::Expired { request, .. }
            | RequestChange::DispatchTimedOut { request, .. }
            | RequestChange::ExecutionStarted { request, .. }
            | RequestChange::ExecutionFinished { request, .. }
            | RequestChange::ExecutionLost { request, .. }
            | RequestChange::Corrupted { request, .. }
            | RequestChange::ResultCorrupt { request, .. } => Some(request),
        }
    }

    /// The move it makes: from where (`None` for a new request) and to where.
    pub fn moved(&self) -> Option<(Option<Status>, Status)> {
        let step = match self {
            RequestChange::Created(new) => Some(new.step),
            RequestChange::Dispatched { step, .. }
            | RequestChange::Approved { step, .. }
            | RequestChange::Rejected { step, .. }
            | RequestChange::Cancelled { step, .. }
            | RequestChange::Expired { step, .. }
            | RequestChange::DispatchTimedOut { step, .. }
            | RequestChange::ExecutionStarted { step, .. } => Some(*step),
            RequestChange::ExecutionFinished { step, .. }
            | RequestChange::ExecutionLost { step, .. } => *step,
            RequestChange::StepsCompleted(completed) => completed.approval.map(|(step, _)| step),
            RequestChange::StepApproved { .. }
            | RequestChange::DdlPassed(_)
            | RequestChange::Rehearsal(_)
            | RequestChange::Corrupted { .. }
            | RequestChange::ResultCorrupt { .. } => None,
        };
        step.map(|s| (s.from(), s.to()))
    }
}
