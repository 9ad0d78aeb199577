//! Calls to others by HTTP: bounded in time and size, never redirected, only to where they may go.

use super::guard::{Guard, NetworkReach};
use crate::objects::wire::{Method, NoResponse, Wire, WireRequest, WireResponse};
use std::fmt;
use std::io::Read;
use std::time::Duration;
use ureq::http::{Request, Response, header};
use ureq::unversioned::transport::DefaultConnector;

/// Longest a name may take to become an address, and a connection to stand: a stop waits for these two at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest a whole call may take, its answer included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls others. Clones share their connections.
#[derive(Clone)]
pub struct Http {
    agent: ureq::Agent,
}

/// The head of an answer; the body is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostAnswer {
    pub status: u16,
    pub retry_after: Option<String>,
}

/// That something answered, and the time that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub date: Option<String>,
}

/// A call that brought nothing usable; a sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundFailure(String);

impl OutboundFailure {
    /// A failure for this reason.
    pub fn new(why: impl fmt::Display) -> OutboundFailure {
        OutboundFailure(why.to_string())
    }
}

impl fmt::Display for OutboundFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OutboundFailure {}

impl Http {
    /// Calls as far as `reach` goes, by the proxy that it names; the environment is not asked for one. With a proxy,
    /// only the address of that is judged here.
    ///
    /// No connection is kept: calls are minutes apart, and it would only be found dead.
    pub fn new(reach: NetworkReach) -> Http {
        Http::keeping(reach, 0)
    }

