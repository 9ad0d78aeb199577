//! Reading a request head: our own scan of every byte, then httparse, then what the fields mean.
//!
//! The scan is needed because httparse is more forgiving than we may be: it takes bare line feeds, blank lines before
//! the request, and bytes from 0x80. What passes is written down afresh for the backend, so nothing that a client
//! framed ever reaches it.

use crate::crypto;
use crate::error::{Error, ErrorKind, Shown};
use crate::gate::limits::{GateLimits, HEADERS_MAX, METHOD_BYTES_MAX};
use crate::gate::{backend, cookie};
use std::io::Write as _;
use std::ops::Range;

/// Longest `x-request-id` that is kept.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// Digits of a Content-Length that is still a number to us; the largest body anybody may send has 8.
const LENGTH_DIGITS_MAX: usize = 19;

/// Looks at bytes as they come, each once, and finds the end of the head.
#[derive(Default)]
pub(super) struct HeadScan {
    at: usize,
    line_start: usize,
    lines: usize,
}

impl HeadScan {
    /// The length of the head, once `bytes` (all that came so far) hold it whole.
    ///
    /// # Errors
    /// 400 for a byte or a line end that has no business in a head, 414 and 431 for too many of them.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &GateLimits,
    ) -> Result<Option<usize>, Error> {
        while let Some(&byte) = bytes.get(self.at) {
            if self.at >= limits.head_bytes_max {
                return Err(head_too_large(limits));
            }
            match byte {
                b'\r' => match bytes.get(self.at + 1) {
                    None => return Ok(None),
                    Some(b'\n') if self.at == self.line_start => {
                        if self.lines == 0 {
                            return Err(Error::invalid("empty line before the request line"));
                        }
                        return Ok(Some(self.at + 2));
                    }
                    Some(b'\n') => {
                        self.lines += 1;
                        self.at += 2;
                        self.line_start = self.at;
                    }
                    Some(_) => return Err(bad_byte(byte)),
                },
                0x20..=0x7e | b'\t' => self.at += 1,
                _ => return Err(bad_byte(byte)),
            }
            let line_max = METHOD_BYTES_MAX + 1 + limits.target_bytes_max + 16;
            if self.lines == 0 && self.at > line_max {
                return Err(target_too_long(limits));
            }
        }
        Ok(None)
    }
}

/// How the body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// What the gate has to know of a head. Method and target are ranges of the forwarded text.
#[derive(Debug)]
pub(super) struct RequestHead {
    method: Range<usize>,
    path: Range<usize>,
    authorization: Option<Range<usize>>,
    cookie: Option<Range<usize>>,
    pub(super) framing: Framing,
    /// Whether the client would send another request here.
    pub(super) keep_alive: bool,
    /// Whether it waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// Whether its answer has no body.
    pub(super) is_head: bool,
    pub(super) request_id: String,
}

impl RequestHead {
    pub(super) fn method<'f>(&self, forward: &'f [u8]) -> &'f str {
        text(&forward[self.method.clone()])
    }

    /// The target without its query.
    pub(super) fn path<'f>(&self, forward: &'f [u8]) -> &'f str {
        text(&forward[self.path.clone()])
    }

    /// The value of `Authorization`.
    pub(super) fn authorization<'f>(&self, forward: &'f [u8]) -> Option<&'f str> {
        Some(text(&forward[self.authorization.clone()?]))
    }

    /// The value of `Cookie`.
    pub(super) fn cookie<'f>(&self, forward: &'f [u8]) -> Option<&'f str> {
        Some(text(&forward[self.cookie.clone()?]))
    }

    /// The credentials of `Authorization`, without the scheme and the blanks around them: the same bytes in whatever
    /// form a client writes the field. Without it, the session of a browser.
    pub(super) fn credentials<'f>(&self, forward: &'f [u8]) -> Option<&'f [u8]> {
        let Some(value) = self.authorization(forward) else {
            return self
                .cookie(forward)
                .and_then(cookie::session)
                .map(str::as_bytes);
        };
        let value = value.trim_ascii();
        let credentials = value
            .split_once([' ', '\t'])
            .map_or(value, |(_, rest)| rest.trim_ascii());
        Some(credentials.as_bytes())
    }
}

