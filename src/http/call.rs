//! A call as the router sees it, and what it gives back: plain values, without the library that carried them.

pub use crate::gate::backend::ResumeReason;
use crate::gate::park::Park;
use std::net::IpAddr;
use std::time::Duration;

/// One HTTP request, read whole.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// As sent; case matters (`get` is not `GET`).
    pub method: String,
    /// Raw path, still percent-encoded, without the query. Begins with `/`.
    pub path: String,
    /// Raw query without the `?`.
    pub query: Option<String>,
    /// Names in lower case; values without surrounding blanks, visible ASCII only. None of the gate's own.
    pub headers: Vec<(String, String)>,
    /// The body; empty if there was none, or if it was too large (see `oversize`).
    pub body: Vec<u8>,
    /// The address that connected to the gate: a client or a proxy.
    pub peer: Option<IpAddr>,
    /// The client's `x-request-id` if well formed, else a new one.
    pub request_id: String,
    /// Set when this call has waited: it is being run again.
    pub resume: Option<Resume>,
    /// The announced size of a body that was too large to be read; only where the gate's rule asks for it.
    pub oversize: Option<u64>,
    /// The body was not read, since nothing in the head allows one: the answer is a refusal.
    pub unread: bool,
    /// The certificate, DER, that the client presented and that an authority of agents has signed.
    pub certificate: Option<Vec<u8>>,
}

impl HttpRequest {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The header of that name (lower case), where there is exactly one.
    pub fn only_header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value.as_str())
    }

    /// Whether it may be parked: on its first pass, and when it was woken by news.
    pub fn may_wait(&self) -> bool {
        self.resume.as_ref().is_none_or(|r| r.reason.may_wait())
    }
}

/// Why and how a call that waited is run again. It writes nothing before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// After anything but [`ResumeReason::Event`] the call must answer; parking again would be 502.
    pub reason: ResumeReason,
    /// The memo of its park.
    pub memo: String,
    /// Left to the deadline of the first park.
    pub left: Duration,
}

/// The answer to a call.
#[derive(Debug, Clone, Default)]
pub struct HttpResponse {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Fields; a value with control characters or beyond ASCII turns the whole answer into a 500. `Content-Length`,
    /// `Connection`, `x-dbward-version` and `x-request-id` are added on the way out.
    pub headers: Vec<(&'static str, String)>,
    /// The body. For HEAD give the body of GET: only its length is sent.
    pub body: Vec<u8>,
    /// Instead of an answer: wait, then run the call again. Everything else here is ignored then.
    pub park: Option<Park>,
}

impl HttpResponse {
    /// A status without a body.
    pub fn empty(status: u16) -> HttpResponse {
        HttpResponse {
            status,
            ..HttpResponse::default()
        }
    }

    /// A status with a body of the given media type.
    pub fn with_body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> HttpResponse {
        HttpResponse {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
            park: None,
        }
    }

    /// Wait, then run the call again.
    pub fn park(park: Park) -> HttpResponse {
        HttpResponse {
            park: Some(park),
            ..HttpResponse::empty(202)
        }
    }
}
