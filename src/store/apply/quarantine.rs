//! Rows that a quarantine takes out of effect. It runs without the triggers of the schema, which hold rows to what they
//! were: these are not.

use super::Context;
use crate::domain::change::Quarantined;
use crate::error::Error;
use rusqlite::params;

/// Writes the rows of one step.
pub(super) fn apply(cx: &Context, step: &Quarantined) -> Result<(), Error> {
    match step {
        Quarantined::Request { id, .. } => cx.any(
            "UPDATE requests SET corrupt_seq = ?2, due_at_ms = NULL WHERE id = ?1",
            params![id, cx.audit_seq],
        )?,
        Quarantined::Token { id, .. } => cx.any(
            "UPDATE tokens SET revoked_at_ms = ?2, audit_seq = ?3 WHERE id = ?1",
            params![id, cx.now.0, cx.audit_seq],
        )?,
        Quarantined::Person { id, .. } => cx.any("DELETE FROM sessions WHERE subject_id = ?1", [id])?
            + cx.any(
            "UPDATE users SET status = 'suspended', slack_user_id = NULL, slack_linkers_json = '[]', \
             slack_linked_with = NULL, claimed_email = NULL, claims_json = NULL, claims_at_ms = NULL, updated_at_ms = ?2, audit_seq = ?3 WHERE id = ?1",
            params![id, cx.now.0, cx.audit_seq],
        )?,
        Quarantined::State(summary) => {
            let mut touched = 0;
            for table in &summary.given_up {
                touched += match *table {
                    "outbox" => cx.any(
                        "UPDATE outbox SET status = 'cancelled', next_attempt_ms = NULL, \
                         last_error = 'quarantined', updated_at_ms = ?1 WHERE next_attempt_ms IS NOT NULL",
                        [cx.now.0],
                    )?,
                    "schema_snapshots" => cx.any("DELETE FROM schema_snapshots", [])?,
                    "stated_dialects" => cx.any("DELETE FROM stated_dialects", [])?,
                    "reported_dialects" => cx.any("DELETE FROM reported_dialects", [])?,
                    "sessions" => cx.any("DELETE FROM sessions", [])?,
                    other => return Err(Error::bug(format!("no quarantine of {other}"))),
                };
            }
            touched
        }
    };
    Ok(())
}
