//! The address at which people reach this server by browser, the cookies that are kept to it, and what a change made with
//! one of them must show.

use super::HttpContext;
use super::call::HttpRequest;
use super::params::Query;
use crate::actions::identify::{self, Presented, Recognized};
use crate::config::Endpoint;
use crate::crypto::same;
use crate::domain::sign_in::csrf_token;
use crate::error::{Error, ErrorKind};
use crate::gate::cookie::{SESSION_COOKIES, find};

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

    pub(super) fn redirect_uri(&self) -> String {
        format!("{}/auth/callback", self.origin)
    }

    /// The sign-in under way that cookies name.
    pub(super) fn sign_in<'c>(&self, cookies: &'c str) -> Option<&'c str> {
        find(cookies, self.name(SIGN_IN_COOKIES))
    }

    fn cookie(&self, name: &str, value: &str, same_site: &str, secs: u64) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite={same_site}{secure}")
    }

    pub(super) fn session_cookie(&self, value: &str, secs: u64) -> String {
        self.cookie(self.name(SESSION_COOKIES), value, "Strict", secs)
    }

    pub(super) fn sign_in_cookie(&self, value: &str, secs: u64) -> String {
        self.cookie(self.name(SIGN_IN_COOKIES), value, "Lax", secs)
    }
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

/// Whether somebody is at a page of ours: one that waits for news, or says so, is open whether anybody looks or not, and
/// what a page of another site asks for keeps nobody's session.
pub(super) fn is_attended(call: &HttpRequest) -> bool {
    let waits = || Query::new(call.query.as_deref()).has("wait");
    call.resume.is_none()
        && call.header(UNATTENDED_HEADER).is_none()
        && !is_of_another_site(call)
        && !waits()
}

/// Whether the browser says that a page of another site, or of another host of our domain, made the call.
fn is_of_another_site(call: &HttpRequest) -> bool {
    let from = call.header("sec-fetch-site");
    from.is_some_and(|from| !matches!(from, "same-origin" | "none"))
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
    // Somebody may type the address of what they read, not of what they change.
    let is_typed_change = is_change && call.header("sec-fetch-site") == Some("none");
    if is_foreign || is_typed_change || is_of_another_site(call) {
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
