//! Signing in through an identity provider: in a browser on this machine (RFC 7636, RFC 8252) or on another one
//! (RFC 8628); and refreshing what it gave.

use super::{is_loopback, plain_agent, with_query};
use crate::crypto::{base64url, base64url_of, random, sha256};
use crate::error::{Error, Shown};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use ureq::http::Uri;

/// Longest answer of a provider that is read, in bytes.
const REPLY_BYTES_MAX: u64 = 256 << 10;
/// How long one call to a provider may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds between two questions where the provider names none, and those that `slow_down` adds (RFC 8628, section 3.5).
const INTERVAL_SECS: u64 = 5;
/// Longest pause between two questions, in seconds.
const INTERVAL_SECS_MAX: u64 = 60;
/// Longest time that somebody has to sign in, in seconds, whatever the provider says.
const EXPIRES_SECS_MAX: u64 = 1800;
/// What is asked for where the provider offers it; `openid` always.
const SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Where a provider is, and as whom it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderOptions {
    /// As its tokens say in `iss`.
    pub issuer: String,
    pub client_id: String,
    /// Where its description is, if not below the issuer.
    pub discovery_url: Option<String>,
    /// What stands in place of the issuer in addresses that this program calls.
    pub backchannel_url: Option<String>,
    /// The same in addresses that a browser opens.
    pub browser_url: Option<String>,
    /// Allows plain HTTP to hosts other than this one.
    #[serde(skip)]
    pub allow_insecure: bool,
}

/// What a provider says of itself.
#[derive(Debug, Clone, Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    token_endpoint: String,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// A provider that was found.
pub struct IdentityProvider {
    http: ureq::Agent,
    options: ProviderOptions,
    description: Description,
}

/// What somebody opens and enters, and how the outcome is asked for.
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceCode {
    device_code: String,
    pub user_code: String,
    pub verification_uri: String,
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

impl DeviceCode {
    /// How long it counts.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.expires_in.min(EXPIRES_SECS_MAX))
    }

    /// How long to wait before the first question.
    pub fn interval(&self) -> Duration {
        let secs = self.interval.unwrap_or(INTERVAL_SECS);
        Duration::from_secs(secs.clamp(1, INTERVAL_SECS_MAX))
    }
}

/// One sign-in in a browser that comes back to this machine. Its secrets are random and good for this one alone.
pub struct BrowserSignIn {
    redirect_uri: String,
    /// Returns with the code, so that nobody else's code is taken for it.
    state: String,
    /// Returns in the id token, so that nobody else's token is taken for it.
    nonce: String,
    /// Proves to the token endpoint that the code was asked for here.
    verifier: String,
}

impl BrowserSignIn {
    /// One that returns to this address.
    pub fn new(redirect_uri: &str) -> BrowserSignIn {
        let secret = || base64url_of(&random::<32>());
        BrowserSignIn {
            redirect_uri: redirect_uri.to_owned(),
            state: secret(),
            nonce: secret(),
            verifier: secret(),
        }
    }

    /// Whether the state that came back is that of this sign-in.
    pub fn is_state(&self, state: &str) -> bool {
        crate::crypto::same(self.state.as_bytes(), state.as_bytes())
    }
}

