//! What is given back: the one writer of JSON, the one writer of errors, and the fields that every answer has.

use super::call::HttpResponse;
use crate::error::{Error, ErrorKind};
use serde::Serialize;

/// Media type of JSON.
pub const JSON: &str = "application/json";
/// `Retry-After` of a 429 or 503 that names none, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// A JSON document.
///
/// # Errors
/// `internal` for a value that cannot be written: our bug.
pub fn json(status: u16, value: &impl Serialize) -> Result<HttpResponse, Error> {
    let body =
        serde_json::to_vec(value).map_err(|e| Error::internal("writing a JSON answer", e))?;
    Ok(HttpResponse::with_body(status, JSON, body))
}

/// An error as the client reads it.
pub fn error(error: &Error, request_id: &str) -> HttpResponse {
    let mut reply = HttpResponse::with_body(error.status(), JSON, error.body(request_id));
    match error.kind() {
        ErrorKind::Unauthenticated => reply
            .headers
            .push(("www-authenticate", "Bearer".to_owned())),
        ErrorKind::Unavailable | ErrorKind::TooMany => {
            let secs = error.retry_after_secs().unwrap_or(RETRY_AFTER_SECS);
            retry_after(&mut reply, secs);
        }
        _ => {}
    }
    if let Some(methods) = error.allow_header() {
        reply.headers.push(("allow", methods.to_owned()));
    }
    reply
}

/// Sets `Retry-After`, unless the answer has one.
pub fn retry_after(reply: &mut HttpResponse, secs: u32) {
    if !reply.headers.iter().any(|(name, _)| *name == "retry-after") {
        reply.headers.push(("retry-after", secs.to_string()));
    }
}

/// Adds what every answer says: that its type is not to be guessed, and that no cache keeps it.
pub(super) fn seal(reply: &mut HttpResponse) {
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in fixed {
        if !reply.headers.iter().any(|(n, _)| *n == name) {
            reply.headers.push((name, value.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'r>(reply: &'r HttpResponse, name: &str) -> Option<&'r str> {
        let found = reply.headers.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn errors_carry_their_headers() {
        let reply = error(&Error::unauthenticated(), "id");
        assert_eq!(header(&reply, "www-authenticate"), Some("Bearer"));
        let reply = error(&Error::unavailable("not now").retry_after(7), "id");
        assert_eq!(header(&reply, "retry-after"), Some("7"));
        let busy = Error::new(ErrorKind::TooMany, "rate_limited", "too often");
        assert_eq!(header(&error(&busy, "id"), "retry-after"), Some("1"));
        let wrong = Error::new(ErrorKind::MethodNotAllowed, "method_not_allowed", "no");
        let reply = error(&wrong.allow("GET, HEAD"), "id");
        assert_eq!(header(&reply, "allow"), Some("GET, HEAD"));
        assert_eq!(header(&reply, "content-type"), Some(JSON));
    }

    #[test]
    fn a_sealed_answer_keeps_what_it_says_itself() {
        let mut reply = HttpResponse::empty(200);
        reply.headers.push(("cache-control", "private".to_owned()));
        seal(&mut reply);
        assert_eq!(header(&reply, "cache-control"), Some("private"));
        assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
    }
}
