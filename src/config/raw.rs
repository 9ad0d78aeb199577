//! What server.toml said, key by key, with the place of every value that a check may complain about.
//!
//! [`RawConfig::read`] knows types and key names only; what the values mean is for the checks.

mod auth;
mod outward;
mod storage;

pub use auth::{RawAuth, RawBinding, RawGroup, RawOidc, RawRole};
pub use outward::{RawNotificationPolicy, RawSecret, RawSlack, RawWebhook};
pub use storage::RawResultStorage;

use super::problem::{Notes, Place, Said};
use super::reader::{Document, Known, Section};
use crate::domain::sql::Rule;

/// Registered databases, at most: each is looked at for every workflow.
pub const DATABASES_MAX: usize = 500;
/// Environments of one database, at most.
pub const ENVIRONMENTS_MAX: usize = 32;
/// Workflows, at most; likewise execution policies.
pub const POLICIES_MAX: usize = 500;
/// Steps of one workflow, at most: nobody waits for more hands than this.
pub const STEPS_MAX: usize = 16;
/// Approver entries of one step, at most.
pub const APPROVERS_MAX: usize = 16;
/// Roles, groups, and role bindings, at most of each.
pub const ROLES_MAX: usize = 1_000;
/// Users, members of one group, and subjects of one binding, at most of each.
pub const PEOPLE_MAX: usize = 10_000;
/// Names in a list of permissions or operations, at most; there are fewer.
pub const NAMES_MAX: usize = 64;
/// Webhooks, at most: each may be told of every event, with a row for it.
pub const WEBHOOKS_MAX: usize = 50;
/// Channels of Slack, at most: one an environment.
pub const CHANNELS_MAX: usize = 500;
/// Trusted proxies, at most: the list is walked for every call.
pub const PROXIES_MAX: usize = 256;

/// Every key there is, by the table it stands in. Anything else is an error.
pub const KEYS: Known = &[
    (
        "",
        &[
            "state_dir",
            "listen",
            "workers",
            "shutdown_grace_secs",
            "dispatch_timeout_secs",
            "calls_per_minute",
            "trusted_proxies",
            "allow_private_networks",
            "databases",
            "workflows",
            "execution_policies",
            "sql_review",
            "auto_approve",
            "result_policies",
            "webhooks",
            "notification_policies",
            "slack",
            "auth",
            "users",
            "retention",
            "audit",
            "result_storage",
            "result_channel",
            "logging",
        ],
    ),
    ("databases", &["name", "environments", "dialect"]),
    (
        "workflows",
        &[
            "database",
            "environment",
            "operations",
            "steps",
            "require_reason",
            "allow_self_approve",
            "allow_same_approver_across_steps",
            "admin_override",
            "distinct_token_issuer",
            "explain",
            "pending_ttl_secs",
            "approval_ttl_secs",
            "statement_timeout_secs",
        ],
    ),
    ("workflows.steps", &["type", "mode", "approvers"]),
    (
        "workflows.steps.approvers",
        &["role", "group", "user", "min"],
    ),
    (
        "execution_policies",
        &[
            "database",
            "environment",
            "max_executions",
            "execution_window_secs",
            "retry_on_failure",
            "statement_timeout_secs",
            "max_statement_timeout_secs",
            "max_rows",
            "migration_statement_timeout_secs",
            "migration_lease_duration_secs",
        ],
    ),
    (
        "auto_approve",
        &[
            "database",
            "environment",
            "risk",
            "allow_read_only",
            "allow_safe_ddl",
            "max_estimated_rows",
        ],
    ),
    (
        "result_policies",
        &[
            "database",
            "environment",
            "retention_days",
            "delivery_mode",
            "access",
        ],
    ),
    (
        "webhooks",
        &["id", "url", "events", "format", "secret", "secret_file"],
    ),
    (
        "notification_policies",
        &["database", "environment", "webhooks", "events"],
    ),
    (
        "slack",
        &[
            "bot_token",
            "bot_token_file",
            "signing_secret",
            "signing_secret_file",
            "channel",
            "channels",
        ],
    ),
    (
        "sql_review",
        &[
            "database",
            "environment",
            "no_where_delete",
            "no_where_update",
            "drop_table",
            "drop_column",
            "not_null_without_default",
            "create_index_not_concurrently",
            "alter_column_type",
            "truncate",
            "mixed_ddl_dml",
            "large_in_list",
            "drop_index",
            "drop_view",
            "drop_sequence",
            "create_sequence",
        ],
    ),
    (
        "auth",
        &[
            "mode",
            "default_role",
            "roles",
            "groups",
            "role_bindings",
            "oidc",
        ],
    ),
    (
        "auth.roles",
        &["name", "permissions", "databases", "environments"],
    ),
    ("auth.groups", &["name", "members"]),
    ("auth.role_bindings", &["role", "subjects", "groups"]),
    (
        "auth.oidc",
        &[
            "issuer_url",
            "issuer",
            "client_id",
            "audience",
            "jwks_uri",
            "groups_claim",
            "default_role",
            "role_mappings",
        ],
    ),
    ("auth.oidc.role_mappings", &["claim", "value", "role"]),
    ("users", &["id", "status"]),
    (
        "retention",
        &[
            "approval_ttl_secs",
            "request_ttl_days",
            "result_ttl_days",
            "audit_ttl_days",
        ],
    ),
    ("audit", &["redaction"]),
    (
        "result_storage",
        &[
            "backend",
            "root_dir",
            "max_persist_bytes",
            "bucket",
            "region",
            "endpoint",
            "path_style",
            "prefix",
            "expiry_tag",
            "access_key_id",
            "access_key_id_file",
            "secret_access_key",
            "secret_access_key_file",
            "session_token",
            "session_token_file",
        ],
    ),
    ("result_channel", &["max_slots", "slot_ttl_secs"]),
    ("logging", &["level", "format"]),
];

