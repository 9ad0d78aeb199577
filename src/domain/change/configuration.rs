//! What is in effect: configurations, roles, and the schemas of the databases as agents report them.

use super::entry::{about, object};
use crate::domain::audit::{AuditEntry, EventOutcome};
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::policy::notification::Routes;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A step of a workflow that nobody can approve any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostStep {
    /// The id of the workflow.
    pub workflow: String,
    /// The number of the step, from 1; none where only all steps together cannot be approved by different people.
    pub step: Option<usize>,
    /// Where; one of perhaps many.
    pub target: Target,
}

/// What an agent reports of a database's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchema {
    pub target: Target,
    /// As the agent says.
    pub dialect: Dialect,
    /// What the server took it for before.
    pub known: Option<Dialect>,
    /// Whether the description counts; not where its dialect is another than that of the database.
    pub is_used: bool,
    /// `ready`, `partial` or `failed`.
    pub status: &'static str,
    /// The tables, as JSON; none for a failure, which keeps what was known before.
    pub snapshot_json: Option<String>,
    pub error_message: Option<String>,
    pub agent_id: String,
    pub tables: usize,
}

/// A change of what is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationChange {
    /// A custom role was deleted; the policies without it are in effect.
    RoleDeleted {
        name: String,
        /// Steps that nobody can approve without it.
        lost: Vec<LostStep>,
        /// SHA-256 of the policies without it.
        policy_version: String,
        policy_text: String,
    },
    /// An agent described a database, or could not.
    SchemaSynced(NewSchema),
    /// A configuration took effect.
    ConfigSynced {
        /// SHA-256 of its policies.
        policy_version: String,
        policy_text: String,
        /// Counts by kind, as JSON.
        summary: Map<String, Value>,
        /// Who is notified from here on, this transaction included.
        routes: Arc<Routes>,
    },
    /// A configuration was not applied.
    ConfigRejected {
        /// What was wrong, one sentence each; no values of variables.
        problems: Vec<String>,
    },
}

impl ConfigurationChange {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        match self {
            ConfigurationChange::RoleDeleted {
                name,
                lost,
                policy_version,
                ..
            } => {
                let mut e = about("role.deleted", "policy", "role", name);
                e.metadata
                    .insert("policy_version".into(), policy_version.clone().into());
                if !lost.is_empty() {
                    let steps: Vec<Value> = lost.iter().map(lost_step).collect();
                    e.metadata.insert("unreachable_steps".into(), steps.into());
                }
                e
            }
            ConfigurationChange::SchemaSynced(schema) => schema_synced(schema),
            ConfigurationChange::ConfigSynced {
                policy_version,
                summary,
                ..
            } => {
                let mut e = about("config.synced", "policy", "config", policy_version);
                e.metadata.clone_from(summary);
                e
            }
            ConfigurationChange::ConfigRejected { problems } => {
                let mut e =
                    AuditEntry::new("config.reload_failed", "policy", EventOutcome::Failure);
                e.reason = problems.first().cloned();
                e.metadata
                    .insert("problems".into(), problems.clone().into());
                e
            }
        }
    }
}

fn schema_synced(schema: &NewSchema) -> AuditEntry {
    let (event_type, outcome) = match (schema.is_used, &schema.snapshot_json) {
        (false, _) => ("schema.dialect_differs", EventOutcome::Failure),
        (true, Some(_)) => ("schema.snapshot_updated", EventOutcome::Success),
        (true, None) => ("schema.snapshot_failed", EventOutcome::Failure),
    };
    let mut e = AuditEntry::new(event_type, "agent", outcome);
    e.database = Some(schema.target.database().to_owned());
    e.environment = Some(schema.target.environment().to_owned());
    e.reason.clone_from(&schema.error_message);
    e.metadata = object(json!({
        "dialect": schema.dialect.as_str(),
        "status": schema.status,
        "tables": schema.tables,
    }));
    // Where it is another, texts are read differently from here on, or the report is not believed.
    if let Some(known) = schema.known.filter(|known| *known != schema.dialect) {
        e.metadata
            .insert("known_dialect".into(), known.as_str().into());
    }
    e
}

fn lost_step(lost: &LostStep) -> Value {
    json!({
        "workflow": lost.workflow,
        "step": lost.step,
        "database": lost.target.database(),
        "environment": lost.target.environment(),
    })
}
