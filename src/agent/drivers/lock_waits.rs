//! What a rehearsal waits for while it waits for a lock, and for how long: asked of the database over a connection of
//! its own, and only once a statement takes long.

use super::rehearsal::Report;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long the statements run before anybody asks, and the pause between two questions.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How long the connection that asks may take: the report waits for it.
pub const ASK_WITHIN_SECS: u64 = 5;
/// Holders of locks that are named, at most.
const HOLDERS_MAX: usize = 5;

/// What was waited for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LockWaits {
    /// Whether the database could not be asked.
    unseen: bool,
    /// About how long, in milliseconds.
    ms: u64,
    /// Who held the locks.
    holders: Vec<String>,
}

impl LockWaits {
    /// Adds what was found to a report. What is over before anybody asks has not waited.
    pub fn note(&self, report: &mut Report) {
        report.lock_wait_ms = (!self.unseen).then_some(self.ms);
        if self.ms > 0 {
            report.warn(format!(
                "waited about {} ms for a lock{}",
                self.ms,
                self.held()
            ));
        }
    }

    /// The sentence for a wait that was cut off after `secs`: the statement was not refused, it never ran.
    pub fn cut_off(&self, secs: u64) -> String {
        format!(
            "lock wait: after {secs} s the lock was still not free{}; the statement was not refused, it has not run",
            self.held()
        )
    }

    fn held(&self) -> String {
        match self.holders.is_empty() {
            true => String::new(),
            false => format!(", held by {}", self.holders.join(", ")),
        }
    }

    fn add(&mut self, waited: Duration, holders: Vec<String>) {
        self.ms = self
            .ms
            .saturating_add(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        for holder in holders {
            let known = self.holders.iter().position(|h| name(h) == name(&holder));
            match known {
                Some(at) => self.holders[at] = holder,
                None if self.holders.len() < HOLDERS_MAX => self.holders.push(holder),
                None => {}
            }
        }
    }
}

/// `process 4711`: the rest of what is known of a holder changes with time.
fn name(holder: &str) -> &str {
    let end = holder.match_indices(' ').nth(1);
    end.map_or(holder, |(end, _)| &holder[..end])
}

/// Runs `work`, and watches meanwhile what it waits for. `open` makes what asks the database who holds the lock that is
/// waited for: nobody where none is, `None` where it does not tell.
pub fn watched<T, Q>(
    open: impl FnOnce() -> Option<Q> + Send,
    work: impl FnOnce() -> T,
) -> (T, LockWaits)
where
    Q: FnMut() -> Option<Vec<String>>,
{
    std::thread::scope(|scope| {
        let (done, over) = channel::<()>();
        let watch = move || {
            let mut waits = LockWaits::default();
            let mut last = Instant::now();
            let goes_on = || over.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout);
            if !goes_on() {
                return waits;
            }
            let mut ask = open();
            waits.unseen = true;
            while let Some(holders) = ask.as_mut().and_then(|ask| ask()) {
                waits.unseen = false;
                let now = Instant::now();
                if !holders.is_empty() {
                    waits.add(now.saturating_duration_since(last), holders);
                }
                last = now;
                if !goes_on() {
                    return waits;
                }
            }
            waits
        };
        let watcher = std::thread::Builder::new()
            .name("lock waits".to_owned())
            .spawn_scoped(scope, watch);
        let came = work();
        drop(done);
        let waits = watcher.ok().and_then(|thread| thread.join().ok());
        (came, waits.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn long_wait_is_looked_into_and_its_holders_named_once() {
        let (asked, answers) = sync_channel::<()>(0);
        let mut secs = 0;
        let ask = move || {
            let _ = asked.send(());
            secs += 1;
            Some(vec![format!("process 7 of app, for {secs} s")])
        };
        // The work is as long as two questions.
        let ((), waits) = watched(
            move || Some(ask),
            move || {
                answers.recv().unwrap();
                answers.recv().unwrap();
            },
        );
        assert_eq!(waits.holders.len(), 1, "{waits:?}");
        assert!(!waits.holders[0].ends_with("for 1 s"), "{waits:?}");
        assert!(waits.ms >= 150, "{waits:?}");
        let mut report = Report::default();
        waits.note(&mut report);
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["lock_wait_ms"], waits.ms);
        let warning = json["warnings"][0].as_str().unwrap();
        assert!(warning.contains("held by process 7"), "{warning}");
        assert!(waits.cut_off(2).starts_with("lock wait: after 2 s"));
    }

    #[test]
    fn a_wait_that_nobody_tells_of_is_not_called_none() {
        let (late, over) = sync_channel::<()>(0);
        let open = move || -> Option<fn() -> Option<Vec<String>>> {
            let _ = late.send(());
            None
        };
        let ((), waits) = watched(open, move || over.recv().unwrap());
        let mut report = Report::default();
        waits.note(&mut report);
        assert_eq!(report.lock_wait_ms, None);
        assert!(!waits.cut_off(2).contains("held by"));
    }

    #[test]
    fn what_is_over_soon_asks_nobody() {
        let open = || -> Option<fn() -> Option<Vec<String>>> { panic!("asked") };
        let (came, waits) = watched(open, || 7);
        assert_eq!((came, waits), (7, LockWaits::default()));
    }
}
