//! The statuses of a request, the legal moves between them, and how a request starts.

use std::fmt;

/// The twelve statuses of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Pending,
    /// All steps approved; waits for its requester to resume it.
    Approved,
    /// No approval was needed.
    AutoApproved,
    /// An emergency that skipped its approvals.
    BreakGlass,
    /// Handed to the agents; none has claimed it.
    Dispatched,
    /// An agent holds it.
    Running,
    /// Ran, and the database confirmed it.
    Executed,
    /// Did not take effect, as far as the agent can tell.
    Failed,
    /// Turned down by an approver.
    Rejected,
    Cancelled,
    /// Not approved, or not used, in time.
    Expired,
    /// The agent went silent: nobody knows whether it ran.
    ExecutionLost,
}

impl Status {
    pub const ALL: [Status; 12] = [
        Status::Pending,
        Status::Approved,
        Status::AutoApproved,
        Status::BreakGlass,
        Status::Dispatched,
        Status::Running,
        Status::Executed,
        Status::Failed,
        Status::Rejected,
        Status::Cancelled,
        Status::Expired,
        Status::ExecutionLost,
    ];

    /// Its name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Approved => "approved",
            Status::AutoApproved => "auto_approved",
            Status::BreakGlass => "break_glass",
            Status::Dispatched => "dispatched",
            Status::Running => "running",
            Status::Executed => "executed",
            Status::Failed => "failed",
            Status::Rejected => "rejected",
            Status::Cancelled => "cancelled",
            Status::Expired => "expired",
            Status::ExecutionLost => "execution_lost",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Whether something can still come of a request that is not asked to run once more.
    pub fn is_open(self) -> bool {
        !self.is_outcome() || self == Status::ExecutionLost
    }

    /// Whether a client that waits for an outcome has one.
    pub fn is_outcome(self) -> bool {
        matches!(
            self,
            Status::Executed
                | Status::Failed
                | Status::Rejected
                | Status::Cancelled
                | Status::Expired
                | Status::ExecutionLost
        )
    }

    /// The one list of legal moves: the schema's table of transitions must equal it. `None` is a new request.
    pub const MOVES: &'static [(Option<Status>, Status)] = &[
        (None, Status::Pending),
        (None, Status::AutoApproved),
        (None, Status::BreakGlass),
        (Some(Status::Pending), Status::Approved),
        (Some(Status::Pending), Status::Rejected),
        (Some(Status::Pending), Status::Cancelled),
        (Some(Status::Pending), Status::Expired),
        (Some(Status::Approved), Status::Dispatched),
        (Some(Status::Approved), Status::Cancelled),
        (Some(Status::Approved), Status::Expired),
        (Some(Status::AutoApproved), Status::Dispatched),
        (Some(Status::AutoApproved), Status::Cancelled),
        (Some(Status::AutoApproved), Status::Expired),
        (Some(Status::BreakGlass), Status::Dispatched),
        (Some(Status::BreakGlass), Status::Cancelled),
        (Some(Status::BreakGlass), Status::Expired),
        (Some(Status::Dispatched), Status::Running),
        (Some(Status::Dispatched), Status::Cancelled),
        (Some(Status::Dispatched), Status::Approved),
        (Some(Status::Dispatched), Status::AutoApproved),
        (Some(Status::Dispatched), Status::BreakGlass),
        (Some(Status::Dispatched), Status::Executed),
        (Some(Status::Dispatched), Status::Failed),
        (Some(Status::Dispatched), Status::ExecutionLost),
        (Some(Status::Running), Status::Executed),
        (Some(Status::Running), Status::Failed),
        (Some(Status::Running), Status::ExecutionLost),
        (Some(Status::Running), Status::Cancelled),
        (Some(Status::Executed), Status::Dispatched),
        (Some(Status::Failed), Status::Dispatched),
        (Some(Status::ExecutionLost), Status::Dispatched),
        (Some(Status::ExecutionLost), Status::Executed),
        (Some(Status::ExecutionLost), Status::Failed),
        (Some(Status::ExecutionLost), Status::Cancelled),
    ];
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One legal move. Only this module makes one.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    from: Option<Status>,
    to: Status,
}

impl Transition {
    /// Where from; `None` for a new request.
    pub fn from(&self) -> Option<Status> {
        self.from
    }

    pub fn to(&self) -> Status {
        self.to
    }

    /// A move for tests that need one without a request.
    #[cfg(test)]
    pub(in crate::domain) fn for_test(from: Status, to: Status) -> Transition {
        Transition::new(from, to)
    }

    pub(super) fn new(from: Status, to: Status) -> Transition {
        debug_assert!(
            Status::MOVES.contains(&(Some(from), to)),
            "{from} to {to} is not a transition"
        );
        Transition {
            from: Some(from),
            to,
        }
    }
}

/// How a new request starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Pending,
    /// Nobody must.
    AutoApproved,
    BreakGlass,
}

impl Opening {
    /// The first move of a request.
    pub fn step(self) -> Transition {
        let to = match self {
            Opening::Pending => Status::Pending,
            Opening::AutoApproved => Status::AutoApproved,
            Opening::BreakGlass => Status::BreakGlass,
        };
        Transition { from: None, to }
    }

    /// The dispatch that follows in the same transaction, for what needs no approval.
    pub fn dispatch(self) -> Option<Transition> {
        match self {
            Opening::Pending => None,
            Opening::AutoApproved => {
                Some(Transition::new(Status::AutoApproved, Status::Dispatched))
            }
            Opening::BreakGlass => Some(Transition::new(Status::BreakGlass, Status::Dispatched)),
        }
    }
}
