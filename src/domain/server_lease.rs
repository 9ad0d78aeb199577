//! The lease of the one server that writes: a document that all servers of an installation share, and the arithmetic of
//! who may write when.
//!
//! Safety does not depend on clocks that agree, only on clocks that run at about the same speed. The holder counts from
//! before it sent a renewal; everybody else counts from after they read it, and waits a margin longer. So the holder has
//! stopped before another server begins.

use crate::clock::Timestamp;
use std::time::{Duration, Instant};

/// What the others wait beyond the time of a lease, as a part of it: by how much two clocks may differ in speed.
const MARGIN_PART: u32 = 10;
/// Renewals that fit into a lease.
const RENEWALS: u32 = 3;

/// What the document says. An epoch is the reign of one server; it counts up with every start and every take-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLease {
    /// Of the holder.
    pub epoch: u64,
    /// Whose folder of the bucket has the newest whole copy: the holder's, or the one's before as long as that of the
    /// holder is not complete.
    pub copy_epoch: u64,
    /// Random, one for each state directory.
    pub holder: String,
    /// Counts up, so that no two versions are alike.
    pub renewals: u64,
    pub lease_secs: u64,
    /// The holder has given it up.
    pub released: bool,
    /// `head` is the last event that the holder wrote, and the copy has it: nothing came after.
    pub head_is_last: bool,
    pub confirmed: bool,
    pub keys: ServerKeys,
    pub head: LogHead,
}

/// Which keys a server has, by their ids: another one with others could neither prove the state nor sign for agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeys {
    /// Of what signs execution tokens.
    pub signing: String,
    /// Of what signs the audit log.
    pub audit: String,
}

/// The last event of an audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogHead {
    pub seq: i64,
    pub hash: String,
}

impl ServerLease {
    /// The first one of an installation, of the epoch after `after`.
    pub fn first(
        holder: &str,
        lease_secs: u64,
        confirmed: bool,
        keys: &ServerKeys,
        after: u64,
    ) -> ServerLease {
        ServerLease {
            epoch: after + 1,
            copy_epoch: after,
            holder: holder.to_owned(),
            renewals: 0,
            lease_secs,
            released: false,
            head_is_last: false,
            confirmed,
            keys: keys.clone(),
            head: LogHead::default(),
        }
    }

    /// Its successor, of another epoch.
    #[must_use]
    pub fn taken_by(&self, holder: &str, lease_secs: u64, confirmed: bool) -> ServerLease {
        ServerLease {
            epoch: self.epoch + 1,
            holder: holder.to_owned(),
            renewals: self.renewals + 1,
            lease_secs,
            released: false,
            head_is_last: false,
            confirmed,
            ..self.clone()
        }
    }

    /// The same, renewed; `head` is what the copy holds by now, if anything is known of it.
    #[must_use]
    pub fn renewed(&self, head: Option<LogHead>) -> ServerLease {
        ServerLease {
            renewals: self.renewals + 1,
            head: head.unwrap_or_else(|| self.head.clone()),
            ..self.clone()
        }
    }

    /// The same, from the moment at which the copy of its own epoch is complete.
    #[must_use]
    pub fn with_copy(&self) -> ServerLease {
        ServerLease {
            copy_epoch: self.epoch,
            ..self.renewed(None)
        }
    }

    /// The same, given up; `last` is the last event of the log where the copy is known to have all of it.
    #[must_use]
    pub fn given_up(&self, last: Option<LogHead>) -> ServerLease {
        ServerLease {
            released: true,
            head_is_last: last.is_some(),
            ..self.renewed(last)
        }
    }

    /// Whether `other` is of the same reign.
    pub fn is_same_reign(&self, other: &ServerLease) -> bool {
        self.epoch == other.epoch && self.holder == other.holder
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.lease_secs)
    }
}

/// Time between two renewals.
pub fn renew_every(lease: Duration) -> Duration {
    lease / RENEWALS
}

/// A moment by both clocks: one that cannot be set, and one that goes on while the machine is suspended.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub instant: Instant,
    pub wall: Timestamp,
}

/// How long the holder may write.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTerm {
    /// Before the renewal was sent.
    pub sent: Moment,
    pub lease: Duration,
}

impl LeaseTerm {
    /// Whether it lasts at that moment: by both clocks.
    pub fn lasts(&self, now: Moment) -> bool {
        let suspended = Duration::from_millis(now.wall.since(self.sent.wall));
        now.instant.saturating_duration_since(self.sent.instant) < self.lease
            && suspended < self.lease
    }
}

/// What another server knows of the lease: which version stands, and since when.
#[derive(Debug, Clone)]
pub struct LeaseWatch {
    version: String,
    since: Instant,
}

impl LeaseWatch {
    /// `read` is the moment after the answer came.
    pub fn new(version: String, read: Instant) -> LeaseWatch {
        LeaseWatch {
            version,
            since: read,
        }
    }

    /// Notes what stands now; the time starts again with another version.
    pub fn note(&mut self, version: &str, read: Instant) {
        if self.version != version {
            *self = LeaseWatch::new(version.to_owned(), read);
        }
    }

    /// Whether the holder has certainly stopped writing.
    pub fn is_over(&self, lease: &ServerLease, now: Instant) -> bool {
        let lasts = lease.duration() + lease.duration() / MARGIN_PART;
        lease.released || now.saturating_duration_since(self.since) >= lasts
    }
}

#[cfg(test)]
mod tests;
