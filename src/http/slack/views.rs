//! The dialogs of the Slack app. Statements are shown here only, to those who may see them: whole, or cut and without a
//! way to decide. They stand in preformatted text, in which nothing is a mention or a link.

use super::blocks::{BLOCK_CHARS, VALUE_MAX, code, context, section};
use super::evidence;
use crate::actions::allowed::Allowed;
use crate::actions::view_requests::Detail;
use crate::domain::request::{Request, Status};
use crate::domain::sql::escaped;
use crate::error::counted;
use crate::outbound::clip::{line, short};
use serde_json::{Value, json};

/// Ids of the dialogs, their parts and what is entered there.
pub(super) const REVIEW: &str = "dbward_review_modal";
pub(super) const CREATE: &str = "dbward_create_modal";
pub(super) const RESUME: &str = "dbward_resume_modal";
pub(super) const DECISION: (&str, &str) = ("decision_block", "decision_input");
pub(super) const COMMENT: (&str, &str) = ("comment_block", "comment_input");
pub(super) const TARGET: (&str, &str) = ("db_env_block", "db_env_input");
pub(super) const SQL: (&str, &str) = ("sql_block", "sql_input");
pub(super) const REASON: (&str, &str) = ("reason_block", "reason_input");

/// Characters of a statement that a review shows; of a longer one nobody decides here.
pub(super) const REVIEWED_CHARS_MAX: usize = 5 * BLOCK_CHARS;
/// Characters of a result that are shown, and of a statement next to a button.
const RESULT_CHARS: usize = 2_500;
const EXCERPT_CHARS: usize = 200;
/// Characters that can be entered: a statement, a comment, a reason.
const SQL_CHARS_MAX: usize = 3_000;
const COMMENT_CHARS_MAX: usize = 1_000;
/// Characters of an option.
const OPTION_CHARS: usize = 70;

/// What a dialog carries until it is submitted: the request, and its version as it was shown.
pub(super) fn subject(detail: &Detail) -> String {
    format!("{} {}", detail.request.id, detail.version())
}

/// The dialog in which a request is looked at and, where it waits and all of it can be seen, decided; `tables` are the
/// first that it names, with the rows that their database estimates.
pub(super) fn review(
    detail: &Detail,
    tables: &[(String, Option<i64>)],
    allowed: &Allowed,
    public_url: Option<&str>,
) -> Value {
    let request = &detail.request;
    let mut blocks = about(detail);
    let (statement, is_whole) = code(&detail.text.detail, REVIEWED_CHARS_MAX);
    blocks.extend(statement);
    blocks.extend(evidence::blocks(detail, tables));
    let verbs = [("approve", "Approve"), ("reject", "Reject")].into_iter();
    let options: Vec<Value> = verbs
        .filter(|(verb, _)| is_whole && allowed.verbs.contains(verb))
        .map(|(verb, name)| json!({"text": plain(name), "value": verb}))
        .collect();
    let decides = !options.is_empty();
    if !is_whole {
        blocks.push(elsewhere(request, public_url, "read and decide it"));
    }
    if decides {
        blocks.push(json!({"type": "divider"}));
        blocks.push(json!({
            "type": "input", "block_id": DECISION.0, "label": plain("Decision"),
            "element": {"type": "radio_buttons", "action_id": DECISION.1, "options": options},
        }));
        blocks.push(json!({
            "type": "input", "block_id": COMMENT.0, "optional": true, "label": plain("Comment"),
            "element": {"type": "plain_text_input", "action_id": COMMENT.1, "multiline": true, "max_length": COMMENT_CHARS_MAX},
        }));
    }
    let mut view = modal("Review request", blocks);
    if decides {
        view["callback_id"] = REVIEW.into();
        view["private_metadata"] = subject(detail).into();
        view["submit"] = plain("Submit");
    }
    view
}

/// The dialog that asks whether a request is to be executed now, where all of it can be seen.
pub(super) fn resume(detail: &Detail, public_url: Option<&str>) -> Value {
    let request = &detail.request;
    let mut blocks = about(detail);
    let (statement, is_whole) = code(&detail.text.detail, REVIEWED_CHARS_MAX);
    blocks.extend(statement);
    if !is_whole {
        blocks.push(elsewhere(request, public_url, "read and execute it"));
        return modal("Execute request", blocks);
    }
    blocks.push(section(
        "It is handed to the agents, and runs on this database.",
    ));
    let mut view = modal("Execute request", blocks);
    view["callback_id"] = RESUME.into();
    view["private_metadata"] = subject(detail).into();
    view["submit"] = plain("Execute");
    view
}

