//! Browsers: signing in to the console through the identity provider, the cookies of that, and what a change made with
//! one of them must show.

use super::HttpContext;
use super::call::{HttpRequest, HttpResponse};
use super::guard;
use super::pages;
use super::params::Query;
use super::router::{Guarded, HandlerResult, RouteMatch, RoutedRequest, find as find_route};
use crate::actions::identify::{self, Presented, Recognized};
use crate::actions::sessions::{self, CameBack, SignInFailure};
use crate::config::Endpoint;
use crate::crypto::same;
use crate::domain::session::SESSION_SECS_MAX;
use crate::domain::sign_in::{SIGN_IN_SECS_MAX, csrf_token, is_return_address};
use crate::error::{Error, ErrorKind};
use crate::gate::cookie::{SESSION_COOKIES, find};
use crate::outbound::form_encoded;

/// The cookie of a sign-in that is under way: over TLS, where no other host of the domain can set it, and on this machine
/// without.
const SIGN_IN_COOKIES: [&str; 2] = ["__Host-dbward-sign-in", "dbward-sign-in"];
/// The header in which a page sends its token with a change.
const CSRF_HEADER: &str = "x-csrf-token";
/// The header of what a page does by itself while its reader may be elsewhere.
const UNATTENDED_HEADER: &str = "x-unattended";

/// Where people reach this server by browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Scheme, host and port, as browsers write an origin.
    origin: String,
    /// Whether they come by TLS; otherwise they are on this machine.
    is_secure: bool,
}

impl Site {
    /// As `public_url` says, or else as the call came. None where cookies would cross a network in the clear.
    pub(super) fn of(context: &HttpContext, call: &HttpRequest) -> Option<Site> {
        let active = context.app.active();
        let origin = match &active.outlets.public_url {
            Some(url) => url.clone(),
            None => {
                let scheme = if context.speaks_tls { "https" } else { "http" };
                format!("{scheme}://{}", call.header("host")?)
            }
        };
        Site::at(origin)
    }

    fn at(origin: String) -> Option<Site> {
        let url = Endpoint::parse(&origin).ok()?;
        let is_secure = !url.is_plain();
        // Pages have absolute addresses: there is no console below a path.
        let is_origin = url.origin() == origin;
        (is_origin && (is_secure || url.is_here())).then_some(Site { origin, is_secure })
    }

    fn name(&self, names: [&'static str; 2]) -> &'static str {
        names[usize::from(!self.is_secure)]
    }

    fn redirect_uri(&self) -> String {
        format!("{}/auth/callback", self.origin)
    }

    fn cookie(&self, name: &str, value: &str, same_site: &str, secs: u64) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite={same_site}{secure}")
    }

    fn session_cookie(&self, value: &str, secs: u64) -> String {
        self.cookie(self.name(SESSION_COOKIES), value, "Strict", secs)
    }

    fn sign_in_cookie(&self, value: &str, secs: u64) -> String {
        self.cookie(self.name(SIGN_IN_COOKIES), value, "Lax", secs)
    }
}

/// Whether people can sign in by browser where this call came.
pub(super) fn can_sign_in(context: &HttpContext, call: &HttpRequest) -> bool {
    let sign_in = &context.app.sign_in;
    let is_set_up = sign_in.browser.is_some() && sign_in.mode.takes_oidc();
    is_set_up && Site::of(context, call).is_some()
}

/// The secret of the session that a call presents.
pub(super) fn session<'c>(context: &HttpContext, call: &'c HttpRequest) -> Option<&'c str> {
    let cookies = call.only_header("cookie")?;
    let site = Site::of(context, call)?;
    find(cookies, site.name(SESSION_COOKIES))
}

/// Whether a call presents a session that counts.
pub(super) fn is_signed_in(context: &HttpContext, call: &HttpRequest) -> bool {
    let presented = Presented {
        session: session(context, call),
        ..Presented::default()
    };
    matches!(
        identify::recognize(&context.app, presented),
        Recognized::As(_)
    )
}

/// What a page must send with changes in the session that a call presents.
pub(super) fn csrf_token_of(context: &HttpContext, call: &HttpRequest) -> Option<String> {
    session(context, call).map(csrf_token)
}

/// Whether somebody is at the browser: a page that waits for news, or says so, is open whether anybody looks or not.
pub(super) fn is_attended(call: &HttpRequest) -> bool {
    let waits = || Query::new(call.query.as_deref()).has("wait");
    call.resume.is_none() && call.header(UNATTENDED_HEADER).is_none() && !waits()
}

/// Refuses a call in a session that no page of ours made. Another host of our domain is another site here, although
/// browsers send it a strict cookie.
///
/// # Errors
/// 403 `cross_site` for one of another site, `csrf_token_invalid` for a change without the token of the session.
pub(super) fn is_ours(context: &HttpContext, call: &HttpRequest) -> Result<(), Error> {
    let is_change = !matches!(call.method.as_str(), "GET" | "HEAD");
    let site = Site::of(context, call);
    let origin = call.header("origin");
    let is_foreign = origin.is_some_and(|o| site.is_none_or(|site| site.origin != o));
    let comes_from_elsewhere = match call.header("sec-fetch-site") {
        None | Some("same-origin") => false,
        // Somebody typed the address of what they read.
        Some("none") => is_change,
        Some(_) => true,
    };
    if is_foreign || comes_from_elsewhere {
        let message = "this call was made by a page of another site";
        return Err(Error::new(ErrorKind::Forbidden, "cross_site", message)
            .hint("behind a proxy, `public_url` must be the address that people open"));
    }
    if !is_change {
        return Ok(());
    }
    let expected = csrf_token_of(context, call).unwrap_or_default();
    let given = call.only_header(CSRF_HEADER).unwrap_or_default();
    if expected.is_empty() || !same(given.as_bytes(), expected.as_bytes()) {
        let message = format!("header `{CSRF_HEADER}` is not the token of this session");
        return Err(
            Error::new(ErrorKind::Forbidden, "csrf_token_invalid", message)
                .hint("GET /api/me has it as `session.csrf_token`"),
        );
    }
    Ok(())
}