/// What a provider gives for a sign-in or a refresh token. Secrets of a person: never printed.
#[derive(Clone, Deserialize)]
pub struct ProviderTokens {
    pub access_token: String,
    #[serde(default)]
    pub id_token: Option<String>,
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// Seconds that the access token counts.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

/// What a question for the outcome brought.
pub enum SignInState {
    /// Ask again after so long.
    Pending(Duration),
    Done(ProviderTokens),
}

impl IdentityProvider {
    /// Reads what the provider says of itself.
    ///
    /// # Errors
    /// With a sentence, where it does not answer, is another than the one that is asked for, or is reached unencrypted.
    pub fn discover(options: &ProviderOptions) -> Result<IdentityProvider, Error> {
        let http = plain_agent(CALL_TIMEOUT);
        let issuer = options.issuer.trim_end_matches('/');
        let url = options.discovery_url.clone().unwrap_or_else(|| {
            let base = options.backchannel_url.as_deref().unwrap_or(issuer);
            let base = base.trim_end_matches('/');
            format!("{base}/.well-known/openid-configuration")
        });
        is_private(&url, options.allow_insecure)?;
        let mut reply = http.get(&url).call().map_err(|e| no_answer(&url, &e))?;
        let status = reply.status().as_u16();
        let body = read(&mut reply).map_err(|e| no_answer(&url, &e))?;
        if status != 200 {
            let message = format!("{} answered {status}", Shown(&url));
            return Err(Error::unavailable(message));
        }
        let description: Description = parsed(&url, &body)?;
        if description.issuer.trim_end_matches('/') != issuer {
            return Err(Error::invalid(format!(
                "{} describes `{}`, not `{}`",
                Shown(&url),
                Shown(&description.issuer),
                Shown(&options.issuer)
            )));
        }
        Ok(IdentityProvider {
            http,
            options: options.clone(),
            description,
        })
    }

    /// Asks for a code that somebody enters in a browser.
    ///
    /// # Errors
    /// Where the provider has no such way, or refuses.
    pub fn begin(&self) -> Result<DeviceCode, Error> {
        let endpoint = self.description.device_authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| {
            Error::invalid(format!(
                "{} does not offer sign-in by device code",
                Shown(&self.options.issuer)
            ))
            .hint("sign in with a token: `dbward login --token-file FILE`")
        })?;
        let (status, body) = self.post(endpoint, &[("scope", &self.scopes().join(" "))])?;
        if status != 200 {
            return Err(refused(&body, status));
        }
        let mut code: DeviceCode = parsed(endpoint, &body)?;
        let browser = self.options.browser_url.as_deref();
        code.verification_uri = self.rebased(&code.verification_uri, browser);
        let whole = code.verification_uri_complete.as_deref();
        code.verification_uri_complete = whole.map(|url| self.rebased(url, browser));
        Ok(code)
    }

    /// Asks whether somebody has entered the code; `interval` is the pause before this question.
    ///
    /// # Errors
    /// Where it was denied, or the code has expired.
    pub fn ask(&self, code: &DeviceCode, interval: Duration) -> Result<SignInState, Error> {
        let fields = [
            ("grant_type", DEVICE_GRANT),
            ("device_code", code.device_code.as_str()),
        ];
        let longer = |secs: u64| {
            let pause = interval + Duration::from_secs(secs);
            SignInState::Pending(pause.min(Duration::from_secs(INTERVAL_SECS_MAX)))
        };
        let (status, body) = match self.post(&self.description.token_endpoint, &fields) {
            Ok(answer) => answer,
            // Without an answer nothing is decided: it is asked again, more slowly.
            Err(_) => return Ok(longer(interval.as_secs())),
        };
        if status == 200 {
            let tokens = parsed(&self.description.token_endpoint, &body)?;
            return Ok(SignInState::Done(tokens));
        }
        match error_code(&body).as_deref() {
            Some("authorization_pending") => Ok(SignInState::Pending(interval)),
            Some("slow_down") => Ok(longer(INTERVAL_SECS)),
            Some("access_denied") => Err(Error::invalid("the sign-in was denied in the browser")),
            Some("expired_token") => Err(code_expired()),
            _ if status >= 500 => Ok(longer(interval.as_secs())),
            _ => Err(refused(&body, status)),
        }
    }

    /// Whether somebody may sign in on another machine.
    pub fn offers_device_codes(&self) -> bool {
        self.description.device_authorization_endpoint.is_some()
    }

    /// Whether somebody may sign in in a browser that returns here.
    pub fn offers_browsers(&self) -> bool {
        self.description.authorization_endpoint.is_some()
    }

