//! Execution policies: how often, how long and how much a request may run.

use crate::declare::Plain;
use crate::domain::id::Operation;
use crate::domain::kept::policy;

/// Shortest lease of an execution, in seconds.
pub const LEASE_SECS_MIN: u64 = 60;
/// Lease beyond the statement timeout, in seconds: time to connect, upload and report.
pub const LEASE_MARGIN_SECS: u64 = 30;
/// Lease of a migration where nothing else says, in seconds.
pub const MIGRATION_LEASE_SECS: u64 = 600;
/// Rows that an agent returns at most, whatever a policy says.
pub const ROWS_MAX: u64 = 10_000;
/// Longest time that any policy of seconds may give: a leap year.
pub const SECS_MAX: u64 = 366 * 24 * 3600;
/// Longest time of one statement, and longest lease, in seconds.
pub const STATEMENT_SECS_MAX: u64 = 24 * 3600;
/// Seconds that a statement waits for a lock where nothing else says.
pub const LOCK_SECS_DEFAULT: u64 = 5;
/// Longest wait for a lock, in seconds.
pub const LOCK_SECS_MAX: u64 = 3600;
/// Most executions of one request.
const EXECUTIONS_MAX: u64 = 1_000;

policy! {
    /// How often, how long and how much requests of a scope may run.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ExecutionPolicy => ExecutionText {
        /// Executions of one request that count, at most.
        max_executions: u32 = 1, within 1..=EXECUTIONS_MAX;
        /// Seconds from the first completed execution in which another may start.
        execution_window_secs: u64 = 86_400, within 1..=SECS_MAX;
        /// Whether a request whose execution failed may be run again.
        retry_on_failure: bool = false;
        /// Seconds a statement may run, and the cap of every such timeout but those of migrations.
        statement_timeout_secs: u64 = 30, within 1..=STATEMENT_SECS_MAX;
        max_statement_timeout_secs: u64 = 600, within 1..=STATEMENT_SECS_MAX;
        /// Rows returned at most; no default: the 10000 of the agent.
        max_rows: Option<u64> = None, within 1..=u32::MAX as u64, shown "10000";
        /// Seconds an agent may be silent during a migration before it counts as lost; below 60 a short loss of the
        /// network loses it. No default: 600, or 30 more than the timeout of migrations where there is one.
        migration_lease_duration_secs: Option<u64> = None, within 1..=STATEMENT_SECS_MAX, shown "600";
        /// Seconds a migration may run, 0 for no limit.
        migration_statement_timeout_secs: Option<u64> = None, within 0..=STATEMENT_SECS_MAX, shown "0";
        /// Rows that a request may change at most, where it does not say: an agent that counts them rolls back what
        /// would change more. No default: no bound.
        #[omitted = "at its default"]
        max_affected_rows: Option<u64> = None, within 1..=u32::MAX as u64, shown "1000";
        /// Seconds that a statement waits for a lock, so that those who wait after it do not wait long; agent.toml can
        /// shorten it. No default: 5.
        #[omitted = "at its default"]
        lock_timeout_secs: Option<u64> = None, within 1..=LOCK_SECS_MAX, shown "5";
    }
}

impl Default for ExecutionPolicy {
    fn default() -> Self {
        ExecutionPolicy::plain()
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

    /// Seconds that a statement waits for a lock.
    pub fn lock_secs(&self) -> u64 {
        self.lock_timeout_secs.unwrap_or(LOCK_SECS_DEFAULT)
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
