//! JSON of values kept with a request: its workflow and its lists of selectors. A corrupt one is an error, never an
//! empty list.

use crate::domain::id::{Operation, Selector};
use crate::domain::policy::Scope;
use crate::domain::policy::workflow::{ApproverEntry, Mode, Workflow, WorkflowStep};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkflowJson {
    database: String,
    environment: String,
    operations: Vec<String>,
    steps: Vec<StepJson>,
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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepJson {
    mode: String,
    approvers: Vec<ApproverJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproverJson {
    selector: String,
    min: u32,
}

pub(super) fn workflow_json(w: &Workflow) -> String {
    let json = WorkflowJson {
        database: w.scope.database.clone(),
        environment: w.scope.environment.clone(),
        operations: w.operations.iter().map(|o| o.as_str().to_owned()).collect(),
        steps: w
            .steps
            .iter()
            .map(|s| StepJson {
                mode: s.mode.as_str().to_owned(),
                approvers: s
                    .approvers
                    .iter()
                    .map(|a| ApproverJson {
                        selector: a.selector.to_string(),
                        min: a.min,
                    })
                    .collect(),
            })
            .collect(),
        require_reason: w.require_reason,
        allow_self_approve: w.allow_self_approve,
        allow_same_approver_across_steps: w.allow_same_approver_across_steps,
        admin_override: w.admin_override,
        distinct_token_issuer: w.distinct_token_issuer,
        explain: w.explain,
        pending_ttl_secs: w.pending_ttl_secs,
        approval_ttl_secs: w.approval_ttl_secs,
        statement_timeout_secs: w.statement_timeout_secs,
    };
    // Strings, numbers and booleans always serialize; an empty text would be refused by the schema.
    serde_json::to_string(&json).unwrap_or_default()
}

pub(super) fn read_workflow(text: &str) -> Option<Workflow> {
    let json: WorkflowJson = serde_json::from_str(text).ok()?;
    let mut steps = Vec::new();
    for step in json.steps {
        let mut approvers = Vec::new();
        for a in step.approvers {
            approvers.push(ApproverEntry {
                selector: Selector::parse(&a.selector)?,
                min: a.min,
            });
        }
        steps.push(WorkflowStep {
            mode: Mode::parse(&step.mode)?,
            approvers,
        });
    }
    Some(Workflow {
        scope: Scope {
            database: json.database,
            environment: json.environment,
        },
        operations: json
            .operations
            .iter()
            .map(|o| Operation::parse(o))
            .collect::<Option<_>>()?,
        steps,
        require_reason: json.require_reason,
        allow_self_approve: json.allow_self_approve,
        allow_same_approver_across_steps: json.allow_same_approver_across_steps,
        admin_override: json.admin_override,
        distinct_token_issuer: json.distinct_token_issuer,
        explain: json.explain,
        pending_ttl_secs: json.pending_ttl_secs,
        approval_ttl_secs: json.approval_ttl_secs,
        statement_timeout_secs: json.statement_timeout_secs,
    })
}

pub(super) fn selectors_json(selectors: &[Selector]) -> String {
    let texts: Vec<String> = selectors.iter().map(ToString::to_string).collect();
    serde_json::Value::from(texts).to_string()
}

pub(super) fn read_selectors(text: &str) -> Option<Vec<Selector>> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    texts.iter().map(|t| Selector::parse(t)).collect()
}

pub(super) fn read_names(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}