    /// What the browser opens for a sign-in.
    ///
    /// # Errors
    /// Where the provider has no such way.
    pub fn address(&self, sign_in: &BrowserSignIn) -> Result<String, Error> {
        let endpoint = self.description.authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| {
            Error::invalid(format!(
                "{} does not offer sign-in in a browser that returns to this machine",
                Shown(&self.options.issuer)
            ))
            .hint("`dbward login --device`")
        })?;
        let url = self.rebased(endpoint, self.options.browser_url.as_deref());
        is_private(&url, self.options.allow_insecure)?;
        let scopes = self.scopes();
        let challenge = base64url_of(&sha256(sign_in.verifier.as_bytes()));
        // OpenID Connect Core, section 11: without consent there is no refresh token.
        let prompt = scopes.contains(&"offline_access").then_some("consent");
        let text = |text: &str| Some(text.to_owned());
        let parameters = [
            ("response_type", text("code")),
            ("client_id", text(&self.options.client_id)),
            ("redirect_uri", text(&sign_in.redirect_uri)),
            ("scope", text(&scopes.join(" "))),
            ("state", text(&sign_in.state)),
            ("nonce", text(&sign_in.nonce)),
            ("code_challenge_method", text("S256")),
            ("code_challenge", Some(challenge)),
            ("prompt", prompt.map(str::to_owned)),
        ];
        Ok(with_query(&url, &parameters))
    }

    /// Whether an `iss` that came back with a code is this provider (RFC 9207).
    pub fn is_issuer(&self, iss: &str) -> bool {
        iss.trim_end_matches('/') == self.options.issuer.trim_end_matches('/')
    }

    /// Tokens for the code that a browser brought back.
    ///
    /// # Errors
    /// Where the provider does not answer or refuses, and where its id token is of another sign-in.
    pub fn redeem(&self, sign_in: &BrowserSignIn, code: &str) -> Result<ProviderTokens, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", sign_in.redirect_uri.as_str()),
            ("code_verifier", sign_in.verifier.as_str()),
        ];
        let (status, body) = self.post(&self.description.token_endpoint, &fields)?;
        if status != 200 {
            return Err(refused(&body, status));
        }
        let tokens: ProviderTokens = parsed(&self.description.token_endpoint, &body)?;
        match tokens.id_token.as_deref().and_then(nonce) {
            Some(nonce) if nonce == sign_in.nonce => Ok(tokens),
            _ => Err(
                Error::invalid("the identity provider gave an id token of another sign-in")
                    .hint("try `dbward login` again; nothing was kept"),
            ),
        }
    }

    fn scopes(&self) -> Vec<&'static str> {
        let offered = &self.description.scopes_supported;
        let wanted = SCOPES.iter().filter(|scope| {
            **scope == "openid" || offered.is_empty() || offered.iter().any(|o| o == *scope)
        });
        wanted.copied().collect()
    }

    /// Tokens for a refresh token.
    ///
    /// # Errors
    /// Where the provider does not answer or does not take it any more.
    pub fn refresh(&self, refresh_token: &str) -> Result<ProviderTokens, Error> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        let (status, body) = self.post(&self.description.token_endpoint, &fields)?;
        match status {
            200 => parsed(&self.description.token_endpoint, &body),
            status => Err(refused(&body, status)),
        }
    }

    fn post(&self, endpoint: &str, fields: &[(&str, &str)]) -> Result<(u16, Vec<u8>), Error> {
        let url = self.rebased(endpoint, self.options.backchannel_url.as_deref());
        is_private(&url, self.options.allow_insecure)?;
        let client = ("client_id", self.options.client_id.as_str());
        let form = std::iter::once(client).chain(fields.iter().copied());
        let failed = |e: &ureq::Error| no_answer(&url, e);
        let sent = self.http.post(&url).header("accept", "application/json");
        let mut reply = sent.send_form(form).map_err(|e| failed(&e))?;
        let body = read(&mut reply).map_err(|e| failed(&e))?;
        Ok((reply.status().as_u16(), body))
    }

    /// An address of the provider, with another beginning than the issuer where one is given.
    fn rebased(&self, url: &str, base: Option<&str>) -> String {
        let issuer = self.options.issuer.trim_end_matches('/');
        match (base, url.strip_prefix(issuer)) {
            (Some(base), Some(rest)) => format!("{}{rest}", base.trim_end_matches('/')),
            _ => url.to_owned(),
        }
    }
}

