//! What policies say of a target, an operation and a person, as tables.

use super::*;
use crate::clock::{LocalTime, Zone};
use crate::domain::permission::tests::{lines, target, team, word};
use crate::domain::policy::execution::{SECS_MAX, STATEMENT_SECS_MAX};
use crate::domain::policy::on_call::{OnCallService, Override, Rotation, ServiceKind};
use crate::domain::policy::workflow::{ApproverEntry, Dispatch, Mode, Rehearse, WorkflowStep};
use crate::domain::scope::Scope;
use crate::domain::sql::{ReviewRule, RuleAction};

/// `app` in two environments, `mine` in one.
fn registered() -> Policies {
    let mut policies = Policies::empty();
    let database = |name: &str, environments: &[&str], dialect| Database {
        name: name.to_owned(),
        environments: environments.iter().map(|e| (*e).to_owned()).collect(),
        dialect,
    };
    policies.databases = vec![
        database("app", &["production", "development"], None),
        database("mine", &["production"], Some(Dialect::MySql)),
    ];
    policies
}

fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(" ")
}

fn names(roles: &[Role]) -> String {
    joined(roles.iter().map(|r| r.name.as_str()))
}

#[test]
fn empty_policies_know_the_built_in_roles_and_nothing_else() {
    let empty = Policies::empty();
    let roles = joined(empty.roles.keys().map(String::as_str));
    assert_eq!(roles, "admin agent-default developer readonly");
    assert_eq!(empty.targets().count(), 0);
    assert!(empty.group_names().is_empty() && empty.people().is_empty());
    assert_eq!(
        empty.workflow(&target("app/production"), Operation::ExecuteDml),
        None
    );
}

#[test]
fn only_registered_targets_have_a_database() {
    let policies = registered();
    let targets: Vec<String> = policies.targets().map(|t| t.to_string()).collect();
    assert_eq!(
        targets,
        ["app/production", "app/development", "mine/production"]
    );
    let table = "
target           | database | dialect
app/production   | app      | -
app/development  | app      | -
mine/production  | mine     | mysql
mine/development | -        | -
other/production | -        | -
";
    for (line, cell) in lines(table) {
        let target = target(cell[0]);
        let database = policies.database(&target).map_or("-", |d| d.name.as_str());
        let dialect = policies.dialect(&target).map_or("-", Dialect::as_str);
        assert_eq!([database, dialect], cell[1..], "{line}");
    }
}

#[test]
fn workflow_that_lists_the_operation_comes_before_one_for_all() {
    let mut policies = Policies::empty();
    // Each has a time limit of its own, by which it is known below.
    let mut add = |database: &str, environment: &str, operations: &[Operation], secs| {
        policies.workflows.push(Workflow {
            operations: operations.iter().copied().collect(),
            pending_ttl_secs: Some(secs),
            ..Workflow::new(Scope::of(database, environment))
        });
    };
    add("*", "*", &[Operation::ExecuteDml], 1);
    add("*", "*", &[], 2);
    add("*", "production", &[], 3);
    add("app", "production", &[Operation::MigrateUp], 4);
    let table = "
target          | operation      | workflow
app/production  | migrate_up     | 4
app/production  | execute_dml    | 3
app/production  | execute_select | 3
app/development | execute_dml    | 1
app/development | execute_select | 2
app/development | migrate_up     | 2
";
    for (line, cell) in lines(table) {
        let operation = Operation::parse(cell[1]).unwrap();
        let found = policies.workflow(&target(cell[0]), operation).unwrap();
        let secs = found.pending_ttl_secs.unwrap().to_string();
        assert_eq!(secs, cell[2], "{line}");
    }
    policies.workflows.drain(1..3);
    let none = policies.workflow(&target("app/production"), Operation::ExecuteSelect);
    assert_eq!(none, None);
}

