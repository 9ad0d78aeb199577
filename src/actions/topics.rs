//! What long-polls wait for, by name. A change is announced under these after its COMMIT.

use crate::domain::change::{
    Change, ConfigurationChange, IdentityChange, RehearsalChange, RehearsalStep, RequestChange,
};
use crate::domain::id::Target;
use crate::domain::request::Status;

/// Whether one waiter suffices for an announcement, or all must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeMode {
    /// One: there is one job.
    One,
    All,
}

/// Everything that waits: other policies may have taken a right away, or given one, and a suspension strikes votes that an
/// activation has count again. Announced when they are in effect, which is after the commit that stores them.
pub const POLICIES: &str = "policies";

/// Lists of what waits for a decision. Announced when a request starts to wait, moves a step on, or waits no longer.
pub const INBOX: &str = "inbox";

/// Somebody who waits for a request, or its result.
pub fn request(id: &str) -> String {
    format!("request:{id}")
}

/// Somebody who waits for the plans of a preflight.
pub fn preflight(id: &str) -> String {
    format!("preflight:{id}")
}

/// Agents that wait for work on a target.
pub fn jobs(target: &Target) -> String {
    format!("jobs:{}:{}", target.database(), target.environment())
}

/// Everything that waits on behalf of a token, so that losing it ends the wait.
pub fn token(id: &str) -> String {
    format!("token:{id}")
}

/// The same for a session.
pub fn session(id: &str) -> String {
    format!("session:{id}")
}

/// Everything that waits on behalf of a person.
pub fn subject(id: &str) -> String {
    format!("subject:{id}")
}

/// The announcements of a change.
pub fn announced(change: &Change) -> Vec<(String, WakeMode)> {
    match change {
        Change::Request(change) => of_request(change),
        Change::Identity(change) => of_identity(change),
        // An agent that has reported the dialect may run what it could not before.
        Change::Configuration(ConfigurationChange::SchemaSynced(schema)) => {
            vec![(jobs(&schema.target), WakeMode::All)]
        }
        Change::Configuration(_) | Change::Delivery(_) | Change::Log(_) => Vec::new(),
    }
}

fn of_request(change: &RequestChange) -> Vec<(String, WakeMode)> {
    match change {
        RequestChange::Dispatched { request: r, .. } => {
            vec![
                (jobs(&r.target), WakeMode::One),
                (request(&r.id), WakeMode::All),
            ]
        }
        RequestChange::Created(new) => {
            let mut names = vec![(request(&new.id), WakeMode::All)];
            // Statements to be explained are work for agents too.
            if !new.text.dry_runs.is_empty() {
                names.push((jobs(&new.target), WakeMode::One));
            }
            if new.step.to() == Status::Pending {
                names.push((INBOX.to_owned(), WakeMode::All));
            }
            names
        }
        // Any agent may lack what it takes, so all look.
        RequestChange::Rehearsal(RehearsalChange {
            request: r,
            step: RehearsalStep::Asked(_),
        }) => vec![
            (jobs(&r.target), WakeMode::All),
            (request(&r.id), WakeMode::All),
        ],
        RequestChange::Rehearsal(change) => vec![(request(&change.request.id), WakeMode::All)],
        RequestChange::StepsCompleted(done) => vec![
            (request(&done.request.id), WakeMode::All),
            (INBOX.to_owned(), WakeMode::All),
        ],
        RequestChange::StepApproved { request: r, .. }
        | RequestChange::Approved { request: r, .. }
        | RequestChange::Rejected { request: r, .. }
        | RequestChange::Cancelled { request: r, .. }
        | RequestChange::Expired { request: r, .. } => vec![
            (request(&r.id), WakeMode::All),
            (INBOX.to_owned(), WakeMode::All),
        ],
        RequestChange::DispatchTimedOut { request: r, .. }
        | RequestChange::ExecutionStarted { request: r, .. }
        | RequestChange::ExecutionFinished { request: r, .. }
        | RequestChange::Corrupted { request: r, .. }
        | RequestChange::ExecutionLost { request: r, .. } => vec![(request(&r.id), WakeMode::All)],
        RequestChange::DdlPassed(_) | RequestChange::ResultCorrupt { .. } => Vec::new(),
    }
}

fn of_identity(change: &IdentityChange) -> Vec<(String, WakeMode)> {
    match change {
        IdentityChange::TokenRevoked { token_id, .. } => vec![(token(token_id), WakeMode::All)],
        IdentityChange::UserActivated(user) | IdentityChange::UserSuspended(user) => {
            vec![
                (subject(&user.id), WakeMode::All),
                (POLICIES.to_owned(), WakeMode::All),
            ]
        }
        IdentityChange::SessionEnded { id, .. } => vec![(session(id), WakeMode::All)],
        IdentityChange::AgentRegistered { .. }
        | IdentityChange::SessionStarted(_)
        | IdentityChange::TokenCreated(_)
        | IdentityChange::UserCreated { .. }
        | IdentityChange::UserEmailChanged { .. }
        | IdentityChange::UserClaimsKept { .. }
        | IdentityChange::UserUpdated { .. }
        | IdentityChange::LoginSucceeded { .. } => Vec::new(),
    }
}
