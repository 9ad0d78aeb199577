//! Everything that can ever be written, as data.
//!
//! A verb decides and describes; the store applies. One [`Change`] is one audit event and the rows it accounts for.
//! [`Change::entry`] and the store's `apply` both match without a wildcard, so a new kind of change does not compile
//! until it has its audit text and its rows.

mod entry;
mod notice;

pub use notice::{DETAIL_BYTES_MAX, Notice};

use crate::clock::Timestamp;
use crate::domain::actor::SubjectType;
use crate::domain::approval::Vote;
use crate::domain::decision::Passed;
use crate::domain::dialect::Dialect;
use crate::domain::head::SignedHead;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::policy::notification::Routes;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Request, Status, Transition};
use crate::domain::scope::Scope;
use crate::domain::token::Grant;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which request a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRef {
    /// Its row.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// Who made it.
    pub requester: String,
    /// Where it runs.
    pub target: Target,
    /// What it does.
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
            status: r.status,
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

/// A new request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Its row: the next one, as the view of the same transaction says.
    pub seq: i64,
    /// UUID.
    pub id: String,
    /// Who makes it.
    pub requester: String,
    /// With which token.
    pub token_id: Option<String>,
    /// Where it runs.
    pub target: Target,
    /// What it does.
    pub operation: Operation,
    /// The first move.
    pub step: Transition,
    /// An emergency.
    pub emergency: bool,
    /// DDL was asked for.
    pub allow_ddl: bool,
    /// The result is not kept.
    pub no_result_store: bool,
    /// Why.
    pub reason: Option<String>,
    /// Number of steps.
    pub total_steps: u32,
    /// Selectors of the first step, when pending.
    pub approvers: Vec<Selector>,
    /// `low` to `unavailable`.
    pub risk_level: String,
    /// SHA-256 of the policies that decided; they are stored already.
    pub policy_version: String,
    /// When pending ends.
    pub expires_at: Option<Timestamp>,
    /// When the approval of what needs none ends.
    pub approval_expires_at: Option<Timestamp>,
    /// The texts.
    pub text: RequestText,
}

/// A new execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExecution {
    /// UUID.
    pub id: String,
    /// 1 for the first of a request.
    pub attempt: u32,
    /// The agent.
    pub agent_id: String,
    /// Makes the claim repeatable.
    pub claim_key: Option<String>,
    /// The signed token.
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

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The execution.
    pub execution_id: String,
    /// Whether the database said yes.
    pub success: bool,
    /// What the agent said went wrong.
    pub error_message: Option<String>,
    /// Rows changed.
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

/// A stored result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResult {
    /// `row`, `local` or `s3`.
    pub backend: &'static str,
    /// The envelope, where it becomes a row of its own.
    pub body: Option<Arc<[u8]>>,
    /// The object's key.
    pub key: String,
    /// Its size.
    pub content_length: u64,
    /// Its SHA-256.
    pub checksum_sha256: String,
    /// When it may be removed.
    pub expires_at: Timestamp,
    /// Who may see it besides the requester.
    pub access: Vec<Selector>,
}

/// How the roles of a token count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleMode {
    /// Resolved at every request; the token names none.
    Resolved,
    /// The named roles are what it grants.
    Grant,
    /// The named roles are the most it can do of what its subject holds.
    Ceiling,
}

impl RoleMode {
    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            RoleMode::Resolved => "resolved",
            RoleMode::Grant => "grant",
            RoleMode::Ceiling => "ceiling",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<RoleMode> {
        [RoleMode::Resolved, RoleMode::Grant, RoleMode::Ceiling]
            .into_iter()
            .find(|m| m.as_str() == text)
    }
}

/// A new token; the secret itself is never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// UUID.
    pub id: String,
    /// Person or agent.
    pub subject_type: SubjectType,
    /// Whose.
    pub subject_id: String,
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// The eight characters by which people recognise it.
    pub prefix: String,
    /// What it is for.
    pub name: Option<String>,
    /// Roles it names.
    pub roles: Vec<String>,
    /// How they count.
    pub role_mode: RoleMode,
    /// Groups it adds.
    pub groups: Vec<String>,
    /// Who counts as its issuer; `system` at the first start.
    pub issuer: String,
    /// Everybody who had a hand in it: whoever issued it, and whoever had a hand in the token it was issued with.
    pub issuers: BTreeSet<String>,
    /// The targets that an agent's token is bound to, `*` for every name; none where it is bound to none.
    pub bound_to: Option<Vec<Scope>>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl NewToken {
    /// What of it decides about rights.
    pub fn grant(&self) -> Grant<'_> {
        Grant {
            subject_type: self.subject_type,
            subject_id: &self.subject_id,
            roles: &self.roles,
            role_mode: self.role_mode,
            groups: &self.groups,
        }
    }
}

/// Whether a person may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStatus {
    /// Subject id.
    pub id: String,
    /// Active or suspended.
    pub active: bool,
    /// Configuration says so, and will say so again; otherwise somebody did over the API.
    pub by_config: bool,
}

