//! Policies, workflows and facts as the texts in which they are kept, every kind and every optional member.

use super::golden;
use crate::crypto::sha256_hex;
use crate::domain::dialect::Dialect;
use crate::domain::facts::{Effect, Facts, Requester, SchemaStatus, SqlFacts};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::{Permission, Role};
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::notification::{EventFilter, NotificationPolicy};
use crate::domain::policy::result::{DeliveryMode, ResultPolicy};
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::policy::workflow::{ApproverEntry, Mode, Workflow, WorkflowStep};
use crate::domain::policy::{Binding, Database, Policies, RoleMapping};
use crate::domain::risk_level::{Allowance, RiskLevel};
use crate::domain::scope::{RoleScope, Scope};
use crate::domain::sql::{Class, DialectFact, Finding, ReviewRule, RuleAction};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Names each text, shows it, and gives its SHA-256, by which it is kept.
fn listed(texts: &[(&str, String)]) -> String {
    let mut list = String::new();
    for (name, text) in texts {
        let hash = sha256_hex(text.as_bytes());
        let _ = write!(list, "# {name}\n{text}\n{hash}\n\n");
    }
    list
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

fn scope(database: &str, environment: &str) -> Scope {
    Scope {
        database: database.to_owned(),
        environment: environment.to_owned(),
    }
}

fn entry(selector: Selector, min: u32) -> ApproverEntry {
    ApproverEntry { selector, min }
}

fn full_workflow() -> Workflow {
    Workflow {
        operations: Operation::ALL.into(),
        steps: vec![
            WorkflowStep {
                mode: Mode::All,
                approvers: vec![
                    entry(Selector::Role("developer".to_owned()), 1),
                    entry(Selector::Group("dba \"team\"".to_owned()), 2),
                ],
            },
            WorkflowStep {
                mode: Mode::Any,
                approvers: vec![
                    entry(Selector::User("appröver".to_owned()), 1),
                    entry(Selector::Requester, 1),
                ],
            },
        ],
        require_reason: true,
        allow_self_approve: true,
        allow_same_approver_across_steps: true,
        admin_override: true,
        distinct_token_issuer: true,
        explain: true,
        pending_ttl_secs: Some(60),
        approval_ttl_secs: Some(120),
        statement_timeout_secs: Some(0),
        ..Workflow::new(scope("app", "production"))
    }
}

fn full_policies() -> Policies {
    let mut p = Policies::empty();
    p.databases = [
        ("zebra", None),
        ("app", Some(Dialect::Postgres)),
        ("mine", Some(Dialect::MySql)),
        ("file", Some(Dialect::Sqlite)),
    ]
    .into_iter()
    .map(|(name, dialect)| Database {
        name: name.to_owned(),
        environments: names(["production", "development"]),
        dialect,
    })
    .collect();
    p.workflows = vec![
        Workflow::new(Scope::any()),
        full_workflow(),
        Workflow::new(scope("app", "*")),
    ];
    p.execution = execution_policies();
    p.review = vec![
        ReviewPolicy {
            scope: scope("*", "production"),
            actions: ReviewRule::ALL
                .into_iter()
                .zip(
                    [RuleAction::Block, RuleAction::Warn, RuleAction::Off]
                        .into_iter()
                        .cycle(),
                )
                .collect(),
            ..ReviewPolicy::default_policy()
        },
        ReviewPolicy::default_policy(),
    ];
    p.auto_approve = auto_approvals();
    p.result = result_policies();
    p.notification = notification_policies();
    let role = Role {
        name: "everything".to_owned(),
        permissions: Permission::ALL.iter().copied().collect(),
        scope: RoleScope {
            databases: names(["app", "*"]),
            environments: names(["production"]),
        },
        built_in: false,
    };
    p.roles.insert(role.name.clone(), role);
    p.groups.insert(
        "dba \"team\"".to_owned(),
        names(["b", "a"]).into_iter().collect(),
    );
    p.bindings = vec![Binding {
        role: "developer".to_owned(),
        subjects: names(["requester"]).into_iter().collect(),
        groups: names(["dba \"team\""]).into_iter().collect(),
    }];
    p.default_role = Some("readonly".to_owned());
    p.role_mappings = vec![RoleMapping {
        claim: "realm.roles".to_owned(),
        value: "dba".to_owned(),
        role: "developer".to_owned(),
    }];
    p.oidc_default_role = Some("everything".to_owned());
    p.approval_ttl_secs = 11;
    p.dispatch_timeout_secs = 12;
    p.result_ttl_days = 13;
    p
}

fn result_policies() -> Vec<ResultPolicy> {
    [
        DeliveryMode::Both,
        DeliveryMode::StoreOnly,
        DeliveryMode::Stream,
    ]
    .map(|delivery_mode| ResultPolicy {
        delivery_mode,
        retention_days: 7,
        access: vec![Selector::Requester, Selector::Group("audit".to_owned())],
        ..ResultPolicy::default()
    })
    .to_vec()
}

fn notification_policies() -> Vec<NotificationPolicy> {
    vec![
        NotificationPolicy {
            scope: scope("app", "production"),
            webhooks: names(["ops", "chat"]).into_iter().collect(),
            events: EventFilter::new(names(["request.created", "execution.failed"])),
            remind_after_secs: None,
            escalate_after_secs: None,
            escalate_to: Vec::new(),
        },
        NotificationPolicy {
            scope: Scope::any(),
            webhooks: BTreeSet::new(),
            events: EventFilter::new(Vec::new()),
            remind_after_secs: None,
            escalate_after_secs: None,
            escalate_to: Vec::new(),
        },
    ]
}

fn execution_policies() -> Vec<ExecutionPolicy> {
    vec![
        ExecutionPolicy {
            scope: scope("app", "production"),
            max_executions: 3,
            execution_window_secs: 4,
            retry_on_failure: true,
            statement_timeout_secs: 5,
            max_statement_timeout_secs: 6,
            max_affected_rows: Some(10),
            lock_timeout_secs: Some(11),
            max_rows: Some(7),
            migration_lease_duration_secs: Some(8),
            migration_statement_timeout_secs: Some(9),
        },
        ExecutionPolicy {
            ..ExecutionPolicy::default()
        },
    ]
}

fn auto_approvals() -> Vec<AutoApprove> {
    let thresholds = [
        None,
        Some(RiskLevel::Low),
        Some(RiskLevel::Medium),
        Some(RiskLevel::High),
    ];
    let mut policies: Vec<AutoApprove> = thresholds
        .into_iter()
        .map(|threshold| AutoApprove {
            threshold,
            ..AutoApprove::new(Scope::any())
        })
        .collect();
    policies.push(AutoApprove {
        allowance: Allowance {
            allow_read_only: false,
            allow_safe_ddl: false,
            max_estimated_rows: -1,
        },
        ..AutoApprove::new(scope("app", "production"))
    });
    policies
}

#[test]
fn policies_keep_their_text() {
    let policies = [
        ("no policies", Policies::empty()),
        ("all policies", full_policies()),
    ];
    for (name, policies) in &policies {
        let text = policies.canonical();
        let read = Policies::from_canonical(&text).unwrap();
        assert_eq!(read.canonical(), text, "{name}");
    }
    let workflows = [
        ("smallest workflow", Workflow::new(Scope::any())),
        ("full workflow", full_workflow()),
    ];
    for (name, workflow) in &workflows {
        let read = Workflow::from_text(&workflow.to_text());
        assert_eq!(read.as_ref(), Some(workflow), "{name}");
    }
    let texts = policies.iter().map(|(name, p)| (*name, p.canonical()));
    let texts = texts.chain(workflows.iter().map(|(name, w)| (*name, w.to_text())));
    golden("policies.txt", &listed(&Vec::from_iter(texts)));
}

fn migration() -> Facts {
    Facts {
        target: Target::new("app", "production").unwrap(),
        asked: Operation::MigrateUp,
        emergency: false,
        allow_ddl: false,
        has_reason: false,
        sql: None,
        schema_collected_at: None,
        requester: Requester::default(),
        on_call: BTreeMap::new(),
    }
}

fn of_sql(class: Class, schema: SchemaStatus) -> Facts {
    Facts {
        asked: Operation::ExecuteSelect,
        emergency: true,
        allow_ddl: true,
        has_reason: true,
        sql: Some(SqlFacts {
            class,
            statements: 2,
            ddl_eligible: true,
            safe_ddl: true,
            foreseen: true,
            by_words: None,
            dialect: Some(DialectFact::Any),
            unknown_functions: names(["pg_sleep"]),
            tables: names(["ä", "public.b"]),
            findings: Vec::new(),
            schema,
            effects: Vec::new(),
            commits_at_once: Vec::new(),
        }),
        schema_collected_at: Some("2026-01-01T00:00:00Z".to_owned()),
        requester: Requester {
            subject: "re\"quester".to_owned(),
            roles: names(["developer"]),
            groups: names(["backend-team", "dba"]),
        },
        ..migration()
    }
}

fn with_findings_and_effects() -> Facts {
    let class = Class::Dml {
        ddl_only: false,
        reason: "calls `pg_sleep`".to_owned(),
    };
    let mut facts = of_sql(class, SchemaStatus::Ready);
    if let Some(sql) = &mut facts.sql {
        (sql.ddl_eligible, sql.safe_ddl, sql.foreseen) = (false, false, false);
        sql.dialect = Some(DialectFact::Known(Dialect::MySql));
        sql.unknown_functions = Vec::new();
        sql.by_words = Some(2);
        sql.findings = ReviewRule::ALL
            .into_iter()
            .enumerate()
            .map(|(n, rule)| Finding::new(rule, n + 1, 3, 4))
            .collect();
        sql.effects = vec![
            Effect::UnknownTable {
                table: "x".to_owned(),
            },
            Effect::UnknownRows {
                table: "y".to_owned(),
            },
            Effect::Rows {
                rows: 0,
                cascade: Vec::new(),
            },
            Effect::Rows {
                rows: 9,
                cascade: names(["a", "b"]),
            },
            Effect::NotTransactional {
                table: "z".to_owned(),
            },
        ];
        sql.commits_at_once = vec![1, 3];
    }
    facts
}

#[test]
fn facts_keep_their_text() {
    let ddl = Class::Dml {
        ddl_only: true,
        reason: "creates a table".to_owned(),
    };
    let rejected = Class::Rejected {
        reason: "drops a table".to_owned(),
        line: 1,
        column: 2,
    };
    let unparsable = Class::Unparsable {
        line: 3,
        column: 4,
        message: "unexpected `\"`".to_owned(),
    };
    let mut facts = vec![
        ("a select, tables unknown", {
            of_sql(Class::Select, SchemaStatus::NotSynced)
        }),
        ("structure only, tables unreadable", {
            of_sql(ddl, SchemaStatus::Failed)
        }),
        ("rejected", of_sql(rejected, SchemaStatus::Ready)),
        ("unparsable", of_sql(unparsable, SchemaStatus::Ready)),
        ("every finding and effect", with_findings_and_effects()),
    ];
    let mut read_differently = of_sql(Class::Select, SchemaStatus::Ready);
    if let Some(sql) = &mut read_differently.sql {
        sql.dialect = Some(DialectFact::Unknown);
    }
    facts.push(("unknown dialect", read_differently));
    let mut while_on_call = migration();
    let people = names(["lead", "ä"]).into_iter().collect();
    while_on_call.on_call = [
        ("day".to_owned(), BTreeSet::new()),
        ("night".to_owned(), people),
    ]
    .into();
    facts.push(("on call", while_on_call));
    for asked in Operation::ALL {
        let facts_of = Facts {
            asked,
            ..migration()
        };
        facts.push((asked.as_str(), facts_of));
    }
    for (name, facts) in &facts {
        let read = Facts::from_text(&facts.to_text());
        assert_eq!(read.as_ref(), Some(facts), "{name}");
    }
    let texts = facts.iter().map(|(name, f)| (*name, f.to_text()));
    golden("facts.txt", &listed(&Vec::from_iter(texts)));
}
