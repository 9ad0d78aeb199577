//! A line of the table of routes, and a call that has found its line: what handlers and guards are written against.

use super::HttpContext;
use super::body::JsonFields;
use super::call::{HttpRequest, HttpResponse};
use super::params::Query;
use super::slack::payload::SlackCall;
use crate::domain::actor::Caller;
use crate::error::{Error, Shown};
use std::time::Duration;

/// Largest body of an ordinary call, in bytes: a comment, a token, an agent's report.
pub const BODY_BYTES: usize = 256 * 1024;
/// Time for an ordinary answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a handler gives back.
pub type HandlerResult = Result<HttpResponse, Error>;

/// Who may call, and the handler. The guard fixes the handler's type: one that wants a caller cannot be public.
pub enum Guarded {
    Public(fn(&HttpContext, &RoutedRequest) -> HandlerResult),
    /// Everybody, in a browser: files of the console, which are not part of the API.
    Page(fn(&HttpContext, &RoutedRequest) -> HandlerResult),
    /// People, and programs that act like them.
    User(fn(&HttpContext, &Caller, &RoutedRequest) -> HandlerResult),
    Agent(fn(&HttpContext, &Caller, &RoutedRequest) -> HandlerResult),
    /// Slack, which signs what it sends.
    Signed(fn(&HttpContext, &SlackCall) -> HandlerResult),
    /// People, who learn that this section of server.toml is the place to change it.
    Managed(&'static str),
}

/// What a call of a route may cost.
pub struct RouteLimits {
    /// Largest body, in bytes.
    pub body_max: usize,
    /// Time for the answer.
    pub deadline: Duration,
    /// A body that is too large still reaches the handler, without its bytes.
    pub deliver_head_if_oversize: bool,
    /// An agent's result: its body has a budget of its own.
    pub result: bool,
    /// Ends or keeps alive work that is under way: not counted into the calls that a token may have under way.
    pub uncounted: bool,
    /// Answered even where no place is left for another connection.
    pub always_served: bool,
}

/// A line of the table.
pub struct Route {
    /// `GET`, which stands for HEAD too, or another method.
    pub method: &'static str,
    /// Template; `{x}` takes one segment.
    pub path: &'static str,
    /// Who may call, and the handler.
    pub guarded: Guarded,
    /// What it may cost.
    pub bounds: RouteLimits,
    /// Names of its query parameters; another one is refused under `/api`.
    pub query: &'static [&'static str],
}

pub(super) const fn route(method: &'static str, path: &'static str, guarded: Guarded) -> Route {
    Route {
        method,
        path,
        guarded,
        bounds: RouteLimits {
            body_max: BODY_BYTES,
            deadline: DEADLINE,
            deliver_head_if_oversize: false,
            result: false,
            uncounted: false,
            always_served: false,
        },
        query: &[],
    }
}

pub(super) const fn get(path: &'static str, guarded: Guarded) -> Route {
    route("GET", path, guarded)
}

pub(super) const fn post(path: &'static str, guarded: Guarded) -> Route {
    route("POST", path, guarded)
}

pub(super) const fn put(path: &'static str, guarded: Guarded) -> Route {
    route("PUT", path, guarded)
}

pub(super) const fn patch(path: &'static str, guarded: Guarded) -> Route {
    route("PATCH", path, guarded)
}

pub(super) const fn delete(path: &'static str, guarded: Guarded) -> Route {
    route("DELETE", path, guarded)
}

impl Route {
    pub(super) const fn body(mut self, bytes: usize) -> Route {
        self.bounds.body_max = bytes;
        self
    }

    pub(super) const fn deadline(mut self, deadline: Duration) -> Route {
        self.bounds.deadline = deadline;
        self
    }

    pub(super) const fn query(mut self, names: &'static [&'static str]) -> Route {
        self.query = names;
        self
    }

    pub(super) const fn result(mut self) -> Route {
        self.bounds.result = true;
        self.bounds.deliver_head_if_oversize = true;
        self.uncounted()
    }

    pub(super) const fn uncounted(mut self) -> Route {
        self.bounds.uncounted = true;
        self
    }

    pub(super) const fn always(mut self) -> Route {
        self.bounds.always_served = true;
        self
    }

    pub(super) fn takes(&self, method: &str) -> bool {
        self.method == method || (self.method == "GET" && method == "HEAD")
    }

    /// The values of the template's parameters, if these segments fit it.
    pub(super) fn fit(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut params = Vec::new();
        let mut template = self.path.split('/').skip(1);
        for segment in segments {
            let part = template.next()?;
            if part.starts_with('{') {
                params.push(segment.clone());
            } else if part != segment {
                return None;
            }
        }
        template.next().is_none().then_some(params)
    }
}

/// A call that has found its route.
pub struct RoutedRequest<'a> {
    pub call: &'a HttpRequest,
    params: Vec<String>,
    memo: Option<String>,
}

impl<'a> RoutedRequest<'a> {
    /// `params` are the values of the route's parameters, `memo` what the call left when it was parked.
    pub fn new(
        call: &'a HttpRequest,
        params: Vec<String>,
        memo: Option<String>,
    ) -> RoutedRequest<'a> {
        RoutedRequest { call, params, memo }
    }

    /// The value of the route's first parameter.
    pub fn id(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    /// The value of its second one; empty where it has none.
    pub fn second(&self) -> &str {
        self.params.get(1).map_or("", String::as_str)
    }

    /// What the call left when it was parked; `None` on its first pass.
    pub fn memo(&self) -> Option<&str> {
        self.memo.as_deref()
    }

    pub fn query(&self) -> Query<'a> {
        Query::new(self.call.query.as_deref())
    }

    /// The fields of the body.
    ///
    /// # Errors
    /// As [`JsonFields::read`].
    pub fn body(&self) -> Result<JsonFields<'a>, Error> {
        JsonFields::read(self.call)
    }

    /// The same, where no body at all is as good as an empty one.
    ///
    /// # Errors
    /// As [`JsonFields::read`].
    pub fn body_if_any(&self) -> Result<JsonFields<'a>, Error> {
        if self.call.body.is_empty() {
            return Ok(JsonFields::default());
        }
        JsonFields::read(self.call)
    }

    /// Refuses a parameter that the route does not know: a filter that is silently dropped shows everything.
    ///
    /// # Errors
    /// `validation_error` naming it and those that are known.
    pub(super) fn check_query(&self, route: &Route) -> Result<(), Error> {
        let Some(raw) = self.call.query.as_deref() else {
            return Ok(());
        };
        if !route.path.starts_with("/api/") {
            return Ok(());
        }
        let query = Query::new(Some(raw));
        let Some(unknown) = query.names().find(|name| !route.query.contains(name)) else {
            return Ok(());
        };
        let error = Error::invalid(format!("query parameter `{}` is unknown", Shown(unknown)));
        Err(match route.query {
            [] => error.hint("this path takes none"),
            known => error.hint(format!("known are {}", known.join(", "))),
        })
    }

    /// Whether a call that asked for `wait_secs` may wait (again).
    pub fn may_wait(&self, wait_secs: u64) -> bool {
        wait_secs > 0 && self.call.may_wait()
    }
}
