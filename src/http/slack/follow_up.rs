//! What comes after the answer: dialogs that are opened, and sentences for the one person who clicked.

use super::payload::{Action, Button};
use super::{Refusal, SlackDesk, evidence, views};
use crate::actions::{allowed, preflight, read_results, view_requests};
use crate::config::Slack;
use crate::domain::request::{Request, Status};
use crate::outbound::SlackFailure;
use crate::outbound::clip::{line, short};
use crate::outbound::slack::CALL_TIMEOUT;
use serde_json::{Value, json};

/// Longest sentence for one person, in bytes.
const SENTENCE_MAX: usize = 2_000;

/// Work for a thread.
pub(super) enum FollowUp {
    /// The form of a new request.
    Create {
        slack: Slack,
        targets: Vec<String>,
        trigger_id: String,
        channel: Option<String>,
        user: String,
    },
    /// A click on a button.
    Clicked { slack: Slack, action: Action },
}

impl FollowUp {
    pub(super) fn run(self, desk: &SlackDesk) {
        match self {
            FollowUp::Create {
                slack,
                targets,
                trigger_id,
                channel,
                user,
            } => {
                if let Err(failure) = open(desk, &slack, &trigger_id, &views::create(&targets)) {
                    let why = not_opened(&failure);
                    tell(desk, &slack, channel.as_deref(), &user, &why);
                }
            }
            FollowUp::Clicked { slack, action } => {
                let done = match action.kind {
                    Some(Button::Review) => review(desk, &slack, &action),
                    Some(Button::Resume) => resume(desk, &slack, &action),
                    Some(Button::Result) => result(desk, &slack, &action),
                    None => Ok(()),
                };
                let outcome = match &done {
                    Ok(()) => "done",
                    Err(_) => "refused",
                };
                desk.counted("button", outcome);
                if let Err(why) = done {
                    let channel = action.channel.as_deref();
                    tell(desk, &slack, channel, &action.actor.user, &why);
                }
            }
        }
    }
}

fn review(desk: &SlackDesk, slack: &Slack, action: &Action) -> Result<(), String> {
    let reviewed = desk.act(slack, &action.actor, |caller| {
        let detail = view_requests::show(&desk.app, caller, &action.request_id)?;
        let mut names = evidence::tables(&detail);
        names.truncate(evidence::TABLES_MAX);
        let target = &detail.request.target;
        let tables = preflight::estimated_rows(&desk.app, caller, target, &names)?;
        let allowed = allowed::of(&desk.app, caller, &detail).unwrap_or_default();
        Ok((detail, tables, allowed))
    });
    let (detail, tables, allowed) = reviewed.map_err(|refusal| refusal.words())?;
    let request = &detail.request;
    if request.status() != Status::Pending {
        return Err(format!("The request is {} already.", status_words(request)));
    }
    let active = desk.app.active();
    let public_url = active.outlets.public_url.as_deref();
    let view = views::review(&detail, &tables, &allowed, public_url);
    open(desk, slack, &action.trigger_id, &view).map_err(|failure| not_opened(&failure))?;
    replace_if_outdated(desk, slack, action, request);
    Ok(())
}

fn resume(desk: &SlackDesk, slack: &Slack, action: &Action) -> Result<(), String> {
    let detail = detail(desk, slack, action)?;
    let request = &detail.request;
    let waits = [Status::Approved, Status::AutoApproved, Status::BreakGlass];
    if !waits.contains(&request.status()) {
        return Err(format!("The request is {} already.", status_words(request)));
    }
    let active = desk.app.active();
    let view = views::resume(&detail, active.outlets.public_url.as_deref());
    open(desk, slack, &action.trigger_id, &view).map_err(|failure| not_opened(&failure))?;
    replace_if_outdated(desk, slack, action, request);
    Ok(())
}

fn result(desk: &SlackDesk, slack: &Slack, action: &Action) -> Result<(), String> {
    let id = &action.request_id;
    // Rights come before the placeholder, and are checked again where the result is read.
    let detail = detail(desk, slack, action)?;
    let opened = open(desk, slack, &action.trigger_id, &views::waiting());
    let opened = opened.map_err(|failure| not_opened(&failure))?;
    let read = desk.act(slack, &action.actor, |caller| {
        read_results::content(&desk.app, caller, id, None)
    });
    let active = desk.app.active();
    let public_url = active.outlets.public_url.as_deref();
    let (view, refused) = match read {
        Ok(content) => (views::result(&detail, &content.bytes, public_url), None),
        Err(refusal) => {
            let why = refusal.words();
            (views::notice("Result", &why), Some(why))
        }
    };
    let update = json!({"view_id": opened, "view": view});
    match desk.api.call(slack, "views.update", &update, CALL_TIMEOUT) {
        Ok(_) => Ok(()),
        Err(failure) => Err(refused.unwrap_or_else(|| not_opened(&failure))),
    }
}

/// The request, as far as the person may see it.
fn detail(
    desk: &SlackDesk,
    slack: &Slack,
    action: &Action,
) -> Result<view_requests::Detail, String> {
    let shown = desk.act(slack, &action.actor, |caller| {
        view_requests::show(&desk.app, caller, &action.request_id)
    });
    shown.map_err(|refusal: Refusal| refusal.words())
}

fn status_words(request: &Request) -> String {
    request.status().as_str().replace('_', " ")
}

/// Takes the button from a message that was posted and never recorded: the one that is recorded is kept true.
fn replace_if_outdated(desk: &SlackDesk, slack: &Slack, action: &Action, request: &Request) {
    let (Some(channel), Some(ts)) = (&action.channel, &action.message_ts) else {
        return;
    };
    let recorded = desk.app.store.read(|view| view.slack_message(request.seq));
    let is_other =
        |message: &crate::store::SlackMessage| message.channel != *channel || message.ts != *ts;
    if !matches!(&recorded, Ok(Some(message)) if is_other(message)) {
        return;
    }
    let mut message = views::outdated(request);
    message["channel"] = channel.as_str().into();
    message["ts"] = ts.as_str().into();
    if let Err(failure) = desk.api.call(slack, "chat.update", &message, CALL_TIMEOUT) {
        log::warn!("an outdated message in Slack keeps its button: {failure}");
    }
}

/// Opens a dialog; its id.
fn open(
    desk: &SlackDesk,
    slack: &Slack,
    trigger_id: &str,
    view: &Value,
) -> Result<String, SlackFailure> {
    let arguments = json!({"trigger_id": trigger_id, "view": view});
    let answer = desk
        .api
        .call(slack, "views.open", &arguments, CALL_TIMEOUT)?;
    let id = answer["view"]["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| SlackFailure::Unreachable("the answer does not name the dialog".to_owned()))
}

fn not_opened(failure: &SlackFailure) -> String {
    log::warn!("a dialog could not be opened in Slack: {failure}");
    if failure.is("expired_trigger_id") || failure.is("exchanged_trigger_id") {
        return "That took too long. Try again.".to_owned();
    }
    "The dialog could not be opened. Try again.".to_owned()
}

/// Writes a sentence that only one person sees.
fn tell(desk: &SlackDesk, slack: &Slack, channel: Option<&str>, user: &str, why: &str) {
    let Some(channel) = channel else { return };
    let text = short(why, SENTENCE_MAX, line);
    let message = json!({"channel": channel, "user": user, "text": text});
    if let Err(failure) = desk
        .api
        .call(slack, "chat.postEphemeral", &message, CALL_TIMEOUT)
    {
        log::warn!("somebody in Slack could not be answered: {failure}");
    }
}
