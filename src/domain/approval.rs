//! Votes: what counts, who may cast one, and how far a request has come.

use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::id::{Selector, Target};
use crate::domain::permission::Permission;
use crate::domain::policy::workflow::{Mode, Workflow, WorkflowStep};
use crate::error::Error;
use std::collections::BTreeSet;

/// What a vote that no selector covers is booked on: a holder of `*` stepped in.
pub const ADMIN_OVERRIDE: &str = "admin_override";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VoteAction {
    Approve,
    /// Against; one suffices.
    Reject,
}

impl VoteAction {
    /// `approve` or `reject`.
    pub fn as_str(self) -> &'static str {
        match self {
            VoteAction::Approve => "approve",
            VoteAction::Reject => "reject",
        }
    }

    /// The action of that name.
    pub fn parse(text: &str) -> Option<VoteAction> {
        match text {
            "approve" => Some(VoteAction::Approve),
            "reject" => Some(VoteAction::Reject),
            _ => None,
        }
    }
}

/// A vote that was cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub actor: String,
    pub action: VoteAction,
    /// The selector it is booked on; [`ADMIN_OVERRIDE`], or `requester` for a rejection of one's own.
    pub selector: String,
    /// The step, 0-based.
    pub step: u32,
    pub comment: Option<String>,
    /// Whether the requester is in the issuer chain of the token that cast it.
    pub issued_by_requester: bool,
    pub at: Timestamp,
    /// Whether it counts: not while its actor is suspended, in a step that is not complete.
    pub counts: bool,
}

/// Number of leading satisfied steps: the current step, 0-based.
pub fn current_step(workflow: &Workflow, votes: &[Vote]) -> u32 {
    let satisfied = workflow
        .steps
        .iter()
        .zip(0..)
        .take_while(|(step, index)| is_satisfied(step, *index, votes))
        .count();
    u32::try_from(satisfied).unwrap_or(u32::MAX)
}

/// Whether step number `index` has what it needs.
pub fn is_satisfied(step: &WorkflowStep, index: u32, votes: &[Vote]) -> bool {
    missing(step, index, votes) == 0
}

/// How many more approvals step number `index` needs at least. That of somebody who stepped in is one approval like
/// others, wherever the step is short.
pub fn missing(step: &WorkflowStep, index: u32, votes: &[Vote]) -> u32 {
    let short = step.approvers.iter().map(|entry| {
        entry
            .min
            .saturating_sub(count(&entry.selector, index, votes))
    });
    let needed = match step.mode {
        Mode::All => short.fold(0, u32::saturating_add),
        // Without any entry it cannot be satisfied.
        Mode::Any => short.min().unwrap_or(u32::MAX),
    };
    let stepped_in = votes.iter().filter(|v| {
        v.counts
            && v.step == index
            && v.action == VoteAction::Approve
            && v.selector == ADMIN_OVERRIDE
    });
    needed.saturating_sub(u32::try_from(stepped_in.count()).unwrap_or(u32::MAX))
}

/// People who have no vote in the step that waits, whomever it names: those who voted in it, and, as the workflow says,
/// those who voted in other steps, and the requester.
pub fn without_vote<'a>(
    workflow: &Workflow,
    votes: &'a [Vote],
    requester: &'a str,
) -> BTreeSet<&'a str> {
    let current = current_step(workflow, votes);
    let distinct = !workflow.allow_same_approver_across_steps;
    let voted = votes.iter().filter(|v| distinct || v.step == current);
    let requester = (!workflow.allow_self_approve).then_some(requester);
    voted.map(|v| v.actor.as_str()).chain(requester).collect()
}

/// What the current step still needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRemaining {
    /// The step, 0-based.
    pub step: u32,
    /// How many more approvals, at least.
    pub votes: u32,
    /// Of whom they may come, and how many at most count there.
    pub of: Vec<(Selector, u32)>,
    /// How many steps come after this one.
    pub steps_after: u32,
}

/// What the current step still needs; none when all are satisfied.
pub fn remaining(workflow: &Workflow, votes: &[Vote]) -> Option<StepRemaining> {
    let index = current_step(workflow, votes);
    let step = workflow.steps.get(usize::try_from(index).ok()?)?;
    let short = step.approvers.iter().map(|entry| {
        let short = entry
            .min
            .saturating_sub(count(&entry.selector, index, votes));
        (entry.selector.clone(), short)
    });
    let steps = u32::try_from(workflow.steps.len()).unwrap_or(u32::MAX);
    Some(StepRemaining {
        step: index,
        votes: missing(step, index, votes),
        of: short.filter(|(_, short)| *short > 0).collect(),
        steps_after: steps.saturating_sub(index.saturating_add(1)),
    })
}

