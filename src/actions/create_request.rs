//! Makes a request: checks it, reads its SQL, decides, and stores it, dispatched at once where nobody must approve.
//!
//! The order of checks is the contract's (section 1): rights for the cheapest thing the caller could mean come before
//! idempotency and analysis, so that somebody without rights on a database learns nothing about its rules.

pub use super::submission::Submission;

use super::awaited::{JobNeeds, Left, next_in};
use super::eligible;
use super::schemas::CachedSnapshot;
use super::submission::{CheckedSubmission, check};
use super::{Active, App, dialects, explain, migrations, rehearse, row_bounds};
use crate::clock::Timestamp;
use crate::crypto::{random, sha256_hex, uuid};
use crate::domain::actor::Caller;
use crate::domain::audit::Redaction;
use crate::domain::change::{
    DdlPassed, NewRehearsal, NewRequest, Refused, RehearsalStep, RequestChange, RequestRef,
    RequestText,
};
use crate::domain::decision::{self, Decision};
use crate::domain::dialect::Dialect;
use crate::domain::facts::{Facts, Requester, SqlFacts};
use crate::domain::id::Operation;
use crate::domain::permission::Permission;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Opening, Status, Transition};
use crate::domain::row_bound::{self, RowBound};
use crate::domain::sql::{Analysis, Class, DialectFact};
use crate::error::{Error, ErrorKind, Shown};
use crate::store::{Verdict, View};
use serde_json::Value;
use std::sync::Arc;

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: String,
    pub status: Status,
    /// What it turned out to be.
    pub operation: Operation,
    pub expires_at: Option<Timestamp>,
    /// Selectors it waits for.
    pub approvers: Vec<String>,
    /// Whether it was there before, under the same key.
    pub repeated: bool,
    /// Where reading the text stopped, if it did.
    pub unparsable: Option<UnparsableAt>,
    /// What tells what it waits for.
    pub left: Left,
}

/// Where reading a text stopped, and why. Somebody has to look at such a text before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnparsableAt {
    /// From 1, as is the column, in characters.
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl UnparsableAt {
    /// The place of a text that could not be read; `None` for any other.
    pub fn of(class: Option<&Class>) -> Option<UnparsableAt> {
        match class? {
            Class::Unparsable {
                line,
                column,
                message,
            } => Some(UnparsableAt {
                line: *line,
                column: *column,
                message: message.clone(),
            }),
            _ => None,
        }
    }
}

/// Makes a request, or finds the one made under the same idempotency key.
///
/// # Errors
/// 503 `unavailable` while draining; 400 `validation_error`; 403 `forbidden`; 409 `idempotency_key_reused`; and the
/// rules' 422, see [`decision::classify`] and [`decision::decide`].
pub fn create_request(
    app: &Arc<App>,
    caller: &Caller,
    submission: Submission,
) -> Result<Created, Error> {
    app.accepting()?;
    app.caches.quotas.ensure_disk(app.clock.instant())?;
    let checked = check(submission)?;
    if checked.allow_ddl {
        app.metrics.break_glass_ddl_attempted.inc(&[]);
    }
    let answer = create_checked(app, caller, &checked);
    if checked.allow_ddl {
        match &answer {
            Ok(_) => app.metrics.break_glass_ddl_allowed.inc(&[]),
            Err(_) => app.metrics.break_glass_ddl_denied.inc(&[]),
        }
    }
    answer
}

