//! The thread that tells the server what the databases look like: at first, every few minutes, and soon after an
//! execution changed a schema. What the server knows already is not sent again.

use super::pacing::Backoff;
use super::{AgentShared, AgentState};
use crate::client::{ClientError, SchemaSync};
use crate::crypto::sha256_fields;
use crate::domain::id::Target;
use serde_json::value::RawValue;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often each database is looked at, and the longest wait after a failure.
const EVERY: Duration = Duration::from_secs(600);
/// How often the numbers of rows are sent although nothing else has changed: risk is judged by them.
const ROWS_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The message where describing panicked.
const PANICKED: &str = "the agent failed while it described the tables";

/// Whether `sql` begins with a word that changes a schema. Good enough to look again soon; what it misses is seen at
/// the next look.
pub fn alters(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        let after = match (rest.strip_prefix("--"), rest.strip_prefix("/*")) {
            (Some(comment), _) => comment.split_once('\n'),
            (_, Some(comment)) => comment.split_once("*/"),
            (None, None) => break,
        };
        rest = after.map_or("", |(_, after)| after).trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic());
    let word = &rest[..end.unwrap_or(rest.len())];
    ["create", "alter", "drop"]
        .iter()
        .any(|ddl| word.eq_ignore_ascii_case(ddl))
}

/// The thread's body: works until the agent stops or fails, or the server turns out not to want to know.
pub fn run(shared: &Arc<AgentShared>) {
    if !admitted(shared) {
        return;
    }
    let mut all: Vec<SyncedTarget> = shared
        .drivers
        .keys()
        .cloned()
        .map(SyncedTarget::nothing)
        .collect();
    loop {
        for synced in &mut all {
            if shared.stopping() {
                return;
            }
            if synced.due > Instant::now() {
                continue;
            }
            if let Err(error) = synced.tell(shared) {
                if matches!(error.status, Some(404 | 405 | 501)) {
                    log::info!("the server takes no descriptions of databases; none are sent");
                    return;
                }
                let wait = synced.backoff.next(error.retry_after);
                synced.due = Instant::now() + wait;
                if !shared.stopping() {
                    let (target, secs) = (&synced.target, wait.as_secs());
                    log::warn!("describing {target}: {error}; trying again in {secs} s");
                }
            }
        }
        let now = Instant::now();
        let due = all.iter().map(|synced| synced.due).min();
        let wait = due.map_or(EVERY, |due| due.saturating_duration_since(now));
        let mut state = shared.wait(wait, |state| state.over() || !state.altered.is_empty());
        if state.over() {
            return;
        }
        let altered = std::mem::take(&mut state.altered);
        drop(state);
        for synced in all.iter_mut().filter(|t| altered.contains(&t.target)) {
            synced.due = now;
        }
    }
}

/// Waits until the server has let the agent in: it takes descriptions from agents that it knows. `false` if there
/// will be nothing to do.
fn admitted(shared: &AgentShared) -> bool {
    loop {
        let state = shared.wait(EVERY, |state: &AgentState| state.ready || state.over());
        if state.over() {
            return false;
        }
        if state.ready {
            return true;
        }
    }
}

/// What was reported to the server of one database.
struct SyncedTarget {
    target: Target,
    due: Instant,
    backoff: Backoff,
    /// Hash of the description that the server has, without the numbers of rows, and when it was sent.
    known: Option<([u8; 32], Instant)>,
}

impl SyncedTarget {
    fn nothing(target: Target) -> SyncedTarget {
        SyncedTarget {
            target,
            due: Instant::now(),
            backoff: Backoff::up_to(EVERY),
            known: None,
        }
    }

    /// Describes the database, and tells the server if that is news. Says when to look again, unless telling failed.
    fn tell(&mut self, shared: &AgentShared) -> Result<(), ClientError> {
        let Some(driver) = shared.drivers.get(&self.target) else {
            return Ok(());
        };
        let described = catch_unwind(AssertUnwindSafe(|| {
            shared.wall.describe(driver, &shared.breaking_off)
        }))
        .unwrap_or_else(|_| Err(PANICKED.to_owned()));
        shared.wall.warm_up();
        if shared.stopping() {
            return Ok(());
        }
        let (status, text, snapshot, why_not) = match &described {
            Ok(json) => ("ready", json, raw(json), None),
            Err(why_not) => ("failed", why_not, None, Some(why_not.as_str())),
        };
        let hash = sha256_fields([status.as_bytes(), without_rows(text).as_bytes()]);
        let is_news = self
            .known
            .is_none_or(|(known, at)| known != hash || at.elapsed() >= ROWS_EVERY);
        if is_news {
            shared.breakable_client.sync_schema(&SchemaSync {
                database: self.target.database(),
                environment: self.target.environment(),
                dialect: driver.dialect().as_str(),
                status,
                snapshot,
                error_message: why_not,
            })?;
            self.known = Some((hash, Instant::now()));
            match why_not {
                None => log::info!("the server knows the tables of {}", self.target),
                // Without the reason, which may name what is in the database; the server has it.
                Some(_) => log::warn!("the tables of {} cannot be described", self.target),
            }
        }
        let wait = match described {
            Ok(_) => {
                self.backoff.reset();
                EVERY
            }
            Err(_) => self.backoff.next(None),
        };
        self.due = Instant::now() + wait;
        Ok(())
    }
}

/// A description without how many rows there are, which changes with every write and alone is not news.
fn without_rows(text: &str) -> String {
    const MEMBER: &str = "\"estimated_rows\":";
    let mut parts = text.split(MEMBER);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(MEMBER);
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-'));
    }
    out
}

/// JSON of a driver as it stands; the server refuses anything else.
fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_alone_are_not_news() {
        let table = |name: &str, rows: i64| {
            format!(
                "{{\"tables\":[{{\"name\":\"{name}\",\"estimated_rows\":{rows},\"columns\":[]}}]}}"
            )
        };
        assert_eq!(
            without_rows(&table("a", -1)),
            without_rows(&table("a", 12_345))
        );
        assert_ne!(without_rows(&table("a", 1)), without_rows(&table("b", 1)));
        assert_eq!(without_rows("the database is away"), "the database is away");
    }

    #[test]
    fn what_changes_a_schema_is_known_by_its_first_word() {
        for sql in [
            "CREATE TABLE t (a)",
            "  drop\ttable t",
            "-- new column\n/* by -- hand */ Alter TABLE t ADD b",
            "create",
        ] {
            assert!(alters(sql), "{sql}");
        }
        for sql in [
            "",
            "-- create",
            "/* drop",
            "created",
            "INSERT INTO t VALUES ('drop')",
            "/**/ select 1",
            "é",
        ] {
            assert!(!alters(sql), "{sql}");
        }
    }
}
