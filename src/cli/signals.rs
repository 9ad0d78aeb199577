//! Signals on a thread: SIGHUP asks for a reload; the first SIGTERM or SIGINT ends the waiting, the second does what was
//! left for it. Where a limit is set, the process ends when a stop has taken so long, wherever it hangs.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long a stop may go on after the second signal: enough to close what does not hang.
const AFTER_SECOND: Duration = Duration::from_secs(3);

/// What is done once, from another thread.
type Action = Box<dyn FnOnce() + Send>;

/// Signals of this process.
pub struct Signals {
    shared: Arc<SignalShared>,
}

#[derive(Default)]
struct SignalShared {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    arrived: u32,
    reloads: u32,
    second: Option<Action>,
    /// What is done before a stop that has reached its limit ends the process.
    before_end: Option<Action>,
    /// When the first and the second signal to stop came.
    stops: [Option<Instant>; 2],
    limit: Option<StopLimit>,
}

/// How long a stop may take from its first signal, and how the process ends where it takes longer.
#[derive(Debug, Clone, Copy)]
pub struct StopLimit {
    pub within: Duration,
    pub code: i32,
    /// What the log says then.
    pub words: &'static str,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalRequest {
    Stop,
    Reload,
}

impl Signals {
    /// Starts to listen. The thread lasts as long as the process.
    pub fn start() -> std::io::Result<Signals> {
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let shared = Arc::new(SignalShared::default());
        let seen = Arc::clone(&shared);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    if signal == SIGHUP {
                        seen.reload();
                    } else {
                        seen.arrive();
                    }
                }
            })?;
        Ok(Signals { shared })
    }

    /// Limits every stop from now on, also one that has begun.
    ///
    /// # Errors
    /// Where the thread that keeps the limit cannot be started.
    pub fn limit(&self, limit: StopLimit) -> std::io::Result<()> {
        let is_kept = self.shared.lock().limit.replace(limit).is_some();
        self.shared.changed.notify_all();
        if !is_kept {
            let shared = Arc::clone(&self.shared);
            let keep = move || shared.keep_limit();
            thread::Builder::new()
                .name("stop-limit".to_owned())
                .spawn(keep)?;
        }
        Ok(())
    }

    /// Does this before a stop that has reached its limit ends the process; none for nothing.
    pub fn before_end(&self, action: Option<Action>) {
        self.shared.lock().before_end = action;
    }

    /// Waits for a signal: what it asks for. Several reloads that come together are one.
    pub fn wait(&self) -> SignalRequest {
        let state = self.shared.lock();
        let mut state = self
            .shared
            .changed
            .wait_while(state, |s| s.arrived == 0 && s.reloads == 0)
            .unwrap_or_else(|e| e.into_inner());
        if state.arrived > 0 {
            return SignalRequest::Stop;
        }
        state.reloads = 0;
        SignalRequest::Reload
    }

    /// Whether a reload was asked for since this was last asked.
    pub fn reload_asked(&self) -> bool {
        std::mem::take(&mut self.shared.lock().reloads) > 0
    }

    /// Waits for the first signal, at most `within`; whether it has come.
    pub fn arrived(&self, within: Duration) -> bool {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, within, |s| s.arrived == 0)
            .unwrap_or_else(|e| e.into_inner());
        state.arrived > 0
    }

    /// What the second signal does, at once if it has come already.
    pub fn then(&self, second: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        if state.arrived > 1 {
            drop(state);
            second();
        } else {
            state.second = Some(Box::new(second));
        }
    }
}

impl SignalShared {
    fn lock(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn reload(&self) {
        let mut state = self.lock();
        state.reloads += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the process where a stop has reached its limit.
    fn keep_limit(&self) {
        let mut state = self.lock();
        loop {
            let left = state.left(Instant::now());
            state = match left {
                Some((Duration::ZERO, limit)) => {
                    let action = state.before_end.take();
                    drop(state);
                    if let Some(action) = action {
                        action();
                    }
                    log::warn!("{}", limit.words);
                    log::logger().flush();
                    std::process::exit(limit.code);
                }
                Some((left, _)) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(|e| e.into_inner()).0
                }
                None => self.changed.wait(state).unwrap_or_else(|e| e.into_inner()),
            };
        }
    }

    fn arrive(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(stop) = state.stops.iter_mut().find(|stop| stop.is_none()) {
            *stop = Some(now);
        }
        state.arrived += 1;
        let second = (state.arrived > 1).then(|| state.second.take()).flatten();
        drop(state);
        self.changed.notify_all();
        if let Some(second) = second {
            second();
        }
    }
}

impl SignalState {
    /// How long the stop that was asked for may still take; none where none was, or nothing limits it.
    fn left(&self, now: Instant) -> Option<(Duration, StopLimit)> {
        let limit = self.limit?;
        let [first, second] = self.stops;
        let end = first? + limit.within;
        let end = second.map_or(end, |at| end.min(at + AFTER_SECOND));
        Some((end.saturating_duration_since(now), limit))
    }
}

#[cfg(test)]
mod tests {
    use super::{AFTER_SECOND, SignalState, StopLimit};
    use std::time::{Duration, Instant};

    #[test]
    fn second_signal_shortens_what_is_left_and_never_prolongs_it() {
        let begun = Instant::now();
        let secs = |n: u64| begun + Duration::from_secs(n);
        let limit = StopLimit {
            within: Duration::from_secs(20),
            code: 1,
            words: "",
        };
        let left = |limit, stops, now| {
            let state = SignalState {
                limit,
                stops,
                ..SignalState::default()
            };
            state.left(now).map(|(left, _)| left)
        };
        let (first, early, late) = (Some(begun), Some(secs(5)), Some(secs(19)));
        assert_eq!(left(None, [first, early], secs(5)), None);
        assert_eq!(left(Some(limit), [None, None], secs(5)), None);
        let nothing = Some(Duration::ZERO);
        for (stops, now, expected) in [
            ([first, None], secs(5), Some(Duration::from_secs(15))),
            ([first, early], secs(5), Some(AFTER_SECOND)),
            ([first, late], secs(19), Some(Duration::from_secs(1))),
            ([first, None], secs(20), nothing),
            ([first, early], secs(9), nothing),
        ] {
            assert_eq!(left(Some(limit), stops, now), expected, "{stops:?}");
        }
    }
}