fn create_checked(
    app: &Arc<App>,
    caller: &Caller,
    checked: &CheckedSubmission,
) -> Result<Created, Error> {
    let refuse = |error: Error, fingerprint: Option<String>| {
        let refused = Refused {
            blocked_rules: decision::blocked_rules(&error),
            attempt: "request.create",
            code: error.code(),
            message: error.message().to_owned(),
            request: None,
            target: Some(checked.target.clone()),
            fingerprint,
            count: 1,
        };
        match error.kind() {
            ErrorKind::Forbidden | ErrorKind::Refused => {
                app.refused(caller.actor(), refused, error)
            }
            _ => error,
        }
    };
    may_create(caller, checked, None).map_err(|e| refuse(e, None))?;
    if let Some(key) = &checked.key {
        let found = app
            .store
            .read(|view| repeated(view, &caller.subject, key, &checked.fingerprint))?;
        if let Some(created) = found {
            return Ok(created);
        }
    }
    app.caches
        .quotas
        .take_bytes(app, caller, checked.detail.len())?;
    let active = app.active();
    let read = Read {
        schema: app.schema(&checked.target)?,
        dialect: dialects::known_dialect(app, &active, &checked.target)?,
    };
    let analysis = if checked.operation.is_execute() {
        Some(dialects::analyze(app, &checked.detail, read.dialect)?)
    } else {
        migrations::analyze(app, checked.operation, &checked.detail, read.dialect)
            .map_err(|e| refuse(e, None))?
    };
    let fingerprint = analysis.as_ref().map(|a| a.fingerprint.clone());
    let decided = decide(app, caller, checked, &active, &read, analysis.as_deref())
        .map_err(|e| refuse(e, fingerprint))?;
    // What carries no SQL has the dialect of the database.
    let fact = match (&analysis, read.dialect) {
        (Some(analysis), _) => analysis.dialect_fact,
        (None, Some(dialect)) => DialectFact::Known(dialect),
        (None, None) => DialectFact::Any,
    };
    let unparsable = UnparsableAt::of(analysis.as_ref().map(|a| &a.class));
    let read_in = (fact, read.dialect);
    write(app, caller, checked, &active, decided, read_in, unparsable)
}

/// What was known of the target when the text was read.
struct Read {
    schema: Arc<CachedSnapshot>,
    dialect: Option<Dialect>,
}

/// A decision, and what is kept of the request with it.
struct Decided {
    decision: Decision,
    text: RequestText,
    row_bound: Option<RowBound>,
    rehearsal: Option<NewRehearsal>,
}

fn decide(
    app: &App,
    caller: &Caller,
    checked: &CheckedSubmission,
    active: &Active,
    read: &Read,
    analysis: Option<&Analysis>,
) -> Result<Decided, Error> {
    let schema = &read.schema;
    let facts = Facts {
        target: checked.target.clone(),
        asked: checked.operation,
        emergency: checked.emergency,
        allow_ddl: checked.allow_ddl,
        has_reason: checked.reason.is_some(),
        sql: analysis.map(|a| SqlFacts::new(a, schema.schema(read.dialect))),
        schema_collected_at: schema.collected_at(read.dialect).map(str::to_owned),
        requester: requester(caller),
        on_call: app.on_call_by(active, app.clock.now()).0,
    };
    // A caller who may not even make the request it turned out to be learns nothing else about it; a text that no right
    // can pass is refused first.
    let operation = decision::classify(&facts)?;
    may_create(caller, checked, Some(operation))?;
    let decision = decision::decide(&active.policies, &facts, operation)?;
    if let (Opening::Pending, Some(workflow)) = (decision.opening, &decision.workflow) {
        eligible::ensure(app, workflow, &checked.target, &caller.subject)?;
    }
    let policy = active.policies.execution(&checked.target);
    let (rows, schema) = (checked.max_affected_rows, schema.schema(read.dialect));
    let row_bound = row_bounds::of(rows, &policy, operation, analysis, schema)?;
    let rehearsal = rehearse::of_new(
        decision.workflow.as_ref(),
        decision.opening == Opening::Pending,
        checked.rehearse,
        operation,
        analysis,
    )?;
    let text = text(app, checked, &decision, &facts, analysis);
    Ok(Decided {
        decision,
        text,
        row_bound,
        rehearsal,
    })
}

fn requester(caller: &Caller) -> Requester {
    Requester {
        subject: caller.subject.clone(),
        roles: caller.rights.acting().map(|r| r.name.clone()).collect(),
        groups: caller.groups.iter().cloned().collect(),
    }
}

