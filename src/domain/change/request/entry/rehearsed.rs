//! The audit events of rehearsals. They are named apart from those of executions: a rehearsal leaves nothing.

use super::hash_of;
use crate::crypto::sha256_hex;
use crate::domain::audit::{AuditEntry, EventOutcome};
use crate::domain::change::entry::{object, of_request};
use crate::domain::change::{
    EndedRehearsal, NewRehearsal, RehearsalChange, RehearsalStep, RequestRef, StartedRehearsal,
};
use crate::domain::rehearsal::RehearsalStatus;
use serde_json::json;

pub(super) fn entry(change: &RehearsalChange) -> AuditEntry {
    match &change.step {
        RehearsalStep::Asked(rehearsal) => asked(&change.request, rehearsal),
        RehearsalStep::Started(rehearsal) => started(&change.request, rehearsal),
        RehearsalStep::Ended(rehearsal) => ended(&change.request, rehearsal),
    }
}

fn asked(request: &RequestRef, rehearsal: &NewRehearsal) -> AuditEntry {
    let mut e = about("rehearsal.requested", request, &rehearsal.id);
    if let Some(why) = &rehearsal.refused {
        e.outcome = EventOutcome::Denied;
        e.metadata.insert("refused".into(), true.into());
        e.metadata.insert("error_sha256".into(), hash_of(Some(why)));
    }
    e
}

fn started(request: &RequestRef, rehearsal: &StartedRehearsal) -> AuditEntry {
    let mut e = about("rehearsal.started", request, &rehearsal.id);
    e.metadata = object(json!({
        "agent_id": rehearsal.agent_id,
        "token_sha256": sha256_hex(rehearsal.token_json.as_bytes()),
    }));
    e
}

fn ended(request: &RequestRef, rehearsal: &EndedRehearsal) -> AuditEntry {
    let (event_type, outcome) = match rehearsal.status {
        RehearsalStatus::Done => ("rehearsal.completed", EventOutcome::Success),
        RehearsalStatus::Unavailable => ("rehearsal.unavailable", EventOutcome::Failure),
        _ => ("rehearsal.failed", EventOutcome::Failure),
    };
    let mut e = about(event_type, request, &rehearsal.id);
    e.outcome = outcome;
    e.metadata = object(json!({
        "rows_affected": rehearsal.rows_affected,
        "result_sha256": hash_of(rehearsal.result_json.as_deref()),
        "error_sha256": hash_of(rehearsal.error_message.as_deref()),
        "sets_bound": rehearsal.sets_bound,
    }));
    e
}

fn about(event_type: &'static str, request: &RequestRef, id: &str) -> AuditEntry {
    let mut e = of_request(event_type, "rehearsal", request);
    e.resource_type = Some("rehearsal");
    e.resource_id = Some(id.to_owned());
    e
}
