//! Signing in to the console through the identity provider, and out of it.

use super::HttpContext;
use super::authentication;
use super::call::{HttpRequest, HttpResponse};
use super::pages;
use super::route::{HandlerResult, RoutedRequest};
use super::site::Site;
use crate::actions::sessions::{self, CameBack, SignInFailure};
use crate::domain::session::SESSION_SECS_MAX;
use crate::domain::sign_in::{SIGN_IN_SECS_MAX, is_return_address};
use crate::error::{Error, ErrorKind};
use crate::outbound::form_encoded;

/// Whether people can sign in by browser where this call came.
pub(super) fn can_sign_in(context: &HttpContext, call: &HttpRequest) -> bool {
    let sign_in = &context.app.sign_in;
    let is_set_up = sign_in.browser.is_some() && sign_in.mode.takes_oidc();
    is_set_up && Site::of(context, call).is_some()
}

/// `GET /auth/sign-in?to=`: on to the identity provider.
pub fn sign_in(context: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let app = &context.app;
    sessions::within_rate(app, &authentication::origin(context, ask.call))?;
    let to = ask.query().text("to")?.unwrap_or_else(|| "/".to_owned());
    if !is_return_address(&to) || !pages::is_shown_at(&to) {
        return Err(Error::invalid(
            "query parameter `to` is not an address of this console",
        ));
    }
    let site = Site::of(context, ask.call).ok_or_else(not_here)?;
    let begun = match sessions::by_browser(app)?.begin(to) {
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

/// `GET /auth/callback`: back from the identity provider. A page navigates on, since a browser sends a strict cookie
/// only with what a page of ours asks for.
pub fn callback(context: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let (app, query) = (&context.app, ask.query());
    let origin = authentication::origin(context, ask.call);
    sessions::within_rate(app, &origin)?;
    let site = Site::of(context, ask.call).ok_or_else(not_here)?;
    let cookies = ask.call.only_header("cookie").unwrap_or_default();
    let (state, code, issuer) = (
        query.text("state")?,
        query.text("code")?,
        query.text("iss")?,
    );
    let back = CameBack {
        cookie: site.sign_in(cookies),
        state: state.as_deref(),
        code: code.as_deref(),
        issuer: issuer.as_deref(),
        redirect_uri: &site.redirect_uri(),
    };
    match sessions::by_browser(app)?.finish(&back, origin) {
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
