//! The only writer of audited tables: turns each [`Change`] into its audit event and its rows.
//!
//! The match has no wildcard. Every row names the event that accounts for it, and the schema compares the two.

mod executions;
mod identities;
mod outbox;
mod purges;
mod requests;

use super::audit::{append, checkpoint_if_due};
use super::{AuditKeys, db};
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::change::Change;
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use rusqlite::{Connection, params};

/// What every writer here needs to know.
struct Context<'a> {
    connection: &'a Connection,
    actor: &'a Actor,
    now: Timestamp,
    audit_seq: i64,
}

impl Context<'_> {
    /// Runs a statement that must touch exactly one row; anything else is our bug and undoes the change.
    fn one(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), Error> {
        match self.any(sql, values)? {
            1 => Ok(()),
            n => Err(Error::bug(format!("{n} rows changed by: {sql}"))),
        }
    }

    fn any(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(values))
            .map_err(db)
    }
}

/// Writes one change: its audit event, then its rows, then whom `routes` tell of it, then a checkpoint if one is due.
pub(super) fn apply(
    connection: &Connection,
    keys: &AuditKeys,
    actor: &Actor,
    now: Timestamp,
    change: &Change,
    routes: &Routes,
) -> Result<(), Error> {
    let entry = change.entry();
    let event = entry.event_type;
    let audit_seq = append(connection, actor, now, entry)?;
    let cx = Context {
        connection,
        actor,
        now,
        audit_seq,
    };
    match change {
        Change::RequestCreated(new) => requests::created(&cx, new)?,
        Change::RequestDispatched {
            request,
            step,
            deadline,
            ..
        } => requests::dispatched(&cx, request, *step, *deadline)?,
        Change::StepApproved {
            request,
            vote,
            current_step,
            approvers,
            ..
        } => {
            requests::vote(&cx, request, vote)?;
            requests::advanced(&cx, request, *current_step, approvers)?;
        }
        Change::RequestApproved {
            request,
            vote,
            step,
            total_steps,
            approval_expires_at,
            ..
        } => {
            requests::vote(&cx, request, vote)?;
            requests::approved(&cx, request, *step, *total_steps, *approval_expires_at)?;
        }
        Change::RequestRejected {
            request,
            vote,
            step,
        } => {
            requests::vote(&cx, request, vote)?;
            requests::closed(&cx, request, *step)?;
        }
        Change::RequestCancelled {
            request,
            step,
            reason,
        } => requests::cancelled(&cx, request, *step, reason.as_deref())?,
        Change::RequestExpired { request, step } => requests::closed(&cx, request, *step)?,
        Change::DispatchTimedOut { request, step } => requests::returned(&cx, request, *step)?,
        Change::ExecutionStarted {
            request,
            step,
            execution,
        } => executions::started(&cx, request, *step, execution)?,
        Change::ExecutionFinished {
            request,
            step,
            finished,
            result,
        } => executions::finished(&cx, request, *step, finished, result.as_ref())?,
        Change::ExecutionLost {
            request,
            step,
            execution_id,
            ..
        } => executions::lost(&cx, request, *step, execution_id)?,
        Change::AgentRegistered {
            agent_id,
            capabilities_json,
            version,
        } => identities::agent_registered(&cx, agent_id, capabilities_json, version.as_deref())?,
        Change::TokenCreated(new) => identities::token_created(&cx, new)?,
        Change::TokenRevoked { token_id, .. } => identities::token_revoked(&cx, token_id)?,
        Change::UserActivated(user) | Change::UserSuspended(user) => {
            identities::user_set(&cx, user)?;
        }
        Change::UserCreated { id } => identities::user_created(&cx, id)?,
        Change::UserUpdated { id, slack_user_id } => {
            identities::user_updated(&cx, id, slack_user_id.as_deref())?;
        }
        Change::RoleDeleted {
            policy_version,
            policy_text,
            ..
        } => policies(&cx, policy_version, policy_text)?,
        Change::SchemaSynced(schema) => identities::schema_synced(&cx, schema)?,
        Change::ConfigSynced {
            policy_version,
            policy_text,
            ..
        } => policies(&cx, policy_version, policy_text)?,
        Change::ResultsPurged(results) => purges::results(&cx, results)?,
        Change::RequestsPurged { requests, .. } => purges::requests(&cx, requests)?,
        Change::AuditPurged {
            bound_seq,
            last_hash,
            before,
            retained,
        } => purges::audit(&cx, keys, *bound_seq, last_hash, *before, *retained)?,
        // What these say stands in the audit log alone.
        Change::ConfigRejected { .. }
        | Change::AttemptRefused(_)
        | Change::LoginSucceeded { .. }
        | Change::AuthFailures(_)
        | Change::DdlPassed(_)
        | Change::StateBaselined(_)
        | Change::CheckpointFileAttached
        | Change::RollbackAccepted { .. }
        | Change::ResultCorrupt { .. } => {}
    }
    outbox::announced(&cx, event, change, routes)?;
    checkpoint_if_due(connection, keys, now)
}

/// Keeps the text of a set of policies, unless it is kept already.
fn policies(cx: &Context, version: &str, text: &str) -> Result<(), Error> {
    cx.any(
        "INSERT INTO policy_versions (sha256, text, audit_seq, created_at_ms) \
         SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM policy_versions WHERE sha256 = ?1)",
        params![version, text, cx.audit_seq, cx.now.0],
    )?;
    Ok(())
}
