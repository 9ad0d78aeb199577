//! The typed client of the API: how the agent and the command line speak to a server.
//!
//! One [`Client`] is one server and one token, with connections kept alive between calls. Nothing here retries: who
//! calls knows whether to.

mod agent_api;
mod document;
mod error;
mod identity_provider;
mod people_api;

pub use agent_api::{
    ActiveJob, AgentStatus, Capabilities, Claim, DryRunClaim, DryRunJob, DryRunResult, Heartbeat,
    OfferedJob, Poll, PollReply, PublicKeyReply, RehearsalClaim, RehearsalJob, RehearsalResult,
    ResultReply, SchemaSync, TargetJson,
};
pub use document::Document;
pub use error::ClientError;
pub use identity_provider::{
    BrowserSignIn, DeviceCode, IdentityProvider, ProviderOptions, ProviderTokens, SignInState,
    code_expired,
};
pub use people_api::{
    ContextReply, CreatedReply, FindingReply, MeReply, MovedReply, NewRequestBody,
    NotificationReply, ProgressReply, RehearsalReply, RehearsedReply, RequestReply, RequiredReply,
    ReviewReply, RiskReply, RoleReply, StepReply, TableRowsReply, VoteReply, pairs_of, path_of,
    with_query,
};

use crate::crypto::sha256_hex;
use crate::error::{Error, Shown};
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Method, Request, Uri, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// Longest answer that is read, in bytes: the largest result rendered as CSV, and a little.
const REPLY_BYTES_MAX: u64 = 64 << 20;
/// Longest error body that is read, in bytes; ours are below one.
const ERROR_BYTES_MAX: u64 = 64 << 10;
/// Longest token, in bytes: that of a JWT.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// The slowest upload that is waited for, in bytes a second; the server waits as long.
const UPLOAD_BYTES_PER_SEC: u64 = 64 << 10;

/// How long a call without a token may take.
const PUBLIC_CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bearer token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// The token as it stands in a header; surrounding white space (the newline of a file) is dropped.
    ///
    /// # Errors
    /// `validation_error` if it cannot stand in a header. The message does not quote it.
    pub fn new(text: &str) -> Result<BearerToken, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::invalid("the token is empty"));
        }
        if text.len() > TOKEN_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid(
                "the token holds characters that no token has, or is too long",
            ));
        }
        Ok(BearerToken(text.to_owned()))
    }

    /// SHA-256 of it, in hexadecimal: tells one token from another without keeping either.
    pub fn fingerprint(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An agent for calls without a token of the server, each of which may take so long. The environment is not asked for a
/// proxy, as for calls with one.
fn plain_agent(call_timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(call_timeout))
        .user_agent(concat!("dbward/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// What the server at `url` says to strangers at `path`; nothing is sent to prove who asks.
///
/// # Errors
/// As [`Client::get`], and for what is not the URL of a server.
pub fn fetch_public<T: DeserializeOwned>(
    url: &str,
    path: &str,
    allow_insecure: bool,
) -> Result<T, ClientError> {
    let base = checked_url(url, allow_insecure)
        .map_err(|e| ClientError::no_answer("bad_request", e.message()))?;
    let http = plain_agent(PUBLIC_CALL_TIMEOUT);
    let sent = http.get(format!("{base}{path}")).call();
    let mut reply = sent.map_err(ClientError::from_ureq)?;
    let status = reply.status().as_u16();
    let body = read(&mut reply, ERROR_BYTES_MAX).map_err(ClientError::from_ureq)?;
    match status {
        200 => Document::new(status, body).read(),
        status => Err(ClientError::refused(status, None, &body)),
    }
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `http://host:port` or `https://host`, with a path in front of `/api` if a proxy wants one.
    pub url: String,
    /// What to authenticate with.
    pub token: BearerToken,
    /// Allows plain HTTP to hosts other than this one.
    pub allow_insecure: bool,
    /// Certificates to trust instead of the usual authorities: a file in PEM.
    pub ca_file: Option<PathBuf>,
    /// What to present when the server asks for a certificate: a file with the certificate and those of its issuers, and
    /// one with the private key, both in PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// An HTTP proxy; the environment is not asked.
    pub proxy: Option<String>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a call may take in all, beyond what the server is asked to wait.
    pub call_timeout: Duration,
}

impl ClientOptions {
    /// Options with the usual timeouts: 5 s to connect, 10 s for a call.
    pub fn new(url: impl Into<String>, token: BearerToken) -> ClientOptions {
        ClientOptions {
            url: url.into(),
            token,
            allow_insecure: false,
            ca_file: None,
            client_certificate: None,
            proxy: None,
            connect_timeout: CONNECT_TIMEOUT,
            call_timeout: Duration::from_secs(10),
        }
    }
}

/// A server, and a token for it. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: ureq::Agent,
    base: String,
    authorization: header::HeaderValue,
    call_timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// `validation_error` for an invalid URL, or plain HTTP to another host.
    pub fn new(options: &ClientOptions) -> Result<Client, Error> {
        let base = checked_url(&options.url, options.allow_insecure)?;
        let proxy = match &options.proxy {
            None => None,
            Some(url) => Some(ureq::Proxy::new(url).map_err(|_| {
                Error::invalid(format!("proxy `{}` is not a proxy URL", Shown(url)))
            })?),
        };
        let mut authorization =
            header::HeaderValue::try_from(format!("Bearer {}", options.token.0))
                .map_err(|_| Error::invalid("the token cannot stand in a header"))?;
        authorization.set_sensitive(true);
        let config = ureq::Agent::config_builder()
            .tls_config(tls(options)?)
            .proxy(proxy)
            .max_redirects(0)
            .http_status_as_error(false)
            .https_only(base.starts_with("https:"))
            .timeout_connect(Some(options.connect_timeout))
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_global(Some(options.call_timeout))
            .user_agent(concat!("dbward/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client {
            http: config.new_agent(),
            base,
            authorization,
            call_timeout: options.call_timeout,
        })
    }

    /// Ends every call in flight, on whatever thread, and refuses further ones with the code `stopped`. Other clients
    /// of the same server are not touched.
    pub fn shutdown(&self) {
        self.http.clone().shutdown();
    }

    /// GET `path` and read the JSON answer. `wait` is how long the server was asked to hold the call.
    ///
    /// # Errors
    /// [`ClientError`] for everything but a status below 300 with the JSON that is expected.
    pub fn get<T: DeserializeOwned>(&self, path: &str, wait: Duration) -> Result<T, ClientError> {
        self.json(Method::GET, path, "", wait)
    }

    /// POST the JSON `body` to `path` and read the JSON answer; an empty body is sent as none.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &str,
        wait: Duration,
    ) -> Result<T, ClientError> {
        self.json(Method::POST, path, body, wait)
    }

    fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &str,
        wait: Duration,
    ) -> Result<T, ClientError> {
        self.document(method, path, body, wait)?.read()
    }

    fn document(
        &self,
        method: Method,
        path: &str,
        body: &str,
        wait: Duration,
    ) -> Result<Document, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let built = request
            .body(body)
            .map_err(|e| ClientError::no_answer("bad_request", e))?;
        let upload = Duration::from_secs(body.len() as u64 / UPLOAD_BYTES_PER_SEC);
        let limited = self
            .http
            .configure_request(built)
            .timeout_global(Some(self.call_timeout + wait + upload))
            .build();
        let mut reply = self.http.run(limited).map_err(ClientError::from_ureq)?;
        let status = reply.status().as_u16();
        if status >= 300 {
            let retry_after = reply
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned);
            // A body that is too long or breaks off changes nothing: the status says enough.
            let body = read(&mut reply, ERROR_BYTES_MAX).unwrap_or_default();
            return Err(ClientError::refused(status, retry_after.as_deref(), &body));
        }
        let body = read(&mut reply, REPLY_BYTES_MAX).map_err(ClientError::from_ureq)?;
        Ok(Document::new(status, body))
    }
}

