//! Makes a request: checks it, reads its SQL, decides, and stores it, dispatched at once where nobody must approve.
//!
//! The order of checks is the contract's (section 1): rights for the cheapest thing the caller could mean come before
//! idempotency and analysis, so that somebody without rights on a database learns nothing about its rules.

use super::awaited::{JobNeeds, Left, next_in};
use super::dry_run::STATEMENTS_MAX;
use super::eligible;
use super::schemas::CachedSnapshot;
use super::{Active, App, dialects, migrations, note, rehearse, row_bounds};
use crate::clock::Timestamp;
use crate::crypto::{hex, random, sha256_fields, sha256_hex, uuid};
use crate::domain::actor::Caller;
use crate::domain::audit::Redaction;
use crate::domain::change::{
    DdlPassed, NewRehearsal, NewRequest, Refused, RehearsalStep, RequestChange, RequestRef,
    RequestText,
};
use crate::domain::decision::{self, Decision};
use crate::domain::dialect::Dialect;
use crate::domain::facts::{Facts, Requester, SqlFacts};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::Permission;
use crate::domain::request::{Opening, Status};
use crate::domain::row_bound::{self, RowBound};
use crate::domain::sql::{Analysis, Class, DialectFact, TEXT_BYTES_MAX};
use crate::error::{Error, ErrorKind, Shown};
use crate::store::{Verdict, View};
use serde_json::Value;
use std::sync::Arc;

/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Longest metadata of a client, in bytes.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Selectors in `share_with`, at most.
pub const SHARES_MAX: usize = 50;

/// A request as a client sends it.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// What the client calls it; the SQL decides.
    pub operation: String,
    /// The SQL, or the JSON of a migration.
    pub detail: String,
    pub reason: Option<String>,
    /// Makes repeating it harmless.
    pub idempotency_key: Option<String>,
    /// The client's own facts, as JSON text.
    pub metadata: Option<String>,
    /// Skips approvals, for those who may.
    pub emergency: bool,
    /// Lets some DDL through in an emergency.
    pub allow_ddl: bool,
    /// The result is not kept.
    pub no_result_store: bool,
    /// Who else may see the result.
    pub share_with: Vec<String>,
    /// Rows it may change at most.
    pub max_affected_rows: Option<u64>,
    /// Whether an agent is to rehearse it for its approvers.
    pub rehearse: bool,
}

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

