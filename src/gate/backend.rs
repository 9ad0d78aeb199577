//! The language between the gate and the backend: header names, the key, why a parked call comes back.
//!
//! Every name begins with `x-internal-`. The gate drops such fields from what a client sends and from what the backend
//! answers, so neither can speak for the other.

use crate::crypto;
use std::fmt;
use std::sync::Arc;

/// Prefix of every name below.
pub const PREFIX: &str = "x-internal-";
/// The secret of this start; the backend refuses a call without it.
pub const KEY: &str = "x-internal-key";
/// IP address of the client.
pub const PEER: &str = "x-internal-peer";
/// Request id: the client's, if it is well formed, else a new one.
pub const ID: &str = "x-internal-id";
/// Number of the exchange, echoed in the answer: an answer to another call can then never be relayed.
pub const EXCHANGE: &str = "x-internal-exchange";
/// On a resumed pass only: why (see [`ResumeReason`]).
pub const RESUME: &str = "x-internal-resume";
/// On a resumed pass only: the memo of the park, in hexadecimal.
pub const MEMO: &str = "x-internal-memo";
/// On a resumed pass only: milliseconds left to the original deadline.
pub const LEFT_MS: &str = "x-internal-left-ms";
/// The body was too large and is not here; how many bytes it has (for a chunked one: at least).
pub const OVERSIZE: &str = "x-internal-oversize";
/// The body was not read, since no credential of the head allows it: the answer is a refusal.
pub const UNREAD: &str = "x-internal-unread";
/// The verified certificate that the client has presented, DER in base64.
pub const CERTIFICATE: &str = "x-internal-certificate";
/// On an answer: the body is a [`crate::gate::park::Park`], and the call waits in the gate.
pub const PARK: &str = "x-internal-park";
/// The path of the call that confirms a new backend connection; answered 204 by a worker.
pub const NOOP: &str = "/-/noop";

/// The secret between the gate and the backend: 128 random bits, new at every start.
#[derive(Clone)]
pub struct BackendKey(Arc<str>);

impl BackendKey {
    pub fn generate() -> BackendKey {
        BackendKey(crypto::hex(&crypto::random::<16>()).into())
    }

    /// Whether `given` is this key, in constant time.
    pub fn matches(&self, given: &str) -> bool {
        crypto::same(self.0.as_bytes(), given.as_bytes())
    }

    /// For the one header that carries it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InnerKey(..)")
    }
}

/// Why a parked call is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeReason {
    /// One of its topics changed.
    Event,
    /// Its time is up.
    Deadline,
    Shutdown,
    /// Too many calls are parked; it never waited.
    Full,
}

impl ResumeReason {
    /// Its value in [`RESUME`].
    pub fn as_str(self) -> &'static str {
        match self {
            ResumeReason::Event => "event",
            ResumeReason::Deadline => "deadline",
            ResumeReason::Shutdown => "shutdown",
            ResumeReason::Full => "full",
        }
    }

    pub fn parse(text: &str) -> Option<ResumeReason> {
        [
            ResumeReason::Event,
            ResumeReason::Deadline,
            ResumeReason::Shutdown,
            ResumeReason::Full,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }

    /// Whether the backend may park the call again.
    pub fn may_wait(self) -> bool {
        self == ResumeReason::Event
    }
}