/// A string that may be absent.
pub type Text = Option<Said<String>>;
/// A number that may be absent.
pub type Number = Option<Said<u64>>;
/// A list of strings, with the place of the list; absent and empty are the same.
pub type Texts = Said<Vec<Said<String>>>;

/// The whole file. Fields are the keys.
#[derive(Debug)]
pub struct RawConfig {
    /// The file itself, for what is missing from it.
    pub at: Place,
    pub state_dir: Text,
    pub listen: Text,
    pub workers: Number,
    pub shutdown_grace_secs: Number,
    pub dispatch_timeout_secs: Number,
    pub calls_per_minute: Number,
    pub trusted_proxies: Texts,
    pub allow_private_networks: Option<bool>,
    pub databases: Vec<RawDatabase>,
    pub workflows: Vec<RawWorkflow>,
    pub execution_policies: Vec<RawExecutionPolicy>,
    pub sql_review: Vec<RawReview>,
    pub auto_approve: Vec<RawAutoApprove>,
    pub result_policies: Vec<RawResultPolicy>,
    pub webhooks: Vec<RawWebhook>,
    pub notification_policies: Vec<RawNotificationPolicy>,
    pub slack: Option<RawSlack>,
    pub auth: RawAuth,
    pub users: Vec<RawUser>,
    pub retention: RawRetention,
    pub redaction: Text,
    pub result_storage: Option<RawResultStorage>,
    pub max_slots: Number,
    pub slot_ttl_secs: Number,
    pub level: Text,
    pub format: Text,
}

/// `[retention]`.
#[derive(Debug)]
pub struct RawRetention {
    pub approval_ttl_secs: Number,
    pub request_ttl_days: Number,
    pub result_ttl_days: Number,
    pub audit_ttl_days: Number,
}

impl RawRetention {
    fn from(section: Option<Section<'_>>) -> RawRetention {
        let number = |key| section.as_ref().and_then(|s| s.number(key));
        RawRetention {
            approval_ttl_secs: number("approval_ttl_secs"),
            request_ttl_days: number("request_ttl_days"),
            result_ttl_days: number("result_ttl_days"),
            audit_ttl_days: number("audit_ttl_days"),
        }
    }
}

/// `[[databases]]`.
#[derive(Debug)]
pub struct RawDatabase {
    pub at: Place,
    pub name: Text,
    pub environments: Texts,
    pub dialect: Text,
}

/// `[[workflows]]`.
#[derive(Debug)]
pub struct RawWorkflow {
    pub at: Place,
    pub database: Text,
    pub environment: Text,
    pub operations: Texts,
    pub steps: Vec<RawStep>,
    pub require_reason: Option<bool>,
    pub allow_self_approve: Option<bool>,
    pub allow_same_approver_across_steps: Option<bool>,
    pub admin_override: Option<bool>,
    pub distinct_token_issuer: Option<bool>,
    pub explain: Option<bool>,
    pub pending_ttl_secs: Number,
    pub approval_ttl_secs: Number,
    pub statement_timeout_secs: Number,
}

