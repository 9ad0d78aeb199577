//! What would happen: which policies apply to a target, and what they would decide, for each operation or for a
//! statement. Nothing is stored.

use super::dialects::{analyze, known_dialect};
use super::eligible;
use super::statements_tried::count;
use super::{Active, App};
use crate::domain::actor::Caller;
use crate::domain::decision::{self, Assessment, Decision};
use crate::domain::facts::{Facts, Requester, SqlFacts};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::Permission;
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::notification::NotificationPolicy;
use crate::domain::policy::result::ResultPolicy;
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Opening;
use crate::domain::sql::Analysis;
use crate::error::{Error, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What would be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preview {
    Deny,
    AutoApproved,
    /// Somebody has to approve.
    NeedsApproval,
}

impl Preview {
    pub fn as_str(self) -> &'static str {
        match self {
            Preview::Deny => "deny",
            Preview::AutoApproved => "auto_approved",
            Preview::NeedsApproval => "needs_approval",
        }
    }
}

/// What applies to one operation.
pub struct Resolved {
    pub operation: Operation,
    /// The workflow that takes it.
    pub workflow: Option<Workflow>,
    /// What would be decided.
    pub preview: Preview,
    /// Why, as a code.
    pub reason: &'static str,
}

/// What a statement would come to.
pub struct Predicted {
    /// What was made out of the text; none where it could not even be looked at.
    pub analysis: Option<Arc<Analysis>>,
    /// What is known of it, whatever is decided; none where it could not be looked at, and for a caller who may not
    /// make the request that it would be.
    pub assessment: Option<Assessment>,
    /// The decision, or the refusal.
    pub decision: Result<Decision, Error>,
    /// Whether reads of its tables would run without anybody's approval.
    pub reads_run_at_once: bool,
}

/// A webhook that is notified of events on a target.
pub struct WebhookFiring {
    pub webhook: String,
    /// Of what; `*` alone for everything.
    pub events: Vec<String>,
    /// Whether a policy says so, or the webhook itself.
    pub by_policy: bool,
}

/// Everything that applies to a target.
pub struct Resolution {
    pub target: Target,
    /// Whether it is registered; if not, nothing else is shown.
    pub registered: bool,
    /// One entry for each operation asked for.
    pub operations: Vec<Resolved>,
    pub auto_approve: Option<AutoApprove>,
    pub execution: ExecutionPolicy,
    /// Whether an entry of the configuration decides that, and not the default.
    pub execution_is_explicit: bool,
    pub review: ReviewPolicy,
    pub result: ResultPolicy,
    /// The notification policy, if there is one for the target.
    pub notification: Option<NotificationPolicy>,
    /// The webhooks that fire there: by policy or not.
    pub firing: Vec<WebhookFiring>,
    /// Who is on call now, in the groups that approve or are notified there.
    pub on_call: BTreeMap<String, BTreeSet<String>>,
    /// The policies these are from.
    pub policy_version: String,
    /// What the statement would come to, where one was given.
    pub predicted: Option<Predicted>,
}

