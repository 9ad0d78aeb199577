//! Everything that can ever be written, as data.
//!
//! A verb decides and describes; the store applies. One [`Change`] is one audit event and the rows it accounts for;
//! what is written together is a list of changes. [`Change::entry`] and the store's `apply` both match without a
//! wildcard, so a new kind of change does not compile until it has its audit text and its rows.

use crate::clock::Timestamp;
use crate::domain::actor::SubjectType;
use crate::domain::approval::Vote;
use crate::domain::audit::{Entry, Outcome};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::policy::Dialect;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Request, Status, Step};
use serde_json::{Map, Value, json};

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
    pub step: Step,
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
    /// `local` or `s3`.
    pub backend: &'static str,
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
    /// Who issued it; `system` at the first start.
    pub issuer: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A person as configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStatus {
    /// Subject id.
    pub id: String,
    /// Active or suspended.
    pub active: bool,
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
        step: Step,
        /// When it goes back unclaimed.
        deadline: Timestamp,
        /// Why a lost write may run again, where somebody vouched for it.
        acknowledged: Option<String>,
    },
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
        step: Step,
        /// Number of steps.
        total_steps: u32,
        /// When the approval ends.
        approval_expires_at: Timestamp,
    },
    /// Turned down.
    RequestRejected {
        /// The request.
        request: RequestRef,
        /// The vote.
        vote: Vote,
        /// The move.
        step: Step,
    },
    /// Called off.
    RequestCancelled {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Step,
        /// Why.
        reason: Option<String>,
    },
    /// Not approved or not used in time.
    RequestExpired {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Step,
    },
    /// Nobody claimed it in time.
    DispatchTimedOut {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Step,
    },
    /// An agent claimed it.
    ExecutionStarted {
        /// The request.
        request: RequestRef,
        /// The move.
        step: Step,
        /// The execution.
        execution: NewExecution,
    },
    /// The agent reported.
    ExecutionFinished {
        /// The request.
        request: RequestRef,
        /// The move; none when the request was cancelled meanwhile and stays so.
        step: Option<Step>,
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
        step: Option<Step>,
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
    /// A person may act again, by configuration.
    UserActivated(UserStatus),
    /// A person may not act, by configuration.
    UserSuspended(UserStatus),
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
    },
    /// An attempt was refused.
    AttemptRefused(Refused),
    /// Authentications failed.
    AuthFailures(AuthFailures),
    /// A stored result is not what was stored.
    ResultCorrupt {
        /// The request.
        request: RequestRef,
        /// The execution.
        execution_id: String,
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
            Change::RequestCreated(_)
            | Change::AgentRegistered { .. }
            | Change::TokenCreated(_)
            | Change::TokenRevoked { .. }
            | Change::UserActivated(_)
            | Change::UserSuspended(_)
            | Change::SchemaSynced(_)
            | Change::ConfigSynced { .. }
            | Change::AuthFailures(_) => None,
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
            | Change::AgentRegistered { .. }
            | Change::TokenCreated(_)
            | Change::TokenRevoked { .. }
            | Change::UserActivated(_)
            | Change::UserSuspended(_)
            | Change::SchemaSynced(_)
            | Change::ConfigSynced { .. }
            | Change::AttemptRefused(_)
            | Change::AuthFailures(_)
            | Change::ResultCorrupt { .. } => None,
        };
        step.map(|s| (s.from(), s.to()))
    }

    /// What the audit log says of it.
    pub fn entry(&self) -> Entry {
        let mut entry = self.described();
        entry.moved = self.moved();
        entry
    }

    fn described(&self) -> Entry {
        match self {
            Change::RequestCreated(new) => created(new),
            Change::RequestDispatched {
                request,
                acknowledged,
                ..
            } => {
                let mut e = of_request("request.dispatched", "approval", request);
                e.reason.clone_from(acknowledged);
                if acknowledged.is_some() {
                    e.metadata
                        .insert("acknowledged_unknown_outcome".into(), true.into());
                }
                e
            }
            Change::StepApproved {
                request,
                vote,
                total_steps,
                ..
            } => voted("step.approved", request, vote, Some(*total_steps)),
            Change::RequestApproved {
                request,
                vote,
                total_steps,
                ..
            } => voted("request.approved", request, vote, Some(*total_steps)),
            Change::RequestRejected { request, vote, .. } => {
                let mut e = voted("request.rejected", request, vote, None);
                e.reason.clone_from(&vote.comment);
                e
            }
            Change::RequestCancelled {
                request, reason, ..
            } => {
                let mut e = of_request("request.cancelled", "approval", request);
                e.reason.clone_from(reason);
                e
            }
            Change::RequestExpired { request, .. } => {
                of_request("request.expired", "approval", request)
            }
            Change::DispatchTimedOut { request, .. } => {
                of_request("request.dispatch_timeout", "approval", request)
            }
            Change::ExecutionStarted {
                request, execution, ..
            } => {
                let mut e = of_request("execution.started", "execution", request);
                e.metadata
                    .insert("execution_id".into(), execution.id.clone().into());
                e.metadata
                    .insert("attempt".into(), execution.attempt.into());
                e.metadata.insert(
                    "statement_timeout_secs".into(),
                    execution.statement_timeout_secs.into(),
                );
                e
            }
            Change::ExecutionFinished {
                request,
                step,
                finished,
                result,
            } => finished_entry(request, *step, finished, result.as_ref()),
            Change::ExecutionLost {
                request,
                execution_id,
                agent_id,
                ..
            } => {
                let mut e = of_request("execution.lost", "agent", request);
                e.outcome = Outcome::Failure;
                e.metadata
                    .insert("execution_id".into(), execution_id.clone().into());
                e.metadata
                    .insert("agent_id".into(), agent_id.clone().into());
                e
            }
            Change::AgentRegistered {
                agent_id, version, ..
            } => {
                let mut e = about("agent.registered", "agent", "agent", agent_id);
                if let Some(version) = version {
                    e.metadata
                        .insert("agent_version".into(), version.clone().into());
                }
                e
            }
            Change::TokenCreated(new) => {
                let mut e = about("token.created", "token", "token", &new.id);
                e.metadata = object(json!({
                    "subject_id": new.subject_id,
                    "subject_type": new.subject_type.as_str(),
                    "roles": new.roles,
                    "role_mode": new.role_mode.as_str(),
                    "groups": new.groups,
                    "issuer": new.issuer,
                    "expires_at": new.expires_at.map(Timestamp::rfc3339),
                }));
                e
            }
            Change::TokenRevoked {
                token_id,
                subject_id,
            } => {
                let mut e = about("token.revoked", "token", "token", token_id);
                e.metadata
                    .insert("subject_id".into(), subject_id.clone().into());
                e
            }
            Change::UserActivated(user) => about("user.activated", "identity", "user", &user.id),
            Change::UserSuspended(user) => about("user.disabled", "identity", "user", &user.id),
            Change::SchemaSynced(schema) => {
                let (event_type, outcome) = match schema.snapshot_json {
                    Some(_) => ("schema.snapshot_updated", Outcome::Success),
                    None => ("schema.snapshot_failed", Outcome::Failure),
                };
                let mut e = Entry::new(event_type, "agent", outcome);
                e.database = Some(schema.target.database.clone());
                e.environment = Some(schema.target.environment.clone());
                e.reason.clone_from(&schema.error_message);
                e.metadata = object(json!({
                    "dialect": schema.dialect.as_str(),
                    "status": schema.status,
                    "tables": schema.tables,
                }));
                e
            }
            Change::ConfigSynced {
                policy_version,
                summary,
                ..
            } => {
                let mut e = about("config.synced", "policy", "config", policy_version);
                e.metadata.clone_from(summary);
                e
            }
            Change::AttemptRefused(refused) => refused_entry(refused),
            Change::AuthFailures(failures) => {
                let mut e = Entry::new("auth.failures", "auth", Outcome::Denied);
                e.reason = Some(failures.reason.to_owned());
                e.resource_type = Some("address");
                e.resource_id = Some(failures.address.clone());
                e.metadata.insert("count".into(), failures.count.into());
                e
            }
            Change::ResultCorrupt {
                request,
                execution_id,
            } => {
                let mut e = of_request("result.corrupt", "execution", request);
                e.outcome = Outcome::Failure;
                e.metadata
                    .insert("execution_id".into(), execution_id.clone().into());
                e
            }
        }
    }
}

