//! Policies as text and back: JSON with a fixed order of members and entries, every value spelled out. It is kept by
//! its SHA-256, so that any past decision can be computed again from what decided it. A request keeps its workflow in
//! the same spelling.
//!
//! These types are the text; the policies themselves know nothing of it.

use super::auto_approve::AutoApprove;
use super::execution::ExecutionPolicy;
use super::notification::{EventFilter, NotificationPolicy};
use super::result::{DeliveryMode, RESULT_TTL_DAYS, ResultPolicy};
use super::review::ReviewPolicy;
use super::workflow::{ApproverEntry, Mode, Workflow, WorkflowStep};
use super::{Binding, Database, Dialect, Policies, RoleMapping, Scope};
use crate::domain::id::{Operation, Selector};
use crate::domain::permission::{Permission, Role};
use crate::domain::risk::{Allowance, RiskLevel};
use crate::domain::sql::{Action, Rule};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the spelling.
const VERSION: u32 = 1;

/// A type whose text is a struct, with the way there and back.
macro_rules! text {
    ($(#[$doc:meta])* struct $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name { $($(#[$of])* $field: $kind,)* }
    };
}

text! {
    struct PoliciesText {
        version: u32,
        databases: Vec<DatabaseText>,
        workflows: Vec<WorkflowText>,
        execution_policies: Vec<ExecutionText>,
        sql_review: Vec<ReviewText>,
        auto_approve: Vec<AutoApproveText>,
        result_policies: Vec<ResultText>,
        // Younger than the first texts: where there is none, the text stays the one it was.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notification_policies: Vec<NotificationText>,
        roles: Vec<RoleText>,
        groups: BTreeMap<String, BTreeSet<String>>,
        role_bindings: Vec<BindingText>,
        default_role: Option<String>,
        role_mappings: Vec<MappingText>,
        oidc_default_role: Option<String>,
        approval_ttl_secs: u64,
        dispatch_timeout_secs: u64,
        // Younger too.
        #[serde(default = "usual_days", skip_serializing_if = "are_usual_days")]
        result_ttl_days: u32,
    }
}

fn usual_days() -> u32 {
    RESULT_TTL_DAYS
}

fn are_usual_days(days: &u32) -> bool {
    *days == RESULT_TTL_DAYS
}

text! {
    struct DatabaseText {
        name: String,
        environments: Vec<String>,
        dialect: Option<String>,
    }
}

text! {
    struct WorkflowText {
        database: String,
        environment: String,
        operations: Vec<String>,
        steps: Vec<StepText>,
        require_reason: bool,
        allow_self_approve: bool,
        allow_same_approver_across_steps: bool,
        admin_override: bool,
        distinct_token_issuer: bool,
        explain: bool,
        pending_ttl_secs: Option<u64>,
        approval_ttl_secs: Option<u64>,
        statement_timeout_secs: Option<u64>,
    }
}

text! {
    struct StepText {
        mode: String,
        approvers: Vec<ApproverText>,
    }
}

text! {
    struct ApproverText {
        selector: String,
        min: u32,
    }
}

text! {
    struct ExecutionText {
        database: String,
        environment: String,
        max_executions: u32,
        execution_window_secs: u64,
        retry_on_failure: bool,
        statement_timeout_secs: u64,
        max_statement_timeout_secs: u64,
        max_rows: Option<u64>,
        migration_lease_duration_secs: Option<u64>,
        migration_statement_timeout_secs: Option<u64>,
    }
}

text! {
    struct ReviewText {
        database: String,
        environment: String,
        rules: BTreeMap<String, String>,
    }
}

text! {
    struct AutoApproveText {
        database: String,
        environment: String,
        risk: Option<String>,
        allow_read_only: bool,
        allow_safe_ddl: bool,
        max_estimated_rows: i64,
    }
}

text! {
    struct ResultText {
        database: String,
        environment: String,
        retention_days: u32,
        delivery_mode: String,
        access: Vec<String>,
    }
}

text! {
    struct NotificationText {
        database: String,
        environment: String,
        webhooks: BTreeSet<String>,
        events: Vec<String>,
    }
}

text! {
    struct RoleText {
        name: String,
        permissions: Vec<String>,
        databases: Vec<String>,
        environments: Vec<String>,
        built_in: bool,
    }
}

text! {
    struct BindingText {
        role: String,
        subjects: BTreeSet<String>,
        groups: BTreeSet<String>,
    }
}

text! {
    struct MappingText {
        claim: String,
        value: String,
        role: String,
    }
}

impl Policies {
    /// The text of these policies. Entries of equal standing are sorted, so that their order in the file does not
    /// matter; secrets, storage and the like are no part of it.
    pub fn canonical(&self) -> String {
        let text = PoliciesText {
            version: VERSION,
            databases: sorted(&self.databases, DatabaseText::new),
            workflows: sorted(&self.workflows, WorkflowText::new),
            execution_policies: sorted(&self.execution, ExecutionText::new),
            sql_review: sorted(&self.review, ReviewText::new),
            auto_approve: sorted(&self.auto_approve, AutoApproveText::new),
            result_policies: sorted(&self.result, ResultText::new),
            notification_policies: sorted(&self.notification, NotificationText::new),
            roles: self.roles.values().map(RoleText::new).collect(),
            groups: self.groups.clone(),
            role_bindings: sorted(&self.bindings, BindingText::new),
            default_role: self.default_role.clone(),
            role_mappings: sorted(&self.role_mappings, MappingText::new),
            oidc_default_role: self.oidc_default_role.clone(),
            approval_ttl_secs: self.approval_ttl_secs,
            dispatch_timeout_secs: self.dispatch_timeout_secs,
            result_ttl_days: self.result_ttl_days,
        };
        spelled(&text)
    }

    /// The policies of such a text; `None` for any other.
    pub fn from_canonical(text: &str) -> Option<Policies> {
        let text: PoliciesText = serde_json::from_str(text).ok()?;
        if text.version != VERSION {
            return None;
        }
        let roles: Option<BTreeMap<String, Role>> = text
            .roles
            .into_iter()
            .map(|r| Some((r.name.clone(), r.read()?)))
            .collect();
        Some(Policies {
            databases: all(text.databases, DatabaseText::read)?,
            workflows: all(text.workflows, WorkflowText::read)?,
            execution: all(text.execution_policies, |t| Some(t.read()))?,
            review: all(text.sql_review, ReviewText::read)?,
            auto_approve: all(text.auto_approve, AutoApproveText::read)?,
            result: all(text.result_policies, ResultText::read)?,
            notification: all(text.notification_policies, |t| Some(t.read()))?,
            roles: roles?,
            groups: text.groups,
            bindings: all(text.role_bindings, |t| Some(t.read()))?,
            default_role: text.default_role,
            role_mappings: all(text.role_mappings, |t| Some(t.read()))?,
            oidc_default_role: text.oidc_default_role,
            approval_ttl_secs: text.approval_ttl_secs,
            dispatch_timeout_secs: text.dispatch_timeout_secs,
            result_ttl_days: text.result_ttl_days,
        })
    }
}

impl Workflow {
    /// The text of this workflow.
    pub fn to_text(&self) -> String {
        spelled(&WorkflowText::new(self))
    }

    /// The workflow of such a text; `None` for any other.
    pub fn from_text(text: &str) -> Option<Workflow> {
        serde_json::from_str::<WorkflowText>(text).ok()?.read()
    }
}

/// Strings, numbers, booleans and maps of strings always have a spelling; should one not, the empty text is one that
/// the schema and [`Policies::from_canonical`] refuse.
fn spelled(text: &impl Serialize) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn sorted<T, U: Serialize>(items: &[T], text: fn(&T) -> U) -> Vec<U> {
    let mut texts: Vec<(String, U)> = items
        .iter()
        .map(|item| {
            let text = text(item);
            (spelled(&text), text)
        })
        .collect();
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    texts.into_iter().map(|(_, text)| text).collect()
}

fn all<T, U>(texts: Vec<T>, read: fn(T) -> Option<U>) -> Option<Vec<U>> {
    texts.into_iter().map(read).collect()
}

fn scope(database: String, environment: String) -> Scope {
    Scope {
        database,
        environment,
    }
}

impl DatabaseText {
    fn new(d: &Database) -> DatabaseText {
        DatabaseText {
            name: d.name.clone(),
            environments: d.environments.clone(),
            dialect: d.dialect.map(|d| d.as_str().to_owned()),
        }
    }

    fn read(self) -> Option<Database> {
        let dialect = match self.dialect {
            Some(name) => Some(Dialect::parse(&name)?),
            None => None,
        };
        Some(Database {
            name: self.name,
            environments: self.environments,
            dialect,
        })
    }
}

impl WorkflowText {
    fn new(w: &Workflow) -> WorkflowText {
        WorkflowText {
            database: w.scope.database.clone(),
            environment: w.scope.environment.clone(),
            operations: w.operations.iter().map(|o| o.as_str().to_owned()).collect(),
            steps: w.steps.iter().map(StepText::new).collect(),
            require_reason: w.require_reason,
            allow_self_approve: w.allow_self_approve,
            allow_same_approver_across_steps: w.allow_same_approver_across_steps,
            admin_override: w.admin_override,
            distinct_token_issuer: w.distinct_token_issuer,
            explain: w.explain,
            pending_ttl_secs: w.pending_ttl_secs,
            approval_ttl_secs: w.approval_ttl_secs,
            statement_timeout_secs: w.statement_timeout_secs,
        }
    }

    fn read(self) -> Option<Workflow> {
        let operations: Option<BTreeSet<Operation>> = self
            .operations
            .iter()
            .map(|o| Operation::parse(o))
            .collect();
        Some(Workflow {
            scope: scope(self.database, self.environment),
            operations: operations?,
            steps: all(self.steps, StepText::read)?,
            require_reason: self.require_reason,
            allow_self_approve: self.allow_self_approve,
            allow_same_approver_across_steps: self.allow_same_approver_across_steps,
            admin_override: self.admin_override,
            distinct_token_issuer: self.distinct_token_issuer,
            explain: self.explain,
            pending_ttl_secs: self.pending_ttl_secs,
            approval_ttl_secs: self.approval_ttl_secs,
            statement_timeout_secs: self.statement_timeout_secs,
        })
    }
}

impl StepText {
    fn new(s: &WorkflowStep) -> StepText {
        StepText {
            mode: s.mode.as_str().to_owned(),
            approvers: s
                .approvers
                .iter()
                .map(|a| ApproverText {
                    selector: a.selector.to_string(),
                    min: a.min,
                })
                .collect(),
        }
    }

    fn read(self) -> Option<WorkflowStep> {
        Some(WorkflowStep {
            mode: Mode::parse(&self.mode)?,
            approvers: all(self.approvers, |a| {
                Some(ApproverEntry {
                    selector: Selector::parse(&a.selector)?,
                    min: a.min,
                })
            })?,
        })
    }
}

impl ExecutionText {
    fn new(p: &ExecutionPolicy) -> ExecutionText {
        ExecutionText {
            database: p.scope.database.clone(),
            environment: p.scope.environment.clone(),
            max_executions: p.max_executions,
            execution_window_secs: p.execution_window_secs,
            retry_on_failure: p.retry_on_failure,
            statement_timeout_secs: p.statement_timeout_secs,
            max_statement_timeout_secs: p.max_statement_timeout_secs,
            max_rows: p.max_rows,
            migration_lease_duration_secs: p.migration_lease_duration_secs,
            migration_statement_timeout_secs: p.migration_statement_timeout_secs,
        }
    }

    fn read(self) -> ExecutionPolicy {
        ExecutionPolicy {
            scope: scope(self.database, self.environment),
            explicit: true,
            max_executions: self.max_executions,
            execution_window_secs: self.execution_window_secs,
            retry_on_failure: self.retry_on_failure,
            statement_timeout_secs: self.statement_timeout_secs,
            max_statement_timeout_secs: self.max_statement_timeout_secs,
            max_rows: self.max_rows,
            migration_lease_duration_secs: self.migration_lease_duration_secs,
            migration_statement_timeout_secs: self.migration_statement_timeout_secs,
        }
    }
}

impl ReviewText {
    fn new(p: &ReviewPolicy) -> ReviewText {
        let rules = Rule::ALL
            .iter()
            .map(|r| (r.as_str().to_owned(), p.action(*r).as_str().to_owned()));
        ReviewText {
            database: p.scope.database.clone(),
            environment: p.scope.environment.clone(),
            rules: rules.collect(),
        }
    }

    fn read(self) -> Option<ReviewPolicy> {
        let actions: Option<BTreeMap<Rule, Action>> = self
            .rules
            .iter()
            .map(|(rule, action)| Some((Rule::parse(rule)?, Action::parse(action)?)))
            .collect();
        Some(ReviewPolicy {
            scope: scope(self.database, self.environment),
            actions: actions?,
        })
    }
}

impl AutoApproveText {
    fn new(p: &AutoApprove) -> AutoApproveText {
        AutoApproveText {
            database: p.scope.database.clone(),
            environment: p.scope.environment.clone(),
            risk: p.threshold.map(|r| r.as_str().to_owned()),
            allow_read_only: p.allowance.read_only,
            allow_safe_ddl: p.allowance.safe_ddl,
            max_estimated_rows: p.allowance.estimated_rows_max,
        }
    }

    fn read(self) -> Option<AutoApprove> {
        let threshold = match self.risk.as_deref() {
            None => None,
            Some("low") => Some(RiskLevel::Low),
            Some("medium") => Some(RiskLevel::Medium),
            Some("high") => Some(RiskLevel::High),
            Some(_) => return None,
        };
        Some(AutoApprove {
            scope: scope(self.database, self.environment),
            threshold,
            allowance: Allowance {
                read_only: self.allow_read_only,
                safe_ddl: self.allow_safe_ddl,
                estimated_rows_max: self.max_estimated_rows,
            },
        })
    }
}

impl ResultText {
    fn new(p: &ResultPolicy) -> ResultText {
        ResultText {
            database: p.scope.database.clone(),
            environment: p.scope.environment.clone(),
            retention_days: p.retention_days,
            delivery_mode: p.delivery_mode.as_str().to_owned(),
            access: p.access.iter().map(ToString::to_string).collect(),
        }
    }

    fn read(self) -> Option<ResultPolicy> {
        Some(ResultPolicy {
            scope: scope(self.database, self.environment),
            retention_days: self.retention_days,
            delivery_mode: DeliveryMode::parse(&self.delivery_mode)?,
            access: all(self.access, |s| Selector::parse(&s))?,
        })
    }
}

impl NotificationText {
    fn new(p: &NotificationPolicy) -> NotificationText {
        let events = p.events.names().into_iter();
        NotificationText {
            database: p.scope.database.clone(),
            environment: p.scope.environment.clone(),
            webhooks: p.webhooks.clone(),
            events: events.map(str::to_owned).collect(),
        }
    }

    fn read(self) -> NotificationPolicy {
        NotificationPolicy {
            scope: scope(self.database, self.environment),
            webhooks: self.webhooks,
            events: EventFilter::new(self.events),
        }
    }
}

impl RoleText {
    fn new(r: &Role) -> RoleText {
        RoleText {
            name: r.name.clone(),
            permissions: r
                .permissions
                .iter()
                .map(|p| p.as_str().to_owned())
                .collect(),
            databases: r.databases.clone(),
            environments: r.environments.clone(),
            built_in: r.built_in,
        }
    }

    fn read(self) -> Option<Role> {
        let permission = |name: &String| Permission::ALL.iter().find(|p| p.as_str() == name);
        let permissions: Option<BTreeSet<Permission>> = self
            .permissions
            .iter()
            .map(|name| permission(name).copied())
            .collect();
        Some(Role {
            name: self.name,
            permissions: permissions?,
            databases: self.databases,
            environments: self.environments,
            built_in: self.built_in,
        })
    }
}

impl BindingText {
    fn new(b: &Binding) -> BindingText {
        BindingText {
            role: b.role.clone(),
            subjects: b.subjects.clone(),
            groups: b.groups.clone(),
        }
    }

    fn read(self) -> Binding {
        Binding {
            role: self.role,
            subjects: self.subjects,
            groups: self.groups,
        }
    }
}

impl MappingText {
    fn new(m: &RoleMapping) -> MappingText {
        MappingText {
            claim: m.claim.clone(),
            value: m.value.clone(),
            role: m.role.clone(),
        }
    }

    fn read(self) -> RoleMapping {
        RoleMapping {
            claim: self.claim,
            value: self.value,
            role: self.role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Policies {
        let mut workflow = Workflow::new(Scope::any());
        workflow.operations = [Operation::ExecuteDml].into();
        workflow.pending_ttl_secs = Some(60);
        workflow.steps = vec![WorkflowStep {
            mode: Mode::Any,
            approvers: vec![ApproverEntry {
                selector: Selector::Group("dba \"team\"".to_owned()),
                min: 2,
            }],
        }];
        let mut reads = Workflow::new(Scope::any());
        reads.operations = [Operation::ExecuteSelect].into();
        let mut p = Policies::empty();
        p.databases = vec![Database {
            name: "app".to_owned(),
            environments: vec!["production".to_owned()],
            dialect: Some(Dialect::Sqlite),
        }];
        p.workflows = vec![workflow, reads];
        p.execution = vec![ExecutionPolicy {
            explicit: true,
            max_rows: Some(5),
            ..ExecutionPolicy::default()
        }];
        p.auto_approve = vec![AutoApprove {
            threshold: Some(RiskLevel::Medium),
            ..AutoApprove::new(Scope::any())
        }];
        p.result = vec![ResultPolicy {
            access: vec![Selector::Requester],
            ..ResultPolicy::default()
        }];
        p.notification = vec![NotificationPolicy {
            scope: Scope::any(),
            webhooks: ["ops".to_owned()].into(),
            events: EventFilter::new(["request.created".to_owned()]),
        }];
        p.groups
            .insert("dba \"team\"".to_owned(), ["approver".to_owned()].into());
        p.bindings = vec![Binding {
            role: "developer".to_owned(),
            subjects: ["requester".to_owned()].into(),
            groups: BTreeSet::new(),
        }];
        p
    }

    #[test]
    fn what_is_read_back_decides_the_same() {
        let policies = some();
        let text = policies.canonical();
        let read = Policies::from_canonical(&text).unwrap();
        assert_eq!(read.canonical(), text);
        assert_eq!(read.roles, policies.roles);
        assert_eq!(read.execution, policies.execution);
        assert_eq!(read.notification, policies.notification);
        let workflow = &policies.workflows[0];
        assert_eq!(
            Workflow::from_text(&workflow.to_text()).as_ref(),
            Some(workflow)
        );
    }

    #[test]
    fn the_order_of_entries_does_not_matter_and_everything_else_does() {
        let (one, mut two) = (some(), some());
        two.workflows.reverse();
        assert_eq!(one.version(), two.version());
        two.workflows[0].require_reason = true;
        assert_ne!(one.version(), two.version());
    }

    #[test]
    fn a_text_from_before_there_were_notification_policies_is_read_and_spelled_as_it_was() {
        let mut policies = some();
        policies.notification.clear();
        let text = policies.canonical();
        assert!(!text.contains("notification"));
        let read = Policies::from_canonical(&text).unwrap();
        assert_eq!(read.notification, []);
        assert_eq!(read.canonical(), text);
    }

    #[test]
    fn another_text_is_none() {
        let text = some().canonical();
        for other in [
            String::new(),
            "{}".to_owned(),
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("\"any\"", "\"most\""),
            text.replace("\"explain\"", "\"explains\""),
        ] {
            assert!(Policies::from_canonical(&other).is_none(), "{other}");
        }
    }
}
