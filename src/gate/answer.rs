//! Heads of answers: our own, and those of the backend made fit for the client.

use crate::error::{Error, ErrorKind};
use crate::gate::backend;
use crate::gate::budget::BudgetExceeded;
use std::io::Write as _;

/// Fields of an answer of the backend; the application sets about ten.
const FIELDS_MAX: usize = 48;

/// What every answer says.
pub(super) struct Common<'a> {
    pub(super) version: &'static str,
    pub(super) request_id: &'a str,
    pub(super) keep_alive: bool,
}

/// An answer that the gate gives by itself.
pub(super) struct OwnResponse<'a> {
    pub(super) status: u16,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    pub(super) retry_after_secs: Option<u32>,
}

/// Writes an own answer to `out`, whole.
pub(super) fn own(out: &mut Vec<u8>, answer: &OwnResponse<'_>, common: &Common<'_>, is_head: bool) {
    out.clear();
    let _ = write!(
        out,
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n",
        answer.status,
        reason_phrase(answer.status),
        answer.content_type
    );
    if let Some(secs) = answer.retry_after_secs {
        let _ = write!(out, "Retry-After: {secs}\r\n");
    }
    push_common(out, common, false, false);
    let _ = write!(out, "Content-Length: {}\r\n\r\n", answer.body.len());
    if !is_head {
        out.extend_from_slice(answer.body);
    }
}

/// Writes an error to `out`, whole.
pub(super) fn error(out: &mut Vec<u8>, error: &Error, common: &Common<'_>, is_head: bool) {
    let body = error.body(common.request_id);
    let answer = OwnResponse {
        status: error.status(),
        content_type: "application/json",
        body: body.as_bytes(),
        retry_after_secs: error.retry_after_secs(),
    };
    own(out, &answer, common, is_head);
}

/// An answer of the backend.
pub(super) struct Relayed {
    /// Bytes of body that follow.
    pub(super) body_bytes: usize,
    /// Whether the call waits instead of being answered.
    pub(super) park: bool,
}