/// Resolves the policies of a target, for one operation or all six, and predicts the decision for `sql`.
///
/// # Errors
/// 400 `validation_error`; 403 `forbidden` without `request.view` on the target; 429 `rate_limited` for more statements
/// a minute than one person may try; 503 when no thread is free to read the statement.
pub fn resolve(
    app: &App,
    caller: &Caller,
    target: Target,
    operation: Option<Operation>,
    sql: Option<&str>,
) -> Result<Resolution, Error> {
    caller.require_on(Permission::RequestView, &target)?;
    let active = app.active();
    let policies = &active.policies;
    let registered = policies.database(&target).is_some();
    let wanted: Vec<Operation> = match operation {
        Some(operation) => vec![operation],
        None => Operation::ALL.to_vec(),
    };
    let auto = policies.auto_approve(&target).cloned();
    let resolved = |operation: Operation| {
        let workflow = policies.workflow(&target, operation).cloned();
        let reads = auto
            .as_ref()
            .is_some_and(|a| operation == Operation::ExecuteSelect && a.lets_reads_through());
        let (preview, reason) = match &workflow {
            None => (Preview::Deny, "no_matching_workflow"),
            Some(w) if w.steps.is_empty() => (Preview::AutoApproved, "empty_steps"),
            Some(_) if reads => (Preview::AutoApproved, "read_only_low_risk"),
            Some(_) => (Preview::NeedsApproval, "risk_unknown_until_analyzed"),
        };
        Resolved {
            operation,
            workflow,
            preview,
            reason,
        }
    };
    let predicted = match sql.filter(|_| registered) {
        Some(sql) => Some(counted(app, caller, &target, sql)?),
        None => None,
    };
    let operations: Vec<Resolved> = wanted.into_iter().map(resolved).collect();
    let notification = policies.notification(&target).cloned();
    let workflows = operations.iter().filter_map(|o| o.workflow.as_ref());
    let approvers = workflows.flat_map(|w| &w.steps).flat_map(|s| &s.approvers);
    let escalated = notification.iter().flat_map(|n| &n.escalate_to);
    let named: Vec<&Selector> = approvers.map(|a| &a.selector).chain(escalated).collect();
    let mut on_call = app.on_call_by(&active, app.clock.now()).0;
    on_call.retain(|group, _| named.contains(&&Selector::Group(group.clone())));
    Ok(Resolution {
        registered,
        operations,
        on_call,
        auto_approve: auto.clone(),
        execution_is_explicit: policies.has_execution(&target),
        execution: policies.execution(&target),
        review: policies.review(&target),
        result: policies.result(&target),
        notification,
        firing: firing(&active, &target),
        policy_version: active.version.clone(),
        predicted,
        target,
    })
}

fn firing(active: &Active, target: &Target) -> Vec<WebhookFiring> {
    let routes = active.routes();
    let firing = routes.firing(target).map(|f| WebhookFiring {
        webhook: f.webhook.to_owned(),
        events: f.events.names().into_iter().map(str::to_owned).collect(),
        by_policy: f.by_policy,
    });
    firing.collect()
}

/// What would become of `sql`, of which one person may ask so often in a minute, by whichever call.
///
/// # Errors
/// 429 `rate_limited`; 503 when no thread is free to read the statement.
pub(super) fn counted(
    app: &App,
    caller: &Caller,
    target: &Target,
    sql: &str,
) -> Result<Predicted, Error> {
    count(app, caller)?;
    predict(app, caller, target, sql)
}

pub(super) fn predict(
    app: &App,
    caller: &Caller,
    target: &Target,
    sql: &str,
) -> Result<Predicted, Error> {
    let active = app.active();
    let schema = app.schema(target)?;
    let dialect = known_dialect(app, &active, target)?;
    let analysis = match analyze(app, sql, dialect) {
        Ok(analysis) => analysis,
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
        Err(error) => {
            return Ok(Predicted {
                analysis: None,
                assessment: None,
                decision: Err(error),
                reads_run_at_once: false,
            });
        }
    };
    let facts = Facts {
        target: target.clone(),
        asked: Operation::ExecuteSelect,
        emergency: false,
        allow_ddl: false,
        // Whether a reason is needed stands in the workflow; here it is taken as given.
        has_reason: true,
        sql: Some(SqlFacts::new(&analysis, schema.schema(dialect))),
        schema_collected_at: schema.collected_at(dialect).map(str::to_owned),
        requester: Requester::default(),
        on_call: app.on_call_by(&active, app.clock.now()).0,
    };
    let mut is_allowed = true;
    let decision = decision::classify(&facts).and_then(|operation| {
        let needed = match operation {
            Operation::ExecuteSelect => Permission::RequestCreateSelect,
            _ => Permission::RequestCreate,
        };
        if !caller.may_on(Permission::RequestCreate, target) {
            caller
                .require_on(needed, target)
                .inspect_err(|_| is_allowed = false)?;
        }
        let decision = decision::decide(&active.policies, &facts, operation)?;
        if let (Opening::Pending, Some(workflow)) = (decision.opening, &decision.workflow) {
            eligible::ensure(app, workflow, target, &caller.subject)?;
        }
        Ok(decision)
    });
    Ok(Predicted {
        analysis: Some(analysis),
        assessment: is_allowed.then(|| decision::assess(&active.policies, &facts)),
        decision,
        reads_run_at_once: decision::reads_run_at_once(&active.policies, &facts),
    })
}
