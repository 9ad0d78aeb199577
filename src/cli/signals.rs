//! Signals on a thread: SIGHUP asks for a reload; the first SIGTERM or SIGINT ends the waiting, the second does what was
//! left for it.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

type Second = Box<dyn FnOnce() + Send>;

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
    second: Option<Second>,
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
        std::thread::Builder::new()
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

    /// Waits for a signal: what it asks for. Several reloads that come together are one.
    pub fn wait(&self) -> SignalRequest {
        let state = self.shared.state.lock().unwrap_or_else(|e| e.into_inner());
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

    /// Waits for the first signal, at most `within`; whether it has come.
    pub fn arrived(&self, within: Duration) -> bool {
        let state = self.shared.state.lock().unwrap_or_else(|e| e.into_inner());
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, within, |s| s.arrived == 0)
            .unwrap_or_else(|e| e.into_inner());
        state.arrived > 0
    }

    /// What the second signal does, at once if it has come already.
    pub fn then(&self, second: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.state.lock().unwrap_or_else(|e| e.into_inner());
        if state.arrived > 1 {
            drop(state);
            second();
        } else {
            state.second = Some(Box::new(second));
        }
    }
}

impl SignalShared {
    fn reload(&self) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.reloads += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn arrive(&self) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.arrived += 1;
        let second = (state.arrived > 1).then(|| state.second.take()).flatten();
        drop(state);
        self.changed.notify_all();
        if let Some(second) = second {
            second();
        }
    }
}