/// Reads the head in `bytes` (as long as [`HeadScan`] found) and writes request line and fields for the backend to
/// `forward`, without the fields that concern this connection only.
///
/// # Errors
/// 400, 414, 417, 431 or 505.
pub(super) fn parse(
    bytes: &[u8],
    limits: &GateLimits,
    forward: &mut Vec<u8>,
) -> Result<RequestHead, Error> {
    let (method, target, minor) = request_line(bytes, limits)?;
    let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut slots);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(too_large(format!("more than {HEADERS_MAX} header fields")));
        }
        Err(e) => return Err(Error::invalid(format!("malformed request head: {e}"))),
        Ok(_) => return Err(Error::invalid("malformed request head")),
    }
    if request.method != Some(method) || request.path != Some(target) {
        return Err(Error::invalid("malformed request line"));
    }

    forward.clear();
    forward.extend_from_slice(method.as_bytes());
    forward.push(b' ');
    let start = forward.len();
    forward.extend_from_slice(target.as_bytes());
    forward.extend_from_slice(b" HTTP/1.1\r\n");
    let path_len = target.find('?').unwrap_or(target.len());

    let mut fields = HeaderFields::default();
    for header in request.headers.iter() {
        fields.take(header.name, text(header.value), forward)?;
    }
    if minor == 1 && !fields.host {
        return Err(Error::invalid("the `Host` header is missing"));
    }
    Ok(RequestHead {
        method: 0..method.len(),
        path: start..start + path_len,
        framing: fields.framing(minor)?,
        keep_alive: match minor {
            0 => fields.keep_alive && !fields.close,
            _ => !fields.close,
        },
        expects_continue: fields.expects_continue && minor == 1,
        is_head: method == "HEAD",
        authorization: fields.authorization,
        cookie: fields.cookie,
        request_id: fields
            .request_id
            .unwrap_or_else(|| crypto::hex(&crypto::random::<8>())),
    })
}

/// Method, target and minor version, or why not.
fn request_line<'b>(bytes: &'b [u8], limits: &GateLimits) -> Result<(&'b str, &'b str, u8), Error> {
    let end = bytes
        .iter()
        .position(|b| *b == b'\r')
        .unwrap_or(bytes.len());
    let mut words = text(&bytes[..end]).split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::invalid("malformed request line"));
    };
    let minor = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ if version.starts_with("HTTP/") => {
            let message = format!("HTTP version `{}` is not spoken here", Shown(version));
            return Err(Error::new(
                ErrorKind::VersionNotSupported,
                "http_version_not_supported",
                message,
            )
            .hint("use HTTP/1.1"));
        }
        _ => return Err(Error::invalid("malformed request line")),
    };
    if method.is_empty() || method.len() > METHOD_BYTES_MAX {
        return Err(Error::invalid("malformed request method"));
    }
    if target.len() > limits.target_bytes_max {
        return Err(target_too_long(limits));
    }
    let visible = |b: u8| (0x21..=0x7e).contains(&b) && b != b'#';
    if !target.starts_with('/') || !target.bytes().all(visible) {
        return Err(Error::invalid("malformed request target")
            .hint("the target is a path that begins with `/`, percent-encoded"));
    }
    Ok((method, target, minor))
}

/// The fields that mean something to the gate, as they come by.
#[derive(Default)]
struct HeaderFields {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    request_id: Option<String>,
    authorization: Option<Range<usize>>,
    cookie: Option<Range<usize>>,
}

