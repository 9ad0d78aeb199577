//! What can go wrong with a call: the server's own refusal, an answer we cannot read, or no answer at all.

use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Longest message of the server that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 500;
/// Longest `Retry-After` that is believed, in seconds.
const RETRY_AFTER_SECS_MAX: u64 = 300;

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientError {
    /// The HTTP status; none when there was no answer, or none that we could read.
    pub status: Option<u16>,
    /// The stable code of the server; `unreachable`, `timeout`, `stopped`, `bad_reply` or `bad_request` where we
    /// made it.
    pub code: String,
    /// One sentence. Free of control characters, bounded.
    pub message: String,
    /// What to do about it, where the server named something.
    pub hint: Option<String>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The body as it came, where it was JSON; for programs that asked for JSON.
    pub body: Option<String>,
    /// Whether the same call may succeed later: no answer, 408, 429, and everything from 500 up.
    pub retryable: bool,
}

impl ClientError {
    /// No usable answer: `code` says which kind.
    pub(super) fn no_answer(code: &str, message: impl fmt::Display) -> ClientError {
        ClientError {
            status: None,
            code: code.to_owned(),
            message: bounded(&message.to_string()),
            hint: None,
            retry_after: None,
            body: None,
            retryable: matches!(code, "unreachable" | "timeout" | "bad_reply"),
        }
    }

    /// A call that this machine did not make.
    pub fn not_made(why: impl fmt::Display) -> ClientError {
        ClientError::no_answer("stopped", why)
    }

    /// An answer of `status` with a body that is an error, if all is well.
    pub(super) fn refused(status: u16, retry_after: Option<&str>, body: &[u8]) -> ClientError {
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let text = |value: &Value| value.as_str().map(bounded);
        let error = &json["error"];
        let message = text(&error["message"])
            .or_else(|| text(error))
            .unwrap_or_else(|| format!("the server answered {status}"));
        let code = text(&error["code"])
            .or_else(|| text(&json["code"]))
            .unwrap_or_else(|| "unknown".to_owned());
        ClientError {
            status: Some(status),
            code,
            message,
            hint: text(&json["hint"]),
            retry_after: retry_after
                .and_then(|secs| secs.trim().parse().ok())
                .map(|secs: u64| Duration::from_secs(secs.min(RETRY_AFTER_SECS_MAX))),
            body: (!json.is_null()).then(|| String::from_utf8_lossy(body).into_owned()),
            retryable: status == 408 || status == 429 || status >= 500,
        }
    }

    /// What the HTTP library says, in our words.
    pub(super) fn from_ureq(error: ureq::Error) -> ClientError {
        let code = match &error {
            ureq::Error::Timeout(_) => "timeout",
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::NotConnected => "stopped",
            ureq::Error::BodyExceedsLimit(_)
            | ureq::Error::Protocol(_)
            | ureq::Error::LargeResponseHeader(..) => "bad_reply",
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => "bad_request",
            _ => "unreachable",
        };
        ClientError::no_answer(code, error)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.status {
            Some(status) => write!(f, " ({status} {})", self.code)?,
            None => write!(f, " ({})", self.code)?,
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ClientError {}

/// Somebody else's text, fit for a terminal and a log line.
fn bounded(text: &str) -> String {
    text.chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_form_are_read() {
        let rows: [(&str, &str, &str, Option<&str>); 5] = [
            (
                r#"{"error":{"code":"conflict","message":"no"},"hint":"wait"}"#,
                "conflict",
                "no",
                Some("wait"),
            ),
            (
                r#"{"code":"forbidden","error":"forbidden: x","hint":null}"#,
                "forbidden",
                "forbidden: x",
                None,
            ),
            (r#"{"error":7}"#, "unknown", "the server answered 409", None),
            ("<html>", "unknown", "the server answered 409", None),
            (
                r#"{"error":{"message":"a\u001b[31m"}}"#,
                "unknown",
                "a [31m",
                None,
            ),
        ];
        for (body, code, message, hint) in rows {
            let e = ClientError::refused(409, None, body.as_bytes());
            assert_eq!(
                (e.code.as_str(), e.message.as_str(), e.hint.as_deref()),
                (code, message, hint),
                "{body}"
            );
        }
    }

    #[test]
    fn temporary_failures_differ_from_permanent_ones() {
        for (status, retryable) in [
            (400, false),
            (401, false),
            (404, false),
            (408, true),
            (409, false),
            (413, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            assert_eq!(
                ClientError::refused(status, None, b"").retryable,
                retryable,
                "{status}"
            );
        }
        let wait = |text| ClientError::refused(503, Some(text), b"").retry_after;
        assert_eq!(wait("2"), Some(Duration::from_secs(2)));
        assert_eq!(wait("999999"), Some(Duration::from_secs(300)));
        assert_eq!(wait("soon"), None);
    }
}
