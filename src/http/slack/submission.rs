//! What a submitted dialog decides: a vote, a new request, an execution. Decided before the answer, so that a field can
//! say what is wrong with it.

use super::payload::Dialog;
use super::{Refusal, SlackDesk, views, words};
use crate::actions::approve::approve;
use crate::actions::create_request::{Submission, create_request};
use crate::actions::reject::reject;
use crate::actions::resume::{ResumeInput, resume};
use crate::config::Slack;
use crate::error::ErrorKind;
use crate::outbound::clip::{plain, short};
use serde_json::{Value, json};

/// Longest error of a field, in bytes.
const ERROR_MAX: usize = 600;

/// Does what a dialog asks for. None where that was done, and the dialog closes; else what Slack shows.
pub(super) fn decide(desk: &SlackDesk, slack: &Slack, dialog: &Dialog) -> Option<Value> {
    match dialog.callback_id.as_str() {
        views::REVIEW => review(desk, slack, dialog).err(),
        views::CREATE => create(desk, slack, dialog).err(),
        views::RESUME => execute(desk, slack, dialog).err(),
        _ => None,
    }
}

/// The request that a dialog is about, and the version that it showed, as an `If-Match`.
fn subject(dialog: &Dialog) -> Option<(&str, String)> {
    let (id, version) = dialog.private_metadata.split_once(' ')?;
    let is_version = version.len() == 32 && version.bytes().all(|b| b.is_ascii_hexdigit());
    is_version.then(|| (id, format!("\"{version}\"")))
}

fn review(desk: &SlackDesk, slack: &Slack, dialog: &Dialog) -> Result<(), Value> {
    let on_decision = |why: &str| field(views::DECISION.0, why);
    let (id, seen) = subject(dialog).ok_or_else(|| on_decision("Close this and look again."))?;
    let comment = dialog.written(views::COMMENT.0, views::COMMENT.1);
    let done = match dialog.chosen(views::DECISION.0, views::DECISION.1) {
        Some("approve") => desk.act(slack, &dialog.actor, |caller| {
            approve(&desk.app, caller, id, Some(&seen), comment.clone(), None).map(drop)
        }),
        Some("reject") if comment.is_none() => {
            return Err(field(views::COMMENT.0, "Say why you reject it."));
        }
        Some("reject") => desk.act(slack, &dialog.actor, |caller| {
            reject(&desk.app, caller, id, Some(&seen), comment.clone()).map(drop)
        }),
        _ => return Err(on_decision("Choose one.")),
    };
    done.map_err(|refusal| match &refusal {
        Refusal::Refused(error) if error.kind() == ErrorKind::Invalid => {
            field(views::COMMENT.0, &words(error))
        }
        other => on_decision(&other.words()),
    })
}

fn create(desk: &SlackDesk, slack: &Slack, dialog: &Dialog) -> Result<(), Value> {
    let on_target = |why: &str| field(views::TARGET.0, why);
    desk.app
        .accepting()
        .map_err(|_| on_target("dbward is restarting; try again in a minute."))?;
    let target = dialog.chosen(views::TARGET.0, views::TARGET.1);
    let (database, environment) = target
        .and_then(|target| target.split_once('/'))
        .ok_or_else(|| on_target("Choose a database."))?;
    let sql = dialog
        .written(views::SQL.0, views::SQL.1)
        .ok_or_else(|| field(views::SQL.0, "Write a statement."))?;
    let metadata = json!({"source": "slack", "slack_user_id": dialog.actor.user});
    let submission = Submission {
        database: database.to_owned(),
        environment: environment.to_owned(),
        detail: sql,
        reason: dialog.written(views::REASON.0, views::REASON.1),
        idempotency_key: Some(format!("slack-{}", dialog.view_id)),
        metadata: Some(metadata.to_string()),
        ..Submission::default()
    };
    let made = desk.act(slack, &dialog.actor, |caller| {
        create_request(&desk.app, caller, submission.clone())
    });
    made.map(drop).map_err(|refusal| match &refusal {
        Refusal::Nobody(why) => on_target(why),
        Refusal::Refused(error) => match (error.kind(), error.code()) {
            (ErrorKind::Forbidden | ErrorKind::NotFound, _) | (_, "database_not_registered") => {
                on_target(&words(error))
            }
            (_, "reason_required") => field(views::REASON.0, &words(error)),
            _ => field(views::SQL.0, &words(error)),
        },
    })
}

fn execute(desk: &SlackDesk, slack: &Slack, dialog: &Dialog) -> Result<(), Value> {
    let failed = |why: &str| {
        // This dialog has no field that could say it.
        json!({"response_action": "update", "view": views::notice("Execute request", why)})
    };
    let (id, seen) = subject(dialog).ok_or_else(|| failed("Close this and look again."))?;
    let done = desk.act(slack, &dialog.actor, |caller| {
        resume(&desk.app, caller, id, Some(&seen), ResumeInput::default())
    });
    done.map(drop).map_err(|refusal| failed(&refusal.words()))
}

fn field(block: &str, why: &str) -> Value {
    json!({"response_action": "errors", "errors": {block: short(why, ERROR_MAX, plain)}})
}
