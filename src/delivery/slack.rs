//! Posts what happens to a request by the Slack app: one message a request, updated, with a thread below it.
//!
//! A message that was posted and not recorded, because the server ended in between, is posted again: both messages keep
//! their button, and either may be used, since a click is decided by what is stored.

use super::asked;
use super::messages::{self, AskedPerson, NotificationFacts, RequestPost};
use super::{Attempt, Shared};
use crate::clock::Timestamp;
use crate::config::{Outlets, Slack};
use crate::domain::approval::{Vote, VoteAction};
use crate::domain::delivery::{FailedAttempt, FailureKind};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Request;
use crate::error::Error;
use crate::outbound::SlackFailure;
use crate::outbound::slack::CALL_TIMEOUT;
use crate::store::{DueDelivery, SlackMessage, is_unreadable};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Names of channels whose ids are remembered, at most: more than a configuration has.
const CHANNEL_NAMES_MAX: usize = 200;
/// Events that the message itself reports.
const OPENING: [&str; 3] = [
    "request.created",
    "request.auto_approved",
    "request.break_glass",
];
/// Errors of Slack that may go by themselves.
const PASSING: [&str; 5] = [
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];
/// Errors that end when somebody gives the app another token or what it lacks.
const CREDENTIALS: [&str; 5] = [
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
];
/// Errors of an update whose message is not there any more, or cannot be written by this app: another is posted.
const GONE: [&str; 7] = [
    "message_not_found",
    "channel_not_found",
    "is_archived",
    "is_inactive",
    "not_in_channel",
    "cant_update_message",
    "edit_window_closed",
];