/// Stores the request, dispatched at once where nobody must approve. `read_in` is the dialect in which its text was read,
/// and the one that its database was known to speak.
fn write(
    app: &Arc<App>,
    caller: &Caller,
    checked: &CheckedSubmission,
    active: &Active,
    decided: Decided,
    read_in: (DialectFact, Option<Dialect>),
    unparsable: Option<UnparsableAt>,
) -> Result<Created, Error> {
    let Decided {
        decision,
        text,
        row_bound,
        rehearsal,
    } = decided;
    let ttls = Ttls::of(active, decision.workflow.as_ref());
    let pending = decision.opening == Opening::Pending;
    let (dispatch, passed) = (decision.opening.dispatch(), decision.passed);
    let kept = (read_in.0, row_bound, text);
    let mut new = new_request(caller, checked, active, &decision, kept);
    let key = checked.key.clone();
    let fingerprint = checked.fingerprint.clone();
    let (cx, by) = (Arc::clone(app), caller.clone());
    app.change_by(caller, move |view, now| {
        if let Some(key) = &key
            && let Some(created) = repeated(view, &new.requester, key, &fingerprint)?
        {
            return Ok(Verdict::Same(created));
        }
        let policies = &cx.active().policies;
        let known = dialects::of_target(policies, view, &new.target, now)?.known;
        if known != read_in.1 {
            let error = format!("the dialect of {} has just changed", new.target);
            return Err(Error::unavailable(error).retry_after(1));
        }
        new.seq = view.next_request_seq()?;
        if pending {
            cx.caches.quotas.ensure_pending(view, &by)?;
            new.expires_at = Some(now.plus_secs(ttls.pending_secs));
        } else {
            new.approval_expires_at = Some(now.plus_secs(ttls.approval_secs));
        }
        let created = created(&new, dispatch, unparsable);
        let reference = RequestRef::from(&new);
        let passed = passed.map(|passed| DdlPassed::new(&reference, &new, passed));
        let mut changes = vec![RequestChange::Created(Box::new(new))];
        let asked = rehearsal.map(RehearsalStep::Asked);
        changes.extend(asked.map(|step| rehearse::step(reference.clone(), step)));
        if let Some(step) = dispatch {
            changes.push(RequestChange::Dispatched {
                request: reference,
                step,
                deadline: now.plus_secs(ttls.dispatch_secs),
                acknowledged: None,
            });
        }
        changes.extend(passed.map(|passed| RequestChange::DdlPassed(Box::new(passed))));
        Ok(Verdict::Write(
            changes.into_iter().map(Into::into).collect(),
            created,
        ))
    })
}

/// How long a request may wait, in seconds: for its approval, for being run after that, and for an agent.
struct Ttls {
    pending_secs: u64,
    approval_secs: u64,
    dispatch_secs: u64,
}

impl Ttls {
    fn of(active: &Active, workflow: Option<&Workflow>) -> Ttls {
        let policies = &active.policies;
        let or_usual = |secs: Option<u64>| secs.unwrap_or(policies.approval_ttl_secs);
        Ttls {
            pending_secs: or_usual(workflow.and_then(|w| w.pending_ttl_secs)),
            approval_secs: or_usual(workflow.and_then(|w| w.approval_ttl_secs)),
            dispatch_secs: policies.dispatch_timeout_secs,
        }
    }
}

/// The request, but for its row and its times.
fn new_request(
    caller: &Caller,
    checked: &CheckedSubmission,
    active: &Active,
    decision: &Decision,
    (dialect, row_bound, text): (DialectFact, Option<RowBound>, RequestText),
) -> NewRequest {
    let steps = decision.workflow.as_ref().map_or(&[][..], |w| &w.steps[..]);
    let approvers = steps
        .first()
        .filter(|_| decision.opening == Opening::Pending)
        .map(|s| s.approvers.iter().map(|a| a.selector.clone()).collect())
        .unwrap_or_default();
    NewRequest {
        seq: 0,
        id: uuid(),
        requester: caller.subject.clone(),
        token_id: caller.token_id.clone(),
        target: checked.target.clone(),
        operation: decision.operation,
        dialect,
        step: decision.opening.step(),
        emergency: checked.emergency,
        allow_ddl: checked.allow_ddl,
        no_result_store: checked.no_result_store,
        reason: checked.reason.clone(),
        total_steps: u32::try_from(steps.len()).unwrap_or(u32::MAX),
        approvers,
        risk_level: decision.risk,
        policy_version: active.version.clone(),
        expires_at: None,
        approval_expires_at: None,
        row_bound,
        text,
        salt: random(),
    }
}

/// What the client gets of a new request, which may be dispatched already.
fn created(
    new: &NewRequest,
    dispatch: Option<Transition>,
    unparsable: Option<UnparsableAt>,
) -> Created {
    let status = dispatch.map_or(new.step.to(), |step| step.to());
    let workflow = new.text.workflow.as_ref();
    let next = next_in(status, &new.requester, None, workflow, &[]);
    let needs = JobNeeds {
        status,
        target: new.target.clone(),
        operation: new.operation,
        dialect: new.dialect,
        needs_row_bound: row_bound::is_needed(new.operation, new.row_bound),
    };
    Created {
        id: new.id.clone(),
        status,
        operation: new.operation,
        expires_at: new.expires_at,
        approvers: new.approvers.iter().map(ToString::to_string).collect(),
        repeated: false,
        unparsable,
        left: Left::new(needs, next),
    }
}

