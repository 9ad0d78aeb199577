//! What protects a column of the state file, and which rows of a table count.

/// What an edit of a column results in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnGuard {
    /// Part of the live state: the next start refuses the file.
    Digested,
    /// A start sets it anew, or every use checks it against something else; with the reason.
    Clamped(&'static str),
    /// Part of what `verify` compares with the chain.
    Verified(&'static str),
    /// Nothing is decided by it; with the reason.
    Harmless(&'static str),
}

/// When a row of a table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveRows {
    Always,
    /// While something can still come of the request that it is, or the request is frozen.
    Open,
    /// While this condition over its own columns holds; `{}` stands for the row.
    While(&'static str),
    /// As long as its request is open; the table has a column `request_seq`.
    WithRequest,
    /// Never: the table is not part of the live state.
    Never,
}

pub struct GuardedTable {
    pub name: &'static str,
    /// Which of its rows count.
    pub live: LiveRows,
    pub columns: &'static [(&'static str, ColumnGuard)],
}

impl GuardedTable {
    /// The columns that are part of the live state, in order.
    pub fn digested(&self) -> impl Iterator<Item = &'static str> {
        self.columns
            .iter()
            .filter(|(_, guard)| *guard == ColumnGuard::Digested)
            .map(|(column, _)| *column)
    }
}

const DECIDED: &str = "of a closed request it is only shown; nothing is decided by it any more";
const SENT: &str = "of a notification that is not due any more it is only shown in lists";

/// Columns of which no event says what they must hold, of plans that agents are asked for and of notifications.
const OF_DRY_RUNS: &[&str] = &[
    "id",
    "request_seq",
    "statement_index",
    "database_name",
    "environment",
    "sql_text",
    "status",
    "claimed_by",
    "claim_token",
    "claimed_at_ms",
    "result_json",
    "error_message",
    "created_at_ms",
    "finished_at_ms",
];
const OF_NOTIFICATIONS: &[&str] = &[
    "seq",
    "delivery_id",
    "channel",
    "event_type",
    "request_seq",
    "audit_seq",
    "payload_json",
    "created_at_ms",
    "recipient",
];

/// Digested columns of rows that do not count any more, of which an edit is not found by `verify`, and why nothing comes
/// of it. All others are found.
pub const NOT_VERIFIED: &[(&str, &[&str], &str)] = &[
    (
        "request_contexts",
        &["status", "explain_json", "created_at_ms", "updated_at_ms"],
        DECIDED,
    ),
    (
        "approvals",
        &["id"],
        "it only orders the votes; `verify` finds another order than that of their events",
    ),
    (
        "executions",
        &["claim_key"],
        "the claim of an execution that has ended is never repeated",
    ),
    (
        "executions",
        &["error_detail"],
        "shown to the requester alone; no event may quote values of rows, not even by a hash",
    ),
    ("dry_run_jobs", OF_DRY_RUNS, DECIDED),
    ("rehearsals", &["seq"], DECIDED),
    ("outbox", OF_NOTIFICATIONS, SENT),
];

pub(super) const CHAIN: ColumnGuard =
    ColumnGuard::Verified("the chain hashes it; the signed head covers the end of the chain");
pub(super) const COUNTS: ColumnGuard =
    ColumnGuard::Clamped("a start counts what is open anew; of the rest it is a total for lists");
pub(super) const SIGNED: ColumnGuard = ColumnGuard::Clamped("signed, and checked by every start");
pub(super) const MIGRATED: ColumnGuard =
    ColumnGuard::Clamped("compared with the migrations of the program");
pub(super) const SHOWN: ColumnGuard = ColumnGuard::Harmless("shown in lists, decides nothing");
pub(super) const REPORTED: ColumnGuard =
    ColumnGuard::Clamped("overwritten by the agent's next poll");
pub(super) const INSTANCE: ColumnGuard =
    ColumnGuard::Clamped("the signed head is for the instance of that id");
pub(super) const POSTED: ColumnGuard =
    ColumnGuard::Harmless("which message is updated; a click is decided by what is stored");

const ASKED: &str = "agents are asked for plans, and give them, without an event";
const ORDERS: &str = "a number that orders the rows; the event names its id";
const DESCRIBED: &str = "the event of a report says that it came, and repeats nothing of it";
const REPORTED_OFTEN: &str =
    "an agent says it again at every start, and its event may be gone by retention";
const ROUTED: &str = "made of an event by the channels of that time, which the log does not repeat";
const SIGNED_IN: &str = "the event of a sign-in names the session and its person; the log keeps nothing of what the provider sends";

/// Digested columns of rows that count, of which no event says what they must hold, and why: where one of them was
/// edited, the next start names the table only, and a quarantine takes every row of the table out of effect.
pub const UNTOLD: &[(&str, &[&str], &str)] = &[
    (
        "request_contexts",
        &["status", "explain_json", "created_at_ms", "updated_at_ms"],
        ASKED,
    ),
    (
        "approvals",
        &["id"],
        "a number that orders the votes; each has its event",
    ),
    ("executions", &["seq"], ORDERS),
    (
        "executions",
        &["claim_key"],
        "what an agent repeats a claim with; the log quotes no secret",
    ),
    (
        "executions",
        &["error_detail"],
        "it may quote values of rows, which no event does, not even by a hash",
    ),
    ("dry_run_jobs", OF_DRY_RUNS, ASKED),
    ("rehearsals", &["seq"], ORDERS),
    (
        "schema_snapshots",
        &[
            "database_name",
            "environment",
            "dialect",
            "snapshot_json",
            "collected_at_ms",
            "last_status",
            "last_error",
            "last_sync_ms",
            "agent_id",
            "audit_seq",
        ],
        DESCRIBED,
    ),
    (
        "stated_dialects",
        &[
            "database_name",
            "environment",
            "agent_id",
            "dialect",
            "audit_seq",
        ],
        REPORTED_OFTEN,
    ),
    (
        "reported_dialects",
        &[
            "database_name",
            "environment",
            "agent_id",
            "dialect",
            "reported_at_ms",
            "audit_seq",
        ],
        REPORTED_OFTEN,
    ),
    ("outbox", OF_NOTIFICATIONS, ROUTED),
    (
        "sessions",
        &[
            "id",
            "subject_id",
            "session_hash",
            "issuer",
            "groups_json",
            "claims_json",
            "name",
            "email",
            "started_at_ms",
            "expires_at_ms",
            "last_used_at_ms",
            "audit_seq",
        ],
        SIGNED_IN,
    ),
];
