//! Who may act: tokens, users, logins, agents.

use super::entry::{about, object};
use crate::clock::Timestamp;
use crate::crypto::sha256_hex;
use crate::domain::audit::AuditEntry;
use crate::domain::scope::Scope;
use crate::domain::session::{ConsoleSession, SessionEnd};
use crate::domain::token::Token;
use crate::domain::user::ClaimedAccess;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Whether a person may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStatus {
    pub id: String,
    pub active: bool,
    /// Configuration says so, and will say so again; otherwise somebody did over the API.
    pub by_config: bool,
}

/// A change of who may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityChange {
    /// An agent polled for the first time.
    AgentRegistered {
        agent_id: String,
        /// What it says it can do, as JSON.
        capabilities_json: String,
        version: Option<String>,
    },
    /// A token was issued.
    TokenCreated(Token),
    /// A token was revoked.
    TokenRevoked {
        token_id: String,
        subject_id: String,
        /// The token that it was issued with, directly or not, and ends with.
        with: Option<String>,
        /// Tokens issued with it that end too.
        ended: Vec<String>,
        /// Tokens issued with it that stay.
        kept: Vec<String>,
    },
    /// A person may act, or act again.
    UserActivated(UserStatus),
    /// A person may not act.
    UserSuspended(UserStatus),
    /// A person logged in through the identity provider for the first time.
    UserCreated { id: String },
    /// A person logged in through the identity provider; once an hour.
    LoginSucceeded {
        id: String,
        /// Names of the roles held now.
        roles: BTreeSet<String>,
    },
    /// A person signed in to the console.
    SessionStarted(ConsoleSession),
    /// They are signed out.
    SessionEnded {
        id: String,
        subject_id: String,
        why: SessionEnd,
        /// Tokens issued in it that end too.
        ended: Vec<String>,
    },
    /// The identity provider gave another e-mail address of a person than before.
    UserEmailChanged { id: String, email: String },
    /// It claims other groups or values of a person than were kept, or the same for longer than a day.
    UserClaimsKept { id: String, access: ClaimedAccess },
    /// What is known of a person changed.
    UserUpdated {
        id: String,
        /// The person's Slack account.
        slack_user_id: Option<String>,
        /// Everybody else who may have linked it: the caller, and the issuers of the caller's token.
        linkers: BTreeSet<String>,
        /// The token of their own with which the person linked it.
        linked_with: Option<String>,
    },
}

impl IdentityChange {
    /// What the audit log says of it.
    pub fn entry(&self) -> AuditEntry {
        match self {
            IdentityChange::AgentRegistered {
                agent_id, version, ..
            } => {
                let mut e = about("agent.registered", "agent", "agent", agent_id);
                if let Some(version) = version {
                    e.metadata
                        .insert("agent_version".into(), version.clone().into());
                }
                e
            }
            IdentityChange::TokenCreated(new) => token_created(new),
            IdentityChange::TokenRevoked {
                token_id,
                subject_id,
                with,
                ended,
                kept,
            } => {
                let mut e = about("token.revoked", "token", "token", token_id);
                let m = &mut e.metadata;
                m.insert("subject_id".into(), subject_id.clone().into());
                if let Some(with) = with {
                    m.insert("revoked_with".into(), with.clone().into());
                }
                put_ids(&mut e, "ended_descendants", ended);
                put_ids(&mut e, "kept_descendants", kept);
                e
            }
            IdentityChange::UserActivated(user) => status_entry("user.activated", user),
            IdentityChange::UserSuspended(user) => status_entry("user.disabled", user),
            IdentityChange::UserCreated { id } => by_provider("user.created", id),
            IdentityChange::LoginSucceeded { id, roles } => {
                let mut e = about("auth.login_success", "auth", "user", id);
                e.metadata = object(json!({"method": "oidc", "roles": roles}));
                e
            }
            IdentityChange::SessionStarted(session) => session_started(session),
            IdentityChange::SessionEnded {
                id,
                subject_id,
                why,
                ended,
            } => {
                let mut e = about("session.ended", "auth", "session", id);
                e.metadata = object(json!({"subject_id": subject_id, "why": why.as_str()}));
                put_ids(&mut e, "ended_tokens", ended);
                e
            }
            IdentityChange::UserEmailChanged { id, email } => email_changed(id, email),
            IdentityChange::UserClaimsKept { id, access } => claims_kept(id, access),
            IdentityChange::UserUpdated {
                id,
                slack_user_id,
                linkers,
                linked_with,
            } => account_linked(id, slack_user_id.as_ref(), linkers, linked_with.as_ref()),
        }
    }
}

fn account_linked(
    id: &str,
    slack_user_id: Option<&String>,
    linkers: &BTreeSet<String>,
    linked_with: Option<&String>,
) -> AuditEntry {
    let mut e = about("user.updated", "identity", "user", id);
    let m = &mut e.metadata;
    if !linkers.is_empty() {
        m.insert("linked_by".into(), linkers.iter().cloned().collect());
    }
    if let Some(token) = linked_with {
        m.insert("linked_with".into(), token.clone().into());
    }
    m.insert("slack_user_id".into(), slack_user_id.cloned().into());
    e
}

/// What the identity provider says of a person.
fn by_provider(event_type: &'static str, id: &str) -> AuditEntry {
    let mut e = about(event_type, "identity", "user", id);
    e.metadata.insert("source".into(), "oidc".into());
    e
}

fn email_changed(id: &str, email: &str) -> AuditEntry {
    let mut e = by_provider("user.email_changed", id);
    e.metadata.insert("email".into(), email.into());
    e
}

fn claims_kept(id: &str, access: &ClaimedAccess) -> AuditEntry {
    let mut e = by_provider("user.claims_kept", id);
    let claims = json!({"groups": access.groups, "values": access.values});
    e.metadata.insert("claims".into(), claims);
    e
}

fn put_ids(entry: &mut AuditEntry, key: &str, ids: &[String]) {
    if !ids.is_empty() {
        entry.metadata.insert(key.into(), ids.into());
    }
}

fn session_started(session: &ConsoleSession) -> AuditEntry {
    let mut e = about("session.started", "auth", "session", &session.id);
    e.metadata = object(json!({
        "subject_id": session.subject_id,
        "method": "oidc",
        "issuer": session.issuer,
        "groups": session.access.groups,
        "claims": session.access.values,
        "expires_at": session.expires_at.rfc3339(),
    }));
    e
}

fn token_created(new: &Token) -> AuditEntry {
    let mut e = about("token.created", "token", "token", &new.id);
    e.metadata = object(json!({
        "subject_id": new.subject_id,
        "subject_type": new.subject_type.as_str(),
        "roles": new.roles,
        "role_mode": new.role_mode.as_str(),
        "groups": new.groups,
        "issuer": new.issuer,
        "issuers": new.issuers,
        "scopes": new.bound_to.as_deref().map(scopes),
        "expires_at": new.expires_at.map(Timestamp::rfc3339),
        "parent_id": new.parent_id,
        "session_id": new.session_id,
        "name": new.name,
        "prefix": new.prefix,
        // Not what is stored, so that the log helps nobody to forge a row.
        "hash_sha256": sha256_hex(new.hash.as_bytes()),
    }));
    e
}

fn scopes(scopes: &[Scope]) -> Vec<Value> {
    let scope = |t: &Scope| json!({"database": t.database, "environment": t.environment});
    scopes.iter().map(scope).collect()
}

fn status_entry(event_type: &'static str, user: &UserStatus) -> AuditEntry {
    let mut e = about(event_type, "identity", "user", &user.id);
    e.metadata.insert("by_config".into(), user.by_config.into());
    e
}
