//! Execution policies: how often, how long and how much a request may run.

use super::Scope;
use crate::domain::id::Operation;

/// Shortest lease of an execution, in seconds.
pub const LEASE_SECS_MIN: u64 = 60;
/// Lease beyond the statement timeout, in seconds: time to connect, upload and be heard.
pub const LEASE_MARGIN_SECS: u64 = 30;
/// Lease of a migration where nothing else says, in seconds.
pub const MIGRATION_LEASE_SECS: u64 = 600;
/// Rows that an agent returns at most, whatever a policy says.
pub const ROWS_MAX: u64 = 10_000;

/// How often, how long and how much requests of a scope may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionPolicy {
    /// Where it applies.
    pub scope: Scope,
    /// Whether configuration has it, or it is the default.
    pub explicit: bool,
    /// Executions of one request that count, at most; at least 1.
    pub max_executions: u32,
    /// Seconds from the first completed execution in which another may start.
    pub execution_window_secs: u64,
    /// Whether a failed request may be run again.
    pub retry_on_failure: bool,
    /// Seconds a statement may run.
    pub statement_timeout_secs: u64,
    /// The cap of every statement timeout.
    pub max_statement_timeout_secs: u64,
    /// Rows returned at most.
    pub max_rows: Option<u64>,
    /// Lease of a migration.
    pub migration_lease_duration_secs: Option<u64>,
    /// Seconds a migration may run; none for no limit.
    pub migration_statement_timeout_secs: Option<u64>,
}

impl Default for ExecutionPolicy {
    fn default() -> Self {
        ExecutionPolicy {
            scope: Scope::any(),
            explicit: false,
            max_executions: 1,
            execution_window_secs: 86_400,
            retry_on_failure: false,
            statement_timeout_secs: 30,
            max_statement_timeout_secs: 600,
            max_rows: None,
            migration_lease_duration_secs: None,
            migration_statement_timeout_secs: None,
        }
    }
}

impl ExecutionPolicy {
    /// Its id, as clients see it.
    pub fn id(&self) -> String {
        format!("ep:{}:{}", self.scope.database, self.scope.environment)
    }

    /// Seconds a statement of `operation` may run, 0 for no limit; a workflow can only shorten it.
    pub fn timeout_secs(&self, operation: Operation, workflow_secs: Option<u64>) -> u64 {
        if operation.is_migration_change() {
            return self.migration_statement_timeout_secs.unwrap_or(0);
        }
        let own = self
            .statement_timeout_secs
            .min(self.max_statement_timeout_secs);
        workflow_secs.map_or(own, |w| w.min(own))
    }

    /// Seconds of one lease, which every heartbeat renews.
    pub fn lease_secs(&self, operation: Operation) -> u64 {
        if operation.is_migration_change() {
            if let Some(secs) = self.migration_lease_duration_secs {
                return secs;
            }
            return match self.migration_statement_timeout_secs {
                Some(secs) if secs > 0 => (secs + LEASE_MARGIN_SECS).max(LEASE_SECS_MIN),
                _ => MIGRATION_LEASE_SECS,
            };
        }
        let timeout = self
            .statement_timeout_secs
            .min(self.max_statement_timeout_secs);
        (timeout + LEASE_MARGIN_SECS).max(LEASE_SECS_MIN)
    }
}
