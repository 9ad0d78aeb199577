//! The one table of routes; `matching` finds the line of a path in it.

mod matching;

pub use matching::{RouteMatch, allowed, find};

use super::api::{
    agents, audit, databases, dry_runs, groups, health, me, metrics, policies, preflight,
    rehearsals, requests, resolution, results, schemas, sessions, sign_in, tokens, users, webhooks,
    work,
};
use super::body::JsonFields;
use super::call::{HttpRequest, HttpResponse};
use super::params::Query;
use super::slack::SlackCall;
use super::{HttpContext, browser, openapi, pages, slack, wait};
use crate::domain::actor::Caller;
use crate::error::{Error, Shown};
use std::time::Duration;

/// Largest body of an ordinary call, in bytes: a comment, a token, an agent's report.
pub const BODY_BYTES: usize = 256 * 1024;
/// The same where a request is made: 100,000 bytes of SQL, every one escaped as six, and 16 KiB of metadata.
pub const CREATE_BODY_BYTES: usize = 1024 * 1024;
/// The same for a result: 12 MiB of JSON that existing agents escape once more, in a string.
pub const RESULT_BODY_BYTES: usize = 26 * 1024 * 1024;
/// The same for the tables of a database.
pub const SCHEMA_BODY_BYTES: usize = 10 * 1024 * 1024;
/// Time for an ordinary answer.
const DEADLINE: Duration = Duration::from_secs(60);
/// Time for proving the audit log, which reads all of it.
const VERIFY_DEADLINE: Duration = Duration::from_secs(600);

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

use Guarded::{Agent, Managed, Page, Public, Signed, User};

/// Every route there is.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    get("/", Page(pages::shell)),
    get("/requests", Page(pages::shell)),
    get("/requests/{id}", Page(pages::shell)),
    get("/new", Page(pages::shell)),
    get("/audit", Page(pages::shell)),
    get("/operations", Page(pages::shell)),
    get("/policies", Page(pages::shell)),
    get("/people", Page(pages::shell)),
    get("/assets/{version}/{name}", Page(pages::asset)),
    get("/auth/sign-in", Page(browser::sign_in)),
    get("/auth/callback", Page(browser::callback)),
    get("/health", Public(health::health)).always(),
    get("/ready", Public(health::ready)).always(),
    get("/metrics", User(metrics::page)).always(),
    get("/api/openapi.json", Public(openapi::document)),
    get("/api/sign-in", Public(sign_in::show)),
    get("/api/public-key", Agent(work::public_key)),
    post("/api/requests", User(requests::create)).body(CREATE_BODY_BYTES),
    get("/api/requests", User(requests::list)).query(requests::LIST_QUERY),
    get("/api/requests/{id}", User(requests::show)).query(&["wait", "seen"]),
    post("/api/requests/{id}/approve", User(requests::approve)),
    post("/api/requests/{id}/reject", User(requests::reject)),
    post("/api/requests/{id}/cancel", User(requests::cancel)),
    post("/api/requests/{id}/resume", User(requests::resume)),
    post("/api/requests/{id}/rehearse", User(rehearsals::ask)),
    get("/api/requests/{id}/executions", User(results::executions)).query(&["limit"]),
    get("/api/requests/{id}/result/stream", User(results::stream)).query(&["wait", "values"]),
    get("/api/requests/{id}/result/content", User(results::content)).query(results::CONTENT_QUERY),
    get("/api/results", User(results::list)).query(&["limit", "offset"]),
    get("/api/databases", User(databases::list)),
    get("/api/schemas/{database}", User(schemas::show)).query(&["environment", "table", "summary"]),
    get("/api/policy-resolution", User(resolution::resolve)).query(&["database", "environment", "operation", "sql"]),
    post("/api/preflight", User(preflight::check)).body(CREATE_BODY_BYTES),
    get("/api/me", User(me::show)),
    get("/api/sessions", User(sessions::list)),
    delete("/api/sessions", User(sessions::end_all)),
    delete("/api/session", User(sessions::end)),
    get("/api/roles", User(policies::roles)),
    post("/api/roles", Managed("auth.roles")),
    delete("/api/roles/{name}", User(policies::delete_role)),
    get("/api/users", User(users::list)).query(&["limit", "offset"]),
    get("/api/users/{id}", User(users::show)),
    patch("/api/users/{id}", User(users::update)),
    post("/api/users/{id}/suspend", User(users::suspend)).query(&["descendants"]),
    post("/api/users/{id}/activate", User(users::activate)),
    get("/api/groups", User(groups::list)),
    get("/api/groups/{name}", User(groups::show)),
    post("/api/tokens", User(tokens::create)),
    get("/api/tokens", User(tokens::list)).query(&["limit", "offset"]),
    get("/api/tokens/{id}/inspect", User(tokens::inspect)),
    delete("/api/tokens/{id}", User(tokens::revoke)).query(&["descendants"]),
    get("/api/audit/events", User(audit::list)).query(audit::LIST_QUERY),
    get("/api/audit/export", User(audit::export)).query(audit::EXPORT_QUERY),
    get("/api/audit/verify", User(audit::verify)).deadline(VERIFY_DEADLINE),
    get("/api/workflows", User(policies::workflows)),
    post("/api/workflows", Managed("workflows")),
    get("/api/workflows/{id}", User(policies::workflow)),
    put("/api/workflows/{id}", Managed("workflows")),
    delete("/api/workflows/{id}", Managed("workflows")),
    get("/api/execution-policies", User(policies::execution_policies)),
    post("/api/execution-policies", Managed("execution_policies")),
    get("/api/execution-policies/{id}", User(policies::execution_policy)),
    put("/api/execution-policies/{id}", Managed("execution_policies")),
    delete("/api/execution-policies/{id}", Managed("execution_policies")),
    get("/api/result-policies", User(policies::result_policies)),
    post("/api/result-policies", Managed("result_policies")),
    get("/api/result-policies/{id}", User(policies::result_policy)),
    put("/api/result-policies/{id}", Managed("result_policies")),
    delete("/api/result-policies/{id}", Managed("result_policies")),
    get("/api/notification-policies", User(policies::notification_policies)),
    post("/api/notification-policies", Managed("notification_policies")),
    get("/api/notification-policies/{id}", User(policies::notification_policy)),
    put("/api/notification-policies/{id}", Managed("notification_policies")),
    delete("/api/notification-policies/{id}", Managed("notification_policies")),
    get("/api/webhooks", User(webhooks::list)),
    post("/api/webhooks", Managed("webhooks")),
    get("/api/webhooks/{id}", User(webhooks::show)),
    put("/api/webhooks/{id}", Managed("webhooks")),
    delete("/api/webhooks/{id}", Managed("webhooks")),
    post("/api/webhooks/{id}/test", User(webhooks::send_test)),
    get("/api/webhook-deliveries", User(webhooks::deliveries)).query(webhooks::DELIVERIES_QUERY),
    post("/api/webhook-deliveries/{id}/redeliver", User(webhooks::redeliver)),
    post("/api/slack/commands", Signed(slack::command)),
    post("/api/slack/interactions", Signed(slack::interaction)),
    get("/api/agents", User(agents::list)),
    post("/api/agent/poll", Agent(work::poll)),
    post("/api/agent/jobs/{request_id}/claim", Agent(work::claim)),
    post("/api/agent/jobs/{execution_id}/heartbeat", Agent(work::heartbeat)).uncounted(),
    post("/api/agent/jobs/{execution_id}/result", Agent(work::result)).body(RESULT_BODY_BYTES).result(),
    post("/api/agent/schema-sync", Agent(schemas::sync)).body(SCHEMA_BODY_BYTES),
    post("/api/agent/dry-run/{id}/claim", Agent(dry_runs::claim)),
    post("/api/agent/dry-run/{id}/result", Agent(dry_runs::result)),
    post("/api/agent/rehearsals/{id}/claim", Agent(rehearsals::claim)),
    post("/api/agent/rehearsals/{id}/result", Agent(rehearsals::result)),
];

