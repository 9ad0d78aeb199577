//! Which statements may read a whole table.

/// Statements that read a whole table or index, by a part of their text, and why they may. One that has no condition and
/// stops at its LIMIT needs no reason.
pub(super) const SCANS: &[(&str, &str)] = &[
    (
        "FROM json_each(t.share_with_json) WHERE value = a.selector",
        "whom one request is shared with",
    ),
    (
        "e.event_type = 'result.purged' AND j.value",
        "the names in one event of a purge",
    ),
    (
        "LEFT JOIN request_texts t ON t.request_seq = r.seq \
             WHERE r.created_at_ms",
        "a replay reads every decision, through a connection of its own",
    ),
    ("SELECT status, n FROM request_counts", "a row a status"),
    ("x.backend <> ?1", "a backup copies every result"),
    ("FROM outbox_counts", "a row a webhook and status"),
    (
        "SELECT coalesce(sum(n), 0) FROM request_counts",
        "a row a status",
    ),
    (
        "SELECT name, sha256 FROM schema_migrations",
        "a row a migration",
    ),
    ("SELECT sql FROM sqlite_schema", "for the golden file"),
    (
        "FROM sqlite_schema WHERE type = 'table' AND name",
        "a row a table; once a start",
    ),
    (
        "SELECT value FROM json_each(?)",
        "not a table, but the list that comes with it",
    ),
    (
        "SELECT r.seq AS seq FROM requests r WHERE 1 = 1",
        "the part of a list without a filter; the list stops at its LIMIT",
    ),
    (
        "SELECT x.execution_seq AS seq FROM results x",
        "the part of a list without a filter; the list stops at its LIMIT",
    ),
    (
        "WHERE t.revoked_at_ms IS NULL AND t.subject_type = 'user' AND u.status = 'active'",
        "looks until a token passes; only when a person or a role is taken away",
    ),
    (
        "SELECT count(*) FROM sessions",
        "those that have not ended, once a scrape",
    ),
    ("DELETE FROM sessions", "all of them, in a quarantine"),
    (
        "SELECT id FROM users WHERE status = 'suspended'",
        "once after people, tokens or policies changed",
    ),
    (
        "SELECT id FROM audit_events WHERE from_status IS NOT",
        "verification reads all",
    ),
    (
        "(SELECT id FROM requests ORDER BY seq LIMIT 1)",
        "the oldest one and no other",
    ),
    (
        "SELECT p.id FROM purged_requests p LEFT JOIN",
        "verification reads all; the list of one event",
    ),
    (
        "SELECT r.id FROM requests r WHERE NOT EXISTS",
        "verification reads all",
    ),
    ("SELECT a.request_id FROM audit_events a", "edited rows"),
    ("SELECT id FROM tokens WHERE audit_seq", "a quarantine"),
    ("SELECT id FROM users", "a start, a reload, a quarantine"),
    ("DELETE FROM stated_dialects", "a quarantine"),
    ("DELETE FROM reported_dialects", "a quarantine"),
    (
        "UPDATE requester_counts SET n = 0",
        "a row a person and status, once a start",
    ),
    (
        "UPDATE outbox_counts SET n = 0",
        "a row a webhook and status, once a start",
    ),
];
