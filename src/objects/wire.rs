//! What a bucket is reached by: one call by HTTP. The layer that makes calls implements it, so that this one makes
//! none.

use std::fmt;
use std::time::Duration;

/// The method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Put,
    Delete,
}

impl Method {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct WireRequest<'a> {
    pub method: Method,
    /// Where; sent as it is.
    pub url: &'a str,
    /// Header fields, `host` included; sent as they are.
    pub headers: &'a [(&'static str, String)],
    /// The body; only of a call that writes.
    pub body: &'a [u8],
    /// Bytes of the answer's body that are read at most.
    pub answer_bytes_max: u64,
    /// Longest it may take in all.
    pub timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireResponse {
    pub status: u16,
    /// The body, or as much of it as was to be read.
    pub body: Vec<u8>,
    /// The header `etag`, which names this version of the object.
    pub etag: Option<String>,
}

/// There was no whole answer; a sentence for the log, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoResponse(pub String);

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes calls: no redirects, no tries of its own, nothing beyond the bounds of the call.
pub trait Wire: Send + Sync {
    /// Makes this call.
    ///
    /// # Errors
    /// When no whole answer arrived in time, or the address may not be called.
    fn send(&self, call: &WireRequest<'_>) -> Result<WireResponse, NoResponse>;
}
