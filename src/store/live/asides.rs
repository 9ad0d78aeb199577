//! As `columns`, for tables next to those of requests and tokens: what agents do for reviewers, apart from executions,
//! and sessions.

use super::guard::{ColumnGuard, GuardedTable, LiveRows};
use ColumnGuard::Digested;

pub(super) const DRY_RUN_JOBS: GuardedTable = GuardedTable {
    name: "dry_run_jobs",
    live: LiveRows::WithRequest,
    columns: &[
        ("id", Digested),
        ("request_seq", Digested),
        ("statement_index", Digested),
        ("database_name", Digested),
        ("environment", Digested),
        ("sql_text", Digested),
        ("status", Digested),
        ("claimed_by", Digested),
        ("claim_token", Digested),
        ("claimed_at_ms", Digested),
        ("result_json", Digested),
        ("error_message", Digested),
        ("created_at_ms", Digested),
        ("finished_at_ms", Digested),
    ],
};

pub(super) const REHEARSALS: GuardedTable = GuardedTable {
    name: "rehearsals",
    live: LiveRows::WithRequest,
    columns: &[
        ("seq", Digested),
        ("id", Digested),
        ("request_seq", Digested),
        ("status", Digested),
        ("asked_by", Digested),
        ("asked_at_ms", Digested),
        ("agent_id", Digested),
        ("token_json", Digested),
        ("claimed_at_ms", Digested),
        ("finished_at_ms", Digested),
        ("rows_affected", Digested),
        ("result_json", Digested),
        ("error_message", Digested),
        ("audit_seq", Digested),
    ],
};

pub(super) const SESSIONS: GuardedTable = GuardedTable {
    name: "sessions",
    live: LiveRows::Always,
    columns: &[
        ("id", Digested),
        ("subject_id", Digested),
        ("session_hash", Digested),
        ("issuer", Digested),
        ("groups_json", Digested),
        ("claims_json", Digested),
        ("name", Digested),
        ("email", Digested),
        ("started_at_ms", Digested),
        ("expires_at_ms", Digested),
        ("last_used_at_ms", Digested),
        ("audit_seq", Digested),
    ],
};
