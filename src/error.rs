//! The one error type that reaches a client, and the one place that writes it down.
//!
//! The lowest layer: the gate, the router, the guards, the verbs and the store all answer with [`Error`], so every
//! refusal has a status, a stable code, a sentence that names the operand, and often a hint (contract section 1).
//! What caused an internal error stays in `source`, which is logged and never sent.

use serde_json::Value;
use std::fmt;

/// What kind of failure this is; fixes the HTTP status and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: malformed syntax, a missing field, a wrong type, something too long.
    Invalid,
    /// 401: no credentials, or ones that do not count. One message for all of them.
    Unauthenticated,
    /// 403: permission, scope or ownership is missing.
    Forbidden,
    /// 404: no such path, or no such thing.
    NotFound,
    /// 405: the path exists, the method does not; or the resource is managed by server.toml.
    MethodNotAllowed,
    /// 408: the client was too slow to say what it wants.
    RequestTimeout,
    /// 409: the state of the thing does not allow it.
    Conflict,
    /// 410: it was there, and its time has passed.
    Gone,
    /// 412: the thing is no longer as the caller saw it.
    PreconditionFailed,
    /// 413: over a size limit.
    TooLarge,
    /// 414: the request target is too long.
    UriTooLong,
    /// 415: a content type we do not read.
    UnsupportedMediaType,
    /// 416: a byte range that the object does not have.
    RangeNotSatisfiable,
    /// 417: an `Expect` we do not meet.
    ExpectationFailed,
    /// 422: well formed and permitted, but a rule refuses it.
    Refused,
    /// 429: too often.
    TooMany,
    /// 431: the head is too large.
    HeadTooLarge,
    /// 500: our fault. The cause is in the log, never in the answer.
    Internal,
    /// 502: the backend gave no usable answer; the outcome is unknown.
    BadGateway,
    /// 503: not now; try again.
    Unavailable,
    /// 504: the backend did not answer in time; the outcome is unknown.
    GatewayTimeout,
    /// 505: not an HTTP version we speak.
    VersionNotSupported,
}

impl ErrorKind {
    /// The HTTP status of this kind of error.
    pub fn status(self) -> u16 {
        match self {
            ErrorKind::Invalid => 400,
            ErrorKind::Unauthenticated => 401,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::MethodNotAllowed => 405,
            ErrorKind::RequestTimeout => 408,
            ErrorKind::Conflict => 409,
            ErrorKind::Gone => 410,
            ErrorKind::PreconditionFailed => 412,
            ErrorKind::TooLarge => 413,
            ErrorKind::UriTooLong => 414,
            ErrorKind::UnsupportedMediaType => 415,
            ErrorKind::RangeNotSatisfiable => 416,
            ErrorKind::ExpectationFailed => 417,
            ErrorKind::Refused => 422,
            ErrorKind::TooMany => 429,
            ErrorKind::HeadTooLarge => 431,
            ErrorKind::Internal => 500,
            ErrorKind::BadGateway => 502,
            ErrorKind::Unavailable => 503,
            ErrorKind::GatewayTimeout => 504,
            ErrorKind::VersionNotSupported => 505,
        }
    }
}

/// A failure as it is shown to the client, with its cause for the log.
///
/// Boxed inside, so that `Result<T, Error>` stays small on the hot path.
pub struct Error(Box<ErrorParts>);

struct ErrorParts {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    hint: Option<String>,
    details: Option<Value>,
    retry_after_secs: Option<u32>,
    allow: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with its stable `code` and a `message` of one sentence, lower case, no full stop.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Error {
        Error(Box::new(ErrorParts {
            kind,
            code,
            message: message.into(),
            hint: None,
            details: None,
            retry_after_secs: None,
            allow: None,
            source: None,
        }))
    }