/// The nonce in an id token. The token came from the provider itself over the connection that the code went over; the
/// server verifies its signature.
fn nonce(id_token: &str) -> Option<String> {
    let payload = base64url(id_token.split('.').nth(1)?)?;
    let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    Some(claims.get("nonce")?.as_str()?.to_owned())
}

/// Nobody entered the code in time.
pub fn code_expired() -> Error {
    Error::invalid("nobody signed in before the code expired").hint("`dbward login` asks again")
}

fn no_answer(url: &str, error: &ureq::Error) -> Error {
    Error::unavailable(format!("{} does not answer: {error}", Shown(url)))
}

/// Tokens travel there: only encrypted, or within this machine.
fn is_private(url: &str, allow_insecure: bool) -> Result<(), Error> {
    let uri: Uri = url
        .parse()
        .map_err(|_| Error::invalid(format!("`{}` is not a URL", Shown(url))))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(()),
        (Some("http"), Some(host)) if allow_insecure || is_loopback(host) => Ok(()),
        _ => Err(Error::invalid(format!(
            "`{}` would send the sign-in unencrypted",
            Shown(url)
        ))),
    }
}

fn read(reply: &mut ureq::http::Response<ureq::Body>) -> Result<Vec<u8>, ureq::Error> {
    super::read(reply, REPLY_BYTES_MAX)
}

fn parsed<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, Error> {
    // The cause may quote a token.
    serde_json::from_slice(body)
        .map_err(|_| Error::invalid(format!("{} does not answer as a provider does", Shown(url))))
}

fn error_fields(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

fn error_code(body: &[u8]) -> Option<String> {
    error_fields(body).get("error")?.as_str().map(str::to_owned)
}

fn refused(body: &[u8], status: u16) -> Error {
    let fields = error_fields(body);
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let why = match (text("error"), text("error_description")) {
        (Some(code), Some(words)) => format!("{} ({})", Shown(words), Shown(code)),
        (Some(code), None) => Shown(code).to_string(),
        (None, _) => format!("it answered {status}"),
    };
    Error::invalid(format!("the identity provider refused: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_lifetimes_are_bounded() {
        let code = |more: &str| -> DeviceCode {
            let text = format!(
                "{{\"device_code\":\"d\",\"user_code\":\"u\",\"verification_uri\":\"https://x\",{more}}}"
            );
            serde_json::from_str(&text).unwrap()
        };
        let secs = |code: &DeviceCode| (code.lifetime().as_secs(), code.interval().as_secs());
        assert_eq!(secs(&code("\"expires_in\":600")), (600, 5));
        assert_eq!(secs(&code("\"expires_in\":600,\"interval\":0")), (600, 1));
        assert_eq!(
            secs(&code("\"expires_in\":99999999,\"interval\":9999")),
            (1800, 60)
        );
    }

    #[test]
    fn tokens_travel_encrypted_or_within_this_machine() {
        for (url, allow, good) in [
            ("https://id.example.com/token", false, true),
            ("http://127.0.0.1:1/token", false, true),
            ("http://id.example.com/token", false, false),
            ("http://id.example.com/token", true, true),
            ("ftp://id.example.com/token", true, false),
            ("/token", true, false),
        ] {
            assert_eq!(is_private(url, allow).is_ok(), good, "{url} {allow}");
        }
    }
}
