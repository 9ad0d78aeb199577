//! Rows of rehearsals.

use super::Context;
use crate::domain::change::{
    EndedRehearsal, NewRehearsal, RehearsalChange, RehearsalStep, RequestRef, StartedRehearsal,
};
use crate::domain::rehearsal::RehearsalStatus;
use crate::error::Error;
use rusqlite::params;

/// Writes the row of a step.
pub(super) fn apply(cx: &Context, change: &RehearsalChange) -> Result<(), Error> {
    match &change.step {
        RehearsalStep::Asked(rehearsal) => asked(cx, &change.request, rehearsal),
        RehearsalStep::Started(rehearsal) => started(cx, &change.request, rehearsal),
        RehearsalStep::Ended(rehearsal) => ended(cx, &change.request, rehearsal),
    }
}

fn asked(cx: &Context, request: &RequestRef, rehearsal: &NewRehearsal) -> Result<(), Error> {
    let status = match rehearsal.refused {
        None => RehearsalStatus::Waiting,
        Some(_) => RehearsalStatus::Refused,
    };
    cx.one(
        "INSERT INTO rehearsals (id, request_seq, status, asked_by, asked_at_ms, finished_at_ms, error_message, \
         audit_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            rehearsal.id,
            request.seq,
            status.as_str(),
            cx.actor.id,
            cx.now.0,
            (!status.is_open()).then_some(cx.now.0),
            rehearsal.refused,
            cx.audit_seq
        ],
    )
}

fn started(cx: &Context, request: &RequestRef, rehearsal: &StartedRehearsal) -> Result<(), Error> {
    cx.one(
        "UPDATE rehearsals SET status = 'claimed', agent_id = ?3, token_json = ?4, claimed_at_ms = ?5, audit_seq = ?6 \
         WHERE id = ?1 AND request_seq = ?2 AND status = 'waiting'",
        params![
            rehearsal.id,
            request.seq,
            rehearsal.agent_id,
            rehearsal.token_json,
            cx.now.0,
            cx.audit_seq
        ],
    )
}

fn ended(cx: &Context, request: &RequestRef, rehearsal: &EndedRehearsal) -> Result<(), Error> {
    let rows = rehearsal
        .rows_affected
        .map(|rows| i64::try_from(rows).unwrap_or(i64::MAX));
    cx.one(
        "UPDATE rehearsals SET status = ?3, finished_at_ms = ?4, rows_affected = ?5, result_json = ?6, \
         error_message = ?7, audit_seq = ?8 \
         WHERE id = ?1 AND request_seq = ?2 AND status IN ('waiting', 'claimed')",
        params![
            rehearsal.id,
            request.seq,
            rehearsal.status.as_str(),
            cx.now.0,
            rows,
            rehearsal.result_json,
            rehearsal.error_message,
            cx.audit_seq
        ],
    )?;
    if !rehearsal.sets_bound {
        return Ok(());
    }
    cx.one(
        "UPDATE requests SET rehearsed_rows = ?2 WHERE seq = ?1 AND status = 'pending'",
        params![request.seq, rows],
    )
}
