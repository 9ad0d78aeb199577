//! Signing in through the identity provider of a server, in whatever browser is at hand (RFC 8628).

use super::super::output::visible;
use super::CommandError;
use super::kept::{KeptToken, ProviderTokenKind};
use super::settings::{ClientSettings, OidcText};
use crate::client::{
    BearerToken, DeviceCode, IdentityProvider, MeReply, ProviderOptions, ProviderTokens,
    SignInState, code_expired, fetch_public,
};
use serde::Deserialize;
use std::time::Instant;

/// What a server says of signing in.
#[derive(Debug, Default, Deserialize)]
struct SignInReply {
    #[serde(default)]
    oidc: Option<OidcText>,
}

/// The identity provider of a server: by the configuration here, or else by what the server says. `None` where neither
/// names one.
pub(super) fn provider_of(
    settings: &ClientSettings,
) -> Result<Option<ProviderOptions>, CommandError> {
    let named = settings.oidc.clone().unwrap_or_default();
    let mut issuer = named.issuer;
    let mut client_id = named.client_id;
    if issuer.is_none() || client_id.is_none() {
        // Older servers do not say; who cannot be reached is reported by the call that follows.
        let reply = fetch_public::<SignInReply>(&settings.url, "/api/sign-in", true);
        if let Some(oidc) = reply.unwrap_or_default().oidc {
            issuer = issuer.or(oidc.issuer);
            client_id = client_id.or(oidc.client_id);
        }
    }
    Ok(issuer
        .zip(client_id)
        .map(|(issuer, client_id)| ProviderOptions {
            issuer,
            client_id,
            discovery_url: named.discovery_url,
            backchannel_url: named.backchannel_url,
            browser_url: named.browser_url,
            allow_insecure: settings.allow_insecure,
        }))
}

/// Has somebody sign in, and returns who that is for the server, with the token to keep.
pub(super) fn run(
    options: &ProviderOptions,
    who_is: impl Fn(BearerToken) -> Result<MeReply, CommandError>,
) -> Result<(MeReply, KeptToken), CommandError> {
    let failed = |e: &crate::error::Error| CommandError::of(e);
    let provider = IdentityProvider::discover(options).map_err(|e| failed(&e))?;
    let code = provider.begin().map_err(|e| failed(&e))?;
    instruct(options, &code);
    let tokens = wait(&provider, &code)?;
    accepted(options, &tokens, who_is)
}

fn instruct(options: &ProviderOptions, code: &DeviceCode) {
    eprintln!(
        "Sign in at {} as {}:\n\n  open   {}\n  enter  {}",
        visible(&options.issuer),
        visible(&options.client_id),
        visible(&code.verification_uri),
        visible(&code.user_code)
    );
    if let Some(whole) = &code.verification_uri_complete {
        eprintln!("\nor open  {}", visible(whole));
    }
    let secs = code.lifetime().as_secs();
    let limit = match secs {
        0..120 => format!("{secs} s"),
        _ => format!("{} min", secs / 60),
    };
    eprintln!("\nWaiting for at most {limit}. Ctrl-C gives up.");
}

/// Asks until somebody has signed in, as often as the provider wants to be asked.
fn wait(provider: &IdentityProvider, code: &DeviceCode) -> Result<ProviderTokens, CommandError> {
    let start = Instant::now();
    let mut pause = code.interval();
    loop {
        let left = code.lifetime().saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(CommandError::of(&code_expired()));
        }
        std::thread::sleep(pause.min(left));
        match provider.ask(code, pause) {
            Ok(SignInState::Done(tokens)) => return Ok(tokens),
            Ok(SignInState::Pending(next)) => pause = next,
            Err(e) => return Err(CommandError::of(&e)),
        }
    }
}

/// The token that the server takes: the access token where that is a JSON Web Token, otherwise the id token.
fn accepted(
    options: &ProviderOptions,
    tokens: &ProviderTokens,
    who_is: impl Fn(BearerToken) -> Result<MeReply, CommandError>,
) -> Result<(MeReply, KeptToken), CommandError> {
    let is_jwt = |token: &str| token.matches('.').count() == 2;
    let mut refusal = None;
    for kind in [ProviderTokenKind::Access, ProviderTokenKind::Id] {
        let Some(text) = kind.of(tokens).filter(|token| is_jwt(token)) else {
            continue;
        };
        let token = BearerToken::new(text).map_err(|e| CommandError::of(&e))?;
        match who_is(token) {
            Ok(me) => {
                let kept = KeptToken::of_provider(options, kind, tokens);
                let kept = kept.ok_or_else(|| CommandError::new("the provider gave no token"))?;
                return Ok((me, kept));
            }
            Err(error) => refusal = Some(error),
        }
    }
    Err(refusal.unwrap_or_else(|| {
        CommandError::new("the identity provider gave no token that the server could check")
            .hint("it has to give JSON Web Tokens: an id token, or an access token")
    }))
}