    /// 400 `validation_error`.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, "validation_error", message)
    }

    /// 401 `unauthenticated`: the same words whatever was wrong, so that nobody can probe.
    pub fn unauthenticated() -> Error {
        Error::new(
            ErrorKind::Unauthenticated,
            "unauthenticated",
            "authentication failed",
        )
        .hint("send a valid token as `Authorization: Bearer <token>`")
    }

    /// 403 `forbidden`. Existing clients look for the word `forbidden` (contract section 8), so it opens the message.
    pub fn forbidden(message: impl fmt::Display) -> Error {
        Error::forbidden_as("forbidden", message)
    }

    /// 403 with a code of its own; the message opens with `forbidden` all the same.
    pub fn forbidden_as(code: &'static str, message: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Forbidden, code, format!("forbidden: {message}"))
    }

    /// 404 `not_found` for a `what` named `operand`.
    pub fn not_found(what: &str, operand: impl fmt::Display) -> Error {
        Error::new(
            ErrorKind::NotFound,
            "not_found",
            format!("no {what} `{}`", Shown(&operand.to_string())),
        )
    }

    /// 409 with a code of its own.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, code, message)
    }

    /// 410 `gone`.
    pub fn gone(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Gone, "gone", message)
    }

    /// 422 with a code of its own.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, code, message)
    }

    /// 503 `unavailable`; carries `Retry-After`.
    pub fn unavailable(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, "unavailable", message).retry_after(2)
    }

    /// 500 `internal`: `context` and `source` go to the log, the client reads `internal error`.
    pub fn internal(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let mut error = Error::new(ErrorKind::Internal, "internal", context);
        error.0.source = Some(source.into());
        error
    }

    /// 500 `internal` for something that must not be: a row we cannot read, a rule that does not hold.
    pub fn bug(context: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, "internal", context)
    }

    /// What caused it, if that is known.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// Adds what caused it, for the log only.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Adds what the client can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// What is shown of it besides the message.
    pub fn shown_details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    #[must_use]
    pub fn details(mut self, details: Value) -> Error {
        self.0.details = Some(details);
        self
    }

    /// Sets `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, secs: u32) -> Error {
        self.0.retry_after_secs = Some(secs);
        self
    }

    /// Sets the `Allow` header of a 405.
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Error {
        self.0.allow = Some(methods.into());
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub fn status(&self) -> u16 {
        self.0.kind.status()
    }

    /// The stable code, also a metric label.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence as the client may read it: `internal error` for our own faults.
    pub fn message(&self) -> &str {
        match self.0.kind {
            ErrorKind::Internal => "internal error",
            _ => &self.0.message,
        }
    }

    /// All of it without the code, for the log and the command line; never for a client.
    pub fn reason(&self) -> String {
        let text = self.to_string();
        let code = format!("{}: ", self.code());
        text.strip_prefix(&code).unwrap_or(&text).to_owned()
    }

    /// What the client can do about it, if the error says.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Seconds for `Retry-After`, if the error carries one.
    pub fn retry_after_secs(&self) -> Option<u32> {
        self.0.retry_after_secs
    }

    /// The `Allow` header of a 405, if the error carries one.
    pub fn allow_header(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    /// The JSON body of this error. Keys stand in the order of the contract, which existing clients show the start of.
    pub fn body(&self, request_id: &str) -> String {
        let mut out = String::with_capacity(160);
        out.push_str("{\"error\":{\"code\":");
        push_json(&mut out, self.0.code);
        out.push_str(",\"message\":");
        push_json(&mut out, self.message());
        out.push_str(",\"request_id\":");
        push_json(&mut out, request_id);
        if let Some(details) = &self.0.details {
            out.push_str(",\"details\":");
            out.push_str(&details.to_string());
        }
        out.push('}');
        if let Some(hint) = &self.0.hint {
            out.push_str(",\"hint\":");
            push_json(&mut out, hint);
        }
        out.push('}');
        out
    }
}

/// The whole chain, for the log only.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        let mut source = self
            .0
            .source
            .as_deref()
            .map(|s| s as &dyn std::error::Error);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}

/// Somebody else's text, fit to be quoted in a message or a log line: no control characters, at most 80 characters.
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 80;
        for (n, c) in self.0.chars().enumerate() {
            if n == CHARS_MAX {
                return f.write_str("...");
            }
            if c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// So many of something, in words: `1 row`, `2 rows`, `0 policies`. The noun is a regular one, in the singular.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    // What does not fit is not one either.
    let count = count.try_into().unwrap_or(u64::MAX);
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (n, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{n} {stem}ies"),
        (n, _) => format!("{n} {noun}s"),
    }
}

/// The start of `text`, at most `bytes_max` bytes of it, cut between characters.
pub fn cut(mut text: String, bytes_max: usize) -> String {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn push_json(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_agree_with_their_number() {
        for (count, noun, words) in [
            (0, "row", "0 rows"),
            (1, "row", "1 row"),
            (2, "row", "2 rows"),
            (1, "execution policy", "1 execution policy"),
            (2, "execution policy", "2 execution policies"),
            (2, "key", "2 keys"),
        ] {
            assert_eq!(counted(count, noun), words);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("é".repeat(4096), 4096).len(), 4096);
        assert_eq!(cut("é".repeat(4), 5), "éé");
        assert_eq!(cut("é".to_owned(), 5), "é");
    }
}
