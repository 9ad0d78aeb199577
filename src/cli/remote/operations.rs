//! What there is on a server: databases, agents, tables, policies, webhooks, and what was logged.

use super::super::Failure;
use super::super::output::{operation_words, selector_words, visible};
use super::listing::{Kind, Listing};
use super::target::TargetOptions;
use super::{CommandError, CommonOptions, ServerSession, with};
use crate::client::{path_of, with_query};
use serde_json::{Value, json};
use std::fmt::Write as _;

const DATABASES: Listing = Listing {
    key: "databases",
    columns: &[
        ("DATABASE", "database", Kind::Text),
        ("ENVIRONMENT", "environment", Kind::Text),
    ],
    empty: "There are no databases that you may see.",
};

/// `databases`
pub fn databases(session: &ServerSession) -> Result<u8, CommandError> {
    DATABASES.print(session, &path_of(&["databases"]))
}

const AGENTS: Listing = Listing {
    key: "agents",
    columns: &[
        ("AGENT", "id", Kind::Text),
        ("STATUS", "status", Kind::Text),
        ("SERVES", "capabilities.databases", Kind::Targets),
        ("RUNS", "in_flight", Kind::Number),
        ("OF", "max_concurrent", Kind::Number),
        ("VERSION", "version", Kind::Text),
        ("SEEN", "last_seen_at", Kind::Time),
    ],
    empty: "No agent has come yet: start one with `dbward agent`.",
};

/// `agents`
pub fn agents(session: &ServerSession) -> Result<u8, CommandError> {
    AGENTS.print(session, &path_of(&["agents"]))
}

/// Which tables.
#[derive(Debug, clap::Args)]
pub struct SchemaOptions {
    /// One table, with its columns: NAME or SCHEMA.NAME
    #[arg(value_name = "TABLE")]
    table: Option<String>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    pub common: CommonOptions,
}

const TABLES: Listing = Listing {
    key: "tables",
    columns: &[
        ("TABLE", "name", Kind::Text),
        ("SCHEMA", "schema_name", Kind::Text),
        ("ROWS", "estimated_rows", Kind::Number),
        ("COLUMNS", "column_count", Kind::Number),
        ("INDEXES", "index_count", Kind::Number),
    ],
    empty: "It has no tables.",
};

/// `schema`
pub fn schema(session: &ServerSession, o: &SchemaOptions) -> Result<u8, CommandError> {
    let (database, environment) = o.target.resolve(&session.settings)?;
    let parameters = [
        ("environment", Some(environment)),
        ("table", o.table.clone()),
    ];
    let path = with_query(&path_of(&["schemas", &database]), &parameters);
    if o.table.is_none() {
        return TABLES.print(session, &path);
    }
    let document = session.client.fetch(&path)?;
    let read: Value = document.read()?;
    let table = &read["table"];
    let text = |value: &Value| match value {
        Value::String(text) => visible(text),
        Value::Null => String::new(),
        other => visible(&other.to_string()),
    };
    let mut out = format!(
        "  {}.{}, about {} rows\n",
        text(&table["schema_name"]),
        text(&table["name"]),
        text(&table["estimated_rows"])
    );
    for column in table["columns"].as_array().into_iter().flatten() {
        let kind = [&column["data_type"], &column["type"]]
            .into_iter()
            .map(text)
            .find(|t| !t.is_empty());
        let nullable = if column["nullable"] == json!(false) {
            " not null"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  {:<24}  {}{nullable}",
            text(&column["name"]),
            kind.unwrap_or_default()
        );
    }
    for index in table["indexes"].as_array().into_iter().flatten() {
        let columns: Vec<String> = index["columns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        let unique = if index["unique"] == json!(true) || index["is_unique"] == json!(true) {
            "unique "
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  {unique}index {} ({})",
            text(&index["name"]),
            columns.join(", ")
        );
    }
    session.done(&document, &out, &text(&table["name"]))
}

/// Which policies.
#[derive(Debug, clap::Args)]
pub struct ResolveOptions {
    /// Only this operation, such as execute_dml
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Predict the decision for this statement
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    pub common: CommonOptions,
}

/// `policy resolve`
pub fn resolve(session: &ServerSession, o: &ResolveOptions) -> Result<u8, CommandError> {
    let (database, environment) = o.target.resolve(&session.settings)?;
    let parameters = [
        ("database", Some(database)),
        ("environment", Some(environment)),
        ("operation", o.operation.clone()),
        ("sql", o.sql.clone()),
    ];
    let document = session
        .client
        .fetch(&with_query(&path_of(&["policy-resolution"]), &parameters))?;
    let read: Value = document.read()?;
    let preview = read["decision_preview"].as_str().unwrap_or_default();
    session.done(&document, &resolution(&read), preview)
}

