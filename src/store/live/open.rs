//! Which requests something can still come of, in SQL.

/// Statuses of which something can still come: those of `Status::is_open`, as a list of SQL.
pub const OPEN_STATUSES: &str = "'pending', 'approved', 'auto_approved', 'break_glass', 'dispatched', 'running', \
    'execution_lost'";

/// That something can still come of the request called `row`, or that it is frozen: no further edit of it goes
/// unnoticed. Comparisons: a list of constants would be a temporary table that each statement makes.
pub fn is_open(row: &str) -> String {
    let statuses = OPEN_STATUSES.split(", ");
    let comparisons: Vec<String> = statuses.map(|s| format!("{row}.status = {s}")).collect();
    format!(
        "({} OR {row}.corrupt_seq IS NOT NULL)",
        comparisons.join(" OR ")
    )
}

/// The rows of these requests, by two indexes, so that finding them does not cost more the more are closed. An index
/// that somebody made to leave one out hides it from a start; the proof before a signature, and `verify`, still find it.
pub fn open_seqs() -> String {
    format!(
        "SELECT seq FROM requests INDEXED BY requests__status WHERE status IN ({OPEN_STATUSES}) \
         UNION SELECT seq FROM requests INDEXED BY requests__frozen WHERE corrupt_seq IS NOT NULL"
    )
}