/// Whose certificates are trusted, and what is presented.
fn tls(options: &ClientOptions) -> Result<TlsConfig, Error> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &options.ca_file {
        tls = tls.root_certs(RootCerts::from(certificates(path)?));
    }
    if let Some((certificate, key)) = &options.client_certificate {
        let bad = || not_pem(key, "a private key");
        let pem = std::fs::read(key).map_err(|_| bad())?;
        let key = PrivateKey::from_pem(&pem).map_err(|_| bad())?;
        let certificate = ClientCert::new_with_certs(&certificates(certificate)?, key);
        tls = tls.client_cert(Some(certificate));
    }
    Ok(tls.build())
}

/// One at least.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let bad = || not_pem(path, "certificates");
    let pem = std::fs::read(path).map_err(|_| bad())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| bad())? {
            certificates.push(certificate);
        }
    }
    match certificates.is_empty() {
        true => Err(bad()),
        false => Ok(certificates),
    }
}

fn not_pem(path: &Path, what: &str) -> Error {
    Error::invalid(format!(
        "`{}` does not hold {what} in PEM",
        Shown(&path.display().to_string())
    ))
}

fn read(
    reply: &mut ureq::http::Response<ureq::Body>,
    bytes_max: u64,
) -> Result<Vec<u8>, ureq::Error> {
    reply
        .body_mut()
        .with_config()
        .limit(bytes_max)
        .read_to_vec()
}

/// The URL without a trailing slash, if a token may be sent there.
fn checked_url(url: &str, allow_insecure: bool) -> Result<String, Error> {
    let not_one = || {
        Error::invalid(format!("`{}` is not the URL of a server", Shown(url)))
            .hint("for example http://127.0.0.1:3000 or https://dbward.example.com")
    };
    let uri: Uri = url.parse().map_err(|_| not_one())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(not_one());
    };
    if uri.query().is_some() || url.contains('#') || authority.as_str().contains('@') {
        return Err(not_one());
    }
    match scheme {
        "https" => {}
        "http" if allow_insecure || is_loopback(authority.host()) => {}
        "http" => {
            return Err(Error::invalid(format!(
                "`{}` would send the token unencrypted to another host",
                Shown(url)
            ))
            .hint("use https, or set `allow_insecure = true` if the network between is trusted"));
        }
        _ => return Err(not_one()),
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether this is an address of plain HTTP on another machine than this one.
pub fn is_plain_http_beyond(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !is_loopback(host))
    })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
