//! Why a verb on a request is refused.

use super::Status;
use crate::error::Error;

/// Why a verb does not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The status does not allow it.
    WrongStatus {
        /// The status it has.
        status: Status,
        /// The status or verb that was asked for, in words.
        wanted: &'static str,
    },
    /// Its time for approval, or for use, has passed.
    Expired,
    /// The execution window has passed.
    WindowPassed,
    /// It ran as often as it may.
    MaxExecutions,
    /// It failed, and policy does not allow another try.
    NoRetry,
    /// Nobody knows whether the last write took effect, or it did in part.
    OutcomeUnknown,
}

impl Refusal {
    /// The refusal as the client reads it.
    pub fn error(&self) -> Error {
        match self {
            Refusal::WrongStatus { status, wanted } => Error::conflict(
                "conflict",
                format!("request is {status}, expected {wanted}"),
            ),
            Refusal::Expired => Error::gone("request expired")
                .hint("make a new request; an approval is for one request and one time"),
            Refusal::WindowPassed => Error::gone("execution window expired")
                .hint("make a new request to run the statement again"),
            Refusal::MaxExecutions => Error::conflict(
                "max_executions_reached",
                "max executions reached for this request",
            )
            .hint("make a new request, or raise max_executions in the execution policy"),
            Refusal::NoRetry => Error::conflict("retry_disabled", "retry on failure disabled")
                .hint("make a new request, or set retry_on_failure in the execution policy"),
            // Existing clients show the message of a 422 and hide that of a 409.
            Refusal::OutcomeUnknown => Error::refused(
                "outcome_unknown",
                "whether the last execution took effect is unknown",
            )
            .hint(
                "look at the database first; then resume with \
                 {\"acknowledge_unknown_outcome\": true, \"reason\": \"...\"}",
            ),
        }
    }
}
