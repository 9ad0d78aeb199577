//! Workflows: whose approval a request needs, step by step.

use super::{Scope, workflow_id};
use crate::domain::id::{Operation, Selector};
use std::collections::BTreeSet;

/// Whether every approver entry of a step must be satisfied, or one suffices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Every entry.
    All,
    /// At least one entry.
    Any,
}

impl Mode {
    /// `all` or `any`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::All => "all",
            Mode::Any => "any",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<Mode> {
        match text {
            "all" => Some(Mode::All),
            "any" => Some(Mode::Any),
            _ => None,
        }
    }
}

/// So many approvals by people whom a selector names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApproverEntry {
    /// Who; never `requester`.
    pub selector: Selector,
    /// How many different people, at least 1.
    pub min: u32,
}

/// One step of a workflow; steps are satisfied in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkflowStep {
    /// All entries, or any.
    pub mode: Mode,
    /// At least one.
    pub approvers: Vec<ApproverEntry>,
}

/// Whose approval requests of some scope and some operations need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Where it applies.
    pub scope: Scope,
    /// Which operations it takes; empty for all.
    pub operations: BTreeSet<Operation>,
    /// Steps, in order; none means that no approval is needed.
    pub steps: Vec<WorkflowStep>,
    /// Whether a request must give a reason.
    pub require_reason: bool,
    /// Whether the requester may approve his own request.
    pub allow_self_approve: bool,
    /// Whether somebody who approved one step may approve another.
    pub allow_same_approver_across_steps: bool,
    /// Whether a holder of `*` whom no selector names may step in.
    pub admin_override: bool,
    /// Whether a vote by a token that the requester issued is refused.
    pub distinct_token_issuer: bool,
    /// Whether the plan is explained before approval.
    pub explain: bool,
    /// Seconds a request waits for approval.
    pub pending_ttl_secs: Option<u64>,
    /// Seconds an approval can be used.
    pub approval_ttl_secs: Option<u64>,
    /// Seconds a statement may run; the smaller of this and the execution policy counts.
    pub statement_timeout_secs: Option<u64>,
}

impl Workflow {
    /// A workflow of that scope with every option at its default.
    pub fn new(scope: Scope) -> Workflow {
        Workflow {
            scope,
            operations: BTreeSet::new(),
            steps: Vec::new(),
            require_reason: false,
            allow_self_approve: false,
            allow_same_approver_across_steps: true,
            admin_override: true,
            distinct_token_issuer: false,
            explain: true,
            pending_ttl_secs: None,
            approval_ttl_secs: None,
            statement_timeout_secs: None,
        }
    }

    /// Its id, as clients see it.
    pub fn id(&self) -> String {
        workflow_id(&self.scope, &self.operations)
    }

    /// Whether it applies to this operation.
    pub fn takes(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }
}