/// A step of a workflow that nobody can approve any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostStep {
    /// The id of the workflow.
    pub workflow: String,
    /// The number of the step, from 1; none where only all steps together cannot be approved by different people.
    pub step: Option<usize>,
    /// Where; one of perhaps many.
    pub target: Target,
}

/// What an agent reports of a database's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchema {
    /// Which database.
    pub target: Target,
    /// Its dialect.
    pub dialect: Dialect,
    /// `ready`, `partial` or `failed`.
    pub status: &'static str,
    /// The tables, as JSON; none for a failure, which keeps what was known before.
    pub snapshot_json: Option<String>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Which agent.
    pub agent_id: String,
    /// Number of tables.
    pub tables: usize,
}

/// A refused attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The verb, `request.create` and the like.
    pub attempt: &'static str,
    /// The error's code.
    pub code: &'static str,
    /// The error's message.
    pub message: String,
    /// The request, if there is one.
    pub request: Option<RequestRef>,
    /// Where, if that is known.
    pub target: Option<Target>,
    /// Hash of the redacted statement, if there is one.
    pub fingerprint: Option<String>,
    /// How many refusals this stands for; more than one for the aggregate of a minute.
    pub count: u64,
}

/// What an emergency with DDL passed that would have been refused (semantics 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlPassed {
    /// The request.
    pub request: RequestRef,
    /// What it passed.
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

/// Failed authentications from one address in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFailures {
    /// The address.
    pub address: String,
    /// How many.
    pub count: u64,
    /// Why the first failed.
    pub reason: &'static str,
}

/// A stored result that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgedResult {
    /// The row of its execution.
    pub execution_seq: i64,
    /// The execution.
    pub execution_id: String,
}

/// A request that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgedRequest {
    /// Its row.
    pub seq: i64,
    /// Its id.
    pub id: String,
}

/// One thing that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A request is made.
    RequestCreated(Box<NewRequest>),
    /// A request is handed to the agents.
    RequestDispatched {
        /// The request.
        request: RequestRef,
        /// The move.
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
        /// The request.
        request: RequestRef,
        /// The vote.
        vote: Vote,
        /// The step the request is in now, 0-based.
        current_step: u32,
        /// Number of steps.
        total_steps: u32,
        /// Selectors of that step.
        approvers: Vec<Selector>,
    },
    /// The last vote needed.
    RequestApproved {
        /// The request.
        request: RequestRef,
        /// The vote.
        vote: Vote,
        /// The move.
        step: Transition,
        /// Number of steps.
        total_steps: u32,
        /// When the approval ends.
        approval_expires_at: Timestamp,
        /// When the request was made: since then it waited.
        created_at: Timestamp,
    },
    /// Turned down.
    RequestRejected {
        /// The request.
        request: RequestRef,
        /// The vote.
        vote: Vote,
        /// The move.
        step: Transition,
    },
    /// Called off.
    RequestCancelled {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Transition,
        /// Why.
        reason: Option<String>,
    },
    /// Not approved or not used in time.
    RequestExpired {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Transition,
    },
    /// Nobody claimed it in time.
    DispatchTimedOut {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Transition,
    },
    /// An agent claimed it.
    ExecutionStarted {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Transition,
        /// The execution.
        execution: NewExecution,
    },
    /// The agent reported.
    ExecutionFinished {
        /// The request.
        request: RequestRef,
        /// The move; none when the request was cancelled meanwhile and stays so.
        step: Option<Transition>,
        /// The report.
        finished: Finished,
        /// What was stored of it.
        result: Option<NewResult>,
    },
    /// The lease ran out.
    ExecutionLost {
        /// The request.
        request: RequestRef,
        /// The move; none when the request was cancelled meanwhile and stays so.
        step: Option<Transition>,
        /// The execution.
        execution_id: String,
        /// Its agent.
        agent_id: String,
    },
    /// An agent polled for the first time.
    AgentRegistered {
        /// Its subject id.
        agent_id: String,
        /// What it says it can do, as JSON.
        capabilities_json: String,
        /// Its version.
        version: Option<String>,
    },
    /// A token was issued.
    TokenCreated(NewToken),
    /// A token was revoked.
    TokenRevoked {
        /// The token.
        token_id: String,
        /// Whose it was.
        subject_id: String,
    },
    /// A person may act, or act again.
    UserActivated(UserStatus),
    /// A person may not act.
    UserSuspended(UserStatus),
    /// A person came in whom the identity provider vouches for, and who was not known.
    UserCreated {
        /// Subject id.
        id: String,
    },
    /// A person came in by the identity provider; once an hour.
    LoginSucceeded {
        /// Subject id.
        id: String,
        /// Names of the roles he holds now.
        roles: BTreeSet<String>,
    },
    /// What is known of a person changed.
    UserUpdated {
        /// Subject id.
        id: String,
        /// The Slack account that is his.
        slack_user_id: Option<String>,
    },
    /// A custom role was deleted; the policies without it are in force.
    RoleDeleted {
        /// Its name.
        name: String,
        /// Steps that nobody can approve without it.
        lost: Vec<LostStep>,
        /// SHA-256 of the policies without it.
        policy_version: String,
        /// Their text.
        policy_text: String,
    },
    /// An agent described a database, or could not.
    SchemaSynced(NewSchema),
    /// A configuration took effect.
    ConfigSynced {
        /// SHA-256 of its policies.
        policy_version: String,
        /// Their text.
        policy_text: String,
        /// Counts by kind, as JSON.
        summary: Map<String, Value>,
        /// Who is told of what happens from here on, this transaction included.
        routes: Arc<Routes>,
    },
    /// A configuration was not taken over.
    ConfigRejected {
        /// What was wrong, one sentence each; no values of variables.
        problems: Vec<String>,
    },
    /// An attempt was refused.
    AttemptRefused(Refused),
    /// Authentications failed.
    AuthFailures(AuthFailures),
    /// Signed heads begin, or begin anew: the sums of the live rows as they are.
    StateBaselined(SignedHead),
    /// From here on a copy of every checkpoint is kept elsewhere.
    CheckpointFileAttached,
    /// Somebody started a state that is older than its checkpoint file.
    RollbackAccepted {
        /// Why.
        reason: String,
        /// What the start had found.
        found: String,
    },
    /// A stored result is not what was stored.
    ResultCorrupt {
        /// The request.
        request: RequestRef,
        /// The execution.
        execution_id: String,
    },
    /// Stored results whose time is over are removed; their objects are gone already.
    ResultsPurged(Vec<PurgedResult>),
    /// Requests that ended are removed, with everything that belongs to them.
    RequestsPurged {
        /// Which.
        requests: Vec<PurgedRequest>,
        /// None of them has changed since then.
        before: Timestamp,
    },
    /// A prefix of the audit log may go.
    AuditPurged {
        /// The last event that may.
        bound_seq: i64,
        /// Its hash.
        last_hash: String,
        /// Only older events may.
        before: Timestamp,
        /// Events behind it.
        retained: i64,
    },
}

