//! Signing in through the identity provider of a server: in a browser on this machine, or in whatever browser is at hand.

use super::super::output::visible;
use super::CommandError;
use super::callback::{Callback, Visit};
use super::kept::{KeptToken, ProviderTokenKind};
use super::settings::{ClientSettings, OidcText};
use crate::cli::output::note;
use crate::client::{
    BearerToken, BrowserSignIn, DeviceCode, IdentityProvider, MeReply, ProviderOptions,
    ProviderTokens, SignInState, code_expired, fetch_public,
};
use serde::Deserialize;
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a browser may take to come back.
const BROWSER_TIMEOUT: Duration = Duration::from_secs(300);

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

/// Where the browser is that somebody signs in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInWay {
    /// On this machine: it returns here.
    Browser,
    /// Anywhere: a code is entered there.
    Device,
    /// Here if there is one and the provider offers that, otherwise anywhere.
    Either,
}

/// Has somebody sign in, and returns who that is for the server, with the token to keep.
pub(super) fn run(
    options: &ProviderOptions,
    way: SignInWay,
    who_is: impl Fn(BearerToken) -> Result<MeReply, CommandError>,
) -> Result<(MeReply, KeptToken), CommandError> {
    let failed = |e: &crate::error::Error| CommandError::of(e);
    let provider = IdentityProvider::discover(options).map_err(|e| failed(&e))?;
    let here = match way {
        SignInWay::Browser => true,
        SignInWay::Device => false,
        SignInWay::Either => {
            provider.offers_browsers() && (opener().is_some() || !provider.offers_device_codes())
        }
    };
    if here {
        return in_browser(options, &provider, who_is);
    }
    let code = provider.begin().map_err(|e| failed(&e))?;
    instruct(options, &code);
    let tokens = wait(&provider, &code)?;
    accepted(options, &tokens, who_is)
}

/// Signs in by authorization code with PKCE. The browser gets its page only when everything is known.
fn in_browser(
    options: &ProviderOptions,
    provider: &IdentityProvider,
    who_is: impl Fn(BearerToken) -> Result<MeReply, CommandError>,
) -> Result<(MeReply, KeptToken), CommandError> {
    let callback = Callback::listen()?;
    let sign_in = BrowserSignIn::new(&callback.uri);
    let url = provider
        .address(&sign_in)
        .map_err(|e| CommandError::of(&e))?;
    note!(
        "Sign in at {} as {}:\n\n  open   {}\n\nWaiting for at most {} min. Ctrl-C gives up. Where this machine has no \
         browser: dbward login --device",
        visible(&options.issuer),
        visible(&options.client_id),
        visible(&url),
        BROWSER_TIMEOUT.as_secs() / 60
    );
    open(&url);
    let end = Instant::now() + BROWSER_TIMEOUT;
    let visit = loop {
        let Some(visit) = callback.next_until(end) else {
            return Err(
                CommandError::new("nobody signed in in time").hint("`dbward login` asks again")
            );
        };
        // Any page of any browser here may call: what does not know the state says nothing about this sign-in.
        match visit.parameter("state") {
            Some(state) if sign_in.is_state(state) => break visit,
            _ => visit.show(
                400,
                "Not this sign-in",
                "This address belongs to another sign-in than the one that waits. Go back to the terminal, and open \
                 the address that it shows.",
            ),
        }
    };
    let done =
        came_back(&visit, provider, &sign_in).and_then(|tokens| accepted(options, &tokens, who_is));
    match &done {
        Ok(_) => visit.show(
            200,
            "Signed in",
            "You may close this window and go back to the terminal.",
        ),
        Err(error) => {
            let text = format!(
                "{}. Go back to the terminal, and run dbward login again.",
                error.sentence()
            );
            visit.show(400, "Not signed in", &text);
        }
    }
    done
}

/// The tokens for what the browser brought back.
fn came_back(
    visit: &Visit,
    provider: &IdentityProvider,
    sign_in: &BrowserSignIn,
) -> Result<ProviderTokens, CommandError> {
    // Who is asked at another provider gets a code of that one (RFC 9207).
    if visit
        .parameter("iss")
        .is_some_and(|iss| !provider.is_issuer(iss))
    {
        return Err(CommandError::new(
            "the browser came back from another identity provider",
        ));
    }
    match (visit.parameter("error"), visit.parameter("code")) {
        (Some("access_denied"), _) => {
            Err(CommandError::new("the sign-in was denied in the browser"))
        }
        (Some(error), _) => {
            let words = visit.parameter("error_description");
            let why = words.map_or_else(
                || visible(error),
                |words| format!("{} ({})", visible(words), visible(error)),
            );
            Err(CommandError::new(format!(
                "the identity provider refused: {why}"
            )))
        }
        (None, Some(code)) => provider
            .redeem(sign_in, code)
            .map_err(|e| CommandError::of(&e)),
        (None, None) => Err(CommandError::new("the browser came back without a code")),
    }
}

/// What opens an address in a browser here: the program that `BROWSER` names, or that of the desktop; none without a
/// desktop.
fn opener() -> Option<OsString> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(browser) = set("BROWSER") {
        return Some(browser);
    }
    match cfg!(target_os = "macos") {
        true => Some("open".into()),
        false => (set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some())
            .then(|| "xdg-open".into()),
    }
}

/// Opens an address where there is a browser. Where that fails, the address is on the screen.
fn open(url: &str) {
    if let Some(program) = opener() {
        let mut command = Command::new(program);
        command
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _ = command.spawn();
    }
}

fn instruct(options: &ProviderOptions, code: &DeviceCode) {
    note!(
        "Sign in at {} as {}:\n\n  open   {}\n  enter  {}",
        visible(&options.issuer),
        visible(&options.client_id),
        visible(&code.verification_uri),
        visible(&code.user_code)
    );
    if let Some(whole) = &code.verification_uri_complete {
        note!("\nor open  {}", visible(whole));
    }
    let secs = code.lifetime().as_secs();
    let limit = match secs {
        0..120 => format!("{secs} s"),
        _ => format!("{} min", secs / 60),
    };
    note!("\nWaiting for at most {limit}. Ctrl-C gives up.");
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
