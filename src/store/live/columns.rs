//! Every column of every table, and what happens where somebody edits it while no server runs.
//!
//! The one place that decides which columns the live state covers; `docs/state-file.md` and a test repeat it. A table
//! or a column without an entry fails the tests.

/// What an edit of a column comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Part of the live state: the next start refuses the file.
    Digested,
    /// A start sets it anew, or every use checks it against something else; said why.
    Clamped(&'static str),
    /// Part of what `verify` compares with the chain.
    Verified(&'static str),
    /// Nothing is decided by it; said why.
    Harmless(&'static str),
}

/// When a row of a table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Always.
    Always,
    /// While this condition over its own columns holds; `{}` stands for the row.
    While(&'static str),
    /// As long as its request is open; the table has a column `request_seq`.
    WithRequest,
    /// Never: the table is not part of the live state.
    Never,
}

/// One table.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Which of its rows count.
    pub live: Live,
    /// Its columns.
    pub columns: &'static [(&'static str, Guard)],
}

use Guard::{Clamped, Digested, Harmless, Verified};

/// A request that is open: something can still come of it.
pub const OPEN: &str =
    "{}.status NOT IN ('executed', 'failed', 'rejected', 'cancelled', 'expired')";

const CHAIN: Guard = Verified("the chain hashes it; the signed head covers the end of the chain");
const COUNTS: Guard = Harmless("a total for lists; no right and no decision depends on it");
const REPORTED: Guard = Clamped("overwritten by the agent's next poll");

