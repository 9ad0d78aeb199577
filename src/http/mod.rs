//! The HTTP layer: what the gate lets through is routed, guarded, handed to a verb, and answered.
//!
//! Reading order: `router` (the one table of routes; `route` says what a line is), `guard` (who gets to which handler),
//! `authentication`, `site` and `browser` (the console's cookies and sign-in), `params` and `body` (what a call says),
//! `wait` (long-polls), `replies` (what is given back), `api` (the handlers). `listener`, `queue` and `call` are the side
//! towards the gate.

pub mod api;
mod authentication;
pub mod body;
mod browser;
pub mod call;
pub mod guard;
pub mod listener;
pub mod openapi;
mod pages;
pub mod params;
mod queue;
pub mod replies;
pub mod route;
pub mod router;
mod site;
pub mod slack;
pub mod wait;

use crate::actions::App;
use crate::actions::identify::{self, Presented, Recognized};
use crate::clock::Timestamp;
use crate::config::Cidr;
use crate::domain::actor::SubjectType;
use crate::domain::agent::MIN_AGENT_VERSION;
use crate::error::{Error, ErrorKind, Shown};
use crate::gate::cookie;
use crate::gate::{Admission, CallLimits, DirectResponse, Hub, RequestPreview, ResumeReason};
use call::{HttpRequest, HttpResponse};
use route::{Guarded, RoutedRequest};
use router::RouteMatch;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a call that no route takes is counted and logged as.
const UNMATCHED: &str = "<unmatched>";
/// Methods that are counted and logged by name; a client may invent others.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Everything that answers calls. One for each running server.
pub struct HttpContext {
    pub app: Arc<App>,
    /// Where long-polls wait.
    pub hub: Arc<Hub>,
    pub version: &'static str,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether the token of an agent counts only next to a certificate for its name.
    pub agents_certified: bool,
    /// Whether our own listener speaks TLS.
    pub speaks_tls: bool,
    /// What comes from Slack.
    pub slack: Arc<slack::SlackDesk>,
    /// How the result store did when it was last tried.
    pub(crate) readiness: api::health::Readiness,
    /// Held by the one verification of the audit log that may run.
    pub(crate) verifying: std::sync::Mutex<()>,
}

/// What is known of a call once it was answered, for the access log.
struct AccessRecord<'a> {
    call: &'a HttpRequest,
    template: &'static str,
    subject: Option<String>,
    took: Duration,
}

impl HttpContext {
    /// The HTTP layer of `app`, whose long-polls wait in `hub`.
    pub fn new(
        app: Arc<App>,
        hub: Arc<Hub>,
        version: &'static str,
        trusted_proxies: Vec<Cidr>,
        speaks_tls: bool,
        slack: Arc<slack::SlackDesk>,
    ) -> HttpContext {
        HttpContext {
            app,
            hub,
            version,
            trusted_proxies,
            agents_certified: false,
            speaks_tls,
            slack,
            readiness: api::health::Readiness::default(),
            verifying: std::sync::Mutex::new(()),
        }
    }

    /// The gate's bounds of a call, by method and raw path.
    pub fn rule(&self, method: &str, path: &str) -> CallLimits {
        let RouteMatch::Route(route, _) = router::find(method, path) else {
            return CallLimits::new(route::BODY_BYTES);
        };
        let answer_here = (route.path == "/health").then(|| DirectResponse {
            status: 200,
            content_type: replies::JSON,
            body: Cow::Owned(self.health().into_bytes()),
        });
        CallLimits {
            body_max: route.bounds.body_max,
            deadline: route.bounds.deadline,
            answer_here,
            deliver_head_if_oversize: route.bounds.deliver_head_if_oversize,
            always_served: route.bounds.always_served,
            uncounted: route.bounds.uncounted,
        }
    }

