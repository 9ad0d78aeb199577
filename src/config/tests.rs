//! Claims about the configuration: what loads, what it then means, and what is refused where.

use super::raw::replication::{
    LEASE_SECS_DEFAULT, PREFIX_DEFAULT, PROGRAM_DEFAULT, SYNC_SECS_DEFAULT,
};
use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::permission::Permission;
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::result::ResultPolicy;
use crate::domain::policy::workflow::{
    ApproverEntry, Dispatch, Mode, Rehearse, Workflow, WorkflowStep,
};
use crate::domain::policy::{Binding, Database};
use crate::domain::scope::Scope;
use crate::domain::sql::{ReviewRule, RuleAction};
use std::collections::BTreeSet;
use std::path::Path;

mod oidc;
mod on_call;
mod outward;
mod people;
mod storage;
mod values;

const BASE: &str = "/srv/dbward";
const EXAMPLE: &str = include_str!("../../server.toml.example");
const QUICKSTART: &str = include_str!("../../tests/configs/quickstart.toml");

fn env(name: &str) -> Option<String> {
    let value = match name {
        "NUMBER" => "4",
        "EMPTY" => "",
        "FLAG" => "true",
        "SENTENCE" => "1 # and more",
        "QUOTED" => r#"a"b'c\d"#,
        "LINES" => "a\"\nworkers = 1\n#",
        "AGAIN" => "${NUMBER}",
        "DIR" => "/data",
        "WEBHOOK_SECRET"
        | "SMTP_PASSWORD"
        | "SLACK_BOT_TOKEN"
        | "SLACK_SIGNING_SECRET"
        | "ON_CALL_TOKEN"
        | "OIDC_CLIENT_SECRET" => "s3cret",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Path::new(BASE), &env)
}