/// All tables.
pub const TABLES: &[Table] = &[
    Table {
        name: "requests",
        live: Live::While(OPEN),
        columns: &[
            ("seq", Digested),
            ("id", Digested),
            ("requester", Digested),
            ("token_id", Digested),
            ("database_name", Digested),
            ("environment", Digested),
            ("operation", Digested),
            ("status", Digested),
            ("audit_seq", Digested),
            ("emergency", Digested),
            ("allow_ddl", Digested),
            ("no_result_store", Digested),
            ("reason", Digested),
            ("current_step", Digested),
            ("total_steps", Digested),
            ("risk_level", Digested),
            ("policy_version", Digested),
            ("created_at_ms", Digested),
            ("updated_at_ms", Digested),
            ("resolved_at_ms", Digested),
            ("expires_at_ms", Digested),
            ("approved_at_ms", Digested),
            ("approval_expires_at_ms", Digested),
            ("dispatched_from", Digested),
            ("dispatch_deadline_ms", Digested),
            ("first_completed_at_ms", Digested),
            ("executions_finished", Digested),
            ("executions_lost", Digested),
            ("execution_id", Digested),
            ("claimed_by", Digested),
            ("cancelled_by", Digested),
            ("cancel_reason", Digested),
            ("due_at_ms", Digested),
        ],
    },
    Table {
        name: "request_texts",
        live: Live::WithRequest,
        columns: &[
            ("request_seq", Digested),
            ("detail", Digested),
            ("plan_json", Digested),
            ("workflow_json", Digested),
            ("facts_json", Digested),
            ("trace_json", Digested),
            ("metadata_json", Digested),
            ("share_with_json", Digested),
            ("fingerprint", Digested),
            ("redacted", Digested),
        ],
    },
    Table {
        name: "request_contexts",
        live: Live::WithRequest,
        columns: &[
            ("request_seq", Digested),
            ("status", Digested),
            ("context_json", Digested),
            ("explain_json", Digested),
            ("created_at_ms", Digested),
            ("updated_at_ms", Digested),
        ],
    },
    Table {
        name: "request_approvers",
        live: Live::WithRequest,
        columns: &[("selector", Digested), ("request_seq", Digested)],
    },
    Table {
        name: "approvals",
        live: Live::WithRequest,
        columns: &[
            ("id", Digested),
            ("request_seq", Digested),
            ("step_index", Digested),
            ("action", Digested),
            ("actor_id", Digested),
            ("token_id", Digested),
            ("matched_selector", Digested),
            ("comment", Digested),
            ("issued_by_requester", Digested),
            ("created_at_ms", Digested),
            ("audit_seq", Digested),
        ],
    },
    Table {
        name: "executions",
        live: Live::WithRequest,
        columns: &[
            ("seq", Digested),
            ("id", Digested),
            ("request_seq", Digested),
            ("attempt", Digested),
            ("agent_id", Digested),
            ("status", Digested),
            ("claim_key", Digested),
            ("token_json", Digested),
            ("statement_timeout_secs", Digested),
            ("max_rows", Digested),
            ("lease_secs", Digested),
            (
                "lease_until_ms",
                Clamped("a start gives every claimed execution exactly one lease"),
            ),
            (
                "heartbeats",
                Harmless("only says whether a claim may be repeated; a repeat gets the same token"),
            ),
            ("started_at_ms", Digested),
            ("finished_at_ms", Digested),
            ("error_message", Digested),
            ("rows_affected", Digested),
            ("duration_ms", Digested),
            ("truncated", Digested),
            ("late", Digested),
            ("report_sha256", Digested),
            ("audit_seq", Digested),
        ],
    },
    Table {
        name: "results",
        live: Live::WithRequest,
        columns: &[
            ("execution_seq", Digested),
            ("request_seq", Digested),
            ("backend", Digested),
            ("object_key", Digested),
            ("content_length", Digested),
            ("checksum_sha256", Digested),
            ("stored_at_ms", Digested),
            ("expires_at_ms", Digested),
            ("audit_seq", Digested),
        ],
    },
    Table {
        name: "dry_run_jobs",
        live: Live::WithRequest,
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
    },
    Table {
        name: "users",
        live: Live::Always,
        columns: &[
            ("id", Digested),
            ("subject_type", Digested),
            ("status", Digested),
            ("source", Digested),
            ("slack_user_id", Digested),
            ("created_at_ms", Digested),
            ("updated_at_ms", Digested),
            (
                "last_seen_at_ms",
                Harmless("shown in lists, decides nothing"),
            ),
            ("audit_seq", Digested),
        ],
    },
    Table {
        name: "tokens",
        live: Live::Always,
        columns: &[
            ("id", Digested),
            ("subject_type", Digested),
            ("subject_id", Digested),
            ("token_hash", Digested),
            ("token_prefix", Digested),
            ("name", Digested),
            ("roles_json", Digested),
            ("role_mode", Digested),
            ("groups_json", Digested),
            ("issuer", Digested),
            ("created_at_ms", Digested),
            ("expires_at_ms", Digested),
            ("revoked_at_ms", Digested),
            (
                "last_used_at_ms",
                Harmless("shown in lists, decides nothing"),
            ),
            ("audit_seq", Digested),
            ("issuers_json", Digested),
            ("bound_to_json", Digested),
        ],
    },
    Table {
        name: "schema_snapshots",
        live: Live::Always,
        columns: &[
            ("database_name", Digested),
            ("environment", Digested),
            ("dialect", Digested),
            ("snapshot_json", Digested),
            ("collected_at_ms", Digested),
            ("last_status", Digested),
            ("last_error", Digested),
            ("last_sync_ms", Digested),
            ("agent_id", Digested),
            ("audit_seq", Digested),
        ],
    },
    Table {
        name: "outbox",
        live: Live::While("{}.next_attempt_ms IS NOT NULL"),
        columns: &[
            ("seq", Digested),
            ("delivery_id", Digested),
            ("channel", Digested),
            ("event_type", Digested),
            ("request_seq", Digested),
            ("audit_seq", Digested),
            ("payload_json", Digested),
            (
                "status",
                Harmless("of what is due, it only says whether an attempt is under way"),
            ),
            (
                "attempts",
                Harmless("a notification is tried sooner, later or less often"),
            ),
            (
                "next_attempt_ms",
                Harmless("only when the next attempt is; a row that is no longer due changes the sum"),
            ),
            ("last_error", Harmless("shown in lists, decides nothing")),
            ("created_at_ms", Digested),
            (
                "updated_at_ms",
                Harmless("shown in lists, decides nothing"),
            ),
        ],
    },
    Table {
        name: "idempotency_keys",
        live: Live::Never,
        columns: &[
            (
                "requester",
                Harmless("a repeat finds nothing and makes a new request, under all checks"),
            ),
            ("key", Harmless("as `requester`")),
            ("fingerprint", Harmless("a repeat is refused")),
            (
                "request_seq",
                Clamped("a request of another requester is never shown"),
            ),
        ],
    },
    Table {
        name: "result_access",
        live: Live::Never,
        columns: &[
            (
                "selector",
                Verified("only lists are filtered by it; reading checks the policies"),
            ),
            ("execution_seq", Verified("as `selector`")),
        ],
    },
    Table {
        name: "agents",
        live: Live::Never,
        columns: &[
            ("id", REPORTED),
            ("capabilities_json", REPORTED),
            ("version", REPORTED),
            ("max_concurrent", REPORTED),
            ("in_flight", REPORTED),
            ("draining", REPORTED),
            ("uptime_secs", REPORTED),
            ("active_jobs_json", REPORTED),
            ("first_seen_at_ms", REPORTED),
            ("last_seen_at_ms", REPORTED),
            ("audit_seq", REPORTED),
        ],
    },
    Table {
        name: "audit_events",
        live: Live::Never,
        columns: &[
            ("seq", CHAIN),
            ("id", CHAIN),
            ("event_type", CHAIN),
            ("event_category", CHAIN),
            ("event_version", CHAIN),
            ("outcome", CHAIN),
            ("actor_id", CHAIN),
            ("actor_type", CHAIN),
            ("resource_type", CHAIN),
            ("resource_id", CHAIN),
            ("peer_ip", CHAIN),
            ("client_ip", CHAIN),
            ("client_ip_source", CHAIN),
            ("request_id", CHAIN),
            ("operation", CHAIN),
            ("database_name", CHAIN),
            ("environment", CHAIN),
            ("detail_fingerprint", CHAIN),
            ("detail_raw", CHAIN),
            ("reason", CHAIN),
            ("metadata_json", CHAIN),
            ("prev_hash", CHAIN),
            ("created_at", CHAIN),
            ("event_hash", CHAIN),
            (
                "created_at_ms",
                Verified("compared with the hashed time"),
            ),
            (
                "from_status",
                Verified("compared with the hashed metadata"),
            ),
            ("to_status", Verified("compared with the hashed metadata")),
        ],
    },
    Table {
        name: "audit_purges",
        live: Live::Never,
        columns: &[
            ("id", Verified("the newest one is where verification starts")),
            ("bound_seq", Verified("the next event is a signed checkpoint")),
            ("last_hash", Verified("signed")),
            ("purged_before", Verified("signed")),
            ("retained", Verified("signed")),
            ("key_id", Verified("names the key of the signature")),
            ("signature", Verified("checked with the key")),
            ("created_at_ms", Harmless("only a schedule goes by it")),
        ],
    },
    Table {
        name: "audit_head",
        live: Live::Never,
        columns: &[
            ("id", Clamped("there is one row")),
            ("seq", Clamped("signed, and checked by every start")),
            ("event_hash", Clamped("signed, and checked by every start")),
            ("recipe_sha256", Clamped("signed, and checked by every start")),
            ("sums_json", Clamped("signed, and checked by every start")),
            ("key_id", Clamped("names the key of the signature")),
            ("signature", Clamped("checked by every start")),
        ],
    },
    Table {
        name: "audit_recipes",
        live: Live::Never,
        columns: &[
            ("sha256", Clamped("the signed head names it")),
            ("text", Clamped("must hash to `sha256`")),
        ],
    },
    Table {
        name: "policy_versions",
        live: Live::Never,
        columns: &[
            ("sha256", Clamped("every use hashes the text")),
            ("text", Clamped("every use hashes it")),
            (
                "audit_seq",
                Harmless("policies in effect come from the configuration"),
            ),
            ("created_at_ms", Harmless("decides nothing")),
        ],
    },
    Table {
        name: "purged_requests",
        live: Live::Never,
        columns: &[
            ("request_seq", Verified("the event of the purge names them")),
            ("id", Verified("the event of the purge names them")),
            ("audit_seq", Verified("the event of the purge names them")),
        ],
    },
    Table {
        name: "request_counts",
        live: Live::Never,
        columns: &[("status", COUNTS), ("n", COUNTS)],
    },
    Table {
        name: "requester_counts",
        live: Live::Never,
        columns: &[("requester", COUNTS), ("status", COUNTS), ("n", COUNTS)],
    },
    Table {
        name: "outbox_counts",
        live: Live::Never,
        columns: &[
            ("channel", COUNTS),
            ("status", COUNTS),
            ("n", COUNTS),
            ("last_ms", COUNTS),
        ],
    },
    Table {
        name: "meta",
        live: Live::Never,
        columns: &[
            ("key", Clamped("the signed head is for the instance of that id")),
            ("value", Clamped("the signed head is for the instance of that id")),
        ],
    },
    Table {
        name: "transitions",
        live: Live::Never,
        columns: &[
            (
                "from_status",
                Clamped("the state machine decides; the table only refuses more"),
            ),
            ("to_status", Clamped("as `from_status`")),
        ],
    },
    Table {
        name: "schema_migrations",
        live: Live::Never,
        columns: &[
            ("name", Clamped("compared with the migrations of the program")),
            ("sha256", Clamped("compared with the migrations of the program")),
            ("applied_at_ms", Harmless("decides nothing")),
        ],
    },
];

impl Table {
    /// The columns that are part of the live state, in order.
    pub fn digested(&self) -> impl Iterator<Item = &'static str> {
        self.columns
            .iter()
            .filter(|(_, guard)| *guard == Digested)
            .map(|(column, _)| *column)
    }
}
