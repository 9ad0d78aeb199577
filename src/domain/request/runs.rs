//! What the runs of a request allow: how often, until when, and after a lost one.

use super::{ExecutionEnd, Lost, Refusal, RequestFacts, Runs, Status, Transition};
use crate::clock::Timestamp;
use crate::domain::policy::execution::ExecutionPolicy;
use crate::error::Error;

impl Lost {
    /// Runs it again: a read where the count allows; a write only where somebody `acknowledged` that its outcome is
    /// unknown, whatever the policy says of retries.
    ///
    /// # Errors
    /// [`Refusal::OutcomeUnknown`], [`Refusal::MaxExecutions`], [`Refusal::WindowPassed`], [`Refusal::Expired`].
    pub fn dispatch(
        &self,
        policy: &ExecutionPolicy,
        acknowledged: bool,
        now: Timestamp,
    ) -> Result<Transition, Refusal> {
        self.runs.window_allows(policy, now)?;
        match self.runs.reads_only {
            true => self.runs.count_allows(policy)?,
            // The lost one counts, so that the count would never allow it: the acknowledgement stands for it.
            false if !acknowledged => return Err(Refusal::OutcomeUnknown),
            false => {}
        }
        Ok(Transition::new(Status::ExecutionLost, Status::Dispatched))
    }

    /// A late report of the lost execution, accepted while nothing else was dispatched.
    /// None for one that proves no more than is known.
    pub fn finish_late(&self, end: ExecutionEnd) -> Option<Transition> {
        let to = end.status();
        (to != Status::ExecutionLost).then(|| Transition::new(Status::ExecutionLost, to))
    }
}

impl Runs {
    pub(super) fn of(facts: &RequestFacts) -> Result<Runs, Error> {
        let reads_only = facts.operation.is_read();
        let lost = if reads_only { 0 } else { facts.executions_lost };
        let missing = || Error::bug(format!("request {} has no approval_expires_at", facts.id));
        Ok(Runs {
            counted: facts.executions_finished + lost,
            reads_only,
            first_completed_at: facts.first_completed_at,
            approval_expires_at: facts.approval_expires_at.ok_or_else(missing)?,
        })
    }

    pub(super) fn count_allows(&self, policy: &ExecutionPolicy) -> Result<(), Refusal> {
        if self.counted >= policy.max_executions {
            return Err(Refusal::MaxExecutions);
        }
        Ok(())
    }

    /// The window runs from the first completed execution; before one, the approval's own time binds.
    pub(super) fn window_allows(
        &self,
        policy: &ExecutionPolicy,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        match self.first_completed_at {
            Some(first) if now >= first.plus_secs(policy.execution_window_secs) => {
                Err(Refusal::WindowPassed)
            }
            None if now >= self.approval_expires_at => Err(Refusal::Expired),
            _ => Ok(()),
        }
    }
}
