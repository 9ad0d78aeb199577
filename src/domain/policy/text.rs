//! Policies as text and back: JSON with a fixed order of members and entries, every value written out. It is kept by
//! its SHA-256, so that any past decision can be computed again from what decided it. A request keeps its workflow in
//! the same form.

use super::auto_approve::AutoApprove;
use super::notification::{EventFilter, NotificationPolicy};
use super::on_call::{OnCallGroup, OnCallService, OnCallSource, Override, Rotation, ServiceKind};
use super::result::RESULT_TTL_DAYS;
use super::review::ReviewPolicy;
use super::workflow::{ApproverEntry, Mode, Workflow, WorkflowStep};
use super::{Binding, Database, Policies, RoleMapping};
use crate::clock::{LocalTime, Zone};
use crate::domain::dialect::Dialect;
use crate::domain::id::Selector;
use crate::domain::kept::{Form, Kept, Sorted, kept, kept_enum, read, word, write};
use crate::domain::permission::{Permission, Role};
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::result::ResultPolicy;
use crate::domain::risk_level::{Allowance, RiskLevel};
use crate::domain::scope::{RoleScope, Scope};
use crate::domain::sql::{ReviewRule, RuleAction};
use std::collections::{BTreeMap, BTreeSet};

kept! {
    Policies => PoliciesText [version 1] {
        databases: Sorted<Database>,
        workflows: Sorted<Workflow>,
        #[serde(rename = "execution_policies")]
        execution: Sorted<ExecutionPolicy>,
        #[serde(rename = "sql_review")]
        review: Sorted<ReviewPolicy>,
        auto_approve: Sorted<AutoApprove>,
        #[serde(rename = "result_policies")]
        result: Sorted<ResultPolicy>,
        // Younger than the first texts: without them the text stays as it was.
        #[serde(rename = "notification_policies", default, skip_serializing_if = "Vec::is_empty")]
        notification: Sorted<NotificationPolicy>,
        roles: ByName,
        groups: BTreeMap<String, BTreeSet<String>>,
        // Younger too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claim_groups: BTreeSet<String>,
        // Younger too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        on_call: Sorted<OnCallGroup>,
        #[serde(rename = "role_bindings")]
        bindings: Sorted<Binding>,
        default_role: Option<String>,
        role_mappings: Sorted<RoleMapping>,
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

kept! {
    Database => DatabaseText {
        name: String,
        environments: Vec<String>,
        dialect: Option<Dialect>,
    }
}

kept! {
    OnCallGroup => OnCallText {
        name: String,
        source: OnCallSource,
    }
}

kept_enum! {
    OnCallSource => OnCallSourceText, "kind" {
        Rotation { rotation: Rotation },
        Service { service: OnCallService },
    }
}

kept! {
    Rotation => RotationText {
        time_zone: Zone,
        first_handover: LocalTime,
        people: Vec<String>,
        overrides: Vec<Override>,
    }
}

kept! {
    Override => OverrideText {
        from: LocalTime,
        until: LocalTime,
        people: BTreeSet<String>,
    }
}

kept! {
    OnCallService => OnCallServiceText {
        kind: ServiceKind,
        api_base_url: String,
        schedule: String,
    }
}

word! {
    Zone, |zone| zone.name().to_owned(), Zone::parse;
    LocalTime, ToString::to_string, LocalTime::parse;
    ServiceKind, |kind| kind.as_str().to_owned(), ServiceKind::parse;
}

kept! {
    WorkflowStep => StepText {
        mode: Mode,
        approvers: Vec<ApproverEntry>,
    }
}

kept! {
    ApproverEntry => ApproverText {
        selector: Selector,
        min: u32,
    }
}

kept! {
    NotificationPolicy => NotificationText [pair scope] {
        webhooks: BTreeSet<String>,
        events: EventFilter,
        // Younger than the first texts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remind_after_secs: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        escalate_after_secs: Option<u64>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        escalate_to: Vec<Selector>,
    }
}

/// A role as its text has it: its scope is not an object of its own.
struct FlatRole {
    name: String,
    permissions: BTreeSet<Permission>,
    databases: Vec<String>,
    environments: Vec<String>,
    built_in: bool,
}

kept! {
    FlatRole => RoleText {
        name: String,
        permissions: BTreeSet<Permission>,
        databases: Vec<String>,
        environments: Vec<String>,
        built_in: bool,
    }
}

impl Kept for Role {
    type Text = RoleText;

    fn text(&self) -> RoleText {
        let role = self.clone();
        FlatRole {
            name: role.name,
            permissions: role.permissions,
            databases: role.scope.databases,
            environments: role.scope.environments,
            built_in: role.built_in,
        }
        .text()
    }

    fn of(text: RoleText) -> Option<Role> {
        let flat = FlatRole::of(text)?;
        Some(Role {
            name: flat.name,
            permissions: flat.permissions,
            scope: RoleScope {
                databases: flat.databases,
                environments: flat.environments,
            },
            built_in: flat.built_in,
        })
    }
}

kept! {
    Binding => BindingText {
        role: String,
        subjects: BTreeSet<String>,
        groups: BTreeSet<String>,
    }
}

kept! {
    RoleMapping => MappingText {
        claim: String,
        value: String,
        role: String,
    }
}

/// An auto-approval as its text has it: its allowance is not an object of its own, and no threshold is above high.
struct FlatAutoApprove {
    scope: Scope,
    risk: Option<RiskLevel>,
    allow_read_only: bool,
    allow_safe_ddl: bool,
    max_estimated_rows: i64,
}

kept! {
    FlatAutoApprove => AutoApproveText [pair scope] {
        risk: Option<RiskLevel>,
        allow_read_only: bool,
        allow_safe_ddl: bool,
        max_estimated_rows: i64,
    }
}

impl Kept for AutoApprove {
    type Text = AutoApproveText;

    fn text(&self) -> AutoApproveText {
        let flat = FlatAutoApprove {
            scope: self.scope.clone(),
            risk: self.threshold,
            allow_read_only: self.allowance.allow_read_only,
            allow_safe_ddl: self.allowance.allow_safe_ddl,
            max_estimated_rows: self.allowance.max_estimated_rows,
        };
        flat.text()
    }

    fn of(text: AutoApproveText) -> Option<AutoApprove> {
        let flat = FlatAutoApprove::of(text)?;
        flat.risk
            .is_none_or(|risk| risk <= RiskLevel::High)
            .then_some(AutoApprove {
                scope: flat.scope,
                threshold: flat.risk,
                allowance: Allowance {
                    allow_read_only: flat.allow_read_only,
                    allow_safe_ddl: flat.allow_safe_ddl,
                    max_estimated_rows: flat.max_estimated_rows,
                },
            })
    }
}

/// A review as its text has it: every rule, with what it does.
struct FullReview {
    scope: Scope,
    rules: BTreeMap<String, RuleAction>,
    pure_functions: BTreeSet<String>,
}

kept! {
    FullReview => ReviewText [pair scope] {
        rules: BTreeMap<String, RuleAction>,
        // Younger than the first texts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pure_functions: BTreeSet<String>,
    }
}

impl Kept for ReviewPolicy {
    type Text = ReviewText;

    fn text(&self) -> ReviewText {
        // A rule that is younger than the first texts is written only where it is named: old texts stay as they were.
        let rules = ReviewRule::ALL
            .iter()
            .filter(|r| !r.is_young() || self.actions.contains_key(r))
            .map(|r| (r.as_str().to_owned(), self.action(*r)));
        let full = FullReview {
            scope: self.scope.clone(),
            rules: rules.collect(),
            pure_functions: self.pure_functions.clone(),
        };
        full.text()
    }

    fn of(text: ReviewText) -> Option<ReviewPolicy> {
        let full = FullReview::of(text)?;
        let rules = full.rules.into_iter();
        let actions: Option<_> = rules
            .map(|(rule, action)| Some((ReviewRule::parse(&rule)?, action)))
            .collect();
        Some(ReviewPolicy {
            scope: full.scope,
            actions: actions?,
            pure_functions: full.pure_functions,
        })
    }
}

impl Kept for EventFilter {
    type Text = Vec<String>;

    fn text(&self) -> Vec<String> {
        self.names().into_iter().map(str::to_owned).collect()
    }

    fn of(text: Vec<String>) -> Option<EventFilter> {
        Some(EventFilter::new(text))
    }
}

/// Roles by name, as a list.
struct ByName;

impl Form for ByName {
    type Value = BTreeMap<String, Role>;
    type Member = Vec<RoleText>;

    fn member(roles: &BTreeMap<String, Role>) -> Vec<RoleText> {
        roles.values().map(Role::text).collect()
    }

    fn value(text: Vec<RoleText>) -> Option<BTreeMap<String, Role>> {
        let role = |text| Role::of(text).map(|role| (role.name.clone(), role));
        text.into_iter().map(role).collect()
    }
}

impl Policies {
    /// The text of these policies. Entries of equal standing are sorted, so that their order in the file does not
    /// matter; secrets, storage and the like are not part of it.
    pub fn canonical(&self) -> String {
        write(self)
    }

    /// The policies of such a text; `None` for any other.
    pub fn from_canonical(text: &str) -> Option<Policies> {
        read(text)
    }
}

impl Workflow {
    /// The text of this workflow.
    pub fn to_text(&self) -> String {
        write(self)
    }

    /// The workflow of such a text; `None` for any other.
    pub fn from_text(text: &str) -> Option<Workflow> {
        read(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Operation;

    fn on_call() -> Vec<OnCallGroup> {
        vec![
            OnCallGroup {
                name: "night".to_owned(),
                source: OnCallSource::Rotation {
                    rotation: Rotation {
                        time_zone: Zone::parse("Europe/Berlin").unwrap(),
                        first_handover: LocalTime::parse("2026-01-05T09:00").unwrap(),
                        people: vec!["lead".to_owned(), "approver".to_owned()],
                        overrides: vec![Override {
                            from: LocalTime::parse("2026-12-24").unwrap(),
                            until: LocalTime::parse("2026-12-26").unwrap(),
                            people: BTreeSet::new(),
                        }],
                    },
                },
            },
            OnCallGroup {
                name: "day".to_owned(),
                source: OnCallSource::Service {
                    service: OnCallService {
                        kind: ServiceKind::PagerDuty,
                        api_base_url: "https://api.example.com".to_owned(),
                        schedule: "P1".to_owned(),
                    },
                },
            },
        ]
    }

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
            remind_after_secs: Some(60),
            escalate_after_secs: None,
            escalate_to: vec![Selector::User("lead".to_owned())],
        }];
        p.groups
            .insert("dba \"team\"".to_owned(), ["approver".to_owned()].into());
        p.on_call = on_call();
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
        let mut on_call = policies.on_call.clone();
        on_call.reverse();
        assert_eq!(read.on_call, on_call);
        let workflow = &policies.workflows[0];
        assert_eq!(
            Workflow::from_text(&workflow.to_text()).as_ref(),
            Some(workflow)
        );
    }

    #[test]
    fn order_of_entries_does_not_matter_and_everything_else_does() {
        let (one, mut two) = (some(), some());
        two.workflows.reverse();
        assert_eq!(one.version(), two.version());
        two.workflows[0].require_reason = true;
        assert_ne!(one.version(), two.version());
    }

    #[test]
    fn text_without_notification_policies_is_read_and_written_unchanged() {
        let mut policies = some();
        policies.notification.clear();
        let text = policies.canonical();
        assert!(!text.contains("notification"));
        let read = Policies::from_canonical(&text).unwrap();
        assert_eq!(read.notification, []);
        assert_eq!(read.canonical(), text);
    }

    #[test]
    fn another_text_is_refused() {
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