impl HeaderFields {
    /// Notes a field, and forwards it unless it concerns this connection only. Names that `Connection` nominates are
    /// not dropped: a client could use that to strip what a proxy in front of us added.
    fn take(&mut self, name: &str, value: &str, forward: &mut Vec<u8>) -> Result<(), Error> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("host") {
            let ok = |b: u8| b.is_ascii_alphanumeric() || b".-_~:[]%".contains(&b);
            if std::mem::replace(&mut self.host, true) || !value.bytes().all(ok) {
                return Err(Error::invalid("bad or repeated `Host` header"));
            }
        } else if is("content-length") {
            return self.content_length(value);
        } else if is("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case("chunked") {
                return Err(Error::invalid("bad or repeated `Transfer-Encoding` header")
                    .hint("the only transfer coding is `chunked`"));
            }
            self.chunked = true;
            return Ok(());
        } else if is("connection") {
            for token in value.split(',').map(str::trim) {
                self.close |= token.eq_ignore_ascii_case("close");
                self.keep_alive |= token.eq_ignore_ascii_case("keep-alive");
            }
            return Ok(());
        } else if is("expect") {
            if !value.eq_ignore_ascii_case("100-continue") {
                let message = format!("expectation `{}` cannot be met", Shown(value));
                return Err(Error::new(
                    ErrorKind::ExpectationFailed,
                    "expectation_failed",
                    message,
                ));
            }
            self.expects_continue = true;
            return Ok(());
        } else if is("x-request-id") {
            if self.request_id.is_none() && is_request_id(value) {
                self.request_id = Some(value.to_owned());
            }
            return Ok(());
        } else if is("authorization") {
            if self.authorization.is_some() {
                return Err(Error::invalid("repeated `Authorization` header"));
            }
            let start = forward.len() + name.len() + 2;
            self.authorization = Some(start..start + value.len());
        } else if is("cookie") {
            if self.cookie.is_some() {
                return Err(Error::invalid("repeated `Cookie` header"));
            }
            let start = forward.len() + name.len() + 2;
            self.cookie = Some(start..start + value.len());
        } else if stays_here(name) {
            return Ok(());
        }
        let _ = write!(forward, "{name}: {value}\r\n");
        Ok(())
    }

    fn content_length(&mut self, value: &str) -> Result<(), Error> {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        if self.length.is_some() || !digits {
            return Err(Error::invalid("bad or repeated `Content-Length` header"));
        }
        // Longer than any number we compare with: too large in any case, and answered as such.
        let number = if value.len() > LENGTH_DIGITS_MAX {
            u64::MAX
        } else {
            value.parse().unwrap_or(u64::MAX)
        };
        self.length = Some(number);
        Ok(())
    }

    fn framing(&self, minor: u8) -> Result<Framing, Error> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Error::invalid(
                "`Transfer-Encoding` and `Content-Length` in one request",
            )),
            (true, None) if minor == 0 => {
                Err(Error::invalid("`Transfer-Encoding` in an HTTP/1.0 request"))
            }
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Whether a field ends at the gate: it concerns this connection only, or would speak the gate's own language.
fn stays_here(name: &str) -> bool {
    const HOP_BY_HOP: [&str; 5] = ["keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
    HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop))
        || name
            .get(..backend::PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(backend::PREFIX))
}

fn is_request_id(value: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.bytes().all(ok)
}

/// The scan let visible ASCII pass only, so this never loses anything.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn bad_byte(byte: u8) -> Error {
    Error::invalid(format!(
        "byte 0x{byte:02x} is not allowed in a request head"
    ))
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::HeadTooLarge, "headers_too_large", message)
}

fn head_too_large(limits: &GateLimits) -> Error {
    too_large(format!(
        "the request head has more than {} bytes",
        limits.head_bytes_max
    ))
}

fn target_too_long(limits: &GateLimits) -> Error {
    let message = format!(
        "the request target has more than {} bytes",
        limits.target_bytes_max
    );
    Error::new(ErrorKind::UriTooLong, "uri_too_long", message)
}

#[cfg(test)]
mod tests;
