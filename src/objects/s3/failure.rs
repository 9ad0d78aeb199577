//! What a call can come to: which answers pass, which say that nothing is there, and what an operator can do about the
//! others.

use super::page::error_code;
use crate::objects::wire::{NoResponse, WireResponse};
use std::fmt;

/// Why a call came to nothing.
pub(super) enum S3Failure {
    Lost(NoResponse),
    /// An answer that says no, with its code if it has one.
    Refused(u16, Option<String>),
    /// An answer that cannot be.
    Odd(&'static str),
    /// Too many calls are under way.
    Busy,
}

/// Whether the store may answer otherwise in a moment.
pub(super) fn is_passing(reply: &WireResponse) -> bool {
    match reply.status {
        408 | 429 | 500 | 502 | 503 | 504 => true,
        // A body that came too slowly, by the word of the store.
        400 => error_code(&reply.body).as_deref() == Some("RequestTimeout"),
        _ => false,
    }
}

pub(super) fn refused(reply: WireResponse) -> S3Failure {
    S3Failure::Refused(reply.status, error_code(&reply.body))
}

/// That an object is not there counts only where the store says just that: a missing bucket, or a page of somebody in
/// between, is not a missing object.
pub(super) fn absent(reply: WireResponse) -> Result<(), S3Failure> {
    match refused(reply) {
        S3Failure::Refused(404, Some(code)) if code == "NoSuchKey" => Ok(()),
        failure => Err(failure),
    }
}

impl fmt::Display for S3Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            S3Failure::Lost(lost) => write!(f, "{lost}"),
            S3Failure::Odd(what) => f.write_str(what),
            S3Failure::Busy => f.write_str("too many calls are under way already"),
            S3Failure::Refused(status, code) => {
                let code = code.as_deref().unwrap_or_default();
                write!(f, "the answer is {status} {code}{}", advice(*status, code))
            }
        }
    }
}

/// What an operator can do about an answer.
fn advice(status: u16, code: &str) -> &'static str {
    match (code, status) {
        ("RequestTimeTooSkewed", _) => "; the clock of this machine differs from the store's",
        ("InvalidAccessKeyId", _) => "; the store does not know this `access_key_id`",
        ("SignatureDoesNotMatch", _) => "; is `secret_access_key` the one of `access_key_id`?",
        ("ExpiredToken" | "TokenRefreshRequired", _) => "; the session token has run out",
        ("NoSuchBucket", _) => "; there is no such `bucket`",
        ("AuthorizationHeaderMalformed" | "PermanentRedirect", _) | (_, 301 | 307 | 308) => {
            "; are `region` and `endpoint` those of the bucket?"
        }
        ("NotImplemented", _) | (_, 501) => {
            "; a store that knows no tags needs `expiry_tag = false`"
        }
        (_, 403) => {
            "; the credentials need s3:PutObject, s3:PutObjectTagging, s3:GetObject, s3:DeleteObject and s3:ListBucket"
        }
        (_, 404) => "; are `endpoint` and `path_style` right?",
        _ => "",
    }
}