#[track_caller]
fn loads(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[track_caller]
fn refused(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err("this must not load");
    problems.list.iter().map(Problem::to_string).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn minimal() -> Config {
    loads("state_dir = \"./state\"")
}

/// But for those of environments without a workflow, which most of these files have on purpose.
fn warnings(config: &Config) -> Vec<String> {
    let all = config.warnings.iter().map(Problem::to_string);
    all.filter(|w| !w.contains("no workflow applies")).collect()
}

#[test]
fn defaults_are_those_that_are_documented() {
    let config = minimal();
    assert_eq!(config.state_dir, Path::new("/srv/dbward/state"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.process.workers, 48);
    assert_eq!(config.process.shutdown_grace_secs, 20);
    assert_eq!(config.redaction, Redaction::Literals);
    assert_eq!(config.result_storage.max_persist_bytes, 10_485_760);
    assert_eq!(
        config.result_storage.root_dir,
        Path::new("/srv/dbward/state/results")
    );
    assert_eq!(config.result_channel.max_slots, 10_000);
    assert_eq!(config.result_channel.slot_ttl_secs, 600);
    assert_eq!(config.logging.level, log::LevelFilter::Info);
    assert_eq!(config.logging.format, LogFormat::Text);
    assert_eq!(config.policies, Policies::empty());
    assert_eq!(config.policies.approval_ttl_secs, 86_400);
    assert_eq!(config.policies.dispatch_timeout_secs, 300);
    assert!(config.trusted_proxies.is_empty() && config.users.is_empty());
    assert!(config.warnings.is_empty());
}

#[test]
fn example_uncommented_equals_the_defaults() {
    let mut config = loads(&storage::uncommented(EXAMPLE));
    storage::assert_defaults(config.result_storage.s3.take());
    let replication = config.replication.take().unwrap();
    assert_eq!(
        (replication.lease_secs, replication.sync_timeout_secs),
        (LEASE_SECS_DEFAULT, SYNC_SECS_DEFAULT)
    );
    assert_eq!(
        (replication.bucket.prefix.as_str(), replication.litestream),
        (PREFIX_DEFAULT, PROGRAM_DEFAULT.into())
    );

    // What has no default: the entries of lists, the role of strangers, limits that other keys set otherwise.
    let workflow = Workflow {
        pending_ttl_secs: Some(86_400),
        approval_ttl_secs: Some(86_400),
        statement_timeout_secs: Some(30),
        steps: vec![WorkflowStep {
            mode: Mode::All,
            approvers: vec![ApproverEntry {
                selector: Selector::Role("admin".to_owned()),
                min: 1,
            }],
        }],
        ..Workflow::new(Scope::any())
    };
    assert_eq!(std::mem::take(&mut config.policies.workflows), [workflow]);
    let execution = ExecutionPolicy {
        max_rows: Some(10_000),
        migration_statement_timeout_secs: Some(0),
        migration_lease_duration_secs: Some(600),
        max_affected_rows: Some(1_000),
        lock_timeout_secs: Some(5),
        ..ExecutionPolicy::default()
    };
    assert_eq!(std::mem::take(&mut config.policies.execution), [execution]);
    let auto = std::mem::take(&mut config.policies.auto_approve);
    assert_eq!(auto, [AutoApprove::new(Scope::any())]);
    let result = std::mem::take(&mut config.policies.result);
    assert_eq!(result, [ResultPolicy::default()]);
    let review = std::mem::take(&mut config.policies.review);
    for rule in ReviewRule::ALL {
        assert_eq!(review[0].action(rule), rule.default_action(), "{rule:?}");
        assert!(review[0].actions.contains_key(&rule), "{rule:?}");
    }
    assert_eq!(config.policies.databases.len(), 1);
    assert_eq!(
        config.policies.databases[0].dialect,
        Some(Dialect::Postgres)
    );
    assert_eq!(config.policies.default_role.as_deref(), Some("readonly"));
    assert!(config.policies.roles["dba"].covers_all());
    assert!(config.users[0].active);
    // All the rest.
    let mut default = minimal();
    default.policies = config.policies.clone();
    default.users = config.users.clone();
    default.webhooks = config.webhooks.clone();
    default.public_url = config.public_url.clone();
    default.email = config.email.clone();
    default.slack = config.slack.clone();
    default.outbound_proxy = config.outbound_proxy.clone();
    default.warnings = config.warnings.clone();
    default.secrets = config.secrets.clone();
    assert_eq!(config, default);
    let (spanned, default) = (&config.policies, Policies::empty());
    assert_eq!(spanned.approval_ttl_secs, default.approval_ttl_secs);
    assert_eq!(spanned.dispatch_timeout_secs, default.dispatch_timeout_secs);
}

/// `UPDATE_GOLDEN=1 cargo test --lib example_is` writes it anew.
#[test]
fn example_is_the_text_of_the_declarations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("server.toml.example");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, example()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    for (kept, declared) in kept.lines().zip(example().lines()) {
        assert_eq!(kept, declared);
    }
    assert_eq!(kept, example());
    let set = kept.replace("#state_dir", "state_dir");
    assert_eq!(loads(&set), minimal());
}

#[test]
fn review_is_one_table_or_several_and_most_specific_decides() {
    let one = loads("state_dir = \"./state\"\n[sql_review]\nno_where_delete = \"warn\"\n");
    let target = |environment: &str| Target::new("app", environment).unwrap();
    let action = |config: &Config, environment: &str, rule: ReviewRule| {
        config.policies.review(&target(environment)).action(rule)
    };
    assert_eq!(
        action(&one, "production", ReviewRule::NoWhereDelete),
        RuleAction::Warn
    );
    assert_eq!(
        action(&one, "production", ReviewRule::NoWhereUpdate),
        RuleAction::Block
    );
    let two = loads(
        "state_dir = \"./state\"\n[[sql_review]]\nlarge_in_list = \"off\"\n[[sql_review]]\nenvironment = \"production\"\n\
         drop_column = \"block\"\n",
    );
    assert_eq!(
        action(&two, "production", ReviewRule::DropColumn),
        RuleAction::Block
    );
    assert_eq!(
        action(&two, "production", ReviewRule::LargeInList),
        RuleAction::Warn
    );
    assert_eq!(
        action(&two, "staging", ReviewRule::LargeInList),
        RuleAction::Off
    );
    assert_ne!(one.policies.version(), two.policies.version());
}

#[test]
fn quickstart_loads_and_every_key_has_its_effect() {
    let config = loads(QUICKSTART);
    assert_eq!(config.state_dir, Path::new("/srv/dbward/state"));
    assert_eq!(config.result_storage, minimal().result_storage);
    assert_eq!(
        config.policies.databases,
        [Database {
            name: "app".to_owned(),
            environments: vec!["development".to_owned(), "staging".to_owned()],
            dialect: None,
        }]
    );
    let on = |environment: &str| {
        let target = Target::new("app", environment).unwrap();
        config
            .policies
            .workflow(&target, Operation::ExecuteDml)
            .cloned()
    };
    assert_eq!(on("development").unwrap().steps, []);
    assert_eq!(
        on("staging").unwrap().steps,
        [WorkflowStep {
            mode: Mode::All,
            approvers: vec![ApproverEntry {
                selector: Selector::Role("admin".to_owned()),
                min: 1
            }],
        }]
    );
    assert_eq!(on("production"), None);
    assert_eq!(warnings(&config), Vec::<String>::new());
}

const EVERYTHING: &str = r#"
state_dir = "/data"
listen = "[::1]:8080"
workers = 4
shutdown_grace_secs = 0
dispatch_timeout_secs = 60
trusted_proxies = ["10.1.2.3/8", "::1"]

[[databases]]
name = "app"
environments = ["staging", "production"]
dialect = "mysql"

[[workflows]]
database = "app"
environment = "production"
operations = ["execute_dml", "migrate_up"]
require_reason = true
allow_self_approve = true
allow_same_approver_across_steps = false
admin_override = false
distinct_token_issuer = true
explain = false
pending_ttl_secs = 7200
approval_ttl_secs = 600
statement_timeout_secs = 45
dispatch = "on_approval"
rehearse = "before_approval"
[[workflows.steps]]
type = "approval"
mode = "any"
[[workflows.steps.approvers]]
group = "team"
min = 2
[[workflows.steps.approvers]]
user = "third"

[[execution_policies]]
database = "app"
environment = "production"
max_executions = 3
execution_window_secs = 3600
retry_on_failure = true
statement_timeout_secs = 10
max_statement_timeout_secs = 60
max_rows = 1000
migration_statement_timeout_secs = 50
migration_lease_duration_secs = 900

[auth]
mode = "token"
default_role = "readonly"
[[auth.roles]]
name = "dba"
permissions = ["request.query", "request.approve", "agent.operate"]
databases = ["app"]
environments = ["*"]
[[auth.groups]]
name = "team"
members = ["first", "second"]
[[auth.role_bindings]]
role = "dba"
subjects = ["third"]
groups = ["team"]

[[users]]
id = "first"
[[users]]
id = "fourth"
status = "suspended"

[retention]
approval_ttl_secs = 1000
[audit]
redaction = "full"
[result_storage]
backend = "local"
root_dir = "objects"
max_persist_bytes = 1024
[result_channel]
max_slots = 5
slot_ttl_secs = 6
[logging]
level = "warn"
format = "json"
"#;

#[test]
fn server_keys_have_their_effect() {
    let config = loads(EVERYTHING);
    assert_eq!(config.state_dir, Path::new("/data"));
    assert_eq!(config.listen.to_string(), "[::1]:8080");
    assert_eq!(
        (config.process.workers, config.process.shutdown_grace_secs),
        (4, 0)
    );
    let proxies: Vec<_> = config.trusted_proxies.iter().map(Cidr::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.redaction, Redaction::Full);
    assert_eq!(
        config.result_storage.root_dir,
        Path::new("/srv/dbward/objects")
    );
    assert_eq!(config.result_storage.max_persist_bytes, 1024);
    assert_eq!(config.result_channel.max_slots, 5);
    assert_eq!(config.result_channel.slot_ttl_secs, 6);
    assert_eq!(config.logging.level, log::LevelFilter::Warn);
    assert_eq!(config.logging.format, LogFormat::Json);
    let users: Vec<_> = config
        .users
        .iter()
        .map(|u| (u.id.as_str(), u.active))
        .collect();
    assert_eq!(users, [("first", true), ("fourth", false)]);
}

#[test]
fn policy_keys_have_their_effect() {
    let policies = loads(EVERYTHING).policies;
    let scope = Scope {
        database: "app".to_owned(),
        environment: "production".to_owned(),
    };
    let entry = |selector, min| ApproverEntry { selector, min };
    assert_eq!(
        policies.workflows,
        [Workflow {
            scope: scope.clone(),
            operations: BTreeSet::from([Operation::ExecuteDml, Operation::MigrateUp]),
            steps: vec![WorkflowStep {
                mode: Mode::Any,
                approvers: vec![
                    entry(Selector::Group("team".to_owned()), 2),
                    entry(Selector::User("third".to_owned()), 1)
                ],
            }],
            require_reason: true,
            allow_self_approve: true,
            allow_same_approver_across_steps: false,
            admin_override: false,
            distinct_token_issuer: true,
            explain: false,
            pending_ttl_secs: Some(7200),
            approval_ttl_secs: Some(600),
            statement_timeout_secs: Some(45),
            dispatch: Dispatch::OnApproval,
            rehearse: Rehearse::BeforeApproval,
        }]
    );
    assert_eq!(
        policies.execution,
        [ExecutionPolicy {
            scope,
            max_executions: 3,
            execution_window_secs: 3600,
            retry_on_failure: true,
            statement_timeout_secs: 10,
            max_statement_timeout_secs: 60,
            max_rows: Some(1000),
            migration_lease_duration_secs: Some(900),
            migration_statement_timeout_secs: Some(50),
            ..ExecutionPolicy::default()
        }]
    );
    assert_eq!(policies.databases[0].dialect, Some(Dialect::MySql));
    assert_eq!(policies.default_role.as_deref(), Some("readonly"));
    let dba = &policies.roles["dba"];
    assert!(dba.grants(Permission::RequestCreateSelect) && dba.grants(Permission::AgentPoll));
    assert_eq!(dba.scope.databases, ["app"]);
    assert_eq!(dba.scope.environments, ["*"]);
    assert_eq!(policies.groups["team"], set(&["first", "second"]));
    assert_eq!(
        policies.bindings,
        [Binding {
            role: "dba".to_owned(),
            subjects: set(&["third"]),
            groups: set(&["team"]),
        }]
    );
    assert_eq!(policies.approval_ttl_secs, 1000);
    assert_eq!(policies.dispatch_timeout_secs, 60);
}

/// Each `bad-*.toml` begins with `# expect: <line>: <key>: <substring>`, one for every problem it has.
#[test]
fn bad_files_are_refused_with_every_problem_in_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("bad-") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<_> = text
            .lines()
            .filter_map(|l| l.strip_prefix("# expect: "))
            .map(|l| l.splitn(3, ": ").collect::<Vec<_>>())
            .map(|e| (e[0].to_owned(), e[1].to_owned(), e[2].to_owned()))
            .collect();
        let problems = parse(&text).expect_err(&name);
        for (line, key, part) in &expected {
            let meets = |p: &&Problem| {
                p.line == line.parse().ok() && p.key == *key && p.message.contains(part)
            };
            assert!(
                problems.list.iter().any(|p| meets(&p)),
                "{name}: no problem `{line}: {key}: {part}` in\n{problems}"
            );
        }
        assert_eq!(problems.list.len(), expected.len(), "{name}:\n{problems}");
    }
    assert!(files >= 10, "only {files} fixtures were found");
}

#[test]
fn problems_print_as_file_line_key_message() {
    let problems = parse("workers = 0\nstate = 1").unwrap_err();
    let text = problems.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.contains(&"server.toml:1: state_dir: this key is required"));
    assert!(
        lines.contains(&"server.toml:1: workers: `0` is not within 1 to 512"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("server.toml:2: state: unknown key"),
        "{text}"
    );
}
