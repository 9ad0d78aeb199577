//! Who gets to which handler: the line between people and agents, how often they may call, and in which session.

use super::authentication::{authenticate, origin};
use super::call::{HttpRequest, HttpResponse};
use super::route::{Guarded, Route, RoutedRequest};
use super::router::allowed;
use super::{HttpContext, site, slack};
use crate::actions::refusals::FAILURES_PER_MINUTE;
use crate::domain::actor::{Caller, SubjectType};
use crate::error::{Error, ErrorKind};

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
        site::is_ours(context, ask.call)?;
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
    if let Guarded::Managed(section) = route.guarded {
        return Err(managed(section, route.path));
    }
    if ask.call.unread {
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
        // Answered above.
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
