//! Which workspace the bot is in, learned from Slack by a thread of its own: a call of Slack waits for three seconds, and
//! so nobody here waits longer than it for another call to end.

use super::locked;
use crate::config::Slack;
use crate::crypto::sha256;
use crate::outbound::SlackApi;
use crate::outbound::slack::CALL_TIMEOUT;
use serde_json::json;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for a workspace that is not known yet; what is decided after it has the rest of three seconds.
const WAIT_MAX: Duration = Duration::from_secs(2);
const _: () = assert!(WAIT_MAX.as_secs() < 3);

/// A bot, by the hash of its token: another one may be in another workspace.
type Bot = [u8; 32];

/// Learns the workspace of the bot token, once for each token.
pub(super) struct Workspaces {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    api: SlackApi,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    known: Option<(Bot, String)>,
    /// Who is to be asked for, or is being asked for.
    wanted: Option<Slack>,
    /// Calls that have ended, and why the last one failed.
    ended: u64,
    failure: String,
    stop: bool,
}

impl Workspaces {
    /// # Errors
    /// When the thread cannot be made.
    pub(super) fn start(api: SlackApi) -> std::io::Result<Workspaces> {
        let shared = Arc::new(Shared {
            api,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let learning = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("slack-workspace".to_owned())
            .spawn(move || learning.learn())?;
        Ok(Workspaces {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The workspace of the bot. The first call after another token was configured waits for it, two seconds at most.
    ///
    /// # Errors
    /// Why it is not known now.
    pub(super) fn of(&self, slack: &Slack) -> Result<String, String> {
        let bot = bot(slack);
        let deadline = Instant::now() + WAIT_MAX;
        let mut state = locked(&self.shared.state);
        let mut asked_at = None;
        loop {
            if let Some((of, team)) = &state.known
                && *of == bot
            {
                return Ok(team.clone());
            }
            if asked_at.is_some_and(|ended| ended < state.ended) {
                return Err(state.failure.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stop {
                return Err("Slack does not answer in time".to_owned());
            }
            if state.wanted.is_none() {
                state.wanted = Some(slack.clone());
                self.shared.changed.notify_all();
            }
            if state.wanted.as_ref().is_some_and(|w| self::bot(w) == bot) {
                asked_at.get_or_insert(state.ended);
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the thread; its call has to be ended before.
    pub(super) fn stop(&self) {
        locked(&self.shared.state).stop = true;
        self.shared.changed.notify_all();
        let thread = locked(&self.thread).take();
        let _ = thread.map(JoinHandle::join);
    }
}

impl Shared {
    /// Asks for one workspace after another until the stop.
    fn learn(&self) {
        loop {
            let mut state = locked(&self.state);
            let slack = loop {
                if state.stop {
                    return;
                }
                if let Some(slack) = state.wanted.clone() {
                    break slack;
                }
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let team = self.asked(&slack);
            let mut state = locked(&self.state);
            (state.wanted, state.ended) = (None, state.ended + 1);
            match team {
                Ok(team) => state.known = Some((bot(&slack), team)),
                Err(why) => state.failure = why,
            }
            self.changed.notify_all();
        }
    }

    fn asked(&self, slack: &Slack) -> Result<String, String> {
        let answer = self.api.call(slack, "auth.test", &json!({}), CALL_TIMEOUT);
        let answer = answer.map_err(|failure| failure.to_string())?;
        let team = answer["team_id"].as_str().filter(|team| !team.is_empty());
        let team = team.ok_or("Slack does not say which workspace the bot is in")?;
        Ok(team.to_owned())
    }
}

fn bot(slack: &Slack) -> Bot {
    sha256(format!("{} {}", slack.api.url(), slack.bot_token.expose()).as_bytes())
}
