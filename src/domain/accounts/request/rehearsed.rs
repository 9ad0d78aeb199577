//! One rehearsal, as its events account for it.

use crate::clock::Timestamp;
use crate::domain::accounts::{
    AccountedRow, AccountedValue, ERROR_SHA256, EventMetadata, RESULT_SHA256, TOKEN_SHA256,
};
use crate::domain::audit::Event;

/// Changes the row of a rehearsal as its next event says.
pub(super) fn rehearsed(
    row: &mut AccountedRow,
    seq: i64,
    event: &Event,
    metadata: &EventMetadata,
    at: Timestamp,
) {
    let text = |text: &str| AccountedValue::text(Some(text));
    let when = AccountedValue::Integer(at.0);
    row.insert("audit_seq", AccountedValue::Integer(seq));
    let status = match event.event_type.as_str() {
        "rehearsal.requested" => {
            row.insert("asked_by", text(&event.actor_id));
            row.insert("asked_at_ms", when.clone());
            for column in [
                "agent_id",
                "token_json",
                "claimed_at_ms",
                "finished_at_ms",
                "rows_affected",
                "result_json",
                "error_message",
            ] {
                row.insert(column, AccountedValue::Null);
            }
            match metadata.value("refused") {
                Some(_) => "refused",
                None => "waiting",
            }
        }
        "rehearsal.started" => {
            row.insert("claimed_at_ms", when);
            row.remove("token_json");
            let keys = [
                ("agent_id", "agent_id", false),
                ("token_sha256", TOKEN_SHA256, false),
            ];
            metadata.account(row, &keys);
            row.insert("status", text("claimed"));
            return;
        }
        "rehearsal.completed" => "done",
        "rehearsal.unavailable" => "unavailable",
        _ => "failed",
    };
    row.insert("status", text(status));
    if status == "waiting" {
        return;
    }
    row.insert("finished_at_ms", AccountedValue::Integer(at.0));
    row.remove("result_json");
    row.remove("error_message");
    let keys = [
        ("rows_affected", "rows_affected", false),
        ("result_sha256", RESULT_SHA256, false),
        ("error_sha256", ERROR_SHA256, false),
    ];
    metadata.account(row, &keys);
}
