//! The lease as a document in the bucket: its JSON, and the result of writing it.

use crate::clock::Clock;
use crate::domain::server_lease::{LogHead, Moment, ServerKeys, ServerLease};
use crate::error::Error;
use crate::objects::S3;
use crate::objects::s3::WriteOutcome;
use serde_json::{Value, json};
use std::time::Duration;

/// Its name below the prefix of the copy.
const NAME: &str = "lease";

/// Reads and writes the lease.
pub(super) struct LeaseDocument {
    pub(super) s3: S3,
    pub(super) clock: Clock,
    /// Longest time of one call.
    pub(super) call_timeout: Duration,
}

/// A lease as it stands in the bucket.
#[derive(Debug, Clone)]
pub(super) struct StandingLease {
    pub(super) lease: ServerLease,
    /// The name of this version of the document.
    pub(super) version: String,
}

impl LeaseDocument {
    pub(super) fn now(&self) -> Moment {
        Moment {
            instant: self.clock.instant(),
            wall: self.clock.now(),
        }
    }

    /// The lease that stands; `None` if there never was one.
    ///
    /// # Errors
    /// `unavailable`; `internal` for a document that is not a lease.
    pub(super) fn read(&self) -> Result<Option<StandingLease>, Error> {
        let Some(document) = self.s3.document(NAME, self.call_timeout)? else {
            return Ok(None);
        };
        let lease = parse(&document.bytes)
            .ok_or_else(|| Error::bug("the object `lease` in the bucket is not a lease"))?;
        Ok(Some(StandingLease {
            lease,
            version: document.version,
        }))
    }

    /// Writes a lease in place of the version that is named, or as the first one; `None` where another stands.
    ///
    /// # Errors
    /// `unavailable`: it stands or not.
    pub(super) fn write(
        &self,
        lease: ServerLease,
        replaces: Option<&str>,
    ) -> Result<Option<StandingLease>, Error> {
        let text = text(&lease);
        let outcome = self
            .s3
            .write_document(NAME, text.as_bytes(), replaces, self.call_timeout)?;
        Ok(match outcome {
            WriteOutcome::Written(version) => Some(StandingLease { lease, version }),
            WriteOutcome::Conflict => None,
        })
    }
}

fn text(lease: &ServerLease) -> String {
    json!({
        "format": 1,
        "epoch": lease.epoch,
        "copy_epoch": lease.copy_epoch,
        "holder": lease.holder,
        "renewals": lease.renewals,
        "lease_secs": lease.lease_secs,
        "released": lease.released,
        "head_is_last": lease.head_is_last,
        "confirmed": lease.confirmed,
        "signing_key": lease.keys.signing,
        "audit_key": lease.keys.audit,
        "head": {"seq": lease.head.seq, "hash": lease.head.hash},
    })
    .to_string()
}

fn parse(bytes: &[u8]) -> Option<ServerLease> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    if value["format"].as_u64()? != 1 {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(ServerLease {
        epoch: value["epoch"].as_u64()?,
        copy_epoch: value["copy_epoch"].as_u64()?,
        holder: text(&value["holder"])?,
        renewals: value["renewals"].as_u64()?,
        lease_secs: value["lease_secs"].as_u64()?,
        released: value["released"].as_bool()?,
        // One that an earlier version gave up names only what the copy had at a renewal.
        head_is_last: value["head_is_last"].as_bool().unwrap_or(false),
        confirmed: value["confirmed"].as_bool()?,
        keys: ServerKeys {
            signing: text(&value["signing_key"])?,
            audit: text(&value["audit_key"])?,
        },
        head: LogHead {
            seq: value["head"]["seq"].as_i64()?,
            hash: text(&value["head"]["hash"])?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_is_read_as_it_was_written() {
        let keys = ServerKeys {
            signing: "s".to_owned(),
            audit: "a".to_owned(),
        };
        let mut lease = ServerLease::first("one", 10, true, &keys, 4);
        lease.head = LogHead {
            seq: 7,
            hash: "h".to_owned(),
        };
        assert_eq!(parse(text(&lease).as_bytes()), Some(lease.clone()));
        let newer = text(&lease).replace("\"format\":1", "\"format\":2");
        assert_eq!(parse(newer.as_bytes()), None);
        assert_eq!(parse(b"{}"), None);
    }
}
