//! The methods of Slack's Web API: a JSON object there, a JSON object back, which says itself whether it is a success.

use super::code_exchange::form_encoded;
use super::guard::NetworkReach;
use super::http::Http;
use crate::config::Slack;
use serde_json::Value;
use std::time::Duration;

/// Largest answer, in bytes: Slack sends the message or the view back.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Longest name of an error that is repeated; Slack's have some thirty characters.
const ERROR_CHARS_MAX: usize = 60;
const JSON: &str = "application/json; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";
/// Longest time for a call that nobody waits for.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Ids of the buttons of our messages: to decide, to hand to the agents, and to see what came of it.
pub const REVIEW_ACTION: &str = "dbward_review";
pub const RESUME_ACTION: &str = "dbward_resume";
pub const RESULT_ACTION: &str = "dbward_view_result";

/// Calls Slack. Clones share their connections, of which none is kept.
#[derive(Clone)]
pub struct SlackApi {
    local: Http,
    others: Http,
}

/// Why a method did nothing, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlackFailure {
    /// Slack answered that it will not: the name of its error.
    Refused(String),
    /// Another status than 200, and what its `Retry-After` says.
    Status(u16, Option<String>),
    /// No answer, or none that is Slack's: a sentence.
    Unreachable(String),
}

impl SlackFailure {
    /// Whether it is that error of Slack.
    pub fn is(&self, error: &str) -> bool {
        matches!(self, SlackFailure::Refused(name) if name == error)
    }
}

impl std::fmt::Display for SlackFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SlackFailure::Refused(error) => write!(f, "Slack answers `{error}`"),
            SlackFailure::Status(status, _) => write!(f, "the answer is {status}"),
            SlackFailure::Unreachable(why) => f.write_str(why),
        }
    }
}

impl SlackApi {
    /// Calls as far as `reach` goes, and to this machine where the configuration names it.
    pub fn new(reach: &NetworkReach) -> SlackApi {
        SlackApi {
            local: Http::new(reach.of_this_machine()),
            others: Http::new(reach.clone()),
        }
    }

    /// Calls `method` with `arguments`, for at most `timeout`.
    ///
    /// # Errors
    /// A [`SlackFailure`], which never repeats the token or what was sent.
    pub fn call(
        &self,
        slack: &Slack,
        method: &str,
        arguments: &Value,
        timeout: Duration,
    ) -> Result<Value, SlackFailure> {
        let body = arguments.to_string().into_bytes();
        self.post(slack, method, JSON, &body, timeout)
    }

    /// The same for a method that reads a form alone.
    ///
    /// # Errors
    /// As [`SlackApi::call`].
    pub fn call_with_form(
        &self,
        slack: &Slack,
        method: &str,
        fields: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Value, SlackFailure> {
        let body = form_encoded(fields).into_bytes();
        self.post(slack, method, FORM, &body, timeout)
    }

    fn post(
        &self,
        slack: &Slack,
        method: &str,
        content_type: &str,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Value, SlackFailure> {
        let http = match slack.api.is_here() {
            true => &self.local,
            false => &self.others,
        };
        let headers = [
            ("content-type", content_type.to_owned()),
            (
                "authorization",
                format!("Bearer {}", slack.bot_token.expose()),
            ),
        ];
        let url = format!("{}/{method}", slack.api.url());
        let (head, bytes) = http
            .post_for_body(&url, &headers, body, ANSWER_BYTES_MAX, timeout)
            .map_err(|why| SlackFailure::Unreachable(why.to_string()))?;
        if head.status != 200 {
            return Err(SlackFailure::Status(head.status, head.retry_after));
        }
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|_| SlackFailure::Unreachable("the answer is not JSON".to_owned()))?;
        match answer.get("ok") {
            Some(Value::Bool(true)) => Ok(answer),
            _ => Err(SlackFailure::Refused(named(&answer))),
        }
    }

    /// Ends every call in flight, on whatever thread, and refuses further ones.
    pub fn shutdown(&self) {
        self.local.shutdown();
        self.others.shutdown();
    }
}

/// The error that an answer names, if it is a name.
fn named(answer: &Value) -> String {
    let error = answer.get("error").and_then(Value::as_str);
    let is_name = |text: &&str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        (1..=ERROR_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain)
    };
    error.filter(is_name).unwrap_or("no error").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_names_of_errors_are_repeated() {
        for (answer, name) in [
            (
                json!({"ok": false, "error": "channel_not_found"}),
                "channel_not_found",
            ),
            (json!({"ok": false, "error": "xoxb-SECRET"}), "no error"),
            (json!({"ok": false, "error": "a".repeat(61)}), "no error"),
            (json!({"ok": false, "error": ""}), "no error"),
            (json!({"ok": false}), "no error"),
            (json!([]), "no error"),
        ] {
            assert_eq!(named(&answer), name, "{answer}");
        }
    }
}
