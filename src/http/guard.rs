//! Authentication, where a call comes from, and the line between people and agents.

use super::call::{HttpRequest, HttpResponse};
use super::router::{Guarded, Route, RoutedRequest, allowed};
use super::{HttpContext, browser, slack};
use crate::actions::identify::{self, Presented};
use crate::actions::refusals::FAILURES_PER_MINUTE;
use crate::config::{Cidr, is_for};
use crate::domain::actor::{Caller, Origin, SubjectType};
use crate::error::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

/// How often a call is authenticated again because other policies were applied meanwhile: more reloads than anybody
/// makes in the time of one call.
const OVERTAKEN_MAX: usize = 16;

/// Lets a call through to its handler, or not. `subject` is set once it is known.
pub(super) fn admit(
    context: &HttpContext,
    route: &Route,
    ask: &RoutedRequest,
    subject: &mut Option<String>,
) -> Result<HttpResponse, Error> {
    let wanted = match route.guarded {
        Guarded::Public(handle) | Guarded::Page(handle) => {
            ask.check_query(route)?;
            return handle(context, ask);
        }
        Guarded::Signed(handle) => {
            let call = slack::admit(context, ask)?;
            return handle(context, &call);
        }
        Guarded::User(_) | Guarded::Managed(_) => SubjectType::User,
        Guarded::Agent(_) => SubjectType::Agent,
    };
    let caller = authenticate(context, ask.call).map_err(|e| too_often(context, ask.call, e))?;
    *subject = Some(caller.subject.clone());
    if ask.call.resume.is_none() && caller.kind == SubjectType::User && !caller.rights.is_admin() {
        within_rate(context, &caller)?;
    }
    if caller.session_id.is_some() {
        browser::is_ours(context, ask.call)?;
    }
    match (wanted, caller.kind) {
        (SubjectType::User, SubjectType::Agent) => {
            return Err(Error::forbidden("agent tokens cannot access this endpoint")
                .hint("agents reach /api/agent and /api/public-key only"));
        }
        (SubjectType::Agent, SubjectType::User) => {
            return Err(Error::forbidden("agent token required")
                .hint("an administrator makes one with POST /api/tokens"));
        }
        _ => {}
    }
    if ask.call.unread && !matches!(route.guarded, Guarded::Managed(_)) {
        // The credentials became valid after the gate had decided to leave the body where it was.
        let error = Error::unavailable("the request body was not read");
        return Err(error.hint("send the call again"));
    }
    ask.check_query(route)?;
    match route.guarded {
        Guarded::Public(handle) | Guarded::Page(handle) => handle(context, ask),
        Guarded::Signed(handle) => handle(context, &slack::admit(context, ask)?),
        Guarded::User(handle) | Guarded::Agent(handle) => {
            let mut caller = caller;
            for _ in 0..OVERTAKEN_MAX {
                match handle(context, &caller, ask) {
                    Err(error) if overtaken(context, &caller, &error) => {
                        caller = authenticate(context, ask.call)?;
                    }
                    answer => return answer,
                }
            }
            handle(context, &caller, ask)
        }
        Guarded::Managed(section) => Err(managed(section, route.path)),
    }
}

/// Whether nothing was done because other policies were applied after the caller was authenticated, or somebody else is
/// on call: then that is done again, with the rights of now.
fn overtaken(context: &HttpContext, caller: &Caller, error: &Error) -> bool {
    let now = context.app.clock.now();
    error.kind() == ErrorKind::Unavailable && context.app.is_overtaken(caller, now)
}

/// Refuses with 429 where authentication failed too often.
fn too_often(context: &HttpContext, call: &HttpRequest, error: Error) -> Error {
    let presents = call.header("authorization").is_some() || call.header("cookie").is_some();
    if error.kind() != ErrorKind::Unauthenticated || !presents {
        return error;
    }
    let failures = origin(context, call)
        .client_ip
        .map_or(0, |ip| context.app.caches.refusals.failures_of(&ip));
    if failures <= FAILURES_PER_MINUTE {
        return error;
    }
    Error::new(
        ErrorKind::TooMany,
        "rate_limited",
        "too many failed authentications from this address",
    )
    .hint("a valid token is accepted at any time")
    .retry_after(60)
}

fn within_rate(context: &HttpContext, caller: &Caller) -> Result<(), Error> {
    let who = caller.token_id.as_ref().unwrap_or(&caller.subject);
    context
        .app
        .caches
        .rates
        .take(who, 1, context.app.clock.now())
        .map_err(|secs| {
            Error::new(
                ErrorKind::TooMany,
                "rate_limited",
                "too many calls with this token",
            )
            .retry_after(secs)
        })
}