/// Approvals booked on `selector` in that step.
pub fn count(selector: &Selector, index: u32, votes: &[Vote]) -> u32 {
    let name = selector.to_string();
    let n = votes
        .iter()
        .filter(|v| {
            v.counts && v.step == index && v.action == VoteAction::Approve && v.selector == name
        })
        .count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What a vote is about.
pub struct Ballot<'a> {
    /// The workflow as it was when the request was made.
    pub workflow: &'a Workflow,
    pub votes: &'a [Vote],
    /// Where the request runs.
    pub target: &'a Target,
    pub requester: &'a str,
}

/// Why somebody may not vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoteRefusal {
    /// It is the voter's own request.
    SelfApproval,
    /// No selector of the step names the voter, who may not step in either.
    NotAnApprover,
    /// The voter voted on this step before.
    AlreadyVoted,
    /// The voter voted on another step, and the workflow wants different people.
    VotedElsewhere,
    /// The part of the step that the voter could approve is complete.
    Complete,
    /// The requester is in the issuer chain of the voter's token, and the workflow refuses such votes.
    TokenIssuedByRequester,
    /// The step names the voter, but the token is limited to roles that do not vote.
    BeyondCeiling,
    /// Every step is satisfied.
    AllSatisfied,
}

impl VoteRefusal {
    /// The refusal as the client reads it.
    pub fn error(&self) -> Error {
        match self {
            VoteRefusal::SelfApproval => {
                Error::forbidden_as("self_approval", "you cannot approve your own request")
                    .hint("somebody else has to approve it; see next_approvers")
            }
            VoteRefusal::NotAnApprover => {
                Error::forbidden_as("not_an_approver", "you are not an approver of this step")
                    .hint("see approval_progress for who is")
            }
            // Existing clients take a 409 that says "already approved" for success, so it does not say that.
            VoteRefusal::AlreadyVoted => {
                Error::conflict("already_approved", "you have already voted on this step")
            }
            VoteRefusal::VotedElsewhere => Error::forbidden_as(
                "not_an_approver",
                "you voted on another step, and this one wants somebody else",
            ),
            VoteRefusal::Complete => Error::conflict(
                "conflict",
                "the part of this step that you could approve is complete",
            )
            .hint("see approval_progress for what is still missing"),
            VoteRefusal::TokenIssuedByRequester => Error::forbidden_as(
                "forbidden",
                "your token was issued by the requester, directly or through others, and this workflow refuses such votes",
            )
            .hint("vote with a token that the requester did not issue, directly or through others"),
            VoteRefusal::BeyondCeiling => Error::forbidden_as(
                "not_an_approver",
                "this step names you, but your token is limited to roles that do not vote here",
            )
            .hint("vote with a token that names no roles, or one with request.approve"),
            VoteRefusal::AllSatisfied => {
                Error::conflict("conflict", "every step is satisfied already")
            }
        }
    }
}