/// `GET /auth/sign-in?to=`: on to the identity provider.
pub fn sign_in(context: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let app = &context.app;
    sessions::within_rate(app, &guard::origin(context, ask.call))?;
    let to = ask.query().text("to")?.unwrap_or_else(|| "/".to_owned());
    if !is_return_address(&to) || !leads_to_a_page(&to) {
        return Err(Error::invalid(
            "query parameter `to` is not an address of this console",
        ));
    }
    let site = Site::of(context, ask.call).ok_or_else(not_here)?;
    let begun = match sessions::begin(app, to) {
        Ok(begun) => begun,
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            return Ok(failed(&site, SignInFailure::Unavailable));
        }
        Err(error) => return Err(error),
    };
    let fields: [(&str, &str); 8] = [
        ("response_type", "code"),
        ("client_id", &begun.client_id),
        ("redirect_uri", &site.redirect_uri()),
        ("scope", &begun.scopes.join(" ")),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("code_challenge", &begun.challenge),
        ("code_challenge_method", "S256"),
    ];
    let start = if begun.authorization_endpoint.contains('?') {
        '&'
    } else {
        '?'
    };
    let location = format!(
        "{}{start}{}",
        begun.authorization_endpoint,
        form_encoded(&fields)
    );
    let mut reply = redirect(location);
    let cookie = site.sign_in_cookie(&begun.cookie, SIGN_IN_SECS_MAX);
    reply.headers.push(("set-cookie", cookie));
    Ok(reply)
}

/// Whether an address shows a page of the console. What else there is to get is not for a link to have somebody get.
fn leads_to_a_page(to: &str) -> bool {
    let path = to.split(['?', '#']).next().unwrap_or_default();
    match find_route("GET", path) {
        RouteMatch::Route(route, _) => {
            matches!(route.guarded, Guarded::Page(_)) && !route.path.starts_with("/auth/")
        }
        _ => false,
    }
}

/// `GET /auth/callback`: back from the identity provider. A page navigates on, since a browser sends a strict cookie
/// only with what a page of ours asks for.
pub fn callback(context: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let (app, query) = (&context.app, ask.query());
    let origin = guard::origin(context, ask.call);
    sessions::within_rate(app, &origin)?;
    let site = Site::of(context, ask.call).ok_or_else(not_here)?;
    let cookies = ask.call.only_header("cookie").unwrap_or_default();
    let (state, code, issuer) = (
        query.text("state")?,
        query.text("code")?,
        query.text("iss")?,
    );
    let back = CameBack {
        cookie: find(cookies, site.name(SIGN_IN_COOKIES)),
        state: state.as_deref(),
        code: code.as_deref(),
        issuer: issuer.as_deref(),
        redirect_uri: &site.redirect_uri(),
    };
    match sessions::finish(app, &back, origin)? {
        Ok(signed_in) => {
            let mut reply = pages::onward(&signed_in.return_to);
            let cookie = site.session_cookie(&signed_in.secret, SESSION_SECS_MAX);
            reply.headers.push(("set-cookie", cookie));
            reply
                .headers
                .push(("set-cookie", site.sign_in_cookie("", 0)));
            Ok(reply)
        }
        Err(failure) => Ok(failed(&site, failure)),
    }
}

/// Back to the console, which says what went wrong. Somebody else's answer does not end a sign-in under way.
fn failed(site: &Site, failure: SignInFailure) -> HttpResponse {
    let mut reply = redirect(format!("/#sign-in={}", failure.as_str()));
    if failure != SignInFailure::Foreign {
        reply
            .headers
            .push(("set-cookie", site.sign_in_cookie("", 0)));
    }
    reply
}

/// Has the browser forget the session that it presented.
pub(super) fn forget(context: &HttpContext, call: &HttpRequest, reply: &mut HttpResponse) {
    if let Some(site) = Site::of(context, call) {
        reply
            .headers
            .push(("set-cookie", site.session_cookie("", 0)));
    }
}

fn redirect(location: String) -> HttpResponse {
    let mut reply = HttpResponse::empty(303);
    reply.headers.push(("location", location));
    reply
        .headers
        .push(("referrer-policy", "no-referrer".to_owned()));
    reply
}

fn not_here() -> Error {
    let message = "people sign in by https only, or on this machine";
    Error::new(ErrorKind::NotFound, "not_found", message)
        .hint("set `public_url` to the https address that people open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_kept_to_tls_and_to_this_machine() {
        let site = |url: &str| Site::at(url.to_owned());
        for good in [
            "https://db.example.com",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://localhost",
        ] {
            assert!(site(good).is_some(), "{good}");
        }
        for bad in [
            "http://db.example.com",
            "http://10.0.0.1:3000",
            "https://",
            "https://a/b",
            "http://localhost.evil.example",
        ] {
            assert_eq!(site(bad), None, "{bad}");
        }
        let secure = site("https://db.example.com").unwrap();
        assert_eq!(
            secure.session_cookie("x", 9),
            "__Host-dbward-session=x; Path=/; Max-Age=9; HttpOnly; SameSite=Strict; Secure"
        );
        let here = site("http://127.0.0.1:3000").unwrap();
        assert_eq!(
            here.sign_in_cookie("x", 600),
            "dbward-sign-in=x; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"
        );
    }
}
