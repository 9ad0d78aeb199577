//! `/health` and `/ready`: whether the process runs, and whether it can work.

use crate::error::Error;
use crate::http::HttpContext;
use crate::http::call::HttpResponse;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::json;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The result store is tried this often at most: it may cost a file, or a call to somebody else's service.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// `Retry-After` of a server that is not ready, in seconds.
const RETRY_SECS: u32 = 2;

/// How the result store did when it was last tried.
#[derive(Default)]
pub struct Readiness(Mutex<Probed>);

#[derive(Default)]
struct Probed {
    /// When the last try began.
    tried: Option<Instant>,
    works: bool,
}

impl Readiness {
    /// Whether the store works, tried again if the last try is old. Only the call that tries waits for it; meanwhile
    /// others get the outcome of the try before.
    fn of(&self, now: Instant, probe: impl FnOnce() -> Result<(), Error>) -> bool {
        {
            let mut probed = self.0.lock().unwrap_or_else(|e| e.into_inner());
            let fresh = |at| now.saturating_duration_since(at) < PROBE_EVERY;
            if probed.tried.is_some_and(fresh) {
                return probed.works;
            }
            probed.tried = Some(now);
        }
        let outcome = probe();
        if let Err(error) = &outcome {
            log::error!("the result store does not work: {error}");
        }
        let works = outcome.is_ok();
        self.0.lock().unwrap_or_else(|e| e.into_inner()).works = works;
        works
    }
}

/// `GET /health`. The gate answers it in our place, so that it is answered whatever the workers do.
pub fn health(context: &HttpContext, _: &RoutedRequest) -> HandlerResult {
    Ok(HttpResponse::with_body(
        200,
        replies::JSON,
        context.health(),
    ))
}

/// `GET /ready`
pub fn ready(context: &HttpContext, _: &RoutedRequest) -> HandlerResult {
    let app = &context.app;
    let database = app.store.probe();
    if let Err(error) = &database {
        log::error!("the database does not work: {error}");
    }
    let sqlite = database.is_ok();
    let result_store = context
        .readiness
        .of(app.clock.instant(), || app.objects.probe());
    let word = |works| if works { "ok" } else { "unavailable" };
    let mut checks = json!({"sqlite": word(sqlite), "result_store": word(result_store)});
    let copy = app.store.copy_allows_writes();
    if let Some(works) = copy {
        checks["replication"] = word(works).into();
    }
    if app.is_draining() {
        return not_ready(json!({"status": "draining", "checks": checks}));
    }
    if sqlite && result_store && copy != Some(false) {
        return replies::json(200, &json!({"status": "ok", "checks": checks}));
    }
    not_ready(json!({"status": "degraded", "checks": checks}))
}

fn not_ready(body: serde_json::Value) -> HandlerResult {
    let mut reply = replies::json(503, &body)?;
    replies::retry_after(&mut reply, RETRY_SECS);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_store_is_tried_once_in_ten_seconds() {
        let (readiness, tries) = (Readiness::default(), Cell::new(0));
        let start = Instant::now();
        let look = |secs, works| {
            readiness.of(start + Duration::from_secs(secs), || {
                tries.set(tries.get() + 1);
                if works {
                    Ok(())
                } else {
                    Err(Error::bug("broken"))
                }
            })
        };
        assert!(look(0, true));
        assert!(look(9, false));
        assert_eq!(tries.get(), 1);
        assert!(!look(10, false));
        assert!(!look(19, true));
        assert!(look(20, true));
        assert_eq!(tries.get(), 3);
    }
}