fn resolution(read: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), visible);
    let decision = |value: &Value| {
        format!(
            "{}: {}",
            text(&value["decision_preview"]),
            text(&value["reason_code"])
        )
    };
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = format!(
        "  {} / {}\n",
        text(&read["database"]),
        text(&read["environment"])
    );
    if read["registered"] == json!(false) {
        out.push_str("  not registered: every request for it is refused\n");
    }
    for one in items(&read["resolutions"]) {
        let name = one["operation"].as_str().unwrap_or_default();
        let _ = writeln!(out, "  {:<18}  {}", operation_words(name), decision(&one));
    }
    if read["operation"].is_string() {
        let _ = writeln!(
            out,
            "  {:<18}  {}",
            text(&read["operation"]),
            decision(read)
        );
    }
    for (n, step) in items(&read["workflow"]["steps"]).iter().enumerate() {
        let who: Vec<String> = items(&step["approvers"])
            .iter()
            .filter_map(Value::as_str)
            .map(selector_words)
            .collect();
        let _ = writeln!(
            out,
            "  {:<18}  {} of {}",
            format!("step {}", n + 1),
            step["min"],
            who.join(" or ")
        );
    }
    let predicted = &read["prediction"];
    if !predicted.is_null() {
        let _ = writeln!(out, "  {:<18}  {}", "this statement", decision(predicted));
    }
    if let Some(message) = predicted["message"].as_str() {
        let _ = writeln!(out, "  {:<18}  {}", "", visible(message));
    }
    out
}

/// The commands under `webhook`.
#[derive(Debug, clap::Subcommand)]
pub enum WebhookVerb {
    /// List the webhooks of server.toml
    #[command(before_help = "Examples:\n  dbward webhook list")]
    List(CommonOptions),
    /// List what was delivered, what waits, and what was given up
    #[command(before_help = "Examples:\n  dbward webhook deliveries --status dead")]
    Deliveries(DeliveriesOptions),
    /// Deliver something again
    #[command(before_help = "Examples:\n  dbward webhook redeliver wd-0192a4c1")]
    Redeliver(OneDelivery),
    /// Send a test message to a webhook
    #[command(before_help = "Examples:\n  dbward webhook test ops")]
    Test(OneWebhook),
}

#[derive(Debug, clap::Args)]
pub struct DeliveriesOptions {
    /// Only with this status: pending, in_progress, delivered, dead or cancelled
    #[arg(long)]
    status: Option<String>,
    /// Only of this webhook
    #[arg(long, value_name = "ID")]
    webhook: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct OneDelivery {
    /// Its id
    #[arg(value_name = "DELIVERY")]
    id: String,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub struct OneWebhook {
    /// Its id in server.toml
    #[arg(value_name = "WEBHOOK")]
    id: String,
    #[command(flatten)]
    common: CommonOptions,
}

const WEBHOOKS: Listing = Listing {
    key: "webhooks",
    columns: &[
        ("WEBHOOK", "id", Kind::Text),
        ("FORMAT", "format", Kind::Text),
        ("EVENTS", "events", Kind::List),
        ("SIGNED", "has_secret", Kind::Text),
        ("URL", "url", Kind::Long),
    ],
    empty: "server.toml has no webhooks.",
};

const DELIVERIES: Listing = Listing {
    key: "deliveries",
    columns: &[
        ("DELIVERY", "id", Kind::Text),
        ("WEBHOOK", "webhook_id", Kind::Text),
        ("EVENT", "event_type", Kind::Text),
        ("REQUEST", "request_id", Kind::Id),
        ("STATUS", "status", Kind::Text),
        ("TRIES", "attempts", Kind::Number),
        ("MADE", "created_at", Kind::Time),
        ("ERROR", "last_error", Kind::Long),
    ],
    empty: "There are no such deliveries.",
};

/// Runs a command under `webhook`.
pub(super) fn webhook(verb: WebhookVerb) -> Result<u8, Failure> {
    match verb {
        WebhookVerb::List(common) => with(&common, |s| WEBHOOKS.print(s, &path_of(&["webhooks"]))),
        WebhookVerb::Deliveries(o) => with(&o.common, |s| {
            let parameters = [
                ("status", o.status.clone()),
                ("webhook_id", o.webhook.clone()),
                ("limit", Some(o.limit.to_string())),
            ];
            DELIVERIES.print(
                s,
                &with_query(&path_of(&["webhook-deliveries"]), &parameters),
            )
        }),
        WebhookVerb::Redeliver(o) => with(&o.common, |s| {
            let document = s
                .client
                .send(&path_of(&["webhook-deliveries", &o.id, "redeliver"]), "")?;
            s.done(
                &document,
                &format!("{} is delivered again.", visible(&o.id)),
                "",
            )
        }),
        WebhookVerb::Test(o) => with(&o.common, |s| {
            let document = s.client.send(&path_of(&["webhooks", &o.id, "test"]), "")?;
            let sentence = format!(
                "A test message to {} is on its way; see: dbward webhook deliveries",
                visible(&o.id)
            );
            s.done(&document, &sentence, "")
        }),
    }
}

/// Events or the proof of them. Without a subcommand, the options of the 0.1.6 command line.
#[derive(Debug, clap::Args)]
pub struct AuditOptions {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    #[command(flatten)]
    list: AuditListOptions,
    /// The same as `audit verify`
    #[arg(long)]
    verify: bool,
}

/// The commands under `audit`.
#[derive(Debug, clap::Subcommand)]
pub enum AuditVerb {
    /// List events, newest first
    #[command(before_help = "Examples:\n  \
        dbward audit list --request 69ee3b17\n  \
        dbward audit list --actor developer-1 --since 2026-01-02T00:00:00Z")]
    List(Box<AuditListOptions>),
    /// Have the server prove the whole log; exits with 1 where it does not hold
    #[command(
        before_help = "Examples:\n  dbward audit verify\n  dbward audit verify --format json"
    )]
    Verify(CommonOptions),
}

