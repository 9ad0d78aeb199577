//! Rows of people, agents and tokens.

use super::Context;
use super::outbox::{account_linked, account_unlinked};
use crate::domain::change::{IdentityChange, UserStatus};
use crate::domain::policy::notification::Routes;
use crate::domain::session::ConsoleSession;
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::query::{RunStatement, first};
use crate::store::snapshot;
use rusqlite::params;
use serde_json::Value;

/// Writes the rows of a change of this group.
pub(super) fn apply(cx: &Context, change: &IdentityChange, routes: &Routes) -> Result<(), Error> {
    match change {
        IdentityChange::AgentRegistered {
            agent_id,
            capabilities_json,
            version,
        } => agent_registered(cx, agent_id, capabilities_json, version.as_deref()),
        IdentityChange::TokenCreated(new) => token_created(cx, new),
        IdentityChange::TokenRevoked { token_id, .. } => token_revoked(cx, token_id),
        IdentityChange::UserActivated(user) | IdentityChange::UserSuspended(user) => {
            user_set(cx, user)
        }
        IdentityChange::UserCreated { id } => user_created(cx, id),
        IdentityChange::UserEmailChanged { id, email } => cx.one(
            "UPDATE users SET claimed_email = ?2, updated_at_ms = ?3, audit_seq = ?4 WHERE id = ?1",
            params![id, email, cx.now.0, cx.audit_seq],
        ),
        IdentityChange::UserClaimsKept { id, access } => cx.one(
            "UPDATE users SET claims_json = ?2, claims_at_ms = ?3, updated_at_ms = ?3, audit_seq = ?4 WHERE id = ?1",
            params![id, snapshot::claims_json(access), cx.now.0, cx.audit_seq],
        ),
        IdentityChange::UserUpdated {
            id,
            slack_user_id,
            linkers,
            linked_with,
        } => {
            let account = slack_user_id.as_deref();
            notify_accounts(cx, id, account, routes)?;
            let linkers = Value::from(Vec::from_iter(linkers.iter().cloned()));
            cx.one(
                "UPDATE users SET slack_user_id = ?2, slack_linkers_json = ?5, slack_linked_with = ?6, \
                 updated_at_ms = ?3, audit_seq = ?4 WHERE id = ?1",
                params![id, account, cx.now.0, cx.audit_seq, linkers.to_string(), linked_with],
            )
        }
        IdentityChange::SessionStarted(session) => session_started(cx, session),
        IdentityChange::SessionEnded { id, .. } => {
            cx.one("DELETE FROM sessions WHERE id = ?1", [id])
        }
        // Stands in the audit log alone.
        IdentityChange::LoginSucceeded { .. } => Ok(()),
    }
}

fn token_created(cx: &Context, new: &Token) -> Result<(), Error> {
    cx.any(
        "INSERT INTO users (id, subject_type, status, source, created_at_ms, updated_at_ms, audit_seq) \
         SELECT ?1, ?2, 'active', 'token', ?3, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = ?1)",
        params![
            new.subject_id,
            new.subject_type.as_str(),
            cx.now.0,
            cx.audit_seq
        ],
    )?;
    cx.one(
        "INSERT INTO tokens (id, subject_type, subject_id, token_hash, token_prefix, name, roles_json, role_mode, \
         groups_json, issuer, created_at_ms, expires_at_ms, audit_seq, issuers_json, bound_to_json, parent_id, session_id) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            new.id,
            new.subject_type.as_str(),
            new.subject_id,
            new.hash,
            new.prefix,
            new.name,
            Value::from(new.roles.clone()).to_string(),
            new.role_mode.as_str(),
            Value::from(new.groups.clone()).to_string(),
            new.issuer,
            cx.now.0,
            new.expires_at.map(|t| t.0),
            cx.audit_seq,
            Value::from(Vec::from_iter(new.issuers.iter().cloned())).to_string(),
            new.bound_to.as_deref().map(snapshot::scopes_json),
            new.parent_id,
            new.session_id,
        ],
    )
}

fn session_started(cx: &Context, session: &ConsoleSession) -> Result<(), Error> {
    let json = |what: &str, e: serde_json::Error| Error::internal(what, e);
    cx.one(
        "INSERT INTO sessions (id, subject_id, session_hash, issuer, groups_json, claims_json, name, email, \
         started_at_ms, expires_at_ms, last_used_at_ms, audit_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, ?11)",
        params![
            session.id,
            session.subject_id,
            session.hash,
            session.issuer,
            serde_json::to_string(&session.access.groups).map_err(|e| json("groups of a session", e))?,
            serde_json::to_string(&session.access.values).map_err(|e| json("claims of a session", e))?,
            session.name,
            session.email,
            cx.now.0,
            session.expires_at.0,
            cx.audit_seq,
        ],
    )
}

fn token_revoked(cx: &Context, token_id: &str) -> Result<(), Error> {
    cx.one(
        "UPDATE tokens SET revoked_at_ms = ?2, audit_seq = ?3 WHERE id = ?1 AND revoked_at_ms IS NULL",
        params![token_id, cx.now.0, cx.audit_seq],
    )
}

/// Whether a person may act; the row is made if it is new.
fn user_set(cx: &Context, user: &UserStatus) -> Result<(), Error> {
    let status = if user.active { "active" } else { "suspended" };
    let source = user.by_config.then_some("config");
    let updated = cx.any(
        "UPDATE users SET status = ?2, source = coalesce(?5, source), updated_at_ms = ?3, audit_seq = ?4 \
         WHERE id = ?1",
        params![user.id, status, cx.now.0, cx.audit_seq, source],
    )?;
    if updated == 0 {
        cx.one(
            "INSERT INTO users (id, subject_type, status, source, created_at_ms, updated_at_ms, audit_seq) \
             VALUES (?1, 'user', ?2, coalesce(?5, 'token'), ?3, ?3, ?4)",
            params![user.id, status, cx.now.0, cx.audit_seq, source],
        )?;
    }
    Ok(())
}

/// A person whom the identity provider vouches for, seen for the first time.
fn user_created(cx: &Context, id: &str) -> Result<(), Error> {
    cx.one(
        "INSERT INTO users (id, subject_type, status, source, created_at_ms, updated_at_ms, audit_seq) \
         VALUES (?1, 'user', 'active', 'oidc', ?2, ?2, ?3)",
        params![id, cx.now.0, cx.audit_seq],
    )
}

/// Notifies the Slack account that is linked to a person from now on, and the one that was before.
fn notify_accounts(
    cx: &Context,
    id: &str,
    account: Option<&str>,
    routes: &Routes,
) -> Result<(), Error> {
    let before: Option<String> = cx
        .connection
        .find("SELECT slack_user_id FROM users WHERE id = ?1", [id], first)?
        .flatten();
    if let Some(before) = before.filter(|before| account != Some(before.as_str())) {
        account_unlinked(cx, id, &before, routes)?;
    }
    match account {
        Some(account) => account_linked(cx, id, account, routes),
        None => Ok(()),
    }
}

fn agent_registered(
    cx: &Context,
    agent_id: &str,
    capabilities_json: &str,
    version: Option<&str>,
) -> Result<(), Error> {
    cx.one(
        "INSERT INTO agents (id, capabilities_json, version, max_concurrent, in_flight, draining, uptime_secs, \
         active_jobs_json, first_seen_at_ms, last_seen_at_ms, audit_seq) \
         VALUES (?1, ?2, ?3, 0, 0, 0, 0, '[]', ?4, ?4, ?5)",
        params![agent_id, capabilities_json, version, cx.now.0, cx.audit_seq],
    )
}
