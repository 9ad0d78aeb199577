//! What long-polls wait for, by name. A change is announced under these after its COMMIT.

use crate::domain::change::Change;
use crate::domain::id::Target;

/// Whether one waiter suffices for an announcement, or all must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeMode {
    /// One: there is one job.
    One,
    /// All.
    All,
}

/// Everything that waits: other policies may have taken a right away, or given one. Announced when they are in force,
/// which is after the commit that stores them.
pub const POLICIES: &str = "policies";

/// Somebody who waits for a request, or its result.
pub fn request(id: &str) -> String {
    format!("request:{id}")
}

/// Agents that wait for work on a target.
pub fn jobs(target: &Target) -> String {
    format!("jobs:{}:{}", target.database, target.environment)
}

/// Everything that waits on behalf of a token, so that losing it ends the wait.
pub fn token(id: &str) -> String {
    format!("token:{id}")
}

/// Everything that waits on behalf of a person.
pub fn subject(id: &str) -> String {
    format!("subject:{id}")
}

/// The announcements of a change.
pub fn announced(change: &Change) -> Vec<(String, WakeMode)> {
    match change {
        Change::RequestDispatched { request: r, .. } => {
            vec![
                (jobs(&r.target), WakeMode::One),
                (request(&r.id), WakeMode::All),
            ]
        }
        // Statements to be explained are work for agents too.
        Change::RequestCreated(new) if !new.text.dry_runs.is_empty() => vec![
            (jobs(&new.target), WakeMode::One),
            (request(&new.id), WakeMode::All),
        ],
        Change::RequestCreated(new) => vec![(request(&new.id), WakeMode::All)],
        Change::StepApproved { request: r, .. }
        | Change::RequestApproved { request: r, .. }
        | Change::RequestRejected { request: r, .. }
        | Change::RequestCancelled { request: r, .. }
        | Change::RequestExpired { request: r, .. }
        | Change::DispatchTimedOut { request: r, .. }
        | Change::ExecutionStarted { request: r, .. }
        | Change::ExecutionFinished { request: r, .. }
        | Change::ExecutionLost { request: r, .. } => vec![(request(&r.id), WakeMode::All)],
        Change::TokenRevoked { token_id, .. } => vec![(token(token_id), WakeMode::All)],
        Change::UserActivated(user) | Change::UserSuspended(user) => {
            vec![(subject(&user.id), WakeMode::All)]
        }
        Change::DdlPassed(_)
        | Change::AgentRegistered { .. }
        | Change::TokenCreated(_)
        | Change::SchemaSynced(_)
        | Change::UserCreated { .. }
        | Change::UserUpdated { .. }
        | Change::LoginSucceeded { .. }
        | Change::RoleDeleted { .. }
        | Change::ConfigSynced { .. }
        | Change::ConfigRejected { .. }
        | Change::AttemptRefused(_)
        | Change::AuthFailures(_)
        | Change::StateBaselined(_)
        | Change::CheckpointFileAttached
        | Change::RollbackAccepted { .. }
        | Change::ResultCorrupt { .. }
        | Change::ResultsPurged(_)
        | Change::RequestsPurged { .. }
        | Change::AuditPurged { .. } => Vec::new(),
    }
}
