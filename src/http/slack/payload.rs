//! What a call of Slack says: a form, of a command or around the JSON of an interaction. It is signed, and so what
//! Slack says; what people wrote in it is theirs.

use crate::config::Slack;
use crate::domain::actor::Origin;
use crate::error::{Error, ErrorKind};
use crate::http::call::HttpRequest;
use crate::http::params::Query;
use crate::outbound::slack::{RESULT_ACTION, RESUME_ACTION, REVIEW_ACTION};
use serde_json::Value;

/// Longest id or trigger of Slack that is looked at, in bytes.
const ID_BYTES_MAX: usize = 256;
/// Media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Who acts in Slack: not yet known as anybody of ours.
#[derive(Debug, Clone)]
pub(super) struct SlackActor {
    pub(super) team: Option<String>,
    pub(super) user: String,
    pub(super) origin: Origin,
}

/// A call that Slack signed.
pub struct SlackCall {
    /// The configuration whose secret signed it.
    pub slack: Slack,
    body: String,
    origin: Origin,
}

/// A command that somebody typed.
pub(super) struct Command {
    /// The first word after the command.
    pub(super) word: String,
    pub(super) trigger_id: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) actor: SlackActor,
}

/// Something that somebody did to a message or in a dialog.
pub(super) enum Interaction {
    Clicked(Action),
    Submitted(Dialog),
    /// What needs nothing of us.
    Other,
}

/// Which of our buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Button {
    Review,
    Resume,
    Result,
}

/// A click on a button of a message.
pub(super) struct Action {
    pub(super) kind: Option<Button>,
    pub(super) request_id: String,
    pub(super) trigger_id: String,
    pub(super) channel: Option<String>,
    /// The message that has the button.
    pub(super) message_ts: Option<String>,
    pub(super) actor: SlackActor,
}

/// A dialog that somebody submitted.
pub(super) struct Dialog {
    pub(super) callback_id: String,
    /// What we gave it when it was opened.
    pub(super) private_metadata: String,
    pub(super) view_id: String,
    values: Value,
    pub(super) actor: SlackActor,
}

impl SlackCall {
    pub(super) fn read(
        call: &HttpRequest,
        slack: Slack,
        origin: Origin,
    ) -> Result<SlackCall, Error> {
        let given = call.header("content-type").unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(FORM) {
            return Err(Error::new(
                ErrorKind::UnsupportedMediaType,
                "unsupported_media_type",
                "the request body is not declared as a form",
            )
            .hint(format!("Slack sends `Content-Type: {FORM}`")));
        }
        let body = std::str::from_utf8(&call.body)
            .map_err(|_| Error::invalid("the request body is not UTF-8"))?;
        Ok(SlackCall {
            slack,
            body: body.to_owned(),
            origin,
        })
    }

    /// The command that somebody typed.
    ///
    /// # Errors
    /// 400 for a field that stands there twice, or without a user.
    pub(super) fn command(&self) -> Result<Command, Error> {
        let form = Query::form(&self.body);
        let text = form.text("text")?.unwrap_or_default();
        let user = form.text("user_id")?.and_then(id);
        Ok(Command {
            word: text
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            trigger_id: form.text("trigger_id")?.and_then(id),
            channel: form.text("channel_id")?.and_then(id),
            actor: SlackActor {
                team: form.text("team_id")?.and_then(id),
                user: user.ok_or_else(|| Error::invalid("form field `user_id` is missing"))?,
                origin: self.origin.clone(),
            },
        })
    }

    /// What somebody did.
    ///
    /// # Errors
    /// 400 for what is not an interaction.
    pub(super) fn interaction(&self) -> Result<Interaction, Error> {
        let payload = Query::form(&self.body).text("payload")?;
        let payload = payload.ok_or_else(|| Error::invalid("form field `payload` is missing"))?;
        let payload: Value = serde_json::from_str(&payload)
            .map_err(|_| Error::invalid("form field `payload` is not JSON"))?;
        let kind = payload["type"].as_str();
        if !matches!(kind, Some("block_actions" | "view_submission")) {
            return Ok(Interaction::Other);
        }
        let user = id_at(&payload, "/user/id")
            .ok_or_else(|| Error::invalid("the payload does not say who acted"))?;
        let actor = SlackActor {
            team: team(&payload),
            user,
            origin: self.origin.clone(),
        };
        Ok(match kind {
            Some("block_actions") => clicked(&payload, actor),
            _ => submitted(&payload, actor),
        })
    }
}

/// The workspace in which somebody acted, where they are a member of it: in a shared channel, others act too.
fn team(payload: &Value) -> Option<String> {
    let team = id_at(payload, "/team/id")?;
    match payload.pointer("/user/team_id") {
        None => Some(team),
        Some(home) if *home == team.as_str() => Some(team),
        Some(_) => None,
    }
}

fn clicked(payload: &Value, actor: SlackActor) -> Interaction {
    let kind = match payload
        .pointer("/actions/0/action_id")
        .and_then(Value::as_str)
    {
        Some(REVIEW_ACTION) => Some(Button::Review),
        Some(RESUME_ACTION) => Some(Button::Resume),
        Some(RESULT_ACTION) => Some(Button::Result),
        _ => None,
    };
    let found = id_at(payload, "/actions/0/value").zip(id_at(payload, "/trigger_id"));
    let Some((request_id, trigger_id)) = found else {
        return Interaction::Other;
    };
    Interaction::Clicked(Action {
        kind,
        request_id,
        trigger_id,
        channel: id_at(payload, "/channel/id"),
        message_ts: id_at(payload, "/container/message_ts"),
        actor,
    })
}

fn submitted(payload: &Value, actor: SlackActor) -> Interaction {
    let text = |at: &str| payload.pointer(at).and_then(Value::as_str);
    let found = text("/view/callback_id").zip(id_at(payload, "/view/id"));
    let Some((callback_id, view_id)) = found else {
        return Interaction::Other;
    };
    Interaction::Submitted(Dialog {
        callback_id: callback_id.to_owned(),
        private_metadata: text("/view/private_metadata")
            .unwrap_or_default()
            .to_owned(),
        view_id,
        values: payload
            .pointer("/view/state/values")
            .cloned()
            .unwrap_or_default(),
        actor,
    })
}

impl Dialog {
    /// What was written into a field; none where that is blank.
    pub(super) fn written(&self, block: &str, input: &str) -> Option<String> {
        let text = self.values[block][input]["value"].as_str()?;
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    /// What was chosen.
    pub(super) fn chosen(&self, block: &str, input: &str) -> Option<&str> {
        self.values[block][input]["selected_option"]["value"].as_str()
    }
}

fn id_at(payload: &Value, at: &str) -> Option<String> {
    payload
        .pointer(at)?
        .as_str()
        .map(str::to_owned)
        .and_then(id)
}

/// An id of Slack's or ours, if it can be one.
fn id(text: String) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic());
    ((1..=ID_BYTES_MAX).contains(&text.len()) && plain).then_some(text)
}