#[test]
fn most_specific_entry_applies_and_else_the_default() {
    let mut policies = registered();
    policies.result_ttl_days = 9;
    let scopes = [Scope::of("app", "*"), Scope::of("app", "production")];
    for (n, scope) in scopes.into_iter().enumerate() {
        let n = u32::try_from(n + 2).unwrap();
        policies.execution.push(ExecutionPolicy {
            scope: scope.clone(),
            max_executions: n,
            ..ExecutionPolicy::default()
        });
        policies.auto_approve.push(AutoApprove::new(scope.clone()));
        policies.review.push(ReviewPolicy {
            scope: scope.clone(),
            actions: [(ReviewRule::DropTable, RuleAction::Off)].into(),
            ..ReviewPolicy::default_policy()
        });
        policies.result.push(ResultPolicy {
            scope: scope.clone(),
            retention_days: n,
            ..ResultPolicy::default()
        });
        policies.notification.push(NotificationPolicy {
            scope,
            remind_after_secs: None,
            escalate_after_secs: None,
            escalate_to: Vec::new(),
            webhooks: BTreeSet::new(),
            events: notification::EventFilter::new(Vec::new()),
        });
    }
    let table = "
target          | runs | configured | auto          | review | days | notified
app/production  | 3    | yes        | ap:production | off    | 3    | np:app:production
app/development | 2    | yes        | ap:*          | off    | 2    | np:app:*
mine/production | 1    | no         | -             | block  | 9    | -
";
    for (line, cell) in lines(table) {
        let target = target(cell[0]);
        let auto = policies.auto_approve(&target);
        let auto = auto.map_or("-".to_owned(), |a| format!("ap:{}", a.scope.environment));
        let review = match policies.review(&target).action(ReviewRule::DropTable) {
            RuleAction::Off => "off",
            RuleAction::Block => "block",
            RuleAction::Warn => "warn",
        };
        let notified = policies.notification(&target);
        let found = [
            policies.execution(&target).max_executions.to_string(),
            word(policies.has_execution(&target)).to_owned(),
            auto,
            review.to_owned(),
            policies.result(&target).retention_days.to_string(),
            notified.map_or("-".to_owned(), NotificationPolicy::id),
        ];
        assert_eq!(found, cell[1..], "{line}");
    }
    assert_eq!(policies.plain_result().retention_days, 9);
}

#[test]
fn entries_have_the_ids_that_clients_know() {
    let scope = Scope::of("app", "*");
    let execution = ExecutionPolicy {
        scope: scope.clone(),
        ..ExecutionPolicy::default()
    };
    assert_eq!(execution.id(), "ep:app:*");
    let result = ResultPolicy {
        scope: scope.clone(),
        ..ResultPolicy::default()
    };
    assert_eq!(result.id(), "rp:app:*");
    let id = |operations: &[Operation]| {
        let workflow = Workflow {
            operations: operations.iter().copied().collect(),
            ..Workflow::new(scope.clone())
        };
        workflow.id()
    };
    // The first digits of SHA-256 of the names, sorted and joined by commas.
    assert_eq!(id(&[]), "wf:app:*:e3b0c44298fc");
    let two = sha256_hex(b"execute_dml,migrate_up");
    let two = format!("wf:app:*:{}", &two[..12]);
    assert_eq!(id(&[Operation::MigrateUp, Operation::ExecuteDml]), two);
}

#[test]
fn values_of_policies_have_names() {
    fn all<T: Copy + PartialEq + std::fmt::Debug>(
        values: &[(T, &str)],
        name: fn(T) -> &'static str,
        parse: fn(&str) -> Option<T>,
    ) {
        for (value, text) in values {
            assert_eq!(name(*value), *text);
            assert_eq!(parse(text), Some(*value));
        }
        assert_eq!(parse("other"), None);
    }
    all(
        &[(Mode::All, "all"), (Mode::Any, "any")],
        Mode::as_str,
        Mode::parse,
    );
    all(
        &[
            (Dispatch::OnResume, "on_resume"),
            (Dispatch::OnApproval, "on_approval"),
        ],
        Dispatch::as_str,
        Dispatch::parse,
    );
    all(
        &[
            (Rehearse::Off, "off"),
            (Rehearse::OnRequest, "on_request"),
            (Rehearse::BeforeApproval, "before_approval"),
        ],
        Rehearse::as_str,
        Rehearse::parse,
    );
    use result::DeliveryMode;
    all(
        &[
            (DeliveryMode::Both, "both"),
            (DeliveryMode::StoreOnly, "store_only"),
            (DeliveryMode::Stream, "stream"),
        ],
        DeliveryMode::as_str,
        DeliveryMode::parse,
    );
}

#[test]
fn rule_without_an_entry_does_what_it_does_by_default() {
    let policy = ReviewPolicy {
        actions: [(ReviewRule::DropColumn, RuleAction::Block)].into(),
        ..ReviewPolicy::default_policy()
    };
    for rule in ReviewRule::ALL {
        let expected = match rule {
            ReviewRule::DropColumn => RuleAction::Block,
            rule => rule.default_action(),
        };
        assert_eq!(policy.action(rule), expected, "{rule:?}");
    }
    assert_ne!(
        ReviewRule::DropColumn.default_action(),
        RuleAction::Block,
        "the table says nothing then"
    );
}

