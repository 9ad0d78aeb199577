//! Result policies: where results go, how long they are kept, and who may see them.

use crate::domain::id::Selector;
use crate::domain::kept::{OrDefault, kept, word};
use crate::domain::scope::Scope;

/// Where a successful result goes. A failure is always stored and streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryMode {
    /// Stored and streamed.
    Both,
    /// Stored; a waiting stream gets the stored envelope.
    StoreOnly,
    /// Streamed and never stored.
    Stream,
}

impl DeliveryMode {
    /// `both`, `store_only` or `stream`.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryMode::Both => "both",
            DeliveryMode::StoreOnly => "store_only",
            DeliveryMode::Stream => "stream",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<DeliveryMode> {
        [
            DeliveryMode::Both,
            DeliveryMode::StoreOnly,
            DeliveryMode::Stream,
        ]
        .into_iter()
        .find(|m| m.as_str() == text)
    }
}

word! { DeliveryMode, |m| m.as_str().to_owned(), DeliveryMode::parse; }

/// What happens to results of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPolicy {
    /// Where it applies.
    pub scope: Scope,
    /// Days a stored result is kept.
    pub retention_days: u32,
    /// Where a result goes.
    pub delivery_mode: DeliveryMode,
    /// Who besides the requester may see results.
    pub access: Vec<Selector>,
    /// Whether what a database adds to an error, with values of rows, is dropped instead of shown to the requester.
    pub hide_error_detail: bool,
}

kept! {
    ResultPolicy => ResultText [pair scope] {
        retention_days: u32,
        delivery_mode: DeliveryMode,
        access: Vec<Selector>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hide_error_detail: OrDefault<bool>,
    }
}

/// Days a stored result is kept, unless configured.
pub const RESULT_TTL_DAYS: u32 = 30;

impl Default for ResultPolicy {
    fn default() -> Self {
        ResultPolicy {
            scope: Scope::any(),
            retention_days: RESULT_TTL_DAYS,
            delivery_mode: DeliveryMode::Both,
            access: Vec::new(),
            hide_error_detail: false,
        }
    }
}

impl ResultPolicy {
    /// Its id, as clients see it.
    pub fn id(&self) -> String {
        format!("rp:{}:{}", self.scope.database, self.scope.environment)
    }
}