/// Runs `audit`.
pub(super) fn audit(o: &AuditOptions) -> Result<u8, Failure> {
    match &o.verb {
        Some(AuditVerb::List(list)) => with(&list.common, |s| events(s, list)),
        Some(AuditVerb::Verify(common)) => with(common, verify),
        None if o.verify => with(&o.list.common, verify),
        None => with(&o.list.common, |s| events(s, &o.list)),
    }
}

/// `audit verify`
fn verify(session: &ServerSession) -> Result<u8, CommandError> {
    let document = session.client.fetch(&path_of(&["audit", "verify"]))?;
    let read: Value = document.read()?;
    let valid = read["valid"] == json!(true);
    let sentence = match valid {
        true => format!("The audit log holds: {} events.", read["total_events"]),
        false => format!(
            "The audit log does not hold: event {} is the first that is wrong, of {} read.",
            read["first_broken_id"]
                .as_str()
                .map_or_else(|| "unknown".to_owned(), visible),
            read["total_events"]
        ),
    };
    session.done(
        &document,
        &sentence,
        if valid { "valid" } else { "invalid" },
    )?;
    Ok(u8::from(!valid))
}

/// Which events.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditListOptions {
    /// Only of this actor
    #[arg(long, visible_alias = "user", value_name = "NAME")]
    actor: Option<String>,
    /// Only of this type, such as request.approved
    #[arg(long, visible_alias = "event-type", value_name = "TYPE")]
    event: Option<String>,
    /// Only of this category
    #[arg(long, visible_alias = "event-category", value_name = "NAME")]
    category: Option<String>,
    /// Only with this outcome
    #[arg(long, value_name = "NAME")]
    outcome: Option<String>,
    /// Only about this request
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only about this operation
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only what led to this status
    #[arg(long, value_name = "NAME")]
    status: Option<String>,
    /// Only about this database
    #[arg(long, short = 'd', value_name = "NAME")]
    database: Option<String>,
    /// Only about this environment
    #[arg(long, short = 'e', value_name = "NAME")]
    environment: Option<String>,
    /// Not before this time, such as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    pub common: CommonOptions,
}

const EVENTS: Listing = Listing {
    key: "events",
    columns: &[
        ("WHEN", "created_at", Kind::Time),
        ("EVENT", "event_type", Kind::Text),
        ("WHO", "actor_id", Kind::Text),
        ("OUTCOME", "outcome", Kind::Text),
        ("REQUEST", "request_id", Kind::Id),
        ("WHERE", "database_name environment", Kind::Where),
        ("WHAT", "detail_raw", Kind::Long),
    ],
    empty: "No event matches.",
};

/// `audit list`
pub fn events(session: &ServerSession, o: &AuditListOptions) -> Result<u8, CommandError> {
    let request = match &o.request {
        Some(prefix) => Some(session.request_id(prefix)?),
        None => None,
    };
    let parameters = [
        ("actor_id", o.actor.clone()),
        ("event_type", o.event.clone()),
        ("event_category", o.category.clone()),
        ("outcome", o.outcome.clone()),
        ("request_id", request),
        ("operation", o.operation.clone()),
        ("status", o.status.clone()),
        ("database", o.database.clone()),
        ("environment", o.environment.clone()),
        ("since", o.since.clone()),
        ("until", o.until.clone()),
        ("limit", Some(o.limit.to_string())),
    ];
    EVENTS.print(
        session,
        &with_query(&path_of(&["audit", "events"]), &parameters),
    )
}