#[test]
fn times_of_a_statement_its_lock_and_its_lease() {
    assert_eq!(SECS_MAX, 31_622_400);
    assert_eq!(STATEMENT_SECS_MAX, 86_400);
    // Statement, its cap, workflow; migration, its lease; the operation; how long it may run, and its lease.
    let table = "
statement | cap | workflow | migration | lease | operation      | runs | leased
30        | 600 | -        | -         | -     | execute_dml    | 30   | 60
31        | 600 | -        | -         | -     | execute_dml    | 31   | 61
31        | 600 | 20       | 7         | 8     | execute_select | 20   | 61
31        | 600 | 40       | -         | -     | execute_select | 31   | 61
700       | 600 | -        | -         | -     | execute_dml    | 600  | 630
700       | 600 | 650      | -         | -     | migrate_status | 600  | 630
31        | 600 | 20       | -         | -     | migrate_up     | 0    | 600
31        | 600 | 20       | 0         | -     | migrate_up     | 0    | 600
31        | 600 | 20       | 1         | -     | migrate_down   | 1    | 60
31        | 600 | 20       | 40        | -     | migrate_down   | 40   | 70
31        | 600 | 20       | 40        | 9     | migrate_repair | 40   | 9
";
    let number = |cell: &str| cell.parse::<u64>().ok();
    for (line, cell) in lines(table) {
        let policy = ExecutionPolicy {
            statement_timeout_secs: number(cell[0]).unwrap(),
            max_statement_timeout_secs: number(cell[1]).unwrap(),
            migration_statement_timeout_secs: number(cell[3]),
            migration_lease_duration_secs: number(cell[4]),
            ..ExecutionPolicy::default()
        };
        let operation = Operation::parse(cell[5]).unwrap();
        let found = (
            Some(policy.timeout_secs(operation, number(cell[2]))),
            Some(policy.lease_secs(operation)),
        );
        assert_eq!(found, (number(cell[6]), number(cell[7])), "{line}");
    }
    for (configured, expected) in [(None, 5), (Some(1), 1), (Some(3600), 3600)] {
        let policy = ExecutionPolicy {
            lock_timeout_secs: configured,
            ..ExecutionPolicy::default()
        };
        assert_eq!(policy.lock_secs(), expected);
    }
}

/// The team of the tests of permissions, with groups of each kind: `dba` is listed, `rota` and `service` take turns.
fn staffed() -> Policies {
    let mut policies = team(
        "writer = request.create; reader = request.view; mapped = audit.view; guest = user.view",
    );
    let zone = Zone::parse("UTC").unwrap();
    let time = |text: &str| LocalTime::parse(text).unwrap();
    let rotation = Rotation {
        time_zone: zone,
        first_handover: time("2026-01-05 09:00"),
        people: vec!["bob".to_owned(), "carol".to_owned()],
        overrides: vec![Override {
            from: time("2026-02-01 00:00"),
            until: time("2026-02-02 00:00"),
            people: ["dave".to_owned()].into(),
        }],
    };
    let service = OnCallService {
        kind: ServiceKind::PagerDuty,
        api_base_url: "https://api.example".to_owned(),
        schedule: "s".to_owned(),
    };
    policies.on_call = vec![
        OnCallGroup {
            name: "rota".to_owned(),
            source: OnCallSource::Rotation { rotation },
        },
        OnCallGroup {
            name: "service".to_owned(),
            source: OnCallSource::Service { service },
        },
    ];
    policies
}

#[test]
fn groups_are_listed_claimed_or_take_turns() {
    let mut policies = staffed();
    policies.groups.insert("open".to_owned(), BTreeSet::new());
    policies.claim_groups.insert("open".to_owned());
    policies.claim_groups.insert("rota".to_owned());
    let table = "
group   | claimed | turns | everybody
dba     | no      | no    | -
open    | yes     | no    | -
staff   | yes     | no    | -
rota    | yes     | yes   | bob carol dave
service | no      | yes   | -
";
    for (line, cell) in lines(table) {
        let group = cell[0];
        let everybody = policies.everybody_on_call(group);
        let everybody = everybody.map_or("-".to_owned(), joined);
        let found = [
            word(policies.is_from_claim(group)),
            word(policies.is_on_call(group)),
            &everybody,
        ];
        assert_eq!(found, cell[1..], "{line}");
    }
    let of = |who: &str| policies.groups_of(who).into_iter().collect::<Vec<_>>();
    assert_eq!(of("ann"), ["dba"]);
    assert!(of("bob").is_empty());
}

