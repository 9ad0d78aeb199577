//! The identity provider while somebody signs in by browser: where it takes them, and the ID token for the code that
//! they come back with.
//!
//! A sign-in waits for the provider on a worker, so few may at once; further ones are asked to come back.

use super::discovery::{ProviderDocument, provider_reach};
use super::guard::NetworkReach;
use super::http::{Http, OutboundFailure};
use crate::clock::{Clock, Timestamp};
use crate::config::Oidc;
use crate::crypto::base64_text;
use crate::domain::sign_in::{CodeExchange, CodeGrant, ExchangedCode};
use crate::error::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::sync::Mutex;
use std::time::Duration;

/// How long what the provider says about itself counts.
const DOCUMENT_MS: u64 = 15 * 60 * 1000;
/// After a failure the provider is not asked again for so long.
const FAILURE_MS: u64 = 5_000;
/// Longest a call for an ID token may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer with an ID token, in bytes.
const TOKENS_BYTES_MAX: u64 = 64 * 1024;
/// Of workers, one in so many may wait for the provider.
const WORKERS_A_CALL: usize = 8;
/// What a form leaves as it is (RFC 3986, unreserved).
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Calls the identity provider of `oidc` about sign-ins.
pub struct CodeClient {
    oidc: Oidc,
    client_id: String,
    allow_private_networks: bool,
    http: Http,
    clock: Clock,
    known: Mutex<Option<(Timestamp, Result<ProviderEndpoints, OutboundFailure>)>>,
    /// Calls that may still begin.
    free: Mutex<usize>,
}

#[derive(Debug, Clone)]
struct ProviderEndpoints {
    authorization: String,
    token: String,
    /// Whether the provider takes a secret in the body only.
    takes_secret_in_body: bool,
}

/// A place among the calls under way; given back when dropped.
struct CallSlot<'a>(&'a Mutex<usize>);

impl Drop for CallSlot<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) += 1;
    }
}

impl CodeClient {
    /// A client of the provider, where `oidc` says what this server is called there.
    pub fn new(
        oidc: &Oidc,
        reach: &NetworkReach,
        clock: Clock,
        workers: usize,
    ) -> Option<CodeClient> {
        Some(CodeClient {
            client_id: oidc.client_id.clone()?,
            oidc: oidc.clone(),
            allow_private_networks: reach.private,
            http: Http::new(provider_reach(reach, &oidc.issuer)),
            clock,
            known: Mutex::new(None),
            free: Mutex::new((workers / WORKERS_A_CALL).max(1)),
        })
    }

    fn slot(&self) -> Result<CallSlot<'_>, Error> {
        let mut free = self.free.lock().unwrap_or_else(|e| e.into_inner());
        if *free == 0 {
            let error = Error::unavailable("too many people sign in at this moment");
            return Err(error.retry_after(2));
        }
        *free -= 1;
        Ok(CallSlot(&self.free))
    }

    fn endpoints(&self) -> Result<ProviderEndpoints, Error> {
        let now = self.clock.now();
        let known = self.known.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let fresh = known.filter(|(at, found)| {
            let counts_ms = if found.is_ok() {
                DOCUMENT_MS
            } else {
                FAILURE_MS
            };
            now.since(*at) < counts_ms
        });
        let found = match fresh {
            Some((_, found)) => found,
            None => {
                let _slot = self.slot()?;
                let found = self.discover();
                let kept = Some((now, found.clone()));
                *self.known.lock().unwrap_or_else(|e| e.into_inner()) = kept;
                found
            }
        };
        found.map_err(|why| unreachable(&why))
    }

    fn discover(&self) -> Result<ProviderEndpoints, OutboundFailure> {
        let issuer = &self.oidc.issuer;
        let document = ProviderDocument::fetch(&self.http, issuer, self.allow_private_networks)?;
        let takes = |method: &str| document.lists("token_endpoint_auth_methods_supported", method);
        Ok(ProviderEndpoints {
            authorization: document
                .endpoint("authorization_endpoint")?
                .url()
                .to_owned(),
            token: document.endpoint("token_endpoint")?.url().to_owned(),
            takes_secret_in_body: takes("client_secret_post") && !takes("client_secret_basic"),
        })
    }

    fn ask(
        &self,
        endpoints: &ProviderEndpoints,
        grant: &CodeGrant,
    ) -> Result<ExchangedCode, OutboundFailure> {
        let mut fields: Vec<(&str, &str)> = vec![
            ("grant_type", "authorization_code"),
            ("code", grant.code),
            ("redirect_uri", grant.redirect_uri),
            ("code_verifier", grant.verifier),
            ("client_id", &self.client_id),
        ];
        let mut headers = vec![
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("accept", "application/json".to_owned()),
        ];
        match &self.oidc.client_secret {
            Some(secret) if endpoints.takes_secret_in_body => {
                fields.push(("client_secret", secret.expose()));
            }
            Some(secret) => {
                let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret.expose()));
                let basic = format!("Basic {}", base64_text(pair.as_bytes()));
                headers.push(("authorization", basic));
            }
            None => {}
        }
        let body = form_encoded(&fields);
        let (answer, body) = self.http.post_for_body(
            &endpoints.token,
            &headers,
            body.as_bytes(),
            TOKENS_BYTES_MAX,
            TOKEN_TIMEOUT,
        )?;
        let answered: Option<Value> = serde_json::from_slice(&body).ok();
        let text = |name: &str| answered.as_ref()?.get(name)?.as_str();
        match answer.status {
            200 => match text("id_token") {
                Some(token) => Ok(ExchangedCode::IdToken(token.to_owned())),
                None => Err(OutboundFailure::new("its answer has no id_token")),
            },
            400 | 401 if text("error") == Some("invalid_grant") => Ok(ExchangedCode::CodeRefused),
            // RFC 6749, 5.2: 401 is about the client as well.
            401 => Ok(client_refused()),
            400 if matches!(
                text("error"),
                Some("invalid_client" | "unauthorized_client")
            ) =>
            {
                Ok(client_refused())
            }
            status => Err(OutboundFailure::new(format!(
                "its token endpoint answered {status}"
            ))),
        }
    }
}

impl CodeExchange for CodeClient {
    fn authorization_endpoint(&self) -> Result<String, Error> {
        Ok(self.endpoints()?.authorization)
    }

    fn id_token(&self, grant: &CodeGrant) -> Result<ExchangedCode, Error> {
        let endpoints = self.endpoints()?;
        let _slot = self.slot()?;
        self.ask(&endpoints, grant).map_err(|why| unreachable(&why))
    }
}

/// Names and values as a form or a query has them. Names are written as they are.
pub fn form_encoded(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string()
}

fn client_refused() -> ExchangedCode {
    log::warn!(
        "nobody can sign in by browser: the identity provider refuses auth.oidc.client_id with its secret"
    );
    ExchangedCode::ClientRefused
}

fn unreachable(why: &OutboundFailure) -> Error {
    log::warn!("nobody can sign in by browser: the identity provider failed: {why}");
    Error::unavailable("the identity provider cannot be reached").retry_after(5)
}