const fn route(method: &'static str, path: &'static str, guarded: Guarded) -> Route {
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

const fn get(path: &'static str, guarded: Guarded) -> Route {
    route("GET", path, guarded)
}

const fn post(path: &'static str, guarded: Guarded) -> Route {
    route("POST", path, guarded)
}

const fn put(path: &'static str, guarded: Guarded) -> Route {
    route("PUT", path, guarded)
}

const fn patch(path: &'static str, guarded: Guarded) -> Route {
    route("PATCH", path, guarded)
}

const fn delete(path: &'static str, guarded: Guarded) -> Route {
    route("DELETE", path, guarded)
}

impl Route {
    const fn body(mut self, bytes: usize) -> Route {
        self.bounds.body_max = bytes;
        self
    }

    const fn deadline(mut self, deadline: Duration) -> Route {
        self.bounds.deadline = deadline;
        self
    }

    const fn query(mut self, names: &'static [&'static str]) -> Route {
        self.query = names;
        self
    }

    const fn result(mut self) -> Route {
        self.bounds.result = true;
        self.bounds.deliver_head_if_oversize = true;
        self.uncounted()
    }

    const fn uncounted(mut self) -> Route {
        self.bounds.uncounted = true;
        self
    }

    const fn always(mut self) -> Route {
        self.bounds.always_served = true;
        self
    }

    fn takes(&self, method: &str) -> bool {
        self.method == method || (self.method == "GET" && method == "HEAD")
    }

    /// The values of the template's parameters, if these segments fit it.
    fn fit(&self, segments: &[String]) -> Option<Vec<String>> {
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
        wait_secs > 0 && wait::may_go_on(self.call)
    }
}

#[cfg(test)]
mod tests;