/// `[[workflows.steps]]`.
#[derive(Debug)]
pub struct RawStep {
    pub at: Place,
    pub kind: Text,
    pub mode: Text,
    pub approvers: Said<Vec<RawApprover>>,
}

/// `[[workflows.steps.approvers]]`.
#[derive(Debug)]
pub struct RawApprover {
    pub at: Place,
    pub role: Text,
    pub group: Text,
    pub user: Text,
    pub min: Number,
}

/// `[[execution_policies]]`.
#[derive(Debug)]
pub struct RawExecutionPolicy {
    pub at: Place,
    pub database: Text,
    pub environment: Text,
    pub max_executions: Number,
    pub execution_window_secs: Number,
    pub retry_on_failure: Option<bool>,
    pub statement_timeout_secs: Number,
    pub max_statement_timeout_secs: Number,
    pub max_rows: Number,
    pub migration_statement_timeout_secs: Number,
    pub migration_lease_duration_secs: Number,
}

/// `[[auto_approve]]`.
#[derive(Debug)]
pub struct RawAutoApprove {
    pub at: Place,
    pub database: Text,
    pub environment: Text,
    pub risk: Text,
    pub allow_read_only: Option<bool>,
    pub allow_safe_ddl: Option<bool>,
    pub max_estimated_rows: Number,
}

/// `[[result_policies]]`.
#[derive(Debug)]
pub struct RawResultPolicy {
    pub at: Place,
    pub database: Text,
    pub environment: Text,
    pub retention_days: Number,
    pub delivery_mode: Text,
    pub access: Texts,
}

/// `[sql_review]`, or one of `[[sql_review]]`.
#[derive(Debug)]
pub struct RawReview {
    pub at: Place,
    pub database: Text,
    pub environment: Text,
    /// Rules that are named, with what they are to do.
    pub actions: Vec<(Rule, Said<String>)>,
}

/// `[[users]]`.
#[derive(Debug)]
pub struct RawUser {
    pub at: Place,
    pub id: Text,
    pub status: Text,
}

impl RawConfig {
    /// Reads expanded text. `None` where it is not TOML; the notes hold syntax errors, unknown keys and wrong types.
    pub fn read(text: &str) -> (Option<RawConfig>, Notes) {
        Document::read(text, KEYS, RawConfig::from_root)
    }

    fn from_root(root: &Section<'_>) -> RawConfig {
        let channel = root.section("result_channel");
        let logging = root.section("logging");
        RawConfig {
            at: root.at.clone(),
            state_dir: root.text("state_dir"),
            listen: root.text("listen"),
            workers: root.number("workers"),
            shutdown_grace_secs: root.number("shutdown_grace_secs"),
            dispatch_timeout_secs: root.number("dispatch_timeout_secs"),
            calls_per_minute: root.number("calls_per_minute"),
            trusted_proxies: root.texts("trusted_proxies", PROXIES_MAX),
            allow_private_networks: root.flag("allow_private_networks"),
            databases: each(root, "databases", DATABASES_MAX, RawDatabase::from),
            workflows: each(root, "workflows", POLICIES_MAX, RawWorkflow::from),
            execution_policies: each(
                root,
                "execution_policies",
                POLICIES_MAX,
                RawExecutionPolicy::from,
            ),
            sql_review: root
                .section_or_sections("sql_review", POLICIES_MAX)
                .iter()
                .map(RawReview::from)
                .collect(),
            auto_approve: each(root, "auto_approve", POLICIES_MAX, RawAutoApprove::from),
            result_policies: each(root, "result_policies", POLICIES_MAX, RawResultPolicy::from),
            webhooks: each(root, "webhooks", WEBHOOKS_MAX, RawWebhook::from),
            notification_policies: each(
                root,
                "notification_policies",
                POLICIES_MAX,
                RawNotificationPolicy::from,
            ),
            slack: root.section("slack").map(|s| RawSlack::from(&s)),
            auth: root
                .section("auth")
                .map_or_else(RawAuth::default, |s| RawAuth::from(&s)),
            users: each(root, "users", PEOPLE_MAX, RawUser::from),
            retention: RawRetention::from(root.section("retention")),
            redaction: root.section("audit").and_then(|s| s.text("redaction")),
            result_storage: root
                .section("result_storage")
                .map(|s| RawResultStorage::from(&s)),
            max_slots: channel.as_ref().and_then(|s| s.number("max_slots")),
            slot_ttl_secs: channel.as_ref().and_then(|s| s.number("slot_ttl_secs")),
            level: logging.as_ref().and_then(|s| s.text("level")),
            format: logging.as_ref().and_then(|s| s.text("format")),
        }
    }
}