/// One call of Slack that failed, or why there was none.
enum Stopped {
    Failed(FailedAttempt),
    Cancelled(&'static str),
}

impl From<SlackFailure> for Stopped {
    fn from(failure: SlackFailure) -> Stopped {
        Stopped::Failed(failed(&failure))
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        log::error!("delivery cannot use the store: {error}");
        let why = "the server could not read or write what was posted";
        Stopped::Failed(FailedAttempt::new(FailureKind::Rejected, why))
    }
}

/// What came of a notification that was delivered: nothing more to say, or what could not be done.
type Done = Result<Option<String>, Stopped>;

/// Makes one attempt.
pub(super) fn attempt(shared: &Shared, outlets: &Outlets, row: &DueDelivery) -> Attempt {
    let Some(slack) = &outlets.slack else {
        return Attempt::Cancelled("Slack is not configured any more");
    };
    let public_url = outlets.public_url.as_deref();
    let facts = NotificationFacts::read(row, public_url);
    let Some(facts) = facts else {
        let why = "the stored facts are not JSON";
        return Attempt::Failed(FailedAttempt::new(FailureKind::Refused, why));
    };
    let done = match (facts.request_id(), &row.recipient) {
        (Some(id), _) => about_request(shared, outlets, slack, row, &facts, id),
        (None, Some(account)) => {
            let mut message = messages::linked(&facts);
            message["channel"] = account.as_str().into();
            call(shared, slack, "chat.postMessage", &message).map(|_| None)
        }
        (None, None) => {
            let mut message = messages::tested(&facts);
            message["channel"] = slack.channel_of(None).into();
            call(shared, slack, "chat.postMessage", &message).map(|_| None)
        }
    };
    match done {
        Ok(account) => Attempt::Delivered(account),
        Err(Stopped::Failed(failure)) => Attempt::Failed(failure),
        Err(Stopped::Cancelled(why)) => Attempt::Cancelled(why),
    }
}

/// A request, and who is written of with it.
struct Found {
    request: Request,
    workflow: Option<Workflow>,
    votes: Vec<Vote>,
    /// The message about it.
    posted: Option<SlackMessage>,
    /// Its requester, and who rejected it.
    named: Vec<AskedPerson>,
    asked: Vec<AskedPerson>,
}

/// What is stored of a request; none where it is not kept any more.
fn read(
    shared: &Shared,
    outlets: &Outlets,
    event: &str,
    id: &str,
    now: Timestamp,
) -> Result<Option<Found>, Error> {
    let active = shared.app.active();
    let policies = &active.policies;
    let everybody = asked::People::new(&shared.app, &active, outlets, now);
    shared.app.store.read(|view| {
        let Some(request) = view.find_request(id)? else {
            return Ok(None);
        };
        let workflow = view.request_workflow(&request)?;
        let votes = view.votes(&request)?;
        let selectors =
            asked::selectors(event, &request.target, workflow.as_ref(), &votes, policies);
        let out = asked::without_vote(workflow.as_ref(), &votes, &request.requester);
        let asked = everybody.addressed(view, &selectors, &out)?;
        let rejecter = votes.iter().rfind(|v| v.action == VoteAction::Reject);
        let rejecter = rejecter.map(|vote| &vote.actor);
        let mut named = Vec::new();
        for id in rejecter.into_iter().chain([&request.requester]) {
            named.extend(asked::person(view, id, outlets)?);
        }
        Ok(Some(Found {
            posted: view.slack_message(request.seq)?,
            request,
            workflow,
            votes,
            named,
            asked,
        }))
    })
}

fn about_request(
    shared: &Shared,
    outlets: &Outlets,
    slack: &Slack,
    row: &DueDelivery,
    facts: &NotificationFacts,
    id: &str,
) -> Done {
    let now = shared.app.clock.now();
    let found = match read(shared, outlets, &row.event_type, id, now) {
        Err(error) if is_unreadable(&error) => return about_unreadable(shared, slack, facts, id),
        found => found?,
    };
    let Some(Found {
        request,
        workflow,
        votes,
        posted,
        mut named,
        mut asked,
    }) = found
    else {
        return Err(Stopped::Cancelled("the request is not kept any more"));
    };
    let people = named.iter_mut().chain(asked.iter_mut());
    asked::look_up(shared, outlets, people);
    let post = RequestPost {
        request: &request,
        workflow: workflow.as_ref(),
        votes: &votes,
        named: &named,
        asked: &asked,
        public_url: outlets.public_url.as_deref(),
        is_late: request.expires_at.is_some_and(|at| at <= now),
    };
    let opening = OPENING.contains(&row.event_type.as_str());
    let channel = slack.channel_of(Some(request.target.environment()));
    let mut not_updated = None;
    let root = match posted {
        Some(root) if is_elsewhere(&root, &shared.channel_ids.of(channel)) => {
            leave(shared, slack, &root, &shared.channel_ids.of(channel));
            None
        }
        Some(root) => match update(shared, slack, &root, &post) {
            Ok(true) => Some(root),
            Ok(false) => None,
            // What happened can still be written below it.
            Err(Stopped::Failed(failure)) if failure.kind == FailureKind::Refused && !opening => {
                not_updated = Some(format!(
                    "written below the message only: {}",
                    failure.reason
                ));
                Some(root)
            }
            Err(stopped) => return Err(stopped),
        },
        None => None,
    };
    let root = match root {
        Some(root) => root,
        None => opened(shared, slack, channel, &post)?,
    };
    if opening {
        return Ok(None);
    }
    let mut reply = post.reply(facts);
    reply["channel"] = root.channel.into();
    reply["thread_ts"] = root.ts.into();
    call(shared, slack, "chat.postMessage", &reply).map(|_| not_updated)
}

/// Posts the message about a request, and keeps where it is.
fn opened(
    shared: &Shared,
    slack: &Slack,
    channel: &str,
    post: &RequestPost,
) -> Result<SlackMessage, Stopped> {
    let root = open(shared, slack, channel, post.message(true))?;
    let kept = Some(root.clone());
    shared
        .app
        .store
        .keep_slack_message(post.request.seq, kept)?;
    Ok(root)
}

/// Says of a request whose rows cannot be read what the notification says, without a button.
fn about_unreadable(shared: &Shared, slack: &Slack, facts: &NotificationFacts, id: &str) -> Done {
    let posted = shared.app.store.read(|view| view.slack_message_of(id))?;
    let message = messages::unreadable(facts);
    if let Some(root) = posted
        && update_with(shared, slack, &root, message.clone())?
    {
        return Ok(None);
    }
    let channel = slack.channel_of(facts.environment());
    open(shared, slack, channel, message).map(|_| None)
}

/// Which channels the names of the configuration are, as Slack answered last to a message there: somebody may rename a
/// channel, and give its name to another.
#[derive(Default)]
pub(super) struct ChannelIds(Mutex<BTreeMap<String, String>>);

impl ChannelIds {
    /// The id of a channel where it is known, else the channel as it is named.
    fn of(&self, channel: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(channel)
            .map_or(channel, String::as_str)
            .to_owned()
    }