/// The request made under this key, if there is one and it was the same submission.
fn repeated(
    view: &View,
    requester: &str,
    key: &str,
    fingerprint: &str,
) -> Result<Option<Created>, Error> {
    let Some((used_for, request)) = view.find_idempotent(requester, key)? else {
        return Ok(None);
    };
    if used_for != fingerprint {
        return Err(Error::conflict(
            "idempotency_key_reused",
            format!(
                "idempotency_key `{}` was used for another request",
                Shown(key)
            ),
        )
        .hint("use a new key for a new request"));
    }
    let text = view.request_text(&request)?;
    let workflow = view.request_workflow(&request)?;
    let asked = workflow.filter(|_| request.status() == Status::Pending);
    let sql = Facts::from_text(&text.facts_json).and_then(|facts| facts.sql);
    Ok(Some(Created {
        left: Left::stored(view, &request)?,
        approvers: asked.map_or_else(Vec::new, |w| w.approvers_of(request.current_step)),
        unparsable: UnparsableAt::of(sql.as_ref().map(|sql| &sql.class)),
        id: request.id.clone(),
        status: request.status(),
        operation: request.operation,
        expires_at: request.expires_at,
        repeated: true,
    }))
}

/// Rights: without an `operation`, for the cheapest thing the caller could mean.
fn may_create(
    caller: &Caller,
    checked: &CheckedSubmission,
    operation: Option<Operation>,
) -> Result<(), Error> {
    let target = &checked.target;
    if checked.emergency {
        caller.require_on(Permission::RequestBreakGlass, target)?;
        if checked.allow_ddl {
            caller.require_on(Permission::RequestBreakGlassDdl, target)?;
        }
        return Ok(());
    }
    if caller.may_on(Permission::RequestCreate, target) {
        return Ok(());
    }
    let cheapest = operation.unwrap_or(if checked.operation.is_execute() {
        Operation::ExecuteSelect
    } else {
        checked.operation
    });
    match cheapest {
        Operation::ExecuteSelect => caller.require_on(Permission::RequestCreateSelect, target),
        _ => caller.require_on(Permission::RequestCreate, target),
    }
}

fn text(
    app: &App,
    checked: &CheckedSubmission,
    decision: &Decision,
    facts: &Facts,
    analysis: Option<&Analysis>,
) -> RequestText {
    let redacted = match (app.settings.redaction, analysis) {
        (Redaction::None, _) => Some(checked.detail.clone()),
        (Redaction::Literals, Some(a)) => Some(a.redacted.literals.clone()),
        (Redaction::Literals, None) | (Redaction::Full, _) => None,
    };
    let fingerprint = analysis.map_or_else(
        || sha256_hex(checked.detail.as_bytes()),
        |a| a.fingerprint.clone(),
    );
    let plan = analysis
        .filter(|a| !matches!(a.class, Class::Unparsable { .. }))
        .and_then(|a| a.plan.as_ref());
    RequestText {
        detail: checked.detail.clone(),
        plan_json: plan.map(|p| Value::from(p.clone()).to_string()),
        workflow: decision.workflow.clone(),
        facts_json: facts.to_text(),
        trace_json: decision.trace.clone(),
        context_json: (!checked.no_result_store).then(|| decision.context.clone()),
        dry_runs: dry_runs(checked, decision, analysis),
        metadata_json: checked.metadata.clone(),
        share_with: checked.share_with.clone(),
        idempotency_key: checked.key.clone(),
        idempotency_fingerprint: checked.key.as_ref().map(|_| checked.fingerprint.clone()),
        fingerprint,
        redacted,
    }
}

/// Statements to be explained for those who have to approve: nobody looks at what runs at once.
fn dry_runs(
    checked: &CheckedSubmission,
    decision: &Decision,
    analysis: Option<&Analysis>,
) -> Vec<String> {
    let explains = decision.workflow.as_ref().is_some_and(|w| w.explain);
    if !explains || checked.no_result_store || decision.opening != Opening::Pending {
        return Vec::new();
    }
    analysis.map(explain::statements).unwrap_or_default()
}
