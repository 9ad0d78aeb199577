//! What an execution left in the database, and how much of that is proved.

use super::Status;
use crate::domain::id::Operation;

/// What an execution left in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExecutionOutcome {
    /// Cancelled, and its agent has not reported yet.
    Stopping,
    /// All of it took effect; also a read that returned its result.
    Committed,
    /// Nothing of it did.
    RolledBack,
    /// Some of it did; the message says what.
    Partial,
    /// Nobody can tell.
    Unknown,
}

impl ExecutionOutcome {
    /// What an agent can report; `stopping` is what the server says before a report.
    pub const REPORTED: [ExecutionOutcome; 4] = [
        ExecutionOutcome::Committed,
        ExecutionOutcome::RolledBack,
        ExecutionOutcome::Partial,
        ExecutionOutcome::Unknown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ExecutionOutcome::Stopping => "stopping",
            ExecutionOutcome::Committed => "committed",
            ExecutionOutcome::RolledBack => "rolled_back",
            ExecutionOutcome::Partial => "partial",
            ExecutionOutcome::Unknown => "unknown",
        }
    }

    /// The outcome of that name that an agent can report.
    pub fn parse(text: &str) -> Option<ExecutionOutcome> {
        ExecutionOutcome::REPORTED
            .into_iter()
            .find(|o| o.as_str() == text)
    }

    /// What `success` says in every answer: true exactly for what is committed.
    pub fn is_success(self) -> bool {
        self == ExecutionOutcome::Committed
    }
}

/// How an execution ended, as its report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionEnd {
    pub outcome: ExecutionOutcome,
    /// Its agent reports no outcomes: that nothing of a failed write took effect is its word only.
    pub unproven: bool,
}

impl ExecutionEnd {
    /// The end that a report tells of. Where the agent names no outcome, `success` decides, and no text is read.
    pub fn of_report(
        named: Option<ExecutionOutcome>,
        success: bool,
        operation: Operation,
    ) -> ExecutionEnd {
        let proved = |outcome| ExecutionEnd {
            outcome,
            unproven: false,
        };
        match named {
            Some(outcome) => proved(outcome),
            None if success => proved(ExecutionOutcome::Committed),
            None if operation.is_read() => proved(ExecutionOutcome::RolledBack),
            None => ExecutionEnd {
                outcome: ExecutionOutcome::Unknown,
                unproven: true,
            },
        }
    }

    /// Whether the report only says that nobody can tell: the execution counts as lost, and a report that proves more
    /// is still accepted.
    pub fn is_lost(self) -> bool {
        self.outcome == ExecutionOutcome::Unknown && !self.unproven
    }

    /// Where a request goes with it.
    pub(super) fn status(self) -> Status {
        match self.outcome {
            ExecutionOutcome::Committed => Status::Executed,
            _ if self.is_lost() => Status::ExecutionLost,
            _ => Status::Failed,
        }
    }
}
