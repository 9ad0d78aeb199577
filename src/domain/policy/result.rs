//! Result policies: where results go, how long they are kept, and who may see them.

use super::Scope;
use crate::domain::id::Selector;

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
}

impl Default for ResultPolicy {
    fn default() -> Self {
        ResultPolicy {
            scope: Scope::any(),
            retention_days: 30,
            delivery_mode: DeliveryMode::Both,
            access: Vec::new(),
        }
    }
}
