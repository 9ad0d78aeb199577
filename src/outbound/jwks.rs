//! The keys of the identity provider: fetched in the background, kept while it is away, and asked for again, rarely,
//! when a token names one that is not there.
//!
//! Calls never fetch. The one thread here does, and a call that needs its outcome waits for it a few seconds, together
//! with few others: however slow the provider is, and whatever tokens strangers make up, workers stay free.

use super::discovery::{ProviderDocument, provider_reach};
use super::guard::NetworkReach;
use super::http::{Http, OutboundFailure};
use crate::clock::{Clock, Timestamp};
use crate::config::{Endpoint, Oidc};
use crate::domain::jwt::{KEY_SET_BYTES_MAX, KeySet, KeySource};
use crate::error::Error;
use crate::metrics::Metrics;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often keys are fetched while all is well.
const REFRESH_EVERY: Duration = Duration::from_secs(15 * 60);
/// Tokens with an unknown key make us ask this often at most, no matter who sends them.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Pause after a failure; it doubles with each further one, up to the second.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);
/// How long keys count after they were last fetched. Long enough for a night without the provider, short enough that a
/// key it has withdrawn does not live on.
const STALE_AFTER_MS: u64 = 24 * 60 * 60 * 1000;
/// How long after a fetch began a call may wait for its end.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// Calls that may wait at once; further ones are asked to come back. Each holds a worker.
const WAITERS_MAX: usize = 4;
/// How often the thread looks at the clock, which may have been set, or have run on while the machine slept.
const LOOK: Duration = Duration::from_secs(1);

/// The keys of a provider. Dropping it ends its thread.
pub struct Jwks {
    shared: Arc<JwksShared>,
    thread: Option<JoinHandle<()>>,
}

struct JwksShared {
    oidc: Oidc,
    allow_private_networks: bool,
    http: Http,
    clock: Clock,
    metrics: Arc<Metrics>,
    state: Mutex<JwksState>,
    changed: Condvar,
}

struct JwksState {
    /// The keys, and when they were last fetched.
    keys: Option<(Arc<KeySet>, Timestamp)>,
    /// Fetches that have ended.
    ended: u64,
    /// Failures since the last success.
    failures: u32,
    /// When the newest fetch began, or was asked for.
    began: Instant,
    /// Whether it is still to come or under way.
    busy: bool,
    /// When the next is due.
    due: Instant,
    waiting: usize,
    stop: bool,
}