impl Change {
    /// The request it is about, unless it is the making of one.
    pub fn request(&self) -> Option<&RequestRef> {
        match self {
            Change::RequestDispatched { request, .. }
            | Change::StepApproved { request, .. }
            | Change::RequestApproved { request, .. }
            | Change::RequestRejected { request, .. }
            | Change::RequestCancelled { request, .. }
            | Change::RequestExpired { request, .. }
            | Change::DispatchTimedOut { request, .. }
            | Change::ExecutionStarted { request, .. }
            | Change::ExecutionFinished { request, .. }
            | Change::ExecutionLost { request, .. }
            | Change::ResultCorrupt { request, .. } => Some(request),
            Change::AttemptRefused(refused) => refused.request.as_ref(),
            Change::DdlPassed(passed) => Some(&passed.request),
            Change::RequestCreated(_)
            | Change::AgentRegistered { .. }
            | Change::TokenCreated(_)
            | Change::TokenRevoked { .. }
            | Change::UserActivated(_)
            | Change::UserSuspended(_)
            | Change::UserCreated { .. }
            | Change::UserUpdated { .. }
            | Change::LoginSucceeded { .. }
            | Change::RoleDeleted { .. }
            | Change::SchemaSynced(_)
            | Change::ConfigSynced { .. }
            | Change::ConfigRejected { .. }
            | Change::AuthFailures(_)
            | Change::StateBaselined(_)
            | Change::CheckpointFileAttached
            | Change::RollbackAccepted { .. }
            | Change::ResultsPurged(_)
            | Change::RequestsPurged { .. }
            | Change::AuditPurged { .. } => None,
        }
    }

    /// The move it makes: from where (`None` for a new request) and to where.
    pub fn moved(&self) -> Option<(Option<Status>, Status)> {
        let step = match self {
            Change::RequestCreated(new) => Some(new.step),
            Change::RequestDispatched { step, .. }
            | Change::RequestApproved { step, .. }
            | Change::RequestRejected { step, .. }
            | Change::RequestCancelled { step, .. }
            | Change::RequestExpired { step, .. }
            | Change::DispatchTimedOut { step, .. }
            | Change::ExecutionStarted { step, .. } => Some(*step),
            Change::ExecutionFinished { step, .. } | Change::ExecutionLost { step, .. } => *step,
            Change::StepApproved { .. }
            | Change::DdlPassed(_)
            | Change::AgentRegistered { .. }
            | Change::TokenCreated(_)
            | Change::TokenRevoked { .. }
            | Change::UserActivated(_)
            | Change::UserSuspended(_)
            | Change::UserCreated { .. }
            | Change::UserUpdated { .. }
            | Change::LoginSucceeded { .. }
            | Change::RoleDeleted { .. }
            | Change::SchemaSynced(_)
            | Change::ConfigSynced { .. }
            | Change::ConfigRejected { .. }
            | Change::AttemptRefused(_)
            | Change::AuthFailures(_)
            | Change::StateBaselined(_)
            | Change::CheckpointFileAttached
            | Change::RollbackAccepted { .. }
            | Change::ResultCorrupt { .. }
            | Change::ResultsPurged(_)
            | Change::RequestsPurged { .. }
            | Change::AuditPurged { .. } => None,
        };
        step.map(|s| (s.from(), s.to()))
    }
}