fn about(
    event_type: &'static str,
    category: &'static str,
    resource_type: &'static str,
    id: &str,
) -> Entry {
    let mut e = Entry::new(event_type, category, Outcome::Success);
    e.resource_type = Some(resource_type);
    e.resource_id = Some(id.to_owned());
    e
}

fn of_request(event_type: &'static str, category: &'static str, request: &RequestRef) -> Entry {
    let mut e = about(event_type, category, "request", &request.id);
    e.request_id = Some(request.id.clone());
    e.operation = Some(request.operation.as_str());
    e.database = Some(request.target.database.clone());
    e.environment = Some(request.target.environment.clone());
    e
}

fn created(new: &NewRequest) -> Entry {
    let event_type = match new.step.to() {
        Status::AutoApproved => "request.auto_approved",
        Status::BreakGlass => "request.break_glass",
        _ => "request.created",
    };
    let mut e = about(event_type, "approval", "request", &new.id);
    e.request_id = Some(new.id.clone());
    e.operation = Some(new.operation.as_str());
    e.database = Some(new.target.database.clone());
    e.environment = Some(new.target.environment.clone());
    e.fingerprint = Some(new.text.fingerprint.clone());
    e.detail.clone_from(&new.text.redacted);
    e.reason.clone_from(&new.reason);
    e.metadata = object(json!({
        "policy_version": new.policy_version,
        "risk_level": new.risk_level,
        "emergency": new.emergency,
        "allow_ddl": new.allow_ddl,
    }));
    e
}