/// The caller, with the rights of this moment.
///
/// # Errors
/// `unauthenticated`.
pub(super) fn authenticate(context: &HttpContext, call: &HttpRequest) -> Result<Caller, Error> {
    let origin = origin(context, call);
    let address = origin.client_ip.clone();
    let presented = Presented {
        authorization: call.header("authorization"),
        session: browser::session(context, call),
        is_use: browser::is_attended(call),
    };
    let caller = identify::authenticate(&context.app, presented, origin)?;
    let presents = |name: &str| {
        let certificate = call.certificate.as_deref();
        certificate.is_some_and(|certificate| is_for(certificate, name))
    };
    if context.agents_certified && caller.kind == SubjectType::Agent && !presents(&caller.subject) {
        identify::failed(&context.app, address.as_deref(), "certificate");
        return Err(Error::unauthenticated().hint(
            "an agent's token counts only on a connection with a certificate for the agent's name",
        ));
    }
    Ok(caller)
}

/// Where a call came from.
pub(super) fn origin(context: &HttpContext, call: &HttpRequest) -> Origin {
    let forwarded = call
        .headers
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for")
        .map(|(_, value)| value.as_str());
    let (client, source) = client(call.peer, forwarded, &context.trusted_proxies);
    Origin {
        peer_ip: call.peer.map(|ip| ip.to_string()),
        client_ip: client.map(|ip| ip.to_string()),
        client_ip_source: client.map(|_| source),
        http_request_id: Some(call.request_id.clone()),
    }
}

/// The address of the client, and where it was read. What a trusted proxy forwards is read from the right, where our
/// own proxies write, to the first address that is not one of them; all lines count, so that a client cannot hide the
/// truth with a line of its own.
fn client<'a>(
    peer: Option<IpAddr>,
    forwarded: impl Iterator<Item = &'a str>,
    trusted: &[Cidr],
) -> (Option<IpAddr>, &'static str) {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|range| range.contains(*ip));
    if !peer.as_ref().is_some_and(is_trusted) {
        return (peer, "peer");
    }
    let chain: Vec<IpAddr> = forwarded
        .flat_map(|line| line.split(','))
        .filter_map(address)
        .collect();
    let found = chain
        .iter()
        .rev()
        .find(|ip| !is_trusted(ip))
        .or_else(|| chain.first());
    match found {
        Some(ip) => (Some(*ip), "xff"),
        None => (peer, "peer"),
    }
}

/// An address as proxies write it, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok();
    parsed
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .map(|ip| ip.to_canonical())
}

fn managed(section: &str, path: &'static str) -> Error {
    Error::new(
        ErrorKind::MethodNotAllowed,
        "config_managed",
        format!("[[{section}]] of server.toml manages this resource"),
    )
    .hint(format!(
        "change [[{section}]] in server.toml and reload the server"
    ))
    .allow(allowed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<Cidr> = ["10.0.0.0/8", "::1"]
            .into_iter()
            .filter_map(Cidr::parse)
            .collect();
        let (ip, source) = client(peer.parse().ok(), lines.iter().copied(), &trusted);
        format!(
            "{} {source}",
            ip.map_or("-".to_owned(), |ip| ip.to_string())
        )
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(from("192.0.2.1", &["203.0.113.9"]), "192.0.2.1 peer");
        assert_eq!(from("10.0.0.1", &["203.0.113.9"]), "203.0.113.9 xff");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1 peer");
        assert_eq!(from("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9 xff");
        assert_eq!(from("", &["203.0.113.9"]), "- peer");
    }

    #[test]
    fn the_chain_is_read_from_the_right() {
        for (lines, want) in [
            (
                &["198.51.100.1, 203.0.113.9, 10.1.1.1"][..],
                "203.0.113.9 xff",
            ),
            (&["198.51.100.1", "203.0.113.9"][..], "203.0.113.9 xff"),
            (&["10.2.2.2, 10.1.1.1"][..], "10.2.2.2 xff"),
            (&["unknown, _hidden, ,"][..], "10.0.0.1 peer"),
            (&["203.0.113.9:4711, nonsense"][..], "203.0.113.9 xff"),
            (&["[2001:db8::1]:443"][..], "2001:db8::1 xff"),
            (&["[2001:db8::1]"][..], "2001:db8::1 xff"),
            (&["::ffff:203.0.113.9"][..], "203.0.113.9 xff"),
        ] {
            assert_eq!(from("10.0.0.1", lines), want, "{lines:?}");
        }
    }
}