impl Jwks {
    /// Starts to fetch the keys of `oidc`; a provider that is away is asked again and again.
    ///
    /// # Errors
    /// `internal` when the thread cannot be made.
    pub fn start(
        oidc: &Oidc,
        reach: &NetworkReach,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Jwks, Error> {
        let configured = oidc.jwks_uri.as_ref().unwrap_or(&oidc.issuer);
        let allow_private_networks = reach.private;
        let now = clock.instant();
        let shared = Arc::new(JwksShared {
            oidc: oidc.clone(),
            allow_private_networks,
            http: Http::new(provider_reach(reach, configured)),
            clock,
            metrics,
            state: Mutex::new(JwksState {
                keys: None,
                ended: 0,
                failures: 0,
                began: now,
                busy: true,
                due: now,
                waiting: 0,
                stop: false,
            }),
            changed: Condvar::new(),
        });
        let working = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("oidc-keys".to_owned())
            .spawn(move || working.run())
            .map_err(|e| Error::internal("starting oidc-keys", e))?;
        Ok(Jwks {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        self.shared.http.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl KeySource for Jwks {
    fn kept(&self) -> Option<Arc<KeySet>> {
        self.shared.usable(&self.shared.lock())
    }

    fn keys(&self) -> Result<Arc<KeySet>, Error> {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.ended == 0 {
            // The server has only just started.
            state = shared.await_end(state);
        }
        shared.usable(&state).ok_or_else(unreachable)
    }

    fn newer(&self, seen: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Error> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let other =
            |state: &JwksState| shared.usable(state).filter(|keys| !Arc::ptr_eq(keys, seen));
        if let Some(keys) = other(&state) {
            return Ok(Some(keys));
        }
        let now = shared.clock.instant();
        if !state.busy && now.saturating_duration_since(state.began) >= ASK_EVERY {
            (state.busy, state.began, state.due) = (true, now, now);
            shared.changed.notify_all();
        }
        if state.busy {
            state = shared.await_end(state);
        }
        match other(&state) {
            Some(keys) => Ok(Some(keys)),
            // Whether the provider has such a key only it can tell.
            None if state.busy || state.failures > 0 => Err(unreachable()),
            None => Ok(None),
        }
    }
}

fn unreachable() -> Error {
    Error::unavailable("the identity provider cannot be reached")
        .hint("tokens of this server work all the same")
        .retry_after(5)
}

impl JwksShared {
    fn lock(&self) -> MutexGuard<'_, JwksState> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The keys, unless they are too old.
    fn usable(&self, state: &JwksState) -> Option<Arc<KeySet>> {
        let (keys, at) = state.keys.as_ref()?;
        (self.clock.now().since(*at) <= STALE_AFTER_MS).then(|| Arc::clone(keys))
    }

    /// Waits for the end of the fetch that is under way, but not for long after it began, nor with many others.
    fn await_end<'a>(&self, mut state: MutexGuard<'a, JwksState>) -> MutexGuard<'a, JwksState> {
        if state.waiting >= WAITERS_MAX {
            return state;
        }
        let (ended, until) = (state.ended, state.began + WAIT_MAX);
        state.waiting += 1;
        while state.ended == ended && !state.stop {
            let left = until.saturating_duration_since(self.clock.instant());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(|e| e.into_inner()).0;
        }
        state.waiting -= 1;
        state
    }

    fn run(&self) {
        while self.wait_until_due() {
            let fetched = catch_unwind(AssertUnwindSafe(|| self.fetch())).unwrap_or_else(|_| {
                self.metrics.background_panics.inc(&[]);
                Err(OutboundFailure::new("the fetch panicked"))
            });
            let mut state = self.lock();
            if !state.stop {
                self.take(&mut state, fetched);
            }
            self.changed.notify_all();
        }
    }

    /// Waits until a fetch is due and says that it begins; false when the thread is to end.
    fn wait_until_due(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.stop {
                return false;
            }
            let now = self.clock.instant();
            let left = state.due.saturating_duration_since(now);
            if left.is_zero() {
                if !state.busy {
                    (state.busy, state.began) = (true, now);
                }
                return true;
            }
            let woken = self.changed.wait_timeout(state, left.min(LOOK));
            state = woken.unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    fn take(&self, state: &mut JwksState, fetched: Result<KeySet, OutboundFailure>) {
        let now = self.clock.instant();
        state.busy = false;
        state.ended += 1;
        match fetched {
            Ok(keys) => {
                self.metrics.oidc_fetches.inc(&["ok"]);
                self.metrics
                    .oidc_keys
                    .set(&[], i64::try_from(keys.len()).unwrap_or(i64::MAX));
                if state.failures > 0 || state.ended == 1 {
                    log::info!("the identity provider has {} keys for us", keys.len());
                }
                // The same keys stay the same object, so that nobody takes them for others.
                let kept = state.keys.take().map(|(old, _)| old);
                let keys = kept
                    .filter(|old| **old == keys)
                    .unwrap_or_else(|| Arc::new(keys));
                state.keys = Some((keys, self.clock.now()));
                state.failures = 0;
                state.due = now + REFRESH_EVERY;
            }
            Err(failure) => {
                self.metrics.oidc_fetches.inc(&["failed"]);
                let pause = RETRY_MAX.min(RETRY_FIRST * 2_u32.pow(state.failures.min(10)));
                log::warn!(
                    "the keys of the identity provider cannot be fetched, next try in {} s: {failure}",
                    pause.as_secs()
                );
                state.failures = state.failures.saturating_add(1);
                state.due = now + pause;
            }
        }
    }

    fn fetch(&self) -> Result<KeySet, OutboundFailure> {
        let found;
        let place = match &self.oidc.jwks_uri {
            Some(place) => place,
            None => {
                found = self.discover()?;
                &found
            }
        };
        let json = self.http.get(place.url(), KEY_SET_BYTES_MAX as u64)?;
        KeySet::parse(&json).map_err(OutboundFailure::new)
    }

    /// Where the provider says that its keys are.
    fn discover(&self) -> Result<Endpoint, OutboundFailure> {
        let issuer = &self.oidc.issuer;
        let document = ProviderDocument::fetch(&self.http, issuer, self.allow_private_networks)?;
        document.endpoint("jwks_uri")
    }
}