/// Reads the head of an answer of the backend and writes what the client may read of it to `out`. `None` if it is not
/// what our own workers write: another exchange's, without a length, with a transfer coding, malformed.
pub(super) fn relay(
    head: &[u8],
    exchange: u64,
    is_head: bool,
    common: &Common<'_>,
    out: &mut Vec<u8>,
) -> Option<Relayed> {
    let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut slots);
    match answer.parse(head) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        _ => return None,
    }
    let status = answer.code.filter(|code| (200..=599).contains(code))?;
    out.clear();
    let _ = write!(
        out,
        "HTTP/1.1 {status} {}\r\n",
        answer.reason.unwrap_or_default()
    );
    let (mut length, mut echoed, mut park) = (None, None, false);
    let (mut has_version, mut has_id) = (false, false);
    for field in answer.headers.iter() {
        let is = |other: &str| field.name.eq_ignore_ascii_case(other);
        let value = std::str::from_utf8(field.value).ok()?;
        if is("content-length") {
            if length.replace(value.parse::<usize>().ok()?).is_some() {
                return None;
            }
        } else if is(backend::EXCHANGE) {
            echoed = value.parse::<u64>().ok();
        } else if is(backend::PARK) {
            park = true;
        } else if is("transfer-encoding") {
            return None;
        } else if !(is("server") || is("connection") || field.name.starts_with(backend::PREFIX)) {
            has_version |= is("x-dbward-version");
            has_id |= is("x-request-id");
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    if echoed != Some(exchange) {
        return None;
    }
    let length = length?;
    push_common(out, common, has_version, has_id);
    // 204 must not have a length, and that of a 304 would be the length of a body that is not here.
    let bodiless = matches!(status, 204 | 304);
    if !bodiless {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Some(Relayed {
        body_bytes: if bodiless || is_head { 0 } else { length },
        park,
    })
}

fn push_common(out: &mut Vec<u8>, common: &Common<'_>, has_version: bool, has_id: bool) {
    if !has_version {
        let _ = write!(out, "x-dbward-version: {}\r\n", common.version);
    }
    if !has_id {
        let _ = write!(out, "x-request-id: {}\r\n", common.request_id);
    }
    out.extend_from_slice(match common.keep_alive {
        true => b"Connection: keep-alive\r\n",
        false => b"Connection: close\r\n".as_slice(),
    });
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Answer",
    }
}

/// 408.
pub(super) fn too_slow(what: &str) -> Error {
    let message = format!("the {what} did not arrive in time");
    Error::new(ErrorKind::RequestTimeout, "request_timeout", message)
}

/// 413.
pub(super) fn too_large(body_max: usize) -> Error {
    let message = format!("the request body has more than {body_max} bytes");
    Error::new(ErrorKind::TooLarge, "payload_too_large", message)
}

/// 429 for calls.
pub(super) fn too_many_calls(max: usize) -> Error {
    let message = format!("this token has {max} calls under way already");
    Error::new(ErrorKind::TooMany, "too_many_calls", message)
        .hint("wait for answers before you send more")
        .retry_after(1)
}

/// 503 or 429 for bytes that are held.
pub(super) fn too_many_bytes(over: BudgetExceeded, what: &str) -> Error {
    match over {
        BudgetExceeded::All => {
            Error::unavailable(format!("the server holds too many {what} at the moment"))
        }
        BudgetExceeded::Token => {
            let message = format!("the server holds too many {what} of this token at the moment");
            Error::new(ErrorKind::TooMany, "too_many_bytes", message)
                .hint("wait for answers before you send more")
                .retry_after(1)
        }
    }
}

/// 502.
pub(super) fn bad_gateway() -> Error {
    let message = "the server gave no usable answer, so the outcome is unknown";
    Error::new(ErrorKind::BadGateway, "bad_gateway", message).hint(UNKNOWN_HINT)
}

/// 504.
pub(super) fn no_answer_in_time() -> Error {
    let message = "the server did not answer in time, so the outcome is unknown";
    Error::new(ErrorKind::GatewayTimeout, "gateway_timeout", message).hint(UNKNOWN_HINT)
}

const UNKNOWN_HINT: &str = "read the state, or repeat the call with the same idempotency key";

#[cfg(test)]
mod tests {
    use super::*;

    fn common(keep_alive: bool) -> Common<'static> {
        Common {
            version: "1.2.3",
            request_id: "abc",
            keep_alive,
        }
    }

    fn relayed(head: &str, is_head: bool) -> Option<(Relayed, String)> {
        let mut out = Vec::new();
        let answer = relay(head.as_bytes(), 7, is_head, &common(true), &mut out)?;
        Some((answer, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn answer_loses_what_is_internal_and_gains_what_is_promised() {
        let head = "HTTP/1.1 201 Created\r\nServer: x\r\nConnection: close\r\nETag: \"a\"\r\n\
            x-internal-exchange: 7\r\nx-internal-other: 1\r\nContent-Length: 3\r\n\r\n";
        let (answer, out) = relayed(head, false).unwrap();
        assert_eq!(answer.body_bytes, 3);
        assert_eq!(
            out,
            "HTTP/1.1 201 Created\r\nETag: \"a\"\r\nx-dbward-version: 1.2.3\r\nx-request-id: abc\r\n\
             Connection: keep-alive\r\nContent-Length: 3\r\n\r\n"
        );
    }

    #[test]
    fn what_our_workers_do_not_write_is_not_relayed() {
        for bad in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nx-internal-exchange: 8\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-internal-exchange: 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-internal-exchange: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-internal-exchange: 7\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 100 Continue\r\nx-internal-exchange: 7\r\nContent-Length: 0\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(relayed(bad, false).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn head_204_and_304_have_no_body() {
        let head = |status: u16, n| {
            format!("HTTP/1.1 {status} X\r\nx-internal-exchange: 7\r\nContent-Length: {n}\r\n\r\n")
        };
        let (answer, out) = relayed(&head(200, 5), true).unwrap();
        assert_eq!(answer.body_bytes, 0);
        assert!(out.contains("Content-Length: 5\r\n"));
        for status in [204, 304] {
            let (answer, out) = relayed(&head(status, 5), false).unwrap();
            assert_eq!(answer.body_bytes, 0);
            assert!(!out.contains("Content-Length"));
        }
    }

    #[test]
    fn an_error_carries_the_promised_fields() {
        let mut out = Vec::new();
        error(&mut out, &Error::unavailable("busy"), &common(false), false);
        let out = String::from_utf8(out).unwrap();
        for field in [
            "HTTP/1.1 503 Service Unavailable\r\n",
            "Retry-After: 2\r\n",
            "x-dbward-version: 1.2.3\r\n",
            "x-request-id: abc\r\n",
            "Connection: close\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(out.contains(field), "{field}");
        }
        assert!(out.ends_with("\"request_id\":\"abc\"}}"));
    }
}