    /// The same, keeping up to `kept` connections for calls that follow soon.
    pub fn keeping(reach: NetworkReach, kept: usize) -> Http {
        let proxy = reach.proxy.as_deref().map(ureq::Proxy::new).transpose();
        let guard = match &proxy {
            Ok(None) => Guard::new(reach),
            // The operator named it, wherever it is.
            Ok(Some(_)) => Guard::new(NetworkReach {
                here: true,
                private: true,
                ..reach
            }),
            // The configuration was checked; what was let through all the same must not mean a direct call.
            Err(_) => Guard::closed(),
        };
        let proxy = proxy.unwrap_or_default();
        let config = ureq::Agent::config_builder()
            .proxy(proxy)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT))
            .max_idle_connections(kept)
            .max_idle_connections_per_host(kept)
            .user_agent(concat!("dbward/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), guard);
        Http { agent }
    }

    /// Asks for the head of what is at `url` alone, which no receiver takes for an event.
    ///
    /// # Errors
    /// Where nothing answers.
    pub fn head(&self, url: &str) -> Result<Answered, OutboundFailure> {
        let answer = self.agent.head(url).call().map_err(OutboundFailure::new)?;
        let date = answer.headers().get(header::DATE);
        Ok(Answered {
            status: answer.status().as_u16(),
            date: date.and_then(|date| date.to_str().ok()).map(str::to_owned),
        })
    }

    /// The body of an answer with status 200, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// For everything else. What the other side wrote is not repeated.
    pub fn get(&self, url: &str, bytes_max: u64) -> Result<Vec<u8>, OutboundFailure> {
        let call = self
            .agent
            .get(url)
            .header(header::ACCEPT, "application/json");
        let mut answer = call.call().map_err(OutboundFailure::new)?;
        if answer.status() != 200 {
            return Err(OutboundFailure::new(format!(
                "the answer is {}",
                answer.status().as_u16()
            )));
        }
        answer
            .body_mut()
            .with_config()
            .limit(bytes_max)
            .read_to_vec()
            .map_err(OutboundFailure::new)
    }

    /// As [`Http::get`], with headers of the caller's.
    ///
    /// # Errors
    /// As there; the URL is never part of it.
    pub fn get_with(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        bytes_max: u64,
    ) -> Result<Vec<u8>, OutboundFailure> {
        let mut request = Request::builder().method("GET").uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(())
            .map_err(|_| OutboundFailure::new("the call cannot be written"))?;
        let failed = |e: ureq::Error| OutboundFailure::new(described(&e));
        let mut answer = self.run(request, CALL_TIMEOUT).map_err(failed)?;
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            return Err(OutboundFailure::new(format!("the answer is {status}")));
        }
        let read = answer.body_mut().with_config().limit(bytes_max);
        read.read_to_vec().map_err(failed)
    }

    /// Posts `body` and reads the head of the answer, whatever its status.
    ///
    /// # Errors
    /// Without an answer within the time limit, or for an address that may not be called. The URL is never part of it.
    pub fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: &[u8],
    ) -> Result<PostAnswer, OutboundFailure> {
        let mut request = Request::builder().method("POST").uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(body)
            .map_err(|_| OutboundFailure::new("the call cannot be written"))?;
        let answer = self
            .run(request, CALL_TIMEOUT)
            .map_err(|e| OutboundFailure::new(described(&e)))?;
        let wait = answer.headers().get(header::RETRY_AFTER);
        Ok(PostAnswer {
            status: answer.status().as_u16(),
            retry_after: wait.and_then(|v| v.to_str().ok()).map(str::to_owned),
        })
    }

    /// Posts `body` and reads the answer whole, of at most `bytes_max` bytes and within `timeout`.
    ///
    /// # Errors
    /// As [`Http::post`]; for an answer that is longer.
    pub fn post_for_body(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: &[u8],
        bytes_max: u64,
        timeout: Duration,
    ) -> Result<(PostAnswer, Vec<u8>), OutboundFailure> {
        let mut request = Request::builder().method("POST").uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(body)
            .map_err(|_| OutboundFailure::new("the call cannot be written"))?;
        let failed = |e: ureq::Error| OutboundFailure::new(described(&e));
        let mut answer = self
            .run(request, timeout.min(CALL_TIMEOUT))
            .map_err(failed)?;
        let wait = answer.headers().get(header::RETRY_AFTER);
        let head = PostAnswer {
            status: answer.status().as_u16(),
            retry_after: wait.and_then(|v| v.to_str().ok()).map(str::to_owned),
        };
        let read = answer.body_mut().with_config().limit(bytes_max);
        let bytes = read.read_to_vec().map_err(|e| match e {
            ureq::Error::BodyExceedsLimit(_) => {
                OutboundFailure::new("the answer is longer than any that is expected")
            }
            other => failed(other),
        })?;
        Ok((head, bytes))
    }

    fn sent(&self, call: &WireRequest<'_>) -> Result<WireResponse, ureq::Error> {
        let mut request = Request::builder()
            .method(call.method.as_str())
            .uri(call.url);
        for (name, value) in call.headers {
            request = request.header(*name, value);
        }
        let answer = match call.method {
            // Its length is sent even where it is zero.
            Method::Put => self.run(request.body(call.body)?, call.timeout),
            Method::Get | Method::Delete => self.run(request.body(())?, call.timeout),
        };
        let (head, body) = answer?.into_parts();
        // Where only the end of the connection ends a body, nobody can tell whether it is whole.
        let is_measured = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
            .iter()
            .any(|name| head.headers.contains_key(name));
        if !is_measured && head.status != 204 {
            return Err(ureq::Error::Other(
                "the answer does not say how long it is".into(),
            ));
        }
        let mut bytes = Vec::new();
        body.into_reader()
            .take(call.answer_bytes_max)
            .read_to_end(&mut bytes)?;
        let etag = head.headers.get(header::ETAG);
        Ok(WireResponse {
            status: head.status.as_u16(),
            body: bytes,
            etag: etag.and_then(|v| v.to_str().ok()).map(str::to_owned),
        })
    }

    fn run(
        &self,
        request: Request<impl ureq::AsSendBody>,
        timeout: Duration,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(timeout))
            .allow_non_standard_methods(false)
            .build();
        self.agent.run(request)
    }

    /// Ends every call in flight, on whatever thread, and refuses further ones.
    pub fn shutdown(&self) {
        self.agent.clone().shutdown();
    }
}

/// Why there was no answer, without the URL, which may be a secret.
fn described(error: &ureq::Error) -> String {
    use ureq::Error as E;
    match error {
        E::Timeout(_) => "no answer in time".to_owned(),
        E::HostNotFound => "the name of the host leads to no address".to_owned(),
        E::ConnectionFailed => "no connection could be made".to_owned(),
        E::Io(e) => format!("the connection failed: {e}"),
        E::Tls(e) => format!("TLS failed: {e}"),
        E::Rustls(e) => format!("TLS failed: {e}"),
        E::Protocol(_) => "the answer is not HTTP".to_owned(),
        E::Other(e) if e.is::<super::guard::Forbidden>() => e.to_string(),
        _ => "the call failed".to_owned(),
    }
}

impl Wire for Http {
    fn send(&self, call: &WireRequest<'_>) -> Result<WireResponse, NoResponse> {
        self.sent(call).map_err(|e| NoResponse(e.to_string()))
    }
}