impl Ballot<'_> {
    /// Whether a selector of the current step names the caller.
    pub fn is_designated(&self, caller: &Caller) -> bool {
        self.step()
            .is_some_and(|(_, step)| self.entries_of(step, caller).next().is_some())
    }

    /// Whether the caller could approve now.
    pub fn may_approve(&self, caller: &Caller) -> bool {
        self.approve(caller, None).is_ok()
    }

    /// Decides an approval: the selector it is booked on, that is the first of the step that names the caller and is
    /// still short, or the `chosen` one.
    ///
    /// # Errors
    /// A [`VoteRefusal`].
    pub fn approve(
        &self,
        caller: &Caller,
        chosen: Option<&Selector>,
    ) -> Result<String, VoteRefusal> {
        let own = caller.subject == self.requester;
        if own && !self.workflow.allow_self_approve {
            return Err(VoteRefusal::SelfApproval);
        }
        let Some((index, step)) = self.step() else {
            return Err(VoteRefusal::AllSatisfied);
        };
        self.person_may_vote(caller, index)?;
        let mine: Vec<_> = self.entries_of(step, caller).collect();
        if mine.is_empty() {
            return self.step_in(caller, own, chosen);
        }
        if let Some(chosen) = chosen {
            let entry = mine.iter().find(|e| e.selector == *chosen);
            let entry = entry.ok_or(VoteRefusal::NotAnApprover)?;
            if count(chosen, index, self.votes) >= entry.min {
                return Err(VoteRefusal::Complete);
            }
            return Ok(chosen.to_string());
        }
        mine.iter()
            .find(|e| count(&e.selector, index, self.votes) < e.min)
            .map(|e| e.selector.to_string())
            .ok_or(VoteRefusal::Complete)
    }

    /// Decides a rejection: what it is booked on. The requester, a designated approver, or a holder of `*` where they
    /// may step in.
    ///
    /// # Errors
    /// [`VoteRefusal::NotAnApprover`] or [`VoteRefusal::BeyondCeiling`].
    pub fn reject(&self, caller: &Caller) -> Result<String, VoteRefusal> {
        if caller.subject == self.requester {
            // A token with a ceiling turns down its holder's own request only where it may cancel or decide.
            let lets = |permission| caller.rights.lets_through(permission, self.target);
            if lets(Permission::RequestCancel) || lets(Permission::RequestApprove) {
                return Ok(Selector::Requester.to_string());
            }
            return Err(VoteRefusal::BeyondCeiling);
        }
        if let Some((_, step)) = self.step()
            && let Some(entry) = self.entries_of(step, caller).next()
        {
            return Ok(entry.selector.to_string());
        }
        if self.workflow.admin_override && caller.rights.is_admin_on(self.target) {
            return Ok(ADMIN_OVERRIDE.to_owned());
        }
        Err(self.not_an_approver(caller))
    }

    /// The current step with its index; `None` when all are satisfied.
    pub fn step(&self) -> Option<(u32, &WorkflowStep)> {
        let index = current_step(self.workflow, self.votes);
        let step = self.workflow.steps.get(usize::try_from(index).ok()?)?;
        Some((index, step))
    }

    fn person_may_vote(&self, caller: &Caller, index: u32) -> Result<(), VoteRefusal> {
        let mut mine = self
            .votes
            .iter()
            .filter(|v| v.actor == caller.subject && v.action == VoteAction::Approve);
        if mine.clone().any(|v| v.step == index) {
            return Err(VoteRefusal::AlreadyVoted);
        }
        // Somebody who stepped in for one step does so for that one only, and cannot complete a second one alone.
        let stepped_in = mine.clone().any(|v| v.selector == ADMIN_OVERRIDE);
        let voted = mine.next().is_some();
        if stepped_in || (voted && !self.workflow.allow_same_approver_across_steps) {
            return Err(VoteRefusal::VotedElsewhere);
        }
        if self.workflow.distinct_token_issuer && caller.has_token_of(self.requester) {
            return Err(VoteRefusal::TokenIssuedByRequester);
        }
        Ok(())
    }

    /// A holder of `*` whom the step does not name: once per request, never on an own request, and nobody who voted.
    fn step_in(
        &self,
        caller: &Caller,
        own: bool,
        chosen: Option<&Selector>,
    ) -> Result<String, VoteRefusal> {
        let voted = self.votes.iter().any(|v| {
            v.action == VoteAction::Approve
                && (v.actor == caller.subject || v.selector == ADMIN_OVERRIDE)
        });
        let may = self.workflow.admin_override
            && caller.rights.is_admin_on(self.target)
            && !own
            && !voted
            && chosen.is_none();
        if may {
            return Ok(ADMIN_OVERRIDE.to_owned());
        }
        Err(self.not_an_approver(caller))
    }

    /// Why somebody has no part in the current step.
    fn not_an_approver(&self, caller: &Caller) -> VoteRefusal {
        let named = |entry: &crate::domain::policy::workflow::ApproverEntry| {
            caller.matches(&entry.selector, self.target, self.requester)
        };
        match self.step() {
            Some((_, step)) if step.approvers.iter().any(named) => VoteRefusal::BeyondCeiling,
            _ => VoteRefusal::NotAnApprover,
        }
    }

    fn entries_of<'s>(
        &'s self,
        step: &'s WorkflowStep,
        caller: &'s Caller,
    ) -> impl Iterator<Item = &'s crate::domain::policy::workflow::ApproverEntry> {
        step.approvers
            .iter()
            .filter(|e| caller.votes_as(&e.selector, self.target, self.requester))
    }
}

#[cfg(test)]
pub(crate) mod tests;