    /// Whose the body of a call is, before it is read. Where the answer is a refusal whatever the body says, the body
    /// is left unread.
    pub fn admits(&self, preview: &RequestPreview) -> Admission {
        let RouteMatch::Route(route, _) = router::find(preview.method, preview.path) else {
            return Admission::HeadOnly;
        };
        let wanted = match route.guarded {
            Guarded::Public(_) | Guarded::Page(_) => return Admission::Stranger,
            // Only the body tells whether Slack sent it; without the app it tells nothing.
            Guarded::Signed(_) if self.app.active().outlets.slack.is_none() => {
                return Admission::HeadOnly;
            }
            Guarded::Signed(_) => return Admission::Stranger,
            Guarded::Managed(_) => return Admission::HeadOnly,
            Guarded::User(_) => SubjectType::User,
            Guarded::Agent(_) => SubjectType::Agent,
        };
        let presented = Presented {
            authorization: preview.authorization,
            session: preview.cookie.and_then(cookie::session),
            is_use: false,
        };
        match identify::recognize(&self.app, presented) {
            Recognized::Undecided => Admission::Stranger,
            Recognized::As(kind) if kind != wanted => Admission::HeadOnly,
            Recognized::As(_) if route.bounds.result => Admission::Result,
            Recognized::As(_) => Admission::Known,
            Recognized::Nobody => Admission::HeadOnly,
        }
    }

    /// The body of `GET /health`: the process runs.
    pub(crate) fn health(&self) -> String {
        format!(
            "{{\"min_agent_version\":\"{MIN_AGENT_VERSION}\",\"status\":\"ok\",\"version\":\"{}\"}}",
            self.version
        )
    }

    /// Answers a call, or says that it has to wait.
    pub fn serve(&self, call: HttpRequest) -> HttpResponse {
        let entered = self.app.clock.instant();
        let now = self.app.clock.now();
        let (began, memo) = wait::began(&call, now);
        let mut subject = None;
        let (template, answer) = match router::find(&call.method, &call.path) {
            RouteMatch::Route(route, params) => {
                let ask = RoutedRequest::new(&call, params, memo);
                let answer = guard::admit(self, route, &ask, &mut subject);
                (route.path, answer)
            }
            RouteMatch::WrongMethod { path, allow } => {
                let message = format!("{} does not work on this path", Shown(&call.method));
                let error = Error::new(ErrorKind::MethodNotAllowed, "method_not_allowed", message);
                (path, Err(error.allow(allow)))
            }
            RouteMatch::Unknown => (UNMATCHED, Err(Error::not_found("path", &call.path))),
        };
        let mut reply = answer.unwrap_or_else(|error| {
            if error.status() >= 500 {
                log::error!("{template} (request id {}): {error}", call.request_id);
            }
            replies::error(&error, &call.request_id)
        });
        if let Some(park) = &mut reply.park {
            park.memo = wait::stamped(began, &park.memo);
            return reply;
        }
        if call.resume.as_ref().is_some_and(|r| turned_away(r.reason)) {
            replies::retry_after(&mut reply, wait::TURNED_AWAY_RETRY_SECS);
        }
        replies::seal(&mut reply);
        let record = AccessRecord {
            took: took(&call, began, now, entered, self.app.clock.instant()),
            call: &call,
            template,
            subject,
        };
        self.tell(&record, reply.status);
        reply
    }

    /// Counts a call and writes its line of the access log: what was asked of whom, never with which words.
    fn tell(&self, record: &AccessRecord, status: u16) {
        let method = METHODS
            .into_iter()
            .find(|m| *m == record.call.method)
            .unwrap_or("other");
        let metrics = &self.app.metrics;
        metrics
            .http_requests
            .inc(&[method, record.template, &status.to_string()]);
        metrics
            .http_duration
            .observe(&[method, record.template], record.took.as_secs_f64());
        if log::log_enabled!(target: "access", log::Level::Info) {
            let origin = authentication::origin(self, record.call);
            log::info!(
                target: "access",
                "{method} {} {status} {:.1} ms request_id={} subject={} client_ip={}",
                record.template,
                record.took.as_secs_f64() * 1000.0,
                record.call.request_id,
                Shown(record.subject.as_deref().unwrap_or("-")),
                origin.client_ip.as_deref().unwrap_or("-"),
            );
        }
    }
}

/// Whether a call was not let wait, or not to the end.
fn turned_away(reason: ResumeReason) -> bool {
    matches!(reason, ResumeReason::Full | ResumeReason::Shutdown)
}

/// How long a call took, the time it was parked included.
fn took(
    call: &HttpRequest,
    began: Timestamp,
    now: Timestamp,
    entered: Instant,
    left: Instant,
) -> Duration {
    let here = left.saturating_duration_since(entered);
    match call.resume {
        None => here,
        Some(_) => here.saturating_add(Duration::from_millis(now.since(began))),
    }
}
