//! Workflows: whose approval a request needs, step by step.

use super::execution::{SECS_MAX, STATEMENT_SECS_MAX};
use crate::crypto::sha256_hex;
use crate::declare::Plain;
use crate::domain::id::{Operation, Selector};
use crate::domain::kept::{policy, word};
use crate::domain::scope::Scope;
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

/// What dispatches an approved request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dispatch {
    /// Its requester, who resumes it.
    #[default]
    OnResume,
    /// The last vote, in the same transaction.
    OnApproval,
}

impl Dispatch {
    /// `on_resume` or `on_approval`.
    pub fn as_str(self) -> &'static str {
        match self {
            Dispatch::OnResume => "on_resume",
            Dispatch::OnApproval => "on_approval",
        }
    }

    /// The value of that name.
    pub fn parse(text: &str) -> Option<Dispatch> {
        [Dispatch::OnResume, Dispatch::OnApproval]
            .into_iter()
            .find(|d| d.as_str() == text)
    }
}

/// Whether a write may be tried before anybody has approved it, in a transaction that is always rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rehearse {
    /// Never.
    #[default]
    Off,
    /// Where somebody asks for it.
    OnRequest,
    /// Every write that can be, as soon as it waits for approval.
    BeforeApproval,
}

impl Rehearse {
    /// `off`, `on_request` or `before_approval`.
    pub fn as_str(self) -> &'static str {
        match self {
            Rehearse::Off => "off",
            Rehearse::OnRequest => "on_request",
            Rehearse::BeforeApproval => "before_approval",
        }
    }

    /// The value of that name.
    pub fn parse(text: &str) -> Option<Rehearse> {
        [Rehearse::Off, Rehearse::OnRequest, Rehearse::BeforeApproval]
            .into_iter()
            .find(|r| r.as_str() == text)
    }
}

crate::declare!(words Dispatch: "on_resume" "on_approval");
crate::declare!(words Rehearse: "off" "on_request" "before_approval");

word! {
    Mode, |m| m.as_str().to_owned(), Mode::parse;
    Dispatch, |d| d.as_str().to_owned(), Dispatch::parse;
    Rehearse, |r| r.as_str().to_owned(), Rehearse::parse;
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

policy! {
    /// Whose approval requests of some scope and some operations need.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Workflow => WorkflowText {
        /// Which operations it covers; empty for all.
        operations: BTreeSet<Operation>;
        /// Steps, in order; none means that no approval is needed.
        steps: Vec<WorkflowStep>;
        /// Whether a request must give a reason.
        require_reason: bool = false;
        /// Whether requesters may approve their own requests.
        allow_self_approve: bool = false;
        /// Whether somebody who approved one step may approve another.
        allow_same_approver_across_steps: bool = true;
        /// Whether a holder of `*` whom no step names may step in, for one step of a request.
        admin_override: bool = true;
        /// Whether a vote by a token is refused of which the requester is among the issuers: they issued it, or issued
        /// somebody the token that it was issued with, and so on.
        distinct_token_issuer: bool = false;
        /// Whether the plan of the statement is explained before approval.
        explain: bool = true;
        /// Seconds a request waits for approval, and an approval for its use, 1 to 366 days. No default of their own:
        /// without them, approval_ttl_secs of [retention] counts.
        pending_ttl_secs: Option<u64> = None, within 1..=SECS_MAX, shown "86400";
        approval_ttl_secs: Option<u64> = None, within 1..=SECS_MAX, shown "86400";
        /// Seconds a statement may run; the smaller of this and the execution policy counts. No default: the policy
        /// alone.
        statement_timeout_secs: Option<u64> = None, within 1..=STATEMENT_SECS_MAX, shown "30";
        /// What dispatches a request once it is approved: its requester who resumes it (`on_resume`), or the last vote
        /// itself (`on_approval`).
        #[omitted = "at its default"]
        dispatch: Dispatch = Dispatch::OnResume;
        /// Whether an agent tries a write for its approvers before anybody has approved it, in a transaction that is
        /// always rolled back: never (`off`), where somebody asks for it (`on_request`), or every one that it can be
        /// tried with (`before_approval`).
        #[omitted = "at its default"]
        rehearse: Rehearse = Rehearse::Off;
    }
}

impl Workflow {
    /// A workflow of that scope with every option at its default.
    pub fn new(scope: Scope) -> Workflow {
        Workflow {
            scope,
            ..Workflow::plain()
        }
    }

    /// Its id, as existing clients know it: its scope and a hash of its sorted operations.
    pub fn id(&self) -> String {
        let mut names: Vec<_> = self.operations.iter().map(|o| o.as_str()).collect();
        names.sort_unstable();
        let hash = sha256_hex(names.join(",").as_bytes());
        let Scope {
            database,
            environment,
        } = &self.scope;
        format!("wf:{database}:{environment}:{}", &hash[..12])
    }

    /// Selectors of a step, counted from 0, in the order of the configuration; none beyond the last.
    pub fn approvers_of(&self, step: u32) -> Vec<String> {
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        let approvers = self.steps.get(index).into_iter().flat_map(|s| &s.approvers);
        approvers.map(|a| a.selector.to_string()).collect()
    }

    /// Whether it applies to this operation.
    pub fn takes(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }
}
