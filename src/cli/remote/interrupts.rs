//! Ctrl-C, as something that can be waited for together with other news.

use crate::cli::output::is_paging;
use signal_hook::consts::SIGINT;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// Listens for Ctrl-C as long as the process runs.
pub struct Interrupts {
    /// Whether somebody takes the next one; otherwise it ends the process, as it would without us.
    taken: Arc<AtomicBool>,
}

impl Interrupts {
    /// Sends `news` for each Ctrl-C that is taken. Until then the first ends the process.
    pub fn start<T: Send + Clone + 'static>(sender: Sender<T>, news: T) -> io::Result<Interrupts> {
        let mut signals = signal_hook::iterator::Signals::new([SIGINT])?;
        let taken = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&taken);
        std::thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    if is_paging() {
                        continue;
                    }
                    let sent =
                        seen.swap(false, Ordering::SeqCst) && sender.send(news.clone()).is_ok();
                    if !sent {
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                }
            })?;
        Ok(Interrupts { taken })
    }

    /// Takes the next one.
    pub fn take_next(&self) {
        self.taken.store(true, Ordering::SeqCst);
    }

    /// Lets the next one end the process.
    pub fn release(&self) {
        self.taken.store(false, Ordering::SeqCst);
    }
}