/// Where to do what a dialog that is cut does not offer.
fn elsewhere(request: &Request, public_url: Option<&str>, what: &str) -> Value {
    let id = &request.id;
    section(&match public_url {
        Some(url) => format!("<{url}/requests/{id}|Open the request> to {what}."),
        None => format!("Use `dbward request show {id}` to {what}."),
    })
}

/// The dialog for a new request on one of these targets.
pub(super) fn create(targets: &[String]) -> Value {
    let options: Vec<Value> = targets
        .iter()
        .map(|target| {
            let shown: String = target.chars().take(OPTION_CHARS).collect();
            json!({"text": plain(&shown), "value": target})
        })
        .collect();
    let input = |(block, action): (&str, &str), label: &str, element: Value| {
        let mut element = element;
        element["action_id"] = action.into();
        json!({"type": "input", "block_id": block, "label": plain(label), "element": element})
    };
    let blocks = vec![
        input(
            TARGET,
            "Database",
            json!({"type": "static_select", "options": options}),
        ),
        input(
            SQL,
            "SQL",
            json!({"type": "plain_text_input", "multiline": true, "max_length": SQL_CHARS_MAX}),
        ),
        input(
            REASON,
            "Reason",
            json!({"type": "plain_text_input", "max_length": COMMENT_CHARS_MAX}),
        ),
    ];
    let mut view = modal("New request", blocks);
    view["callback_id"] = CREATE.into();
    view["submit"] = plain("Send");
    view
}

/// What stands there until a result was read.
pub(super) fn waiting() -> Value {
    modal("Result", vec![section("The result is being read.")])
}

/// The dialog with a result, or as much of it as fits.
pub(super) fn result(detail: &Detail, content: &[u8], public_url: Option<&str>) -> Value {
    let text = match serde_json::from_slice::<Value>(content) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(content).into_owned(),
    };
    let mut blocks = code(&detail.text.detail, EXCERPT_CHARS).0;
    let (shown, is_whole) = code(&text, RESULT_CHARS);
    blocks.extend(shown);
    if !is_whole {
        blocks.push(elsewhere(&detail.request, public_url, "see all of it"));
    }
    blocks.push(context(&format!(
        "{} in all",
        counted(content.len(), "byte")
    )));
    modal("Result", blocks)
}

/// A dialog that only says something.
pub(super) fn notice(title: &str, text: &str) -> Value {
    modal(title, vec![section(&short(text, BLOCK_CHARS, line))])
}

/// What takes the place of a message that is not the one about its request any more.
pub(super) fn outdated(request: &Request) -> Value {
    let text = format!(
        "Request {} on {}: a newer message is about it.",
        short(&request.id, VALUE_MAX, line),
        short(&request.target.to_string(), VALUE_MAX, line),
    );
    json!({"text": text, "blocks": [section(&text)]})
}

fn about(detail: &Detail) -> Vec<Value> {
    let request = &detail.request;
    let fields: Vec<Value> = [
        ("Requester", request.requester.clone()),
        ("Database", request.target.to_string()),
        ("Operation", request.operation.as_str().to_owned()),
        ("Status", request.status().as_str().to_owned()),
        ("Risk", request.risk_level.as_str().to_owned()),
        ("Request", request.id.clone()),
    ]
    .into_iter()
    .map(|(label, value)| {
        let value = short(&escaped(&value), VALUE_MAX, line);
        json!({"type": "mrkdwn", "verbatim": true, "text": format!("*{label}*\n{value}")})
    })
    .collect();
    let mut blocks = vec![json!({"type": "section", "fields": fields})];
    if let Some(reason) = &request.reason {
        let reason = short(&escaped(reason), BLOCK_CHARS - 20, line);
        blocks.push(section(&format!("*Reason*\n{reason}")));
    }
    if request.status() == Status::Pending && request.total_steps > 1 {
        let step = (request.current_step + 1).min(request.total_steps);
        blocks.push(context(&format!("Step {step} of {}", request.total_steps)));
    }
    blocks
}

fn modal(title: &str, blocks: Vec<Value>) -> Value {
    json!({"type": "modal", "title": plain(title), "close": plain("Close"), "blocks": blocks})
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_targets_keeps_the_limits_of_slack() {
        let long = format!("{}/{}", "d".repeat(63), "e".repeat(63));
        let view = create(&vec![long.clone(); 100]);
        let options = view["blocks"][0]["element"]["options"].as_array().unwrap();
        assert_eq!(options.len(), 100);
        assert!(options[0]["text"]["text"].as_str().unwrap().len() <= 75);
        assert_eq!(options[0]["value"], long);
        assert!(long.len() <= 150);
    }
}