fn voted(
    event_type: &'static str,
    request: &RequestRef,
    vote: &Vote,
    total_steps: Option<u32>,
) -> Entry {
    let mut e = of_request(event_type, "approval", request);
    let m = &mut e.metadata;
    m.insert("step_number".into(), (vote.step + 1).into());
    if let Some(total) = total_steps {
        m.insert("total_steps".into(), total.into());
    }
    m.insert("selector".into(), vote.selector.clone().into());
    if let Some(comment) = &vote.comment {
        m.insert("approval_comment".into(), comment.clone().into());
    }
    if vote.issued_by_requester {
        m.insert("issued_by_requester".into(), true.into());
    }
    e
}

fn finished_entry(
    request: &RequestRef,
    step: Option<Step>,
    finished: &Finished,
    result: Option<&NewResult>,
) -> Entry {
    let (event_type, outcome) = if finished.success {
        ("execution.completed", Outcome::Success)
    } else {
        ("execution.failed", Outcome::Failure)
    };
    let mut e = of_request(event_type, "execution", request);
    e.outcome = outcome;
    e.resource_type = Some("execution");
    e.resource_id = Some(finished.execution_id.clone());
    let m = &mut e.metadata;
    m.insert("duration_ms".into(), finished.duration_ms.into());
    m.insert("rows_affected".into(), finished.rows_affected.into());
    m.insert("truncated".into(), finished.truncated.into());
    m.insert("late".into(), finished.late.into());
    if let Some(result) = result {
        m.insert(
            "result_sha256".into(),
            result.checksum_sha256.clone().into(),
        );
        m.insert("result_bytes".into(), result.content_length.into());
    }
    if step.is_none() && finished.success {
        m.insert("committed_after_cancel".into(), true.into());
    }
    e
}

fn refused_entry(refused: &Refused) -> Entry {
    let mut e = match &refused.request {
        Some(request) => of_request("attempt.refused", "request", request),
        None => Entry::new("attempt.refused", "request", Outcome::Denied),
    };
    e.outcome = Outcome::Denied;
    if let Some(target) = &refused.target {
        e.database = Some(target.database.clone());
        e.environment = Some(target.environment.clone());
    }
    e.fingerprint.clone_from(&refused.fingerprint);
    e.reason = Some(refused.message.clone());
    e.metadata = object(json!({
        "attempt": refused.attempt,
        "code": refused.code,
        "count": refused.count,
    }));
    e
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
