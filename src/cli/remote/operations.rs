//! What there is on a server: databases, agents, tables, policies, webhooks, and what was logged.

use super::super::Failure;
use super::super::output::{
    decision_words, operation_words, reason_words, selector_words, visible,
};
use super::listing::{Kind, Listing};
use super::target::TargetOptions;
use super::{CommandError, CommonOptions, ServerSession, with};
use crate::client::{path_of, with_query};
use crate::error::counted;
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
        "  {}.{}{}\n",
        text(&table["schema_name"]),
        text(&table["name"]),
        match table["estimated_rows"].as_u64() {
            Some(rows) => format!(", about {}", counted(rows, "row")),
            None => String::new(),
        }
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
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        // Without a rule, no statement is approved automatically.
        let reason = match text("reason_code") {
            "risk_unknown_until_analyzed" if read["auto_approve"].is_null() => {
                "no_auto_approve_rule"
            }
            "risk_unknown_until_analyzed" if read["auto_approve"]["max_risk"].is_null() => {
                "auto_approve_disabled"
            }
            reason => reason,
        };
        format!(
            "{}: {}",
            decision_words(text("decision_preview")),
            reason_words(reason)
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
            operation_words(read["operation"].as_str().unwrap_or_default()),
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
    on_call(&read["on_call"], &mut out);
    let predicted = &read["prediction"];
    if !predicted.is_null() {
        let _ = writeln!(out, "  {:<18}  {}", "this statement", decision(predicted));
    }
    if let Some(message) = predicted["message"].as_str() {
        let _ = writeln!(out, "  {:<18}  {}", "", visible(message));
    }
    out
}

/// Who is on call, a line a group.
fn on_call(groups: &Value, out: &mut String) {
    for (group, people) in groups.as_object().into_iter().flatten() {
        let people = people.as_array().into_iter().flatten();
        let people: Vec<String> = people.filter_map(Value::as_str).map(visible).collect();
        let people = match people.is_empty() {
            true => "nobody".to_owned(),
            false => people.join(", "),
        };
        let _ = writeln!(out, "  {:<18}  {}: {people}", "on call", visible(group));
    }
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
    /// Send a test message to a webhook, or to yourself by mail, or to the channel of the Slack app
    #[command(
        before_help = "Examples:\n  dbward webhook test ops\n  dbward webhook test email\n  dbward webhook test slack"
    )]
    Test(OneWebhook),
}

#[derive(Debug, clap::Args)]
pub struct DeliveriesOptions {
    /// Only with this status: pending, in_progress, delivered, dead or cancelled
    #[arg(long)]
    status: Option<String>,
    /// Only of this webhook, or of `email` or `slack`
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
    /// Its id, or the beginning of it
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
        ("CHANNEL", "webhook_id|channel", Kind::Text),
        ("TO", "recipient", Kind::Text),
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
            let id = s.delivery_id(&o.id)?;
            let path = path_of(&["webhook-deliveries", &id, "redeliver"]);
            let document = s.client.send(&path, "")?;
            let sentence = format!("{} is delivered again.", visible(&id));
            s.done(&document, &sentence, &id)
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
