//! What protects a column of the state file, and which rows of a table count.

/// What an edit of a column comes to.
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
    (
        "results",
        &["object_key"],
        "bytes that do not hash to what the row says are never shown",
    ),
    (
        "dry_run_jobs",
        &[
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
        ],
        DECIDED,
    ),
    ("rehearsals", &["seq"], DECIDED),
    (
        "outbox",
        &[
            "seq",
            "delivery_id",
            "channel",
            "event_type",
            "request_seq",
            "audit_seq",
            "payload_json",
            "created_at_ms",
            "recipient",
        ],
        SENT,
    ),
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

/// Digested columns of rows that count, of which no event says what they must hold: where one of them was edited, the
/// next start names the table only, and a quarantine takes every row of the table out of effect. No columns stand for all.
pub const UNTOLD: &[(&str, &[&str])] = &[
    (
        "request_contexts",
        &["status", "explain_json", "created_at_ms", "updated_at_ms"],
    ),
    ("approvals", &["id"]),
    ("executions", &["seq", "claim_key", "error_detail"]),
    ("results", &["object_key"]),
    ("dry_run_jobs", &[]),
    ("rehearsals", &["seq"]),
    ("schema_snapshots", &[]),
    ("stated_dialects", &[]),
    ("reported_dialects", &[]),
    ("outbox", &[]),
    ("sessions", &[]),
];