fn each<T>(outer: &Section<'_>, key: &str, max: usize, read: fn(&Section<'_>) -> T) -> Vec<T> {
    outer.sections(key, max).iter().map(read).collect()
}

impl RawAutoApprove {
    fn from(s: &Section<'_>) -> RawAutoApprove {
        RawAutoApprove {
            at: s.at.clone(),
            database: s.text("database"),
            environment: s.text("environment"),
            risk: s.text("risk"),
            allow_read_only: s.flag("allow_read_only"),
            allow_safe_ddl: s.flag("allow_safe_ddl"),
            max_estimated_rows: s.number("max_estimated_rows"),
        }
    }
}

impl RawResultPolicy {
    fn from(s: &Section<'_>) -> RawResultPolicy {
        RawResultPolicy {
            at: s.at.clone(),
            database: s.text("database"),
            environment: s.text("environment"),
            retention_days: s.number("retention_days"),
            delivery_mode: s.text("delivery_mode"),
            access: s.texts("access", NAMES_MAX),
        }
    }
}

impl RawReview {
    fn from(s: &Section<'_>) -> RawReview {
        let said = |rule: &Rule| Some((*rule, s.text(rule.as_str())?));
        RawReview {
            at: s.at.clone(),
            database: s.text("database"),
            environment: s.text("environment"),
            actions: Rule::ALL.iter().filter_map(said).collect(),
        }
    }
}

impl RawDatabase {
    fn from(s: &Section<'_>) -> RawDatabase {
        RawDatabase {
            at: s.at.clone(),
            name: s.text("name"),
            environments: s.texts("environments", ENVIRONMENTS_MAX),
            dialect: s.text("dialect"),
        }
    }
}

impl RawWorkflow {
    fn from(s: &Section<'_>) -> RawWorkflow {
        RawWorkflow {
            at: s.at.clone(),
            database: s.text("database"),
            environment: s.text("environment"),
            operations: s.texts("operations", NAMES_MAX),
            steps: each(s, "steps", STEPS_MAX, RawStep::from),
            require_reason: s.flag("require_reason"),
            allow_self_approve: s.flag("allow_self_approve"),
            allow_same_approver_across_steps: s.flag("allow_same_approver_across_steps"),
            admin_override: s.flag("admin_override"),
            distinct_token_issuer: s.flag("distinct_token_issuer"),
            explain: s.flag("explain"),
            pending_ttl_secs: s.number("pending_ttl_secs"),
            approval_ttl_secs: s.number("approval_ttl_secs"),
            statement_timeout_secs: s.number("statement_timeout_secs"),
        }
    }
}

impl RawStep {
    fn from(s: &Section<'_>) -> RawStep {
        RawStep {
            at: s.at.clone(),
            kind: s.text("type"),
            mode: s.text("mode"),
            approvers: Said {
                value: each(s, "approvers", APPROVERS_MAX, RawApprover::from),
                at: s.place("approvers"),
            },
        }
    }
}

impl RawApprover {
    fn from(s: &Section<'_>) -> RawApprover {
        RawApprover {
            at: s.at.clone(),
            role: s.text("role"),
            group: s.text("group"),
            user: s.text("user"),
            min: s.number("min"),
        }
    }
}

impl RawExecutionPolicy {
    fn from(s: &Section<'_>) -> RawExecutionPolicy {
        RawExecutionPolicy {
            at: s.at.clone(),
            database: s.text("database"),
            environment: s.text("environment"),
            max_executions: s.number("max_executions"),
            execution_window_secs: s.number("execution_window_secs"),
            retry_on_failure: s.flag("retry_on_failure"),
            statement_timeout_secs: s.number("statement_timeout_secs"),
            max_statement_timeout_secs: s.number("max_statement_timeout_secs"),
            max_rows: s.number("max_rows"),
            migration_statement_timeout_secs: s.number("migration_statement_timeout_secs"),
            migration_lease_duration_secs: s.number("migration_lease_duration_secs"),
        }
    }
}

impl RawUser {
    fn from(s: &Section<'_>) -> RawUser {
        RawUser {
            at: s.at.clone(),
            id: s.text("id"),
            status: s.text("status"),
        }
    }
}