/// A submission whose every field was checked.
#[derive(Clone)]
struct Checked {
    target: Target,
    operation: Operation,
    detail: String,
    reason: Option<String>,
    key: Option<String>,
    fingerprint: String,
    metadata: Option<String>,
    emergency: bool,
    allow_ddl: bool,
    no_result_store: bool,
    share_with: Vec<Selector>,
    max_affected_rows: Option<u64>,
    rehearse: bool,
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

fn create_checked(app: &Arc<App>, caller: &Caller, checked: &Checked) -> Result<Created, Error> {
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
    let (decision, new, bound, rehearsal) =
        decide(app, caller, checked, &active, &read, analysis.as_deref())
            .map_err(|e| refuse(e, fingerprint))?;
    // What carries no SQL has the dialect of the database.
    let fact = match (&analysis, read.dialect) {
        (Some(analysis), _) => analysis.dialect_fact,
        (None, Some(dialect)) => DialectFact::Known(dialect),
        (None, None) => DialectFact::Any,
    };
    let unparsable = UnparsableAt::of(analysis.as_ref().map(|a| &a.class));
    write(
        app,
        caller,
        checked,
        &active,
        &decision,
        (new, fact, read.dialect, unparsable, bound, rehearsal),
    )
}

/// What was known of the target when the text was read.
struct Read {
    schema: Arc<CachedSnapshot>,
    dialect: Option<Dialect>,
}

/// Decides; returns the texts of the request too.
fn decide(
    app: &App,
    caller: &Caller,
    checked: &Checked,
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
    let bound = row_bounds::of(checked.max_affected_rows, &policy, operation, analysis)?;
    let rehearsal = rehearse::of_new(
        decision.workflow.as_ref(),
        decision.opening == Opening::Pending,
        checked.rehearse,
        operation,
        analysis,
    )?;
    let text = text(app, checked, &decision, &facts, analysis);
    Ok((decision, text, bound, rehearsal))
}

type Decided = (
    Decision,
    RequestText,
    Option<RowBound>,
    Option<NewRehearsal>,
);

fn requester(caller: &Caller) -> Requester {
    Requester {
        subject: caller.subject.clone(),
        roles: caller.rights.acting().map(|r| r.name.clone()).collect(),
        groups: caller.groups.iter().cloned().collect(),
    }
}

fn write(
    app: &Arc<App>,
    caller: &Caller,
    checked: &Checked,
    active: &Active,
    decision: &Decision,
    (text, dialect, read_in, unparsable, row_bound, rehearsal): (
        RequestText,
        DialectFact,
        Option<Dialect>,
        Option<UnparsableAt>,
        Option<RowBound>,
        Option<NewRehearsal>,
    ),
) -> Result<Created, Error> {
    let policies = &active.policies;
    let workflow = decision.workflow.as_ref();
    let pending_secs = workflow
        .and_then(|w| w.pending_ttl_secs)
        .unwrap_or(policies.approval_ttl_secs);
    let approval_secs = workflow
        .and_then(|w| w.approval_ttl_secs)
        .unwrap_or(policies.approval_ttl_secs);
    let dispatch_secs = policies.dispatch_timeout_secs;
    let pending = decision.opening == Opening::Pending;
    let steps = workflow.map_or(&[][..], |w| &w.steps[..]);
    let approvers: Vec<Selector> = steps
        .first()
        .filter(|_| pending)
        .map(|s| s.approvers.iter().map(|a| a.selector.clone()).collect())
        .unwrap_or_default();
    let mut new = NewRequest {
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
        risk_level: decision.risk.as_str().to_owned(),
        policy_version: active.version.clone(),
        expires_at: None,
        approval_expires_at: None,
        row_bound,
        text,
        salt: random(),
    };
    let dispatch = decision.opening.dispatch();
    let passed = decision.passed;
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
        if known != read_in {
            let error = format!("the dialect of {} has just changed", new.target);
            return Err(Error::unavailable(error).retry_after(1));
        }
        new.seq = view.next_request_seq()?;
        if pending {
            cx.caches.quotas.ensure_pending(view, &by)?;
            new.expires_at = Some(now.plus_secs(pending_secs));
        } else {
            new.approval_expires_at = Some(now.plus_secs(approval_secs));
        }
        let reference = RequestRef {
            seq: new.seq,
            id: new.id.clone(),
            requester: new.requester.clone(),
            target: new.target.clone(),
            operation: new.operation,
            status: new.step.to(),
        };
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
        let created = Created {
            id: new.id.clone(),
            status,
            operation: new.operation,
            expires_at: new.expires_at,
            approvers: new.approvers.iter().map(ToString::to_string).collect(),
            repeated: false,
            unparsable: unparsable.clone(),
            left: Left::new(needs, next),
        };
        let passed = passed.map(|passed| DdlPassed::new(&reference, &new, passed));
        let mut changes = vec![RequestChange::Created(Box::new(new))];
        let asked = rehearsal.map(RehearsalStep::Asked);
        changes.extend(asked.map(|step| rehearse::step(reference.clone(), step)));
        if let Some(step) = dispatch {
            changes.push(RequestChange::Dispatched {
                request: reference,
                step,
                deadline: now.plus_secs(dispatch_secs),
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
    let sql = Facts::from_text(&text.facts_json).and_then(|facts| facts.sql);
    Ok(Some(Created {
        left: Left::stored(view, &request)?,
        approvers: view.next_approvers(&request)?,
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
    checked: &Checked,
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
    checked: &Checked,
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
fn dry_runs(checked: &Checked, decision: &Decision, analysis: Option<&Analysis>) -> Vec<String> {
    let explains = decision.workflow.as_ref().is_some_and(|w| w.explain);
    if !explains || checked.no_result_store || decision.opening != Opening::Pending {
        return Vec::new();
    }
    analysis.map(explained_statements).unwrap_or_default()
}

/// The statements of a text that are explained; none of one that cannot be read.
pub(super) fn explained_statements(analysis: &Analysis) -> Vec<String> {
    let plan = analysis.plan.iter().flatten();
    plan.take(STATEMENTS_MAX).cloned().collect()
}

/// Checks every field on its own, before anything is looked up.
fn check(s: Submission) -> Result<Checked, Error> {
    let target = Target::new(&s.database, &s.environment)?;
    let operation = Operation::parse_input(&s.operation).ok_or_else(|| {
        Error::invalid(format!("unknown operation `{}`", Shown(&s.operation))).hint(
            "one of execute_select, execute_dml, migrate_up, migrate_down, migrate_status, migrate_repair",
        )
    })?;
    if s.detail.len() > TEXT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "detail is {} bytes long, at most {TEXT_BYTES_MAX} are allowed",
            s.detail.len()
        )));
    }
    if s.detail.contains('\0') {
        return Err(Error::invalid("detail contains a NUL character"));
    }
    if s.detail.trim().is_empty() && operation != Operation::MigrateStatus {
        return Err(Error::invalid("detail is empty"));
    }
    if operation.is_migration_change() && serde_json::from_str::<Value>(&s.detail).is_err() {
        return Err(Error::invalid("detail of a migration is not JSON"));
    }
    if s.allow_ddl && !s.emergency {
        return Err(Error::invalid("allow_ddl needs emergency"));
    }
    if operation == Operation::MigrateRepair && !s.emergency {
        return Err(Error::invalid("migrate_repair needs emergency"));
    }
    let key = key(s.idempotency_key)?;
    let metadata = metadata(s.metadata)?;
    let share_with = shares(&s.share_with)?;
    let mut checked = Checked {
        target,
        operation,
        detail: s.detail,
        reason: note("reason", s.reason)?,
        key,
        fingerprint: String::new(),
        metadata,
        emergency: s.emergency,
        allow_ddl: s.allow_ddl,
        no_result_store: s.no_result_store,
        share_with,
        max_affected_rows: row_bounds::asked(s.max_affected_rows)?,
        rehearse: s.rehearse,
    };
    checked.fingerprint = fingerprint(&checked);
    Ok(checked)
}

fn key(key: Option<String>) -> Result<Option<String>, Error> {
    match key {
        Some(k) if k.is_empty() || k.len() > KEY_BYTES_MAX || k.chars().any(char::is_control) => {
            Err(Error::invalid(format!(
                "idempotency_key must have 1 to {KEY_BYTES_MAX} bytes and no control characters"
            )))
        }
        other => Ok(other),
    }
}

fn metadata(metadata: Option<String>) -> Result<Option<String>, Error> {
    match metadata {
        Some(m) if m.len() > METADATA_BYTES_MAX => Err(Error::invalid(format!(
            "metadata is {} bytes long, at most {METADATA_BYTES_MAX} are allowed",
            m.len()
        ))),
        other => Ok(other),
    }
}

fn shares(texts: &[String]) -> Result<Vec<Selector>, Error> {
    if texts.len() > SHARES_MAX {
        return Err(Error::invalid(format!(
            "share_with has {} entries, at most {SHARES_MAX} are allowed",
            texts.len()
        )));
    }
    texts
        .iter()
        .map(|t| {
            Selector::parse(t).ok_or_else(|| {
                Error::invalid(format!("share_with entry `{}` is not a selector", Shown(t)))
                    .hint("write requester, role:<name>, group:<name> or user:<id>")
            })
        })
        .collect()
}

/// What an idempotency key stands for: every field that makes the request what it is.
fn fingerprint(c: &Checked) -> String {
    let flags = [
        u8::from(c.emergency),
        u8::from(c.allow_ddl),
        u8::from(c.no_result_store),
        u8::from(c.reason.is_some()),
        u8::from(c.metadata.is_some()),
    ];
    let shares: Vec<String> = c.share_with.iter().map(ToString::to_string).collect();
    let shares = Value::from(shares).to_string();
    let bound = c.max_affected_rows.map(|rows| rows.to_string());
    let mut fields = vec![
        c.target.database().as_bytes(),
        c.target.environment().as_bytes(),
        c.operation.as_str().as_bytes(),
        c.detail.as_bytes(),
        c.reason.as_deref().unwrap_or_default().as_bytes(),
        &flags,
        shares.as_bytes(),
        c.metadata.as_deref().unwrap_or_default().as_bytes(),
    ];
    fields.extend(bound.as_ref().map(String::as_bytes));
    fields.extend(c.rehearse.then_some(&b"rehearse"[..]));
    hex(&sha256_fields(fields))
}