#[test]
fn names_of_groups_and_people_come_from_every_part() {
    let mut policies = staffed();
    let entry = |selector| ApproverEntry { selector, min: 1 };
    let approvers = vec![
        entry(Selector::Group("approving".to_owned())),
        entry(Selector::User("erin".to_owned())),
        entry(Selector::Role("writer".to_owned())),
    ];
    policies.workflows.push(Workflow {
        steps: vec![WorkflowStep {
            mode: Mode::Any,
            approvers,
        }],
        ..Workflow::new(Scope::any())
    });
    policies.result.push(ResultPolicy {
        access: vec![
            Selector::Group("reading".to_owned()),
            Selector::Role("reader".to_owned()),
            Selector::Requester,
        ],
        ..ResultPolicy::default()
    });
    policies.notification.push(NotificationPolicy {
        scope: Scope::any(),
        remind_after_secs: None,
        escalate_after_secs: None,
        escalate_to: vec![Selector::User("frank".to_owned())],
        webhooks: BTreeSet::new(),
        events: notification::EventFilter::new(Vec::new()),
    });
    policies.bindings[0].groups.insert("bound".to_owned());
    policies.bindings[0].subjects.insert("grace".to_owned());
    assert_eq!(
        joined(policies.group_names()),
        "approving bound dba reading rota service"
    );
    assert_eq!(joined(policies.people()), "ann erin frank grace");
    for (role, is_named) in [("writer", true), ("reader", true), ("mapped", false)] {
        assert_eq!(policies.names_role(role), is_named, "{role}");
    }
}

#[test]
fn roles_come_from_bindings_claims_or_a_default() {
    let mut policies = staffed();
    policies.bindings.push(Binding {
        role: "mapped".to_owned(),
        subjects: BTreeSet::new(),
        groups: ["dba".to_owned()].into(),
    });
    // Neither of these gives anybody anything.
    for role in [Role::AGENT, "gone"] {
        policies.bindings.push(Binding {
            role: role.to_owned(),
            subjects: ["ann".to_owned(), "eve".to_owned()].into(),
            groups: BTreeSet::new(),
        });
    }
    for role in ["guest", Role::AGENT] {
        policies.role_mappings.push(RoleMapping {
            claim: "roles".to_owned(),
            value: "v".to_owned(),
            role: role.to_owned(),
        });
    }
    // Who, in which groups, with which value of the claim; roles by binding, of a person, and by claims.
    let table = "
who | groups | value | bound         | person        | claimed
ann |        |       | writer        | writer        | writer
ann | dba    |       | mapped writer | mapped writer | mapped writer
ann |        | v     | writer        | writer        | guest writer
eve |        |       |               | reader        | reader
eve | dba    |       | mapped        | mapped        | mapped
eve | other  | w     |               | reader        | reader
eve |        | v     |               | reader        | guest
";
    let found = |policies: &Policies, cell: &[&str]| {
        let groups: BTreeSet<String> = cell[1].split_whitespace().map(str::to_owned).collect();
        let value = cell[2].split_whitespace().map(str::to_owned).collect();
        let values = BTreeMap::from([("roles".to_owned(), value)]);
        [
            names(&policies.bound_roles(cell[0], &groups)),
            names(&policies.roles_of(cell[0], &groups)),
            names(&policies.roles_by_claims(cell[0], &groups, &values)),
        ]
    };
    for (line, cell) in lines(table) {
        assert_eq!(found(&policies, &cell), cell[3..], "{line}");
    }
    // The default for those who come from the provider is before the other; neither makes an agent of anybody.
    let eve = ["eve", "", ""];
    policies.oidc_default_role = Some("guest".to_owned());
    assert_eq!(found(&policies, &eve), ["", "reader", "guest"]);
    policies.oidc_default_role = Some(Role::AGENT.to_owned());
    assert_eq!(found(&policies, &eve), ["", "reader", ""]);
}

#[test]
fn forgotten_role_is_given_to_nobody() {
    let mut policies = staffed();
    let mapping = |role: &str| RoleMapping {
        claim: "roles".to_owned(),
        value: "v".to_owned(),
        role: role.to_owned(),
    };
    policies.role_mappings = vec![mapping("writer"), mapping("guest")];
    policies.oidc_default_role = Some("writer".to_owned());
    let both = ["writer".to_owned(), "reader".to_owned()];
    assert_eq!(names(&policies.named_roles(&both)), "writer reader");
    policies.forget_role("writer");
    assert_eq!(names(&policies.named_roles(&both)), "reader");
    assert_eq!(policies.bindings, []);
    assert_eq!(policies.role_mappings, [mapping("guest")]);
    assert_eq!(policies.oidc_default_role, None);
    assert_eq!(policies.default_role.as_deref(), Some("reader"));
    policies.forget_role("reader");
    assert_eq!(policies.default_role, None);
}

#[test]
fn version_is_the_hash_of_the_text() {
    let policies = registered();
    let version = policies.version();
    assert_eq!(version, sha256_hex(policies.canonical().as_bytes()));
    assert_ne!(version, Policies::empty().version());
}
