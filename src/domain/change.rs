//! Everything that can ever be written, as data.
//!
//! A verb decides and describes; the store applies. One [`Change`] is one audit event and the rows it accounts for.
//! There are five groups, each with its own `entry` here and its own `apply` in the store. All match without a
//! wildcard, so a new kind of change does not compile until it has its audit text and its rows. Only a [`RequestChange`]
//! moves a request or notifies others.

mod configuration;
mod delivery;
mod entry;
mod identity;
mod logged;
mod notice;
mod quarantine;
mod request;

pub use configuration::{ConfigurationChange, LostStep, NewSchema};
pub use delivery::{DeliveryChange, checkpoint_payload, linked_payload, test_payload};
pub use identity::{IdentityChange, UserStatus};
pub use logged::{AuthFailures, LogChange, PurgedRequest, PurgedResult, Refused};
pub use notice::{DETAIL_BYTES_MAX, Notice};
pub use quarantine::{QuarantineSummary, Quarantined};
pub use request::{
    CompletedSteps, DdlPassed, EndedRehearsal, Finished, InconclusiveReport, NewExecution,
    NewRehearsal, NewRequest, NewResult, RehearsalChange, RehearsalStep, RequestChange, RequestRef,
    RequestText, StartedRehearsal,
};

use crate::domain::audit::AuditEntry;

/// One thing that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What happens to one request, its executions and its results.
    Request(RequestChange),
    /// Who may act: tokens, users, logins, agents.
    Identity(IdentityChange),
    /// What is in effect: configurations, roles, schemas.
    Configuration(ConfigurationChange),
    /// What people ask of the deliveries of notifications.
    Delivery(DeliveryChange),
    /// What only the audit log records, and what is removed.
    Log(LogChange),
}

impl Change {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        match self {
            Change::Request(change) => change.entry(),
            Change::Identity(change) => change.entry(),
            Change::Configuration(change) => change.entry(),
            Change::Delivery(change) => change.entry(),
            Change::Log(change) => change.entry(),
        }
    }
}

impl From<RequestChange> for Change {
    fn from(change: RequestChange) -> Change {
        Change::Request(change)
    }
}

impl From<IdentityChange> for Change {
    fn from(change: IdentityChange) -> Change {
        Change::Identity(change)
    }
}

impl From<ConfigurationChange> for Change {
    fn from(change: ConfigurationChange) -> Change {
        Change::Configuration(change)
    }
}

impl From<DeliveryChange> for Change {
    fn from(change: DeliveryChange) -> Change {
        Change::Delivery(change)
    }
}

impl From<LogChange> for Change {
    fn from(change: LogChange) -> Change {
        Change::Log(change)
    }
}