    fn keep(&self, channel: &str, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_id(channel) || !is_id(id) {
            return;
        }
        // Names of an earlier configuration are of no use any more.
        if known.len() >= CHANNEL_NAMES_MAX {
            known.clear();
        }
        known.insert(channel.to_owned(), id.to_owned());
    }
}

fn is_id(channel: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    channel.starts_with(['C', 'G']) && channel.bytes().all(plain)
}

/// Whether a message is in another channel than this one; one that is known by its name only may be any.
fn is_elsewhere(root: &SlackMessage, channel: &str) -> bool {
    is_id(channel) && is_id(&root.channel) && channel != root.channel
}

/// Takes the button from a message whose request is posted to another channel from now on.
fn leave(shared: &Shared, slack: &Slack, root: &SlackMessage, channel: &str) {
    let made = update_with(shared, slack, root, messages::moved(channel));
    if let Err(Stopped::Failed(failure)) = made {
        log::warn!(
            "an outdated message in Slack keeps its button: {}",
            failure.reason
        );
    }
}

/// Posts the message about a request.
fn open(
    shared: &Shared,
    slack: &Slack,
    channel: &str,
    mut message: Value,
) -> Result<SlackMessage, Stopped> {
    message["channel"] = channel.into();
    message["unfurl_links"] = false.into();
    let answer = call(shared, slack, "chat.postMessage", &message)?;
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    match (text("ts"), text("channel")) {
        (Some(ts), channel_id) => {
            let id = channel_id.unwrap_or_else(|| channel.to_owned());
            shared.channel_ids.keep(channel, &id);
            Ok(SlackMessage { channel: id, ts })
        }
        (None, _) => Err(Stopped::Failed(FailedAttempt::new(
            FailureKind::Rejected,
            "the answer does not name the message",
        ))),
    }
}

/// Writes the message about a request anew; false where somebody has deleted it.
fn update(
    shared: &Shared,
    slack: &Slack,
    root: &SlackMessage,
    post: &RequestPost<'_>,
) -> Result<bool, Stopped> {
    update_with(shared, slack, root, post.message(false))
}

fn update_with(
    shared: &Shared,
    slack: &Slack,
    root: &SlackMessage,
    mut message: Value,
) -> Result<bool, Stopped> {
    message["channel"] = root.channel.as_str().into();
    message["ts"] = root.ts.as_str().into();
    let made = shared
        .slack
        .call(slack, "chat.update", &message, CALL_TIMEOUT);
    match made {
        Ok(_) => Ok(true),
        Err(failure) if GONE.iter().any(|error| failure.is(error)) => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}

fn call(shared: &Shared, slack: &Slack, method: &str, message: &Value) -> Result<Value, Stopped> {
    Ok(shared.slack.call(slack, method, message, CALL_TIMEOUT)?)
}

/// What a failed call means for the notification.
fn failed(failure: &SlackFailure) -> FailedAttempt {
    let why = failure.to_string();
    match failure {
        SlackFailure::Unreachable(_) => FailedAttempt::new(FailureKind::Unreachable, why),
        SlackFailure::Status(status, wait) => {
            let wait = wait.as_deref().and_then(|secs| secs.trim().parse().ok());
            FailedAttempt::of_status(*status, wait)
                .unwrap_or_else(|| FailedAttempt::new(FailureKind::Rejected, why))
        }
        SlackFailure::Refused(error) => {
            let is_in = |names: &[&str]| names.contains(&error.as_str());
            let kind = if is_in(&CREDENTIALS) || error == "ratelimited" {
                FailureKind::Unreachable
            } else if is_in(&PASSING) {
                FailureKind::Rejected
            } else {
                FailureKind::Refused
            };
            FailedAttempt::new(kind, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_slack_are_final_unless_they_can_pass() {
        let kind = |error: &str| failed(&SlackFailure::Refused(error.to_owned())).kind;
        for (error, expected) in [
            ("channel_not_found", FailureKind::Refused),
            ("not_in_channel", FailureKind::Refused),
            ("invalid_blocks", FailureKind::Refused),
            ("something_new", FailureKind::Refused),
            ("internal_error", FailureKind::Rejected),
            ("ratelimited", FailureKind::Unreachable),
            ("invalid_auth", FailureKind::Unreachable),
        ] {
            assert_eq!(kind(error), expected, "{error}");
        }
        let busy = failed(&SlackFailure::Status(429, Some("30".to_owned())));
        assert_eq!(busy.retry_after_secs, Some(30));
        let odd = failed(&SlackFailure::Status(204, None));
        assert_eq!(odd.kind, FailureKind::Rejected);
    }
}
