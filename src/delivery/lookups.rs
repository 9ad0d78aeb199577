//! Slack accounts of people of whom only an address is known, found by it. For mentions alone: nobody acts by such an
//! account, and none is stored. Whatever fails leaves a name without a mention.

use crate::clock::Timestamp;
use crate::config::Slack;
use crate::outbound::{SlackApi, SlackFailure};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Addresses that are remembered; beyond it remembering starts anew, which costs calls.
const REMEMBERED_MAX: usize = 2_000;
/// How long an account that was found is remembered, and that there was none, in seconds.
const FOUND_SECS: u64 = 12 * 60 * 60;
const MISSED_SECS: u64 = 60 * 60;
/// Calls a minute; Slack takes some fifty.
const CALLS_PER_MINUTE: u32 = 40;
/// Longest time for one call, and for all of one message: a mention must not hold up what it stands in.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nobody is asked for after a failure that may pass, after one of the app's rights or token, and at most where
/// Slack says how long, in seconds.
const PASSING_PAUSE_SECS: u64 = 60;
const RIGHTS_PAUSE_SECS: u64 = 60 * 60;
/// Longest id of an account; Slack's have some eleven characters.
const ID_CHARS_MAX: usize = 40;

/// What is remembered of look-ups.
#[derive(Default)]
pub(super) struct SlackLookups(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    accounts: HashMap<String, Found>,
    paused_until: Option<Timestamp>,
    /// The minute that calls are counted in, and how many there were.
    minute: Option<(i64, u32)>,
}

struct Found {
    slack_user_id: Option<String>,
    until: Timestamp,
}

impl SlackLookups {
    /// The account with that address, as far as it is remembered or Slack says so before `deadline`.
    pub(super) fn account(
        &self,
        api: &SlackApi,
        slack: &Slack,
        email: &str,
        now: Timestamp,
        deadline: Instant,
    ) -> Option<String> {
        let key = email.to_ascii_lowercase();
        {
            let mut remembered = self.0.lock().unwrap_or_else(|e| e.into_inner());
            let found = remembered.accounts.get(&key);
            if let Some(found) = found.filter(|found| now < found.until) {
                return found.slack_user_id.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !remembered.takes_call(now) {
                return None;
            }
        }
        let fields = [("email", email)];
        let answer = api.call_with_form(slack, "users.lookupByEmail", &fields, CALL_TIMEOUT);
        let mut remembered = self.0.lock().unwrap_or_else(|e| e.into_inner());
        match answer {
            Ok(answer) => remembered.keep(key, account(&answer), now),
            Err(failure) if failure.is("users_not_found") => remembered.keep(key, None, now),
            Err(failure) => {
                log::warn!("Slack accounts cannot be looked up by e-mail address now: {failure}");
                remembered.paused_until = Some(now.plus_secs(pause_secs(&failure)));
                None
            }
        }
    }
}

impl Remembered {
    /// Whether a call may be made now, which is counted.
    fn takes_call(&mut self, now: Timestamp) -> bool {
        if self.paused_until.is_some_and(|until| now < until) {
            return false;
        }
        let minute = now.0.div_euclid(60_000);
        let made = self.minute.filter(|(at, _)| *at == minute);
        let made = made.map_or(0, |(_, made)| made);
        if made >= CALLS_PER_MINUTE {
            return false;
        }
        self.minute = Some((minute, made + 1));
        true
    }

    fn keep(&mut self, key: String, found: Option<String>, now: Timestamp) -> Option<String> {
        if self.accounts.len() >= REMEMBERED_MAX {
            self.accounts.clear();
        }
        let secs = match found {
            Some(_) => FOUND_SECS,
            None => MISSED_SECS,
        };
        let kept = Found {
            slack_user_id: found.clone(),
            until: now.plus_secs(secs),
        };
        self.accounts.insert(key, kept);
        found
    }
}

/// The account that an answer names: one of a person who is still there.
fn account(answer: &Value) -> Option<String> {
    let user = &answer["user"];
    let is_gone = user["deleted"] == true || user["is_bot"] == true;
    let id = user["id"].as_str().filter(|id| !is_gone && is_id(id))?;
    Some(id.to_owned())
}

/// Whether a text is an id of a person there, and so nothing else within a mention.
fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    text.starts_with(['U', 'W']) && text.len() <= ID_CHARS_MAX && text.bytes().all(plain)
}

fn pause_secs(failure: &SlackFailure) -> u64 {
    match failure {
        SlackFailure::Status(_, Some(wait)) => {
            let secs = wait.trim().parse().unwrap_or(PASSING_PAUSE_SECS);
            secs.clamp(1, RIGHTS_PAUSE_SECS)
        }
        SlackFailure::Refused(_) => RIGHTS_PAUSE_SECS,
        SlackFailure::Status(..) | SlackFailure::Unreachable(_) => PASSING_PAUSE_SECS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_people_who_are_still_there_are_found() {
        for (user, found) in [
            (json!({"id": "U0ANN"}), Some("U0ANN")),
            (json!({"id": "W0ANN", "deleted": false}), Some("W0ANN")),
            (json!({"id": "U0ANN", "deleted": true}), None),
            (json!({"id": "U0ANN", "is_bot": true}), None),
            (json!({"id": "U0ANN> <!channel"}), None),
            (json!({"id": "C0CHANNEL"}), None),
            (json!({"id": format!("U{}", "A".repeat(40))}), None),
            (json!({}), None),
        ] {
            assert_eq!(account(&json!({"user": user})).as_deref(), found, "{user}");
        }
    }

    #[test]
    fn calls_and_what_is_remembered_are_bounded() {
        let mut remembered = Remembered::default();
        let taken = |remembered: &mut Remembered, at: i64| {
            (0..100)
                .filter(|_| remembered.takes_call(Timestamp(at)))
                .count()
        };
        assert_eq!(taken(&mut remembered, 0), 40);
        assert_eq!(taken(&mut remembered, 59_999), 0);
        assert_eq!(taken(&mut remembered, 60_000), 40);
        for n in 0..5_000 {
            remembered.keep(format!("{n}@example.com"), None, Timestamp(0));
            assert!(remembered.accounts.len() <= REMEMBERED_MAX);
        }
    }

    #[test]
    fn failure_pauses_as_slack_says_for_an_hour_at_most() {
        let wait = |secs: &str| SlackFailure::Status(429, Some(secs.to_owned()));
        for (failure, secs) in [
            (wait("30"), 30),
            (wait("0"), 1),
            (wait("999999"), 3_600),
            (wait("soon"), 60),
            (SlackFailure::Status(500, None), 60),
            (SlackFailure::Unreachable("gone".to_owned()), 60),
            (SlackFailure::Refused("missing_scope".to_owned()), 3_600),
        ] {
            assert_eq!(pause_secs(&failure), secs, "{failure}");
        }
    }
}
